"""Cells that others do: what comes of them is what this process makes."""

import contextlib
import random
import re
import time

import numpy as np
import pytest

from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.experiments import cells
from aubal_jax.runs import errors
from aubal_jax.runs import executors
from aubal_jax.runs import files
from tests.makers import fake_cells
from tests.runs import test_executors

# What can come of a cell -> what is told of it.
OUTCOMES = {
  'done': None,
  'user': 'failed: mend it',
  'bug': 'failed: KeyError: ',
  'busy': 'failed: Another run is at work in ',
  'other': 'failed: The worker on .* reads other data .* by seed;',
  'die': 'failed: a worker ended with status 9',
}
HERE = ('done', 'user', 'bug')  # What this process survives, as it is alone.


def drawn_cells(seed, outcomes):
  rng = random.Random(seed)
  return [
    fake_cells.Cell(f'cell{i}', rng.choice(outcomes))
    for i in range(rng.randrange(9))
  ]


def run_all(path, given, executor):
  """Does cells, of which those that are busy are locked."""
  runs = {c: fake_cells.make_run(path, c, is_worker=False) for c in given}
  with contextlib.ExitStack() as stack:
    for cell, run in runs.items():
      if cell.outcome == 'busy':
        stack.enter_context(run.locked())
    return cells.run_all(
      *('task', runs, given, fake_cells.work),
      executor=executor,
      remake=fake_cells.Remake(str(path)),
    )


def check(path, given, failures, capsys):
  """Each failure is told, once, and what is done is there."""
  told = capsys.readouterr()
  assert told.out.count('task: ') == len(given)
  for cell in given:
    expected = OUTCOMES[cell.outcome]
    assert (path / cell.name / 'result.json').exists() == (expected is None)
    assert (cell in failures) == (expected is not None)
    if expected is not None:
      assert re.match(expected, failures[cell])
      assert f'task: {cell.name} {failures[cell]}\n' in told.err


@pytest.mark.parametrize('seed', range(20))
def test_any_executor_brings_what_this_process_does(seed, tmp_path, capsys):
  given = drawn_cells(seed, HERE)
  alone = run_all(tmp_path / 'alone', given, None)
  check(tmp_path / 'alone', given, alone, capsys)
  fake = run_all(tmp_path / 'fake', given, test_executors.Fake())
  assert fake == alone
  check(tmp_path / 'fake', given, fake, capsys)


@pytest.mark.parametrize('seed', range(20))
def test_what_a_worker_cannot_begin_is_its_cells_alone(seed, tmp_path, capsys):
  given = drawn_cells(seed, [*HERE, 'busy', 'other'])
  with executors.open('local') as executor:
    failures = run_all(tmp_path, given, executor)
  check(tmp_path, given, failures, capsys)


def test_a_worker_that_dies_costs_its_cell_alone(tmp_path, capsys):
  outcomes = ['done', 'die', 'done', 'bug', 'done']
  given = [
    fake_cells.Cell(f'cell{i}', outcome) for i, outcome in enumerate(outcomes)
  ]
  with executors.open('local', num_workers=2) as executor:
    failures = run_all(tmp_path, given, executor)
  check(tmp_path, given, failures, capsys)


@pytest.mark.parametrize('place', range(4))
def test_a_full_disk_ends_it(place, tmp_path):
  given = [
    fake_cells.Cell(f'cell{i}', 'full' if i == place else 'done')
    for i in range(4)
  ]
  for executor in (None, test_executors.Fake()):
    with pytest.raises(OSError, match='a file'):
      run_all(tmp_path, given, executor)


@pytest.fixture(name='tables')
def fixture_tables(tmp_path):
  """A comparison of four cells, on two tables of features."""
  c = settings_lib.default()
  c.task = 'compare'
  rng = np.random.default_rng(0)
  for name in ('one', 'two'):
    labels = (rng.random((40, 2)) < [0.5, 0.3]).astype('u1')
    features = rng.normal(size=(40, 3)).astype('f4')
    np.savez(tmp_path / f'{name}.npz', labels=labels, features=features)
  c.compare.data = (str(tmp_path / 'one.npz'), str(tmp_path / 'two.npz'))
  c.compare.models = ('logistic',)
  c.compare.methods = ('none', 'random')
  c.compare.seeds = 1
  c.compare.repeats = 1
  c.compare.num_steps = 2
  c.compare.rates = (1.0,)
  return c


def run_task(config, path):
  commands.run_task(config, path, started=time.perf_counter())
  return path


def without_seconds(value):
  """A result as it is but for times."""
  if isinstance(value, dict):
    kept = {k: v for k, v in value.items() if 'seconds' not in k}
    return {k: without_seconds(v) for k, v in kept.items()}
  if isinstance(value, list):
    return [without_seconds(v) for v in value]
  return value


def results_of(path):
  """File -> its content but for times, of a comparison or a search."""
  names = ('compare.json', 'search.json', '*/*/result.json', '*/*/config.json')
  found = {
    str(file.relative_to(path)): without_seconds(files.read_json(file))
    for name in names
    for file in sorted(path.glob(name))
  }
  for name, content in found.items():
    if name.endswith('config.json'):
      del content['config']['experiments'], content['command']
      for stage in content['stages'].values():
        del stage['sums']
  return found


def test_two_processes_write_what_one_does(tables, tmp_path, capsys):
  tables.compare.data = tables.compare.data[:1]
  alone = run_task(tables, tmp_path / 'alone')
  tables.experiments.num_workers = 2
  both = run_task(tables, tmp_path / 'both')
  found = results_of(alone)
  assert len(found) == 5 and results_of(both) == found
  assert '2 of 2 cells' in capsys.readouterr().out
  run_task(tables, both)  # Nothing is left, for nobody.
  assert '2 of them done before' in capsys.readouterr().out


@pytest.mark.parametrize('task', ['compare', 'search'])
@pytest.mark.parametrize(
  ('settings', 'told'),
  [
    ({'executor': 'ray'}, r'experiments.executor must be one of .*ray'),
    ({'executor': 'dask'}, r'experiments.address must be host:port'),
    ({'executor': 'dask', 'address': 'localhost:9'}, 'that answers; .*host:9'),
    ({'address': 'localhost:9'}, 'experiments.address is for .*local'),
    ({'num_workers': 2}, 'set one of the two; .*auto'),
  ],
)
def test_bad_executors_are_named_before_any_work(
  tables, tmp_path, task, settings, told
):
  tables.task = task
  tables.experiments.update(settings)
  if 'num_workers' in settings:
    tables.distributed.start = 'auto'
  with pytest.raises(errors.UserError, match=told):
    run_task(tables, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()
