"""Reads a file of separated values into a `Table`: .csv, .tsv, either .gz.

Checking and converting a million rows costs what the distinct cells cost.
"""

import collections
import csv
import gzip
import pathlib
import re
import zlib
from collections.abc import Iterator

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import table

SUFFIXES = ('.csv', '.tsv', '.csv.gz', '.tsv.gz')
CHUNK_ROWS = 1 << 10  # Rows held as lists at a time: few enough for the cache.

# A number, or what else a label cell may be: no name of a column.
_CELL = re.compile(
  r'[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan|true|false|', re.ASCII | re.I
)
# The name of an image file, which is no name of a column either.
_IMAGE = re.compile(r'.+\.(jpe?g|png|bmp|gif|tiff?|webp|ppm|avif|jp2)', re.I)
_QUOTED = re.compile(r'"[^"]*"')


def read(path: pathlib.Path) -> table.Table:
  """Reads separated values: UTF-8 with or without BOM, any line ends.

  The first line that is not blank names the columns, and tells what stands
  between them: commas; or tabs or semicolons, where it has no comma. Blank
  lines are skipped (in a table of one column a blank line would be a lost
  cell: an error). Names and cells lose the blanks around them. A million rows
  of 17 cells take about 3 s.

  Args:
    path: the file; one that ends in .gz is unpacked while it is read.

  Raises:
    UserError: it is empty, not UTF-8 or not CSV; it has no header (all its
      names are numbers, true, false or blank, or one is that of an image); a
      column has no name or the name of another; a row has more or fewer cells
      than the header.
  """
  try:
    try:
      with open_text(path) as file:
        return _read_rows(path, _numbered_rows(path, file))
    except UnicodeDecodeError:
      raise table.encoding_error(path, 'the table as CSV') from None
  except (gzip.BadGzipFile, EOFError, zlib.error) as error:
    raise errors.UserError(
      f'{path}: not readable as gzip ({text.first_line(error)}). Pack the '
      'table again, or unpack it.'
    ) from None


def open_text(path: pathlib.Path):
  """Opens a file of text, packed or not; a BOM is passed over."""
  opener = gzip.open if path.suffix.lower() == '.gz' else open
  return opener(path, 'rt', encoding='utf-8-sig', newline='')


def _separator(path, file) -> str:
  """Returns what stands between columns, from the first line that has any."""
  line = next((line for line in file if line.strip()), '')
  file.seek(0)
  if pathlib.Path(path.name.lower().removesuffix('.gz')).suffix == '.tsv':
    return '\t'
  line = _QUOTED.sub('', line)
  return next((mark for mark in ',\t;' if mark in line), ',')


def _numbered_rows(path, file) -> Iterator[tuple[int, list[str]]]:
  """Yields (first line, cells) of every row, of blank lines too."""
  reader = csv.reader(
    file,
    strict=True,
    skipinitialspace=True,
    delimiter=_separator(path, file),
  )
  line = 1
  try:
    for row in reader:
      yield line, row
      line = reader.line_num + 1
  except csv.Error as error:
    raise errors.UserError(
      f'{path}:{line}: the row that starts here is not CSV ({error}). A cell '
      'with a comma, a quote or a line end stands in "quotes", a quote in it '
      'is doubled, and the quotes are closed.'
    ) from None


def _read_header(path, rows):
  """Returns the line of the column names, and these; UserError if none."""
  header_line, names = next(((n, r) for n, r in rows if any(r)), (1, None))
  if names is None:
    raise errors.UserError(
      f'{path}:1: the table is empty. Its first line must name the columns, '
      'separated by commas.'
    )
  names = [name.strip() for name in names]
  if all(map(_CELL.fullmatch, names)) or any(map(_IMAGE.fullmatch, names)):
    raise table.no_header_error(path, header_line, names)
  if len(names) == 1 and '|' in names[0]:
    raise errors.UserError(
      f'{path}:{header_line}: the only column name is {text.quote(names[0])}. '
      'Columns are separated by commas, tabs or semicolons: save the table so.'
    )
  table.check_names(f'{path}:{header_line}', names)
  return header_line, names


def _read_rows(path, rows) -> table.Table:
  """Returns the table of numbered rows."""
  header_line, names = _read_header(path, rows)
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
    raise errors.UserError(
      f'{path}:{header_line}: the table has column names but no row. Add one '
      'line for each image.'
    )
  columns = {
    name: table.make_column(codes, np.concatenate(chunk))
    for name, codes, chunk in zip(names, codes_of, chunks, strict=True)
  }
  _check_blanks(path, header_line, columns)
  return table.Table(path, columns, lines, header_line)


def _check_blanks(path, line, columns):
  """Raises UserError where the one column is several, with blanks between."""
  ((name, column), *others) = columns.items()
  width = len(name.split())
  if others or width < 2:
    return
  if all(len(cell.split()) == width for cell in column.values):
    raise errors.UserError(
      f'{path}:{line}: the columns {text.quote(name)} are separated by blanks. '
      'Separate them by commas, tabs or semicolons: save the table so.'
    )


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


def _check_widths(path, lines, rows, width):
  """Raises UserError if a row has not `width` cells."""
  if set(map(len, rows)) == {width}:
    return
  raise table.finding_error(
    path,
    [n for n, row in enumerate(rows) if len(row) != width],
    lines.__getitem__,
    lambda n: f'{len(rows[n])} cells {text.quote(",".join(rows[n]))}',
    f'A row has as many cells as there are columns, {width}. Add or remove '
    'cells; a comma inside a cell wants quotes around the cell.',
  )
