"""Reads a Parquet file into a `Table`, its cells as CSV would hold them."""

import itertools
import json
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import extras
from aubal_jax.runs import foreign
from aubal_jax.tables.files import table

# How pandas calls an index that it saved as a column.
INDEX = re.compile(r'__index_level_\d+__')
MEND = 'Save it again with pandas.DataFrame.to_parquet, or as CSV.'


def read(path: pathlib.Path) -> table.Table:
  """Reads a .parquet file: numbers, bools, text, categories, dates; null is ''.

  A list becomes the JSON of its texts or numbers. A structure of the `bytes` of
  an image file and its `path`, as hubs hand them out, and bytes alone become
  the path, or 'row 7' (counted from 0) where there is none, and the column is
  one of `Table.images`; null is ''. A column of anything else is not read: all
  its cells say its type, so that it can be there, but not be a label.

  Raises:
    UserError: it is damaged or not Parquet; a column has no name or the name
      of another; there is no row; or pyarrow is not installed.
  """
  pa, parquet = need(path)
  with (
    foreign.parsing(path, 'Parquet', MEND),
    parquet.ParquetFile(path) as file,
  ):
    fields = [f for f in file.schema_arrow if not INDEX.fullmatch(f.name)]
    names = [field.name.strip() for field in fields]
    table.check_names(str(path), names)
    num_rows = file.metadata.num_rows
    columns = {
      name: _column(file, field, num_rows, pa)
      for name, field in zip(names, fields, strict=True)
    }
    images = [
      name
      for name, field in zip(names, fields, strict=True)
      if _bytes_of(field.type, pa) is not None
    ]
  if not num_rows or not columns:
    raise errors.UserError(
      f'{path}: the table has {len(columns)} columns and {num_rows} rows. Add '
      'one row for each image.'
    )
  if any(len(column.codes) != num_rows for column in columns.values()):
    raise errors.UserError(
      f'{path}: not readable as Parquet (it says it has {num_rows} rows, and '
      f'has not). {MEND}'
    )
  rows = np.arange(num_rows)
  return table.Table(path, columns, rows, 0, images=tuple(images))


def read_images(
  path: pathlib.Path, name: str, rows: np.ndarray
) -> Iterator[bytes]:
  """Yields the undecoded image files in a column, one row group at a time.

  Args:
    path: the table.
    name: of the column, one of its `Table.images`.
    rows: int[R], ascending and all different.

  Raises:
    UserError: the file is damaged.
  """
  pa, parquet = need(path)
  with (
    foreign.parsing(path, 'Parquet', MEND),
    parquet.ParquetFile(path) as file,
  ):
    groups = range(file.metadata.num_row_groups)
    sizes = [file.metadata.row_group(g).num_rows for g in groups]
    stored = next(f.name for f in file.schema_arrow if f.name.strip() == name)
    for group, start in enumerate(np.cumsum([0, *sizes])[:-1]):
      ends = (start, start + sizes[group])
      wanted = rows[slice(*np.searchsorted(rows, ends))] - start
      if len(wanted):
        values = file.read_row_group(group, columns=[stored]).column(0)
        for cell in values.take(pa.array(wanted)).to_pylist():
          yield cell['bytes'] if isinstance(cell, dict) else cell


def need(path):
  """Returns pyarrow and its Parquet; UserError where it is not installed."""
  try:
    import pyarrow as pa
    from pyarrow import parquet
  except ImportError:
    raise extras.missing('pyarrow', f'{path}: Parquet') from None
  return pa, parquet


def _bytes_of(kind, pa):
  """Returns which field of a type holds image bytes: a name or '', or None."""
  if pa.types.is_struct(kind):
    position = kind.get_field_index('bytes')
    found = position >= 0 and _is_bytes(kind.field(position).type, pa)
    return 'bytes' if found else None
  return '' if _is_bytes(kind, pa) else None


def _is_bytes(kind, pa) -> bool:
  return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _column(file, field, num_rows, pa) -> table.Column:
  """Returns one column of an open file."""
  kind = field.type
  if pa.types.is_dictionary(kind):
    kind = kind.value_type
  if _bytes_of(kind, pa) is not None:
    return _names_of_images(file, field, pa)
  is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
  if is_list and not pa.types.is_nested(kind.value_type):
    values = file.read(columns=[field.name]).column(field.name)
    cells = [_list(cell) for cell in values.to_pylist()]
    return table.column_of(cells)
  if pa.types.is_nested(kind) or 'binary' in str(kind):
    return table.Column((f'<{kind}>',), np.zeros(num_rows, np.int32))
  values = file.read(columns=[field.name]).column(field.name).cast(kind)
  if pa.types.is_temporal(kind):  # Of any year, and to the nanosecond.
    values = values.cast(pa.string())
  encoded = values.dictionary_encode().unify_dictionaries()
  if not encoded.num_chunks:
    return table.Column((), np.zeros(0, np.int32))
  cells = encoded.chunk(0).dictionary.to_pylist()
  codes = [
    chunk.indices.fill_null(len(cells)).to_numpy() for chunk in encoded.chunks
  ]
  texts = [text_of(cell) for cell in cells]
  if values.null_count:
    texts.append('')
  return table.make_column(texts, np.concatenate(codes).astype(np.int32))


def _names_of_images(file, field, pa) -> table.Column:
  """Returns what the images in a column are called; '' where there is none.

  The images are read where nothing else says that all of them are there.
  """
  stored, number = field.name, itertools.count()
  has_paths = pa.types.is_struct(field.type) and (
    field.type.get_field_index('path') >= 0
  )
  if has_paths and _num_null(file, f'{stored}.bytes') == 0:
    stored = f'{stored}.path'
  cells = []
  for batch in file.iter_batches(batch_size=256, columns=[stored]):
    for cell, row in zip(batch.column(0).to_pylist(), number, strict=False):
      if isinstance(cell, dict):
        is_there = cell.get('bytes', True) is not None
        cell = is_there and (cell.get('path') or f'row {row}')
      elif cell is not None:
        cell = f'row {row}'
      cells.append(cell or '')
  return table.column_of(cells)


def _num_null(file, path: str) -> int | None:
  """Returns how many values of a column are null; None if nothing says it."""
  total = 0
  for group in range(file.metadata.num_row_groups):
    columns = map(
      file.metadata.row_group(group).column, range(file.metadata.num_columns)
    )
    about = next((c for c in columns if c.path_in_schema == path), None)
    if about is None or not about.is_stats_set:
      return None
    total += about.statistics.null_count
  return total


def _list(values) -> str:
  """Returns the JSON of a list; '' for null."""
  return '' if values is None else json.dumps(values, ensure_ascii=False)


def text_of(value) -> str:
  """Returns the cell as CSV has it; NaN and null are blank."""
  return '' if value is None or value != value else str(value)
