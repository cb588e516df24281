"""mlsol: new rows where the neighbours of a row disagree with its labels."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from aubal_jax.resampling import bags
from aubal_jax.resampling import neighbours as neighbours_lib
from aubal_jax.tables import plan as plan_lib

# Kinds of an entry that has its label's rarer value, by the share of the k
# neighbours that have the other one; MAJORITY has the frequent value itself.
MAJORITY, SAFE, BORDER, RARE, OUTLIER = range(5)
# Up to which share of the way to the other row a new row keeps the rarer value.
_REACH = np.array([np.nan, 0.5, 0.75, np.inf, -np.inf])


def make_plan(
  labels, *, fraction, rng, features, neighbours: int = 5
) -> plan_lib.Plan:
  """Adds rows by MLSOL.

  Of each label the value that fewer rows have is the rarer one. C(i, l) is the
  share of row i's k nearest rows with another value than its own. A row is a
  seed with a chance proportional to the sum, over labels of which it has the
  rarer value and C < 1, of C over all such C of the label; its reference is one
  of its neighbours, drawn. Where the two have different values of a label, the
  one that has the rarer value tells by its kind how near to it a new row must
  be to have it too: see `kinds_of`.

  The paper draws a place between the two for each feature, and compares
  distances after that. Here a row has one place, its `share`, for all features,
  so that images and tables are told the same labels, and labels fit the row
  whenever it is made. Positives are the rarer value where both are as many.

  Liu and Tsoumakas 2019, ECML PKDD.

  Args:
    labels: uint8[N, L].
    fraction: round(fraction N) rows are added. None: .3, as in the paper.
    rng: where seeds, references and places are drawn from.
    features: float[N, F].
    neighbours: k.

  Returns:
    The plan; unchanged where no row has a neighbour that disagrees with it and
    another that agrees.

  Raises:
    UserError: features are missing or not finite numbers, or neighbours is no
      whole number above 0.
  """
  num_rows = labels.shape[0]
  features = neighbours_lib.check(features, num_rows)
  near = neighbours_lib.find(features, neighbours)
  table = labels.toarray()
  rarer = 2 * bags.class_counts(labels) <= num_rows
  disagree = _disagreement(table, near)
  is_rare = table == rarer
  weight = _weights(np.where(is_rare, disagree, 0), near.shape[1])
  num_added = round((0.3 if fraction is None else fraction) * num_rows)
  if not weight.any() or not num_added:
    return plan_lib.with_added(num_rows, [])
  kind = kinds_of(is_rare, disagree, near)
  seed = rng.choice(num_rows, num_added, p=weight / weight.sum())
  reference = near[seed, rng.integers(near.shape[1], size=num_added)]
  share = rng.random(num_added)
  added = _labels_between(table, kind, rarer, seed, reference, share)
  return plan_lib.with_added(
    num_rows,
    seed,
    partner=reference,
    labels=np.concatenate([table, added]),
    share=share,
  )


def _disagreement(table, near) -> np.ndarray:
  """Returns int32[N, L], neighbours that have another value than the row."""
  positive = _around(near, table.astype(np.int32))
  return np.where(table == 1, near.shape[1] - positive, positive)


def _around(near, values) -> np.ndarray:
  """Returns the sums of values[N, L] over the neighbours of each row."""
  num_rows, k = near.shape
  graph = sparse.csr_array(
    (np.ones(near.size, np.int32), near.ravel(), np.arange(num_rows + 1) * k),
    shape=(num_rows, num_rows),
  )
  return graph @ values


def _weights(disagree, k: int) -> np.ndarray:
  """Returns float64[N], the chance of each row to be a seed, unscaled.

  Args:
    disagree: int32[N, L], neighbours that disagree; 0 where the row has the
      frequent value.
    k: neighbours of a row.
  """
  counted = np.where(disagree < k, disagree, 0)
  totals = np.maximum(counted.sum(axis=0), 1)
  return counted @ (1 / totals)


def kinds_of(is_rare, disagree, near) -> np.ndarray:
  """Returns int8[N, L], the kind of each entry.

  MAJORITY where the row has the frequent value. Else by C: SAFE below .3,
  BORDER below .7, RARE below 1, OUTLIER at 1. A RARE entry with a neighbour
  that is SAFE or BORDER is at the border itself; this is repeated until none
  changes.

  Args:
    is_rare: bool[N, L], whether the row has the label's rarer value.
    disagree: int[N, L], neighbours that have another value.
    near: int64[N, k], neighbours.
  """
  share = disagree / max(near.shape[1], 1)
  kind = SAFE + np.digitize(share, [0.3, 0.7, 1.0]).astype(np.int8)
  kind = np.where(is_rare, kind, np.int8(MAJORITY))
  while True:
    inside = (kind == SAFE) | (kind == BORDER)
    moved = (kind == RARE) & (_around(near, inside.astype(np.int32)) > 0)
    if not moved.any():
      return kind
    kind[moved] = BORDER


def _labels_between(table, kind, rarer, seed, reference, share) -> np.ndarray:
  """Returns uint8[A, L], the labels of rows between seeds and references."""
  of_seed, of_reference = table[seed], table[reference]
  seed_is_rare = of_seed == rarer
  # Seen from the row of the two that has the rarer value.
  kind = np.where(seed_is_rare, kind[seed], kind[reference])
  distance = np.where(seed_is_rare, share[:, None], 1 - share[:, None])
  mixed = np.where(distance <= _REACH[kind], rarer, ~rarer)
  return np.where(of_seed == of_reference, of_seed, mixed).astype(np.uint8)
