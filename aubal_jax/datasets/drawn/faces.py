"""Drawn faces whose geometry follows the eight action units of the paper.

The parts of a face come from face_parts.py. Yaw, roll, scale and shift are
applied to all their points at once, OpenCV fills the shapes on a canvas of
twice the size, and light, blur and noise follow.
"""

import dataclasses
from collections.abc import Mapping

import cv2
import numpy as np

from aubal_jax.datasets import action_units
from aubal_jax.datasets.drawn import face_parts

_SHIFT = 4  # Fractional bits of the coordinates given to OpenCV.
_HEAD = 0.28  # Half the width of a head, as a share of the image's side.


def make_subject(rng: np.random.Generator) -> face_parts.Subject:
  """Returns a person drawn from `rng`."""
  skin = rng.uniform(105, 225)
  bald = rng.random() < 0.12
  return face_parts.Subject(
    jaw=rng.uniform(0.62, 0.86),
    chin=rng.uniform(1.18, 1.36),
    skin=skin,
    hair=rng.uniform(15, min(0.62 * skin, 120)),
    hairline=-1.5 if bald else rng.uniform(-1.05, -0.86),
    hair_length=rng.choice([-0.1, 0.3, 1.0, 1.4]) + rng.uniform(-0.1, 0.1),
    eye_x=rng.uniform(0.39, 0.46),
    eye_open=rng.uniform(0.085, 0.11),
    brow_y=rng.uniform(-0.5, -0.44),
    brow_tilt=rng.uniform(-0.02, 0.04),
    brow_thickness=rng.uniform(0.06, 0.12),
    nose_y=rng.uniform(0.28, 0.36),
    nose_width=rng.uniform(0.12, 0.19),
    mouth_y=rng.uniform(0.68, 0.76),
    mouth_width=rng.uniform(0.31, 0.39),
    mouth_curve=rng.uniform(-0.05, 0.0),
    lips=rng.uniform(0.06, 0.1),
    lip_grey=rng.uniform(0.58, 0.75),
    glasses=bool(rng.random() < 0.2),
    cloth=rng.uniform(30, 220),
  )


@dataclasses.dataclass(frozen=True)
class View:
  """How a face is looked at.

  Attributes:
    yaw: to one side, radians; likewise `roll`.
    roll: turned in the picture, radians.
    scale: of the head, 1 = as usual.
    shift: float[2], of the head, in shares of the picture's side.
    wall: grey of the background.
    direction: where light comes from, radians.
    strength: by how much light falls off.
    level: of the light.
    blur: sigma in pixels of a picture of 112.
    noise: sigma, in greys.
  """

  yaw: float
  roll: float
  scale: float
  shift: np.ndarray
  wall: float
  direction: float
  strength: float
  level: float
  blur: float
  noise: float


def draw_view(rng: np.random.Generator) -> View:
  """Returns a view drawn from `rng`."""
  return View(
    yaw=rng.uniform(-0.3, 0.3),
    roll=rng.uniform(-0.24, 0.24),
    scale=rng.uniform(0.9, 1.1),
    shift=rng.uniform(-0.06, 0.06, 2),
    wall=rng.uniform(40, 220),
    direction=rng.uniform(0, 2 * np.pi),
    strength=rng.uniform(0, 0.25),
    level=rng.uniform(0.8, 1.1),
    blur=rng.uniform(0, 0.8),
    noise=rng.uniform(1, 4),
  )


def project(points: np.ndarray, view: View, size: int) -> np.ndarray:
  """Returns float[P, 2], where head points are in a picture of that side.

  The corner of the first pixel is 0, 0.
  """
  scale = _HEAD * size * view.scale
  shift = size * (0.5 + view.shift)
  x, y = points.T
  depth = np.sqrt(np.maximum(0.0, 1 - 0.7 * x**2 - 0.35 * y**2))
  x = x * np.cos(view.yaw) + (depth - 0.5) * np.sin(view.yaw)
  cos, sin = scale * np.cos(view.roll), scale * np.sin(view.roll)
  y = y + 0.08
  return np.stack([cos * x - sin * y, sin * x + cos * y], axis=1) + shift


def draw_face(
  subject: face_parts.Subject,
  intensity: np.ndarray,
  rng: np.random.Generator,
  image_size: int,
  hidden: Mapping[str, float] | None = None,
  view: View | None = None,
) -> np.ndarray:
  """Returns uint8[image_size, image_size], one grey picture of `subject`.

  What is drawn from `rng` (the view, unless it is given, and noise) does not
  depend on `intensity`: the same state gives the same view of another
  expression.

  Args:
    subject: who is drawn.
    intensity: float[8] in [0, 1], how strong each AU is, in CODES' order.
    rng: of the view; its state moves on.
    image_size: height and width in pixels.
    hidden: intensities of `face_parts.HIDDEN`; None: they are 0.
    view: how it is looked at; None: drawn.
  """
  view = draw_view(rng) if view is None else view
  canvas = max(2 * image_size, 128)
  shapes = face_parts.shapes(subject, _by_name(intensity, hidden))
  points = np.concatenate([shape[0] for shape in shapes])
  pixels = project(points, view, canvas)
  pixels = np.rint((pixels - 0.5) * 2**_SHIFT).astype(np.int32)
  ends = np.cumsum([len(shape[0]) for shape in shapes])[:-1]
  wall = view.wall
  if abs(wall - subject.skin) < 35:  # The face must stand out from it.
    wall += 70 if wall < 110 else -70
  picture = np.full((canvas, canvas), wall, np.uint8)
  for line, (_, grey, width) in zip(
    np.split(pixels, ends), shapes, strict=True
  ):
    if width:
      width = max(1, round(width * canvas / 224))
      cv2.polylines(picture, [line], False, grey, width, cv2.LINE_AA, _SHIFT)
    else:
      cv2.fillPoly(picture, [line], grey, cv2.LINE_AA, _SHIFT)
  size = (image_size, image_size)
  picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
  return _expose(picture, view, rng)


def landmarks(
  subject: face_parts.Subject,
  intensity: np.ndarray,
  view: View,
  image_size: int,
  hidden: Mapping[str, float] | None = None,
) -> np.ndarray:
  """Returns float[68, 2], the landmarks of a face in pixels, as 300-W has them.

  The centre of the first pixel is 0, 0.

  Args:
    subject: who is drawn.
    intensity: as in `draw_face`; likewise `hidden`.
    view: how it is looked at.
    image_size: height and width in pixels.
    hidden: intensities of `face_parts.HIDDEN`; None: they are 0.
  """
  points = face_parts.landmarks(subject, _by_name(intensity, hidden))
  return project(points, view, image_size) - 0.5


def _by_name(intensity, hidden):
  a = dict(zip(action_units.CODES, map(float, intensity), strict=True))
  return a | dict(hidden or {})


def _expose(picture, view, rng):
  """Returns `picture` under light from one side, blurred, with noise."""
  size = len(picture)
  direction, strength = view.direction, view.strength
  axis = np.linspace(-1, 1, size, dtype=np.float32)
  light = np.float32(view.level) + np.float32(strength) * (
    np.float32(np.cos(direction)) * axis
    + np.float32(np.sin(direction)) * axis[:, None]
  )
  sigma = view.blur * size / 112
  noise = view.noise * rng.standard_normal((size, size), np.float32)
  bright = picture * light
  if sigma > 0.2:
    bright = cv2.GaussianBlur(bright, (0, 0), sigma)
  return np.clip(np.rint(bright + noise), 0, 255).astype(np.uint8)
