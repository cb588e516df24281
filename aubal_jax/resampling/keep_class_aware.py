"""keep_class_aware: a label is drawn, then a row of it, until it is enough."""

from __future__ import annotations

import numpy as np

from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib
from aubal_jax.tables import thinning


def make_plan(labels, *, rng, share=0.25) -> plan_lib.Plan:
  """Returns the plan of round(share N) rows, each once.

  Class-aware sampling (Shen, Lin and Huang 2016) without replacement: a label
  is drawn evenly among those that have an unused row, to have none being one
  of them; then one of these rows.

  Args:
    labels: uint8 CSR [N, L].
    rng: draws labels and rows.
    share: of the N rows to keep.

  Raises:
    UserError: share is no number above 0 and at most 1.
  """
  num_kept = thinning.num_kept(share, labels.shape[0])
  columns = labelsets_lib.with_empty(labels).tocsc()
  parts = np.split(columns.indices, columns.indptr[1:-1])
  bags = [rng.permutation(part).tolist() for part in parts if len(part)]
  kept: set[int] = set()
  while len(kept) < num_kept:
    place = int(rng.integers(len(bags)))
    bag = bags[place]
    while bag and bag[-1] in kept:
      bag.pop()
    if bag:
      kept.add(bag.pop())
    else:
      del bags[place]
  return plan_lib.unchanged(np.sort(np.fromiter(kept, np.int64, num_kept)))
