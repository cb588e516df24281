"""What a solve has reached so far, and how long it took."""

from __future__ import annotations

import time

import jax
import numpy as np

from aubal_jax.balancing.instance import Instance

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
    instance: the problem.
    where: the same on its devices; None where no labelset takes part.
    growth: float64[S], the best one.
    u: float64[L + 1], the dual of the best bound.
    value: f there.
    cost: price of the added images there.
    lower_bound: on f.
    lower_bound_priced: on f + cost.
    num_steps: taken so far, of whatever kind.
    polished: whether Newton steps followed first-order ones.
    trace: equally long lists, see `Solution.trace`.
  """

  def __init__(self, instance: Instance, tol: float, on_progress):
    self.instance = instance
    self.where = None
    self.tol = tol
    self.on_progress = on_progress
    self.clock = Clock()
    self.growth = np.ones(len(instance))
    self.u = np.zeros(len(instance.weights) + 1)
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
    return max(distance, 0.0) / self.instance.unit(self.value)

  @property
  def wanted(self) -> float:
    """The gap to stop at, in units of f."""
    return self.tol * self.instance.unit(self.value)

  def record(self, growth, u, figures, num_steps: int) -> bool:
    """Keeps what is better than before; returns whether the gap is met.

    Args:
      growth: float64[S'], on the devices.
      u: float64[L + 1].
      figures: of `certificate.certify`.
      num_steps: taken since the last call.
    """
    figures = {name: float(figure) for name, figure in figures.items()}
    priced = figures['value'] + figures['cost']
    self.num_steps += num_steps
    if not self.trace['step'] or priced < self.value + self.cost:
      self.growth = self.where.take(growth)
      self.value, self.cost = figures['value'], figures['cost']
    self._check(priced, figures['lower_bound_priced'])
    if figures['lower_bound_priced'] > self.lower_bound_priced:
      self.u = np.asarray(u)
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

  def _check(self, priced, bound):
    if np.isnan(priced) or np.isnan(bound):
      raise FloatingPointError(
        f'The objective or its bound is no number after {self.num_steps} steps.'
      )
    if bound > priced + 1e-9 * max(1.0, abs(priced)):
      raise FloatingPointError(
        f'The bound {bound} is above the objective {priced}: the problem is '
        'beyond what float64 can certify.'
      )
