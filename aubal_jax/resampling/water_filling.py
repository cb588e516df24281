"""Integer water-filling: an amount is shared evenly, each share with a cap."""

from __future__ import annotations

import numpy as np


def fill(caps: np.ndarray, total: int) -> np.ndarray:
  """Shares a total among bags that each take a limited amount.

  Each bag in turn takes an even share of what is left, or its cap; what it
  leaves goes to the bags after it. Shares are whole: where they are not even,
  the later bags take one more.

  Args:
    caps: int[B], the most that each bag takes, in ascending order.
    total: to be shared.

  Returns:
    int64[B], which sum up to min(total, sum of caps).

  Examples:
    >>> fill(np.array([1, 2, 5, 5]), 10).tolist()
    [1, 2, 3, 4]
  """
  caps = np.asarray(caps, np.int64)
  remaining = len(caps) - np.arange(len(caps))
  before = np.cumsum(caps) - caps
  num_full = int((before + caps * remaining <= total).sum())
  shares = caps.copy()
  if num_full < len(caps):
    level, extra = divmod(total - before[num_full], remaining[num_full])
    shares[num_full:] = level
    shares[len(caps) - extra :] += 1
  return shares
