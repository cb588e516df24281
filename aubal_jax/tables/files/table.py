"""Tables as columns that know the line of every row, and how errors name it.

A column is kept as its distinct cells and one code a row, so that checking
and converting a million rows costs what the distinct cells cost.
"""

import collections
import dataclasses
import gzip
import os
import pathlib
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import text


@dataclasses.dataclass(frozen=True)
class Column:
  """One column: row n holds `values[codes[n]]`.

  `values` are distinct; some may be held by no row.
  """

  values: tuple[str, ...]
  codes: np.ndarray  # int32[N]

  def __getitem__(self, row: int) -> str:
    return self.values[self.codes[row]]

  def cells(self) -> np.ndarray:
    """Returns str[N], the cell of every row."""
    return np.array(self.values, dtype=np.str_)[self.codes]

  def rows_of(self, codes: Sequence[int]) -> np.ndarray:
    """Returns int64[R], the rows that hold one of these values, ascending."""
    return np.flatnonzero(np.isin(self.codes, codes))


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
    images: names of the columns that hold image files themselves; their cells
      are what the images are called.
  """

  path: pathlib.Path
  columns: dict[str, Column]
  lines: np.ndarray
  header_line: int
  features: np.ndarray | None = None
  images: tuple[str, ...] = ()

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
    """Returns the column `name`; UserError if absent, naming setting `key`."""
    if name in self.columns:
      return self.columns[name]
    several = [part.strip() for part in name.split(',')]
    mend = f'Set {key} to the column.'
    if len(several) > 1 and {*several} <= {*self.columns}:
      form = ','.join(map(repr, several))
      mend = f'Several are named by "--config.{key}=({form})".'
    raise errors.UserError(
      f'{self.header}: there is no column {name!r}; the '
      f'columns are {text.listing(map(repr, self.columns))}.'
      f'{text.suggest(name, self.columns)} {mend}'
    )

  def optional(self, name: str, default: str, key: str) -> Column | None:
    """Returns the column `name`, or None.

    None is for an empty `name`, and for the `default` name where the table
    has no such column; any other name was asked for, so it must be there.
    Raises UserError otherwise, also where only the case of `default` differs.
    """
    alike = [c for c in self.columns if c.casefold() == name.casefold()]
    if not name or (name == default and not alike):
      return None
    return self.column(name, key)

  def parse(
    self,
    names: Sequence[str],
    key: str,
    meaning: Callable[[str], object],
    dtype: np.typing.DTypeLike,
    rule: str,
  ) -> np.ndarray:
    """Returns dtype[N, K], what the cells of K columns mean.

    Args:
      names: of the columns.
      key: the setting that names them.
      meaning: cell -> what it means, None where it breaks the rule.
      dtype: of the meanings.
      rule: what a cell may be and the mend, as sentences.

    Raises:
      UserError: a column is not there, or cells break the rule.
    """
    parsed = np.empty((len(self), len(names)), dtype)
    bad = [np.empty((0, 2), np.int64)]  # Row and k.
    for k, name in enumerate(names):
      column = self.column(name, key)
      meanings = [meaning(cell) for cell in column.values]
      wrong = [c for c, value in enumerate(meanings) if value is None]
      rows = column.rows_of(wrong)  # None has a value that no row holds.
      bad.append(np.stack([rows, np.full(len(rows), k)], axis=1))
      if not len(rows):
        known = [0 if value is None else value for value in meanings]
        parsed[:, k] = np.array(known, dtype)[column.codes]
    bad = np.concatenate(bad)
    if len(bad):
      bad = bad[np.lexsort(bad.T[::-1])]
      raise finding_error(
        self.path,
        bad,
        lambda cell: self.lines[cell[0]],
        lambda cell: self.tell(cell[0], names[cell[1]]),
        rule,
        self.unit,
      )
    return parsed

  def tell(self, row: int, name: str) -> str:
    """Returns what a cell of the column `name` holds, for messages."""
    return f'column {name!r} holds {text.quote(self.columns[name][row])}'

  def error(
    self, bad: Sequence[int], tell: Callable[[int], str], rule: str
  ) -> errors.UserError:
    """Returns the error about the rows `bad`, see `finding_error`."""
    return finding_error(
      self.path, bad, self.lines.__getitem__, tell, rule, self.unit
    )

  def cell_error(
    self, name: str, codes: Sequence[int], rule: str
  ) -> errors.UserError:
    """Returns the error about cells of a column, by `Column.codes`."""
    return self.error(
      self.columns[name].rows_of(codes), lambda row: self.tell(row, name), rule
    )


def position(where: str, names: Sequence[str], name: str) -> int:
  """Returns where a label stands among those of a file; UserError if not."""
  if name in names:
    return names.index(name)
  raise errors.UserError(
    f'{where}: there is no label {name!r}; the labels are '
    f'{text.listing(map(repr, names))}.{text.suggest(name, names)} Set '
    'data.label_columns.'
  )


def place(path: os.PathLike, line: int | None, unit: str = 'line') -> str:
  """Returns 'path:line', or 'path: row 7 (counted from 0)', or the path."""
  if line is None:
    return str(path)
  if unit == 'line':
    return f'{path}:{line}'
  return f'{path}: row {line} (counted from 0)'


def finding_error(
  path: os.PathLike | str,
  bad: Sequence,
  line_of: Callable,
  tell: Callable,
  rule: str,
  unit: str = 'line',
) -> errors.UserError:
  """Returns the error 'path:line: what; line n: what (total). rule'.

  Args:
    path: the file.
    bad: what is wrong in it, in order; the first few are told.
    line_of: one of `bad` -> the line it stands on.
    tell: one of `bad` -> what is wrong with it.
    rule: the rule they break and the mend, as sentences.
    unit: what lines count.
  """
  first, *others = bad[: text.SHOWN]
  told = [f'{place(path, line_of(first), unit)}: {tell(first)}']
  told += [f'{unit} {line_of(one)}: {tell(one)}' for one in others]
  total = f' ({len(bad)} in all)' if len(bad) > 1 else ''
  more = '; ...' if len(bad) > text.SHOWN else ''
  return errors.UserError(f'{"; ".join(told)}{more}{total}. {rule}')


def make_column(cells: Iterable[str], codes: np.ndarray) -> Column:
  """Returns the column with stripped cells, cells that became equal merged."""
  values = [cell.strip() for cell in cells]
  distinct = tuple(dict.fromkeys(values))
  if len(distinct) < len(values):
    position = {value: k for k, value in enumerate(distinct)}
    codes = np.array([position[value] for value in values], np.int32)[codes]
  return Column(distinct, codes)


def column_of(cells: Sequence[str]) -> Column:
  """Returns the column of these cells, one a row."""
  codes = collections.defaultdict()
  codes.default_factory = codes.__len__  # A new cell gets the next code.
  numbers = np.fromiter(map(codes.__getitem__, cells), np.int32, len(cells))
  return make_column(codes, numbers)


def fill_missing(
  where: os.PathLike | str, values: np.ndarray | None
) -> tuple[np.ndarray | None, tuple[str, ...]]:
  """Fills in what is missing (NaN): the mean of the column, 0 where all is.

  Args:
    where: the table, for messages.
    values: float64[N, F], such as `Table.features`, or None.

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


def no_header_error(path, line, names) -> errors.UserError:
  """Returns the error for a first line that holds cells, not names."""
  return errors.UserError(
    f'{path}:{line}: there is no header: the first line holds '
    f'{text.listing(map(text.quote, names), text.SHOWN)}. Add a line before it '
    'that names the columns (a name is no number and no label).'
  )


def encoding_error(
  path: os.PathLike | str, what: str = 'the file'
) -> errors.UserError:
  """Returns the error for a file that is not UTF-8, with the line."""
  opener = gzip.open if str(path).lower().endswith('.gz') else open
  with opener(path, 'rb') as file:
    for number, line in enumerate(file, 1):
      try:
        line.decode('utf-8')
      except UnicodeDecodeError as error:
        byte = line[error.start]
        return errors.UserError(
          f'{path}:{number}: byte 0x{byte:02x} is not UTF-8 text. Save '
          f'{what} in UTF-8.'
        )
  return errors.UserError(f'{path}:1: not UTF-8 text. Save {what} in UTF-8.')
