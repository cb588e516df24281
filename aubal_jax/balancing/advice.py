"""Why a solution changes nothing, and which objective would."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aubal_jax.balancing.rules import Rules
from aubal_jax.runs import errors
from aubal_jax.tables import labelsets

_UNEVEN = 2.0  # MeanIR from which a table is worth a word.


def why_unchanged(solve_one: Callable, counts, solution, settings) -> str:
  """Returns why no count changes, and which objective would change some.

  Both are tried out, by the interior point: without lam and price, and with the
  objective 'relative'.

  Args:
    solve_one: keywords of `solve` -> `Solution` of the same labelsets.
    counts: int[S], before.
    solution: with these settings.
    settings: the keywords of `solve` that it is of.

  Returns:
    A sentence or three; '' where counts change, classes are about even, or
    'relative' would change nothing either.
  """
  before = solution.class_counts_before
  unchanged = np.array_equal(solution.counts, counts)
  uneven = unchanged and labelsets.mean_ir(before) >= _UNEVEN
  if not uneven or solution.objective == 'relative':
    return ''
  other = _changes(solve_one, counts, settings | {'objective': 'relative'})
  if not other:
    return ''
  lower = settings.get('lower', Rules.lower)
  # By convexity a smaller box tells as well whether any count would change.
  upper = np.minimum(settings.get('upper', Rules.upper), Rules.upper)
  free = settings | {'lam': 0.0, 'image_cost': 0.0}
  free['upper'] = np.maximum(upper, lower)
  if _changes(solve_one, counts, free):
    why = (
      f'At lam={solution.lam:g} the variance of growth, or the price of '
      'images, costs more than the few images that rare labelsets can add gain.'
    )
  else:
    why = (
      'Even at lam=0 images with a rare label bring more of frequent ones, or '
      'take more from the shares of others, than they mend.'
    )
  return (
    f'aubal finds nothing to change: objective={solution.objective!r} is at '
    f'its optimum within the bounds on growth {_bounds(settings)}, certified '
    f"to {max(solution.gap, 0.0):.1g}. {why} objective='relative', which "
    f'weighs classes by how rare they are, would change {other:,} images.'
  )


def _bounds(settings) -> str:
  """Returns the bounds on growth in words; '' where they are not one each."""
  bounds = [settings.get(k, getattr(Rules, k)) for k in ('lower', 'upper')]
  if any(np.ndim(bound) for bound in bounds):
    return 'given'
  return '({:g} to {:g})'.format(*bounds)


def _changes(solve_one, counts, settings) -> int:
  """Returns by how many images the counts change under other settings."""
  settings = settings | {'on_progress': None}
  try:
    found = solve_one(**settings | {'optimizer': 'ipm'})
  except errors.UserError:  # Its tables are too large.
    found = solve_one(**settings)
  return int(np.abs(found.counts - counts).sum())
