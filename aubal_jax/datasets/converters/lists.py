"""Lists as data sets come with them: CSV, or words with blanks between."""

import csv
import io
import os
from collections.abc import Iterator

from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import table


def read_text(path: os.PathLike | str) -> str:
  """Returns the text of a file; raises UserError if it is not UTF-8."""
  try:
    with open(path, encoding='utf-8-sig', newline='') as file:
      return file.read()
  except UnicodeDecodeError:
    raise table.encoding_error(path) from None


def read_cells(path: os.PathLike | str) -> Iterator[tuple[int, list[str]]]:
  """Yields (line, stripped cells) of the lines that are not blank.

  A .csv has commas between its cells, any other file blanks.

  Raises:
    UserError: it is not UTF-8, or not CSV.
  """
  content = io.StringIO(read_text(path), newline='')
  if not str(path).lower().endswith('.csv'):
    for line, words in enumerate(content.read().splitlines(), 1):
      if cells := words.split():
        yield line, cells
    return
  reader, line = csv.reader(content, strict=True, skipinitialspace=True), 1
  try:
    for row in reader:
      cells = [cell.strip() for cell in row]
      if any(cells):
        yield line, cells
      line = reader.line_num + 1
  except csv.Error as error:
    raise errors.UserError(
      f'{path}:{line}: the row that starts here is not CSV ({error}). Copy the '
      'file again, as its authors hand it out.'
    ) from None


def read_pairs(path: os.PathLike | str, rule: str) -> dict[str, tuple]:
  """Returns name -> (value, line) of a list of pairs; a .csv has a header.

  Args:
    path: the list.
    rule: what a line holds and the mend, as sentences.

  Raises:
    UserError: a line holds no pair, or a name that stands before.
  """
  rows = read_cells(path)
  if str(path).lower().endswith('.csv'):
    next(rows, None)
  pairs = {}
  for line, cells in rows:
    if len(cells) != 2 or not all(cells):
      raise errors.UserError(
        f'{path}:{line}: {text.quote(" ".join(cells))}. {rule}'
      )
    check_new(path, line, cells[0], pairs)
    pairs[cells[0]] = cells[1], line
  return pairs


def check_new(path: os.PathLike | str, line: int, name: str, before) -> None:
  """Raises UserError if an image is named a second time."""
  if name in before:
    raise errors.UserError(
      f'{path}:{line}: {text.quote(name)} a second time. Every image has one '
      'line: remove one.'
    )
