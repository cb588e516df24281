"""mltl: rows of frequent labels whose nearest row has other labels go."""

from __future__ import annotations

import numpy as np

from aubal_jax.resampling import bags
from aubal_jax.resampling import neighbours as neighbours_lib
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib


def make_plan(
  labels, *, features, threshold: float | None = None
) -> plan_lib.Plan:
  """Deletes rows by MLTL, Tomek links between labelsets; nothing is drawn.

  A row with a label of IRLbl below MeanIR goes if the row nearest to it, of
  all rows, differs from it by more than the threshold, see
  `neighbours.adjusted_hamming`. As in the authors' program the two need not
  be nearest to each other (the single-label method asks for that), a rare
  label does not protect its row, and all are judged before any goes.

  Pereira et al. 2020, Neurocomputing 383.

  Args:
    labels: uint8[N, L].
    features: float[N, F].
    threshold: from 0 (any difference counts) to 1 (none does). None, from
      1 / sqrt(MeanIR): .5 above .5, .3 above .3, .15 below; and .5 where
      SCUMBLE is above .3, as in the authors' program.

  Returns:
    The plan; unchanged where every row would go.

  Raises:
    UserError: features are missing or not finite numbers, or threshold is out
      of range.
  """
  counts = bags.class_counts(labels)
  if threshold is None:
    threshold = _threshold(labels, counts)
  neighbours_lib.check_threshold(threshold)
  features = neighbours_lib.check(features, labels.shape[0])
  frequent = bags.majority(counts)
  judged = np.flatnonzero(labels @ frequent.astype(np.int64) > 0)
  near = neighbours_lib.find(features, 1, judged)
  removed = np.zeros(labels.shape[0], bool)
  if near.size:
    far = neighbours_lib.adjusted_hamming(labels, judged, near[:, 0])
    removed[judged] = far > threshold
  return neighbours_lib.without(labels.shape[0], removed)


def _threshold(labels, counts) -> float:
  if labelsets_lib.scumble_of_rows(labels, counts).mean() > 0.3:
    return 0.5
  evenness = 1 / np.sqrt(labelsets_lib.mean_ir(counts))
  if evenness > 0.5:
    return 0.5
  return 0.3 if evenness > 0.3 else 0.15
