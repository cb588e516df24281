"""Which rows to keep: the most even subset of so many rows, certified."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from aubal_jax.balancing import box
from aubal_jax.balancing import cover
from aubal_jax.balancing import newton
from aubal_jax.balancing import solve as solve_lib
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables import arguments
from aubal_jax.tables import binary_table
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib
from aubal_jax.tables import thinning

ONE_GROUP = (
  'All rows are of one group, so there is nothing to spread over groups.'
)
_TOL = 1e-7  # Of the gap, in units of a mean class count.
_NO_LABEL = 'no label'  # How the empty labelset's own label is called.


def keep(
  labels: binary_table.Table,
  share: float = 0.25,
  *,
  groups: npt.ArrayLike | None = None,
  frames: npt.ArrayLike | None = None,
  seed: int = 0,
  label_names: Sequence[str] = (),
  rows: npt.ArrayLike | None = None,
) -> tuple[plan_lib.Plan, solve_lib.Solution]:
  """Chooses the rows to keep, round(share N) of them, with even labels.

  It is `balance` with the objective 'log', sum log z_i at its largest, with
  exactly so many rows, and from floor(share / 2 n_o) to n_o of each labelset;
  to have no label is a label of its own. So labels are as frequent as can be
  together, none is lost, and every large labelset stays in part.

  Args:
    labels: 0/1 [N, L], as `find_labelsets` takes it.
    share: of the rows, above 0 and at most 1.
    groups: [N], the subject or the video of each row: a labelset's rows are
      spread over them evenly. None: not known.
    frames: float[N], when in its video a row is: those far apart stay, since
      neighbours are near copies. None: not known.
    seed: of the draw of which rows of a labelset stay.
    label_names: names of the L labels, kept with the plan; (): those that the
      table has.
    rows: int[N], the rows' numbers in a larger table; None: 0 ... N - 1.

  Returns:
    The `Plan` of these rows, each once, and the `Solution`, whose `gap` is
    that of the logarithms, in units of a mean class count. A UserWarning says
    where all rows are of one group.

  Raises:
    UserError: an argument breaks its rule, or the share is so small that a
      label would lose all its rows; the message names it, and the least share
      that keeps them all.

  Examples:
    >>> table = [[1, 0]] * 8 + [[1, 1]] * 2 + [[0, 0]] * 2
    >>> plan, solution = keep(table, 0.5)
    >>> len(plan), solution.class_counts_after.tolist()
    (6, [4, 2])
  """
  names = ()
  if not labelsets_lib.is_chunked(labels):
    labels, names = binary_table.as_named_table(labels, 'labels', label_names)
  labelsets = labelsets_lib.find_labelsets(labels)
  num_rows, num_labels = len(labelsets.index), labelsets.patterns.shape[1]
  names = arguments.checked_names(label_names, num_labels) or names
  rows = arguments.checked_rows(rows, num_rows)
  arguments.check_seed(seed)
  groups = thinning.checked_groups(groups, num_rows)
  if groups is not None and num_rows > 1 and not groups.any():
    warnings.warn(ONE_GROUP, UserWarning, stacklevel=2)
  frames = thinning.checked_frames(frames, num_rows)
  solution = choose(labelsets, share, names)
  rng = np.random.default_rng(seed)
  kept = thinning.thin(labelsets.index, solution.counts, groups, frames, rng)
  return plan_lib.unchanged(rows[kept], label_names=names), solution


def choose(
  labelsets: labelsets_lib.Labelsets,
  share: float,
  label_names: Sequence[str] = (),
) -> solve_lib.Solution:
  """Returns how many rows of each labelset to keep, see `keep`.

  Args:
    labelsets: of the table.
    share: of its rows.
    label_names: names of its labels, or ().

  Raises:
    UserError: as `keep`.
  """
  counts = labelsets.counts
  num_rows = int(counts.sum())
  budget = thinning.num_kept(share, num_rows)
  patterns = sparse.csr_array(labelsets.patterns)
  whole = labelsets_lib.with_empty(patterns)
  _check_share(whole, counts, float(share), label_names)
  lower = _least(counts, share) / np.maximum(counts, 1)
  exact = newton.fits(whole.indptr, whole.shape[1])
  solution = solve_lib.solve(
    patterns,
    counts,
    objective='log',
    empty='label',
    lower=np.ones(len(counts)) if budget == num_rows else lower,
    upper=1.0,
    image_cost=0.0,
    budget=budget,
    budget_exactly=True,
    optimizer='ipm' if exact else 'adam',
    tol=_TOL,
  )
  return dataclasses.replace(solution, label_names=tuple(label_names))


def _least(counts, share: float) -> np.ndarray:
  """Returns float64[S], the least whole counts: floor(share / 2 n_o).

  With the next whole number above, labelsets of one row would all have to
  stay, which is more than most budgets.
  """
  return box.snapped(float(share) / 2 * counts, np.floor)


def _check_share(patterns, counts, share: float, label_names) -> None:
  """Raises UserError where so few rows cannot show every label.

  Args:
    patterns: CSR 0/1 [S, L + 1], the last label that of having none.
    counts: int64[S], rows of each.
    share: of the rows.
    label_names: L names, or ().
  """
  budget, least = round(share * int(counts.sum())), _least(counts, share)
  found = cover.least_counts(patterns, least, counts, budget)
  lost = (patterns.T @ found == 0) & (patterns.T @ counts > 0)
  if not lost.any():
    return
  names = [*label_names] or [f'label {k}' for k in range(patterns.shape[1] - 1)]
  lost = np.array([*names, _NO_LABEL])[lost].tolist()
  raise errors.UserError(
    f'share is {share:g}, which keeps {budget:,} of {counts.sum():,} rows: too '
    f'few for every label. {text.listing(map(repr, lost), text.SHOWN)} would '
    'have none. The least share that works is '
    f'{_least_share(patterns, counts, budget):.12g}.'
  )


def _least_share(patterns, counts, budget: int) -> float:
  """Returns a share, of few digits, whose rows show every label.

  Args:
    patterns: CSR 0/1 [S, L + 1].
    counts: int64[S].
    budget: rows that do not.
  """
  num_rows = int(counts.sum())

  def works(share):
    least = _least(counts, share)
    needed = cover.least_counts(patterns, least, counts).sum()
    return needed <= round(share * num_rows)

  few, enough = budget, num_rows
  while enough - few > 1:
    middle = (few + enough) // 2
    few, enough = (
      (few, middle) if works(middle / num_rows) else (middle, enough)
    )
  share = thinning.rounded_up(enough / num_rows)
  return share if works(share) else enough / num_rows
