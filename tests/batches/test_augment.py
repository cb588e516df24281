"""Augmentations against plain NumPy, cv2 and scipy, and how they are drawn."""

import dataclasses

import cv2
import numpy as np
import pytest
from scipy import ndimage
from scipy import stats

from aubal_jax.batches import augment
from aubal_jax.batches import draws

# name -> what leaves an image as it is, and a strong value.
VALUES = {
  'flip': (False, True),
  'blur_sigma': (0.0, 1.3),
  'contrast': (1.0, 1.7),
  'noise_sigma': (0.0, 20.0),
  'multiply': (1.0, 1.4),
  'perspective': (np.zeros((4, 2)), np.full((4, 2), 0.1)),
}


def make_images(*shape, seed=0):
  return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def make_parameters(size, strong=()):
  fields = {
    name: np.array([pair[name in strong]] * size)
    for name, pair in VALUES.items()
  }
  return draws.Parameters(**fields, key=np.arange(size, dtype=np.uint64))


def test_table_of_this_test_is_the_registry_and_the_parameters():
  assert list(VALUES) == list(augment.AUGMENTATIONS) == list(draws.NAMES)
  fields = [f.name for f in dataclasses.fields(draws.Parameters)]
  assert [*VALUES, 'key'] == fields
  assert list(draws.OPTIONS) == [*VALUES, 'strength', 'growth_exponent']


@pytest.mark.parametrize('name', VALUES)
@pytest.mark.parametrize('shape', [(112, 112, 1), (32, 47, 3), (5, 4, 1)])
def test_contract(name, shape):
  image = make_images(*shape)
  before = image.copy()
  identity, strong = VALUES[name]
  function = augment.AUGMENTATIONS[name]

  np.testing.assert_array_equal(function(image, identity, 7), image)
  result = function(image, strong, 7)

  assert result.dtype == np.uint8
  assert result.shape == shape
  assert (result != before).any()
  np.testing.assert_array_equal(image, before)
  np.testing.assert_array_equal(function(image, strong, 7), result)
  np.testing.assert_array_equal(
    augment.augment(image[None], make_parameters(1, [name]))[0],
    function(image, strong, 0),
  )


def test_flip_mirrors_columns():
  image = make_images(6, 9, 3)
  np.testing.assert_array_equal(augment.flip_lr(image, True), image[:, ::-1])


@pytest.mark.parametrize(
  'sigma, size',
  # int(3.3 sigma), made odd, at least 5; 2.9 from sigma 3; 2.6 from sigma 5.
  [(0.4, 5), (1.0, 5), (2.0, 7), (2.9, 9), (3.1, 9), (4.9, 15), (5.0, 13)],
)
@pytest.mark.parametrize('channels', [1, 3])
def test_blur_is_a_gaussian_of_imgaugs_size_on_mirrored_borders(
  sigma, size, channels
):
  image = make_images(40, 31, channels)
  half = size // 2
  kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
  kernel /= kernel.sum()
  padded = np.pad(
    image.astype(float), [(half, half), (half, half), (0, 0)], mode='reflect'
  )
  for axis in (0, 1):
    padded = ndimage.correlate1d(padded, kernel, axis=axis)
  exact = padded[half:-half, half:-half]

  result = augment.gaussian_blur(image, sigma)

  assert abs(result - exact).max() < 0.51  # Rounded to whole greys.
  # cv2's own blur of bytes counts in steps of 1/256, so may differ by one.
  blurred = cv2.GaussianBlur(image, (size, size), sigma)
  other = blurred.reshape(image.shape).astype(int)
  assert abs(result - other).max() <= 1


@pytest.mark.parametrize('alpha', [0.5, 0.8, 1.25, 3.0])
@pytest.mark.parametrize('channels', [1, 3])
def test_contrast_turns_about_grey_127_and_cuts_fractions(alpha, channels):
  image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
  image = np.repeat(image, channels, axis=2)
  expected = 127 + np.float32(alpha) * (image.astype(np.float32) - 127)
  expected = np.trunc(np.clip(expected, 0, 255))

  result = augment.linear_contrast(image, alpha)

  np.testing.assert_array_equal(result, expected)
  # By hand: 127 + 0.5 (0 - 127) = 63.5, cut to 63; 127 + 3 (100 - 127) = 46.
  if alpha == 0.5:
    assert result[0, 0, 0] == 63
  if alpha == 3.0:
    assert result[100 // 16, 100 % 16, 0] == 46


@pytest.mark.parametrize('factor', [0.0, 0.5, 0.83, 1.2, 4.0])
@pytest.mark.parametrize('channels', [1, 3])
def test_multiply_cuts_and_clips(factor, channels):
  image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
  image = np.repeat(image, channels, axis=2)
  product = np.float32(factor) * image.astype(np.float32)
  np.testing.assert_array_equal(
    augment.multiply(image, factor), np.trunc(np.minimum(product, 255))
  )


@pytest.mark.parametrize('sigma', [0.4, 3.0, 8.0, 20.0])
def test_noise_is_a_rounded_gaussian(sigma):
  image = np.full((300, 300, 1), 128, np.uint8)
  noise = augment.additive_gaussian_noise(image, sigma, 5).astype(int) - 128

  values = np.arange(-100, 101)
  edges = stats.norm.cdf([values - 0.5, values + 0.5], scale=sigma)
  expected = (edges[1] - edges[0]) * noise.size
  seen = (noise[..., None] == values).sum((0, 1, 2))
  usual = expected > 5
  chi2 = ((seen - expected)[usual] ** 2 / expected[usual]).sum()
  assert seen.sum() == noise.size
  assert stats.chi2.sf(chi2, usual.sum()) > 1e-3
  # Neighbours know nothing of each other.
  for a, b in ((noise[1:], noise[:-1]), (noise[:, 1:], noise[:, :-1])):
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.02


def test_noise_is_clipped_shared_by_channels_and_that_of_its_key():
  image = np.zeros((50, 60, 3), np.uint8)
  image[:25] = 255
  noisy = augment.additive_gaussian_noise(image, 10.0, 5)
  assert 0.4 < (noisy[25:] == 0).mean() < 0.6  # Not wrapped round to 255.
  assert 0.4 < (noisy[:25] == 255).mean() < 0.6
  np.testing.assert_array_equal(noisy, noisy[..., :1].repeat(3, axis=2))
  other = augment.additive_gaussian_noise(image, 10.0, 6)
  assert (noisy != other).mean() > 0.4


def test_noise_bits_are_murmurs_and_even():
  # MurmurHash3's finalizer takes 1 to 0x514e28b7; key 1 starts there.
  assert draws.noise_bits(1, 2).tolist() == [0x28B7, 0x514E]
  keys = draws.draw(draws.Settings(), seed=0, epochs=0, rows=range(500)).key
  bits = np.array([draws.noise_bits(key, 2001) for key in keys])
  assert bits.dtype == np.uint16
  counts = np.bincount(bits.ravel() >> 6, minlength=1024)
  assert 1e-3 < stats.chisquare(counts).pvalue < 1 - 1e-3
  ones = np.unpackbits(bits.view(np.uint8), axis=None).reshape(-1, 16).mean(0)
  assert abs(ones - 0.5).max() < 0.003  # 6 standard deviations.
  # Fields of different keys know nothing of each other, nor do pixels.
  for table in (bits[:, :500], bits[:, :500].T):
    off = np.corrcoef(table.astype(float)) - np.eye(500)
    assert abs(off).max() < 0.28  # Of 125,000 about 6 standard deviations.


@pytest.mark.parametrize('channels', [1, 3])
def test_perspective_of_equal_insets_is_a_crop_resized(channels):
  image = cv2.GaussianBlur(make_images(80, 100, channels), (9, 9), 3)
  image = image.reshape(80, 100, channels)
  insets = np.full((4, 2), 0.1)  # 10 of 100 columns, 8 of 80 rows a side.
  expected = cv2.resize(image[8:72, 10:90], (100, 80))
  expected = expected.reshape(image.shape).astype(int)

  result = augment.perspective(image, insets)

  # At the border cv2.resize knows only the crop; coordinates are in 1/32 px.
  assert abs(result - expected)[1:-1, 1:-1].max() <= 2
  # Scaled once, not twice: the middle of the first pixel is 10.4 - 0.5.
  ramp = np.arange(100, dtype=np.uint8)[None, :, None].repeat(80, axis=0)
  row = augment.perspective(ramp, insets)[40, :, 0]
  np.testing.assert_allclose(
    row, 10 + (np.arange(100) + 0.5) * 0.8 - 0.5, atol=0.55
  )


@pytest.mark.parametrize('size', [(64, 64), (40, 90)])
def test_perspective_follows_the_homography_of_its_corners(size):
  height, width = size
  rng = np.random.default_rng(1)
  image = ndimage.gaussian_filter(rng.random(size) * 255, 2)
  image = (image - image.min()) / np.ptp(image) * 255
  image = image.astype(np.uint8)[..., None]
  insets = rng.uniform(0, 0.2, (4, 2))
  # Where the outer corners of the output are found in the input, x and y.
  goal = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
  source = goal.copy()
  source[0] += insets[0] * [width, height]
  source[1] += insets[1] * [-width, height]
  source[2] += insets[2] * [-width, -height]
  source[3] += insets[3] * [width, -height]
  # x' (g x + h y + 1) = a x + b y + c, likewise y': eight linear equations.
  left, right = [], []
  for (x, y), (to_x, to_y) in zip(goal, source, strict=True):
    left.append([x, y, 1, 0, 0, 0, -x * to_x, -y * to_x])
    left.append([0, 0, 0, x, y, 1, -x * to_y, -y * to_y])
    right += [to_x, to_y]
  matrix = np.append(np.linalg.solve(left, right), 1).reshape(3, 3)
  ys, xs = np.mgrid[:height, :width] + 0.5
  x, y, scale = np.einsum('ij,jhw->ihw', matrix, [xs, ys, np.ones_like(xs)])
  expected = ndimage.map_coordinates(
    image[..., 0].astype(float),
    [y / scale - 0.5, x / scale - 0.5],
    order=1,
    mode='nearest',
  )

  result = augment.perspective(image, insets)[..., 0]

  assert abs(result - expected).max() < 2
  assert abs(result - expected).mean() < 0.4


def test_no_drawn_perspective_folds_or_shows_a_border():
  settings = draws.Settings(perspective=(0.3, 0.3))
  drawn = draws.draw(settings, seed=0, epochs=0, rows=np.arange(500))
  white = np.full((500, 20, 20, 1), 255, np.uint8)
  parameters = dataclasses.replace(
    make_parameters(500), perspective=drawn.perspective
  )
  assert (augment.augment(white, parameters) == 255).all()
  # Left of the ramp stays left: the warped ramp rises along every row.
  ramp = np.arange(0, 200, 10, dtype=np.uint8)[None, None, :, None]
  ramp = np.broadcast_to(ramp, white.shape)
  warped = augment.augment(ramp, parameters).astype(int)
  assert (np.diff(warped, axis=2) >= 0).all()


def test_all_six_in_the_papers_order():
  image = make_images(30, 30, 1)
  parameters = make_parameters(1, VALUES)
  expected = image
  for name in (
    'flip',
    'blur_sigma',
    'contrast',
    'noise_sigma',
    'multiply',
    'perspective',
  ):
    expected = augment.AUGMENTATIONS[name](expected, VALUES[name][1], 0)
  np.testing.assert_array_equal(
    augment.augment(image[None], parameters)[0], expected
  )


def test_draws_follow_the_settings():
  settings = draws.Settings(flip=0.3)
  drawn = draws.draw(settings, seed=3, epochs=2, rows=np.arange(20_000))

  assert stats.binomtest(int(drawn.flip.sum()), 20_000, 0.3).pvalue > 1e-3
  for name in ('blur_sigma', 'contrast', 'noise_sigma', 'multiply'):
    low, high = getattr(settings, name)
    values = (getattr(drawn, name) - low) / (high - low)
    assert stats.kstest(values, 'uniform').pvalue > 1e-3, name
  fixed = draws.Settings(perspective=(0.05, 0.05))
  insets = draws.draw(fixed, seed=3, epochs=2, rows=np.arange(20_000))
  insets = insets.perspective.reshape(-1, 8) / 0.05
  for corner in insets.T:
    assert stats.kstest(corner, 'halfnorm').pvalue > 1e-3
  # Nothing drawn for a row tells of anything else drawn for it.
  table = [getattr(drawn, name) for name in list(VALUES)[:-1]]
  table += list(insets.T)
  correlation = np.corrcoef(np.array(table, float))
  assert abs(correlation - np.eye(len(table))).max() < 0.035


def test_draws_come_from_seed_epoch_and_row_alone():
  settings = draws.Settings()
  rows = np.array([5, 0, 9, 5])
  epochs = np.array([1, 4, 2, 1])
  together = draws.draw(settings, seed=11, epochs=epochs, rows=rows)
  for i, (epoch, row) in enumerate(zip(epochs, rows, strict=True)):
    alone = draws.draw(settings, seed=11, epochs=epoch, rows=np.array([row]))
    for field in dataclasses.fields(draws.Parameters):
      np.testing.assert_array_equal(
        getattr(together, field.name)[i], getattr(alone, field.name)[0]
      )

  seen = set()
  for seed, epoch, row in np.ndindex(8, 8, 8):
    drawn = draws.draw(settings, seed=seed, epochs=epoch, rows=np.array([row]))
    seen.add((int(drawn.key[0]), float(drawn.multiply[0])))
  assert len(seen) == 8**3


def random_settings(rng, **others):
  """Returns settings of any ranges."""
  low, high = np.sort(rng.uniform(0, 3, (2, 4)), axis=0)
  pairs = list(zip(low.tolist(), high.tolist(), strict=True))
  return draws.Settings(
    flip=rng.uniform(),
    **dict(zip(list(VALUES)[1:5], pairs, strict=True)),
    perspective=tuple(sorted(rng.uniform(0, 0.1, 2).tolist())),
    **others,
  )


def drawn_of(settings, size=200, **arguments):
  return draws.draw(
    settings, seed=3, epochs=2, rows=np.arange(size), **arguments
  )


def test_at_strength_1_a_row_is_drawn_bit_for_bit_as_without_one():
  for seed in range(20):
    rng = np.random.default_rng(seed)
    settings = random_settings(rng, growth_exponent=rng.uniform())
    unit = draws.to_unit(draws.hash_rows(3, 2, np.arange(200), count=15))
    for drawn in (
      drawn_of(settings),
      drawn_of(settings, growth=np.ones(200)),
      drawn_of(dataclasses.replace(settings, growth_exponent=0), growth=7.0),
    ):
      for k, name in enumerate(list(VALUES)[1:5], 1):
        low, high = getattr(settings, name)
        np.testing.assert_array_equal(
          getattr(drawn, name), low + (high - low) * unit[:, k]
        )


def test_what_a_strength_does_to_each():
  for seed in range(20):
    rng = np.random.default_rng(seed)
    settings = random_settings(rng, growth_exponent=1.0)
    plain, s = drawn_of(settings), rng.uniform(1, 5, 200)
    strong = drawn_of(settings, growth=s)
    np.testing.assert_array_equal(strong.key, plain.key)
    np.testing.assert_array_equal(strong.flip, plain.flip)
    for name in ('blur_sigma', 'noise_sigma'):
      expected = s * getattr(plain, name)
      np.testing.assert_allclose(getattr(strong, name), expected, rtol=1e-12)
    for name in ('contrast', 'multiply'):
      expected = s * np.log(getattr(plain, name))
      found = np.log(getattr(strong, name))
      np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    insets = np.minimum(s[:, None, None] * plain.perspective, 0.3)
    np.testing.assert_allclose(strong.perspective, insets, rtol=1e-12)
    assert strong.blur_sigma.max() <= settings.largest_blur


def test_at_strength_0_flips_are_left():
  images = make_images(200, 9, 7, 3)
  for seed in range(5):
    settings = random_settings(np.random.default_rng(seed), strength=0.0)
    drawn = drawn_of(settings, growth=np.linspace(1, 9, 200))
    flips = drawn.flip[:, None, None, None]
    np.testing.assert_array_equal(
      augment.augment(images, drawn),
      np.where(flips, images[:, :, ::-1], images),
    )


def test_a_strength_is_that_of_the_settings_times_a_power_of_growth_up_to_5():
  rng = np.random.default_rng(0)
  for _ in range(100):
    strength, exponent = rng.uniform(0, 5), rng.uniform(0, 1)
    settings = draws.Settings(strength=strength, growth_exponent=exponent)
    growth = np.sort(np.exp(rng.uniform(0, 8, 50)))
    found = settings.strength_of(growth)
    expected = [min(strength * np.exp(np.log(g) * exponent), 5) for g in growth]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert settings.strength_of(1.0) == strength
    assert (np.diff(found) >= 0).all() and found.max() <= 5


def test_hash_is_splitmix64_of_its_start():
  # Java's and the paper's stream from state 0, first three outputs.
  start = np.array([0], np.uint64)
  gamma = np.uint64(0x9E3779B97F4A7C15)
  counter = np.arange(1, 4, dtype=np.uint64) * gamma
  assert [hex(v) for v in draws._mix(start + counter)] == [
    '0xe220a8397b1dcdaf',
    '0x6e789e6aa1b965f4',
    '0x6c45d188009454f',
  ]
  bits = draws.hash_rows(0, 0, np.arange(4000), count=2, stream=1)
  assert len(np.unique(bits)) == 8000
  ones = np.unpackbits(bits.view(np.uint8)).mean()
  assert abs(ones - 0.5) < 0.003
  assert (bits != draws.hash_rows(0, 0, np.arange(4000), count=2)).all()


@pytest.mark.parametrize(
  'change',
  [
    {'flip': 1.5},
    {'flip': float('nan')},
    {'blur_sigma': (-0.1, 1.0)},
    {'contrast': (1.2, 0.8)},
    {'noise_sigma': 3.0},
    {'multiply': (0.5, float('inf'))},
    {'perspective': (0.0, 0.5)},
    {'multiply': (0.5,)},
    {'strength': -0.1},
    {'strength': 5.1},
    {'growth_exponent': 1.5},
    {'growth_exponent': float('nan')},
  ],
)
def test_bad_settings_are_named(change):
  ((name, _),) = change.items()
  with pytest.raises(ValueError, match=f'^{name} .*got'):
    draws.Settings(**change)


def test_bad_images_are_named():
  with pytest.raises(ValueError, match=r'images must be uint8.*float64'):
    augment.augment(np.zeros((1, 8, 8, 1)), make_parameters(1))
  with pytest.raises(ValueError, match='as many rows as there are images'):
    augment.augment(make_images(2, 8, 8, 1), make_parameters(3))
