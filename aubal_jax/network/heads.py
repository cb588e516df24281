"""A network's heads: what it says of each target that it learns."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

BINS = 20  # Of a real number, where it is learnt by bins.

# How heads are built, see `models.Network`.
LAYERS = ('dense', 'deng', 'gru')
# Where the values of bins stand, see `levels`.
LEVELS = ('linspace', 'centres')
# Instead of those: no bins, but one output, through tanh or as it is.
NO_BINS = ('none', 'raw')


@dataclasses.dataclass(frozen=True)
class Head:
  """One target's part of a network.

  Attributes:
    name: of the target.
    kind: of the target, a name of `PREDICTIONS`.
    names: of its L labels, C classes or D numbers.
    loss: a name of `losses.LOSSES` or, of other kinds, of
      `target_losses.LOSSES`.
    weight: of its loss in the objective.
    layers: a name of `LAYERS`.
    window: rows that 'gru' sees together; 0: each alone.
    bins: of each number, of as many logits; 0: its one output is the number.
    levels: a name of `LEVELS`, of the values of the bins.
    raw: without bins: the output is the number, and is clipped where it is
      predicted alone; else its tanh is.
    low: the least that a number can be.
    high: the largest.
  """

  name: str
  kind: str
  names: tuple[str, ...]
  loss: str
  weight: float = 1.0
  layers: str = 'dense'
  window: int = 0
  bins: int = 0
  levels: str = 'linspace'
  raw: bool = False
  low: float = -1.0
  high: float = 1.0

  @property
  def size(self) -> int:
    """How many outputs of the network it has."""
    return len(self.names) * max(self.bins, 1)

  @property
  def is_plain(self) -> bool:
    """Whether it is one that releases before format 5 of model.json know."""
    return self == Head(self.name, 'binary', self.names, self.loss, self.weight)

  def to_json(self) -> dict[str, Any]:
    """Returns what `from_json` takes: what is as ever is left out."""
    found = dataclasses.asdict(self)
    kept = ('name', 'kind', 'names', 'loss', 'weight')
    return {
      field.name: found[field.name]
      for field in dataclasses.fields(self)
      if field.name in kept or found[field.name] != field.default
    }

  @classmethod
  def from_json(cls, content: Mapping[str, Any]) -> Head:
    """Returns what `to_json` told.

    Raises:
      KeyError, TypeError, ValueError: it is no head that is known here.
    """
    head = cls(**{**content, 'names': tuple(content['names'])})
    if (
      head.kind not in PREDICTIONS
      or head.layers not in LAYERS
      or (head.layers == 'gru') != (head.window > 0)
      or head.levels not in LEVELS
      or not (head.bins == 0 or (head.kind == 'real' and head.bins > 1))
      or (head.raw and (head.kind != 'real' or head.bins > 0))
      or not -jnp.inf < head.low < head.high < jnp.inf
    ):
      raise KeyError(f'no such head: {dict(content)}')
    return head


def levels(head: Head) -> jax.Array:
  """Returns the values of the bins of [-1, 1]: float[bins].

  'linspace' goes from -1 to 1, as published by Deng et al. 2020 (arXiv
  2002.03557): the first bin, [-1, -.9] of 20, stands for -1. 'centres' has
  -.95 there.
  """
  if head.levels == 'centres':
    return (jnp.arange(head.bins) + 0.5) * (2 / head.bins) - 1
  return jnp.linspace(-1, 1, head.bins)


def numbers(head: Head, outputs: jax.Array) -> jax.Array:
  """Returns the numbers of a 'real' head in [-1, 1]: float[B, D].

  Those of one that is raw may be outside, as they are learnt.
  """
  if head.raw:
    return outputs
  if not head.bins:
    return jnp.tanh(outputs)
  share = jax.nn.softmax(by_bin(head, outputs))
  return share @ levels(head).astype(outputs.dtype)


def by_bin(head: Head, outputs: jax.Array) -> jax.Array:
  """Returns the outputs float[B, D * bins] as [B, D, bins]."""
  return outputs.reshape(*outputs.shape[:-1], len(head.names), head.bins)


def scaled(head: Head, values: jax.Array) -> jax.Array:
  """Returns values in [low, high] as in [-1, 1], as they are learnt."""
  return (values - head.low) * (2 / (head.high - head.low)) - 1


def _in_range(head, outputs):
  found = numbers(head, outputs)
  share = ((jnp.clip(found, -1, 1) if head.raw else found) + 1) / 2
  return head.low + (head.high - head.low) * share


# kind of target -> f(head, outputs float[B, size]) -> what is predicted of it:
# probabilities [B, L] of labels or [B, C] of classes, or the numbers [B, D].
PREDICTIONS = types.MappingProxyType(
  {
    'binary': lambda head, outputs: jax.nn.sigmoid(outputs),
    'class': lambda head, outputs: jax.nn.softmax(outputs),
    'real': _in_range,
  }
)


def of_targets(
  targets: Mapping,
  loss: str,
  *,
  layers: str = 'dense',
  window: int = 0,
  bins: str = 'linspace',
  weights: Sequence[float] = (),
) -> tuple[Head, ...]:
  """Returns a head for each target.

  Args:
    targets: name -> `datasets.targets.Target`, of those to be learnt.
    loss: of binary ones, a name of `losses.LOSSES`.
    layers: a name of `LAYERS`.
    window: see `Head`; of 'gru' alone.
    bins: a name of `LEVELS` or of `NO_BINS`, of numbers.
    weights: of each loss; (): 1 each.
  """
  weights = weights or [1.0] * len(targets)
  found = []
  for (name, target), weight in zip(targets.items(), weights, strict=True):
    head = Head(
      *(name, target.kind, tuple(map(str, target.names)), loss, float(weight)),
      layers=layers,
      window=window if layers == 'gru' else 0,
    )
    if target.kind == 'class':
      head = dataclasses.replace(head, loss='cross_entropy')
    if target.kind == 'real':
      ranged = {'low': float(target.low), 'high': float(target.high)}
      head = dataclasses.replace(head, loss='ccc', **ranged)
      if bins in NO_BINS:
        head = dataclasses.replace(head, raw=bins == 'raw')
      else:
        binned = {'loss': 'ccc_cross_entropy', 'bins': BINS, 'levels': bins}
        head = dataclasses.replace(head, **binned)
    found.append(head)
  return tuple(found)


def make_objective(
  heads: Sequence[Head], losses: Mapping[str, Callable]
) -> Callable:
  """Returns f(outputs, batch, axis_name=None) -> scalar, what is minimised.

  The sum over heads of weight x loss over what is known of the global batch,
  of those heads whose target is in the batch.

  Args:
    heads: of the network.
    losses: name of head -> its loss, from `losses.make_loss` or
      `target_losses.make_loss`.
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
      if head.name in batch
    )

  return objective


def predictions(heads: Sequence[Head], outputs: Mapping) -> dict:
  """Returns name of head -> what is predicted, float32, see `PREDICTIONS`.

  Args:
    heads: of the network.
    outputs: name of head -> float[B, size].
  """
  return {
    head.name: PREDICTIONS[head.kind](
      head, outputs[head.name].astype('float32')
    )
    for head in heads
  }
