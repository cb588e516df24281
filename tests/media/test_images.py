import itertools
import os
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from aubal_jax.media import crop
from aubal_jax.media import decode
from aubal_jax.media import images
from tests.makers import fake_data


def save(path, rgb, *options):
  pixels = (
    rgb if rgb.ndim == 2 else rgb[..., [2, 1, 0, *range(3, rgb.shape[2])]]
  )
  assert cv2.imwrite(str(path), pixels, list(options))
  return str(path)


def read(*paths, image_size=32, channels=3, resize='stretch', **others):
  pixels = images.Pixels(image_size, channels, resize)
  made, failures = images.read(paths, pixels, **others)
  assert not failures
  return made


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
  rgb = fake_data.picture(32, 32)
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
  rgb = fake_data.picture(32, 32)
  alpha = np.zeros((32, 32, 1), np.uint8)
  path = save(tmp_path / 'x.png', np.concatenate([rgb, alpha], -1))
  np.testing.assert_array_equal(read(path)[0], rgb)


def test_palette_as_pillow_reads_it(tmp_path):
  paletted = Image.fromarray(fake_data.picture(32, 32)).quantize(64)
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
  jpeg = cv2.imencode('.jpg', fake_data.picture(32, 32)[..., ::-1])[1].tobytes()
  path = tmp_path / 'x.jpg'
  path.write_bytes(jpeg)
  upright = read(str(path), channels=channels)[0]
  path.write_bytes(with_orientation(jpeg, orientation))
  turned = read(str(path), channels=channels)[0]
  np.testing.assert_array_equal(turned, turn(upright))


@pytest.mark.parametrize('resize', ['stretch', 'pad', 'crop'])
def test_size_of_the_result(resize):
  for shape in ((40, 60), (60, 40), (50, 50), (3, 200), (200, 3)):
    colour = fake_data.picture(*shape)
    for image, size in itertools.product(
      (colour, colour[..., 0]), (1, 17, 50, 128)
    ):
      got = images.fit(image, size, resize)
      assert got.shape == (size, size, *image.shape[2:])
      assert got.dtype == np.uint8


def test_stretch_shrinks_by_the_mean_of_the_area():
  image = fake_data.picture(40, 60)
  # 40 x 60 to 20 x 20: blocks of 2 x 3 pixels.
  want = image.reshape(20, 2, 20, 3, 3).mean((1, 3))
  assert np.abs(images.fit(image, 20, 'stretch') - want).max() <= 0.51


def test_stretch_grows_linearly_and_each_axis_as_it_needs():
  image = fake_data.picture(40, 60)
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
  image = fake_data.picture(40, 60)
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
  jpeg = cv2.imencode('.jpg', fake_data.picture(200, 300))[1].tobytes()
  middle = (jpeg.index(b'\xff\xda') + len(jpeg)) // 2
  return jpeg[:middle] + bytes(count) + jpeg[middle + count :]


def broken(folder):
  """Returns path -> what is wrong with the file."""
  jpeg = cv2.imencode('.jpg', fake_data.picture())[1].tobytes()
  png = cv2.imencode('.png', fake_data.picture())[1].tobytes()
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
    'closed.jpg': (
      jpeg[: len(jpeg) // 2] + b'\xff\xd9',
      'damaged: premature end',
    ),
    'zeros.jpg': (zeroed(40), 'damaged: zeros'),
    'sector.jpg': (zeroed(512), 'damaged: zeros'),
    'empty.png': (b'', 'the file is empty'),
    'text.jpg': (b'no image', 'not an image'),
    'short.bmp': (
      cv2.imencode('.bmp', fake_data.picture())[1].tobytes()[:99],
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
  good = save(tmp_path / 'good.jpg', fake_data.picture())
  wrong = broken(tmp_path)
  paths = [good, *wrong, good]
  found = images.read(paths, images.Pixels(8, channels), num_threads=2)[1]
  assert sorted(found) == list(range(1, len(paths) - 1))
  for position, reason in found.items():
    assert wrong[paths[position]] in reason.lower(), paths[position]


def test_error_lists_five_and_the_total(tmp_path):
  paths = [str(tmp_path / f'{n}.png') for n in range(7)]
  _, failures = images.read(paths, images.Pixels(8, 1))
  error = images.unreadable_error(failures, 9, lambda n: f't.csv:{n + 2}')
  told = str(error)
  assert told.startswith('Cannot read 7 of 9 images: t.csv:2: there is no such')
  assert 't.csv:6: there is no such file; ...' in told
  assert 't.csv:7' not in told
  assert told.endswith("or set data.unreadable='drop' to go on without them.")


def test_whole_files_with_something_appended_are_read(tmp_path):
  for name in ('x.jpg', 'x.png'):
    path = save(tmp_path / name, fake_data.picture())
    want = read(path)
    with open(path, 'ab') as file:
      file.write(b'\0' * 9 + b'trailer')
    np.testing.assert_array_equal(read(path), want)


def test_progressive_jpeg_and_fill_bytes(tmp_path):
  path = save(
    tmp_path / 'x.jpg', fake_data.picture(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1
  )
  want = read(path)
  content = (tmp_path / 'x.jpg').read_bytes()
  (tmp_path / 'x.jpg').write_bytes(content[:2] + b'\xff\xff' + content[2:])
  np.testing.assert_array_equal(read(path), want)


def test_grey_corners_and_flat_pictures_are_no_damage(tmp_path):
  grey = fake_data.picture(64, 64)
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
  want = read(save(path, fake_data.picture()))
  content = path.read_bytes()
  text = b'\0\0\0\3tEXta\0b' + b'\0' * 4
  path.write_bytes(content[:33] + text + content[33:])
  np.testing.assert_array_equal(read(str(path)), want)


def test_cut_files_are_not_spoken_of_on_stderr(tmp_path, capfd):
  wrong = [p for p in broken(tmp_path) if 'closed.jpg' not in p]
  assert len(images.read(wrong, images.Pixels(8, 3))[1]) == len(wrong)
  assert capfd.readouterr().err == ''


def test_an_interrupt_leaves_the_rest(tmp_path, monkeypatch):
  path = save(tmp_path / 'x.png', fake_data.picture())
  decoded = []
  decode_one = decode.image

  def slow_decode(contents, channels, on_remark):
    decoded.append(1)
    time.sleep(0.002)
    return decode_one(contents, channels)

  def interrupt(count):
    raise KeyboardInterrupt

  monkeypatch.setattr(decode, 'image', slow_decode)
  with pytest.raises(KeyboardInterrupt):
    read(*[path] * 2000, num_threads=2, on_progress=interrupt)
  assert len(decoded) < 500


@pytest.mark.parametrize('shape', [(1, 20000), (20000, 1)])
@pytest.mark.parametrize('resize', ('stretch', 'pad', 'crop'))
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
  monkeypatch.setattr(decode, 'MAX_BYTES', 4)
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
  path = save(tmp_path / 'x.png', fake_data.picture())
  (tmp_path / 'link').symlink_to(path)
  np.testing.assert_array_equal(read(str(tmp_path / 'link')), read(path))


def test_faces_are_cut_out_where_there_are_landmarks(tmp_path):
  path = save(tmp_path / 'x.png', fake_data.picture())
  pixels = images.Pixels(16, 3, crop='mtcnn')
  landmarks = np.full((2, 5, 2), np.nan, np.float32)
  landmarks[1] = 16 * crop.TEMPLATE - 0.5
  got, failures = images.read([path, path], pixels, landmarks=landmarks)
  assert failures == {0: crop.NO_FACE}
  assert not got[0].any()
  np.testing.assert_allclose(got[1], fake_data.picture()[:16, :16], atol=1)
  with pytest.raises(ValueError, match='landmarks must be given where'):
    images.read([path], pixels)
