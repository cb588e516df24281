"""The fewest images that show every label, nearly: greedy set cover."""

from __future__ import annotations

import numpy as np


def least_counts(patterns, least, most, budget=np.inf) -> np.ndarray:
  """Returns int64[S], counts from `least` on in which every label occurs.

  The labelset with most of the labels that lack gets an image, until none lacks
  or none is to be had. With k labels in a labelset at most, that is 1 + 1/2 +
  ... + 1/k times the fewest images beyond `least`, or fewer (Chvatal 1979).

  Args:
    patterns: CSR 0/1 [S, L].
    least: int[S].
    most: int[S], counts at most.
    budget: images at most, where it ends, whatever lacks.
  """
  counts = np.array(least, np.int64)
  lacking = (patterns.T @ counts == 0).astype(np.int64)
  rows = np.flatnonzero((counts < most) & (patterns @ lacking > 0))
  patterns = patterns[rows]
  images = counts.sum()
  while images < budget and len(rows) and (gains := patterns @ lacking).any():
    best = int(np.argmax(gains))
    counts[rows[best]] += 1
    images += 1
    start, stop = patterns.indptr[best : best + 2]
    lacking[patterns.indices[start:stop]] = 0
  return counts
