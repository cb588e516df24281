"""Features: numbers that describe each row of a table of labels."""

import os
from collections.abc import Sequence

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.tables.files import table


def finish(
  where: os.PathLike | str, values: np.ndarray | None
) -> tuple[np.ndarray | None, tuple[str, ...]]:
  """Fills in what is missing (NaN): the mean of the column, 0 where all is.

  Args:
    where: the table, for messages.
    values: float64[N, F], or None.

  Returns:
    float32[N, F] (None without a column), and notes.

  Raises:
    UserError: a number is infinite, or too large for float32.
  """
  if values is None or not values.shape[1]:
    return None, ()
  with np.errstate(over='ignore'):
    infinite = np.isinf(values.astype(np.float32))
  if infinite.any():
    row, column = np.argwhere(infinite)[0]
    raise errors.UserError(
      f'{where}: features must be finite in float32; feature {column} of row '
      f'{row} (both counted from 0) is {values[row, column]}. Correct it, or '
      'leave it out (NaN, blank, ?) if it is not known.'
    )
  missing = np.isnan(values)
  if not missing.any():
    return values.astype(np.float32), ()
  counts = np.maximum((~missing).sum(axis=0), 1)
  means = np.where(missing, 0, values).sum(axis=0) / counts
  filled = np.where(missing, means, values).astype(np.float32)
  return filled, (
    f'{missing.sum():,} of {values.size:,} feature values are missing, in '
    f'{missing.any(axis=0).sum():,} of {values.shape[1]:,} columns: each is '
    'the mean of its column.',
  )


def of_columns(rows: table.Table, names: Sequence[str]) -> np.ndarray | None:
  """Returns float64[N, F], the columns called so; NaN for a blank cell.

  Raises:
    UserError: a name is not text or there twice, a column does not exist, or
      a cell is no number.
  """
  if isinstance(names, str) or len(set(names)) != len(names):
    raise errors.UserError(
      'data.feature_columns must be a tuple of distinct column names, () for '
      f'none, not {names!r}.'
    )
  if not names:
    return None
  values = np.empty((len(rows), len(names)))
  for k, name in enumerate(names):
    column = rows.column(name, 'data.feature_columns')
    numbers = [_number(cell) for cell in column.values]
    bad = [c for c, number in enumerate(numbers) if number is None]
    where = np.flatnonzero(np.isin(column.codes, bad))
    if len(where):
      shown = where[: table.SHOWN]
      raise rows.error(
        shown,
        [
          f'column {name!r} holds '
          + table.quote(column.values[column.codes[row]])
          for row in shown
        ],
        len(where),
        'A feature is a number, or blank where it is not known. Correct the '
        'cells, or take the column out of data.feature_columns.',
      )
    values[:, k] = np.array(numbers, np.float64)[column.codes]
  return values


def _number(cell):
  """Returns the number a cell holds, NaN for a blank one, None for neither."""
  try:
    return float(cell) if cell else np.nan
  except ValueError:
    return None


def one_hot(codes: np.ndarray, num_values: int) -> np.ndarray:
  """Returns float64[N, K], a column for each value; one for two values.

  Args:
    codes: int[N], which value; -1 where it is missing, NaN in all columns.
    num_values: how many there are.
  """
  first = 1 if num_values <= 2 else 0
  columns = codes[:, None] == np.arange(first, max(num_values, 2))
  return np.where(codes[:, None] < 0, np.nan, columns.astype(np.float64))
