"""Labels without images: a table of 0, 1 and unknown, enough for balancing.

Which cells mean what, everywhere in this package: 0, 1 (also 0.0 and 1.0, as
tables with gaps are often saved) and true, false in any case; and the unknown
codes, where -1 also stands for -1.0 and blank for NaN. Any other cell is an
error.
"""

import dataclasses
import os
import re
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import annotations
from aubal_jax.datasets import dataset
from aubal_jax.datasets import splits
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import any_table
from aubal_jax.tables.files import arff
from aubal_jax.tables.files import arrays
from aubal_jax.tables.files import table

UNKNOWN_CODES = ('', '-1', '9', '999')
SUFFIXES = any_table.LABEL_SUFFIXES
TFDS = 'tfds:'  # What a path that names a set of TFDS begins with.
RESERVED = ('path', 'split', 'subject')  # No labels unless asked for.

_UNKNOWN = 2  # Beside 0 and 1.
_MEANINGS = {'0': 0, 'false': 0, '1': 1, 'true': 1}


def load(
  path: os.PathLike | str,
  *,
  path_column: str = 'path',
  split_column: str = 'split',
  group_column: str = 'subject',
  label_columns: Sequence[str] = (),
  unknown_codes: Sequence[str] = UNKNOWN_CODES,
  feature_columns: Sequence[str] = (),
  tfds_dir: str = '',
  path_key: str = 'data.path',
) -> dataset.Dataset:
  """Reads a labels-only table; every row trains unless a split says otherwise.

  Args:
    path: a .csv or .parquet (see `any_table`), an .npz with the array `labels`
      [N, L] and maybe `label_names` [L] and `features` [N, F], an .npy with the
      labels alone, an .arff (see `arff.read`), or 'tfds:NAME', a set of
      TensorFlow Datasets.
    path_column: a column of a .csv or .parquet that names the rows; no label;
      may be absent.
    split_column: such a column of splits; may be absent.
    group_column: such a column of groups; may be absent.
    label_columns: the labels to take, in order; () takes all.
    unknown_codes: cells that mean "unknown".
    feature_columns: such columns that are features, numbers; no labels.
    tfds_dir: folder of prepared TFDS sets; '' is TFDS's own.
    path_key: the setting that names the path, for messages.

  Returns:
    The data set, without images. A feature that is missing is the mean of its
    column, and there is a note.

  Raises:
    FileNotFoundError: there is no such file.
    UserError: the file breaks a rule; names it, the line and the column.
  """
  if str(path).startswith(TFDS):
    from aubal_jax.datasets.tfds import sets

    name = str(path).removeprefix(TFDS)
    found = sets.read_labels(
      name, data_dir=tfds_dir, label_columns=label_columns
    )
    return annotations.to_dataset(found, where=str(path), by_column=True)
  path = any_table.check_exists(path, path_key)
  suffix = path.suffix.lower()
  if suffix in any_table.SUFFIXES:
    rows = any_table.read(path)
    columns = (path_column, split_column, group_column)
    found = of_columns(
      rows, columns, label_columns, unknown_codes, feature_columns
    )
  elif suffix in SUFFIXES:
    names = _check_names(label_columns, ())
    rows = arff.read(path, names) if suffix == '.arff' else arrays.read(path)
    names = names or [*rows.columns]
    parsed = parse(rows, names, unknown_codes, ())
    found = _annotations(*parsed, features=rows.features)
  else:
    raise errors.UserError(
      f'{path}: labels are read from {", ".join(SUFFIXES)}, not from '
      f'{path.suffix or "a file without a suffix"!r}. Convert the table.'
    )
  features, filled = table.fill_missing(path, found.features)
  found = dataclasses.replace(
    found, features=features, notes=found.notes + filled
  )
  return annotations.to_dataset(found, where=str(path), by_column=True)


def of_columns(
  rows: table.Table,
  columns: tuple[str, str, str],
  label_columns: Sequence[str],
  unknown_codes: Sequence[str],
  feature_columns: Sequence[str] = (),
) -> annotations.Annotations:
  """Returns the rows of a table whose columns have names, without images.

  Args:
    rows: the table.
    columns: those of paths, splits and groups; each may be absent, see `load`.
    label_columns: see `load`, as the others.
    unknown_codes: see `load`.
    feature_columns: see `load`.
  """
  path_column, split_column, group_column = columns
  split, groups, notes = given_split(rows, split_column, group_column)
  ids = rows.optional(path_column, 'path', 'data.path_column')
  features = _numbers(rows, feature_columns)
  labels, known, label_names = parse(
    rows, label_columns, unknown_codes, (*columns, *feature_columns)
  )
  both = [name for name in label_names if name in feature_columns]
  if both:
    raise errors.UserError(
      f'data.feature_columns and data.label_columns both hold {both[0]!r}. '
      'Take it out of one of them.'
    )
  return _annotations(
    labels,
    known,
    label_names,
    ids=None if ids is None else ids.cells(),
    groups=groups,
    split=split,
    notes=notes,
    features=features,
  )


def _annotations(labels, known, label_names, ids=None, **others):
  """Returns `Annotations` without images; rows without ids are numbered."""
  if ids is None:
    ids = np.arange(len(labels)).astype(str)
  return annotations.Annotations(
    None, labels, known, label_names, ids, **others
  )


def parse(
  rows: table.Table,
  label_columns: Sequence[str],
  unknown_codes: Sequence[str],
  special: Sequence[str],
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
  """Converts the label columns of a table.

  Args:
    rows: the table, N rows.
    label_columns: L names in order; () takes all that are neither in `special`
      nor called like one of RESERVED, in any case.
    unknown_codes: cells that mean "unknown".
    special: the columns that are no labels.

  Returns:
    uint8[N, L] labels (0 where unknown), bool[N, L] known, L names.

  Raises:
    UserError: a column does not exist, or a cell is none of the above.
  """
  special = {*special, *RESERVED}
  names = _check_names(label_columns, rows.columns) or tuple(
    name
    for name in rows.columns
    if name not in special and name.casefold() not in RESERVED
  )
  if not names:
    raise errors.UserError(
      f'{rows.header}: there is no label column, only '
      f'{text.listing(map(repr, rows.columns))}. Add one column for each '
      'label.'
    )
  meanings = _meanings(unknown_codes)
  if rows.header_line and all(_normal(n) in meanings for n in rows.columns):
    raise table.no_header_error(rows.path, rows.header_line, rows.columns)
  cells = rows.parse(
    names,
    'data.label_columns',
    lambda cell: meanings.get(_normal(cell)),
    np.uint8,
    'A label is 0, 1 or one of data.unknown_codes '
    f'{tuple(unknown_codes)!r}. Correct it, add it to '
    'data.unknown_codes if it means unknown, or name the label columns in '
    'data.label_columns if this is none.',
  )
  return (cells == 1).astype(np.uint8), cells != _UNKNOWN, names


def _numbers(rows, names):
  """Returns float64[N, F], the columns called so; NaN for a blank cell.

  None without names; raises UserError if one is there twice.
  """
  if len(set(names)) != len(names):
    raise errors.UserError(
      'data.feature_columns must be a tuple of distinct column names, () for '
      f'none, not {names!r}.'
    )
  if not names:
    return None
  return rows.parse(
    names,
    'data.feature_columns',
    _number,
    np.float64,
    'A feature is a number, or blank where it is not known. Correct the cells, '
    'or take the column out of data.feature_columns.',
  )


def _number(cell):
  """Returns the number a cell holds, NaN for a blank one, None for neither."""
  try:
    return float(cell) if cell else np.nan
  except ValueError:
    return None


def given_split(
  rows: table.Table, split_column: str, group_column: str
) -> tuple[np.ndarray | None, np.ndarray | None, tuple[str, ...]]:
  """Returns the splits and the groups of a table, None where absent, and notes.

  A row whose group is blank is a group of its own, called by its line (or row).

  Raises:
    UserError: a column other than 'split' and 'subject' is asked for and not
      there, or a cell names no split.
  """
  column = rows.optional(split_column, 'split', 'data.split_column')
  split = None if column is None else splits.parse(rows, split_column)
  column = rows.optional(group_column, 'subject', 'data.group_column')
  if column is None:
    return split, None, ()
  groups = column.cells()
  blank = np.flatnonzero(groups == '')
  if not len(blank):
    return split, groups, ()
  prefix = f'{rows.unit} '
  while any(value.startswith(prefix) for value in column.values):
    prefix = f'_{prefix}'  # The name of no other group.
  groups = groups.astype(object)
  groups[blank] = [f'{prefix}{line}' for line in rows.lines[blank]]
  return (
    split,
    groups.astype(np.str_),
    (
      f'{len(blank)} of {len(rows)} rows have a blank {group_column!r}: each '
      f'is a group of its own ({rows.unit} '
      f'{text.listing(rows.lines[blank], text.SHOWN)} of {rows.path}).',
    ),
  )


def _check_names(label_columns, choices):
  """Returns the names; raises UserError on doubles, blanks, several in one."""
  names = tuple(label_columns)
  if len(set(names)) != len(names):
    raise errors.UserError(
      'data.label_columns must be a tuple of distinct column names, () for '
      f'all, not {names!r}.'
    )
  if any(not name.strip() for name in names):
    raise errors.UserError(
      f'data.label_columns must not hold a blank name, as {names!r} does. '
      'Leave the setting out, or set it to (), to take all columns.'
    )
  for name in names:
    parts = [part.strip() for part in name.split(',')]
    if name not in choices and {*parts} <= {*choices}:
      form = ','.join(map(repr, parts))
      raise errors.UserError(
        f'data.label_columns holds {name!r}, which is several names in one '
        f'text. Write --config.data.label_columns="({form})".'
      )
  return names


def _normal(cell):
  """Returns the cell as compared: 1.0 is 1, True is true, NaN is blank."""
  cell = str(cell).strip().casefold()
  if cell == 'nan':
    return ''
  return re.sub(r'^([+-]?\d+)\.0*$', r'\1', cell)


def _meanings(unknown_codes):
  """Returns normal cell -> 0, 1 or _UNKNOWN; raises UserError on a clash."""
  codes = {_normal(code): code for code in unknown_codes}
  clash = [code for cell, code in codes.items() if cell in _MEANINGS]
  if clash:
    raise errors.UserError(
      f'data.unknown_codes must not hold {clash[0]!r}, which is a label. '
      f'Remove it from {tuple(unknown_codes)!r}.'
    )
  return _MEANINGS | dict.fromkeys(codes, _UNKNOWN)
