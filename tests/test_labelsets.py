import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import sparse

from aubal_jax import labelsets as labelsets_lib

TABLES = npst.arrays(
  np.uint8,
  st.tuples(st.integers(0, 40), st.integers(1, 70)),
  elements=st.integers(0, 1),
)

# Rows a a ab b - over three columns, the last one never positive.
#   class counts a 3, b 2, c 0; IRLbl 1, 1.5, absent; MeanIR 1.25
#   CVIR sd(1, 1.5; ddof 1) / 1.25 = .35355339 / 1.25
#   SCUMBLE of ab: 1 - sqrt(1 * 1.5) / 1.25; the other rows have 0 or 1 label
HAND = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])


@hypothesis.given(TABLES)
def test_patterns_and_index_give_the_table_back(table):
  found = labelsets_lib.find_labelsets(table)
  assert (found.patterns[found.index] == table).all()
  assert (np.bincount(found.index, minlength=0) == found.counts).all()
  assert len(np.unique(found.patterns, axis=0)) == len(found.patterns)
  assert (np.diff(found.counts) <= 0).all()


@hypothesis.given(TABLES)
def test_sparse_and_dense_agree(table):
  dense = labelsets_lib.find_labelsets(table)
  found = labelsets_lib.find_labelsets(sparse.coo_array(table))
  assert (found.patterns.toarray() == dense.patterns).all()
  assert (found.index == dense.index).all()
  assert (found.class_counts == table.sum(axis=0)).all()


@hypothesis.given(TABLES, st.randoms(use_true_random=False))
def test_order_of_rows_is_irrelevant(table, random):
  order = list(range(len(table)))
  random.shuffle(order)
  found = labelsets_lib.find_labelsets(table)
  shuffled = labelsets_lib.find_labelsets(table[order])
  assert (found.patterns == shuffled.patterns).all()
  assert (found.index[order] == shuffled.index).all()


def test_a_collision_of_hashes_is_found_out(monkeypatch):
  table = np.eye(3, dtype=np.uint8)
  true_hashes = labelsets_lib._row_hashes
  calls = []

  def hashes(labels, words):
    calls.append(words)
    if len(calls) == 1:
      return np.zeros(labels.shape[0], np.uint64)
    return true_hashes(labels, words)

  monkeypatch.setattr(labelsets_lib, '_row_hashes', hashes)
  found = labelsets_lib.find_labelsets(table)
  assert (found.patterns[found.index] == table).all()
  assert len(calls) == 2


def test_chunks_of_rows_make_no_difference(monkeypatch):
  table = np.random.default_rng(0).integers(0, 2, (100, 5))
  whole = labelsets_lib.find_labelsets(table)
  monkeypatch.setattr(labelsets_lib, '_CHUNK_ENTRIES', 37)
  found = labelsets_lib.find_labelsets(table)
  assert (found.index == whole.index).all()


def test_imbalance_by_hand():
  found = labelsets_lib.imbalance(HAND)
  assert (found['images'], found['labelsets']) == (5, 4)
  np.testing.assert_array_equal(found['class_counts'], [3, 2, 0])
  np.testing.assert_allclose(found['irlbl'], [1, 1.5, np.nan])
  assert found['mean_ir'] == pytest.approx(1.25)
  assert found['cvir'] == pytest.approx(0.35355339 / 1.25)
  assert found['scumble'] == pytest.approx((1 - 1.5**0.5 / 1.25) / 5)
  assert found['cardinality'] == pytest.approx(1.0)
  assert found['density'] == pytest.approx(1 / 3)
  np.testing.assert_array_equal(found['absent'], [2])


def test_imbalance_of_one_class_and_of_none():
  assert labelsets_lib.cvir([4, 0]) == 0.0
  assert np.isnan(labelsets_lib.mean_ir([0, 0]))
  assert np.isnan(labelsets_lib.imbalance(np.zeros((0, 2)))['scumble'])


@pytest.mark.parametrize(
  ('table', 'words'),
  [
    ([[0, 2]], ['labels', '0 and 1', 'row 0, column 1']),
    ([[0.0, np.nan]], ['labels', 'nan', 'row 0, column 1']),
    ([0, 1], ['labels', 'two axes', '(2,)']),
    (sparse.csr_array([[0.0, 3.0]]), ['labels', '3.0']),
  ],
)
def test_bad_tables_are_named(table, words):
  with pytest.raises(ValueError) as caught:
    labelsets_lib.find_labelsets(table)
  for word in words:
    assert word in str(caught.value)
