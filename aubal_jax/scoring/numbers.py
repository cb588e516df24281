"""Scores of a target that is D real numbers, from moments that add up.

    CCC(x, y) = 2 s_xy / (s_x^2 + s_y^2 + (m_x - m_y)^2)

with deviations of n, over all known rows pooled; 0 where it would be 0 / 0, as
where both are constant. Lin: A Concordance Correlation Coefficient to Evaluate
Reproducibility, Biometrics 1989.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.scoring import bootstrap
from aubal_jax.scoring import metrics

_ROUNDING = 1e-12  # In shares of what is subtracted.


@dataclasses.dataclass(frozen=True)
class Moments:
  """Sums over known entries; axes before the last two are separate data sets.

  Attributes:
    sums: float64[..., 6, D], of 1, x, y, x^2, y^2 and x y, where x is what is
      said and y what is true, both less one constant.
  """

  sums: np.ndarray

  @classmethod
  def from_predictions(cls, said, value, known=None):
    """Sums over the known entries.

    Args:
      said: float[N, D].
      value: float[N, D]; ignored where not known.
      known: bool[N, D], or None where every number is known.

    Raises:
      UserError: as `check_numbers`.
    """
    said, value, known = check_numbers(said, value, known)
    return cls(_terms(said, value, known).sum(axis=0))

  @property
  def known(self):
    """int64[..., D], known entries of each number."""
    return self.sums[..., 0, :].round().astype(np.int64)

  @property
  def ccc(self):
    """float64[..., D], see the module."""
    n, *moments = np.moveaxis(self.sums, -2, 0)
    x, y, xx, yy, xy = (metrics.divide(m, n) for m in moments)
    of_x, of_y = _variance(xx, x), _variance(yy, y)
    shared = np.where((of_x > 0) & (of_y > 0), xy - x * y, 0)
    return metrics.divide(2 * shared, of_x + of_y + (x - y) ** 2)

  @property
  def ccc_mean(self):
    """float64[...], mean of CCC over the numbers."""
    return self.ccc.mean(axis=-1)

  @property
  def ccc_sum(self):
    """float64[...], sum of CCC over the numbers."""
    return self.ccc.sum(axis=-1)

  @property
  def rmse(self):
    """float64[..., D], root of the mean square of what is said less true."""
    n, _, _, xx, yy, xy = np.moveaxis(self.sums, -2, 0)
    return np.sqrt(metrics.divide(np.maximum(xx - 2 * xy + yy, 0), n))

  @property
  def rmse_mean(self):
    """float64[...], mean of RMSE over the numbers."""
    return self.rmse.mean(axis=-1)

  def at_the_mean(self) -> Moments:
    """Returns the sums where the mean of the true numbers is always said."""
    n, _, y, _, yy, _ = np.moveaxis(self.sums, -2, 0)
    mean = metrics.divide(y, n)
    terms = n, n * mean, y, n * mean**2, yy, mean * y
    return Moments(np.stack(terms, axis=-2))


def _variance(square, mean):
  """Returns mean square less squared mean; 0 where that is but rounding."""
  variance = square - mean**2
  return np.where(variance > _ROUNDING * square, variance, 0)


def check_numbers(said, value, known=None):
  """Returns (said float[N, D], value float[N, D], known bool[N, D]).

  Raises:
    UserError: shapes differ, or a known entry is not a number.
  """
  said, value = np.asarray(said), np.asarray(value)
  known = (
    np.ones(value.shape, bool) if known is None else np.asarray(known, bool)
  )
  if said.ndim != 2 or not said.shape == value.shape == known.shape:
    raise errors.UserError(
      'said, value and known must have one shape [N, D], but have '
      f'{said.shape}, {value.shape} and {known.shape}: give a row for each '
      'image and a column for each number.'
    )
  metrics.check_finite(said, known)
  if not np.isfinite(value[known]).all():
    raise errors.UserError(
      'value must be finite where known: set known to False where it is not.'
    )
  return said, value, known


def resample(said, value, known, unit, num_resamples, seed, num_units=0):
  """Returns the `Moments` of resampled units; None of a single one.

  Args:
    said, value, known: as of `check_numbers`.
    unit: int64[N], from 0.
    num_resamples: R.
    seed: int.
    num_units: of them, where some have no row; 0: each has one.
  """
  terms = _terms(said, value, known)
  num_units = num_units or int(unit.max(initial=0)) + 1
  of_units = np.zeros((num_units, *terms.shape[1:]))
  np.add.at(of_units, unit, terms)
  sums = bootstrap.resample_sums(
    of_units.reshape(num_units, -1), num_resamples, seed
  )
  return None if sums is None else Moments(sums.reshape(-1, *terms.shape[1:]))


def _terms(said, value, known):
  """Returns float64[N, 6, D], what each row adds to the sums."""
  x = np.where(known, said, 0).astype(np.float64)
  y = np.where(known, value, 0).astype(np.float64)
  # Near the mean, squares lose no digits to it.
  mean = metrics.divide(y.sum(axis=0), known.sum(axis=0))
  x, y = ((z - mean) * known for z in (x, y))
  terms = known.astype(np.float64), x, y, x * x, y * y, x * y
  return np.stack(terms, axis=1)
