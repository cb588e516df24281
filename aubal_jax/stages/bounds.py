"""Bounds on growth that a configuration names: one for all, or by diversity."""

from __future__ import annotations

from aubal_jax.balancing import diversity
from aubal_jax.runs import errors
from aubal_jax.stages import features as features_lib


def find_upper(inputs, labelsets):
  """Returns the largest growth: a number, or float64[S] by diversity.

  Args:
    inputs: the `Inputs`.
    labelsets: the `Labelsets` of the training split.

  Raises:
    UserError: there are no groups, or nothing to find clusters of content in.
  """
  settings, dataset = inputs.config.balance, inputs.dataset
  if settings.diversity == 'none':
    return settings.upper
  rows = dataset.rows('train')
  if settings.diversity == 'content':
    groups = diversity.find_clusters(
      features_lib.find_features(inputs, rows),
      num_clusters=settings.num_clusters,
      seed=inputs.config.seed,
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
