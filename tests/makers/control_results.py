"""controls.json as the stage writes it, of drawn predictions."""

import numpy as np

from aubal_jax.scoring import differences
from aubal_jax.scoring import summary
from aubal_jax.scoring import thresholds as thresholds_lib


def record(names, *, gains=(0.0, 0.05, 0.1), num_groups=9, num_images=120):
  """Three networks, each better than the one before by its gain.

  Args:
    names: of the labels.
    gains: what positives score more, of none, random and aubal.
    num_groups: subjects.
    num_images: of the test split.
  """
  rng = np.random.default_rng(0)
  shape = num_images, len(names)
  label = rng.random(shape) < np.linspace(0.1, 0.5, len(names))
  known = np.ones(shape, bool)
  groups = rng.integers(0, num_groups, num_images)
  noise = rng.random(shape) / 2
  probability = {
    name: noise + 0.3 * label + gain * label
    for name, gain in zip(('none', 'random', 'aubal'), gains, strict=True)
  }
  thresholds = np.full(len(names), 0.4)
  networks = {
    name: {
      'rows': 100,
      'added': 20,
      'left_out': 0,
      'class_counts': [*range(10, 10 + len(names))],
      'mean_ir': 2.5,
      'map': 0.5,
      'short': '',
      'report': summary.summarise(
        *(mine, label, known),
        thresholds=thresholds_lib.Thresholds(
          thresholds, of_all=0.4, positives=label.sum(0)
        ),
        label_names=names,
        groups=groups,
        num_resamples=50,
      ),
    }
    for name, mine in probability.items()
  }
  return {
    'method': 'aubal',
    'num_steps': 150,
    'networks': networks,
    'differences': differences.differences(
      *(probability, label, known),
      thresholds={
        name: {'tuned': thresholds, 'shrunk': thresholds}
        for name in probability
      },
      reference='aubal',
      groups=groups,
      num_resamples=50,
    ),
  }
