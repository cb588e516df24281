"""balance of a folder of Parquet files does what balance of one file does."""

import contextlib
import json
import time
from concurrent import futures

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.runs import errors
from aubal_jax.runs import executors
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib
from aubal_jax.tables import plan_parts

NAMES = ('x', 'y', 'z', 'w')
KINDS = ('int8', 'str', 'float64')


def write(folder, table, num_parts):
  """Writes a table of columns as one file, and in parts; returns the paths."""
  whole, parts = folder / 'whole.parquet', folder / 'parts'
  parts.mkdir(exist_ok=True)
  pq.write_table(table, whole)
  cuts = np.linspace(0, table.num_rows, num_parts + 1).astype(int)
  for number, start in enumerate(cuts[:-1]):
    part = table.slice(start, cuts[number + 1] - start)
    pq.write_table(part, parts / f'{number}.parquet')
  return whole, parts, cuts[:-1]


def make_cells(seed, kind):
  """Cells of which some are unknown, of a kind of column."""
  rng = np.random.default_rng(seed)
  codes = rng.choice(3, (300, 4), p=[0.7, 0.25, 0.05])
  unknown = {'int8': 9, 'str': '?', 'float64': np.nan}[kind]
  cells = np.array([0, 1, unknown], object)[codes].astype(kind)
  columns = {'path': [f'{row}.png' for row in range(300)]}
  return codes, pa.table(columns | dict(zip(NAMES, cells.T, strict=True)))


def run(path, workdir, overwrite=False, **given):
  config = settings_lib.default()
  config.task, config.data.name, config.data.path = (
    'balance',
    'labels',
    str(path),
  )
  config.data.unknown_codes = ('', '9', '?')
  config.balance.lam = 1.0
  config.update_from_flattened_dict(given)
  commands.run_task(
    config, workdir, started=time.perf_counter(), overwrite=overwrite
  )
  return [
    json.loads((workdir / f'{name}.json').read_text())
    for name in ('labelsets', 'solution')
  ]


@pytest.mark.parametrize(
  ('seed', 'unknown'),
  [
    pytest.param(seed, unknown, marks=() if seed == place else pytest.mark.long)
    for seed in range(3)
    for place, unknown in enumerate(['absent', 'separate', 'drop'])
  ],
)
def test_parts_are_balanced_as_one_file(tmp_path, capsys, seed, unknown):
  kind = KINDS[seed]
  codes, table = make_cells(seed, kind)
  whole, folder, starts = write(tmp_path, table, 2 + seed)
  given = {'data.unknown': unknown}
  # By two processes once.
  given['experiments.num_workers'] = 1 + (seed == 1 and unknown == 'absent')
  if seed == 1:
    given['data.label_columns'] = ('z', 'x')
    codes = codes[:, [2, 0]]
  elif seed == 2:
    given['data.exclude_columns'] = ('y',)
    codes = codes[:, [0, 2, 3]]
  one, solved = run(whole, tmp_path / 'one', **given)
  told, found = run(folder, tmp_path / 'run', **given)
  for name in ('seconds', 'seconds_compile', 'trace'):
    del solved[name], found[name]
  assert found == solved
  del one['codes'], told['codes']
  assert told == one
  plan = plan_lib.load(tmp_path / 'one' / 'plan.npz')
  plans = [
    plan_parts.read(tmp_path / 'run' / 'plan' / f'{k}.parquet')
    for k in range(len(starts))
  ]
  rows = np.concatenate(
    [own.source + start for own, start in zip(plans, starts, strict=True)]
  )
  index = labelsets_lib.find_labelsets(
    (codes == 1).astype(np.uint8), codes != 2 if unknown == 'separate' else None
  ).index
  np.testing.assert_array_equal(
    np.bincount(index[rows]), np.bincount(index[plan.source])
  )
  assert plans[0].label_names == plan.label_names
  printed = capsys.readouterr().out
  assert f'{2 + seed} parts of 300 rows' in printed
  dropped = int((codes == 2).any(axis=1).sum())
  assert (f'Dropped {dropped:,} rows' in printed) == (unknown == 'drop')


def test_a_run_goes_on_and_refuses_others(tmp_path):
  _, table = make_cells(0, 'int8')
  _, folder, _ = write(tmp_path, table, 3)
  path = tmp_path / 'run'

  def files():
    return {p.name: p.stat().st_ino for p in (path / 'plan').glob('*.parquet')}

  run(folder, path)
  before = files()
  (path / 'plan' / '1.parquet').unlink()
  run(folder, path)
  after = files()
  assert before.keys() == after.keys()
  assert {k for k in before if before[k] != after[k]} <= {'1.parquet'}
  with pytest.raises(errors.UserError, match='seed: 0 there, 7 now'):
    run(folder, path, seed=7)
  assert files() == after
  pq.write_table(table, folder / '9.parquet')
  with pytest.raises(errors.UserError, match='the table'):
    run(folder, path)
  run(folder, path, overwrite=True, seed=7)
  assert len(files()) == 4


@pytest.mark.parametrize(
  ('name', 'value'),
  [
    ('balance.method', 'ml_ros'),
    ('balance.diversity', 'group'),
    ('data.threshold', 0.5),
    ('data.test_path', 'other.parquet'),
    ('data.label_column', 'x'),
    ('data.feature_columns', ('x',)),
  ],
)
def test_what_parts_cannot_be_asked_for_is_told(tmp_path, name, value):
  _, folder, _ = write(tmp_path, make_cells(0, 'int8')[1], 2)
  with pytest.raises(errors.UserError, match=f'{name} must be'):
    run(folder, tmp_path / 'run', **{name: value})
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('calls', range(4))
def test_a_worker_that_dies_is_told_of(tmp_path, monkeypatch, calls):
  _, folder, _ = write(tmp_path, make_cells(0, 'int8')[1], 2)
  path, left = tmp_path / 'run', [calls]

  class Dying:
    def submit(self, function, *arguments):
      future = futures.Future()
      left[0] -= 1
      if left[0] < 0:
        future.set_exception(executors.WorkerDied('a worker was ended'))
      else:
        future.set_result(function(*arguments))
      return future

  with monkeypatch.context() as patch:
    patch.setattr(
      executors, 'open', lambda *_, **__: contextlib.nullcontext(Dying())
    )
    with pytest.raises(errors.UserError, match=r'a worker was ended.*goes on'):
      run(folder, path)
  assert not (path / 'plan' / 'plan.json').exists()
  run(folder, path)
  assert (path / 'plan' / 'plan.json').exists()


def test_rows_of_other_splits_are_refused(tmp_path):
  _, table = make_cells(0, 'int8')
  table = table.append_column('split', [['train', 'test'] * 150])
  _, folder, _ = write(tmp_path, table, 2)
  with pytest.raises(errors.UserError, match=r'0\.parquet: all rows of parts'):
    run(folder, tmp_path / 'run')
  told, _ = run(folder, tmp_path / 'run', **{'data.split_column': ''})
  assert told['label_names'] == [*NAMES]


@pytest.mark.parametrize('seed', range(3))
def test_labels_that_are_never_there_are_told_of(tmp_path, seed):
  columns = {name: np.zeros(10 + seed, int) for name in NAMES[: 1 + seed]}
  _, folder, _ = write(tmp_path, pa.table(columns), 2)
  with pytest.raises(errors.UserError, match='no label has a positive'):
    run(folder, tmp_path / 'run')


def test_other_tasks_name_the_one_that_takes_parts(tmp_path):
  _, folder, _ = write(tmp_path, make_cells(0, 'int8')[1], 2)
  with pytest.raises(FileNotFoundError, match='task balance alone takes'):
    run(folder, tmp_path / 'run', task='frontier')
