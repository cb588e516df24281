import io
import os
import struct
import time
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL import ImageOps

from aubal_jax.media import images


def picture(height=40, width=60, seed=0):
  """A smooth RGB image, so that JPEG and resizing change little."""
  rng = np.random.default_rng(seed)
  small = rng.integers(0, 256, (4, 6, 3), np.uint8)
  return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def save(path, rgb, *options):
  pixels = (
    rgb if rgb.ndim == 2 else rgb[..., [2, 1, 0, *range(3, rgb.shape[2])]]
  )
  assert cv2.imwrite(str(path), pixels, list(options))
  return str(path)


def read(*paths, image_size=32, channels=3, resize='stretch', **others):
  return images.read_images(
    paths, images.Pixels(image_size, channels, resize), **others
  )


def with_orientation(jpeg, orientation):
  """Puts an EXIF segment that holds nothing but the orientation."""
  tiff = b'MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0' + bytes(
    [orientation, 0, 0, 0, 0, 0, 0]
  )
  body = b'Exif\0\0' + tiff
  size = (len(body) + 2).to_bytes(2, 'big')
  return jpeg[:2] + b'\xff\xe1' + size + body + jpeg[2:]


def luma(rgb):
  return rgb[..., :3] @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize('kind', ['png', 'jpg', 'grey', 'deep', 'deep_grey'])
@pytest.mark.parametrize('channels', [1, 3])
def test_kinds_of_files(tmp_path, kind, channels):
  rgb = picture(32, 32)
  grey = luma(rgb).round().astype(np.uint8)
  path = tmp_path / ('x.jpg' if kind == 'jpg' else 'x.png')
  content = {
    'grey': grey,
    'deep': rgb.astype(np.uint16) * 256 + 7,
    'deep_grey': grey.astype(np.uint16) * 256 + 7,
  }.get(kind, rgb)
  got = read(save(path, content), channels=channels)
  want = luma(rgb)[..., None] if channels == 1 else rgb
  if 'grey' in kind:
    want = np.repeat(grey[..., None], channels, -1)
  assert got.dtype == np.uint8
  assert got.shape == (1, 32, 32, channels)
  difference = np.abs(got[0] - want.astype(float))
  if kind == 'jpg':
    assert difference.mean() < 5
  elif 'grey' in kind or channels == 3:
    assert difference.max() == 0
  else:
    assert difference.max() < 1.5  # Rounding, of 16 bits or of 8.


def test_transparency_is_left_out(tmp_path):
  rgb = picture(32, 32)
  alpha = np.zeros((32, 32, 1), np.uint8)
  path = save(tmp_path / 'x.png', np.concatenate([rgb, alpha], -1))
  np.testing.assert_array_equal(read(path)[0], rgb)


def test_palette_as_pillow_reads_it(tmp_path):
  paletted = Image.fromarray(picture(32, 32)).quantize(64)
  paletted.save(tmp_path / 'x.png')
  want = np.asarray(paletted.convert('RGB'))
  np.testing.assert_array_equal(read(str(tmp_path / 'x.png'))[0], want)


@pytest.mark.parametrize(
  ('orientation', 'turn'),
  [
    (1, lambda a: a),
    (2, lambda a: a[:, ::-1]),
    (3, lambda a: a[::-1, ::-1]),
    (6, lambda a: np.rot90(a, -1)),
    (8, np.rot90),
  ],
)
@pytest.mark.parametrize('channels', [1, 3])
def test_exif_orientation(tmp_path, orientation, turn, channels):
  jpeg = cv2.imencode('.jpg', picture(32, 32)[..., ::-1])[1].tobytes()
  path = tmp_path / 'x.jpg'
  path.write_bytes(jpeg)
  upright = read(str(path), channels=channels)[0]
  path.write_bytes(with_orientation(jpeg, orientation))
  turned = read(str(path), channels=channels)[0]
  np.testing.assert_array_equal(turned, turn(upright))


@pytest.mark.parametrize(
  'shape', [(40, 60), (60, 40), (50, 50), (3, 200), (200, 3)]
)
@pytest.mark.parametrize('size', [1, 17, 50, 128])
@pytest.mark.parametrize('resize', images.RESIZES)
def test_size_of_the_result(shape, size, resize):
  for image in (picture(*shape), picture(*shape)[..., 0]):
    got = images.fit(image, size, resize)
    assert got.shape == (size, size, *image.shape[2:])
    assert got.dtype == np.uint8


def test_stretch_shrinks_by_the_mean_of_the_area():
  image = picture(40, 60)
  # 40 x 60 to 20 x 20: blocks of 2 x 3 pixels.
  want = image.reshape(20, 2, 20, 3, 3).mean((1, 3))
  assert np.abs(images.fit(image, 20, 'stretch') - want).max() <= 0.51


def test_stretch_grows_linearly_and_each_axis_as_it_needs():
  image = picture(40, 60)
  want = cv2.resize(image, (90, 90), interpolation=cv2.INTER_LINEAR)
  np.testing.assert_array_equal(images.fit(image, 90, 'stretch'), want)
  # Stripes of one pixel, shrunk along the stripes' normal: all grey.
  stripes = np.tile(np.array([0, 200], np.uint8), (10, 50))
  assert (images.fit(stripes, 50, 'stretch') == 100).all()


def test_pad_centres_on_black():
  image = np.full((20, 40, 3), 200, np.uint8)
  got = images.fit(image, 20, 'pad')
  assert (got[5:15] == 200).all()
  assert not got[:5].any()
  assert not got[15:].any()
  got = images.fit(image.swapaxes(0, 1), 20, 'pad')
  assert (got[:, 5:15] == 200).all()
  assert not got[:, :5].any()


def test_crop_takes_the_middle():
  image = picture(40, 60)
  np.testing.assert_array_equal(images.fit(image, 40, 'crop'), image[:, 10:50])
  tall = image.swapaxes(0, 1)
  np.testing.assert_array_equal(images.fit(tall, 40, 'crop'), tall[10:50])


@pytest.mark.parametrize('num_threads', [None, 1, 5])
def test_keeps_the_order_and_counts(tmp_path, num_threads):
  paths = [
    save(tmp_path / f'{n}.png', np.full((8, 8), n, np.uint8))
    for n in range(100)
  ]
  counted = []
  got = read(
    *paths,
    image_size=8,
    channels=1,
    num_threads=num_threads,
    on_progress=counted.append,
  )
  assert got[:, 0, 0, 0].tolist() == list(range(100))
  assert sum(counted) == 100


def test_no_images():
  assert read(image_size=8).shape == (0, 8, 8, 3)


def zeroed(count):
  jpeg = cv2.imencode('.jpg', picture(200, 300))[1].tobytes()
  middle = (jpeg.index(b'\xff\xda') + len(jpeg)) // 2
  return jpeg[:middle] + bytes(count) + jpeg[middle + count :]


def broken(folder):
  """Returns path -> what is wrong with the file."""
  jpeg = cv2.imencode('.jpg', picture())[1].tobytes()
  png = cv2.imencode('.png', picture())[1].tobytes()
  # A whole thumbnail before the scan must not hide that the end is missing.
  body = b'Exif\0\0' + jpeg
  size = (len(body) + 2).to_bytes(2, 'big')
  thumbnail = jpeg[:2] + b'\xff\xe1' + size + body + jpeg[2:]
  contents = {
    'half.jpg': (jpeg[: len(jpeg) // 2], 'cut short'),
    'end.jpg': (jpeg[:-2], 'cut short'),
    'head.jpg': (jpeg[:30], 'cut short'),
    'thumb.jpg': (thumbnail[: -len(jpeg) // 2], 'cut short'),
    'half.png': (png[: len(png) // 2], 'cut short'),
    'flip.png': (
      png[:60] + bytes(255 - b for b in png[60:90]) + png[90:],
      'damaged: a png chunk has a wrong checksum',
    ),
    # Such as a copy that broke off and was closed by a repair tool.
    'closed.jpg': (jpeg[: len(jpeg) // 2] + b'\xff\xd9', 'damaged: data for'),
    'zeros.jpg': (zeroed(40), 'damaged: zeros'),
    'sector.jpg': (zeroed(512), 'damaged: zeros'),
    'empty.png': (b'', 'the file is empty'),
    'text.jpg': (b'no image', 'not an image'),
    'short.bmp': (
      cv2.imencode('.bmp', picture())[1].tobytes()[:99],
      'truncated',
    ),
  }
  for name, (content, _) in contents.items():
    (folder / name).write_bytes(content)
  (folder / 'folder.png').mkdir()
  wrong = {name: reason for name, (_, reason) in contents.items()}
  wrong |= {'folder.png': 'folder', 'missing.png': 'no such file'}
  return {str(folder / name): reason for name, reason in wrong.items()}


@pytest.mark.parametrize('channels', [1, 3])
def test_broken_files_are_named_with_the_reason(tmp_path, channels):
  good = save(tmp_path / 'good.jpg', picture())
  wrong = broken(tmp_path)
  paths = [good, *wrong, good]
  found = images.read(paths, images.Pixels(8, channels), num_threads=2)[1]
  assert sorted(found) == list(range(1, len(paths) - 1))
  for position, reason in found.items():
    assert wrong[paths[position]] in reason.lower(), paths[position]
    with pytest.raises(ValueError, match=r"set data\.unreadable='drop'") as no:
      read(good, paths[position], channels=channels)
    assert str(no.value).startswith(
      f'Cannot read 1 of 2 images: {paths[position]}: {reason}. Mend'
    )


def test_error_lists_five_and_the_total(tmp_path):
  paths = [str(tmp_path / f'{n}.png') for n in range(7)]
  with pytest.raises(ValueError, match=r'Cannot read 7 of 7 images:') as no:
    read(*paths, describe=lambda n: f't.csv:{n + 2}')
  assert 't.csv:6: there is no such file; ...' in str(no.value)
  assert 't.csv:7' not in str(no.value)


def test_whole_files_with_something_appended_are_read(tmp_path):
  for name in ('x.jpg', 'x.png'):
    path = save(tmp_path / name, picture())
    want = read(path)
    with open(path, 'ab') as file:
      file.write(b'\0' * 9 + b'trailer')
    np.testing.assert_array_equal(read(path), want)


def test_progressive_jpeg_and_fill_bytes(tmp_path):
  path = save(tmp_path / 'x.jpg', picture(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
  want = read(path)
  content = (tmp_path / 'x.jpg').read_bytes()
  (tmp_path / 'x.jpg').write_bytes(content[:2] + b'\xff\xff' + content[2:])
  np.testing.assert_array_equal(read(path), want)


def test_grey_corners_and_flat_pictures_are_no_damage(tmp_path):
  grey = picture(64, 64)
  grey[-16:] = 128
  flats = [grey, *(np.full((64, 64, 3), v, np.uint8) for v in (0, 128, 255))]
  for number, rgb in enumerate(flats):
    for optimize in (0, 1):
      option = [cv2.IMWRITE_JPEG_OPTIMIZE, optimize]
      path = save(tmp_path / f'{number}.jpg', rgb, *option)
      got = read(path, image_size=64)[0]
      assert np.abs(got[-4:].astype(int) - rgb[-4:]).max() <= 1


def test_a_wrong_checksum_of_a_comment_is_no_damage(tmp_path):
  path = tmp_path / 'x.png'
  want = read(save(path, picture()))
  content = path.read_bytes()
  text = b'\0\0\0\3tEXta\0b' + b'\0' * 4
  path.write_bytes(content[:33] + text + content[33:])
  np.testing.assert_array_equal(read(str(path)), want)


def test_cut_files_are_not_spoken_of_on_stderr(tmp_path, capfd):
  wrong = [p for p in broken(tmp_path) if 'closed.jpg' not in p]
  assert len(images.read(wrong, images.Pixels(8, 3))[1]) == len(wrong)
  assert capfd.readouterr().err == ''


def test_an_interrupt_leaves_the_rest(tmp_path, monkeypatch):
  path = save(tmp_path / 'x.png', picture())
  decoded = []
  decode = images.decode

  def slow_decode(contents, channels):
    decoded.append(1)
    time.sleep(0.002)
    return decode(contents, channels)

  def interrupt(count):
    raise KeyboardInterrupt

  monkeypatch.setattr(images, 'decode', slow_decode)
  with pytest.raises(KeyboardInterrupt):
    read(*[path] * 2000, num_threads=2, on_progress=interrupt)
  assert len(decoded) < 500


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'image_size': 0}, r'data\.image_size must be .*1 or more, not 0'),
    ({'image_size': 1.5}, r'data\.image_size .* not 1\.5'),
    ({'channels': 4}, r'data\.channels must be 1 \(grey\) or 3 .*not 4'),
    ({'resize': 'zoom'}, r"data\.resize must be .*'pad'.*, not 'zoom'"),
    ({'num_threads': 0}, r'num_threads must be 1 or more, not 0'),
  ],
)
def test_bad_arguments(options, message):
  with pytest.raises(ValueError, match=message):
    read(**options)


def by_pillow(image, kind, **options):
  """Returns the contents of a file that Pillow writes."""
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def colours(height=32, width=32):
  return Image.fromarray(picture(height, width))


def deep(top=65536):
  """A grey image of 16 bits; every 8 high bits come up."""
  return (np.arange(32 * 32) * (top // 1024)).astype(np.uint16).reshape(32, 32)


@pytest.mark.parametrize(
  ('kind', 'mode'),
  [
    (kind, mode)
    for kind, modes in {
      'BMP': '1 L P RGB RGBA',
      'GIF': '1 L P RGB RGBA LA',
      'PNG': '1 L P RGB RGBA LA',
      'PPM': '1 L RGB',
      'TIFF': '1 L P RGB RGBA LA CMYK YCbCr',
      'WEBP': 'L RGB RGBA',
    }.items()
    for mode in modes.split()
  ],
)
@pytest.mark.parametrize('channels', [1, 3])
def test_kinds_and_modes_as_pillow_reads_them(kind, mode, channels):
  rgb = colours()
  wanted = rgb.quantize(64) if mode == 'P' else rgb.convert(mode)
  if mode in ('RGBA', 'LA'):
    wanted.putalpha(Image.linear_gradient('L').resize((32, 32)))
  options = {'lossless': True, 'exact': True} if kind == 'WEBP' else {}
  contents = by_pillow(wanted, kind, **options)
  got = images.decode(contents, channels)
  opened = Image.open(io.BytesIO(contents))
  want = np.asarray(opened.convert('RGB' if channels == 3 else 'L'))
  assert got.dtype == np.uint8
  assert got.shape == want.shape
  # RGB is exact, and for grey the two libraries round in their own ways.
  assert np.abs(got.astype(int) - want).max() <= (0 if channels == 3 else 1)


def test_pixels_without_colour_keep_what_is_under_them():
  rgba = np.dstack([picture(32, 32), np.zeros((32, 32), np.uint8)])
  for kind in ('PNG', 'TIFF'):
    contents = by_pillow(Image.fromarray(rgba), kind)
    np.testing.assert_array_equal(images.decode(contents, 3), rgba[..., :3])


@pytest.mark.parametrize('marked', [True, False])
@pytest.mark.parametrize('channels', [1, 3])
def test_cmyk_jpeg_of_inverted_inks(marked, channels):
  contents = by_pillow(colours().convert('CMYK'), 'JPEG', quality=95)
  assert b'Adobe' in contents
  if not marked:  # Pillow, too, takes every CMYK JPEG for one of Adobe's.
    contents = contents.replace(b'Adobe', b'Other')
  pillow = Image.open(io.BytesIO(contents)).convert('RGB')
  got = images.decode(contents, channels).astype(int)
  want = np.asarray(pillow.convert('L') if channels == 1 else pillow)
  assert np.abs(got - want).max() <= 2
  assert np.abs(np.asarray(pillow).astype(int) - picture(32, 32)).mean() < 6


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
  got = images.decode(contents, channels)
  want = np.rint(values / 257.0)
  assert got.min() == 0
  assert got.max() == 255
  got = got.reshape(32, 32, channels)
  assert np.abs(got - want[..., None]).max() <= 1


def test_what_survey_asks_for():
  native = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
  for kind in ('PNG', 'TIFF'):
    contents = by_pillow(Image.fromarray(deep()), kind)
    np.testing.assert_array_equal(images.decode_as(contents, native), deep())
    contents = by_pillow(colours(), kind)
    np.testing.assert_array_equal(
      images.decode_as(contents, native), picture(32, 32)[..., ::-1]
    )
    contents = by_pillow(colours().convert('L'), kind)
    assert images.decode_as(contents, native).shape == (32, 32)


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
    images.decode(contents, channels)


def test_white_as_0():
  grey = colours().convert('L')
  contents = by_pillow(grey, 'TIFF', tiffinfo={262: 0})
  want = np.asarray(Image.open(io.BytesIO(contents)))
  np.testing.assert_array_equal(images.decode(contents, 1), want)


@pytest.mark.parametrize('kind', ['GIF', 'TIFF', 'WEBP', 'PNG'])
def test_the_first_of_several(kind):
  pages = [Image.fromarray(np.full((9, 9, 3), v, np.uint8)) for v in (8, 200)]
  contents = by_pillow(pages[0], kind, save_all=True, append_images=pages[1:])
  assert np.abs(images.decode(contents, 3).astype(int) - 8).max() <= 2


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'TIFF', 'WEBP'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_upright_as_pillow_turns_it(kind, orientation):
  exif = Image.Exif()
  exif[0x0112] = orientation
  contents = by_pillow(colours(40, 24), kind, exif=exif, quality=95)
  turned = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
  got = images.decode(contents, 3)
  assert got.shape == np.shape(turned)
  assert np.abs(got.astype(int) - np.asarray(turned)).max() <= 3


@pytest.mark.parametrize('kind', ['AVIF', 'JPEG2000'])
def test_other_kinds(kind):
  contents = by_pillow(colours(), kind)
  got = images.decode(contents, 3)
  assert np.abs(got.astype(int) - picture(32, 32)).mean() < 6


@pytest.mark.parametrize('kind', ['BMP', 'GIF', 'TIFF', 'WEBP', 'PPM'])
@pytest.mark.parametrize('part', [0.1, 0.5, 0.9])
def test_cut_files_of_rarer_kinds(kind, part):
  contents = by_pillow(colours(), kind)
  with pytest.raises(
    ValueError, match=r'cannot decode it: |that can be decoded'
  ):
    images.decode(contents[: int(part * len(contents))], 3)


def test_other_programs_are_never_started():
  contents = by_pillow(colours(), 'EPS')
  with pytest.raises(ValueError, match='not an image that can be decoded'):
    images.decode(contents, 3)


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
  def decode(*_):
    raise AssertionError('was decoded')

  monkeypatch.setattr(cv2, 'imdecode', decode)
  monkeypatch.setattr(ImageOps, 'exif_transpose', decode)
  for kind, contents in bombs().items():
    assert len(contents) < 5e6, kind
    with pytest.raises(ValueError, match='more than the 100 million'):
      images.decode(contents, 1)


def test_the_largest_image_that_is_read(monkeypatch):
  monkeypatch.setattr(images, 'MAX_PIXELS', 32 * 40)
  for kind in ('PNG', 'JPEG', 'BMP'):
    assert images.decode(by_pillow(colours(32, 40), kind), 1).any()
    with pytest.raises(ValueError, match=r'32 x 41 pixels are more|41 x 32'):
      images.decode(by_pillow(colours(32, 41), kind), 1)


@pytest.mark.parametrize('shape', [(1, 20000), (20000, 1)])
@pytest.mark.parametrize('resize', images.RESIZES)
def test_long_and_thin(tmp_path, shape, resize):
  path = save(tmp_path / 'x.png', np.full(shape, 77, np.uint8))
  got = read(path, image_size=16, resize=resize)
  assert set(np.unique(got)) <= {0, 77}
  assert got.any()


def test_paths_that_are_no_files(tmp_path, monkeypatch):
  loop = tmp_path / 'loop.jpg'
  loop.symlink_to(loop)
  os.mkfifo(tmp_path / 'pipe.jpg')
  large = tmp_path / 'large.jpg'
  large.write_bytes(b'12345')
  monkeypatch.setattr(images, 'MAX_BYTES', 4)
  reasons = {
    str(loop): 'symbolic links',
    str(tmp_path / 'pipe.jpg'): 'a pipe or a device',
    '/dev/zero': 'a pipe or a device',
    str(large): 'GB are more than',
    str(tmp_path / 'nul\0.jpg'): 'null byte',
    str(tmp_path / ('x' * 300)): 'too long',
    str(tmp_path / 'pipe.jpg' / 'x.jpg'): 'Not a directory',
  }
  _, found = images.read([*reasons], images.Pixels(8, 1))
  assert len(found) == len(reasons)
  for position, (path, reason) in enumerate(reasons.items()):
    assert reason in found[position], path


def test_links_are_followed(tmp_path):
  path = save(tmp_path / 'x.png', picture())
  (tmp_path / 'link').symlink_to(path)
  np.testing.assert_array_equal(read(str(tmp_path / 'link')), read(path))


def test_faces_are_cut_out_where_there_are_landmarks(tmp_path):
  path = save(tmp_path / 'x.png', picture())
  pixels = images.Pixels(16, 3, crop='mtcnn')
  landmarks = np.full((2, 5, 2), np.nan, np.float32)
  landmarks[1] = 16 * images.crop_lib.TEMPLATE - 0.5
  got, failures = images.read([path, path], pixels, landmarks=landmarks)
  assert failures == {0: images.crop_lib.NO_FACE}
  assert not got[0].any()
  np.testing.assert_allclose(got[1], picture()[:16, :16], atol=1)
  with pytest.raises(ValueError, match='landmarks must be given where'):
    images.read([path], pixels)
