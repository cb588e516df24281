"""Landmarks as OpenFace writes them: a CSV for each video, a row a frame.

  frame, face_id, timestamp, confidence, success, ..., x_0, ..., x_67, y_0, ...

Frames are counted from 1; blanks about names and numbers are passed over. Of
several faces of a frame the surest is taken; a frame without success has none.
"""

from __future__ import annotations

import os
import threading

import numpy as np

from aubal_jax.datasets import clips
from aubal_jax.media import landmark_mask
from aubal_jax.runs import errors
from aubal_jax.runs import text

_POINTS = [f'{axis}_{k}' for axis in 'xy' for k in range(landmark_mask.POINTS)]


def read(path: str) -> tuple[np.ndarray, np.ndarray]:
  """Returns int[R], frames from 0 on, ascending, and float32[R, 68, 2].

  Args:
    path: the CSV.

  Raises:
    UserError: a column is not there, or a row is no such numbers.
  """
  with open(path, encoding='utf-8-sig', errors='replace') as file:
    names = [name.strip() for name in file.readline().split(',')]
    lacking = [name for name in ('frame', *_POINTS) if name not in names]
    if lacking:
      raise errors.UserError(
        f'{path}: there is no column {lacking[0]!r}; the file must be one of '
        "OpenFace's, with frame, x_0 to x_67 and y_0 to y_67."
      )
    wanted = ['frame', *_POINTS]
    wanted += [name for name in ('success', 'confidence') if name in names]
    try:
      values = np.loadtxt(
        file,
        delimiter=',',
        usecols=[names.index(name) for name in wanted],
        ndmin=2,
      )
    except ValueError as error:
      raise errors.UserError(
        f'{path}: a row is not {len(names)} numbers with commas between '
        f'({error}). Correct it, or write the file again.'
      ) from None
  held = dict(zip(wanted, values.T, strict=True))
  count = len(values)
  good = held.get('success', np.ones(count)) > 0
  surest = np.lexsort((-held.get('confidence', np.ones(count)), held['frame']))
  surest = surest[good[surest]]
  frames, first = np.unique(held['frame'][surest], return_index=True)
  points = np.stack([held[name] for name in _POINTS], axis=1)
  points = points[surest[first]].reshape(-1, 2, landmark_mask.POINTS)
  return frames.astype(np.int64) - 1, points.transpose(0, 2, 1)


def find(folder: str, names) -> dict[str, str]:
  """Returns video -> its CSV in a folder, where there is one.

  Raises:
    FileNotFoundError: the folder is not there.
    UserError: no video has a file.
  """
  if not os.path.isdir(folder):
    raise FileNotFoundError(
      f'two_stream.landmark_dir={folder} is not there; name the folder of '
      "OpenFace's CSVs, which are called like the videos."
    )
  names = [*names]
  paths = {name: os.path.join(folder, f'{name}.csv') for name in names}
  found = {name: path for name, path in paths.items() if os.path.isfile(path)}
  if names and not found:
    raise errors.UserError(
      f'two_stream.landmark_dir={folder}: no video has a CSV there; they are '
      f'to be called {text.listing(names, text.SHOWN)}, with .csv behind. Name '
      "the folder of OpenFace's output, or set two_stream.landmark_dir=''."
    )
  return found


class Landmarks:
  """Landmarks of rows of videos; a file is read when it is first asked for."""

  def __init__(self, files: dict[str, str], videos: clips.Videos):
    """Keeps which files there are.

    Args:
      files: video -> its CSV, from `find`.
      videos: of the rows, whose numbers are frames.
    """
    self._files, self._videos = files, videos
    self._held, self._lock = {}, threading.Lock()

  def __call__(self, rows: np.ndarray) -> np.ndarray:
    """Returns float32[R, 68, 2], as the files have them; NaN for none."""
    points = np.full((len(rows), landmark_mask.POINTS, 2), np.nan, np.float32)
    of_rows = self._videos.of_rows[rows]
    for video in np.unique(of_rows).tolist():
      mine = np.flatnonzero(of_rows == video)
      frames, found = self._of(str(self._videos.names[video]))
      wanted = np.rint(self._videos.numbers[np.asarray(rows)[mine]])
      there = np.flatnonzero(np.isin(wanted, frames))
      place = np.searchsorted(frames, wanted[there])
      points[mine[there]] = found[place]
    return points

  def _of(self, video):
    with self._lock:
      if video not in self._held:
        nothing = np.zeros(0, np.int64), np.zeros((0, landmark_mask.POINTS, 2))
        path = self._files.get(video)
        self._held[video] = nothing if path is None else read(path)
      return self._held[video]
