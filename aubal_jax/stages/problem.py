"""What a configuration asks of balancing: labelsets, rules, bounds, methods."""

from __future__ import annotations

import dataclasses
import math

from aubal_jax import resampling
from aubal_jax import settings
from aubal_jax.balancing import diversity
from aubal_jax.balancing import rules as rules_lib
from aubal_jax.runs import errors
from aubal_jax.tables import labelsets as labelsets_lib

# Rules of which 0 or () means that there is none.
_NONE_IF_EMPTY = ('lam_images', 'budget', 'budget_growth', 'target')


def find_labelsets(run) -> labelsets_lib.Labelsets:
  """Returns the labelsets of the training split.

  Raises:
    UserError: there is nothing in them to balance.
  """
  dataset = run.dataset
  rows = dataset.rows('train')
  if not len(rows):
    raise errors.UserError('The training split has no row; nothing to balance.')
  separate = run.config.data.unknown == 'separate'
  labelsets = labelsets_lib.find_labelsets(
    dataset.labels[rows], dataset.known[rows] if separate else None
  )
  if not labelsets.class_counts.any():
    raise errors.UserError(
      'No label has a positive in the training split; nothing to balance. Are '
      'data.label_columns and data.unknown_codes right?'
    )
  return labelsets


def rules_of(config) -> dict:
  """Returns the arguments of `balancing.rules.Rules`.

  What is 0 or () for people is None there. JAX's devices are not asked for: who
  asks first takes a GPU's memory.
  """
  fields = dataclasses.fields(rules_lib.Rules)
  names = [field.name for field in fields if field.name != 'blocks']
  rules = settings.arguments(config.balance, names)
  return rules | {name: rules[name] or None for name in _NONE_IF_EMPTY}


def solve_arguments(config) -> dict:
  """Returns the arguments of `solve` that `config.balance` names.

  Raises:
    UserError: more devices are asked for than there are.
  """
  import jax

  rules = rules_of(config)
  for name in ('optimizer', 'polish', 'tol', 'max_steps'):
    rules[name] = config.balance[name]
  num_devices = config.balance.num_devices
  devices = jax.local_devices()
  if num_devices > len(devices):
    raise errors.UserError(
      f'balance.num_devices must be at most {len(devices)}, the devices that '
      f'JAX sees; it is {num_devices}.'
    )
  rules['devices'] = devices[:num_devices] if num_devices > 1 else None
  return rules


def find_upper(run, labelsets, rows=None):
  """Returns the largest growth: a number, or float64[S] by diversity.

  Args:
    run: the `Run`.
    labelsets: the `Labelsets` of these rows.
    rows: int[R]; None: those of the training split.

  Raises:
    UserError: there are no groups, or nothing to find clusters of content in.
  """
  settings, dataset = run.config.balance, run.dataset
  if settings.diversity == 'none':
    return settings.upper
  rows = dataset.rows('train') if rows is None else rows
  if settings.diversity == 'content':
    groups = diversity.find_clusters(
      find_features(run, rows),
      num_clusters=settings.num_clusters,
      seed=run.config.seed,
    )
  elif dataset.groups is None:
    raise errors.UserError(
      'balance.diversity=group bounds growth by subjects or videos, but this '
      'data set has none; name their column in data.group_column, or take '
      'content.'
    )
  else:
    groups = dataset.groups[rows]
  return diversity.bound_growth(
    labelsets.index,
    labelsets.counts,
    groups,
    lower=settings.lower,
    upper=settings.upper,
  )


def find_features(run, rows):
  """Returns float32[R, F], as `balance.features` says, standardised.

  Args:
    run: the `Run`.
    rows: int[R], rows of the table.

  Raises:
    UserError: the table has no features, or there are no images.
  """
  from aubal_jax.media import embedding

  if run.config.balance.features == 'pixels':
    if run.dataset.load_images is None:
      raise errors.UserError(
        'balance.features=pixels, but this data set has no images; take the '
        'features of its table: --config.balance.features=table'
      )
    # One host alone asks, so the images cannot be opened for all of them.
    return embedding.pixels(run.some_images, rows)
  if run.dataset.features is None:
    images = run.dataset.load_images is not None
    raise errors.UserError(
      'balance.features=table, but this data set has no features; '
      + (
        'take those of its images: --config.balance.features=pixels'
        if images
        else "save them as 'features' [N, F] beside 'labels' in an .npz."
      )
    )
  return embedding.standardise(run.dataset.features[rows])


def options_of(config, method: str) -> dict:
  """Returns the options of a resampler that are settings."""
  taken = {}
  if method in settings.KEEPERS:
    taken['share'] = config.keep.share
  for option in resampling.options(method):
    for key in config.balance:
      declared = settings.SETTINGS[f'balance.{key}'].option or key
      if declared in (option, f'{method}.{option}'):
        taken[option] = config.balance[key]
  return taken


def num_epochs(run, num_rows: int) -> int:
  """Returns how often rows are drawn: for all of training, or once."""
  config = run.config
  if not config.balance.redraw_each_epoch:
    return 1
  epoch = num_rows + round(config.balance.fraction * num_rows)
  trained = run.num_steps * config.train.batch_size
  return max(math.ceil(trained / epoch), 1)


def make_plan(run, rows):
  """Returns the plan for these rows by `balance.method`.

  Args:
    run: the `Run`.
    rows: int[R], the training rows of the table.

  Raises:
    UserError: the method cannot do what is asked for on these labels.
  """
  config, dataset = run.config, run.dataset
  method = config.balance.method
  fraction = config.balance.fraction
  options, features = options_of(config, method), None
  if resampling.takes(method, 'features'):
    features = find_features(run, rows)
  options |= resampling.about_rows(method, dataset, rows)
  if config.balance.redraw_each_epoch:
    options['num_epochs'] = num_epochs(run, len(rows))
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
