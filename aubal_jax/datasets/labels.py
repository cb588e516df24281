"""Labels without images: a table of 0, 1 and unknown, enough for balancing."""

import dataclasses
import os
import re
import typing
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import annotations
from aubal_jax.datasets import codes as codes_lib
from aubal_jax.datasets import dataset
from aubal_jax.datasets import label_forms
from aubal_jax.datasets import reading as reading_lib
from aubal_jax.datasets import row_columns
from aubal_jax.datasets import splits
from aubal_jax.datasets import stacked
from aubal_jax.datasets import votes
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import any_table
from aubal_jax.tables.files import arff
from aubal_jax.tables.files import arrays
from aubal_jax.tables.files import table

SUFFIXES = any_table.LABEL_SUFFIXES
TFDS = 'tfds:'  # What a path that names a set of TFDS begins with.
RESERVED = ('path', 'split', 'subject')  # No labels unless asked for.

# Names of columns that seldom are labels.
_ODD = re.compile(
  r'(.*[_ -])?(id|ids|idx|index|uid|uuid|k?folds?|is_?valid|valid|is_?train|'
  r'is_?test|group|patient|age|sex|gender|male|female|year|date|time|'
  r'timestamp|frame|width|height|view|site|source|quality|weight|score|count|'
  r'unnamed: ?\d+)',
  re.I,
)


class Parsed(typing.NamedTuple):
  """Label columns as read.

  Attributes:
    labels: uint8[N, L], 0 where unknown.
    known: bool[N, L].
    label_names: L names.
    counts: of the cells, by code.
    origin: where the names are from, if nobody named them; else ''.
    notes: on names and codes.
  """

  labels: np.ndarray
  known: np.ndarray
  label_names: tuple[str, ...]
  counts: codes_lib.Counts
  origin: str = ''
  notes: tuple[str, ...] = ()


def load(
  path: os.PathLike | str,
  *,
  feature_columns: Sequence[str] = (),
  tfds_dir: str = '',
  path_key: str = 'data.path',
  others: Mapping[str, os.PathLike | str] | None = None,
  draw: splits.Draw | None = None,
  **reading,
) -> dataset.Dataset:
  """Reads a labels-only table; every row trains unless a split says otherwise.

  Args:
    path: a table of cells (see `any_table`), an .npz with the array `labels`
      [N, L] and maybe `label_names` [L] and `features` [N, F], or of a sparse
      matrix, an .npy with the labels alone, an .arff (see `arff.read`), or
      'tfds:NAME', a set of TensorFlow Datasets.
    feature_columns: columns of a table of cells that are features, numbers; no
      labels.
    tfds_dir: folder of prepared TFDS sets; '' is TFDS's own.
    path_key: the setting that names the path, for messages.
    others: split -> the table of its rows; those of `path` then train.
    draw: how splits are drawn where the table has none; None: they are not.
    **reading: fields of `reading.Reading`.

  Returns:
    The data set, without images. A feature that is missing is the mean of its
    column, and there is a note.

  Raises:
    FileNotFoundError: there is no such file.
    UserError: the file breaks a rule; names it, the line and the column.
  """
  how = reading_lib.Reading(**reading)
  if str(path).startswith(TFDS):
    from aubal_jax.datasets.tfds import sets

    name = str(path).removeprefix(TFDS)
    found = sets.read_labels(
      name, data_dir=tfds_dir, label_columns=how.label_columns
    )
    found = annotations.leave_out(found, how.exclude_columns, str(path))
    _refuse_targets(str(path), how)
    return annotations.to_dataset(
      found, where=str(path), draw=draw, by_column=True
    )
  found = stacked.stack(
    lambda one, key: _read(one, key, how, feature_columns),
    path,
    path_key,
    others,
  )
  features, filled = table.fill_missing(path, found.features)
  found = dataclasses.replace(
    found, features=features, notes=found.notes + filled
  )
  return annotations.to_dataset(
    found, where=str(path), draw=draw, by_column=True
  )


def read_features(
  path: os.PathLike | str,
  feature_columns: Sequence[str] = (),
  *,
  label_columns: Sequence[str] = (),
  path_column: str = 'path',
) -> tuple[list[str], np.ndarray]:
  """Returns what rows are called, and their features, of a table as in `load`.

  Args:
    path: a table of cells, an .npz or an .arff.
    feature_columns: as in `load`, of a table of cells.
    label_columns: attributes of an .arff that are no features.
    path_column: has the names; where it is not there rows are numbered from 0.

  Returns:
    N names, and float64[N, F] with NaN for what is missing.

  Raises:
    FileNotFoundError, UserError: as `load`.
  """
  path = any_table.check_exists(path, 'predict.path')
  suffix, ids = any_table.suffix(path), None
  if suffix in any_table.SUFFIXES:
    rows = any_table.read(path)
    ids = rows.optional(path_column, 'path', 'data.path_column')
    features = row_columns.numbers(rows, feature_columns)
  elif suffix == '.npz':
    features = arrays.read_features(path)
  elif suffix == '.arff':
    features = arff.read(path, label_columns).features
  else:
    raise any_table.form_error(path, (*any_table.SUFFIXES, '.npz', '.arff'))
  if features is None:
    raise errors.UserError(
      f'{path}: no column of it is known to be a feature: the network is of a '
      'table of another form, such as an .npz. Predict one of that form.'
    )
  names = range(len(features)) if ids is None else ids.cells().tolist()
  return [*map(str, names)], features


def _read(path, key, how, feature_columns) -> annotations.Annotations:
  """Returns the rows of one table; features are float64, with NaN."""
  path = any_table.check_exists(path, key)
  suffix = any_table.suffix(path)
  if suffix in any_table.SUFFIXES:
    found = of_columns(any_table.read(path), how, feature_columns)
    return votes.count(found, how.least_votes)
  if suffix not in SUFFIXES:
    raise any_table.form_error(path, SUFFIXES)
  names = _check_names(how.label_columns, ())
  if suffix == '.npz':
    rows = arrays.read(path, _arrays_of_targets(how))
  else:
    _refuse_targets(path, how)
    rows = arff.read(path, names) if suffix == '.arff' else arrays.read(path)
  others = how.target_names(rows.columns)
  _check_apart(names, others)
  if not names:
    _check_excluded(rows, how.exclude_columns)
    others += tuple(how.exclude_columns)
    names = tuple(name for name in rows.columns if name not in others)
  return _annotations(
    _of_codes(rows, names, how),
    features=rows.features,
    place=rows.place,
    targets=how.targets(rows),
  )


def _arrays_of_targets(how) -> tuple[str, ...]:
  """Returns what arrays of an .npz may be called that are targets."""
  entries = *how.class_columns, *how.real_columns
  return (*entries, *how.target_names(()))


def _refuse_targets(path, how) -> None:
  """Raises UserError where a file has no columns that may be targets."""
  given = [*how.class_columns, *how.real_columns]
  if given:
    raise errors.UserError(
      f'{path}: data.class_columns and data.real_columns are for tables of '
      f'cells and for .npz; they name {text.listing(map(repr, given))}. Leave '
      'them out.'
    )


def _check_apart(label_columns, others) -> None:
  """Raises UserError where a column is a label and another target."""
  both = [name for name in label_columns if name in others]
  if both:
    raise errors.UserError(
      f'data.label_columns names {both[0]!r}, and data.class_columns or '
      'data.real_columns does. Take it out of one of them.'
    )


def of_columns(
  rows: table.Table,
  how: reading_lib.Reading,
  feature_columns: Sequence[str] = (),
) -> annotations.Annotations:
  """Returns the rows of a table whose columns have names, without images.

  Args:
    rows: the table.
    how: which columns are what.
    feature_columns: see `load`.

  Raises:
    UserError: a column is not there, or named for two things, or a cell breaks
      a rule.
  """
  ids = rows.optional(how.path_column, 'path', 'data.path_column')
  split, groups, notes = row_columns.given_split(
    rows,
    how.split_column,
    how.group_column,
    None if ids is None or not how.least_votes else ids.cells(),
  )
  features = row_columns.numbers(rows, feature_columns)
  frames = row_columns.frames(rows, how.frame_column)
  landmarks = row_columns.landmarks(rows, how.landmark_column)
  targets = how.targets(rows)
  parsed = parse(rows, how, feature_columns)
  both = [name for name in parsed.label_names if name in feature_columns]
  if both:
    raise errors.UserError(
      f'data.feature_columns and data.label_columns both hold {both[0]!r}. '
      'Take it out of one of them.'
    )
  return _annotations(
    parsed,
    ids=None if ids is None else ids.cells(),
    groups=groups,
    split=split,
    notes=notes,
    features=features,
    frames=frames,
    landmarks=landmarks,
    targets=targets,
    place=rows.place,
  )


def _annotations(parsed, ids=None, notes=(), **others):
  """Returns `Annotations` without images; rows without ids are numbered."""
  if ids is None:
    ids = np.arange(len(parsed.labels)).astype(str)
  return annotations.Annotations(
    None,
    parsed.labels,
    parsed.known,
    parsed.label_names,
    ids,
    counts=parsed.counts,
    origin=parsed.origin,
    notes=(*notes, *parsed.notes),
    **others,
  )


def parse(
  rows: table.Table, how: reading_lib.Reading, features: Sequence[str] = ()
) -> Parsed:
  """Converts the labels of a table.

  Args:
    rows: the table, N rows.
    how: which columns are labels, and what their cells mean.
    features: columns that are no labels.

  Raises:
    UserError: a column does not exist, or a cell is no code.
  """
  _check_excluded(rows, how.exclude_columns)
  if how.label_column:
    return _of_names(rows, how)
  names = names_of_labels(rows.header, rows.columns, how, features, rows.images)
  if how.label_columns:
    return _of_codes(rows, names, how)
  meanings = how.codes.meanings
  if (
    names
    and rows.header_line
    and all(codes_lib.normal(n) in meanings for n in rows.columns)
  ):
    raise table.no_header_error(rows.path, rows.header_line, rows.columns)
  parsed = _of_codes(rows, names, how)
  others = [name for name in rows.columns if name not in names]
  return parsed._replace(
    origin='all columns' + (f' but {text.listing(others)}' if others else ''),
    notes=(*odd_notes(names), *parsed.notes),
  )


def names_of_labels(
  header: str,
  columns: Collection[str],
  how: reading_lib.Reading,
  features: Sequence[str] = (),
  images: Sequence[str] = (),
) -> tuple[str, ...]:
  """Returns which columns of a table are labels, each a column.

  Args:
    header: where the names of columns stand, for the message.
    columns: their names, in order.
    how: which columns are what.
    features: columns that are no labels.
    images: likewise.

  Raises:
    UserError: there is none, or `data.label_columns` is wrong in itself.
  """
  names = _check_names(how.label_columns, columns)
  others = how.target_names(columns)
  _check_apart(names, others)
  if names:
    return names
  special = {*how.special, *RESERVED, *features, *images, *how.exclude_columns}
  special |= {*others}
  names = tuple(
    name
    for name in columns
    if name not in special and name.casefold() not in RESERVED
  )
  if not names and not others:
    raise errors.UserError(
      f'{header}: there is no label column, only '
      f'{text.listing(map(repr, columns))}. Add one column for each label.'
    )
  return names


def odd_notes(names) -> tuple[str, ...]:
  """Returns a warning on labels that are called like something else."""
  odd = [name for name in names if _ODD.fullmatch(name)]
  if not odd:
    return ()
  return (
    f'{dataset.WARNING}{text.listing(map(repr, odd), text.SHOWN)} '
    f'{"is" if len(odd) == 1 else "are"} read as '
    f'{"a label" if len(odd) == 1 else "labels"}. If that is not meant: '
    f'--config.data.exclude_columns={",".join(odd)}',
  )


def _of_codes(rows, names, how) -> Parsed:
  """Returns labels that have a column each."""
  codes = how.codes
  hint = label_forms.hint(rows, [n for n in names if n in rows.columns])
  labels, known, counts = codes.parse(rows, names, hint)
  notes = codes_lib.hints(counts) if codes.is_usual else ()
  warned = tuple(f'{dataset.WARNING}{note}' for note in notes)
  return Parsed(labels, known, tuple(names), counts, notes=warned)


def _of_names(rows, how) -> Parsed:
  """Returns labels whose names stand in one column."""
  labels, names, notes = label_forms.parse_names(
    rows,
    how.label_column,
    separator=how.separator,
    none_names=how.none_names,
  )
  num_named = int(labels.sum())
  parsed = Parsed(
    labels,
    np.ones(labels.shape, bool),
    names,
    {
      'not named': ('absent', labels.size - num_named),
      'named': ('present', num_named),
    },
    origin=f'the names in the column {how.label_column!r}',
    notes=notes,
  )
  chosen = _check_names(how.label_columns, names)
  if not chosen:
    return parsed
  take = [table.position(rows.header, names, name) for name in chosen]
  return parsed._replace(
    labels=labels[:, take],
    known=parsed.known[:, take],
    label_names=chosen,
    origin='',
  )


def _check_excluded(rows, names) -> None:
  """Raises UserError where a column that is left out is not there."""
  for name in names:
    rows.column(name, 'data.exclude_columns')


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
