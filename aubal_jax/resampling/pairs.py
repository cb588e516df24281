"""Pairs of a seed and a near row of the same rare label, to be mixed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy import sparse

from aubal_jax.resampling import bags
from aubal_jax.resampling import neighbours as neighbours_lib


@dataclasses.dataclass(frozen=True)
class Pairs:
  """The rows that are made from the bag of one minority label.

  Attributes:
    bag: int64[n], the rows that have the label, ascending.
    near: int64[Q, k], places in the bag of the neighbours of each seed.
    seeds: int64[Q], places in the bag of the seeds, ascending.
    made: int64[A], which seed each new row is made from.
    chosen: int64[A], which of its neighbours is the reference.
  """

  bag: np.ndarray
  near: np.ndarray
  seeds: np.ndarray
  made: np.ndarray
  chosen: np.ndarray

  @property
  def source(self) -> np.ndarray:
    """int64[A], the rows that are the seeds of the new ones."""
    return self.bag[self.seeds[self.made]]

  @property
  def partner(self) -> np.ndarray:
    """int64[A], the rows that are their references."""
    return self.bag[self.near[self.made, self.chosen]]


def draw(
  labels: sparse.csr_array, features, *, fraction, rng, neighbours: int
) -> Iterator[Pairs]:
  """Yields the pairs of each minority label, in the order of labels.

  A label's bag is the rows that have it; each member is a seed. A bag of one
  has nobody to pair with and is passed over. New rows are spread evenly over
  the seeds of all bags: whole rounds, then a drawn rest.

  Args:
    labels: uint8[N, L].
    features: float[N, F], in which neighbours are near.
    fraction: round(fraction N) rows are made. None: as many as the counts of
      the minority labels sum to, so that each seed makes one (and some make
      another one for each bag of one).
    rng: where the rest, and a reference for each seed among its neighbours in
      the bag, are drawn from.
    neighbours: how many; all others in smaller bags.

  Raises:
    UserError: see `neighbours.check` and `neighbours.find`.
  """
  features = neighbours_lib.check(features, labels.shape[0])
  starts, rows = bags.members(labels)
  sizes = np.diff(starts)
  minority = bags.minority(sizes)
  amount = sizes[minority].sum()
  if fraction is not None:
    amount = round(fraction * labels.shape[0])
  columns = np.flatnonzero(minority & (sizes > 1))
  num_seeds = sizes[columns].sum()
  whole, rest = divmod(amount, max(num_seeds, 1))
  repeats = np.full(num_seeds, whole)
  if num_seeds:
    repeats[rng.choice(num_seeds, rest, replace=False)] += 1
  ends = np.cumsum(sizes[columns])
  for column, end in zip(columns, ends, strict=True):
    bag = rows[starts[column] : starts[column + 1]].astype(np.int64)
    of_bag = repeats[end - len(bag) : end]
    seeds = np.flatnonzero(of_bag)
    near = neighbours_lib.find(features[bag], neighbours, seeds)
    made = np.repeat(np.arange(len(seeds)), of_bag[seeds])
    chosen = rng.integers(near.shape[1], size=len(made))
    yield Pairs(bag, near, seeds, made, chosen)
