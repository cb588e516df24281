"""Tables of cells by their suffix: CSV and its kin, Parquet, XLSX."""

import os
import pathlib
from collections.abc import Sequence

from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import csv
from aubal_jax.tables.files import parquet
from aubal_jax.tables.files import table
from aubal_jax.tables.files import xlsx

SUFFIXES = (*csv.SUFFIXES, '.parquet', '.xlsx')
LABEL_SUFFIXES = (*SUFFIXES, '.npz', '.npy', '.arff')  # Of all with labels.

# Suffix -> what such a file may be, and the command that converts it.
_CONVERTED = {
  '.json': ('annotations of COCO', 'coco'),
  '.xml': ('annotations of VOC', 'voc'),
  '.txt': ('the list of CelebA', 'celeba'),
}


def suffix(path: pathlib.Path) -> str:
  """Returns the suffix in lower case, that of a packed file with its '.gz'."""
  name = path.name.lower()
  packed = '.gz' if name.endswith('.gz') else ''
  return pathlib.Path(name.removesuffix(packed)).suffix + packed


def is_part(path: pathlib.Path) -> bool:
  """Whether a file is a part of the table that its folder is."""
  named = suffix(path) == '.parquet' and path.name[0] not in '._'
  return named and path.is_file()


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
    what = 'is a folder, not a table' if path.is_dir() else 'does not exist'
    raise FileNotFoundError(
      f'{path}: this file {what}.{_hint(path)} Set {key} to the table to read.'
    )
  return path


def _hint(path: pathlib.Path) -> str:
  """Returns what may be meant by a path that is no file, or ''."""
  if path.is_dir() and any(map(is_part, path.iterdir())):
    return ' It holds parts of a table, which the task balance alone takes.'
  if path.is_dir():
    return (
      ' scripts/to_manifest.py class_folders makes a table of class folders.'
    )
  parts = [part.strip() for part in str(path).split(',')]
  if len(parts) > 1 and all(map(os.path.isfile, parts)):
    return (
      ' A table for each split is named by data.path (train), '
      'data.validation_path and data.test_path.'
    )
  nearby = path.parent.iterdir() if path.parent.is_dir() else ()
  tables = [file.name for file in nearby if suffix(file) in LABEL_SUFFIXES]
  # The suffix would make all alike.
  stems = {pathlib.Path(name).stem: name for name in sorted(tables)}
  close = text.closest(path.stem, stems)
  return f' Did you mean {stems[close]!r}?' if close else ''


def read(path: os.PathLike | str) -> table.Table:
  """Reads a .parquet or .xlsx file, or any other as CSV (see `csv`).

  Raises:
    FileNotFoundError: there is no such file.
    UserError: it is damaged, or breaks a rule of tables.
  """
  path = check_exists(path)
  reader = {'.parquet': parquet, '.xlsx': xlsx}.get(suffix(path), csv)
  return reader.read(path)


def form_error(
  path: pathlib.Path, suffixes: Sequence[str], hint: str = ''
) -> errors.UserError:
  """Returns the error for a file whose suffix is none of those that are read.

  Args:
    path: the file.
    suffixes: that are read.
    hint: a sentence before the last.
  """
  found = suffix(path)
  what, command = _CONVERTED.get(found, ('', ''))
  mend = 'Save it so.'
  if command:
    mend = f'If it holds {what}, scripts/to_manifest.py {command} converts it.'
  return errors.UserError(
    f'{path}: a table is read from {", ".join(suffixes)}, not from '
    f'{found or "a file without a suffix"!r}.{hint} {mend}'
  )
