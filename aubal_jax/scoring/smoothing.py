"""Means over neighbouring frames of a face, and how many frames are best.

What one frame says of a face trembles; faces themselves move slowly. The width
is chosen on validation, for the thresholds with which labels are decided.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from aubal_jax.scoring import metrics
from aubal_jax.scoring import thresholds as thresholds_lib

WIDTHS = (1, 3, 5, 7, 9, 13, 17, 25, 35, 51)  # Frames; 1 is no smoothing.
_EQUAL = 1e-9  # Below this a difference in F1 is that of rounding.


def moving_average(values, frames, width: int) -> np.ndarray:
  """Returns the mean of each row and those around it.

  Of row i it is over all rows j with |frames[j] - frames[i]| <= (width - 1)/2:
  at an end, or where frames are missing, over those that are there.

  Args:
    values: float[R, K].
    frames: whole numbers [R], ascending.
    width: odd, in frames; 1: the values as they are.

  Returns:
    float64[R, K], from the least to the largest of the values.
  """
  values = np.asarray(values, np.float64)
  frames = np.asarray(frames, np.float64)
  if width <= 1 or not len(values):
    return values
  reach = (width - 1) / 2
  first = np.searchsorted(frames, frames - reach, 'left')
  last = np.searchsorted(frames, frames + reach, 'right')
  # Sums from the start, about a centre, so that they stay small.
  centre = values.mean(axis=0)
  sums = np.zeros((len(values) + 1, *values.shape[1:]))
  np.cumsum(values - centre, axis=0, out=sums[1:])
  mean = (sums[last] - sums[first]) / (last - first)[:, None] + centre
  return np.clip(mean, values.min(axis=0), values.max(axis=0))


def of_videos(values, videos, frames, width: int) -> np.ndarray:
  """Returns `moving_average` of each video, float64[R, K].

  Args:
    values: float[R, K].
    videos: str[R], whose frame a row is; of '' each is alone.
    frames: whole numbers [R], in any order.
    width: see there.
  """
  names = np.asarray(videos).astype(str)
  alone = names == ''
  _, video = np.unique(names, return_inverse=True)
  video[alone] = len(names) + np.arange(alone.sum())
  order = np.lexsort((frames, video))
  starts = np.flatnonzero(np.diff(video[order], prepend=-1))
  smooth = np.empty(np.shape(values))
  for rows in np.split(order, starts[1:]):
    smooth[rows] = moving_average(
      np.asarray(values)[rows], np.asarray(frames)[rows], width
    )
  return smooth


def find(
  probability, label, known=None, videos=None, frames=None
) -> thresholds_lib.Thresholds:
  """Tunes thresholds, and chooses a width where the rows are frames of videos.

  The width has the largest F1 macro, on the same images, at the thresholds of
  single frames (`Thresholds.shrunk`); of equals the smallest is taken.

  Args:
    probability: float[N, L], in [0, 1].
    label: 0/1 or bool [N, L]; ignored where not known.
    known: bool[N, L], or None where every label is known.
    videos: str[N], whose frame a row is; None: not known.
    frames: [N], its number; None, or not whole: no width is chosen.

  Raises:
    UserError: as `metrics.check_entries`.
  """
  found = thresholds_lib.find(probability, label, known)
  if videos is None or frames is None or not len(frames):
    return found
  if not (np.asarray(frames) == np.round(frames)).all():
    return found  # Seconds: it is not known how many a frame is.
  scores = []
  for width in WIDTHS:
    smooth = of_videos(probability, videos, frames, width)
    counts = metrics.Confusion.from_probabilities(
      smooth, label, known, found.shrunk
    )
    scores.append(float(counts.f1_macro))
  best = int(np.flatnonzero(np.array(scores) > max(scores) - _EQUAL)[0])
  return dataclasses.replace(found, smooth=WIDTHS[best])
