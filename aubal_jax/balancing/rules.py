"""Checks of the arguments of `solve`: each error names the rule."""

from __future__ import annotations

import math
import numbers

import numpy as np

from aubal_jax.runs import errors


class BudgetError(errors.UserError):
  """No growth inside its bounds has as many images as the budget asks for.

  Attributes:
    budget: images asked for.
    fewest: images at the least growth.
    largest: images at the largest growth; None: fewer than `budget` would do.
  """

  def __init__(self, budget: float, fewest: int, largest: int | None):
    super().__init__(
      f'budget must be at least {fewest:,} images'
      + ('' if largest is None else f' and at most {largest:,}')
      + f', which the bounds on growth allow; it is {budget:,.0f}.'
    )
    self.budget, self.fewest, self.largest = budget, fewest, largest


def check_number(name, number, *, least, above=False) -> None:
  """Raises UserError unless `number` is finite and at least `least`."""
  real = isinstance(number, (numbers.Real, np.number))
  if not real or not _is_finite(number) or number < least:
    raise errors.UserError(
      f'{name} must be a finite number, at least {least}; it is {number}.'
    )
  if above and number <= least:
    raise errors.UserError(f'{name} must be above {least}; it is {number}.')


def _is_finite(number) -> bool:
  try:
    return math.isfinite(number)
  except OverflowError:  # A whole number that no float can hold.
    return False


def check_choice(name, choice, choices) -> None:
  """Raises UserError unless `choice` is one of `choices`."""
  if choice not in choices:
    raise errors.UserError(
      f'{name} must be one of {sorted(choices)}; it is {choice!r}.'
    )


def checked_counts(counts, num_sets: int) -> np.ndarray:
  """Returns counts as int64[S]; raises UserError if they cannot be that."""
  counts = np.asarray(counts)
  if counts.shape != (num_sets,):
    raise errors.UserError(
      f'counts must have one entry for each of {num_sets} labelsets; its '
      f'shape is {counts.shape}.'
    )
  if counts.size and not (np.isfinite(counts).all() and counts.min() >= 0):
    raise errors.UserError(
      f'counts must be whole and not negative; the least is {counts.min()}.'
    )
  if (counts != np.floor(counts)).any():
    raise errors.UserError('counts must be whole numbers of images.')
  return counts.astype(np.int64)


def checked_bounds(lower, upper, num_sets: int):
  """Returns both bounds as float64[S]; raises UserError if they clash."""
  bounds = []
  for name, bound in (('lower', lower), ('upper', upper)):
    try:
      bound = np.asarray(bound, np.float64)
    except (TypeError, ValueError) as error:
      raise errors.UserError(
        f'{name} must be numbers; it is {bound!r}.'
      ) from error
    if bound.shape not in ((), (num_sets,)):
      raise errors.UserError(
        f'{name} must be a number or one for each of {num_sets} labelsets; '
        f'its shape is {bound.shape}.'
      )
    if not np.isfinite(bound).all() or (bound < 0).any():
      worst = bound.flat[np.argmin(np.where(np.isfinite(bound), bound, -1))]
      raise errors.UserError(
        f'{name} must be finite and not negative; it is {worst} somewhere.'
      )
    bounds.append(np.broadcast_to(bound, num_sets))
  lower, upper = bounds
  if (lower > upper).any():
    s = int(np.argmax(lower > upper))
    raise errors.UserError(
      f'lower must not exceed upper; for labelset {s} they are {lower[s]} '
      f'and {upper[s]}.'
    )
  return lower, upper


def checked_target(target, num_labels: int) -> np.ndarray | None:
  """Returns the target shares as float64[L]; raises UserError if they fail."""
  if target is None:
    return None
  try:
    shares = np.asarray(target, np.float64)
  except (TypeError, ValueError) as error:
    raise errors.UserError(
      f'target must be numbers; it is {target!r}.'
    ) from error
  if shares.shape != (num_labels,):
    raise errors.UserError(
      f'target must have one share for each of {num_labels} labels; its shape '
      f'is {shares.shape}.'
    )
  if not np.isfinite(shares).all() or (shares <= 0).any():
    worst = shares[np.argmin(np.where(np.isfinite(shares), shares, -np.inf))]
    raise errors.UserError(
      f'target must be finite and above 0 for every label; it is {worst} '
      'somewhere.'
    )
  return shares


def checked_budget(budget, growth, exactly, num_images: int) -> int | None:
  """Returns the budget in whole images, or None; raises ValueError."""
  if not isinstance(exactly, bool | np.bool_):
    raise errors.UserError(
      f'budget_exactly must be True or False, not {exactly!r}.'
    )
  if budget is not None and growth is not None:
    raise errors.UserError(
      f'budget and budget_growth must not both be given; they are {budget} '
      f'and {growth}.'
    )
  if growth is not None:
    check_number('budget_growth', growth, least=0, above=True)
    return round(growth * num_images)
  if budget is None:
    if exactly:
      raise errors.UserError(
        'budget_exactly needs a budget: give budget (images) or budget_growth.'
      )
    return None
  check_number('budget', budget, least=0)
  if budget != int(budget):
    raise errors.UserError(f'budget must be whole images; it is {budget}.')
  return int(budget)
