"""Results of cells as a comparison writes them, made up from a seed."""

import itertools

import numpy as np

from aubal_jax.experiments.compare import thirds

METHODS = (
  *('none', 'random', 'lp_ros', 'lp_rus', 'ml_ros', 'mlsmote', 'remedial'),
  *('calibration', 'aubal:l1', 'aubal:relative', 'loss:focal'),
)
NO_FRACTION = ('none', 'remedial', 'loss:focal')
SIZES = {'emotions': (593, 6), 'yeast': (2417, 14), 'birds': (645, 19)}


def result(data='emotions', method='none', *, gain=0.0, tuned=0.0, **options):
  """A cell: at .5 it gains `gain` over others, `tuned` at tuned thresholds."""
  num_splits = options.pop('num_splits', 10)
  seeds = options.pop('seeds', 3)
  rows = options.pop('rows', None)
  num_labels = options.pop('num_labels', SIZES.get(data, (500, 5))[1])
  n = SIZES.get(data, (500, 5))[0] // 2
  fraction = None if method in NO_FRACTION else 0.25
  cell = {
    'data': data,
    'kind': 'table',
    'method': method,
    'fraction': fraction,
    'model': 'logistic',
    'augment_rows': None,
    'upper': 10.0 if method.startswith('aubal') else None,
    'diversity': 'none',
    'num_steps': 300,
    'label_names': [f'label{k}' for k in range(num_labels)],
    **options,
  }
  data_rng = np.random.default_rng(len(data))
  frequency = np.sort(np.exp(data_rng.uniform(np.log(0.01), -1, num_labels)))
  splits = data_rng.normal(0, 0.02, num_splits)
  rng = np.random.default_rng(
    sum(map(ord, str(sorted(map(str, cell.values())))))
  )
  if rows is None:
    rows = n if fraction is None else n + round(0.25 * n)
    rows = n - round(0.25 * n) if method.endswith('rus') else rows
  cell['trials'] = [
    _trial(rng, seed, split, splits, n, rows, frequency, gain, tuned)
    for seed, split in itertools.product(range(seeds), range(num_splits))
  ]
  return cell


def _trial(rng, seed, split, splits, n, rows, frequency, gain, tuned):
  base = 0.35 + 0.4 * np.sqrt(frequency) + splits[split]
  half = base + gain * (1 - frequency) + rng.normal(0, 0.01, len(base))
  best = base + 0.05 + tuned * (1 - frequency) + rng.normal(0, 0.01, len(base))
  scores = {
    'f1_macro': half.mean(),
    'f1_macro_tuned': best.mean(),
    'f1_macro_shrunk': best.mean() + 0.01,
    'f1_micro': half.mean() + 0.1,
    'f1_micro_tuned': best.mean() + 0.1,
    'f1_micro_shrunk': best.mean() + 0.11,
    'auc_macro': 0.3 + best.mean(),
    'map': 0.1 + best.mean(),
    'awc': 0.2 + half.mean(),
    'awc_tuned': 0.2 + best.mean(),
    'awc_shrunk': 0.21 + best.mean(),
    **thirds.score(frequency, 0.1 + best, best),
  }
  return {
    'seed': seed,
    'rate': 1.0,
    'tried': [[1.0, 0.5], [4.0, 0.4]],
    'course': [[100, best.mean() / 2], [200, best.mean()]],
    'repeat': split // 2,
    'fold': split % 2,
    'num_train': n,
    'num_test': n,
    'scores': {
      name: None if x is None else float(x) for name, x in scores.items()
    },
    'plan': {'rows': rows, 'mean_ir': 3.0, 'cvir': 0.5, 'scumble': 0.1},
    'seconds': {'resample': 0.01, 'train': 1.0},
    'f1_per_label': half.tolist(),
    'f1_per_label_tuned': best.tolist(),
    'f1_per_label_shrunk': (best + 0.01).tolist(),
    'frequency': frequency.tolist(),
  }


def tables():
  """Twelve methods on three tables: gains that thresholds explain, or not."""
  gains = {'random': 0.005, 'ml_ros': 0.06, 'calibration': 0.1, 'lp_rus': -0.05}
  gains |= {'aubal:l1': 0.05, 'aubal:relative': 0.09, 'mlsmote': 0.03}
  tuned = {'aubal:relative': 0.03, 'lp_rus': -0.06, 'ml_ros': 0.002}
  return [
    result(
      data, method, model=model,
      gain=gains.get(method, 0.0), tuned=tuned.get(method, 0.0),
    )
    for model in ('logistic', 'mlp')
    for data in SIZES
    for method in METHODS
  ]  # fmt: skip


def crossed():
  """One set of images: plan x augmented rows x upper, one split, two seeds."""
  lift = {'none': 0.0, 'added': 0.05, 'all': 0.12}
  gains = {'none': 0.0, 'random': 0.03, 'ml_ros': 0.02, 'aubal:relative': 0.04}
  return [
    result(
      'faces', method, kind='images', model='resnet18_112', seeds=2,
      augment_rows=rows, upper=upper, num_splits=3, diversity=diversity,
      gain=lift[rows] * (0.4 if method == 'none' and rows == 'added' else 1)
      + gains[method] - (0.004 * (upper or 0)),
      tuned=lift[rows],
    )
    for rows in lift
    for method in gains
    for upper in ((2.0, 5.0, 10.0) if ':' in method else (None,))
    for diversity in (('none', 'group') if ':' in method else ('none',))
  ]  # fmt: skip
