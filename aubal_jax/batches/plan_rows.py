"""What a row of a plan shows: its streams, its labels and which are known."""

from collections.abc import Callable

import numpy as np

from aubal_jax.batches import draws

# Of draws.hash_rows; 0 is augmentation.
_PARTNER_STREAM = 1


def inputs_of(
  plan, read: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, *, seed: int
) -> np.ndarray:
  """Returns what a network sees of rows of a plan, before augmentation.

  A row without a partner is its source s; one with a partner r is
  s + U (r - s), with one U for all of the row: the plan's share, or drawn from
  (seed, row). Whole numbers are rounded.

  Args:
    plan: a Plan.
    read: maps int[R] rows of the table to an array [R, ...], such as images.
    rows: int[B], rows of the plan.
    seed: of the draw, >= 0.

  Returns:
    An array [B, ...] of the dtype that was read, new.
  """
  found = np.array(read(plan.source[rows]))
  partner = plan.partner[rows]
  mixed = partner >= 0
  if mixed.any():
    reference = read(partner[mixed])
    share = _shares(plan, rows[mixed], seed).astype(np.float32)
    u = share.reshape(-1, *[1] * (found.ndim - 1))
    s = found[mixed].astype(np.float32)
    # A mean of two values, so always within the range of both.
    values = s + u * (reference - s)
    if np.issubdtype(found.dtype, np.integer):
      values = np.rint(values)
    found[mixed] = values.astype(found.dtype)
  return found


def labels_of(plan, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
  """Returns uint8[B, L], the labels of rows of a plan.

  Args:
    plan: a Plan.
    labels: uint8[N, L] of the table's rows.
    rows: int[B], rows of the plan.
  """
  found = (
    labels[plan.source[rows]] if plan.labels is None else plan.labels[rows]
  )
  return found.astype(np.uint8)


def known_of(plan, known: np.ndarray, rows: np.ndarray) -> np.ndarray:
  """Returns bool[B, L], which labels of rows of a plan are known.

  Those that are known of the source. Where labels were combined (a row has
  labels of its own, and a partner) the partner's must be known too. Further
  rows may have had a vote, of which the plan does not tell; a label unknown
  there was a vote against it.

  Args:
    plan: a Plan.
    known: bool[N, L] of the table's rows.
    rows: int[B], rows of the plan.
  """
  found = known[plan.source[rows]].astype(bool)
  if plan.labels is not None:
    partner = plan.partner[rows]
    mixed = partner >= 0
    found[mixed] &= known[partner[mixed]].astype(bool)
  return found


def growth_of(plan, settings: draws.Settings) -> np.ndarray | None:
  """Returns float64[M], how often the image of each row is shown, at least 1.

  Rows of the plan with that source, for each of them that is no added one: of
  a plan that is drawn anew for every epoch as of one epoch's.

  Args:
    plan: a Plan.
    settings: whose `growth_exponent` it is for; where that is 0, None.
  """
  if not settings.growth_exponent:
    return None
  all_rows = np.bincount(plan.source)
  own = np.bincount(plan.source[~plan.augment], minlength=len(all_rows))
  return (all_rows / np.maximum(own, 1))[plan.source]


def _shares(plan, rows, seed):
  """Returns float64[B] in [0, 1), how far each row is on its way."""
  if plan.share is not None:
    return plan.share[rows]
  bits = draws.hash_rows(seed, 0, rows, count=1, stream=_PARTNER_STREAM)
  return draws.to_unit(bits)[:, 0]
