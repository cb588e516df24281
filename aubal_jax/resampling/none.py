"""none: every row once, as it is."""

from __future__ import annotations

from aubal_jax.tables import plan as plan_lib


def make_plan(labels) -> plan_lib.Plan:
  """Returns the plan of every row once; nothing is drawn."""
  return plan_lib.with_added(labels.shape[0], [])
