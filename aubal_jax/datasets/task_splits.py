"""Splits of each target, where the official ones of several tasks differ.

A video may train one task and validate another: a network that learns both has
then seen its validation videos, with other labels. What is done about it is
`data.overlap`; videos that train in no task are clean.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aubal_jax.datasets import dataset
from aubal_jax.datasets import targets as targets_lib
from aubal_jax.runs import errors
from aubal_jax.runs import text

# What is done with groups that train in one task and validate in another.
OVERLAPS = ('keep', 'drop_train', 'drop_validation')
REASON = 'split overlap'  # Why a row is dropped that no task is left to.


def first_of(splits: Mapping[str, np.ndarray]) -> np.ndarray:
  """Returns str[N], the split of each row in the first task that has it."""
  first, *others = splits.values()
  for own in others:
    first = np.where(first == dataset.DROPPED, own, first)
  return first


def resolve(
  splits: Mapping[str, np.ndarray], groups: np.ndarray | None, overlap: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
  """Returns the splits with the overlap of tasks treated, and what is told.

  Args:
    splits: target -> str[N], 'dropped' where a row is not of that task.
    groups: str[N], such as videos; None: each row is one.
    overlap: one of `OVERLAPS`. 'drop_train': what any task validates on trains
      in none. 'drop_validation': what any task trains on validates none.

  Raises:
    UserError: a task is left without a row to train, or to validate, on.
  """
  names, number = _numbered(groups, splits)
  trains, validates = (
    {
      target: _holds(number, own == split, len(names))
      for target, own in splits.items()
    }
    for split in ('train', 'validation')
  )
  notes = _notes(trains, validates)
  if overlap == 'keep':
    return {**splits}, notes
  lost = overlap.removeprefix('drop_')
  others = validates if lost == 'train' else trains
  is_other = np.any([*others.values()], axis=0)[number]
  left = {
    target: np.where((own == lost) & is_other, dataset.DROPPED, own)
    for target, own in splits.items()
  }
  _check_left(splits, left, overlap)
  counted = ', '.join(
    f'{int((own == lost).sum()):,} to {int((left[target] == lost).sum()):,} '
    f'of {target}'
    for target, own in splits.items()
  )
  return left, (*notes, f'data.overlap={overlap}: {lost} rows {counted}.')


def _numbered(groups, splits):
  """Returns G names, and int[N], the group of each row."""
  if groups is None:
    number = np.arange(len(next(iter(splits.values()))))
    return number, number
  return np.unique(groups, return_inverse=True)


def _holds(number, rows, size) -> np.ndarray:
  """Returns bool[G], which groups have one of the rows bool[N]."""
  return np.bincount(number[rows], minlength=size) > 0


def _notes(trains, validates) -> tuple[str, ...]:
  """Returns how many groups of a task validate, and train in another."""
  any_train = np.any([*trains.values()], axis=0)
  told = []
  for target, own in validates.items():
    others = [
      f'{int((own & train).sum()):,} train {other}'
      for other, train in trains.items()
      if (own & train).any()
    ]
    clean = f'{int((own & ~any_train).sum()):,} are clean'
    if others:
      told.append(
        f'Of {int(own.sum()):,} groups that validate {target}, '
        f'{", ".join(others)}; {clean}.'
      )
  if not told:
    return ()
  return (
    f'Groups train in one task and validate in another. {" ".join(told)} '
    'data.overlap leaves them out of one side.',
  )


def _check_left(before, left, overlap) -> None:
  """Raises UserError for a task that lost a whole split."""
  for target, own in left.items():
    for split in ('train', 'validation'):
      if (before[target] == split).any() and not (own == split).any():
        other = 'drop_train' if split == 'validation' else 'drop_validation'
        raise errors.UserError(
          f'data.overlap={overlap!r} leaves the target {target!r} no row of '
          f'the split {split}: all of its groups are in another split of '
          f'another task. Set data.overlap to keep or {other}, or leave the '
          'target out.'
        )


def check_targets(
  targets: Mapping[str, targets_lib.Target],
  split_of: Mapping[str, np.ndarray],
) -> tuple[str, ...]:
  """Returns warnings on what cannot be learnt of targets beside the labels.

  Args:
    targets: name -> target.
    split_of: name -> str[N], the split of each row in it.
  """
  notes = []
  for name, target in targets.items():
    split = split_of[name]
    used = target.where(split != dataset.DROPPED)
    if not used.known.any():
      notes.append(f'the target {name!r} is known in no row in use')
      continue
    train = target.where(split == 'train')
    if not train.known.any():
      notes.append(f'the target {name!r} is known in no row that trains')
      continue
    notes += _odd_values(name, used, train)
  return tuple(f'{dataset.WARNING}{note}.' for note in notes)


def _odd_values(name, used, train):
  """Yields what is odd about the values of a target."""
  if used.kind == 'class':
    yield from _odd_classes(name, used, train)
  if used.kind != 'real':
    return
  for k, column in enumerate(used.names):
    values = train.values[train.known[:, k], k]
    if not len(values):
      yield f'{column!r} of the target {name!r} is known in no row that trains'
    elif values.min() == values.max():
      yield (
        f'{column!r} of the target {name!r} is {values[0]:g} in every row '
        'that trains'
      )


def _odd_classes(name, used, train):
  """Yields what is odd about the classes of a target."""
  seen, trained = (
    {*np.unique(part.values[part.known]).tolist()} for part in (used, train)
  )
  if len(trained) == 1:
    only = used.names[min(trained)]
    yield f'the target {name!r} is {only!r} in every row that trains'
  never = [repr(used.names[k]) for k in sorted(seen - trained)]
  if never:
    yield (
      f'{text.listing(never, text.SHOWN)} of the target {name!r} never '
      f'{"trains" if len(never) == 1 else "train"}, though in other splits'
    )
