"""Tables of cells by their suffix: CSV or Parquet."""

import os
import pathlib

from aubal_jax.runs import text
from aubal_jax.tables.files import csv
from aubal_jax.tables.files import parquet
from aubal_jax.tables.files import table

SUFFIXES = ('.csv', '.parquet')
LABEL_SUFFIXES = (*SUFFIXES, '.npz', '.npy', '.arff')  # Of all with labels.


def check_exists(
  path: os.PathLike | str, key: str = 'data.path'
) -> pathlib.Path:
  """Returns the path of a file; raises FileNotFoundError if it is not one.

  Args:
    path: of a table.
    key: the setting that names it, for the message.
  """
  if not str(path):
    raise FileNotFoundError(f'{key} is empty. Set it to the table to read.')
  path = pathlib.Path(path)
  if not path.is_file():
    nearby = path.parent.iterdir() if path.parent.is_dir() else ()
    tables = [file.name for file in nearby if file.suffix in LABEL_SUFFIXES]
    # The suffix would make all alike.
    stems = {pathlib.Path(name).stem: name for name in sorted(tables)}
    close = text.closest(path.stem, stems)
    hint = f' Did you mean {stems[close]!r}?' if close else ''
    what = 'is a folder, not a table' if path.is_dir() else 'does not exist'
    raise FileNotFoundError(
      f'{path}: this file {what}.{hint} Set {key} to the table to read.'
    )
  return path


def read(path: os.PathLike | str) -> table.Table:
  """Reads a .parquet file (see `parquet`), or any other as CSV (see `csv`).

  Raises:
    FileNotFoundError: there is no such file.
    UserError: it is damaged, or breaks a rule of tables.
  """
  path = check_exists(path)
  reader = parquet if path.suffix.lower() == '.parquet' else csv
  return reader.read(path)
