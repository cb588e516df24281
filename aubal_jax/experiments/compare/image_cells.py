"""Cells of a comparison on images: each is the run of a training of its own."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from aubal_jax.datasets import loading
from aubal_jax.experiments.compare import averaged
from aubal_jax.experiments.compare import grid as cells_lib
from aubal_jax.experiments.compare import rates
from aubal_jax.experiments.compare import trials
from aubal_jax.network import log as log_lib
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import hosts
from aubal_jax.runs import workdir
from aubal_jax.scoring import course
from aubal_jax.stages import balance
from aubal_jax.stages import train
from aubal_jax.tables import plan as plan_lib

_PREDICTED = 'predicted.npz'  # By plain training, of two splits.


def make_runs(run, grid) -> dict:
  """Returns cell -> its `Run`, which share the images.

  Args:
    run: of the comparison.
    grid: all the choices of `cells.make_grid`, but for what is compared on.

  Raises:
    UserError: there are no images, a split lacks, or folds are all alike.
  """
  config = run.config
  run.need_images()
  sets = sets_of(run)
  for fold, dataset in sets.items():
    trials.split_of(dataset, fold)
  found = cells_lib.make_grid(
    [config.data.name],
    cells_lib.IMAGES,
    seeds=range(config.seed, config.seed + config.compare.seeds),
    folds=[*sets],
    **grid,
  )
  if run.dataset.groups is None and any(
    cell.diversity == 'group' for cell in found
  ):
    raise errors.UserError(
      'compare.diversities holds group, but this data set has no groups; name '
      'their column in data.group_column.'
    )
  return {cell: run_of(run, cell, sets[cell.fold]) for cell in found}


def sets_of(run) -> dict:
  """Returns fold -> the data set with its splits; None of what has but one."""
  config, dataset = run.config, run.dataset
  if not config.data.num_folds:
    return {None: dataset}
  if config.data.unknown == 'drop':
    raise errors.UserError(
      'compare with data.num_folds cannot drop rows with unknown labels: they '
      'would be others in every fold. Set data.unknown to absent.'
    )
  other = config.copy_and_resolve_references()
  sets = {}
  for fold in range(config.data.num_folds):
    other.data.fold = fold
    split = loading.load(other).split
    split = np.where(dataset.split == 'dropped', 'dropped', split)
    sets[fold] = dataclasses.replace(dataset, split=split)
  if (sets[0].split == sets[1].split).all():
    raise errors.UserError(
      f'data.num_folds is {len(sets)}, but this data set has splits of its '
      "own; set it to 0, or set data.split_column=''."
    )
  return sets


def run_of(run, cell, dataset):
  """Returns the `Run` of a cell."""
  config = run.config.copy_and_resolve_references()
  config.task = 'run'
  config.train.num_steps = config.compare.num_steps or run.num_steps
  config.seed = cell.seed
  config.train.learning_rate *= cell.rate
  config.model.name = cell.model
  config.augment.rows = cell.augment_rows
  kind, _, name = cell.method.partition(':')
  config.balance.method = 'none' if kind == 'loss' else kind
  config.balance.fraction = cell.fraction or 0.0
  if cell.share is not None:
    config.keep.share = cell.share
  if kind == 'loss':
    config.loss.name = name
  elif kind == 'aubal':
    config.balance.objective = name
    config.balance.upper = cell.upper
    config.balance.diversity = cell.diversity
  if cell.fold is not None:
    config.data.fold = cell.fold
  other = run.within(run.path / 'cells' / cell.name, config, dataset)
  pinned = other.pinned['balance'] | other.pinned['train']
  return dataclasses.replace(other, pinned={**other.pinned, 'compare': pinned})


def run_cell(run, cell) -> dict:
  """Balances, trains and scores; returns the content of result.json.

  A training that diverges is a trial as well: its rate has lost.
  """
  place = {'seed': cell.seed, 'fold': cell.fold, 'rate': cell.rate}
  trial, found = make_trial(run, **place)
  if found is None:
    print(f'compare: {cell.name} diverged: {trial["diverged"]}', flush=True)
  elif cell.method == 'none' and hosts.is_first():
    with files.write_atomically(run.path / _PREDICTED, 'wb') as file:
      np.savez(file, validation=found[0], test=found[1])
  return cell.described() | {
    'num_steps': run.num_steps,
    'label_names': [*run.dataset.label_names],
    'trials': [trial],
  }


def make_trial(run, *, seed, fold, rate) -> tuple[dict, tuple | None]:
  """Balances, trains and scores what is not done yet, in the run's folder.

  Args:
    run: with the settings that are trained with.
    seed: of the trial.
    fold: likewise; None where there is one split alone.
    rate: times the learning rate, which the settings hold already.

  Returns:
    The trial; and what is predicted of the validation and of the test split,
    float[R, L] each; None where training diverged.
  """
  seconds = None
  if not run.is_done('balance'):
    start = time.perf_counter()
    hosts.from_first(lambda: balance.run(run))
    seconds = time.perf_counter() - start
  if not run.is_done('train'):
    try:
      train.run(run)
    except FloatingPointError as error:
      return rates.diverged(seed, fold, rate, str(error)), None
  plan, lines = hosts.from_first(
    lambda: (
      plan_lib.load(run.path / 'plan.npz'),
      log_lib.read_lines(run.path / 'metrics.jsonl'),
    )
  )
  trained = trials.seconds_of(
    lines,
    num_steps=run.num_steps,
    batch_size=run.config.train.batch_size,
  )
  predict = _make_predict(run)
  split = trials.split_of(run.dataset, fold)
  found = predict(split.validation), predict(split.test)
  trial = trials.make_trial(
    run.dataset,
    split,
    plan,
    *found,
    seed=seed,
    seconds={'resample': seconds, 'train': trained},
    rate=rate,
    tried=[[rate, trials.validation_map(run.dataset, split, found[0])]],
    course=course.of_score(lines, 'map'),
  )
  trial['best_last'] = course.best_is_last(lines)
  return trial, found


def average_seeds(runs, row) -> list[dict]:
  """Returns the trials of two seeds averaged, of a row of the result.

  Args:
    runs: cell -> its `Run`, of all there are.
    row: of `none`, from `cells.merge`; what was predicted is kept in the
      folders of its cells, but for those of before it was.
  """
  trained = {
    (cell.seed, cell.fold or 0, cell.rate): own
    for cell, own in runs.items()
    if all(row[key] == value for key, value in cell.described().items())
  }
  folds = {}
  for trial in row.get('trials', ()):
    own = trained[trial['seed'], trial['fold'], trial.get('rate', 1.0)]
    if (own.path / _PREDICTED).exists():
      folds.setdefault(trial['fold'], []).append((trial, own))
  found = []
  for fold, members in folds.items():
    mine, owners = zip(*members, strict=True)
    predictions = []
    for own in owners:
      with np.load(own.path / _PREDICTED) as kept:
        predictions.append((kept['validation'], kept['test']))
    dataset = owners[0].dataset
    split = trials.split_of(dataset, fold)
    found += averaged.make_trials(dataset, split, mine, predictions)
  return found


def _make_predict(run):
  """Returns int[R] rows -> float[R, L], of the best state that was saved."""
  from aubal_jax.network import bundle
  from aubal_jax.network import inference

  trained = hosts.from_first(lambda: bundle.load(run.path / 'checkpoints'))
  streams = run.streams(trained.description)
  predict, size = trained.make_predict(), run.config.evaluate.batch_size

  def of_rows(rows):
    found = inference.predict_rows(predict, streams, rows, batch_size=size)
    return found[bundle.LABELS]

  return of_rows


def tidy(run) -> None:
  """Deletes the checkpoints of a finished cell, unless they are to stay."""
  if not run.config.compare.keep_checkpoints:
    workdir.clear(run.path, workdir.WRITES['train'][:1])
