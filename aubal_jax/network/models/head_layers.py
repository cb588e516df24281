"""Layers from features to the outputs of a head."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from aubal_jax.network.models import layers

UNITS = 128


class Deng(nn.Module):
  """Batch norm, 128 units, ReLU, batch norm, outputs.

  Of Deng, Chen, Shi 2020 (arXiv 2002.03557). What the second norm gives is
  what they hand to a network of sequences.

  Attributes:
    size: K, of the outputs.
    momentum: decay of the running statistics.
    axis_name: mapped axis whose devices share one batch, or None.
    dtype: of the arithmetic.
    param_dtype: of parameters and running statistics.
    first: a name of `first_weights.INITS`.
  """

  size: int
  momentum: float = 0.9
  axis_name: str | None = None
  dtype: Any = jnp.float32
  param_dtype: Any = jnp.float32
  first: str = 'he_normal'

  @nn.compact
  def __call__(self, features, train: bool):
    """Maps float[B, F] to float[B, K]."""
    x = layers.norm(self, train, 'norm1')(features)
    x = nn.relu(layers.dense(self, UNITS, 'hidden')(x))
    x = layers.norm(self, train, 'norm2')(x)
    return layers.dense(self, self.size, 'outputs')(x)
