"""Tables of 0 and 1, dense or sparse, checked entry by entry."""

from __future__ import annotations

import numbers
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import sparse

from aubal_jax.runs import errors
from aubal_jax.tables import held

# What a table of 0 and 1 may be given as.
Table = (
  npt.ArrayLike | sparse.sparray | sparse.spmatrix | Mapping[str, npt.ArrayLike]
)


def as_binary(table, name: str = 'labels') -> np.ndarray | sparse.csr_array:
  """Returns a 0/1 table as uint8[N, L] or a canonical CSR array.

  It shares memory with the table given, where that is such a table; the given
  one is never changed.

  Raises:
    UserError: not two axes, an entry that is neither 0 nor 1, or one that is
      there twice in a sparse table.
  """
  return as_checked(as_table(table, name), name)


def as_table(table, name: str) -> np.ndarray | sparse.csr_array:
  """Returns what is or can be a table [N, L]; its entries are not looked at.

  Raises:
    UserError: not two axes.
  """
  return as_named_table(table, name)[0]


def as_named_table(table, name: str, names=()) -> tuple:
  """Returns what `as_table` does, and the names of the labels, or ().

  Args:
    table: of any kind that `held` knows.
    name: of the argument.
    names: of all labels, in order, where rows list theirs by name.
  """
  table, columns = held.as_array(table, name, names)
  if table.ndim != 2:
    raise errors.UserError(
      f'{name} must be a table with two axes [rows, labels]; it has shape '
      f'{table.shape}.'
    )
  table = sparse.csr_array(table) if sparse.issparse(table) else table
  return table, columns


def rows_of(table, start: int, stop: int) -> np.ndarray | sparse.csr_array:
  """Returns a slice of a table's rows that shares its memory."""
  if not sparse.issparse(table):
    return table[start:stop]
  starts = table.indptr[start : stop + 1]
  entries = slice(starts[0], starts[-1])
  return sparse.csr_array(
    (table.data[entries], table.indices[entries], starts - starts[0]),
    shape=(len(starts) - 1, table.shape[1]),
  )


def as_checked(
  table, name: str, first_row: int = 0
) -> np.ndarray | sparse.csr_array:
  """As `as_binary`, for a table whose first row counts as `first_row`."""
  is_sparse = sparse.issparse(table)
  values = table.data[: table.indptr[-1]] if is_sparse else table
  bits = as_bits(values)
  if bits is None:
    bad = np.flatnonzero(~_are_bits(values))[0]
    (found,) = values.flat[bad : bad + 1].tolist()
    row, column = _position(table, bad)
    if held.is_missing(found):
      raise held.missing_error(name, found, first_row + row, column)
    raise errors.UserError(
      f'{name} must hold 0 and 1 only; found {found!r} at row '
      f'{first_row + row}, column {column}. Turn unknown entries into 0, or '
      'drop the row.'
    )
  if not is_sparse:
    return bits
  indices = table.indices[: len(bits)]
  table = sparse.csr_array((bits, indices, table.indptr), shape=table.shape)
  if not bits.all():
    table = table.copy()
    table.eliminate_zeros()
  if not table.has_sorted_indices:
    table = table.sorted_indices()
  if not table.has_canonical_format:
    rows = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    twice = (np.diff(rows) == 0) & (np.diff(table.indices) == 0)
    row, column = _position(table, np.flatnonzero(twice)[0])
    raise errors.UserError(
      f'{name} must hold an entry once; the one at row {first_row + row}, '
      f'column {column} is there twice. Sum up duplicates first.'
    )
  return table


def as_bits(values: np.ndarray) -> np.ndarray | None:
  """Returns values as uint8, or None if one is neither 0 nor 1."""
  if values.dtype == np.bool_:
    return values.view(np.uint8)
  if values.dtype.kind in 'iu' and values.itemsize == 1:
    bits = values.view(np.uint8)  # Below 0 is above 1 then.
    return bits if bits.max(initial=0) <= 1 else None
  if values.dtype.kind not in 'biufc':
    if not _are_bits(values).all():
      return None
    values = values.astype(np.float64)
  ones = values == 1
  num_valid = np.count_nonzero(ones) + np.count_nonzero(values == 0)
  return ones.view(np.uint8) if num_valid == values.size else None


def _are_bits(values: np.ndarray) -> np.ndarray:
  """Returns bool, of the shape of values, whether each is the number 0 or 1."""
  if values.dtype.kind in 'biufc':
    return (values == 0) | (values == 1)
  are = [
    isinstance(cell, numbers.Real | np.bool_) and cell in (0, 1)
    for cell in values.flat
  ]
  return np.array(are, bool).reshape(values.shape)


def _position(table, entry: int) -> tuple[int, int]:
  """Returns row and column of an entry, counted as they are stored."""
  if not sparse.issparse(table):
    return divmod(int(entry), table.shape[1])
  row = np.searchsorted(table.indptr, entry, side='right') - 1
  return int(row), int(table.indices[entry])
