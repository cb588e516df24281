"""The frontier: how even the classes can be for so many images.

Along `budget` it is the best f + cost with at most B images. That is convex in
B, and its slope is minus the price of an image (see `objective`). Along `lam`
it is what the weight of the variance of growth trades: of all growths that vary
no more, the one found at that lam has the least imbalance.

Every point is certified, and starts from the solution of the one next to it.
Only lam and the budget change, so the problem stays on its devices, and what is
compiled for one serves all.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import types
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from aubal_jax.balancing import instance as instance_lib
from aubal_jax.balancing import iterations
from aubal_jax.balancing import rules as rules_lib
from aubal_jax.balancing.instance import Budget
from aubal_jax.runs import csv_files
from aubal_jax.runs import errors
from aubal_jax.tables import binary_table
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables import shown

_STRAIGHT = 0.01  # Of both ranges.
_LEAST_FACTOR, _LARGEST_FACTOR = 1e-3, 1e4  # Of the lam given.


@dataclasses.dataclass(frozen=True, repr=False)
class Frontier(shown.Shown):
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

  @property
  def height(self) -> np.ndarray:
    """float64[K], what images bring down: f; along lam the imbalance alone."""
    return self.value if self.over == 'budget' else self.imbalance

  @property
  def knee(self) -> int | None:
    """The point after which images buy less; None where there is none such.

    It is the point farthest below the straight line from the fewest images to
    the most, both `images` and `height` in units of their range (Satopaa et al.
    2011, without smoothing). A curve that leaves the line by less than a
    hundredth has no knee.
    """
    spans = np.ptp(self.images), np.ptp(self.height)
    if min(spans) <= 1e-9:
      return None
    x, y = self.images / spans[0], self.height / spans[1]
    a, b = np.argmin(x), np.argmax(x)
    below = y[a] + (y[b] - y[a]) * (x - x[a]) - y
    k = int(np.argmax(below))
    return k if below[k] >= _STRAIGHT else None

  def __len__(self) -> int:
    """Returns K, the number of points."""
    return len(self.images)

  def _heading(self) -> str:
    return (
      f'Frontier of {len(self)} points over {self.over} ({self.objective}), '
      f'from {self.images_start:,} images with f {self.value_start:,.1f}'
    )

  def _num_rows(self) -> int:
    return len(self)

  def _columns(self, most: int | None = None) -> dict[str, list]:
    columns = self.columns().items()
    return {name: column[:most].tolist() for name, column in columns}

  def plot(self) -> Any:
    """Returns matplotlib's axes: f against images; settings and knee marked.

    Raises:
      UserError: matplotlib is not installed (extra `plot`).
    """
    axes = shown.axes('How even, for how many images', figsize=(7, 5))
    axes.plot(self.images, self.value, 'o-')
    chosen = self.images[self.chosen], self.value[self.chosen]
    axes.plot(*chosen, 'D', label='these settings')
    if self.knee is not None:
      knee = self.images[self.knee], self.value[self.knee]
      axes.plot(*knee, 's', label='knee')
    axes.set_xlabel('images')
    axes.set_ylabel('f')
    axes.legend()
    return axes

  def columns(self) -> dict[str, np.ndarray]:
    """Returns the columns by name; the last, `knee` and `chosen`, mark one."""
    columns = {
      name: column
      for name, column in vars(self).items()
      if isinstance(column, np.ndarray)
    }
    marks = {'knee': self.knee, 'chosen': self.chosen}
    places = np.arange(len(self))
    return columns | {name: (places == k) * 1 for name, k in marks.items()}

  def save_csv(self, path: str | os.PathLike[str]) -> None:
    """Writes the points as CSV, whole or not at all.

    The first line names the columns, of which `chosen` is 1 in one line and 0
    in all others, and `knee` in one line or none. Numbers are written with all
    their digits; no budget is inf.
    """
    columns = self.columns()
    lists = (column.tolist() for column in columns.values())
    csv_files.write(path, columns, zip(*lists, strict=True))


def frontier(
  labels: binary_table.Table | labelsets_lib.Labelsets,
  *,
  over: str = 'budget',
  num_points: int = 30,
  **settings: Any,
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
  on_progress: Callable[[dict], None] | None = None,
  optimizer: str = 'ipm',
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
    on_progress: is given each point when it is found, as a dict of its columns.
    optimizer: a name of `solve.VARIANTS`. A first-order one finds the first
      point only; the others are found from their neighbours by the interior
      point, but where `polish` is off or its tables would be too large.
    **settings: the other arguments of `solve`; `tol` and `max_steps` are those
      of every point.

  Raises:
    UserError: an argument breaks its rule; the message names all three.
  """
  rules, search = iterations.split(settings | {'optimizer': optimizer})
  patterns = binary_table.as_binary(patterns, 'patterns')
  counts = rules_lib.checked_counts(counts, patterns.shape[0])
  rules_lib.check_choice('over', over, WAYS)
  along = {'any_budget': True}
  if over == 'lam':
    along = {'lam_factors': (_LEAST_FACTOR, _LARGEST_FACTOR)}
  given = instance_lib.make_instance(patterns, counts, rules, **along)
  search.check(given.penalty)
  _check_way(given, over, num_points, on_progress)
  solve_one = functools.partial(iterations.run, search=search)
  num_images = int(counts.sum())
  points = []
  with jax.enable_x64(True):
    for found in WAYS[over](given, int(num_points), solve_one):
      points.append(_point(found, given, rules.lam, num_images))
      if on_progress:
        on_progress(points[-1])
  points.sort(key=lambda point: (-point['lam'], point['budget']))
  columns = {name: np.array([p[name] for p in points]) for name in points[0]}
  return Frontier(
    over=over,
    objective=rules.objective,
    images_start=num_images,
    value_start=given.value(given.start),
    chosen=int(np.argmax(columns.pop('chosen'))),
    **columns,
  )


def _check_way(given, over, num_points, on_progress) -> None:
  """Raises UserError where there is no way to go from these settings."""
  rules_lib.check_whole('num_points', num_points, least=2, most=100_000)
  rules_lib.check_function('on_progress', on_progress)
  if not len(given):
    raise errors.UserError(
      'labels must have a positive somewhere; they have none.'
    )
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


def _over_budgets(
  given, num_points: int, solve_one
) -> Iterator[iterations.Run]:
  """Yields the `Run` of each budget, from none at all down, then up."""
  free = dataclasses.replace(given, budget=Budget())
  found = solve_one(free)
  images = float(found.growth @ given.start)
  budgets = _budgets(given, images, num_points)
  instances = [
    dataclasses.replace(
      given, budget=Budget(most, given.budget.exactly and most < np.inf)
    )
    for most in budgets.tolist()
  ]
  num_below = int((budgets < images).sum())
  yield from _walk(found, reversed(instances[:num_below]), solve_one)
  yield from _walk(found, instances[num_below:], solve_one)


def _budgets(given, images: float, num_points: int) -> np.ndarray:
  """Returns budgets float64[K], from the least; the last may be inf: none.

  Args:
    given: the problem, with the budget given.
    images: of the solution without a budget.
    num_points: from end to end.
  """
  most, exactly = given.budget.most, given.budget.exactly
  last = max(images, most) if exactly else images
  between = np.rint(np.linspace(given.least.sum(), last, num_points)[:-1])
  if not np.isfinite(given.value(given.least)):  # A logarithm without an image.
    between = between[1:]
  chosen = [most] if given.budget else []
  end = most if given.budget and most >= images else np.inf
  between = between[between < last - 0.5]  # At least half an image apart.
  return np.unique([*between, *chosen, end])


def _over_lam(given, num_points: int, solve_one) -> Iterator[iterations.Run]:
  """Yields the `Run` of each lam: the one given, then up, then down."""
  factors = np.geomspace(_LEAST_FACTOR, _LARGEST_FACTOR, num_points)
  factors = factors[np.abs(factors - 1) > 1e-9]
  instances = [
    dataclasses.replace(given, lam=factor * given.lam)
    for factor in factors.tolist()
  ]
  num_below = int((factors < 1).sum())
  found = solve_one(given)
  yield found
  yield from _walk(found, instances[num_below:], solve_one)
  yield from _walk(found, reversed(instances[:num_below]), solve_one)


def _walk(found, instances: Iterable, solve_one) -> Iterator[iterations.Run]:
  """Yields the `Run` of each instance, begun at the one before."""
  for instance in instances:
    start = iterations.Start(found.growth, found.u)
    where = found.where.retuned(instance.lam, instance.budget)
    found = solve_one(instance, where=where, start=start)
    yield found


# What goes from point to point -> (the problem given, number of points, runs
# one of them) -> the runs, in the order in which they are solved.
WAYS = types.MappingProxyType({'budget': _over_budgets, 'lam': _over_lam})
