"""A network that compiles at once, for tests of what is around a network."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

NAME = f'{__name__}:Small'  # As model.name.
OF_CLIPS = f'{__name__}:SmallOfClips'  # It hears, too.


class Small(nn.Module):
  """A convolution, batch norm, and means over rows and columns."""

  momentum: float = 0.9
  axis_name: str | None = None
  dtype: Any = jnp.float32
  param_dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, image, *, train=False):
    types = {'dtype': self.dtype, 'param_dtype': self.param_dtype}
    x = nn.Conv(8, (3, 3), (2, 2), use_bias=False, name='conv', **types)(image)
    x = nn.BatchNorm(
      use_running_average=not train,
      momentum=self.momentum,
      axis_name=self.axis_name if train else None,
      name='norm',
      **types,
    )(x)
    x = nn.relu(x).mean((1, 2))
    # So that a checkpoint has a size to speak of.
    return nn.Dense(2048, name='wide', **types)(x).astype(jnp.float32)


class SmallOfClips(nn.Module):
  """Means over rows of each frame of a clip, and over a window of sound."""

  momentum: float = 0.9
  axis_name: str | None = None
  dtype: Any = jnp.float32
  param_dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, clip, sound, *, train=False):
    types = {'dtype': self.dtype, 'param_dtype': self.param_dtype}
    seen = clip.mean(2).reshape(len(clip), -1)
    x = jnp.concatenate([seen, sound.mean(2)], 1).astype(self.dtype)
    return nn.Dense(16, name='wide', **types)(x).astype(jnp.float32)
