"""EfficientNet-B0 (Tan & Le 2019, arXiv 1905.11946), as torchvision has it."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from aubal_jax.network.models import first_weights
from aubal_jax.network.models import layers

# Expansion t, side of the depthwise kernel, filters c, blocks n, stride s of
# the first of them.
STAGES = (
  *((1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2)),
  *((6, 5, 112, 3, 1), (6, 5, 192, 4, 2), (6, 3, 320, 1, 1)),
)
_REDUCTION = 4  # Of channels, in what weighs them.


class MBConv(nn.Module):
  """An inverted residual whose channels are weighed by their means.

  1x1 to t times the channels, depthwise, squeeze and excitation (Hu et al.
  2018, arXiv 1709.01507), 1x1 without activation; the input is added where its
  shape is kept. The other attributes are those of `EfficientNet`.

  Attributes:
    depth_drop: share of rows in a step for which the block is left out.
  """

  expansion: int
  size: int
  filters: int
  stride: int
  depth_drop: float
  momentum: float
  axis_name: str | None
  dtype: Any
  param_dtype: Any
  first: str = 'he_normal'

  @nn.compact
  def __call__(self, x, train: bool):
    """Maps [B, H, W, C] to [B, H / stride, W / stride, filters]."""
    y, wide = x, self.expansion * x.shape[-1]
    if self.expansion != 1:
      y = layers.conv(self, wide, 1, 1, 'expand_conv')(y)
      y = nn.silu(layers.norm(self, train, 'expand_norm')(y))
    conv = layers.depthwise_conv(
      self, wide, self.size, self.stride, 'depth_conv'
    )
    y = nn.silu(layers.norm(self, train, 'depth_norm')(conv(y)))
    y = y * self._weigh(y, max(1, x.shape[-1] // _REDUCTION))
    y = layers.conv(self, self.filters, 1, 1, 'project_conv')(y)
    y = layers.norm(self, train, 'project_norm')(y)
    if y.shape != x.shape:
      return y
    drop = layers.Dropout(self.depth_drop, self.axis_name, of_rows=True)
    return x + drop(y, train)

  def _weigh(self, y, width):
    """Returns numbers in (0, 1), [B, 1, 1, C]."""
    options = {
      'kernel_init': first_weights.INITS[self.first],
      'dtype': self.dtype,
      'param_dtype': self.param_dtype,
    }
    means = y.mean((1, 2), keepdims=True)
    hidden = nn.Conv(width, (1, 1), name='squeeze_conv', **options)(means)
    excite = nn.Conv(y.shape[-1], (1, 1), name='excite_conv', **options)
    return nn.sigmoid(excite(nn.silu(hidden)))


class EfficientNet(nn.Module):
  """Stem, 16 blocks, 1x1 convolution, mean, dropout.

  Attributes:
    dropout: share of features that are 0 in a step.
    depth_drop: share of rows for which the last block is left out; those before
      it in proportion to their place (Huang et al. 2016, arXiv 1603.09382).
    momentum, axis_name, dtype, param_dtype, remat, first: as in
      `resnet.ResNet`.
  """

  dropout: float = 0.2
  depth_drop: float = 0.2
  momentum: float = 0.9
  axis_name: str | None = None
  dtype: Any = jnp.float32
  param_dtype: Any = jnp.float32
  remat: bool = False
  first: str = 'he_normal'
  stages: tuple[tuple[int, ...], ...] = STAGES

  @nn.compact
  def __call__(self, image, *, train: bool = False):
    """Returns features float[B, 4 c] of float[B, H, W, C], c the last filters.

    Raises:
      UserError: the images are not a batch of floating-point images.
    """
    layers.check_images(image)
    x = layers.conv(self, 32, 3, 2, 'stem_conv')(image)
    x = nn.silu(layers.norm(self, train, 'stem_norm')(x))
    block_class = MBConv
    if self.remat:  # Argument 2 is `train`.
      block_class = nn.remat(MBConv, static_argnums=2)
    shared = ('momentum', 'axis_name', 'dtype', 'param_dtype', 'first')
    count, number = sum(stage[3] for stage in self.stages), 0
    for expansion, size, filters, num_blocks, stride in self.stages:
      for block in range(num_blocks):
        x = block_class(
          expansion,
          size,
          filters,
          1 if block else stride,
          self.depth_drop * number / count,
          **{name: getattr(self, name) for name in shared},
          name=f'block{number + 1}',
        )(x, train)
        number += 1
    x = layers.conv(self, 4 * x.shape[-1], 1, 1, 'last_conv')(x)
    x = nn.silu(layers.norm(self, train, 'last_norm')(x))
    x = layers.mean_pool(self, x)
    return layers.Dropout(self.dropout, self.axis_name)(x, train)
