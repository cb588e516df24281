"""The bench of an accelerator: without the training stack, within its time."""

import json
import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / 'scripts' / 'bench_device.py'

# What a machine with an accelerator may lack.
LACKING = (
  *('tensorflow', 'albumentations', 'orbax', 'cv2', 'sklearn', 'pandas'),
  *('ml_collections', 'matplotlib', 'pyarrow', 'PIL', 'torch', 'tensorstore'),
)


def test_the_small_form_needs_no_training_stack(tmp_path):
  out = tmp_path / 'device.json'
  code = (
    'import runpy, sys\n'
    f'for name in {LACKING}:\n'
    '  sys.modules[name] = None\n'
    f'sys.argv = [{str(SCRIPT)!r}, "--small", "--json={out}"]\n'
    f'runpy.run_path({str(SCRIPT)!r}, run_name="__main__")\n'
  )
  paths = os.pathsep.join(map(str, (ROOT, SCRIPT.parent)))
  done = subprocess.run(
    [sys.executable, '-c', code],
    env=os.environ | {'PYTHONPATH': paths, 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  rows = json.loads(out.read_text())['rows']
  wrong = [row for row in rows if {'failed', 'skipped'} & {*row}]
  assert not wrong
  found = {row['kind']: row for row in rows}
  assert [*found] == ['peak', 'gradient', 'step', 'solver']
  assert found['gradient']['float32_off'] < 1e-4
  assert found['gradient']['bfloat16_off'] < 0.1
  assert found['gradient']['augment_most_off'] == 0
  assert found['step']['flops'] > 4 * 8 * 8 * 8 * 9 * 2
  assert found['step']['images_per_second'] > 0
  assert found['solver']['gap'] < 1e-6
  assert 'torch: not installed.' in done.stdout


@pytest.fixture(name='bench')
def fixture_bench(monkeypatch):
  monkeypatch.syspath_prepend(str(SCRIPT.parent))
  import bench_device

  return bench_device


@pytest.mark.parametrize('seed', range(10))
def test_what_no_longer_fits_is_skipped_aloud(bench, capsys, monkeypatch, seed):
  rng = np.random.default_rng(seed)
  clock = [100.0]
  monkeypatch.setattr(bench.time, 'perf_counter', lambda: clock[0])
  seconds = float(rng.uniform(50, 400))
  budget, left, needed = bench.Budget(seconds), seconds, dict(bench.FIRST)
  skipped = []
  for number in range(12):
    kind = str(rng.choice([*bench.FIRST]))
    takes = float(rng.uniform(1, 80))
    fits = left >= needed[kind]
    with budget.part(kind, number=number) as row:
      assert (row is not None) == fits
      if fits:
        clock[0] += takes
        if number % 4 == 3:
          raise MemoryError(f'no room for {number}')
    row = budget.rows[-1]
    assert row['kind'] == kind and ('skipped' in row) != fits
    assert ('failed' in row) == (fits and number % 4 == 3)
    if fits:
      left, needed[kind] = left - takes, 1.2 * takes
    else:
      skipped.append(f'SKIPPED kind={kind} number={number} ')
  printed = capsys.readouterr().out
  assert all(line in printed for line in skipped)
  assert printed.count('FAILED') == sum('failed' in r for r in budget.rows)


@pytest.mark.parametrize('seconds', [0.001, 0.01, 0.3])
def test_seconds_of_one_call_are_those_of_many(bench, monkeypatch, seconds):
  clock, calls = [0.0], []
  monkeypatch.setattr(bench.time, 'perf_counter', lambda: clock[0])

  def once():
    clock[0] += seconds
    calls.append(1)
    return 0

  assert bench.seconds_of(once, 0.5) == pytest.approx(seconds)
  assert 0.5 / seconds <= len(calls) <= 5 + 2 * math.ceil(0.55 / seconds)
