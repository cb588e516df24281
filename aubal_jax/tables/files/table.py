"""Tables as columns that know the line of every row, and how errors name it.

A column is kept as its distinct cells and one code a row, so that checking
and converting a million rows costs what the distinct cells cost.
"""

import dataclasses
import difflib
import os
import pathlib
import re
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from aubal_jax.runs import errors

SHOWN = 5  # Findings an error message spells out.

# Of all that hold labels; which of them a reader takes, it says.
SUFFIXES = ('.csv', '.parquet', '.npz', '.npy', '.arff')


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
    lines: int64[N], the line each row starts on, counted from 1; in a file
      without lines the number of the row, counted from 0.
    header_line: the line of the column names; 0 in a file without lines.
    features: float64[N, F], where the file tells them from labels by itself;
      NaN where one is missing. Else None.
  """

  path: pathlib.Path
  columns: dict[str, Column]
  lines: np.ndarray
  header_line: int
  features: np.ndarray | None = None

  def __len__(self):
    return len(self.lines)

  @property
  def unit(self) -> str:
    """What `lines` count: 'line' or 'row'."""
    return 'line' if self.header_line else 'row'

  @property
  def header(self) -> str:
    """Where the column names stand, for messages."""
    return place(self.path, self.header_line or None)

  def place(self, row: int) -> str:
    """Returns where a row (counted from 0) stands, for messages."""
    return place(self.path, self.lines[row], self.unit)

  def column(self, name: str, key: str) -> Column:
    """Returns the column `name`; ValueError if absent, naming setting `key`."""
    if name not in self.columns:
      raise errors.UserError(
        f'{self.header}: there is no column {name!r}; the '
        f'columns are {listing(map(repr, self.columns))}.'
        f'{suggestion(name, self.columns)} {self._set(name, key)}'
      )
    return self.columns[name]

  def _set(self, name: str, key: str) -> str:
    names = tuple(map(str.strip, name.split(',')))
    if len(names) < 2 or not {*names} <= {*self.columns}:
      return f'Set {key} to the column.'
    several = ','.join(map(repr, names))
    return f'Several are named by "--config.{key}=({several})".'

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
    """Returns the UserError that says what was `found` in which `rows`.

    Args:
      rows: the first offending rows, counted from 0.
      found: what is wrong with each of them.
      total: how many there are in all.
      rule: the rule they break and the mend, as sentences.
    """
    lines = self.lines[list(rows)]
    return finding_error(self.path, lines, found, total, rule, self.unit)


def place(path: os.PathLike, line: int | None, unit: str = 'line') -> str:
  """Returns 'path:line', or 'path: row 7 (counted from 0)', or the path."""
  if line is None:
    return str(path)
  if unit == 'line':
    return f'{path}:{line}'
  return f'{path}: row {line} (counted from 0)'


def finding_error(
  path: os.PathLike,
  lines: Iterable[int],
  found: Iterable[str],
  total: int,
  rule: str,
  unit: str = 'line',
) -> ValueError:
  """Returns a UserError 'path:line: found; line n: found (total). rule'."""
  pairs = list(zip(lines, found, strict=True))[:SHOWN]
  (line, what), *others = pairs
  text = '; '.join(
    [
      f'{place(path, line, unit)}: {what}',
      *(f'{unit} {line}: {what}' for line, what in others),
    ]
  )
  if total > 1:
    text += f'{"; ..." if total > len(pairs) else ""} ({total} in all)'
  return errors.UserError(f'{text}. {rule}')


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
  """Returns the choice like `name` in any case, AU1 as AU01, or None."""
  folded = {_fold(choice): choice for choice in choices}
  close = difflib.get_close_matches(_fold(name), folded, n=1)
  return folded[close[0]] if close else None


def _fold(name):
  """Returns the name in small letters, without zeros ahead of a number."""
  return re.sub(r'(?<!\d)0+(?=\d)', '', name.casefold())


def check_exists(path: os.PathLike | str) -> pathlib.Path:
  """Returns the path of a file; raises FileNotFoundError if it is not one."""
  if not str(path):
    raise FileNotFoundError('data.path is empty. Set it to the table to read.')
  path = pathlib.Path(path)
  if not path.is_file():
    nearby = path.parent.iterdir() if path.parent.is_dir() else ()
    tables = [file.name for file in nearby if file.suffix in SUFFIXES]
    stems = {pathlib.Path(name).stem: name for name in sorted(tables)}
    close = closest(path.stem, stems)  # The suffix would make all alike.
    hint = f' Did you mean {stems[close]!r}?' if close else ''
    what = 'is a folder, not a table' if path.is_dir() else 'does not exist'
    raise FileNotFoundError(
      f'{path}: this file {what}.{hint} Set data.path to the table to read.'
    )
  return path


def read(path: os.PathLike | str) -> Table:
  """Reads a .parquet file (see `parquet`), or any other as CSV (`csv_table`).

  Raises:
    FileNotFoundError: there is no such file.
    UserError: it is damaged, or breaks a rule of tables.
  """
  path = check_exists(path)
  if path.suffix.lower() == '.parquet':
    from aubal_jax.tables.files import parquet

    return parquet.read(path)
  from aubal_jax.tables.files import csv_table

  return csv_table.read(path)


def make_column(cells: Iterable[str], codes: np.ndarray) -> Column:
  """Returns the column with stripped cells, cells that became equal merged."""
  values = [cell.strip() for cell in cells]
  distinct = tuple(dict.fromkeys(values))
  if len(distinct) < len(values):
    position = {value: k for k, value in enumerate(distinct)}
    codes = np.array([position[value] for value in values], np.int32)[codes]
  return Column(distinct, codes)


def check_names(where: str, names: Sequence[str]) -> None:
  """Raises UserError on a column name that is blank or there twice."""
  if '' in names:
    raise errors.UserError(
      f'{where}: column {names.index("") + 1} of {len(names)} has no name. '
      'Name it, or remove it (a comma at the end of every line makes one).'
    )
  for position, name in enumerate(names):
    first = names.index(name)
    if first < position:
      raise errors.UserError(
        f'{where}: columns {first + 1} and {position + 1} are both called '
        f'{name!r}. Names must differ: rename or remove one.'
      )


def no_header_error(path, line, names) -> ValueError:
  """Returns the error for a first line that holds cells, not names."""
  return errors.UserError(
    f'{path}:{line}: there is no header: the first line holds '
    f'{listing(map(quote, names), SHOWN)}. Add a line before it that names '
    'the columns (a name is no number and no label).'
  )
