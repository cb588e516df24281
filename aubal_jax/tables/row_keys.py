"""Rows of 0/1 tables as whole numbers, their keys, and back.

A block of rows is uint8[n, L] of 0 and 1, or such a CSR array in canonical
form. To 64 labels a row's key is the row as a binary number, its first label
the lowest bit. A wider row's key is a hash: the sum modulo 2^64 of a random
word for each of its labels, so that two rows share one in 2^64 draws of words.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

EXACT_LABELS = 64  # Up to here a key tells the row.
_SLICE = 1 << 16  # Rows unpacked at a time.


def pack(block):
  """Returns a dense block's rows as bits; a CSR array as it is.

  uint8, 16, 32 or 64 [n], which are the keys; above 64 labels uint64[n, W].
  """
  if sparse.issparse(block):
    return block
  num_rows, num_labels = block.shape
  num_words = max(-(-num_labels // 64), 1)
  num_bits = 64 * num_words
  if num_words == 1:
    num_bits = next(bits for bits in (8, 16, 32, 64) if num_labels <= bits)
  if num_labels < num_bits:
    padded = np.zeros((num_rows, num_bits), np.uint8)
    padded[:, :num_labels] = block
    block = padded
  # Along rows it would be several times slower.
  packed = np.packbits(block.reshape(-1), bitorder='little')
  packed = packed.view(f'<u{min(num_bits, 64) // 8}')
  return packed if num_words == 1 else packed.reshape(num_rows, num_words)


def unpack(rows, num_labels: int):
  """Returns the block that `pack` made rows of."""
  if sparse.issparse(rows):
    return rows
  width = rows.nbytes // max(len(rows), 1)
  octets = rows.view(np.uint8).reshape(len(rows), width)
  return np.unpackbits(octets, axis=1, count=num_labels, bitorder='little')


def rows_of_exact_keys(keys: np.ndarray, num_labels: int, is_sparse: bool):
  """Returns the block of the rows with these keys, for up to 64 labels."""
  keys = keys.astype('<u8', copy=False)
  if not is_sparse:
    return unpack(keys, num_labels)
  starts = np.concatenate([[0], np.cumsum(np.bitwise_count(keys), dtype=int)])
  labels = np.empty(starts[-1], np.int32)
  for start in range(0, len(keys), _SLICE):
    block = unpack(keys[start : start + _SLICE], num_labels)
    found = np.nonzero(block)[1]
    labels[starts[start] :][: len(found)] = found
  return sparse.csr_array(
    (np.ones(len(labels), np.uint8), labels, starts),
    shape=(len(keys), num_labels),
  )


def make_words(num_labels: int, is_sparse: bool, draw: int = 0):
  """Returns what `keys_of` needs; hashes of another draw differ."""
  if num_labels > EXACT_LABELS:
    words = random_words(num_labels, draw)
    return words if is_sparse else _sums_by_byte(words)
  return np.uint64(1) << np.arange(num_labels, dtype=np.uint64)


def random_words(num_labels: int, draw: int) -> np.ndarray:
  """Returns uint64[L], the same for the same draw."""
  rng = np.random.default_rng(draw)
  return rng.integers(0, 2**64, num_labels, dtype=np.uint64)


def _sums_by_byte(words: np.ndarray) -> np.ndarray:
  """Returns uint64[L / 8, 256]: each byte's sum of words for each value."""
  padded = np.zeros(-(-len(words) // 8) * 8, np.uint64)
  padded[: len(words)] = words
  sums = np.zeros((len(padded) // 8, 1), np.uint64)
  for word in padded.reshape(-1, 8).T:
    sums = np.hstack([sums, sums + word[:, None]])
  return sums


def keys_of(rows, words: np.ndarray) -> np.ndarray:
  """Returns uint[n], the keys of packed or CSR rows.

  Both kinds of the same rows have the same keys.
  """
  if sparse.issparse(rows):
    sums = np.zeros(rows.nnz + 1, np.uint64)
    np.cumsum(words[rows.indices], out=sums[1:])
    return np.diff(sums[rows.indptr])
  if rows.ndim == 1:
    return rows
  octets = rows.view(np.uint8)
  keys = np.zeros(len(rows), np.uint64)
  for octet, sums in enumerate(words):
    keys += sums.take(octets[:, octet], mode='clip')
  return keys
