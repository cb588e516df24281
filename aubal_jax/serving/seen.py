"""What a network is given of a face: its picture, or what led to it.

A network of clips sees the frames of a face up to the one that is predicted,
at the steps of its training; one that hears, the sound of the clip about it.
"""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import clips
from aubal_jax.datasets import streams
from aubal_jax.media import images as images_lib
from aubal_jax.media import sound
from aubal_jax.media import spectrogram
from aubal_jax.runs import errors

_NEAR_FRAMES = 0.25  # How far a frame of a clip may be off, in frames.


@dataclasses.dataclass(frozen=True)
class Seen:
  """What a network is given of a row.

  Attributes:
    pixels: what a picture becomes; None: it sees none.
    clip: of model.json, of a network of clips; else None.
    sound: likewise, of one that hears.
  """

  pixels: images_lib.Pixels | None
  clip: Mapping | None = None
  sound: Mapping | None = None

  @property
  def is_image(self) -> bool:
    """Whether it sees a picture alone."""
    return self.clip is None and self.sound is None

  @property
  def crop(self) -> str:
    """What finds faces; 'none': none are looked for."""
    return 'none' if self.pixels is None else self.pixels.crop

  @property
  def has_mask(self) -> bool:
    """Whether a clip has a channel of the lines of landmarks."""
    return (
      self.clip is not None and self.clip['shape'][-1] > self.pixels.channels
    )

  @property
  def step(self) -> tuple[float, float, bool]:
    """The dilation of a clip, how far off a frame may be, whether in time."""
    made = self.clip['made']
    if seconds := made.get('dilation_seconds'):
      return seconds, seconds / 2, True
    return made['dilation'], _NEAR_FRAMES, False

  @property
  def reach(self) -> float:
    """How far back a clip reaches, in frames or seconds."""
    if self.clip is None:
      return 0.0
    dilation, off, _ = self.step
    return (self.clip['shape'][0] - 1) * dilation + off


def of(description) -> Seen:
  """Returns what a network is given, of its `bundle.Description`.

  Raises:
    UserError: it sees anything else.
  """
  there = {*description.streams}
  known = {streams.CLIP, streams.SOUND}
  if description.pixels is not None and not there:
    return Seen(description.pixels)
  if description.pixels is None and there and there <= known:
    clip, heard = (description.streams.get(n) for n in sorted(known))
    lacking = [n for n in sorted(there) if 'made' not in description.streams[n]]
    if not lacking and (clip is None or description.frames is not None):
      return Seen(description.frames, clip, heard)
  names = [*there, *(['image'] if description.pixels is not None else [])]
  raise errors.UserError(
    f'This network sees {", ".join(sorted(names))}, and what is predicted of '
    'files are faces, clips of them and sound. The evaluate task scores it on '
    'its data set (--config.task=evaluate).'
  )


class Past:
  """The frames of a clip up to one, as far as a network sees them."""

  def __init__(
    self, seen: Seen, path: str | None, on_remark: Callable[[str], None]
  ):
    """Hears the sound of a clip, if that is wanted.

    Args:
      seen: by the network.
      path: of the clip, or folder of frames; None: an image.
      on_remark: called with what is odd about the sound.
    """
    self._seen = seen
    self._frames = collections.deque()
    self._power, self.has_sound = None, True
    if seen.sound is not None:
      self._power = _power(path, on_remark)
      self.has_sound = len(self._power) > 0

  def add(self, frame: int, time: float, faces: Mapping) -> None:
    """Takes the next frame.

    Args:
      frame: its number.
      time: in seconds from the first.
      faces: number -> (picture uint8[H, W, C], landmarks or None); or a text,
        why there is no picture.
    """
    if self._seen.clip is None:
      return
    good = {n: x for n, x in faces.items() if not isinstance(x, str)}
    self._frames.append((frame, time, good))
    at = self._at(self._frames[-1])
    while self._at(self._frames[0]) < at - self._seen.reach - 1e-9:
      self._frames.popleft()

  def _at(self, held) -> float:
    """Returns the number of a frame, or its time."""
    return held[1] if self._seen.step[2] else held[0]

  def inputs(self, time: float, face: int, picture) -> dict[str, np.ndarray]:
    """Returns name of stream -> what the network sees of the last frame.

    Args:
      time: of it.
      face: the number of the face.
      picture: of it; None where it sees none.
    """
    if self._seen.is_image:
      return {streams.IMAGE: picture}
    found = {}
    if self._seen.clip is not None:
      found[streams.CLIP] = self._clip(face)
    if self._power is not None:
      made = self._seen.sound['made']
      found[streams.SOUND] = spectrogram.window(
        self._power,
        time,
        made['window'],
        seconds=made['seconds'],
        shift=made['shift'],
      )
    return found

  def _clip(self, face) -> np.ndarray:
    """Returns uint8[T, H, W, C] of a face; black where it is not there.

    A channel of the lines of landmarks is black: none are found here.
    """
    shape = tuple(self._seen.clip['shape'])
    made = np.zeros(shape, np.uint8)
    there = [held for held in self._frames if face in held[2]]
    dilation, off, _ = self._seen.step
    places = clips.positions(
      np.array([self._at(held) for held in there]),
      length=shape[0],
      dilation=dilation,
      tolerance=off,
    )[-1]
    for frame, place in zip(made, places.tolist(), strict=True):
      if place != clips.BLACK:
        picture = there[place][2][face][0]
        frame[..., : picture.shape[-1]] = picture
    return made

  def to_json(self) -> list:
    """Returns frames, and where the faces are that were cut out of them."""
    return [
      [frame, [[n, _plain(points)] for n, (_, points) in faces.items()]]
      for frame, _, faces in self._frames
    ]


def _power(path, on_remark) -> np.ndarray:
  """Returns the mel power of the sound of a clip, [0, 64] without any."""
  if path is None or not os.path.exists(path):
    return spectrogram.power(np.zeros(0, np.float32))
  try:
    return spectrogram.power(sound.blocks(path, on_remark=on_remark))
  except errors.UserError:  # What is wrong with the clip is told of its frames.
    return spectrogram.power(np.zeros(0, np.float32))


def _plain(points):
  return None if points is None else np.asarray(points).tolist()


def landmarks_of(content: Sequence) -> dict[int, dict[int, np.ndarray | None]]:
  """Returns frame -> face -> landmarks, of `Past.to_json`."""
  return {
    frame: {
      n: None if points is None else np.array(points, np.float32)
      for n, points in faces
    }
    for frame, faces in content
  }
