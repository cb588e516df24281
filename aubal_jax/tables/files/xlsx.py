"""Reads a sheet of a spreadsheet file into a `table.Table`, by openpyxl."""

import os
import zipfile

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import table


def read(path: os.PathLike | str) -> table.Table:
  """Reads an .xlsx file with one sheet that is not empty.

  The first row that is not blank names the columns, of which the last blank
  ones are left out. 25,000 rows of 62 cells take about 10 s.

  Raises:
    UserError: openpyxl is not installed or cannot open the file; it has more
      or less than one filled sheet; two columns have one name.
  """
  try:
    import openpyxl
  except ImportError:
    raise errors.UserError(
      f'{path}: .xlsx files are read by openpyxl. Install it (pip install '
      "'aubal_jax[xlsx]'), or save the table as CSV."
    ) from None
  try:
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
  except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
    raise errors.UserError(
      f'{path}: openpyxl cannot open it ({error}). If a spreadsheet programme '
      'can (it may want a password), save the table there as CSV.'
    ) from None
  sheets = [
    (sheet.title, rows)
    for sheet in book.worksheets
    if (rows := _filled_rows(sheet))
  ]
  book.close()
  if len(sheets) != 1 or len(sheets[0][1]) < 2:
    raise errors.UserError(
      f'{path}: one sheet with column names and rows is read, and there are '
      f'{len(sheets)} with any: {text.listing(repr(t) for t, _ in sheets)}. '
      'Save the sheet of the AUs as CSV.'
    )
  (header_line, names), *rows = sheets[0][1]
  columns = {}
  for k, name in enumerate(names):
    if name in columns:
      raise errors.UserError(
        f'{path}:{header_line}: two columns are called {name!r}. Remove one.'
      )
    cells = [row[k] if k < len(row) else '' for _, row in rows]
    values, codes = np.unique(cells, return_inverse=True)
    columns[name] = table.Column(tuple(values.tolist()), codes.astype(np.int32))
  lines = np.array([line for line, _ in rows], np.int64)
  return table.Table(path, columns, lines, header_line)


def _filled_rows(sheet):
  """Returns (line, cells as text) of the rows of a sheet that are not blank."""
  rows = [
    (line, ['' if c is None else str(c).strip() for c in row])
    for line, row in enumerate(sheet.iter_rows(values_only=True), 1)
  ]
  return [(line, cells) for line, cells in rows if any(cells)]
