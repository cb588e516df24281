"""Labels without images: a table of 0, 1 and unknown, enough for balancing.

Which cells mean what, everywhere in this package: 0, 1 (also 0.0 and 1.0, as
tables with gaps are often saved) and true, false in any case; and the unknown
codes, where -1 also stands for -1.0 and blank for NaN. Any other cell is an
error.
"""

import os
import re
import zipfile
from collections.abc import Sequence

import numpy as np

from aubal_jax.data import dataset
from aubal_jax.data import splits
from aubal_jax.data import table

UNKNOWN_CODES = ('', '-1', '9', '999')
SUFFIXES = ('.csv', '.npz', '.npy')

_UNKNOWN, _BAD = 2, 3  # Beside 0 and 1.
_MEANINGS = {'0': 0, 'false': 0, '1': 1, 'true': 1}


def load(
  path: os.PathLike | str,
  *,
  path_column: str = 'path',
  split_column: str = 'split',
  group_column: str = 'subject',
  label_columns: Sequence[str] = (),
  unknown_codes: Sequence[str] = UNKNOWN_CODES,
) -> dataset.Dataset:
  """Reads a labels-only table; every row trains unless a split says otherwise.

  Args:
    path: a .csv (see `table.read`), an .npz with the array `labels` [N, L] and
      maybe `label_names` [L], or an .npy with the labels alone.
    path_column: a .csv column that names the rows; no label; may be absent.
    split_column: a .csv column of splits; may be absent.
    group_column: a .csv column of groups; may be absent.
    label_columns: the labels to take, in order; () takes all.
    unknown_codes: cells that mean "unknown".

  Returns:
    The data set, without images.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file breaks a rule; names it, the line and the column.
  """
  path = table.check_exists(path)
  if path.suffix.lower() == '.csv':
    rows = table.read(path)
    split, groups = given_split(rows, split_column, group_column)
    names = rows.optional(path_column, 'path', 'data.path_column')
    special = (path_column, split_column, group_column)
    labels, known, label_names = parse(
      rows, label_columns, unknown_codes, special
    )
    ids = np.arange(len(rows)).astype(str) if names is None else names.cells()
  elif path.suffix.lower() in SUFFIXES:
    values, label_names = _read_arrays(path)
    labels, known = _parse_array(path, values, label_names, unknown_codes)
    if label_columns:
      take = _positions(path, label_names, label_columns)
      label_names = tuple(label_columns)
      labels, known = labels[:, take], known[:, take]
    ids, split, groups = np.arange(len(labels)).astype(str), None, None
  else:
    raise ValueError(
      f'{path}: labels are read from {", ".join(SUFFIXES)}, not from '
      f'{path.suffix or "a file without a suffix"!r}. Convert the table.'
    )
  notes = splits.check_groups(split, groups) if split is not None else ()
  if split is None:
    split = np.full(len(labels), 'train', splits.DTYPE)
  else:
    splits.check_sizes(split, str(path))
  notes += check_columns(labels, known, label_names, split)
  return dataset.Dataset(
    labels, known, label_names, split, ids, groups, None, notes
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
    label_columns: L names in order; () takes all that are not in `special`.
    unknown_codes: cells that mean "unknown".
    special: the columns that are no labels.

  Returns:
    uint8[N, L] labels (0 where unknown), bool[N, L] known, L names.

  Raises:
    ValueError: a column does not exist, or a cell is none of the above.
  """
  names = _check_names(label_columns) or tuple(
    name for name in rows.columns if name not in special
  )
  if not names:
    raise ValueError(
      f'{rows.path}:{rows.header_line}: there is no label column, only '
      f'{table.listing(map(repr, rows.columns))}. Add one column for each '
      'label.'
    )
  meanings = _meanings(unknown_codes)
  cells = np.empty((len(rows), len(names)), np.uint8)
  for k, name in enumerate(names):
    column = rows.column(name, 'data.label_columns')
    of_value = [meanings.get(_normal(cell), _BAD) for cell in column.values]
    cells[:, k] = np.array(of_value, np.uint8)[column.codes]
  bad = np.argwhere(cells == _BAD)
  if len(bad):
    found = []
    for row, k in bad[: table.SHOWN]:
      column = rows.columns[names[k]]
      cell = table.quote(column.values[column.codes[row]])
      found.append(f'column {names[k]!r} holds {cell}')
    raise rows.error(
      bad[: table.SHOWN, 0], found, len(bad), _rule(unknown_codes)
    )
  return (cells == 1).astype(np.uint8), cells != _UNKNOWN, names


def given_split(
  rows: table.Table, split_column: str, group_column: str
) -> tuple[np.ndarray | None, np.ndarray | None]:
  """Returns the splits and the groups of a table, None where absent.

  Raises:
    ValueError: a column other than 'split' and 'subject' is asked for and not
      there, or a cell names no split or no group.
  """
  column = rows.optional(split_column, 'split', 'data.split_column')
  split = None if column is None else splits.parse(rows, split_column)
  column = rows.optional(group_column, 'subject', 'data.group_column')
  if column is None:
    return split, None
  groups = column.cells()
  blank = np.flatnonzero(groups == '')
  if len(blank):
    raise rows.error(
      blank[: table.SHOWN],
      [f'column {group_column!r} is blank'] * len(blank[: table.SHOWN]),
      len(blank),
      'A group must have a name, or its rows cannot be kept together. Name it, '
      "or set data.group_column='' and data.label_columns to go without.",
    )
  return split, groups


def check_columns(
  labels: np.ndarray,
  known: np.ndarray,
  label_names: Sequence[str],
  split: np.ndarray,
) -> tuple[str, ...]:
  """Returns notes on labels without a known cell or a positive in train."""
  unknown = ~known[split != dataset.DROPPED].any(0)
  absent = ~labels[split == 'train'].any(0) & ~unknown
  notes = []
  for where, what in (
    (unknown, 'unknown in every row'),
    (absent, 'never 1 in the training split'),
  ):
    names = [name for name, odd in zip(label_names, where, strict=True) if odd]
    if names:
      notes.append(
        f'{len(names)} of {len(label_names)} labels '
        f'{"is" if len(names) == 1 else "are"} {what}: {table.listing(names)}.'
      )
  return tuple(notes)


def _check_names(label_columns):
  """Returns the names as a tuple; raises ValueError on text or a double."""
  names = label_columns
  if isinstance(names, str) or len(set(names)) != len(names):
    raise ValueError(
      'data.label_columns must be a tuple of distinct column names, () for '
      f'all, not {names!r}.'
    )
  return tuple(names)


def _normal(cell):
  """Returns the cell as compared: 1.0 is 1, True is true, NaN is blank."""
  cell = str(cell).strip().casefold()
  if cell == 'nan':
    return ''
  return re.sub(r'^([+-]?\d+)\.0*$', r'\1', cell)


def _meanings(unknown_codes):
  """Returns normal cell -> 0, 1 or _UNKNOWN; raises ValueError on a clash."""
  if isinstance(unknown_codes, str):
    raise ValueError(
      f"data.unknown_codes must be a tuple such as ('', '9'), not the text "
      f'{unknown_codes!r}.'
    )
  codes = {_normal(code): code for code in unknown_codes}
  clash = [code for cell, code in codes.items() if cell in _MEANINGS]
  if clash:
    raise ValueError(
      f'data.unknown_codes must not hold {clash[0]!r}, which is a label. '
      f'Remove it from {tuple(unknown_codes)!r}.'
    )
  return _MEANINGS | dict.fromkeys(codes, _UNKNOWN)


def _rule(unknown_codes):
  """Returns what a label may be, and the mend."""
  return (
    'A label is 0, 1 or one of data.unknown_codes '
    f'{tuple(unknown_codes)!r}. Correct it, add it to data.unknown_codes if '
    'it means unknown, or name the label columns in data.label_columns if '
    'this is none.'
  )


def _read_arrays(path):
  """Returns (array[N, L], L names) of an .npz or .npy file."""
  mend = 'Save it with numpy.savez(path, labels=labels, label_names=names).'
  try:
    with open(path, 'rb') as file:
      loaded = np.load(file, allow_pickle=False)
      if isinstance(loaded, np.ndarray):
        arrays = {'labels': loaded}
      else:
        members = [n for n in ('labels', 'label_names') if n in loaded]
        arrays = {name: loaded[name] for name in members}
        held = table.listing(map(repr, loaded.files))
  except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
    raise ValueError(
      f'{path}: not readable by NumPy ({error}). {mend}'
    ) from None
  if 'labels' not in arrays:
    raise ValueError(f"{path}: there is no array 'labels', only {held}. {mend}")
  labels = arrays['labels']
  if labels.ndim != 2 or not labels.size:
    raise ValueError(
      f"{path}: 'labels' must be [N, L], one row for each image and one column "
      f'for each label, not {list(labels.shape)}. {mend}'
    )
  num_labels = labels.shape[1]
  width = len(str(num_labels - 1))
  default = [f'label_{k:0{width}}' for k in range(num_labels)]
  names = np.asarray(arrays.get('label_names', default)).astype(str)
  if names.shape != (num_labels,) or len(set(names.tolist())) != num_labels:
    raise ValueError(
      f"{path}: 'label_names' must be {num_labels} distinct names, one for "
      f"each column of 'labels', not {list(names.shape)}: "
      f'{table.listing(names.ravel())}. {mend}'
    )
  return labels, tuple(names.tolist())


def _parse_array(path, values, label_names, unknown_codes):
  """Returns (labels, known) of an array of numbers or text."""
  meanings = _meanings(unknown_codes)
  labels = np.zeros(values.shape, np.uint8)
  known = np.zeros(values.shape, bool)
  bad = np.zeros(values.shape, bool)
  for value in np.unique(values):
    where = np.isnan(values) if value != value else values == value
    meaning = meanings.get(_normal(value), _BAD)
    labels[where] = meaning == 1
    known[where] = meaning < _UNKNOWN
    bad |= where if meaning == _BAD else False
  if bad.any():
    row, k = np.argwhere(bad)[0]
    raise ValueError(
      f'{path}: row {row} (counted from 0), column {label_names[k]!r} holds '
      f'{table.quote(str(values[row, k]))} ({bad.sum()} such in all). '
      + _rule(unknown_codes)
    )
  return labels, known


def _positions(path, label_names, label_columns):
  """Returns the positions of the columns; ValueError if one is not there."""
  names = _check_names(label_columns)
  for name in names:
    if name not in label_names:
      raise ValueError(
        f'{path}: there is no label {name!r}; the labels are '
        f'{table.listing(map(repr, label_names))}.'
        f'{table.suggestion(name, label_names)} Set data.label_columns.'
      )
  return [label_names.index(name) for name in names]
