"""Small random balancing problems, and the same problems as dense matrices."""

import numpy as np

from aubal_jax.balancing.instance import make_instance
from aubal_jax.balancing.rules import Rules


def patterns_and_counts(seed, num_sets, num_labels):
  """0/1 [S, L] without empty rows or columns, sorted by size, and int[S].

  Row sizes depend on S and L alone: other seeds compile nothing anew.
  """
  rng = np.random.default_rng(seed)
  sizes = np.sort(1 + np.arange(num_sets) % min(4, num_labels))
  patterns = np.zeros((num_sets, num_labels), np.uint8)
  for row, size in zip(patterns, sizes, strict=True):
    row[rng.choice(num_labels, size, replace=False)] = 1
  missing = np.flatnonzero(patterns.sum(axis=0) == 0)
  for row, label in zip(patterns, missing, strict=False):
    row[:] = 0
    row[label] = 1
  assert patterns.sum(axis=0).all(), 'Too few labelsets for so many labels.'
  return patterns, np.ceil(rng.lognormal(2, 1.5, num_sets)).astype(np.int64)


def instance(
  seed, num_sets, num_labels, *, image_cost=0.0, exactly=False, empty=0, **rules
):
  """Returns an `Instance` with raw lam; `empty` images have no label at all."""
  patterns, counts = patterns_and_counts(seed, num_sets, num_labels)
  if empty:
    patterns = np.vstack([patterns, np.zeros((1, num_labels), np.uint8)])
    counts = np.append(counts, empty)
  rules = Rules(
    lam_images=None, image_cost=image_cost, budget_exactly=exactly, **rules
  )
  return make_instance(patterns, counts, rules)


def blocks_of(rng, num_labels):
  """Blocks of (size, weight), of so many labels in all."""
  cuts = rng.choice(num_labels - 1, rng.integers(1, num_labels), replace=False)
  sizes = np.diff([0, *sorted(cuts + 1), num_labels])
  return [(int(size), float(rng.uniform(0.2, 5))) for size in sizes]


def dense_matrix(found):
  """A of an `Instance`, float64[L, S]: deviations are A @ growth + offset."""
  patterns = found.patterns.toarray()
  away = patterns - found.mass[:, None] * found.target[None]
  if found.blocks is not None:
    for block in found.blocks:
      away -= np.outer(patterns @ block, block * found.target)
  return (found.start[:, None] * away).T * found.weights[:, None]
