"""CSV files that are whole or absent, with no cell that a spreadsheet computes.

Spreadsheets take a cell that begins with = + - @, a tab or an end of line for a
formula, whoever wrote it, and a formula can send the sheet elsewhere (OWASP,
"CSV Injection"). Such a cell of text gets a leading '. So does one that begins
with such a ' already: `as_given` gives every text back. Numbers stay.
"""

import csv
import re
from collections.abc import Iterable
from collections.abc import Sequence
from typing import IO
from typing import Any

from aubal_jax.runs import files

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?', re.ASCII)


def harmless(cell: Any) -> Any:
  """Returns the cell; a text that a spreadsheet would compute behind a '.

  Examples:
    >>> harmless('=1+1'), harmless('-1e3'), harmless(-1), harmless("'=1")
    ("'=1+1", '-1e3', -1, "''=1")
  """
  if not isinstance(cell, str) or not _FORMULA.match(cell):
    return cell
  return cell if _NUMBER.fullmatch(cell) else f"'{cell}"


def as_given(cell: str) -> str:
  """Returns the text of which `harmless` made this cell."""
  if cell.startswith("'") and _FORMULA.match(cell):
    return cell[1:]
  return cell


def write_rows(
  file: IO[str],
  rows: Iterable[Sequence],
  *,
  raw: bool = False,
  end: str = '\n',
) -> None:
  """Writes rows into an open file; None is a blank cell.

  Args:
    file: opened with newline=''.
    rows: texts and numbers.
    raw: leave texts as they are.
    end: of a line.
  """
  writer = csv.writer(_Lines(file, end), lineterminator='\r\n')
  writer.writerows(
    rows if raw else ([harmless(cell) for cell in row] for row in rows)
  )


class _Lines:
  """Ends lines as wanted: `csv` quotes what is in its own end of line alone."""

  def __init__(self, file, end):
    self._file, self._end = file, end

  def write(self, line):
    self._file.write(line[:-2] + self._end)


def write(
  path, columns: Iterable[str], rows: Iterable[Sequence], *, raw: bool = False
) -> None:
  """Writes a table with a line of names, whole or not at all; see above."""
  with files.write_atomically(path) as file:
    write_rows(file, [list(columns)], raw=raw)
    write_rows(file, rows, raw=raw)
