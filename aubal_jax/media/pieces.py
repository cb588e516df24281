"""Pieces of images that a data set says: a box, or a square that is turned.

A piece is given by three of its corners, [upper left, upper right, lower left],
x and y in pixels of the upright image; 0, 0 is the upper left corner of the
first pixel, not its centre. NaN: the whole image.
"""

from __future__ import annotations

import cv2
import numpy as np

from aubal_jax.runs import errors

LONGEST = 8192  # Pixels of a side.


def of_boxes(boxes: np.ndarray) -> np.ndarray:
  """Returns float32[N, 3, 2] corners of boxes.

  Args:
    boxes: float[N, 4], left, top, right and bottom; the last two are outside.
  """
  left, top, right, bottom = np.asarray(boxes, np.float32).T
  corners = [[left, top], [right, top], [left, bottom]]
  return np.moveaxis(np.array(corners), 2, 0)


def of_faces(eyes: np.ndarray, mouths: np.ndarray) -> np.ndarray:
  """Returns float32[N, 3, 2], squares about faces, with level eyes.

  The side is twice the larger of the distance of the eyes and that of their
  middle from the mouth; in the middle is the point midway between eyes and
  mouth (Deng et al. 2020).

  Args:
    eyes: float[N, 2, 2], of the left one in the image, then the right one.
    mouths: float[N, 2].

  Returns:
    The corners; NaN where the eyes are at one place, or anything is.
  """
  eyes = np.asarray(eyes, np.float64)
  across = eyes[:, 1] - eyes[:, 0]
  middle = eyes.mean(axis=1)
  distance = np.linalg.norm(across, axis=1)
  height = np.linalg.norm(mouths - middle, axis=1)
  half = np.maximum(distance, height)[:, None]
  with np.errstate(divide='ignore', invalid='ignore'):
    x = half * across / distance[:, None]
  y = np.stack([-x[:, 1], x[:, 0]], axis=1)  # Down, where x goes right.
  centre = (middle + mouths) / 2
  corners = [centre - x - y, centre + x - y, centre - x + y]
  return np.stack(corners, axis=1).astype(np.float32)


def is_given(corners: np.ndarray) -> np.ndarray:
  """Returns bool[N], which of float[N, 3, 2] corners are no whole image."""
  return ~np.isnan(corners).any(axis=(1, 2))


def cut(image: np.ndarray, corners: np.ndarray) -> np.ndarray:
  """Returns a piece of an image, in its own pixels; black outside the image.

  A box of whole numbers is exactly its pixels.

  Args:
    image: uint8[h, w] or uint8[h, w, 3].
    corners: float[3, 2], see above.

  Raises:
    UserError: the piece is empty, or has a side of more than `LONGEST`.
  """
  if np.isnan(corners).any():
    return image
  corners = np.asarray(corners, np.float64)
  sides = np.linalg.norm(corners[1:] - corners[0], axis=1)
  if not ((sides >= 0.5) & (sides <= LONGEST)).all():
    raise errors.UserError(
      f'the piece of the image must have sides of 1 to {LONGEST:,} pixels, not '
      f'{sides.round(1).tolist()}'
    )
  width, height = np.maximum(np.rint(sides), 1).astype(int).tolist()
  ends = np.array([[0, 0], [width, 0], [0, height]])
  # Where centres of pixels are whole, as OpenCV has them.
  matrix = cv2.getAffineTransform(
    (corners - 0.5).astype(np.float32), (ends - 0.5).astype(np.float32)
  )
  return cv2.warpAffine(image, matrix, (width, height))
