"""Networks of tables: hidden layers of numbers, and what compare trains."""

import functools
import types
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from aubal_jax.network.models import first_weights
from aubal_jax.runs import errors


class Perceptron(nn.Module):
  """Hidden layers of rectified units; without any, what is seen as it is.

  Attributes:
    hidden: units of each layer, from the first on.
    dtype: of the arithmetic; None: of what is seen.
    param_dtype: of the parameters.
    first: a name of `first_weights.INITS`; '': flax's own draw.
  """

  hidden: tuple[int, ...] = ()
  dtype: Any = None
  param_dtype: Any = jnp.float32
  first: str = ''

  dropout = 0.0

  @nn.compact
  def __call__(self, features, *, train: bool = False):
    """Returns float[B, H] of features float[B, F]; float32 or wider."""
    del train  # It is the same.
    draw = nn.linear.default_kernel_init
    if self.first:
      draw = first_weights.INITS[self.first]
    for k, width in enumerate(self.hidden):
      layer = nn.Dense(
        width,
        kernel_init=draw,
        dtype=self.dtype,
        param_dtype=self.param_dtype,
        name=f'Dense_{k}',
      )
      features = nn.relu(layer(features))
    return features.astype(jnp.promote_types(features.dtype, jnp.float32))


class Classifier(nn.Module):
  """A perceptron and its logits: without hidden layers binary relevance.

  Attributes:
    num_outputs: number of labels L.
    hidden: units of each hidden layer, which all labels share.
  """

  num_outputs: int
  hidden: tuple[int, ...] = ()

  @nn.compact
  def __call__(self, features):
    """Returns logits float[B, L] of features float[B, F]."""
    trunk = Perceptron(self.hidden)
    nn.share_scope(self, trunk)
    draw = nn.linear.default_kernel_init
    if not self.hidden:  # The loss is convex: any start is good.
      draw = nn.initializers.zeros
    last = f'Dense_{len(self.hidden)}'
    return nn.Dense(self.num_outputs, kernel_init=draw, name=last)(
      trunk(features)
    )


# name -> factory(num_outputs).
MODELS = types.MappingProxyType(
  {'logistic': Classifier, 'mlp': functools.partial(Classifier, hidden=(64,))}
)


def make_model(name: str, num_outputs: int) -> nn.Module:
  """Returns the model called `name`; raises UserError on an unknown one."""
  if name not in MODELS:
    raise errors.UserError(
      f'Unknown model {name!r}; choose one of {sorted(MODELS)}.'
    )
  return MODELS[name](num_outputs)
