"""The paper's grid search: loss, optimiser, learning rate and batch size.

A cell of the grid is the folder of an ordinary run, search/CELL: all have the
plan, the seed and the number of optimiser steps in common, each goes on from
its own checkpoints, and the best is evaluated where it is. What is compared is
the validation score of each one's best checkpoint; nothing of the test split
is known when the best is chosen.
"""

from __future__ import annotations

import shlex
import sys

from aubal_jax.experiments import cells as cells_lib
from aubal_jax.experiments.search import grid as grid_lib
from aubal_jax.experiments.search import search_plot as report
from aubal_jax.network import log as log_lib
from aubal_jax.runs import csv_files
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import hosts
from aubal_jax.runs import workdir
from aubal_jax.stages import balance
from aubal_jax.stages import train

_FIELDS = (
  *('cell', 'loss', 'optimizer', 'learning_rate', 'batch_size'),
  *train.SCORES,
  *('step', 'num_steps', 'status'),
)


def run(run) -> None:
  """Trains every cell that is not trained yet, and compares them all.

  Raises:
    UserError: a batch cannot be shared, there is no validation split, or a
      cell's folder is of another search.
    SystemExit: some failed; their rows say why. Or a signal came.
  """
  import jax

  from aubal_jax.network import step as step_lib

  config, cells = run.config, grid_lib.make_grid(run.config)
  run.need_images()
  if not len(run.dataset.rows('validation')):
    raise errors.UserError(
      'A search compares scores on the validation split, which this data set '
      'does not have; set config.data.validation_fraction.'
    )
  for cell in cells:
    step_lib.check_batch_size(cell.batch_size, jax.device_count())
  runs = {cell: _run_of(run, cell) for cell in cells}
  hosts.from_first(lambda: cells_lib.refuse_others(runs.values()))
  _tell_grid(cells, run.num_steps)
  if run.is_done('balance'):
    print('balance: done before.', flush=True)
  else:
    hosts.from_first(lambda: balance.run(run))
  left = [cell for cell in cells if not runs[cell].is_done('train')]
  if left:
    runs = cells_lib.with_images(run, runs)

  def train_cell(own, _):
    hosts.from_first(lambda: _take_plan(run, own))
    train.run(own)

  failures = cells_lib.run_all(
    *('search', runs, left, train_cell),
    weigh=lambda cell: cell.batch_size,
    forgets=True,
  )
  rows = hosts.from_first(
    lambda: [_row(runs[cell], cell, failures.get(cell)) for cell in cells]
  )
  hosts.from_first(lambda: _conclude(run, rows, config.search.metric))
  run.watch.lap('comparing')
  cells_lib.end_with(failures)


def _run_of(run, cell):
  """Returns the `Run` of a cell, whose data set and images are shared."""
  config = run.config.copy_and_resolve_references()
  config.task = 'run'
  config.train.num_steps = run.num_steps  # Not epochs: equal for all.
  for key, value in cell.settings().items():
    section, name = key.split('.')
    config[section][name] = value
  return run.within(run.path / 'search' / cell.name, config)


def _tell_grid(cells, num_steps) -> None:
  sizes = [len({*values}) for values in zip(*cells, strict=True)]
  words = ('losses', 'optimizers', 'learning rates', 'batch sizes')
  print(
    f'search: {len(cells):,} cells ('
    + ' x '.join(f'{n} {word}' for n, word in zip(sizes, words, strict=True))
    + f'), {num_steps:,} optimiser steps each',
    flush=True,
  )


def _take_plan(run, cell_run) -> None:
  """Copies what balancing has written into the folder of a cell."""
  if cell_run.is_done('balance'):
    return
  for name in (*workdir.WRITES['balance'], 'solution.json'):
    if (run.path / name).exists():
      content = (run.path / name).read_bytes()
      with files.write_atomically(cell_run.path / name, 'wb') as file:
        file.write(content)
  cell_run.finish('balance')


def _row(cell_run, cell, failure) -> dict:
  """Returns the row of a cell, with the course of its validation scores."""
  from aubal_jax.network import checkpoint

  row = dict.fromkeys(_FIELDS) | {'cell': cell.name, **cell._asdict()}
  lines = log_lib.read_lines(cell_run.path / 'metrics.jsonl')
  metric = cell_run.config.search.metric
  seen = [line for line in lines if 'validation' in line]
  row['curve'] = {
    'step': [line['step'] for line in seen],
    metric: [line['validation'][metric] for line in seen],
  }
  row['num_steps'] = lines[-1]['step'] if lines else 0
  if failure is not None:
    return row | {'status': failure}
  with checkpoint.open_checkpoints(
    cell_run.path / 'checkpoints', read_only=True
  ) as checkpoints:
    row['step'] = checkpoint.find_step(checkpoints, which='best')
    found = checkpoints.metrics(row['step'])
  return row | {name: found[name] for name in train.SCORES} | {'status': ''}


def _conclude(run, rows, metric) -> None:
  """Prints the table, best first, and what is done with the best; writes."""
  rows = sorted(
    rows, key=lambda row: (row[metric] is None, -(row[metric] or 0))
  )
  record = {'metric': metric, 'num_steps': run.num_steps, 'rows': rows}
  print(f'\n{report.head(train.SCORES)}')
  for row in rows:
    print(report.line(row, train.SCORES))
  print('\n' + report.wrapped(report.notes(record)))
  csv_files.write(
    run.path / 'search.csv',
    _FIELDS,
    ([row.get(name) for name in _FIELDS] for row in rows),
    raw=run.config.raw_cells,
  )
  files.write_json(run.path / 'search.json', record)
  with files.write_atomically(run.path / 'search.png', 'wb') as file:
    report.draw(file, rows, metric=metric)
  print(f'search: {run.path / "search.png"}')
  if rows[0][metric] is not None:
    best = grid_lib.Cell(
      **{name: rows[0][name] for name in grid_lib.Cell._fields}
    )
    print(
      f'The best one, evaluated on the test split:\n  {_command(run, best)}'
    )
  sys.stdout.flush()


def _command(run, cell) -> str:
  """Returns the command that finishes the run of a cell: this one, changed."""
  changed = {
    'workdir': run.path / 'search' / cell.name,
    'config.task': 'run',
    'config.train.num_steps': run.num_steps,
  }
  changed |= {f'config.{k}': v for k, v in cell.settings().items()}
  kept, given = [], iter(sys.argv[1:])
  for argument in given:
    name, equals, _ = argument.lstrip('-').partition('=')
    ours = name in changed or name.startswith('config.search.')
    if name.endswith('overwrite'):
      continue
    value = [] if equals else [next(given, '')]
    if not ours:
      kept += [argument, *value]
  kept += [f'--{name}={value}' for name, value in changed.items()]
  return shlex.join(['python', '-m', 'aubal_jax.main', *kept])
