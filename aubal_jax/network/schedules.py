"""How the learning rate changes from step to step."""

from collections.abc import Callable

import optax

from aubal_jax.runs import errors

SCHEDULES = ('constant', 'cosine')


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
