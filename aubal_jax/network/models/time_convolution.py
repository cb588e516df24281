"""Convolutions of clips, in space or in time, that are fast on a CPU."""

import functools

import jax
import jax.numpy as jnp

from aubal_jax.network.models import convolution

_DIMENSIONS = ('NTHWC', 'THWIO', 'NTHWC')
_IMAGES = ('NHWC', 'HWIO', 'NHWC')


def convolve(x, kernel, strides, padding, **options):
  """Returns `jax.lax.conv_general_dilated`; for `conv_general_dilated` of flax.

  The value is the same, and so is every derivative, but for rounding. XLA's
  convolution in three dimensions takes several times as long on a CPU as what
  takes its place there; on other devices all is XLA's.

  * A kernel of one frame convolves B T images, see `in_space`.
  * One of one pixel is a sum of matrix products, see `in_time`.

  Args:
    x: float[B, T, H, W, C].
    kernel: float[t, h, w, C, F], t = 1 or h = w = 1: no groups.
    strides: three ints.
    padding: three pairs of ints.
    **options: further arguments of `conv_general_dilated`; no dilation.

  Returns:
    float[B, T', H', W', F].
  """
  strides, padding = tuple(strides), tuple(map(tuple, padding))
  ours = in_space if kernel.shape[0] == 1 else in_time
  options = {'dimension_numbers': _DIMENSIONS, **options}
  return jax.lax.platform_dependent(
    *(x, kernel),
    cpu=functools.partial(ours, strides=strides, padding=padding),
    default=lambda x, kernel: jax.lax.conv_general_dilated(
      x, kernel, strides, padding, **options
    ),
  )


def in_space(x, kernel, strides, padding):
  """Returns the convolution by a kernel of one frame, as one of images.

  Args:
    x: float[B, T, H, W, C].
    kernel: float[1, h, w, C, F].
    strides: of time, rows and columns.
    padding: likewise; none of time.
  """
  x = x[:, :: strides[0]]
  batch, frames = x.shape[:2]
  if kernel.shape[1:3] == (1, 1):  # Of every stride-th pixel.
    return x[:, :, :: strides[1], :: strides[2]] @ kernel[0, 0, 0]
  y = convolution.convolve(
    x.reshape(batch * frames, *x.shape[2:]),
    kernel[0],
    strides[1:],
    padding[1:],
    dimension_numbers=_IMAGES,
  )
  return y.reshape(batch, frames, *y.shape[1:])


def in_time(x, kernel, strides, padding):
  """Returns the convolution by a kernel of one pixel: sum_k x[t + k] w[k].

  Args:
    x: float[B, T, H, W, C].
    kernel: float[t, 1, 1, C, F].
    strides: of time, rows and columns.
    padding: likewise; none of rows and columns.
  """
  x = x[:, :, :: strides[1], :: strides[2]]
  before, after = padding[0]
  frames = x.shape[1] + before + after - kernel.shape[0] + 1
  x = jnp.pad(x, ((0, 0), (before, after), *[(0, 0)] * 3))
  return sum(
    x[:, k : k + frames : strides[0]] @ one
    for k, one in enumerate(kernel[:, 0, 0])
  )
