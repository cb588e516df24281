"""keep_random: the control, which keeps rows whatever their labels."""

from __future__ import annotations

from aubal_jax.tables import plan as plan_lib
from aubal_jax.tables import thinning


def make_plan(labels, *, rng, share=0.25) -> plan_lib.Plan:
  """Returns the plan of round(share N) rows, drawn evenly, each once.

  Args:
    labels: uint8 CSR [N, L].
    rng: draws the rows.
    share: of the N rows to keep.

  Raises:
    UserError: share is no number above 0 and at most 1.
  """
  num_rows = labels.shape[0]
  num_kept = thinning.num_kept(share, num_rows)
  return plan_lib.random(range(num_rows), num_kept, 0, seed=rng)
