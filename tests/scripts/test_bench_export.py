"""What the bench of exports measures is the network, in every runtime."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.long
@pytest.mark.parametrize(
  ('model', 'channels'), [('resnet8_16', 1), ('mobilenet_v2', 3)]
)
def test_every_runtime_has_a_row_and_says_the_same(tmp_path, model, channels):
  subprocess.run(
    [
      *(sys.executable, str(ROOT / 'scripts/bench_export.py')),
      *(f'--model={model}', '--side=24', f'--channels={channels}'),
      *('--seconds=0.01', '--repeats=1', '--json=found.json'),
    ],
    cwd=tmp_path,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    check=True,
  )
  found = json.loads((tmp_path / 'found.json').read_text())
  runtimes = {'JAX', 'ONNX Runtime', 'OpenCV', 'StableHLO'}
  assert {*found['differences']} == runtimes
  assert max(found['differences'].values()) < 1e-5
  rows = {(row['batch'], row['runtime']): row for row in found['rows']}
  assert {*rows} >= {(size, name) for size in (1, 32) for name in runtimes}
  for size in (1, 32):
    assert rows[size, 'JAX']['times_jax'] == 1
    assert all(row['images_per_second'] > 0 for row in rows.values())
