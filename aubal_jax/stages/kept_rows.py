"""Which rows of a run to keep: its solution, and its plan."""

from __future__ import annotations

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.tables import plan as plan_lib
from aubal_jax.tables import thinning


def choose(run, rows, labelsets) -> tuple:
  """Returns the plan and the solution of `balance.method=keep`.

  Args:
    run: the `Run`; of `keep.share`, and the groups and frames of its table.
    rows: int[N], the training rows of the table.
    labelsets: the `Labelsets` of these rows.

  Raises:
    UserError: the share is so small that a label would lose all its rows.
  """
  from aubal_jax.balancing import keeping

  dataset, share = run.dataset, run.config.keep.share
  names = dataset.label_names
  try:
    solution = keeping.choose(labelsets, share, names)
  except errors.UserError as error:
    raise errors.UserError(f'keep.{error}') from error
  groups, frames = (
    None if values is None else values[rows]
    for values in (dataset.groups, dataset.frames)
  )
  groups = thinning.checked_groups(groups, len(rows))
  if groups is not None and not groups.any():
    print(f'Note: {keeping.ONE_GROUP}', flush=True)
  rng = np.random.default_rng(run.config.seed)
  kept = thinning.thin(labelsets.index, solution.counts, groups, frames, rng)
  print(
    f'balance: keeps {len(kept):,} of {len(rows):,} images; certified: no '
    f'choice is better by more than {solution.rounded_gap:.2g} of a mean class '
    f'count ({solution.num_steps:,} steps, {solution.seconds:.2f} s and '
    f'{solution.seconds_compile:.1f} s compiling)',
    flush=True,
  )
  return plan_lib.unchanged(rows[kept], label_names=names), solution
