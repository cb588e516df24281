"""Labelsets: the distinct combinations of labels, and how uneven they are.

The paper calls a labelset a "unique class group". Everything here is NumPy
(and scipy.sparse for sparse tables), so it starts fast.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from aubal_jax.runs import errors
from aubal_jax.tables import binary_table
from aubal_jax.tables import grouping
from aubal_jax.tables import shown

_BLOCK_ENTRIES = 1 << 20  # Grouped at a time: they stay in the cache.
_MIN_BLOCK_ROWS = 256


@dataclasses.dataclass(frozen=True, repr=False)
class Labelsets(shown.Shown):
  """The distinct rows of a label table.

  Attributes:
    patterns: uint8[S, L], the distinct rows: dense where the table was dense,
      `scipy.sparse.csr_array` where it was sparse.
    counts: int64[S], rows that have each pattern, most frequent first.
    index: int32[N] (int64 from 2^31 labelsets on), the labelset of each row:
      `patterns[index] == labels`. None of a table in parts, whose rows are too
      many to number.
    known: bool[S, L], where unknown labels were told apart from absent ones;
      `known[index]` is the table's, and two labelsets may have one pattern.
      Else None.
  """

  patterns: np.ndarray | sparse.csr_array
  counts: np.ndarray
  index: np.ndarray | None
  known: np.ndarray | None = None

  @property
  def class_counts(self) -> np.ndarray:
    """int64[L], rows with each label: z = P^T n, (1b) of the paper."""
    patterns = sparse.csr_array(self.patterns)
    return patterns.T.astype(np.int64) @ self.counts

  def _heading(self) -> str:
    num_labelsets, num_labels = self.patterns.shape
    return (
      f'Labelsets: {num_labelsets:,} of {num_labels:,} labels, in '
      f'{self.counts.sum():,} rows'
    )

  def _num_rows(self) -> int:
    return len(self.counts)

  def _columns(self, most: int | None = None) -> dict[str, list]:
    patterns = sparse.csr_array(self.patterns[:most])
    ends = zip(patterns.indptr, patterns.indptr[1:], strict=False)
    held = [patterns.indices[a:b].tolist() for a, b in ends]
    return {
      'labels': [' '.join(map(str, sorted(one))) or '-' for one in held],
      'rows': self.counts[:most].tolist(),
    }

  @property
  def sizes(self) -> np.ndarray:
    """int64[S], labels in each labelset."""
    return np.asarray(self.patterns.sum(axis=1, dtype=np.int64)).ravel()


def find_labelsets(
  labels: binary_table.Table
  | collections.abc.Iterable[binary_table.Table]
  | os.PathLike[str],
  known: npt.ArrayLike | None = None,
  *,
  label_columns: Sequence[str] = (),
  executor: Any = None,
) -> Labelsets:
  """Groups the rows of a 0/1 table by their exact combination of labels.

  The order of labelsets does not depend on the order of rows: most frequent
  first, ties by a number that the row alone makes. To 64 labels it is the row
  read as a binary number, its first label the lowest bit; above, the sum
  modulo 2^64 of a fixed random word for each label (should two labelsets share
  it, of the next such words).

  A table larger than memory is given in chunks, each a table [n, L] of any of
  the kinds below; then the labelsets and the index are kept, and of a chunk
  nothing. Chunks are: an iterator, or another iterable that is no array (no
  `__array__`), no scipy sparse table and no list or tuple; and a list or tuple
  whose first item is an array or sparse table with two axes. The result is
  that of the whole table.

  A path is that of a Parquet file, which is read in chunks, or of a folder of
  them (extra `tables`): parts of one table, which are read one at a time each,
  wherever the executor runs; see `aubal.balance_parts`.

  Args:
    labels: 0/1 [N, L]; bool, integer or float, dense or scipy sparse; a data
      frame, a dict of columns, or a list with the names of each row's labels
      (the columns are then the names that occur, sorted); or chunks of rows;
      or a path (a `pathlib.Path`, or a text).
    known: bool [N, L], False where a label is unknown (and 0 in `labels`):
      "unknown" is then a third value that tells labelsets apart. None: an
      unknown label counts as absent. Dense, for a dense table.
    label_columns: of Parquet files: the names of the labels, in order; (): all
      columns.
    executor: what reads the parts of a folder: anything that has
      `submit(function, *arguments).result()`, such as an executor of
      `concurrent.futures`, or of Dask; None: this process.

  Returns:
    The `Labelsets` of the table. Patterns of chunks are dense or sparse as the
    first chunk is. Those of a folder have no index.

  Raises:
    UserError: `known` has another shape, or is False where a label is 1; or
      `labels` has not two axes, or holds something but 0 and 1, or a
      sparse one the same entry twice; or there is no chunk, or one has another
      number of labels than the first. The message names the chunk, counted
      from 0, and the row in it; or the file.

  Examples:
    >>> found = find_labelsets([[1, 0], [1, 1], [1, 0]])
    >>> found.patterns.tolist(), found.counts.tolist(), found.index.tolist()
    ([[1, 0], [1, 1]], [2, 1], [0, 1, 0])
    >>> chunks = iter([[[1, 0], [1, 1]], [[1, 0]]])
    >>> find_labelsets(chunks).index.tolist()
    [0, 1, 0]
    >>> table, known = [[1, 0], [1, 0]], [[True, True], [True, False]]
    >>> find_labelsets(table, known).index.tolist()
    [0, 1]
  """
  if _is_parquet(labels):
    return _find_in_files(labels, known, label_columns, executor)
  sequence = isinstance(label_columns, (tuple, list))
  if executor is not None or not sequence or label_columns:
    raise errors.UserError(
      'label_columns and executor are for Parquet files, which labels names by '
      'their path; it is a table. Leave them out.'
    )
  if known is not None:
    return _find_with_unknown(
      binary_table.as_binary(labels, 'labels'),
      binary_table.as_binary(known, 'known'),
    )
  if is_chunked(labels):
    return Labelsets(*_group_chunks(iter(labels)).result())
  table = binary_table.as_table(labels, 'labels')
  groups = grouping.make_groups(
    table.shape[1],
    sparse.issparse(table),
    lambda rows: binary_table.as_binary(table[rows]),
  )
  _add(groups, table, 'labels')
  return Labelsets(*groups.result())


def _is_parquet(labels) -> bool:
  """Whether it is the path of a Parquet file, or of any folder."""
  if not isinstance(labels, (str, os.PathLike)):
    return False
  path = os.fspath(labels)
  return isinstance(path, str) and (
    path.lower().endswith('.parquet') or os.path.isdir(path)
  )


def _find_in_files(path, known, label_columns, executor) -> Labelsets:
  """As `find_labelsets`, of a Parquet file or a folder of them."""
  from aubal_jax.tables import parts

  if known is not None:
    raise errors.UserError(
      'known is for tables in memory; in a Parquet file a label is 0 or 1. '
      'Leave it out, or read the file first.'
    )
  reading = parts.read_columns(label_columns)
  if os.path.isdir(path):
    return parts.survey(path, reading, executor).labelsets
  return parts.read(path, reading).labelsets


def _find_with_unknown(labels, known) -> Labelsets:
  """As `find_labelsets`, of tables in which unknown is a third value."""
  if sparse.issparse(labels) or sparse.issparse(known):
    raise errors.UserError(
      'known must be a dense table beside dense labels; one of them is sparse.'
    )
  known = known.astype(bool)
  if labels.shape != known.shape or labels.ndim != 2:
    raise errors.UserError(
      'known must be a table like labels, [N, L]; they have the shapes '
      f'{known.shape} and {labels.shape}.'
    )
  if labels[~known].any():
    raise errors.UserError(
      'labels must be 0 where known says that one is unknown.'
    )
  return split_unknown(find_labelsets(np.concatenate([labels, ~known], axis=1)))


def split_unknown(found: Labelsets) -> Labelsets:
  """Returns the labelsets of which these have labels and unknown in a row."""
  patterns, unknown = np.split(found.patterns, 2, axis=1)
  return dataclasses.replace(
    found, patterns=np.ascontiguousarray(patterns), known=unknown == 0
  )


def _told_patterns(labelsets: Labelsets) -> np.ndarray | sparse.csr_array:
  """Returns what tells labelsets apart: patterns, and what is unknown."""
  if labelsets.known is None:
    return labelsets.patterns
  return np.concatenate([labelsets.patterns, ~labelsets.known], axis=1)


def merge(parts: Sequence[Labelsets]) -> Labelsets:
  """Returns the labelsets of the rows of all parts, one part after the other.

  They are those of the whole table, bit for bit, whatever parts it was in. So
  a merge is associative and, but for the order of the rows in the index,
  commutative.

  Args:
    parts: at least one, of the same labels; of tables in which unknown labels
      are told apart, or of others, not both.

  Returns:
    Patterns are sparse as those of the first part are. The index is None where
    that of a part is.

  Raises:
    UserError: a part has other labels than the first.

  Examples:
    >>> a, b = find_labelsets([[1, 0], [0, 1]]), find_labelsets([[0, 1]])
    >>> merge([a, b]).counts.tolist(), merge([a, b]).index.tolist()
    ([2, 1], [1, 0, 0])
  """
  found, places = join(parts)
  if any(part.index is None for part in parts):
    return found
  pairs = zip(places, parts, strict=True)
  index = np.concatenate([place[part.index] for place, part in pairs])
  return dataclasses.replace(found, index=index)


def join(parts: Sequence[Labelsets]) -> tuple[Labelsets, list[np.ndarray]]:
  """Returns the labelsets of all parts, and where each part's are in them.

  Args:
    parts: as of `merge`; their indices are not looked at.

  Returns:
    The `Labelsets`, without an index; and for each part int[K], the places of
    its labelsets.
  """
  _check_alike(parts)
  tables = [_told_patterns(part) for part in parts]
  rows = find_labelsets(tables)
  counts = np.zeros(len(rows.counts), np.int64)
  np.add.at(counts, rows.index, np.concatenate([p.counts for p in parts]))
  # Of patterns that are there once each, the order is that of their numbers.
  number = find_labelsets(rows.patterns).index
  order = np.lexsort((number, -counts))
  place = np.empty(len(order), rows.index.dtype)
  place[order] = np.arange(len(order))
  starts = np.cumsum([table.shape[0] for table in tables])[:-1]
  found = Labelsets(rows.patterns[order], counts[order], None)
  if parts[0].known is not None:
    found = split_unknown(found)
  return found, np.split(place[rows.index], starts)


def _check_alike(parts: Sequence[Labelsets]) -> None:
  """Raises UserError where parts cannot be of one table."""
  first = parts[0]
  for number, part in enumerate(parts):
    if part.patterns.shape[1] != first.patterns.shape[1]:
      raise errors.UserError(
        f'parts must have the same labels; part 0 has '
        f'{first.patterns.shape[1]}, and part {number} has '
        f'{part.patterns.shape[1]}.'
      )
    if (part.known is None) != (first.known is None):
      raise errors.UserError(
        'parts must all tell unknown labels apart, or none of them; part '
        f'{number} differs from part 0.'
      )


def is_chunked(labels) -> bool:
  """Whether a table is given in chunks; see `find_labelsets`."""
  whole = (str, bytes, os.PathLike, collections.abc.Mapping)
  if sparse.issparse(labels) or isinstance(labels, whole):
    return False
  if hasattr(labels, '__array__') or hasattr(labels, 'columns'):
    return False
  if isinstance(labels, (list, tuple)):
    return bool(labels) and getattr(labels[0], 'ndim', None) == 2
  return isinstance(labels, collections.abc.Iterable)


def _group_chunks(chunks):
  """Groups the rows of all chunks; lets go of each before the next is made."""
  groups, names = None, ()
  for number in itertools.count():  # `enumerate` would hold on to the last one.
    name = f'chunk {number} of labels'
    try:
      table, columns = binary_table.as_named_table(next(chunks), name)
    except StopIteration:
      break
    if groups is None:
      names = columns
      groups = grouping.make_groups(table.shape[1], sparse.issparse(table))
    if table.shape[1] != groups.num_labels:
      raise errors.UserError(
        f'{name} must have as many labels as chunk 0, {groups.num_labels}; it '
        f'has {table.shape[1]}.'
      )
    if columns != names:
      raise errors.UserError(
        f'{name} must have the labels {names} of chunk 0; it has {columns}.'
      )
    _add(groups, table, name)
    del table
  if groups is None:
    raise errors.UserError(
      'labels must have at least one chunk, which may have no rows; there is '
      'none, so that the number of labels is unknown.'
    )
  return groups


def _add(groups, table, name: str) -> None:
  """Adds the rows of a table block by block, each checked."""
  num_rows, width = table.shape
  if groups.is_sparse and sparse.issparse(table):
    width = 4 * table.nnz // max(num_rows, 1)
  step = max(_BLOCK_ENTRIES // max(width, 8), _MIN_BLOCK_ROWS)
  for start in range(0, max(num_rows, 1), step):
    block = binary_table.as_checked(
      binary_table.rows_of(table, start, start + step), name, start
    )
    if groups.is_sparse:
      block = sparse.csr_array(block)
    elif sparse.issparse(block):
      block = block.toarray()
    groups.add(block)


def with_empty(labels: sparse.csr_array) -> sparse.csr_array:
  """Returns CSR [N, L + 1]: the last label is that of rows without one.

  Args:
    labels: CSR 0/1 [N, L], which holds no zeros.
  """
  none = np.diff(labels.indptr) == 0
  none = sparse.csr_array(none[:, None], dtype=labels.dtype)
  return sparse.hstack([labels, none], format='csr')


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
  level = scumble_of_rows(labelsets.patterns, labelsets.class_counts)
  return float(level @ labelsets.counts / labelsets.counts.sum())


def scumble_of_rows(labels, class_counts) -> np.ndarray:
  """Returns float64[N], what each row adds to the mean of `scumble`.

  Args:
    labels: uint8[N, L], dense or scipy sparse.
    class_counts: int[L], rows with each label.
  """
  ratio = np.nan_to_num(irlbl(class_counts), nan=1.0)
  labels = sparse.csr_array(labels, dtype=np.float64)
  sizes = np.diff(labels.indptr)
  arithmetic = labels @ ratio / np.maximum(sizes, 1)
  geometric = np.exp(labels @ np.log(ratio) / np.maximum(sizes, 1))
  level = np.zeros(len(sizes))
  np.divide(geometric, arithmetic, out=level, where=arithmetic > 0)
  return np.where(sizes > 0, 1.0 - level, 0.0)


def imbalance(
  labels: binary_table.Table
  | collections.abc.Iterable[binary_table.Table]
  | Labelsets,
) -> dict[str, Any]:
  """Returns how uneven a 0/1 table [N, L] is.

  Args:
    labels: 0/1 [N, L], dense, scipy sparse or in chunks, as `find_labelsets`
      takes it; or the table's `Labelsets`.

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
