"""The optimisers of the training step, all of optax."""

import functools
import math
import types
from collections.abc import Callable

import optax

from aubal_jax.runs import errors

# name -> factory(learning_rate), the learning rate a number or a schedule.
OPTIMIZERS = types.MappingProxyType(
  {
    'adam': optax.adam,
    'adamw': optax.adamw,
    'lion': optax.lion,
    'nesterov': functools.partial(optax.sgd, momentum=0.9, nesterov=True),
    'rmsprop': optax.rmsprop,
    'sgd': optax.sgd,
  }
)


def make_optimizer(
  name: str,
  learning_rate: float,
  *,
  schedule: Callable | None = None,
  clip_norm: float = 0.0,
) -> optax.GradientTransformation:
  """Returns the optimiser called `name`.

  Its state has one structure, whatever schedule and clipping. The learning
  rate is in it and not in the program, which is compiled once for all of them.

  Args:
    name: a name of `OPTIMIZERS`.
    learning_rate: number above 0.
    schedule: f(step), what it is multiplied by; None: 1.
    clip_norm: a gradient whose norm, over all parameters, is larger is scaled
      down to it; 0: none is.

  Raises:
    UserError: the name is not known, the learning rate is not above 0, or
      clip_norm below 0.
  """
  if name not in OPTIMIZERS:
    raise errors.UserError(
      f'Unknown optimizer {name!r}; choose one of {sorted(OPTIMIZERS)}.'
    )
  if not 0 < learning_rate < math.inf:
    raise errors.UserError(
      f'learning_rate must be above 0, got {learning_rate}; 1e-4 is usual.'
    )
  if not 0 <= clip_norm < math.inf:
    raise errors.UserError(
      f'clip_norm must be at least 0, got {clip_norm}; 0 clips nothing.'
    )
  schedule = schedule or optax.constant_schedule(1.0)

  def make(learning_rate):
    return optax.chain(
      optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity(),
      OPTIMIZERS[name](lambda step: learning_rate * schedule(step)),
    )

  return optax.inject_hyperparams(make)(float(learning_rate))
