"""Nearest neighbours against scikit-learn's, and ties by number of row."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from aubal_jax.resampling import neighbours


def brute(features, k):
  """All distances in whole numbers, a stable sort: ties by number of row."""
  features = np.asarray(features, np.int64)
  distances = ((features[:, None] - features) ** 2).sum(-1).astype(float)
  np.fill_diagonal(distances, np.inf)
  return np.sort(np.argsort(distances, axis=1, kind='stable')[:, :k], axis=1)


@pytest.mark.parametrize('block_entries', [1, 1000, 1 << 22])
@pytest.mark.parametrize(
  ('shift', 'scale'), [(0, 1), (1e6, 1e-2), (0, 1e200), (-1e-200, 1e-200)]
)
def test_as_scikit_learn_finds_them(monkeypatch, block_entries, shift, scale):
  monkeypatch.setattr(neighbours, '_BLOCK_ENTRIES', block_entries)
  features = np.random.default_rng(0).normal(size=(150, 9))
  found = neighbours.find(shift + scale * features, 6)
  other = NearestNeighbors(n_neighbors=6, algorithm='brute').fit(features)
  expected = other.kneighbors(return_distance=False)
  np.testing.assert_array_equal(found, np.sort(expected, axis=1))


@hypothesis.given(
  st.integers(2, 40),
  st.integers(1, 4),
  st.integers(1, 9),
  st.integers(0, 2**32),
)
def test_of_equals_the_first_rows(num_rows, num_features, k, seed):
  draw = np.random.default_rng(seed)
  features = draw.integers(-1, 2, size=(num_rows, num_features))
  expected = brute(features, min(k, num_rows - 1))
  found = neighbours.find(features, k)
  np.testing.assert_array_equal(found, expected)
  # Thirds are rounded, and equal distances are still equal.
  np.testing.assert_array_equal(neighbours.find(features / 3, k), expected)
  # In float32 too.
  small = features.astype(np.float32)
  np.testing.assert_array_equal(neighbours.find(small, k), expected)


def test_rows_asked_for_alone():
  features = np.random.default_rng(1).normal(size=(30, 4))
  rows = np.array([7, 3, 29])
  np.testing.assert_array_equal(
    neighbours.find(features, 5, rows), neighbours.find(features, 5)[rows]
  )
  assert neighbours.find(features, 5, np.array([], int)).shape == (0, 5)


def test_constant_columns_and_few_rows():
  # Nothing tells rows apart: the first others are as near as any.
  found = neighbours.find(np.ones((4, 3)), 2)
  assert found.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1]]
  assert neighbours.find(np.ones((3, 1)), 9).tolist() == [
    [1, 2],
    [0, 2],
    [0, 1],
  ]
  assert neighbours.find(np.ones((1, 1)), 5).shape == (1, 0)
  assert neighbours.find(np.ones((3, 0)), 1).tolist() == [[1], [0], [0]]


@pytest.mark.parametrize('k', [0, -1, 2.0, True, None])
def test_a_number_of_neighbours_is_whole_and_positive(k):
  with pytest.raises(ValueError, match='neighbours must be a whole number'):
    neighbours.find(np.ones((3, 1)), k)


@pytest.mark.parametrize(
  ('features', 'message'),
  [
    (None, 'features must be given'),
    (np.ones(3), r'must have shape \[3, F\].* has shape \[3\]'),
    (np.ones((4, 2)), r'a row for each row of labels; it has shape \[4, 2\]'),
    ([['a'], ['b'], ['c']], 'must hold numbers, not <U1'),
    (
      [[0, 1], [0, np.nan], [np.inf, 0]],
      'found nan at row 1, column 1,.* 2 row',
    ),
  ],
)
def test_bad_features_are_named(features, message):
  with pytest.raises(ValueError, match=message):
    neighbours.check(features, 3)
