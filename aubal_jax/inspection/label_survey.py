"""What the labels and groups of a data set look like: plain types, for JSON."""

import math

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.tables import labelsets as labelsets_lib

LISTED = 200  # Groups or pairs that a list names at most.
_LARGEST = 10  # Labelsets that are listed.
_DRAWN = 40  # Labels whose co-occurrence is given as a whole.
_PAIRED = 1000  # Labels that are compared in pairs: the most frequent.
_TOGETHER = 20  # Pairs that go together most.
_BLOCK_ROWS = 1 << 16


def labels(data: dataset_lib.Dataset) -> list[dict]:
  """Returns how often each label is 1, 0 and unknown, in use and by split.

  Returns:
    A dict for each label: `name`, `positives`, `negatives`, `unknown`,
    `share` of the positives among the known (None: never known), the same by
    split; `groups` and `sources` that have a positive, None where there is
    one of them or none; and `known_sources`.
  """
  used = data.split != dataset_lib.DROPPED
  yes, known = data.labels == 1, data.known
  counts = {
    name: _counts(yes, known, where)
    for name, where in (
      ('all', used),
      *((name, data.split == name) for name in dataset_lib.SPLITS),
    )
  }
  number, num_groups = _numbered(data.groups, used)
  sources = [] if data.sources is None else np.unique(data.sources[used])
  entries = []
  for k, name in enumerate(data.label_names):
    by_split = {part: found[k] for part, found in counts.items()}
    entry = {'name': name} | by_split.pop('all') | {'splits': by_split}
    shows = used & yes[:, k]
    entry['groups'] = entry['sources'] = entry['known_sources'] = None
    if num_groups > 1:
      entry['groups'] = len(np.unique(number[shows]))
    if len(sources) > 1:
      found = data.sources[shows], data.sources[used & known[:, k]]
      entry['sources'], entry['known_sources'] = (
        np.unique(x).tolist() for x in found
      )
    entries.append(entry)
  return entries


def _numbered(groups, used):
  """Returns int64[N] (0 where not in use), and how many groups there are."""
  number = np.zeros(len(used), np.int64)
  if groups is None:
    return number, 0
  names, number[used] = np.unique(groups[used], return_inverse=True)
  return number, len(names)


def _counts(yes, known, where):
  """Returns L dicts of the counts in the rows `where`."""
  rows = int(where.sum())
  positives = np.count_nonzero(yes[where], axis=0).tolist()
  knowns = np.count_nonzero(known[where], axis=0).tolist()
  return [
    {
      'positives': p,
      'negatives': n - p,
      'unknown': rows - n,
      'share': round(p / n, 5) if n else None,
    }
    for p, n in zip(positives, knowns, strict=True)
  ]


def pairs(data: dataset_lib.Dataset) -> dict:
  """Returns which labels go together, over the rows in use that know both.

  Returns:
    `names` and `jaccard` [K][K], rows with both over rows with either (None
    where there is none), of the most frequent labels; `together`, the pairs of
    largest Jaccard; `equal` and `complementary`, pairs of labels that vary and
    always, or never, agree.
  """
  rows = np.flatnonzero(data.split != dataset_lib.DROPPED)
  frequent = np.argsort(-data.labels[rows].sum(0, np.int64), kind='stable')
  take = np.sort(frequent[:_PAIRED])
  names = [data.label_names[k] for k in take]
  both, first, neither = _agreement(data.labels, data.known, rows, take)
  either = both + first + first.T
  jaccard = np.full(both.shape, np.nan)
  np.divide(both, either, out=jaccard, where=either > 0)
  upper = np.triu(np.ones(both.shape, bool), 1)
  disagree = first + first.T
  equal = upper & (disagree == 0) & (both > 0) & (neither > 0)
  opposite = upper & (both + neither == 0) & (first > 0) & (first.T > 0)
  a, b = np.nonzero(upper & (both > 0))
  top = np.argsort(-jaccard[a, b], kind='stable')[:_TOGETHER]
  drawn = np.flatnonzero(np.isin(take, frequent[:_DRAWN]))
  return {
    'names': [names[k] for k in drawn],
    'jaccard': [
      [None if x != x else round(x, 4) for x in line]
      for line in jaccard[np.ix_(drawn, drawn)].tolist()
    ],
    'compared': len(take),
    'together': [
      {
        'labels': [names[i], names[j]],
        'rows': int(both[i, j]),
        'jaccard': round(float(jaccard[i, j]), 4),
      }
      for i, j in zip(a[top], b[top], strict=True)
    ],
    'equal': _named(names, equal),
    'complementary': _named(names, opposite),
  }


def _agreement(labels, known, rows, take):
  """Returns int64[K, K] rows with both labels, the first alone, neither."""
  sums = [np.zeros((len(take), len(take)), np.int64) for _ in range(3)]
  for start in range(0, len(rows), _BLOCK_ROWS):  # Exact: below 2^24 rows.
    block = np.ix_(rows[start : start + _BLOCK_ROWS], take)
    yes = labels[block].astype(np.float32)
    no = known[block].astype(np.float32) - yes
    for total, (a, b) in zip(
      sums, ((yes, yes), (yes, no), (no, no)), strict=True
    ):
      total += (a.T @ b).astype(np.int64)
  return sums


def _named(names, where):
  places = np.argwhere(where)[:LISTED].tolist()
  return {
    'count': int(where.sum()),
    'listed': [[names[a], names[b]] for a, b in places],
  }


def groups(data: dataset_lib.Dataset) -> dict | None:
  """Returns sizes of the groups, and those in more than one split, or None."""
  used = data.split != dataset_lib.DROPPED
  if data.groups is None or not used.any():
    return None
  names, number = np.unique(data.groups[used], return_inverse=True)
  counts = np.stack(
    [
      np.bincount(number[data.split[used] == name], minlength=len(names))
      for name in dataset_lib.SPLITS
    ]
  )
  sizes = counts.sum(0)
  crossing = np.flatnonzero((counts > 0).sum(0) > 1)
  return {
    'groups': len(names),
    'splits': dict(
      zip(dataset_lib.SPLITS, (counts > 0).sum(1).tolist(), strict=True)
    ),
    'images': {
      'min': int(sizes.min()),
      'median': float(np.median(sizes)),
      'max': int(sizes.max()),
    },
    'crossing': len(crossing),
    'listed': [
      {'group': str(names[k])}
      | dict(zip(dataset_lib.SPLITS, counts[:, k].tolist(), strict=True))
      for k in crossing[:LISTED]
    ],
  }


def labelsets(data: dataset_lib.Dataset, near_empty: int) -> dict:
  """Returns how uneven train is, and what the other splits have beyond it.

  Args:
    data: any.
    near_empty: images below which a labelset is counted as such.
  """
  used = np.flatnonzero(data.split != dataset_lib.DROPPED)
  split = data.split[used]
  index = labelsets_lib.find_labelsets(data.labels[used]).index
  train = labelsets_lib.find_labelsets(data.labels[used[split == 'train']])
  uneven = labelsets_lib.imbalance(train)
  is_new = ~np.isin(index, index[split == 'train'])
  unseen = {}
  for name in ('validation', 'test'):
    new = is_new & (split == name)
    unseen[name] = {
      'labelsets': len(np.unique(index[new])),
      'rows': int(new.sum()),
    }
  few = train.counts < near_empty
  return {
    'labelsets': len(train.counts),
    'near_empty_below': near_empty,
    'near_empty': int(few.sum()),
    'near_empty_rows': int(train.counts[few].sum()),
    'unseen': unseen,
    **{
      name: round(uneven[name], 4) if math.isfinite(uneven[name]) else None
      for name in ('mean_ir', 'cvir', 'scumble', 'cardinality', 'density')
    },
    'largest': [
      {
        'labels': [data.label_names[k] for k in np.flatnonzero(pattern)],
        'count': int(count),
      }
      for pattern, count in zip(
        train.patterns[:_LARGEST], train.counts[:_LARGEST], strict=True
      )
    ],
  }
