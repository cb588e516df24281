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

import numpy as np

from aubal_jax.balancing.instance import Instance

_MAX_MOVES = 2000
_PAIR_CANDIDATES = 48


def round_counts(instance: Instance, growth) -> np.ndarray:
  """Rounds a growth to whole counts that lose little of f + cost.

  Args:
    instance: the problem.
    growth: float64[S], of the solution.

  Returns:
    int64[S] counts, none below `instance.least` or above `instance.most`.
  """
  if not len(instance):
    return np.zeros(0, np.int64)
  counts = _feed_back_errors(instance, growth * instance.start)
  return _improve(instance, counts).astype(np.int64)


def _feed_back_errors(instance, wanted) -> np.ndarray:
  """Rounds one labelset after the other, against the error so far."""
  down = np.clip(np.floor(wanted), instance.least, instance.most)
  part = wanted - down
  counts = down.copy()
  error = np.zeros(len(instance.weights))
  indptr, indices = instance.patterns.indptr, instance.patterns.indices
  open_sets = np.flatnonzero((part > 1e-9) & (down < instance.most))
  for s in open_sets[np.argsort(-instance.start[open_sets], kind='stable')]:
    labels = indices[indptr[s] : indptr[s + 1]]
    # Up changes the error by 1 - part, down by -part, on each of the labels.
    up = 2 * error[labels].sum() + (1 - 2 * part[s]) * len(labels) < 0
    counts[s] += up
    error[labels] += up - part[s]
  return counts


def _priced(instance, counts) -> float:
  return instance.value(counts) + instance.cost(counts)


def _by_size(instance) -> list[tuple]:
  """Returns (size, slice of labelsets, their patterns); sizes ascend."""
  sizes, starts = np.unique(instance.sizes, return_index=True)
  ends = [*starts[1:], len(instance)]
  parts = [slice(*ends) for ends in zip(starts, ends, strict=True)]
  return [
    (size, part, instance.patterns[part])
    for size, part in zip(sizes, parts, strict=True)
  ]


def _price_moves(instance, groups, counts, x, sign) -> np.ndarray:
  """Returns float64[S], the change of f + cost for counts_s + sign."""
  now = np.abs(x)
  change = np.empty(len(counts))
  for size, part, patterns in groups:
    drift = x - sign * instance.weights * instance.target * size
    inside = np.abs(drift + sign * instance.weights) - np.abs(drift)
    change[part] = np.abs(drift).sum() - now.sum() + patterns @ inside
  growth = counts / instance.start
  step = sign / instance.start
  num_sets = len(counts)
  spread = (2 * growth * step + step**2) / num_sets
  mean = growth.mean()
  spread -= (2 * mean * step + step**2 / num_sets) / num_sets
  return change + instance.lam * spread + instance.image_cost * sign


def _improve(instance, counts) -> np.ndarray:
  """Moves one count by one, or two at once, while f + cost falls."""
  x = instance.deviations(counts)
  tiny = 1e-9 * max(1.0, np.abs(x).sum())
  level = _priced(instance, counts)
  groups = _by_size(instance)
  for _ in range(_MAX_MOVES):
    moves = []
    for sign, room in (
      (1, counts < instance.most),
      (-1, counts > instance.least),
    ):
      change = _price_moves(instance, groups, counts, x, sign)
      change[~room] = np.inf
      moves.append(change)
    moves = np.concatenate(moves)
    best = int(np.argmin(moves))
    chosen = [best] if moves[best] < -tiny else _best_pair(instance, x, moves)
    if not chosen:
      break
    trial = counts.copy()
    for move in chosen:
      trial[move % len(counts)] += 1 if move < len(counts) else -1
    trial_level = _priced(instance, trial)
    if trial_level >= level - tiny:
      break
    counts, level, x = trial, trial_level, instance.deviations(trial)
  return counts


def _best_pair(instance, x, moves) -> list[int]:
  """Returns two moves that help together, or none.

  Var(g) is taken as additive here; the caller accepts on the exact objective.
  """
  candidates = np.argsort(moves, kind='stable')[:_PAIR_CANDIDATES]
  candidates = candidates[np.isfinite(moves[candidates])]
  rows = candidates % len(instance.start)
  signs = np.where(candidates < len(instance.start), 1.0, -1.0)
  steps = instance.patterns[rows].toarray()
  steps = steps - instance.target * instance.sizes[rows, None]
  steps = signs[:, None] * instance.weights * steps
  alone = np.abs(x + steps).sum(axis=1)
  together = np.abs(x + steps[:, None] + steps[None]).sum(axis=2)
  rest = moves[candidates] - (alone - np.abs(x).sum())
  change = together - np.abs(x).sum() + rest[:, None] + rest[None]
  change[rows[:, None] == rows[None]] = np.inf
  if not change.size or change.min() >= 0:
    return []
  first, second = np.unravel_index(np.argmin(change), change.shape)
  return [int(candidates[first]), int(candidates[second])]
