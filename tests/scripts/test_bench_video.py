"""The bench of clips measures its parts, and writes their figures."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.long
def test_parts_have_their_figures(tmp_path):
  subprocess.run(
    [
      *(sys.executable, str(ROOT / 'scripts/bench_video.py')),
      *('--parts=decode,mel', '--repeats=1', '--json=found.json'),
    ],
    cwd=tmp_path,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    check=True,
  )
  rows = json.loads((tmp_path / 'found.json').read_text())['rows']
  assert {*rows} >= {
    *('decode 112x112, frames/s', 'decode 640x480, frames/s'),
    'mel of 10 s, seconds',
  }
  assert all(low > 0 for _, low, _ in rows.values())
