"""Runs a variant, chunk by chunk, until the certified gap is met.

Steps are compiled in chunks, one dispatch for many of them. Between chunks
Python keeps the trace, drops labelsets that are settled and decides what comes
next.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from aubal_jax.balancing import ipm
from aubal_jax.balancing import newton
from aubal_jax.balancing import optimizers
from aubal_jax.balancing import pdhg
from aubal_jax.balancing import relax
from aubal_jax.balancing import warm
from aubal_jax.balancing.active import Active
from aubal_jax.balancing.active import Placed
from aubal_jax.balancing.instance import Instance
from aubal_jax.balancing.record import Run
from aubal_jax.runs import errors

EXACT = ('newton', 'ipm')
PRIMAL_DUAL = ('pdhg',)

_CHUNK_STEPS = 100
_INTERIOR_CHUNK = 12
_INTERIOR_STEPS = 200
_POLISH_STEPS = 60
_STALLED_CHUNKS = 5
_STALLED_STEPS = 20
_WIDTH_FACTOR = 0.5
_FIRST_SIGMA = 10.0
_NEAR = 0.1  # Gap of an interior point near a solution, of f at the start.


class Start(NamedTuple):
  """Where to begin: the solution of a problem that differs in lam or budget.

  Attributes:
    growth: float64[S].
    u: float64[L + 1].
  """

  growth: np.ndarray
  u: np.ndarray


def run(
  instance: Instance,
  *,
  optimizer: str,
  relaxation: str,
  tol: float,
  max_steps: int,
  polish: bool = True,
  start: Start | None = None,
  where: Placed | None = None,
  devices=None,
  on_progress=None,
) -> Run:
  """Runs the variant, then polishes what it left, until the gap is met.

  Args:
    instance: the problem.
    optimizer: a name of `OPTIMIZERS`, of `PRIMAL_DUAL` or of `EXACT`.
    relaxation: a name of `RELAXATIONS`.
    tol: relative certified gap to stop at.
    max_steps: first-order steps at most; when they run out, or where Newton's
      tables would be too large, nothing is polished.
    polish: whether Newton steps may finish what first-order steps began.
    start: where to begin; None: growth of 1. From there steps of the interior
      point come first, whatever the optimizer, where the tables of pairs are
      affordable and wanted; of 'newton' its own.
    where: the instance on its devices, such as `Run.where` of one that differs
      in lam or budget only, with these changed; None: made here.
    devices: to split the labelsets over; None is one.
    on_progress: is given each new entry of the trace.

  Raises:
    FloatingPointError: the objective is not a number, or below its bound.
    UserError: the problem is too large for an exact variant.
  """
  result = Run(instance, tol, on_progress)
  if not len(instance):
    result.lower_bound = result.lower_bound_priced = 0.0
    return result
  needs_pairs = _needs_pairs(instance, optimizer, polish)
  if where is None:
    where = Placed(*instance.problem(with_pairs=needs_pairs, devices=devices))
  result.where = where
  growth, u = _first(instance, where, start)
  if start is not None:
    _go_on(result, growth, u, optimizer, needs_pairs)
    if result.gap <= tol or optimizer == 'newton':
      return result
  if optimizer == 'ipm':
    _interior(result, growth)
    return result
  if optimizer == 'newton':
    _polish(result, growth, u)
    return result
  if optimizer in PRIMAL_DUAL:
    growth, u = _alternate(result, growth, u, max_steps)
  else:
    growth, u = _descend(
      result, growth, u, optimizer, relaxation, max_steps, devices
    )
  short = result.gap > tol and result.num_steps < max_steps
  if short and needs_pairs:
    result.polished = True
    _polish(result, growth, u)
  return result


def _needs_pairs(instance, optimizer, polish) -> bool:
  """Whether pairs of labels will be asked for, and are affordable."""
  affordable = newton.fits(instance.patterns.indptr, len(instance.weights))
  if optimizer in EXACT and not affordable:
    raise errors.UserError(
      f'optimizer must not be {optimizer} for so many labels (in all, or '
      'together in a labelset): its tables of label pairs are too large; take '
      "'adam'."
    )
  return affordable and (polish or optimizer in EXACT)


def _go_on(result, growth, u, optimizer, needs_pairs) -> None:
  """Goes on from the solution of a problem like this one."""
  instance, problem = result.instance, result.where.problem
  if _has_room(instance):
    certified = warm.certify(problem, growth, u)
  else:
    certified = warm.certify_corner(problem)
  if result.record(*certified, 0):
    return
  if optimizer == 'newton':
    _polish(result, growth, u)
  elif needs_pairs:
    result.polished = optimizer not in EXACT
    gap = _NEAR * instance.unit(instance.value(instance.start))
    _step_inside(result, warm.near(problem, growth, u, gap))


def _has_room(instance) -> bool:
  """Whether the budget leaves more than one corner of the box."""
  budget = instance.budget
  above = not budget or instance.least.sum() < budget.most
  return above and not (budget.exactly and budget.most >= instance.most.sum())


def _first(instance, where, start):
  """Returns the growth and the dual to begin with, on the devices."""
  if start is not None:
    return where.put(start.growth), jnp.asarray(start.u)
  counts = np.clip(instance.start, instance.least, instance.most)
  x = instance.deviations(counts)
  growth = where.put(counts / instance.start)
  problem = where.problem
  u = optimizers.relaxed_slopes(problem, jnp.asarray(x), 1e-9, 'huber')
  return growth, jnp.append(u, 0.0)


def _descend(result, growth, u, name, relaxation, max_steps, devices):
  """Runs first-order chunks while the relaxation narrows.

  The last width is the one whose minimiser has a certified gap of tol.

  Returns:
    The growth and the dual to go on from, on the devices.
  """
  where = result.where
  gap = relax.RELAXATIONS[relaxation].gap * len(result.instance.weights)
  active = Active(result.instance, where, name, devices)
  state = optimizers.init(name, growth)
  width, rate, num_steps = _first_width(result.instance, where, growth), 1.0, 0
  price, stalled, least_gap = u[-1], 0, np.inf
  while True:
    if num_steps:
      state = optimizers.run_chunk(
        active.part.problem, state, price, width, rate, num_steps,
        name=name, relaxation=relaxation,
      )  # fmt: skip
      growth = active.whole(state.growth, growth)
    feasible, u, hold, figures = optimizers.certify(
      where.problem, growth, price, width, relaxation=relaxation
    )
    price = u[-1]
    met = result.record(feasible, u, figures, num_steps)
    last = result.wanted / gap
    if result.gap < 0.9 * least_gap:
      stalled, least_gap = 0, result.gap
    narrowest = bool(num_steps) and width <= 1.01 * last
    stalled += narrowest or result.instance.penalty != 'absolute'
    if met or (narrowest and stalled > _STALLED_CHUNKS):
      break
    if num_steps:
      width = max(width * _WIDTH_FACTOR, last)
      rate *= optimizers.OPTIMIZERS[name].decay
    num_steps = min(_CHUNK_STEPS, max_steps - result.num_steps)
    if num_steps <= 0:
      break
    state = active.follow(state, growth, hold)
  return where.put(result.growth), jnp.asarray(result.u)


def _first_width(instance, where, growth) -> float:
  """Returns the mean deviation: relaxing starts from a nearly linear f."""
  if instance.penalty != 'absolute':
    return 1e-3
  x = instance.deviations(instance.start * where.take(growth))
  return max(float(np.abs(x).mean()), 1e-6)


def _alternate(result, growth, u, max_steps):
  """Runs primal-dual chunks; returns growth and dual to go on from."""
  where = result.where
  state = pdhg.init(where.problem, growth, u)
  num_steps = 0
  while True:
    state, growth, u, figures = pdhg.run_chunk(where.problem, state, num_steps)
    if result.record(growth, u, figures, num_steps):
      break
    num_steps = min(_CHUNK_STEPS, max_steps - result.num_steps)
    if num_steps <= 0:
      break
  return growth, u


def _interior(result, growth) -> None:
  """Takes interior-point steps until the gap is met, or no longer falls."""
  problem = result.where.problem
  feasible, u, _, figures = optimizers.certify(
    problem, growth, 0.0, 1e-9, relaxation='huber'
  )
  if not result.record(feasible, u, figures, 0):
    _step_inside(result, ipm.start(problem, growth))


def _step_inside(result, state) -> None:
  """Takes interior-point steps from `state`, as `_interior` does."""
  wanted, least_gap, stalled = result.wanted, np.inf, 0
  most = result.num_steps + _INTERIOR_STEPS
  while result.num_steps < most and stalled < 3:
    state, growth, u, num_steps, figures = ipm.run_chunk(
      result.where.problem, state, 0.1 * wanted, _INTERIOR_CHUNK
    )
    num_steps = int(num_steps)
    if result.record(growth, u, figures, num_steps):
      return
    finished = num_steps < _INTERIOR_CHUNK
    wanted = min(wanted * (0.01 if finished else 1.0), result.wanted)
    stalled = 0 if result.gap < 0.5 * least_gap else stalled + 1
    least_gap = min(least_gap, result.gap)


def _polish(result, growth, u) -> None:
  """Takes proximal Newton steps until the gap is met, or no longer falls."""
  sigma, least_gap, stalled = _FIRST_SIGMA, np.inf, 0
  for _ in range(_POLISH_STEPS):
    trial, u, solved, num_steps, figures = newton.step(
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
