r"""Whole images: from growth to an integer count of every labelset.

Rounding with |dz_i| below the largest labelset's size exists for any table
(Beck and Fiala 1981), so the loss is bounded whatever the number of images.
Three passes get close to it:

  1. error feedback: largest labelsets first, each goes up or down so that the
     classes' running error stays small;
  2. single moves: the best change of one count by one, while it helps;
  3. pair moves: the best two changes together, among the best single ones.

Moves are priced exactly, on f + cost, with a table of class terms for every
labelset size, so pricing all of them costs one pass over the patterns.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import sparse

_MAX_MOVES = 2000
_PAIR_CANDIDATES = 48


@dataclasses.dataclass
class _Table:
  """The problem in the form that prices moves.

  Attributes:
    patterns: CSR float64[S, L].
    sizes: int[S], labels of each labelset.
    start: float64[S], n_o.
    weights: float64[L], w.
    target: float64[L], tau.
    lam: weight of Var(g).
    image_cost: price of an added image.
  """

  patterns: sparse.csr_array
  sizes: np.ndarray
  start: np.ndarray
  weights: np.ndarray
  target: np.ndarray
  lam: float
  image_cost: float

  def deviations(self, counts) -> np.ndarray:
    z = self.patterns.T @ counts
    return self.weights * (z - self.target * z.sum())

  def priced(self, counts) -> float:
    """Returns f + cost at whole counts."""
    level = np.abs(self.deviations(counts)).sum()
    level += self.lam * np.var(counts / self.start)
    return level + self.image_cost * (counts - self.start).sum()


def integer_box(start, lower, upper):
  """Returns the whole counts allowed: int64[S] least, most, and empty boxes.

  A box without a whole number becomes the whole number nearest to it.

  Args:
    start: int[S], n_o.
    lower: float[S], least growth.
    upper: float[S], largest growth.

  Returns:
    int64[S] least count, int64[S] most, and how many boxes were empty.
  """
  least = np.ceil(lower * start - 1e-9).astype(np.int64)
  most = np.floor(upper * start + 1e-9).astype(np.int64)
  empty = least > most
  nearest = np.rint((lower + upper) / 2 * start).astype(np.int64)
  return (
    np.where(empty, nearest, least),
    np.where(empty, nearest, most),
    int(empty.sum()),
  )


def round_counts(
  patterns, start, growth, least, most, *, weights, target, lam, image_cost
) -> tuple[np.ndarray, float]:
  """Rounds a growth to whole counts that lose little of the objective.

  Args:
    patterns: CSR 0/1 [S, L].
    start: int[S], n_o.
    growth: float64[S], of the solution.
    least: int64[S], smallest count allowed.
    most: int64[S], largest count allowed.
    weights: float64[L], w.
    target: float64[L], tau.
    lam: weight of the variance of growth.
    image_cost: price of an added image.

  Returns:
    int64[S] counts inside [least, most], and f + cost there.
  """
  table = _Table(
    sparse.csr_array(patterns, dtype=np.float64),
    np.diff(patterns.indptr),
    np.asarray(start, np.float64),
    np.asarray(weights, np.float64),
    np.asarray(target, np.float64),
    float(lam),
    float(image_cost),
  )
  if not len(growth):
    return np.zeros(0, np.int64), 0.0
  counts = _feed_back_errors(table, growth * table.start, least, most)
  counts = _improve(table, counts, least, most)
  return counts.astype(np.int64), table.priced(counts)


def _feed_back_errors(table, wanted, least, most) -> np.ndarray:
  """Rounds one labelset after the other, against the error so far."""
  down = np.clip(np.floor(wanted), least, most)
  part = wanted - down
  counts = down.copy()
  error = np.zeros(len(table.weights))
  indptr, indices = table.patterns.indptr, table.patterns.indices
  open_sets = np.flatnonzero((part > 1e-9) & (down < most))
  for s in open_sets[np.argsort(-table.start[open_sets], kind='stable')]:
    labels = indices[indptr[s] : indptr[s + 1]]
    # Up changes the error by 1 - part, down by -part, on each of the labels.
    up = 2 * error[labels].sum() + (1 - 2 * part[s]) * len(labels) < 0
    counts[s] += up
    error[labels] += up - part[s]
  return counts


def _price_moves(table, counts, x, sign) -> np.ndarray:
  """Returns float64[S], the change of f + cost for counts_s + sign."""
  now = np.abs(x)
  change = np.empty(len(counts))
  for size in np.unique(table.sizes):
    rows = np.flatnonzero(table.sizes == size)
    drift = x - sign * table.weights * table.target * size
    inside = np.abs(drift + sign * table.weights) - np.abs(drift)
    change[rows] = np.abs(drift).sum() - now.sum()
    change[rows] += table.patterns[rows] @ inside
  growth = counts / table.start
  step = sign / table.start
  num_sets = len(counts)
  spread = (2 * growth * step + step**2) / num_sets
  mean = growth.mean()
  spread -= (2 * mean * step + step**2 / num_sets) / num_sets
  return change + table.lam * spread + table.image_cost * sign


def _improve(table, counts, least, most) -> np.ndarray:
  """Moves one count by one, or two at once, while f + cost falls."""
  x = table.deviations(counts)
  tiny = 1e-9 * max(1.0, np.abs(x).sum())
  for _ in range(_MAX_MOVES):
    moves = []
    for sign, room in ((1, counts < most), (-1, counts > least)):
      change = _price_moves(table, counts, x, sign)
      change[~room] = np.inf
      moves.append(change)
    moves = np.concatenate(moves)
    best = int(np.argmin(moves))
    chosen = [best] if moves[best] < -tiny else _best_pair(table, x, moves)
    if not chosen:
      break
    trial = counts.copy()
    for move in chosen:
      trial[move % len(counts)] += 1 if move < len(counts) else -1
    if table.priced(trial) >= table.priced(counts) - tiny:
      break
    counts, x = trial, table.deviations(trial)
  return counts


def _best_pair(table, x, moves) -> list[int]:
  """Returns two moves that help together, or none.

  Var(g) is taken as additive here; the caller accepts on the exact objective.
  """
  candidates = np.argsort(moves, kind='stable')[:_PAIR_CANDIDATES]
  candidates = candidates[np.isfinite(moves[candidates])]
  rows = candidates % len(table.start)
  signs = np.where(candidates < len(table.start), 1.0, -1.0)
  steps = table.patterns[rows].toarray()
  steps = steps - table.target * table.sizes[rows, None]
  steps = signs[:, None] * table.weights * steps
  alone = np.abs(x + steps).sum(axis=1)
  together = np.abs(x + steps[:, None] + steps[None]).sum(axis=2)
  rest = moves[candidates] - (alone - np.abs(x).sum())
  change = together - np.abs(x).sum() + rest[:, None] + rest[None]
  change[rows[:, None] == rows[None]] = np.inf
  if not change.size or change.min() >= 0:
    return []
  first, second = np.unravel_index(np.argmin(change), change.shape)
  return [int(candidates[first]), int(candidates[second])]
