"""Groups the equal rows of a 0/1 table that comes block by block.

A block is sorted by its rows' keys (or counted, where few keys are possible),
and the distinct rows of the blocks are joined. Of any other row only the
number of its group is kept, so the table may be larger than memory.

A block is uint8[n, L] of 0 and 1, or such a CSR array in canonical form.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from aubal_jax.tables import row_keys

_COUNTED_LABELS = 16  # The counts of 2^16 keys stay in the cache.
_MIN_JOINED = 1 << 16  # Distinct rows of blocks, to join at a time.
_SLICE = 1 << 16  # Rows to work on at a time, so that they stay in the cache.
_GOLDEN = np.uint64(
  0x9E3779B97F4A7C15
)  # 2^64 by the golden ratio, as in Knuth.


def make_groups(num_labels: int, is_sparse: bool, read=None):
  """Returns `CountedGroups` or `SortedGroups`, without a row yet.

  Args:
    num_labels: L, columns of every block.
    is_sparse: whether the blocks, and so the patterns, are CSR arrays.
    read: None, or a function that returns as a block the rows with numbers
      int[n], counted in the order they are added. Without it, each distinct
      row is kept where its key does not tell it.
  """
  if num_labels <= _COUNTED_LABELS:
    return CountedGroups(num_labels, is_sparse)
  return SortedGroups(num_labels, is_sparse, read)


class CountedGroups:
  """Groups of rows of at most 16 labels: a count for each possible key."""

  def __init__(self, num_labels: int, is_sparse: bool):
    self.num_labels, self.is_sparse = num_labels, is_sparse
    self._words = row_keys.make_words(num_labels, is_sparse)
    self._counts = np.zeros(1 << num_labels, np.int64)
    self._parts = []  # Keys of all rows, block by block.

  def add(self, block) -> None:
    """Counts the rows of a block."""
    keys = row_keys.keys_of(row_keys.pack(block), self._words)
    if self.is_sparse:
      keys = keys.astype(np.uint16)
    np.add.at(self._counts, keys, 1)
    self._parts.append(keys)

  def result(self):
    """Returns patterns [S, L], counts int64[S] and index int32[N]."""
    keys = np.flatnonzero(self._counts)
    keys = keys[np.argsort(-self._counts[keys], kind='stable')]
    index = _translated(self._parts, _places(keys, len(self._counts)))
    patterns = row_keys.rows_of_exact_keys(
      keys, self.num_labels, self.is_sparse
    )
    return patterns, self._counts[keys], index


class SortedGroups:
  """Groups of rows by sorted keys.

  Where keys are hashes, rows of equal key are compared; should two differ, all
  words are drawn anew. So groups are exact, and the last draw is the first one
  without a collision among the distinct rows, whatever blocks they came in.
  """

  def __init__(self, num_labels: int, is_sparse: bool, read=None):
    self.num_labels, self.is_sparse = num_labels, is_sparse
    self._is_hashed = num_labels > row_keys.EXACT_LABELS
    self._draw, self._words = 0, row_keys.make_words(num_labels, is_sparse)
    self._read, self._num_rows = read, 0
    # Keys, and if hashed rows or with `read` their numbers: of the groups
    # joined so far, if any, then of the groups of each block that waits.
    self._keys, self._rows, self._num_joined = [], [], 0
    self._waiting, self._num_waiting = [], 0  # Such a block's rows' groups.
    self._parts = []  # The joined groups of all rows before.

  def add(self, block) -> None:
    """Groups the rows of a block, and joins the groups where many wait."""
    rows = row_keys.pack(block)
    keys, is_first, groups = self._group(
      lambda: row_keys.keys_of(rows, self._words), lambda at: rows[at]
    )
    first_row = self._num_rows
    self._num_rows += len(keys)
    self._keys.append(keys[is_first])
    if self._is_hashed and self._read is None:
      self._rows.append(rows[is_first])
    elif self._is_hashed:
      numbers = np.flatnonzero(is_first) + first_row
      self._rows.append(numbers.astype(_number_type(self._num_rows)))
    self._waiting.append(groups)
    self._num_waiting += len(self._keys[-1])
    # Rows that can be read take no room, so that joining once is enough.
    many = max(_MIN_JOINED, self._num_joined)
    if self._read is None and self._num_waiting >= many:
      self._join()

  def result(self):
    """Returns patterns [S, L], counts int64[S] and index int32[N]; once."""
    if self._waiting:
      self._join()
    # Narrow types, and what is not needed goes at once: where all rows are
    # distinct, patterns are as large as the table.
    keys = self._keys.pop()
    counts = np.zeros(len(keys), _number_type(self._num_rows))
    _count(self._parts, counts)
    order = np.argsort(keys).astype(counts.dtype)
    kept = self._rows.pop() if self._is_hashed else keys
    del keys
    order = order[np.argsort((-counts)[order], kind='stable')]
    kept, counts = kept[order], counts[order]
    index = _translated(self._parts, _places(order, len(order)))
    self._parts.clear()
    del order
    patterns = self._patterns(kept)
    del kept
    return patterns, counts.astype(np.int64), index

  def _patterns(self, kept):
    """Returns the rows that were kept: as keys, as numbers or packed."""
    if not self._is_hashed:
      return row_keys.rows_of_exact_keys(kept, self.num_labels, self.is_sparse)
    if self._read is not None:
      return self._read(kept)
    return row_keys.unpack(kept, self.num_labels)

  def _join(self) -> None:
    """Gives equal rows of joined groups and of blocks that wait one number."""
    starts = np.cumsum([0, *map(len, self._keys)])
    self._keys = [np.concatenate(self._keys)]
    self._rows = [_stacked(self._rows)] if self._is_hashed else []
    keys, is_first, groups = self._group(
      lambda: self._keys[0], lambda at: self._fetched(self._rows[0][at])
    )
    self._keys = [keys[is_first]]
    del keys
    self._rows = [rows[is_first] for rows in self._rows]
    self._num_joined = len(self._keys[0])
    for block, start in enumerate(starts[-len(self._waiting) - 1 : -1]):
      self._waiting[block] = groups[start:][self._waiting[block]]
    self._parts += self._waiting
    self._waiting, self._num_waiting = [], 0

  def _group(self, make_keys, rows_at):
    """Returns keys and `_group` of them, with words that make none collide."""
    step = _SLICE if self.is_sparse else max(64 * _SLICE // self.num_labels, 1)
    while True:
      keys = make_keys()
      found = _group(keys, rows_at if self._is_hashed else None, step)
      if found is not None:
        return keys, *found
      self._draw += 1
      self._words = row_keys.make_words(
        self.num_labels, self.is_sparse, self._draw
      )
      self._keys = [
        row_keys.keys_of(self._fetched(rows), self._words)
        for rows in self._rows
      ]

  def _fetched(self, rows):
    """Returns packed rows, where these may be numbers."""
    return rows if self._read is None else row_keys.pack(self._read(rows))


def _group(keys: np.ndarray, rows_at=None, step: int = _SLICE):
  """Groups rows by key; groups are numbered in the order of first rows.

  Args:
    keys: uint[n].
    rows_at: None where keys tell rows apart; else returns the rows at int[m].
    step: rows to compare at a time.

  Returns:
    bool[n], whether a row is the first of its group; and int32[n], the group of
    each row. None where rows of equal key differ.
  """
  leaders = np.empty(len(keys), _number_type(len(keys)))
  for share in _shares(keys):
    order = share[np.argsort(keys[share])]
    ordered = keys[order]
    is_new = np.ones(len(order), bool)
    is_new[1:] = ordered[1:] != ordered[:-1]
    if rows_at is not None:
      again = np.flatnonzero(~is_new)
      for part in _slices(len(again), step):
        pair = rows_at(order[again[part]]), rows_at(order[again[part] - 1])
        if not _are_equal(*pair):
          return None
    starts = np.flatnonzero(is_new)
    lengths = np.diff(starts, append=len(order))
    leaders[order] = np.repeat(np.minimum.reduceat(order, starts), lengths)
  is_first = np.zeros(len(keys), bool)
  is_first[leaders] = True
  numbers = np.cumsum(is_first, dtype=leaders.dtype)
  numbers -= 1
  for part in _slices(len(keys)):
    leaders[part] = numbers[leaders[part]]
  return is_first, leaders


def _shares(keys: np.ndarray):
  """Yields int[m], the places of some keys; equal keys come together."""
  num_bits = min((len(keys) // (2 * _SLICE)).bit_length(), 8)
  if not num_bits:
    yield np.arange(len(keys))
    return
  shares = np.empty(len(keys), np.uint8)
  for part in _slices(len(keys)):
    mixed = keys[part].astype(np.uint64) * _GOLDEN
    shares[part] = mixed >> np.uint64(64 - num_bits)
  for share in range(1 << num_bits):
    yield np.flatnonzero(shares == share)


def _are_equal(rows, others) -> bool:
  if sparse.issparse(rows):
    return np.array_equal(rows.indptr, others.indptr) and np.array_equal(
      rows.indices, others.indices
    )
  return np.array_equal(rows, others)


def _stacked(tables: list):
  if sparse.issparse(tables[0]):
    return sparse.vstack(tables, format='csr')
  return np.concatenate(tables)


def _count(parts: list, counts: np.ndarray) -> None:
  """Adds to counts[S] how often each group occurs in the parts."""
  for part in parts:
    for some in _slices(len(part)):
      np.add.at(counts, part[some], 1)


def _places(order: np.ndarray, size: int) -> np.ndarray:
  """Returns int32[size], where in `order` each number is; 0 if it is not."""
  places = np.zeros(size, _number_type(len(order)))
  places[order] = np.arange(len(order), dtype=places.dtype)
  return places


def _translated(parts: list, places: np.ndarray) -> np.ndarray:
  """Returns the places of all parts' entries in one array."""
  index = np.empty(sum(map(len, parts)), places.dtype)
  start = 0
  for part in parts:
    for some in _slices(len(part)):
      out = index[start:][some]
      np.take(places, part[some], out=out, mode='clip')
    start += len(part)
  return index


def _number_type(size: int):
  """Returns what holds whole numbers to `size` in the least memory."""
  return np.int32 if size < 2**31 else np.int64


def _slices(size: int, step: int = _SLICE):
  for start in range(0, size, step):
    yield slice(start, min(start + step, size))
