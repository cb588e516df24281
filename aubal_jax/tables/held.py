"""Tables of labels as people hold them, as arrays with the labels' names.

A table may be a data frame of pandas or polars (known by what it has, so that
neither is imported), an array of numpy.ma, a dict of columns, or the labels of
each row by name. What is missing in it is neither 0 nor 1, and is refused.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables import arguments

_ROW_KINDS = (list, tuple, set, frozenset)
_DIGITS = {'0', '1', '0.0', '1.0', 'True', 'False', 'true', 'false', ''}


def as_array(table, name: str, names: Sequence[str] = ()):
  """Returns a table's cells, and the names of its columns.

  Args:
    table: of any kind; its entries are looked at where some are missing.
    name: of the argument, for messages.
    names: of all labels, in order, where rows name theirs; (): those that
      occur, sorted.

  Returns:
    An array of any shape or a scipy sparse table, and str[L]; () where the
    table has no names of columns.

  Raises:
    UserError: it is a path, a cell is missing, or columns or rows do not fit
      together.
  """
  if isinstance(table, str | bytes | os.PathLike):
    raise errors.UserError(
      f'{name} must be a table, not the path {table!r}; read the file first, '
      'such as by pandas.read_csv(path)[names of the labels].'
    )
  if sparse.issparse(table):
    return table, ()
  if isinstance(table, Mapping):
    return _from_columns(table, name)
  if isinstance(table, np.ma.MaskedArray):
    _refuse_missing(np.ma.getmaskarray(table), name)
    return np.asarray(table), ()
  if _is_frame(table):
    return _from_frame(table, name)
  rows = _rows_of_names(table)
  if rows is not None:
    return _from_names(rows, name, names)
  return _as_numpy(table, name), ()


def without_missing(table, name: str) -> tuple[np.ndarray, np.ndarray]:
  """Returns a dense table with 0 where a cell is missing, and bool: where not.

  Args:
    table: of any kind but sparse tables and rows of names, which miss nothing.
    name: of the argument, for messages.

  Raises:
    UserError: it is a path, or no table with two axes.
  """
  if isinstance(table, np.ma.MaskedArray):
    missing = np.ma.getmaskarray(table)
    cells = np.asarray(table)
  else:
    cells = _objects(table, name)
    missing = np.frompyfunc(is_missing, 1, 1)(cells).astype(bool)
  if cells.ndim != 2:
    raise errors.UserError(
      f'{name} must be a table with two axes [rows, labels]; it has shape '
      f'{cells.shape}.'
    )
  return np.where(missing, 0, cells), ~missing


def _objects(table, name: str) -> np.ndarray:
  """Returns the cells of a table as Python has them."""
  if isinstance(table, str | bytes | os.PathLike):
    return as_array(table, name)[0]
  if isinstance(table, Mapping):
    columns = [*table.values()]
  elif hasattr(table, 'iloc'):
    columns = [_place_of(table, place) for place in range(table.shape[1])]
  elif _is_frame(table):
    at = getattr(table, 'to_series', getattr(table, 'column', None))
    columns = [at(place) for place in range(table.shape[1])]
  else:
    return _as_numpy(table, name).astype(object)
  cells = [np.array([*column], object) for column in columns]
  if len({*map(len, cells)}) != 1:
    raise errors.UserError(f'{name} must be columns of one length.')
  return np.stack(cells, axis=1)


def column_names(table) -> tuple[str, ...]:
  """Returns the names of a data frame's or a dict's columns; () else."""
  columns = table if isinstance(table, Mapping) else ()
  if _is_frame(table):
    columns = getattr(table, 'column_names', table.columns)
  columns = tuple(columns)
  return columns if all(isinstance(one, str) for one in columns) else ()


def _is_frame(table) -> bool:
  return hasattr(table, 'columns') and hasattr(table, 'shape')


def is_missing(cell) -> bool:
  """Whether it is None, NaN, NaT or pandas' NA."""
  if cell is None:
    return True
  try:
    return bool(cell != cell)
  except (TypeError, ValueError):  # NA is neither true nor false.
    return type(cell).__name__ == 'NAType'


def missing_error(
  name: str, found, row: int, column: int, label: str = ''
) -> errors.UserError:
  """Returns the error about a cell that is missing."""
  named = f' ({label!r})' if label else ''
  return errors.UserError(
    f'{name} must hold 0 and 1 only; found {found} at row {row}, column '
    f'{column}{named}: it is missing, which is neither. Put 0 there if that is '
    'meant, or drop the row; find_labelsets tells unknown ones apart, by a 0 '
    'there and False in known=.'
  )


def _refuse_missing(missing, name: str, columns=()) -> None:
  """Raises UserError about the first cell of bool[N, L] that is missing."""
  if missing.ndim == 2 and missing.any():
    row, column = (int(i) for i in np.argwhere(missing)[0])
    label = columns[column] if columns else ''
    raise missing_error(name, 'a masked cell', row, column, label)
  if missing.any():
    raise errors.UserError(f'{name} has cells that are missing.')


def _as_numpy(table, name: str) -> np.ndarray:
  try:
    return np.asarray(table)
  except ValueError as error:
    raise errors.UserError(
      f'{name} must be a table with two axes [rows, labels]; its rows differ '
      'in length. Rows may list their labels by name, as texts.'
    ) from error


def _from_frame(table, name: str):
  """Returns a data frame's cells and names.

  Columns are looked at one by one where a cell may be missing. By its place one
  is had by iloc in pandas, by to_series in polars, by column in pyarrow.
  """
  named = column_names(table)
  cells = _as_numpy(table, name)
  at = getattr(table, 'to_series', getattr(table, 'column', None))
  if hasattr(table, 'iloc'):
    at = functools.partial(_place_of, table)
  if cells.dtype.kind in 'biu' or at is None or not cells.size:
    return cells, named
  columns = [at(place) for place in range(table.shape[1])]
  return _stacked(columns, name, named or [*map(str, table.columns)]), named


def _place_of(frame, place: int):
  return frame.iloc[:, place]


def _from_columns(table, name: str):
  """Returns the cells and names of a dict: name -> column."""
  columns = [str(column) for column in table]
  if not columns:
    raise errors.UserError(
      f'{name} must have a column for each label; the dict has none.'
    )
  return _stacked([*table.values()], name, columns), column_names(table)


def _stacked(columns, name: str, names) -> np.ndarray:
  """Returns columns beside each other, [N, L], of their common type.

  Raises:
    UserError: a cell is missing, or a column has not one axis or another length
      than the first.
  """
  arrays = []
  for place, column in enumerate(columns):
    array = _column(column)
    if array.ndim != 1 or (arrays and len(array) != len(arrays[0])):
      raise errors.UserError(
        f'{name} must be columns of one length; column {names[place]!r} has '
        f'shape {array.shape}.'
      )
    arrays.append(array)
  kinds = {array.dtype.kind for array in arrays}
  if len(kinds) > 1 and kinds - {*'biuf'}:  # Texts among numbers.
    arrays = [array.astype(object) for array in arrays]
  for place, array in enumerate(arrays):
    if array.dtype == object:
      missing = np.array([is_missing(cell) for cell in array], bool)
    else:
      missing = array != array
    if missing.any():
      row = int(np.flatnonzero(missing)[0])
      raise missing_error(name, array[row], row, place, names[place])
  return np.stack(arrays, axis=1)


def _column(column) -> np.ndarray:
  """Returns a column's cells; of object where one is masked or missing."""
  if isinstance(column, np.ma.MaskedArray):
    cells = np.asarray(column)
    mask = np.ma.getmaskarray(column)
    return np.where(mask, None, cells) if mask.any() else cells
  if isinstance(column, str | bytes | Mapping):
    return np.array(None)
  cells = np.asarray(column)
  if cells.dtype == object and cells.ndim == 1:
    # Such as pandas' Int64 and boolean, of which none is missing.
    kind = getattr(getattr(column, 'dtype', None), 'kind', 'O')
    if kind in 'biuf' and not any(is_missing(cell) for cell in cells):
      return cells.astype(np.float64)
  return cells


def _rows_of_names(table) -> list | None:
  """Returns the rows of a table that lists labels by name, or None."""
  if getattr(table, 'ndim', None) == 1 and hasattr(table, 'tolist'):
    table = table.tolist()
  if not isinstance(table, list | tuple):
    return None
  nested = [row for row in table if isinstance(row, _ROW_KINDS) and row]
  names_some = any(isinstance(next(iter(row)), str) for row in nested)
  return [*table] if names_some else None


def _from_names(rows, name: str, names: Sequence[str]):
  """Returns uint8[N, L] and the names of the labels, from those of each row."""
  for number, row in enumerate(rows):
    good = isinstance(row, _ROW_KINDS)
    if not good or not all(isinstance(label, str) for label in row):
      raise errors.UserError(
        f'{name} must list the labels of each row as texts, [] for none; row '
        f'{number} is {row!r}.'
      )
  occurring = {label for row in rows for label in row}
  if occurring <= _DIGITS:
    raise errors.UserError(
      f'{name} must hold the numbers 0 and 1, or the names of labels; it holds '
      f'the texts {text.listing(map(repr, sorted(occurring)))}. Make them '
      'numbers first.'
    )
  columns = arguments.checked_names(names) or tuple(sorted(occurring))
  place = {label: i for i, label in enumerate(columns)}
  cells = np.zeros((len(rows), len(columns)), np.uint8)
  for number, row in enumerate(rows):
    for label in row:
      if label not in place:
        raise errors.UserError(
          f'label_names must name all labels of {name}; row {number} has '
          f'{label!r}.{text.suggest(label, columns)}'
        )
      cells[number, place[label]] = 1
  return cells, columns
