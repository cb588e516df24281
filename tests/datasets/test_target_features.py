"""Targets through a prepared set and back."""

import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aubal_jax.datasets import targets
from aubal_jax.datasets.tfds import target_features

NAMES = ('a', 'b', 'ü')


@st.composite
def drawn_targets(draw):
  """Name -> target of as many rows, of a class or of numbers."""
  size, found = draw(st.integers(1, 5)), {}
  for name in draw(st.lists(st.sampled_from('pqrs'), max_size=3, unique=True)):
    if draw(st.booleans()):
      codes = draw(st.lists(st.integers(-1, 2), min_size=size, max_size=size))
      found[name] = targets.of_codes(np.array(codes), NAMES)
      continue
    names = NAMES[: draw(st.integers(1, 3))]
    cells = st.sampled_from([np.nan, -1.5, 0.25, 2.0])
    rows = st.lists(cells, min_size=len(names), max_size=len(names))
    numbers = draw(st.lists(rows, min_size=size, max_size=size))
    found[name] = targets.of_numbers(np.array(numbers), names, -1.5, 2.0)
  return size, found


@hypothesis.given(drawn_targets())
def test_targets_come_back_as_they_were(made):
  size, held = made
  rows = [target_features.values(held, row) for row in range(size)]
  metadata = {'targets': target_features.as_json(held)}
  forms = target_features.from_json(json.loads(json.dumps(metadata)))
  assert list(forms) == list(held)
  for name, form in forms.items():
    back = target_features.parse(form, [row[name] for row in rows])
    was = held[name]
    assert (back.kind, back.names) == (was.kind, was.names)
    assert (back.low, back.high) == (was.low, was.high)
    np.testing.assert_array_equal(back.known, was.known)
    np.testing.assert_array_equal(back.values, was.values)
    assert back.values.dtype == was.values.dtype


@hypothesis.given(drawn_targets())
def test_an_unknown_one_is_minus_one_or_nan(made):
  size, held = made
  for row in range(size):
    for name, value in target_features.values(held, row).items():
      target = held[name]
      assert value.dtype == target.values.dtype
      unknown = value == -1 if target.kind == 'class' else np.isnan(value)
      np.testing.assert_array_equal(unknown, ~target.known[row])


@pytest.mark.parametrize(
  'metadata',
  [
    {},
    {'targets': None},
    {'targets': 3},
    {'targets': ['class']},
    {'targets': {'mood': 7}},
    {'targets': {'mood': ['other', [], 0, 1]}},
  ],
)
def test_metadata_of_others_hold_no_targets(metadata):
  assert target_features.from_json(metadata) == {}
