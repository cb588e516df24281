"""Bounds by diversity in the training part of a split of a table."""

from __future__ import annotations

import numpy as np

from aubal_jax.balancing import diversity
from aubal_jax.runs import errors
from aubal_jax.tables import labelsets as labelsets_lib


def find_upper(
  dataset, rows, features, *, kind, num_clusters=0, lower=1.0, upper=10.0
):
  """Returns the largest growth of each labelset of these rows, or one for all.

  Args:
    dataset: the table.
    rows: int[R], those that are resampled.
    features: float[N, F], of the table, in which clusters are looked for.
    kind: a name of `diversity.KINDS`.
    num_clusters: of content, see `diversity.find_clusters`.
    lower: least growth.
    upper: largest growth, whatever the diversity.

  Returns:
    float64[S] in the order of `find_labelsets`; `upper` where kind is 'none'.

  Raises:
    UserError: the table has no groups, and kind is 'group'.
  """
  if kind == 'none':
    return upper
  if kind == 'content':
    groups = diversity.find_clusters(features[rows], num_clusters=num_clusters)
  elif dataset.groups is None:
    raise errors.UserError(
      'diversity is group, but the table has no groups; name their column in '
      'data.group_column, or take content.'
    )
  else:
    groups = np.asarray(dataset.groups)[rows]
  found = labelsets_lib.find_labelsets(dataset.labels[rows])
  return diversity.bound_growth(
    found.index, found.counts, groups, lower=lower, upper=upper
  )
