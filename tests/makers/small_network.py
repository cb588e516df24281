"""A network that compiles at once, for tests of what is around a network."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

NAME = f'{__name__}:Small'  # As model.name.


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
