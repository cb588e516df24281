"""LP-RUS: rows of frequent labelsets are deleted."""

from __future__ import annotations

import numpy as np

from aubal_jax.resampling import bags
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib


def make_plan(labels, *, fraction, rng) -> plan_lib.Plan:
  """Returns the plan in which labelsets above the mean size have shrunk.

  The mirror of LP-ROS: the amount is shared evenly among the bags above the
  mean size N / S, smallest first: each gives its share, but stays at or above
  the mean, and what it leaves goes to the larger ones. So min(round(fraction
  N), what lies above the mean) rows are deleted, exactly, drawn without
  replacement inside their bag. Where all labelsets are equally frequent (no
  two rows are alike) nothing is.

  Charte, Rivera, del Jesus and Herrera 2015, Neurocomputing 163.

  Args:
    labels: uint8 CSR [N, L].
    fraction: of the N rows to delete; None is .25.
    rng: draws the rows, and which of equally large bags is last.

  Raises:
    UserError: fraction asks for all rows.
  """
  num_rows = labels.shape[0]
  found = labelsets_lib.find_labelsets(labels)
  caps = found.counts - -(-num_rows // len(found.counts))
  large = np.flatnonzero(caps > 0)
  large = large[np.lexsort((rng.random(len(large)), caps[large]))]
  kept = found.counts.copy()
  kept[large] -= bags.share_evenly(
    caps[large], bags.num_to_delete(fraction, num_rows)
  )
  return plan_lib.spread(found.index, kept, seed=rng)
