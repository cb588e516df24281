r"""The box of whole counts, and how large a count can be where none bounds it.

Where `upper` is inf, the objective, a price or a budget may still bound the
growth at the optimum. `largest_counts` finds a finite bound that some optimum
keeps, so a solution inside it, and its certificate, are those of the problem
without a bound.

Let n' be the counts inside the bounds next to those there are. No optimum is
worse, so all that is known of n' bounds an optimum n. With phi >= 0,

  phi(n) + lam Var(g) + c sum (n - least) <= E,
  E = phi(n') + lam Var(g') + c sum (n' - least),

for c the price of an image. A logarithm has no bound, but log z <= log t + z/t
- 1 with t_i = 2 M k_i / c, M labels in a labelset at most, gives phi >= -sum
k_i (log t_i - 1) - (c / 2) sum n: the same with c / 2 for c, and what is taken
off added to E. Each of these follows from that:

  price   sum (n - least) <= E / c.
  mean    sum (g - m)^2 <= R^2 = S E / lam with m the mean growth, so that every
          g <= m + R; and m is bounded by any of
            m <= u + R                             where one has upper u,
            m sum n_o <= sum least + E / c + |n_o| R,
            m |A 1| <= sqrt(E scale) + |b| + |a| R    or E for sqrt(E scale),
          as x(g) = m A 1 + b + A (g - m); a_s bounds the column of A.
  budget  n_s <= budget - the least counts of all others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aubal_jax.balancing import blocks as blocks_lib
from aubal_jax.balancing import rules as rules_lib
from aubal_jax.runs import errors

# Of rounding: two products' and that of the decimal number that was meant.
_TOLERANCE = 4 * np.finfo(np.float64).eps
_SLACK = 1 + 1e-6  # Above all rounding in a bound.


def integer_box(start, lower, upper):
  """Returns the whole counts allowed: int64[S] least, most, and empty boxes.

  A product of a growth and a count that is whole but for rounding is whole. A
  box without a whole number becomes the whole number nearest to it.

  Args:
    start: int[S], n_o.
    lower: float[S], least growth.
    upper: float[S], largest growth; inf for no bound.

  Returns:
    int64[S] least count, int64[S] most (2^53 where it is no less than that),
    and how many boxes were empty.

  Raises:
    UserError: least counts beyond 2^53.
  """
  beyond = rules_lib.COUNTABLE
  fewest = snapped(np.minimum(lower, beyond) * start, np.ceil)
  rules_lib.check_countable('lower', fewest.sum())
  largest = np.minimum(np.minimum(upper, beyond) * start, beyond)
  largest = snapped(largest, np.floor)
  empty = fewest > largest
  middle = np.rint((lower + np.where(empty, upper, lower)) / 2 * start)
  return (
    np.where(empty, middle, fewest).astype(np.int64),
    np.where(empty, middle, largest).astype(np.int64),
    int(empty.sum()),
  )


def snapped(product, rounded) -> np.ndarray:
  """Returns whole numbers float64[S]: the nearest where rounding may be all.

  Args:
    product: float64[S], of a growth and a count.
    rounded: np.floor or np.ceil, for what is not whole.
  """
  nearest = np.rint(product)
  is_whole = np.abs(product - nearest) <= _TOLERANCE * product
  return np.where(is_whole, nearest, rounded(product))


def bounded(most, bound, upper) -> np.ndarray:
  """Returns int64[S], the largest counts where some had no bound of their own.

  Args:
    most: int64[S], 2^53 where `upper` is no bound.
    bound: float64[S], from `largest_counts`.
    upper: float64[S], largest growth.

  Raises:
    UserError: one is beyond 2^53 still.
  """
  bound = np.minimum(most, bound)
  beyond = bound >= rules_lib.COUNTABLE
  if beyond.any():
    raise errors.UserError(
      f'upper is {upper[beyond].max():g}, and nothing else bounds how many '
      'images of a labelset there may be, or not below 2^53: it needs a price '
      '(image_cost above 0) or a budget, or a smaller upper.'
    )
  return bound.astype(np.int64)


def largest_counts(
  instance, is_free, lam_factors=(1.0, 1.0), any_budget: bool = False
) -> np.ndarray:
  """Returns float64[S], counts that an optimum does not exceed; inf: no bound.

  Args:
    instance: the problem; `most` is not read where `is_free`.
    is_free: bool[S], whether a labelset's growth has no upper bound.
    lam_factors: the least and the largest lam, as multiples of the instance's,
      for which the bounds hold.
    any_budget: whether they hold for all budgets to the instance's, and none.
  """
  near = np.clip(instance.start, instance.least, instance.most)
  fewest, budget = instance.least.sum(), instance.budget
  bound = np.full(len(instance), np.inf)
  if any_budget or not budget or near.sum() <= budget.most:
    bound = _of_objective(instance, near, is_free, lam_factors)
  if budget and not any_budget:
    spent = np.maximum(budget.most - fewest, 0) + instance.least
    bound = spent if budget.exactly else np.minimum(bound, spent)
  elif any_budget:  # A smaller one may not let `near` be.
    bound = np.maximum(bound, near.sum())
    bound = np.maximum(bound, budget.most if budget.exactly else 0.0)
  return bound


def _of_objective(instance, near, is_free, lam_factors) -> np.ndarray:
  """Returns the least of the bounds by price and by mean, float64[S]."""
  low, high = (factor * instance.lam for factor in lam_factors)
  price = instance.image_cost
  spread = high * np.var(near / instance.start)
  level = instance.level(instance.deviations(near))
  fewest = instance.least.sum()
  if instance.penalty == 'log':
    return _of_logarithm(instance, near, is_free, low, spread)
  energy = _SLACK * (level + spread + price * (near.sum() - fewest))
  if price == 0 and energy <= 1e-12 * near.sum():  # No counts are more even.
    return near
  return _of_energy(instance, is_free, energy, price, low)


def _of_logarithm(instance, near, is_free, lam, spread) -> np.ndarray:
  """As `_of_objective`, for 'log'."""
  price, k = instance.image_cost, instance.scale
  level = instance.level(instance.deviations(near))
  if price == 0:
    return _of_capped_logarithm(instance, is_free, lam, level + spread)
  tangent = 2 * instance.sizes.max() * k / price
  energy = level + spread + price * near.sum()
  energy += k @ (np.log(tangent) - 1) - price / 2 * instance.least.sum()
  energy = _SLACK * energy + 1e-9 * abs(level)
  return _of_energy(instance, is_free, energy, price / 2, lam)


def _of_capped_logarithm(instance, is_free, lam, priced) -> np.ndarray:
  """As `_of_objective`, for 'log' without a price, where one has an upper.

  With u the growth of that one at most and G >= 1 the largest of all, Var(g) is
  at least (G - u)^2 / 2 S, and phi at least -sum k log(G z_o). By log G <= log
  r + G / r - 1, for any r > 0, G - u is at most the root of a quadratic.
  """
  if not lam or is_free.all() or not np.isfinite(priced):
    return np.full(len(instance), np.inf)
  cap = (instance.most / instance.start)[~is_free].min()
  k = instance.scale.sum()
  known = priced + instance.scale @ np.log(instance.patterns.T @ instance.start)
  r = np.geomspace(1.0, 1e15, 61)
  q = lam / 2 / len(instance)
  rest = np.maximum(known + k * (np.log(r) + cap / r - 1), 0.0)
  away = (k / r + np.sqrt((k / r) ** 2 + 4 * q * rest)) / (2 * q)
  return _SLACK * np.maximum(cap + away.min(), 1.0) * instance.start + 1


def _of_energy(instance, is_free, energy, price, lam) -> np.ndarray:
  """Returns the bounds that follow from E, float64[S]; see the module."""
  bound = np.full(len(instance), np.inf)
  if not np.isfinite(energy):
    return bound
  added = energy / price if price else np.inf
  bound = np.minimum(bound, instance.least + added)
  if lam:
    radius = np.sqrt(len(instance) * energy / lam)
    mean = _most_mean(instance, is_free, energy, added, radius)
    bound = np.minimum(bound, (mean + radius) * instance.start)
  return np.ceil(_SLACK * bound) + 1


def _most_mean(instance, is_free, energy, added, radius) -> float:
  """Returns what the mean growth is at most; inf where it may be anything."""
  start = instance.start
  means: list[Any] = [np.inf]
  if not is_free.all():
    means.append((instance.most / start)[~is_free].min() + radius)
  images = instance.least.sum() + added + np.linalg.norm(start) * radius
  means.append(images / start.sum())
  if instance.penalty == 'log':
    return min(means)
  columns = start * _column_sizes(instance)
  order = 1 if instance.penalty == 'absolute' else 2
  uneven = np.linalg.norm(instance.deviations(start) - instance.offset, order)
  uneven -= 1e-9 * columns.sum()  # Of rounding.
  if uneven > 0:
    own = energy if order == 1 else np.sqrt(energy * instance.scale.max())
    moved = np.linalg.norm(instance.offset, order)
    moved += np.linalg.norm(columns) * radius
    means.append((own + moved) / uneven)
  return min(means)


def _column_sizes(instance) -> np.ndarray:
  """Returns float64[S], at least how far an image moves x in all."""
  own = instance.patterns @ instance.weights
  if instance.blocks is None:
    return own + instance.mass * (instance.weights @ instance.target)
  tau = instance.weights * instance.target
  return own + instance.patterns @ blocks_lib.sums(instance.blocks, tau)
