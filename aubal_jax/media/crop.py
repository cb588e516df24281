"""Cuts a face out by five landmarks: to the same place, upright, in one size.

The template and the warp are here and need OpenCV alone; `detector` finds the
landmarks.
"""

import types

import cv2
import numpy as np

from aubal_jax.runs import errors

# What finds faces -> the packages it needs; see `detector`.
DETECTORS = types.MappingProxyType({'mtcnn': ('mtcnn', 'joblib', 'lz4')})

NO_FACE = 'no face found'  # Why a row is dropped whose face is not found.

# Where the landmarks go. The unit is the distance of the pupils, u, which is
# `_EYE_DISTANCE` of the side of the crop; 63 mm in the mean adult. The tip of
# the nose is 0.6 u below the eyes, the mouth 1.1 u and 0.8 u wide. A face is
# 2.2 u wide, its chin 1.9 u below the eyes and its hair 1.1 u above: all that
# action units move is in the crop. The cheeks end 17 % of the side from its
# edges and the chin 8 %; that is the margin.
_EYE_DISTANCE = 0.3
_EYE_HEIGHT = 0.35  # From the top, in shares of the side.

# Left and right eye, nose tip, left and right corner of the mouth, as the
# camera sees them: x, y in shares of the side of the crop. Symmetric, so that
# a mirrored image gives the mirrored crop.
TEMPLATE = np.array([0.5, _EYE_HEIGHT]) + _EYE_DISTANCE * np.array(
  [[-0.5, 0.0], [0.5, 0.0], [0.0, 0.6], [-0.4, 1.1], [0.4, 1.1]]
)

_LEAST_SPREAD = 1.0  # Pixels: what is closer together has no direction.


def align(
  image: np.ndarray, landmarks: np.ndarray, image_size: int
) -> np.ndarray:
  """Returns the face, moved, turned and scaled so that it fits the template.

  The similarity (no shear, no mirroring) is that of least squares over all
  five points. What shrinks is first averaged over areas, so nothing aliases;
  what lies outside the image is black.

  Args:
    image: uint8[h, w] or uint8[h, w, 3].
    landmarks: float[5, 2], x and y in pixels in the order of `TEMPLATE`; the
      centre of the first pixel is 0, 0.
    image_size: side of the crop in pixels.

  Returns:
    uint8[image_size, image_size] or uint8[image_size, image_size, 3].

  Raises:
    UserError: the landmarks are not finite, or at one place.
  """
  factor, shift = _similarity(landmarks, TEMPLATE * image_size - 0.5)
  # [x, y] -> [[re, -im], [im, re]] [x, y] + shift.
  matrix = np.array(
    [
      [factor.real, -factor.imag, shift.real],
      [factor.imag, factor.real, shift.imag],
    ]
  )
  if abs(factor) < 1:
    height, width = image.shape[:2]
    small = [max(1, round(abs(factor) * side)) for side in (width, height)]
    image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    # A pixel p of the small image lies at (p + 1/2) grown - 1/2.
    grown = np.array([width / small[0], height / small[1]])
    matrix[:, 2] += matrix[:, :2] @ ((grown - 1) / 2)
    matrix[:, :2] *= grown
  return cv2.warpAffine(image, matrix, (image_size, image_size))


def _similarity(points, targets):
  """Returns complex a, b with the least sum of |a z + b - w|^2.

  z = x + iy of the points, w of the targets; multiplying by a turns and
  scales, and cannot mirror.
  """
  points = np.asarray(points, np.float64)
  if not np.isfinite(points).all() or (
    np.linalg.norm(points.std(axis=0)) < _LEAST_SPREAD
  ):
    raise errors.UserError(
      'the landmarks of a face must be finite and not all at one place, not '
      f'{points.round(1).tolist()}'
    )
  z, w = points @ [1, 1j], targets @ [1, 1j]
  centred = z - z.mean()
  a = np.vdot(centred, w) / np.vdot(centred, centred).real
  return a, w.mean() - a * z.mean()
