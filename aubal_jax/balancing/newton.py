r"""Proximal-point steps, each solved by a semismooth Newton method in the dual.

A step from growth y with strength sigma solves

  min over g in the box of ||A g||_1 + cost . g + lam Var(g)
                           + sum_s h_s (g_s - y_s)^2 / 2,
  h_s = (sum_i |A_is|) / (sigma (upper_s - lower_s)),

whose dual in u in [-1, 1]^L is concave with gradient x = A g(u) and (with q =
2 lam / S, D = 1 / (q + h), F the labelsets strictly inside the box) Hessian

  H = A_F D A_F^T + q / (S - q sum_F D) v v^T,    v = A_F D 1.

A_F D A_F^T needs only P^T diag(n_o^2 D_F) P, an L x L table that is summed from
the pairs of labels each labelset has. One such step from a first-order iterate
also polishes its dual, whose error is of first order where the primal's is of
second. After Li, Sun and Toh, SIAM J. Optim. 28 (2018).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from aubal_jax.balancing import certificate
from aubal_jax.balancing import objective

_NEWTON_STEPS = 30
_HALVINGS = 30


class Pairs(NamedTuple):
  """The ordered pairs of labels that labelsets have.

  Attributes:
    labelset: int32[T], row of the pair.
    first: int32[T], label i.
    second: int32[T], label j.
  """

  labelset: Array
  first: Array
  second: Array


# More would take more memory than the rest of the problem by far.
MOST_PAIRS = 50_000_000
MOST_LABELS = 8_192


def label_pairs(indptr, indices) -> Pairs:
  """Lists every pair (i, j) of labels, i = j included, of every CSR row."""
  indptr = np.asarray(indptr, np.int64)
  lengths = np.diff(indptr)
  per_entry = np.repeat(lengths, lengths)
  first = np.repeat(indices, per_entry)
  entry_row = np.repeat(np.arange(len(lengths)), lengths)
  rows = np.repeat(entry_row, per_entry)
  within = np.arange(len(rows)) - np.repeat(
    np.cumsum(per_entry) - per_entry, per_entry
  )
  second = np.asarray(indices)[indptr[rows] + within]
  return Pairs(*(x.astype(np.int32) for x in (rows, first, second)))


def fits(indptr, num_labels: int) -> bool:
  """Whether the pairs of these CSR rows and the L x L table are affordable."""
  lengths = np.diff(np.asarray(indptr, np.int64))
  return num_labels <= MOST_LABELS and (lengths**2).sum() <= MOST_PAIRS


def _hessian(problem, pairs, diagonal) -> Array:
  """Returns H, float64[L, L]; `diagonal` is D, 0 outside F."""
  num_labels, num_sets = len(problem.weights), len(problem.counts)
  scaled = problem.counts**2 * diagonal
  table = jnp.zeros((num_labels, num_labels))
  table = table.at[pairs.first, pairs.second].add(scaled[pairs.labelset])
  table = table - jnp.outer(problem.target, table.sum(axis=0))
  table = table - jnp.outer(table.sum(axis=1), problem.target)
  table = jnp.outer(problem.weights, problem.weights) * table
  q = 2 * problem.lam / num_sets
  v = objective.deviations(problem, diagonal)
  return table + q / (num_sets - q * diagonal.sum()) * jnp.outer(v, v)


def _dual(problem, u, pull, center):
  """Returns the dual's value, its gradient x and growth g(u)."""
  slopes = objective.labelset_slopes(problem, u)
  slopes = slopes + problem.image_cost * problem.counts
  growth, away, mean, _ = certificate.separable_minimum(
    problem, slopes, pull, center
  )
  level = mean * slopes.sum() - (slopes * away).sum()
  level += problem.lam * (away**2).mean()
  level += (pull * (growth - center) ** 2).sum() / 2
  return level, objective.deviations(problem, growth), growth


def _direction(problem, pairs, pull, u, x, growth):
  """Returns the Newton step on the classes that are not held at |u| = 1."""
  free_sets = (growth > problem.lower) & (growth < problem.upper)
  q = 2 * problem.lam / len(growth)
  diagonal = jnp.where(free_sets, 1 / (q + pull), 0.0)
  held = (jnp.abs(u) >= 1) & (u * x >= 0)
  hessian = _hessian(problem, pairs, diagonal)
  hessian = jnp.where(held[:, None] | held[None, :], 0.0, hessian)
  scale = jnp.maximum(jnp.diag(hessian).max(), 1e-300)
  ridge = jnp.where(held, scale, 1e-10 * scale)
  factor = jax.scipy.linalg.cho_factor(hessian + jnp.diag(ridge))
  return jax.scipy.linalg.cho_solve(factor, jnp.where(held, 0.0, x))


@jax.jit
def step(problem: objective.Problem, pairs: Pairs, growth, u, sigma, tol):
  """Takes one proximal-point step.

  Args:
    problem: the problem, in float64.
    pairs: of its labelsets.
    growth: float64[S], where to start from.
    u: float64[L], the dual to start from.
    sigma: strength of the step; more is less damped.
    tol: relative gap that is wanted in the end.

  Returns:
    growth, u, whether the inner problem was solved, the number of Newton steps
    it took, and `certificate.certify`'s figures.
  """
  pull = objective.column_scale(problem) / sigma
  pull = pull / jnp.maximum(problem.upper - problem.lower, 1e-12)
  center = growth

  def unsolved(state):
    u, (_, x, growth), count, stuck = state
    residual = (jnp.abs(x) - u * x).sum()
    moved = (pull * (growth - center) ** 2).sum()
    level = jnp.maximum(jnp.abs(x).sum(), 1.0)
    wanted = jnp.maximum(0.1 * tol * level, 0.02 * moved)
    return (residual > wanted) & (count < _NEWTON_STEPS) & ~stuck

  def newton(state):
    u, (level, x, growth), count, _ = state
    direction = _direction(problem, pairs, pull, u, x, growth)
    direction = jnp.where(jnp.isfinite(direction).all(), direction, x)

    def attempt(scale):
      trial = jnp.clip(u + scale * direction, -1, 1)
      return trial, _dual(problem, trial, pull, center)

    def too_long(search):
      scale, trial, (trial_level, _, _) = search
      rise = 1e-4 * (x * (trial - u)).sum()
      return (trial_level < level + rise) & (scale > 0.5**_HALVINGS)

    def halve(search):
      return search[0] / 2, *attempt(search[0] / 2)

    one = jnp.ones((), x.dtype)
    scale, trial, dual = jax.lax.while_loop(
      too_long, halve, (one, *attempt(one))
    )
    return trial, dual, count + 1, scale <= 0.5**_HALVINGS

  start = (u, _dual(problem, u, pull, center), 0, False)
  u, (_, x, growth), count, _ = jax.lax.while_loop(unsolved, newton, start)
  residual = (jnp.abs(x) - u * x).sum()
  moved = (pull * (growth - center) ** 2).sum()
  level = jnp.maximum(jnp.abs(x).sum(), 1.0)
  solved = residual <= jnp.maximum(0.1 * tol * level, 0.02 * moved)
  return growth, u, solved, count, certificate.certify(problem, growth, u)
