"""Columns that are no labels, against a slow form a row at a time."""

import math
import pathlib
import random

import numpy as np
import pytest

from aubal_jax.datasets import row_columns
from aubal_jax.runs import errors
from aubal_jax.tables.files import table

PATH = pathlib.Path('t.csv')


def make(**columns):
  """A table of these cells, whose first row is on line 2."""
  lines = np.arange(2, 2 + len(next(iter(columns.values()))))
  columns = {name: table.column_of(cells) for name, cells in columns.items()}
  return table.Table(PATH, columns, lines, 1)


def test_numbers_are_those_of_the_cells():
  rng = random.Random(0)
  forms = ['', '7', '-.5', '1e3', 'nan', 'inf', '0x1', 'two', '1,5', ' ']
  for _ in range(60):
    size, names = rng.randint(1, 6), ['a', 'b', 'c'][: rng.randint(1, 3)]
    held = forms[: rng.choice([6, 6, 6, len(forms)])]
    cells = {n: [rng.choice(held) for _ in range(size)] for n in names}
    wanted, bad = np.empty((size, len(names))), None
    for row in reversed(range(size)):
      for k in reversed(range(len(names))):
        cell = cells[names[k]][row].strip()
        try:
          wanted[row, k] = float(cell) if cell else math.nan
        except ValueError:
          bad = f"t.csv:{row + 2}: column '{names[k]}' holds '{cell}'"
    if bad is None:
      found = row_columns.numbers(make(**cells), names)
      np.testing.assert_array_equal(found, wanted)
      assert found.dtype == np.float64
      continue
    with pytest.raises(errors.UserError, match='A feature is a number') as told:
      row_columns.numbers(make(**cells), names)
    assert str(told.value).startswith(bad)


def test_no_names_are_no_features_and_a_name_is_there_once():
  rows = make(a=['1'], b=['2'])
  assert row_columns.numbers(rows, ()) is None
  with pytest.raises(errors.UserError, match='distinct column names'):
    row_columns.numbers(rows, ('a', 'b', 'a'))
  with pytest.raises(
    errors.UserError, match=r'(?s)no column .*feature_columns'
  ):
    row_columns.numbers(rows, ('x',))


@pytest.mark.parametrize('cell', ['', 'nan', 'inf', '-inf', 'first', '1:30'])
def test_a_frame_is_finite(cell):
  rng = random.Random(1)
  for _ in range(10):
    times = [rng.uniform(-9, 9) for _ in range(rng.randint(1, 9))]
    rows = make(frame=[repr(time) for time in times])
    assert row_columns.frames(rows, 'frame')[:].tolist() == times
    place = rng.randrange(len(times))
    cells = [*map(repr, times)]
    cells[place] = cell
    if not cell:  # Blank: known of no row.
      continue
    with pytest.raises(errors.UserError, match='A frame is a number') as told:
      row_columns.frames(make(frame=cells), 'frame')
    assert f't.csv:{place + 2}:' in str(told.value)
  assert row_columns.frames(rows, '') is None


def test_landmarks_are_points_whatever_stands_between():
  rng = np.random.default_rng(2)
  for _ in range(12):
    points = rng.normal(size=(4, 68, 2)).astype(np.float32)
    points[rng.integers(4)] = np.nan
    separator = rng.choice([' ', ',', ';', ', ', '\t', ' ; '])
    cells = [
      separator.join(repr(float(x)) for x in face.ravel())
      if np.isfinite(face).all()
      else ''
      for face in points
    ]
    order = rng.integers(0, 4, 7)  # Of which some are the same.
    rows = make(face=[cells[k] for k in order])
    found = row_columns.landmarks(rows, 'face')
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, points[order])
  assert row_columns.landmarks(rows, '') is None


def test_what_is_no_68_points_is_told_with_its_line():
  rng = random.Random(3)
  whole = ['1'] * 136
  bad = [whole[1:], [*whole, '1'], ['x', *whole[1:]], ['nan', *whole[1:]]]
  for parts in bad:
    place = rng.randrange(4)
    cells = [' '.join(whole)] * 4
    cells[place] = ' '.join(parts)
    with pytest.raises(errors.UserError, match='Landmarks are 136') as told:
      row_columns.landmarks(make(face=cells), 'face')
    assert str(told.value).startswith(f't.csv:{place + 2}:')


def test_a_blank_group_is_a_group_of_its_own():
  rng = random.Random(4)
  for _ in range(60):
    size = rng.randint(1, 8)
    names = ['', '', 'ann', 'line 2', 'line 3', '_line 4']
    groups = [rng.choice(names) for _ in range(size)]
    split, found, notes = row_columns.given_split(
      make(who=groups), 'split', 'who'
    )
    assert split is None
    for i in range(size):
      for j in range(i):
        same = groups[i] == groups[j] != ''
        assert (found[i] == found[j]) == same, (groups, found)
    blank = groups.count('')
    assert len(notes) == bool(blank)
    if blank:
      assert notes[0].startswith(f'{blank} of {size} rows have a blank')


def test_blank_groups_of_one_name_are_one():
  rng = random.Random(5)
  for _ in range(20):
    names = [rng.choice('ab') for _ in range(6)]
    _, found, _ = row_columns.given_split(
      make(who=[''] * 6), '', 'who', np.array(names)
    )
    pairs = {*zip(found.tolist(), names, strict=True)}
    assert len(set(found)) == len(set(names)) == len(pairs)


def test_columns_of_usual_names_may_be_absent_and_others_not():
  rows = make(a=['1', '2'])
  assert row_columns.given_split(rows, 'split', 'subject') == (None, None, ())
  for columns, key in (
    (('part', 'subject'), 'data.split_column'),
    (('split', 'who'), 'data.group_column'),
  ):
    with pytest.raises(errors.UserError, match=key):
      row_columns.given_split(rows, *columns)
  rows = make(split=['train', 'test', 'validation'])
  split, _, _ = row_columns.given_split(rows, 'split', 'subject')
  assert split.tolist() == ['train', 'test', 'validation']
