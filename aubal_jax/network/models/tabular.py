"""Models of tables: rows of standardised features in, a logit per label out."""

import functools
import types

from flax import linen as nn

from aubal_jax.runs import errors


class Logistic(nn.Module):
  """A logistic regression for each label: binary relevance.

  Attributes:
    num_outputs: number of labels L.
  """

  num_outputs: int

  @nn.compact
  def __call__(self, features):
    """Returns logits float[B, L] of features float[B, F]."""
    zeros = nn.initializers.zeros  # The loss is convex: any start is good.
    return nn.Dense(self.num_outputs, kernel_init=zeros)(features)


class Mlp(nn.Module):
  """One hidden layer of rectified units, shared by all labels.

  Attributes:
    num_outputs: number of labels L.
    width: hidden units.
  """

  num_outputs: int
  width: int

  @nn.compact
  def __call__(self, features):
    """Returns logits float[B, L] of features float[B, F]."""
    hidden = nn.relu(nn.Dense(self.width)(features))
    return nn.Dense(self.num_outputs)(hidden)


# name -> factory(num_outputs).
MODELS = types.MappingProxyType(
  {'logistic': Logistic, 'mlp': functools.partial(Mlp, width=64)}
)


def make_model(name: str, num_outputs: int) -> nn.Module:
  """Returns the model called `name`; raises UserError on an unknown one."""
  if name not in MODELS:
    raise errors.UserError(
      f'Unknown model {name!r}; choose one of {sorted(MODELS)}.'
    )
  return MODELS[name](num_outputs)
