"""The balancing problem that a configuration names, before it is solved."""

from __future__ import annotations

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.tables import labelsets as labelsets_lib

# Of `config.balance`: how it is solved, not what.
_METHOD = ('method', 'optimizer', 'polish', 'tol', 'max_steps', 'num_devices')
# Of the other methods, and of what the bounds come from.
_OTHERS = (
  *('fraction', 'neighbours', 'combine', 'ml_rus', 'redraw_each_epoch'),
  *('features', 'diversity', 'num_clusters'),
)
_NONE_IF_ZERO = ('lam_images', 'budget', 'budget_growth', 'target')


def find_labelsets(inputs) -> labelsets_lib.Labelsets:
  """Returns the labelsets of the training split.

  Raises:
    UserError: there is nothing in them to balance.
  """
  dataset = inputs.dataset
  rows = dataset.rows('train')
  if not len(rows):
    raise errors.UserError('The training split has no row; nothing to balance.')
  separate = inputs.config.data.unknown == 'separate'
  labelsets = labelsets_lib.find_labelsets(
    dataset.labels[rows], dataset.known[rows] if separate else None
  )
  if not labelsets.class_counts.any():
    raise errors.UserError(
      'No label has a positive in the training split; nothing to balance. Are '
      'data.label_columns and data.unknown_codes right?'
    )
  return labelsets


def settings_of(config) -> dict:
  """Returns the arguments of `balancing.prepare.prepare`.

  JAX's devices are not asked for: who asks first takes a GPU's memory.
  """
  settings = config.balance.to_dict()
  for name in (*_METHOD, *_OTHERS):
    del settings[name]
  for name in _NONE_IF_ZERO:
    settings[name] = settings[name] or None
  return settings


def within_budget(instance, growth) -> np.ndarray:
  """Returns counts float64[S] inside the box and the budget.

  A budget that is missed is met along the line to a corner of the box.
  """
  counts = np.clip(growth * instance.start, instance.least, instance.most)
  if not instance.budget:
    return counts
  beyond = counts.sum() - instance.budget.most
  if beyond <= 0 and not instance.budget.exactly:
    return counts
  room = (instance.least if beyond > 0 else instance.most) - counts
  return counts + room * (-beyond / room.sum() if beyond else 0.0)
