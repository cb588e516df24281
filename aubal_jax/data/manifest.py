"""The generic manifest: a table of image paths and labels, any image set."""

import os
from collections.abc import Sequence

import numpy as np

from aubal_jax import progress
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
  path_column: str = 'path',
  split_column: str = 'split',
  group_column: str = 'subject',
  label_columns: Sequence[str] = (),
  unknown_codes: Sequence[str] = labels.UNKNOWN_CODES,
  unreadable: str = 'error',
  validation_fraction: float = 0.15,
  test_fraction: float = 0.15,
  seed: int = 0,
  image_size: int = 112,
  channels: int = 1,
  resize: str = 'stretch',
  num_threads: int | None = None,
) -> dataset.Dataset:
  """Reads a CSV with one image path and one 0/1/unknown cell a label per row.

  `split_column` and `group_column` may be absent under their default names,
  and '' says there is none; a row with a blank group is a group of its own.
  Columns of these default names are never labels unless `label_columns` names
  them. Without splits they are drawn (`splits.draw`), by
  group where there are groups. What a label cell may say: see `labels`.

  Args:
    path: the .csv, see `table.read`.
    path_column: image files, relative to the folder of the table.
    split_column: train, validation or test (`splits.SPLIT_NAMES`).
    group_column: whose images stay in one split: a subject, a video.
    label_columns: the labels, in order; () takes all the other columns.
    unknown_codes: cells that mean "unknown".
    unreadable: 'error': a missing file is an error here, a broken one when
      it is read. 'drop': all files are decoded here, and the rows of those
      that fail get the split 'dropped'.
    validation_fraction: share of the groups, where splits are drawn.
    test_fraction: share of the groups, where splits are drawn.
    seed: of the drawn splits.
    image_size: height and width in pixels, see `images.read_images`.
    channels: 1 (grey) or 3 (RGB).
    resize: 'stretch', 'pad' or 'crop'.
    num_threads: threads that decode; None: one for each CPU.

  Returns:
    The data set; `ids` are the paths as the table has them.

  Raises:
    FileNotFoundError: there is no such table.
    ValueError: the table breaks a rule; names the line, the column, the mend.
  """
  images.check_options(image_size, channels, resize)
  if unreadable not in UNREADABLE:
    raise ValueError(
      f'data.unreadable must be one of {list(UNREADABLE)}, not {unreadable!r}.'
    )
  splits.check_fractions(validation_fraction, test_fraction)
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
  files = _files(rows, path_column)
  split, groups, notes = labels.given_split(rows, split_column, group_column)
  special = (path_column, split_column, group_column)
  values, known, label_names = labels.parse(
    rows, label_columns, unknown_codes, special
  )
  given = split is not None
  if not given:
    split = splits.draw(
      len(rows),
      groups,
      validation_fraction=validation_fraction,
      test_fraction=test_fraction,
      seed=seed,
    )
    unit = 'row' if groups is None else 'group'
    notes += (
      f'No split column: drew validation and test by {unit} with seed {seed}.',
    )
  failures = dict.fromkeys(_missing(files), 'missing')
  if unreadable == 'drop':
    failures |= _undecodable(files, failures, channels, num_threads)
    notes += _drop(rows, split, failures)
  elif failures:
    raise _missing_error(rows, ids, sorted(failures))
  if given:
    notes += splits.check_groups(split, groups)
  notes += splits.check_sizes(split, str(rows.path))
  notes += labels.check_columns(values, known, label_names, split)

  load_images = _loader(
    rows,
    files,
    image_size=image_size,
    channels=channels,
    resize=resize,
    num_threads=num_threads,
  )
  return dataset.Dataset(
    values, known, label_names, split, ids, groups, load_images, notes
  )


def _loader(rows, files, **options):
  """Returns the function that reads the images of given rows."""

  def load_images(numbers):
    report = progress.Progress(len(numbers), 'Reading images')
    return images.read_images(
      [files[n] for n in numbers],
      **options,
      on_progress=report.update,
      describe=lambda position: (
        f'{rows.path}:{rows.lines[numbers[position]]}: '
        f'{files[numbers[position]]}'
      ),
    )

  return load_images


def _files(rows, path_column):
  """Returns the N file names; raises ValueError on a blank or a double."""
  column = rows.columns[path_column]
  folder = str(rows.path.parent)
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


def _undecodable(files, missing, channels, num_threads):
  """Returns row -> reason for the files that are there but do not decode."""
  there = [n for n in range(len(files)) if n not in missing]
  report = progress.Progress(len(there), 'Checking images')
  failures = images.find_unreadable(
    [files[n] for n in there],
    channels=channels,
    num_threads=num_threads,
    on_progress=report.update,
  )
  return {there[position]: reason for position, reason in failures.items()}


def _drop(rows, split, failures):
  """Marks the rows as dropped in `split`; returns notes, one for a reason."""
  split[list(failures)] = dataset.DROPPED
  reasons = {}
  for row, reason in sorted(failures.items()):
    reasons.setdefault(reason, []).append(rows.lines[row])
  return tuple(
    f'Dropped {len(lines)} of {len(rows)} rows, image {reason}: '
    f'line {table.listing(lines, table.SHOWN)} of {rows.path}.'
    for reason, lines in reasons.items()
  )
