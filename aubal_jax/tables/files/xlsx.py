"""Reads a sheet of a spreadsheet file into a `table.Table`, by openpyxl."""

import os

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import extras
from aubal_jax.runs import foreign
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
    raise extras.missing('openpyxl', f'{path}: XLSX') from None
  mend = (
    'If a spreadsheet programme can open it (it may want a password), save the '
    'table there as CSV.'
  )
  with foreign.parsing(path, 'XLSX', mend):
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
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
      'Save the sheet of the labels as CSV.'
    )
  (header_line, names), *rows = sheets[0][1]
  while names and not names[-1]:
    names.pop()
  table.check_names(f'{path}:{header_line}', names)
  wide = [line for line, row in rows if any(row[len(names) :])]
  if wide:
    raise errors.UserError(
      f'{path}:{wide[0]}: a cell stands beside the {len(names)} columns that '
      'have names. Name its column, or clear it.'
    )
  columns = {
    name: table.column_of([row[k] if k < len(row) else '' for _, row in rows])
    for k, name in enumerate(names)
  }
  lines = np.array([line for line, _ in rows], np.int64)
  return table.Table(path, columns, lines, header_line)


def _filled_rows(sheet):
  """Returns (line, cells as text) of the rows of a sheet that are not blank."""
  rows = [
    (line, ['' if c is None else str(c).strip() for c in row])
    for line, row in enumerate(sheet.iter_rows(values_only=True), 1)
  ]
  return [(line, cells) for line, cells in rows if any(cells)]
