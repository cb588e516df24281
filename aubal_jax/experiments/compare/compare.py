"""Every method in the same line, and what can be said of them.

A cell is a method with its settings on a data set: cells/NAME, whose
result.json is written last. On tables of features it has all seeds and folds;
on images it is one training, an ordinary run in a folder of its own, and cells
that differ in seed, fold and rate alone are one row of the result. All have the
splits and the number of optimiser steps in common. The same command runs what
is missing, and what failed.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import pickle
import sys
import time

from aubal_jax import settings
from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.datasets import loading
from aubal_jax.experiments import cells as cells_tasks
from aubal_jax.experiments.compare import comparison
from aubal_jax.experiments.compare import grid as cells_lib
from aubal_jax.experiments.compare import image_cells
from aubal_jax.experiments.compare import page as report
from aubal_jax.experiments.compare import table_cells
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import hosts
from aubal_jax.runs import progress
from aubal_jax.runs import text
from aubal_jax.stages import run as run_lib
from aubal_jax.stages import train


def check(config) -> None:
  """Raises UserError for what is wrong whatever the data."""
  from aubal_jax.balancing import rules
  from aubal_jax.network import losses

  train.check(config)
  for key in (
    *('methods', 'fractions', 'shares', 'augment_rows', 'uppers'),
    *('diversities', 'rates'),
  ):
    if not settings.values(config, f'compare.{key}'):
      raise errors.UserError(
        f'compare.{key} must hold at least one value; it is empty.'
      )
  for method in settings.values(config, 'compare.methods'):
    cells_lib.check_method(
      method, objectives=rules.OBJECTIVES, losses=losses.LOSSES
    )
  _check_models(config)
  for upper in settings.values(config, 'compare.uppers'):
    if upper < config.balance.lower:
      raise errors.UserError(
        f'compare.uppers must hold numbers of at least {config.balance.lower} '
        f'(balance.lower); it holds {upper}.'
      )
  cells_tasks.check(config)


def _check_models(config) -> None:
  """Raises UserError for a model that there is not; images take the user's."""
  is_table, names = bool(loading.table_paths(config)), [*_models(config)]
  for name in settings.values(config, 'compare.models'):
    if name in names:
      continue
    if is_table or ':' not in name:
      own = '' if is_table else ", or 'package.module:Class' of yours"
      raise errors.UserError(
        f'compare.models must hold names of {names}{own}; it holds {name!r}.'
        f'{text.suggest(name, names)}'
      )
    from aubal_jax.network import models

    models.find(name)


def _models(config):
  """Returns the models there are, by name."""
  if loading.table_paths(config):
    from aubal_jax.network.models import tabular as models
  else:
    from aubal_jax.network import models
  return models.MODELS


def load(config, path, watch) -> run_lib.Run:
  """Returns the `Run` on the images, or on the first of the tables.

  Each cell pins what it is of; images pin their table here as well.

  Raises:
    FileNotFoundError, UserError: as `stages.run.load`.
  """
  paths = loading.table_paths(config)
  if not paths:
    run = run_lib.load(config, path, watch)
    pinned = {'the table': run.dataset.fingerprint()}
  else:
    table = loading.load_table(config, paths[0])
    watch.lap('reading data')
    pinned = run_lib.pin(config, table, 1)
    run = run_lib.Run(config, path, table, 1, pinned, watch)
    pinned = {}
  return dataclasses.replace(run, pinned={**run.pinned, 'compare': pinned})


def _make_runs(run) -> dict:
  """Returns cell -> its `Run`."""
  config, paths = run.config, loading.table_paths(run.config)
  grid = {
    key: [*settings.values(config, f'compare.{key}')]
    for key in (
      *('methods', 'models', 'diversities', 'fractions', 'shares', 'uppers'),
    )
  }
  if paths:
    grid['models'] = grid['models'] or [*_models(config)]
    return table_cells.make_runs(run, grid, table_cells.load(config, paths))
  grid['models'] = grid['models'] or [config.model.name]
  for key in ('augment_rows', 'rates'):
    grid[key] = settings.values(config, f'compare.{key}')
  return image_cells.make_runs(run, grid)


def run(run) -> None:
  """Runs every cell that is not done yet, and compares them all.

  Raises:
    UserError: data lack what a comparison needs, or a cell's folder is of
      another comparison.
    SystemExit: some failed; their rows say why. Or a signal came.
  """
  runs = _make_runs(run)
  hosts.from_first(lambda: cells_tasks.refuse_others(runs.values()))
  left = [cell for cell, own in runs.items() if not _is_done(own, cell)]
  print(
    f'compare: {len(runs):,} cells, {len(runs) - len(left):,} of them done '
    'before',
    flush=True,
  )
  _tell_others(run)
  run.begin('compare')
  on_images = bool(left) and left[0].kind == cells_lib.IMAGES
  if on_images:
    runs = cells_tasks.with_images(run, runs)
  remake = _remake_of_images if on_images else _remake_of_table
  held = pickle.dumps(run.config), str(run.path.absolute())
  with cells_tasks.handing_out(run) as executor:
    failures = cells_tasks.run_all(
      *('compare', runs, left, _do_cell),
      executor=executor,
      remake=functools.partial(remake, *held),
      forgets=on_images,
    )
  lost = hosts.from_first(lambda: _conclude(run, runs, failures))
  run.watch.lap('comparing')
  cells_tasks.end_with(failures)
  if lost:
    print(f'Warning: {lost}', file=sys.stderr)
    raise SystemExit(1)


def _tell_others(run) -> None:
  """Says what becomes of targets beside the labels."""
  others = [name for name in run.dataset.targets if name != dataset_lib.LABELS]
  if not others:
    return
  told = text.listing(others, text.SHOWN)
  print(
    'Note: the labels alone are learnt and compared of a table; left out are '
    f'its other targets: {told}.'
    if loading.table_paths(run.config)
    else 'Note: the scores that are compared are of the labels alone. Each run '
    f'learns what multitask.targets says, of {told}, too; the evaluate task '
    'in the folder of a cell scores them.',
    flush=True,
  )


def _remake_of_table(held, path, cell):
  """Returns the `Run` of a cell in a worker.

  Args:
    held: the configuration, pickled.
    path: folder of the comparison.
    cell: the cell.
  """
  run = _load_table(held, path, cell.data)
  return table_cells.run_of(run, cell, run.dataset)


@functools.lru_cache(maxsize=4)
def _load_table(held, path, name):
  """Returns the `Run` of the comparison on one of its tables."""
  config = pickle.loads(held)
  paths = [
    found
    for found in loading.table_paths(config)
    if table_cells.name_of(found) == name
  ]
  table = table_cells.load(config, paths)[name]
  pinned = run_lib.pin(config, table, 1)
  watch = progress.Watch(time.perf_counter())
  return run_lib.Run(config, pathlib.Path(path), table, 1, pinned, watch)


def _remake_of_images(held, path, cell):
  """Returns the `Run` of a cell in a worker, as `_remake_of_table`."""
  run, sets = _load_images(held, path)
  own = image_cells.run_of(run, cell, sets[cell.fold])
  return dataclasses.replace(own, opened=run.opened)


@functools.lru_cache(maxsize=1)
def _load_images(held, path):
  """Returns the `Run` of the comparison with its images, and its splits."""
  config = pickle.loads(held)
  watch = progress.Watch(time.perf_counter())
  run = run_lib.load(config, pathlib.Path(path), watch)
  run = dataclasses.replace(run, opened=run.images())
  return run, image_cells.sets_of(run)


def _is_done(run, cell) -> bool:
  """Whether a cell has its result.

  One of images of before there were rates does not say what it is to be chosen
  by: it is run again where there are several.
  """
  if not run.is_done('compare'):
    return False
  rates = settings.values(run.config, 'compare.rates')
  if cell.kind != cells_lib.IMAGES or len(rates) == 1:
    return True
  result = hosts.from_first(lambda: files.read_json(run.path / 'result.json'))
  return all('tried' in trial for trial in result['trials'])


def _do_cell(run, cell) -> None:
  """Runs a cell, and writes its result."""
  on_images = cell.kind == cells_lib.IMAGES
  run.begin('compare')
  result = (image_cells if on_images else table_cells).run_cell(run, cell)
  if hosts.is_first():
    files.write_json(run.path / 'result.json', result)
  run.finish('compare')
  if on_images:
    image_cells.tidy(run)


def _conclude(run, runs, failures) -> str:
  """Writes and prints what the cells come to; returns what diverged."""
  results = []
  for cell, own in runs.items():
    if cell in failures:
      rate = cell.rate if cell.kind == cells_lib.IMAGES else None
      results.append(
        cell.described() | {'rate': rate, 'status': failures[cell]}
      )
    else:
      results.append(files.read_json(own.path / 'result.json'))
  rows = cells_lib.merge(results)
  for row in rows:
    if (row['kind'], row['method']) == (cells_lib.IMAGES, 'none'):
      row['averaged'] = image_cells.average_seeds(runs, row)
  record = comparison.make_record(rows)
  files.write_json(run.path / 'compare.json', record)
  comparison.write_csv(
    run.path / 'compare.csv', record, raw=run.config.raw_cells
  )
  report.write_page(run.path / 'compare.html', record)
  for line in report.lines(record):
    print(line)
  print(f'compare: {run.path / "compare.html"}', flush=True)
  lost = [row for row in rows if row.get('status') and 'num_steps' in row]
  return '; '.join(f'{row["method"]} {row["status"]}' for row in lost)
