"""The frontier: how even the classes can be for so many images.

Along `budget` it is the best f + cost with at most B images. That is convex in
B, and its slope is minus the price of an image (see `objective`). Along `lam`
it is what the weight of the variance of growth trades: of all growths that vary
no more, the one found at that lam has the least imbalance.

Every point is certified, and starts from the solution of the one next to it.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np

from aubal_jax.balancing import iterations
from aubal_jax.balancing import prepare as prepare_lib
from aubal_jax.balancing import rules
from aubal_jax.balancing import sweep
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.tables import labelsets as labelsets_lib


@dataclasses.dataclass(frozen=True)
class Frontier:
  """Points from the fewest images on, or from the largest lam to the smallest.

  Growth is continuous; `solve` with the `lam` and the `budget` of a point makes
  whole images of it.

  Attributes:
    over: what changes from point to point, 'budget' or 'lam'.
    objective: name of the objective.
    images_start: N, the images there are.
    value_start: f where nothing grows.
    chosen: the point that `solve` finds with the settings as they were given,
      with their lam, and with their budget or none.
    images: float64[K], images after growth, those of no class included.
    added: float64[K], images - N.
    value: float64[K], f.
    cost: float64[K], image_cost times the images added.
    lower_bound: float64[K], certified: no growth within the budget of the point
      has at its lam an f below it.
    gap: float64[K], certified, as `Solution.gap`.
    lam: float64[K], as `solve` takes it.
    lam_effective: float64[K], as used.
    budget: float64[K], images at most; inf for no budget.
    image_price: float64[K], what one more image of the budget would be worth,
      in units of f: minus the slope of the least value + cost over budgets; 0
      where the budget does not bind.
    imbalance: float64[K], f without lam Var(growth).
    growth_var: float64[K], Var(growth), over the labelsets that take part.
    growth_mean: float64[K], the mean over the same.
    growth_max: float64[K], the largest.
    class_spread: float64[K], images of the most frequent class over those of
      the rarest that occurs; inf where one has lost all.
    mean_ir: float64[K], MeanIR of the classes.
  """

  over: str
  objective: str
  images_start: int
  value_start: float
  chosen: int
  images: np.ndarray
  added: np.ndarray
  value: np.ndarray
  cost: np.ndarray
  lower_bound: np.ndarray
  gap: np.ndarray
  lam: np.ndarray
  lam_effective: np.ndarray
  budget: np.ndarray
  image_price: np.ndarray
  imbalance: np.ndarray
  growth_var: np.ndarray
  growth_mean: np.ndarray
  growth_max: np.ndarray
  class_spread: np.ndarray
  mean_ir: np.ndarray

  def __len__(self) -> int:
    """Returns K, the number of points."""
    return len(self.images)

  def columns(self) -> dict[str, np.ndarray]:
    """Returns the columns by name; the last is `chosen`, int[K]: 1 there."""
    columns = {
      name: column
      for name, column in vars(self).items()
      if isinstance(column, np.ndarray)
    }
    return columns | {'chosen': (np.arange(len(self)) == self.chosen) * 1}

  def save_csv(self, path) -> None:
    """Writes the points as CSV, whole or not at all.

    The first line names the columns, of which `chosen` is 1 in one line and 0
    in all others. Numbers are written with all their digits; no budget is inf.
    """
    columns = self.columns()
    with files.write_atomically(path) as file:
      writer = csv.writer(file, lineterminator='\n')
      writer.writerow(columns)
      lists = (column.tolist() for column in columns.values())
      writer.writerows(zip(*lists, strict=True))


def frontier(
  labels, *, over: str = 'budget', num_points: int = 30, **settings
) -> Frontier:
  """Finds the labelsets of a table, and how even they can be for what.

  Args:
    labels: 0/1 [N, L], dense or scipy sparse, or as `find_labelsets` takes it;
      or its `Labelsets`.
    over: as `solve_frontier` takes it.
    num_points: as `solve_frontier` takes it.
    **settings: of `solve_frontier`, which are those of `solve`.

  Returns:
    The `Frontier`.

  Raises:
    UserError: as `find_labelsets` and `solve_frontier` do.

  Examples:
    >>> labels = [[1, 0]] * 40 + [[0, 1]] * 10
    >>> found = frontier(labels, num_points=3, lam=0.0)
    >>> found.added.round(3).tolist(), found.value.round(3).tolist()
    ([0.0, 15.0, 30.0], [30.0, 15.0, 0.0])
    >>> found.image_price.round(3).tolist()[1], found.chosen
    (1.0, 2)
  """
  if not isinstance(labels, labelsets_lib.Labelsets):
    labels = labelsets_lib.find_labelsets(labels)
  return solve_frontier(
    labels.patterns, labels.counts, over=over, num_points=num_points, **settings
  )


def solve_frontier(
  patterns,
  counts,
  *,
  over: str = 'budget',
  num_points: int = 30,
  lam: float = prepare_lib.LAM,
  lam_images: float | None = prepare_lib.LAM_IMAGES,
  objective: str = 'l1',
  optimizer: str = 'ipm',
  relaxation: str = 'huber',
  tol: float = 1e-5,
  max_steps: int = 20_000,
  polish: bool = True,
  devices=None,
  on_progress: Callable[[dict], None] | None = None,
  **settings,
) -> Frontier:
  """Solves the balancing problem along budgets, or along lam.

  over='budget': whole budgets, evenly from the fewest images the bounds allow
  to as many as the solution without a budget takes; the last point is that
  solution. A budget given is one more point; where it has to be met exactly,
  and is beyond, the budgets go on to it.

  over='lam': lam, evenly in its logarithm, from 10^4 times the one given down
  to a thousandth of it; the one given is one more point. A budget given holds
  for all of them.

  The point chosen is the one that `solve` finds with the same settings. Where
  the growth of a neighbour meets the gap already, a point keeps it.

  Args:
    patterns: 0/1 [S, L], dense or scipy sparse, one labelset a row.
    counts: int[S], images of each.
    over: 'budget' or 'lam'.
    num_points: from end to end; fewer where there are not so many whole
      budgets between the ends, one more for a chosen one between them.
    lam: as `solve` takes it.
    lam_images: as `solve` takes it.
    objective: as `solve` takes it.
    optimizer: a name of `solve.VARIANTS`. A first-order one finds the first
      point only; the others are found from their neighbours by the interior
      point, but where `polish` is off or its tables would be too large.
    relaxation: as `solve` takes it.
    tol: as `solve` takes it: the gap to stop at, of every point.
    max_steps: as `solve` takes it, for every point.
    polish: as `solve` takes it.
    devices: as `solve` takes them.
    on_progress: is given each point when it is found, as a dict of its columns.
    **settings: the other arguments of `solve` that say what is solved: lower,
      upper, target, image_cost, budget, budget_growth, budget_exactly.

  Raises:
    UserError: an argument breaks its rule; the message names all three.
  """
  given = prepare_lib.prepare(
    patterns,
    counts,
    lam=lam,
    lam_images=lam_images,
    objective=objective,
    **settings,
  )
  method = {
    'optimizer': optimizer,
    'relaxation': relaxation,
    'tol': tol,
    'max_steps': max_steps,
  }
  prepare_lib.check_method(given, **method)
  _check_way(given, over, num_points)
  solve_one = functools.partial(
    iterations.run, polish=polish, devices=devices, **method
  )
  num_images = int(np.sum(counts))
  points = []
  with jax.enable_x64(True):
    for found in sweep.WAYS[over](given, int(num_points), solve_one):
      points.append(_point(found, given, lam, num_images))
      if on_progress:
        on_progress(points[-1])
  points.sort(key=lambda point: (-point['lam'], point['budget']))
  columns = {name: np.array([p[name] for p in points]) for name in points[0]}
  return Frontier(
    over=over,
    objective=objective,
    images_start=num_images,
    value_start=given.value(given.start),
    chosen=int(np.argmax(columns.pop('chosen'))),
    **columns,
  )


def _check_way(given, over, num_points) -> None:
  """Raises UserError where there is no way to go from these settings."""
  rules.check_choice('over', over, sweep.WAYS)
  rules.check_number('num_points', num_points, least=2)
  if num_points != int(num_points):
    raise errors.UserError(f'num_points must be whole; it is {num_points}.')
  if not len(given):
    raise errors.UserError('patterns must have a label that occurs; none does.')
  if over == 'lam' and not given.lam:
    raise errors.UserError("lam must be above 0 to go over 'lam'; it is 0.")


def _point(found, given, lam: float, num_images: int) -> dict:
  """Returns the columns of one point, and whether it is the one chosen.

  Args:
    found: the `Run`.
    given: the problem as it was given.
    lam: of that problem, as `solve` takes it.
    num_images: N.
  """
  instance, growth = found.instance, found.growth
  counts = growth * instance.start
  classes = instance.patterns.T @ counts
  fewest, added = classes.min(), counts.sum() - instance.start.sum()
  others = num_images - instance.start.sum()
  is_as_given = (instance.lam, instance.budget) == (given.lam, given.budget)
  return {
    'images': num_images + added,
    'added': added,
    'value': found.value,
    'cost': found.cost,
    'lower_bound': found.lower_bound,
    'gap': found.gap,
    'lam': lam * (instance.lam / given.lam if given.lam else 1.0),
    'lam_effective': instance.lam,
    'budget': instance.budget.most + others,
    'image_price': found.u[-1],
    'imbalance': float(instance.level(instance.deviations(counts))),
    'growth_var': growth.var(),
    'growth_mean': growth.mean(),
    'growth_max': growth.max(),
    'class_spread': classes.max() / fewest if fewest > 0 else np.inf,
    'mean_ir': labelsets_lib.mean_ir(classes),
    'chosen': is_as_given,
  }
