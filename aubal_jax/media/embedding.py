"""Features of images, in which neighbours can be found without a network."""

from collections.abc import Callable

import numpy as np

_SIDE = 16
_BATCH_IMAGES = 256


def pixels(
  images: Callable[[np.ndarray], np.ndarray],
  rows: np.ndarray,
  *,
  on_progress: Callable[[int], None] | None = None,
) -> np.ndarray:
  """Returns the images' grey values, seen coarsely.

  The mean of the channels, and of that the means of a grid of 16 x 16 equal
  fields (a pixel on a border counts for the part that is inside), each field
  brought to mean 0 and deviation 1 over the images; 0 where all are alike.

  Args:
    images: maps int[R] row numbers to uint8[R, H, W, C]; called with 256 of
      them at a time.
    rows: int[N], the rows wanted.
    on_progress: called with the number of images done since the last call.

  Returns:
    float32[N, 256].
  """
  features = np.empty((len(rows), _SIDE * _SIDE), np.float32)
  for start in range(0, len(rows), _BATCH_IMAGES):
    batch = images(rows[start : start + _BATCH_IMAGES])
    grey = batch.mean(axis=3, dtype=np.float32)
    down, across = (_pooling(size) for size in grey.shape[1:])
    fields = down @ grey @ across.T
    features[start : start + len(batch)] = fields.reshape(len(batch), -1)
    if on_progress:
      on_progress(len(batch))
  return standardise(features)


def standardise(features: np.ndarray) -> np.ndarray:
  """Returns float32[N, F], each column brought to mean 0 and deviation 1.

  A column in which all are alike, but for rounding in float32, is 0.

  Args:
    features: float[N, F], finite.
  """
  if not len(features):
    return features.astype(np.float32)
  mean, deviation = moments(features)
  scale = np.where(deviation > 0, deviation, np.inf)
  return ((features - mean) / scale).astype(np.float32)


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns mean and deviation of each column, float64[F].

  The deviation of one in which all are alike, but for rounding in float32, is
  0.

  Args:
    features: float[N, F], finite, N above 0.
  """
  mean = features.mean(axis=0, dtype=np.float64)
  deviation = features.std(axis=0, dtype=np.float64)
  return mean, np.where(deviation > 1e-6 * np.abs(mean), deviation, 0.0)


def _pooling(size: int) -> np.ndarray:
  """Returns float32[16, size], the weight of each pixel in each field."""
  edges = np.linspace(0, size, _SIDE + 1)
  pixel = np.arange(size)
  overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(
    edges[:-1, None], pixel
  )
  return (np.maximum(overlap, 0) * _SIDE / size).astype(np.float32)
