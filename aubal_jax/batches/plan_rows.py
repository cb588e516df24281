"""What a row of a plan shows: its image, its labels and which are known."""

import numpy as np

from aubal_jax.batches import augment
from aubal_jax.runs import errors

# Of augment.hash_rows; 0 is augmentation.
_PARTNER_STREAM = 1


def images_of(plan, images, rows: np.ndarray, *, seed: int) -> np.ndarray:
  """Returns the images of rows of a plan, before they are augmented.

  A row without a partner is its source s; one with a partner r is
  s + U (r - s), rounded, with one U for all of the image: the plan's share, or
  drawn from (seed, row).

  Args:
    plan: a Plan.
    images: uint8[N, H, W, C], or anything that gives uint8[R, H, W, C] when
      indexed by, or called with, int[R] table rows.
    rows: int[B], rows of the plan.
    seed: of the draw, >= 0.

  Returns:
    uint8[B, H, W, C], new.

  Raises:
    UserError: images gives something else.
  """
  image = np.array(read(images, plan.source[rows]))
  partner = plan.partner[rows]
  mixed = partner >= 0
  if mixed.any():
    reference = read(images, partner[mixed])
    share = _shares(plan, rows[mixed], seed)
    u = share.astype(np.float32)[:, None, None, None]
    s = image[mixed].astype(np.float32)
    # A mean of two greys, so always within 0 .. 255.
    image[mixed] = np.rint(s + u * (reference - s)).astype(np.uint8)
  return image


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


def read(images, rows: np.ndarray) -> np.ndarray:
  """Returns uint8[R, H, W, C], images of rows of the table.

  Raises:
    UserError: they are of another kind.
  """
  image = images(rows) if callable(images) else images[rows]
  if image.dtype != np.uint8 or image.ndim != 4:
    raise errors.UserError(
      'images must give uint8[R, H, W, C]; got '
      f'{image.dtype}{list(image.shape)}.'
    )
  return image


def _shares(plan, rows, seed):
  """Returns float64[B] in [0, 1), how far each row is on its way."""
  if plan.share is not None:
    return plan.share[rows]
  bits = augment.hash_rows(seed, 0, rows, count=1, stream=_PARTNER_STREAM)
  return augment.to_unit(bits)[:, 0]
