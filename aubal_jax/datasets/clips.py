"""Clips: the frames that lead to a row of a video, over faces stored once.

A clip is rows of the table, int32[T], the last of them the row itself; no clip
is stored. Where a frame is not there, before the first one or without a face,
its row is `BLACK`, and so is its picture.
"""

from __future__ import annotations

import dataclasses
import os
import re
import typing
from collections.abc import Callable
from collections.abc import Mapping

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.datasets import streams
from aubal_jax.media import landmark_mask
from aubal_jax.runs import errors

BLACK = -1
_LAST_NUMBER = re.compile(r'(\d{1,9})(\.\w+)?$', re.ASCII)


class Videos(typing.NamedTuple):
  """Which video each row is of, and when.

  Attributes:
    of_rows: int[N], the video of each row.
    names: str[V], what files of a video are called.
    numbers: float64[N], the frame of a row in its video from 0 on, or its time.
  """

  of_rows: np.ndarray
  names: np.ndarray
  numbers: np.ndarray


def videos_of(dataset, *, in_frames: bool = True) -> Videos:
  """Returns the video and the frame of each row.

  Images of a group that lie in another folder are of another video, called
  like the folder. The frame is the number that ends the name of an image,
  where the frames of the data set count as these do, else that of the data
  set; they are counted from 1, unless one is below.

  Args:
    dataset: the `Dataset`.
    in_frames: whether the frames of the data set count, or are times.

  Raises:
    UserError: it has no groups or no frames.
  """
  if dataset.groups is None or dataset.frames is None:
    lacking = 'groups' if dataset.groups is None else 'frames'
    raise errors.UserError(
      f'A network of clips sees videos, and this data set has no {lacking}: '
      'name the columns of the video and of the frame (data.group_column, '
      'data.frame_column), or take a data set of videos.'
    )
  numbers = np.asarray(dataset.frames, np.float64)
  groups, files = dataset.groups.astype(str), dataset.files
  if files is None:
    names, of_rows = np.unique(groups, return_inverse=True)
    return Videos(of_rows, names, numbers)
  folders = np.array([os.path.dirname(file) for file in files.tolist()])
  pairs, of_rows = np.unique(
    np.stack([groups, folders], axis=1), axis=0, return_inverse=True
  )
  of_rows = of_rows.reshape(-1)
  used = pairs[:, 1] != ''
  _, group, count = np.unique(
    np.where(used, pairs[:, 0], ''), return_inverse=True, return_counts=True
  )
  names = [
    os.path.basename(folder) if several and folder else name
    for (name, folder), several in zip(pairs, count[group] > 1, strict=True)
  ]
  if in_frames:
    numbers = _from_names(files, of_rows, numbers)
    numbers = numbers - (numbers.min(initial=1) >= 1)
  return Videos(of_rows, np.array(names, str), numbers)


def _from_names(files, of_rows, frames):
  """Returns the numbers in the names of files, where frames count as they."""
  found = [_LAST_NUMBER.search(file) for file in files.tolist()]
  has = np.array([match is not None for match in found], bool)
  numbers = np.array([int(m[1]) if m else 0 for m in found], np.float64)
  # Alike in a video: the one is as far from the other in all of its rows.
  _, first = np.unique(of_rows, return_index=True)
  offset = numbers - frames
  alike = (offset == offset[first][of_rows]) & has
  bad = np.bincount(of_rows, ~alike, minlength=len(first)) > 0
  return np.where(bad[of_rows], frames, numbers)


def positions(
  numbers: np.ndarray, *, length: int, dilation: float, tolerance: float = 0.25
) -> np.ndarray:
  """Returns int64[n, T], for each frame of a video the frames of its clip.

  Frame k of the T of a clip is the one nearest to (T - 1 - k) dilations
  before; `BLACK` where none is within the tolerance. The last is the frame.

  Args:
    numbers: float[n], of its frames, or their times, ascending.
    length: T.
    dilation: from one frame of a clip to the next, in the unit of numbers.
    tolerance: likewise.
  """
  numbers = np.asarray(numbers, np.float64)
  steps = np.arange(length - 1, -1, -1)
  wanted = numbers[:, None] - dilation * steps
  right = np.searchsorted(numbers, wanted)
  left = np.maximum(right - 1, 0)
  right = np.minimum(right, len(numbers) - 1)
  nearer = abs(numbers[right] - wanted) < abs(numbers[left] - wanted)
  found = np.where(nearer, right, left)
  found[abs(numbers[found] - wanted) > tolerance] = BLACK
  found[:, -1] = np.arange(len(numbers))
  return found


def index(
  dataset, videos: Videos, *, length: int, dilation: float, tolerance: float
) -> np.ndarray:
  """Returns int32[N, T], the rows of the clip of each row.

  Never across videos, nor from one split to another, of any task. A row that
  is not in use has no clip; where it has a picture it is in those of its video,
  whatever their split.

  Args:
    dataset: the `Dataset`, of which `videos` are.
    videos: from `videos_of`.
    length: T; likewise `dilation` and `tolerance`: see `positions`.
    dilation: see there.
    tolerance: see there.
  """
  found = np.full((len(dataset), length), BLACK, np.int32)
  used = dataset.split != dataset_lib.DROPPED
  pictured = _has_picture(dataset) & ~used
  splits = [dataset.split, *dataset.splits.values()]
  splits = [np.unique(split, return_inverse=True)[1] for split in splits]
  _, split = np.unique(np.stack(splits, 1), axis=0, return_inverse=True)
  split = split.reshape(-1)
  for own in _parts(videos.of_rows, np.arange(len(dataset))):
    for part in _parts(split[own[used[own]]], own[used[own]]):
      seen = np.concatenate([part, own[pictured[own]]])
      seen = seen[np.lexsort((seen, videos.numbers[seen]))]
      places = positions(
        videos.numbers[seen],
        length=length,
        dilation=dilation,
        tolerance=tolerance,
      )
      clips = np.where(places == BLACK, BLACK, seen[places])
      found[seen] = np.where(used[seen, None], clips, BLACK)
  return found


def _has_picture(dataset) -> np.ndarray:
  """Returns bool[N], the rows that may have a picture, in use or not."""
  if dataset.files is None:
    return np.ones(len(dataset), bool)
  return dataset.files != ''


def _parts(values, rows) -> list[np.ndarray]:
  """Returns rows that have equal values, in their order."""
  order = np.argsort(values, kind='stable')
  ends = np.flatnonzero(np.diff(values[order])) + 1
  return np.split(rows[order], ends) if len(rows) else []


@dataclasses.dataclass(frozen=True)
class Clips:
  """Reads clips, from any number of threads.

  Attributes:
    index: int32[N, T], from `index`.
    shape: (H, W, C) of a face, without the mask.
    landmarks: int[R] rows -> float32[R, 68, 2], NaN where there are none; None:
      there is no channel of a mask.
    made: of the stream, see there.
  """

  index: np.ndarray
  shape: tuple[int, int, int]
  landmarks: Callable[[np.ndarray], np.ndarray] | None = None
  made: Mapping | None = None

  def read(self, faces: Callable, rows: np.ndarray) -> np.ndarray:
    """Returns uint8[R, T, H, W, C], with the mask as the last channel.

    Args:
      faces: int[K] rows -> uint8[K, H, W, C], the pictures of rows in use.
      rows: int[R].
    """
    wanted = self.index[rows]
    there, place = np.unique(wanted[wanted != BLACK], return_inverse=True)
    height, width, channels = self.shape
    mask = self.landmarks is not None
    clips = np.zeros((*wanted.shape, height, width, channels + mask), np.uint8)
    if len(there):
      pictures = faces(there)
      if mask:
        masks = [landmark_mask.draw(x, width) for x in self.landmarks(there)]
        pictures = np.concatenate([pictures, np.stack(masks)[..., None]], 3)
      clips[wanted != BLACK] = pictures[place]
    return clips

  def stream(self, faces: Callable) -> streams.Stream:
    """Returns the stream `clip`, whose faces may be had otherwise later."""
    channels = self.shape[2] + (self.landmarks is not None)
    shape = (self.index.shape[1], *self.shape[:2], channels)
    return streams.Stream(
      streams.CLIP,
      np.dtype(np.uint8),
      shape,
      lambda rows: self.read(faces, rows),
      pictures=np.unique(self.index[self.index != BLACK]),
      made=self.made,
      over=self.stream,
    )
