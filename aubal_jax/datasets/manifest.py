"""The generic manifest: a table of image paths and labels, any image set.

Image paths stay inside one folder. That is checked of the paths as they are
written: symbolic links are followed, because data sets are often linked in.
"""

import collections
import dataclasses
import functools
import os
import unicodedata
from collections.abc import Mapping

import numpy as np

from aubal_jax.datasets import annotations
from aubal_jax.datasets import folders
from aubal_jax.datasets import labels
from aubal_jax.datasets import reading as reading_lib
from aubal_jax.datasets import stacked
from aubal_jax.datasets import votes
from aubal_jax.runs import errors
from aubal_jax.runs import progress
from aubal_jax.runs import text
from aubal_jax.tables.files import any_table
from aubal_jax.tables.files import parquet
from aubal_jax.tables.files import table

LISTED = 32  # Rows in one folder from which on the folder is listed.


def read(
  path: os.PathLike | str,
  *,
  image_dir: str = '',
  unreadable: str = 'error',
  others: Mapping[str, os.PathLike | str] | None = None,
  **reading,
) -> annotations.Annotations:
  """Reads a table with one image path and one 0/1/unknown cell a label per row.

  Columns called like `labels.RESERVED` are never labels unless `label_columns`
  names them. Other forms of labels, and several rows for one image: see
  `reading.Reading`. Images may also be inside of the table, see
  `parquet.read`; `path_column` is then their column.

  Args:
    path: the table, see `any_table.read`.
    image_dir: folder that image paths are relative to and stay in; '' is the
      folder of the table. A path may be absolute, have '\\' for '/', be
      composed otherwise (Unicode NFC, NFD) than the name of the file, or lack
      its suffix, where one file alone is called so.
    unreadable: 'error': a missing file is an error. 'drop': its row gets a
      reason, and is no longer used, unless all are missing. A path that leaves
      the folder is an error either way: it is no lost file.
    others: split -> the table of its rows; those of `path` then train.
    **reading: fields of `reading.Reading`.

  Returns:
    The rows; `ids` are the paths as the table has them.

  Raises:
    FileNotFoundError: there is no such table, or no such folder.
    UserError: the table breaks a rule; names the line, the column, the mend.
  """
  how = reading_lib.Reading(**reading)
  return stacked.stack(
    lambda one, key: _read(one, key, how, image_dir, unreadable),
    path,
    'data.path',
    others,
  )


def _read(path, key, how, image_dir, unreadable) -> annotations.Annotations:
  """Returns the rows of one table."""
  path = any_table.check_exists(path, key)
  if any_table.suffix(path) not in any_table.SUFFIXES:
    raise any_table.form_error(
      path,
      any_table.SUFFIXES,
      " For labels without images set data.name='labels' (configs/balance.py), "
      'which also reads .npz, .npy and .arff.',
    )
  rows = any_table.read(path)
  if how.path_column not in rows.columns and rows.images:
    raise errors.UserError(
      f'{path}: the images are in the column {rows.images[0]!r}. Set '
      f'data.path_column={rows.images[0]}'
    )
  ids = rows.column(how.path_column, 'data.path_column').cells()
  found = labels.of_columns(rows, how)
  if how.path_column in rows.images:
    return votes.count(_inside(rows, how, found, unreadable), how.least_votes)
  folder = image_dir or str(path.parent)
  if not os.path.isdir(folder):
    raise FileNotFoundError(
      f'data.image_dir={image_dir}: there is no such folder. Set it to the '
      f"folder that the paths of {path} start from, or to '' for its own."
    )
  files, missing = find_files(
    rows, how.path_column, folder, distinct=not how.least_votes
  )
  if len(missing) and (unreadable == 'error' or len(missing) == len(rows)):
    raise rows.error(
      missing,
      lambda row: f'no image file {text.quote(ids[row])}',
      f'Paths are relative to {str(folder)!r}. Correct them, or set '
      "data.unreadable='drop' to go on without them.",
    )
  reasons = np.full(len(rows), '', '<U16')
  reasons[missing] = 'no image file'
  found = dataclasses.replace(found, files=files, ids=ids, reasons=reasons)
  return votes.count(found, how.least_votes)


def _inside(rows, how, found, unreadable) -> annotations.Annotations:
  """Returns the rows with the images that are inside of the table."""
  missing = np.flatnonzero(found.ids == '')
  if len(missing) and (unreadable == 'error' or len(missing) == len(rows)):
    raise rows.error(
      missing,
      lambda row: f'the column {how.path_column!r} holds no image',
      "Every row needs one: remove the row, or set data.unreadable='drop'.",
    )
  reasons = np.where(found.ids == '', 'no image', '')
  _, first, again = np.unique(
    found.ids, return_inverse=True, return_counts=True
  )
  numbered = [f'{name} (row {row})' for row, name in enumerate(found.ids)]
  contents = functools.partial(parquet.read_images, rows.path, how.path_column)
  return dataclasses.replace(
    found,
    ids=np.where(again[first] > 1, numbered, found.ids),
    reasons=reasons,
    contents=contents,
  )


def find_files(
  rows: table.Table, path_column: str, folder: str, *, distinct: bool = True
) -> tuple[np.ndarray, np.ndarray]:
  """Returns str[N], the file of each row, and int[K], which rows have none.

  Args:
    rows: the table, N rows.
    path_column: of the paths.
    folder: that they start from.
    distinct: whether two rows of one file are an error.

  Raises:
    UserError: a path is blank, leaves the folder, is there twice, or lacks a
      suffix and several files are called so.
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
  missing = np.flatnonzero(is_missing)
  for code, file in _with_suffix(rows, path_column, files, missing).items():
    files[code], is_missing[code] = file, False
  if distinct:
    _check_distinct(rows, path_column, files)
  codes = column.codes
  return np.array(files)[codes], np.flatnonzero(is_missing[codes])


def _with_suffix(rows, path_column, files, missing) -> dict[int, str]:
  """Returns code -> the one image that is called so, but for its suffix.

  Args:
    rows: the table.
    path_column: of the paths.
    files: of the column's values.
    missing: int[K], which of them are not there.

  Raises:
    UserError: several images are called so.
  """
  bare = [
    code
    for code in missing.tolist()
    if os.path.splitext(files[code])[1].lower() not in folders.SUFFIXES
  ]
  listed, found = {}, {}
  for code in bare:
    folder, name = os.path.split(files[code])
    if folder not in listed:
      listed[folder] = _by_stem(folder)
    names = listed[folder].get(name, ())
    if len(names) > 1:
      raise rows.cell_error(
        path_column,
        [code],
        f'There are {text.listing(names)}. Name one of them.',
      )
    if names:
      found[code] = os.path.join(folder, names[0])
  return found


def _by_stem(folder) -> dict[str, list[str]]:
  """Returns name without suffix -> the image files called so, in a folder."""
  stems = collections.defaultdict(list)
  for name in sorted(_list_files(folder, follow=True)):
    stem, suffix = os.path.splitext(name)
    if suffix.lower() in folders.SUFFIXES:
      stems[stem].append(name)
  return stems


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
  plain = map(stacked.plain_path, files)
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
      'Every image has one row: remove one, or merge their labels. Where a row '
      "is one label of its image (data.label_column), or one annotator's, set "
      'data.least_votes=1: a label is there if so many rows say so.',
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


def _list_files(folder, *, follow=False):
  """Returns the names of the plain files in a folder, and of links to some."""
  try:
    with os.scandir(folder) as entries:
      return {e.name for e in entries if e.is_file(follow_symlinks=follow)}
  except (OSError, ValueError):  # No such folder; a name no folder can have.
    return set()
