"""Every benchmark runs, in the smallest form it has; its times are no test."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.long

ROOT = pathlib.Path(__file__).parents[2]
TINY = '--model=resnet8_16'
JSON = '--json=found.json'

# name -> its arguments; those with a test of their own are not here.
BENCHES = {
  'augment': ('--images=8',),
  'balance': ('--sets', 'labels.npz', '--solvers', 'ipm', JSON),
  'data': ('--scale=0.005', JSON),
  'faults': ('--count=3', '--runs=1', '--jobs', 'damage', JSON),
  'first_call': ('--sets', 'labels.npz', '--calls', 'ipm', JSON),
  'frontier': ('labels.npz', '--points=3'),
  'grouping': ('--scale=0.0005', '--repeats=1', JSON),
  'linear': ('--side=8',),
  'pipeline': (TINY, '--batches=1', '--repeats=1', '--steps=2', JSON),
  'steps': ('--labelsets', '1000', JSON),
  'tasks': (TINY, '--side=16', '--rows=2', '--turns=1', JSON),
  'train': (
    *(TINY, '--side=32', '--repeats=1', '--seconds=0.1', '--crops=200', JSON),
  ),
}
WITH_TESTS = ('cluster', 'device', 'export', 'install', 'resample', 'video')


def test_every_benchmark_is_run():
  there = {
    path.stem.removeprefix('bench_')
    for path in (ROOT / 'scripts').glob('bench_*.py')
    if "__name__ == '__main__'" in path.read_text()
  }
  assert there == {*BENCHES, *WITH_TESTS}


@pytest.mark.parametrize('name', BENCHES)
def test_a_benchmark_runs(name, tmp_path):
  rng = np.random.default_rng(0)
  labels = (rng.random((200, 5)) < [0.5, 0.3, 0.2, 0.1, 0.05]).astype(np.uint8)
  np.savez(tmp_path / 'labels.npz', labels=labels)
  env = {k: v for k, v in os.environ.items() if k != 'XLA_FLAGS'}
  done = subprocess.run(
    [sys.executable, str(ROOT / f'scripts/bench_{name}.py'), *BENCHES[name]],
    cwd=tmp_path,
    env=env | {'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    check=False,
    timeout=1200,
  )
  assert not done.returncode, done.stderr
  assert any(letter.isdigit() for letter in done.stdout)
  if JSON in BENCHES[name]:
    assert (tmp_path / 'found.json').stat().st_size > 10
