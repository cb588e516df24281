"""The generic manifest: a table of image paths and labels, any image set.

Image paths stay inside one folder. That is checked of the paths as they are
written: symbolic links are followed, because data sets are often linked in.
"""

import collections
import dataclasses
import os
import unicodedata
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import annotations
from aubal_jax.datasets import labels
from aubal_jax.runs import errors
from aubal_jax.runs import progress
from aubal_jax.runs import text
from aubal_jax.tables.files import any_table
from aubal_jax.tables.files import table

LISTED = 32  # Rows in one folder from which on the folder is listed.


def read(
  path: os.PathLike | str,
  *,
  image_dir: str = '',
  path_column: str = 'path',
  split_column: str = 'split',
  group_column: str = 'subject',
  label_columns: Sequence[str] = (),
  unknown_codes: Sequence[str] = labels.UNKNOWN_CODES,
  unreadable: str = 'error',
) -> annotations.Annotations:
  """Reads a table with one image path and one 0/1/unknown cell a label per row.

  `split_column` and `group_column` may be absent under their default names,
  and '' says there is none; a row with a blank group is a group of its own.
  Columns of these default names are never labels unless `label_columns` names
  them. What a label cell may say: see `labels`.

  Args:
    path: the .csv or .parquet, see `any_table.read`.
    image_dir: folder that image paths are relative to and stay in; '' is the
      folder of the table. A path may be absolute, have '\\' for '/', or be
      composed otherwise (Unicode NFC, NFD) than the name of the file.
    path_column: image files.
    split_column: train, validation or test (`splits.SPLIT_NAMES`).
    group_column: whose images stay in one split: a subject, a video.
    label_columns: the labels, in order; () takes all the other columns.
    unknown_codes: cells that mean "unknown".
    unreadable: 'error': a missing file is an error. 'drop': its row gets a
      reason, and is no longer used. A path that leaves the folder is an error
      either way: it is no lost file.

  Returns:
    The rows; `ids` are the paths as the table has them.

  Raises:
    FileNotFoundError: there is no such table, or no such folder.
    UserError: the table breaks a rule; names the line, the column, the mend.
  """
  path = any_table.check_exists(path)
  if path.suffix.lower() not in any_table.SUFFIXES:
    raise errors.UserError(
      f'{path}: a table of images is read from '
      f'{", ".join(any_table.SUFFIXES)}, not from '
      f'{path.suffix or "a file without a suffix"!r}. Save it so; for labels '
      "without images set data.name='labels' (configs/balance.py), which also "
      'reads .npz, .npy and .arff.'
    )
  rows = any_table.read(path)
  ids = rows.column(path_column, 'data.path_column').cells()
  folder = image_dir or str(path.parent)
  if not os.path.isdir(folder):
    raise FileNotFoundError(
      f'data.image_dir={image_dir}: there is no such folder. Set it to the '
      f"folder that the paths of {path} start from, or to '' for its own."
    )
  files, missing = find_files(rows, path_column, folder)
  found = labels.of_columns(
    rows,
    (path_column, split_column, group_column),
    label_columns,
    unknown_codes,
  )
  if len(missing) and unreadable == 'error':
    raise rows.error(
      missing,
      lambda row: f'no image file {text.quote(ids[row])}',
      f'Paths are relative to {folder}. Correct them, or set '
      "data.unreadable='drop' to go on without them.",
    )
  reasons = np.full(len(rows), '', '<U16')
  reasons[missing] = 'no image file'
  return dataclasses.replace(
    found, files=files, ids=ids, reasons=reasons, place=rows.place
  )


def find_files(
  rows: table.Table, path_column: str, folder: str
) -> tuple[np.ndarray, np.ndarray]:
  """Returns str[N], the file of each row, and int[K], which rows have none.

  Raises:
    UserError: a path is blank, leaves the folder, or is there twice.
  """
  column = rows.columns[path_column]
  _check_inside(rows, path_column, folder)
  prefix = os.path.join(folder, '')
  files = [
    os.path.join(folder, cell) if _may_be_absolute(cell) else prefix + cell
    for cell in column.values
  ]
  is_missing = np.zeros(len(files), bool)
  for code in _missing(files):
    spellings = _other_spellings(column.values[code])
    others = (os.path.join(folder, cell) for cell in spellings)
    found = next(filter(os.path.isfile, others), None)
    is_missing[code] = found is None
    files[code] = found or files[code]
  _check_distinct(rows, path_column, files)
  codes = column.codes
  return np.array(files)[codes], np.flatnonzero(is_missing[codes])


def _check_inside(rows, path_column, folder):
  """Raises UserError on a path that is blank or leaves the folder."""
  column = rows.columns[path_column]
  root = os.path.join(os.path.abspath(folder), '')
  blank, outside = [], []
  for code, cell in enumerate(column.values):
    if not cell:
      blank.append(code)
    # Only such a path can leave the folder; either slash parts it.
    elif ('..' in cell or _may_be_absolute(cell)) and not all(
      os.path.abspath(os.path.join(folder, path)).startswith(root)
      for path in (cell, cell.replace('\\', '/'))
    ):
      outside.append(code)
  if blank:
    raise rows.error(
      column.rows_of(blank),
      lambda row: f'column {path_column!r} is blank',
      'Every row needs the path of its image: add it, or remove the row.',
    )
  if outside:
    raise rows.error(
      column.rows_of(outside),
      lambda row: f'{rows.tell(row, path_column)}, which leaves {folder}',
      'Image paths are relative to data.image_dir (or the folder of the table) '
      'and stay in it. Set data.image_dir to the folder that holds all images, '
      'and give the paths from there or in full.',
    )


def _may_be_absolute(cell):
  """Returns whether os.path has to look; it takes long for a million paths."""
  return cell[0] in '/\\' or cell[1:2] == ':'


def _other_spellings(cell):
  """Yields how else a path may be meant, where there is no such file."""
  forms = [cell]
  if '\\' in cell:
    forms.append(cell.replace('\\', '/'))
    yield forms[-1]
  if not cell.isascii():
    for spelling in forms:
      yield unicodedata.normalize('NFC', spelling)
      yield unicodedata.normalize('NFD', spelling)


def _check_distinct(rows, path_column, files):
  """Raises UserError where two rows have one file; `files` are by code."""
  column = rows.columns[path_column]
  # Only a path with such a part can be another spelling of a plain one.
  plain = [
    os.path.normpath(file) if './' in file or '//' in file else file
    for file in files
  ]
  first = {}
  of_value = [first.setdefault(name, code) for code, name in enumerate(plain)]
  canonical = np.array(of_value)[column.codes]
  _, first_row, number = np.unique(
    canonical, return_index=True, return_inverse=True
  )
  again = np.flatnonzero(first_row[number] != np.arange(len(rows)))
  if len(again):
    raise rows.error(
      again,
      lambda row: (
        f'{rows.tell(row, path_column)} as {rows.unit} '
        f'{rows.lines[first_row[number[row]]]} does'
      ),
      'Every image has one row: remove one, or merge their labels.',
    )


def _missing(files):
  """Returns the positions of the files that are not there.

  A folder of many files is listed: on a network drive that is far quicker than
  to ask for each of them.
  """
  report = progress.Progress(len(files), 'Looking for images')
  in_folder = collections.defaultdict(list)
  for position, file in enumerate(files):
    in_folder[os.path.dirname(file)].append(position)
  missing = []
  for folder, positions in in_folder.items():
    listed = _list_files(folder) if len(positions) >= LISTED else ()
    for position in positions:
      # A name can be there and not be listed, as in another case on macOS.
      if os.path.basename(files[position]) not in listed and (
        not os.path.isfile(files[position])
      ):
        missing.append(position)
    report.update(len(positions))
  return sorted(missing)


def _list_files(folder):
  """Returns the names of the plain files in a folder; no links."""
  try:
    with os.scandir(folder) as entries:
      return {e.name for e in entries if e.is_file(follow_symlinks=False)}
  except (OSError, ValueError):  # No such folder; a name no folder can have.
    return set()
