"""Residual networks of basic or of bottleneck blocks.

He et al. 2016 (arXiv 1512.03385); in the sizes of Rieger et al. 2019 (arXiv
1906.05203): ResNet18-112, ResNet34-112 and ResNet18-64.
"""

import types
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from aubal_jax.network.models import layers
from aubal_jax.network.models import pool

# stem -> side of the first convolution's kernel.
STEM_SIZES = types.MappingProxyType({'7x7': 7, '3x3': 3})


class BasicBlock(nn.Module):
  """Two 3x3 convolutions and a shortcut: relu(x + norm(conv(relu(...)))).

  The shortcut is the input itself, or a 1x1 projection of it with batch norm
  where the number of filters changes. All attributes are those of `ResNet`.
  """

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
    y = layers.conv(self, self.filters, 3, self.stride, 'conv1')(x)
    y = nn.relu(layers.norm(self, train, 'norm1')(y))
    y = layers.conv(self, self.filters, 3, 1, 'conv2')(y)
    y = layers.norm(self, train, 'norm2')(y)
    return nn.relu(_shortcut(self, x, self.filters, train) + y)


class Bottleneck(nn.Module):
  """1x1 to `filters`, 3x3, 1x1 to four times as many, and a shortcut.

  Attributes:
    stride_first: the first 1x1 convolution has the stride, as in the paper; it
      is the 3x3 one's in torchvision, and by default.
    dropout: share of zeros after the 3x3 and the last 1x1 convolution.
    filters, stride, ...: as in `BasicBlock`.
  """

  filters: int
  stride: int
  momentum: float
  axis_name: str | None
  dtype: Any
  param_dtype: Any
  first: str = 'he_normal'
  stride_first: bool = False
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x, train: bool):
    """Maps [B, H, W, C] to [B, H / stride, W / stride, 4 filters]."""
    drop = layers.Dropout(self.dropout, self.axis_name)
    y, stride = x, self.stride
    if self.stride_first:  # As in `_shortcut`.
      y, stride = x[:, ::stride, ::stride], 1
    y = layers.conv(self, self.filters, 1, 1, 'conv1')(y)
    y = nn.relu(layers.norm(self, train, 'norm1')(y))
    y = drop(layers.conv(self, self.filters, 3, stride, 'conv2')(y), train)
    y = nn.relu(layers.norm(self, train, 'norm2')(y))
    y = drop(layers.conv(self, 4 * self.filters, 1, 1, 'conv3')(y), train)
    y = layers.norm(self, train, 'norm3')(y)
    return nn.relu(_shortcut(self, x, 4 * self.filters, train) + y)


def _shortcut(block, x, filters, train):
  if x.shape[-1] == filters:
    return x
  # A strided 1x1 convolution reads every stride-th pixel: taking those first is
  # the same and about twice as fast on a CPU.
  x = x[:, :: block.stride, :: block.stride]
  x = layers.conv(block, filters, 1, 1, 'conv_shortcut')(x)
  return layers.norm(block, train, 'norm_shortcut')(x)


class ResNet(nn.Module):
  """Stem, stages of blocks, global average pooling.

  A side of 112 becomes 56 (stem, stride 2), 28 (3x3 max pool, stride 2), and
  28, 14, 7, 4 in the stages. Any image side and number of channels will do.

  Attributes:
    stage_sizes: blocks in each stage. Stage s has width * 2**s filters, and
      each stage but the first halves height and width.
    width: filters of the stem and of the first stage.
    bottleneck: the blocks are `Bottleneck`.
    published: 'torchvision', or 'caffe': bottlenecks whose first convolution
      has the stride, and a max pool padded at its end alone, as the weights of
      the Oxford group have them (VGGFace2, FER+).
    dropout: of the last block, if a bottleneck.
    stem: a name of `STEM_SIZES`.
    momentum: decay of the running batch norm statistics.
    axis_name: mapped axis whose devices share one batch, or None.
    dtype: of the arithmetic.
    param_dtype: of parameters and running statistics.
    remat: compute what is inside the blocks once more for the gradient.
    first: a name of `first_weights.INITS`.
  """

  stage_sizes: tuple[int, ...]
  width: int
  bottleneck: bool = False
  published: str = 'torchvision'
  dropout: float = 0.0
  stem: str = '7x7'
  momentum: float = 0.9
  axis_name: str | None = None
  dtype: Any = jnp.float32
  param_dtype: Any = jnp.float32
  remat: bool = False
  first: str = 'he_normal'

  @nn.compact
  def __call__(self, image, *, train: bool = False):
    """Returns the features of a batch of images.

    Args:
      image: float[B, H, W, C] in [0, 1].
      train: True: normalise by the statistics of the batch and update the
        running ones ('batch_stats' must be mutable). False: use those.

    Returns:
      float[B, F], float32 or wider: F = width * 2**(stages - 1), four times
      that of bottlenecks.

    Raises:
      UserError: the images are not a batch of floating-point images.
    """
    layers.check_images(image)
    size = STEM_SIZES[self.stem]
    x = layers.conv(self, self.width, size, 2, 'stem_conv')(image)
    x = nn.relu(layers.norm(self, train, 'stem_norm')(x))
    if self.published == 'caffe':
      x = nn.max_pool(x, (3, 3), (2, 2), _pad_at_the_end(x))
    else:
      x = pool.max_pool(x)
    block_class = Bottleneck if self.bottleneck else BasicBlock
    if self.remat:  # Argument 2 is `train`.
      block_class = nn.remat(block_class, static_argnums=2)
    for stage, num_blocks in enumerate(self.stage_sizes):
      for block in range(num_blocks):
        x = block_class(
          filters=self.width * 2**stage,
          stride=2 if stage > 0 and block == 0 else 1,
          momentum=self.momentum,
          axis_name=self.axis_name,
          dtype=self.dtype,
          param_dtype=self.param_dtype,
          first=self.first,
          name=f'stage{stage + 1}_block{block + 1}',
          **self._of_block(stage, block),
        )(x, train)
    return layers.mean_pool(self, x)

  def _of_block(self, stage, block) -> dict:
    """Returns the attributes that bottlenecks alone have."""
    if not self.bottleneck:
      return {}
    last = (len(self.stage_sizes) - 1, self.stage_sizes[-1] - 1)
    return {
      'stride_first': self.published == 'caffe',
      'dropout': self.dropout if (stage, block) == last else 0.0,
    }


def _pad_at_the_end(x):
  """Returns the padding with which a side becomes side / 2, rounded up."""
  return [(0, 1 + side % 2) for side in x.shape[1:3]]
