"""A made-up table of features, as imbalanced as the paper's Table I."""

import numpy as np

from aubal_jax.datasets import action_units
from aubal_jax.datasets import dataset
from aubal_jax.datasets import splits
from aubal_jax.datasets.drawn import synthetic
from aubal_jax.runs import errors

NUM_FEATURES = 32
_STRENGTH = 0.6  # Of a label in a feature, beside noise of 1.
_LEAST_INTENSITY = 0.3


def load(*, num_rows: int = 1200, seed: int = 0) -> dataset.Dataset:
  """Returns rows of eight AUs, as rare as in Table I, with features.

  features = (intensity * labels) @ directions + noise: each label has a drawn
  direction among the features, each positive a drawn intensity in [.3, 1], and
  the noise is normal, so that positives and negatives overlap. Directions are
  not orthogonal: labels are mistaken for each other, as AUs are.

  Args:
    num_rows: N, of one split: a comparison makes its own folds.
    seed: of labels and features.

  Returns:
    The data set, its features float32[N, NUM_FEATURES].

  Raises:
    UserError: num_rows is below 1, or the seed below 0.
  """
  if num_rows < 1 or seed < 0:
    raise errors.UserError(
      'num_rows must be 1 or more, and seed 0 or more; they are '
      f'{num_rows} and {seed}.'
    )
  rng = np.random.default_rng(seed)
  labels = synthetic.draw_labels(num_rows, rng)
  directions = rng.normal(0, _STRENGTH, (labels.shape[1], NUM_FEATURES))
  intensity = labels * rng.uniform(_LEAST_INTENSITY, 1, labels.shape)
  features = intensity @ directions
  features += rng.normal(size=features.shape)
  return dataset.Dataset(
    labels=labels,
    known=np.ones(labels.shape, bool),
    label_names=action_units.CODES,
    split=np.full(num_rows, 'train', splits.DTYPE),
    ids=np.arange(num_rows).astype(str),
    features=features.astype(np.float32),
    notes=(
      'A made-up table; its labels follow a joint distribution with the '
      'marginals of Table I of arXiv 2003.08751.',
    ),
  )
