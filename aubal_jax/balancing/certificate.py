r"""The certificate: a number that no growth in the box can go below.

For any u in [-1, 1]^L, weak duality gives

  d(u) = min over g in the box of c . g + lam Var(g)  <=  min f,
  c = A^T u + image_cost n_o,

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


def separable_minimum(
  problem: objective.Problem, slopes, pull, center
) -> tuple[Array, Array, Array, Array]:
  r"""Minimises c . g + lam Var(g) + sum_s h_s (g_s - y_s)^2 / 2 over the box.

  Everything is computed from d = m - g, which stays exact where lam is so large
  that m and g agree to all digits.

  Args:
    problem: gives lam and the box.
    slopes: float64[S], c.
    pull: float64[S], h >= 0.
    center: float64[S], y.

  Returns:
    growth float64[S], the minimiser, exactly at its bound where it is at one;
    d float64[S]; the mean m; and a float64 that bounds from above what an
    inexact m adds to the minimum.
  """
  q = 2 * problem.lam / len(slopes)
  total = q + pull

  def away_at(mean):
    free = (slopes + pull * (mean - center)) / jnp.where(total > 0, total, 1)
    corner = jnp.where(slopes > 0, jnp.inf, -jnp.inf)
    free = jnp.where(total > 0, free, corner)
    highest, lowest = mean - problem.lower, mean - problem.upper
    inside = (free > lowest) & (free < highest)
    return jnp.clip(free, lowest, highest), inside

  def unsolved(state):
    step, _, low, high, above = state
    return (step < _ROOT_STEPS) & (high - low > 1e-15 * high) & (above != 0)

  def narrow(state):
    step, mean, low, high, _ = state
    away, inside = away_at(mean)
    above = away.mean()
    slope = 1 - jnp.where(inside, q / jnp.maximum(total, 1e-300), 0.0).mean()
    low = jnp.where(above <= 0, mean, low)
    high = jnp.where(above >= 0, mean, high)
    newton = mean - above / jnp.maximum(slope, 1e-12)
    within = (newton > low) & (newton < high)
    following = jnp.where(within, newton, (low + high) / 2)
    return step + 1, following, low, high, above

  low, high = problem.lower.mean(), problem.upper.mean()
  start = (0, jnp.clip(center.mean(), low, high), low, high, jnp.ones_like(low))
  _, mean, low, high, _ = jax.lax.while_loop(unsolved, narrow, start)
  away, _ = away_at(mean)
  above = away.mean()
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
  most that rounding can do, (S + L + 8) eps times the terms' magnitudes.

  Args:
    problem: the problem, in float64.
    u: float64[L]; clipped to [-1, 1].
    image_cost: price of an added image; 0 bounds f alone.
  """
  u = jnp.clip(u, -1, 1)
  slopes = objective.labelset_slopes(problem, u) + image_cost * problem.counts
  zeros = jnp.zeros_like(slopes)
  _, away, mean, slack = separable_minimum(problem, slopes, zeros, zeros + 1)
  spread = problem.lam * (away**2).mean()
  terms = problem.weights + problem.target @ problem.weights
  magnitude = problem.counts * objective.sum_over_labels(problem, terms)
  magnitude = (magnitude + image_cost * problem.counts) * (mean + jnp.abs(away))
  num_sums = len(slopes) + len(u) + 8
  rounding = num_sums * jnp.finfo(slopes.dtype).eps * (magnitude.sum() + spread)
  bound = mean * slopes.sum() - (slopes * away).sum() + spread
  return bound - slack - rounding - image_cost * problem.counts.sum()


def certify(problem: objective.Problem, growth, u) -> dict[str, Array]:
  """Returns f, cost and both lower bounds at growth `growth` and dual `u`."""
  return {
    'value': objective.value(problem, growth),
    'cost': objective.cost(problem, growth),
    'lower_bound': lower_bound(problem, u, 0.0),
    'lower_bound_priced': lower_bound(problem, u, problem.image_cost),
  }
