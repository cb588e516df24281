"""The linear system of an interior-point step, and what it is made of.

See `ipm` for the formulas.
"""

from __future__ import annotations

from typing import NamedTuple

from jax import Array

from aubal_jax.balancing import arrays
from aubal_jax.balancing import objective

# omega is that power of the scale of a labelset's column, or a class's row.
_COLUMN_POWER = 0.5
_ROW_POWER = 0.75
_LEAST_OMEGA = 1e-8


class State(NamedTuple):
  """An interior point.

  Attributes:
    below: float64[S'], s- = g - lower.
    above: float64[S'], s+ = upper - g.
    push: float64[S'], z-, multiplier of the lower bound.
    pull: float64[S'], z+, multiplier of the upper bound.
    u: float64[L + 1], strictly inside the dual's domain.
    plus: float64[L + 1], p.
    minus: float64[L + 1], m.
  """

  below: Array
  above: Array
  push: Array
  pull: Array
  u: Array
  plus: Array
  minus: Array


class Frame(NamedTuple):
  """What does not change from step to step.

  Attributes:
    free: bool[S'], labelsets with room between their bounds.
    used: bool[L + 1], rows of the dual that are there.
    up: bool[L + 1], rows whose u has an upper bound.
    down: bool[L + 1], rows whose u has a lower bound.
    omega: float64[S'], weight of each labelset on the central path.
    row_omega: float64[L + 1], weight of each row.
  """

  free: Array
  used: Array
  up: Array
  down: Array
  omega: Array
  row_omega: Array


def frame_of(problem) -> Frame:
  """Returns the `Frame` of a problem."""
  xp = problem.xp
  width = problem.upper - problem.lower
  free = (width > 0) & (problem.present > 0)
  used = problem.high > problem.low
  columns = objective.column_scale(problem) * width
  rows = objective.row_scale(problem)
  omega = xp.where(free, columns**_COLUMN_POWER, 0.0)
  row_omega = xp.where(used, rows**_ROW_POWER, 0.0)
  omega = omega / xp.maximum(omega.max(), 1e-300)
  row_omega = row_omega / xp.maximum(row_omega.max(), 1e-300)
  return Frame(
    free=free,
    used=used,
    up=used & xp.isfinite(problem.high),
    down=used & xp.isfinite(problem.low),
    omega=xp.maximum(omega, _LEAST_OMEGA),
    row_omega=xp.maximum(row_omega, _LEAST_OMEGA),
  )


def growth_of(problem, state):
  """Returns growth from the slack that has more digits."""
  xp = problem.xp
  nearer = state.below < state.above
  low, high = problem.lower + state.below, problem.upper - state.above
  return xp.where(nearer, low, high)


class Products(NamedTuple):
  """The four kinds of complementary products, or targets for them."""

  below: Array
  above: Array
  plus: Array
  minus: Array


def slacks(frame, state):
  """Returns s- and s+, 1 where a labelset has no room."""
  xp = arrays.namespace(state.below)
  below = xp.where(frame.free, state.below, 1.0)
  return below, xp.where(frame.free, state.above, 1.0)


def room(problem, frame, u):
  """Returns high - u and u - low, 1 where there is no bound."""
  xp = problem.xp
  up = xp.where(frame.up, problem.high - u, 1.0)
  down = xp.where(frame.down, u - problem.low, 1.0)
  return up, down


def products_of(problem, frame, state) -> Products:
  """Returns the products at a point."""
  xp = problem.xp
  up, down = room(problem, frame, state.u)
  return Products(
    state.below * state.push,
    state.above * state.pull,
    xp.where(frame.up, state.plus * up, 0.0),
    xp.where(frame.down, state.minus * down, 0.0),
  )


def targets(problem, frame, mu) -> Products:
  """Returns mu omega, or k where a product belongs to a logarithm."""
  xp = problem.xp
  columns = xp.where(frame.free, mu * frame.omega, 0.0)
  rows = mu * frame.row_omega
  plus = xp.where(problem.barrier > 0, problem.barrier, rows)
  return Products(
    columns,
    columns,
    xp.where(frame.up, plus, 0.0),
    xp.where(frame.down, rows, 0.0),
  )


def gap_of(problem, products):
  """Returns the sum of products that are to vanish."""
  xp = problem.xp
  rest = xp.where(problem.barrier > 0, 0.0, products.plus)
  return sum(p.sum() for p in products._replace(plus=rest))


def weight_of(problem, frame):
  """Returns the sum of the weights omega of those products."""
  xp = problem.xp
  rows = xp.where(problem.barrier > 0, 0.0, frame.row_omega)
  columns = xp.where(frame.free, frame.omega, 0.0).sum()
  up = xp.where(frame.up, rows, 0.0).sum()
  return 2 * columns + up + xp.where(frame.down, rows, 0.0).sum()


class System(NamedTuple):
  """The linear system at one point."""

  theta: Array
  kappa: Array
  factor: Array
  dual_rest: Array
  row_rest: Array
  scale: Array


def factor(problem, frame, state) -> System:
  """Factors the normal equations at `state`."""
  xp = problem.xp
  q = problem.q
  growth = growth_of(problem, state)
  below, above = slacks(frame, state)
  stiff = state.push / below + state.pull / above
  theta = xp.where(frame.free, 1 / (q + stiff), 0.0)
  # 1 - (q / S) sum Theta, without the cancellation.
  left = xp.where(frame.free, stiff * theta, problem.present).sum()
  left = left + (problem.num_sets - problem.present.sum())
  kappa = q / xp.maximum(left, 1e-300)
  up, down = room(problem, frame, state.u)
  give = xp.where(frame.up, state.plus / up, 0.0)
  give += xp.where(frame.down, state.minus / down, 0.0) + problem.bend
  v = objective.row_moves(problem, theta)
  matrix = objective.normal_matrix(problem, theta)
  matrix += kappa * xp.outer(v, v) + xp.diag(give)
  scale = 1 / xp.sqrt(xp.maximum(xp.diag(matrix), 1e-300))
  scale = xp.where(frame.used, scale, 0.0)
  matrix = xp.outer(scale, scale) * matrix
  ridge = xp.where(frame.used, 1e-14, 1.0)
  factor = arrays.cho_factor(xp, matrix + xp.diag(ridge))
  dual_rest = objective.multipliers(problem, growth, state.u)
  dual_rest = dual_rest - state.push + state.pull
  x = objective.all_rows(problem, growth)
  row_rest = x - state.plus + state.minus - problem.bend * state.u
  return System(
    theta, kappa, factor, xp.where(frame.free, dual_rest, 0.0),
    xp.where(frame.used, row_rest, 0.0), scale,
  )  # fmt: skip


def solve(problem, frame, state, system, aim: Products) -> State:
  """Returns the direction in which products change by `aim`."""
  xp = problem.xp
  below, above = slacks(frame, state)
  up, down = room(problem, frame, state.u)

  def spread(y):  # (Q + Z)^-1 y
    y = system.theta * y
    return y + system.kappa * y.sum() * system.theta

  h = aim.below / below - aim.above / above - system.dual_rest
  right = xp.where(frame.used, objective.row_moves(problem, spread(h)), 0.0)
  right += system.row_rest
  right -= xp.where(frame.up, aim.plus / up, 0.0)
  right += xp.where(frame.down, aim.minus / down, 0.0)
  du = arrays.cho_solve(xp, system.factor, system.scale * right)
  du = system.scale * du
  growth = spread(h - objective.all_slopes(problem, du))
  growth = xp.where(frame.free, growth, 0.0)
  return State(
    below=growth,
    above=-growth,
    push=(aim.below - state.push * growth) / below,
    pull=(aim.above + state.pull * growth) / above,
    u=du,
    plus=xp.where(frame.up, (aim.plus + state.plus * du) / up, 0.0),
    minus=xp.where(frame.down, (aim.minus - state.minus * du) / down, 0.0),
  )
