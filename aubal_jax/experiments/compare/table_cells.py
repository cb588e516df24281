"""Cells of a comparison on tables of features: each has all seeds and folds."""

from __future__ import annotations

import os

from aubal_jax import settings
from aubal_jax.datasets import loading
from aubal_jax.experiments.compare import grid as cells_lib
from aubal_jax.runs import errors
from aubal_jax.stages import problem
from aubal_jax.stages import run as run_lib


def load(config, paths) -> dict:
  """Returns name -> table, in the order of the paths.

  Raises:
    FileNotFoundError, UserError: a file has to be mended; two have one name.
  """
  tables = {}
  for path in paths:
    name = name_of(path)
    if name in tables:
      raise errors.UserError(
        f'compare.data names two tables that are called {name}, the last of '
        f'them {path}; rename a file, or name it once.'
      )
    table = loading.load_table(config, path)
    if table.features is None:
      raise errors.UserError(
        f'{path} has no features to compare methods on. Save them as '
        "'features' [N, F] beside 'labels' in an .npz, or name their columns "
        'in data.feature_columns.'
      )
    run_lib.need_varied(config, table, f'{path}: ')
    tables[name] = table
  return tables


def name_of(path) -> str:
  """Returns what a table is called, which is at `path`."""
  return os.path.splitext(os.path.basename(path))[0]


def make_runs(run, grid, tables) -> dict:
  """Returns cell -> its `Run`.

  Args:
    run: of the comparison.
    grid: all the choices of `cells.make_grid`, but for what is compared on.
    tables: from `load`.

  Raises:
    UserError: growth is to be bounded by groups that a table does not have.
  """
  found = cells_lib.make_grid([*tables], cells_lib.TABLE, **grid)
  for cell in found:
    if cell.diversity == 'group' and tables[cell.data].groups is None:
      raise errors.UserError(
        f'compare.diversities holds group, but {cell.data} has no groups; name '
        'their column in data.group_column, or take content.'
      )
  return {cell: run_of(run, cell, tables[cell.data]) for cell in found}


def run_of(run, cell, table):
  """Returns the `Run` of a cell."""
  config = run.config.copy_and_resolve_references()
  rates = settings.values(config, 'compare.rates')
  config.compare.rates = tuple(sorted(rates))  # As they are pinned.
  if cell.share is not None:
    config.keep.share = cell.share
  return run.within(run.path / 'cells' / cell.name, config, table)


def run_cell(run, cell) -> dict:
  """Resamples, trains and scores; returns the content of result.json."""
  from aubal_jax.experiments.compare import table_trials

  config = run.config
  first = config.seed
  steps = config.compare.num_steps
  result = table_trials.run_cell(
    run.dataset,
    cell.method,
    fraction=cell.fraction,
    model=cell.model,
    seeds=range(first, first + config.compare.seeds),
    repeats=config.compare.repeats,
    folds=config.compare.folds,
    options=_options(config, cell),
    diversity=cell.diversity,
    num_clusters=config.balance.num_clusters,
    rates=config.compare.rates,
    **({'num_steps': steps} if steps else {}),
  )
  return cell.described() | result


def _options(config, cell) -> dict:
  """Returns the options of the cell's resampler that `config.balance` names."""
  from aubal_jax.experiments.compare import table_trials

  resampler, _, _ = table_trials.parse_method(cell.method)
  if resampler == 'aubal':
    arguments = problem.solve_arguments(config)
    for name in ('objective', 'budget', 'budget_growth', 'budget_exactly'):
      del arguments[name]
    return arguments | {'upper': cell.upper}
  return problem.options_of(config, resampler)
