"""A network's heads: what it says of each target that it learns."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

import jax

# kind of target -> outputs float[B, L] to what is predicted of it.
PREDICTIONS = types.MappingProxyType({'binary': jax.nn.sigmoid})


@dataclasses.dataclass(frozen=True)
class Head:
  """One target's part of a network.

  Attributes:
    name: of the target.
    kind: of the target, a name of `PREDICTIONS`.
    names: of its L outputs.
    loss: a name of `losses.LOSSES`.
    weight: of its loss in the objective.
  """

  name: str
  kind: str
  names: tuple[str, ...]
  loss: str
  weight: float = 1.0


def of_targets(targets: Mapping, loss: str) -> tuple[Head, ...]:
  """Returns a head for each target that a network can learn.

  Args:
    targets: name -> what has `kind` and `names`, such as those of a data set.
    loss: of all of them, a name of `losses.LOSSES`.
  """
  return tuple(
    Head(name, target.kind, tuple(map(str, target.names)), loss)
    for name, target in targets.items()
    if target.kind in PREDICTIONS
  )


def make_objective(
  heads: Sequence[Head], losses: Mapping[str, Callable]
) -> Callable:
  """Returns f(outputs, batch, axis_name=None) -> scalar, what is minimised.

  The sum over heads of weight x loss over what is known of the global batch.

  Args:
    heads: of the network.
    losses: name of head -> its loss, from `losses.make_loss`.
  """

  def objective(outputs, batch, axis_name=None):
    return sum(
      head.weight
      * losses[head.name](
        outputs[head.name],
        batch[head.name],
        batch[f'{head.name}_known'],
        batch,
        axis_name,
      )
      for head in heads
    )

  return objective


def predictions(heads: Sequence[Head], outputs: Mapping) -> dict:
  """Returns name of head -> what is predicted, float32[B, L].

  Args:
    heads: of the network.
    outputs: name of head -> float[B, L]; for 'binary' the result is
      probabilities.
  """
  return {
    head.name: PREDICTIONS[head.kind](outputs[head.name].astype('float32'))
    for head in heads
  }
