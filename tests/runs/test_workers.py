import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from aubal_jax.runs import workers


def square(number):
  return number**2, os.getpid()


def fail(number):
  raise ValueError(f'number {number} is odd')


def die(number):
  if number == 1:
    os._exit(9)
  time.sleep(0.01)


def interrupt(_):
  os.kill(os.getpid(), signal.SIGINT)
  return 'went on'


def packages(_):
  """Decodes a file that is no image, as a worker of the cache does."""
  from aubal_jax.media import images
  from aubal_jax.media import store

  shard = store._Shard(
    np.arange(1), ['none.png'], None, None, images.Pixels(), None
  )
  assert shard.make(num_threads=1)[1] == {0: 'there is no such file'}
  return {name.split('.')[0] for name in sys.modules}


def wait(folder):
  pathlib.Path(folder, str(os.getpid())).touch()
  time.sleep(600)


def test_results_come_with_their_items():
  for num_processes in (1, 2):
    found = dict(
      workers.map_unordered(square, range(9), num_processes=num_processes)
    )
    assert {item: result for item, (result, _) in found.items()} == {
      item: item**2 for item in range(9)
    }
    elsewhere = {pid for _, pid in found.values()} - {os.getpid()}
    assert bool(elsewhere) == (num_processes > 1)


def test_one_item_and_none_need_no_process():
  [(item, (_, pid))] = workers.map_unordered(square, [3], num_processes=8)
  assert (item, pid) == (3, os.getpid())
  assert not list(workers.map_unordered(square, [], num_processes=0))


def test_default_is_the_cpus_there_are():
  assert workers.default_count(3) == 3
  assert 1 <= workers.default_count(0) <= os.cpu_count()


@pytest.mark.parametrize('num_processes', [1, 2])
def test_exceptions_come_through(num_processes):
  with pytest.raises(ValueError, match='number 5 is odd'):
    list(workers.map_unordered(fail, [5, 5], num_processes=num_processes))


def test_the_death_of_a_worker_is_told():
  with pytest.raises(
    ChildProcessError, match=r'a worker process died; .*again'
  ):
    list(workers.map_unordered(die, range(50), num_processes=2))


def test_workers_leave_ctrl_c_to_their_parent():
  found = workers.map_unordered(interrupt, range(4), num_processes=2)
  assert [result for _, result in found] == ['went on'] * 4


def test_a_worker_that_decodes_imports_nothing_heavy():
  heavy = {'jax', 'tensorflow', 'flax', 'albumentations', 'matplotlib', 'mtcnn'}
  for _, found in workers.map_unordered(packages, range(2), num_processes=2):
    assert {'cv2', 'aubal_jax'} <= found
    assert not found & heavy


def is_alive(pid):
  try:
    state = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2]
  except FileNotFoundError:
    return False
  return state.split()[0] != 'Z'


def eventually(condition, seconds=300):
  """Returns whether the condition comes to hold; asks often."""
  end = time.monotonic() + seconds
  while not condition():
    if time.monotonic() > end:
      return False
    time.sleep(0.05)
  return True


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='asks /proc')
def test_workers_end_when_their_parent_is_killed(tmp_path):
  code = (
    'from aubal_jax.runs import workers\n'
    'from tests.runs import test_workers\n'
    'if __name__ == "__main__":\n'
    f'  folders = [{str(tmp_path)!r}] * 2\n'
    '  list(workers.map_unordered(test_workers.wait, folders, '
    'num_processes=2))\n'
  )
  parent = subprocess.Popen([sys.executable, '-c', code])
  try:
    assert eventually(lambda: len(list(tmp_path.iterdir())) == 2)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert all(map(is_alive, pids))
  finally:
    parent.kill()
    parent.wait()
  assert eventually(lambda: not any(map(is_alive, pids)))
