"""report.json of labels, classes and numbers, from drawn predictions."""

import numpy as np

from aubal_jax.datasets import targets as targets_lib
from aubal_jax.scoring import summary
from aubal_jax.scoring import targets

LABELS = ('AU01', 'AU12', 'AU25')


def draw(seed=0, num_rows=600, classes=('Neutral', 'Anger', 'Happiness')):
  """Returns predictions and targets of labels, classes and two numbers.

  The last class has no row.
  """
  rng = np.random.default_rng(seed)
  truth = rng.random((num_rows, 3)) < (0.1, 0.4, 0.6)
  said = 1 / (1 + np.exp(-(2 * truth - 1.2 + rng.normal(size=truth.shape))))
  mood = rng.integers(0, len(classes) - 1, num_rows)
  odds = rng.normal(size=(num_rows, len(classes)))
  odds[np.arange(num_rows), mood] += 1.5
  odds = np.exp(odds)
  real = np.clip(rng.normal(0.1, 0.4, (num_rows, 2)), -1, 1)
  guess = np.clip(0.6 * real + rng.normal(0, 0.2, real.shape), -1, 1)
  known = rng.random(num_rows) < 0.8
  found = {
    'labels': targets_lib.Target(
      *('binary', truth.astype(np.uint8), np.ones_like(truth), LABELS)
    ),
    'expression': targets_lib.of_codes(np.where(known, mood, -1), classes),
    'valence_arousal': targets_lib.of_numbers(
      np.where(known[:, None], real, np.nan), ('valence', 'arousal'), -1, 1
    ),
  }
  predictions = {
    'labels': said,
    'expression': odds / odds.sum(axis=1, keepdims=True),
    'valence_arousal': guess,
  }
  return {k: x.astype(np.float32) for k, x in predictions.items()}, found


def report(seed=0, *, clean=False, **options) -> dict:
  """Returns report.json as the evaluate stage writes it."""
  said, found = draw(seed, **options)
  groups = np.array([f'video{k % 12}' for k in range(len(said['labels']))])
  labels = found['labels']
  whole = summary.summarise(
    *(said['labels'], labels.values, labels.known),
    thresholds=None,
    label_names=LABELS,
    groups=groups,
    split='validation',
    published=True,
  )

  def entries(names, rows):
    return {
      name: targets.summarise(
        targets.take(found[name], rows), said[name][rows],
        groups=groups[rows], split='validation',
      )
      for name in names
    }  # fmt: skip

  every = np.arange(len(groups))
  others = entries(('expression', 'valence_arousal'), every)
  whole |= {
    'targets': others,
    'challenge': targets.summarise_all(found, {'labels': whole, **others}),
  }
  if clean:
    fewer = entries(found, every[every % 12 < 7])
    challenge = targets.summarise_all(found, fewer)
    whole['clean'] = {'targets': fewer, 'challenge': challenge}
  return whole
