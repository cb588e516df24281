import os
import pathlib
import signal
import sys
import time
import warnings

import pytest

from aubal_jax.runs import errors
from aubal_jax.runs import executors
from tests.makers import dask_cluster
from tests.runs import test_workers


def square(number):
  return number**2, os.getpid()


def end(number):
  """Ends the process of an odd number, by the signal of some of them."""
  if number % 4 == 1:
    os.kill(os.getpid(), signal.SIGKILL)
  if number % 4 == 3:
    os._exit(number)
  return number


def wait(folder):
  pathlib.Path(folder, str(os.getpid())).touch()
  time.sleep(600)


def outcomes(executor, function, items):
  """What comes of each item: its result, or what was raised."""
  waiting = {executor.submit(function, item): item for item in items}
  found = {}
  for future in executors.as_done(waiting):
    try:
      found[waiting[future]] = future.result()
    except Exception as error:
      found[waiting[future]] = error
  return found


@pytest.fixture
def scheduler():
  """The address of a scheduler of Dask, with a worker, in this process."""
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    distributed = pytest.importorskip('distributed')
    with distributed.LocalCluster(
      n_workers=1,
      threads_per_worker=1,
      processes=False,
      dashboard_address=None,
      protocol='tcp://',
    ) as cluster:
      yield cluster.scheduler_address


def check_work(executor, *, is_here):
  found = outcomes(executor, square, range(7))
  assert {item: n for item, (n, _) in found.items()} == {
    item: item**2 for item in range(7)
  }
  assert ({pid for _, pid in found.values()} == {os.getpid()}) == is_here
  found = outcomes(executor, test_workers.fail, [5])
  assert isinstance(found[5], ValueError)
  assert str(found[5]) == 'number 5 is odd'


@pytest.mark.parametrize('num_workers', [1, 2])
def test_work_is_done_here(num_workers):
  with executors.open('local', num_workers=num_workers) as executor:
    check_work(executor, is_here=num_workers == 1)


def test_work_is_done_by_dask(scheduler):
  executors.check('dask', scheduler)
  with executors.open('dask', scheduler) as executor:
    check_work(executor, is_here=True)


def test_work_is_done_by_jobs(tmp_path):
  pytest.importorskip('submitit')
  with executors.open('submitit', 'local', 2, folder=tmp_path) as executor:
    found, pid = outcomes(executor, square, [3])[3]
    assert found == 9 and pid != os.getpid()
    failed = outcomes(executor, test_workers.fail, [7])[7]
    assert (type(failed), str(failed)) == (ValueError, 'number 7 is odd')


def test_a_process_that_ends_costs_its_own_work_alone():
  with executors.open('local', num_workers=2) as executor:
    found = outcomes(executor, end, range(5))
  for number, result in found.items():
    if number % 2:
      assert isinstance(result, executors.WorkerDied)
      how = 'SIGKILL; it may' if number % 4 == 1 else f'status {number}'
      assert how in str(result)
    else:
      assert result == number


@pytest.mark.skipif(not os.path.isdir('/proc/self'), reason='asks /proc')
def test_processes_end_with_the_block(tmp_path):
  with (
    pytest.raises(SystemExit),
    executors.open('local', num_workers=2) as executor,
  ):
    waiting = [executor.submit(wait, str(tmp_path)) for _ in range(5)]
    assert test_workers.eventually(lambda: len([*tmp_path.iterdir()]) == 2)
    raise SystemExit(143)
  pids = [int(path.name) for path in tmp_path.iterdir()]
  assert len(pids) == 2
  assert not any(map(test_workers.is_alive, pids))
  assert [future.cancelled() for future in waiting[2:]] == [True] * 3


@pytest.mark.long
def test_a_scheduler_that_dies_costs_what_is_not_done(tmp_path):
  with (
    dask_cluster.started(tmp_path) as (address, scheduler, _),
    executors.open('dask', address) as executor,
  ):
    assert executor.submit(square, 3).result()[0] == 9
    waiting = [executor.submit(time.sleep, 600) for _ in range(5)]
    scheduler.kill()
    for future in executors.as_done(waiting):
      with pytest.raises(executors.WorkerDied, match='or is gone'):
        future.result()


class Fake:
  """What is promised of an executor, and nothing more."""

  def submit(self, function, *arguments):
    future = type('Future', (), {})()
    future.result = lambda: function(*arguments)
    return future


def test_a_future_need_have_nothing_but_a_result():
  found = outcomes(Fake(), end, [2, 4])
  assert found == {2: 2, 4: 4}


@pytest.mark.parametrize(
  ('name', 'address', 'told'),
  [
    ('ray', '', r"experiments.executor must be one of \['local', .*'ray'"),
    ('dask', '', r'experiments.address must be host:port .* it is '),
    ('dask', 'tcp://127.0.0.1:9', 'that answers; .*127.0.0.1:9'),
    ('dask', 'nonsense', "that answers; .*'nonsense'"),
    ('dask', 'no-such-host.invalid:1', 'that answers; .*no-such'),
    ('dask', 'http://127.0.0.1:80', 'that answers; .*http'),
    ('submitit', 'pbs', r"one of \['debug', 'local', 'slurm'\] .*'pbs'"),
    ('submitit', 'slurm', 'no `srun`'),
  ],
)
def test_bad_addresses(monkeypatch, name, address, told):
  monkeypatch.setattr(executors, '_CONNECT_SECONDS', 0.5)
  monkeypatch.setenv('PATH', os.path.dirname(sys.executable))
  with pytest.raises(errors.UserError, match=told):
    executors.check(name, address)
  with (
    pytest.raises(errors.UserError, match=told),
    executors.open(name, address),
  ):
    pass


@pytest.mark.parametrize('name', ['dask', 'submitit'])
def test_missing_extras(monkeypatch, name):
  monkeypatch.setitem(sys.modules, name, None)
  with pytest.raises(errors.UserError, match=f'the package {name}, .*cluster'):
    executors.check(name, 'tcp://127.0.0.1:9' if name == 'dask' else '')
