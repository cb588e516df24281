r"""Whole images: from growth to an integer count of every labelset.

Rounding with |dz_i| below the largest labelset's size exists for any table
(Beck and Fiala 1981), so the loss is bounded whatever the number of images.
Three passes get close to it:

  1. error feedback: the clearest cases first, each labelset goes up or down so
     that the running error dz of the classes stays small. It counts as sum v
     dz^2 / 2, v a curvature of phi: a class on the kink of |x| has to stay
     there, one far off has not;
  2. repair: the cheapest moves, until the budget is met;
  3. search: the best chain of a few moves, while f + cost falls and the budget
     holds. A chain of one up and one down is what there is at a full budget.

Where a logarithm has lost a class, which costs all, the last two passes begin
once more, where every class occurs.

A move changes the count of labelset s by +-1 and x by +-w (P_s - tau m_s).
Labelsets of one mass m share the second part, so all moves are priced, exactly,
by a table of class terms for each mass and one pass over the patterns. The
search prices all of them once a round, and within the round those that came out
best.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from scipy import sparse

from aubal_jax.balancing import cover
from aubal_jax.balancing.instance import Instance
from aubal_jax.runs import errors

SIGNS = np.array([1.0, -1.0])  # A move of an image more, or of one less.

_BLOCK = 192  # Labelsets rounded against the same error, at most,
_PART = 32  # and of those that are left that part,
_ONE_BY_ONE = 1000  # but the last ones one after the other.
_TWO_STARTS = 10_000  # Labelsets up to which both starts are searched.
_MOST_DENSE = 1 << 18  # Entries of P up to which it is a matrix.
_ROUNDS = 8
_CHAINS = 250  # Of moves, made in a round.
_BEAM = 256  # Chains that are made longer, at most.
_CANDIDATES = 4096  # Moves of either sign that a round may use,
_SHORT_LIST = 1024  # of which the cheapest are for so many chains.
_CHAINS_OF_A_LIST = 25
# Class terms evaluated to make chains one move longer, and moves of a chain;
# the second where the first finds none.
_EFFORTS = ((1 << 14, 2), (1 << 18, 4))


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

  Raises:
    UserError: growth that is not finite.
  """
  if not np.isfinite(growth).all():
    raise errors.UserError('growth must be finite; it holds NaN or infinity.')
  if not len(instance):
    return np.zeros(0, np.int64)
  moves = all_moves(instance)
  wanted = np.clip(growth * instance.start, instance.least, instance.most)
  # Whatever the growth, only what rounding gets wrong is left to be repaired.
  scaled = wanted
  if abs(_beyond(instance, wanted.sum())) >= 1:
    scaled = instance.within_budget(wanted)
  fed_back = _feed_back_errors(instance, scaled)
  nearest = _repair_in_order(instance, np.rint(wanted))
  starts = [
    _repair(moves, Point(instance, fed_back)),
    Point(instance, nearest),
  ]
  if len(instance) > _TWO_STARTS:
    starts = [min(starts, key=Point.priced)]
  goal = Point(instance, scaled).priced()
  ends = [_search(moves, start, goal) for start in starts]
  best = min(ends, key=Point.priced)
  if instance.penalty == 'log' and (best.x < 0.5).any():
    best = _search(moves, _with_all_classes(moves, best), goal)
  return best.counts.astype(np.int64)


def _with_all_classes(moves, point) -> Point:
  """Returns counts near these in which every class occurs, if any found do."""
  instance = point.instance
  least = cover.least_counts(instance.patterns, instance.least, instance.most)
  if least.sum() > instance.budget.most:
    return point
  inside = dataclasses.replace(instance, least=least)
  repaired = _repair(moves, Point(inside, np.maximum(point.counts, least)))
  return Point(instance, repaired.counts)


def _beyond(instance, images):
  """Returns the images too many (> 0) or missing (< 0); 0 within the budget."""
  if not instance.budget:
    return 0.0 * images
  beyond = images - np.floor(instance.budget.most)
  return beyond if instance.budget.exactly else np.maximum(beyond, 0.0)


def _repair_in_order(instance, counts) -> np.ndarray:
  """Changes whole counts, the first ones first, until the budget is met."""
  beyond = _beyond(instance, counts.sum())
  room = np.abs((instance.least if beyond > 0 else instance.most) - counts)
  before = np.cumsum(room) - room
  return counts - np.sign(beyond) * np.clip(abs(beyond) - before, 0.0, room)


def _repair(moves, point) -> Point:
  """Returns the point after the cheapest moves that meet the budget."""
  while beyond := _beyond(point.instance, point.images):
    prices = moves.prices(point)[int(beyond > 0)]
    # A part at a time: the others are priced with these in place.
    most = min(abs(beyond) / 2, np.isfinite(prices).sum() / 8)
    counts = point.counts.copy()
    counts[smallest(prices, int(np.ceil(most)))] -= np.sign(beyond)
    point = Point(point.instance, counts)
  return point


def _feed_back_errors(instance, wanted) -> np.ndarray:
  """Rounds counts float64[S] up or down, against the error of those before."""
  counts = np.clip(np.floor(wanted + 1e-9), instance.least, instance.most)
  part = wanted - counts
  rows = np.flatnonzero((part > 1e-9) & (counts < instance.most))
  rows = rows[np.argsort(-np.abs(part[rows] - 0.5), kind='stable')]
  if len(rows):
    counts[rows] += _goes_up(instance, rows, part[rows], wanted)
  return counts


def _goes_up(instance, rows, part, wanted) -> np.ndarray:
  """Returns bool[R], which of these labelsets go up.

  With errors e = dz, M = m . dn and B = sum dn, a change of a count by d costs
  d c + d^2 h / 2, with the slope c = (P_s - tau m_s) . v (e - tau M) + nu B and
  the curvature h; d is 1 - part or -part.
  """
  patterns, mass = instance.patterns[rows], instance.mass[rows]
  v = _curvature(instance, instance.deviations(wanted))
  shared, own = patterns @ (v * instance.target), v @ instance.target**2
  along = patterns @ v - 2 * mass * shared + mass**2 * own
  is_tight = _beyond(instance, wanted.sum() + len(rows)) != 0
  nu = along.mean() if is_tight else 0.0
  along += nu + 2 * instance.lam / len(instance) / instance.start[rows] ** 2
  up = np.zeros(len(rows), bool)
  error = np.zeros(len(v))  # v e.
  error_shared = error_mass = error_images = 0.0  # tau . v e, M, B.
  for block in _blocks(len(rows)):
    if block.stop == block.start + 1:  # And so are all that follow.
      sums = error_shared, error_mass, error_images
      columns = mass, shared, part, along
      rest = [column[block.start :].tolist() for column in columns]
      ends = patterns.indptr[block.start :]
      labels = patterns.indices[ends[0] :].tolist()
      ends = (ends - ends[0]).tolist()
      sets = [labels[i:j] for i, j in itertools.pairwise(ends)]
      up[block.start :] = _one_by_one(
        sets, rest, v.tolist(), error.tolist(), sums, (own, nu)
      )
      break
    ends = patterns.indptr[block.start : block.stop + 1]
    labels = patterns.indices[ends[0] : ends[-1]]
    slope = np.add.reduceat(error[labels], ends[:-1] - ends[0])
    slope -= mass[block] * (error_shared - own * error_mass)
    slope += nu * error_images - error_mass * shared[block]
    up[block] = slope + (0.5 - part[block]) * along[block] < 0
    step = up[block] - part[block]
    each = v[labels] * np.repeat(step, np.diff(ends))
    error += np.bincount(labels, each, len(v))
    error_shared += step @ shared[block]
    error_mass += step @ mass[block]
    error_images += step.sum()
  return up


def _one_by_one(sets, columns, v, error, sums, factors) -> list[bool]:
  """Returns which labelsets go up, each against the error of those before.

  In lists: for one labelset NumPy takes ten times as long.

  Args:
    sets: the labels of each labelset.
    columns: mass, tau . v P_s, part and curvature of each.
    v: of each class.
    error: v e of each class, so far.
    sums: tau . v e, M and B, so far.
    factors: tau . v tau, and nu.
  """
  error_shared, error_mass, error_images = map(float, sums)
  own, nu = map(float, factors)
  up = []
  for labels, mass, shared, part, along in zip(sets, *columns, strict=True):
    slope = sum([error[label] for label in labels])
    slope += nu * error_images - error_mass * shared
    slope -= mass * (error_shared - own * error_mass)
    goes = slope + (0.5 - part) * along < 0
    step = goes - part
    for label in labels:
      error[label] += v[label] * step
    error_shared += step * shared
    error_mass += step * mass
    error_images += step
    up.append(goes)
  return up


def _curvature(instance, x) -> np.ndarray:
  """Returns v float64[L]: phi bends about as sum v dz^2 / 2 around x.

  For |x|, that of the parabola above it which touches it at |x| + w, one image
  further.
  """
  if instance.penalty == 'absolute':
    return instance.weights**2 / (np.abs(x) + instance.weights)
  if instance.penalty == 'square':
    return 2 * instance.weights**2 / instance.scale
  return instance.scale / np.maximum(x, 1.0) ** 2


def _blocks(num_rows):
  """Yields slices of all rows, shorter and shorter towards the end."""
  start = 0
  while start < num_rows:
    size = (num_rows - start - _ONE_BY_ONE) // _PART
    stop = min(start + min(max(size, 1), _BLOCK), num_rows)
    yield slice(start, stop)
    start = stop


def _search(moves, point, goal) -> Point:
  """Makes chains of moves, in rounds, until f + cost meets `goal` or stays."""
  instance = point.instance
  for _ in range(_ROUNDS):
    level = point.priced()
    candidates, num_chains = _cheap(moves, point, _CANDIDATES), 0
    found = Point(instance, point.counts.copy())
    tiny = 1e-10 * max(1.0, abs(level))
    for effort in _EFFORTS:  # The second makes what the first makes, and more.
      made = True
      while made and num_chains < _CHAINS:
        near, made = _cheap(candidates, found, _SHORT_LIST), 0
        most = min(_CHAINS_OF_A_LIST, _CHAINS - num_chains)
        while made < most and _make_chain(near, found, tiny, *effort):
          made += 1
        num_chains += made
    found = Point(instance, found.counts)  # Sums without their errors.
    reached = found.priced()
    if reached < level:
      point = found
    if reached < goal or level - reached < 1e-6 * instance.unit(level):
      break
    if candidates is moves and num_chains < _CHAINS:
      break  # All moves were tried.
  return point


def _cheap(moves, point, number) -> Moves:
  """Returns the moves of the labelsets that are cheapest to move either way."""
  if len(moves.rows) <= number:
    return moves
  places = [smallest(price, number) for price in moves.prices(point)]
  return moves.take(np.unique(np.concatenate(places)))


def _make_chain(moves, point, tiny, terms, longest) -> bool:
  """Makes the few moves that gain most together; returns whether any do.

  A beam search among the cheapest moves: of all chains of one move more the
  best are kept, until one gains more than `tiny`. On the way they may break the
  budget by an image. No labelset moves twice in a chain.
  """
  few = _cheapest(moves, point, terms)
  if not len(few.rows):
    return False
  beam = min(max(terms // max(few.steps.size, 1), 1), _BEAM)
  chain = _best_chain(few, point, tiny, beam, longest)
  if chain is None:
    return False
  rows, signs = few.rows[chain], few.signs[chain]
  point.make(rows, signs, few.steps[chain].sum(axis=0))
  return True


def _best_chain(few, point, tiny, beam, longest) -> list[int] | None:
  """Returns the places of the moves that gain most; None where none do."""
  instance = point.instance
  lam = instance.lam
  growth = few.signs / instance.start[few.rows] / len(instance)
  chains = np.zeros((1, 0), int)
  x = point.x[None]
  spent = -terms_of(instance, x).sum(axis=1)
  change = few.prices[None].copy()
  for length in range(longest):
    if length:
      in_common = np.outer(growth[chains].sum(axis=1), growth)
      rests = spent[:, None] + few.rest - 2 * lam * in_common
      change = rests + few.levels(instance, x)
    else:
      rests = spent[:, None] + few.rest
    each = np.arange(len(chains))[:, None]
    change[each, chains] = change[each, few.twin[chains]] = np.inf
    ready = change
    if instance.budget:
      images = np.add.outer(few.signs[chains].sum(axis=1), few.signs)
      beyond = np.abs(_beyond(instance, point.images + images))
      change[beyond > 1] = np.inf
      ready = np.where(beyond > 0, np.inf, change)
    if ready.size and ready.min() < -tiny:
      first, last = divmod(int(np.argmin(ready)), ready.shape[1])
      return [*chains[first], last]
    if length + 1 < longest:
      first, last, chains = _longer(chains, change, beam)
      x, spent = x[first] + few.steps[last], rests[first, last]
  return None


@dataclasses.dataclass(frozen=True)
class _Few:
  """The cheapest K moves at a point, sorted by sign and mass.

  Attributes:
    rows: int[K], the labelsets.
    signs: float64[K].
    twin: int[K], the place of the move back; its own where there is none.
    steps: float64[K, L], what each adds to x.
    prices: float64[K], of each alone.
    rest: float64[K], what of the price does not come from phi: of Var(g), but
      for what moves of a chain have in common, and the cost.
    kind: int[K], the place of its sign and mass among all G of them.
    drifts: float64[G, L], what a class gets that the labelset lacks.
    owns: float64[G, L], what one gets that it has.
    patterns: float64[L, k] of the moves of each kind, P^T.
  """

  rows: np.ndarray
  signs: np.ndarray
  twin: np.ndarray
  steps: np.ndarray
  prices: np.ndarray
  rest: np.ndarray
  kind: np.ndarray
  drifts: np.ndarray
  owns: np.ndarray
  patterns: list[np.ndarray]

  def levels(self, instance, x) -> np.ndarray:
    """Returns phi(x + step) float64[C, K], of x float64[C, L].

    What a move does to a class is known but for whether it has the class; so
    class terms are computed twice for a kind, and not for every move.
    """
    x = x[:, None]
    drifted = terms_of(instance, x + self.drifts)
    gained = terms_of(instance, x + self.owns) - drifted
    levels = [
      gained[:, kind] @ patterns for kind, patterns in enumerate(self.patterns)
    ]
    return np.hstack(levels) + drifted.sum(axis=2)[:, self.kind]


def _cheapest(moves, point, terms) -> _Few:
  """Returns the cheapest moves, as many as `terms` class terms allow."""
  instance, prices = point.instance, moves.prices(point)
  number = int(np.sqrt(terms / max(len(point.x), 1)) / 2)
  number = min(max(number, 4), 128)
  places = [smallest(price, number) for price in prices]
  kinds = np.repeat([0, 1], [len(of_sign) for of_sign in places])
  places = np.concatenate(places)
  kind = 2 * moves.group[places] + kinds
  order = np.argsort(kind, kind='stable')
  order = order[np.isfinite(prices[kinds, places])[order]]
  kinds, places, kind = kinds[order], places[order], kind[order]
  signs, patterns = SIGNS[kinds][:, None], moves.patterns_of(places)
  drift = -signs * moves.drift[moves.group[places]]
  own = drift + signs * instance.weights
  steps = np.where(patterns > 0, own, drift)
  after = terms_of(instance, point.x + steps).sum(axis=1)
  alone = prices[kinds, places]
  twin = np.full(prices.shape, -1)
  twin[kinds, places] = numbers = np.arange(len(places))
  twin = twin[1 - kinds, places]
  is_new = np.ones(len(kind), bool)
  is_new[1:] = kind[1:] != kind[:-1]
  first = np.flatnonzero(is_new)
  ends = [*first.tolist(), len(kind)]
  return _Few(
    rows=moves.rows[places],
    signs=signs[:, 0],
    twin=np.where(twin < 0, numbers, twin),
    steps=steps,
    prices=alone,
    rest=alone - (after - terms_of(instance, point.x).sum()),
    kind=np.cumsum(is_new) - 1,
    drifts=drift[first],
    owns=own[first],
    patterns=[patterns[i:j].T for i, j in itertools.pairwise(ends)],
  )


def _longer(chains, change, number) -> tuple:
  """Returns the best chains of one move more: which, by which move, and all."""
  length = chains.shape[1] + 1  # A chain is found once for each order.
  places = smallest(change.ravel(), number * length)
  places = places[np.isfinite(change.ravel()[places])]
  first, last = np.divmod(places, change.shape[1])
  longer = np.sort(np.column_stack([chains[first], last]), axis=1)
  # At most 4 of 256 moves: a chain is one number.
  _, once = np.unique(
    longer @ change.shape[1] ** np.arange(length), return_index=True
  )
  once = np.sort(once)[:number]
  return first[once], last[once], longer[once]


class Point:
  """Whole counts float64[S], with x, the sum of n and that of n / n_o."""

  def __init__(self, instance, counts):
    self.instance, self.counts = instance, counts
    self.x = instance.deviations(counts)
    self.images = counts.sum()
    self.growth = (counts / instance.start).sum()

  def priced(self) -> float:
    """Returns f + cost."""
    spread = self.instance.lam * np.var(self.counts / self.instance.start)
    cost = self.instance.cost(self.counts)
    return float(terms_of(self.instance, self.x).sum() + spread + cost)

  def make(self, rows, signs, step):
    """Changes the counts of distinct labelsets, and x by `step`, in place."""
    self.counts[rows] += signs
    self.x += step
    self.images += signs.sum()
    self.growth += (signs / self.instance.start[rows]).sum()


def terms_of(instance, x) -> np.ndarray:
  """Returns phi_i(x_i) of x float64[..., L]; finite for 'log' at 0 as well."""
  if instance.penalty == 'absolute':
    return np.abs(x)
  if instance.penalty == 'square':
    return x**2 / instance.scale
  return -instance.scale * np.log(np.maximum(x, 1e-300))


@dataclasses.dataclass(frozen=True)
class Moves:
  """The moves of some labelsets by +1 and by -1.

  Attributes:
    rows: int[R], the labelsets.
    group: int[R], the place of their mass among all K masses.
    drift: float64[K, L], w tau m: what a move takes from every class.
    wide: CSR ones [R, K L]: P, with columns of its own for each mass.
    dense: float64[R, L], P where it is small; else None.
  """

  rows: np.ndarray
  group: np.ndarray
  drift: np.ndarray
  wide: sparse.csr_array
  dense: np.ndarray | None = None

  def take(self, places) -> Moves:
    """Returns the moves of the labelsets rows[places]."""
    group, wide = self.group[places], self.wide[places]
    return Moves(self.rows[places], group, self.drift, wide)

  def patterns_of(self, places) -> np.ndarray:
    """Returns P float64[K, L] of the labelsets rows[places]."""
    if self.dense is not None:
      return self.dense[places]
    num_labels = self.drift.shape[1]
    wide = self.wide[places]
    columns = wide.indices % num_labels
    patterns = np.zeros((len(places), num_labels))
    patterns[
      np.repeat(np.arange(len(places)), np.diff(wide.indptr)), columns
    ] = 1
    return patterns

  def prices(self, point) -> np.ndarray:
    """Returns float64[2, R], the change of f + cost; inf out of the box."""
    instance, x = point.instance, point.x
    counts, start = point.counts[self.rows], instance.start[self.rows]
    away = counts / start - point.growth / len(instance)
    shrink = 1 - 1 / len(instance)
    now = terms_of(instance, x).sum()
    prices = np.empty((2, len(self.rows)))
    for price, sign in zip(prices, SIGNS, strict=True):
      drifted = terms_of(instance, x - sign * self.drift)
      own = terms_of(instance, x - sign * (self.drift - instance.weights))
      price[:] = self.wide @ (own - drifted).ravel()
      price += (drifted.sum(axis=1) - now)[self.group]
      spread = (2 * sign * away + shrink / start) / start
      price += instance.lam / len(instance) * spread
      price += sign * instance.image_cost
    prices[0, counts >= instance.most[self.rows]] = np.inf
    prices[1, counts <= instance.least[self.rows]] = np.inf
    return prices


def all_moves(instance) -> Moves:
  """Returns the moves of all labelsets of an `Instance`."""
  masses, group = np.unique(instance.mass, return_inverse=True)
  patterns, num_labels = instance.patterns, len(instance.weights)
  first = (group * num_labels).astype(patterns.indices.dtype)
  columns = patterns.indices + np.repeat(first, instance.sizes)
  wide = (patterns.data, columns, patterns.indptr)
  shape = len(instance), len(masses) * num_labels
  is_small = len(instance) * num_labels <= _MOST_DENSE
  return Moves(
    rows=np.arange(len(instance)),
    group=group,
    drift=masses[:, None] * (instance.weights * instance.target),
    wide=sparse.csr_array(wide, shape=shape),
    dense=patterns.toarray() if is_small else None,
  )


def smallest(values, number) -> np.ndarray:
  """Returns the places of the smallest values, the first of equal ones."""
  places = np.arange(len(values))
  if number < len(values):
    places = places[values <= np.partition(values, number)[number]]
  return places[np.argsort(values[places], kind='stable')[:number]]
