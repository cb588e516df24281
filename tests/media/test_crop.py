import sys

import cv2
import matplotlib.cbook
import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.media import crop
from aubal_jax.media import images

SIZE = 112


def moved(points, degrees=0.0, scale=1.0, shift=(0.0, 0.0)):
  """Turns, scales and moves points, about 0, 0."""
  turn = np.deg2rad(degrees)
  matrix = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
  return scale * points @ np.transpose(matrix) + shift


def in_pixels(size=SIZE):
  return crop.TEMPLATE * size - 0.5


def blobs(points, shape, sigma):
  """A grey image with a smooth bright spot at each point."""
  y, x = np.mgrid[: shape[0], : shape[1]]
  image = np.zeros(shape)
  for px, py in points:
    image += np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2))
  return np.rint(250 * image.clip(0, 1)).astype(np.uint8)


def centres(image, points, radius):
  """The centre of mass of the brightness around each of the points."""
  y, x = np.mgrid[: image.shape[0], : image.shape[1]]
  found = []
  for px, py in points:
    near = (abs(x - px) <= radius) & (abs(y - py) <= radius)
    mass = image * near
    found.append([(mass * x).sum() / mass.sum(), (mass * y).sum() / mass.sum()])
  return np.array(found)


def test_template_is_symmetric_and_within_its_margin():
  mirrored = crop.TEMPLATE[[1, 0, 2, 4, 3]] * [-1, 1] + [1, 0]
  np.testing.assert_allclose(mirrored, crop.TEMPLATE)
  eyes, chin = 0.35, 0.35 + 1.9 * 0.3
  np.testing.assert_allclose(crop.TEMPLATE[:2], [[0.35, eyes], [0.65, eyes]])
  assert chin == pytest.approx(1 - 0.08)


@pytest.mark.parametrize('degrees', [0, 35, -90, 180])
@pytest.mark.parametrize('scale', [0.5, 1.0, 2.7, 9.3])
@pytest.mark.parametrize('colours', [(), (3,)])
def test_undoes_a_similarity(degrees, scale, colours):
  shape = (1201, 1303)
  points = moved(in_pixels() - 55, degrees, scale, shift=(643.3, 598.8))
  image = blobs(points, shape, sigma=3 * scale)
  image = np.broadcast_to(
    image.reshape(*shape, *[1 for _ in colours]), (*shape, *colours)
  ).copy()
  got = crop.align(image, points, SIZE)
  assert got.shape == (SIZE, SIZE, *colours)
  assert got.dtype == np.uint8
  grey = got if not colours else got[..., 0]
  assert abs(centres(grey, in_pixels(), 7) - in_pixels()).max() < 0.1
  assert grey.max() > 230


def test_is_the_least_squares_fit():
  rng = np.random.default_rng(0)
  points = moved(in_pixels(), 20, 2.0, (90, 70)) + rng.normal(0, 6, (5, 2))
  a, b = crop._similarity(points, in_pixels())
  # x' = p x - q y + c, y' = q x + p y + d.
  rows = [[x, -y, 1, 0] for x, y in points] + [[y, x, 0, 1] for x, y in points]
  want = np.linalg.lstsq(np.array(rows), in_pixels().T.ravel(), rcond=None)[0]
  np.testing.assert_allclose([a.real, a.imag, b.real, b.imag], want)


def test_a_mirrored_image_gives_the_mirrored_crop():
  rng = np.random.default_rng(1)
  image = cv2.GaussianBlur(
    rng.integers(0, 256, (300, 260), np.uint8), (0, 0), 3
  )
  points = moved(in_pixels(), 10, 1.7, (30, 20))
  mirrored = points[[1, 0, 2, 4, 3]] * [-1, 1] + [259, 0]
  got = crop.align(image[:, ::-1].copy(), mirrored, SIZE)
  want = crop.align(image, points, SIZE)[:, ::-1]
  assert abs(got.astype(int) - want).max() <= 2


def test_shrinks_without_aliasing():
  # Stripes one pixel wide, six of them in a pixel of the crop: all grey.
  image = np.tile(np.array([0, 200], np.uint8), (672, 336))
  got = crop.align(image, moved(in_pixels(), 0, 6.0, (0, 0)), SIZE)
  assert abs(got[2:-2, 2:-2].astype(int) - 100).max() <= 2


def test_black_outside_the_image():
  image = np.full((112, 112), 200, np.uint8)
  got = crop.align(image, moved(in_pixels(), 0, 1.0, (-56, 0)), SIZE)
  assert not got[:, :55].any()
  assert (got[:, 57:] == 200).all()


@pytest.mark.parametrize('shape', [(1, 4000), (4000, 1), (1, 1)])
def test_odd_images_are_cropped_all_the_same(shape):
  points = moved(in_pixels(), 0, 40.0, (0, 0))
  assert crop.align(np.ones(shape, np.uint8), points, 16).shape == (16, 16)


@pytest.mark.parametrize(
  'landmarks',
  [
    np.zeros((5, 2)),
    np.full((5, 2), np.nan),
    np.array([[1, 1], [9, 1], [5, 5], [1, np.inf], [9, 9.0]]),
    np.array([[1, 1], [9, 1], [5, 5], [1, np.nan], [9, 9.0]]),
    np.full((5, 2), 40.0) + np.eye(5, 2) / 2,
  ],
)
def test_landmarks_that_are_no_face(landmarks):
  with pytest.raises(ValueError, match='must be finite and not all at one'):
    crop.align(np.zeros((99, 99), np.uint8), landmarks, SIZE)


POINTS = np.array([[20.0, 20], [40, 20], [30, 32], [22, 44], [38, 44]])


def save(path, shape=(60, 80), value=0):
  pixels = np.full((*shape, 3), value, np.uint8)
  assert cv2.imwrite(str(path), pixels)
  return str(path)


def patch(monkeypatch, find, packages=()):
  made = crop.Detector(lambda: find, packages)
  monkeypatch.setattr(crop, 'DETECTORS', {'fake': made})


@pytest.fixture
def fake(monkeypatch):
  """Stands in for a network; returns the images it was shown.

  An image of value v has v faces; the k-th is k wide and lies at POINTS + k,
  and those of odd k are doubtful.
  """
  shown = []

  def find(image):
    shown.append(image)
    return [
      crop.Face(
        np.array([0.0, 0.0, k, 1.0]),
        0.9 if k % 2 == 0 else 0.89,
        POINTS + k,
      )
      for k in range(int(image.mean()))
    ]

  patch(monkeypatch, find)
  crop._make_detector.cache_clear()
  yield shown
  crop._make_detector.cache_clear()


def find(paths, **options):
  return crop.find_faces(
    [str(p) for p in paths],
    **{'detector': 'fake', 'num_processes': 1} | options,
  )


def test_names_are_those_of_the_settings():
  choices = settings.SETTINGS['data.crop'].choices
  assert {*choices} == {'none', *crop.DETECTORS}


def test_largest_face_that_is_sure(tmp_path, fake):
  paths = [save(tmp_path / f'{v}.png', value=v) for v in (0, 1, 4, 7)]
  landmarks, failures = find(paths)
  assert landmarks.shape == (4, 5, 2)
  assert landmarks.dtype == np.float32
  assert failures == {0: crop.NO_FACE}
  assert np.isnan(landmarks[0]).all()
  for row, k in ((1, 0), (2, 2), (3, 6)):
    np.testing.assert_allclose(landmarks[row], POINTS + k)


def test_unreadable_images_say_why(tmp_path, fake):
  (tmp_path / 'x.png').write_bytes(b'')
  paths = [tmp_path / 'x.png', save(tmp_path / 'y.png', value=1), 'missing.png']
  landmarks, failures = find(paths)
  assert failures == {0: 'the file is empty', 2: 'there is no such file'}
  assert np.isnan(landmarks[[0, 2]]).all()
  assert len(fake) == 1


def test_large_images_are_shrunk_and_landmarks_scaled_back(tmp_path, fake):
  path = save(tmp_path / 'x.png', (640, 1280), value=1)
  landmarks, _ = find([path])
  assert fake[0].shape == (160, 320, 3)
  # The centre of the small pixel 0 is 1.5 in the large image.
  np.testing.assert_allclose(landmarks[0], 4 * POINTS + 1.5)


def test_is_upright_and_rgb(tmp_path, fake):
  pixels = np.zeros((60, 80, 3), np.uint8)
  pixels[..., 0] = 200  # Blue, to OpenCV.
  assert cv2.imwrite(str(tmp_path / 'x.png'), pixels)
  find([tmp_path / 'x.png'])
  assert fake[0][0, 0].tolist() == [0, 0, 200]


def test_no_images(fake):
  landmarks, failures = find([])
  assert landmarks.shape == (0, 5, 2)
  assert not failures


@pytest.fixture
def many(tmp_path, monkeypatch):
  monkeypatch.setattr(crop, 'PART_IMAGES', 4)
  (tmp_path / 'bad.png').write_bytes(b'no image')
  paths = [save(tmp_path / f'{v}.png', value=v) for v in range(9)]
  return [*paths, str(tmp_path / 'bad.png')]


def parts(folder):
  return sorted(folder.glob('faces-*/*'))


def test_is_kept_and_goes_on_where_it_was(tmp_path, fake, many):
  want = find(many)
  assert len(fake) == 9
  cache = tmp_path / 'cache'
  for _ in range(2):  # Made, then read.
    got = find(many, cache_dir=str(cache))
    np.testing.assert_array_equal(got[0], want[0])
    assert got[1] == want[1]
    assert len(fake) == 18
  assert [p.name[:7] for p in parts(cache)] == ['000000-', '000001-', '000002-']
  parts(cache)[1].unlink()
  assert find(many, cache_dir=str(cache))[1] == want[1]
  assert len(fake) == 22


def test_what_is_kept_needs_no_package(tmp_path, fake, many, monkeypatch):
  want = find(many, cache_dir=str(tmp_path / 'cache'))
  patch(monkeypatch, None, ('no_such_package',))
  got = find(many, cache_dir=str(tmp_path / 'cache'))
  np.testing.assert_array_equal(got[0], want[0])


def test_a_changed_file_is_looked_at_again(tmp_path, fake, many):
  find(many, cache_dir=str(tmp_path / 'cache'))
  (tmp_path / 'bad.png').write_bytes((tmp_path / '5.png').read_bytes())
  landmarks, failures = find(many, cache_dir=str(tmp_path / 'cache'))
  assert failures == {0: crop.NO_FACE}
  np.testing.assert_allclose(landmarks[9], POINTS + 4)
  assert len(fake) == 9 + 2  # Its part alone.


def test_settings_tell_caches_apart(tmp_path, fake, many, monkeypatch):
  find(many, cache_dir=str(tmp_path / 'cache'))
  monkeypatch.setattr(crop, 'LONGEST_SIDE', 64)
  find(many, cache_dir=str(tmp_path / 'cache'))
  assert len({p.parent for p in parts(tmp_path / 'cache')}) == 2


def test_damage_is_named(tmp_path, fake, many):
  find(many, cache_dir=str(tmp_path / 'cache'))
  part = parts(tmp_path / 'cache')[0]
  part.write_bytes(part.read_bytes()[:99])
  with pytest.raises(ValueError, match=r'000000-.*npz is damaged .*delete it'):
    find(many, cache_dir=str(tmp_path / 'cache'))


def test_a_kill_keeps_finished_parts(tmp_path, fake, many, monkeypatch):
  def find_until(image):
    del image
    if parts(tmp_path / 'cache'):  # The first one that was begun.
      raise KeyboardInterrupt
    return []

  patch(monkeypatch, find_until)
  crop._make_detector.cache_clear()
  with pytest.raises(KeyboardInterrupt):
    find(many, cache_dir=str(tmp_path / 'cache'))
  assert len(parts(tmp_path / 'cache')) == 1


def test_a_package_that_is_not_installed(tmp_path, monkeypatch):
  patch(monkeypatch, None, ('lz4',))
  monkeypatch.setitem(sys.modules, 'lz4', None)
  with pytest.raises(ValueError, match=r'crop=.* package lz4, .*\[crop\]'):
    find([tmp_path / 'x.png'])


def test_mtcnn_finds_the_larger_face(tmp_path):
  pytest.importorskip('mtcnn')
  photo = matplotlib.cbook.get_sample_data('grace_hopper.jpg', asfileobj=False)
  pixels = cv2.imread(str(photo))
  two = np.zeros((600, 1024, 3), np.uint8)
  two[:, :512] = pixels
  two[300:, 768:] = cv2.resize(pixels, (256, 300))
  assert cv2.imwrite(str(tmp_path / 'two.png'), two)
  blank = save(tmp_path / 'blank.png', value=128)
  paths = [str(photo), blank, str(tmp_path / 'two.png')]
  landmarks, failures = crop.find_faces(paths, num_processes=1)
  assert failures == {1: crop.NO_FACE}
  # Read off the photograph (512 x 600) by eye.
  want = [[221, 191], [308, 187], [268, 238], [232, 278], [305, 274]]
  assert abs(landmarks[[0, 2]] - want).max() < 8
  crops, failed = images.read(
    paths, images.Pixels(64, 3, crop='mtcnn'), landmarks=landmarks
  )
  assert failed == failures
  assert not crops[1].any()
  # Her face is lighter than her hat, and fills the middle.
  assert crops[0, 24:50, 22:42].mean() > 130 > 80 > crops[0, :4, 24:40].mean()
