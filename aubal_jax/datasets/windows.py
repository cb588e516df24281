"""Windows of consecutive rows of videos, for what sees a row among others."""

from __future__ import annotations

import typing

import numpy as np


class Windows(typing.NamedTuple):
  """Rows in windows of equal length.

  Attributes:
    rows: int64[W, T], of the table; in time within a window.
    scored: bool[W, T], True for each row once: where it is first.
    short: how many videos have fewer than T rows; their last row is repeated.
  """

  rows: np.ndarray
  scored: np.ndarray
  short: int


def make(groups, frames, rows, *, length: int, step: int) -> Windows:
  """Returns windows that hold every row.

  A window begins every `step` rows of a video, and the last one ends with the
  video. Rows of no group are videos of one row each.

  Args:
    groups: the video of each row of the table; '' or None: of none.
    frames: float[N], when in its video a row is; None: as in the table.
    rows: int[R], of the table, without repeats.
    length: T rows of a window, at least 1.
    step: from 1 to `length`, so that no row is left out.
  """
  rows = np.asarray(rows, np.int64)
  if groups is None:
    first = np.arange(length) == 0
    return Windows(
      np.repeat(rows[:, None], length, axis=1),
      np.tile(first, (len(rows), 1)),
      len(rows) if length > 1 else 0,
    )
  videos = _videos(groups, frames, rows)
  found = [_of_video(video, length, step) for video in videos]
  taken, scored = ([x[k] for x in found] for k in range(2))
  none = np.zeros((0, length), np.int64)
  return Windows(
    np.concatenate([none, *taken]),
    np.concatenate([none.astype(bool), *scored]),
    sum(len(video) < length for video in videos),
  )


def _videos(groups, frames, rows) -> list[np.ndarray]:
  """Returns the rows of each video, in time."""
  names = np.asarray(groups)[rows].astype(str)
  alone = names == ''
  _, video = np.unique(names, return_inverse=True)
  video[alone] = video.max(initial=0) + 1 + np.arange(alone.sum())
  times = rows if frames is None else np.asarray(frames, np.float64)[rows]
  order = np.lexsort((rows, times, video))
  ends = np.flatnonzero(np.diff(video[order])) + 1
  return np.split(rows[order], ends) if len(rows) else []


def _of_video(video, length, step) -> tuple[np.ndarray, np.ndarray]:
  """Returns rows [W, T] of a video, and which of them are first there."""
  size = len(video)
  last = max(size - length, 0)
  starts = np.arange(0, last + 1, step)
  if starts[-1] < last:
    starts = np.append(starts, last)
  places = starts[:, None] + np.arange(length)
  before = np.concatenate([[0], places[:-1, -1] + 1])
  scored = (places >= before[:, None]) & (places < size)
  return video[np.minimum(places, size - 1)], scored
