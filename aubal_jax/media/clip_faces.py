"""The faces of a clip, frame by frame, each with a number.

They are looked for in every few frames. Where two looks find the same faces
(see `tracks`), box and landmarks move evenly, over time, from the one to the
other in the frames between. Where they differ, the frame in the middle is
looked at as well, and so on in the halves, down to neighbouring frames: who
comes or goes does so to the frame, unless for less than a span. Constant
memory: the frames of one span are held, and what is known before it.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from aubal_jax.media import crop
from aubal_jax.media import tracks as tracks_lib

SPAN_BYTES = 256_000_000  # Of frames that are held; of larger ones, fewer.


class Known(typing.NamedTuple):
  """What is known after a look.

  Attributes:
    tracks: the numbers.
    faces: number -> its face, of those that were found.
    frame: the number of the frame; None: nothing was looked at.
    time: of it, in seconds.
  """

  tracks: tracks_lib.Tracks = tracks_lib.Tracks()
  faces: dict[int, crop.Face] = {}  # noqa: RUF012 - nobody writes into it.
  frame: int | None = None
  time: float = 0.0

  def to_json(self) -> list:
    """Returns what `from_json` takes, exactly, in plain JSON types."""
    faces = [
      [number, face.box.tolist(), face.confidence, face.landmarks.tolist()]
      for number, face in self.faces.items()
    ]
    return [self.tracks, faces, self.frame, self.time]


def from_json(content: Sequence) -> Known:
  """Returns what is known, of `Known.to_json`."""
  (tracks, count), faces, frame, seen = content
  kept = tuple(
    tracks_lib.Track(number, tuple(box), tuple(speed), at)
    for number, box, speed, at in tracks
  )
  return Known(
    tracks_lib.Tracks(kept, count),
    {
      number: crop.Face(np.array(box), confidence, np.array(points))
      for number, box, confidence, points in faces
    },
    frame,
    seen,
  )


def follow(
  frames: Iterable,
  find: Callable[[np.ndarray], list[crop.Face]],
  *,
  every: int,
  known: Known = Known(),  # noqa: B008 - a constant.
) -> Iterator[tuple[list[tuple[typing.Any, dict[int, crop.Face]]], Known]]:
  """Yields spans of frames with their faces, and what is known after each.

  Args:
    frames: with `number`, `timestamp` and `pixels`, uint8[h, w, 3] RGB or
      None, in order; any may be left out.
    find: the faces of an image, see `crop.all_faces`.
    every: frames from one look to the next, at most.
    known: before the first of them.

  Yields:
    [(frame, number -> face), ...] and the `Known` with which one may go on
    behind it.
  """
  held = []
  for frame in frames:
    if frame.pixels is None:
      if held:
        span, known = _settle(held, find(held[-1].pixels), find, known)
        yield span, known
        held = []
      yield [(frame, {})], known
      continue
    held.append(frame)
    # The next one is not held any more: looks must be no further apart.
    full = (len(held) + 1) * frame.pixels.nbytes > SPAN_BYTES
    due = known.frame is None or frame.number - known.frame >= every
    if due or full:
      span, known = _settle(held, find(frame.pixels), find, known)
      yield span, known
      held = []
  if held:
    yield _settle(held, find(held[-1].pixels), find, known)


def _settle(span, found, find, known):
  """Returns the faces of the frames of a span, of whose last `found` are."""
  last = span[-1]
  boxes = [face.box for face in found]
  tracks, numbers = tracks_lib.follow(known.tracks, last.timestamp, boxes)
  same = {*numbers} == {*known.faces}
  if len(span) > 1 and not same:
    middle = len(span) // 2
    first = span[:middle]
    early, known = _settle(first, find(first[-1].pixels), find, known)
    late, known = _settle(span[middle:], found, find, known)
    return early + late, known
  faces = dict(sorted(zip(numbers, found, strict=True)))
  now = Known(tracks, faces, last.number, last.timestamp)
  between = [
    (frame, _between(known, now, frame.timestamp)) for frame in span[:-1]
  ]
  return [*between, (last, faces)], now


def _between(before, after, time):
  """Returns number -> face at a time between two looks at the same faces."""
  passed = after.time - before.time
  share = (time - before.time) / passed if passed > 0 else 1.0
  share = min(max(share, 0.0), 1.0)
  return {
    number: crop.Face(
      *(
        was + share * (now - was)
        for was, now in zip(before.faces[number], face, strict=True)
      )
    )
    for number, face in after.faces.items()
  }
