"""Runs a variant, chunk by chunk, until the certified gap is met.

Steps are compiled in chunks, one dispatch for many of them. Between chunks
Python keeps the trace, drops labelsets that are settled and decides what comes
next.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import jax
import numpy as np

from aubal_jax.balancing import arrays
from aubal_jax.balancing import certificate
from aubal_jax.balancing import descent
from aubal_jax.balancing import ipm
from aubal_jax.balancing import ipm_system
from aubal_jax.balancing import newton
from aubal_jax.balancing import objective
from aubal_jax.balancing import pdhg
from aubal_jax.balancing import projected_gradient
from aubal_jax.balancing import rules
from aubal_jax.balancing.instance import Instance
from aubal_jax.balancing.instance import Placed
from aubal_jax.runs import errors
from aubal_jax.runs import programs

EXACT = ('newton', 'ipm')
PRIMAL_DUAL = ('pdhg',)
# Every name of an optimizer: projected gradients, primal-dual steps (piecewise
# linear objectives only) and the exact ones.
VARIANTS = (*projected_gradient.OPTIMIZERS, *PRIMAL_DUAL, *EXACT)

# Labelsets up to which certificates and exact steps are computed in NumPy.
MOST_ON_HOST = 1 << 13
# Labels up to which steps of the interior point finish what a first chunk of
# first-order steps leaves, as they cost little more than another one.
_FEW_LABELS = 256
_ONE_BLOCK = 64  # Labels of tables that LAPACK factors in one thread.
_NEAR = 0.1  # Gap of an interior point near a solution, of f at the start.

_certify = arrays.compiled(certificate.certify_within)
_certify_corner = arrays.compiled(certificate.certify_corner)


@dataclasses.dataclass(frozen=True)
class Search:
  """The keywords of `solve` that say how it is solved; see there."""

  optimizer: str = 'adam'
  relaxation: str = 'huber'
  tol: float = 1e-5
  max_steps: int = 20_000
  polish: bool = True
  devices: Sequence[jax.Device] | None = None
  on_progress: Callable[[dict[str, Any]], None] | None = None

  def check(self, penalty: str) -> None:
    """Raises UserError unless this is a way to solve for that penalty."""
    rules.check_choice('optimizer', self.optimizer, VARIANTS)
    rules.check_choice('relaxation', self.relaxation, objective.RELAXATIONS)
    rules.check_number('tol', self.tol, least=0, above=True)
    rules.check_whole('max_steps', self.max_steps, least=0, most=2**31 - 1)
    rules.check_flag('polish', self.polish)
    rules.check_function('on_progress', self.on_progress)
    self._check_devices()
    if self.optimizer in PRIMAL_DUAL and penalty != 'absolute':
      raise errors.UserError(
        f'optimizer must not be {self.optimizer!r} for penalty {penalty!r}: '
        "it takes sums of absolute values only; take 'adam', 'ipm' or 'newton'."
      )

  def _check_devices(self) -> None:
    devices = self.devices
    if devices is None:
      return
    good = isinstance(devices, Sequence) and len(devices) > 0
    if not good or not all(isinstance(one, jax.Device) for one in devices):
      raise errors.UserError(
        'devices must be a list of JAX devices, such as jax.devices(), or None '
        f'for one; it is {devices!r}.'
      )


def split(settings: dict) -> tuple[rules.Rules, Search]:
  """Returns what keywords of `solve` say: what is solved, and how."""
  names = {field.name for field in dataclasses.fields(rules.Rules)} & {
    *settings
  }
  rest = {name: what for name, what in settings.items() if name not in names}
  return rules.Rules(**{name: settings[name] for name in names}), Search(**rest)


class Clock:
  """Seconds since it was made, and of those, while it is open, of compiling."""

  def __init__(self):
    self._started = time.perf_counter()
    self._compiling = 0.0

  def __enter__(self):
    """Begins to listen to JAX."""
    jax.monitoring.register_event_duration_secs_listener(self._listen)
    return self

  def __exit__(self, *_):
    """Listens no more."""
    jax.monitoring.unregister_event_duration_listener(self._listen)

  def _listen(self, event: str, seconds: float, **_) -> None:
    if event.startswith('/jax/core/compile/'):
      self._compiling += seconds

  def read(self) -> tuple[float, float]:
    """Returns seconds of work and seconds of tracing and compiling."""
    passed = time.perf_counter() - self._started
    return max(passed - self._compiling, 0.0), self._compiling


class Start(NamedTuple):
  """Where to begin: the solution of a problem that differs in lam or budget.

  Attributes:
    growth: float64[S].
    u: float64[L + 1].
  """

  growth: np.ndarray
  u: np.ndarray


class Run:
  """The best growth and the best bounds so far, and how they were reached.

  Attributes:
    instance: the problem.
    where: the same on its devices; None where no labelset takes part.
    clock: since when, and what of it was compiling.
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

  def __init__(self, instance: Instance, search: Search, clock: Clock):
    self.instance = instance
    self.where = None
    self.tol = search.tol
    self.on_progress = search.on_progress
    self.clock = clock
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


def run(
  instance: Instance,
  search: Search,
  *,
  start: Start | None = None,
  where: Placed | None = None,
) -> Run:
  """Runs the variant, then polishes what it left, until the gap is met.

  Where the tables of pairs are small, a chunk of first-order steps is all, and
  steps of the interior point follow; else first-order steps go on until they
  stall, and proximal Newton steps follow. Nothing is polished when first-order
  steps run out, or where those tables would be too large.

  Args:
    instance: the problem.
    search: how it is solved; checked.
    start: where to begin; None: growth of 1. From there steps of the interior
      point come first, whatever the optimizer, where the tables of pairs are
      affordable and wanted; of 'newton' its own.
    where: the instance on its devices, such as `Run.where` of one that differs
      in lam or budget only, with these changed; None: made here.

  Raises:
    FloatingPointError: the objective is not a number, or below its bound.
    UserError: the problem is too large for an exact variant.
  """
  few = len(instance.weights) <= _ONE_BLOCK or len(instance) > MOST_ON_HOST
  alone = contextlib.nullcontext() if few else arrays.one_thread()
  with programs.kept(), Clock() as clock, alone:
    result = Run(instance, search, clock)
    if not len(instance):
      result.lower_bound = result.lower_bound_priced = 0.0
      return result
    needs_pairs = _needs_pairs(instance, search)
    if where is None:
      where = _placed(instance, search, needs_pairs)
    result.where = where
    growth, u = _first(instance, where, start)
    if start is not None:
      _go_on(result, growth, u, search.optimizer, needs_pairs)
    if start is None or (
      result.gap > search.tol and search.optimizer != 'newton'
    ):
      _take_steps(result, growth, u, search, needs_pairs)
  return result


def _needs_pairs(instance, search) -> bool:
  """Whether pairs of labels will be asked for, and are affordable."""
  affordable = newton.fits(instance.patterns.indptr, len(instance.weights))
  if search.optimizer in EXACT and not affordable:
    raise errors.UserError(
      f'optimizer must not be {search.optimizer} for so many labels (in all, '
      'or together in a labelset): its tables of label pairs are too large; '
      "take 'adam'."
    )
  return affordable and (search.polish or search.optimizer in EXACT)


def _placed(instance, search, needs_pairs) -> Placed:
  """Returns the problem in NumPy where it is small, else on the devices."""
  lengths = instance.sizes
  is_small = (
    search.devices is None
    and search.optimizer not in PRIMAL_DUAL
    and len(instance) <= MOST_ON_HOST
    and lengths @ lengths <= 32 * MOST_ON_HOST
  )
  if is_small:
    return instance.on_host(with_pairs=needs_pairs)
  return instance.problem(with_pairs=needs_pairs, devices=search.devices)


def _first(instance, where, start):
  """Returns the growth and the dual to begin with, on the devices."""
  xp = where.problem.xp
  if start is not None:
    return where.put(start.growth), where.everywhere(start.u)
  counts = np.clip(instance.start, instance.least, instance.most)
  x = instance.deviations(counts)
  growth = where.put(counts / instance.start)
  u = objective.slope_of_level(where.problem, xp.asarray(x), objective.SHARP)
  return growth, where.everywhere(xp.append(u, 0.0))


def _go_on(result, growth, u, optimizer, needs_pairs) -> None:
  """Goes on from the solution of a problem like this one."""
  instance, problem = result.instance, result.where.problem
  if _has_room(instance):
    certified = _certify(problem, growth, u)
  else:
    certified = _certify_corner(problem)
  if result.record(*certified, 0):
    return
  if optimizer == 'newton':
    newton.run(result, growth, u)
  elif needs_pairs:
    result.polished = optimizer not in EXACT
    gap = _NEAR * instance.unit(instance.value(instance.start))
    ipm.run_from(result, ipm.near(problem, growth, u, gap))


def _has_room(instance) -> bool:
  """Whether the budget leaves more than one corner of the box."""
  budget = instance.budget
  above = not budget or instance.least.sum() < budget.most
  return above and not (budget.exactly and budget.most >= instance.most.sum())


def _take_steps(result, growth, u, search, needs_pairs) -> None:
  """Takes the variant's steps, and Newton's where they leave a gap."""
  if search.optimizer == 'ipm':
    ipm.run(result, growth)
    return
  if search.optimizer == 'newton':
    newton.run(result, growth, u)
    return
  if search.optimizer in PRIMAL_DUAL:
    growth, u = pdhg.run(result, growth, u, search.max_steps)
  else:
    hands_over = needs_pairs and len(result.instance.weights) <= _FEW_LABELS
    growth, u = descent.run(result, growth, u, search, hands_over)
  short = result.gap > search.tol and result.num_steps < search.max_steps
  if short and needs_pairs:
    result.polished = True
    if hands_over:
      ipm.run_from(result, _interior(result, growth, u))
    if result.gap > search.tol:
      newton.run(result, growth, u)


def _interior(result, growth, u) -> ipm_system.State:
  """Returns an interior point near one of so large a gap as the result's."""
  instance = result.instance
  gap = _NEAR * instance.unit(instance.value(instance.start))
  gap = min(gap, result.gap * instance.unit(result.value))
  return ipm.near(result.where.problem, growth, u, gap)
