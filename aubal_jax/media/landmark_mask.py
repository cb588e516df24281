"""A picture of landmarks: what a network of clips sees beside a face.

The 68 points are those of 300-W, seen from the camera: the edge of the face
from the left of the picture to its right, the brows, the ridge and the base of
the nose, the eyes and the lips.
"""

from __future__ import annotations

import types

import cv2
import numpy as np

from aubal_jax.media import crop
from aubal_jax.runs import errors

POINTS = 68
# Grey -> first and last point, and whether the line comes back; drawn in this
# order, the later over the earlier.
LINES = types.MappingProxyType(
  {
    255: (48, 59, True),  # The edge of the mouth.
    223: (17, 21, False),  # The brow on the left of the picture,
    191: (22, 26, False),  # on its right.
    159: (36, 41, True),  # The eyes.
    127: (42, 47, True),
    63: (28, 30, False),  # The ridge of the nose.
    31: (6, 10, False),  # The chin.
  }
)


def draw(points: np.ndarray, size: int) -> np.ndarray:
  """Returns uint8[size, size], 8-connected lines of one pixel.

  Args:
    points: float[68, 2], x and y in pixels of the picture, the centre of the
      first one being 0, 0; rounded. Not finite: there are none, and no line.
    size: height and width in pixels.
  """
  mask = np.zeros((size, size), np.uint8)
  if not np.isfinite(points).all():
    return mask
  # What is far outside stays outside, and within what OpenCV can count.
  whole = np.rint(np.clip(points, -(2**14), 2**14)).astype(np.int32)
  for grey, (first, last, closed) in LINES.items():
    line = whole[first : last + 1]
    cv2.polylines(mask, [line], closed, grey, 1, cv2.LINE_8)
  return mask


def align(points: np.ndarray, size: int) -> np.ndarray:
  """Returns float[68, 2], where landmarks are in a face that is aligned.

  The alignment is that of `media.crop`: the centres of the eyes, the tip of the
  nose and the corners of the mouth come as near as a similarity brings them to
  `crop.TEMPLATE`. Not finite, or all at one place: NaN.

  Args:
    points: float[68, 2], in any picture.
    size: height and width of the aligned one, in pixels.
  """
  if not np.isfinite(points).all():
    return np.full((POINTS, 2), np.nan)
  five = np.stack(
    [
      points[36:42].mean(axis=0),
      points[42:48].mean(axis=0),
      *points[[30, 48, 54]],
    ]
  )
  try:
    return crop.move(points, five, size)
  except errors.UserError:
    return np.full((POINTS, 2), np.nan)
