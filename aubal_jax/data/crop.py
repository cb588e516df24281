"""Cuts a face out by five landmarks: to the same place, upright, in one size.

The template and the warp are here and need OpenCV alone; `detector` finds the
landmarks.
"""

import types

import cv2
import numpy as np

# name -> what finds faces; see `detector`.
DETECTORS = types.MappingProxyType({'mtcnn': 'MTCNN (Zhang et al. 2016)'})

NO_FACE = 'no face found'  # Why a row is dropped whose face is not found.

# Left and right eye, nose tip, left and right corner of the mouth, as the
# camera sees them: x, y in shares of the side of the crop.
TEMPLATE = np.array(
  [
    [0.3419, 0.4616],
    [0.6565, 0.4598],
    [0.5002, 0.6405],
    [0.3709, 0.8247],
    [0.6315, 0.8232],
  ],
  np.float32,
)


def align(
  image: np.ndarray, landmarks: np.ndarray, image_size: int
) -> np.ndarray:
  """Returns the face, moved, turned and scaled so that it fits the template."""
  points = TEMPLATE * image_size
  matrix, _ = cv2.estimateAffinePartial2D(landmarks, points)
  return cv2.warpAffine(image, matrix, (image_size, image_size))
