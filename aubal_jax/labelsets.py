"""Labelsets: the distinct combinations of labels, and how uneven they are.

The paper calls a labelset a "unique class group". Everything here is NumPy
(and scipy.sparse for sparse tables), so it starts fast.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import sparse

_CHUNK_ENTRIES = 1 << 22  # Entries that are hashed at a time.


@dataclasses.dataclass(frozen=True)
class Labelsets:
  """The distinct rows of a label table.

  Attributes:
    patterns: uint8[S, L], the distinct rows: dense where the table was dense,
      `scipy.sparse.csr_array` where it was sparse.
    counts: int64[S], rows that have each pattern, most frequent first.
    index: int64[N], the labelset of each row: `patterns[index] == labels`.
  """

  patterns: np.ndarray | sparse.csr_array
  counts: np.ndarray
  index: np.ndarray

  @property
  def class_counts(self) -> np.ndarray:
    """int64[L], rows with each label: z = P^T n, (1b) of the paper."""
    patterns = sparse.csr_array(self.patterns)
    return patterns.T.astype(np.int64) @ self.counts

  @property
  def sizes(self) -> np.ndarray:
    """int64[S], labels in each labelset."""
    return np.asarray(self.patterns.sum(axis=1, dtype=np.int64)).ravel()


def find_labelsets(labels) -> Labelsets:
  """Groups the rows of a 0/1 table by their exact combination of labels.

  Rows are hashed (a random 64-bit word per label, summed), grouped by hash and
  then compared with the first row of their group, so the answer is exact. The
  order of labelsets (most frequent first, then by hash) does not depend on the
  order of rows.

  Args:
    labels: 0/1 [N, L]; bool, integer or float, dense or scipy sparse.

  Returns:
    The `Labelsets` of the table.

  Raises:
    ValueError: `labels` has not two axes, or holds something but 0 and 1.

  Examples:
    >>> found = find_labelsets([[1, 0], [1, 1], [1, 0]])
    >>> found.patterns.tolist(), found.counts.tolist(), found.index.tolist()
    ([[1, 0], [1, 1]], [2, 1], [0, 1, 0])
  """
  labels = as_binary(labels)
  rng = np.random.default_rng(0)
  while True:  # Once, but for a collision of hashes.
    words = rng.integers(0, 2**64, labels.shape[1], dtype=np.uint64)
    hashes = _row_hashes(labels, words)
    _, first, index, counts = np.unique(
      hashes, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(-counts, kind='stable')
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    index = rank[index.ravel()]
    patterns, counts = labels[first[order]], counts[order]
    if _rows_equal(labels, patterns, index):
      return Labelsets(patterns, counts.astype(np.int64), index)


def as_binary(labels, name: str = 'labels') -> np.ndarray | sparse.csr_array:
  """Returns a 0/1 table as uint8[N, L] or a canonical CSR array.

  Raises:
    ValueError: not two axes, or an entry that is neither 0 nor 1.
  """
  if sparse.issparse(labels):
    table = sparse.csr_array(labels)
    values = table.data
  else:
    table = np.asarray(labels)
    values = table
  if table.ndim != 2:
    raise ValueError(
      f'{name} must be a table with two axes [rows, labels]; it has shape '
      f'{table.shape}.'
    )
  if values.dtype != np.bool_:
    bad = ~((values == 0) | (values == 1))
    if bad.any():
      raise ValueError(
        f'{name} must hold 0 and 1 only; found {values[bad].flat[0]!r}'
        f'{_where(table, bad)}. Turn unknown entries into 0, or drop the row.'
      )
  if sparse.issparse(table):
    table = table.astype(np.uint8)
    table.sum_duplicates()
    table.eliminate_zeros()
    if table.nnz and table.data.max() > 1:
      raise ValueError(f'{name} holds the same entry twice.')
    return table
  return np.ascontiguousarray(table, dtype=np.uint8)


def _where(table, bad) -> str:
  if sparse.issparse(table):
    return ''
  row, column = np.argwhere(bad)[0]
  return f' at row {row}, column {column}'


def _row_hashes(labels, words: np.ndarray) -> np.ndarray:
  """uint64[N], the sum modulo 2^64 of the words of each row's labels."""
  hashes = np.empty(labels.shape[0], np.uint64)
  for chunk in _chunks(labels):
    hashes[chunk] = labels[chunk].astype(np.uint64) @ words
  return hashes


def _chunks(labels):
  """Yields slices of rows that hold `_CHUNK_ENTRIES` at most, dense."""
  size = max(_CHUNK_ENTRIES // max(labels.shape[1], 1), 1)
  for start in range(0, labels.shape[0], size):
    yield slice(start, start + size)


def _rows_equal(labels, patterns, index: np.ndarray) -> bool:
  for chunk in _chunks(labels):
    rows, expected = labels[chunk], patterns[index[chunk]]
    if sparse.issparse(labels):
      if (rows != expected).nnz:
        return False
    elif not np.array_equal(rows, expected):
      return False
  return True


def irlbl(class_counts) -> np.ndarray:
  """Returns float[L], IRLbl_l = max c / c_l; NaN for a label that is absent.

  Charte et al. 2015, Neurocomputing 163.

  Args:
    class_counts: int[L], rows with each label.
  """
  counts = np.asarray(class_counts, np.float64)
  ratio = np.full(counts.shape, np.nan)
  present = counts > 0
  if present.any():
    ratio[present] = counts.max() / counts[present]
  return ratio


def mean_ir(class_counts) -> float:
  """Returns MeanIR, the mean of IRLbl over the labels that occur."""
  ratio = irlbl(class_counts)
  present = ~np.isnan(ratio)
  return float(ratio[present].mean()) if present.any() else float('nan')


def cvir(class_counts) -> float:
  """Returns CVIR, the coefficient of variation (ddof 1) of IRLbl."""
  ratio = irlbl(class_counts)
  ratio = ratio[~np.isnan(ratio)]
  if len(ratio) < 2:
    return 0.0 if len(ratio) else float('nan')
  return float(ratio.std(ddof=1) / ratio.mean())


def scumble(labelsets: Labelsets) -> float:
  """Returns SCUMBLE, how far frequent and rare labels share rows, in [0, 1).

  The mean over rows of 1 - geometric mean / arithmetic mean of IRLbl over the
  row's labels; 0 for a row without labels. Charte et al. 2014.
  """
  if not labelsets.counts.size:
    return float('nan')
  ratio = np.nan_to_num(irlbl(labelsets.class_counts), nan=1.0)
  sizes = np.maximum(labelsets.sizes, 1)
  patterns = sparse.csr_array(labelsets.patterns, dtype=np.float64)
  arithmetic = patterns @ ratio / sizes
  geometric = np.exp(patterns @ np.log(ratio) / sizes)
  level = np.zeros(len(sizes))
  np.divide(geometric, arithmetic, out=level, where=arithmetic > 0)
  mixed = np.where(labelsets.sizes > 0, 1.0 - level, 0.0)
  return float(mixed @ labelsets.counts / labelsets.counts.sum())


def imbalance(labels) -> dict:
  """Returns how uneven a 0/1 table [N, L] is.

  Args:
    labels: 0/1 [N, L], dense or scipy sparse; or the table's `Labelsets`.

  Returns:
    `images`, `labels`, `labelsets`: sizes N, L, S; `class_counts` int[L];
    `irlbl` float[L] (NaN where a label is absent); `mean_ir`, `cvir`,
    `scumble`; `cardinality`, the mean number of labels a row; `density`,
    cardinality / L; `absent`, the columns without a positive.

  Examples:
    >>> found = imbalance([[1, 0], [1, 0], [1, 1]])
    >>> found['irlbl'].tolist(), found['mean_ir']
    ([1.0, 3.0], 2.0)
  """
  if not isinstance(labels, Labelsets):
    labels = find_labelsets(labels)
  counts = labels.class_counts
  num_images = int(labels.counts.sum())
  cardinality = counts.sum() / num_images if num_images else float('nan')
  return {
    'images': num_images,
    'labels': len(counts),
    'labelsets': len(labels.counts),
    'class_counts': counts,
    'irlbl': irlbl(counts),
    'mean_ir': mean_ir(counts),
    'cvir': cvir(counts),
    'scumble': scumble(labels),
    'cardinality': float(cardinality),
    'density': float(cardinality / len(counts)) if len(counts) else 0.0,
    'absent': np.flatnonzero(counts == 0),
  }
