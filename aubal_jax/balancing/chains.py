"""Chains of a few moves: the best one, while there is one that gains.

A chain of one up and one down is what there is at a full budget. All moves are
priced once a round, and within the round those that came out best.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from aubal_jax.balancing import moves as moves_lib

_ROUNDS = 8
_CHAINS = 250  # Of moves, made in a round.
_BEAM = 256  # Chains that are made longer, at most.
_CANDIDATES = 4096  # Moves of either sign that a round may use,
_SHORT_LIST = 1024  # of which the cheapest are for so many chains.
_CHAINS_OF_A_LIST = 25
# Class terms evaluated to make chains one move longer, and moves of a chain;
# the second where the first finds none.
_EFFORTS = ((1 << 14, 2), (1 << 18, 4))


def search(moves, point, goal) -> moves_lib.Point:
  """Makes chains of moves, in rounds, until f + cost meets `goal` or stays."""
  instance = point.instance
  for _ in range(_ROUNDS):
    level = point.priced()
    candidates, num_chains = _cheap(moves, point, _CANDIDATES), 0
    found = moves_lib.Point(instance, point.counts.copy())
    tiny = 1e-10 * max(1.0, abs(level))
    for effort in _EFFORTS:  # The second makes what the first makes, and more.
      made = True
      while made and num_chains < _CHAINS:
        near, made = _cheap(candidates, found, _SHORT_LIST), 0
        most = min(_CHAINS_OF_A_LIST, _CHAINS - num_chains)
        while made < most and _make_chain(near, found, tiny, *effort):
          made += 1
        num_chains += made
    # Sums without their errors.
    found = moves_lib.Point(instance, found.counts)
    reached = found.priced()
    if reached < level:
      point = found
    if reached < goal or level - reached < 1e-6 * instance.unit(level):
      break
    if candidates is moves and num_chains < _CHAINS:
      break  # All moves were tried.
  return point


def _cheap(moves, point, number) -> moves_lib.Moves:
  """Returns the moves of the labelsets that are cheapest to move either way."""
  if len(moves.rows) <= number:
    return moves
  places = [moves_lib.smallest(price, number) for price in moves.prices(point)]
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
  spent = -moves_lib.terms_of(instance, x).sum(axis=1)
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
      beyond = np.abs(instance.budget.beyond(point.images + images))
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
    drifted = moves_lib.terms_of(instance, x + self.drifts)
    gained = moves_lib.terms_of(instance, x + self.owns) - drifted
    levels = [
      gained[:, kind] @ patterns for kind, patterns in enumerate(self.patterns)
    ]
    return np.hstack(levels) + drifted.sum(axis=2)[:, self.kind]


def _cheapest(moves, point, terms) -> _Few:
  """Returns the cheapest moves, as many as `terms` class terms allow."""
  instance, prices = point.instance, moves.prices(point)
  number = int(np.sqrt(terms / max(len(point.x), 1)) / 2)
  number = min(max(number, 4), 128)
  places = [moves_lib.smallest(price, number) for price in prices]
  kinds = np.repeat([0, 1], [len(of_sign) for of_sign in places])
  places = np.concatenate(places)
  kind = 2 * moves.group[places] + kinds
  order = np.argsort(kind, kind='stable')
  order = order[np.isfinite(prices[kinds, places])[order]]
  kinds, places, kind = kinds[order], places[order], kind[order]
  signs, patterns = moves_lib.SIGNS[kinds][:, None], moves.patterns_of(places)
  drift = -signs * moves.drift[moves.group[places]]
  own = drift + signs * instance.weights
  steps = np.where(patterns > 0, own, drift)
  after = moves_lib.terms_of(instance, point.x + steps).sum(axis=1)
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
    rest=alone - (after - moves_lib.terms_of(instance, point.x).sum()),
    kind=np.cumsum(is_new) - 1,
    drifts=drift[first],
    owns=own[first],
    patterns=[patterns[i:j].T for i, j in itertools.pairwise(ends)],
  )


def _longer(chains, change, number) -> tuple:
  """Returns the best chains of one move more: which, by which move, and all."""
  length = chains.shape[1] + 1  # A chain is found once for each order.
  places = moves_lib.smallest(change.ravel(), number * length)
  places = places[np.isfinite(change.ravel()[places])]
  first, last = np.divmod(places, change.shape[1])
  longer = np.sort(np.column_stack([chains[first], last]), axis=1)
  # At most 4 of 256 moves: a chain is one number.
  _, once = np.unique(
    longer @ change.shape[1] ** np.arange(length), return_index=True
  )
  once = np.sort(once)[:number]
  return first[once], last[once], longer[once]
