"""What the targets beside the labels look like: plain types, for JSON."""

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib

_BINS = 20  # Of a histogram of numbers.


def targets(data: dataset_lib.Dataset) -> list[dict]:
  """Returns what each target beside the labels holds, in use and by split.

  Returns:
    A dict for each: `name`, `kind`, `names`, `low`, `high`, `known` rows in
    all and by split; of a class `counts`, of numbers `numbers`, each by its
    name: for 'class' and 'binary' rows in all and by split, for 'real' how
    many are known, mean, deviation, least and largest, and a histogram of
    `_BINS` equal bins. Where tasks have their own splits also `groups`, how
    many have a row of each split, and how many of these validate and train in
    no task.
  """
  return [
    _target(data, name, target)
    for name, target in data.targets.items()
    if name != dataset_lib.LABELS
  ]


def _target(data, name, target):
  split = data.split_of(name)
  parts = {part: split == part for part in dataset_lib.SPLITS}
  used = {'all': split != dataset_lib.DROPPED, **parts}
  rows = target.rows_known
  entry = {
    'name': name,
    'kind': target.kind,
    'names': list(target.names),
    'low': target.low,
    'high': target.high,
    'known': {part: int((rows & where).sum()) for part, where in used.items()},
  }
  if target.kind == 'real':
    entry['numbers'] = [
      {'name': column} | _numbers(target, k, used['all'])
      for k, column in enumerate(target.names)
    ]
  else:
    entry['counts'] = _counts(target, used)
  if data.splits:
    entry['groups'] = _groups(data, rows, parts)
  return entry


def _counts(target, used):
  """Returns how often each class, or label, is there."""
  size = len(target.names)
  found = {}
  for part, where in used.items():
    if target.kind == 'class':
      values = target.values[where & target.known]
      found[part] = np.bincount(values, minlength=size).tolist()
    else:
      found[part] = target.values[where].sum(0, np.int64).tolist()
  return [
    {'name': name} | {part: counts[k] for part, counts in found.items()}
    for k, name in enumerate(target.names)
  ]


def _numbers(target, k, where):
  """Returns what the numbers of a column are like."""
  values = target.values[where & target.known[:, k], k].astype(np.float64)
  bounds = (target.low, target.high)
  found = {
    'known': len(values),
    'histogram': np.histogram(values, _BINS, bounds)[0].tolist(),
  }
  for name in ('mean', 'std', 'min', 'max'):
    value = getattr(values, name)() if len(values) else None
    found[name] = None if value is None else round(float(value), 4)
  return found


def _groups(data, rows, parts):
  """Returns how many groups have a row of each split, and are clean."""
  names = np.arange(len(data)) if data.groups is None else data.groups
  clean = data.clean() & parts['validation']
  return {
    part: len(np.unique(names[rows & where]))
    for part, where in (*parts.items(), ('clean', clean))
  }
