"""Networks that see a row among its neighbours in a video.

Their heads are recurrent (multitask.heads=gru). Training takes windows of
multitask.window rows, every half window from the beginning of a video on;
evaluation takes them one after the other, so that each row is scored once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from aubal_jax.datasets import windows as windows_lib
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables import plan as plan_lib


def length(config) -> int:
  """Returns the rows of a window; 0: the network sees a row alone."""
  return config.multitask.window if config.multitask.heads == 'gru' else 0


def check(config) -> None:
  """Raises UserError for settings that do not go with windows."""
  if not length(config):
    return
  for name, given, rule in (
    ('balance.method', config.balance.method, 'none'),
    ('multitask.batching', config.multitask.batching, 'mixed'),
    ('augment.rows', config.augment.rows, 'none'),
  ):
    if given != rule:
      raise errors.UserError(
        f'{name} must be {rule} with multitask.heads=gru, which trains on '
        f'windows of videos as they are; it is {given!r}.'
      )


def check_batch_size(batch_size: int, length: int, num_devices: int) -> None:
  """Raises UserError where a batch is not whole windows on each device."""
  share = length * num_devices
  if batch_size % share:
    raise errors.UserError(
      'train.batch_size must be whole windows on each device with '
      f'multitask.heads=gru, {length} rows x {num_devices}; it is '
      f'{batch_size}: take {text.multiples(batch_size, share)}.'
    )


def of_rows(description, dataset) -> Callable | None:
  """Returns rows -> `Windows` that score them; None: rows are seen alone.

  Args:
    description: `bundle.Description` of the network.
    dataset: the `Dataset`.
  """
  size = description.heads[0].window
  if not size:
    return None
  return functools.partial(
    windows_lib.make, dataset.groups, dataset.frames, length=size, step=size
  )


def in_time(plan: plan_lib.Plan, dataset) -> np.ndarray:
  """Returns int[M], the rows of a plan, those of a video as they follow."""
  keys = [np.arange(len(plan))]
  for column in (dataset.frames, dataset.groups):
    if column is not None:
      keys.append(np.unique(column, return_inverse=True)[1][plan.source])
  return np.lexsort(keys)


def make_plan(plan: plan_lib.Plan, config, dataset) -> plan_lib.Plan:
  """Returns a plan of windows, of all rows of a plan that has each once.

  Videos shorter than a window are counted in a line.
  """
  size = length(config)
  found = windows_lib.make(
    *(dataset.groups, dataset.frames, np.unique(plan.source)),
    length=size,
    step=max(size // 2, 1),
  )
  few = f'; {found.short:,} of the videos are shorter: their last row repeats'
  print(
    f'train: {len(found.rows):,} windows of {size} rows'
    f'{few if found.short else ""}',
    flush=True,
  )
  source = found.rows.reshape(-1)
  return plan_lib.Plan(
    source,
    np.zeros(len(source), bool),
    np.full(len(source), -1),
    plan.label_names,
  )
