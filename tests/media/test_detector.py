import cv2
import matplotlib.cbook
import numpy as np
import pytest

from aubal_jax.media import crop
from aubal_jax.media import detector
from aubal_jax.media import images

POINTS = np.array([[20.0, 20], [40, 20], [30, 32], [22, 44], [38, 44]])


def save(path, shape=(60, 80), value=0):
  pixels = np.full((*shape, 3), value, np.uint8)
  assert cv2.imwrite(str(path), pixels)
  return str(path)


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
      (float(k), 0.9 if k % 2 == 0 else 0.89, POINTS + k)
      for k in range(int(image.mean()))
    ]

  monkeypatch.setattr(detector, 'MAKERS', {'fake': lambda: find})
  monkeypatch.setattr(crop, 'DETECTORS', {'fake': ()})
  detector._make_detector.cache_clear()
  yield shown
  detector._make_detector.cache_clear()


def find(paths, **options):
  return detector.find_faces(
    [str(p) for p in paths],
    **{'detector': 'fake', 'num_processes': 1} | options,
  )


def test_names_are_those_of_the_settings():
  assert detector.MAKERS.keys() == crop.DETECTORS.keys()
  assert images.Pixels(crop='mtcnn')


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
  monkeypatch.setattr(detector, 'PART_IMAGES', 4)
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
  monkeypatch.setattr(crop, 'DETECTORS', {'fake': ('no_such_package',)})
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
  monkeypatch.setattr(detector, 'LONGEST_SIDE', 64)
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

  monkeypatch.setattr(detector, 'MAKERS', {'fake': lambda: find_until})
  detector._make_detector.cache_clear()
  with pytest.raises(KeyboardInterrupt):
    find(many, cache_dir=str(tmp_path / 'cache'))
  assert len(parts(tmp_path / 'cache')) == 1


def test_a_package_that_is_not_installed(tmp_path, monkeypatch):
  monkeypatch.setattr(crop, 'DETECTORS', {'mtcnn': ('no_such_package',)})
  with pytest.raises(ValueError, match=r'no_such_package.*AUBAL_EXTRAS=crop'):
    detector.find_faces([str(tmp_path / 'x.png')])


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
  landmarks, failures = detector.find_faces(paths, num_processes=1)
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
