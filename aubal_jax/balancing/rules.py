"""What is to be solved: the objective, its bounds and its budget, checked."""

from __future__ import annotations

import dataclasses
import math
import numbers
import types
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aubal_jax.balancing import blocks as blocks_lib
from aubal_jax.runs import errors
from aubal_jax.tables import arguments

EMPTY = ('keep', 'label')  # What the labelset without a label is.
COUNTABLE = 2**53  # Up to here float64 tells whole numbers apart.
LARGEST = 1e30  # Whose square is finite as well.


class Objective(NamedTuple):
  """What is evened out.

  Attributes:
    penalty: phi: 'absolute' sum |x|, 'square' sum x^2 / mean z_o, or 'log'
      -mean z_o sum L tau log x.
    rarity: whether w_i = mean z_o / z_o,i; else w = 1.
    per_image: tau are shares of the images, not of the positives.
  """

  penalty: str = 'absolute'
  rarity: bool = False
  per_image: bool = False


OBJECTIVES = types.MappingProxyType(
  {
    'l1': Objective(),  # The paper's.
    'relative': Objective(rarity=True),
    'l2': Objective('square'),
    'prevalence': Objective(per_image=True),
    'log': Objective('log'),
  }
)


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

  def __reduce__(self):  # Between processes it goes by its fields.
    return type(self), (self.budget, self.fewest, self.largest)


@dataclasses.dataclass(frozen=True)
class Rules:
  """The keywords of `solve` that say what is solved; see there.

  The paper's: lam 70, for the 322,551 images of its training set.
  """

  lam: float = 70.0
  lam_images: float | None = 322_551
  lower: npt.ArrayLike = 1.0
  upper: npt.ArrayLike = 10.0
  objective: str = 'l1'
  target: npt.ArrayLike | None = None
  image_cost: float = 1e-4
  budget: int | None = None
  budget_growth: float | None = None
  budget_exactly: bool = False
  empty: str = 'keep'
  blocks: Sequence[tuple[int, float]] | None = None

  def settled(self, num_images: int, num_sets: int, num_labels: int) -> Rules:
    """Returns the same rules, checked, for so many images, labelsets, labels.

    Of them lam is raw, lower and upper are float64[S], target is float64[L], or
    [L + 1] with a label for the empty labelset, or None, the budget is a
    number of whole images or None, and blocks are `Block`s or None.

    Raises:
      UserError: a rule cannot be kept, whatever the table; the message names
        argument, rule and value.
    """
    lower, upper = _bounds(self.lower, self.upper, num_sets)
    check_number('lam', self.lam, least=0)
    check_number('image_cost', self.image_cost, least=0)
    check_choice('objective', self.objective, OBJECTIVES)
    check_choice('empty', self.empty, EMPTY)
    blocks = self._blocks(num_labels)
    num_labels += self.empty == 'label'
    lam = self.lam
    if self.lam_images is not None:
      check_number('lam_images', self.lam_images, least=0, above=True)
      lam = float(lam) * num_images / self.lam_images
      check_number('lam x images / lam_images', lam, least=0)
    return Rules(
      lam=float(lam),
      lam_images=None,
      lower=lower,
      upper=upper,
      objective=self.objective,
      budget=self._budget(num_images),
      budget_exactly=self.budget_exactly,
      target=_target(self.target, num_labels),
      image_cost=float(self.image_cost),
      empty=self.empty,
      blocks=blocks,
    )

  def _blocks(self, num_labels: int):
    """Returns the blocks, or None for one mean; raises UserError."""
    blocks = blocks_lib.checked(self.blocks, num_labels)
    if blocks is None:
      return None
    if self.empty == 'label':
      raise errors.UserError(
        'blocks have no label for the empty labelset: leave empty at keep, or '
        "give such a label as a column of its block's own."
      )
    if OBJECTIVES[self.objective].per_image:
      raise errors.UserError(
        f'objective must not be {self.objective!r} with blocks: it is of '
        'shares of all images, and a block is of those it knows. Take l1, '
        'relative, l2 or log.'
      )
    return blocks

  def _budget(self, num_images: int) -> int | None:
    """Returns the budget in whole images, or None; raises UserError."""
    check_flag('budget_exactly', self.budget_exactly)
    if self.budget is not None and self.budget_growth is not None:
      raise errors.UserError(
        f'budget and budget_growth must not both be given; they are '
        f'{self.budget} and {self.budget_growth}.'
      )
    if self.budget_growth is not None:
      check_number('budget_growth', self.budget_growth, least=0, above=True)
      images = float(self.budget_growth) * num_images
      check_countable('budget_growth', images)
      return round(images)
    if self.budget is None:
      if self.budget_exactly:
        raise errors.UserError(
          'budget_exactly needs a budget: give budget (images) or '
          'budget_growth.'
        )
      return None
    check_whole(
      'budget', self.budget, least=0, most=np.inf, kind='whole images'
    )
    return int(self.budget)


def check_number(
  name, number, *, least, above=False, most: float = LARGEST
) -> None:
  """Raises UserError unless `number` is finite, from `least` to `most`."""
  if not _is_finite(number) or not least <= float(number) <= most:
    highest = f' and at most {most:g}' if math.isfinite(most) else ''
    raise errors.UserError(
      f'{name} must be a finite number, at least {least}{highest}; it is '
      f'{number!r}.'
    )
  if above and number <= least:
    raise errors.UserError(f'{name} must be above {least}; it is {number}.')


def _is_finite(number) -> bool:
  """Whether it is a real number, no truth value, that a float can hold."""
  try:
    return (
      isinstance(number, numbers.Real)
      and not isinstance(number, bool)
      and math.isfinite(number)
    )
  except OverflowError:  # A whole number that no float can hold.
    return False


def check_whole(
  name, number, *, least, most: float = LARGEST, kind: str = 'whole'
) -> None:
  """Raises UserError unless `number` is whole, from `least` to `most`."""
  check_number(name, number, least=least, most=most)
  if number != int(number):
    raise errors.UserError(f'{name} must be {kind}; it is {number}.')


def check_flag(name, value) -> None:
  """Raises UserError unless `value` is True or False."""
  if not isinstance(value, bool | np.bool_):
    raise errors.UserError(f'{name} must be True or False, not {value!r}.')


def check_function(name, given) -> None:
  """Raises UserError unless it can be called, or is None."""
  if given is not None and not callable(given):
    raise errors.UserError(
      f'{name} must be a function of a dict, or None; it is {given!r}.'
    )


def check_choice(name, choice, choices) -> None:
  """Raises UserError unless `choice` is one of `choices`, which are texts."""
  if not isinstance(choice, str) or choice not in choices:
    raise errors.UserError(
      f'{name} must be one of {sorted(choices)}; it is {choice!r}.'
    )


def checked_counts(counts, num_sets: int) -> np.ndarray:
  """Returns counts as int64[S]; raises UserError if they cannot be that."""
  counts = arguments.numbers_of('counts', counts)
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
  check_countable('counts', counts.sum())
  return counts.astype(np.int64)


def check_countable(name, images: float) -> None:
  """Raises UserError where that many images are not counted exactly."""
  if images >= COUNTABLE:
    raise errors.UserError(
      f'{name} must make fewer than 2^53 images in all, which is as far as '
      f'they are counted exactly; it makes {images:.3g}.'
    )


def _bounds(lower, upper, num_sets: int) -> list[np.ndarray]:
  """Returns both bounds as float64[S]; raises UserError if they clash."""
  bounds = []
  for name, bound in (('lower', lower), ('upper', upper)):
    bound = arguments.numbers_of(name, bound)
    if bound.shape not in ((), (num_sets,)):
      raise errors.UserError(
        f'{name} must be a number or one for each of {num_sets} labelsets; '
        f'its shape is {bound.shape}.'
      )
    good = bound >= 0
    if name == 'lower':
      good &= bound < np.inf
    if not good.all():
      rule = 'finite and not' if name == 'lower' else 'inf or a number, not'
      raise errors.UserError(
        f'{name} must be {rule} negative; it is {bound[~good][0]} somewhere.'
      )
    bounds.append(np.broadcast_to(bound, num_sets))
  lower, upper = bounds
  if (lower > upper).any():
    s = int(np.argmax(lower > upper))
    raise errors.UserError(
      f'lower must not exceed upper; for labelset {s} they are {lower[s]} '
      f'and {upper[s]}.'
    )
  return bounds


def _target(target, num_labels: int) -> np.ndarray | None:
  """Returns the target shares as float64[L]; raises UserError if they fail."""
  if target is None:
    return None
  shares = arguments.numbers_of('target', target)
  if shares.shape != (num_labels,):
    raise errors.UserError(
      f'target must have one share for each of {num_labels} labels (to have '
      f'none is one where empty is a label); its shape is {shares.shape}.'
    )
  good = (shares > 0) & (shares <= LARGEST)
  if not good.all():
    raise errors.UserError(
      'target must be above 0 for every label, and finite (at most '
      f'{LARGEST:g}); it is {shares[~good][0]} somewhere.'
    )
  return shares
