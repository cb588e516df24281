"""Reads a Parquet file into a `Table`, its cells as CSV would hold them."""

import pathlib
import re

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import table

# How pandas calls an index that it saved as a column.
_INDEX = re.compile(r'__index_level_\d+__')


def read(path: pathlib.Path) -> table.Table:
  """Reads a .parquet file: numbers, bools, text, categories, dates; null is ''.

  A column of anything else (lists, structures, bytes) is not read: all its
  cells say its type, so that it can be there, but not be a label.

  Raises:
    UserError: it is damaged or not Parquet; a column has no name or the name
      of another; there is no row; or pyarrow is not installed.
  """
  try:
    import pyarrow as pa
    from pyarrow import parquet
  except ImportError:
    raise errors.UserError(
      f'{path}: Parquet needs the package pyarrow: pip install pyarrow. Or '
      'save the table as CSV.'
    ) from None
  try:
    with parquet.ParquetFile(path) as file:
      fields = [f for f in file.schema_arrow if not _INDEX.fullmatch(f.name)]
      names = [field.name.strip() for field in fields]
      table.check_names(str(path), names)
      num_rows = file.metadata.num_rows
      columns = {
        name: _column(file, field, num_rows, pa)
        for name, field in zip(names, fields, strict=True)
      }
  except (pa.ArrowException, OSError) as error:
    raise errors.UserError(
      f'{path}: not readable as Parquet ({text.first_line(error)}). Save it '
      'again with pandas.DataFrame.to_parquet, or as CSV.'
    ) from None
  if not num_rows or not columns:
    raise errors.UserError(
      f'{path}: the table has {len(columns)} columns and {num_rows} rows. Add '
      'one row for each image.'
    )
  return table.Table(path, columns, np.arange(num_rows), header_line=0)


def _column(file, field, num_rows, pa) -> table.Column:
  """Returns one column of an open file."""
  kind = field.type
  if pa.types.is_dictionary(kind):
    kind = kind.value_type
  if pa.types.is_nested(kind) or 'binary' in str(kind):
    return table.Column((f'<{kind}>',), np.zeros(num_rows, np.int32))
  values = file.read(columns=[field.name]).column(field.name).cast(kind)
  encoded = values.dictionary_encode().unify_dictionaries()
  if not encoded.num_chunks:
    return table.Column((), np.zeros(0, np.int32))
  cells = encoded.chunk(0).dictionary.to_pylist()
  codes = [
    chunk.indices.fill_null(len(cells)).to_numpy() for chunk in encoded.chunks
  ]
  texts = [_text(cell) for cell in cells]
  if values.null_count:
    texts.append('')
  return table.make_column(texts, np.concatenate(codes).astype(np.int32))


def _text(value) -> str:
  """Returns the cell as CSV has it; NaN and null are blank."""
  return '' if value is None or value != value else str(value)
