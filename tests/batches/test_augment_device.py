"""The device's augmentations against the host's, row by row, byte by byte."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from aubal_jax.batches import augment
from aubal_jax.batches import augment_device
from aubal_jax.batches import draws

# As the module's docstring has it: name -> (largest difference in grey levels,
# its mean) from data.augment, on images of noise, the hardest for a warp.
TOLERANCES = {
  'flip': (0, 0),
  'blur_sigma': (1, 1e-3),
  'contrast': (1, 1e-3),
  'noise_sigma': (0, 0),
  'multiply': (0, 0),
  'perspective': (1, 1e-3),
}
TOLERANCE_OF_ALL = (3, 2e-3)
IDENTITY = {
  'flip': False,
  'blur_sigma': 0.0,
  'contrast': 1.0,
  'noise_sigma': 0.0,
  'multiply': 1.0,
  'perspective': 0.0,
}
# Wider than the defaults: every size of kernel up to 13 taps, clipped greys.
STRONG = draws.Settings(
  blur_sigma=(0.0, 4.0),
  contrast=(0.3, 3.0),
  noise_sigma=(0.0, 40.0),
  multiply=(0.2, 2.0),
  perspective=(0.0, 0.3),
)


def make_images(*shape, seed=0):
  return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def draw(settings, size, only=None, epochs=0):
  """Returns parameters of rows 0 .. size - 1; the identity where not `only`."""
  drawn = draws.draw(settings, seed=3, epochs=epochs, rows=np.arange(size))
  return dataclasses.replace(
    drawn,
    **{
      name: np.full_like(getattr(drawn, name), value)
      for name, value in IDENTITY.items()
      if only is not None and name not in only
    },
  )


@functools.cache
def compiled(settings):
  return jax.jit(
    functools.partial(augment_device.augment_images, settings=settings)
  )


def on_device(images, drawn, settings, chosen=None):
  if chosen is None:
    chosen = np.ones(len(images), bool)
  packed = augment_device.pack(drawn, len(images), chosen)
  return np.asarray(compiled(settings)(images, packed, chosen))


def assert_close(result, expected, tolerance):
  assert result.dtype == np.uint8
  difference = abs(result.astype(int) - expected)
  largest, mean = tolerance
  assert difference.max() <= largest
  assert difference.mean() <= mean


def test_tolerances_are_of_the_registry():
  assert list(TOLERANCES) == list(IDENTITY) == list(draws.NAMES)


@pytest.mark.parametrize('settings', [draws.Settings(), STRONG])
@pytest.mark.parametrize('shape', [(112, 112, 1), (32, 47, 3)])
def test_each_augmentation_is_the_hosts(shape, settings):
  images = make_images(32, *shape)
  for name, tolerance in TOLERANCES.items():
    drawn = draw(settings, 32, [name])
    expected = augment.augment(images, drawn)
    assert (expected != images).any(), name
    assert_close(on_device(images, drawn, settings), expected, tolerance)


@pytest.mark.parametrize(
  'shape', [(112, 112, 1), (32, 47, 3), (5, 4, 1), (2, 3, 1), (1, 1, 3)]
)
def test_all_six_are_the_hosts(shape):
  settings = draws.Settings()
  images = make_images(32, *shape)
  for epoch in range(3):
    drawn = draw(settings, 32, epochs=epoch)
    expected = augment.augment(images, drawn)
    result = on_device(images, drawn, settings)
    assert_close(result, expected, TOLERANCE_OF_ALL)


@pytest.mark.parametrize(
  'sigma, largest',
  # Below 3 and 5 the kernel is wider than it is from there on.
  [(1e-4, 0.0), (0.5, 7.0), (2.99, 2.99), (2.99, 3.0), (4.99, 5.0), (7.0, 7.0)],
)
def test_kernels_end_where_the_hosts_do(sigma, largest):
  # A lone bright pixel shows the kernel, and where it was cut off.
  image = np.zeros((1, 25, 25, 1), np.uint8)
  image[0, 12, 12] = 255
  image[0, 3] = 255
  settings = draws.Settings(blur_sigma=(0.0, largest))
  drawn = draw(settings, 1, [])
  drawn = dataclasses.replace(drawn, blur_sigma=np.array([sigma]))
  np.testing.assert_array_equal(
    on_device(image, drawn, settings), augment.augment(image, drawn)
  )


@pytest.mark.parametrize('exponent', [0.0, 0.7])
def test_rows_of_any_strength_are_the_hosts(exponent):
  images, rng = make_images(32, 24, 31, 1), np.random.default_rng(0)
  settings = draws.Settings(strength=3.0, growth_exponent=exponent)
  for epoch in range(3):
    drawn = draws.draw(
      settings,
      seed=3,
      epochs=epoch,
      rows=np.arange(32),
      growth=rng.integers(1, 20, 32).astype(float),
    )
    assert drawn.blur_sigma.max() > 2 and drawn.noise_sigma.max() > 16
    for name, tolerance in TOLERANCES.items():
      rest = {
        k: np.full_like(getattr(drawn, k), v) for k, v in IDENTITY.items()
      }
      del rest[name]
      only = dataclasses.replace(drawn, **rest)
      expected = augment.augment(images, only)
      assert_close(on_device(images, only, settings), expected, tolerance)


def test_noise_bits_are_the_hosts():
  keys = draw(STRONG, 5).key
  halves = np.stack([keys & np.uint64(2**32 - 1), keys >> np.uint64(32)], 1)
  for count in (1, 6, 333):
    np.testing.assert_array_equal(
      augment_device._noise_bits(halves.astype(np.uint32), count),
      [draws.noise_bits(key, count) for key in keys],
    )


def test_identity_is_exact():
  images = make_images(8, 40, 41, 3)
  result = on_device(images, draw(STRONG, 8, []), STRONG)
  np.testing.assert_array_equal(result, images)


def test_rows_not_chosen_come_back_untouched():
  images = make_images(9, 20, 20, 1)
  chosen = np.arange(9) % 3 == 1
  drawn = draw(STRONG, 3)
  result = on_device(images, drawn, STRONG, chosen)

  np.testing.assert_array_equal(result[~chosen], images[~chosen])
  alone = on_device(images[chosen], drawn, STRONG)
  np.testing.assert_array_equal(result[chosen], alone)
  assert (alone != images[chosen]).mean() > 0.5

  nothing = on_device(images, draw(STRONG, 0), STRONG, np.zeros(9, bool))
  np.testing.assert_array_equal(nothing, images)
  # Whatever the parameters of a row say that is not chosen.
  packed = augment_device.pack(draw(STRONG, 9), 9, np.ones(9, bool))
  nothing = compiled(STRONG)(images, packed, np.zeros(9, bool))
  np.testing.assert_array_equal(nothing, images)


def test_one_device_equals_four():
  images = make_images(8, 24, 24, 1)
  chosen = np.array([True] * 5 + [False] * 3)  # Two devices have none.
  packed = augment_device.pack(draw(STRONG, 5), 8, chosen)
  one = compiled(STRONG)(images, packed, chosen)
  mapped = jax.pmap(
    functools.partial(augment_device.augment_images, settings=STRONG),
    devices=jax.devices()[:4],
  )
  four = mapped(
    images.reshape(4, 2, 24, 24, 1),
    packed.reshape(4, 2, augment_device.NUM_WORDS),
    chosen.reshape(4, 2),
  )
  np.testing.assert_array_equal(np.asarray(four).reshape(images.shape), one)


def test_64_bit_arithmetic_changes_nothing(x64):
  images = make_images(4, 20, 30, 1)
  packed = augment_device.pack(draw(STRONG, 4), 4, np.ones(4, bool))
  function = functools.partial(augment_device.augment_images, settings=STRONG)
  arguments = images, packed, np.ones(4, bool)
  wide = jax.jit(function).lower(*arguments).as_text()
  with jax.enable_x64(False):
    expected = jax.jit(function)(*arguments)
  assert 'f64' not in wide
  np.testing.assert_array_equal(jax.jit(function)(*arguments), expected)


def test_a_row_is_64_bytes_and_values_are_not_compiled_in():
  assert augment_device.NUM_WORDS * 4 == 64
  function = jax.jit(
    functools.partial(augment_device.augment_images, settings=STRONG)
  )
  images = make_images(4, 8, 8, 1)
  for epoch in range(3):
    chosen = np.arange(4) < epoch + 1
    drawn = draw(STRONG, epoch + 1, epochs=epoch)
    function(images, augment_device.pack(drawn, 4, chosen), chosen)
  assert function._cache_size() == 1


@pytest.mark.parametrize('chosen', [np.ones(3, bool), np.arange(4) < 2])
def test_pack_names_rows_that_do_not_fit(chosen):
  with pytest.raises(ValueError, match=r'chosen must be bool\[4\].*3 rows'):
    augment_device.pack(draw(STRONG, 3), 4, chosen)


def test_bad_arguments_are_named():
  images = make_images(2, 8, 8, 1)
  packed = np.zeros((2, augment_device.NUM_WORDS), np.uint32)
  mask = np.ones(2, bool)
  function = functools.partial(augment_device.augment_images, settings=STRONG)
  with pytest.raises(ValueError, match=r'image must be uint8.*got float32'):
    function(images.astype(np.float32), packed, mask)
  with pytest.raises(ValueError, match=r'image must be uint8.*8, 8'):
    function(images[..., 0], packed, mask)
  with pytest.raises(ValueError, match=r'packed must be uint32\[2, 16\]'):
    function(images, packed[:, 1:], mask)
  with pytest.raises(ValueError, match=r'mask must be bool\[2\]'):
    function(images, packed, mask[:1])
