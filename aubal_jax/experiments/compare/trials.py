"""A trial of a comparison: rows that train and test, and what came of them."""

from __future__ import annotations

import functools
import math
import typing
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.datasets import splits
from aubal_jax.experiments.compare import thirds
from aubal_jax.runs import errors
from aubal_jax.scoring import metrics
from aubal_jax.scoring import summary
from aubal_jax.scoring import thresholds as thresholds_lib
from aubal_jax.tables import labelsets
from aubal_jax.tables import plan as plan_lib

VALIDATION_FRACTION = 0.2  # Of a training fold, for thresholds alone.
# Kind of thresholds -> ending of the names of what is scored at them.
_ENDINGS = {'half': '', 'tuned': '_tuned', 'shrunk': '_shrunk'}
# Name of a score -> heading; what depends on thresholds stands thrice.
SCORES = {
  f'{score.name}{ending}': f'{score.title}{f", {kind}" if ending else ""}'
  for score in summary.scores_in('comparison')
  for kind, ending in _ENDINGS.items()
  if not (score.ranking and ending)
}
TITLES = SCORES | thirds.SCORES
PER_LABEL = tuple(f'f1_per_label{ending}' for ending in _ENDINGS.values())
UNEVEN = ('mean_ir', 'cvir', 'scumble')


class Split(typing.NamedTuple):
  """One fold of one repeat, in rows of the table.

  Attributes:
    repeat: which division into folds, counted from 0.
    fold: which of its folds is the test part, counted from 0.
    train: int64[R], the rows that a method resamples, in ascending order.
    validation: int64[V], held out of the training fold before resampling.
    test: int64[T], the fold.
  """

  repeat: int
  fold: int
  train: np.ndarray
  validation: np.ndarray
  test: np.ndarray


def draw(
  dataset: dataset_lib.Dataset, *, repeats: int = 5, num_folds: int = 2
) -> list[Split]:
  """Draws repeated K-fold splits that are even in the labels.

  Rows are parted by iterative stratification; where there are groups, none is
  in two parts. A repeat is a seed: equal tables, equal splits, whatever is
  trained on them. Rows that were dropped have no part in it; the splits of the
  table neither.

  Args:
    dataset: the table.
    repeats: how many divisions into folds.
    num_folds: folds of each; every row is in the test part once a repeat.

  Returns:
    repeats x num_folds splits, the folds of a repeat one after the other. Do
    not write to their arrays: a table's splits are kept.

  Raises:
    UserError: a number is too small, or there are too few rows or groups.
  """
  if repeats < 1 or num_folds < 2:
    raise errors.UserError(
      'compare.repeats must be at least 1 and compare.folds at least 2; they '
      f'are {repeats} and {num_folds}.'
    )
  rows = np.flatnonzero(dataset.split != dataset_lib.DROPPED)
  labels = dataset.labels[rows]
  number, unit = np.arange(len(rows)), 'rows'
  if dataset.groups is not None:
    number = np.unique(dataset.groups[rows], return_inverse=True)[1]
    unit = 'groups'
  units = int(number.max(initial=-1)) + 1
  # A training fold leaves at least one unit to train on, one to validate.
  if units < num_folds or units - -(-units // num_folds) < 2:
    raise errors.UserError(
      f'{units} {unit} are too few for compare.folds={num_folds}: each fold '
      'must leave two or more to train on and to validate. Give more rows.'
    )
  groups = None if dataset.groups is None else number.tobytes()
  parts = _parts(labels.tobytes(), labels.shape, groups, repeats, num_folds)
  return [
    Split(k // num_folds, k % num_folds, *(rows[p] for p in part))
    for k, part in enumerate(parts)
  ]


@functools.lru_cache(maxsize=8)
def _parts(labels, shape, groups, repeats, num_folds):
  """Returns (train, validation, test) of each split, as positions."""
  labels = np.frombuffer(labels, np.uint8).reshape(shape)
  groups = None if groups is None else np.frombuffer(groups, np.int64)
  parts = []
  for k in range(repeats * num_folds):
    settings = splits.Draw(
      validation_fraction=VALIDATION_FRACTION,
      test_fraction=0.0,
      num_folds=num_folds,
      fold=k % num_folds,
      seed=k // num_folds,
    )
    part = splits.draw(labels, groups, settings)
    parts.append([np.flatnonzero(part == p) for p in dataset_lib.SPLITS])
  return parts


def split_of(dataset: dataset_lib.Dataset, fold: int | None) -> Split:
  """Returns the rows of a data set with splits of its own, such as of images.

  Args:
    dataset: any.
    fold: which of its folds is the test split; None: its only one.

  Raises:
    UserError: there is nothing to tune thresholds on, or nothing to test.
  """
  for name, mend in (
    ('validation', 'set config.data.validation_fraction'),
    ('test', 'set config.data.test_fraction, or config.data.num_folds'),
  ):
    if not len(dataset.rows(name)):
      raise errors.UserError(
        f'A comparison needs a {name} split, which this data set does not '
        f'have; {mend}, or name the splits in the table.'
      )
  rows = {name: dataset.rows(name) for name in dataset_lib.SPLITS}
  return Split(repeat=0, fold=fold or 0, **rows)


def make_trial(
  dataset: dataset_lib.Dataset,
  split: Split,
  plan: plan_lib.Plan,
  validation_probability: np.ndarray,
  test_probability: np.ndarray,
  *,
  seed: int,
  seconds: dict,
  rate: float = 1.0,
  tried: Sequence = (),
  course: Sequence = (),
) -> dict:
  """Returns what result.json says of one net.

  Args:
    dataset: the table.
    split: the rows that it was trained with.
    plan: of the training rows.
    validation_probability: float[V, L], of the rows `split.validation`.
    test_probability: float[T, L], of the rows `split.test`.
    seed: of training.
    seconds: of `resample` and `train`; None where they are not known.
    rate: times the learning rate that it was trained with.
    tried: (rate, mAP of the validation rows) of all that it was chosen from.
    course: (step, mAP of the validation rows) on the way of training.
  """
  return {
    'seed': seed,
    'rate': rate,
    'tried': [*map(list, tried)],
    'course': [*map(list, course)],
    'repeat': split.repeat,
    'fold': split.fold,
    'num_train': len(split.train),
    'num_test': len(split.test),
    **score(dataset, split, validation_probability, test_probability),
    'plan': describe(plan, dataset.labels),
    'seconds': seconds,
  }


def score(dataset, split, validation_probability, test_probability) -> dict:
  """Scores the probabilities of a split's test rows, at .5 and at thresholds.

  The thresholds of the best F1 of each label on the validation rows, and those
  shrunk (see `scoring.thresholds`), are taken to the test rows. Only known
  labels count. F1 macro is the mean over all labels, a label without a positive
  has 0; AUC and average precision are means over the labels that have them.
  Arguments as of `make_trial`.

  Returns:
    `scores`: name -> number, of TITLES; `f1_per_label`, and that with `_tuned`
    and with `_shrunk`: L numbers, None for a label without a positive in the
    test rows; `frequency`: the share of positives among the known labels of
    `split.train`, None where none is known. A score that no label has is None.

  Raises:
    UserError: shapes differ, or a probability is not a number.
  """
  truth = {
    name: (dataset.labels[rows], dataset.known[rows])
    for name, rows in zip(dataset_lib.SPLITS, split[2:], strict=True)
  }
  test = metrics.check_entries(test_probability, *truth['test'])
  found = thresholds_lib.find(validation_probability, *truth['validation'])
  used = {'half': 0.5, 'tuned': found.labels, 'shrunk': found.shrunk}
  counts = {
    ending: metrics.Confusion.from_decisions(
      metrics.decisions(*test, used[kind])
    )
    for kind, ending in _ENDINGS.items()
  }
  listed = summary.scores_in('comparison')
  ranked = {s.name: s.ranking(*test) for s in listed if s.ranking}
  scores = {}
  for name in (s.name for s in listed):
    if name in ranked:
      scores[name] = _mean(ranked[name])
    else:
      scores |= {
        name + ending: float(getattr(one, name))
        for ending, one in counts.items()
      }
  labels, known = truth['train']
  num_known, positives = known.sum(axis=0), (labels * known).sum(axis=0)
  frequency = positives / np.maximum(num_known, 1)
  per_label = {
    f'f1_per_label{ending}': _where(one.positives > 0, one.f1)
    for ending, one in counts.items()
  }
  scores |= thirds.score(
    positives, ranked['map'], per_label['f1_per_label_tuned']
  )
  return {
    'scores': scores,
    **per_label,
    'frequency': _where(num_known > 0, frequency),
  }


def validation_map(dataset, split, probability) -> float | None:
  """Returns the mAP of a split's validation rows, by which rates are chosen.

  Args:
    dataset: the table.
    split: the rows that it was trained with.
    probability: float[V, L], of the rows `split.validation`.
  """
  rows = split.validation
  entries = probability, dataset.labels[rows], dataset.known[rows]
  return _mean(metrics.average_precision(*metrics.check_entries(*entries)))


def describe(plan: plan_lib.Plan, labels: np.ndarray) -> dict:
  """Returns how many rows a plan has, and how uneven their labels are.

  Args:
    plan: of rows of the table.
    labels: uint8[N, L], of the table.

  Returns:
    `rows`, and `mean_ir`, `cvir`, `scumble`: None where undefined.
  """
  rows = labels[plan.source] if plan.labels is None else plan.labels
  uneven = labelsets.imbalance(rows)
  return {'rows': len(plan)} | {
    name: float(uneven[name]) if math.isfinite(uneven[name]) else None
    for name in UNEVEN
  }


def _mean(values):
  """Returns the mean of those that are not None, or None."""
  values = [value for value in values if value is not None]
  return float(np.mean(values)) if values else None


def _where(defined, values):
  """Returns a list with None where a value is not defined."""
  return [float(v) if d else None for d, v in zip(defined, values, strict=True)]


def seconds_of(lines, *, num_steps: int, batch_size: int) -> float | None:
  """Returns the seconds that steps took, from the lines of metrics.jsonl.

  Without what is not theirs (compiling, validation, saving, a stop on the way):
  num_steps batches at the mean pace. None where no pace was measured.
  """
  rates = [line.get('images_per_second') for line in lines]
  paces = [1 / rate for rate in rates if rate]
  return float(np.mean(paces)) * num_steps * batch_size if paces else None
