"""greedy_spread: a row is added if that brings class counts together."""

from __future__ import annotations

import numpy as np

from aubal_jax.resampling import bags
from aubal_jax.tables import plan as plan_lib

_BLOCK_ROWS = 256


def make_plan(labels, *, fraction, rng) -> plan_lib.Plan:
  """Returns the plan to which rows were added that lower the spread.

  Rows are visited in a drawn order, pass after pass, each pass in an order of
  its own. A row is added if it lowers the variance of the class counts, of the
  labels that occur, as they are by then. It ends with round(fraction N) rows
  more, exactly, or with a pass in which no row helps.

  Args:
    labels: uint8 CSR [N, L].
    fraction: of the N rows to add; None is .25.
    rng: draws the order.
  """
  num_rows = labels.shape[0]
  left = bags.num_to_add(fraction, num_rows)
  counts = bags.class_counts(labels)
  num_present = int((counts > 0).sum())
  added, size_before = [], -1
  while left > len(added) > size_before:
    size_before = len(added)
    order = rng.permutation(num_rows)
    for start in range(0, num_rows, _BLOCK_ROWS):
      block = order[start : start + _BLOCK_ROWS]
      table = labels[block].toarray().astype(np.int64)
      chosen = _choose(table, counts, num_present, left - len(added))
      counts = counts + table[chosen].sum(axis=0)
      added.extend(block[chosen])
  return plan_lib.with_added(num_rows, added)


def _choose(table, counts, num_present: int, most: int) -> list[int]:
  """Returns which rows of a block are added, in their order.

  With z the counts, k labels in a row and T = sum z, adding it changes L times
  the variance by L (2 y . z + k) - (2 k T + k^2), over L: whole numbers.

  Args:
    table: int64[B, L], rows in the order they are visited in.
    counts: int64[L], before the block.
    num_present: labels that occur.
    most: rows to add at most.
  """
  sizes = table.sum(axis=1)
  own = num_present * sizes - sizes**2
  change = num_present * 2 * (table @ counts) - 2 * sizes * counts.sum() + own
  chosen, start = [], 0
  while len(chosen) < most:
    helps = np.flatnonzero(change[start:] < 0)
    if not helps.size:
      break
    row = start + int(helps[0])
    chosen.append(row)
    start = row + 1
    shared = table[start:] @ table[row]
    change[start:] += 2 * (num_present * shared - sizes[start:] * sizes[row])
  return chosen
