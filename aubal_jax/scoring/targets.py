"""The list of scores of targets that are classes or numbers, and their values.

Those of labels are in `summary`. What is asked of a target is its kind, names,
values and known, as `datasets.targets.Target` has them, of the rows that are
scored.
"""

from __future__ import annotations

import types
from collections.abc import Mapping

import numpy as np

from aubal_jax.scoring import classes
from aubal_jax.scoring import numbers
from aubal_jax.scoring import overall as overall_lib
from aubal_jax.scoring import summary

LABELS = 'labels'  # Whose scores have no prefix in validation.
OVERALL = 'overall'

# kind -> its scores, in order of the columns. `of_label`: each class, or each
# number, has one.
SCORES = types.MappingProxyType(
  {
    'class': (
      summary.Score('f1_macro', 'F1 macro'),
      summary.Score(
        'f1_macro_present', 'F1 macro, classes there', ('report.json',)
      ),
      summary.Score('accuracy', 'accuracy'),
      summary.Score('precision', 'precision', of_label=True),
      summary.Score('recall', 'recall', of_label=True),
      summary.Score('f1', 'F1', of_label=True),
    ),
    'real': (
      summary.Score('ccc_mean', 'CCC, mean'),
      summary.Score('ccc_sum', 'CCC, sum', ('validation',)),
      summary.Score('rmse_mean', 'RMSE, mean'),
      summary.Score('ccc', 'CCC', of_label=True),
      summary.Score('rmse', 'RMSE', of_label=True),
    ),
  }
)


def scores_in(kind: str, place: str, *, of_label: bool = False) -> list:
  """Returns the scores of a kind that stand in one of `summary.PLACES`."""
  return [
    s for s in SCORES[kind] if place in s.places and s.of_label == of_label
  ]


def count(kind: str, prediction, values, known=None):
  """Returns what the scores of a kind are properties of.

  Args:
    kind: 'class' or 'real'.
    prediction: float[N, C], probabilities of classes; or float[N, D], numbers.
    values: int[N], or float[N, D].
    known: bool, of the shape of values; or None where every value is known.
  """
  if kind == 'class':
    return classes.ClassCounts.from_probabilities(prediction, values, known)
  return numbers.Moments.from_predictions(prediction, values, known)


def of_validation(
  predictions: Mapping[str, np.ndarray], targets: Mapping
) -> dict[str, float]:
  """Returns name -> score of all that stand in 'validation'.

  Those of the labels as `summary.of_validation` has them; those of another
  target are called TARGET_SCORE. Unless the labels are all there is, `OVERALL`
  is what a state is the best by, see `overall`.

  Args:
    predictions: name of target -> what is predicted of its rows, float[R, L].
    targets: name -> target of the same rows; those that are not predicted are
      left out.
  """
  of_target = {}
  for name, prediction in predictions.items():
    target = targets[name]
    cells = prediction, target.values, target.known
    if target.kind == 'binary':
      of_target[name] = summary.of_validation(*cells)
      continue
    counted = count(target.kind, *cells)
    of_target[name] = {
      s.name: float(getattr(counted, s.name))
      for s in scores_in(target.kind, 'validation')
    }
  found = dict(of_target.get(LABELS, {}))
  for name, scores in of_target.items():
    if name != LABELS:
      found |= {f'{name}_{score}': x for score, x in scores.items()}
  if [*of_target] != [LABELS]:
    kinds = {name: targets[name].kind for name in of_target}
    found[OVERALL] = overall_lib.overall(kinds, of_target)
  return found
