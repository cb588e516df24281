"""Moves of a count by one: what they change, and what they cost.

A move changes the count of labelset s by +-1 and x by +-w (P_s - tau m_s).
Labelsets of one mass m (in blocks: of one in every block) share the second
part, so all moves are priced, exactly, by a table of class terms for each mass
and one pass over the patterns.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import sparse

SIGNS = np.array([1.0, -1.0])  # A move of an image more, or of one less.

_MOST_DENSE = 1 << 18  # Entries of P up to which it is a matrix.


class Point:
  """Whole counts float64[S], with x, the sum of n and that of n / n_o."""

  def __init__(self, instance, counts):
    self.instance, self.counts = instance, counts
    self.x = instance.deviations(counts)
    self.images = counts.sum()
    self.growth = (counts / instance.start).sum()

  def priced(self) -> float:
    """Returns f + cost."""
    spread = self.instance.lam * np.var(self.counts / self.instance.start)
    cost = self.instance.cost(self.counts)
    return float(terms_of(self.instance, self.x).sum() + spread + cost)

  def make(self, rows, signs, step):
    """Changes the counts of distinct labelsets, and x by `step`, in place."""
    self.counts[rows] += signs
    self.x += step
    self.images += signs.sum()
    self.growth += (signs / self.instance.start[rows]).sum()


def terms_of(instance, x) -> np.ndarray:
  """Returns phi_i(x_i) of x float64[..., L]; finite for 'log' at 0 as well."""
  if instance.penalty == 'absolute':
    return np.abs(x)
  if instance.penalty == 'square':
    return x**2 / instance.scale
  return -instance.scale * np.log(np.maximum(x, 1e-300))


@dataclasses.dataclass(frozen=True)
class Moves:
  """The moves of some labelsets by +1 and by -1.

  Attributes:
    rows: int[R], the labelsets.
    group: int[R], the place of their mass among all K masses.
    drift: float64[K, L], w tau m: what a move takes from every class.
    wide: CSR ones [R, K L]: P, with columns of its own for each mass.
    dense: float64[R, L], P where it is small; else None.
  """

  rows: np.ndarray
  group: np.ndarray
  drift: np.ndarray
  wide: sparse.csr_array
  dense: np.ndarray | None = None

  def take(self, places) -> Moves:
    """Returns the moves of the labelsets rows[places]."""
    group, wide = self.group[places], self.wide[places]
    return Moves(self.rows[places], group, self.drift, wide)

  def patterns_of(self, places) -> np.ndarray:
    """Returns P float64[K, L] of the labelsets rows[places]."""
    if self.dense is not None:
      return self.dense[places]
    num_labels = self.drift.shape[1]
    wide = self.wide[places]
    columns = wide.indices % num_labels
    patterns = np.zeros((len(places), num_labels))
    patterns[
      np.repeat(np.arange(len(places)), np.diff(wide.indptr)), columns
    ] = 1
    return patterns

  def prices(self, point) -> np.ndarray:
    """Returns float64[2, R], the change of f + cost; inf out of the box."""
    instance, x = point.instance, point.x
    counts, start = point.counts[self.rows], instance.start[self.rows]
    away = counts / start - point.growth / len(instance)
    shrink = 1 - 1 / len(instance)
    now = terms_of(instance, x).sum()
    prices = np.empty((2, len(self.rows)))
    for price, sign in zip(prices, SIGNS, strict=True):
      drifted = terms_of(instance, x - sign * self.drift)
      own = terms_of(instance, x - sign * (self.drift - instance.weights))
      price[:] = self.wide @ (own - drifted).ravel()
      price += (drifted.sum(axis=1) - now)[self.group]
      spread = (2 * sign * away + shrink / start) / start
      price += instance.lam / len(instance) * spread
      price += sign * instance.image_cost
    prices[0, counts >= instance.most[self.rows]] = np.inf
    prices[1, counts <= instance.least[self.rows]] = np.inf
    return prices


def all_moves(instance) -> Moves:
  """Returns the moves of all labelsets of an `Instance`."""
  drift, group = _drifts(instance)
  patterns, num_labels = instance.patterns, len(instance.weights)
  first = (group * num_labels).astype(patterns.indices.dtype)
  columns = patterns.indices + np.repeat(first, instance.sizes)
  wide = (patterns.data, columns, patterns.indptr)
  shape = len(instance), len(drift) * num_labels
  is_small = len(instance) * num_labels <= _MOST_DENSE
  return Moves(
    rows=np.arange(len(instance)),
    group=group,
    drift=drift,
    wide=sparse.csr_array(wide, shape=shape),
    dense=patterns.toarray() if is_small else None,
  )


def _drifts(instance) -> tuple[np.ndarray, np.ndarray]:
  """Returns w tau m float64[K, L] of each mass, and int[S], which is whose."""
  shares, blocks = instance.weights * instance.target, instance.blocks
  if blocks is None:
    masses, group = np.unique(instance.mass, return_inverse=True)
    return masses[:, None] * shares, group
  masses, group = np.unique(
    instance.patterns @ blocks.T, axis=0, return_inverse=True
  )
  return (masses @ blocks) * shares, group.ravel()


def smallest(values, number) -> np.ndarray:
  """Returns the places of the smallest values, the first of equal ones."""
  places = np.arange(len(values))
  if number < len(values):
    places = places[values <= np.partition(values, number)[number]]
  return places[np.argsort(values[places], kind='stable')[:number]]
