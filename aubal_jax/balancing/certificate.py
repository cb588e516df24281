r"""The certificate: a number that no growth in the box can go below.

For any u of the dual (u_i in [low_i, high_i], one for each class and one, the
price of an image, for the budget), weak duality gives

  d(u) = b . u - phi*(u) + min over g in the box of c . g + lam Var(g)
      <= min f,     c = A^T u + image_cost n_o,

and the minimum is had exactly: lam Var(g) is the least over m of
lam / S sum (g_s - m)^2, so for a fixed m each labelset stands alone,
g_s(m) = clip(m - c_s / q, lower, upper) with q = 2 lam / S, and m is the root
of m = mean g(m), a monotone piecewise linear equation.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from aubal_jax.balancing import objective

_ROOT_STEPS = 100
_PRICE_STEPS = 60


def separable_minimum(
  problem: objective.Problem, slopes, pull, center, guess=None
) -> tuple[Array, Array, Array, Array]:
  r"""Minimises c . g + lam Var(g) + sum_s h_s (g_s - y_s)^2 / 2 over the box.

  Everything is computed from d = m - g, which stays exact where lam is so large
  that m and g agree to all digits.

  Args:
    problem: gives lam and the box.
    slopes: float64[S'], c.
    pull: float64[S'], h >= 0.
    center: float64[S'], y.
    guess: of the mean m, where a good one is known.

  Returns:
    growth float64[S'], the minimiser, exactly at its bound where it is at one;
    d float64[S'], 0 at empty places; the mean m; and a float64 that bounds from
    above what an inexact m adds to the minimum.
  """
  q = problem.q
  total = q + pull

  def away_at(mean):
    free = (slopes + pull * (mean - center)) / jnp.where(total > 0, total, 1)
    corner = jnp.where(slopes > 0, jnp.inf, -jnp.inf)
    free = jnp.where(total > 0, free, corner)
    highest, lowest = mean - problem.lower, mean - problem.upper
    inside = (free > lowest) & (free < highest)
    return problem.present * jnp.clip(free, lowest, highest), inside

  def unsolved(state):
    step, _, low, high, above = state
    return (step < _ROOT_STEPS) & (high - low > 1e-15 * high) & (above != 0)

  def narrow(state):
    step, mean, low, high, _ = state
    away, inside = away_at(mean)
    above = away.sum() / problem.num_sets
    moved = jnp.where(inside, q / jnp.maximum(total, 1e-300), 0.0)
    slope = 1 - moved.sum() / problem.num_sets
    low = jnp.where(above <= 0, mean, low)
    high = jnp.where(above >= 0, mean, high)
    newton = mean - above / jnp.maximum(slope, 1e-12)
    within = (newton > low) & (newton < high)
    following = jnp.where(within, newton, (low + high) / 2)
    return step + 1, following, low, high, above

  low = problem.lower.sum() / problem.num_sets
  high = problem.upper.sum() / problem.num_sets
  guess = center.sum() / problem.num_sets if guess is None else guess
  start = (0, jnp.clip(guess, low, high), low, high, jnp.ones_like(low))
  _, mean, low, high, _ = jax.lax.while_loop(unsolved, narrow, start)
  away, _ = away_at(mean)
  above = away.sum() / problem.num_sets
  distance = jnp.where(above > 0, mean - low, high - mean)
  # d/dm of the minimum is q sum (m - g_s) = 2 lam (m - mean g).
  slack = 2 * problem.lam * jnp.abs(above) * jnp.maximum(distance, 0)
  growth = jnp.clip(mean - away, problem.lower, problem.upper)
  growth = jnp.where(away >= mean - problem.lower, problem.lower, growth)
  growth = jnp.where(away <= mean - problem.upper, problem.upper, growth)
  return growth, away, mean, slack


def lower_bound(problem: objective.Problem, u, image_cost) -> Array:
  """Returns d(u) - image_cost sum n_o, a lower bound on f + cost.

  Rigorous in float64: what an inexact root may add is taken off, and so is the
  most that rounding can do. A sum of n terms in any order is off by at most
  (n - 1) eps times the sum of magnitudes; sums over S labelsets are made in two
  levels, so that n is about 2 sqrt(S).

  Args:
    problem: the problem, in float64.
    u: float64[L + 1]; clipped to the dual's domain.
    image_cost: price of an added image; 0 bounds f alone.
  """
  u = objective.within_dual(problem, u)
  counts = problem.counts
  slopes = objective.all_slopes(problem, u) + image_cost * counts
  zeros = jnp.zeros_like(slopes)
  _, away, mean, slack = separable_minimum(
    problem, slopes, zeros, problem.present
  )
  spread = problem.lam * _two_level_sum(away**2) / problem.num_sets
  minimum = mean * _two_level_sum(slopes) - _two_level_sum(slopes * away)
  # u with the budget's share: B u is the least that row can be.
  fixed = problem.offset @ u[:-1] - objective.conjugate(problem, u)
  fixed -= jnp.where(problem.high[-1] > 0, problem.budget * u[-1], 0.0)
  weighed = jnp.abs(problem.weights * u[:-1])
  size = problem.incidence.over_labels(weighed)
  size += problem.mass * (problem.target @ weighed)
  size = counts * (size + jnp.abs(u[-1]) + image_cost)
  magnitude = _two_level_sum(size * (mean + jnp.abs(away))) + spread
  num_sums = 2 * (len(u) + 2 * len(counts) ** 0.5 + 16)
  magnitude += jnp.abs(problem.offset) @ jnp.abs(u[:-1])
  magnitude += jnp.abs(problem.budget * u[-1])
  magnitude += _conjugate_size(problem, u) + image_cost * counts.sum()
  rounding = num_sums * jnp.finfo(slopes.dtype).eps * magnitude
  total = image_cost * _two_level_sum(counts)
  return minimum + spread + fixed - slack - rounding - total


def _conjugate_size(problem, u) -> Array:
  """Returns the sum of magnitudes of the terms of phi*(u)."""
  size = (problem.bend * u**2).sum() / 2
  if problem.penalty == 'log':
    k, v = problem.scale, -u[:-1]
    size += (k * (jnp.abs(jnp.log(k)) + jnp.abs(jnp.log(v)) + 1)).sum()
  return size


def _two_level_sum(values) -> Array:
  """Returns the sum, as about sqrt(S) sums of about sqrt(S) terms each."""
  width = int(len(values) ** 0.5) + 1
  filled = jnp.pad(values, (0, -len(values) % width))
  partial = filled.reshape(-1, width).sum(axis=1)
  # Without the barrier XLA may merge both sums into one.
  return jax.lax.optimization_barrier(partial).sum()


def certify(problem: objective.Problem, growth, u) -> dict[str, Array]:
  """Returns f, cost and both lower bounds at growth `growth` and dual `u`.

  Args:
    problem: the problem, in float64.
    growth: float64[S'], inside the box and the budget.
    u: float64[L + 1].
  """
  return {
    'value': objective.value(problem, growth),
    'cost': objective.cost(problem, growth),
    'lower_bound': lower_bound(problem, u, 0.0),
    'lower_bound_priced': lower_bound(problem, u, problem.image_cost),
  }


def within_budget(problem: objective.Problem, growth) -> Array:
  """Returns growth float64[S'] moved along one line until the budget is met.

  Towards the lower bounds where there are too many images, towards the upper
  ones where there are too few and the number is exact.
  """
  if_any = problem.high[-1] > 0
  exactly = problem.low[-1] < 0
  images = (problem.counts * growth).sum()
  fewest = (problem.counts * problem.lower).sum()
  largest = (problem.counts * problem.upper).sum()
  too_many = if_any & (images > problem.budget)
  too_few = if_any & exactly & (images < problem.budget)
  down = (images - problem.budget) / jnp.maximum(images - fewest, 1e-300)
  up = (problem.budget - images) / jnp.maximum(largest - images, 1e-300)
  share = jnp.clip(jnp.where(too_many, down, jnp.where(too_few, up, 0.0)), 0, 1)
  bound = jnp.where(too_many, problem.lower, problem.upper)
  return growth + share * (bound - growth)


def best_price(problem: objective.Problem, u) -> Array:
  """Returns u float[L + 1] with the budget's price that bounds best.

  Given the classes' u the bound is concave in the price, and its slope is the
  number of images beyond the budget at the growth that attains the minimum.

  Args:
    problem: the problem, in float64.
    u: float64[L + 1], whose last entry is where the search begins.
  """
  base = objective.all_slopes(problem, u.at[-1].set(0.0))
  base += problem.image_cost * problem.counts
  zeros = jnp.zeros_like(base)

  def beyond(price, guess):
    growth, _, mean, _ = separable_minimum(
      problem, base + price * problem.counts, zeros, problem.present, guess
    )
    return (problem.counts * growth).sum() - problem.budget, mean

  def search():
    widest = jnp.abs(base / jnp.maximum(problem.counts, 1.0)).max()
    widest += problem.q * (problem.upper - problem.lower).max() + 1.0
    zero = jnp.zeros_like(widest)
    free, mean = beyond(zero, None)
    low = jnp.where(problem.low[-1] < 0, -widest, 0.0)

    def halve(_, bracket):
      low, high, mean = bracket
      middle = (low + high) / 2
      excess, mean = beyond(middle, mean)
      more = excess > 0
      low, high = jnp.where(more, middle, low), jnp.where(more, high, middle)
      return low, high, mean

    bracket = (low, widest, mean)
    low, high, _ = jax.lax.fori_loop(0, _PRICE_STEPS, halve, bracket)
    return jnp.where(free > 0, high, low)

  price = jax.lax.cond(
    problem.high[-1] > 0, search, lambda: jnp.zeros_like(problem.budget)
  )
  return u.at[-1].set(price)


def certify_within(problem: objective.Problem, growth, u):
  """Returns growth moved within the budget, u, and `certify`'s figures."""
  growth = within_budget(problem, growth)
  return growth, u, certify(problem, growth, u)


def certify_corner(problem: objective.Problem):
  """The same where the budget leaves one corner of the box, and no choice.

  The slopes of phi there are the classes' u. The price is minus the slope of f
  + cost over budgets, from there into the box: the first at which all labelsets
  stay in the corner.
  """
  counts = problem.counts
  middle = (counts * (problem.lower + problem.upper)).sum() / 2
  at_lower = problem.budget <= middle
  growth = jnp.where(at_lower, problem.lower, problem.upper)
  x = objective.deviations(problem, growth)
  u = jnp.append(objective.slope_of_level(problem, x, objective.SHARP), 0.0)
  price = -objective.multipliers(problem, growth, u)
  price /= jnp.where(counts > 0, counts, 1)
  free = problem.upper > problem.lower
  highest = jnp.where(free, price, -jnp.inf).max()
  lowest = jnp.where(free, price, jnp.inf).min()
  u = u.at[-1].set(jnp.where(at_lower, highest, lowest))
  u = objective.within_dual(problem, u)
  return growth, u, certify(problem, growth, u)
