"""Scores of a target that is one of C classes, from counts that add up.

The counts are a confusion matrix over the rows whose class is known. Of each
class against the rest they are those of `metrics.Confusion`, and so are its
scores: where one would be 0 / 0 it is 0, as in scikit-learn with
`zero_division=0` and all classes as its `labels`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.scoring import bootstrap
from aubal_jax.scoring import metrics


@dataclasses.dataclass(frozen=True)
class ClassCounts:
  """A confusion matrix; axes before the last two are separate data sets.

  Attributes:
    counts: int64[..., C, C], rows of the class of the first axis that were
      said to be of the class of the second.
  """

  counts: np.ndarray

  @classmethod
  def from_probabilities(cls, probability, value, known=None):
    """Counts decisions for the likeliest class, of equals the first.

    Args:
      probability: float[N, C].
      value: int[N], the class; ignored where not known.
      known: bool[N], or None where every class is known.

    Raises:
      UserError: as `check_classes`.
    """
    probability, value, known = check_classes(probability, value, known)
    unit = np.zeros(int(known.sum()), np.int64)
    return cls(_tables(probability[known], value[known], unit, 1)[0])

  @property
  def support(self):
    """int64[..., C], rows of each class."""
    return self.counts.sum(axis=-1)

  @property
  def one_against_rest(self) -> metrics.Confusion:
    """Counts of each class against all others, int64[..., C]."""
    right = np.diagonal(self.counts, axis1=-2, axis2=-1)
    wrong = self.counts.sum(axis=-2) - right
    missed = self.support - right
    total = self.counts.sum(axis=(-2, -1))[..., None]
    return metrics.Confusion(
      right, wrong, missed, total - right - wrong - missed
    )

  @property
  def precision(self):
    """float64[..., C]; 0 where nothing is said to be of the class."""
    return self.one_against_rest.precision

  @property
  def recall(self):
    """float64[..., C]; 0 where no row is of the class."""
    return self.one_against_rest.recall

  @property
  def f1(self):
    """float64[..., C]."""
    return self.one_against_rest.f1

  @property
  def f1_macro(self):
    """float64[...], mean of F1 over all classes, those without rows too."""
    return self.f1.mean(axis=-1)

  @property
  def f1_macro_present(self):
    """float64[...], mean of F1 over the classes that have a row, or 0."""
    return self.one_against_rest.f1_macro_present

  @property
  def accuracy(self):
    """float64[...], rows said to be of their class / known rows."""
    right = np.trace(self.counts, axis1=-2, axis2=-1)
    return metrics.divide(right, self.counts.sum(axis=(-2, -1)))

  def majority(self) -> ClassCounts:
    """Returns the counts where the most frequent class is always said."""
    floor = np.zeros_like(self.counts)
    floor[:, self.support.argmax()] = self.support
    return ClassCounts(floor)


def check_classes(probability, value, known=None):
  """Returns (probability float[N, C], value int[N], known bool[N]).

  Raises:
    UserError: shapes differ, a known value is no class, or the probability of
      a known row is not a number.
  """
  probability, value = np.asarray(probability), np.asarray(value)
  known = (
    np.ones(value.shape, bool) if known is None else np.asarray(known, bool)
  )
  if probability.ndim != 2 or not (
    probability.shape[:1] == value.shape == known.shape
  ):
    raise errors.UserError(
      'probability must have shape [N, C], and value and known [N], but they '
      f'have {probability.shape}, {value.shape} and {known.shape}: give a row '
      'for each image and a column for each class.'
    )
  odd = known & ~((value >= 0) & (value < probability.shape[1]))
  if odd.any():
    raise errors.UserError(
      f'value must be a class, 0 to {probability.shape[1] - 1}, where known, '
      f'but holds {value[odd][0]}: set known to False where it is unknown.'
    )
  metrics.check_finite(probability, known[:, None])
  return probability, value, known


def resample(probability, value, unit, num_resamples, seed, num_units=0):
  """Returns the `ClassCounts` of resampled units; None of a single one.

  Args:
    probability: float[N, C], of rows whose class is known.
    value: int[N].
    unit: int64[N], from 0.
    num_resamples: R.
    seed: int.
    num_units: of them, where some have no row; 0: each has one.
  """
  num_units = num_units or int(unit.max(initial=0)) + 1
  tables = _tables(probability, value, unit, num_units)
  sums = bootstrap.resample_sums(
    tables.reshape(len(tables), -1), num_resamples, seed
  )
  if sums is None:
    return None
  whole = sums.round().astype(np.int64)
  return ClassCounts(whole.reshape(-1, *tables.shape[1:]))


def _tables(probability, value, unit, num_units):
  """Returns int64[U, C, C], the confusion matrix of each unit."""
  size = probability.shape[1]
  said = probability.argmax(axis=1)
  cell = (unit * size + value.astype(np.int64)) * size + said
  counts = np.bincount(cell, minlength=num_units * size * size)
  return counts.reshape(num_units, size, size)
