"""How far rows differ in their labels, for methods that clean by neighbours."""

from __future__ import annotations

import numbers

import numpy as np
from scipy import sparse

from aubal_jax.runs import errors
from aubal_jax.tables import plan as plan_lib


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
