"""Reads the label columns of a Parquet file, some rows at a time.

For files larger than a table of cells would do for: a column of 0 and 1 is
never looked at as text.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import foreign
from aubal_jax.runs import text
from aubal_jax.tables import binary_table
from aubal_jax.tables.files import parquet
from aubal_jax.tables.files import table

PRESENT, UNKNOWN = 1, 2  # What a cell may say; 0: absent.
_BATCH_ROWS = 1 << 16


@dataclasses.dataclass(frozen=True)
class Reading:
  """Which columns of a Parquet file are labels, and what their cells mean.

  Attributes:
    label_names: in order; () takes all columns.
    meaning: text of a cell ('' for null) -> 0, PRESENT, UNKNOWN, or None for
      what is no label; a function of a module, so that it can be sent to
      another process. None: cells are the numbers 0 and 1, or truth values.
    unknown: what an unknown label is: 'absent'; 'separate', a third value; or
      'drop', its row is left out.
  """

  label_names: tuple[str, ...] = ()
  meaning: Callable[[str], int | None] | None = None
  unknown: str = 'absent'

  @property
  def is_plain(self) -> bool:
    """Whether the numbers 0 and 1 mean absent and present."""
    read = self.meaning
    return read is None or (read('0') == 0 and read('1') == PRESENT)


def find_columns(path: pathlib.Path, names: Sequence[str]) -> dict[str, str]:
  """Returns name -> type of the label columns, from the end of a file.

  Args:
    path: of the file.
    names: of the labels; () is all columns.

  Raises:
    UserError: the file is damaged, a name is blank or there twice, or a column
      is not there.
  """
  with _opened(path) as file:
    fields = [
      x for x in file.schema_arrow if not parquet.INDEX.fullmatch(x.name)
    ]
    types = {field.name.strip(): str(field.type) for field in fields}
    stored = [field.name.strip() for field in fields]
    num_rows = file.metadata.num_rows
  table.check_names(str(path), stored)
  for name in names:
    if name not in types:
      raise errors.UserError(
        f'{path}: there is no column {name!r}.{text.suggest(name, stored)} The '
        f'columns are {text.listing(map(repr, stored), text.SHOWN)}.'
      )
  if not num_rows or not types:
    raise errors.UserError(
      f'{path}: the table has {len(types)} columns and {num_rows} rows. Add '
      'rows, or delete the file.'
    )
  return {name: types[name] for name in names or stored}


def read_labels(
  path: pathlib.Path, reading: Reading
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
  """Yields labels uint8[n, L], 0 where unknown, and known bool[n, L].

  Of rows in which nothing is unknown the second is None.

  Args:
    path: of the file.
    reading: of which `label_names` is not ().

  Raises:
    UserError: the file is damaged, or a cell is no label.
  """
  first_row = 0
  for columns in _batches(path, reading.label_names):
    cells = np.empty((len(columns[0]), len(columns)), np.uint8)
    for place, column in enumerate(columns):
      where = f'column {reading.label_names[place]!r} of {path}'
      cells[:, place] = _codes(column, reading, where, first_row)
    first_row += len(cells)
    if cells.max(initial=0) < UNKNOWN:
      yield cells, None
    else:
      yield (cells == PRESENT).view(np.uint8), cells != UNKNOWN


def _batches(path, names) -> Iterator[list]:
  """Yields pyarrow's columns of some rows, in the order of the names."""
  with _opened(path) as file:
    stored = {x.name.strip(): x.name for x in file.schema_arrow}
    wanted, rows = [stored[name] for name in names], 0
    for batch in file.iter_batches(
      _BATCH_ROWS, columns=wanted, use_threads=False
    ):
      rows += batch.num_rows
      yield [batch.column(name) for name in wanted]
    if rows != file.metadata.num_rows:
      raise ValueError('it has not as many rows as it says')


@contextlib.contextmanager
def _opened(path) -> Iterator:
  """Opens the file; what is wrong with it is a UserError that names it."""
  _, pq = parquet.need(path)
  with (
    foreign.parsing(path, 'Parquet', parquet.MEND),
    pq.ParquetFile(path) as file,
  ):
    yield file


def _codes(column, reading, where: str, first_row: int) -> np.ndarray:
  """Returns uint8[n]: 0, PRESENT or UNKNOWN, what each cell says."""
  import pyarrow as pa

  kind = column.type
  is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
  if not column.null_count and (is_number or pa.types.is_boolean(kind)):
    numbers = column.to_numpy(zero_copy_only=False)
    found = binary_table.as_bits(numbers) if reading.is_plain else None
    if found is not None:
      return found
  if pa.types.is_nested(kind) or 'binary' in str(kind):
    raise errors.UserError(f'{where}: a label is 0 or 1, and these are {kind}.')
  if reading.meaning is None:
    reading = dataclasses.replace(reading, meaning=_plain_meaning)
  column = column.cast(getattr(kind, 'value_type', kind)).dictionary_encode()
  cells = [*map(parquet.text_of, column.dictionary.to_pylist()), '']
  codes = [reading.meaning(cell) for cell in cells]
  index = column.indices.fill_null(len(cells) - 1).to_numpy()
  bad = [place for place, code in enumerate(codes) if code is None]
  wrong = np.flatnonzero(np.isin(index, bad))
  if len(wrong):
    row = int(wrong[0])
    raise errors.UserError(
      f'{where}: {cells[index[row]]!r} in row {first_row + row} is no label. A '
      'label is 0 or 1, or what the codes of present, absent and unknown name.'
    )
  return np.array([code or 0 for code in codes], np.uint8)[index]


def _plain_meaning(cell: str) -> int | None:
  return {'0': 0, '1': 1, '0.0': 0, '1.0': 1, 'True': 1, 'False': 0}.get(cell)
