"""How Deng, Chen and Shi drew the rows of each task, as weights of rows.

Their samplers of faces with action units, expressions, valence and arousal
(arXiv 2002.03557), for targets of any names. Each draws N rows of N with
replacement, in every epoch anew, by a weight of each row:

  class    1 / rows of its class
  real     1 / rows of its cell, of 20 along each number over the data's range
  binary   draws of ML-ROS / N, but 1 / N without one; repaired: draws + 1

In the first form of the last a row that was drawn once counts no more than one
that was not.
"""

from __future__ import annotations

import numpy as np

from aubal_jax.datasets import targets

CELLS = 20  # Along each number.
MEAN_IR = 2.0  # Labels above it are rare.
MOST_DRAWN = 0.5  # Of N, for all labels together.
DRAWN_AT_ONCE = 32


def weights_of(
  target: targets.Target, *, recipe: str, rng: np.random.Generator
) -> np.ndarray:
  """Returns float64[N], above 0: the weight of each row.

  Args:
    target: known in every row, at least in part.
    recipe: 'repaired' or 'published'.
    rng: what ML-ROS draws by.
  """
  if target.kind == 'class':
    return 1 / np.bincount(target.values)[target.values]
  if target.kind == 'real':
    return 1 / _cell_counts(target)
  num_draws = ml_ros_draws(target.values, rng)
  return np.maximum(num_draws, 1.0) if recipe == 'published' else num_draws + 1


def _cell_counts(target) -> np.ndarray:
  """Returns int64[N], the rows in the cell of each; unknown is a cell apart."""
  cells = np.full(target.values.shape, -1, np.int64)
  for cell, values, known in zip(
    cells.T, target.values.T, target.known.T, strict=True
  ):
    if known.any():
      low, high = values[known].min(), values[known].max()
      edges = np.linspace(low, high, CELLS + 1)[1:-1]
      cell[known] = np.searchsorted(edges, values[known], side='right')
  _, cell, counts = np.unique(
    cells, axis=0, return_inverse=True, return_counts=True
  )
  return counts[cell.ravel()]


def ml_ros_draws(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
  """Returns int64[N], how often ML-ROS clones each row, as it was used there.

  Labels whose IRLbl (largest count / own count) is above 2, in the order of
  the columns, each draw 32 of their rows at a time, from a list that grows by
  what it draws, until their IRLbl is at most 2, or until half as many rows as
  there are have been drawn for all of them: the first label may use that up.

  Args:
    labels: uint8[N, L], 0 where unknown.
    rng: to draw from.
  """
  counts = labels.sum(axis=0, dtype=np.int64)
  num_draws = np.zeros(len(labels), np.int64)
  left = int(MOST_DRAWN * len(labels))
  for label in np.flatnonzero(counts.max(initial=0) > MEAN_IR * counts):
    bag = np.flatnonzero(labels[:, label])
    while bag.size and left > 0 and counts.max() > MEAN_IR * counts[label]:
      drawn = rng.choice(bag, min(DRAWN_AT_ONCE, left))
      bag = np.concatenate([bag, drawn])
      counts += labels[drawn].sum(axis=0, dtype=np.int64)
      np.add.at(num_draws, drawn, 1)
      left -= len(drawn)
  return num_draws
