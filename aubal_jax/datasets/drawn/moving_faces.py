"""One drawn video: a face that moves, and what is heard of it.

Every second there is another pose, drawn by `expressions.draw_truth`, and the
face moves from one to the next; yaw, roll and light move slowly, too. The head
nods, and the sound is of 8 harmonics, 1 / k, of a pitch that rises with
A_sound, and so does its level; both begin elsewhere for each person.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from aubal_jax.datasets import action_units
from aubal_jax.datasets.drawn import expressions
from aubal_jax.datasets.drawn import face_parts
from aubal_jax.datasets.drawn import faces

FPS = 30
RATE = 44_100  # Samples a second.
_POSE = FPS  # Frames from one to the next; likewise of views and of nodding.
_VIEW = 2 * FPS
_NOD = 4 * FPS
_NOD_HERTZ = (2.0, 0.7)  # Less valence, and more.
_NOD_SIZE = 0.04  # Of the side of the picture.
_FELT = 42  # Frames before, over which nodding is felt.
_MOVING = ('yaw', 'roll', 'direction', 'strength', 'level')


@dataclasses.dataclass(frozen=True)
class Film:
  """A video of T frames.

  Attributes:
    person: who is seen.
    truth: of the T faces; `affect` is that of the expression.
    view: of T frames: each field of it is an array of T.
    nodding: float[T] in [-1, 1], what nodding adds to valence.
    heard: float[T], A_sound.
    seed: of the noise of its pictures, and of the voice.
  """

  person: face_parts.Subject
  truth: expressions.Truth
  view: faces.View
  nodding: np.ndarray
  heard: np.ndarray
  seed: tuple[int, ...]

  def __len__(self):
    return len(self.heard)

  def picture(self, frame: int, image_size: int) -> np.ndarray:
    """Returns uint8[image_size, image_size] of a frame."""
    intensity, hidden = self._units(frame)
    rng = np.random.default_rng([*self.seed, 2, frame])
    view = self._view(frame)
    return faces.draw_face(
      self.person, intensity, rng, image_size, hidden, view
    )

  def landmarks(self, frame: int, image_size: int) -> np.ndarray:
    """Returns float[68, 2], see `faces.landmarks`."""
    intensity, hidden = self._units(frame)
    view = self._view(frame)
    return faces.landmarks(self.person, intensity, view, image_size, hidden)

  def sound(self) -> np.ndarray:
    """Returns float32[n], samples at `RATE` from the first frame on."""
    rng = np.random.default_rng([*self.seed, 3])
    base, level = rng.uniform(90, 200), -24 + rng.uniform(-3, 3)
    size = round(len(self) / FPS * RATE)
    times = np.arange(size) / RATE * FPS
    heard = np.interp(times, np.arange(len(self)), self.heard)
    phase = 2 * np.pi * np.cumsum(base * 2 ** (0.7 * heard)) / RATE
    wave = sum(np.sin(k * phase) / k for k in range(1, 9))
    wave *= 10 ** ((level + 12 * heard) / 20)
    return (wave + 0.002 * rng.standard_normal(size)).astype(np.float32)

  def _units(self, frame):
    """Returns intensities of the labels, and of the hidden action units."""
    count = len(action_units.CODES)
    intensity = self.truth.intensity[frame]
    hidden = dict(zip(face_parts.HIDDEN, intensity[count:], strict=True))
    return intensity[:count], hidden

  def _view(self, frame):
    return faces.View(
      **{
        field.name: getattr(self.view, field.name)[frame]
        for field in dataclasses.fields(faces.View)
      }
    )


def draw(seed: tuple[int, ...], length: int, ratio: float = 1.0) -> Film:
  """Returns a film of its own A_sound, in [-1, 1].

  Args:
    seed: of everything.
    length: T frames.
    ratio: see `expressions.draw_truth`.
  """
  rng = np.random.default_rng([*seed, 0])
  person = faces.make_subject(rng)
  poses = expressions.draw_truth(_count(length, _POSE), rng, ratio)
  heard = _between(rng.uniform(-1, 1, _count(length, _POSE)), _POSE, length)
  more = rng.integers(0, 2, _count(length, _NOD))
  more = more[(np.arange(length) + rng.integers(_NOD)) // _NOD]
  phase = rng.random() + np.cumsum(np.take(_NOD_HERTZ, more)) / FPS
  view = _draw_views(rng, length)
  view.shift[:, 1] += _NOD_SIZE * np.sin(2 * np.pi * phase)
  return Film(*(person, _move(poses, length), view, _felt(more), heard, seed))


def _count(length, hold) -> int:
  """Returns how many poses, one each `hold` frames, are about the frames."""
  return length // hold + 2


def _between(poses, hold, length):
  """Returns the way from pose to pose, float[length, ...]: half a cosine."""
  number, rest = np.divmod(np.arange(length), hold)
  w = (1 - np.cos(np.pi * rest / hold)) / 2
  w = w.reshape(-1, *[1] * (poses.ndim - 1))
  return (1 - w) * poses[number] + w * poses[number + 1]


def _move(poses, length) -> expressions.Truth:
  """Returns the faces from pose to pose; the expression is of the nearer."""
  intensity = _between(poses.intensity, _POSE, length)
  return expressions.Truth(
    poses.codes[(np.arange(length) + _POSE // 2) // _POSE],
    _between(poses.strength, _POSE, length),
    np.where(intensity < expressions.SEEN, 0.0, intensity),
    _between(poses.affect, _POSE, length),
  )


def _draw_views(rng, length) -> faces.View:
  """Returns the views of the frames; `_MOVING` of them move."""
  drawn = [faces.draw_view(rng) for _ in range(_count(length, _VIEW))]
  fields = {}
  for field in dataclasses.fields(faces.View):
    poses = np.array([getattr(view, field.name) for view in drawn], float)
    if field.name not in _MOVING:
      poses[:] = poses[0]
    fields[field.name] = _between(poses, _VIEW, length)
  return faces.View(**fields)


def _felt(more):
  """Returns float[T], what of 1 and 0 was there lately, as 1 and -1."""
  sums = np.cumsum(np.concatenate([[0.0], 2.0 * more - 1]))
  end = np.arange(1, len(more) + 1)
  start = np.maximum(end - _FELT, 0)
  return (sums[end] - sums[start]) / (end - start)
