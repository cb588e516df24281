"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381), as torchvision has it.

Convolutions are padded on both sides. Keras pads at the end alone where it
halves a side, and has other constants of batch norm: its weights give other
numbers here.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from aubal_jax.network.models import layers

# Expansion t, filters c, blocks n, stride s of the first of them.
STAGES = (
  *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
  *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


class InvertedResidual(nn.Module):
  """1x1 to t times the channels, a depthwise 3x3, and 1x1 without activation.

  The input is added where its shape is kept; without expansion (t = 1) there is
  no first convolution. The other attributes are those of `MobileNetV2`.
  """

  expansion: int
  filters: int
  stride: int
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
      y = layers.relu6(layers.norm(self, train, 'expand_norm')(y))
    y = layers.depthwise_conv(self, wide, 3, self.stride, 'depth_conv')(y)
    y = layers.relu6(layers.norm(self, train, 'depth_norm')(y))
    y = layers.conv(self, self.filters, 1, 1, 'project_conv')(y)
    y = layers.norm(self, train, 'project_norm')(y)
    return x + y if y.shape == x.shape else y


class MobileNetV2(nn.Module):
  """Stem, 17 inverted residuals, 1x1 convolution, mean, dropout.

  A side of 112 becomes 56 (stem), 56, 28, 14, 7, 7, 4, 4 in the stages.

  Attributes:
    width: what all numbers of filters are multiplied by, see
      `layers.round_width`; the last is 1280 at least.
    dropout: share of features that are 0 in a step.
    momentum, axis_name, dtype, param_dtype, remat, first: as in
      `resnet.ResNet`.
  """

  width: float = 1.0
  dropout: float = 0.2
  momentum: float = 0.9
  axis_name: str | None = None
  dtype: Any = jnp.float32
  param_dtype: Any = jnp.float32
  remat: bool = False
  first: str = 'he_normal'

  @nn.compact
  def __call__(self, image, *, train: bool = False):
    """Returns features float[B, 1280 max(1, width)] of float[B, H, W, C].

    Raises:
      UserError: the images are not a batch of floating-point images.
    """
    layers.check_images(image)
    filters = layers.round_width(32 * self.width)
    x = layers.conv(self, filters, 3, 2, 'stem_conv')(image)
    x = layers.relu6(layers.norm(self, train, 'stem_norm')(x))
    block_class = InvertedResidual
    if self.remat:  # Argument 2 is `train`.
      block_class = nn.remat(InvertedResidual, static_argnums=2)
    shared = ('momentum', 'axis_name', 'dtype', 'param_dtype', 'first')
    number = 0
    for expansion, filters, num_blocks, stride in STAGES:
      for block in range(num_blocks):
        number += 1
        x = block_class(
          expansion,
          layers.round_width(filters * self.width),
          1 if block else stride,
          **{name: getattr(self, name) for name in shared},
          name=f'block{number}',
        )(x, train)
    last = layers.round_width(1280 * max(1.0, self.width))
    x = layers.conv(self, last, 1, 1, 'last_conv')(x)
    x = layers.relu6(layers.norm(self, train, 'last_norm')(x))
    x = layers.mean_pool(self, x)
    return layers.Dropout(self.dropout, self.axis_name)(x, train)
