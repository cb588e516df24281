"""Landmarks as OpenFace writes them: a CSV for each video, a row a frame.

  frame, face_id, timestamp, confidence, success, ..., x_0, ..., x_67, y_0, ...

Frames are counted from 1; blanks about names and numbers are passed over. Of
several faces of a frame the surest is taken; a frame without success has none.
"""

from __future__ import annotations

import functools
import os
import threading

import numpy as np

from aubal_jax.datasets import clips
from aubal_jax.media import landmark_mask
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import table

_POINTS = [
  f'{axis}_{k}' for axis in 'xy' for k in range(landmark_mask.POINTS)
]


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
