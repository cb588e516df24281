"""Columns that say of a row what is no label: features, frame, group, split."""

import math
import re

import numpy as np

from aubal_jax.datasets import splits
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import table

_POINTS = 68  # Landmarks of a face.


def numbers(rows, names):
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


def frames(rows, name) -> np.ndarray | None:
  """Returns float64[N], the column of frames, or None for ''."""
  if not name:
    return None
  rule = (
    'A frame is a number, or a time in any unit. Correct the cells, or set '
    "data.frame_column=''."
  )
  return rows.parse((name,), 'data.frame_column', _finite, np.float64, rule)[
    :, 0
  ]


def landmarks(rows, name) -> np.ndarray | None:
  """Returns float32[N, 68, 2], a column of points, or None for ''.

  A cell is 136 numbers, x and y of each point in turn, with blanks, commas or
  semicolons between; a blank one says that there are none: NaN.
  """
  if not name:
    return None
  rule = (
    f'Landmarks are {2 * _POINTS} numbers, x y x y ..., or blank. Correct the '
    "cells, or set data.landmark_column=''."
  )
  held = []

  def place(cell):
    found = _points(cell)
    held.append(found)
    return None if found is None else len(held) - 1

  codes = rows.parse((name,), 'data.landmark_column', place, np.int64, rule)
  points = np.array(held, np.float32).reshape(-1, _POINTS, 2)
  return points[codes[:, 0]]


def _points(cell):
  """Returns 136 finite numbers or NaN, None for anything else."""
  parts = re.split(r'[\s,;]+', cell.strip()) if cell.strip() else []
  numbers = [_finite(part) for part in parts] or [math.nan] * (2 * _POINTS)
  return None if None in numbers or len(numbers) != 2 * _POINTS else numbers


def _finite(cell):
  """Returns the finite number a cell holds, None for anything else."""
  number = _number(cell)
  return number if number is not None and math.isfinite(number) else None


def _number(cell):
  """Returns the number a cell holds, NaN for a blank one, None for neither."""
  try:
    return float(cell) if cell else np.nan
  except ValueError:
    return None


def given_split(
  rows: table.Table,
  split_column: str,
  group_column: str,
  names: np.ndarray | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, tuple[str, ...]]:
  """Returns the splits and the groups of a table, None where absent, and notes.

  A row whose group is blank is a group of its own.

  Args:
    rows: the table, N rows.
    split_column: see `reading.Reading`.
    group_column: see `reading.Reading`.
    names: str[N], what rows are called, those of one name being one group;
      None: by their line (or row).

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
  names = rows.lines if names is None else names
  groups[blank] = [f'{prefix}{name}' for name in names[blank]]
  return (
    split,
    groups.astype(np.str_),
    (
      f'{len(blank)} of {len(rows)} rows have a blank {group_column!r}: each '
      f'is a group of its own ({rows.unit} '
      f'{text.listing(rows.lines[blank], text.SHOWN)} of {rows.path}).',
    ),
  )
