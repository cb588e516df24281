"""random: the control, which adds rows whatever their labels."""

from __future__ import annotations

from aubal_jax.resampling import bags
from aubal_jax.tables import plan as plan_lib


def make_plan(labels, *, fraction, rng) -> plan_lib.Plan:
  """Returns the plan with round(fraction N) rows more, drawn evenly.

  Repeats of rows differ by at most one. It tells what more rows, and their
  augmentation, do from what balancing does.

  Args:
    labels: uint8 CSR [N, L].
    fraction: of the N rows to add; None is .25.
    rng: draws which rows are repeated.
  """
  num_rows = labels.shape[0]
  num_added = bags.num_to_add(fraction, num_rows)
  return plan_lib.random(range(num_rows), num_rows, num_added, seed=rng)
