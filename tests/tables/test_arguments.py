"""What is given beside a table: taken as it is meant, or refused by name."""

import decimal
import fractions
import random

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aubal_jax.runs import errors
from aubal_jax.tables import arguments

_REAL = st.one_of(
  st.integers(-(2**53), 2**53),
  st.floats(allow_nan=False),
  st.fractions(max_denominator=64),
)
_NO_NUMBER = st.sampled_from(
  [True, None, '1', b'1', 1j, np.bool_(True), [1, 2], decimal.Decimal(1)]
)


@hypothesis.given(st.lists(_REAL, max_size=5))
def test_numbers_are_those_given(given):
  found = arguments.numbers_of('frames', given)
  assert found.dtype == np.float64
  assert found.tolist() == [float(one) for one in given]


@hypothesis.given(
  st.lists(_REAL, min_size=1, max_size=4), _NO_NUMBER, st.integers(0, 4)
)
def test_what_is_no_number_is_refused(given, other, place):
  held = np.empty(len(given) + 1, object)  # Nothing is made of it on the way.
  held[:] = [*given, None]
  held[min(place, len(given))] = other
  held[-1] = other
  with pytest.raises(errors.UserError, match='frames must be numbers'):
    arguments.numbers_of('frames', held)


@pytest.mark.parametrize(
  'given',
  [
    '12',
    [True, False],
    ['1'],
    np.ma.array([1, 2], mask=[0, 1]),
    [[1], [2, 3]],
    None,
    [1j],
    np.array(['2020'], 'M8'),
  ],
)
def test_arrays_of_no_numbers_are_refused(given):
  with pytest.raises(errors.UserError, match='frames must be numbers'):
    arguments.numbers_of('frames', given)


def test_whole_numbers_in_their_range():
  rng = random.Random(0)
  for _ in range(80):
    least, below = sorted(rng.sample(range(-5, 9), 2))
    given = [
      rng.choice([*range(-5, 9), 0.5, 2.0, fractions.Fraction(7, 2)])
      for _ in range(rng.randint(0, 3))
    ]
    bad = [
      k
      for k, one in enumerate(given)
      if one != int(one // 1) or not least <= one < below
    ]
    if not bad:
      found = arguments.whole_numbers('counts', given, least=least, below=below)
      assert found.dtype == np.int64 and found.tolist() == given
      continue
    with pytest.raises(errors.UserError, match='counts must be whole') as told:
      arguments.whole_numbers('counts', given, least=least, below=below)
    assert f'found {float(given[bad[0]]):g} at {bad[0]}.' in str(told.value)
  for shape in ((), (2, 2), (1, 0)):
    with pytest.raises(errors.UserError, match='a list of whole numbers'):
      arguments.whole_numbers('counts', np.ones(shape), least=0, below=9)


def test_rows_are_one_whole_number_each():
  rng = np.random.default_rng(1)
  most = np.iinfo(np.int64).max
  for size in (0, 1, 2, 5):
    np.testing.assert_array_equal(
      arguments.checked_rows(None, size), np.arange(size)
    )
    for dtype in ('int8', 'uint64', 'int64'):
      rows = rng.integers(0, 100, size).astype(dtype)
      assert arguments.checked_rows(rows, size).tolist() == rows.tolist()
    for bad in (rows[:, None], [*rows, 1], 3, [[1], [2, 3]]):
      with pytest.raises(errors.UserError, match=f'rows must .*: {size};'):
        arguments.checked_rows(bad, size)
    if size:
      for bad in (rows + 0.5, rows.astype(bool), rows.astype(str)):
        with pytest.raises(errors.UserError, match='rows must be whole'):
          arguments.checked_rows(bad, size)
      for wrong in (-1, most + 1):
        rows = np.zeros(size, np.uint64 if wrong > 0 else np.int64)
        rows[rng.integers(size)] = wrong
        with pytest.raises(errors.UserError, match='rows must be from 0 to'):
          arguments.checked_rows(rows, size)


def test_names_are_texts_as_many_as_labels():
  for size in (1, 2, 3):
    names = [f'n{k}' for k in range(size)]
    for form in (list, tuple, np.array, dict.fromkeys):
      assert arguments.checked_names(form(names), size) == tuple(names)
      assert arguments.checked_names(form(names)) == tuple(names)
    assert arguments.checked_names((), size) == ()
    if size > 1:
      with pytest.raises(errors.UserError, match='label_names'):
        arguments.checked_names(names[1:], size)
    for bad in (
      'abc'[:size],
      b'abc'[:size],
      [*names, 'x'],
      7,
      None,
      [*names[1:], 1],
    ):
      with pytest.raises(errors.UserError, match=f'names of all {size} labels'):
        arguments.checked_names(bad, size)
  for bad in ('ab', 3, None, [1]):
    with pytest.raises(errors.UserError, match='the names of labels'):
      arguments.checked_names(bad)


def test_a_seed_is_whole_from_0_or_a_generator():
  for good in (0, 7, 2**80, np.int8(3), np.uint64(9), np.random.default_rng(0)):
    arguments.check_seed(good)
  for bad in (-1, np.int64(-3), 1.0, True, np.True_, '1', None, (1,)):
    with pytest.raises(errors.UserError, match='seed must be a whole'):
      arguments.check_seed(bad)
