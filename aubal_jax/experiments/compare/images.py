"""A trial of a comparison on images: what a trained net is worth."""

from __future__ import annotations

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.experiments.compare import folds
from aubal_jax.experiments.compare import scores
from aubal_jax.runs import errors
from aubal_jax.tables import plan as plan_lib


def split_of(dataset: dataset_lib.Dataset, fold: int | None) -> folds.Split:
  """Returns the rows that a net of this data set trains and is scored on.

  Raises:
    UserError: there is nothing to tune thresholds on, or nothing to test.
  """
  for name, mend in (
    ('validation', 'set config.data.validation_fraction'),
    ('test', 'set config.data.test_fraction, or config.data.num_folds'),
  ):
    if not len(dataset.rows(name)):
      raise errors.UserError(
        f'A comparison needs a {name} split, which this data set does not '
        f'have; {mend}, or name the splits in the table.'
      )
  rows = {name: dataset.rows(name) for name in dataset_lib.SPLITS}
  return folds.Split(repeat=0, fold=fold or 0, **rows)


def make_trial(
  dataset: dataset_lib.Dataset,
  fold: int | None,
  plan: plan_lib.Plan,
  predict,
  *,
  seed: int,
  seconds: dict,
) -> dict:
  """Returns the trial that result.json holds.

  Args:
    dataset: its splits are those the net was trained with.
    fold: which of the data set's folds is the test split; None: its only one.
    plan: of the training rows.
    predict: int[R] rows -> float[R, L], the probabilities of the net.
    seed: of training.
    seconds: of `resample` and `train`; None where they are not known.

  Raises:
    UserError: as `split_of`.
  """
  split = split_of(dataset, fold)
  return {
    'seed': seed,
    'repeat': split.repeat,
    'fold': split.fold,
    'num_train': len(split.train),
    'num_test': len(split.test),
    'plan': scores.describe(plan, dataset.labels),
    'seconds': seconds,
    **scores.score(
      dataset, split, predict(split.validation), predict(split.test)
    ),
  }


def seconds_of(lines, *, num_steps: int, batch_size: int) -> float | None:
  """Returns the seconds that steps took, from the lines of metrics.jsonl.

  Without what is not theirs (compiling, validation, saving, a stop on the way):
  num_steps batches at the mean pace. None where no pace was measured.
  """
  rates = [line.get('images_per_second') for line in lines]
  paces = [1 / rate for rate in rates if rate]
  return float(np.mean(paces)) * num_steps * batch_size if paces else None
