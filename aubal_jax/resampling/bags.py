"""Bags: the rows of each label, and which labels are rare or frequent."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from aubal_jax.tables import labelsets as labelsets_lib

# Ratios that differ by less, relatively, are one: IRLbl at MeanIR is neither
# above nor below it.
ROUNDING = 1e-9


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
