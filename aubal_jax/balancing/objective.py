r"""The objective: how uneven the classes are at a given growth of labelsets.

With patterns P (0/1, S labelsets x L labels), counts n_o, growth g = n / n_o,
class weights w and target shares tau (sum 1; the paper's are 1 / L):

  z(n) = P^T n                                        class counts       (1b)
  x(g) = W (z - tau sum z) = A g                      deviations
  f(g) = sum_i |x_i| + lam Var_s(g_s)                                    (1a)
  lower <= g <= upper                                                    (2)

Equation numbers are those of Rieger, Pahl and Seuss, arXiv 2003.08751. The
price of an added image adds cost(g) = image_cost sum_s n_o,s (g_s - 1).
A is never formed: patterns are kept as lists of labels.
"""

from __future__ import annotations

import types
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

# Weight of each class in sum_i w_i |z_i - mean z|, from its count z_o.
OBJECTIVES = types.MappingProxyType(
  {
    'l1': np.ones_like,
    'relative': lambda class_counts: class_counts.mean() / class_counts,
  }
)


class Problem(NamedTuple):
  """One balancing problem, as arrays; labelsets sorted by number of labels.

  Attributes:
    blocks: int32[S_b, K_b] each; labels of the labelsets with at most K_b of
      them, filled up with L. Together they hold all S labelsets in order.
    counts: float64[S], n_o.
    weights: float64[L], w.
    target: float64[L], tau.
    lam: float64, weight of the variance of growth, as it is used.
    lower: float64[S], least growth.
    upper: float64[S], largest growth.
    image_cost: float64, price of an added image in units of f.
  """

  blocks: tuple[Array, ...]
  counts: Array
  weights: Array
  target: Array
  lam: Array
  lower: Array
  upper: Array
  image_cost: Array


def label_blocks(indptr, indices, num_labels: int) -> tuple[np.ndarray, ...]:
  """Packs CSR rows, sorted by length, into a few padded tables of labels.

  Widths are powers of two, so at most half of a table is filling and the number
  of tables is logarithmic in the longest row.

  Args:
    indptr: int[S + 1], CSR row starts; rows of non-decreasing length.
    indices: int[nnz], labels.
    num_labels: L, which fills the tables up.

  Returns:
    int32[S_b, K_b] tables, which hold the S rows in order.
  """
  lengths = np.diff(indptr)
  widths = 1 << np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64)
  blocks = []
  for width in np.unique(widths):
    rows = np.flatnonzero(widths == width)
    table = np.full((len(rows), width), num_labels, np.int32)
    filled = np.arange(width) < lengths[rows, None]
    table[filled] = indices[indptr[rows[0]] : indptr[rows[-1] + 1]]
    blocks.append(table)
  return tuple(blocks)


def sum_over_labels(problem: Problem, values: Array) -> Array:
  """Returns P v: float64[S], the sum of `values` float64[L] over each row."""
  padded = jnp.append(values, 0.0)
  return jnp.concatenate([padded[b].sum(axis=1) for b in problem.blocks])


def sum_over_labelsets(problem: Problem, values: Array) -> Array:
  """Returns P^T x: float64[L], the sum of `values` float64[S] over rows."""
  sums = jnp.zeros(len(problem.weights) + 1, values.dtype)
  start = 0
  for block in problem.blocks:
    rows = values[start : start + len(block)]
    sums = sums.at[block].add(rows[:, None])
    start += len(block)
  return sums[:-1]


def deviations(problem: Problem, growth: Array) -> Array:
  """Returns x = A g: float64[L], weighted distance of each class's target."""
  class_counts = sum_over_labelsets(problem, problem.counts * growth)
  mean = class_counts.sum()
  return problem.weights * (class_counts - problem.target * mean)


def labelset_slopes(problem: Problem, slopes: Array) -> Array:
  """Returns A^T u: float64[S], from `slopes` u float64[L], one a class."""
  weighted = problem.weights * slopes
  weighted = weighted - problem.target @ weighted
  return problem.counts * sum_over_labels(problem, weighted)


def spread_of_growth(problem: Problem, growth: Array) -> Array:
  """Returns lam Var(g), the population variance over labelsets."""
  return problem.lam * jnp.var(growth)


def value(problem: Problem, growth: Array) -> Array:
  """Returns f(g) of (1a)."""
  x = deviations(problem, growth)
  return jnp.abs(x).sum() + spread_of_growth(problem, growth)


def cost(problem: Problem, growth: Array) -> Array:
  """Returns the price of the images added, in units of f."""
  return problem.image_cost * (problem.counts * (growth - 1.0)).sum()


def column_scale(problem: Problem) -> Array:
  """Returns float64[S], sum_i |A_is|: how far a unit of growth moves x."""
  size = sum_over_labels(problem, jnp.ones_like(problem.weights))
  shares = problem.weights * problem.target
  outside = size * (shares.sum() - sum_over_labels(problem, shares))
  inside = []
  start = 0
  weights = jnp.append(problem.weights, 0.0)
  target = jnp.append(problem.target, 0.0)
  for block in problem.blocks:
    rows = size[start : start + len(block), None]
    inside.append((weights[block] * jnp.abs(1.0 - target[block] * rows)).sum(1))
    start += len(block)
  return problem.counts * (outside + jnp.concatenate(inside))
