"""What differences between methods can be told from chance: plain functions.

Trials of repeated k-fold share images, so the variance of their mean is larger
than 1 / J of theirs. Nadeau and Bengio (Inference for the generalization
error, 2003) put 1 / J + n_test / n_train in its place. Ranks over data sets as
in Demsar, Statistical comparisons of classifiers over multiple data sets, 2006.
"""

from __future__ import annotations

import functools
import math
import typing

import numpy as np
import scipy  # Whose stats, of a second, are imported when asked for.

from aubal_jax.runs import errors

ALPHA = 0.05
CONFIDENCE = 1 - ALPHA


class Estimate(typing.NamedTuple):
  """A mean, the variance of that mean, and its degrees of freedom.

  One value alone has variance NaN: nothing is known of how it varies.
  Student's t is that of `scipy.special`: a comparison asks for it thousands of
  times, and `scipy.stats.t` checks its arguments for longer than it computes.
  """

  mean: float
  variance: float
  dof: float

  def half_width(self) -> float | None:
    """Returns half the width of the 95 % Student interval, None if unknown."""
    if math.isnan(self.variance):
      return None
    spread = scipy.special.stdtrit(self.dof, 0.5 + CONFIDENCE / 2)
    return float(spread * math.sqrt(self.variance))

  def p_value(self) -> float | None:
    """Returns the two-sided p of a mean of 0; 1 where nothing ever differs."""
    if math.isnan(self.variance):
      return None
    if self.variance == 0:
      return float(self.mean == 0)
    t = abs(self.mean) / math.sqrt(self.variance)
    return float(2 * scipy.special.stdtr(self.dof, -t))


def estimate(values, ratio: float) -> Estimate:
  """Returns the mean of overlapping trials, with the corrected variance.

  The variance is (1 / J + ratio) s^2, s^2 the sample variance; of differences
  this is the corrected resampled t-test of Nadeau and Bengio.

  Args:
    values: float[J], scores of J splits or differences of them.
    ratio: n_test / n_train of a split; 0: the values are independent.

  Raises:
    UserError: there is no value.
  """
  values = np.asarray(values, np.float64)
  if not values.size:
    raise errors.UserError('values must hold at least one score; it is empty.')
  if values.size == 1:
    return Estimate(float(values[0]), math.nan, 0.0)
  mean = float(values.mean())
  variance = float(values.var(ddof=1))
  if np.ptp(values) <= 1e-12:  # Equal but for the order of a sum.
    mean, variance = float(np.round(mean, 12)), 0.0
  return Estimate(mean, (1 / values.size + ratio) * variance, values.size - 1.0)


def average(estimates) -> Estimate:
  """Returns the mean of independent estimates, such as of several data sets.

  The data sets are taken as given: nothing is said of others. Degrees of
  freedom are those of Welch and Satterthwaite.

  Args:
    estimates: Estimates, at least one.
  """
  mean, variance, dof = np.array([*estimates], np.float64).T
  total = variance.sum()
  if total > 0:
    dof = total**2 / (variance[variance > 0] ** 2 / dof[variance > 0]).sum()
  else:
    dof = dof.sum()
  return Estimate(float(mean.mean()), float(total / len(mean) ** 2), float(dof))


def holm(p) -> list[float | None]:
  """Returns the p of K tests made at once, adjusted by Holm.

  None is no test, and stays None.
  """
  p = np.array([math.nan if x is None else x for x in p])
  adjusted = np.full(p.shape, math.nan)
  (tested,) = np.nonzero(~np.isnan(p))
  order = tested[np.argsort(p[tested], kind='stable')]
  steps = p[order] * np.arange(len(order), 0, -1)
  adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
  return [None if math.isnan(x) else float(x) for x in adjusted]


def ranks(scores) -> np.ndarray:
  """Returns float[D, K], ranks in each row: 1 the highest, ties averaged.

  Args:
    scores: float[D, K], of K methods on D data sets; equal to 12 digits is
      equal.
  """
  return scipy.stats.rankdata(
    -np.round(np.asarray(scores, np.float64), 12), axis=1
  )


class Friedman(typing.NamedTuple):
  """Friedman's chi square, and Iman and Davenport's F, which is less timid."""

  chi_square: float
  chi_square_p: float
  f: float | None
  f_p: float


def friedman(scores) -> Friedman | None:
  """Tests whether K methods rank alike on D data sets.

  F = (D - 1) chi^2 / (D (K - 1) - chi^2), with K - 1 and (K - 1) (D - 1)
  degrees of freedom. Where all data sets agree F is infinite, here None, and
  its p is the chance of that, 1 / K!^(D - 1).

  Args:
    scores: float[D, K].

  Returns:
    None with fewer than 3 methods or 2 data sets, or where all scores tie.
  """
  scores = np.round(np.asarray(scores, np.float64), 12)
  num, k = scores.shape
  if num < 2 or k < 3 or not np.ptp(scores, axis=1).any():
    return None
  chi_square, p = scipy.stats.friedmanchisquare(*scores.T)
  left = num * (k - 1) - chi_square
  if left <= 1e-9 * num * k:
    chance = math.exp(-(num - 1) * math.lgamma(k + 1))
    return Friedman(float(chi_square), float(p), None, chance)
  f = (num - 1) * chi_square / left
  f_p = scipy.stats.f.sf(f, k - 1, (k - 1) * (num - 1))
  return Friedman(float(chi_square), float(p), float(f), float(f_p))


@functools.cache
def nemenyi_q(num_methods: int) -> float:
  """Returns q: the studentised range's quantile over the root of 2."""
  quantile = scipy.stats.studentized_range.ppf(1 - ALPHA, num_methods, np.inf)
  return float(quantile) / math.sqrt(2)


def critical_difference(num_methods: int, num_data: int) -> float:
  """Returns how far average ranks must be apart: q sqrt(K (K + 1) / (6 D))."""
  spread = num_methods * (num_methods + 1) / (6 * num_data)
  return nemenyi_q(num_methods) * math.sqrt(spread)


def data_needed(num_methods: int, distance: float) -> int | None:
  """Returns how many data sets tell ranks apart that are `distance` apart."""
  if distance <= 0:
    return None
  q = nemenyi_q(num_methods) / distance
  return math.ceil(num_methods * (num_methods + 1) / 6 * q**2)


def not_told_apart(average_ranks, difference: float) -> list[list[int]]:
  """Returns the bars of a critical-difference diagram, the best ranks first.

  Args:
    average_ranks: float[K].
    difference: from `critical_difference`.

  Returns:
    Lists of two or more methods whose ranks lie within the difference, none
    inside another.
  """
  average_ranks = np.asarray(average_ranks)
  order = np.argsort(average_ranks, kind='stable')
  placed = average_ranks[order]
  ends = np.searchsorted(placed, placed + difference, side='right')
  bars, reached = [], 0
  for start, end in enumerate(ends):
    if end > max(reached, start + 1):
      bars.append(order[start:end].tolist())
      reached = end
  return bars
