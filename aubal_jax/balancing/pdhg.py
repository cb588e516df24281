r"""Restarted primal-dual steps, for piecewise linear objectives.

No relaxation: with the saddle function u . (A g + b) + cost . g + lam Var(g),

  g+ = clip(g - T (A^T u + cost + d lam Var(g)), lower, upper)
  u+ = clip(u + R (A (2 g+ - g) + b), low, high)

with T_s = omega^-1 / (sum_i |A_is| + ..), R_i = omega / sum_s |A_is| (Pock and
Chambolle, ICCV 2011). The average since the last restart takes over where its
gap is the better one, and with it the balance omega of both steps is set anew
from how far both sides have moved (Applegate et al., NeurIPS 2021).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from aubal_jax.balancing import certificate
from aubal_jax.balancing import objective

_CHUNK_STEPS = 100


class State(NamedTuple):
  """Where the method stands.

  Attributes:
    growth: float64[S'], inside the box.
    u: float64[L + 1].
    anchor: growth at the last restart.
    anchor_u: u at the last restart.
    omega: float64, dual steps are that much longer, primal ones shorter.
  """

  growth: Array
  u: Array
  anchor: Array
  anchor_u: Array
  omega: Array


def run(result, growth, u, max_steps: int):
  """Takes steps until the gap is met, or they run out.

  Args:
    result: the `iterations.Run`.
    growth: float64[S'], where to start from, on the devices.
    u: float64[L + 1], the dual to start from.
    max_steps: at most.

  Returns:
    growth and u to go on from.
  """
  problem = result.where.problem
  state = init(problem, growth, u)
  num_steps = 0
  while True:
    state, growth, u, figures = run_chunk(problem, state, num_steps)
    met = result.record(growth, u, figures, num_steps)
    num_steps = min(_CHUNK_STEPS, max_steps - result.num_steps)
    if met or num_steps <= 0:
      return growth, u


def init(problem: objective.Problem, growth, u) -> State:
  """Returns the state at a first growth float64[S'] and dual float64[L + 1]."""
  u = objective.within_dual(problem, u)
  return State(growth, u, growth, u, jnp.ones_like(u[-1]))


def _row_sums(problem) -> Array:
  """Returns float64[L + 1], at least sum_s |A_is|."""
  counts = problem.counts
  own = problem.incidence.over_labelsets(counts)
  shared = problem.target * objective.total_of(problem, own, counts)
  return jnp.append(problem.weights * (own + shared), counts.sum())


@jax.jit
def run_chunk(problem: objective.Problem, state: State, num_steps):
  """Takes `num_steps` steps, certifies both ends, and goes on from the better.

  Args:
    problem: the problem, in float64.
    state: where to start from.
    num_steps: to take.

  Returns:
    The State, growth within the budget, u and `certificate.certify`'s figures.
  """
  has_budget = problem.high[-1] > 0
  columns = objective.column_scale(problem) + has_budget * problem.counts
  columns = jnp.where(columns > 0, columns, 1.0)
  rows = jnp.maximum(_row_sums(problem), 1e-300)
  # Var's gradient is Lipschitz with q: it takes its share of the step.
  primal = 1 / (state.omega * columns + problem.q)
  dual = state.omega / rows

  def step(_, carry):
    growth, u, sum_growth, sum_u = carry
    around = growth - objective.mean_growth(problem, growth)
    slopes = objective.all_slopes(problem, u) + problem.q * around
    slopes += problem.image_cost * problem.counts
    moved = jnp.clip(growth - primal * slopes, problem.lower, problem.upper)
    x = objective.all_rows(problem, 2 * moved - growth)
    u = jnp.clip(u + dual * x, problem.low, problem.high)
    return moved, u, sum_growth + moved, sum_u + u

  zeros = jnp.zeros_like(state.growth), jnp.zeros_like(state.u)
  growth, u, sum_growth, sum_u = jax.lax.fori_loop(
    0, num_steps, step, (state.growth, state.u, *zeros)
  )
  count = jnp.maximum(num_steps, 1)
  none = num_steps == 0
  mean_growth = jnp.where(none, growth, sum_growth / count)
  mean_u = jnp.where(none, u, sum_u / count)
  ends = jnp.stack([growth, mean_growth]), jnp.stack([u, mean_u])
  # One after the other: the text of a certificate is compiled once.
  certified = jax.lax.map(
    lambda end: certificate.certify_within(problem, *end), ends
  )
  gaps = _gap(certified[2])
  better = jnp.where(gaps[1] < gaps[0], 1, 0)
  (growth, u), certified = jax.tree.map(
    lambda both: both[better], (ends, certified)
  )
  state = State(growth, u, growth, u, _balance(problem, state, growth, u))
  return state, *certified


def _gap(figures) -> Array:
  priced = figures['value'] + figures['cost']
  return priced - figures['lower_bound_priced']


def _balance(problem, state, growth, u) -> Array:
  """Returns omega: as far as u has moved for what growth has, smoothed."""
  columns = objective.column_scale(problem)
  rows = jnp.maximum(_row_sums(problem), 1e-300)
  far = jnp.sqrt((columns * (growth - state.anchor) ** 2).sum())
  far_u = jnp.sqrt((rows * (u - state.anchor_u) ** 2).sum())
  usable = (far > 1e-10) & (far_u > 1e-10)
  wanted = jnp.where(usable, far_u / jnp.maximum(far, 1e-300), state.omega)
  return jnp.exp((jnp.log(wanted) + jnp.log(state.omega)) / 2)
