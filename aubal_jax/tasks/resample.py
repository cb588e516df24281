"""The plan of a resampler that `config.balance` names."""

from __future__ import annotations

import math

from aubal_jax import resampling
from aubal_jax.tasks import features as features_lib

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


def make_plan(inputs, rows):
  """Returns the plan for these rows by `balance.method`, and tells of it.

  Args:
    inputs: the `Inputs`.
    rows: int[R], the training rows of the table.

  Raises:
    ValueError: the method cannot do what is asked for on these labels.
  """
  config, dataset = inputs.config, inputs.dataset
  method = config.balance.method
  entry, fraction = resampling.RESAMPLERS[method], config.balance.fraction
  options, features = options_of(config, method), None
  if entry.needs_features:
    features = features_lib.find_features(inputs, rows)
  if entry.is_sampler and config.balance.redraw_each_epoch:
    epoch = len(rows) + round(fraction * len(rows))
    trained = inputs.num_steps * config.train.batch_size
    options['num_epochs'] = max(math.ceil(trained / epoch), 1)
  plan = resampling.resample(
    dataset.labels[rows],
    method,
    fraction=fraction or None,
    seed=config.seed,
    features=features,
    rows=rows,
    label_names=dataset.label_names,
    **options,
  )
  added = int(plan.augment.sum())
  print(
    f'balance: {method}: {len(plan):,} rows, {added:,} of them added; '
    f'{len(rows) - len({*plan.source.tolist()}):,} images are in none',
    flush=True,
  )
  return plan
