"""LP-ROS: rows of rare labelsets are cloned."""

from __future__ import annotations

import numpy as np

from aubal_jax.resampling import bags
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib


def make_plan(labels, *, fraction, rng) -> plan_lib.Plan:
  """Returns the plan in which labelsets below the mean size have grown.

  Bags are labelsets, the empty one among them; their mean size is N / S. The
  amount is shared evenly among the bags below it, largest first: each takes
  its share, but stays at or below the mean, and what it leaves goes to the
  smaller ones. So min(round(fraction N), what fits below the mean) rows are
  added, exactly, drawn with replacement inside their bag. Where all labelsets
  are equally frequent (no two rows are alike) nothing is.

  Charte, Rivera, del Jesus and Herrera 2015, Neurocomputing 163.

  Args:
    labels: uint8 CSR [N, L].
    fraction: of the N rows to add; None is .25.
    rng: draws the rows, and which of equally large bags is last.
  """
  num_rows = labels.shape[0]
  found = labelsets_lib.find_labelsets(labels)
  caps = num_rows // len(found.counts) - found.counts
  small = np.flatnonzero(caps > 0)
  small = small[np.lexsort((rng.random(len(small)), caps[small]))]
  shares = bags.share_evenly(caps[small], bags.num_to_add(fraction, num_rows))
  of_rows = np.argsort(found.index, kind='stable')  # Rows, bag after bag.
  starts = np.cumsum(found.counts) - found.counts
  grown = np.repeat(small, shares)
  added = of_rows[starts[grown] + rng.integers(found.counts[grown])]
  return plan_lib.with_added(num_rows, added)
