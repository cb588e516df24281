import collections
import itertools
import tracemalloc
import weakref

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import sparse

from aubal_jax.tables import binary_table
from aubal_jax.tables import grouping
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import row_keys

# Keys are counted to 16 labels, exact to 64 and hashed above.
WIDTHS = (0, 1, 5, 8, 12, 16, 17, 33, 64, 65, 130)


@st.composite
def numbered_tables(draw):
  """Returns a table, and its rows as numbers with the first label lowest."""
  width = draw(st.sampled_from(WIDTHS))
  distinct = draw(st.lists(st.integers(0, 2**width - 1), min_size=1))
  numbers = draw(st.lists(st.sampled_from(distinct), max_size=40))
  bits = [[n >> label & 1 for label in range(width)] for n in numbers]
  return np.array(bits, np.uint8).reshape(len(numbers), width), numbers


TABLES = numbered_tables().map(lambda drawn: drawn[0])

# Rows a a ab b - over three columns, the last one never positive.
#   class counts a 3, b 2, c 0; IRLbl 1, 1.5, absent; MeanIR 1.25
#   CVIR sd(1, 1.5; ddof 1) / 1.25 = .35355339 / 1.25
#   SCUMBLE of ab: 1 - sqrt(1 * 1.5) / 1.25; the other rows have 0 or 1 label
HAND = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])


def dense(table):
  return table.toarray() if sparse.issparse(table) else np.asarray(table)


def assert_same(found, expected):
  np.testing.assert_array_equal(dense(found.patterns), dense(expected.patterns))
  np.testing.assert_array_equal(found.counts, expected.counts)
  np.testing.assert_array_equal(found.index, expected.index)


def unsorted(table):
  """Returns a CSR array with columns from last to first and stored zeros."""
  num_rows, num_labels = table.shape
  columns = np.tile(np.arange(num_labels, dtype=np.int32)[::-1], num_rows)
  starts = np.arange(num_rows + 1, dtype=np.int32) * num_labels
  return sparse.csr_array(
    (table[:, ::-1].ravel(), columns, starts), shape=table.shape
  )


def in_chunks(table, cuts):
  cuts = [0, *sorted(cuts), table.shape[0]]
  return (table[a:b] for a, b in itertools.pairwise(cuts))


KINDS = {
  'bool': lambda table: table.astype(bool),
  'int8': lambda table: table.astype(np.int8),
  'int64': lambda table: table.astype(np.int64),
  'float32': lambda table: table.astype(np.float32),
  'object': lambda table: table.astype(object),
  'columns first': np.asfortranarray,
  'every other column': lambda table: np.repeat(table, 2, axis=1)[:, ::2],
  'read only': lambda table: np.frombuffer(table.tobytes(), np.uint8).reshape(
    table.shape
  ),
  'csr': sparse.csr_array,
  'csr of bool': lambda table: sparse.csr_array(table.astype(bool)),
  'csr of float': lambda table: sparse.csr_array(table.astype(np.float64)),
  'csr matrix': sparse.csr_matrix,
  'unsorted csr with zeros': unsorted,
  'csc': sparse.csc_array,
  'coo': sparse.coo_array,
}


@hypothesis.given(numbered_tables())
def test_patterns_and_index_give_the_table_back(drawn):
  table, numbers = drawn
  found = labelsets_lib.find_labelsets(table)
  np.testing.assert_array_equal(found.patterns[found.index], table)
  counter = collections.Counter(numbers)
  assert len(found.patterns) == len(counter)
  assert found.counts.tolist() == [
    counter[n] for n in np.array(numbers, object)[first_rows(found)]
  ]
  dtypes = found.patterns.dtype, found.counts.dtype, found.index.dtype
  assert dtypes == (np.uint8, np.int64, np.int32)


def first_rows(found):
  return [found.index.tolist().index(s) for s in range(len(found.counts))]


@hypothesis.given(numbered_tables())
def test_labelsets_are_in_the_documented_order(drawn):
  table, numbers = drawn
  found = labelsets_lib.find_labelsets(table)
  width, counter = table.shape[1], collections.Counter(numbers)
  keys = {n: n for n in counter}
  if width > 64:
    words = row_keys.random_words(width, 0).tolist()
    for n in counter:
      keys[n] = sum(w for i, w in enumerate(words) if n >> i & 1) % 2**64
  order = sorted(counter, key=lambda n: (-counter[n], keys[n]))
  assert [numbers[row] for row in first_rows(found)] == order


def test_ties_by_hand():
  #   labels  number  rows      b and c are tied with a alone: 1 < 2 < 4.
  table = [[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 1]]
  found = labelsets_lib.find_labelsets(table)
  expected = [[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
  assert found.patterns.tolist() == expected
  assert found.counts.tolist() == [2, 1, 1, 1]
  assert found.index.tolist() == [3, 2, 1, 0, 0]


@pytest.mark.parametrize('kind', KINDS)
@hypothesis.settings(max_examples=20)
@hypothesis.given(table=TABLES)
def test_every_kind_of_table_gives_the_same(kind, table):
  given = KINDS[kind](table)
  found = labelsets_lib.find_labelsets(given)
  assert_same(found, labelsets_lib.find_labelsets(table))
  assert sparse.issparse(found.patterns) == sparse.issparse(given)
  assert found.patterns.dtype == np.uint8
  np.testing.assert_array_equal(found.class_counts, table.sum(axis=0))
  if sparse.issparse(given):
    assert found.patterns.has_canonical_format
    assert (found.patterns.data == 1).all()


@pytest.mark.parametrize('convert', [np.asarray, sparse.csr_array, unsorted])
@hypothesis.settings(max_examples=60)
@hypothesis.given(table=TABLES, data=st.data())
def test_borders_of_chunks_are_irrelevant(convert, table, data):
  cuts = data.draw(st.lists(st.integers(0, len(table)), max_size=5))
  found = labelsets_lib.find_labelsets(in_chunks(convert(table), cuts))
  assert_same(found, labelsets_lib.find_labelsets(table))
  assert sparse.issparse(found.patterns) == (convert is not np.asarray)


@hypothesis.given(TABLES, st.randoms(use_true_random=False))
def test_order_of_rows_is_irrelevant(table, random):
  order = list(range(len(table)))
  random.shuffle(order)
  found = labelsets_lib.find_labelsets(table)
  shuffled = labelsets_lib.find_labelsets(table[order])
  np.testing.assert_array_equal(found.patterns, shuffled.patterns)
  np.testing.assert_array_equal(found.index[order], shuffled.index)


def make_small(monkeypatch):
  """Makes tables of some rows come in many blocks, joins and shares."""
  monkeypatch.setattr(labelsets_lib, '_BLOCK_ENTRIES', 1)
  monkeypatch.setattr(labelsets_lib, '_MIN_BLOCK_ROWS', 3)
  monkeypatch.setattr(grouping, '_MIN_JOINED', 4)
  monkeypatch.setattr(grouping, '_SLICE', 2)
  monkeypatch.setattr(row_keys, '_SLICE', 2)


def some_table(width, num_rows=200, num_sets=60):
  rng = np.random.default_rng(width)
  patterns = rng.integers(0, 2, (num_sets, width), dtype=np.uint8)
  return patterns[rng.integers(0, num_sets, num_rows)]


@pytest.mark.parametrize('convert', [np.asarray, sparse.csr_array, unsorted])
def test_size_of_blocks_is_irrelevant(monkeypatch, convert):
  tables = [some_table(width) for width in WIDTHS]
  wholes = [labelsets_lib.find_labelsets(table) for table in tables]
  make_small(monkeypatch)
  for table, whole in zip(map(convert, tables), wholes, strict=True):
    for given in (table, in_chunks(table, [7, 7, 20, 130])):
      assert_same(labelsets_lib.find_labelsets(given), whole)


@pytest.mark.parametrize('width', [12, 20, 70])
def test_many_rows_that_are_drawn_from_known_ones(width):
  rng = np.random.default_rng(0)
  numbers = rng.permutation(min(2**width, 100_000)).astype('<u8')
  patterns = np.zeros((len(numbers), width), np.uint8)
  for label in range(min(width, 18)):
    patterns[:, -1 - label] = numbers >> np.uint64(label) & np.uint64(1)
  drawn = rng.integers(0, len(patterns), 100_000)
  table = patterns[drawn]
  counts = np.sort(np.bincount(drawn))[::-1]
  for given in (table, sparse.csr_array(table), iter([table[:9], table[9:]])):
    found = labelsets_lib.find_labelsets(given)
    np.testing.assert_array_equal(found.counts, counts[counts > 0])
    np.testing.assert_array_equal(dense(found.patterns)[found.index], table)


def test_a_hundred_thousand_labels():
  rng = np.random.default_rng(0)
  labels = rng.integers(0, 100_000, (20_000, 3), dtype=np.int32)
  labels = labels[rng.integers(0, 5_000, 20_000)]
  labels.sort(axis=1)
  labels = labels[(np.diff(labels) > 0).all(axis=1)]
  table = sparse.csr_array(
    (
      np.ones(labels.size, np.uint8),
      labels.ravel(),
      np.arange(0, labels.size + 1, 3, dtype=np.int32),
    ),
    shape=(len(labels), 100_000),
  )
  tracemalloc.start()
  try:
    found = labelsets_lib.find_labelsets(table)
    _, peak = tracemalloc.get_traced_memory()
  finally:
    tracemalloc.stop()
  assert peak < 20e6
  assert (found.patterns[found.index] != table).nnz == 0
  assert len(found.counts) == len(set(map(tuple, labels.tolist())))
  few = labelsets_lib.find_labelsets(table[:300].toarray())
  assert_same(few, labelsets_lib.find_labelsets(table[:300]))


@pytest.mark.parametrize('convert', [np.asarray, sparse.csr_array])
@pytest.mark.parametrize('is_small', [False, True])
def test_collisions_of_hashes_are_found_out(monkeypatch, convert, is_small):
  # Draw 0 has equal hashes for all rows; draw 1 for those that differ in one
  # of the first two labels only, such as rows 0 and 9, which are far apart.
  table = np.eye(70, dtype=np.uint8)[[0, 2, 3, 4, 5, 6, 7, 8, 2, 1, 1]]
  true_words, draws = row_keys.random_words, []

  def words(num_labels, draw):
    draws.append(draw)
    found = true_words(num_labels, draw)
    found[: num_labels if draw == 0 else 2 if draw == 1 else 0] = 7
    return found

  monkeypatch.setattr(row_keys, 'random_words', words)
  if is_small:
    make_small(monkeypatch)
  single = true_words(70, 2)[[0, 3, 4, 5, 6, 7, 8]]
  for given in (convert(table), in_chunks(convert(table), [3, 4])):
    draws.clear()
    found = labelsets_lib.find_labelsets(given)
    assert draws == [0, 1, 2]
    np.testing.assert_array_equal(dense(found.patterns)[found.index], table)
    assert found.counts.tolist() == [2, 2] + [1] * 7
    order = dense(found.patterns)[2:].argmax(axis=1)
    assert (
      order.tolist()
      == np.array([0, 3, 4, 5, 6, 7, 8])[np.argsort(single)].tolist()
    )


@pytest.mark.parametrize('width', [3, 20, 70])
def test_chunks_may_be_dense_and_sparse(width):
  table = some_table(width)
  whole = labelsets_lib.find_labelsets(table)
  kinds = [np.asarray, sparse.csc_array, np.ndarray.tolist, unsorted]
  for first in (0, 1):
    chunks = [
      kind(part)
      for kind, part in zip(
        kinds[first:] + kinds[:first],
        in_chunks(table, [50, 60, 120]),
        strict=True,
      )
    ]
    found = labelsets_lib.find_labelsets(iter(chunks))
    assert_same(found, whole)
    assert sparse.issparse(found.patterns) == (first == 1)


def test_what_counts_as_chunks():
  expected = labelsets_lib.find_labelsets(HAND)
  halves = HAND[:2], HAND[2:]
  given = [halves, [*halves], iter(halves), collections.deque(halves)]
  given += [map(np.asarray, halves), (h.tolist() for h in halves)]
  given += [[sparse.csr_array(h) for h in halves]]
  for chunks in given:
    assert_same(labelsets_lib.find_labelsets(chunks), expected)
  for table in (HAND.tolist(), tuple(HAND), [*HAND]):
    assert_same(labelsets_lib.find_labelsets(table), expected)


def test_a_chunk_is_let_go_before_the_next_is_made():
  for convert in (
    np.array,
    sparse.csr_array,
    lambda x: sparse.csr_array(x) > 0,
  ):
    alive = []

    def chunks(convert=convert, alive=alive):
      for _ in range(3):
        assert not any(reference() is not None for reference in alive)
        chunk = convert(some_table(70))
        alive.append(weakref.ref(chunk))
        yield chunk
        del chunk

    assert len(labelsets_lib.find_labelsets(chunks()).index) == 600
    assert len(alive) == 3


@pytest.mark.parametrize('width', [3, 8, 20, 64, 70, 128])
def test_a_chunk_may_be_overwritten_by_the_next(width):
  table = some_table(width)

  def chunks():
    buffer = np.empty((50, width), np.uint8)
    for start in range(0, len(table), 50):
      buffer[:] = table[start : start + 50]
      yield buffer

  def sparse_chunks():
    starts = np.arange(51, dtype=np.int32) * width
    columns = np.tile(np.arange(width, dtype=np.int32), 50)
    for chunk in chunks():
      yield sparse.csr_array((chunk.ravel(), columns, starts), (50, width))

  whole = labelsets_lib.find_labelsets(table)
  assert_same(labelsets_lib.find_labelsets(chunks()), whole)
  assert_same(labelsets_lib.find_labelsets(sparse_chunks()), whole)


def peak_bytes(make):
  tracemalloc.start()
  try:
    labelsets_lib.find_labelsets(make())
    return tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()


@pytest.mark.parametrize(('width', 'factor'), [(8, 1.0), (80, 0.5)])
def test_memory_is_a_fraction_of_the_table(width, factor):
  table = some_table(width, 8_000_000 // width)
  assert peak_bytes(lambda: table) < factor * table.nbytes


@pytest.mark.parametrize('width', [8, 20, 70])
def test_memory_of_chunks_is_that_of_index_and_labelsets(width):
  chunk = some_table(width, 20_000, 20_000)
  # Of each row its group's number, as found and as ordered; a few chunks' rows.
  most = 1_000_000 * 2 * 4 + 20_000 * 400
  assert peak_bytes(lambda: (chunk.copy() for _ in range(50))) < most


def copies(table):
  return [np.copy(a) for a in (table.data, table.indices, table.indptr)]


def test_the_table_given_is_left_as_it_is():
  without_zeros = unsorted(some_table(70))
  without_zeros.eliminate_zeros()
  for table in (unsorted(some_table(70)), without_zeros):
    before = copies(table)
    labelsets_lib.find_labelsets(table)
    binary_table.as_binary(table)
    for was, array in zip(before, copies(table), strict=True):
      np.testing.assert_array_equal(was, array)
  found = labelsets_lib.find_labelsets(given := some_table(70))
  found.patterns[:] = 1
  found = labelsets_lib.find_labelsets(sparse.csr_array(given))
  found.patterns.data[:] = 0
  np.testing.assert_array_equal(given, some_table(70))


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


def test_imbalance_of_chunks():
  found = labelsets_lib.imbalance(iter([HAND[:3], HAND[3:]]))
  assert found['images'] == 5 and found['mean_ir'] == pytest.approx(1.25)


def test_imbalance_of_one_class_and_of_none():
  assert labelsets_lib.cvir([4, 0]) == 0.0
  assert np.isnan(labelsets_lib.mean_ir([0, 0]))
  assert np.isnan(labelsets_lib.imbalance(np.zeros((0, 2)))['scumble'])


TWICE = sparse.csr_array(
  (np.ones(4, np.uint8), np.array([0, 2, 0, 2]), np.array([0, 1, 1, 4])),
  shape=(3, 3),
)
MINUS = np.array([[0, 0, 0], [0, -1, 1]], np.int8)


@pytest.mark.parametrize(
  ('table', 'words'),
  [
    ([[0, 2]], ['labels must', '0 and 1', 'found 2 at', 'row 0, column 1']),
    ([[0.0, np.nan]], ['labels must', 'found nan', 'row 0, column 1']),
    (MINUS, ['labels must', 'found -1', 'row 1, column 1']),
    (np.asfortranarray(MINUS), ['found -1', 'row 1, column 1']),
    (np.array([['a', 'b']]), ['labels must', "found 'a'", 'row 0, column 0']),
    ([[0, None]], ['labels must', 'found None', 'row 0, column 1']),
    ([0, 1], ['labels', 'two axes', '(2,)']),
    (7, ['labels', 'two axes', '()']),
    (sparse.coo_array([0, 1]), ['labels', 'two axes', '(2,)']),
    (sparse.csr_array([[0, 0], [1.0, 3.0]]), ['found 3.0', 'row 1, column 1']),
    (sparse.csc_array(MINUS), ['labels must', 'found -1', 'row 1, column 1']),
    (TWICE, ['labels must', 'twice', 'row 2, column 2']),
    (iter([]), ['labels', 'at least one chunk']),
    (iter([[0, 1]]), ['chunk 0 of labels', 'two axes', '(2,)']),
    ('01', ['labels', 'not the path', '01']),
    (iter([HAND, 2 * HAND]), ['chunk 1 of labels must', 'row 0, column 0']),
    (iter([HAND, TWICE]), ['chunk 1 of labels', 'twice', 'row 2, column 2']),
    (iter([HAND, HAND[:, :2]]), ['chunk 1 of', 'chunk 0, 3', 'it has 2']),
    ([HAND, HAND[0]], ['chunk 1 of labels', 'two axes', '(3,)']),
  ],
)
def test_bad_tables_are_named(table, words):
  with pytest.raises(ValueError) as caught:
    labelsets_lib.find_labelsets(table)
  for word in words:
    assert word in str(caught.value)


@pytest.mark.parametrize('convert', [np.asarray, sparse.csr_array, unsorted])
def test_rows_are_counted_over_blocks(monkeypatch, convert):
  make_small(monkeypatch)
  table = some_table(9)
  table[123, 4] = 5
  with pytest.raises(
    ValueError, match=r'labels must .* 5 at row 123, column 4'
  ):
    labelsets_lib.find_labelsets(convert(table))
  chunks = in_chunks(convert(table), [100])
  with pytest.raises(ValueError, match=r'chunk 1 of .* 5 at row 23, column 4'):
    labelsets_lib.find_labelsets(chunks)


def test_unknown_as_a_third_value():
  labels = np.array([[1, 0], [1, 0], [0, 0], [0, 0], [1, 0]], np.uint8)
  known = np.array([[1, 1], [1, 0], [1, 0], [1, 1], [1, 1]], bool)
  found = labelsets_lib.find_labelsets(labels, known)
  assert found.counts.tolist() == [2, 1, 1, 1]
  np.testing.assert_array_equal(found.patterns[found.index], labels)
  np.testing.assert_array_equal(found.known[found.index], known)
  assert labelsets_lib.find_labelsets(labels).known is None
  assert found.class_counts.tolist() == [3, 0]
  with pytest.raises(ValueError, match='known must be a table like labels'):
    labelsets_lib.find_labelsets(labels, known[:2])
  with pytest.raises(ValueError, match='labels must be 0 where known'):
    labelsets_lib.find_labelsets(labels, ~known)
