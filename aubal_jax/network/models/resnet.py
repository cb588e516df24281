"""Residual networks of basic blocks for small grey images.

He et al. 2016 (arXiv 1512.03385), in the sizes of Rieger et al. 2019 (arXiv
1906.05203): ResNet18-112, ResNet34-112 and ResNet18-64.
"""

import types
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from aubal_jax.network.models import convolution
from aubal_jax.network.models import first_weights
from aubal_jax.network.models import pool
from aubal_jax.runs import errors

# stem -> side of the first convolution's kernel.
STEM_SIZES = types.MappingProxyType({'7x7': 7, '3x3': 3})


def _conv(module, filters, size, stride, name):
  """A convolution without bias that keeps side / stride, rounded up."""
  return nn.Conv(
    filters,
    (size, size),
    (stride, stride),
    padding=size // 2,
    use_bias=False,
    kernel_init=first_weights.INITS[module.first],
    dtype=module.dtype,
    param_dtype=module.param_dtype,
    conv_general_dilated=convolution.convolve,
    name=name,
  )


def _norm(module, train, name):
  """Batch norm over the batch of every device of `module.axis_name`."""
  return nn.BatchNorm(
    use_running_average=not train,
    momentum=module.momentum,
    axis_name=module.axis_name,
    dtype=module.dtype,
    param_dtype=module.param_dtype,
    name=name,
  )


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
    y = _conv(self, self.filters, 3, self.stride, 'conv1')(x)
    y = nn.relu(_norm(self, train, 'norm1')(y))
    y = _conv(self, self.filters, 3, 1, 'conv2')(y)
    y = _norm(self, train, 'norm2')(y)
    if x.shape[-1] != self.filters:
      # A strided 1x1 convolution reads every stride-th pixel: taking those
      # first is the same and about twice as fast on a CPU.
      x = x[:, :: self.stride, :: self.stride]
      x = _conv(self, self.filters, 1, 1, 'conv_shortcut')(x)
      x = _norm(self, train, 'norm_shortcut')(x)
    return nn.relu(x + y)


class ResNet(nn.Module):
  """Stem, stages of basic blocks, global average pooling.

  A side of 112 becomes 56 (stem, stride 2), 28 (3x3 max pool, stride 2), and
  28, 14, 7, 4 in the stages. Any image side and number of channels will do.

  Attributes:
    stage_sizes: blocks in each stage. Stage s has width * 2**s filters, and
      each stage but the first halves height and width.
    width: filters of the stem and of the first stage.
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
      float[B, width * 2**(stages - 1)], float32 or wider.

    Raises:
      UserError: the images are not a batch of floating-point images.
    """
    if image.ndim != 4 or not jnp.issubdtype(image.dtype, jnp.floating):
      raise errors.UserError(
        'images must be floating point [B, H, W, C] in [0, 1], got'
        f' {image.dtype}{list(image.shape)}; models.scale turns bytes into'
        ' such.'
      )
    x = _conv(self, self.width, STEM_SIZES[self.stem], 2, 'stem_conv')(image)
    x = nn.relu(_norm(self, train, 'stem_norm')(x))
    x = pool.max_pool(x)
    block_class = BasicBlock
    if self.remat:  # Argument 2 is `train`.
      block_class = nn.remat(BasicBlock, static_argnums=2)
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
    return x.astype(jnp.promote_types(self.dtype, jnp.float32)).mean((1, 2))
