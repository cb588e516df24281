r"""Whole images: from growth to an integer count of every labelset.

Rounding with |dz_i| below the largest labelset's size exists for any table
(Beck and Fiala 1981), so the loss is bounded whatever the number of images.
Three passes get close to it:

  1. error feedback: largest labelsets first, each goes up or down so that the
     running error of the classes stays small. It counts as sum v dx^2 / 2 with
     v a curvature of phi: a class on the kink of |x| shall stay there, one far
     from it need not;
  2. repair: the cheapest moves, until the budget is met;
  3. search: the best change of one count by one, or of two counts at once,
     while f + cost falls and the budget holds.

A move of labelset s by +-1 changes x by +-w (P_s - tau m_s). Labelsets of the
same mass m share the second part, so all moves are priced, exactly, by a table
of class terms for each mass and one pass over the patterns. The search prices
all of them once a round, and within the round only those that came out best.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import sparse

from aubal_jax.balancing.instance import Instance

_BLOCK = 64  # Labelsets rounded against the same error, at most.
_ONE_BY_ONE = 2000  # The last ones, rounded one after the other.
_ROUNDS = 8
_MOVES = 2000  # Single or pair, in all rounds.
_CANDIDATES = 4096  # Moves of either sign that a round may use.
_PAIR_TERMS = 1 << 19  # Class terms evaluated to choose a pair.
_SIGNS = np.array([1.0, -1.0])


def round_counts(instance: Instance, growth) -> np.ndarray:
  """Rounds a growth to whole counts that lose little of f + cost.

  They are never worse than the nearest whole counts, of which the first that
  can are changed as far as the budget asks.

  Args:
    instance: the problem.
    growth: float64[S], of the solution.

  Returns:
    int64[S] counts, none below `instance.least` or above `instance.most`, and
    their sum within `instance.budget`.
  """
  if not len(instance):
    return np.zeros(0, np.int64)
  wanted = np.clip(growth * instance.start, instance.least, instance.most)
  fed_back = _feed_back_errors(instance, _scaled_to_budget(instance, wanted))
  moves = _all_moves(instance)
  starts = (
    _repair(moves, _point(instance, fed_back)),
    _point(instance, _repair_in_order(instance, np.rint(wanted))),
  )
  point = min(starts, key=lambda point: point.priced)
  return _search(moves, point).counts.astype(np.int64)


# The budget.


def _beyond(instance, images):
  """Returns the images too many (> 0) or missing (< 0); 0 within the budget."""
  if not instance.budget:
    return 0.0 * images
  beyond = images - np.floor(instance.budget.most)
  return beyond if instance.budget.exactly else np.maximum(beyond, 0.0)


def _scaled_to_budget(instance, wanted) -> np.ndarray:
  """Returns counts float64[S] on the way to a bound, where the budget is met.

  Whatever the growth, no more has to be repaired than rounding gets wrong.
  """
  beyond = _beyond(instance, wanted.sum())
  if abs(beyond) < 1:
    return wanted
  room = (instance.least if beyond > 0 else instance.most) - wanted
  return wanted - room * (beyond / room.sum())


def _repair_in_order(instance, counts) -> np.ndarray:
  """Changes whole counts, the first ones first, until the budget is met."""
  beyond = _beyond(instance, counts.sum())
  room = np.abs((instance.least if beyond > 0 else instance.most) - counts)
  before = np.cumsum(room) - room
  return counts - np.sign(beyond) * np.clip(abs(beyond) - before, 0.0, room)


def _repair(moves, point) -> _Point:
  """Returns the point after the cheapest moves that meet the budget."""
  instance = point.instance
  while beyond := _beyond(instance, point.images):
    prices = moves.prices(point)[int(beyond > 0)]
    # Half at a time: the other half is priced with these in place.
    rows = _smallest(prices, int(np.ceil(abs(beyond) / 2)))
    counts = point.counts.copy()
    counts[rows[np.isfinite(prices[rows])]] -= np.sign(beyond)
    point = _point(instance, counts)
  return point


# Error feedback.


def _feed_back_errors(instance, wanted) -> np.ndarray:
  """Rounds counts float64[S] up or down, against the error of those before."""
  counts = np.clip(np.floor(wanted + 1e-9), instance.least, instance.most)
  rows = np.flatnonzero((wanted - counts > 1e-9) & (counts < instance.most))
  rows = rows[np.argsort(-instance.start[rows], kind='stable')]
  if len(rows):
    counts[rows] += _goes_up(instance, rows, wanted)
  return counts


def _goes_up(instance, rows, wanted) -> np.ndarray:
  """Returns bool[R], which of these labelsets go up.

  With the errors e = dz, M = m . dn and those of the budget, a change of a
  count by d costs d c + d^2 h / 2, where c = (P_s - tau m_s) . v (e - tau M) is
  the slope and h the curvature along it: d is 1 - part or - part.
  """
  patterns, mass = instance.patterns[rows], instance.mass[rows]
  part = wanted[rows] - np.floor(wanted[rows] + 1e-9)
  v = _curvature(instance, instance.deviations(wanted))
  shared = patterns @ (v * instance.target)
  own = v @ instance.target**2
  along = patterns @ v - 2 * mass * shared + mass**2 * own
  nu = along.mean() if _is_tight(instance, wanted, len(rows)) else 0.0
  along += nu + 2 * instance.lam / len(instance) / instance.start[rows] ** 2
  up = np.zeros(len(rows), bool)
  error = np.zeros(len(v))  # v e.
  error_shared = error_mass = error_images = 0.0  # tau . v e, M, sum dn.
  for block in _blocks(len(rows)):
    ends = patterns.indptr[block.start : block.stop + 1]
    labels = patterns.indices[ends[0] : ends[-1]]
    slope = np.add.reduceat(error[labels], ends[:-1] - ends[0])
    slope -= mass[block] * (error_shared - own * error_mass)
    slope += nu * error_images - error_mass * shared[block]
    up[block] = slope + (0.5 - part[block]) * along[block] < 0
    step = up[block] - part[block]
    np.add.at(error, labels, v[labels] * np.repeat(step, np.diff(ends)))
    error_shared += step @ shared[block]
    error_mass += step @ mass[block]
    error_images += step.sum()
  return up


def _curvature(instance, x) -> np.ndarray:
  """Returns v float64[L]: phi bends about as sum v dz^2 / 2 around x.

  For |x| it is that of the parabola above it which touches it at |x| + w, an
  image away: on the kink, v = w.
  """
  if instance.penalty == 'absolute':
    return instance.weights**2 / (np.abs(x) + instance.weights)
  if instance.penalty == 'square':
    return 2 * instance.weights**2 / instance.scale
  return instance.scale / np.maximum(x, 1.0) ** 2


def _is_tight(instance, wanted, num_open) -> bool:
  """Returns whether rounding can break the budget."""
  return bool(_beyond(instance, wanted.sum() + num_open))


def _blocks(num_rows):
  """Yields slices of all rows, shorter and shorter towards the end."""
  start = 0
  while start < num_rows:
    size = (num_rows - start - _ONE_BY_ONE) // _BLOCK
    stop = min(start + min(max(size, 1), _BLOCK), num_rows)
    yield slice(start, stop)
    start = stop


# Moves.


@dataclasses.dataclass
class _Point:
  """Whole counts float64[S] and their sums.

  Attributes:
    instance: the problem.
    counts: n.
    class_counts: float64[L], z.
    mass: m . n.
    images: sum of n.
    growth: sum of n / n_o.
  """

  instance: Instance
  counts: np.ndarray
  class_counts: np.ndarray
  mass: float
  images: float
  growth: float

  @property
  def x(self) -> np.ndarray:
    """float64[L], the deviations."""
    away = self.class_counts - self.instance.target * self.mass
    return self.instance.weights * away + self.instance.offset

  @property
  def priced(self) -> float:
    """f + cost."""
    spread = self.instance.lam * np.var(self.counts / self.instance.start)
    cost = self.instance.cost(self.counts)
    return float(_terms(self.instance, self.x).sum() + spread + cost)

  def move(self, row, sign):
    """Changes one count by one, in place."""
    patterns = self.instance.patterns
    labels = slice(patterns.indptr[row], patterns.indptr[row + 1])
    self.counts[row] += sign
    self.class_counts[patterns.indices[labels]] += sign
    self.mass += sign * self.instance.mass[row]
    self.images += sign
    self.growth += sign / self.instance.start[row]


def _point(instance, counts) -> _Point:
  z, growth = instance.patterns.T @ counts, (counts / instance.start).sum()
  return _Point(
    instance, counts, z, instance.mass @ counts, counts.sum(), growth
  )


def _terms(instance, x) -> np.ndarray:
  """Returns phi_i(x_i) of x float64[..., L]; finite for 'log' at 0 as well."""
  if instance.penalty == 'absolute':
    return np.abs(x)
  if instance.penalty == 'square':
    return x**2 / instance.scale
  return -instance.scale * np.log(np.maximum(x, 1e-300))


@dataclasses.dataclass(frozen=True)
class _Moves:
  """The moves of some labelsets by +1 and by -1.

  Attributes:
    rows: int[R], the labelsets.
    group: int[R], the place of their mass among all K masses.
    drift: float64[K, L], w tau m: what a move takes from every class.
    wide: CSR ones [R, K L]: P, with columns of its own for each mass.
  """

  rows: np.ndarray
  group: np.ndarray
  drift: np.ndarray
  wide: sparse.csr_array

  def take(self, places) -> _Moves:
    """Returns the moves of the labelsets rows[places]."""
    group, wide = self.group[places], self.wide[places]
    return _Moves(self.rows[places], group, self.drift, wide)

  def prices(self, point) -> np.ndarray:
    """Returns float64[2, R], the change of f + cost; inf out of the box."""
    instance, x = point.instance, point.x
    counts, start = point.counts[self.rows], instance.start[self.rows]
    away = counts / start - point.growth / len(instance)
    shrink = 1 - 1 / len(instance)
    now = _terms(instance, x).sum()
    prices = np.empty((2, len(self.rows)))
    for price, sign in zip(prices, _SIGNS, strict=True):
      drifted = _terms(instance, x - sign * self.drift)
      own = _terms(instance, x - sign * (self.drift - instance.weights))
      price[:] = self.wide @ (own - drifted).ravel()
      price += (drifted.sum(axis=1) - now)[self.group]
      spread = (2 * sign * away + shrink / start) / start
      price += instance.lam / len(instance) * spread
      price += sign * instance.image_cost
    prices[0, counts >= instance.most[self.rows]] = np.inf
    prices[1, counts <= instance.least[self.rows]] = np.inf
    return prices


def _all_moves(instance) -> _Moves:
  masses, group = np.unique(instance.mass, return_inverse=True)
  patterns, num_labels = instance.patterns, len(instance.weights)
  first = (group * num_labels).astype(patterns.indices.dtype)
  columns = patterns.indices + np.repeat(first, instance.sizes)
  wide = (patterns.data, columns, patterns.indptr)
  shape = len(instance), len(masses) * num_labels
  return _Moves(
    rows=np.arange(len(instance)),
    group=group,
    drift=masses[:, None] * (instance.weights * instance.target),
    wide=sparse.csr_array(wide, shape=shape),
  )


def _smallest(values, number) -> np.ndarray:
  """Returns the places of the smallest values, the first of equal ones."""
  places = np.arange(len(values))
  if number < len(values):
    places = places[values <= np.partition(values, number)[number]]
  return places[np.argsort(values[places], kind='stable')[:number]]


# Search.


def _search(moves, point) -> _Point:
  """Moves one count by one, or two at once, while f + cost falls."""
  moves_left = _MOVES
  for _ in range(_ROUNDS):
    before, level = point.counts.copy(), point.priced
    places = [_smallest(price, _CANDIDATES) for price in moves.prices(point)]
    candidates = moves.take(np.unique(np.concatenate(places)))
    tiny = 1e-9 * max(1.0, abs(level))
    moves_left -= _descend(candidates, point, moves_left, tiny)
    gain = level - point.priced
    if gain < 0:  # Of rounding, in the sums.
      return _point(point.instance, before)
    if gain < 1e-6 * point.instance.unit(level) or not moves_left:
      break
  return point


def _descend(moves, point, most_moves, tiny) -> int:
  """Makes moves that gain more than `tiny`, in place; returns how many."""
  for made in range(most_moves):
    prices = moves.prices(point)
    broken = _beyond(point.instance, point.images + _SIGNS) != 0
    single = np.where(broken[:, None], np.inf, prices)
    best = np.unravel_index(np.argmin(single), single.shape)
    chosen = [best]
    if not single[best] < -tiny:
      chosen = _best_chain(moves, point, prices, tiny)
    if not chosen:
      return made
    for sign, place in chosen:
      point.move(moves.rows[place], _SIGNS[sign])
  return most_moves


def _best_chain(moves, point, prices, tiny) -> list[tuple]:
  """Returns the few moves of different labelsets that gain together, or none.

  A beam search over the cheapest moves: of all chains one move longer the best
  ones are kept, until one gains.
  """
  instance = point.instance
  pool = _pool(moves, point, prices)
  x = point.x[None];now_x=x[0]
  chains, rest = np.zeros((1, 0), int), np.zeros(1)
  now = _terms(instance, x).sum()
  for _ in range(_CHAIN):
    images = point.images + pool.signs[chains].sum(axis=1)[:, None] + pool.signs
    growth = pool.growth[chains].sum(axis=1)
    rests = rest[:, None] + pool.rest
    rests -= 2 * instance.lam * np.multiply.outer(growth, pool.growth)
    change = _terms(instance, x[:, None] + pool.steps).sum(axis=2) - now + rests
    used = (pool.rows[chains][:, :, None] == pool.rows).any(axis=1)
    beyond = np.abs(_beyond(instance, images))
    change[used | (beyond > 1)] = np.inf
    done = np.where(beyond > 0, np.inf, change)
    if done.size and done.min() < -tiny:
      first, last = np.unravel_index(np.argmin(done), done.shape)
      chain = [*chains[first], last]
      return list(zip(pool.kinds[chain], pool.places[chain]))
    best = _smallest(change.ravel(), (chains.shape[1] + 1) * len(pool.rows))
    best = best[np.isfinite(change.ravel()[best])]
    if not len(best): return []
    first, last = np.unravel_index(best, change.shape)
    longer = np.sort(np.column_stack([chains[first], last]), axis=1)
    _, once = np.unique(longer, axis=0, return_index=True)
    once = np.sort(once)[: max(4,int(_PAIR_TERMS/len(pool.rows)/len(now_x)))]
    chains, rest = longer[once], rests[first[once], last[once]]
    x = x[first[once]] + pool.steps[last[once]]
  return []


@dataclasses.dataclass(frozen=True)
class _Pool:
  kinds: np.ndarray
  places: np.ndarray
  rows: np.ndarray
  signs: np.ndarray
  steps: np.ndarray
  rest: np.ndarray
  growth: np.ndarray

_CHAIN=4;_RATIO=1
def _pool(moves, point, prices):
  instance, x = point.instance, point.x
  number = int(_RATIO*np.sqrt(_PAIR_TERMS / len(x))) // 2
  number = min(max(number, 4), 1024)
  places = [_smallest(price, number) for price in prices]
  kinds = np.repeat([0, 1], [len(of_sign) for of_sign in places])
  places = np.concatenate(places)
  in_box = np.isfinite(prices[kinds, places])
  kinds, places = kinds[in_box], places[in_box]
  rows, signs = moves.rows[places], _SIGNS[kinds]
  steps = instance.weights * instance.patterns[rows].toarray()
  steps = signs[:, None] * (steps - moves.drift[moves.group[places]])
  alone = _terms(instance, x + steps).sum(axis=1) - _terms(instance, x).sum()
  return _Pool(kinds, places, rows, signs, steps, prices[kinds, places] - alone, signs / instance.start[rows] / len(instance))
