import cv2
import numpy as np
import pytest

from aubal_jax.media import crop

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
