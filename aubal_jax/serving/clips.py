"""Images and clips -> a stream of faces, in small pieces, from any place on."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import typing
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from aubal_jax.media import clip_faces
from aubal_jax.media import crop
from aubal_jax.media import decode
from aubal_jax.media import frame_folder
from aubal_jax.media import images as images_lib
from aubal_jax.media import video
from aubal_jax.runs import errors
from aubal_jax.serving import inputs

OK = 'ok'


class Row(typing.NamedTuple):
  """A face; or a frame or an image of which there is none, with the reason.

  Attributes:
    item: position of its image or clip.
    frame: its number; None: of an image, or not of any frame.
    time: in seconds from the first frame, or None.
    face: its number, from 1; None: there is none.
    box: left, top, width and height in pixels; None: not known.
    confidence: of the detector; None: none was asked.
    status: OK, or why nothing is predicted.
  """

  item: int
  frame: int | None = None
  time: float | None = None
  face: int | None = None
  box: list[float] | None = None
  confidence: float | None = None
  status: str = OK


class Place(typing.NamedTuple):
  """Where a stream goes on.

  Attributes:
    item: position of the image or clip.
    frame: the first frame of it that is still to come.
    known: of the faces before that.
  """

  item: int = 0
  frame: int = 0
  known: clip_faces.Known = clip_faces.Known()

  def to_json(self) -> list:
    """Returns what `place_from_json` takes."""
    return [self.item, self.frame, self.known.to_json()]


_START = Place()


def place_from_json(content: Sequence) -> Place:
  """Returns the place, of `Place.to_json`."""
  return Place(content[0], content[1], clip_faces.from_json(content[2]))


class Piece(typing.NamedTuple):
  """A few rows of the stream.

  Attributes:
    rows: in order.
    images: uint8[H, W, C] of each row that is OK.
    frames: how many frames and images these are of.
    after: where the stream goes on.
    ends: whether the image or clip is through.
  """

  rows: list[Row]
  images: list[np.ndarray]
  frames: int
  after: Place
  ends: bool = False


@dataclasses.dataclass(frozen=True)
class Reader:
  """Reads faces as a network sees them.

  Attributes:
    items: images and clips.
    pixels: what a face becomes; `crop`: 'none', and each frame is one, whole.
    pace: which frames are read.
    detect_every: frames from one look for faces to the next, at most.
    fps: of folders of frames without a table of times.
  """

  items: Sequence[inputs.Item]
  pixels: images_lib.Pixels
  pace: inputs.Pace
  detect_every: int = 5
  fps: float = 0.0

  def pieces(self, place: Place = _START) -> Iterator[Piece]:
    """Yields the pieces from a place on."""
    for position in range(place.item, len(self.items)):
      item = self.items[position]
      if item.kind == inputs.IMAGE:
        yield self._image(position, item.path)
      else:
        yield from self._clip(position, item.path, place)
      place = Place(position + 1)

  def expected(self, item: inputs.Item) -> int | None:
    """Returns how many frames an item seems to have; None: it does not say."""
    if item.kind == inputs.IMAGE:
      return 1
    try:
      if os.path.isdir(item.path):
        count, fps = len(frame_folder.files(item.path)), self.fps
      else:
        about = video.about(item.path)
        count, fps = about.frames, about.fps
    except errors.UserError:
      return 0
    seconds = self.pace.every_seconds
    if count is None or (seconds and not fps):
      return None
    # Of a rate that is slower all frames are taken.
    step = max(seconds * fps, 1) if seconds else self.pace.every
    return math.ceil(count / step)

  @functools.cached_property
  def _find(self) -> Callable[[np.ndarray], list[crop.Face]]:
    """Returns what finds all faces of an image."""
    find = crop.make_find(self.pixels.crop)
    return lambda image: crop.all_faces(find, image)

  def _image(self, position, path) -> Piece:
    """Returns the faces of an image file."""
    after = Place(position + 1)
    try:
      contents = decode.read_contents(path)
      seen = decode.image(contents, self.pixels.channels)
      if self.pixels.crop == 'none':
        faces = {1: None}
        shape = seen.shape
      else:
        colours = decode.image(contents, channels=3)
        faces = dict(enumerate(self._find(colours), 1))
        shape = colours.shape
    except ValueError as error:
      row = Row(position, status=_unreadable(error))
      return Piece([row], [], 1, after, ends=True)
    rows, images = self._cut(Row(position), seen, faces, shape)
    return Piece(rows, images, 1, after, ends=True)

  def _clip(self, position, path, place) -> Iterator[Piece]:
    """Yields the faces of a clip, and at its end why no more can be read."""
    end = Piece([], [], 0, Place(position + 1), ends=True)
    frames = video.frames(
      path,
      every=self.pace.every,
      every_seconds=self.pace.every_seconds,
      start=place.frame,
      **({'fps': self.fps} if self.fps else {}),
    )
    try:
      for span, known in self._spans(frames, place.known):
        rows, images = [], []
        for frame, faces in span:
          some, cut = self._frame(position, frame, faces)
          rows += some
          images += cut
        after = Place(position, span[-1][0].number + 1, known)
        yield Piece(rows, images, len(span), after)
    except errors.UserError as error:
      row = Row(position, status=_unreadable(error))
      yield end._replace(rows=[row])
    else:
      yield end

  def _spans(self, frames, known):
    """Returns spans of frames with their faces, see `clip_faces.follow`."""
    if self.pixels.crop == 'none':
      return (([(frame, {1: None})], known) for frame in frames)
    return clip_faces.follow(
      frames, self._find, every=self.detect_every, known=known
    )

  def _frame(self, position, frame, faces):
    """Returns the rows of a frame, and what the network sees of them."""
    row = Row(position, frame.number, round(frame.timestamp, 6))
    if frame.pixels is None:
      return [row._replace(status=_unreadable(frame.problem))], []
    seen = decode.converted(frame.pixels, self.pixels.channels)
    return self._cut(row, seen, faces, frame.pixels.shape)

  def _cut(self, row, seen, faces, shape):
    """Returns the rows of the faces of an image, and those cut out.

    Args:
      row: what is known of the image.
      seen: uint8[h, w] or uint8[h, w, 3], of the channels of the network.
      faces: number -> face; None: the whole.
      shape: of the image.
    """
    if not faces:
      return [row._replace(status=crop.NO_FACE)], []
    rows, images = [], []
    for number, face in faces.items():
      box = [0.0, 0.0, float(shape[1]), float(shape[0])]
      confidence = points = None
      if face is not None:
        box, confidence = face.box.tolist(), float(face.confidence)
        points = face.landmarks.astype(np.float32)
      one = row._replace(face=number, box=box, confidence=confidence)
      try:
        images.append(images_lib.prepare(seen, self.pixels, points))
      except errors.UserError as error:
        one = one._replace(status=_unreadable(error))
      rows.append(one)
    return rows, images


def _unreadable(reason) -> str:
  """Returns the status of what cannot be read, of an error or its words."""
  return f'unreadable: {getattr(reason, "reason", reason)}'
