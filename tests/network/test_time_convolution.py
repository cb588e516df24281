"""Convolutions of clips against XLA's in three dimensions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aubal_jax.network.models import time_convolution

DIMENSIONS = ('NTHWC', 'THWIO', 'NTHWC')


def by_xla(x, kernel, strides, padding):
  return jax.lax.conv_general_dilated(
    x, kernel, strides, padding, dimension_numbers=DIMENSIONS
  )


def drawn(rng, size, stride, frames, side):
  """A clip, a kernel, and what goes with them."""
  inputs, outputs = rng.integers(1, 5, 2)
  x = rng.standard_normal((2, frames, side, side + 1, inputs))
  kernel = rng.standard_normal((*size, inputs, outputs))
  padding = [(n // 2, n // 2) for n in size]
  return x.astype('f4'), kernel.astype('f4'), stride, padding


# Kernel and stride of what the network has: stem, blocks and shortcuts.
KINDS = [
  ((1, 7, 7), (1, 2, 2)),
  ((1, 3, 3), (1, 1, 1)),
  ((1, 3, 3), (1, 2, 2)),
  ((3, 1, 1), (1, 1, 1)),
  ((3, 1, 1), (2, 1, 1)),
  ((1, 1, 1), (2, 2, 2)),
]


@pytest.mark.parametrize(
  'seed', [0, *(pytest.param(k, marks=pytest.mark.long) for k in range(1, 6))]
)
@pytest.mark.parametrize(('size', 'stride'), KINDS)
def test_values_and_gradients_are_those_of_xla(size, stride, seed):
  rng = np.random.default_rng([seed, *size, *stride])
  frames, side = rng.choice([1, 2, 5]), rng.choice([2, 7, 14])
  x, kernel, stride, padding = drawn(rng, size, stride, frames, side)
  some = rng.standard_normal(997).astype('f4')

  @functools.partial(jax.jit, static_argnums=0)
  def both(convolve, x, kernel):
    f = functools.partial(convolve, strides=stride, padding=padding)
    y, pull = jax.vjp(f, x, kernel)
    return y, *pull(jnp.resize(some, y.shape))

  found = both(time_convolution.convolve, x, kernel)
  wanted = both(by_xla, x, kernel)
  for ours, theirs in zip(found, wanted, strict=True):
    assert ours.shape == theirs.shape
    largest = float(jnp.abs(theirs).max())
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5 * largest)


@pytest.mark.parametrize(('size', 'stride'), KINDS)
def test_only_cpus_take_images_and_products(size, stride):
  rng = np.random.default_rng(0)
  x, kernel, stride, padding = drawn(rng, size, stride, 4, 14)
  grad = jax.jit(
    jax.grad(
      lambda x, k: time_convolution.convolve(x, k, stride, padding).sum(),
      argnums=(0, 1),
    )
  )
  traced = grad.trace(x, kernel)
  convolutions = {}
  for platform in ('cpu', 'cuda', 'tpu'):
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    lines = [x for x in text.splitlines() if 'stablehlo.convolution' in x]
    convolutions[platform] = {'0, 1, 2' in line for line in lines}
  assert True not in convolutions['cpu']  # None in three dimensions.
  assert convolutions['cuda'] == convolutions['tpu'] == {True}
