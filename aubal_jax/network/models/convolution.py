"""Convolutions that are fast on a CPU, their gradients and small maps too."""

import functools

import jax
import jax.numpy as jnp

_DIMENSIONS = ('NHWC', 'HWIO', 'NHWC')
_LEAST_SIDE = 14  # Of smaller maps XLA's own gradient is as fast.
_TINY_SIDE = 2  # Of a result up to which XLA is a hundred times slower.
_PADDING = ((1, 1), (1, 1))


def convolve(x, kernel, strides, padding, **options):
  """Returns `jax.lax.conv_general_dilated`; for `conv_general_dilated` of flax.

  The value is the same, and so is every derivative, but for rounding. Two
  things are otherwise on a CPU, for 3x3 kernels with a border of one; on other
  devices all is XLA's.

  * XLA takes the gradient by the kernel as a convolution of whole maps with
    whole maps, two to three times as long as the convolution itself. Where the
    side of the map is kept it is here one matrix product, of x shifted by row
    and the gradient shifted by column.
  * Where the result has a side of one or two, XLA falls back on plain loops,
    at 1 GFLOP/s. It is here one matrix product over all taps.

  Args:
    x: float[B, H, W, C].
    kernel: float[h, w, C, F]: no groups.
    strides: two ints.
    padding: two pairs of ints.
    **options: further arguments of `conv_general_dilated`; no dilation.

  Returns:
    float[B, H', W', F].
  """
  strides, padding = tuple(strides), tuple(map(tuple, padding))
  if kernel.shape[:2] == (3, 3) and padding == _PADDING:
    sides = x.shape[1:3]
    if min(map(_divide_up, sides, strides)) <= _TINY_SIDE:
      return jax.lax.platform_dependent(
        *(x, kernel),
        cpu=functools.partial(_by_taps, strides=strides),
        default=functools.partial(_plain, strides=strides),
      )
    if strides == (1, 1) and min(sides) >= _LEAST_SIDE:
      return _convolve_3x3(x, kernel)
  return jax.lax.conv_general_dilated(x, kernel, strides, padding, **options)


def convolve_depthwise(x, kernel, strides, padding, **options):
  """Returns the convolution of each channel by itself; for flax, as `convolve`.

  On a CPU it is a sum over taps of maps times numbers: XLA's own takes 10 to 60
  times as long. On other devices all is XLA's.

  Args:
    x: float[B, H, W, C].
    kernel: float[h, w, 1, C].
    strides: two ints.
    padding: two pairs of ints.
    **options: further arguments of `conv_general_dilated`; no dilation.

  Returns:
    float[B, H', W', C].
  """
  strides, padding = tuple(strides), tuple(map(tuple, padding))
  groups = {'feature_group_count': x.shape[-1]}
  options = {'dimension_numbers': _DIMENSIONS, **options, **groups}
  return jax.lax.platform_dependent(
    *(x, kernel),
    cpu=lambda x, kernel: _sum_of_taps(x, kernel, strides, padding),
    default=lambda x, kernel: jax.lax.conv_general_dilated(
      x, kernel, strides, padding, **options
    ),
  )


def _sum_of_taps(x, kernel, strides, padding):
  """The depthwise convolution as the sum over taps of x, shifted, times k."""
  height, width = kernel.shape[:2]
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  last = x.shape[1] - height, x.shape[2] - width
  down, right = strides
  return sum(
    x[:, i : i + last[0] + 1 : down, j : j + last[1] + 1 : right]
    * kernel[i, j].reshape(1, 1, 1, -1)
    for i in range(height)
    for j in range(width)
  )


def _divide_up(side, stride) -> int:
  return -(-side // stride)


def _plain(x, kernel, strides=(1, 1)):
  return jax.lax.conv_general_dilated(
    x, kernel, strides, _PADDING, dimension_numbers=_DIMENSIONS
  )


def _by_taps(x, kernel, strides):
  """The convolution as [B H' W', 9 C] times [9 C, F]."""
  down, right = strides
  height, width = map(_divide_up, x.shape[1:3], strides)
  x = jnp.pad(x, ((0, 0), *_PADDING, (0, 0)))
  taps = [
    x[:, i : i + down * height : down, j : j + right * width : right]
    for i in range(3)
    for j in range(3)
  ]
  return jnp.concatenate(taps, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


@jax.custom_vjp
def _convolve_3x3(x, kernel):
  return _plain(x, kernel)


def _forward(x, kernel):
  return _plain(x, kernel), (x, kernel)


def _backward(saved, gradient):
  x, kernel = saved
  (of_x,) = jax.linear_transpose(lambda x: _plain(x, kernel), x)(gradient)
  of_kernel = jax.lax.platform_dependent(
    x, gradient, cpu=_by_product, default=functools.partial(_by_xla, kernel)
  )
  return of_x, of_kernel


def _by_xla(kernel, x, gradient):
  return jax.linear_transpose(lambda k: _plain(x, k), kernel)(gradient)[0]


def _by_product(x, gradient):
  """The gradient by the kernel, sum_p x[p + (i, j)] gradient[p] for each tap.

  With p' = p + (0, j) that is sum_p' x[p' + (i, 0)] gradient[p' - (0, j)]: what
  depends on i is apart from what depends on j, so all nine taps are one product
  of three copies and three copies.
  """
  height, width, inputs = x.shape[1:]
  outputs = gradient.shape[-1]
  x = jnp.pad(x, ((0, 0), *_PADDING, (0, 0)))
  gradient = jnp.pad(gradient, ((0, 0), (0, 0), (2, 2), (0, 0)))
  rows = [x[:, i : i + height] for i in range(3)]
  columns = [gradient[:, :, 2 - j : 4 - j + width] for j in range(3)]
  rows = jnp.concatenate(rows, axis=-1).reshape(-1, 3 * inputs)
  columns = jnp.concatenate(columns, axis=-1).reshape(-1, 3 * outputs)
  product = (columns.T @ rows).reshape(3, outputs, 3, inputs)
  return product.transpose(2, 0, 3, 1)


_convolve_3x3.defvjp(_forward, _backward)
