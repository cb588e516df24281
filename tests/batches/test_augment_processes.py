import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent import futures

import numpy as np
import pytest

from aubal_jax.batches import augment
from aubal_jax.batches import augment_processes
from aubal_jax.batches import draws

SETTINGS = draws.Settings(flip=0.3, perspective=(0.0, 0.1))
SIX = augment.Drawn(SETTINGS, 3)


def pictures(count=5, channels=1):
  rng = np.random.default_rng(count)
  return rng.integers(0, 256, (count, 17, 17, channels), np.uint8)


def wanted(images, epochs, rows):
  drawn = draws.draw(SETTINGS, seed=3, epochs=epochs, rows=rows)
  return augment.augment(images, drawn)


@pytest.fixture(scope='module')
def augmented():
  with augment_processes.start(SIX, num_processes=2) as function:
    yield function


def test_workers_make_what_this_process_would(augmented):
  sizes = [2, 5, 3, 5, 9, 1]  # Growing and shrinking, of both channels.

  def work(number):
    images = pictures(sizes[number % 6], channels=(1, 3)[number % 2])
    before, rows = images.copy(), np.arange(len(images)) + number
    found = augmented(images, number, rows)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(found, wanted(images, number, rows))
    return 1

  with futures.ThreadPoolExecutor(3) as threads:
    assert sum(threads.map(work, range(24))) == 24


def test_what_is_wrong_with_the_work_is_raised(augmented):
  images = np.zeros((2, 17, 17), np.uint8)
  with pytest.raises(ValueError, match=r'images must be uint8\[B, H, W, C\]'):
    augmented(images, 0, np.arange(2))
  images = pictures(2)
  np.testing.assert_array_equal(
    augmented(images, 0, np.arange(2)), wanted(images, 0, np.arange(2))
  )


def test_a_worker_that_dies_is_replaced():
  images, rows = pictures(), np.arange(5)
  others = multiprocessing.active_children()
  with augment_processes.start(SIX, num_processes=1) as augmented:
    for epoch in range(2):
      found = augmented(images, epoch, rows)
      np.testing.assert_array_equal(found, wanted(images, epoch, rows))
      (worker,) = set(multiprocessing.active_children()) - {*others}
      os.kill(worker.pid, signal.SIGKILL)
    augmented(images, 0, rows)
  assert {*multiprocessing.active_children()} == {*others}


def test_workers_that_die_again_and_again_are_told_of(monkeypatch):
  monkeypatch.setattr(augment_processes._Worker, 'run', _die)
  with (
    augment_processes.start(SIX, num_processes=1) as augmented,
    pytest.raises(ChildProcessError, match=r'train\.num_processes=0'),
  ):
    augmented(pictures(), 0, np.arange(5))


def _die(*_):
  raise EOFError


def test_at_least_one():
  with (
    pytest.raises(ValueError, match='num_processes must be at least 1; got 0'),
    augment_processes.start(SIX, num_processes=0),
  ):
    pass


ORPHAN = """
import os, signal, sys
import numpy as np
from aubal_jax.batches import augment, augment_processes, draws

if __name__ == '__main__':
  started = augment_processes.start(
    augment.Drawn(draws.Settings(), 0), num_processes=2)
  with started as f:
    f(np.zeros((1, 9, 9, 1), np.uint8), 0, np.arange(1))
    import multiprocessing
    print(*(p.pid for p in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def is_running(pid):
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  return True


def test_workers_end_when_their_parent_is_killed(tmp_path):
  script = tmp_path / 'orphan.py'
  script.write_text(ORPHAN)
  done = subprocess.run(
    [sys.executable, str(script)], capture_output=True, text=True, check=False
  )
  assert done.returncode == -signal.SIGKILL, done.stderr
  pids = [int(pid) for pid in done.stdout.split()]
  assert len(pids) == 2
  end = time.monotonic() + 300
  while any(map(is_running, pids)) and time.monotonic() < end:
    time.sleep(0.05)
  assert not any(map(is_running, pids))


def test_a_worker_imports_neither_tensorflow_nor_jax():
  code = (
    'import sys; import aubal_jax.batches.augment_processes; '
    'print({"tensorflow", "jax", "flax"} & set(sys.modules))'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == 'set()'


class Unpicklable(Exception):
  def __init__(self, one, other):
    super().__init__(f'{one} and {other}')


def fail(images, epochs, rows):
  if epochs:
    raise Unpicklable('this', 'that')
  raise ZeroDivisionError('by nought')


def test_any_failure_is_told_and_the_worker_lives():
  images = pictures()
  with augment_processes.start(fail, num_processes=1) as augmented:
    for _ in range(2):
      with pytest.raises(ZeroDivisionError, match='by nought'):
        augmented(images, 0, np.arange(5))
      with pytest.raises(RuntimeError, match='Unpicklable: this and that'):
        augmented(images, 1, np.arange(5))
