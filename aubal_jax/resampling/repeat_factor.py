"""repeat_factor: rows are repeated by the rarest of their labels."""

from __future__ import annotations

import numbers

import numpy as np

from aubal_jax.resampling import bags
from aubal_jax.resampling import weighted
from aubal_jax.runs import errors
from aubal_jax.tables import plan as plan_lib


def make_plan(
  labels,
  *,
  fraction,
  rng,
  threshold: float | None = None,
  num_epochs: int = 1,
) -> plan_lib.Plan:
  """Returns the plan of repeat-factor sampling.

  With f_l the share of rows that have label l, r_l = max(1, sqrt(t / f_l)), and
  r of a row is the largest of its labels, or 1 without labels. As published,
  each row is there floor(r) times, and once more with the chance of what is
  left of r: no row is lost, and as many are added as t asks for. With a
  fraction, rows are drawn with r as their weight.

  Gupta, Dollar and Girshick 2019, CVPR (LVIS).

  Args:
    labels: uint8 CSR [N, L].
    fraction: N + round(fraction N) rows are drawn; None: as published.
    rng: to draw from.
    threshold: t, in (0, 1]: rarer labels are repeated. None: the median f_l of
      the labels that occur. The paper's, of 1,203 labels, is .001.
    num_epochs: draws so often, one plan after the other.

  Raises:
    UserError: the threshold is not a share, or num_epochs is below 1.
  """
  is_number = isinstance(threshold, numbers.Real)
  if threshold is not None and not (is_number and 0 < threshold <= 1):
    raise errors.UserError(
      f'threshold must be a share of the rows, in (0, 1]; it is {threshold!r}.'
    )
  shares = bags.class_counts(labels) / labels.shape[0]
  present = shares > 0
  if threshold is None:
    threshold = np.median(shares[present]) if present.any() else 1.0
  factors = np.ones(len(shares))
  factors[present] = np.maximum(1.0, np.sqrt(threshold / shares[present]))
  factors = np.maximum(1.0, bags.largest(labels, factors))
  if fraction is not None:
    return weighted.draw(factors, fraction, rng, num_epochs)
  return weighted.epochs(
    lambda: np.floor(factors + rng.random(len(factors))).astype(np.int64),
    num_epochs,
  )
