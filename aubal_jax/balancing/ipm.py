r"""A primal-dual interior-point method with one L x L Cholesky factor a step.

Each labelset has slacks s- = g - lower, s+ = upper - g with multipliers z-, z+;
each row of the dual (see `objective`) splits its deviation x = p - m + phi*''u
into a part p that waits for u to reach its upper bound, p (high - u) -> 0, and a
part m that waits for the lower one; a term -k log x of phi is such a part whose
product stays at k. With q = 2 lam / S,

  Theta = 1 / (q + z- / s- + z+ / s+),    kappa = (q/S) / (1 - (q/S) sum Theta),
  E = p / (high - u) + m / (u - low) + phi*''
  (A Theta A^T + kappa (A Theta 1) (A Theta 1)^T + E) du = right side.

Mehrotra's predictor and corrector with Gondzio's further correctors, on a
weighted central path: products go to mu omega, not mu, with omega from the
scales of columns and rows. Uniform weights fail where counts spread over
decades. It ends inside the box; a step of `newton` puts growth on its bounds.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from aubal_jax.balancing import certificate
from aubal_jax.balancing import objective

_CHUNK_STEPS = 100
_CORRECTORS = 2
_STEP_SHARE = 0.995
_LOG_SHARE = 0.7
_INFINITE = 1e300


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


class _Step(NamedTuple):
  """A direction from a `State`, and the targets it was made for."""

  growth: Array
  state: State


class _Frame(NamedTuple):
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


def _frame(problem) -> _Frame:
  width = problem.upper - problem.lower
  free = (width > 0) & (problem.present > 0)
  used = problem.high > problem.low
  columns = objective.column_scale(problem) * width
  rows = objective.row_scale(problem)
  omega = jnp.where(free, jnp.sqrt(columns), 0.0)
  row_omega = jnp.where(used, rows**0.75, 0.0)
  omega = omega / jnp.maximum(omega.max(), 1e-300)
  row_omega = row_omega / jnp.maximum(row_omega.max(), 1e-300)
  return _Frame(
    free=free,
    used=used,
    up=used & jnp.isfinite(problem.high),
    down=used & jnp.isfinite(problem.low),
    omega=jnp.maximum(omega, 1e-8),
    row_omega=jnp.maximum(row_omega, 1e-8),
  )


def _growth(problem, state):
  """Returns growth from the slack that has more digits."""
  nearer = state.below < state.above
  low, high = problem.lower + state.below, problem.upper - state.above
  return jnp.where(nearer, low, high)


@jax.jit
def start(problem: objective.Problem, growth) -> State:
  """Returns a first interior point near growth float64[S']."""
  frame = _frame(problem)
  width = problem.upper - problem.lower
  margin = 0.1 * width
  growth = jnp.clip(growth, problem.lower + margin, problem.upper - margin)
  x = objective.all_rows(problem, growth)
  barrier = problem.barrier
  middle = jnp.where(frame.up & frame.down, (problem.high + problem.low) / 2, 0)
  u = jnp.where(frame.up & ~frame.down, problem.high - 1.0, middle)
  u = jnp.where(~frame.up & frame.down, problem.low + 1.0, u)
  u = jnp.where(
    problem.bend > 0, x / jnp.where(problem.bend > 0, problem.bend, 1), u
  )
  u = jnp.where(barrier > 0, -barrier / jnp.maximum(x, 1e-3), u)
  u = jnp.where(frame.used, u, 0.0)
  scale = objective.column_scale(problem) * width
  mu = jnp.where(frame.free, scale, 0.0).sum() / frame.omega.sum() * 0.1
  mu = jnp.maximum(mu, 1e-6)
  rest = x - problem.bend * u
  wanted = jnp.where(barrier > 0, barrier, mu * frame.row_omega)
  half = jnp.sqrt((rest / 2) ** 2 + wanted)
  plus = jnp.where(
    frame.up,
    jnp.where(frame.down, half + rest / 2, jnp.maximum(rest, jnp.sqrt(wanted))),
    0.0,
  )
  minus = jnp.where(
    frame.down,
    jnp.where(frame.up, half - rest / 2, jnp.maximum(-rest, jnp.sqrt(wanted))),
    0.0,
  )
  below = jnp.where(frame.free, growth - problem.lower, 0.0)
  above = jnp.where(frame.free, problem.upper - growth, 0.0)
  push = jnp.where(
    frame.free, mu * frame.omega / jnp.maximum(below, 1e-300), 0.0
  )
  pull = jnp.where(
    frame.free, mu * frame.omega / jnp.maximum(above, 1e-300), 0.0
  )
  return State(below, above, push, pull, u, plus, minus)


class _Products(NamedTuple):
  """The four kinds of complementary products, or targets for them."""

  below: Array
  above: Array
  plus: Array
  minus: Array


def _room(problem, frame, u):
  """Returns high - u and u - low, 1 where there is no bound."""
  up = jnp.where(frame.up, problem.high - u, 1.0)
  down = jnp.where(frame.down, u - problem.low, 1.0)
  return up, down


def _products(problem, frame, state) -> _Products:
  up, down = _room(problem, frame, state.u)
  return _Products(
    state.below * state.push,
    state.above * state.pull,
    jnp.where(frame.up, state.plus * up, 0.0),
    jnp.where(frame.down, state.minus * down, 0.0),
  )


def _targets(problem, frame, mu) -> _Products:
  """Returns mu omega, or k where a product belongs to a logarithm."""
  columns = jnp.where(frame.free, mu * frame.omega, 0.0)
  rows = mu * frame.row_omega
  plus = jnp.where(problem.barrier > 0, problem.barrier, rows)
  return _Products(
    columns,
    columns,
    jnp.where(frame.up, plus, 0.0),
    jnp.where(frame.down, rows, 0.0),
  )


def _gap(problem, products):
  """Returns the sum of products that are to vanish."""
  rest = jnp.where(problem.barrier > 0, 0.0, products.plus)
  return sum(p.sum() for p in products._replace(plus=rest))


def _weight(problem, frame):
  """Returns the sum of the weights omega of those products."""
  rows = jnp.where(problem.barrier > 0, 0.0, frame.row_omega)
  columns = jnp.where(frame.free, frame.omega, 0.0).sum()
  up = jnp.where(frame.up, rows, 0.0).sum()
  return 2 * columns + up + jnp.where(frame.down, rows, 0.0).sum()


class _System(NamedTuple):
  """The linear system at one point."""

  theta: Array
  kappa: Array
  bordered: Array
  factor: Array
  dual_rest: Array
  row_rest: Array
  scale: Array


def _system(problem, frame, state) -> _System:
  """Factors the normal equations at `state`."""
  q = problem.q
  growth = _growth(problem, state)
  slack = lambda x: jnp.where(frame.free, x, 1.0)
  stiff = state.push / slack(state.below) + state.pull / slack(state.above)
  theta = jnp.where(frame.free, 1 / (q + stiff), 0.0)
  # 1 - (q / S) sum Theta, without the cancellation.
  left = jnp.where(frame.free, stiff * theta, problem.present).sum()
  left = left + (problem.num_sets - problem.present.sum())
  kappa = q / jnp.maximum(left, 1e-300)
  up, down = _room(problem, frame, state.u)
  give = jnp.where(frame.up, state.plus / up, 0.0)
  give += jnp.where(frame.down, state.minus / down, 0.0) + problem.bend
  v = objective.all_rows(problem, theta)
  v -= jnp.append(problem.offset, -problem.budget)
  matrix = objective.normal_matrix(problem, theta)
  matrix += kappa * jnp.outer(v, v) + jnp.diag(give)
  scale = 1 / jnp.sqrt(jnp.maximum(jnp.diag(matrix), 1e-300))
  scale = jnp.where(frame.used, scale, 0.0)
  matrix = jnp.outer(scale, scale) * matrix
  ridge = jnp.where(frame.used, 1e-14, 1.0)
  factor = jax.scipy.linalg.cho_factor(matrix + jnp.diag(ridge))[0]
  slopes = objective.all_slopes(problem, state.u)
  slopes += problem.image_cost * problem.counts
  around = growth - objective.mean_growth(problem, growth)
  dual_rest = slopes + q * around - state.push + state.pull
  x = objective.all_rows(problem, growth)
  row_rest = x - state.plus + state.minus - problem.bend * state.u
  return _System(
    theta, kappa, v, factor, jnp.where(frame.free, dual_rest, 0.0),
    jnp.where(frame.used, row_rest, 0.0), scale,
  )  # fmt: skip


def _solve(problem, frame, state, system, aim: _Products) -> _Step:
  """Returns the direction in which products change by `aim`."""
  slack = lambda x: jnp.where(frame.free, x, 1.0)
  up, down = _room(problem, frame, state.u)
  h = aim.below / slack(state.below) - aim.above / slack(state.above)
  h -= system.dual_rest

  def spread(y):  # (Q + Z)^-1 y
    y = system.theta * y
    return (
      y
      + system.kappa / problem.num_sets * 0
      + (system.kappa * y.sum() * system.theta)
    )

  right = jnp.where(frame.used, linear_rows(problem, spread(h)), 0.0)
  right += system.row_rest
  right -= jnp.where(frame.up, aim.plus / up, 0.0)
  right += jnp.where(frame.down, aim.minus / down, 0.0)
  du = jax.scipy.linalg.cho_solve((system.factor, False), system.scale * right)
  du = system.scale * du
  growth = spread(h - objective.all_slopes(problem, du))
  growth = jnp.where(frame.free, growth, 0.0)
  push = (aim.below - state.push * growth) / slack(state.below)
  pull = (aim.above + state.pull * growth) / slack(state.above)
  plus = jnp.where(frame.up, (aim.plus + state.plus * du) / up, 0.0)
  minus = jnp.where(frame.down, (aim.minus - state.minus * du) / down, 0.0)
  change = State(growth, -growth, push, pull, du, plus, minus)
  return _Step(growth, change)


def linear_rows(problem, growth):
  """Returns A_ext g, without the offset."""
  x = objective.all_rows(problem, growth)
  return x - jnp.append(problem.offset, -problem.budget)


def _longest(values, change, has):
  """Returns the longest step for which values + step change stays >= 0."""
  ratio = jnp.where(
    has & (change < 0), -values / jnp.where(change < 0, change, -1), jnp.inf
  )
  return ratio.min()


def _lengths(problem, frame, state, change, share):
  """Returns primal and dual step lengths, 1 at most."""
  up, down = _room(problem, frame, state.u)
  # The product of a logarithm has to stay near k: shorter steps.
  short = jnp.where(problem.barrier > 0, _LOG_SHARE, 1.0)
  primal = jnp.minimum(
    jnp.minimum(
      _longest(state.below, change.below, frame.free),
      _longest(state.above, change.above, frame.free),
    ),
    jnp.minimum(
      _longest(short * state.plus, change.plus, frame.up),
      _longest(state.minus, change.minus, frame.down),
    ),
  )
  dual = jnp.minimum(
    jnp.minimum(
      _longest(state.push, change.push, frame.free),
      _longest(state.pull, change.pull, frame.free),
    ),
    jnp.minimum(
      _longest(short * up, -change.u, frame.up),
      _longest(down, change.u, frame.down),
    ),
  )
  return jnp.minimum(share * primal, 1.0), jnp.minimum(share * dual, 1.0)


def _moved(state, change, primal, dual) -> State:
  lengths = State(primal, primal, dual, dual, dual, primal, primal)
  return State(
    *(s + a * d for s, a, d in zip(state, lengths, change, strict=True))
  )


def _one(problem, frame, state) -> State:
  """Takes one predictor-corrector step."""
  system = _system(problem, frame, state)
  products = _products(problem, frame, state)
  gap = _gap(problem, products)
  mu = gap / _weight(problem, frame)
  zero = _targets(problem, frame, 0.0)
  aim = _Products(*(t - p for t, p in zip(zero, products, strict=True)))
  predicted = _solve(problem, frame, state, system, aim)
  lengths = _lengths(problem, frame, state, predicted.state, 1.0)
  ahead = _moved(state, predicted.state, *lengths)
  ahead_gap = _gap(problem, _products(problem, frame, ahead))
  sigma = jnp.clip((ahead_gap / gap) ** 3, 1e-6, 1.0)
  targets = _targets(problem, frame, sigma * mu)
  d = predicted.state
  second = _Products(
    d.below * d.push,
    d.above * d.pull,
    jnp.where(frame.up, -d.plus * d.u, 0.0),
    jnp.where(frame.down, d.minus * d.u, 0.0),
  )
  aim = _Products(
    *(t - p - c for t, p, c in zip(targets, products, second, strict=True))
  )
  step = _solve(problem, frame, state, system, aim).state
  lengths = _lengths(problem, frame, state, step, _STEP_SHARE)
  for _ in range(_CORRECTORS):
    aim, step, lengths = _correct(
      problem, frame, state, system, targets, aim, step, lengths
    )
  return _moved(state, step, *lengths)


def _correct(problem, frame, state, system, targets, aim, step, lengths):
  """Tries one of Gondzio's correctors; keeps it where steps get longer."""
  longer = tuple(jnp.minimum(1.1 * a + 0.08, 1.0) for a in lengths)
  trial = _products(problem, frame, _moved(state, step, *longer))
  correction = []
  for product, target in zip(trial, targets, strict=True):
    inside = jnp.clip(product, 0.1 * target, 10 * target)
    correction.append(jnp.maximum(inside - product, -10 * target))
  better = _Products(*(a + c for a, c in zip(aim, correction, strict=True)))
  other = _solve(problem, frame, state, system, better).state
  reached = _lengths(problem, frame, state, other, _STEP_SHARE)
  keep = reached[0] + reached[1] >= lengths[0] + lengths[1] + 0.02
  pick = lambda new, old: jax.tree.map(
    lambda n, o: jnp.where(keep, n, o), new, old
  )
  return pick(better, aim), pick(other, step), pick(reached, lengths)


@jax.jit
def run_chunk(problem: objective.Problem, state: State, tol, max_steps):
  """Takes steps until the products sum to less than `tol`.

  Args:
    problem: the problem, in float64, its incidence with pairs.
    state: where to start from.
    tol: gap that is wanted, in units of f.
    max_steps: at most.

  Returns:
    The State, growth, u, the number of steps and `certificate.certify`'s
    figures.
  """
  frame = _frame(problem)

  def unfinished(carry):
    state, count, stalled = carry
    gap = _gap(problem, _products(problem, frame, state))
    return (gap > tol) & (count < max_steps) & ~stalled

  def advance(carry):
    state, count, _ = carry
    following = _one(problem, frame, state)
    sound = jnp.array([jnp.isfinite(x).all() for x in following]).all()
    following = jax.tree.map(
      lambda new, old: jnp.where(sound, new, old), following, state
    )
    return following, count + 1, ~sound

  state, count, _ = jax.lax.while_loop(unfinished, advance, (state, 0, False))
  growth = certificate.within_budget(problem, _growth(problem, state))
  figures = certificate.certify(problem, growth, state.u)
  return state, growth, state.u, count, figures
