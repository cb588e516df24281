"""Cells by real workers: the same results, whoever dies on the way."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from aubal_jax import settings as settings_lib
from aubal_jax.runs import files
from tests.experiments import test_cells
from tests.makers import dask_cluster
from tests.makers import small_runs
from tests.runs import test_workers

pytestmark = [
  pytest.mark.long,
  pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='asks /proc'),
]

EXECUTORS = ('local', 'dask', 'submitit')
# How it is told that the worker of a cell is gone.
TOLD = {
  'local': 'failed: a worker was ended by SIGKILL',
  'dask': 'failed: its worker died (tcp://127.0.0.1:',
  'submitit': 'failed: job ',
}
NUM_CELLS = 6


@pytest.fixture(name='home', scope='module')
def fixture_home(tmp_path_factory):
  """Two tables, the comparison of which is a few seconds a cell."""
  home = tmp_path_factory.mktemp('home')
  rng = np.random.default_rng(0)
  for name in ('one', 'two'):
    labels = (rng.random((60, 3)) < [0.5, 0.3, 0.15]).astype('u1')
    features = rng.normal(size=(60, 4)).astype('f4')
    np.savez(home / f'{name}.npz', labels=labels, features=features)
  return home


def comparison(home, executor='local', address='', num_workers=2):
  c = settings_lib.default()
  c.task = 'compare'
  c.compare.data = (str(home / 'one.npz'), str(home / 'two.npz'))
  c.compare.models = ('logistic',)
  c.compare.methods = ('none', 'random', 'ml_ros')
  c.compare.seeds = 3
  c.compare.num_steps = 20
  c.experiments.executor = executor
  c.experiments.num_workers = num_workers
  c.experiments.address = address
  return c


@pytest.fixture(name='alone', scope='module')
def fixture_alone(home):
  """What one process makes of it."""
  config = comparison(home, num_workers=1)
  return test_cells.results_of(test_cells.run_task(config, home / 'alone'))


@pytest.fixture(name='config', params=EXECUTORS)
def fixture_config(request, home, tmp_path):
  with contextlib.ExitStack() as stack:
    address = 'local' if request.param == 'submitit' else ''
    if request.param == 'dask':
      started = dask_cluster.started(tmp_path)
      address, _, _ = stack.enter_context(started)
    yield comparison(home, request.param, address)


def holders(path):
  """Cell -> the process that holds its lock, or held it when it died."""
  found = {}
  for lock in path.glob('cells/*/.lock'):
    with contextlib.suppress(OSError, IndexError, ValueError):
      found[lock.parent.name] = int(lock.read_text().split()[1])
  return found


@contextlib.contextmanager
def once(condition, act):
  """Inside, acts as soon as the condition holds, from another thread."""

  def watch():
    if test_workers.eventually(condition):
      act()

  thread = threading.Thread(target=watch)
  thread.start()
  yield
  thread.join()


def kill_holder(path, cell):
  os.kill(holders(path)[cell], signal.SIGKILL)


def rows_of(path):
  return {
    row['data'] + row['method']: row['status']
    for row in files.read_json(path / 'compare.json')['rows']
  }


def test_one_that_is_killed_costs_its_cell_alone(
  config, alone, tmp_path, capsys
):
  path, victim = tmp_path / 'run', 'one-random-logistic-f0.25'
  with (
    once(lambda: victim in holders(path), lambda: kill_holder(path, victim)),
    pytest.raises(SystemExit) as ended,
  ):
    test_cells.run_task(config, path)
  assert ended.value.code == 1
  statuses = rows_of(path)
  assert len(statuses) == NUM_CELLS
  told = statuses.pop('onerandom')
  assert told.startswith(TOLD[config.experiments.executor])
  assert {*statuses.values()} == {''}
  printed = capsys.readouterr()
  assert f'Warning: failed: {victim}; the same command' in printed.err
  assert f'6 of 6 cells, {victim} failed' in printed.out or (
    f'{victim} failed; about' in printed.out
  )
  test_cells.run_task(config, path)
  assert '6 cells, 5 of them done before' in capsys.readouterr().out
  assert test_cells.results_of(path) == alone


def write_config(path, config):
  """Writes a file that gives the configuration, for a process of its own."""
  lines = [
    'from aubal_jax import settings',
    'def get_config():',
    '  c = settings.default()',
    f'  c.update({config.to_dict()!r})',
    '  return c',
  ]
  path.write_text('\n'.join(lines))
  return path


def test_a_signal_stops_what_was_started_and_nothing_else(
  config, alone, tmp_path
):
  path = tmp_path / 'run'
  file = write_config(tmp_path / 'config.py', config)
  command = [sys.executable, '-m', 'aubal_jax', f'--config={file}']
  driver = subprocess.Popen([*command, f'--workdir={path}'])
  try:
    assert test_workers.eventually(lambda: len(holders(path)) == 2)
    pids = {*holders(path).values()}
    # A second command is kept out meanwhile.
    second = subprocess.run(
      [*command, f'--workdir={path}'], capture_output=True, text=True
    )
    assert second.returncode == 2
    assert 'Another run is at work in' in second.stderr
  finally:
    driver.terminate()
  assert driver.wait() == 143
  if config.experiments.executor == 'dask':  # They end what they are at.
    assert test_workers.eventually(
      lambda: not any(map(is_locked, path.glob('cells/*/.lock')))
    )
    assert all(map(test_workers.is_alive, pids))
  else:
    assert test_workers.eventually(
      lambda: not any(map(test_workers.is_alive, pids)), seconds=30
    )
  test_cells.run_task(config, path)
  assert test_cells.results_of(path) == alone


def is_locked(lock):
  return lock.exists()


def test_dask_gives_a_cell_to_another_worker(home, alone, tmp_path):
  path, victim = tmp_path / 'run', 'one-random-logistic-f0.25'
  with (
    dask_cluster.started(tmp_path, allowed_failures=3) as (address, _, found),
    once(lambda: victim in holders(path), lambda: kill_holder(path, victim)),
  ):
    test_cells.run_task(comparison(home, 'dask', address), path)
    assert sorted(worker.poll() is None for worker in found) == [False, True]
  assert test_cells.results_of(path) == alone


@pytest.fixture(name='images', params=['search', 'compare'])
def fixture_images(request, tmp_path):
  """A task of four trainings of a few steps, on images."""
  c = small_runs.configure_cells(tmp_path)
  c.task = request.param
  c.model.name = 'resnet8_16'  # Workers know no tests.
  c.search.learning_rates = (0.1, 0.001)
  c.search.halving = 2
  return c


def test_images_are_trained_on_alike(images, tmp_path):
  found = []
  for num_workers in (1, 2):
    images.experiments.num_workers = num_workers
    path = test_cells.run_task(images, tmp_path / f'by{num_workers}')
    found.append(test_cells.results_of(path))
    assert len([*path.glob('*/*/config.json')]) == 4
  alone, both = found
  assert {*alone} == {*both}
  for name, content in alone.items():
    assert both[name] == content, name
