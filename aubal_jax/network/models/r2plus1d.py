"""Residual networks of (2+1)D convolutions (Tran et al. 2018).

R(2+1)D, arXiv 1711.11248: each convolution of a clip is one in space, batch
norm, a rectifier, and one in time. R(2+1)D-18 is of the shape that torchvision
has.
"""

import types
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from aubal_jax.network.models import first_weights
from aubal_jax.network.models import layers
from aubal_jax.network.models import time_convolution
from aubal_jax.runs import errors

# As `first_weights.INITS`, but that 'he_normal' is of variance 2 / fan_out, as
# networks of clips begin in torchvision; fan_out is t h w F.
INITS = types.MappingProxyType(
  {
    **first_weights.INITS,
    'he_normal': nn.initializers.variance_scaling(
      2, 'fan_out', 'truncated_normal'
    ),
  }
)
_STEM = 45 / 64  # Channels between its two convolutions, to those behind.


def middle(inputs: int, outputs: int) -> int:
  """Returns the channels between the convolution in space and that in time.

  With floor(27 in out / (9 in + 3 out)) both have about as many parameters as
  one of 3x3x3. Both convolutions of a block take those of the block.
  """
  return 27 * inputs * outputs // (9 * inputs + 3 * outputs)


def _conv(module, filters, size, stride, name):
  """A convolution without bias, of frames, rows and columns."""
  return nn.Conv(
    filters,
    size,
    stride,
    padding=[(side // 2, side // 2) for side in size],
    use_bias=False,
    kernel_init=INITS[module.first],
    dtype=module.dtype,
    param_dtype=module.param_dtype,
    conv_general_dilated=time_convolution.convolve,
    name=name,
  )


class Block(nn.Module):
  """Two (2+1)D convolutions and a shortcut: relu(x + norm(conv(relu(...)))).

  The shortcut is the clip itself, or a projection of it with batch norm where
  the number of filters or the size changes. All attributes are those of
  `R2Plus1D`; the stride is of time, rows and columns.
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
    """Maps [B, T, H, W, C] to [B, T / s, H / s, W / s, filters]."""
    between = middle(x.shape[-1], self.filters)
    y = nn.relu(self._convolve(x, between, self.stride, 1, train))
    y = self._convolve(y, between, 1, 2, train)
    if self.stride > 1 or x.shape[-1] != self.filters:
      strides = (self.stride,) * 3
      x = _conv(self, self.filters, (1, 1, 1), strides, 'conv_shortcut')(x)
      x = layers.norm(self, train, 'norm_shortcut')(x)
    return nn.relu(x + y)

  def _convolve(self, x, between, stride, number, train):
    """Returns norm(conv in time(relu(norm(conv in space(x)))))."""
    space, time = f'space{number}', f'time{number}'
    x = _conv(self, between, (1, 3, 3), (1, stride, stride), f'{space}_conv')(x)
    x = nn.relu(layers.norm(self, train, f'{space}_norm')(x))
    x = _conv(self, self.filters, (3, 1, 1), (stride, 1, 1), f'{time}_conv')(x)
    return layers.norm(self, train, f'{time}_norm')(x)


class R2Plus1D(nn.Module):
  """Stem, stages of blocks, mean over time and space.

  A clip of 8 frames of 112 pixels becomes (8, 56, 56) in the stem and
  (8, 56, 56), (4, 28, 28), (2, 14, 14), (1, 7, 7) in the stages.

  Attributes:
    stage_sizes: blocks in each stage. Stage s has width * 2**s filters, and
      each stage but the first halves time, height and width.
    width: filters of the stem and of the first stage.
    momentum: decay of the running batch norm statistics.
    axis_name: mapped axis whose devices share one batch, or None.
    dtype: of the arithmetic.
    param_dtype: of parameters and running statistics.
    remat: compute what is inside the blocks once more for the gradient.
    first: a name of `INITS`.
  """

  stage_sizes: tuple[int, ...] = (2, 2, 2, 2)
  width: int = 64
  momentum: float = 0.9
  axis_name: str | None = None
  dtype: Any = jnp.float32
  param_dtype: Any = jnp.float32
  remat: bool = False
  first: str = 'he_normal'

  @nn.compact
  def __call__(self, clip, train: bool):
    """Returns features float[B, F], float32 or wider, of float[B, T, H, W, C].

    Args:
      clip: normalised, whatever its frames, sides and channels.
      train: as in `resnet.ResNet`.

    Raises:
      UserError: it is no batch of floating-point clips.
    """
    if clip.ndim != 5 or not jnp.issubdtype(clip.dtype, jnp.floating):
      raise errors.UserError(
        'clips must be floating point [B, T, H, W, C], got '
        f'{clip.dtype}{list(clip.shape)}.'
      )
    x = self._stem(clip, train)
    block_class = Block
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
        )(x, train)
    return x.astype(jnp.promote_types(self.dtype, jnp.float32)).mean((1, 2, 3))

  def _stem(self, x, train):
    """Returns [B, T, H / 2, W / 2, width] of clips."""
    between = int(_STEM * self.width)
    x = _conv(self, between, (1, 7, 7), (1, 2, 2), 'stem_space_conv')(x)
    x = nn.relu(layers.norm(self, train, 'stem_space_norm')(x))
    x = _conv(self, self.width, (3, 1, 1), (1, 1, 1), 'stem_time_conv')(x)
    return nn.relu(layers.norm(self, train, 'stem_time_norm')(x))
