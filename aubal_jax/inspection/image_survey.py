"""What a look at the images comes to: plain types, ready for JSON."""

import collections
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.inspection import survey

LISTED = 1000  # Rows that a list names at most; beside it is how many.
_SIZES = 10  # Of the sizes of images, the most frequent so many.
_DARK, _BRIGHT = 8, 247  # Mean grey levels below and above are suspicious.
_FLAT = 1.0  # And so is a standard deviation below.
_TWELVE_BITS = 4096


def named(data: dataset_lib.Dataset, rows: Sequence[int]) -> list[dict]:
  """Returns id and split of the rows, `LISTED` of them at most."""
  return [
    {'id': str(data.ids[row]), 'split': str(data.split[row])}
    for row in rows[:LISTED]
  ]


def is_missing(reason: str) -> bool:
  """Whether a row was dropped for this reason as its image is not there."""
  return reason.startswith('no image')


def describe_failures(data: dataset_lib.Dataset, seen: survey.Survey) -> dict:
  """Returns how many images cannot be read, for which reasons, and which.

  And which can, but hold bytes to spare.
  """
  spare = sorted(seen.remarks)
  reasons = {}
  for row, reason in sorted(seen.failures.items()):
    reasons.setdefault(reason, []).append(row)
  return {
    'images': seen.num_images,
    'readable': len(seen.rows),
    'missing': sum(n for why, n in data.drops().items() if is_missing(why)),
    'reasons': [
      {'reason': reason, 'count': len(rows), 'rows': named(data, rows)}
      for reason, rows in sorted(
        reasons.items(), key=lambda item: (-len(item[1]), item[0])
      )
    ],
    'spare_bytes': {'count': len(spare), 'rows': named(data, spare)},
  }


def describe_drops(data: dataset_lib.Dataset) -> list[dict]:
  """Returns the reasons that rows were dropped for, and which rows."""
  entries = []
  for reason, count in data.drops().items():
    rows = np.flatnonzero(
      (data.split == dataset_lib.DROPPED) & (data.reasons == reason)
    )
    entry = {'reason': reason or 'not in any split', 'count': count}
    if data.sources is not None:
      names, counts = np.unique(data.sources[rows], return_counts=True)
      entry['sources'] = dict(zip(names.tolist(), counts.tolist(), strict=True))
    entries.append(entry | {'rows': named(data, rows)})
  return entries


def duplicates(data: dataset_lib.Dataset, seen: survey.Survey) -> dict:
  """Returns which images are there twice, and whether their labels agree.

  Returns:
    `groups`, the contents that several rows have; `extra`, the rows beyond the
    first of each; `across`, pairs of splits and the contents in both;
    `within`, split -> rows that repeat one of that split; `contradictions`,
    the groups with a label that is 1 in one row and 0 in another; and the
    groups themselves, `listed`, the worst first.
  """
  _, first, number, counts = np.unique(
    seen.contents, return_index=True, return_inverse=True, return_counts=True
  )
  again = np.flatnonzero(counts[number] > 1)
  order = again[np.argsort(first[number[again]], kind='stable')]
  rows = seen.rows[order]
  starts = np.flatnonzero(np.diff(number[order], prepend=-1))
  if not len(rows):
    per_split = np.zeros((0, len(dataset_lib.SPLITS)), np.int64)
    differ = np.zeros((0, len(data.label_names)), bool)
  else:
    is_split = data.split[rows, None] == np.array(dataset_lib.SPLITS)
    per_split = np.add.reduceat(is_split.astype(np.int64), starts)
    yes = data.labels[rows] == 1
    differ = np.logical_or.reduceat(yes, starts)
    differ &= np.logical_or.reduceat(data.known[rows] & ~yes, starts)
  crosses = (per_split > 0).sum(1) > 1
  contradicts = differ.any(1)
  across = []
  for a, b in ((0, 1), (0, 2), (1, 2)):
    shared = int(((per_split[:, a] > 0) & (per_split[:, b] > 0)).sum())
    if shared:
      pair = [dataset_lib.SPLITS[a], dataset_lib.SPLITS[b]]
      across.append({'splits': pair, 'images': shared})
  within = np.maximum(per_split - 1, 0).sum(0).tolist()
  members = np.split(rows, starts[1:])
  worst = np.argsort(-(2 * contradicts + crosses), kind='stable')
  return {
    'groups': len(starts),
    'extra': len(rows) - len(starts),
    'crossing': int(crosses.sum()),
    'across': across,
    'within': dict(zip(dataset_lib.SPLITS, within, strict=True)),
    'contradictions': int(contradicts.sum()),
    'listed': [
      {
        'rows': named(data, members[k]),
        'crosses': bool(crosses[k]),
        'labels_differ': [
          data.label_names[i] for i in np.flatnonzero(differ[k])
        ],
      }
      for k in worst[:LISTED]
    ],
  }


def statistics(
  data: dataset_lib.Dataset, seen: survey.Survey, *, image_size: int
) -> dict | None:
  """Returns sizes and grey levels, or None where there are no images.

  Args:
    data: the data set.
    seen: of its images.
    image_size: of training; images that are smaller are counted.
  """
  facts = seen.facts
  if not len(facts):
    return None
  sizes = collections.Counter(
    zip(facts['width'].tolist(), facts['height'].tolist(), strict=True)
  )
  common = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
  aspect = facts['width'] / facts['height']
  squareness = np.maximum(aspect, 1 / aspect)
  larger = np.maximum(facts['width'], facts['height'])
  split = data.split[seen.rows]
  levels = [('all', _levels(facts))]
  for name in dataset_lib.SPLITS:
    levels.append((name, _levels(facts[split == name])))
  if data.sources is not None:
    sources = data.sources[seen.rows]
    for name in np.unique(sources):
      levels.append((str(name), _levels(facts[sources == name])))
  dark16 = (facts['bits'] == 16) & (facts['brightest'] < _TWELVE_BITS)
  suspicious = {
    'nearly_black': facts['mean'] < _DARK,
    'nearly_white': facts['mean'] > _BRIGHT,
    'constant': facts['deviation'] < _FLAT,
    'dark_16_bit': dark16,
    'not_square': squareness > 1.25,
    'smaller': larger < image_size,
  }
  return {
    'num_sizes': len(sizes),
    'sizes': [
      {'width': width, 'height': height, 'count': count}
      for (width, height), count in common[:_SIZES]
    ],
    'width': _spread(facts['width']),
    'height': _spread(facts['height']),
    'aspect': _spread(aspect),
    'kinds': _kinds(facts),
    'brightest_of_dark_16_bit': float(
      facts['brightest'][dark16].max(initial=0)
    ),
    'grey': [{'of': name} | level for name, level in levels if level],
    'suspicious': {
      name: {
        'count': int(where.sum()),
        'rows': named(data, seen.rows[where]),
      }
      for name, where in suspicious.items()
    },
  }


def _spread(values):
  found = np.min(values), np.median(values), np.max(values)
  return dict(
    zip(
      ('min', 'median', 'max'), (round(float(x), 3) for x in found), strict=True
    )
  )


def _kinds(facts):
  """Returns how many images have which channels and bits."""
  kinds = collections.Counter(
    zip(facts['channels'].tolist(), facts['bits'].tolist(), strict=True)
  )
  return [
    {'channels': channels, 'bits': bits, 'count': count}
    for (channels, bits), count in sorted(kinds.items())
  ]


def _levels(facts):
  """Returns mean and deviation of grey levels, each image counted alike."""
  if not len(facts):
    return None
  mean = facts['mean'].astype(np.float64)
  square = facts['deviation'].astype(np.float64) ** 2 + mean**2
  variance = max(float(square.mean() - mean.mean() ** 2), 0.0)
  return {
    'images': len(facts),
    'mean': round(float(mean.mean()), 2),
    'deviation': round(variance**0.5, 2),
  }
