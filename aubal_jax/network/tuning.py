"""Fine-tuning: which parameters learn, and how fast each does."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import optax

from aubal_jax.runs import errors

TRUNK = 'trunk'  # In `Tuning.freeze`: all but the heads.

# The optimisers that decay weights by themselves, and those before which the
# decay is added to the gradient, which is the same there.
_DECOUPLED, _ADDED = ('adamw', 'lion'), ('sgd', 'nesterov')
DECAYING = (*_DECOUPLED, *_ADDED)

_FROZEN, _OF_HEADS = 'frozen', 'heads'
_FIRST = ('stem', 'patch', 'position', 'class_token')  # Before all blocks.
_BLOCK = r'(stage\d+_)?block\d+'
_UNDECAYED = ('position', 'class_token')  # Of more than one dimension.


@dataclasses.dataclass(frozen=True)
class Tuning:
  """How parameters are told apart in training. The default: not at all.

  Attributes:
    freeze: globs of names such as 'stage1_block1/conv1/kernel', which do not
      learn; * is any text, with '/' in it as well. 'trunk': all but the heads.
      Where all of the trunk is named so, batch norm is as in evaluation, too.
    backbone: times the learning rate, of all but the heads.
    layer_decay: the learning rate of a block is this times that of the block
      after it (Bao et al. 2021, arXiv 2106.08254): 1 is none.
    weight_decay: of all but norms and biases; 0: the optimiser's own, if any.
    accumulate_steps: steps whose mean gradient is one update.
  """

  freeze: tuple[str, ...] = ()
  backbone: float = 1.0
  layer_decay: float = 1.0
  weight_decay: float = 0.0
  accumulate_steps: int = 1

  @property
  def freezes_trunk(self) -> bool:
    """Whether nothing of the trunk learns."""
    return TRUNK in self.freeze

  def to_json(self) -> dict:
    """Returns what is not as by default."""
    default = Tuning()
    return {
      name: [*value] if isinstance(value, tuple) else value
      for name, value in dataclasses.asdict(self).items()
      if value != getattr(default, name)
    }

  @classmethod
  def from_json(cls, content: Mapping[str, Any]) -> Tuning:
    """Returns what `to_json` told; TypeError where it is none."""
    content = dict(content)
    if 'freeze' in content:
      content['freeze'] = tuple(map(str, content['freeze']))
    return cls(**content)


def check(tuning: Tuning, optimizer: str) -> None:
  """Raises UserError for a decay that this optimiser does not take."""
  if tuning.weight_decay and optimizer not in DECAYING:
    raise errors.UserError(
      f'train.weight_decay is for {DECAYING}, train.optimizer is '
      f'{optimizer!r}; take adamw, which is adam with it.'
    )


def decayed(
  factory: Callable[..., optax.GradientTransformation],
  optimizer: str,
  rate: Callable,
  tuning: Tuning,
) -> optax.GradientTransformation:
  """Returns an optimiser of this rate, with the decay of weights.

  Args:
    factory: f(rate, **options) -> optimiser.
    optimizer: its name.
    rate: of the updates done.
    tuning: has the decay; 0: the optimiser's own.
  """
  if not tuning.weight_decay:
    return factory(rate)
  if optimizer in _DECOUPLED:
    return factory(rate, weight_decay=tuning.weight_decay, mask=decays)
  decay = optax.add_decayed_weights(tuning.weight_decay, mask=decays)
  return optax.chain(decay, factory(rate))


def transform(
  tuning: Tuning,
  make: Callable[[float], optax.GradientTransformation],
  heads: Sequence[str],
  clip: optax.GradientTransformation,
) -> optax.GradientTransformation:
  """Returns an optimiser whose parameters learn each at its own rate.

  Args:
    tuning: how.
    make: f(factor) -> the optimiser, its learning rate times factor.
    heads: names, among the parameters, of the layers of the heads.
  """

  def of(params):
    names = group(tuning, params, heads)
    transforms = {
      name: optax.set_to_zero()
      if name == _FROZEN
      else make(_factor(tuning, name))
      for name in sorted({*jax.tree.leaves(names)})
    }
    frozen = jax.tree.map(lambda name: name == _FROZEN, names)
    chain = optax.chain(
      optax.masked(optax.set_to_zero(), frozen),
      clip,
      optax.multi_transform(transforms, names),
    )
    return chain if tuning.accumulate_steps == 1 else _accumulated(chain)

  def _accumulated(chain):
    steps = optax.MultiSteps(chain, tuning.accumulate_steps)
    return steps.gradient_transformation()

  # Groups are those of the parameters, which are seen when they are there.
  return optax.GradientTransformation(
    lambda params: of(params).init(params),
    lambda updates, state, params: of(params).update(updates, state, params),
  )


def _factor(tuning, name) -> float:
  """Returns what the learning rate of a group is multiplied by."""
  if name == _OF_HEADS:
    return 1.0
  above = int(name.rpartition('_')[2])  # Blocks and the like above this one.
  return tuning.backbone * tuning.layer_decay**above


def group(tuning: Tuning, params: Any, heads: Sequence[str]) -> Any:
  """Returns the name of each parameter's group, as a tree like the parameters.

  Raises:
    UserError: a glob names no parameter, all are frozen, or the layers have no
      order.
  """
  paths = [
    tuple(key.key for key in route)
    for route, _ in jax.tree.leaves_with_path(params)
  ]
  trunk = [
    *dict.fromkeys(_module(path) for path in paths if path[0] not in heads)
  ]
  frozen = _frozen(tuning, paths, heads)
  above = dict.fromkeys(trunk, 0)
  if tuning.layer_decay != 1:
    above = _above(trunk)

  def name(route, _):
    path = tuple(key.key for key in route)
    if path in frozen:
      return _FROZEN
    return _OF_HEADS if path[0] in heads else f'trunk_{above[_module(path)]}'

  return jax.tree.map_with_path(name, params)


def _frozen(tuning, paths, heads) -> set:
  """Returns the paths that do not learn."""
  frozen = set()
  for glob in tuning.freeze:
    found = {
      path
      for path in paths
      if (
        path[0] not in heads
        if glob == TRUNK
        else fnmatch.fnmatchcase('/'.join(path), glob)
      )
    }
    if not found:
      names = ', '.join('/'.join(path) for path in paths[:4])
      raise errors.UserError(
        f'model.freeze must be globs of names of parameters, or {TRUNK}; '
        f'{glob!r} names none. Names are such as {names}.'
      )
    frozen |= found
  if len(frozen) == len(paths):
    raise errors.UserError(
      f'model.freeze must leave something to learn; {[*tuning.freeze]} names '
      f'all {len(paths):,} arrays. {TRUNK} leaves the heads.'
    )
  return frozen


def _module(path) -> tuple[str, ...]:
  """Returns the module whose parameters learn alike: of a stream's, or whole.

  ('video', 'stage1_block1', ...) is the block 'stage1_block1' of 'video'.
  """
  is_part = len(path) > 2 and (
    re.fullmatch(_BLOCK, path[1]) or path[1].startswith(_FIRST)
  )
  return path[: 2 if is_part else 1]


def _above(trunk: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
  """Returns how many steps of decay are above each module of a trunk.

  The streams of a trunk have their blocks each for itself.

  Raises:
    UserError: there are no blocks by number.
  """
  found = {}
  for stream in {module[:-1] for module in trunk}:
    mine = [module[-1] for module in trunk if module[:-1] == stream]
    found |= {(*stream, k): n for k, n in _above_in_one(mine).items()}
  return found


def _above_in_one(trunk: Sequence[str]) -> dict[str, int]:
  """Returns the same of the modules of one stream.

  What is after the last block has none, the last block 1, and what is before
  the first as many as there are blocks, and one.

  Raises:
    UserError: there are no blocks by number.
  """
  numbers = {
    name: tuple(map(int, re.findall(r'\d+', name)))
    for name in trunk
    if re.fullmatch(_BLOCK, name)
  }
  if not numbers:
    raise errors.UserError(
      'train.layer_decay must be 1 for a network without modules block1, '
      f'block2, ...; this one has {[*trunk]}.'
    )
  order = sorted(numbers, key=numbers.get)
  last = len(order)
  above = {name: last - place for place, name in enumerate(order)}
  return {
    name: above.get(name, last + 1 if name.startswith(_FIRST) else 0)
    for name in trunk
  }


def decays(params: Any) -> Any:
  """Returns whether each parameter is decayed: kernels are, others not."""

  def one(route, leaf):
    return leaf.ndim > 1 and not str(route[-1].key).startswith(_UNDECAYED)

  return jax.tree.map_with_path(one, params)
