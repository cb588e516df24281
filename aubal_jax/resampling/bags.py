"""Bags of rows, which labels are rare or frequent, and how much is changed."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from aubal_jax.runs import errors
from aubal_jax.tables import labelsets as labelsets_lib

# Ratios that differ by less, relatively, are one: IRLbl at MeanIR is neither
# above nor below it.
ROUNDING = 1e-9
FRACTION = 0.25  # Of Charte et al. 2015, where none is given.


def class_counts(labels: sparse.csr_array) -> np.ndarray:
  """Returns int64[L], rows with each label."""
  return np.bincount(labels.indices, minlength=labels.shape[1])


def minority(counts: np.ndarray) -> np.ndarray:
  """Returns bool[L], labels with IRLbl above MeanIR; absent ones are not."""
  mean = labelsets_lib.mean_ir(counts)
  return labelsets_lib.irlbl(counts) > mean * (1 + ROUNDING)


def majority(counts: np.ndarray) -> np.ndarray:
  """Returns bool[L], labels with IRLbl below MeanIR; absent ones are not."""
  mean = labelsets_lib.mean_ir(counts)
  return labelsets_lib.irlbl(counts) < mean * (1 - ROUNDING)


def members(labels: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
  """Returns starts int[L + 1] and rows int[nnz]: those of label l are
  `rows[starts[l] : starts[l + 1]]`, in ascending order.
  """
  columns = labels.tocsc()
  return columns.indptr, columns.indices


def largest(labels: sparse.csr_array, values: np.ndarray) -> np.ndarray:
  """Returns float64[N], the largest of a row's labels' values; 0 for none."""
  found = np.zeros(labels.shape[0])
  full = np.diff(labels.indptr) > 0
  if full.any():
    entries = np.asarray(values, np.float64)[labels.indices]
    found[full] = np.maximum.reduceat(entries, labels.indptr[:-1][full])
  return found


def num_to_add(fraction: float | None, num_rows: int) -> int:
  """Returns round(fraction N); fraction None is .25."""
  return round((FRACTION if fraction is None else fraction) * num_rows)


def num_to_delete(fraction: float | None, num_rows: int) -> int:
  """Returns round(fraction N), but a row less than N; fraction None is .25.

  Raises:
    UserError: no row would be left.
  """
  if fraction is not None and fraction >= 1:
    raise errors.UserError(
      f'fraction must be below 1 where rows are deleted; it is {fraction}.'
    )
  return min(num_to_add(fraction, num_rows), num_rows - 1)


def share_evenly(caps: np.ndarray, total: int) -> np.ndarray:
  """Shares a total among bags that each take a limited amount: water-filling.

  Each bag in turn takes an even share of what is left, or its cap; what it
  leaves goes to the bags after it. Shares are whole: where they are not even,
  the later bags take one more.

  Args:
    caps: int[B], the most that each bag takes, in ascending order.
    total: to be shared.

  Returns:
    int64[B], which sum up to min(total, sum of caps).

  Examples:
    >>> share_evenly(np.array([1, 2, 5, 5]), 10).tolist()
    [1, 2, 3, 4]
  """
  caps = np.asarray(caps, np.int64)
  remaining = len(caps) - np.arange(len(caps))
  before = np.cumsum(caps) - caps
  num_full = int((before + caps * remaining <= total).sum())
  shares = caps.copy()
  if num_full < len(caps):
    level, extra = divmod(total - before[num_full], remaining[num_full])
    shares[num_full:] = level
    shares[len(caps) - extra :] += 1
  return shares
