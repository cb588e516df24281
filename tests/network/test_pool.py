"""Max pooling against flax's, values and gradients, ties included."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from aubal_jax.network.models import pool


def plain(x):
  return nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))


@pytest.mark.parametrize(
  'shape',
  [(2, 8, 8, 3), (1, 7, 9, 2), (2, 5, 6, 1), (1, 1, 1, 2), (1, 2, 1, 1)],
)
@pytest.mark.parametrize('ties', [False, True])
def test_values_and_gradients_are_those_of_flax(shape, ties):
  rng = np.random.default_rng(0)
  x = rng.standard_normal(shape).astype(np.float32)
  if ties:  # As after a ReLU: many equal zeros in one window.
    x = np.maximum(np.round(x), 0)
  y, pull = jax.vjp(jax.jit(pool.max_pool), x)
  expected, pull_expected = jax.vjp(jax.jit(plain), x)
  np.testing.assert_array_equal(y, expected)
  gradient = rng.standard_normal(y.shape).astype(np.float32)
  np.testing.assert_allclose(
    pull(gradient)[0], pull_expected(gradient)[0], atol=1e-5
  )


@pytest.mark.parametrize('value', [np.nan, -np.inf])
def test_every_gradient_goes_to_a_pixel(value):
  # Output pixel (i, j) sees the rows 2 i - 1 to 2 i + 1.
  x = np.full((1, 5, 4, 1), -np.inf, np.float32)
  x[0, 3, 2] = value
  y, pull = jax.vjp(jax.jit(pool.max_pool), x)
  np.testing.assert_array_equal(y, plain(x))
  gradient = np.arange(1, 7, dtype=np.float32).reshape(y.shape)
  (found,) = pull(gradient)
  assert found.sum() == gradient.sum()
  if np.isnan(value):  # The two windows that have the NaN, rows 1 and 2.
    assert np.argwhere(np.isnan(y)).tolist() == [[0, 1, 1, 0], [0, 2, 1, 0]]
    assert found[0, 3, 2] == gradient[0, 1:, 1].sum()
