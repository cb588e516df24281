"""Vision transformers (Dosovitskiy et al. 2021, arXiv 2010.11929).

ViT-B/16 is of the shape that checkpoints of MAE and of torchvision have,
ViT-B/14 of that of DINOv2.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from aubal_jax.network.models import first_weights
from aubal_jax.network.models import layers
from aubal_jax.runs import errors

_EPSILON = 1e-6  # Of layer norm, in all of them.


def _norm(module, name):
  return nn.LayerNorm(
    epsilon=_EPSILON,
    dtype=module.dtype,
    param_dtype=module.param_dtype,
    name=name,
  )


def _attend(queries, keys, values):
  """Returns softmax(q k / sqrt(d)) v of float[B, T, heads, d], likewise.

  The softmax is in float32 at least, and in float64 where all is: `jax.nn`'s is
  not.
  """
  logits = jnp.einsum('bqhd,bkhd->bhqk', queries, keys)
  wide = jnp.promote_types(logits.dtype, jnp.float32)
  logits = logits.astype(wide) / math.sqrt(queries.shape[-1])
  share = jax.nn.softmax(logits, axis=-1).astype(values.dtype)
  return jnp.einsum('bhqk,bkhd->bqhd', share, values)


class Block(nn.Module):
  """x + attention(norm(x)), and then x + perceptron(norm(x)).

  Attributes:
    heads: of attention.
    scaled: both sums have a factor for each channel (LayerScale, Touvron et al.
      2021, arXiv 2103.17239), as in DINOv2.
    dtype, param_dtype, first: as in `VisionTransformer`.
  """

  heads: int
  scaled: bool
  dtype: Any
  param_dtype: Any
  first: str = 'he_normal'

  @nn.compact
  def __call__(self, x):
    """Maps float[B, T, D] to the same."""
    width = x.shape[-1]
    y = layers.dense(self, 3 * width, 'qkv')(_norm(self, 'norm1')(x))
    y = y.reshape(*y.shape[:2], 3, self.heads, width // self.heads)
    y = _attend(y[:, :, 0], y[:, :, 1], y[:, :, 2])
    y = layers.dense(self, width, 'out')(y.reshape(x.shape))
    x = x + self._scale(y, 'scale1')
    y = layers.dense(self, 4 * width, 'hidden')(_norm(self, 'norm2')(x))
    y = layers.dense(self, width, 'shrink')(nn.gelu(y, approximate=False))
    return x + self._scale(y, 'scale2')

  def _scale(self, y, name):
    if not self.scaled:
      return y
    first = nn.initializers.constant(1e-5)
    factor = self.param(name, first, (y.shape[-1],), self.param_dtype)
    return y * factor.astype(y.dtype).reshape(1, 1, -1)


class VisionTransformer(nn.Module):
  """Patches, a class token, positions, blocks; the class token is the features.

  Attributes:
    patch: side of a patch; that of an image is a multiple of it.
    width: D, of a token.
    depth: number of blocks.
    heads: of attention.
    scaled: as in `Block`.
    dtype: of the arithmetic; layer norm computes in float32 at least.
    param_dtype: of the parameters.
    remat: compute what is inside the blocks once more for the gradient.
    first: a name of `first_weights.INITS`.
    dropout: there is none.
  """

  patch: int = 16
  width: int = 768
  depth: int = 12
  heads: int = 12
  scaled: bool = False
  dtype: Any = jnp.float32
  param_dtype: Any = jnp.float32
  remat: bool = False
  first: str = 'he_normal'
  dropout: float = 0.0

  @nn.compact
  def __call__(self, image, *, train: bool = False):
    """Returns features float[B, D], float32 or wider, of float[B, H, W, C].

    Raises:
      UserError: the images are not a batch of floating-point images, or of a
        side that is no multiple of a patch.
    """
    del train  # Nothing here is otherwise then.
    layers.check_images(image)
    if any(side % self.patch for side in image.shape[1:3]):
      raise errors.UserError(
        f'data.image_size must be a multiple of {self.patch}, the patch of this'
        f' network; images are {image.shape[1]} x {image.shape[2]}.'
      )
    x = nn.Conv(
      self.width,
      (self.patch, self.patch),
      (self.patch, self.patch),
      padding='VALID',
      kernel_init=first_weights.INITS[self.first],
      dtype=self.dtype,
      param_dtype=self.param_dtype,
      name='patch_conv',
    )(image)
    x = x.reshape(x.shape[0], -1, self.width)
    token = self._token('class_token', 1)
    x = jnp.concatenate([jnp.repeat(token, x.shape[0], axis=0), x], axis=1)
    x = x + self._token('position', x.shape[1])
    block_class = nn.remat(Block) if self.remat else Block
    shared = ('scaled', 'dtype', 'param_dtype', 'first')
    for number in range(self.depth):
      x = block_class(
        self.heads,
        **{name: getattr(self, name) for name in shared},
        name=f'block{number + 1}',
      )(x)
    x = _norm(self, 'last_norm')(x[:, 0])
    return x.astype(jnp.promote_types(self.dtype, jnp.float32))

  def _token(self, name, count):
    first = nn.initializers.normal(0.02)
    shape = (1, count, self.width)
    return self.param(name, first, shape, self.param_dtype).astype(self.dtype)
