"""Reads image files of any size and kind into one uint8 array."""

import dataclasses
import functools
import os
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures

import cv2
import numpy as np

from aubal_jax.media import crop as crop_lib
from aubal_jax.media import decode
from aubal_jax.media import pieces
from aubal_jax.runs import errors

CHUNK_IMAGES = 32  # Images a thread takes at a time.


@dataclasses.dataclass(frozen=True)
class Pixels:
  """What an image file becomes: all of the preprocessing there is.

  Attributes:
    image_size: height and width of the result in pixels.
    channels: 1 for grey, 3 for RGB.
    resize: 'stretch' to the square; 'pad': the whole image, black beside it;
      'crop': the square in the middle of the image.
    crop: 'none', or what finds the face that is cut out: a name of
      `crop.DETECTORS`; `resize` then has nothing to do.
  """

  image_size: int = 112
  channels: int = 1
  resize: str = 'stretch'
  crop: str = 'none'

  @property
  def shape(self) -> tuple[int, int, int]:
    """(height, width, channels) of the result."""
    return self.image_size, self.image_size, self.channels


def read(
  paths: Sequence,
  pixels: Pixels,
  *,
  landmarks: np.ndarray | None = None,
  corners: np.ndarray | None = None,
  num_threads: int | None = None,
  on_progress: Callable[[int], None] | None = None,
  on_remark: Callable[[int, str], None] | None = None,
) -> tuple[np.ndarray, dict[int, str]]:
  """Reads, turns upright (EXIF), converts and resizes image files.

  JPEG, PNG and `decode.FORMATS`, told by their contents and not by their
  names; see `decode.image`.

  Args:
    paths: R files; or images that are decoded, see `decode.converted`.
    pixels: what they become.
    landmarks: float32[R, 5, 2], where `pixels.crop` says that faces are cut
      out: pixel coordinates in the upright image, see `crop.align`.
    corners: float32[R, 3, 2], of the piece that is taken of each image, see
      `pieces`, where no face is sought then; None: the whole.
    num_threads: threads that decode; None: one for each CPU.
    on_progress: called with the number of images read since the last call.
    on_remark: called with a position and what is odd about an image that is
      read all the same, from any of the threads.

  Returns:
    uint8[R, image_size, image_size, channels], 0 where an image cannot be
    read or has no landmarks (NaN), and position -> reason of those.

  Raises:
    UserError: faces are to be cut out, and there are no landmarks.
  """
  if (pixels.crop != 'none') != (landmarks is not None):
    raise errors.UserError(
      'landmarks must be given where, and only where, crop is.'
    )
  images = np.zeros((len(paths), *pixels.shape), np.uint8)

  is_piece = np.zeros(len(paths), bool)
  if corners is not None:
    is_piece = pieces.is_given(corners)

  def read_one(position):
    sought = landmarks is not None and not is_piece[position]
    if sought and np.isnan(landmarks[position]).any():
      raise errors.UserError(crop_lib.NO_FACE)
    image = _decoded(
      paths[position],
      pixels.channels,
      on_remark and functools.partial(on_remark, position),
    )
    if is_piece[position]:
      image = pieces.cut(image, corners[position])
    images[position] = prepare(
      image, pixels, landmarks[position] if sought else None
    )

  failures = _for_all(len(paths), read_one, num_threads, on_progress)
  return images, failures


def prepare(
  image: np.ndarray, pixels: Pixels, landmarks: np.ndarray | None = None
) -> np.ndarray:
  """Returns what a decoded image becomes, uint8[`pixels.shape`].

  Args:
    image: uint8[h, w] or uint8[h, w, 3], of the channels wanted.
    pixels: what it becomes.
    landmarks: float[5, 2] of the face that is cut out; None: the whole image.

  Raises:
    UserError: the landmarks are none.
  """
  if landmarks is None:
    made = fit(image, pixels.image_size, pixels.resize)
  else:
    made = crop_lib.align(image, landmarks, pixels.image_size)
  return made.reshape(pixels.shape)


def _decoded(given, channels, on_remark):
  """Returns the image of a file, or of what is decoded already."""
  if not isinstance(given, (str, os.PathLike)):
    return decode.converted(given, channels)
  contents = decode.read_contents(given)
  return decode.image(contents, channels, on_remark=on_remark)


def unreadable_error(
  failures: Mapping[int, str], total: int, describe: Callable[[int], str]
) -> ValueError:
  """Returns the error that names the first files that cannot be read.

  Args:
    failures: position -> reason.
    total: how many files there are.
    describe: position -> what the file is called.
  """
  shown = sorted(failures.items())[:5]
  names = '; '.join(f'{describe(n)}: {reason}' for n, reason in shown)
  return errors.UserError(
    f'Cannot read {len(failures)} of {total} images: {names}'
    f'{"; ..." if len(failures) > 5 else ""}. Mend or '
    "remove the files, or set data.unreadable='drop' to go on without them."
  )


def remarks_note(
  remarks: Mapping[int, str], total: int, describe: Callable[[int], str]
) -> str:
  """Returns what a person is told of images that are odd, but were read."""
  first = min(remarks)
  return (
    f'{len(remarks):,} of {total:,} images have bytes to spare and were read '
    'all the same; many cameras leave some, and so does damage (first '
    f'{describe(first)}: {remarks[first]}).'
  )


def fit(image: np.ndarray, image_size: int, resize: str) -> np.ndarray:
  """Returns the image as a square of `image_size`, see `Pixels`."""
  height, width = image.shape[:2]
  if resize == 'crop':
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    image = image[top : top + side, left : left + side]
  if resize != 'pad':
    return _scale(image, image_size, image_size)
  ratio = image_size / max(height, width)
  image = _scale(
    image, max(1, round(height * ratio)), max(1, round(width * ratio))
  )
  height, width = image.shape[:2]
  top, left = (image_size - height) // 2, (image_size - width) // 2
  square = np.zeros((image_size, image_size, *image.shape[2:]), np.uint8)
  square[top : top + height, left : left + width] = image
  return square


def _scale(image, height, width):
  """Shrinks by area first, then grows linearly: each axis as it needs."""
  small = (min(width, image.shape[1]), min(height, image.shape[0]))
  if small != (image.shape[1], image.shape[0]):
    image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
  if small != (width, height):
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
  return image


def _for_all(count, read_one, num_threads, on_progress):
  """Calls read_one(position) in threads; returns position -> failure."""

  def read_chunk(chunk):
    failures = {}
    for position in chunk:
      try:
        read_one(position)
      except ValueError as error:
        failures[position] = str(error)
    return len(chunk), failures

  chunks = [
    range(start, min(start + CHUNK_IMAGES, count))
    for start in range(0, count, CHUNK_IMAGES)
  ]
  failures = {}
  pool = futures.ThreadPoolExecutor(num_threads or os.cpu_count())
  try:
    for num_images, failed in pool.map(read_chunk, chunks):
      failures.update(failed)
      if on_progress:
        on_progress(num_images)
  finally:  # Ctrl-C ends after the chunks at hand, not after all of them.
    pool.shutdown(cancel_futures=True)
  return failures
