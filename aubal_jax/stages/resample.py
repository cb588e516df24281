"""The plan of a resampler that `config.balance` names."""

from __future__ import annotations

import math

from aubal_jax import resampling
from aubal_jax.stages import features as features_lib

# Method -> its option -> the setting of `config.balance`.
_OPTIONS = {
  'mlsmote': {'neighbours': 'neighbours', 'combine': 'combine'},
  'smote': {'neighbours': 'neighbours'},
  'mlsol': {'neighbours': 'neighbours'},
  'ml_rus': {'reading': 'ml_rus'},
}


def options_of(config, method: str) -> dict:
  """Returns the options of a resampler."""
  options = _OPTIONS.get(method, {})
  return {name: config.balance[key] for name, key in options.items()}


def num_epochs(inputs, num_rows: int) -> int:
  """Returns how often rows are drawn: for all of training, or once."""
  config = inputs.config
  if not config.balance.redraw_each_epoch:
    return 1
  epoch = num_rows + round(config.balance.fraction * num_rows)
  trained = inputs.num_steps * config.train.batch_size
  return max(math.ceil(trained / epoch), 1)


def make_plan(inputs, rows):
  """Returns the plan for these rows by `balance.method`.

  Args:
    inputs: the `Inputs`.
    rows: int[R], the training rows of the table.

  Raises:
    UserError: the method cannot do what is asked for on these labels.
  """
  config, dataset = inputs.config, inputs.dataset
  method = config.balance.method
  fraction = config.balance.fraction
  options, features = options_of(config, method), None
  if resampling.takes(method, 'features'):
    features = features_lib.find_features(inputs, rows)
  if config.balance.redraw_each_epoch:
    options['num_epochs'] = num_epochs(inputs, len(rows))
  return resampling.resample(
    dataset.labels[rows],
    method,
    fraction=fraction or None,
    seed=config.seed,
    features=features,
    rows=rows,
    label_names=dataset.label_names,
    **options,
  )
