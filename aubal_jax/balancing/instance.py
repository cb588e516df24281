"""One problem in NumPy: the labelsets and classes that take part."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
from scipy import sparse

from aubal_jax.balancing import objective as objective_lib


@dataclasses.dataclass(frozen=True)
class Instance:
  """The labelsets that are not empty and the classes that occur.

  Attributes:
    rows: int[S], the labelsets' numbers in the table given; by size.
    patterns: CSR float64[S, L].
    start: float64[S], n_o.
    weights: float64[L], w.
    target: float64[L], tau.
    lam: weight of Var(g), as it is used.
    image_cost: price of an added image.
    least: int64[S], smallest whole count allowed.
    most: int64[S], largest whole count allowed.
    empty_boxes: labelsets without a whole count inside their bounds.
  """

  rows: np.ndarray
  patterns: sparse.csr_array
  start: np.ndarray
  weights: np.ndarray
  target: np.ndarray
  lam: float
  image_cost: float
  least: np.ndarray
  most: np.ndarray
  empty_boxes: int

  def __len__(self) -> int:
    """Returns S."""
    return len(self.rows)

  @property
  def sizes(self) -> np.ndarray:
    """int[S], labels of each labelset."""
    return np.diff(self.patterns.indptr)

  def deviations(self, counts) -> np.ndarray:
    """Returns x = W (z - tau sum z), float64[L], at counts float[S]."""
    class_counts = self.patterns.T @ counts
    return self.weights * (class_counts - self.target * class_counts.sum())

  def value(self, counts) -> float:
    """Returns f, (1a), at counts float[S]."""
    if not len(self):
      return 0.0
    level = np.abs(self.deviations(counts)).sum()
    return float(level + self.lam * np.var(counts / self.start))

  def cost(self, counts) -> float:
    """Returns the price of the images added, in units of f."""
    return float(self.image_cost * (counts - self.start).sum())

  def problem(self) -> objective_lib.Problem:
    """Returns the same as JAX arrays, on the box of whole counts."""
    blocks = objective_lib.label_blocks(
      self.patterns.indptr, self.patterns.indices, len(self.weights)
    )
    start = np.maximum(self.start, 1)
    return objective_lib.Problem(
      blocks=tuple(jnp.asarray(block) for block in blocks),
      counts=jnp.asarray(self.start),
      weights=jnp.asarray(self.weights),
      target=jnp.asarray(self.target),
      lam=jnp.asarray(self.lam, jnp.float64),
      lower=jnp.asarray(self.least / start),
      upper=jnp.asarray(self.most / start),
      image_cost=jnp.asarray(self.image_cost, jnp.float64),
    )


def make_instance(
  patterns, counts, *, objective, lam, image_cost, lower, upper
) -> Instance:
  """Leaves out empty labelsets, absent ones and classes without a positive.

  Args:
    patterns: CSR 0/1 [S, L].
    counts: int64[S].
    objective: a name of `objective.OBJECTIVES`.
    lam: weight of Var(g), as it is used.
    image_cost: price of an added image.
    lower: float64[S], least growth.
    upper: float64[S], largest growth.
  """
  sizes = np.diff(patterns.indptr)
  rows = np.flatnonzero((sizes > 0) & (counts > 0))
  rows = rows[np.argsort(sizes[rows], kind='stable')]
  class_counts = patterns.T.astype(np.int64) @ counts
  present = np.flatnonzero(class_counts > 0)
  taken = sparse.csr_array(patterns[rows][:, present], dtype=np.float64)
  taken.sort_indices()
  weights = np.ones(len(present))
  if len(present):
    weigh = objective_lib.OBJECTIVES[objective]
    weights = weigh(class_counts[present].astype(np.float64))
  least, most, empty_boxes = integer_box(counts[rows], lower[rows], upper[rows])
  return Instance(
    rows=rows,
    patterns=taken,
    start=counts[rows].astype(np.float64),
    weights=weights,
    target=np.full(len(present), 1 / max(len(present), 1)),
    lam=lam,
    image_cost=image_cost,
    least=least,
    most=most,
    empty_boxes=empty_boxes,
  )


def integer_box(start, lower, upper):
  """Returns the whole counts allowed: int64[S] least, most, and empty boxes.

  A box without a whole number becomes the whole number nearest to it.

  Args:
    start: int[S], n_o.
    lower: float[S], least growth.
    upper: float[S], largest growth.

  Returns:
    int64[S] least count, int64[S] most, and how many boxes were empty.
  """
  allowed = 1e-9 + 1e-14 * upper * start  # Of rounding in the products.
  least = np.ceil(lower * start - allowed).astype(np.int64)
  most = np.floor(upper * start + allowed).astype(np.int64)
  empty = least > most
  nearest = np.rint((lower + upper) / 2 * start).astype(np.int64)
  return (
    np.where(empty, nearest, least),
    np.where(empty, nearest, most),
    int(empty.sum()),
  )
