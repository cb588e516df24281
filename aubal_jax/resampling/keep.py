"""keep: the rows to keep, chosen by our own objective, as `aubal.keep`."""

from __future__ import annotations

from aubal_jax.tables import plan as plan_lib


def make_plan(
  labels, *, rng, share=0.25, groups=None, frames=None
) -> plan_lib.Plan:
  """Returns the plan of `aubal.keep`, seed for seed.

  Args:
    labels: uint8 CSR [N, L].
    rng: draws which rows of a labelset stay.
    share: of the N rows to keep.
    groups: [N], the subject or video of each row; None: not known.
    frames: float[N], when in its video a row is; None: not known.

  Raises:
    UserError: as `aubal.keep`.
  """
  from aubal_jax.balancing import keeping

  return keeping.keep(labels, share, groups=groups, frames=frames, seed=rng)[0]
