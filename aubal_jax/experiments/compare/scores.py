"""What a trained net is worth in a trial, and what its plan was."""

from __future__ import annotations

import math

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.experiments.compare import folds
from aubal_jax.scoring import metrics
from aubal_jax.scoring import summary
from aubal_jax.tables import labelsets
from aubal_jax.tables import plan as plan_lib


def score(
  dataset: dataset_lib.Dataset,
  split: folds.Split,
  validation_probability: np.ndarray,
  test_probability: np.ndarray,
) -> dict:
  """Scores the probabilities of a split's test rows, at .5 and at thresholds.

  The thresholds of the best F1 of each label on the validation rows are taken
  to the test rows. Only known labels count. F1 macro is the mean over all
  labels, a label without a positive has 0; AUC and average precision are means
  over the labels that have them.

  Args:
    dataset: the table.
    split: its rows.
    validation_probability: float[V, L], of the rows `split.validation`.
    test_probability: float[T, L], of the rows `split.test`.

  Returns:
    `scores`: name -> number; `f1_per_label`, `f1_per_label_tuned`: L numbers,
    None for a label without a positive in the test rows; `frequency`: the share
    of positives among the known labels of `split.train`, None where none is
    known. A score that no label has is None.

  Raises:
    UserError: shapes differ, or a probability is not a number.
  """
  validation = _entries(dataset, split.validation)
  test = metrics.check_entries(test_probability, *_entries(dataset, split.test))
  thresholds = metrics.tune_thresholds(validation_probability, *validation)
  half, tuned = (
    metrics.Confusion.from_decisions(metrics.decisions(*test, t))
    for t in (0.5, thresholds)
  )
  scores = {}
  for name, _, _, _, ranking in summary.scores_in('comparison'):
    if ranking:
      scores[name] = _mean(ranking(*test))
    else:
      scores[name] = float(getattr(half, name))
      scores[f'{name}_tuned'] = float(getattr(tuned, name))
  labels, known = _entries(dataset, split.train)
  num_known = known.sum(axis=0)
  frequency = labels.sum(axis=0) / np.maximum(num_known, 1)
  return {
    'scores': scores,
    'f1_per_label': _where(half.positives > 0, half.f1),
    'f1_per_label_tuned': _where(tuned.positives > 0, tuned.f1),
    'frequency': _where(num_known > 0, frequency),
  }


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
  names = ('mean_ir', 'cvir', 'scumble')
  return {'rows': len(plan)} | {
    name: float(uneven[name]) if math.isfinite(uneven[name]) else None
    for name in names
  }


def _entries(dataset, rows):
  return dataset.labels[rows], dataset.known[rows]


def _mean(values):
  """Returns the mean of those that are not None, or None."""
  values = [value for value in values if value is not None]
  return float(np.mean(values)) if values else None


def _where(defined, values):
  """Returns a list with None where a value is not defined."""
  return [float(v) if d else None for d, v in zip(defined, values, strict=True)]
