"""The labelsets that are still moving.

At a solution most labelsets sit at a bound. Between chunks of first-order steps
those that are settled there drop out, once the rest fits into half the places:
what they add to the classes becomes a constant. Every certificate is that of
the whole problem, and where one of them turns out to be unsettled all return.
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
WORTH_SHRINKING = 1 << 14


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

  def follow(self, state, growth, settled) -> optimizers.State:
    """Drops labelsets that are settled, or takes all back.

    Args:
      state: of the variant, over the places of the part.
      growth: float64[S'], of all.
      settled: bool[S'], of all.

    Returns:
      The state, over the places of the part as it is now.
    """
    settled = self._where.take(settled)
    if not settled[~self._kept].all():
      self._kept = np.ones(len(settled), bool)
      self.part = self._where
      return optimizers.init(self._name, growth)
    num_places = self.part.problem.incidence.num_places
    needed = 1 << max(int((~settled).sum()) - 1, 0).bit_length()
    if num_places < WORTH_SHRINKING or needed > num_places // 2:
      return state
    old, before = self.part, self._kept
    self._kept = _filled_up(~settled, needed)
    self.part = Placed(
      *self._instance.only(self._kept, self._where.take(growth)).problem(
        with_pairs=False, devices=self._devices
      )
    )
    stay = self._kept[before]

    def cut(leaf):
      if leaf.shape[-1:] != (num_places,):
        return leaf
      values = np.asarray(leaf)[..., old.place][..., stay]
      full = np.zeros((*values.shape[:-1], self.part.problem.counts.shape[0]))
      full[..., self.part.place] = values
      return jnp.asarray(full)

    return jax.tree.map(cut, state)


def _filled_up(kept, size: int) -> np.ndarray:
  """Returns bool[S] with `size` labelsets, the first others added."""
  kept = kept.copy()
  kept[np.flatnonzero(~kept)[: max(size - int(kept.sum()), 0)]] = True
  return kept
