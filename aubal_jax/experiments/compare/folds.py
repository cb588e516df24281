"""Which rows train, validate and test in each trial of a comparison."""

from __future__ import annotations

import functools
import typing

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.datasets import splits
from aubal_jax.runs import errors

VALIDATION_FRACTION = 0.2  # Of a training fold, for thresholds alone.


class Split(typing.NamedTuple):
  """One fold of one repeat, in rows of the table.

  Attributes:
    repeat: which division into folds, counted from 0.
    fold: which of its folds is the test part, counted from 0.
    train: int64[R], the rows that a method resamples, in ascending order.
    validation: int64[V], held out of the training fold before resampling.
    test: int64[T], the fold.
  """

  repeat: int
  fold: int
  train: np.ndarray
  validation: np.ndarray
  test: np.ndarray


def draw(
  dataset: dataset_lib.Dataset, *, repeats: int = 5, num_folds: int = 2
) -> list[Split]:
  """Draws repeated K-fold splits that are even in the labels.

  Rows are parted by iterative stratification; where there are groups, none is
  in two parts. A repeat is a seed: equal tables, equal splits, whatever is
  trained on them. Rows that were dropped have no part in it; the splits of the
  table neither.

  Args:
    dataset: the table.
    repeats: how many divisions into folds.
    num_folds: folds of each; every row is in the test part once a repeat.

  Returns:
    repeats x num_folds splits, the folds of a repeat one after the other. Do
    not write to their arrays: a table's splits are kept.

  Raises:
    UserError: a number is too small, or there are too few rows or groups.
  """
  if repeats < 1 or num_folds < 2:
    raise errors.UserError(
      'compare.repeats must be at least 1 and compare.folds at least 2; they '
      f'are {repeats} and {num_folds}.'
    )
  rows = np.flatnonzero(dataset.split != dataset_lib.DROPPED)
  labels = dataset.labels[rows]
  number, unit = np.arange(len(rows)), 'rows'
  if dataset.groups is not None:
    number = np.unique(dataset.groups[rows], return_inverse=True)[1]
    unit = 'groups'
  units = int(number.max(initial=-1)) + 1
  # A training fold leaves at least one unit to train on, one to validate.
  if units < num_folds or units - -(-units // num_folds) < 2:
    raise errors.UserError(
      f'{units} {unit} are too few for compare.folds={num_folds}: each fold '
      'must leave two or more to train on and to validate. Give more rows.'
    )
  parts = _parts(
    labels.tobytes(),
    labels.shape,
    None if dataset.groups is None else number.tobytes(),
    repeats,
    num_folds,
  )
  return [
    Split(k // num_folds, k % num_folds, *(rows[p] for p in part))
    for k, part in enumerate(parts)
  ]


@functools.lru_cache(maxsize=8)
def _parts(labels, shape, groups, repeats, num_folds):
  """Returns (train, validation, test) of each split, as positions."""
  labels = np.frombuffer(labels, np.uint8).reshape(shape)
  groups = None if groups is None else np.frombuffer(groups, np.int64)
  parts = []
  for repeat in range(repeats):
    for fold in range(num_folds):
      part = splits.draw(
        labels,
        groups,
        splits.Draw(
          validation_fraction=VALIDATION_FRACTION,
          test_fraction=0.0,
          num_folds=num_folds,
          fold=fold,
          seed=repeat,
        ),
      )
      parts.append([np.flatnonzero(part == p) for p in dataset_lib.SPLITS])
  return parts
