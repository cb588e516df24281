import io
import itertools
import re
import struct
import zlib

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image
from PIL import ImageOps

from aubal_jax.datasets import folders
from aubal_jax.media import decode
from tests.makers import fake_data


def by_pillow(image, kind, **options):
  """Returns the contents of a file that Pillow writes."""
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def colours(height=32, width=32):
  return Image.fromarray(fake_data.picture(height, width))


def deep(top=65536):
  """A grey image of 16 bits; every 8 high bits come up."""
  return (np.arange(32 * 32) * (top // 1024)).astype(np.uint16).reshape(32, 32)


@pytest.mark.parametrize(
  ('kind', 'modes'),
  [
    ('BMP', '1 L P RGB RGBA'),
    ('GIF', '1 L P RGB RGBA LA'),
    ('PNG', '1 L P RGB RGBA LA'),
    ('PPM', '1 L RGB'),
    ('TIFF', '1 L P RGB RGBA LA CMYK YCbCr'),
    ('WEBP', 'L RGB RGBA'),
  ],
)
def test_kinds_and_modes_as_pillow_reads_them(kind, modes):
  rgb = colours()
  for mode, channels in itertools.product(modes.split(), (1, 3)):
    wanted = rgb.quantize(64) if mode == 'P' else rgb.convert(mode)
    if mode in ('RGBA', 'LA'):
      wanted.putalpha(Image.linear_gradient('L').resize((32, 32)))
    options = {'lossless': True, 'exact': True} if kind == 'WEBP' else {}
    contents = by_pillow(wanted, kind, **options)
    got = decode.image(contents, channels)
    opened = Image.open(io.BytesIO(contents))
    want = np.asarray(opened.convert('RGB' if channels == 3 else 'L'))
    assert got.dtype == np.uint8
    assert got.shape == want.shape
    # RGB is exact, and for grey the two libraries round in their own ways.
    most = 0 if channels == 3 else 1
    assert np.abs(got.astype(int) - want).max() <= most, (mode, channels)


def test_pixels_without_colour_keep_what_is_under_them():
  rgba = np.dstack([fake_data.picture(32, 32), np.zeros((32, 32), np.uint8)])
  for kind in ('PNG', 'TIFF'):
    contents = by_pillow(Image.fromarray(rgba), kind)
    np.testing.assert_array_equal(decode.image(contents, 3), rgba[..., :3])


@pytest.mark.parametrize('marked', [True, False])
@pytest.mark.parametrize('channels', [1, 3])
def test_cmyk_jpeg_of_inverted_inks(marked, channels):
  contents = by_pillow(colours().convert('CMYK'), 'JPEG', quality=95)
  assert b'Adobe' in contents
  if not marked:  # Pillow, too, takes every CMYK JPEG for one of Adobe's.
    contents = contents.replace(b'Adobe', b'Other')
  pillow = Image.open(io.BytesIO(contents)).convert('RGB')
  got = decode.image(contents, channels).astype(int)
  want = np.asarray(pillow.convert('L') if channels == 1 else pillow)
  assert np.abs(got - want).max() <= 2
  assert (
    np.abs(np.asarray(pillow).astype(int) - fake_data.picture(32, 32)).mean()
    < 6
  )


@pytest.mark.parametrize(
  ('kind', 'options'),
  [
    ('PNG', {}),
    ('TIFF', {}),
    ('TIFF', {'compression': 'tiff_lzw'}),
    ('PPM', {}),
  ],
)
@pytest.mark.parametrize('channels', [1, 3])
def test_grey_of_16_bits(kind, options, channels):
  values = deep()
  contents = by_pillow(Image.fromarray(values), kind, **options)
  got = decode.image(contents, channels)
  want = np.rint(values / 257.0)
  assert got.min() == 0
  assert got.max() == 255
  got = got.reshape(32, 32, channels)
  assert np.abs(got - want[..., None]).max() <= 1


def test_what_survey_asks_for():
  native = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
  for kind in ('PNG', 'TIFF'):
    contents = by_pillow(Image.fromarray(deep()), kind)
    np.testing.assert_array_equal(decode.image_as(contents, native), deep())
    contents = by_pillow(colours(), kind)
    np.testing.assert_array_equal(
      decode.image_as(contents, native), fake_data.picture(32, 32)[..., ::-1]
    )
    contents = by_pillow(colours().convert('L'), kind)
    assert decode.image_as(contents, native).shape == (32, 32)


def tiff(mode, **tags):
  """Returns a TIFF of zeros, of a mode or with tags that Pillow does not set.

  Args:
    mode: of Pillow.
    **tags: number of the tag, as 't258' -> value.
  """
  contents = by_pillow(Image.new(mode, (4, 4)), 'TIFF')
  for name, value in tags.items():
    start = contents.index(struct.pack('<HHI', int(name[1:]), 3, 1))
    contents = (
      contents[: start + 8] + struct.pack('<H', value) + contents[start + 10 :]
    )
  return contents


@pytest.mark.parametrize(
  ('contents', 'kind'),
  [
    (tiff('F'), "'F'"),
    (tiff('I'), "'I'"),
    (tiff('I;16', t262=0), '16-bit grey, white as 0'),
    (tiff('I;16', t258=12), '12-bit grey'),
    (by_pillow(Image.new('LAB', (4, 4)), 'TIFF'), 'LAB'),
  ],
)
@pytest.mark.parametrize('channels', [1, 3])
def test_numbers_without_a_white_are_refused(contents, kind, channels):
  with pytest.raises(ValueError, match=f'of the kind .*{kind}.* are not read'):
    decode.image(contents, channels)


def test_white_as_0():
  grey = colours().convert('L')
  contents = by_pillow(grey, 'TIFF', tiffinfo={262: 0})
  want = np.asarray(Image.open(io.BytesIO(contents)))
  np.testing.assert_array_equal(decode.image(contents, 1), want)


@pytest.mark.parametrize('kind', ['GIF', 'TIFF', 'WEBP', 'PNG'])
def test_the_first_of_several(kind):
  pages = [Image.fromarray(np.full((9, 9, 3), v, np.uint8)) for v in (8, 200)]
  contents = by_pillow(pages[0], kind, save_all=True, append_images=pages[1:])
  assert np.abs(decode.image(contents, 3).astype(int) - 8).max() <= 2


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'TIFF', 'WEBP'])
def test_upright_as_pillow_turns_it(kind):
  for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    contents = by_pillow(colours(40, 24), kind, exif=exif, quality=95)
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
    got = decode.image(contents, 3)
    assert got.shape == np.shape(turned)
    off = np.abs(got.astype(int) - np.asarray(turned)).max()
    assert off <= 3, orientation


@pytest.mark.parametrize('kind', ['AVIF', 'JPEG2000'])
def test_other_kinds(kind):
  contents = by_pillow(colours(), kind)
  got = decode.image(contents, 3)
  assert np.abs(got.astype(int) - fake_data.picture(32, 32)).mean() < 6


@pytest.mark.parametrize('kind', ['BMP', 'GIF', 'TIFF', 'WEBP', 'PPM'])
@pytest.mark.parametrize('part', [0.1, 0.5, 0.9])
def test_cut_files_of_rarer_kinds(kind, part):
  contents = by_pillow(colours(), kind)
  with pytest.raises(
    ValueError, match=r'cannot decode it: |that can be decoded'
  ):
    decode.image(contents[: int(part * len(contents))], 3)


def test_other_programs_are_never_started():
  contents = by_pillow(colours(), 'EPS')
  with pytest.raises(ValueError, match='not an image that can be decoded'):
    decode.image(contents, 3)


def png_bomb(side):
  """A grey PNG of side x side zeros, a thousandth of its size."""
  packer = zlib.compressobj(1)
  row = bytes(side + 1)
  data = b''.join(packer.compress(row) for _ in range(side)) + packer.flush()
  header = struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0)
  chunks = ((b'IHDR', header), (b'IDAT', data), (b'IEND', b''))
  return b'\x89PNG\r\n\x1a\n' + b''.join(
    struct.pack('>I', len(body))
    + name
    + body
    + struct.pack('>I', zlib.crc32(name + body))
    for name, body in chunks
  )


def resized(contents, size):
  """Returns a JPEG whose header tells another size."""
  start = contents.index(b'\xff\xc0') + 5
  return contents[:start] + struct.pack('>HH', *size) + contents[start + 4 :]


def bombs():
  jpeg = by_pillow(colours(), 'JPEG')
  bmp = bytearray(by_pillow(colours(), 'BMP'))
  bmp[18:26] = struct.pack('<ii', 20000, 20000)
  less = bytearray(bmp)
  less[18:26] = struct.pack('<ii', 10001, 10000)
  group4 = Image.new('1', (20000, 20000))
  return {
    'png': png_bomb(20000),
    'jpeg': resized(jpeg, (20000, 20000)),
    'bmp': bytes(bmp),
    'a little': bytes(less),
    'tiff': by_pillow(group4, 'TIFF', compression='group4'),
  }


def test_images_too_large_are_refused_by_their_headers(monkeypatch):
  def fail(*_, **__):
    raise AssertionError('was decoded')

  monkeypatch.setattr(cv2, 'imdecode', fail)
  monkeypatch.setattr(simplejpeg, 'decode_jpeg', fail)
  monkeypatch.setattr(ImageOps, 'exif_transpose', fail)
  for kind, contents in bombs().items():
    assert len(contents) < 5e6, kind
    with pytest.raises(ValueError, match='more than the 100 million'):
      decode.image(contents, 1)


def test_the_largest_image_that_is_read(monkeypatch):
  monkeypatch.setattr(decode, 'MAX_PIXELS', 32 * 40)
  for kind in ('PNG', 'JPEG', 'BMP'):
    assert decode.image(by_pillow(colours(32, 40), kind), 1).any()
    with pytest.raises(ValueError, match=r'32 x 41 pixels are more|41 x 32'):
      decode.image(by_pillow(colours(32, 41), kind), 1)


RESTART = (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
JPEG_KINDS = {
  'plain': (),
  'optimised': (cv2.IMWRITE_JPEG_OPTIMIZE, 1),
  'finest': (cv2.IMWRITE_JPEG_QUALITY, 100),
  'coarse': (cv2.IMWRITE_JPEG_QUALITY, 5),
  'progressive': (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
  'restarts': RESTART,
  'progressive_restarts': (cv2.IMWRITE_JPEG_PROGRESSIVE, 1, *RESTART),
  **{
    f'sampled {factor:x}': (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor)
    for factor in (0x111111, 0x121111, 0x211111, 0x411111)
  },
}


def jpeg(height=70, width=90, channels=3, options=()):
  pixels = fake_data.picture(height, width)[..., :channels]
  return cv2.imencode('.jpg', pixels, list(options))[1].tobytes()


def told(contents):
  """Returns what a file is refused with, and what is remarked of it."""
  remarks = []
  try:
    decode.image(contents, 3, on_remark=remarks.append)
  except ValueError as error:
    return str(error), remarks
  return '', remarks


def behind_start(contents, marker, body):
  """Puts a segment at the head of a JPEG."""
  size = (len(body) + 2).to_bytes(2, 'big')
  return contents[:2] + b'\xff' + bytes([marker]) + size + body + contents[2:]


@pytest.mark.parametrize('kind', JPEG_KINDS)
def test_what_opencv_writes_is_whole(kind):
  for channels in (1, 3):
    for size in ((1, 1), (16, 16), (17, 33), (70, 90)):
      contents = jpeg(*size, channels, JPEG_KINDS[kind])
      assert told(contents) == ('', [])


def flat_jpeg(factors, size=64):
  """A grey JPEG of three components that are sampled in any way."""
  contents = by_pillow(
    Image.new('RGB', (size, size), (128,) * 3), 'JPEG', subsampling=0
  )
  frame, scan = contents.index(b'\xff\xc0'), contents.index(b'\xff\xda')
  header = bytearray(contents[: scan + 14])
  for k, (across, down) in enumerate(factors):
    header[frame + 11 + 3 * k] = across << 4 | down
  most = [max(factor) for factor in zip(*factors, strict=True)]
  blocks = zip(('001010', '0000', '0000'), factors, strict=True)
  block = ''.join(zeros * across * down for zeros, (across, down) in blocks)
  bits = block * (-(-size // (8 * most[0])) * -(-size // (8 * most[1])))
  bits += '1' * (-len(bits) % 8)
  return bytes(header) + int(bits, 2).to_bytes(len(bits) // 8) + b'\xff\xd9'


def test_a_rare_jpeg_is_no_damaged_one():
  whole = jpeg()
  scan = whole.index(b'\xff\xda')
  rare = {
    'of no version': whole.replace(b'JFIF\0\1', b'JFIF\0\t'),
    'half a profile': behind_start(whole, 0xE2, b'ICC_PROFILE\0\1\3abc'),
    'Adobe': behind_start(whole, 0xEE, b'Adobe\0\x64\0\0\0\0\7'),
    'EXIF': behind_start(whole, 0xE1, b'Exif\0\0' + whole),
    'filled up': whole[:2] + b'\xff\xff' + whole[2:],
    'no parameters': whole[: scan + 11] + bytes(3) + whole[scan + 14 :],
    'trailer': whole + bytes(99) + b'trailer\xff\xd8\xff',
    'CMYK': by_pillow(colours().convert('CMYK'), 'JPEG'),
    **{
      str(factors): flat_jpeg(factors)
      for factors in (
        ((1, 4), (1, 1), (1, 1)),
        ((3, 1), (1, 1), (1, 1)),
        ((4, 2), (1, 1), (1, 1)),
        ((2, 2), (2, 1), (1, 1)),
        ((1, 1), (2, 2), (2, 2)),
      )
    },
  }
  for name, contents in rare.items():
    assert told(contents) == ('', []), name
    assert decode.image(contents, 3).any(), name


def test_bytes_to_spare_are_remarked_and_change_nothing():
  whole = jpeg()
  tables = whole.index(b'\xff\xdb')
  longer = whole[:-2] + b'left over' + whole[-2:]
  reason, (remark,) = told(longer)  # Some may be taken in unseen.
  assert not reason
  assert re.fullmatch('[1-9] extraneous bytes before marker 0xd9', remark)
  np.testing.assert_array_equal(decode.image(longer, 3), decode.image(whole, 3))
  between = whole[:tables] + b'abc' + whole[tables:]
  assert told(between) == ('', ['3 extraneous bytes before marker 0xdb'])


def test_a_cut_jpeg_is_always_refused():
  for kind, options in JPEG_KINDS.items():
    whole = jpeg(options=options)
    start = whole.index(b'\xff\xda') + 14
    cuts = [2, 3, 5, 30, start - 11]
    for cut in cuts:
      assert told(whole[:cut])[0] == 'the file is cut short', (kind, cut)
    for share in (0.1, 0.5, 0.9):
      cut = whole[: start + int(share * (len(whole) - start))].rstrip(b'\xff')
      # A progressive one may be cut in its tables, or lose a fine scan only.
      by_scan = 'progressive' in kind
      reason = told(cut)[0]
      assert reason == 'the file is cut short' or (by_scan and reason)
      assert told(cut + b'\xff\xd9')[0].startswith('damaged: ') or by_scan


def damaged(whole, how, rng):
  """Returns a JPEG of which some coded data are lost, in one of six ways."""
  start = whole.index(b'\xff\xda') + 14
  at, other = rng.integers(start, len(whole) - 220, 2)
  if how == 'bits':
    changed = bytearray(whole)
    for k in rng.integers(start, len(whole) - 2, 5):
      changed[k] ^= 1 << rng.integers(8)
    return bytes(changed)
  if how == 'swapped':
    at, other = sorted((at, other))
    other = max(other, at + 100)
    first, second = whole[at : at + 100], whole[other : other + 100]
    parts = whole[:at], second, whole[at + 100 : other], first
    return b''.join(parts) + whole[other + 100 :]
  put, gone = {
    'zeros': (bytes(200), 200),
    'random': (rng.bytes(64), 64),
    'lost': (b'', rng.integers(1, 200)),
    'closed': (b'\xff\xd9', len(whole)),
  }[how]
  return whole[:at] + put + whole[at + gone :]


def test_most_damage_is_found():
  kinds = ('plain', 'optimised', 'finest', 'restarts', 'progressive')
  refused = remarked = 0
  for number, how in enumerate(
    ('bits', 'swapped', 'zeros', 'random', 'lost', 'closed')
  ):
    for seed, kind in enumerate(kinds * 4):
      rng = np.random.default_rng([number, seed])
      whole = jpeg(180, 240, 3, JPEG_KINDS[kind])
      reason, remarks = told(damaged(whole, how, rng))
      refused += bool(reason)
      remarked += bool(remarks)
      if how == 'closed' or (how == 'zeros' and 'pro' not in kind):
        assert reason, (how, kind)
  assert refused >= 64
  assert refused + remarked >= 96


def test_zeros_at_the_end_are_padding():
  whole = jpeg()
  assert told(whole[:-2] + bytes(99) + whole[-2:])[0] == ''
  assert told(whole[:-40] + bytes(decode.ZERO_RUN) + whole[-8:])[0]


def test_zeros_that_are_a_flat_picture():
  flat = np.zeros((512, 512), np.uint8)
  # Something after the zeros, or they would pass for padding.
  flat[-8:, -8:] = np.arange(8)[:, None] * 30
  option = [cv2.IMWRITE_JPEG_OPTIMIZE, 1]
  contents = cv2.imencode('.jpg', flat, option)[1].tobytes()
  assert bytes(decode.ZERO_RUN) in contents[:-2].rstrip(b'\0')
  assert told(contents) == ('', [])


def test_zeros_in_a_header_are_no_damage():
  body = b'Exif\0\0' + bytes(500) + b'x'
  assert told(behind_start(jpeg(), 0xE1, body)) == ('', [])


def encode(image, suffix):
  """Returns the contents of a file of such a name, by OpenCV or by Pillow."""
  if suffix in ('.jfif', '.mpo', '.avifs') or suffix.startswith('.j2'):
    kind = {'.jfif': 'JPEG', '.mpo': 'MPO', '.avifs': 'AVIF'}
    file = io.BytesIO()
    picture = Image.fromarray(image)
    picture.save(file, kind.get(suffix, 'JPEG2000'), quality=95)
    return file.getvalue()
  if suffix.startswith('.jp') and suffix not in ('.jpg', '.jpeg', '.jpe'):
    return encode(image, '.j2k')
  if suffix == '.pbm':
    return cv2.imencode(suffix, 255 * (image[..., 0] > 127).astype(np.uint8))[1]
  channels = image[..., 0] if suffix == '.pgm' else image[..., ::-1]
  return cv2.imencode(suffix, channels)[1]


@pytest.mark.parametrize('suffix', decode.SUFFIXES)
def test_what_is_called_an_image_is_decoded(suffix):
  rng = np.random.default_rng(0)
  for _ in range(3):
    height, width = rng.integers(20, 50, 2)
    small = rng.integers(0, 256, (3, 4, 3), np.uint8)
    image = cv2.resize(small, (int(width), int(height)))
    contents = bytes(encode(image, suffix))
    found = decode.image(contents, 3)
    assert found.shape == image.shape
    if suffix == '.pbm':
      image = np.repeat(255 * (image[..., :1] > 127), 3, axis=2)
    elif suffix == '.pgm':
      image = np.repeat(image[..., :1], 3, axis=2)
    assert np.abs(found.astype(int) - image).mean() < 25  # GIF: 252 colours
    if suffix in ('.ras', '.sr', '.ppm', '.bmp', '.png', '.tif'):
      np.testing.assert_array_equal(found, image)


def test_no_suffix_is_said_to_be_both():
  assert not {*decode.SUFFIXES} & {*decode.OTHER_SUFFIXES}
  assert {*folders.SUFFIXES} <= {*decode.SUFFIXES}
