"""Reads a CSV file into columns, and knows the line of every row.

A column is kept as its distinct cells and one code a row, so that checking
and converting a million rows costs what the distinct cells cost.
"""

import collections
import csv
import dataclasses
import difflib
import os
import pathlib
import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

CHUNK_ROWS = 1 << 10  # Rows held as lists at a time: few enough for the cache.
SHOWN = 5  # Findings an error message spells out.

# A number, or what else a label cell may be: no name of a column.
_CELL = re.compile(
  r'[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|true|false|', re.ASCII | re.I
)


@dataclasses.dataclass(frozen=True)
class Column:
  """One column: row n holds `values[codes[n]]`; `values` are distinct."""

  values: tuple[str, ...]
  codes: np.ndarray  # int32[N]

  def cells(self) -> np.ndarray:
    """Returns str[N], the cell of every row."""
    return np.array(self.values, dtype=np.str_)[self.codes]


@dataclasses.dataclass(frozen=True)
class Table:
  """A table file as read: cells without the blanks around them.

  Attributes:
    path: the file.
    columns: name -> Column, in the file's order.
    lines: int64[N], the line each row starts on, counted from 1.
    header_line: the line of the column names.
  """

  path: pathlib.Path
  columns: dict[str, Column]
  lines: np.ndarray
  header_line: int

  def __len__(self):
    return len(self.lines)

  def column(self, name: str, key: str) -> Column:
    """Returns the column `name`; ValueError if absent, naming setting `key`."""
    if name not in self.columns:
      raise ValueError(
        f'{self.path}:{self.header_line}: there is no column {name!r}; the '
        f'columns are {listing(map(repr, self.columns))}.'
        f'{suggestion(name, self.columns)} Set {key} to the column.'
      )
    return self.columns[name]

  def optional(self, name: str, default: str, key: str) -> Column | None:
    """Returns the column `name`, or None.

    None is for an empty `name`, and for the `default` name where the table
    has no such column; any other name was asked for, so it must be there.
    Raises ValueError otherwise, also where only the case of `default` differs.
    """
    alike = [c for c in self.columns if c.casefold() == name.casefold()]
    if not name or (name == default and not alike):
      return None
    return self.column(name, key)

  def error(
    self, rows: Sequence[int], found: Sequence[str], total: int, rule: str
  ) -> ValueError:
    """Returns the ValueError that says what was `found` in which `rows`.

    Args:
      rows: the first offending rows, counted from 0.
      found: what is wrong with each of them.
      total: how many there are in all.
      rule: the rule they break and the mend, as sentences.
    """
    return finding_error(self.path, self.lines[list(rows)], found, total, rule)


def finding_error(
  path: os.PathLike, lines: Iterable[int], found: Iterable[str], total, rule
) -> ValueError:
  """Returns a ValueError 'path:line: found; line n: found (total). rule'."""
  pairs = list(zip(lines, found, strict=True))[:SHOWN]
  first, *others = [f'{line}: {what}' for line, what in pairs]
  text = '; '.join([f'{path}:{first}', *(f'line {other}' for other in others)])
  if total > 1:
    text += f'{"; ..." if total > len(pairs) else ""} ({total} in all)'
  return ValueError(f'{text}. {rule}')


def listing(items: Iterable, shown: int = 2 * SHOWN) -> str:
  """Returns the first items and, where there are more, how many in all."""
  items = [str(item) for item in items]
  more = f', ... ({len(items)} in all)' if len(items) > shown else ''
  return ', '.join(items[:shown]) + more


def quote(cell: str) -> str:
  """Returns the cell in quotes, cut where it is long."""
  return repr(f'{cell[:57]}...' if len(cell) > 60 else str(cell))


def suggestion(name: str, choices: Iterable[str]) -> str:
  """Returns " Did you mean 'x'?" for the choice like `name`, else ''."""
  close = closest(name, choices)
  return f' Did you mean {close!r}?' if close else ''


def closest(name: str, choices: Iterable[str]) -> str | None:
  """Returns the choice like `name` in any case, or None."""
  folded = {choice.casefold(): choice for choice in choices}
  close = difflib.get_close_matches(name.casefold(), folded, n=1)
  return folded[close[0]] if close else None


def check_exists(path: os.PathLike | str) -> pathlib.Path:
  """Returns the path of a file; raises FileNotFoundError if it is not one."""
  if not str(path):
    raise FileNotFoundError('data.path is empty. Set it to the table to read.')
  path = pathlib.Path(path)
  if not path.is_file():
    nearby = path.parent.glob('*[vzy]') if path.parent.is_dir() else ()
    tables = [f.name for f in nearby if f.suffix in ('.csv', '.npz', '.npy')]
    stems = {pathlib.Path(name).stem: name for name in sorted(tables)}
    close = closest(path.stem, stems)  # The suffix would make all alike.
    hint = f' Did you mean {stems[close]!r}?' if close else ''
    what = 'is a folder, not a table' if path.is_dir() else 'does not exist'
    raise FileNotFoundError(
      f'{path}: this file {what}.{hint} Set data.path to the table to read.'
    )
  return path


def read(path: os.PathLike | str) -> Table:
  """Reads a CSV file: UTF-8 with or without BOM, any line ends, commas.

  The first line that is not blank names the columns. Blank lines are skipped
  (in a table of one column a blank line would be a lost cell: an error).
  Names and cells lose the blanks around them. A million rows of 17 cells take
  about 3 s.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: it is empty, not UTF-8 or not CSV; it has no header (all its
      names are numbers, true, false or blank); a column has no name or the
      name of another; a row has more or fewer cells than the header.
  """
  path = check_exists(path)
  try:
    with open(path, encoding='utf-8-sig', newline='') as file:
      return _read_rows(path, _numbered_rows(path, file))
  except UnicodeDecodeError:
    raise _encoding_error(path) from None


def _numbered_rows(path, file) -> Iterator[tuple[int, list[str]]]:
  """Yields (first line, cells) of every row, of blank lines too."""
  reader = csv.reader(file, strict=True, skipinitialspace=True)
  line = 1
  try:
    for row in reader:
      yield line, row
      line = reader.line_num + 1
  except csv.Error as error:
    raise ValueError(
      f'{path}:{line}: the row that starts here is not CSV ({error}). A cell '
      'with a comma, a quote or a line end stands in "quotes", a quote in it '
      'is doubled, and the quotes are closed.'
    ) from None


def _read_rows(path, rows) -> Table:
  """Returns the table of numbered rows."""
  header_line, names = next(((n, r) for n, r in rows if any(r)), (1, None))
  if names is None:
    raise ValueError(
      f'{path}:1: the table is empty. Its first line must name the columns, '
      'separated by commas.'
    )
  names = _check_header(path, header_line, names)
  codes_of = [collections.defaultdict() for _ in names]
  for codes in codes_of:
    codes.default_factory = codes.__len__  # A new cell gets the next code.
  chunks = [[] for _ in names]
  lines = [np.empty(0, np.int64)]
  for chunk_lines, chunk_rows in _chunks(rows, keep_blank=len(names) == 1):
    _check_widths(path, chunk_lines, chunk_rows, len(names))
    lines.append(np.array(chunk_lines, np.int64))
    for chunk, codes, cells in zip(
      chunks, codes_of, zip(*chunk_rows, strict=True), strict=True
    ):
      chunk.append(
        np.fromiter(map(codes.__getitem__, cells), np.int32, len(cells))
      )
  lines = np.concatenate(lines)
  if not len(lines):
    raise ValueError(
      f'{path}:{header_line}: the table has column names but no row. Add one '
      'line for each image.'
    )
  columns = {
    name: _strip(codes, np.concatenate(chunk))
    for name, codes, chunk in zip(names, codes_of, chunks, strict=True)
  }
  return Table(path, columns, lines, header_line)


def _chunks(rows, keep_blank):
  """Yields (lines, rows) of up to CHUNK_ROWS rows at a time."""
  lines, chunk = [], []
  for line, row in rows:
    if row or keep_blank:
      lines.append(line)
      chunk.append(row)
      if len(chunk) == CHUNK_ROWS:
        yield lines, chunk
        lines, chunk = [], []
  if chunk:
    yield lines, chunk


def _strip(codes_of, codes) -> Column:
  """Returns the column with stripped cells, cells that became equal merged."""
  values = [cell.strip() for cell in codes_of]
  distinct = tuple(dict.fromkeys(values))
  if len(distinct) < len(values):
    position = {value: k for k, value in enumerate(distinct)}
    codes = np.array([position[value] for value in values], np.int32)[codes]
  return Column(distinct, codes)


def _check_header(path, line, names):
  """Returns the stripped names; raises ValueError on a blank or a double."""
  names = [name.strip() for name in names]
  where = f'{path}:{line}: '
  if all(map(_CELL.fullmatch, names)):
    raise no_header_error(path, line, names)
  if len(names) == 1 and any(mark in names[0] for mark in ';\t|'):
    raise ValueError(
      f'{where}the only column name is {quote(names[0])}. Columns are '
      'separated by commas: save the table with commas.'
    )
  if '' in names:
    raise ValueError(
      f'{where}column {names.index("") + 1} of {len(names)} has no name. Name '
      'it, or remove it (a comma at the end of every line makes one).'
    )
  for position, name in enumerate(names):
    first = names.index(name)
    if first < position:
      raise ValueError(
        f'{where}columns {first + 1} and {position + 1} are both called '
        f'{name!r}. Names must differ: rename or remove one.'
      )
  return names


def no_header_error(path, line, names) -> ValueError:
  """Returns the error for a first line that holds cells, not names."""
  return ValueError(
    f'{path}:{line}: there is no header: the first line holds '
    f'{listing(map(quote, names), SHOWN)}. Add a line before it that names '
    'the columns (a name is no number and no label).'
  )


def _check_widths(path, lines, rows, width):
  """Raises ValueError if a row has not `width` cells."""
  if set(map(len, rows)) == {width}:
    return
  bad = [n for n, row in enumerate(rows) if len(row) != width]
  raise finding_error(
    path,
    [lines[n] for n in bad[:SHOWN]],
    [f'{len(rows[n])} cells' for n in bad[:SHOWN]],
    len(bad),
    f'A row has as many cells as there are columns, {width}. Add or remove '
    'cells; a comma inside a cell wants quotes around the cell.',
  )


def _encoding_error(path) -> ValueError:
  """Returns the error for a file that is not UTF-8, with the line."""
  with open(path, 'rb') as file:
    for number, line in enumerate(file, 1):
      try:
        line.decode('utf-8')
      except UnicodeDecodeError as error:
        byte = line[error.start]
        return ValueError(
          f'{path}:{number}: byte 0x{byte:02x} is not UTF-8 text. Save the '
          'table as CSV in UTF-8.'
        )
  return ValueError(f'{path}:1: not UTF-8 text. Save the table in UTF-8.')
