"""A head that sees a row among its neighbours in time.

Rows of a batch are windows of T consecutive ones, one window after the other,
see `datasets.windows`: so losses, masks and scores are those of rows.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from aubal_jax.network.models import first_weights
from aubal_jax.runs import errors


class RecurrentHead(nn.Module):
  """A bidirectional GRU, ReLU and a dense layer of every row.

  Cho et al. 2014, arXiv 1406.1078; on features of a network that is frozen
  Deng, Chen, Shi 2020, arXiv 2002.03557, with 64 units each way. The gates
  have one bias each (PyTorch's have two, whose sum alone matters).

  Attributes:
    size: number of outputs K.
    length: T rows of a window.
    hidden: units each way.
    dtype: of the arithmetic.
    param_dtype: of the parameters.
    first: a name of `first_weights.INITS`, of the dense layer.
  """

  size: int
  length: int
  hidden: int = 64
  dtype: Any = jnp.float32
  param_dtype: Any = jnp.float32
  first: str = 'he_normal'

  @nn.compact
  def __call__(self, features):
    """Returns float[B, K] of features float[B, F]; B is a multiple of T."""
    size, width = features.shape
    # Parameters do not depend on the length; they are made of one row.
    length = 1 if self.is_initializing() else self.length
    if size % length:
      raise errors.UserError(
        f'A batch must be whole windows of {self.length} rows, got {size} '
        'rows: take a batch size that is a multiple of it, for each device.'
      )
    types = {'dtype': self.dtype, 'param_dtype': self.param_dtype}
    ways = [nn.RNN(nn.GRUCell(self.hidden, **types)) for _ in range(2)]
    windows = features.reshape(-1, length, width)
    found = nn.relu(nn.Bidirectional(*ways)(windows))
    return nn.Dense(
      self.size, kernel_init=first_weights.INITS[self.first], **types
    )(found).reshape(size, self.size)
