"""Columns of a table that are targets of their own: a class, or numbers."""

from __future__ import annotations

import re
from collections.abc import Container
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import codes
from aubal_jax.datasets import label_forms
from aubal_jax.datasets import targets
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import table

UNKNOWN = ('', '-1', '-5')  # Cells that say nothing, where they are no value.
_RANGE = (-1.0, 1.0)  # Of numbers, where nobody says: that of valence.
_REAL = re.compile(r'(.+):([^:]+):([^:]+)', re.S)
_CLASS = 'data.class_columns'
_NUMBERS = 'data.real_columns'


def column_of(entry: str, columns: Container[str]) -> str:
  """Returns the column that an entry of the settings names.

  Args:
    entry: 'age', 'age:0:100' or 'mood:sad|calm|glad'.
    columns: of the table; one that is called like the entry is meant by it.
  """
  return entry if entry in columns else entry.partition(':')[0]


def parse(
  rows: table.Table,
  class_columns: Sequence[str],
  real_columns: Sequence[str],
  unknown: Sequence[str] = UNKNOWN,
) -> dict[str, targets.Target]:
  """Returns name -> target of a table.

  A class column is a target of its name. Columns of numbers with one range are
  one target, called by their names: 'valence_arousal'.

  Args:
    rows: the table, N rows.
    class_columns: 'NAME', whose cells are the classes; or 'NAME:A|B|C', whose
      cells are these, in any case, or their numbers, counted from 0.
    real_columns: 'NAME:LOW:HIGH', or 'NAME' for numbers in [-1, 1].
    unknown: cells that say nothing; a number within its range is a value.

  Raises:
    UserError: a column is not there, named twice, or has a cell that is no
      value of it.
  """
  entries = (*class_columns, *real_columns)
  names = [column_of(entry, rows.columns) for entry in entries]
  if len({*names}) < len(names):
    raise errors.UserError(
      f'{_CLASS} and {_NUMBERS} must name distinct columns, not {names}.'
    )
  unknown = {codes.normal(cell) for cell in unknown}
  found = {
    column_of(entry, rows.columns): _class(rows, entry, unknown)
    for entry in class_columns
  }
  ranges = {}
  for entry in real_columns:
    name, bounds = _range(rows, entry)
    ranges.setdefault(bounds, []).append(name)
  for bounds, some in ranges.items():
    found['_'.join(some)] = _real(rows, some, bounds, unknown)
  return found


def _class(rows, entry, unknown) -> targets.Target:
  """Returns the target of a column of classes."""
  name = column_of(entry, rows.columns)
  column = rows.column(name, _CLASS)
  given = [] if name == entry else entry.partition(':')[2].split('|')
  classes = [one.strip() for one in given]
  if not given:
    held = {column.values[code] for code in np.unique(column.codes)}
    held = {_plain(cell) for cell in held if codes.normal(cell) not in unknown}
    classes = sorted(held, key=label_forms.by_value)
  _check_classes(rows, name, classes)
  place = {one.casefold(): k for k, one in enumerate(classes)}
  if given:
    place = {str(k): k for k in range(len(classes))} | place

  def meaning(cell):
    cell = codes.normal(cell)
    return -1 if cell in unknown else place.get(cell)

  rule = (
    f'A class is one of {text.listing(map(repr, classes))}'
    f'{", or its number from 0" if given else ""}; blank and '
    f'data.target_unknown {tuple(sorted(unknown))!r} are unknown. Correct the '
    f'cells, or name the classes in {_CLASS}.'
  )
  found = rows.parse((name,), _CLASS, meaning, np.int64, rule)[:, 0]
  return targets.of_codes(found, classes)


def _plain(cell: str) -> str:
  """Returns the cell, a whole number as such: '1' of '1.0'."""
  return re.sub(r'^([+-]?\d+)\.0*$', r'\1', cell.strip())


def _check_classes(rows, name, classes) -> None:
  """Raises UserError where a column has no two classes, or two are alike."""
  distinct = {one.casefold() for one in classes}
  if len(distinct) < len(classes) or '' in distinct:
    raise errors.UserError(
      f'{rows.header}: the classes of {name!r} must be distinct in any case, '
      f'and not blank: {text.listing(map(repr, classes))}. Correct them.'
    )
  if not 2 <= len(classes) <= targets.MOST_CLASSES:
    raise errors.UserError(
      f'{rows.header}: the column {name!r} ({_CLASS}) has '
      f'{len(classes):,} classes ({text.listing(classes, text.SHOWN)}), and '
      f'must have 2 to {targets.MOST_CLASSES:,}. Name all there are, as '
      f"{_CLASS}='{name}:A|B|C', or leave the column out."
    )


def _range(rows, entry) -> tuple[str, tuple[float, float]]:
  """Returns the column and the range of an entry of `real_columns`."""
  if entry in rows.columns:
    return entry, _RANGE
  match = _REAL.fullmatch(entry)
  if not match:
    rows.column(entry, _NUMBERS)  # Which is not there.
  try:
    low, high = float(match[2]), float(match[3])
  except ValueError:
    low = high = np.nan
  if not -np.inf < low < high < np.inf:
    raise errors.UserError(
      f'{_NUMBERS}: {entry!r} must be NAME:LOW:HIGH, two numbers and LOW below '
      "HIGH, such as 'age:0:100'."
    )
  rows.column(match[1], _NUMBERS)
  return match[1], (low, high)


def _real(rows, names, bounds, unknown) -> targets.Target:
  """Returns the target of columns of numbers with one range."""
  low, high = bounds

  def meaning(cell):
    try:
      value = float(cell)
    except ValueError:
      value = np.nan
    if low <= value <= high:
      return value
    return np.nan if codes.normal(cell) in unknown else None

  rule = (
    f'A value is a number in [{low:g}, {high:g}], or one of '
    f'data.target_unknown {tuple(sorted(unknown))!r}. Correct the cells, or '
    f"say what range there is, as {_NUMBERS}='{names[0]}:LOW:HIGH'."
  )
  found = rows.parse(names, _NUMBERS, meaning, np.float64, rule)
  return targets.of_numbers(found, names, low, high)
