"""Cuts faces out by five landmarks: to the same place, upright, in one size.

Landmarks are found once for a set of files, and kept in parts of `PART_IMAGES`
images, each a file that is written whole or not at all: a run that was killed
goes on where it was. The template and the warp need OpenCV alone.
"""

import dataclasses
import functools
import os
import pathlib
import types
import typing
import zipfile
from collections.abc import Callable

import cv2
import numpy as np

from aubal_jax.media import caches
from aubal_jax.media import decode
from aubal_jax.runs import errors
from aubal_jax.runs import extras
from aubal_jax.runs import progress
from aubal_jax.runs import quiet
from aubal_jax.runs import workers

PART_IMAGES = 256
LONGEST_SIDE = 320  # Larger images are shrunk to it before a face is sought.
LEAST_CONFIDENCE = 0.9  # Of a face that counts.
_FORMAT = 1  # Of what is kept; another number is another cache.

NO_FACE = 'no face found'  # Why a row is dropped whose face is not found.

# Where the landmarks go. The unit is the distance of the pupils, u, which is
# `_EYE_DISTANCE` of the side of the crop; 63 mm in the mean adult. The tip of
# the nose is 0.6 u below the eyes, the mouth 1.1 u and 0.8 u wide. A face is
# 2.2 u wide, its chin 1.9 u below the eyes and its hair 1.1 u above: all that
# action units move is in the crop. The cheeks end 17 % of the side from its
# edges and the chin 8 %; that is the margin.
_EYE_DISTANCE = 0.3
_EYE_HEIGHT = 0.35  # From the top, in shares of the side.

# Left and right eye, nose tip, left and right corner of the mouth, as the
# camera sees them: x, y in shares of the side of the crop. Symmetric, so that
# a mirrored image gives the mirrored crop.
TEMPLATE = np.array([0.5, _EYE_HEIGHT]) + _EYE_DISTANCE * np.array(
  [[-0.5, 0.0], [0.5, 0.0], [0.0, 0.6], [-0.4, 1.1], [0.4, 1.1]]
)

_LEAST_SPREAD = 1.0  # Pixels: what is closer together has no direction.


class Face(typing.NamedTuple):
  """A face that was found in an image.

  Attributes:
    box: float64[4], left, top, width and height in pixels.
    confidence: of what found it, in [0, 1].
    landmarks: float64[5, 2], see `align`.
  """

  box: np.ndarray
  confidence: float
  landmarks: np.ndarray


def align(
  image: np.ndarray, landmarks: np.ndarray, image_size: int
) -> np.ndarray:
  """Returns the face, moved, turned and scaled so that it fits the template.

  The similarity (no shear, no mirroring) is that of least squares over all
  five points. What shrinks is first averaged over areas, so nothing aliases;
  what lies outside the image is black.

  Args:
    image: uint8[h, w] or uint8[h, w, 3].
    landmarks: float[5, 2], x and y in pixels in the order of `TEMPLATE`; the
      centre of the first pixel is 0, 0.
    image_size: side of the crop in pixels.

  Returns:
    uint8[image_size, image_size] or uint8[image_size, image_size, 3].

  Raises:
    UserError: the landmarks are not finite, or at one place.
  """
  factor, shift = _similarity(landmarks, TEMPLATE * image_size - 0.5)
  # [x, y] -> [[re, -im], [im, re]] [x, y] + shift.
  matrix = np.array(
    [
      [factor.real, -factor.imag, shift.real],
      [factor.imag, factor.real, shift.imag],
    ]
  )
  if abs(factor) < 1:
    image, grown = _shrink(image, abs(factor))
    matrix[:, 2] += matrix[:, :2] @ ((grown - 1) / 2)
    matrix[:, :2] *= grown
  return cv2.warpAffine(image, matrix, (image_size, image_size))


def move(
  points: np.ndarray, landmarks: np.ndarray, image_size: int
) -> np.ndarray:
  """Returns float[P, 2], where points of an image are in its `align`ed face.

  Args:
    points: float[P, 2], in pixels of the image.
    landmarks: as in `align`; likewise `image_size`.
    image_size: side of the crop in pixels.

  Raises:
    UserError: the landmarks are not finite, or at one place.
  """
  factor, shift = _similarity(landmarks, TEMPLATE * image_size - 0.5)
  moved = factor * (points @ [1, 1j]) + shift
  return np.stack([moved.real, moved.imag], axis=1)


def _shrink(image, ratio):
  """Returns a smaller image, by areas, and float[2], how much wider and higher.

  A pixel p of the small image lies at (p + 1/2) grown - 1/2.
  """
  height, width = image.shape[:2]
  small = [max(1, round(ratio * side)) for side in (width, height)]
  grown = np.array([width / small[0], height / small[1]])
  return cv2.resize(image, small, interpolation=cv2.INTER_AREA), grown


def _similarity(points, targets):
  """Returns complex a, b with the least sum of |a z + b - w|^2.

  z = x + iy of the points, w of the targets; multiplying by a turns and
  scales, and cannot mirror.
  """
  points = np.asarray(points, np.float64)
  if not np.isfinite(points).all() or (
    np.linalg.norm(points.std(axis=0)) < _LEAST_SPREAD
  ):
    raise errors.UserError(
      'the landmarks of a face must be finite and not all at one place, not '
      f'{points.round(1).tolist()}'
    )
  z, w = points @ [1, 1j], targets @ [1, 1j]
  centred = z - z.mean()
  a = np.vdot(centred, w) / np.vdot(centred, centred).real
  return a, w.mean() - a * z.mean()


def find_faces(
  paths: list[str],
  *,
  detector: str = 'mtcnn',
  cache_dir: str = '',
  num_processes: int = 0,
) -> tuple[np.ndarray, dict[int, str]]:
  """Returns the landmarks of the largest face of each image.

  Of the faces found with a confidence of `LEAST_CONFIDENCE` or more, the one
  with the largest box is meant. They are sought in the upright image, shrunk
  so that no side is longer than `LONGEST_SIDE`: MTCNN finds no face of less
  than 20 pixels, which are 6 % of it.

  Args:
    paths: R image files.
    detector: a name of `DETECTORS`.
    cache_dir: folder of caches; '': nothing is kept.
    num_processes: that look for faces; 0: one for each CPU.

  Returns:
    float32[R, 5, 2], pixel coordinates in the upright image, see
    `align`; NaN where there is no face. And position -> reason of those:
    `NO_FACE`, or why the image cannot be read.

  Raises:
    UserError: its package is not installed, or what was kept is damaged.
    OSError: the cache cannot be written.
    ChildProcessError: a worker died.
  """
  parts = _parts(paths, detector, cache_dir)
  missing = [p for p in parts if p.file is None or not p.file.exists()]
  if missing:
    _check_installed(detector)
  # In an order of its own: of two runs, each finds what the other has not.
  np.random.default_rng().shuffle(missing)
  report = progress.Progress(
    sum(len(part.paths) for part in missing), 'Finding faces'
  )
  found = {}
  for part, result in workers.map_unordered(
    _find_part, missing, num_processes=num_processes
  ):
    found[part.start] = result
    report.update(len(part.paths))
  landmarks = np.full((len(paths), 5, 2), np.nan, np.float32)
  failures = {}
  for part in parts:
    points, reasons = found.get(part.start) or _read_part(part)
    landmarks[part.start : part.start + len(points)] = points
    for k in np.flatnonzero(reasons != ''):
      failures[part.start + int(k)] = str(reasons[k])
  return landmarks, failures


@dataclasses.dataclass(frozen=True)
class _Part:
  """Images in which faces are sought in one go, and the file of the result."""

  start: int
  paths: list[str]
  detector: str
  file: pathlib.Path | None


def _parts(paths, detector, cache_dir):
  """Returns the parts of the work."""
  settings = (_FORMAT, PART_IMAGES, LONGEST_SIDE, LEAST_CONFIDENCE, detector)
  key = caches.key(repr(settings), paths)
  parts = []
  for start in range(0, len(paths), PART_IMAGES):
    some = paths[start : start + PART_IMAGES]
    file = None
    if cache_dir:
      name = f'{start // PART_IMAGES:06d}-{caches.state(some)}.npz'
      file = pathlib.Path(cache_dir, f'faces-{key}', name)
    parts.append(_Part(start, some, detector, file))
  return parts


def _find_part(part):
  """Returns float32[P, 5, 2] and reasons str[P] of a part, and keeps them."""
  if part.file is not None and part.file.exists():  # By another run.
    return _read_part(part)
  find = _make_detector(part.detector)
  landmarks = np.full((len(part.paths), 5, 2), np.nan, np.float32)
  reasons = np.full(len(part.paths), '', object)
  for k, path in enumerate(part.paths):
    try:
      image = decode.image(decode.read_contents(path), channels=3)
    except ValueError as error:
      reasons[k] = str(error)
      continue
    points = _largest_face(find, image)
    if points is None:
      reasons[k] = NO_FACE
    else:
      landmarks[k] = points
  reasons = reasons.astype(np.str_)
  if part.file is not None:
    caches.write(
      part.file,
      lambda file: np.savez(file, landmarks=landmarks, reasons=reasons),
    )
  return landmarks, reasons


def _read_part(part):
  """Returns what was kept of a part."""
  try:
    with open(part.file, 'rb') as file, np.load(file) as kept:
      landmarks, reasons = kept['landmarks'], kept['reasons']
  except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
    raise errors.UserError(
      f'{part.file} is damaged ({error}); delete it, and it is made again.'
    ) from error
  return landmarks, reasons


def _largest_face(find, image):
  """Returns float[5, 2], or None where there is no face."""
  faces = all_faces(find, image)
  return faces[0].landmarks if faces else None


def all_faces(
  find: Callable[[np.ndarray], list[Face]], image: np.ndarray
) -> list[Face]:
  """Returns the faces of an image that count, the largest first.

  Args:
    find: of `make_find`.
    image: uint8[h, w, 3] RGB; it is shrunk as in `find_faces`.
  """
  small, grown = _shrink(image, min(1.0, LONGEST_SIDE / max(image.shape[:2])))
  faces = [face for face in find(small) if face.confidence >= LEAST_CONFIDENCE]
  faces.sort(key=lambda face: -face.box[2] * face.box[3])
  return [
    Face(
      np.concatenate([(f.box[:2] + 0.5) * grown - 0.5, f.box[2:] * grown]),
      f.confidence,
      (f.landmarks + 0.5) * grown - 0.5,
    )
    for f in faces
  ]


def make_find(detector: str) -> Callable[[np.ndarray], list[Face]]:
  """Returns what finds the faces of a small image, made once a process.

  Args:
    detector: a name of `DETECTORS`.

  Raises:
    UserError: its package is not installed.
  """
  _check_installed(detector)
  return _make_detector(detector)


def _check_installed(detector):
  """Raises UserError where a package of the extra is not there."""
  for package in DETECTORS[detector].packages:
    extras.need(package, f'data.crop={detector!r}')


@functools.cache
def _make_detector(name):
  return DETECTORS[name].make()


def _mtcnn():
  """Returns MTCNN (Zhang et al. 2016), with the weights of its package."""
  quiet.tensorflow()
  # Processes share the work; in a worker, threads would only disturb others.
  if workers.is_worker():
    os.environ['TF_NUM_INTRAOP_THREADS'] = '1'
    os.environ['TF_NUM_INTEROP_THREADS'] = '1'
  import mtcnn
  import tensorflow as tf

  tf.config.set_visible_devices([], 'GPU')  # They are JAX's.
  network = mtcnn.MTCNN()
  for stage, side in zip(network.stages, (None, 24, 48), strict=True):
    # Compiled once for all sizes: five times as fast, and the same numbers.
    shape = tf.TensorSpec([None, side, side, 3], tf.float32)
    stage._model = tf.function(stage._model, input_signature=[shape])

  def find(image):
    faces = network.detect_faces(image, box_format='xyxy', output_type='numpy')
    # Columns: image, box x1 y1 x2 y2, confidence, five x, five y.
    return [
      Face(
        np.concatenate([face[1:3], face[3:5] - face[1:3]]),
        float(face[5]),
        face[6:16].reshape(2, 5).T,
      )
      for face in np.asarray(faces, np.float64)
    ]

  return find


@dataclasses.dataclass(frozen=True)
class Detector:
  """What finds faces.

  Attributes:
    make: returns the function that turns an image uint8[h, w, 3] into faces,
      a list of `Face`.
    packages: those it needs.
  """

  make: Callable[[], Callable]
  packages: tuple[str, ...]


DETECTORS = types.MappingProxyType(
  {'mtcnn': Detector(_mtcnn, ('mtcnn', 'joblib', 'lz4'))}
)
