"""Decodes the rarer kinds of image files, with Pillow.

OpenCV, which decodes JPEG and PNG, gets some of these wrong: it multiplies the
colours of a TIFF by its transparency, for one.
"""

import io
import warnings

import cv2
import numpy as np
from PIL import Image
from PIL import ImageOps

from aubal_jax.runs import errors

# None of these starts another program, as EPS does.
FORMATS = ('AVIF', 'BMP', 'GIF', 'JPEG2000', 'PPM', 'TIFF', 'WEBP')

# The limit of our own is told, this one is printed.
warnings.filterwarnings('ignore', category=Image.DecompressionBombWarning)

_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # TIFF tags.


def decode(contents: bytes, flags: int, max_pixels: int) -> np.ndarray:
  """Returns the first picture of a file, upright, without transparency.

  Args:
    contents: of the file.
    flags: as of `images.decode_as`.
    max_pixels: what has more of them is refused before it is decoded.

  Returns:
    What `cv2.imdecode` would: uint8[h, w], uint8[h, w, 3] (blue first) or, if
    flags allow, uint16[h, w].

  Raises:
    UserError: it is no such image, too large, cut short, or its numbers have
      no stated white (floats, 32 bits).
  """
  try:
    image = Image.open(io.BytesIO(contents), formats=FORMATS)
  except (Image.DecompressionBombError, Image.DecompressionBombWarning):
    raise errors.UserError(too_large(None, max_pixels)) from None
  except Exception:  # Parsers raise what comes: struct.error, SyntaxError, ...
    raise errors.UserError('not an image that can be decoded') from None
  width, height = image.size
  if width * height > max_pixels:
    raise errors.UserError(too_large(image.size, max_pixels))
  _check_mode(image)
  try:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I'):
      decoded = np.asarray(image).astype(np.uint16)
    else:
      is_grey = image.mode in ('1', 'L', 'LA')
      decoded = np.asarray(image.convert('L' if is_grey else 'RGB'))
  except Exception as error:
    raise errors.UserError(f'Pillow cannot decode it: {error}') from None
  return _as_flags(decoded, flags)


def too_large(size: tuple[int, int] | None, max_pixels: int) -> str:
  """Returns the reason why an image of (width, height) is not decoded."""
  what = 'its pixels' if size is None else f'{size[0]:,} x {size[1]:,} pixels'
  return (
    f'{what} are more than the {max_pixels / 1e6:.0f} million an image may '
    'have; make it smaller'
  )


def _check_mode(image):
  """Raises UserError where it is not known which number is white."""
  mode, tags = image.mode, getattr(image, 'tag_v2', {})
  if mode == 'I' and image.format == 'PPM':  # Scaled to 16 bits by Pillow.
    return
  if mode.startswith('I;16'):
    bits = tags.get(_BITS_PER_SAMPLE, (16,))
    white_is_zero = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    if bits == (16,) and not white_is_zero:
      return
    mode = f'{bits[0]}-bit grey{", white as 0" if white_is_zero else ""}'
  elif mode not in ('I', 'F', 'LAB'):
    return
  raise errors.UserError(
    f'pixels of the kind {mode!r} are not read (floats and 32 bits do not say '
    'which number is white); save it as PNG or TIFF of 8 or 16 bits'
  )


def _as_flags(image, flags):
  """Returns grey or RGB of 8 or 16 bits as `cv2.imdecode` would."""
  if image.ndim == 3:
    grey = flags == cv2.IMREAD_GRAYSCALE
    code = cv2.COLOR_RGB2GRAY if grey else cv2.COLOR_RGB2BGR
    return cv2.cvtColor(image, code)
  if image.dtype == np.uint16 and not flags & cv2.IMREAD_ANYDEPTH:
    image = (image >> 8).astype(np.uint8)
  if flags == cv2.IMREAD_COLOR:
    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
  return image
