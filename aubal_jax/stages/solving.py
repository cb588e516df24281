"""Solves what a configuration asks of balancing, and prints what came of it."""

from __future__ import annotations

import functools
import sys

import numpy as np

from aubal_jax.balancing import rules
from aubal_jax.runs import errors
from aubal_jax.stages import problem


def solve(config, labelsets, upper, joint=None):
  """Returns the `Solution` for the labelsets of the training rows; tells it.

  Args:
    config: the configuration.
    labelsets: the `Labelsets`.
    upper: the largest growth, as `problem.find_upper` has it.
    joint: `several.Joint` of the targets that they are of; None: of labels.

  Raises:
    UserError: as `aubal.solve`.
  """
  from aubal_jax.balancing import advice
  from aubal_jax.balancing import several
  from aubal_jax.balancing import solve as solve_lib

  arguments = problem.solve_arguments(config)
  arguments |= _budget_of_fraction(config, int(labelsets.counts.sum()))
  arguments['upper'] = upper
  if joint is not None:
    arguments |= _of_targets(joint, arguments['target'])
  solve_one = functools.partial(
    solve_lib.solve, labelsets.patterns, labelsets.counts
  )
  try:
    solution = solve_one(**arguments)
  except rules.BudgetError as error:
    if not config.balance.fraction:
      raise
    raise errors.UserError(
      f'balance.fraction is {config.balance.fraction}, which makes a budget of '
      f'{arguments["budget"]:,} images: {error} A larger balance.upper lets '
      'more be added.'
    ) from error
  _print_solution(solution)
  why = advice.why_unchanged(solve_one, labelsets.counts, solution, arguments)
  if why:
    print(f'Note: {why}', flush=True)
  if joint is None:
    return solution
  return several.with_unevenness(joint, solution, arguments['target'])


def _of_targets(joint, target) -> dict:
  """Returns the arguments of `solve` that several targets change.

  Args:
    joint: the `several.Joint`, which has a column for the empty labelset.
    target: shares of the labels, or None.
  """
  changed = {'blocks': joint.blocks, 'empty': 'keep', 'target': None}
  own = joint.columns.get('labels')
  if target is None or own is None:
    return changed
  if len(target) != own.stop - own.start:
    raise errors.UserError(
      f'balance.target must have a share for each of {own.stop - own.start} '
      f'labels; it has {len(target)}.'
    )
  shares = np.ones(len(joint.names))
  shares[own] = target
  return changed | {'target': shares}


def _budget_of_fraction(config, num_rows: int) -> dict:
  """Returns what `balance.fraction` means to aubal, as in `aubal.resample`."""
  fraction = config.balance.fraction
  if not fraction:
    return {}
  budget = num_rows + round(fraction * num_rows)
  return {'budget': budget, 'budget_exactly': True}


def _gap_in_words(solution) -> str:
  """Returns how far whole counts are from the bound; see `Solution.gap`."""
  if solution.objective == 'log':
    return f'{solution.rounded_gap:.2g} of a mean class count'
  return f'{100 * solution.rounded_gap:.2g} %'


def _print_solution(solution) -> None:
  added = solution.images_after - solution.images_before
  print(
    f'balance: f from {solution.value_start:,.1f} to '
    f'{solution.rounded_value:,.1f} with {abs(added):,} images '
    f'{"more" if added >= 0 else "fewer"}; certified: no choice is better by '
    f'more than {_gap_in_words(solution)} '
    f'({solution.num_steps:,} steps, {solution.seconds:.2f} s and '
    f'{solution.seconds_compile:.1f} s compiling)',
    flush=True,
  )
  lost = (solution.class_counts_after == 0) & (solution.class_counts_before > 0)
  if lost.any():
    print(
      f'Warning: {lost.sum()} label(s) lose all their positives; raise '
      'balance.lower.',
      file=sys.stderr,
    )
  if not solution.converged:
    print(
      f'Warning: the certified gap {solution.gap:.1e} is above balance.tol; '
      'a larger balance.max_steps, or balance.optimizer=newton, closes it.',
      file=sys.stderr,
    )
  if solution.empty_boxes:
    print(
      f'Warning: {solution.empty_boxes} labelsets have no whole number of '
      'images between balance.lower and balance.upper; they got the nearest.',
      file=sys.stderr,
    )
