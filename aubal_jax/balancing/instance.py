"""One problem in NumPy: the labelsets and classes that take part."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import sparse

from aubal_jax.balancing import blocks as blocks_lib
from aubal_jax.balancing import box
from aubal_jax.balancing import incidence as incidence_lib
from aubal_jax.balancing import rules as rules_lib
from aubal_jax.balancing.objective import Problem
from aubal_jax.tables import labelsets as labelsets_lib

# Places and labels of the matrices that first-order steps on a small problem
# are compiled for.
PADDED = ((64, 16), (256, 64), (1024, 128))

# The power of a block's weight in the scale: terms are x^2 / scale, or scale
# log x.
_SCALES = {'square': -1.0, 'log': 1.0}


@dataclasses.dataclass(frozen=True)
class Budget:
  """How many images there may be.

  Attributes:
    most: images at most; inf for no budget.
    exactly: whether it has to be `most` images, not fewer.
  """

  most: float = np.inf
  exactly: bool = False

  def __bool__(self) -> bool:
    """Returns whether there is a budget at all."""
    return bool(self.most < np.inf)

  @property
  def dual_range(self) -> tuple[float, float]:
    """The least and the largest price of an image."""
    free = np.inf if self else 0.0
    return -free if self.exactly else 0.0, free

  def beyond(self, images):
    """Returns the images too many (> 0) or missing (< 0); 0 within."""
    if not self:
      return 0.0 * images
    beyond = images - np.floor(self.most)
    return beyond if self.exactly else np.maximum(beyond, 0.0)


class Placed(NamedTuple):
  """A problem on its devices, and the places of its labelsets.

  Attributes:
    problem: the problem, over S' places.
    place: int[S], the place of each labelset.
  """

  problem: Problem
  place: np.ndarray

  def put(self, growth) -> Array:
    """Returns float64[S] at its places, float64[S']."""
    return incidence_lib.placed(self.problem.incidence, self.place, growth)

  def everywhere(self, values) -> Array:
    """Returns what each device has whole, such as a dual float64[L + 1]."""
    return incidence_lib.everywhere(self.problem.incidence, values)

  def take(self, growth) -> np.ndarray:
    """Returns float64[S] from its places."""
    return np.asarray(growth)[self.place]

  def retuned(self, lam: float, budget: Budget) -> Placed:
    """Returns the same problem with another lam and budget."""
    problem, xp = self.problem, self.problem.xp
    low, high = (np.float64(price) for price in budget.dual_range)
    scalar = (
      np.float64
      if xp is np
      else functools.partial(jnp.asarray, dtype=jnp.float64)
    )
    problem = dataclasses.replace(
      problem,
      lam=scalar(lam),
      budget=scalar(budget.most if budget else 0.0),
      low=xp.append(problem.low[:-1], low),
      high=xp.append(problem.high[:-1], high),
    )
    return self._replace(problem=problem)


@dataclasses.dataclass(frozen=True)
class Instance:
  """The labelsets that are not empty and the classes that occur.

  Attributes, those of an `objective.Problem` without devices, and:
    rows: int[S], the labelsets' numbers in the table given; by size.
    patterns: CSR float64[S, L], P.
    start: float64[S], n_o.
    least: int64[S], smallest whole count allowed.
    most: int64[S], largest whole count allowed.
    budget: on the sum of the counts of these labelsets.
    empty_boxes: labelsets without a whole count inside their bounds.
    num_sets: S, and as many as are left out with a fixed growth.
    rest: the sum of the growth of those.
    blocks: float64[K, L], E of `balancing.blocks`; then mass is 0. Or None.
  """

  rows: np.ndarray
  patterns: sparse.csr_array
  start: np.ndarray
  mass: np.ndarray
  weights: np.ndarray
  target: np.ndarray
  offset: np.ndarray
  scale: np.ndarray
  penalty: str
  lam: float
  image_cost: float
  least: np.ndarray
  most: np.ndarray
  budget: Budget
  empty_boxes: int
  num_sets: int
  rest: float = 0.0
  blocks: np.ndarray | None = None

  def __len__(self) -> int:
    """Returns S."""
    return len(self.rows)

  @property
  def sizes(self) -> np.ndarray:
    """int[S], labels of each labelset."""
    return np.diff(self.patterns.indptr)

  def deviations(self, counts) -> np.ndarray:
    """Returns x = W (z - tau m . n) + b, float64[L], at counts float[S]."""
    class_counts = self.patterns.T @ counts
    if self.blocks is None:
      total = self.mass @ counts
    else:
      total = blocks_lib.sums(self.blocks, class_counts)
    x = self.weights * (class_counts - self.target * total)
    return x + self.offset

  def slopes(self, u) -> np.ndarray:
    """Returns float64[S], what a count more adds to u . x, u float64[L]."""
    v = self.weights * u
    if self.blocks is None:
      return self.patterns @ v - self.mass * (self.target @ v)
    return self.patterns @ (v - blocks_lib.sums(self.blocks, self.target * v))

  def level(self, x) -> np.ndarray:
    """Returns phi(x) over the last axis of x, float64[..., L]."""
    if self.penalty == 'absolute':
      return np.abs(x).sum(axis=-1)
    if self.penalty == 'square':
      return (x**2 / self.scale).sum(axis=-1)
    with np.errstate(divide='ignore'):
      return -(self.scale * np.log(np.maximum(x, 0.0))).sum(axis=-1)

  def value(self, counts) -> float:
    """Returns f, (1a), at counts float[S]."""
    if not len(self):
      return 0.0
    level = self.level(self.deviations(counts))
    return float(level + self.lam * np.var(counts / self.start))

  def cost(self, counts) -> float:
    """Returns the price of the images added, in units of f."""
    return float(self.image_cost * (counts - self.start).sum())

  def unit(self, value: float) -> float:
    """Returns what a gap is relative to: max(1, |f|), or mean z_o for 'log'.

    The logarithms of counts have no natural zero, so their gap is absolute.
    """
    if self.penalty == 'log' and len(self.scale):
      return float(self.scale.mean())
    return max(1.0, abs(value))

  def within_budget(self, counts) -> np.ndarray:
    """Returns the counts float64[S] in the box and the budget next to these.

    From the box they move along the line to the least ones where there are too
    many images, to the largest ones where there are too few of an exact number.
    """
    counts = np.clip(counts, self.least, self.most)
    beyond = counts.sum() - self.budget.most
    if not self.budget or (beyond <= 0 and not self.budget.exactly):
      return counts
    room = (self.least if beyond > 0 else self.most) - counts
    return counts - room * (beyond / room.sum() if beyond else 0.0)

  def only(self, kept, growth) -> Instance:
    """Returns the problem in which all other labelsets keep their growth.

    Args:
      kept: bool[S].
      growth: float64[S].
    """
    counts = np.where(kept, 0.0, growth * self.start)
    budget = self.budget
    if budget:
      budget = Budget(budget.most - counts.sum(), budget.exactly)
    cut = {
      name: getattr(self, name)[kept]
      for name in ('rows', 'patterns', 'start', 'mass', 'least', 'most')
    }
    return dataclasses.replace(
      self,
      **cut,
      offset=self.deviations(counts),
      budget=budget,
      rest=float(growth[~kept].sum()),
    )

  def problem(
    self, *, with_pairs: bool = True, devices=None, coarse: bool = False
  ) -> Placed:
    """Returns the same as JAX arrays, on the box of whole counts.

    Args:
      with_pairs: whether P^T diag(y) P will be asked for.
      devices: to split the labelsets over; None is one.
      coarse: round sizes of tables up to powers of two.
    """
    incidence, place = incidence_lib.lay_out(
      self.patterns, with_pairs=with_pairs, devices=devices, coarse=coarse
    )

    problem = jax.tree.map(jnp.asarray, self._with(incidence, place))
    return Placed(problem, place)

  def on_host(self, *, with_pairs: bool = True) -> Placed:
    """Returns the same as arrays of NumPy, of which nothing is compiled."""
    incidence = incidence_lib.on_host(self.patterns, with_pairs=with_pairs)
    place = np.arange(len(self))
    return Placed(self._with(incidence, place), place)

  def padded(self) -> Placed:
    """Returns the same for first-order steps, in one of few sizes.

    With labels that nobody has, which add nothing to f or its slopes.
    """
    num_sets, num_labels = self.patterns.shape
    sizes = [
      (places, labels)
      for places, labels in PADDED
      if num_sets <= places and num_labels <= labels
    ]
    make = incidence_lib.padded
    if not sizes:
      make = incidence_lib.padded_entries
      larger = (num_sets + 1, num_labels)
      sizes = [[incidence_lib.rounded_up(k, coarse=True) for k in larger]]
    num_places, num_padded = sizes[0]
    extra = num_padded - num_labels
    none, ones = np.zeros(extra), np.ones(extra)
    is_log = self.penalty == 'log'
    wider = dataclasses.replace(
      self,
      weights=np.append(self.weights, none),
      target=np.append(self.target, none),
      # k log x is 0 log 1, x^2 / k is 0 / 1.
      offset=np.append(self.offset, ones if is_log else none),
      scale=np.append(self.scale, none if is_log else ones),
      blocks=None
      if self.blocks is None
      else np.pad(self.blocks, ((0, 0), (0, extra))),
    )
    incidence = make(self.patterns, num_places, num_padded)
    place = np.arange(num_sets)
    return Placed(wider._with(incidence, place), place)

  def _with(self, incidence, place) -> Problem:
    """Returns the problem in NumPy, but for what has places on devices."""

    def placed(values):
      return incidence_lib.placed(incidence, place, values)

    ones = np.ones(len(self.weights))
    low, high = {
      'absolute': (-ones, ones),
      'square': (-np.inf * ones, np.inf * ones),
      'log': (-np.inf * ones, 0 * ones),
    }[self.penalty]
    least_price, largest_price = self.budget.dual_range
    return Problem(
      incidence=incidence,
      counts=placed(self.start),
      present=placed(np.ones(len(self))),
      mass=placed(self.mass),
      weights=self.weights,
      target=self.target,
      offset=self.offset,
      scale=self.scale,
      low=np.append(low, least_price),
      high=np.append(high, largest_price),
      budget=np.float64(self.budget.most if self.budget else 0.0),
      lam=np.float64(self.lam),
      image_cost=np.float64(self.image_cost),
      lower=placed(self.least / self.start),
      upper=placed(self.most / self.start),
      num_sets=np.float64(self.num_sets),
      rest=np.float64(self.rest),
      penalty=self.penalty,
      blocks=self.blocks,
    )


def make_instance(
  patterns,
  counts,
  rules: rules_lib.Rules,
  *,
  lam_factors=(1.0, 1.0),
  any_budget: bool = False,
) -> Instance:
  """Leaves out empty labelsets, absent ones and classes without a positive.

  An empty labelset stays where the rules make a label of it.

  Args:
    patterns: 0/1 [S, L], dense or scipy sparse, each labelset once.
    counts: whole numbers [S].
    rules: of the problem.
    lam_factors: `most` shall be large enough for lam from one to the other, as
      multiples of the one given, where `upper` is no bound.
    any_budget: likewise for all budgets to the one given, and for none.

  Raises:
    BudgetError: no counts inside the bounds meet the budget.
    UserError: a rule is not one, or counts are not; the message names it.
  """
  patterns = sparse.csr_array(patterns)
  counts = rules_lib.checked_counts(counts, patterns.shape[0])
  rules = rules.settled(int(counts.sum()), *patterns.shape)
  if rules.empty == 'label':
    patterns = labelsets_lib.with_empty(patterns)
  kind = rules_lib.OBJECTIVES[rules.objective]
  sizes = np.diff(patterns.indptr)
  rows = np.flatnonzero((sizes > 0) & (counts > 0))
  rows = rows[np.argsort(sizes[rows], kind='stable')]
  class_counts = patterns.T.astype(np.int64) @ counts
  present = np.flatnonzero(class_counts > 0)
  class_counts = class_counts[present].astype(np.float64)
  taken = sparse.csr_array(patterns[rows][:, present], dtype=np.float64)
  taken.sort_indices()
  start = counts[rows].astype(np.float64)
  others = int(counts.sum()) - int(start.sum())
  least, most, empty_boxes = box.integer_box(
    counts[rows], rules.lower[rows], rules.upper[rows]
  )
  target = None if rules.target is None else rules.target[present]
  blocks, mass = None, sizes[rows].astype(float)
  if rules.blocks is None:
    evened = _evened(class_counts, target, kind)
    mass = np.ones(len(rows)) if kind.per_image else mass
  else:
    parts = blocks_lib.slices(rules.blocks, present)
    blocks, mass = blocks_lib.matrix(parts, len(present)), 0 * mass
    evened = _evened_in_blocks(class_counts, target, kind, rules.blocks, parts)
  weights, shares, scale = evened
  instance = Instance(
    rows=rows,
    patterns=taken,
    start=start,
    mass=mass,
    weights=weights,
    target=0 * shares if kind.penalty == 'log' else shares,
    offset=-shares * others if kind.per_image else 0 * shares,
    scale=scale,
    penalty=kind.penalty,
    lam=rules.lam,
    image_cost=rules.image_cost,
    least=least,
    most=most,
    budget=_budget(rules, least, most, others),
    empty_boxes=empty_boxes,
    num_sets=len(rows),
    blocks=blocks,
  )
  is_free = most >= rules_lib.COUNTABLE
  if not is_free.any():
    return instance
  bound = box.largest_counts(instance, is_free, lam_factors, any_budget)
  return dataclasses.replace(
    instance, most=box.bounded(most, bound, rules.upper[rows])
  )


def _evened(class_counts, target, kind, weight: float = 1.0):
  """Returns w, tau and the scale of the classes that occur, float64[L] each.

  Args:
    class_counts: float64[L], z_o, those of one block.
    target: float64[L], shares as they are given, or None.
    kind: the `Objective`.
    weight: of all their terms.
  """
  size = len(class_counts)
  mean = class_counts.mean() if size else 1.0
  ones = np.ones(size)
  shares = _shares(target, size, kind)
  weights = mean / class_counts if kind.rarity else ones
  scale = mean * (size * shares if kind.penalty == 'log' else ones)
  if kind.penalty == 'absolute':
    return weight * weights, shares, scale
  return weights, shares, weight ** _SCALES[kind.penalty] * scale


def _evened_in_blocks(class_counts, target, kind, blocks, parts):
  """Returns the same, of classes in blocks."""
  each = [
    _evened(
      *(class_counts[part], None if target is None else target[part]),
      *(kind, block.weight),
    )
    for block, part in zip(blocks, parts, strict=True)
  ]
  return [np.concatenate(values) for values in zip(*each, strict=True)]


def _shares(target, size, kind) -> np.ndarray:
  """Returns tau of `size` classes that occur, float64[L]."""
  if target is None:
    return np.full(size, 1 / max(size, 1))
  return target if kind.per_image else target / max(target.sum(), 1e-300)


def _budget(rules, least, most, others: int) -> Budget:
  """Returns the budget of the labelsets that take part."""
  if rules.budget is None:
    return Budget()
  fewest, largest = int(least.sum()) + others, sum(most.tolist()) + others
  exactly = bool(rules.budget_exactly)
  if rules.budget < fewest or (exactly and rules.budget > largest):
    raise rules_lib.BudgetError(
      rules.budget, fewest, largest if exactly else None
    )
  rules_lib.check_countable('budget', rules.budget)
  return Budget(float(rules.budget - others), exactly)
