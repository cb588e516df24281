"""Runs a variant, chunk by chunk, until the certified gap is met.

Steps are compiled in chunks, one dispatch for a hundred of them and their
certificate. Between chunks Python keeps the trace and decides what comes next.
"""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp
import numpy as np

from aubal_jax.balancing import newton
from aubal_jax.balancing import optimizers
from aubal_jax.balancing import relax
from aubal_jax.balancing.instance import Instance

_CHUNK_STEPS = 100
_POLISH_STEPS = 60
_WIDTH_FACTOR = 0.5
_FIRST_SIGMA = 10.0

_compile_seconds = 0.0


def _count_compilation(event: str, seconds: float, **_) -> None:
  global _compile_seconds
  if event.startswith('/jax/core/compile/'):
    _compile_seconds += seconds


jax.monitoring.register_event_duration_secs_listener(_count_compilation)


class Clock:
  """Seconds since it was made, what JAX spent on compiling told apart."""

  def __init__(self):
    self._started = time.perf_counter()
    self._compiled = _compile_seconds

  def read(self) -> tuple[float, float]:
    """Returns seconds of work and seconds of tracing and compiling."""
    compiled = _compile_seconds - self._compiled
    return max(time.perf_counter() - self._started - compiled, 0.0), compiled


class Run:
  """The best growth and the best bounds so far, and how they were reached.

  Attributes:
    growth: float64[S], the best one.
    value: f there.
    cost: price of the added images there.
    lower_bound: on f.
    lower_bound_priced: on f + cost.
    num_steps: taken so far, of whatever kind.
    polished: whether Newton steps followed first-order ones.
    trace: equally long lists, see `Solution.trace`.
  """

  def __init__(self, tol, on_progress):
    self.tol = tol
    self.on_progress = on_progress
    self.clock = Clock()
    self.growth = np.zeros(0)
    self.value = self.cost = 0.0
    self.lower_bound = self.lower_bound_priced = -np.inf
    self.num_steps = 0
    self.polished = False
    names = ('step', 'seconds', 'value', 'cost', 'lower_bound', 'gap')
    self.trace = {name: [] for name in names}

  @property
  def gap(self) -> float:
    """The certified relative gap of f + cost."""
    distance = self.value + self.cost - self.lower_bound_priced
    return max(distance, 0.0) / max(1.0, abs(self.value))

  def record(self, growth, figures, num_steps: int) -> bool:
    """Keeps what is better than before; returns whether the gap is met."""
    figures = {name: float(figure) for name, figure in figures.items()}
    priced = figures['value'] + figures['cost']
    self.num_steps += num_steps
    if not np.isfinite(priced):
      raise FloatingPointError(
        f'The objective is {priced} after {self.num_steps} steps.'
      )
    if not self.trace['step'] or priced < self.value + self.cost:
      self.growth = np.asarray(growth)
      self.value, self.cost = figures['value'], figures['cost']
    if figures['lower_bound_priced'] > priced + 1e-9 * max(1.0, abs(priced)):
      raise FloatingPointError(
        f'The bound {figures["lower_bound_priced"]} is above the objective '
        f'{priced}: the problem is beyond what float64 can certify.'
      )
    for name in ('lower_bound', 'lower_bound_priced'):
      setattr(self, name, max(getattr(self, name), figures[name]))
    entry = {
      'step': self.num_steps,
      'seconds': self.clock.read()[0],
      'value': figures['value'],
      'cost': figures['cost'],
      'lower_bound': self.lower_bound_priced,
      'gap': self.gap,
    }
    for name, figure in entry.items():
      self.trace[name].append(figure)
    if self.on_progress:
      self.on_progress(entry)
    return self.gap <= self.tol


def run(
  instance: Instance,
  *,
  optimizer: str,
  relaxation: str,
  tol: float,
  max_steps: int,
  on_progress=None,
) -> Run:
  """Runs the variant, then polishes what it left, until the gap is met.

  Args:
    instance: the problem.
    optimizer: a first-order name of `OPTIMIZERS`, or 'newton'.
    relaxation: a name of `RELAXATIONS`.
    tol: relative certified gap to stop at.
    max_steps: first-order steps at most; when they run out, or where Newton's
      tables would be too large, nothing is polished.
    on_progress: is given each new entry of the trace.

  Raises:
    FloatingPointError: the objective is not finite, or below its bound.
    ValueError: the problem is too large for 'newton'.
  """
  result = Run(tol, on_progress)
  start = np.clip(instance.start, instance.least, instance.most)
  result.growth = start / instance.start
  if not len(instance):
    result.lower_bound = result.lower_bound_priced = 0.0
    return result
  problem = instance.problem()
  x = instance.deviations(start)
  growth, u = jnp.asarray(result.growth), jnp.asarray(np.sign(x))
  affordable = newton.fits(instance.patterns.indptr, len(instance.weights))
  if optimizer == 'newton' and not affordable:
    raise ValueError(
      'optimizer must not be newton for so many labels (in all, or together in '
      "a labelset): its tables of label pairs are too large; take 'adam'."
    )
  if optimizer != 'newton':
    width = np.abs(x).mean()
    growth, u = _descend(
      result, problem, growth, width, optimizer, relaxation, max_steps
    )
    if result.gap <= tol or result.num_steps >= max_steps or not affordable:
      return result
    result.polished = True
  _polish(result, problem, instance.patterns, growth, u)
  return result


def _descend(result, problem, growth, width, name, relaxation, max_steps):
  """Runs first-order chunks while the relaxation narrows from `width`.

  The last width is the one whose minimiser has a certified gap of tol.

  Returns:
    The growth and the dual to go on from.
  """
  gap = relax.RELAXATIONS[relaxation].gap * len(problem.weights)
  state = optimizers.init(name, growth)
  width, rate, num_steps = max(float(width), 1e-6), 1.0, 0
  while True:
    state, u, figures = optimizers.run_chunk(
      problem, state, width, rate, num_steps, name=name, relaxation=relaxation
    )
    met = result.record(state.growth, figures, num_steps)
    last = result.tol * max(1.0, abs(result.value)) / gap
    if met or (num_steps and width <= 1.01 * last):
      break
    if num_steps:
      width = max(width * _WIDTH_FACTOR, last)
      rate *= optimizers.OPTIMIZERS[name].decay
    num_steps = min(_CHUNK_STEPS, max_steps - result.num_steps)
    if num_steps <= 0:
      break
  return jnp.asarray(result.growth), u


def _polish(result, problem, patterns, growth, u) -> None:
  """Takes proximal Newton steps until the gap is met."""
  pairs = newton.label_pairs(patterns.indptr, patterns.indices)
  sigma = _FIRST_SIGMA
  for _ in range(_POLISH_STEPS):
    trial, u, solved, num_steps, figures = newton.step(
      problem, pairs, growth, u, sigma, result.tol
    )
    if result.record(trial, figures, int(num_steps)):
      return
    if solved:
      growth, sigma = trial, sigma * 5
    else:
      sigma /= 4
