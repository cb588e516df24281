"""First-order steps in chunks, on the labelsets that are still moving.

At a solution most labelsets sit at a bound. Between chunks of first-order steps
those that are settled there drop out, once the rest is half as many: what they
add to the classes becomes a constant. Every certificate is that of the whole
problem, and those that it no longer holds there return. Tables of a part have
powers of two as sizes, so that the next part rarely has to be compiled anew.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from aubal_jax.balancing import objective
from aubal_jax.balancing import projected_gradient
from aubal_jax.balancing.instance import Instance
from aubal_jax.balancing.instance import Placed

# Fewer are not worth compiling another size of problem for.
WORTH_SHRINKING = 1 << 17
# So hard has a labelset to be held before it drops out.
_CLEAR = 0.05

_CHUNK_STEPS = 100
_STALLED_CHUNKS = 5
_WIDTH_FACTOR = 0.5


def run(result, growth, u, search, hands_over: bool = False):
  """Takes first-order steps while the relaxation narrows.

  The last width is the one whose minimiser has a certified gap of tol.

  Args:
    result: the `iterations.Run`.
    growth: float64[S'], where to start from, on the devices.
    u: float64[L + 1], of whose entries only the price of an image counts.
    search: the `iterations.Search`.
    hands_over: whether the first chunk of steps is all, as others finish what
      it leaves sooner than more of these.

  Returns:
    growth and u to go on from, on the devices.
  """
  where, instance, name = result.where, result.instance, search.optimizer
  relaxation = search.relaxation
  gap = objective.RELAXATIONS[relaxation].gap * len(instance.weights)
  active = Active(instance, where, search.devices)
  state = projected_gradient.init(name, active.first(growth))
  width, rate, num_steps = _first_width(instance, where, growth), 1.0, 0
  # On the host, so that it lies alike before the first chunk and later.
  price, stalled, least_gap = np.float64(u[-1]), 0, np.inf
  while True:
    if num_steps:
      state = projected_gradient.run_chunk(
        active.part.problem, state, price, *map(np.float64, (width, rate)),
        num_steps,
        name=name, relaxation=relaxation, has_budget=bool(instance.budget),
      )  # fmt: skip
      growth = active.whole(state.growth, growth)
    feasible, u, hold, figures = projected_gradient.certify(
      where.problem, growth, price, width, relaxation=relaxation
    )
    price = np.float64(u[-1])
    met = result.record(feasible, u, figures, num_steps)
    last = result.wanted / gap
    if result.gap < 0.9 * least_gap:
      stalled, least_gap = 0, result.gap
    narrowest = bool(num_steps) and width <= 1.01 * last
    stalled += narrowest or instance.penalty != 'absolute'
    if met or (narrowest and stalled > _STALLED_CHUNKS):
      break
    if hands_over and num_steps:
      break
    if num_steps:
      width = max(width * _WIDTH_FACTOR, last)
      rate *= projected_gradient.OPTIMIZERS[name].decay
    num_steps = min(_CHUNK_STEPS, search.max_steps - result.num_steps)
    if num_steps <= 0:
      break
    state = active.follow(state, growth, hold)
  return where.put(result.growth), where.everywhere(result.u)


def _first_width(instance, where, growth) -> float:
  """Returns the mean deviation: relaxing starts from a nearly linear f."""
  if instance.penalty != 'absolute':
    return 1e-3
  x = instance.deviations(instance.start * where.take(growth))
  return max(float(np.abs(x).mean()), 1e-6)


class Active:
  """Which part of a problem first-order steps are taken on.

  Attributes:
    part: the problem of the labelsets that move.
  """

  def __init__(self, instance: Instance, where: Placed, devices):
    self._instance = instance
    self._where = self.part = where
    self._on_host = where.problem.xp is np
    if self._on_host:
      self.part = instance.padded()
    self._devices = devices
    self._kept = np.ones(len(instance), bool)

  def first(self, growth):
    """Returns growth float64[S'] of all, over the places of the part."""
    return self.part.put(growth) if self._on_host else growth

  def whole(self, part_growth, growth) -> Array:
    """Returns growth float64[S'] of all, from that of the part that moves.

    Args:
      part_growth: float64, over the places of the part.
      growth: float64[S'], of all, before the part moved.
    """
    if self._on_host:
      return self.part.take(part_growth)
    if self.part is self._where:
      return part_growth
    all_growth = self._where.take(growth).copy()
    all_growth[self._kept] = self.part.take(part_growth)
    return self._where.put(all_growth)

  def follow(self, state, growth, hold) -> projected_gradient.State:
    """Drops labelsets that are settled; takes back those no longer held.

    Args:
      state: of the variant, over the places of the part.
      growth: float64[S'], of all.
      hold: float64[S'], of `projected_gradient.certify`.

    Returns:
      The state, over the places of the part as it is now.
    """
    if self._where.problem.incidence.num_places < WORTH_SHRINKING:
      return state
    hold = self._where.take(hold)
    settled, let_go = hold > _CLEAR, ~self._kept & (hold < 0)
    kept = ~settled
    if let_go.any():
      kept = self._kept | let_go  # Few more: most tables keep their size.
    elif kept.sum() > self._kept.sum() // 2:
      return state
    if kept.sum() > len(kept) // 2:
      kept = np.ones(len(kept), bool)
    return self._change(state, self._where.take(growth), kept)

  def _change(self, state, growth, kept) -> projected_gradient.State:
    """Makes `kept` bool[S] the part; growth float64[S] is that of all."""
    old, before = self.part, self._kept
    self._kept, self.part = kept, self._where
    if not kept.all():
      part = self._instance.only(kept, growth)
      self.part = Placed(
        *part.problem(with_pairs=False, devices=self._devices, coarse=True)
      )
    shape = (old.problem.incidence.num_places,)

    def carry(leaf):
      if leaf.shape[-1:] != shape:
        return leaf
      full = np.zeros((*leaf.shape[:-1], len(kept)))
      full[..., before] = np.asarray(leaf)[..., old.place]
      return self._put(full[..., kept])

    inner = jax.tree.map(carry, state.inner)
    now = self._put(growth[kept])
    return projected_gradient.State(now, now, inner)

  def _put(self, values) -> Array:
    """Returns values [..., S of the part] at their places."""
    if values.ndim == 1:
      return self.part.put(values)
    full = np.zeros((*values.shape[:-1], self.part.problem.counts.shape[0]))
    full[..., self.part.place] = values
    return jnp.asarray(full)
