"""Nearest neighbours of rows, pairs of them, and how far their labels differ.

Neighbours are exact: all distances, a block of rows at a time.
"""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Iterator

import numpy as np
from scipy import sparse

from aubal_jax.resampling import bags
from aubal_jax.runs import errors
from aubal_jax.tables import plan as plan_lib

_BLOCK_ENTRIES = 1 << 22  # Distances held at a time: 32 MB.


def check(features, num_rows: int) -> np.ndarray:
  """Returns features as an array in which neighbours can be found.

  Args:
    features: numbers [N, F].
    num_rows: N, rows of the label table.

  Raises:
    UserError: there are none, or not one row of them for each row of labels,
      or one is not a finite number.
  """
  if features is None:
    raise errors.UserError(
      'features must be given, float[N, F]: this method looks in them for the '
      'nearest neighbours of rows.'
    )
  if sparse.issparse(features):
    raise errors.UserError(
      'features must be dense, float[N, F]; they are sparse. Pass '
      'features.toarray().'
    )
  try:
    features = np.asarray(features)
  except ValueError:  # Rows of different lengths.
    features = np.asarray(features, object)
  if features.ndim != 2 or len(features) != num_rows:
    raise errors.UserError(
      f'features must have shape [{num_rows}, F], a row for each row of '
      f'labels; it has shape {list(features.shape)}.'
    )
  if features.dtype.kind not in 'fiub':
    raise errors.UserError(f'features must hold numbers, not {features.dtype}.')
  wrong = np.flatnonzero(~np.isfinite(features).all(axis=1))
  if wrong.size:
    column = np.flatnonzero(~np.isfinite(features[wrong[0]]))[0]
    raise errors.UserError(
      f'features must be finite; found {features[wrong[0], column]} at row '
      f'{wrong[0]}, column {column}, and so in {wrong.size} rows. Fill in what '
      'is missing, or drop the rows.'
    )
  return features


def find(features, k: int, rows=None) -> np.ndarray:
  """Returns the k other rows nearest to each row, in ascending order of row.

  By Euclidean distance in the features as they are given: bring columns of
  different units to one scale before. Of rows equally far, the first in the
  table are taken; distances that differ by no more than rounding are equal.

  Args:
    features: finite [N, F].
    k: how many; all others where there are fewer.
    rows: int[Q], rows whose neighbours are wanted; None: all of them.

  Returns:
    int64[Q, min(k, N - 1)].

  Raises:
    UserError: k is not a whole number above 0.
  """
  if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
    raise errors.UserError(
      f'neighbours must be a whole number from 1; it is {k!r}.'
    )
  features = np.asarray(features, np.float64)
  # One scale and a centre near 0, lest squares overflow or digits cancel.
  features = features / (np.abs(features).max(initial=0.0) or 1.0)
  features -= features.mean(axis=0)
  rows = np.arange(len(features)) if rows is None else np.asarray(rows)
  k = min(k, len(features) - 1)
  found = np.empty((len(rows), max(k, 0)), np.int64)
  if not found.size:
    return found
  squares = np.einsum('ij,ij->i', features, features)
  turned = -2.0 * features.T
  step = max(_BLOCK_ENTRIES // len(features), 1)
  for start in range(0, len(rows), step):
    block = rows[start : start + step]
    distances = features[block] @ turned
    distances += squares
    distances[np.arange(len(block)), block] = np.inf
    found[start : start + step] = _smallest(
      distances, k, squares[block], features.shape[1]
    )
  return found


def _smallest(distances, k, squares, num_features):
  """Returns int64[B, k], the columns of the k smallest entries of each row.

  Args:
    distances: float64[B, N], squared, less the B rows' own `squares`.
    k: how many, below N.
    squares: float64[B].
    num_features: F, which the error of a distance grows with.
  """

  def error_of(kth):  # Of a product of F numbers, at worst, and of its sums.
    scale = np.sqrt(squares) + np.sqrt(np.maximum(kth + squares, 0.0))
    return 4 * np.finfo(float).eps * (num_features + 2) * scale**2

  # The k-th least of the minima of groups is no less than that of all.
  num_groups = min(16 * k, distances.shape[1])
  grouped = distances[:, : distances.shape[1] // num_groups * num_groups]
  minima = grouped.reshape(len(grouped), -1, num_groups).min(axis=1)
  most = np.partition(minima, k - 1, axis=1)[:, k - 1]
  row, column = np.nonzero(distances <= (most + error_of(most))[:, None])
  value = distances[row, column]
  starts = np.searchsorted(row, np.arange(len(distances)))
  kth = value[np.lexsort((value, row))[starts + k - 1]]
  near = value <= (kth + error_of(kth))[row]
  nearer = value < (kth - error_of(kth))[row]
  # Those that are nearer, then others of the same distance as they come.
  order = np.argsort(3 * row + np.where(nearer, 0, 2 - near), kind='stable')
  ranks = np.arange(len(row)) - starts[row]
  chosen = order[ranks < k]
  return np.sort(column[chosen].reshape(-1, k), axis=1)


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


def draw_pairs(
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
    UserError: see `check` and `find`.
  """
  features = check(features, labels.shape[0])
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
    near = find(features[bag], neighbours, seeds)
    made = np.repeat(np.arange(len(seeds)), of_bag[seeds])
    chosen = rng.integers(near.shape[1], size=len(made))
    yield Pairs(bag, near, seeds, made, chosen)


def adjusted_hamming(
  labels: sparse.csr_array, rows: np.ndarray, others: np.ndarray
) -> np.ndarray:
  """Returns float64[Q], how far pairs of rows differ in their labels.

  The labels that one row has and the other has not, over all labels that the
  two have (a shared one counts twice): 1 where they share none, 0 where they
  are alike, and where both have none. Charte et al. 2014. (Some public
  versions count a shared label once, and find rows farther apart.)

  Args:
    labels: uint8[N, L].
    rows: int64[Q].
    others: int64[Q].
  """
  sizes = np.diff(labels.indptr)
  together = sizes[rows] + sizes[others]
  wide = labels.astype(np.int64)
  shared = wide[rows].multiply(wide[others]).sum(axis=1)
  return (together - 2 * shared) / np.maximum(together, 1)


def check_threshold(threshold: float) -> None:
  """Raises UserError if a threshold of `adjusted_hamming` is out of range."""
  if not isinstance(threshold, numbers.Real) or not 0 <= threshold <= 1:
    raise errors.UserError(
      f'threshold must be from 0 to 1, a share of labels; it is {threshold!r}.'
    )


def without(num_rows: int, removed: np.ndarray) -> plan_lib.Plan:
  """Returns the plan of the rows that are not removed, each as it is.

  Where all N would be, all are kept: a plan has at least one row.

  Args:
    num_rows: N.
    removed: bool[N].
  """
  kept = np.arange(num_rows) if removed.all() else np.flatnonzero(~removed)
  return plan_lib.unchanged(kept)
