"""Plans of rows that are drawn with replacement, by weight."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.tables import plan as plan_lib


def draw(
  weights: np.ndarray, fraction: float | None, rng, num_epochs: int
) -> plan_lib.Plan:
  """Returns the plan of N + round(fraction N) rows, drawn one by one.

  Args:
    weights: float[N], from 0, in any unit; the chance of each row.
    fraction: None is 0: as many rows as the table has.
    rng: to draw from.
    num_epochs: see `epochs`.
  """
  num_drawn = len(weights) + round((fraction or 0.0) * len(weights))
  chances = weights / weights.sum()
  return epochs(lambda: rng.multinomial(num_drawn, chances), num_epochs)


def epochs(repeats: Callable[[], np.ndarray], num_epochs: int) -> plan_lib.Plan:
  """Returns the plans of epochs that are drawn apart, one after the other.

  In each the first of a row stands among the originals, in the order of the
  table and not augmented; what repeats it follows and is to be augmented.

  Args:
    repeats: draws int[N], how often an epoch has each row.
    num_epochs: how many.

  Raises:
    UserError: num_epochs is not a whole number above 0.
  """
  whole = isinstance(num_epochs, (int, np.integer))
  whole = whole and not isinstance(num_epochs, bool)
  if not whole or not 1 <= num_epochs < 2**31:
    raise errors.UserError(
      f'num_epochs must be a whole number from 1 to below 2^31; it is '
      f'{num_epochs!r}.'
    )
  plans = []
  for _ in range(num_epochs):
    counts = repeats()
    plans.append(plan_lib.spread(np.arange(len(counts)), counts))
  names = ('source', 'augment', 'partner')
  return dataclasses.replace(
    plans[0],
    **{k: np.concatenate([getattr(plan, k) for plan in plans]) for k in names},
  )
