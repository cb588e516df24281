"""Which targets of a data set a network learns, and in which rows."""

from __future__ import annotations

import numpy as np

from aubal_jax import settings
from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.datasets import double_labels
from aubal_jax.datasets import targets as targets_lib
from aubal_jax.runs import errors
from aubal_jax.runs import text

_LABELS = dataset_lib.LABELS


def names_of(config, dataset) -> tuple[str, ...]:
  """Returns the names of the targets that are learnt, in order.

  Those of `multitask.targets`; by default all, the labels first.

  Raises:
    UserError: one is not there, or the labels are not among them.
  """
  there = (_LABELS, *(name for name in dataset.targets if name != _LABELS))
  names = settings.values(config, 'multitask.targets') or there
  wrong = [name for name in names if name not in there]
  if wrong or len({*names}) < len(names):
    raise errors.UserError(
      'multitask.targets must be distinct targets of the data set, '
      f'{text.listing(there)}; it is {text.listing(names)}.'
    )
  if _LABELS not in names:
    raise errors.UserError(
      f'multitask.targets must have {_LABELS}, by which rows are balanced and '
      f'scored; it is {text.listing(names)}.'
    )
  return tuple(names)


def in_training(config, dataset) -> dict[str, targets_lib.Target]:
  """Returns the targets that are learnt, known where their task trains.

  A row that trains one task may validate another, whose value must not be seen.
  """
  found = {name: dataset.targets[name] for name in names_of(config, dataset)}
  found = {
    name: target.where(dataset.split_of(name) == 'train')
    if name in dataset.splits
    else target
    for name, target in found.items()
  }
  if config.two_stream.pseudo_labels:
    return double_labels.guess(dataset, found)
  return found


def validating(config, dataset) -> np.ndarray:
  """Returns int64[R], the rows by which states are compared: of the labels."""
  several = len(names_of(config, dataset)) > 1
  return dataset.rows('validation', _LABELS if several else '')


def stride(config) -> int:
  """Returns k, of which rows of a video that follow an epoch takes one."""
  is_of_clips = config.model.name in settings.TWO_STREAM
  return config.two_stream.clip_stride if is_of_clips else 1


def rows_of_epoch(config, dataset) -> int:
  """Returns how many rows a pass over the training split takes.

  With `multitask.batching=per_task` a pass ends with the target that fewest
  rows know, as the published one does; as many rows of each are in it.
  """
  step = stride(config)
  if config.multitask.batching == 'mixed':
    return -(-len(dataset.rows('train')) // step)
  names = names_of(config, dataset)
  fewest = min(len(dataset.rows('train', name)) for name in names)
  return len(names) * -(-fewest // step)


def check_batch_size(config, dataset, num_devices: int) -> None:
  """Raises UserError where devices and tasks cannot share a batch evenly."""
  num_tasks = len(names_of(config, dataset))
  size, share = config.train.batch_size, num_tasks * num_devices
  if config.multitask.batching == 'per_task' and size % share:
    raise errors.UserError(
      'train.batch_size must be a multiple of targets x devices with '
      f'multitask.batching=per_task, {num_tasks} x {num_devices}; it is {size}:'
      f' take {text.multiples(size, share)}.'
    )


def check(config, dataset) -> None:
  """Raises UserError where targets are learnt that cannot be."""
  names = names_of(config, dataset)
  weights = settings.values(config, 'multitask.weights')
  if weights and len(weights) != len(names):
    raise errors.UserError(
      f'multitask.weights must be one number for each of {text.listing(names)},'
      f' or (): 1 each; it is {weights}.'
    )
  if len(names) == 1:
    if config.multitask.batching == 'per_task':
      raise errors.UserError(
        'multitask.batching must be mixed where one target is learnt, '
        f'{names[0]}; it is per_task.'
      )
    return
  for name in names:
    if not len(dataset.rows('train', name)):
      others = ','.join(other for other in names if other != name)
      raise errors.UserError(
        f'The target {name!r} is known in no row that trains, so it cannot be '
        f'learnt. Leave it out, multitask.targets={others}, or split the data '
        'otherwise.'
      )


def notes(config, dataset) -> list[str]:
  """Returns a line for each target some of whose classes never train."""
  lines = []
  for name in names_of(config, dataset):
    target = dataset.targets[name]
    if target.kind != 'class':
      continue
    seen = np.unique(target.values[dataset.rows('train', name)])
    lacking = [c for k, c in enumerate(target.names) if k not in seen]
    if lacking:
      lines.append(
        f'{len(lacking)} of {len(target.names)} classes of {name} are in no '
        f'training row and cannot be learnt: {text.listing(lacking)}'
      )
  return lines
