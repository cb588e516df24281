"""Solves the balancing problem, proves how good the answer is, plans rows."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from scipy import sparse

from aubal_jax.balancing import advice
from aubal_jax.balancing import instance as instance_lib
from aubal_jax.balancing import iterations
from aubal_jax.balancing import objective as objective_lib
from aubal_jax.balancing import rounding
from aubal_jax.balancing import rules as rules_lib
from aubal_jax.balancing.iterations import Search
from aubal_jax.balancing.rules import Rules
from aubal_jax.runs import errors
from aubal_jax.tables import arguments
from aubal_jax.tables import binary_table
from aubal_jax.tables import held
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import plan as plan_lib
from aubal_jax.tables import shown

VARIANTS = iterations.VARIANTS
RELAXATIONS = tuple(objective_lib.RELAXATIONS)
UNKNOWN = ('absent', 'separate', 'drop')  # Ways to read a missing cell.

# What a `Solution` takes over from an `iterations.Run` as it is.
_FOUND = (
  'value',
  'cost',
  'lower_bound',
  'lower_bound_priced',
  'gap',
  'num_steps',
  'polished',
  'trace',
)


@dataclasses.dataclass(frozen=True, repr=False)
class Solution(shown.Shown):
  """How often each labelset shall occur, and the proof.

  Attributes:
    growth: float64[S], n / n_o before rounding; 1 for the empty labelset,
      where it is no label of its own.
    counts: int64[S], whole images.
    objective: name of the objective.
    optimizer: name of the variant.
    relaxation: name of the smooth |x|.
    lam: as given.
    lam_effective: as used, lam * N / lam_images.
    budget: images there may be, or None.
    image_price: what one more image of the budget would be worth, in units of
      f; 0 where the budget does not bind.
    value_start: f where nothing grows.
    value: f(growth), (1a).
    cost: image_cost times the images added at `growth`.
    lower_bound: no growth between the least and the most whole count of each
      labelset has f below it.
    lower_bound_priced: the same of f + cost.
    gap: (value + cost - lower_bound_priced) / max(1, |value|), certified.
    rounded_value: f(counts / n_o).
    rounded_gap: the same as `gap`, at the whole counts.
    num_steps: first-order steps and exact steps taken.
    polished: whether exact steps finished what first-order steps began.
    converged: whether gap <= tol.
    seconds: of the solve, rounding included, compilation left out.
    seconds_compile: of tracing and compiling.
    class_counts_before: int64[L].
    class_counts_after: int64[L], at the whole counts.
    images_before: N.
    images_after: the sum of `counts`.
    absent: columns without a positive, left out of the objective.
    empty_boxes: labelsets with no whole number inside their bounds; they got
      the nearest one.
    trace: dict of equally long lists: step, seconds, value, cost, lower_bound
      (priced, the best so far), gap.
    label_names: L names, where the table had some; else ().
    unevenness: of several targets: name -> before, and at the whole counts;
      see `balance_targets`. Else {}.
  """

  growth: np.ndarray
  counts: np.ndarray
  objective: str
  optimizer: str
  relaxation: str
  lam: float
  lam_effective: float
  budget: int | None
  image_price: float
  value_start: float
  value: float
  cost: float
  lower_bound: float
  lower_bound_priced: float
  gap: float
  rounded_value: float
  rounded_gap: float
  num_steps: int
  polished: bool
  converged: bool
  seconds: float
  seconds_compile: float
  class_counts_before: np.ndarray
  class_counts_after: np.ndarray
  images_before: int
  images_after: int
  absent: np.ndarray
  empty_boxes: int
  trace: dict[str, list[Any]]
  label_names: tuple[str, ...] = ()
  unevenness: dict[str, tuple[float, float]] = dataclasses.field(
    default_factory=dict
  )

  def _heading(self) -> str:
    added = self.images_after - self.images_before
    return (
      f'Solution ({self.objective}, by {self.optimizer}): f from '
      f'{self.value_start:,.1f} to {self.rounded_value:,.1f} with {added:+,} '
      f'images ({self.images_after:,}); certified gap {self.rounded_gap:.2g}'
      + ('' if self.converged else ', not converged')
      + ''.join(
        f'; {name}: unevenness {before:.3g} to {after:.3g}'
        for name, (before, after) in self.unevenness.items()
      )
    )

  def _num_rows(self) -> int:
    return len(self.class_counts_before)

  def _columns(self, most: int | None = None) -> dict[str, list]:
    before, after = self.class_counts_before, self.class_counts_after
    names = self.label_names or [*map(str, range(len(before)))]
    return {
      'label': [*names[:most]],
      'before': before[:most].tolist(),
      'after': after[:most].tolist(),
    }

  def plot(self) -> Any:
    """Returns matplotlib's axes: images with each label, before and after.

    Raises:
      UserError: matplotlib is not installed (extra `plot`).
    """
    columns = self._columns()
    places = np.arange(len(columns['label']))
    height = 1 + 0.3 * len(places)
    axes = shown.axes('Images with each label', figsize=(7, height))
    axes.barh(places - 0.2, columns['before'], 0.4, label='before')
    axes.barh(places + 0.2, columns['after'], 0.4, label='after')
    axes.set_yticks(places, columns['label'])
    axes.invert_yaxis()
    axes.set_xlabel('images')
    axes.legend(loc='upper left', bbox_to_anchor=(1, 1))  # Beside the bars.
    return axes


def solve(
  patterns: binary_table.Table,
  counts: npt.ArrayLike,
  *,
  lam: float = Rules.lam,
  lam_images: float | None = Rules.lam_images,
  lower: npt.ArrayLike = Rules.lower,
  upper: npt.ArrayLike = Rules.upper,
  objective: str = Rules.objective,
  target: npt.ArrayLike | None = None,
  image_cost: float = Rules.image_cost,
  budget: int | None = None,
  budget_growth: float | None = None,
  budget_exactly: bool = False,
  empty: str = Rules.empty,
  blocks: Sequence[tuple[int, float]] | None = None,
  optimizer: str = Search.optimizer,
  relaxation: str = Search.relaxation,
  tol: float = Search.tol,
  max_steps: int = Search.max_steps,
  polish: bool = True,
  devices: Sequence[jax.Device] | None = None,
  on_progress: Callable[[dict[str, Any]], None] | None = None,
) -> Solution:
  """Chooses the growth of each labelset that evens out the classes.

  Minimises phi(z) + lam Var(n / n_o) + image_cost * (images added) over lower
  n_o <= n <= upper n_o, and certifies the answer by duality. phi says how
  uneven class counts z = P^T n are; with tau the target's shares it is

    l1          sum |z_i - tau_i sum z|, the paper's
    relative    the same, each class weighed by mean z_o / z_o,i
    l2          sum (z_i - tau_i sum z)^2 / mean z_o
    prevalence  sum |z_i - tau_i N|, N all images
    log         -mean z_o sum L tau_i log z_i

  Rieger, Pahl and Seuss, arXiv 2003.08751, equations (1a), (1b) and (2). With
  `blocks` every sum over classes, mean and share is over the class's own block,
  and the terms of block k are multiplied by its weight: ours, not the paper's.

  The empty labelset keeps its count, unless `empty` makes a label of it, and so
  does a labelset with a count of 0; classes without a positive are left out and
  listed in `Solution.absent`.

  Args:
    patterns: 0/1 [S, L], dense or scipy sparse, one labelset a row.
    counts: int[S], images of each.
    lam: weight of the variance of growth, for `lam_images` images.
    lam_images: lam is multiplied by sum(counts) / lam_images, so that copying
      a data set changes no growth; None takes lam raw.
    lower: least growth, a scalar or float[S]; below 1 is undersampling.
    upper: largest growth, a scalar or float[S]. inf, where something else
      bounds the growth at the optimum: a budget, a price, or with lam above 0
      any objective but 'log'; the certificate is that of no bound then.
    objective: a name of `balancing.rules.OBJECTIVES`.
    target: float[L], the share of the positives that each class should have
      (divided by their sum), or for 'prevalence' its share of the images; None
      is 1 / L.
    image_cost: price of an added image, in units of f.
    budget: images at most, those of the empty labelset included.
    budget_growth: the same as a multiple of the images there are.
    budget_exactly: exactly so many images, not fewer.
    empty: what the empty labelset is: 'keep', it keeps its count; 'label', it
      has a label of its own, with bounds and a share like all others, which is
      the last of `target` then.
    blocks: (size, weight) of each block of columns, in their order, such as the
      columns of several targets (`balance_targets` makes them); each is evened
      out about its own mean. Not with 'prevalence', nor where empty is a
      label. None: all classes are one block of weight 1.
    optimizer: a name of `VARIANTS`.
    relaxation: a name of `RELAXATIONS`.
    tol: relative certified gap to stop at; absolute, in units of mean z_o, for
      'log', whose value has no natural zero.
    max_steps: first-order steps at most.
    polish: whether steps of the interior point, or proximal Newton steps,
      finish what first-order steps left.
    devices: JAX devices to split the labelsets over; None is one.
    on_progress: is given each new entry of the trace.

  Raises:
    UserError: an argument breaks its rule; the message names all three.

  Examples:
    >>> solution = solve([[1, 0], [0, 1], [1, 1]], [100, 60, 1000], lam=0.0)
    >>> solution.counts.tolist(), solution.gap < 1e-5
    ([100, 100, 1000], True)
  """
  rules = Rules(
    lam=lam,
    lam_images=lam_images,
    lower=lower,
    upper=upper,
    objective=objective,
    target=target,
    image_cost=image_cost,
    budget=budget,
    budget_growth=budget_growth,
    budget_exactly=budget_exactly,
    empty=empty,
    blocks=blocks,
  )
  search = Search(
    optimizer=optimizer,
    relaxation=relaxation,
    tol=tol,
    max_steps=max_steps,
    polish=polish,
    devices=devices,
    on_progress=on_progress,
  )
  patterns = sparse.csr_array(binary_table.as_binary(patterns, 'patterns'))
  counts = rules_lib.checked_counts(counts, patterns.shape[0])
  with iterations.Clock() as clock, jax.enable_x64(True):
    instance = instance_lib.make_instance(patterns, counts, rules)
    search.check(instance.penalty)
    found = iterations.run(instance, search)
    whole = rounding.round_counts(instance, found.growth)
  seconds, seconds_compile = clock.read()
  return Solution(
    objective=objective,
    optimizer=optimizer,
    relaxation=relaxation,
    lam=float(lam),
    image_price=float(found.u[-1]),
    converged=found.gap <= tol,
    seconds=seconds,
    seconds_compile=seconds_compile,
    **{name: getattr(found, name) for name in _FOUND},
    **_counted(patterns, counts, instance, found, whole),
  )


def _counted(patterns, counts, instance, found, whole) -> dict:
  """Returns the fields of `Solution` that are about all labelsets and images.

  Args:
    patterns: CSR 0/1 [S, L], all labelsets.
    counts: int64[S], of all.
    instance: those that take part.
    found: `iterations.Run` on them.
    whole: int64, their whole counts.
  """
  growth = np.ones(len(counts))
  growth[instance.rows] = found.growth
  after = counts.copy()
  after[instance.rows] = whole
  class_counts = patterns.T.astype(np.int64) @ np.stack([counts, after], axis=1)
  rounded_value = instance.value(whole)
  excess = rounded_value + instance.cost(whole) - found.lower_bound_priced
  budget = None
  if instance.budget:
    budget = int(instance.budget.most + counts.sum() - instance.start.sum())
  return {
    'growth': growth,
    'counts': after,
    'lam_effective': instance.lam,
    'budget': budget,
    'value_start': instance.value(instance.start),
    'rounded_value': rounded_value,
    'rounded_gap': excess / instance.unit(found.value),
    'class_counts_before': class_counts[:, 0],
    'class_counts_after': class_counts[:, 1],
    'images_before': int(counts.sum()),
    'images_after': int(after.sum()),
    'absent': np.flatnonzero(class_counts[:, 0] == 0),
    'empty_boxes': instance.empty_boxes,
  }


def _read_unknown(labels, unknown, rows) -> tuple:
  """Returns labels and what is known of them, as `balance` reads missing cells.

  Returns:
    0/1 [N, L], bool [N, L] or None, and the rows' numbers.
  """
  if not isinstance(unknown, str) or unknown not in UNKNOWN:
    raise errors.UserError(
      f'unknown must be one of {[*UNKNOWN]}, or None; it is {unknown!r}.'
    )
  labels, known = held.without_missing(labels, 'labels')
  labels, _ = binary_table.as_named_table(labels, 'labels')
  if unknown == 'separate':
    return labels, known, rows
  if unknown == 'drop':
    whole = np.flatnonzero(known.all(axis=1))
    rows = arguments.checked_rows(rows, len(labels))[whole]
    labels = labels[whole]
  return labels, None, rows


def balance(
  labels: binary_table.Table,
  *,
  seed: int = 0,
  label_names: Sequence[str] = (),
  rows: npt.ArrayLike | None = None,
  unknown: str | None = None,
  **settings: Any,
) -> tuple[plan_lib.Plan, Solution]:
  """Finds the labelsets of a table, solves, and makes the plan of rows.

  Args:
    labels: 0/1 [N, L], as `find_labelsets` takes it.
    seed: of the draw of which images are repeated once more.
    label_names: names of the L labels, kept with the plan; (): those that the
      table has.
    rows: int[N], the rows' numbers in a larger table; None: 0 ... N - 1.
    unknown: what a missing cell (NaN, None, NA, masked) is: 'absent';
      'separate', a third value that tells labelsets apart; 'drop': its row is
      left out; None: an error.
    **settings: of `solve`.

  Returns:
    The `Plan` and the `Solution`. A UserWarning says why, where nothing of an
    uneven table changes and another objective would change some.

  Raises:
    UserError: as `find_labelsets` and `solve` do.
  """
  names, known = (), None
  if unknown is not None:
    names = held.column_names(labels)
    labels, known, rows = _read_unknown(labels, unknown, rows)
  elif not labelsets_lib.is_chunked(labels):
    labels, names = binary_table.as_named_table(labels, 'labels', label_names)
  labelsets = labelsets_lib.find_labelsets(labels, known)
  num_rows, num_labels = len(labelsets.index), labelsets.patterns.shape[1]
  names = arguments.checked_names(label_names, num_labels) or names
  rows = arguments.checked_rows(rows, num_rows)
  arguments.check_seed(seed)
  solve_one = functools.partial(solve, labelsets.patterns, labelsets.counts)
  solution = dataclasses.replace(solve_one(**settings), label_names=names)
  why = advice.why_unchanged(solve_one, labelsets.counts, solution, settings)
  if why:
    warnings.warn(why, UserWarning, stacklevel=2)
  plan = plan_lib.spread(
    labelsets.index,
    solution.counts,
    label_names=names,
    rows=rows,
    seed=seed,
  )
  return plan, solution
