"""Bounds by diversity: a labelset grows with those who show it.

A labelset of many images may come from few subjects, or from one long shot;
repeated tenfold it teaches their looks. So what its growth is bounded by is not
how many images show it, but how many distinct groups (subjects, videos) or
clusters of content do.
"""

from __future__ import annotations

import numpy as np

from aubal_jax.runs import errors

KINDS = ('none', 'group', 'content')

_MOST_FOR_KMEANS = 20_000  # Rows; of more, clusters are found in batches.


def bound_growth(index, counts, groups, *, lower, upper) -> np.ndarray:
  """Returns the largest growth of each labelset, for `solve`'s `upper`.

  Labelset s, with n_s images of d_s distinct groups, may grow to

    upper min(n_s, d_s r) images,   r = N / sum_s d_s,

  but never to fewer than lower n_s: r is the mean number of images that one
  group has of one labelset, so what is shown by few groups often is bounded as
  if they had shown it r times each, and what many show is bounded as ever.

  Args:
    index: int[N], the labelset of each image.
    counts: int[S], images of each labelset.
    groups: [N], the group of each image; '' is one of its own.
    lower: least growth, a number or float[S].
    upper: largest growth, a number or float[S].

  Returns:
    float64[S], between lower and upper.

  Raises:
    UserError: groups does not name the group of each image.

  Examples:
    >>> index, groups = [0, 0, 0, 0, 1, 1], ['a', 'a', 'a', 'a', 'a', 'b']
    >>> bound_growth(index, [4, 2], groups, lower=1.0, upper=10.0).tolist()
    [5.0, 10.0]
  """
  index, counts = np.asarray(index), np.asarray(counts)
  groups = np.asarray(groups)
  if groups.shape != index.shape:
    raise errors.UserError(
      f'groups must name the group of each of the {len(index)} images; its '
      f'shape is {list(groups.shape)}.'
    )
  names, number = np.unique(groups, return_inverse=True)
  if names.dtype.kind in 'US' and names.size and not names[0]:
    alone = np.flatnonzero(number == 0)
    number[alone] = len(names) + np.arange(len(alone))
  pairs = np.unique(np.stack([index, number]), axis=1)
  shown_by = np.bincount(pairs[0], minlength=len(counts))
  typical = len(index) / max(shown_by.sum(), 1)
  share = np.minimum(1.0, shown_by * typical / np.maximum(counts, 1))
  return np.maximum(upper * share, lower)


def find_clusters(features, *, num_clusters: int = 0, seed: int = 0):
  """Returns int[N], clusters of content: k-means of standardised features.

  Args:
    features: float[N, F].
    num_clusters: at most so many; 0: about sqrt(N).
    seed: of the first centres.

  Raises:
    UserError: features is no table, or has an entry that is not finite.
  """
  import threadpoolctl
  from sklearn import cluster
  from sklearn import preprocessing

  features = np.asarray(features, np.float64)
  if features.ndim != 2 or not features.size:
    raise errors.UserError(
      'features must be a table [N, F] to find clusters in; its shape is '
      f'{list(features.shape)}.'
    )
  if not np.isfinite(features).all():
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    raise errors.UserError(
      f'features must be finite; {len(bad)} rows are not, the first is row '
      f'{bad[0]}. Fill in or drop what is missing.'
    )
  table = preprocessing.StandardScaler().fit_transform(features)
  most = num_clusters or max(round(len(table) ** 0.5), 1)
  if len(table) > _MOST_FOR_KMEANS:
    kind = cluster.MiniBatchKMeans
  else:
    kind = cluster.KMeans
    most = min(most, len(np.unique(table, axis=0)))
  k_means = kind(min(most, len(table)), n_init=1, random_state=seed)
  with threadpoolctl.threadpool_limits(1):  # Sums in one order: the same bits.
    return k_means.fit(table).labels_.astype(np.int64)
