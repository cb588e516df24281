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
from aubal_jax.serving import seen as seen_lib

OK = 'ok'
NO_SOUND = 'no sound'  # It is predicted all the same, by what is seen.


class Row(typing.NamedTuple):
  """A face; or a frame or an image of which there is none, with the reason.

  Attributes:
    item: position of its image or clip.
    frame: its number; None: of an image, or not of any frame.
    time: in seconds from the first frame, or None.
    face: its number, from 1; None: there is none.
    box: left, top, width and height in pixels; None: not known.
    confidence: of the detector; None: none was asked.
    status: OK, or what is wrong.
  """

  item: int
  frame: int | None = None
  time: float | None = None
  face: int | None = None
  box: list[float] | None = None
  confidence: float | None = None
  status: str = OK

  @property
  def is_predicted(self) -> bool:
    """Whether something is predicted of it."""
    return self.status in (OK, NO_SOUND)


class Place(typing.NamedTuple):
  """Where a stream goes on.

  Attributes:
    item: position of the image or clip.
    frame: the first frame of it that is still to come.
    known: of the faces before that.
    past: what a network of clips saw before that, of `seen.Past.to_json`.
  """

  item: int = 0
  frame: int = 0
  known: clip_faces.Known = clip_faces.Known()
  past: Sequence = ()

  def to_json(self) -> list:
    """Returns what `place_from_json` takes."""
    return [self.item, self.frame, self.known.to_json(), [*self.past]]


_START = Place()


def place_from_json(content: Sequence) -> Place:
  """Returns the place, of `Place.to_json`."""
  item, frame, known, past = content
  return Place(item, frame, clip_faces.from_json(known), past)


class Piece(typing.NamedTuple):
  """A few rows of the stream.

  Attributes:
    rows: in order.
    seen: of each row that is predicted, name of stream -> what is seen.
    frames: how many frames and images these are of.
    after: where the stream goes on.
    ends: whether the image or clip is through.
  """

  rows: list[Row]
  seen: list[dict[str, np.ndarray]]
  frames: int
  after: Place
  ends: bool = False


@dataclasses.dataclass(frozen=True)
class Reader:
  """Reads faces as a network sees them.

  Attributes:
    items: images and clips.
    seen: by the network.
    pace: which frames are predicted.
    detect_every: frames from one look for faces to the next, at most.
    fps: of folders of frames without a table of times.
    on_remark: called with what is odd about the sound of an item.
  """

  items: Sequence[inputs.Item]
  seen: seen_lib.Seen
  pace: inputs.Pace
  detect_every: int = 5
  fps: float = 0.0
  on_remark: Callable[[str], None] = lambda remark: None

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
    find = crop.make_find(self.seen.crop)
    return lambda image: crop.all_faces(find, image)

  def _image(self, position, path) -> Piece:
    """Returns the faces of an image file."""
    after = Place(position + 1)
    try:
      contents = decode.read_contents(path)
      colours = decode.image(contents, channels=3)
      faces = {1: None}
      if self.seen.crop != 'none':
        faces = dict(enumerate(self._find(colours), 1))
      image = colours
      if self.seen.pixels is not None:
        image = decode.image(contents, self.seen.pixels.channels)
    except ValueError as error:
      row = Row(position, status=_unreadable(error))
      return Piece([row], [], 1, after, ends=True)
    row, past = Row(position), self._past(position, None)
    cut = self._cut(image, faces)
    past.add(0, 0.0, cut)
    rows, seen = self._rows(row, past, cut, faces, image)
    return Piece(rows, seen, 1, after, ends=True)

  def _clip(self, position, path, place) -> Iterator[Piece]:
    """Yields the faces of a clip, and at its end why no more can be read."""
    end = Piece([], [], 0, Place(position + 1), ends=True)
    chosen = video.Choice(self.pace.every, self.pace.every_seconds, 0)
    try:
      past = self._past(position, path)
      frames = self._remember(path, place, past, chosen)
      for span, known in self._spans(frames, place.known):
        rows, seen, count = [], [], 0
        for frame, faces in span:
          taken = chosen(frame.number, frame.timestamp)
          some = self._frame(position, frame, faces, past, taken)
          rows += some[0]
          seen += some[1]
          count += taken
        number = span[-1][0].number + 1
        after = Place(position, number, known, past.to_json())
        yield Piece(rows, seen, count, after)
    except errors.UserError as error:
      row = Row(position, status=_unreadable(error))
      yield end._replace(rows=[row])
    else:
      yield end

  def _past(self, position, path) -> seen_lib.Past:
    """Returns what is known of an item before its first frame."""
    name = self.items[position].name
    return seen_lib.Past(
      self.seen, path, lambda remark: self.on_remark(f'{name}: {remark}')
    )

  def _remember(self, path, place, past, chosen) -> Iterator:
    """Yields the frames from a place on; those before it are in the past.

    A network of clips sees frames that are not predicted.
    """
    before = seen_lib.landmarks_of(place.past)
    pace = inputs.Pace() if self.seen.clip is not None else self.pace
    frames = video.frames(
      path,
      every=pace.every,
      every_seconds=pace.every_seconds,
      start=min(before, default=place.frame),
      **({'fps': self.fps} if self.fps else {}),
    )
    for frame in frames:
      if frame.number >= place.frame:
        yield frame
        continue
      chosen(frame.number, frame.timestamp)
      faces = before.get(frame.number, {})
      if frame.pixels is not None:
        past.add(frame.number, frame.timestamp, self._cut_again(frame, faces))

  def _spans(self, frames, known):
    """Returns spans of frames with their faces, see `clip_faces.follow`."""
    if self.seen.crop == 'none':
      return (([(frame, {1: None})], known) for frame in frames)
    return clip_faces.follow(
      frames, self._find, every=self.detect_every, known=known
    )

  def _frame(self, position, frame, faces, past, taken):
    """Returns the rows of a frame, and what the network sees of them."""
    row = Row(position, frame.number, round(frame.timestamp, 6))
    if frame.pixels is None:
      row = row._replace(status=_unreadable(frame.problem))
      return ([row] if taken else []), []
    cut = self._cut(self._converted(frame.pixels), faces)
    past.add(frame.number, frame.timestamp, cut)
    if not taken:
      return [], []
    return self._rows(row, past, cut, faces, frame.pixels)

  def _converted(self, image):
    """Returns an image in the channels that the network sees."""
    pixels = self.seen.pixels
    return image if pixels is None else decode.converted(image, pixels.channels)

  def _cut(self, image, faces) -> dict:
    """Returns number -> (picture, landmarks), or why there is no picture."""
    return self._prepared(
      image,
      {
        number: None if face is None else face.landmarks.astype(np.float32)
        for number, face in faces.items()
      },
    )

  def _cut_again(self, frame, landmarks) -> dict:
    """Returns the pictures of a frame that was seen before."""
    return self._prepared(self._converted(frame.pixels), landmarks)

  def _prepared(self, image, landmarks) -> dict:
    """Returns number -> (picture, landmarks), or why there is no picture."""
    if self.seen.pixels is None:
      return dict.fromkeys(landmarks, (None, None))
    found = {}
    for number, points in landmarks.items():
      try:
        picture = images_lib.prepare(image, self.seen.pixels, points)
        found[number] = picture, points
      except errors.UserError as error:
        found[number] = _unreadable(error)
    return found

  def _rows(self, row, past, cut, faces, image):
    """Returns the rows of the faces of an image, and what is seen of them."""
    if not faces:
      return [row._replace(status=crop.NO_FACE)], []
    if not past.has_sound and self.seen.clip is None:
      return [row._replace(status=_unreadable(NO_SOUND))], []
    status = OK if past.has_sound else NO_SOUND
    rows, seen = [], []
    for number, face in faces.items():
      box, confidence = [0.0, 0.0, *map(float, image.shape[1::-1])], None
      if face is not None:
        box, confidence = face.box.tolist(), float(face.confidence)
      of = row._replace(face=number, box=box, confidence=confidence)
      if isinstance(cut[number], str):
        rows.append(of._replace(status=cut[number]))
        continue
      rows.append(of._replace(status=status))
      seen.append(past.inputs(row.time or 0.0, number, cut[number][0]))
    return rows, seen


def _unreadable(reason) -> str:
  """Returns the status of what cannot be read, of an error or its words."""
  return f'unreadable: {getattr(reason, "reason", reason)}'
