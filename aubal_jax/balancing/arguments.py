"""Checks of the arguments of `solve`: each error names the rule."""

from __future__ import annotations

import numbers

import numpy as np


def check_number(name, number, *, least, above=False) -> None:
  """Raises ValueError unless `number` is finite and at least `least`."""
  real = isinstance(number, (numbers.Real, np.number))
  if not real or not np.isfinite(number) or number < least:
    raise ValueError(
      f'{name} must be a finite number, at least {least}; it is {number}.'
    )
  if above and number <= least:
    raise ValueError(f'{name} must be above {least}; it is {number}.')


def check_choice(name, choice, choices) -> None:
  """Raises ValueError unless `choice` is one of `choices`."""
  if choice not in choices:
    raise ValueError(
      f'{name} must be one of {sorted(choices)}; it is {choice!r}.'
    )


def checked_counts(counts, num_sets: int) -> np.ndarray:
  """Returns counts as int64[S]; raises ValueError if they cannot be that."""
  counts = np.asarray(counts)
  if counts.shape != (num_sets,):
    raise ValueError(
      f'counts must have one entry for each of {num_sets} labelsets; its '
      f'shape is {counts.shape}.'
    )
  if counts.size and not (np.isfinite(counts).all() and counts.min() >= 0):
    raise ValueError(
      f'counts must be whole and not negative; the least is {counts.min()}.'
    )
  if (counts != np.floor(counts)).any():
    raise ValueError('counts must be whole numbers of images.')
  return counts.astype(np.int64)


def checked_bounds(lower, upper, num_sets: int):
  """Returns both bounds as float64[S]; raises ValueError if they clash."""
  bounds = []
  for name, bound in (('lower', lower), ('upper', upper)):
    try:
      bound = np.asarray(bound, np.float64)
    except (TypeError, ValueError) as error:
      raise ValueError(f'{name} must be numbers; it is {bound!r}.') from error
    if bound.shape not in ((), (num_sets,)):
      raise ValueError(
        f'{name} must be a number or one for each of {num_sets} labelsets; '
        f'its shape is {bound.shape}.'
      )
    if not np.isfinite(bound).all() or (bound < 0).any():
      worst = bound.flat[np.argmin(np.where(np.isfinite(bound), bound, -1))]
      raise ValueError(
        f'{name} must be finite and not negative; it is {worst} somewhere.'
      )
    bounds.append(np.broadcast_to(bound, num_sets))
  lower, upper = bounds
  if (lower > upper).any():
    s = int(np.argmax(lower > upper))
    raise ValueError(
      f'lower must not exceed upper; for labelset {s} they are {lower[s]} '
      f'and {upper[s]}.'
    )
  return lower, upper
