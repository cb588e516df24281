"""Parts of a table in which every label has about its share of the positives.

Rows: iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML 2011).
Groups: a draw that exchanges of groups make evener, because a greedy pass such
as scikit-learn's StratifiedGroupKFold is no evener than chance where groups
are few and of uneven size, and knows one class a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aubal_jax.runs import extras

STARTS = 8  # Draws that exchanges begin with; the evenest result is taken.
CANDIDATES = 1000  # Groups at most that one is compared with, at random.
MAX_VISITS = 20000  # Groups looked at for an exchange, at most.


def part_rows(
  labels: np.ndarray, sizes: Sequence[int], rng: np.random.Generator
) -> np.ndarray:
  """Parts rows, evenly in their labels.

  Those of the package iterative-stratification miss their sizes by a percent
  or so (by more, where labels have one or two positives); to make the sizes
  exact, rows whose labels are the least rare then move.

  Args:
    labels: uint8[N, L].
    sizes: rows of each part, N together.
    rng: breaks ties.

  Returns:
    int[N], the part of each row: exactly sizes[p] rows are in part p.

  Raises:
    UserError: the package is not installed.
  """
  try:
    from iterstrat import ml_stratifiers
  except ImportError:
    raise extras.missing('iterstrat', 'data.stratify=True') from None
  sizes = np.asarray(sizes)
  used = np.flatnonzero(sizes)
  order = rng.permutation(len(labels))
  part = np.empty(len(labels), np.int64)
  part[order] = used[
    ml_stratifiers.IterativeStratification(
      labels[order].astype(bool), sizes[used] / len(labels), rng
    )
  ]
  positives = labels.sum(axis=0, dtype=np.int64)
  rarest = np.where(labels, positives, len(labels) + 1).min(axis=1)
  order = order[np.argsort(-rarest[order], kind='stable')]
  surplus = np.bincount(part, minlength=len(sizes)) - sizes
  lacking = np.repeat(np.arange(len(sizes)), np.maximum(-surplus, 0))
  moved = [order[part[order] == p][:n] for p, n in enumerate(surplus.clip(0))]
  part[np.concatenate(moved)] = rng.permutation(lacking)
  return part


def part_groups(
  counts: np.ndarray, sizes: Sequence[int], rng: np.random.Generator
) -> np.ndarray:
  """Parts groups so that all parts have about their share of every count.

  Groups that are in different parts are exchanged while that lessens
  sum_p,l (share[p, l] - wanted[p])^2 / wanted[p], where share[p, l] is how much
  of the whole of count l part p has, and wanted[p] = sizes[p] / G.

  Args:
    counts: float[G, K], such as the positives of each label in a group.
    sizes: groups of each part, G together.
    rng: draws where the exchanges begin.

  Returns:
    int[G], the part of each group: exactly sizes[p] groups are in part p.
  """
  sizes = np.asarray(sizes)
  used = np.flatnonzero(sizes)
  shares = counts / np.maximum(counts.sum(axis=0), 1)
  drawn = np.repeat(np.arange(len(used)), sizes[used])
  results = []
  for _ in range(STARTS):
    results.append(_exchange(shares, rng.permutation(drawn), rng))
  return used[min(results, key=lambda result: result[0])[1]]


def _exchange(shares, part, rng):
  """Returns (unevenness, part) that no exchange looked at makes evener."""
  wanted = np.bincount(part) / len(part)
  excess = np.stack(
    [shares[part == p].sum(axis=0) - share for p, share in enumerate(wanted)]
  )
  visits = max(MAX_VISITS // STARTS, 1)
  idle = 0
  while idle < len(part) and visits:
    for group in rng.permutation(len(part))[:visits]:
      visits -= 1
      idle += 1
      others = np.arange(len(part))
      if len(part) > CANDIDATES:
        others = rng.integers(len(part), size=CANDIDATES)
      mine, theirs = part[group], part[others]
      gain = shares[others] - shares[group]
      change = (
        2 * (gain @ excess[mine]) / wanted[mine]
        - 2 * (gain * excess[theirs]).sum(axis=1) / wanted[theirs]
        + np.square(gain).sum(axis=1) * (1 / wanted[mine] + 1 / wanted[theirs])
      )
      change[theirs == mine] = 0
      best = change.argmin()
      if change[best] < -1e-12:
        excess[mine] += gain[best]
        excess[theirs[best]] -= gain[best]
        part[group], part[others[best]] = theirs[best], mine
        idle = 0
      if idle >= len(part):
        break
  return float((np.square(excess).sum(axis=1) / wanted).sum()), part
