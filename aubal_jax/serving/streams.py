"""Faces of clips -> what a network of clips and sound sees of each.

A face is seen with those of its number before it, and with the sound about its
frame, as in training: all frames are read, whichever are predicted. What has
no landmarks has a black channel of their lines; what has no sound is silent.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import clips as clips_lib
from aubal_jax.media import images as images_lib
from aubal_jax.media import sound
from aubal_jax.media import spectrogram
from aubal_jax.media import video
from aubal_jax.runs import errors
from aubal_jax.serving import clips
from aubal_jax.serving import inputs

NO_SOUND = sound.NO_SOUND
# Of a network of sound alone, which sees nothing of a frame.
UNSEEN = images_lib.Pixels(image_size=1)


@dataclasses.dataclass(frozen=True)
class Reader:
  """Reads what a network sees, in the pieces of a `clips.Reader`.

  The images of a piece are dicts, name of stream -> an array of a row.

  Attributes:
    faces: of all frames.
    pace: which of them are predicted.
    streams: name -> what model.json says of it.
    on_remark: called with what is odd of an item, in words.
  """

  faces: clips.Reader
  pace: inputs.Pace
  streams: Mapping[str, dict]
  on_remark: Callable[[str], None] = lambda remark: None

  @property
  def items(self) -> Sequence[inputs.Item]:
    """Images and clips."""
    return self.faces.items

  @property
  def pixels(self) -> images_lib.Pixels:
    """What a face becomes."""
    return self.faces.pixels

  def expected(self, item: inputs.Item) -> int | None:
    """Returns how many frames are read of an item; None: not known."""
    return dataclasses.replace(self.faces, pace=self.pace).expected(item)

  def pieces(self, place: clips.Place = clips.Place()) -> Iterator[clips.Piece]:  # noqa: B008
    """Yields the pieces from a place on.

    What was seen before it in its clip is read once more, and not given.
    """
    seen = None
    for piece in self.faces.pieces(clips.Place(place.item)):
      seen = seen or self._seen(piece.after.item - piece.ends)
      made = self._made(piece, seen)
      if piece.ends:
        seen = None
      if _is_behind(piece.after, place):
        yield made

  def _seen(self, position) -> _Seen:
    """Returns what is known of an item before its first frame."""
    return _Seen(
      video.Choice(self.pace.every, self.pace.every_seconds, 0),
      _Sound(self.items[position], self.streams.get('sound'), self.on_remark),
      collections.defaultdict(list),
    )

  def _made(self, piece, seen) -> clips.Piece:
    """Returns the piece with what is seen of the rows that are wanted."""
    rows, made, frames = [], [], {}
    images = iter(piece.images)
    for row in piece.rows:
      image = next(images) if row.status == clips.OK else None
      if image is not None and 'clip' in self.streams:
        self._keep(seen.past[row.face], row, image)
      if row.frame not in frames:
        is_one = row.frame is not None
        frames[row.frame] = not is_one or seen.chosen(row.frame, row.time)
      if not frames[row.frame]:
        continue
      if image is not None and not self._is_heard(seen):
        row, image = row._replace(status=NO_SOUND), None
      rows.append(row)
      if image is not None:
        made.append(self._streams(seen, row))
    return piece._replace(rows=rows, images=made, frames=sum(frames.values()))

  def _is_heard(self, seen) -> bool:
    """Whether there is what the network needs: sound, where it sees none."""
    return 'clip' in self.streams or len(seen.sound.power) > 0

  def _keep(self, past, row, image) -> None:
    """Adds a face to those of its number, without what no clip reaches."""
    length = self.streams['clip']['shape'][0]
    past.append((self._number(row), image))
    step, tolerance = self._step
    while past[0][0] < past[-1][0] - step * (length - 1) - tolerance:
      del past[0]

  def _number(self, row) -> float:
    """Returns the place of a row in its clip, in frames or in seconds."""
    by_time = self.streams['clip'].get('made', {}).get('dilation_seconds')
    return float((row.time if by_time else row.frame) or 0)

  @functools.cached_property
  def _step(self) -> tuple[float, float]:
    """Returns the dilation, and how far off a frame may be."""
    made = self.streams['clip'].get('made', {})
    if step := made.get('dilation_seconds'):
      return step, step / 2
    return made.get('dilation', 1), 0.25

  def _streams(self, seen, row) -> dict[str, np.ndarray]:
    """Returns what is seen of a row."""
    found = {}
    if 'clip' in self.streams:
      found['clip'] = self._clip(seen.past[row.face])
    if 'sound' in self.streams:
      found['sound'] = seen.sound.window(row.time or 0.0)
    return found

  def _clip(self, past) -> np.ndarray:
    """Returns uint8[T, H, W, C] of faces up to the last."""
    shape = self.streams['clip']['shape']
    step, tolerance = self._step
    numbers = np.array([number for number, _ in past])
    places = clips_lib.positions(
      numbers, length=shape[0], dilation=step, tolerance=tolerance
    )[-1]
    clip = np.zeros(shape, np.uint8)
    for k, place in enumerate(places):
      if place != clips_lib.BLACK:
        image = past[place][1]
        clip[k, ..., : image.shape[-1]] = image
    return clip


@dataclasses.dataclass(frozen=True)
class _Seen:
  """What was seen and heard of an item.

  Attributes:
    chosen: of frame number and time, whether a frame is predicted.
    sound: of it.
    past: face -> its numbers or times, and what the network sees of it.
  """

  chosen: Callable[[int, float], bool]
  sound: _Sound
  past: Mapping[int, list]


@dataclasses.dataclass(frozen=True)
class _Sound:
  """The sound of an item, heard when it is first asked for."""

  item: inputs.Item
  stream: Mapping | None
  on_remark: Callable[[str], None]

  @functools.cached_property
  def power(self) -> np.ndarray:
    """float32[T, 64], see `spectrogram.power`."""
    if self.item.kind == inputs.IMAGE:
      return np.zeros((0, spectrogram.FILTERS), np.float32)
    try:
      return spectrogram.power(
        sound.blocks(self.item.path, on_remark=self._tell)
      )
    except errors.UserError as error:
      self._tell(getattr(error, 'reason', str(error)))
      return np.zeros((0, spectrogram.FILTERS), np.float32)

  def _tell(self, remark) -> None:
    self.on_remark(f'{self.item.name}: {remark}')

  def window(self, time: float) -> np.ndarray:
    """Returns float32[64, W] about a time."""
    made = self.stream.get('made', {})
    options = {
      name: made[name] for name in ('seconds', 'shift') if name in made
    }
    mode = made.get('window', 'published')
    return spectrogram.window(self.power, time, mode, **options)


def _is_behind(after, place) -> bool:
  """Whether a piece that ends there has anything that is still to come."""
  return (after.item, after.frame) > (place.item, place.frame)
