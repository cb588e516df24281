"""Folders of frames: images called by a number, and perhaps a table of times.

'7.jpg', '00007.png' and 'frame_0007.bmp' are all frame 7. Time 0 is the first
frame there is; the others follow at a rate, or as `timestamps.csv` beside them
says: lines of a frame's number and its time in seconds, below a header.
"""

import csv
import dataclasses
import os
import re
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np

from aubal_jax.media import containers
from aubal_jax.media import decode
from aubal_jax.runs import errors

RATE = 30.0  # Frames a second, where nothing is said.
TIMES = 'timestamps.csv'

_NUMBERED = re.compile(r'(.*?)(\d{1,18})', re.ASCII | re.DOTALL)


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
  """A picture of a video.

  Attributes:
    number: from 0, as a clip is decoded; of a folder: that of its name.
    timestamp: seconds from the first frame.
    pixels: uint8[H, W, 3], red first, upright; None: an image of a folder that
      cannot be decoded.
    problem: why not; else ''.
  """

  number: int
  timestamp: float
  pixels: np.ndarray | None
  problem: str = ''


def is_folder_of_frames(path: os.PathLike | str) -> bool:
  """Returns whether a folder has images, all called alike and by a number."""
  if not os.path.isdir(path):
    return False
  names = _images(path)
  found = [_NUMBERED.fullmatch(os.path.splitext(name)[0]) for name in names]
  return bool(names) and all(found) and len({match[1] for match in found}) == 1


def files(path: os.PathLike | str) -> dict[int, str]:
  """Returns number -> file of the frames in a folder, in order.

  Raises:
    Unreadable: there is no image that is called by a number.
    UserError: two images have the same number.
  """
  found = {}
  for name in _images(path):
    match = _NUMBERED.fullmatch(os.path.splitext(name)[0])
    if not match:
      continue
    number, file = int(match[2]), os.path.join(path, name)
    if number in found:
      raise errors.UserError(
        f'{found[number]} and {file} are two images of frame {number}. '
        'Remove one.'
      )
    found[number] = file
  if not found:
    raise containers.Unreadable(
      path, 'no frames', 'Name a folder of images called 1.jpg, 2.jpg, ...'
    )
  return dict(sorted(found.items()))


def times(path: os.PathLike | str, numbers, fps: float) -> np.ndarray:
  """Returns float64[N], when frames are, in seconds of the sound beside them.

  Args:
    path: the folder.
    numbers: int[N], of the frames, ascending.
    fps: of a folder without a table; its first frame is at 0.

  Raises:
    UserError: the table is none, lacks a frame, or its times do not grow.
  """
  table = os.path.join(path, TIMES)
  if not os.path.exists(table):
    return (np.asarray(numbers) - numbers[0]) / fps
  told = _read_times(table)
  missing = [number for number in numbers if number not in told]
  if missing:
    raise errors.UserError(
      f'{table}: no time of frame {missing[0]}. Each frame has a line: add '
      'those that are missing, or remove the file.'
    )
  seconds = np.array([told[number] for number in numbers])
  back = np.flatnonzero(~(np.diff(seconds) > 0))
  if len(back):
    raise errors.UserError(
      f'{table}: frame {numbers[back[0] + 1]} is not after frame '
      f'{numbers[back[0]]}. Times grow with the number: correct them.'
    )
  return seconds


def frames(
  path: os.PathLike | str, chosen: Callable[[int, float], bool], fps: float
) -> Iterator[Frame]:
  """Yields the frames of a folder, see `video.frames`."""
  found = files(path)
  seconds = times(path, [*found], fps)
  for (number, file), time in zip(found.items(), seconds, strict=True):
    timestamp = float(time - seconds[0])
    if not chosen(number, timestamp):
      continue
    try:
      pixels, problem = decode.image(decode.read_contents(file), 3), ''
    except errors.UserError as error:
      pixels, problem = None, str(error)
    yield Frame(number, timestamp, pixels, problem)


def _images(path):
  """Returns the names of the images in a folder."""
  return sorted(
    entry.name
    for entry in os.scandir(path)
    if os.path.splitext(entry.name)[1].lower() in decode.SUFFIXES
    and not entry.name.startswith('.')
  )


def _read_times(path):
  """Returns number -> seconds of a table."""
  with open(path, encoding='utf-8-sig', newline='') as file:
    rows = [row for row in csv.reader(file) if any(map(str.strip, row))]
  told = {}
  for line, row in enumerate(rows[1:], 2):
    try:
      number, seconds = int(row[0]), float(row[1])
    except (ValueError, IndexError):
      seconds = np.nan
    if not np.isfinite(seconds):
      raise errors.UserError(
        f'{path}: row {line} is {",".join(row)!r}. Below a header, a row is a '
        'frame and its time in seconds, with a comma between. Correct it.'
      )
    told[number] = seconds
  return told
