r"""Whole images: from growth to an integer count of every labelset.

Rounding with |dz_i| below the largest labelset's size exists for any table
(Beck and Fiala 1981), so the loss is bounded whatever the number of images.
Three passes get close to it:

  1. error feedback: the clearest cases first, each labelset goes up or down so
     that the running error dz of the classes stays small. It counts as sum v
     dz^2 / 2, v a curvature of phi: a class on the kink of |x| has to stay
     there, one far off has not;
  2. repair: the cheapest moves (`moves`), until the budget is met;
  3. search: the best chain of a few moves (`chains`), while f + cost falls and
     the budget holds.

Where a logarithm has lost a class, which costs all, the last two passes begin
once more, where every class occurs.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from aubal_jax.balancing import chains
from aubal_jax.balancing import cover
from aubal_jax.balancing import moves as moves_lib
from aubal_jax.balancing.instance import Instance
from aubal_jax.runs import errors

_BLOCK = 192  # Labelsets rounded against the same error, at most,
_PART = 32  # and of those that are left that part,
_ONE_BY_ONE = 1000  # but the last ones one after the other.
_TWO_STARTS = 10_000  # Labelsets up to which both starts are searched.


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
  moves = moves_lib.all_moves(instance)
  wanted = np.clip(growth * instance.start, instance.least, instance.most)
  # Whatever the growth, only what rounding gets wrong is left to be repaired.
  scaled = wanted
  if abs(instance.budget.beyond(wanted.sum())) >= 1:
    scaled = instance.within_budget(wanted)
  fed_back = _feed_back_errors(instance, scaled)
  nearest = _repair_in_order(instance, np.rint(wanted))
  starts = [
    _repair(moves, moves_lib.Point(instance, fed_back)),
    moves_lib.Point(instance, nearest),
  ]
  if len(instance) > _TWO_STARTS:
    starts = [min(starts, key=moves_lib.Point.priced)]
  goal = moves_lib.Point(instance, scaled).priced()
  ends = [chains.search(moves, start, goal) for start in starts]
  best = min(ends, key=moves_lib.Point.priced)
  if instance.penalty == 'log' and (best.x < 0.5).any():
    best = chains.search(moves, _with_all_classes(moves, best), goal)
  return best.counts.astype(np.int64)


def _with_all_classes(moves, point) -> moves_lib.Point:
  """Returns counts near these in which every class occurs, if any found do."""
  instance = point.instance
  least = cover.least_counts(instance.patterns, instance.least, instance.most)
  if least.sum() > instance.budget.most:
    return point
  inside = dataclasses.replace(instance, least=least)
  repaired = _repair(
    moves, moves_lib.Point(inside, np.maximum(point.counts, least))
  )
  return moves_lib.Point(instance, repaired.counts)


def _repair_in_order(instance, counts) -> np.ndarray:
  """Changes whole counts, the first ones first, until the budget is met."""
  beyond = instance.budget.beyond(counts.sum())
  room = np.abs((instance.least if beyond > 0 else instance.most) - counts)
  before = np.cumsum(room) - room
  return counts - np.sign(beyond) * np.clip(abs(beyond) - before, 0.0, room)


def _repair(moves, point) -> moves_lib.Point:
  """Returns the point after the cheapest moves that meet the budget."""
  while beyond := point.instance.budget.beyond(point.images):
    prices = moves.prices(point)[int(beyond > 0)]
    # A part at a time: the others are priced with these in place.
    most = min(abs(beyond) / 2, np.isfinite(prices).sum() / 8)
    counts = point.counts.copy()
    counts[moves_lib.smallest(prices, int(np.ceil(most)))] -= np.sign(beyond)
    point = moves_lib.Point(point.instance, counts)
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
  is_tight = instance.budget.beyond(wanted.sum() + len(rows)) != 0
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
