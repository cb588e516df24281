"""Numbers of faces, from one look at a clip to the next.

A face keeps its number where its box overlaps the one that is expected of a
number: that of the last look, moved on by the speed of its centre. Pairs are
those of the largest sum of overlaps (intersection over union). Nobody is known
by looks: who is away for longer than `KEPT_SECONDS`, or comes back at another
place, gets a new number.
"""

from __future__ import annotations

import typing

import numpy as np
from scipy import optimize

LEAST_OVERLAP = 0.3  # Of boxes that may be of one face.
KEPT_SECONDS = 1.0  # A number waits as long for a face that is not found.
_EASE_SECONDS = 0.2  # In which a speed follows what is seen, by 1 - 1/e.


class Track(typing.NamedTuple):
  """A face with a number, as it was seen last.

  Attributes:
    number: from 1.
    box: left, top, width and height in pixels.
    speed: of its centre, x and y in pixels a second.
    time: in seconds.
  """

  number: int
  box: tuple[float, float, float, float]
  speed: tuple[float, float]
  time: float


class Tracks(typing.NamedTuple):
  """All that is known before a look.

  Attributes:
    tracks: those that were seen in the last `KEPT_SECONDS`.
    count: numbers that were given; none is given twice.
  """

  tracks: tuple[Track, ...] = ()
  count: int = 0


def follow(
  before: Tracks, time: float, boxes: np.ndarray
) -> tuple[Tracks, list[int]]:
  """Returns what is known after a look, and the numbers of its faces.

  Args:
    before: the look.
    time: of it, in seconds, later than those before.
    boxes: float[F, 4], left, top, width and height.
  """
  boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
  held = {track.number: track for track in before.tracks}
  numbers = [0] * len(boxes)
  for track, face in _pairs(before, time, boxes):
    numbers[face] = track.number
  count, seen = before.count, []
  for face, box in enumerate(boxes.tolist()):
    if not numbers[face]:
      count += 1
      numbers[face] = count
    seen.append(_seen(held.get(numbers[face]), numbers[face], box, time))
  missed = [
    track
    for number, track in held.items()
    if number not in numbers and time - track.time <= KEPT_SECONDS
  ]
  tracks = sorted([*seen, *missed], key=lambda track: track.number)
  return Tracks(tuple(tracks), count), numbers


def _pairs(before, time, boxes):
  """Yields (track, position of its face)."""
  tracks = [t for t in before.tracks if time - t.time <= KEPT_SECONDS]
  if not tracks or not len(boxes):
    return
  expected = np.array([expect(track, time) for track in tracks])
  overlap = overlaps(expected, boxes)
  worth = np.where(overlap >= LEAST_OVERLAP, overlap, 0)
  for row, face in zip(
    *optimize.linear_sum_assignment(worth, maximize=True), strict=True
  ):
    if worth[row, face] > 0:
      yield tracks[row], int(face)


def expect(track: Track, time: float) -> tuple[float, float, float, float]:
  """Returns the box that is expected of a track at a time."""
  left, top, width, height = track.box
  x, y = (speed * (time - track.time) for speed in track.speed)
  return left + x, top + y, width, height


def _seen(track, number, box, time):
  """Returns the track of a face after a look."""
  if track is None or time <= track.time:
    speed = (0.0, 0.0) if track is None else track.speed
    return Track(number, tuple(box), speed, time)
  passed = time - track.time
  moved = [
    (now + side / 2 - was - old / 2) / passed
    for now, side, was, old in zip(
      box[:2], box[2:], track.box[:2], track.box[2:], strict=True
    )
  ]
  weight = float(-np.expm1(-passed / _EASE_SECONDS))
  speed = tuple(
    old + weight * (new - old)
    for old, new in zip(track.speed, moved, strict=True)
  )
  return Track(number, tuple(box), speed, time)


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
  """Returns float64[A, B], the intersection over union of boxes.

  Args:
    one: float[A, 4], left, top, width and height.
    other: float[B, 4].
  """
  low = np.maximum(one[:, None, :2], other[None, :, :2])
  high = np.minimum(
    (one[:, :2] + one[:, 2:])[:, None], (other[:, :2] + other[:, 2:])[None]
  )
  common = np.maximum(high - low, 0.0).prod(axis=2)
  areas = one[:, 2:].prod(axis=1)[:, None] + other[:, 2:].prod(axis=1)[None]
  either = areas - common
  return np.divide(common, either, out=np.zeros_like(common), where=either > 0)
