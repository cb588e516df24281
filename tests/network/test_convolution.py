"""3x3 convolution against XLA's, values and gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aubal_jax.network.models import convolution


def layer(size, stride, **options):
  return nn.Conv(
    4,
    (size, size),
    (stride, stride),
    padding=size // 2,
    use_bias=False,
    **options,
  )


@pytest.mark.parametrize(
  ('shape', 'size', 'stride'),
  [
    ((2, 14, 14, 3), 3, 1),
    # By XLA.
    ((2, 28, 28, 3), 3, 2),
    # By all taps at once.
    ((2, 3, 4, 3), 3, 2),
    ((3, 2, 2, 3), 3, 1),
    *(
      pytest.param(*case, marks=pytest.mark.long)
      for case in (
        ((1, 15, 28, 1), 3, 1),  # By the product, too.
        ((2, 7, 14, 3), 3, 1),
        ((2, 28, 28, 3), 7, 1),
        ((2, 14, 14, 3), 1, 1),
        ((2, 1, 5, 3), 3, 1),
        ((2, 1, 1, 3), 3, 2),
        ((2, 4, 3, 2), 3, 2),
      )
    ),
  ],
)
def test_values_and_gradients_are_those_of_xla(shape, size, stride):
  rng = np.random.default_rng(0)
  x = rng.standard_normal(shape).astype(np.float32)
  plain = layer(size, stride)
  ours = layer(size, stride, conv_general_dilated=convolution.convolve)
  variables = jax.jit(plain.init)(jax.random.key(0), x)
  y, pull = jax.vjp(jax.jit(ours.apply), variables, x)
  expected, pull_expected = jax.vjp(jax.jit(plain.apply), variables, x)
  np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
  gradient = rng.standard_normal(y.shape).astype(np.float32)
  jax.tree.map(
    lambda found, wanted: np.testing.assert_allclose(
      found, wanted, rtol=1e-5, atol=1e-5 * float(jnp.abs(wanted).max())
    ),
    pull(gradient),
    pull_expected(gradient),
  )


def program_of_gradient(platform, side):
  ours = layer(3, 1, conv_general_dilated=convolution.convolve)
  x = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
  variables = jax.eval_shape(ours.init, jax.random.key(0), x)
  grad = jax.jit(jax.grad(lambda v, x: ours.apply(v, x).sum()))
  traced = grad.trace(variables, x)
  return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize('side', [14, 2])
def test_only_cpus_take_the_product(side):
  assert 'stablehlo.dot_general' in program_of_gradient('cpu', side)
  for platform in ('cuda', 'tpu'):
    text = program_of_gradient(platform, side)
    assert 'stablehlo.dot_general' not in text
    assert text.count('stablehlo.convolution') == 1
