"""Several targets at once: one problem over all their labels and classes.

Each target is a table of 0/1 columns of its own: labels, one column for each
class, one for each bin of a number. Side by side they are the labels of one
problem, in which every block of columns (a target, or one number of it) has a
mean of its own (see `blocks`), and a labelset is the whole pattern of a row.
With L_t columns that occur and R_t rows that know something of target t,

  e_t(n) = 1 / (L_t R_t) sum_i |z_i - tau_i Z_b(i)|        its unevenness
  f(g)   = c sum_t e_t(g n_o) + lam Var(g)

for the objective l1; the others put their terms where |.| stands. c, the mean
of the L_t R_t, keeps f in units of images, so that lam means what it does for
one target, and one target alone has its own f.

Where the counts as they are keep the rules, f is never worse than before, and
so is, for l1, the sum of the e_t; that of one target may be. Where every row
knows one target, lam = 0 and image_cost = 0, the optimum is the sum of the
targets' own optima.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aubal_jax.balancing import blocks as blocks_lib
from aubal_jax.balancing import solve as solve_lib
from aubal_jax.runs import errors
from aubal_jax.tables import arguments
from aubal_jax.tables import binary_table
from aubal_jax.tables import held
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib

UNKNOWN = ('absent', 'separate')  # Ways to read what is not known.


class Part(NamedTuple):
  """One target as columns.

  Attributes:
    labels: uint8[N, L], 0 where not known.
    known: bool[N, L].
    sizes: of its blocks, which sum to L.
    names: of the columns, L or none.
  """

  labels: np.ndarray
  known: np.ndarray
  sizes: tuple[int, ...]
  names: tuple[str, ...] = ()


class Joint(NamedTuple):
  """Several targets as one table.

  Attributes:
    labels: uint8[N, L], the columns of one target after the other.
    known: bool[N, L].
    blocks: for `solve`, weighted by c / (L_t R_t).
    columns: name of target -> its columns.
    sizes: name of target -> L_t R_t.
    names: of the columns: 'target: column'.
  """

  labels: np.ndarray
  known: np.ndarray
  blocks: tuple[blocks_lib.Block, ...]
  columns: dict[str, slice]
  sizes: dict[str, float]
  names: tuple[str, ...]

  def find_labelsets(self, unknown: str) -> labelsets_lib.Labelsets:
    """Returns the labelsets of all rows; `unknown` is one of `UNKNOWN`."""
    separate = unknown == 'separate'
    return labelsets_lib.find_labelsets(
      self.labels, self.known if separate else None
    )

  def unevenness(self, class_counts, target=None) -> dict[str, float]:
    """Returns e_t of every target.

    Args:
      class_counts: int[L], z.
      target: float[L], shares, as `solve` takes them; None: all alike.
    """
    z = np.asarray(class_counts, np.float64)
    present = np.flatnonzero(self.labels.any(axis=0))
    away = np.zeros(len(z))
    for part in blocks_lib.slices(self.blocks, present):
      columns = present[part]
      shares = np.ones(len(columns)) if target is None else target[columns]
      away[columns] = z[columns] - z[columns].sum() * shares / shares.sum()
    return {
      name: float(np.abs(away[columns]).sum() / self.sizes[name])
      for name, columns in self.columns.items()
    }


def join(parts: Mapping[str, Part]) -> Joint:
  """Puts targets side by side.

  Args:
    parts: name -> target; all of the same rows.

  Raises:
    UserError: there is none, they have other rows, or no row knows anything of
      one, or has any of its labels.
  """
  if not parts:
    raise errors.UserError('targets must name at least one target; it is {}.')
  lengths = {name: len(part.labels) for name, part in parts.items()}
  if len({*lengths.values()}) > 1:
    raise errors.UserError(f'targets must have the same rows, not {lengths}.')
  sizes = {name: _size(name, part) for name, part in parts.items()}
  unit = np.mean([*sizes.values()])
  ends = np.cumsum([0, *(part.labels.shape[1] for part in parts.values())])
  return Joint(
    labels=np.concatenate([part.labels for part in parts.values()], axis=1),
    known=np.concatenate([part.known for part in parts.values()], axis=1),
    blocks=tuple(
      blocks_lib.Block(size, float(unit / sizes[name]))
      for name, part in parts.items()
      for size in part.sizes
    ),
    columns=dict(
      zip(parts, map(slice, ends[:-1].tolist(), ends[1:].tolist()), strict=True)
    ),
    sizes=sizes,
    names=tuple(
      f'{name}: {column}'
      for name, part in parts.items()
      for column in part.names or range(part.labels.shape[1])
    ),
  )


def _size(name: str, part: Part) -> float:
  """Returns L_t R_t; UserError where it is 0."""
  rows = int(part.known.any(axis=1).sum())
  columns = int(part.labels.any(axis=0).sum())
  if not rows * columns:
    why = 'has any of its labels' if rows else 'knows anything of it'
    raise errors.UserError(
      f'The target {name!r} cannot be evened out: no row {why}. Leave it out.'
    )
  return float(rows * columns)


def balance_targets(
  targets: Mapping[str, binary_table.Table | npt.ArrayLike],
  *,
  seed: int = 0,
  rows: npt.ArrayLike | None = None,
  unknown: str = 'absent',
  **settings: Any,
) -> tuple[plan_lib.Plan, solve_lib.Solution]:
  """Balances several targets of the same rows at once, with one certificate.

  Every target is evened out about a mean of its own, all by the growth of the
  same labelsets, which are patterns over all targets. It minimises

    c sum_t 1 / (L_t R_t) sum_i |z_i - tau_i Z_t| + lam Var(n / n_o)
      + image_cost * (images added)

  over lower n_o <= n <= upper n_o: L_t labels of target t that occur, R_t rows
  that know it, Z_t = sum of z over its labels, c the mean of the L_t R_t. For
  objectives other than 'l1' their terms stand for |.|. Ours: one table at a
  time it is Rieger, Pahl and Seuss, arXiv 2003.08751, (1a). The certificate is
  that of `solve`. Where growth 1 keeps the rules the sum is never worse than
  before; that of one target may be.

  Args:
    targets: name -> 0/1 [N, L] of any kind that `balance` takes, missing cells
      not known; or int[N], which of C classes, -1 or missing where not known. A
      number is given as the bin it is in.
    seed: of the draw of which images are repeated once more.
    rows: int[N], the rows' numbers in a larger table; None: 0 ... N - 1.
    unknown: 'absent', or 'separate', a third value that tells labelsets apart.
    **settings: of `solve`, but for `blocks`.

  Returns:
    The `Plan`, and the `Solution`, whose `unevenness` has sum_i |z_i - tau_i
    Z_t| / (L_t R_t) of each target before and after.

  Raises:
    UserError: a target is no table or codes, of other rows, or known nowhere;
      or as `solve` does.

  Examples:
    >>> plan, solution = balance_targets(
    ...   {
    ...     'au': [[1, 0], [1, 0], [1, 0], [0, 1], [None] * 2, [None] * 2],
    ...     'expression': [-1, -1, -1, -1, 0, 1],
    ...   },
    ...   lam=0.0,
    ... )
    >>> plan.source.tolist()
    [0, 1, 2, 3, 4, 5, 3, 3]
    >>> solution.unevenness
    {'au': (0.25, 0.0), 'expression': (0.0, 0.0)}
  """
  if not isinstance(unknown, str) or unknown not in UNKNOWN:
    raise errors.UserError(
      f'unknown must be one of {[*UNKNOWN]}; it is {unknown!r}.'
    )
  if not isinstance(targets, Mapping):
    raise errors.UserError(
      'targets must be a dict of name -> table or codes; it is a '
      f'{type(targets).__name__}.'
    )
  arguments.check_seed(seed)
  joint = join({name: _part(name, table) for name, table in targets.items()})
  labelsets = joint.find_labelsets(unknown)
  solution = solve(joint, labelsets, **settings)
  plan = plan_lib.spread(labelsets.index, solution.counts, rows=rows, seed=seed)
  return plan, solution


def solve(joint: Joint, labelsets, **settings) -> solve_lib.Solution:
  """Returns the `Solution` of `solve`, with the unevenness of each target.

  Args:
    joint: the targets.
    labelsets: of its rows.
    **settings: of `solve`.
  """
  found = solve_lib.solve(
    labelsets.patterns, labelsets.counts, blocks=joint.blocks, **settings
  )
  return with_unevenness(joint, found, settings.get('target'))


def with_unevenness(joint, solution, target=None) -> solve_lib.Solution:
  """Returns a solution of the targets that tells them apart."""
  target = None if target is None else np.asarray(target, np.float64)
  before, after = (
    joint.unevenness(counts, target)
    for counts in (solution.class_counts_before, solution.class_counts_after)
  )
  return dataclasses.replace(
    solution,
    label_names=joint.names,
    unevenness={name: (before[name], after[name]) for name in before},
  )


def _part(name: str, target) -> Part:
  """Returns a table, or codes, as a `Part`."""
  where = f'targets[{name!r}]'
  if not isinstance(target, Mapping) and not hasattr(target, 'columns'):
    codes = np.ma.asanyarray(target)
    if codes.ndim == 1 and codes.size:
      return _part_of_codes(where, codes)
  names = held.column_names(target)
  cells, known = held.without_missing(target, where)
  labels = binary_table.as_binary(cells, where)
  return Part(labels.astype(np.uint8), known, (labels.shape[1],), names)


def _part_of_codes(where: str, codes) -> Part:
  """Returns codes [N], -1 or missing where not known, as a `Part`."""
  missing = np.ma.getmaskarray(codes) | [
    held.is_missing(code) for code in np.ma.getdata(codes).tolist()
  ]
  filled = np.where(missing, -1, np.ma.getdata(codes))
  found = arguments.whole_numbers(where, filled.tolist(), least=-1, below=2**15)
  known = found >= 0
  ones = found[:, None] == np.arange(max(found.max() + 1, 1))
  table = np.repeat(known[:, None], ones.shape[1], axis=1)
  return Part(ones.astype(np.uint8), table, (ones.shape[1],))
