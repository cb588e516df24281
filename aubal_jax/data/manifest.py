"""The generic manifest: a table of image paths and labels, any image set."""

import os
from collections.abc import Sequence

import numpy as np

from aubal_jax import progress
from aubal_jax.data import annotations
from aubal_jax.data import dataset
from aubal_jax.data import images
from aubal_jax.data import labels
from aubal_jax.data import splits
from aubal_jax.data import table

UNREADABLE = ('error', 'drop')
SUFFIXES = ('.csv',)


def load(
  path: os.PathLike | str,
  *,
  draw: splits.Draw | None = None,
  pixels: images.Pixels | None = None,
  **options,
) -> dataset.Dataset:
  """Returns the data set of `read`, its splits drawn where it has none.

  Args:
    path: the table.
    draw: how splits are drawn; None: as by default.
    pixels: what an image becomes; None: as by default.
    **options: of `read`.

  Raises:
    FileNotFoundError, ValueError: see `read`.
  """
  return annotations.to_dataset(
    read(path, **options),
    where=str(path),
    draw=draw or splits.Draw(),
    pixels=pixels or images.Pixels(),
  )


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
    path: the .csv, see `table.read`.
    image_dir: folder that image paths are relative to and stay in; '' is the
      folder of the table.
    path_column: image files.
    split_column: train, validation or test (`splits.SPLIT_NAMES`).
    group_column: whose images stay in one split: a subject, a video.
    label_columns: the labels, in order; () takes all the other columns.
    unknown_codes: cells that mean "unknown".
    unreadable: 'error': a missing file is an error. 'drop': its row gets a
      reason, and is no longer used.

  Returns:
    The rows; `ids` are the paths as the table has them.

  Raises:
    FileNotFoundError: there is no such table.
    ValueError: the table breaks a rule; names the line, the column, the mend.
  """
  if unreadable not in UNREADABLE:
    raise ValueError(
      f'data.unreadable must be one of {list(UNREADABLE)}, not {unreadable!r}.'
    )
  path = table.check_exists(path)
  if path.suffix.lower() not in SUFFIXES:
    raise ValueError(
      f'{path}: a table of images is read from {", ".join(SUFFIXES)}, not from '
      f'{path.suffix or "a file without a suffix"!r}. Save it so; for labels '
      "without images set data.name='labels' (configs/balance.py), which also "
      'reads .npz and .npy.'
    )
  rows = table.read(path)
  ids = rows.column(path_column, 'data.path_column').cells()
  files = _files(rows, path_column, image_dir)
  split, groups, notes = labels.given_split(rows, split_column, group_column)
  special = (path_column, split_column, group_column)
  values, known, label_names = labels.parse(
    rows, label_columns, unknown_codes, special
  )
  reasons = np.full(len(rows), '', '<U16')
  missing = _missing(files)
  if missing and unreadable == 'error':
    raise _missing_error(rows, ids, missing)
  reasons[missing] = 'no image file'
  return annotations.Annotations(
    files=np.array(files),
    labels=values,
    known=known,
    label_names=label_names,
    ids=ids,
    groups=groups,
    split=split,
    reasons=reasons,
    notes=notes,
    place=lambda row: f'{rows.path}:{rows.lines[row]}',
  )


def _files(rows, path_column, image_dir):
  """Returns the N file names; raises ValueError on a blank or a double."""
  column = rows.columns[path_column]
  folder = image_dir or str(rows.path.parent)
  if '' in column.values:
    bad = np.flatnonzero(column.codes == column.values.index(''))
    raise rows.error(
      bad[: table.SHOWN],
      [f'column {path_column!r} is blank'] * len(bad[: table.SHOWN]),
      len(bad),
      'Every row needs the path of its image: add it, or remove the row.',
    )
  # Only a path with such a part can be another spelling of a plain one.
  files = [os.path.join(folder, cell) for cell in column.values]
  plain = [
    os.path.normpath(file) if './' in cell or '//' in cell else file
    for file, cell in zip(files, column.values, strict=True)
  ]
  first = {}
  of_value = [first.setdefault(name, code) for code, name in enumerate(plain)]
  canonical = np.array(of_value)[column.codes]
  _, first_row, number = np.unique(
    canonical, return_index=True, return_inverse=True
  )
  again = np.flatnonzero(first_row[number] != np.arange(len(rows)))
  if len(again):
    shown = again[: table.SHOWN]
    raise rows.error(
      shown,
      [
        f'column {path_column!r} holds '
        f'{table.quote(column.values[column.codes[row]])} as line '
        f'{rows.lines[first_row[number[row]]]} does'
        for row in shown
      ],
      len(again),
      'Every image has one row: remove one, or merge their labels.',
    )
  return [files[code] for code in column.codes]


def _missing(files):
  """Returns the positions of the files that are not there."""
  report = progress.Progress(len(files), 'Looking for images')
  missing = []
  for position, file in enumerate(files):
    if not os.path.isfile(file):
      missing.append(position)
    report.update()
  return missing


def _missing_error(rows, ids, missing):
  """Returns the error for missing image files."""
  slashes = any('\\' in ids[row] for row in missing)
  return rows.error(
    missing[: table.SHOWN],
    [
      f'no image file {table.quote(ids[row])}' for row in missing[: table.SHOWN]
    ],
    len(missing),
    f'Paths are relative to {rows.path.parent}'
    + (", with '/' between folders" if os.sep == '/' and slashes else '')
    + ". Correct them, or set data.unreadable='drop' to go on without them.",
  )
