"""ML-RUS: rows with frequent labels are deleted."""

from __future__ import annotations

import numpy as np

from aubal_jax.resampling import bags
from aubal_jax.runs import errors
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib

READINGS = ('bags', 'no_minority')


def make_plan(labels, *, fraction, rng, reading: str = 'bags') -> plan_lib.Plan:
  """Returns the plan in which rows with majority labels are left out.

  The paper's text has two readings:

    bags         Round after round each label with IRLbl < MeanIR in turn, in
                 the order of the columns, deletes one of its remaining
                 positives; class counts follow at once, and a label that has
                 reached IRLbl >= MeanIR (that of the table as given), or has
                 no positive left, is visited no more.
    no_minority  Rows without a minority label (IRLbl > MeanIR) are deleted,
                 drawn evenly.

  Both end with round(fraction N) rows deleted, exactly, or earlier when there
  is nothing left to delete.

  Charte, Rivera, del Jesus and Herrera 2015, Neurocomputing 163.

  Args:
    labels: uint8 CSR [N, L].
    fraction: of the N rows to delete; None is .25.
    rng: draws the rows.
    reading: 'bags' or 'no_minority'.

  Raises:
    UserError: fraction asks for all rows, or the reading is not known.
  """
  if reading not in READINGS:
    raise errors.UserError(
      f'reading must be one of {READINGS}; it is {reading!r}.'
    )
  number = bags.num_to_delete(fraction, labels.shape[0])
  if reading == 'bags':
    kept = _delete_from_bags(labels, number, rng)
  else:
    rare = bags.minority(bags.class_counts(labels)).astype(np.int64)
    free = np.flatnonzero(labels @ rare == 0)
    kept = np.ones(labels.shape[0], bool)
    kept[rng.permutation(free)[:number]] = False
  return plan_lib.spread(np.arange(len(kept)), kept.astype(np.int64))


def _delete_from_bags(labels, number: int, rng) -> np.ndarray:
  """Returns bool[N], whether a row is left."""
  counts = bags.class_counts(labels)
  least = labelsets_lib.mean_ir(counts) * (1 - bags.ROUNDING)
  starts, members = bags.members(labels)
  # Each bag's members in a drawn order; the next that is left is deleted.
  waiting = {
    label: iter(rng.permutation(members[starts[label] : starts[label + 1]]))
    for label in np.flatnonzero(bags.majority(counts))
  }
  kept = np.ones(labels.shape[0], bool)
  while number and waiting:
    for label in [*waiting][:number]:
      row = next((row for row in waiting[label] if kept[row]), None)
      if row is None:
        del waiting[label]
        continue
      kept[row] = False
      number -= 1
      counts[labels.indices[labels.indptr[row] : labels.indptr[row + 1]]] -= 1
      if counts[label] == 0 or counts.max() / counts[label] >= least:
        del waiting[label]
  return kept
