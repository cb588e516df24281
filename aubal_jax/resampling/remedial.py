"""remedial: rows that mix rare and frequent labels are split in two."""

from __future__ import annotations

import numpy as np

from aubal_jax.resampling import bags
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib

_ROUNDING = 1e-9  # By which a row's SCUMBLE is not above the mean.


def make_plan(labels) -> plan_lib.Plan:
  """Splits the rows in which rare and frequent labels meet; nothing is drawn.

  A row with SCUMBLE above the mean of all rows is there twice: where it
  stood, with those of its labels that have IRLbl above MeanIR, and added,
  with the others. The paper makes no exception for a row whose labels are all
  of one kind; then one of the two has no labels, here as in public versions.
  (Where other orders are used, rows are the same.)

  Charte et al. 2015, HAIS; 2019, Neurocomputing 326.

  Args:
    labels: uint8[N, L].

  Returns:
    The plan; unchanged where no row is above the mean.
  """
  counts = bags.class_counts(labels)
  level = labelsets_lib.scumble_of_rows(labels, counts)
  split = np.flatnonzero(level > level.mean() + _ROUNDING)
  if not split.size:
    return plan_lib.with_added(labels.shape[0], [])
  rare = bags.minority(counts)
  first, second = labels.toarray(), labels[split].toarray()
  first[split] *= rare
  second *= ~rare
  return plan_lib.with_added(
    labels.shape[0], split, labels=np.concatenate([first, second])
  )
