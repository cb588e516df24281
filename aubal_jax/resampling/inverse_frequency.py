"""inverse_frequency: rows are drawn by how rare their labels are."""

from __future__ import annotations

import numpy as np

from aubal_jax.resampling import bags
from aubal_jax.resampling import weighted
from aubal_jax.runs import errors
from aubal_jax.tables import plan as plan_lib

READINGS = ('sum', 'largest')


def make_plan(
  labels,
  *,
  fraction,
  rng,
  reading: str = 'sum',
  num_epochs: int = 1,
) -> plan_lib.Plan:
  """Returns the plan of rows drawn with inverse class frequency as weight.

  With c_l rows of label l, a row weighs

    sum      the sum of 1 / c_l over its labels: class-aware sampling, which
             draws a label evenly and then one of its rows;
    largest  the largest 1 / c_l of its labels;

  and a row without labels 1 / N, as of a label that all rows have.

  Shen, Lin and Huang 2016, ECCV ("class-aware").

  Args:
    labels: uint8 CSR [N, L].
    fraction: N + round(fraction N) rows are drawn; None is 0.
    rng: to draw from.
    reading: 'sum' or 'largest'.
    num_epochs: draws so often, one plan after the other.

  Raises:
    UserError: the reading is not known, or num_epochs is below 1.
  """
  if reading not in READINGS:
    raise errors.UserError(
      f'reading must be one of {READINGS}; it is {reading!r}.'
    )
  inverse = 1.0 / np.maximum(bags.class_counts(labels), 1)
  if reading == 'sum':
    weights = labels @ inverse
  else:
    weights = bags.largest(labels, inverse)
  num_rows = labels.shape[0]
  weights = np.where(np.diff(labels.indptr) > 0, weights, 1.0 / num_rows)
  return weighted.draw(weights, fraction, rng, num_epochs)
