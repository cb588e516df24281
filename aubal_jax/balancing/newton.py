r"""Proximal-point steps, each solved by a semismooth Newton method in the dual.

A step from growth y with strength sigma solves

  min over g in the box of phi(A g + b) + cost . g + lam Var(g)
                           + sum_s h_s (g_s - y_s)^2 / 2,
  h_s = (sum_i |A_is|) / (sigma (upper_s - lower_s)),

whose dual in u is concave with gradient r = A g(u) + b - phi*'(u) and (with q =
2 lam / S, D = 1 / (q + h), F the labelsets strictly inside the box) Hessian

  -H = A_F D A_F^T + q / (S - q sum_F D) v v^T + phi*'',    v = A_F D 1.

A_F D A_F^T needs only P^T diag(n_o^2 D_F) P, an L x L table. One such step from
a first-order iterate also polishes its dual, whose error is of first order
where the primal's is of second. After Li, Sun and Toh, SIAM J. Optim. 28
(2018).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jax import Array

from aubal_jax.balancing import arrays
from aubal_jax.balancing import certificate
from aubal_jax.balancing import objective

_NEWTON_STEPS = 30
_HALVINGS = 30
_PROXIMAL_STEPS = 60
_FIRST_SIGMA = 10.0
_STALLED_STEPS = 20

# More would take more memory than the rest of the problem by far.
MOST_PAIRS = 50_000_000
MOST_LABELS = 8_192


def fits(indptr, num_labels: int) -> bool:
  """Whether the pairs of labels and the L x L table are affordable."""
  lengths = np.diff(np.asarray(indptr, np.int64))
  num_pairs = (lengths * (lengths - 1) // 2).sum()
  return num_labels <= MOST_LABELS and num_pairs <= MOST_PAIRS


def run(result, growth, u) -> None:
  """Takes proximal steps until the gap is met, or no longer falls.

  Args:
    result: the `iterations.Run`.
    growth: float64[S'], where to start from, on the devices.
    u: float64[L + 1], the dual to start from.
  """
  sigma, least_gap, stalled = _FIRST_SIGMA, np.inf, 0
  for _ in range(_PROXIMAL_STEPS):
    trial, u, solved, num_steps, figures = step(
      result.where.problem, growth, u, sigma, result.wanted or 1e-300
    )
    if result.record(trial, u, figures, int(num_steps)):
      return
    if solved:
      growth, sigma = trial, sigma * 5
    else:
      sigma /= 4
    stalled = 0 if result.gap < 0.9 * least_gap else stalled + 1
    least_gap = min(least_gap, result.gap)
    if stalled > _STALLED_STEPS:
      return


class _Point(NamedTuple):
  """The dual at one u: its value, its gradient r, and the growth it has."""

  level: Array
  rest: Array
  growth: Array
  mean: Array


def _dual(problem, u, pull, center, guess):
  """Returns the `_Point` of u float[L + 1]."""
  slopes = objective.all_slopes(problem, u)
  slopes = slopes + problem.image_cost * problem.counts
  growth, away, mean, _ = certificate.separable_minimum(
    problem, slopes, pull, center, guess
  )
  level = mean * slopes.sum() - (slopes * away).sum()
  level += problem.lam * (away**2).sum() / problem.num_sets
  level += (pull * (growth - center) ** 2).sum() / 2
  level += problem.offset @ u[:-1] - problem.budget * u[-1]
  level -= objective.conjugate(problem, u)
  x = objective.all_rows(problem, growth)
  rest = x - objective.conjugate_slope(problem, u)
  return _Point(level, rest, growth, mean)


def _misfit(problem, u, point) -> Array:
  """Returns phi(x) + phi*(u) - u . x, at least 0: how far u is from a slope."""
  xp = problem.xp
  x = point.rest + objective.conjugate_slope(problem, u)
  fit = objective.level(problem, x[:-1]) + objective.conjugate(problem, u)
  beyond = x[-1]
  # An image too many costs about as much as moving it changes the classes.
  unmet = xp.where(
    problem.high[-1] > 0,
    xp.where(problem.low[-1] < 0, xp.abs(beyond), xp.maximum(beyond, 0.0)),
    0.0,
  )
  slack = u[-1] * xp.maximum(-beyond, 0.0)
  return fit - u[:-1] @ x[:-1] + unmet * (1 + xp.abs(u[-1])) + slack


def _direction(problem, pull, u, point):
  """Returns the Newton step on the rows that are not held at a bound."""
  xp = problem.xp
  growth, rest = point.growth, point.rest
  free_sets = (growth > problem.lower) & (growth < problem.upper)
  diagonal = xp.where(free_sets, 1 / (problem.q + pull), 0.0)
  held = (u >= problem.high) & (rest >= 0) | (u <= problem.low) & (rest <= 0)
  hessian = objective.normal_matrix(problem, diagonal)
  v = objective.row_moves(problem, diagonal)
  share = problem.q / (problem.num_sets - problem.q * diagonal.sum())
  hessian += share * xp.outer(v, v)
  hessian += xp.diag(objective.conjugate_curvature(problem, u))
  scale = 1 / xp.sqrt(xp.maximum(xp.diag(hessian), 1e-300))
  scale = xp.where(held, 0.0, scale)
  hessian = xp.outer(scale, scale) * hessian
  ridge = xp.where(held, 1.0, 1e-10)
  factor = arrays.cho_factor(xp, hessian + xp.diag(ridge))
  return scale * arrays.cho_solve(xp, factor, scale * rest)


@arrays.compiled
def step(problem: objective.Problem, growth, u, sigma, tol):
  """Takes one proximal-point step.

  Args:
    problem: the problem, in float64, its incidence with pairs.
    growth: float64[S'], where to start from.
    u: float64[L + 1], the dual to start from.
    sigma: strength of the step; more is less damped.
    tol: gap that is wanted in the end, in units of f.

  Returns:
    growth, u, whether the inner problem was solved, the number of Newton steps
    it took, and `certificate.certify`'s figures.
  """
  xp = problem.xp
  pull = objective.column_scale(problem) / sigma
  pull = pull / xp.maximum(problem.upper - problem.lower, 1e-12)
  center = growth
  u = objective.within_dual(problem, u)

  def wanted(point):
    moved = (pull * (point.growth - center) ** 2).sum()
    return xp.maximum(0.1 * tol, 0.02 * moved)

  def unsolved(state):
    u, point, count, stuck = state
    open_ = _misfit(problem, u, point) > wanted(point)
    return open_ & (count < _NEWTON_STEPS) & ~stuck

  def newton(state):
    u, point, count, _ = state
    direction = _direction(problem, pull, u, point)
    usable = xp.isfinite(direction).all() & (direction @ point.rest > 0)
    direction = xp.where(usable, direction, point.rest)

    def attempt(scale):
      trial = objective.within_dual(problem, u + scale * direction)
      return trial, _dual(problem, trial, pull, center, point.mean)

    def too_long(search):
      scale, trial, found = search
      rise = 1e-4 * (point.rest @ (trial - u))
      short = ~(found.level >= point.level + rise)
      return short & (scale > 0.5**_HALVINGS)

    def halve(search):
      return search[0] / 2, *attempt(search[0] / 2)

    one = xp.ones((), u.dtype)
    scale, trial, found = arrays.while_loop(
      xp, too_long, halve, (one, *attempt(one))
    )
    return trial, found, count + 1, scale <= 0.5**_HALVINGS

  guess = growth.sum() / problem.num_sets
  start = (u, _dual(problem, u, pull, center, guess), 0, xp.zeros((), bool))
  u, point, count, _ = arrays.while_loop(xp, unsolved, newton, start)
  solved = _misfit(problem, u, point) <= wanted(point)
  growth, u, figures = certificate.certify_within(problem, point.growth, u)
  return growth, u, solved, count, figures
