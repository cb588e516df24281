"""smote: new rows between two rows that share a rare label."""

from __future__ import annotations

import numpy as np

from aubal_jax.resampling import neighbours as neighbours_lib
from aubal_jax.tables import plan as plan_lib


def make_plan(
  labels, *, fraction, rng, features, neighbours: int = 5
) -> plan_lib.Plan:
  """Adds rows by SMOTE, one minority label after the other.

  Each label with IRLbl above MeanIR is taken as a problem of its own: its
  positives are the class, and each of them makes one new row with one of its
  k nearest among them, drawn. SMOTE says nothing about further labels; here
  the new row has all labels of its seed. Single-label versions go on until
  the class is as large as the other one; of a label that few rows have, that
  would be N - 2 c rows, so an amount is asked for instead.

  Chawla et al. 2002, JAIR 16. Public versions draw one U for each row or, as
  here and as in the paper, for each feature.

  Args:
    labels: uint8[N, L].
    fraction: round(fraction N) rows, spread evenly over the positives of all
      minority labels. None: as many as the counts of these labels sum to, one
      for each positive. A label with one positive makes none.
    rng: where references, and what is left of even rounds, are drawn from.
    features: float[N, F].
    neighbours: k.

  Returns:
    The plan; unchanged where no minority label has two positives.

  Raises:
    UserError: features are missing or not finite numbers, or neighbours is no
      whole number above 0.
  """
  drawn = list(
    neighbours_lib.draw_pairs(
      labels, features, fraction=fraction, rng=rng, neighbours=neighbours
    )
  )
  if not drawn:
    return plan_lib.with_added(labels.shape[0], [])
  return plan_lib.with_added(
    labels.shape[0],
    np.concatenate([pairs.source for pairs in drawn]),
    partner=np.concatenate([pairs.partner for pairs in drawn]),
  )
