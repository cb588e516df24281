"""The search for a recipe: rate, first weights, loss, what is augmented.

A cell of the grid is the folder of an ordinary run, search/CELL: all have the
plan and the seed in common, and each goes on from its own checkpoints. By
successive halving all cells train a part of the steps, the best of them more,
see `rungs`; or all train all of them, as the paper's grid search does. What is
compared is each one's best look at validation so far; nothing of the test split
is known when the best is chosen.
"""

from __future__ import annotations

import dataclasses
import functools
import pickle
import shlex
import sys
import time

from aubal_jax.experiments import cells as cells_lib
from aubal_jax.experiments.search import grid as grid_lib
from aubal_jax.experiments.search import recipe
from aubal_jax.experiments.search import rungs as rungs_lib
from aubal_jax.experiments.search import search_plot as report
from aubal_jax.network import log as log_lib
from aubal_jax.runs import csv_files
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import hosts
from aubal_jax.runs import progress
from aubal_jax.runs import workdir
from aubal_jax.scoring import course
from aubal_jax.scoring import targets
from aubal_jax.stages import balance
from aubal_jax.stages import learnt
from aubal_jax.stages import run as run_lib
from aubal_jax.stages import train


def _scores(metric) -> tuple[str, ...]:
  """Returns the scores that are columns: those of labels, and what decides."""
  return tuple(dict.fromkeys((*train.SCORES, metric)))


def _fields(metric) -> tuple[str, ...]:
  """Returns the columns of search.csv."""
  return (
    *('cell', *grid_lib.Cell._fields),
    *_scores(metric),
    *('step', 'num_steps', 'rung', 'status'),
  )


def run(run) -> None:
  """Trains what is not trained yet, rung by rung, and compares all cells.

  Raises:
    UserError: a batch cannot be shared, there is no validation split, or a
      cell's folder is of another search.
    SystemExit: some failed; their rows say why. Or a signal came.
  """
  cells = grid_lib.make_grid(run.config)
  _check(run, cells)
  rungs = rungs_lib.make_rungs(
    len(cells), run.num_steps, eta=run.config.search.halving
  )
  owns = {cell: _run_of(run, cell) for cell in cells}
  hosts.from_first(lambda: _refuse_others(owns, rungs))
  _tell_grid(cells, rungs)
  if run.is_done('balance'):
    print('balance: done before.', flush=True)
  else:
    hosts.from_first(lambda: balance.run(run))
  with cells_lib.handing_out(run) as executor:
    rows, failures = _climb(run, owns, rungs, executor)
  hosts.from_first(lambda: _conclude(run, [*rows.values()], rungs))
  run.watch.lap('comparing')
  cells_lib.end_with(failures)


def _climb(run, owns, rungs, executor) -> tuple[dict, dict]:
  """Trains rung by rung; returns cell -> row, and what went wrong of some."""
  failures, rows, alive = {}, {}, [*owns]
  for place, rung in enumerate(rungs):
    runs = {cell: _up_to(owns[cell], rung.num_steps) for cell in alive}
    failed = _train(run, runs, rungs, place, executor)
    rows |= hosts.from_first(
      lambda runs=runs, failed=failed, place=place: {
        cell: _row(own, cell, place + 1, failed.get(cell))
        for cell, own in runs.items()
      }
    )
    failures |= failed
    if place + 1 < len(rungs):
      scores = [rows[cell][run.config.search.metric] for cell in alive]
      alive = rungs_lib.promote(alive, scores, rungs[place + 1].num_cells)
  return rows, failures


def _check(run, cells) -> None:
  """Raises UserError for what depends on the table or the devices."""
  import jax

  from aubal_jax.network import step as step_lib

  run.need_streams()
  if not len(run.dataset.rows('validation')):
    raise errors.UserError(
      'A search compares scores on the validation split, which this data set '
      'does not have; set config.data.validation_fraction.'
    )
  _check_metric(run)
  for cell in cells:
    step_lib.check_batch_size(cell.batch_size, jax.device_count())


def _check_metric(run) -> None:
  """Raises UserError where the metric is of targets that are not learnt."""
  metric, names = (
    run.config.search.metric,
    learnt.names_of(run.config, run.dataset),
  )
  if metric == targets.OVERALL and len(names) == 1:
    raise errors.UserError(
      f'search.metric={metric} is of several targets, and {names[0]} alone '
      f'are learnt; take one of {", ".join(train.SCORES)}.'
    )
  if metric != targets.OVERALL and len(names) > 1:
    print(
      f'Note: search.metric={metric} is of the labels alone; {targets.OVERALL} '
      f'is of all that is learnt: {", ".join(names)}.',
      flush=True,
    )


def _run_of(run, cell):
  """Returns the `Run` of a cell, whose data set and images are shared."""
  return run.within(run.path / 'search' / cell.name, _settings_of(run, cell))


def _settings_of(run, cell):
  """Returns the configuration of a cell: the run of a whole training."""
  config = run.config.copy_and_resolve_references()
  config.task = 'run'
  config.train.num_steps = run.num_steps  # Not epochs: equal for all.
  for key, value in cell.settings().items():
    section, name = key.split('.')
    config[section][name] = value
  return config


def _up_to(own, num_steps):
  """Returns the `Run` of a cell that ends after so many steps.

  The plan stays that of all steps, where it depends on them.
  """
  pinned = own.pinned['train'] | {'train.num_steps': num_steps}
  return dataclasses.replace(
    own, num_steps=num_steps, pinned={**own.pinned, 'train': pinned}
  )


def _begun(own) -> int:
  """Returns the steps up to which a cell's folder has begun to train."""
  return workdir.settings_of(own.path, 'train').get('train.num_steps', 0)


def _refuse_others(owns, rungs) -> None:
  """Raises UserError where a cell's folder is of another search."""
  first, last = rungs[0].num_steps, rungs[-1].num_steps
  cells_lib.refuse_others(
    _up_to(own, min(max(_begun(own), first), last)) for own in owns.values()
  )
  for own in owns.values():
    lines = log_lib.read_lines(own.path / 'metrics.jsonl')
    looks = {line['step'] for line in lines if 'validation' in line}
    for rung in rungs:
      beyond = any(line['step'] > rung.num_steps for line in lines)
      if beyond and rung.num_steps not in looks:
        raise errors.UserError(
          f'{own.path} was trained past step {rung.num_steps:,} without a look '
          'at validation there, where this search has a rung: it is of one '
          'with another search.halving, train.num_steps or number of cells. '
          'Name another --workdir, or start anew with --overwrite.'
        )


def _tell_grid(cells, rungs) -> None:
  sizes = [len({*values}) for values in zip(*cells, strict=True)]
  words = ('losses', 'optimizers', 'learning rates', 'batch sizes')
  words += ('first weights', 'augmented rows')
  products = [
    f'{n} {word}' for n, word in zip(sizes, words, strict=True) if n > 1
  ]
  grid = report.count(len(cells), 'cell')
  grid += f' ({" x ".join(products)})' if products else ''
  total = rungs_lib.total_steps(rungs)
  whole = len(cells) * rungs[-1].num_steps
  if len(rungs) == 1:
    told = f'{rungs[0].num_steps:,} optimiser steps each, {total:,} in all'
  else:
    told = ', '.join(f'{n:,} to step {steps:,}' for n, steps in rungs)
    told += f'; {total:,} optimiser steps in all, the full grid {whole:,}'
  print(f'search: {grid}: {told}', flush=True)


def _train(run, runs, rungs, place, executor) -> dict:
  """Trains the cells of a rung; returns cell -> what went wrong."""
  num_steps = rungs[place].num_steps
  begun = hosts.from_first(lambda: {c: _begun(own) for c, own in runs.items()})
  left = [
    cell
    for cell, own in runs.items()
    if begun[cell] <= num_steps and not own.is_done('train')
  ]
  if left:
    runs = cells_lib.with_images(run, runs)
  held, path = pickle.dumps(run.config), run.path.absolute()
  added = rungs_lib.steps_left(rungs, place) / rungs[place].num_cells
  size = sum(cell.batch_size for cell in runs) / max(len(runs), 1)
  later = range(place + 1, len(rungs))
  title = f'search, rung {place + 1} of {len(rungs)}'
  return cells_lib.run_all(
    *(title if len(rungs) > 1 else 'search', runs, left),
    functools.partial(_train_cell, path, len(rungs) == 1),
    executor=executor,
    remake=functools.partial(_remake, held, path, num_steps),
    weigh=lambda cell: cell.batch_size * added,
    later=size * sum(rungs_lib.steps_left(rungs, k) for k in later),
    forgets=True,
  )


def _train_cell(path, tells_short, own, _) -> None:
  """Trains a cell with the plan of the search, whose folder is `path`."""
  hosts.from_first(lambda: _take_plan(path, own))
  train.run(own, tells_short=tells_short)


def _remake(held, path, num_steps, cell):
  """Returns the `Run` of a cell in a worker, up to so many steps.

  Args:
    held: the configuration, pickled.
    path: folder of the search.
    num_steps: of the rung.
    cell: the cell.
  """
  run = _load(held, path)
  own = _up_to(_run_of(run, cell), num_steps)
  return dataclasses.replace(own, opened=run.opened)


@functools.lru_cache(maxsize=1)
def _load(held, path):
  """Returns the `Run` of the search in a worker, with its images."""
  watch = progress.Watch(time.perf_counter())
  run = run_lib.load(pickle.loads(held), path, watch)
  return dataclasses.replace(run, opened=run.images_seen())


def _take_plan(path, cell_run) -> None:
  """Copies what balancing has written into the folder of a cell."""
  if cell_run.is_done('balance'):
    return
  for name in (*workdir.WRITES['balance'], 'solution.json'):
    if (path / name).exists():
      content = (path / name).read_bytes()
      with files.write_atomically(cell_run.path / name, 'wb') as file:
        file.write(content)
  cell_run.finish('balance')


def _row(own, cell, rung, failure) -> dict:
  """Returns the row of a cell, with the course of its validation scores.

  It tells of the steps up to its rung alone: a cell that was trained further,
  when the grid was smaller, has the row of one that was not.
  """
  lines = log_lib.read_lines(own.path / 'metrics.jsonl')
  lines = [line for line in lines if line['step'] <= own.num_steps]
  looks = [line for line in lines if 'validation' in line]
  metric = own.config.search.metric
  row = dict.fromkeys(_fields(metric)) | {'cell': cell.name, **cell._asdict()}
  row |= {
    'rung': rung,
    'num_steps': lines[-1]['step'] if lines else 0,
    'curve': {
      'step': [line['step'] for line in looks],
      metric: [line['validation'].get(metric) for line in looks],
    },
  }
  best = course.best_look(lines, metric)
  if failure is not None or best is None:
    return row | {'status': failure or 'no look at validation is left'}
  found = {name: best['validation'].get(name) for name in _scores(metric)}
  return row | found | {'step': best['step'], 'status': ''}


def _conclude(run, rows, rungs) -> None:
  """Prints the table, best first, and what is done with the best; writes."""
  metric = run.config.search.metric

  def place(row):
    score = row[metric]
    return (True,) if score is None else (False, -row['rung'], -score)

  rows = sorted(rows, key=place)
  record = {
    'metric': metric,
    'num_steps': run.num_steps,
    'rungs': [rung._asdict() for rung in rungs],
    'rows': rows,
  }
  print()
  for line in report.table(rows, _scores(metric)):
    print(line)
  print('\n' + report.wrapped(report.notes(record)))
  csv_files.write(
    run.path / 'search.csv',
    _fields(metric),
    ([row.get(name) for name in _fields(metric)] for row in rows),
    raw=run.config.raw_cells,
  )
  files.write_json(run.path / 'search.json', record)
  with files.write_atomically(run.path / 'search.png', 'wb') as file:
    report.draw(file, rows, metric=metric)
  print(f'search: {run.path / "search.png"}')
  if rows[0][metric] is None:
    (run.path / 'best.py').unlink(missing_ok=True)
  else:
    _write_best(run, rows[0], record)
  sys.stdout.flush()


def _write_best(run, row, record) -> None:
  """Writes best.py, and prints the command that takes it."""
  best = grid_lib.Cell(**{name: row[name] for name in grid_lib.Cell._fields})
  path = run.path.absolute() / 'best.py'
  command = shlex.join(
    [
      *('python', '-m', 'aubal_jax.main', f'--config={path}'),
      f'--workdir={path.parent / "search" / best.name}',
    ]
  )
  told = (
    f'The best of {report.count(len(record["rows"]), "cell")} by '
    f'{report.title_of(record["metric"])} on validation, '
    f'{row[record["metric"]]:.3f} at step {row["step"]:,}:\n'
    f'search.json beside this file tells of all. Where it was trained, the '
    'command\n\n'
    f'  {command}\n\n'
    'goes on to the scores of its checkpoint of the best F1 macro on the test '
    'split; with\nanother --workdir, more steps or another plan it is trained '
    'anew.'
  )
  recipe.write(path, _settings_of(run, best), told)
  print(f'The best one is {path}; evaluated on the test split:\n  {command}')
