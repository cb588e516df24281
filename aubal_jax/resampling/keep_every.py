"""keep_every: each k-th frame, as is usual with videos."""

from __future__ import annotations

import numpy as np

from aubal_jax.tables import plan as plan_lib
from aubal_jax.tables import thinning


def make_plan(
  labels, *, rng, share=0.25, groups=None, frames=None
) -> plan_lib.Plan:
  """Returns the plan of round(share N) rows, at even steps of 1 / share rows.

  Rows are counted group by group, in each by frame, or as they stand.

  Args:
    labels: uint8 CSR [N, L].
    rng: draws where the first step begins.
    share: of the N rows to keep.
    groups: [N], the video of each row; None: one.
    frames: float[N], when in its video a row is; None: in the order of rows.

  Raises:
    UserError: share is no number above 0 and at most 1, or groups or frames
      are not one for each row.
  """
  num_rows = labels.shape[0]
  num_kept = thinning.num_kept(share, num_rows)
  groups = thinning.checked_groups(groups, num_rows)
  frames = thinning.checked_frames(frames, num_rows)
  order = np.arange(num_rows)
  for key in (frames, groups):
    if key is not None:
      order = order[np.argsort(key[order], kind='stable')]
  steps = (np.arange(num_kept) + rng.random()) * (num_rows / num_kept)
  places = np.minimum(steps.astype(np.int64), num_rows - 1)
  return plan_lib.unchanged(np.sort(order[places]))
