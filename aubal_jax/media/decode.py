"""Decodes image files of any kind, and finds those that are damaged.

JPEG and PNG are decoded by OpenCV, which passes over damage: that of a JPEG is
found by libjpeg-turbo (simplejpeg), which stops at the first warning, that of a
PNG by its checksums (ISO/IEC 15948, section 5). Rarer kinds are decoded by
Pillow, as OpenCV gets some wrong: it multiplies the colours of a TIFF by its
transparency, for one.
"""

import io
import os
import re
import stat
import warnings
import zlib
from collections.abc import Callable

import cv2
import numpy as np
import simplejpeg
from PIL import Image
from PIL import ImageOps

from aubal_jax.runs import errors

MAX_PIXELS = 100_000_000  # Of an image; more are refused, not decoded.
MAX_BYTES = 1_000_000_000  # Of a file; more are not read into memory.
ZERO_RUN = 32  # Bytes: more than a block of numbers of the code 00...0.

# What Pillow decodes. None of these starts another program, as EPS does.
FORMATS = ('AVIF', 'BMP', 'GIF', 'JPEG2000', 'PPM', 'SUN', 'TIFF', 'WEBP')

# What files of these, JPEG and PNG are called.
SUFFIXES = (
  *('.jpg', '.jpeg', '.jpe', '.jfif', '.mpo', '.png', '.apng', '.webp'),
  *('.bmp', '.dib', '.tif', '.tiff', '.gif', '.avif', '.avifs'),
  *('.jp2', '.j2k', '.j2c', '.jpc', '.jpf', '.jpx'),
  *('.ppm', '.pgm', '.pbm', '.pnm', '.ras', '.sr'),
)
# And what pictures are called that are not decoded.
OTHER_SUFFIXES = (
  *('.heic', '.heif', '.hif', '.jxl', '.jxr', '.wdp', '.psd', '.svg'),
  *('.ico', '.icns', '.tga', '.pcx', '.sgi', '.dds', '.qoi', '.xbm', '.xpm'),
  *('.pam', '.pfm', '.hdr', '.exr', '.fits'),
  *('.dng', '.cr2', '.cr3', '.nef', '.arw', '.orf', '.rw2', '.raf', '.pef'),
)

_CUT = 'the file is cut short'
_JPEG, _PNG = b'\xff\xd8', b'\x89PNG\r\n\x1a\n'
_DHT, _SOS = 0xC4, 0xDA
_SEQUENTIAL, _FRAMES = (0xC0, 0xC1), {*range(0xC0, 0xD0)} - {_DHT, 0xC8, 0xCC}
_MARKER = re.compile(rb'\xff+[^\x00\xff]')
_CODED = re.compile(rb'(?:[^\xff]+|\xff+[\x00\xd0-\xd7])*')

# What simplejpeg or libjpeg says of files that are whole: versions, profiles
# and kinds that one does not know, and bytes that no block needs.
_HARMLESS = re.compile(
  'subsampling level|colorspace|color conversion|JFIF revision|ICC marker|'
  'Adobe color transform|SOS parameters for seq|Inconsistent progression|'
  r'(?P<spare>\d+ extraneous bytes before marker \w+)'
)

_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # TIFF tags.

# What cv2 prints about a broken file is raised here, with the file's name.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
# The limit of our own is told, this one is printed.
warnings.filterwarnings('ignore', category=Image.DecompressionBombWarning)


def read_contents(path: os.PathLike | str) -> bytes:
  """Returns the bytes of a file; a failure is a UserError with its reason."""
  try:
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):  # To open a pipe would wait for ever.
      raise errors.UserError('it is a folder, a pipe or a device, not a file')
    if found.st_size > MAX_BYTES:
      raise errors.UserError(
        f'its {found.st_size / 1e9:.1f} GB are more than the '
        f'{MAX_BYTES / 1e9:.0f} GB an image file may have'
      )
    with open(path, 'rb') as file:
      return file.read()
  except FileNotFoundError:
    raise errors.UserError('there is no such file') from None
  except OSError as error:
    raise errors.UserError(error.strerror or str(error)) from None


def image(
  contents: bytes,
  channels: int,
  *,
  on_remark: Callable[[str], None] | None = None,
) -> np.ndarray:
  """Returns uint8[h, w] (grey) or uint8[h, w, 3] (RGB), upright.

  Of 16 bits the high 8 are kept. Transparency is left out, the colours stay.
  CMYK (in a JPEG with inverted inks, as Adobe writes it) and palettes become
  RGB, profiles of colours are passed over. Of several pages or frames the
  first is taken. Floats and 32 bits are refused, as they do not say which
  number is white; so is what has more than `MAX_PIXELS`.

  A PNG with a wrong checksum is refused. A JPEG is refused where libjpeg has
  to make up data, and where zeros stand for data. Not noticed: JPEG damage
  after which all codes still decode (the picture is then shifted or spotted),
  or that follows on spare bytes, which are remarked.

  Args:
    contents: of the file.
    channels: 1 or 3.
    on_remark: called with what is odd about a file that is read all the same:
      spare bytes in a JPEG, which may be harmless or be left by damage.

  Raises:
    UserError: the contents are no image, cut short or damaged; says which.
  """
  if channels == 1:
    return image_as(contents, cv2.IMREAD_GRAYSCALE, on_remark=on_remark)
  decoded = image_as(contents, cv2.IMREAD_COLOR, on_remark=on_remark)
  return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def converted(given: np.ndarray | Image.Image, channels: int) -> np.ndarray:
  """Returns what `image` does, of an image that is decoded already.

  Grey is made of the colours, where a file has more to tell: the grey of a
  JPEG is its own, and up to two steps from this.

  Args:
    given: uint8[h, w], uint8[h, w, 1] or uint8[h, w, 3] (RGB); or an image of
      Pillow, which is turned upright.
    channels: 1 or 3.

  Raises:
    UserError: it is nothing of this, or has no stated white, see `image`.
  """
  if isinstance(given, Image.Image):
    _check_size(*given.size)
    _check_mode(given)
    pixels = _pixels_of(given)
  else:
    pixels = _check_pixels(np.asarray(given))
  if channels == 1:
    return _as_flags(pixels, cv2.IMREAD_GRAYSCALE)
  return cv2.cvtColor(_as_flags(pixels, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def _check_pixels(given):
  """Returns uint8[h, w] or uint8[h, w, 3]; raises UserError of what is not."""
  is_image = given.ndim == 2 or (given.ndim == 3 and given.shape[2] in (1, 3))
  if not is_image or given.dtype != np.uint8 or not given.size:
    raise errors.UserError(
      f'an image must be uint8[h, w] (grey) or uint8[h, w, 3] (RGB), in '
      f'0..255, not {given.dtype}{list(given.shape)}; make it so'
    )
  if given.shape[2:] == (1,):
    given = given[..., 0]
  return np.ascontiguousarray(given)


def image_as(
  contents: bytes,
  flags: int,
  *,
  on_remark: Callable[[str], None] | None = None,
) -> np.ndarray:
  """Returns what `cv2.imdecode` does, colours blue first; checks as `image`.

  Args:
    contents: of the file.
    flags: IMREAD_GRAYSCALE, IMREAD_COLOR or, for what the file holds,
      IMREAD_ANYDEPTH | IMREAD_ANYCOLOR.
    on_remark: as of `image`.

  Raises:
    UserError: see `image`.
  """
  if not contents:
    raise errors.UserError('the file is empty')
  remark = ''
  if contents.startswith(_JPEG):
    remark = _check_jpeg(contents)
  elif contents.startswith(_PNG):
    _check_png(contents)
  else:
    return _as_flags(_by_pillow(contents), flags)
  try:
    decoded = cv2.imdecode(np.frombuffer(contents, np.uint8), flags)
  except cv2.error as error:
    raise errors.UserError(f'OpenCV refuses it: {error.err}') from None
  if decoded is None:
    raise errors.UserError('not an image that can be decoded')
  if remark and on_remark:
    on_remark(remark)
  return decoded


def _check_size(width: int, height: int) -> None:
  if width * height > MAX_PIXELS:
    raise errors.UserError(_too_large(f'{width:,} x {height:,} pixels'))


def _too_large(what):
  return (
    f'{what} are more than the {MAX_PIXELS / 1e6:.0f} million an image may '
    'have; make it smaller'
  )


def _check_png(contents):
  """Raises UserError where a chunk that matters is wrong, or if too large."""
  position, kind = len(_PNG), b''
  while kind != b'IEND':
    size = int.from_bytes(contents[position : position + 4], 'big')
    body = contents[position + 4 : position + 8 + size]  # Type and data.
    checksum = contents[position + 8 + size : position + 12 + size]
    if len(checksum) < 4:
      raise errors.UserError(_CUT)
    kind = body[:4]
    needed = kind[:1].isupper()
    if needed and zlib.crc32(body) != int.from_bytes(checksum, 'big'):
      raise errors.UserError('damaged: a PNG chunk has a wrong checksum')
    position += 12 + size
  _check_size(  # IHDR is the first chunk.
    *(int.from_bytes(contents[k : k + 4], 'big') for k in (16, 20))
  )


def _check_jpeg(contents):
  """Returns a remark or ''; raises UserError on damage, or if too large.

  The picture is decoded at an eighth of its size, from all of the data.
  """
  segments = list(_segments(contents))
  frame = next((body for code, body, _ in segments if code in _FRAMES), b'')
  last, _, stop = segments[-1] if segments else (0, b'', 0)
  if last != _SOS or stop >= len(contents) or len(frame) < 6:
    raise errors.UserError(_CUT)
  height, width = (int.from_bytes(frame[k : k + 2], 'big') for k in (1, 3))
  _check_size(width, height)
  if bytes(ZERO_RUN) in contents and _has_zeros(contents, segments):
    raise errors.UserError('damaged: zeros in place of coded data')
  try:
    simplejpeg.decode_jpeg(
      contents, 'CMYK' if frame[5] == 4 else 'GRAY', min_factor=8, strict=True
    )
  except ValueError as error:
    told = str(error)
    harmless = _HARMLESS.search(told)
    if 'Premature end of JPEG file' in told:
      raise errors.UserError(_CUT) from None
    if not harmless:
      told = told.removeprefix('Corrupt JPEG data: ')
      raise errors.UserError(f'damaged: {told}') from None
    return harmless['spare'] or ''
  return ''


def _segments(contents):
  """Yields (marker, body, position behind) up to the first scan of a JPEG."""
  position, code = 2, 0
  while code != _SOS and (found := _MARKER.search(contents, position)):
    code, start = contents[found.end() - 1], found.end()
    size = int.from_bytes(contents[start : start + 2], 'big')
    position = start + max(size, 2)
    yield code, contents[start + 2 : position], position


def _has_zeros(contents, segments):
  """Whether zeros stand for data, in a JPEG in which they end no block.

  Only where the shortest code of some sequential scan does not end a block:
  then zero bits mean a block full of numbers, which no picture has.
  """
  codes, bodies, stops = zip(*segments, strict=True)
  data = _CODED.match(contents, stops[-1])[0]
  if bytes(ZERO_RUN) not in data.rstrip(b'\0'):  # Zeros at the end are padding.
    return False
  tables = b''.join(b for c, b in zip(codes, bodies, strict=True) if c == _DHT)
  while len(tables) > 17:
    if tables[0] > 15 and tables[17]:  # Of AC numbers; 0 is the end of block.
      return not {*_SEQUENTIAL}.isdisjoint(codes)
    tables = tables[17 + sum(tables[1:17]) :]
  return False


def _by_pillow(contents):
  """Returns the first picture of a file, upright, without transparency.

  Returns:
    uint8[h, w], uint16[h, w] or uint8[h, w, 3] (red first).

  Raises:
    UserError: it is no such image, too large, cut short, or its numbers have
      no stated white (floats, 32 bits).
  """
  try:
    opened = Image.open(io.BytesIO(contents), formats=FORMATS)
  except (Image.DecompressionBombError, Image.DecompressionBombWarning):
    raise errors.UserError(_too_large('its pixels')) from None
  except Exception:  # Parsers raise what comes: struct.error, SyntaxError, ...
    raise errors.UserError('not an image that can be decoded') from None
  _check_size(*opened.size)
  _check_mode(opened)
  return _pixels_of(opened)


def _pixels_of(opened):
  """Returns the picture of Pillow as `_by_pillow` does."""
  try:
    upright = ImageOps.exif_transpose(opened)
    if upright.mode.startswith('I'):
      return np.asarray(upright).astype(np.uint16)
    is_grey = upright.mode in ('1', 'L', 'LA')
    return np.asarray(upright.convert('L' if is_grey else 'RGB'))
  except Exception as error:
    raise errors.UserError(f'Pillow cannot decode it: {error}') from None


def _check_mode(opened):
  """Raises UserError where it is not known which number is white."""
  mode, tags = opened.mode, getattr(opened, 'tag_v2', {})
  if mode == 'I' and opened.format == 'PPM':  # Scaled to 16 bits by Pillow.
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


def _as_flags(decoded, flags):
  """Returns grey or RGB of 8 or 16 bits as `cv2.imdecode` would."""
  if decoded.ndim == 3:
    grey = flags == cv2.IMREAD_GRAYSCALE
    return cv2.cvtColor(
      decoded, cv2.COLOR_RGB2GRAY if grey else cv2.COLOR_RGB2BGR
    )
  if decoded.dtype == np.uint16 and not flags & cv2.IMREAD_ANYDEPTH:
    decoded = (decoded >> 8).astype(np.uint8)
  if flags == cv2.IMREAD_COLOR:
    decoded = cv2.cvtColor(decoded, cv2.COLOR_GRAY2BGR)
  return decoded
