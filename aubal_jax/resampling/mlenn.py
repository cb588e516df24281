"""mlenn: rows of frequent labels that differ from their neighbours go."""

from __future__ import annotations

import numpy as np

from aubal_jax.resampling import bags
from aubal_jax.resampling import neighbours as neighbours_lib
from aubal_jax.tables import plan as plan_lib


def make_plan(
  labels,
  *,
  features,
  neighbours: int = 3,
  threshold: float = 0.75,
) -> plan_lib.Plan:
  """Deletes rows by MLeNN; nothing is drawn.

  A row with a label of IRLbl above MeanIR always stays. Of the others (those
  without labels among them) a row goes if at least half of its k nearest of
  all rows differ from it by more than the threshold, see
  `neighbours.adjusted_hamming`. All are judged before any goes. Half of 3 is
  1.5 as in the paper, where a public version rounds it to 1; another one
  judges rows of rare labels too, if they have a frequent one.

  Charte et al. 2014, IDEAL.

  Args:
    labels: uint8[N, L].
    features: float[N, F].
    neighbours: k.
    threshold: from 0 (any difference counts) to 1 (none does).

  Returns:
    The plan; unchanged where every row would go.

  Raises:
    UserError: features are missing or not finite numbers, threshold is out of
      range, or neighbours is no whole number above 0.
  """
  neighbours_lib.check_threshold(threshold)
  features = neighbours_lib.check(features, labels.shape[0])
  num_rows = labels.shape[0]
  rare = bags.minority(bags.class_counts(labels))
  judged = np.flatnonzero(labels @ rare.astype(np.int64) == 0)
  near = neighbours_lib.find(features, neighbours, judged)
  removed = np.zeros(num_rows, bool)
  if near.size:
    far = neighbours_lib.adjusted_hamming(
      labels, np.repeat(judged, near.shape[1]), near.ravel()
    )
    differing = (far > threshold).reshape(near.shape).sum(axis=1)
    removed[judged] = 2 * differing >= near.shape[1]
  return neighbours_lib.without(num_rows, removed)
