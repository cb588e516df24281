"""The labelsets that are still moving.

At a solution most labelsets sit at a bound. Between chunks of first-order steps
those that are settled there drop out, once the rest is half as many: what they
add to the classes becomes a constant. Every certificate is that of the whole
problem, and those that it no longer holds there return. Tables of a part have
powers of two as sizes, so that the next part rarely has to be compiled anew.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from aubal_jax.balancing import objective
from aubal_jax.balancing import optimizers
from aubal_jax.balancing.incidence import placed
from aubal_jax.balancing.instance import Instance

# Fewer are not worth compiling another size of problem for.
WORTH_SHRINKING = 1 << 17
# So hard has a labelset to be held before it drops out.
_CLEAR = 0.05


class Placed(NamedTuple):
  """A problem on its devices, and the places of its labelsets.

  Attributes:
    problem: the problem, over S' places.
    place: int[S], the place of each labelset.
  """

  problem: objective.Problem
  place: np.ndarray

  def put(self, growth) -> Array:
    """Returns float64[S] at its places, float64[S']."""
    return placed(self.problem.incidence, self.place, growth)

  def take(self, growth) -> np.ndarray:
    """Returns float64[S] from its places."""
    return np.asarray(growth)[self.place]


class Active:
  """Which part of a problem first-order steps are taken on.

  Attributes:
    part: the problem of the labelsets that move.
  """

  def __init__(self, instance: Instance, where: Placed, name: str, devices):
    self._instance = instance
    self._where = self.part = where
    self._name = name
    self._devices = devices
    self._kept = np.ones(len(instance), bool)

  def whole(self, part_growth, growth) -> Array:
    """Returns growth float64[S'] of all, from that of the part that moves.

    Args:
      part_growth: float64, over the places of the part.
      growth: float64[S'], of all, before the part moved.
    """
    if self.part is self._where:
      return part_growth
    all_growth = self._where.take(growth).copy()
    all_growth[self._kept] = self.part.take(part_growth)
    return self._where.put(all_growth)

  def follow(self, state, growth, hold) -> optimizers.State:
    """Drops labelsets that are settled; takes back those no longer held.

    Args:
      state: of the variant, over the places of the part.
      growth: float64[S'], of all.
      hold: float64[S'], of `optimizers.certify`.

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

  def _change(self, state, growth, kept) -> optimizers.State:
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
    return optimizers.State(now, now, inner)

  def _put(self, values) -> Array:
    """Returns values [..., S of the part] at their places."""
    if values.ndim == 1:
      return self.part.put(values)
    full = np.zeros((*values.shape[:-1], self.part.problem.counts.shape[0]))
    full[..., self.part.place] = values
    return jnp.asarray(full)
