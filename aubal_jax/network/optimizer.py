"""The optimisers, all of optax, and how the learning rate changes."""

import functools
import math
import types
from collections.abc import Callable
from collections.abc import Sequence

import optax

from aubal_jax.network import tuning as tuning_lib
from aubal_jax.runs import errors

# name -> factory(learning_rate), the learning rate a number or a schedule.
OPTIMIZERS = types.MappingProxyType(
  {
    'adam': optax.adam,
    # Its first moment forgets faster; of Deng et al. 2020, arXiv 2002.03557.
    'adam_half': functools.partial(optax.adam, b1=0.5),
    'adamw': optax.adamw,
    'lion': optax.lion,
    'nesterov': functools.partial(optax.sgd, momentum=0.9, nesterov=True),
    'rmsprop': optax.rmsprop,
    'sgd': optax.sgd,
  }
)

SCHEDULES = ('constant', 'cosine')


def make_optimizer(
  name: str,
  learning_rate: float,
  *,
  schedule: Callable | None = None,
  clip_norm: float = 0.0,
  tuning: tuning_lib.Tuning | None = None,
  heads: Sequence[str] = (),
) -> optax.GradientTransformation:
  """Returns the optimiser called `name`.

  Its state has one structure, whatever schedule and clipping; `tuning` gives it
  another. The learning
  rate is in it and not in the program, which is compiled once for all of them.

  Args:
    name: a name of `OPTIMIZERS`.
    learning_rate: number above 0.
    schedule: f(step), what it is multiplied by; None: 1.
    clip_norm: a gradient whose norm, over all parameters, is larger is scaled
      down to it; 0: none is. Frozen parameters have none.
    tuning: how parameters are told apart; None: not at all.
    heads: names, among the parameters, of the layers of the heads.

  Raises:
    UserError: the name is not known, the learning rate is not above 0,
      clip_norm below 0, or `tuning` not for this optimiser.
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
  clip = optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity()
  tuning = tuning or tuning_lib.Tuning()
  tuning_lib.check(tuning, name)

  def make(learning_rate):
    return optax.chain(
      clip, OPTIMIZERS[name](lambda step: learning_rate * schedule(step))
    )

  def make_tuned(learning_rate):
    def one(factor):
      rate = _rate(learning_rate * factor, schedule, tuning.accumulate_steps)
      return tuning_lib.decayed(OPTIMIZERS[name], name, rate, tuning)

    return tuning_lib.transform(tuning, one, heads, clip)

  tuned = tuning != tuning_lib.Tuning()
  return optax.inject_hyperparams(make_tuned if tuned else make)(
    float(learning_rate)
  )


def _rate(learning_rate, schedule, accumulate_steps):
  """Returns the learning rate as a function of the updates done."""
  return lambda update: learning_rate * schedule(update * accumulate_steps)


def make_schedule(
  name: str, learning_rate: float, *, num_steps: int, warmup_steps: int = 0
) -> Callable:
  """Returns the learning rate as a function of the steps done.

  It rises in a line from 0 over the first `warmup_steps`, then stays, or falls
  along half a cosine to 0 at `num_steps` (Loshchilov & Hutter 2017, arXiv
  1608.03983). So a cosine is of one length of training: a run that is made
  longer is another run.

  Args:
    name: a name of `SCHEDULES`.
    learning_rate: the largest.
    num_steps: optimiser steps in all; a constant one does not look at it.
    warmup_steps: 0: begin with `learning_rate`.

  Raises:
    UserError: the name is not known, warmup_steps is below 0, or leaves
      nothing of a cosine.
  """
  if name not in SCHEDULES:
    raise errors.UserError(
      f'Unknown schedule {name!r}; choose one of {SCHEDULES}.'
    )
  if warmup_steps < 0:
    raise errors.UserError(
      f'warmup_steps must be at least 0, got {warmup_steps}.'
    )
  if name == 'constant':
    after = optax.constant_schedule(learning_rate)
  elif warmup_steps < num_steps:
    after = optax.cosine_decay_schedule(learning_rate, num_steps - warmup_steps)
  else:
    raise errors.UserError(
      f'warmup_steps must be below the {num_steps:,} steps of the run, got '
      f'{warmup_steps:,}: the cosine comes after it.'
    )
  if not warmup_steps:
    return after
  rise = optax.linear_schedule(0.0, learning_rate, warmup_steps)
  return optax.join_schedules([rise, after], [warmup_steps])
