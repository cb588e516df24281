"""Frames of clips and of folders of frames, one after the other, with times.

A clip (`SUFFIXES`) is decoded frame by frame: an hour of it takes as much
memory as a second. What its header says about the number of frames is not
relied on, and times are those of the frames, so that a variable rate is read
as it was recorded. A folder of frames is read without PyAV, see
`frame_folder`.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator

import numpy as np

from aubal_jax.media import containers
from aubal_jax.media import decode
from aubal_jax.media import frame_folder
from aubal_jax.media import sound_files

SUFFIXES = containers.SUFFIXES
Unreadable = containers.Unreadable
Frame = frame_folder.Frame
is_folder_of_frames = frame_folder.is_folder_of_frames

_RATE = 30.0  # Frames a second, where a clip does not say.


@dataclasses.dataclass(frozen=True)
class About:
  """What is known of a clip or a folder of frames before it is read.

  Attributes:
    size: (height, width) in pixels of the first frame, upright.
    fps: frames a second on the average; None: not said.
    frames: how many there are, as is said; None: not said. It may be wrong.
    has_sound: whether there is a sound track.
  """

  size: tuple[int, int]
  fps: float | None
  frames: int | None
  has_sound: bool


def frames(
  path: os.PathLike | str,
  *,
  every: int = 1,
  every_seconds: float | None = None,
  start: int = 0,
  fps: float = frame_folder.RATE,
) -> Iterator[Frame]:
  """Yields the frames of a clip or of a folder of frames, in order.

  Each is upright, as the clip's metadata say it is turned and mirrored; their
  sizes may differ. A packet that cannot be decoded is passed over; it is told
  at the end, when all else was given.

  Args:
    path: the clip or folder.
    every: only frames whose number is a multiple of it are given. A clip's
      frames are counted from 0 as they are decoded.
    every_seconds: only the first frame at or behind each multiple of so many
      seconds is given, beside `every`.
    start: frames with a lower number are passed over; they are decoded, and
      not converted, so that numbers and times are the same as without.
    fps: of a folder that has no table of times.

  Raises:
    Unreadable: with its reason, after the frames that could be read.
    UserError: it is a clip, and PyAV is not installed.
  """
  chosen = Choice(every, every_seconds, start)
  if os.path.isdir(path):
    yield from frame_folder.frames(path, chosen, fps)
    return
  with containers.opened(path) as container:
    stream = picture_track(path, container)
    yield from _decoded(path, container, stream, chosen)


def about(path: os.PathLike | str) -> About:
  """Returns what is known before; the first frame is decoded for its size.

  Raises:
    Unreadable: not one frame can be read.
    UserError: it is a clip, and PyAV is not installed.
  """
  with contextlib.closing(frames(path)) as read:
    sizes = (frame.pixels.shape[:2] for frame in read if not frame.problem)
    size = next(sizes, None)
  if size is None:
    raise Unreadable(path, 'no frames that are images', 'Copy them again.')
  if os.path.isdir(path):
    has_sound = sound_files.beside(path) is not None
    return About(size, None, len(frame_folder.files(path)), has_sound)
  with containers.opened(path) as container:
    stream = picture_track(path, container)
    rate = _rate(stream)
    stated = stream.frames
    if not stated and rate and container.duration:
      stated = round(container.duration / 1e6 * rate)
    has_sound = bool(container.streams.audio)
  return About(size, rate, stated or None, has_sound)


def first_time(path: os.PathLike | str) -> float | None:
  """Returns the time of a clip's first frame, in seconds of its container.

  None where there is no frame: the file has sound alone.
  """
  with containers.opened(path) as container:
    stream = _picture_track(container)
    if stream is None:
      return None
    for frame in containers.decoded(container, stream, []):
      return _time(frame, stream) or 0.0
  return None


def picture_track(path: os.PathLike | str, container):
  """Returns the stream of pictures; raises Unreadable where there is none."""
  stream = _picture_track(container)
  if stream is None:
    told = 'sound only' if container.streams.audio else 'no pictures'
    raise Unreadable(path, told, 'Name a clip with a picture track.')
  if stream.codec_context is None:
    raise Unreadable(
      path, 'pictures of a kind that is not known', 'Convert it to H.264.'
    )
  _check_size(path, stream.codec_context.height, stream.codec_context.width)
  return stream


def _picture_track(container):
  """Returns the stream of pictures that is no cover of a record, or None."""
  import av

  covers = av.stream.Disposition.attached_pic
  streams = [s for s in container.streams.video if not s.disposition & covers]
  best = container.streams.best('video')
  return best if best in streams else next(iter(streams), None)


def _check_size(path, height, width):
  if height * width > decode.MAX_PIXELS:
    raise Unreadable(
      path,
      f'frames of {width:,} x {height:,} pixels',
      f'More than {decode.MAX_PIXELS / 1e6:.0f} million are not read; make '
      'them smaller.',
    )


class Choice:
  """Which frames are given: a function of number and time, called in order."""

  def __init__(self, every: int, every_seconds: float | None, start: int):
    """Takes these as `frames` does."""
    self._every, self._seconds, self._start = every, every_seconds, start
    self._last = -1  # The multiple of `every_seconds` that was passed last.

  def __call__(self, number: int, timestamp: float) -> bool:
    """Returns whether a frame is given."""
    chosen = number % self._every == 0
    if self._seconds:
      # Half a millisecond: containers round times to one.
      passed = int((timestamp + 5e-4) / self._seconds)
      chosen, self._last = chosen and passed > self._last, passed
    return chosen and number >= self._start


def _decoded(path, container, stream, chosen):
  """Yields the chosen frames of a clip."""
  from av.video import reformatter

  to_rgb = reformatter.VideoReformatter()
  times = _times(stream)
  next(times)
  problems, number, turn = [], -1, None
  for number, frame in enumerate(
    containers.decoded(container, stream, problems)
  ):
    timestamp = times.send(frame)
    turn = turn or _turn(frame)
    if chosen(number, timestamp):
      _check_size(path, frame.height, frame.width)
      pixels = to_rgb.reformat(frame, format='rgb24', threads=1).to_ndarray()
      yield Frame(number, timestamp, turn(pixels))
  _complain(path, number, problems)


def _complain(path, last, problems):
  """Raises Unreadable where a clip was not read whole.

  Args:
    path: the file.
    last: the number of the last frame, -1 if there was none.
    problems: as of `containers.decoded`.
  """
  missing = containers.missing_bytes(path)
  if last < 0 and not missing and not problems:
    raise Unreadable(path, 'no frames', 'Record it again.')
  if missing:
    where = f' after frame {last}' if last >= 0 else ': no frame is left'
    told = f'{missing:,} bytes are missing: copy it again.'
    raise Unreadable(path, f'truncated{where}', told)
  if problems:
    where = f' after frame {problems[0] - 1}' if problems[0] else ''
    where = where or (
      ' at the beginning' if last >= 0 else ': no frame is left'
    )
    told = f'{len(problems)} packets or frames could not be decoded.'
    raise Unreadable(path, f'damaged{where}', told)


def _times(stream):
  """Receives frames, and yields their times in seconds from the first.

  A frame without a time, or whose time is not behind that of the frame before,
  is shown as long after that one as the rate says.
  """
  step = 1 / (_rate(stream) or _RATE)
  frame = yield
  first = _time(frame, stream)
  seconds = 0.0
  while True:
    frame = yield seconds
    time = _time(frame, stream)
    if time is None or first is None or time - first <= seconds:
      seconds += step
    else:
      seconds = time - first


def _time(frame, stream):
  """Returns the time of a frame in seconds, or None."""
  ticks = frame.dts if frame.pts is None else frame.pts
  return None if ticks is None else float(ticks * stream.time_base)


def _rate(stream):
  """Returns frames a second, or None."""
  rate = stream.average_rate or stream.guessed_rate
  return float(rate) if rate else None


def _turn(frame):
  """Returns the function that turns pixels upright, as the metadata say.

  The metadata are a matrix [[a, b], [c, d]]: what is at (x, y) is shown at
  (a x + c y, b x + d y). Here a and d, or b and c, are 0.
  """
  from av.sidedata import sidedata

  matrix = frame.side_data.get(sidedata.Type.DISPLAYMATRIX)
  if matrix is None:
    return lambda pixels: pixels
  a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5]
  swaps = abs(b) > abs(a)
  down, across = (b, c) if swaps else (d, a)
  order = [-1 if side < 0 else 1 for side in (down, across)]

  def turn(pixels):
    pixels = pixels.swapaxes(0, 1) if swaps else pixels
    return np.ascontiguousarray(pixels[:: order[0], :: order[1]])

  return turn
