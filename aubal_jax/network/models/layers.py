"""Layers that families of networks share.

Each is made for a module with the attributes `dtype`, `param_dtype` and
`first`, those with batch norm also `momentum` and `axis_name`.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from aubal_jax.network.models import convolution
from aubal_jax.network.models import first_weights
from aubal_jax.runs import errors


def conv(
  module,
  filters,
  size,
  stride,
  name,
  *,
  convolve=convolution.convolve,
  groups=1,
):
  """A convolution without bias that keeps side / stride, rounded up."""
  return nn.Conv(
    filters,
    (size, size),
    (stride, stride),
    padding=size // 2,
    feature_group_count=groups,
    use_bias=False,
    kernel_init=first_weights.INITS[module.first],
    dtype=module.dtype,
    param_dtype=module.param_dtype,
    conv_general_dilated=convolve,
    name=name,
  )


def depthwise_conv(module, filters, size, stride, name):
  """The same, each channel by a kernel of its own, [size, size, 1, filters]."""
  return conv(
    *(module, filters, size, stride, name),
    convolve=convolution.convolve_depthwise,
    groups=filters,
  )


def norm(module, train, name):
  """Batch norm over the batch of every device of `module.axis_name`."""
  return nn.BatchNorm(
    use_running_average=not train,
    momentum=module.momentum,
    axis_name=module.axis_name,
    dtype=module.dtype,
    param_dtype=module.param_dtype,
    name=name,
  )


def dense(module, features, name):
  """A dense layer with bias."""
  return nn.Dense(
    features,
    kernel_init=first_weights.INITS[module.first],
    dtype=module.dtype,
    param_dtype=module.param_dtype,
    name=name,
  )


def relu6(x):
  """min(max(x, 0), 6); its derivative hangs on no equality of floats."""
  return jnp.where(x < 6, nn.relu(x), jnp.asarray(6, x.dtype))


def mean_pool(module, x):
  """Returns the mean over rows and columns, float[B, C], float32 or wider."""
  return x.astype(jnp.promote_types(module.dtype, jnp.float32)).mean((1, 2))


def check_images(image) -> None:
  """Raises UserError unless these are floating-point images [B, H, W, C]."""
  if image.ndim != 4 or not jnp.issubdtype(image.dtype, jnp.floating):
    raise errors.UserError(
      'images must be floating point [B, H, W, C] in [0, 1], got'
      f' {image.dtype}{list(image.shape)}; models.scale turns bytes into'
      ' such.'
    )


class Dropout(nn.Module):
  """Zeros at random, what stays divided by its share (Hinton et al. 2012).

  A row's draw is of its place in the global batch, so that the devices that
  share a batch decide nothing. It takes the key 'dropout'.

  Attributes:
    rate: share of zeros, in [0, 1).
    axis_name: the mapped axis whose devices share one batch, or None.
    of_rows: zero whole rows: stochastic depth (Huang et al. 2016, arXiv
      1603.09382) where it stands before a residual sum.
  """

  rate: float
  axis_name: str | None = None
  of_rows: bool = False

  @nn.compact
  def __call__(self, x, train: bool):
    """Returns x, float[B, ...], with zeros where `train` is true."""
    if not train or not self.rate or self.is_initializing():
      return x
    first = 0
    if self.axis_name is not None:
      first = jax.lax.axis_index(self.axis_name) * x.shape[0]
    key = self.make_rng('dropout')
    shape = (1,) * (x.ndim - 1) if self.of_rows else x.shape[1:]

    def draw(row):
      return jax.random.bernoulli(
        jax.random.fold_in(key, row), 1 - self.rate, shape
      )

    kept = jax.vmap(draw)(first + jnp.arange(x.shape[0]))
    return jnp.where(kept, x / (1 - self.rate), jnp.zeros((), x.dtype))


def round_width(width: float) -> int:
  """Returns the multiple of 8 next to a width, not below nine tenths of it.

  So widths are rounded in MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381).
  """
  rounded = max(8, math.floor(width + 4) // 8 * 8)
  return rounded + 8 if rounded < 0.9 * width else rounded
