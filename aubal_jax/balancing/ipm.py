r"""A primal-dual interior-point method with one L x L Cholesky factor a step.

Each labelset has slacks s- = g - lower, s+ = upper - g with multipliers z-, z+;
each row of the dual (see `objective`) splits its deviation x = p - m + phi*''u
into a part p that waits for u to reach its upper bound, p (high - u) -> 0, and
a part m that waits for the lower one; a term -k log x of phi is such a part
whose product stays at k. With q = 2 lam / S,

  Theta = 1 / (q + z- / s- + z+ / s+),    kappa = (q/S) / (1 - (q/S) sum Theta),
  E = p / (high - u) + m / (u - low) + phi*''
  (A Theta A^T + kappa (A Theta 1) (A Theta 1)^T + E) du = right side.

Mehrotra's predictor and corrector with Gondzio's further correctors, on a
weighted central path: products go to mu omega, not mu, with omega from the
scales of columns and rows. Uniform weights fail where counts spread over
decades. It ends inside the box; labelsets next to a bound are put on it.

Such methods like no start at a bound, and that is where the solution of a
neighbouring problem is. So growth and dual move inwards, as far as the central
path is away from their bounds there: where a labelset's multiplier is r, by mu
omega / |r|, where a class deviates by x, by mu omega / |x|, and never by much.
The multipliers are then chosen so that all products are on the path; that
slopes and rows do not add up is what the method mends by itself.
"""

from __future__ import annotations

import jax
import numpy as np
from jax import Array

from aubal_jax.balancing import arrays
from aubal_jax.balancing import certificate
from aubal_jax.balancing import ipm_system as system_lib
from aubal_jax.balancing import objective
from aubal_jax.balancing import projected_gradient
from aubal_jax.balancing.ipm_system import Products
from aubal_jax.balancing.ipm_system import State

# Gondzio's correctors: two where the factor is the larger part of a step.
_CORRECTORS = (1, 2)
_MANY_LABELS = 256
_STEP_SHARE = 0.995
_LOG_SHARE = 0.7
_AT_BOUND = 1e-5  # Share of the box.
_MOST_MOVED = 0.1  # Share of the width between two bounds.
_CHUNK_STEPS = 12
_MOST_STEPS = 200
_STALLED_CHUNKS = 3


def run(result, growth) -> None:
  """Takes steps from growth float64[S'] until the gap is met, or stays.

  Args:
    result: the `iterations.Run`.
    growth: float64[S'], on the devices.
  """
  problem = result.where.problem
  feasible, u, _, figures = projected_gradient.certify(
    problem, growth, 0.0, objective.SHARP, relaxation='huber'
  )
  if not result.record(feasible, u, figures, 0):
    run_from(result, start(problem, growth))


def run_from(result, state: State) -> None:
  """Does what `run` does from an interior point."""
  wanted, least_gap, stalled = result.wanted, np.inf, 0
  most = result.num_steps + _MOST_STEPS
  while result.num_steps < most and stalled < _STALLED_CHUNKS:
    state, growth, u, num_steps, figures = run_chunk(
      result.where.problem, state, 0.1 * wanted, _CHUNK_STEPS
    )
    num_steps = int(num_steps)
    if result.record(growth, u, figures, num_steps):
      return
    finished = num_steps < _CHUNK_STEPS
    wanted = min(wanted * (0.01 if finished else 1.0), result.wanted)
    stalled = 0 if result.gap < 0.5 * least_gap else stalled + 1
    least_gap = min(least_gap, result.gap)


@arrays.compiled
def start(problem: objective.Problem, growth) -> State:
  """Returns a first interior point near growth float64[S']."""
  xp = problem.xp
  frame = system_lib.frame_of(problem)
  width = problem.upper - problem.lower
  margin = 0.1 * width
  growth = xp.clip(growth, problem.lower + margin, problem.upper - margin)
  x = objective.all_rows(problem, growth)
  u = _first_dual(problem, frame, x)
  scale = xp.where(frame.free, objective.column_scale(problem) * width, 0.0)
  mu = xp.maximum(0.1 * scale.sum() / frame.omega.sum(), 1e-6)
  plus, minus = _parts(problem, frame, x - problem.bend * u, mu)
  force = xp.where(frame.free, mu * frame.omega, 0.0)
  return _on_bounds(problem, frame, growth, force, u, plus, minus)


@arrays.compiled
def near(problem: objective.Problem, growth, u, gap) -> State:
  """Returns an interior point near a solution of a problem like this one.

  Args:
    problem: the problem, in float64.
    growth: float64[S'], inside the box; of a problem with the same P and n_o.
    u: float64[L + 1], its dual.
    gap: what the products shall sum to, in units of f: the farther the other
      problem is away, the more. A tenth of f where nothing grows served all.
  """
  xp = problem.xp
  frame = system_lib.frame_of(problem)
  mu = gap / system_lib.weight_of(problem, frame)
  force = system_lib.targets(problem, frame, mu)
  u = objective.within_dual(problem, u)
  width = problem.upper - problem.lower
  growth = _inside(
    growth,
    objective.multipliers(problem, growth, u),
    problem.lower,
    problem.upper,
    force.below,
    width,
  )
  x = objective.all_rows(problem, growth)
  low = xp.where(frame.down, problem.low, -xp.inf)
  high = xp.where(frame.up, problem.high, xp.inf)
  u = _inside(u, x, low, high, mu * frame.row_omega, 2.0)
  u = xp.where(frame.used, u, 0.0)
  up, down = system_lib.room(problem, frame, u)
  return _on_bounds(
    problem, frame, growth, force.below, u, force.plus / up, force.minus / down
  )


def _inside(values, multipliers, low, high, force, width) -> Array:
  """Returns values float64[K] moved off their bounds.

  Args:
    values: float64[K].
    multipliers: float64[K], of the bound that each is at.
    low: float64[K], or -inf.
    high: float64[K], or inf.
    force: float64[K], what distance times multiplier shall be.
    width: float64[K] or a number, between two bounds.
  """
  xp = arrays.namespace(values)
  away = force / xp.maximum(xp.abs(multipliers), 1e-300)
  away = xp.minimum(away, _MOST_MOVED * width)
  return xp.clip(values, low + away, high - away)


def _on_bounds(problem, frame, growth, force, u, plus, minus) -> State:
  """Returns the point with slack times multiplier = force float64[S']."""
  xp = problem.xp
  below = xp.where(frame.free, growth - problem.lower, 0.0)
  above = xp.where(frame.free, problem.upper - growth, 0.0)
  push = force / xp.where(frame.free, below, 1.0)
  pull = force / xp.where(frame.free, above, 1.0)
  return State(below, above, push, pull, u, plus, minus)


def _first_dual(problem, frame, x):
  """Returns u: where phi is smooth its slope, else the middle of the bounds."""
  xp = problem.xp
  both = frame.up & frame.down
  middle = xp.where(both, (problem.high + problem.low) / 2, 0.0)
  u = xp.where(frame.up & ~frame.down, problem.high - 1.0, middle)
  u = xp.where(~frame.up & frame.down, problem.low + 1.0, u)
  bend = problem.bend
  u = xp.where(bend > 0, x / xp.where(bend > 0, bend, 1.0), u)
  barrier = problem.barrier
  u = xp.where(barrier > 0, -barrier / xp.maximum(x, 1e-3), u)
  return xp.where(frame.used, u, 0.0)


def _parts(problem, frame, rest, mu):
  """Returns p and m > 0 with p - m = rest where both are there."""
  xp = problem.xp
  wanted = mu * frame.row_omega
  wanted = xp.where(problem.barrier > 0, problem.barrier, wanted)
  half = xp.sqrt((rest / 2) ** 2 + wanted)
  least = xp.sqrt(wanted)
  plus = xp.where(frame.down, half + rest / 2, xp.maximum(rest, least))
  minus = xp.where(frame.up, half - rest / 2, xp.maximum(-rest, least))
  return xp.where(frame.up, plus, 0.0), xp.where(frame.down, minus, 0.0)


def _longest(values, change, has):
  """Returns the longest step for which values + step change stays >= 0."""
  xp = arrays.namespace(values)
  ratio = xp.where(
    has & (change < 0), -values / xp.where(change < 0, change, -1), xp.inf
  )
  return ratio.min()


def _lengths(problem, frame, state, change, share):
  """Returns primal and dual step lengths, 1 at most."""
  xp = problem.xp
  up, down = system_lib.room(problem, frame, state.u)
  # The product of a logarithm has to stay near k: shorter steps.
  short = xp.where(problem.barrier > 0, _LOG_SHARE, 1.0)
  primal = xp.minimum(
    xp.minimum(
      _longest(state.below, change.below, frame.free),
      _longest(state.above, change.above, frame.free),
    ),
    xp.minimum(
      _longest(short * state.plus, change.plus, frame.up),
      _longest(state.minus, change.minus, frame.down),
    ),
  )
  dual = xp.minimum(
    xp.minimum(
      _longest(state.push, change.push, frame.free),
      _longest(state.pull, change.pull, frame.free),
    ),
    xp.minimum(
      _longest(short * up, -change.u, frame.up),
      _longest(down, change.u, frame.down),
    ),
  )
  return xp.minimum(share * primal, 1.0), xp.minimum(share * dual, 1.0)


def _gap(problem, frame, state):
  products = system_lib.products_of(problem, frame, state)
  return system_lib.gap_of(problem, products)


def _moved(state, change, primal, dual) -> State:
  lengths = State(primal, primal, dual, dual, dual, primal, primal)
  return State(
    *(s + a * d for s, a, d in zip(state, lengths, change, strict=True))
  )


def _one(problem, frame, state) -> State:
  """Takes one predictor-corrector step."""
  xp = problem.xp
  system = system_lib.factor(problem, frame, state)
  products = system_lib.products_of(problem, frame, state)
  gap = system_lib.gap_of(problem, products)
  mu = gap / system_lib.weight_of(problem, frame)
  zero = system_lib.targets(problem, frame, 0.0)
  aim = Products(*(t - p for t, p in zip(zero, products, strict=True)))
  predicted = system_lib.solve(problem, frame, state, system, aim)
  lengths = _lengths(problem, frame, state, predicted, 1.0)
  ahead = _moved(state, predicted, *lengths)
  ahead_gap = _gap(problem, frame, ahead)
  sigma = xp.clip((ahead_gap / gap) ** 3, 1e-6, 1.0)
  targets = system_lib.targets(problem, frame, sigma * mu)
  d = predicted
  second = Products(
    d.below * d.push,
    d.above * d.pull,
    xp.where(frame.up, -d.plus * d.u, 0.0),
    xp.where(frame.down, d.minus * d.u, 0.0),
  )
  aim = Products(
    *(t - p - c for t, p, c in zip(targets, products, second, strict=True))
  )
  step = system_lib.solve(problem, frame, state, system, aim)
  lengths = _lengths(problem, frame, state, step, _STEP_SHARE)
  for _ in range(_CORRECTORS[len(problem.weights) >= _MANY_LABELS]):
    aim, step, lengths = _correct(
      problem, frame, state, system, targets, aim, step, lengths
    )
  return _moved(state, step, *lengths)


def _correct(problem, frame, state, system, targets, aim, step, lengths):
  """Tries one of Gondzio's correctors; keeps it where steps get longer."""
  xp = problem.xp
  longer = tuple(xp.minimum(1.1 * a + 0.08, 1.0) for a in lengths)
  trial = system_lib.products_of(problem, frame, _moved(state, step, *longer))
  correction = []
  for product, target in zip(trial, targets, strict=True):
    inside = xp.clip(product, 0.1 * target, 10 * target)
    correction.append(xp.maximum(inside - product, -10 * target))
  better = Products(*(a + c for a, c in zip(aim, correction, strict=True)))
  other = system_lib.solve(problem, frame, state, system, better)
  reached = _lengths(problem, frame, state, other, _STEP_SHARE)
  keep = reached[0] + reached[1] >= lengths[0] + lengths[1] + 0.02
  tried, had = (better, other, reached), (aim, step, lengths)
  return jax.tree.map(lambda new, old: xp.where(keep, new, old), tried, had)


@arrays.compiled
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
  xp = problem.xp
  frame = system_lib.frame_of(problem)

  def unfinished(carry):
    state, count, stalled = carry
    open_ = _gap(problem, frame, state) > tol
    return open_ & (count < max_steps) & ~stalled

  def advance(carry):
    state, count, _ = carry
    following = _one(problem, frame, state)
    sound = xp.array([xp.isfinite(x).all() for x in following]).all()
    following = jax.tree.map(
      lambda new, old: xp.where(sound, new, old), following, state
    )
    return following, count + 1, ~sound

  state, count, _ = arrays.while_loop(
    xp, unfinished, advance, (state, 0, xp.zeros((), bool))
  )
  growth, figures = _certified(problem, state, tol)
  return state, growth, state.u, count, figures


def _certified(problem, state, tol):
  """Returns growth, on its bounds where it is next to them, and figures."""
  xp = problem.xp
  inside = system_lib.growth_of(problem, state)
  near = _AT_BOUND * (problem.upper - problem.lower)
  growth = xp.where(state.below < near, problem.lower, inside)
  growth = xp.where(state.above < near, problem.upper, growth)
  growth = certificate.within_budget(problem, growth)
  inside = certificate.within_budget(problem, inside)

  def priced(growth):
    return objective.value(problem, growth) + objective.cost(problem, growth)

  worse = priced(growth) > priced(inside) + 0.1 * tol
  growth = xp.where(worse, inside, growth)
  return growth, certificate.certify(problem, growth, state.u)
