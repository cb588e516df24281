"""Which rows of a table stay: a share of them, spread over groups and time."""

from __future__ import annotations

import bisect
import heapq
import math
import numbers

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.tables import arguments
from aubal_jax.tables import plan as plan_lib


def num_kept(share: float, num_rows: int) -> int:
  """Returns round(share N), the rows that a share keeps.

  Raises:
    UserError: the share is no number above 0 and at most 1, or keeps no row.
  """
  is_number = isinstance(share, numbers.Real) and not isinstance(share, bool)
  if not is_number or not 0 < share <= 1:  # NaN is neither.
    raise errors.UserError(
      'share must be a number above 0 and at most 1, a part of the rows; it is '
      f'{share!r}.'
    )
  kept = round(float(share) * num_rows)
  if not kept:
    raise errors.UserError(
      f'share must keep at least one row of labels; {share} of {num_rows:,} is '
      f'none. The least that keeps one is {rounded_up(1 / max(num_rows, 1))}.'
    )
  return kept


def rounded_up(share: float) -> float:
  """Returns the share with three digits, no smaller."""
  digits = 2 - math.floor(math.log10(share))
  return min(round(math.ceil(share * 10**digits) / 10**digits, digits), 1.0)


def checked_groups(groups, num_rows: int) -> np.ndarray | None:
  """Returns int64[N], the number of each row's group, by first appearance.

  Raises:
    UserError: they are not one for each row, or cannot be told apart.
  """
  if groups is None:
    return None
  try:
    groups = np.asarray(groups)
    names, first, number = np.unique(
      groups.astype(np.str_) if groups.dtype == object else groups,
      return_index=True,
      return_inverse=True,
    )
  except (TypeError, ValueError) as error:
    raise errors.UserError(
      f'groups must be the names or numbers of {num_rows:,} subjects or '
      f'videos, one for each row; they cannot be told apart ({error}).'
    ) from error
  if groups.shape != (num_rows,):
    raise errors.UserError(
      f'groups must name the subject or video of each row: {num_rows:,}; its '
      f'shape is {list(groups.shape)}.'
    )
  places = np.empty(len(names), np.int64)
  places[np.argsort(first)] = np.arange(len(names))
  return places[number]


def checked_frames(frames, num_rows: int) -> np.ndarray | None:
  """Returns float64[N], the rows' frames; UserError unless they are finite."""
  if frames is None:
    return None
  frames = arguments.numbers_of('frames', frames)
  if frames.shape != (num_rows,) or not np.isfinite(frames).all():
    raise errors.UserError(
      f'frames must be finite numbers, one for each row: {num_rows:,}; its '
      f'shape is {list(frames.shape)}'
      + ('.' if np.isfinite(frames).all() else ', and some are not finite.')
    )
  return frames


def thin(
  index: np.ndarray,
  counts: np.ndarray,
  groups: np.ndarray | None,
  frames: np.ndarray | None,
  rng: np.random.Generator,
) -> np.ndarray:
  """Returns int64[K], ascending: `counts[s]` rows of each labelset s.

  In each labelset groups take turns, in a drawn order, so that two groups
  differ by at most one row unless one has no more. Of a group those rows stay
  whose frames are far apart, or drawn ones where there are no frames.

  Args:
    index: int[N], the labelset of each row.
    counts: int[S], at most the rows that each has.
    groups: int64[N], the subject or the video of each row; None: one.
    frames: float64[N], when in its video a row is; None: neighbours are not
      known.
    rng: to draw from.
  """
  groups = np.zeros(len(index), np.int64) if groups is None else groups
  pair = index.astype(np.int64) * (groups.max(initial=0) + 1) + groups
  pair = np.unique(pair, return_inverse=True)[1]
  sizes = np.bincount(pair)
  turn = plan_lib.drawn_ranks(pair, sizes, rng)
  place = rng.permutation(len(sizes))[pair]
  order = np.lexsort((place, turn, index))
  starts = np.cumsum(np.bincount(index, minlength=len(counts)))
  starts = np.concatenate([[0], starts])
  ranks = np.arange(len(index)) - starts[index[order]]
  kept = np.zeros(len(index), bool)
  kept[order] = ranks < counts[index[order]]
  if frames is not None:
    _move_apart(kept, pair, sizes, frames, rng)
  return np.flatnonzero(kept)


def _move_apart(kept, pair, sizes, frames, rng) -> None:
  """Keeps as many rows of each labelset and group, but far apart; in place."""
  quota = np.bincount(pair[kept], minlength=len(sizes))
  order = np.lexsort((frames, pair))
  starts = np.cumsum(sizes) - sizes
  first = rng.integers(sizes)
  for k in np.flatnonzero((quota > 1) & (quota < sizes)).tolist():
    rows = order[starts[k] : starts[k] + sizes[k]]
    chosen = farthest_first(frames[rows].tolist(), int(quota[k]), int(first[k]))
    kept[rows] = False
    kept[rows[chosen]] = True


def farthest_first(frames: list[float], number: int, first: int) -> list[int]:
  """Returns the places of some frames, each as far as can be from those before.

  The least distance between two of them is at least half of what any choice of
  so many has (Gonzalez 1985).

  Args:
    frames: ascending.
    number: how many are chosen, at most all.
    first: the place of the first one.

  Examples:
    >>> farthest_first([0, 1, 2, 3, 10], 3, 0)
    [0, 4, 3]
  """
  chosen, gaps = [first], []
  _add_gap(gaps, frames, -1, first)
  _add_gap(gaps, frames, first, len(frames))
  while len(chosen) < number:
    _, place, low, high = heapq.heappop(gaps)
    chosen.append(place)
    _add_gap(gaps, frames, low, place)
    _add_gap(gaps, frames, place, high)
  return chosen


def _add_gap(gaps, frames, low: int, high: int) -> None:
  """Adds the frames between two chosen ones to the heap, by their farthest.

  Args:
    gaps: heap of (minus the distance, the farthest, low, high).
    frames: ascending.
    low: place of a chosen frame; -1: there is none before.
    high: place of the next; len(frames): there is none.
  """
  if high - low < 2:
    return
  if low < 0:
    place, distance = 0, frames[high] - frames[0]
  elif high == len(frames):
    place, distance = high - 1, frames[-1] - frames[low]
  else:
    middle = (frames[low] + frames[high]) / 2
    place = bisect.bisect_left(frames, middle, low + 1, high - 1)
    distance = min(frames[place] - frames[low], frames[high] - frames[place])
    if place - 1 > low and frames[place - 1] - frames[low] >= distance:
      place -= 1
      distance = frames[place] - frames[low]
  heapq.heappush(gaps, (-distance, place, low, high))
