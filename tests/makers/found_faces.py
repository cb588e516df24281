"""A detector that finds bright squares, and pictures that have some.

A face is a square of one grey above 100, on dark ground; the marks of its
landmarks are where `crop.TEMPLATE` has them.
"""

import contextlib

import cv2
import numpy as np

from aubal_jax.media import crop


def find(image):
  """Every bright square, as a face."""
  grey = image.max(axis=2)
  count, _, stats, _ = cv2.connectedComponentsWithStats(
    (grey > 100).astype(np.uint8), connectivity=4
  )
  faces = []
  for left, top, width, height, _ in stats[1:count]:
    if min(width, height) >= 4:
      box = np.array([left, top, width, height], np.float64)
      points = box[:2] + crop.TEMPLATE * box[2:]
      faces.append(crop.Face(box, 0.99, points))
  return faces


@contextlib.contextmanager
def installed(monkeypatch):
  """Inside, data.crop=mtcnn finds squares."""
  made = crop.Detector(lambda: find, ())
  monkeypatch.setattr(crop, 'DETECTORS', {'mtcnn': made})
  crop._make_detector.cache_clear()
  yield
  crop._make_detector.cache_clear()


def picture(squares, height=96, width=128):
  """uint8[height, width, 3] with squares (left, top, side, grey)."""
  made = np.full((height, width, 3), 20, np.uint8)
  for left, top, side, grey in squares:
    made[top : top + side, left : left + side] = grey
  return made
