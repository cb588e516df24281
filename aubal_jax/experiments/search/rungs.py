"""Successive halving: how many cells train how long, and which go on.

Jamieson & Talwalkar 2016 (arXiv 1502.07943); with the rungs of Li et al. 2018
(arXiv 1603.06560). A cell that goes on does so from its own checkpoint, so a
rung costs the steps that it adds.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence


class Rung(typing.NamedTuple):
  """So many cells are trained up to so many steps."""

  num_cells: int
  num_steps: int


def make_rungs(num_cells: int, num_steps: int, *, eta: int) -> list[Rung]:
  """Returns the rungs, the last of which trains `num_steps`.

  Of K + 1 rungs the k-th, from 0, trains num_steps / eta^(K - k) steps and
  keeps 1 / eta of the cells of that before, both rounded up. K is as small
  as leaves eta cells or fewer to the last, so that the best is the best of
  several whole trainings; smaller where the first came to less than a step.

  Args:
    num_cells: of the grid, at least 1.
    num_steps: of a whole training, at least 1.
    eta: 0 or 1: one rung, of all cells: the full grid.
  """
  counts = [num_cells]
  while 1 < eta < counts[-1] and eta ** len(counts) <= num_steps:
    counts.append(-(-counts[-1] // eta))
  return [
    Rung(count, -(-num_steps // eta**later))
    for later, count in zip(reversed(range(len(counts))), counts, strict=True)
  ]


def total_steps(rungs: Sequence[Rung]) -> int:
  """Returns the optimiser steps of all cells together."""
  return sum(steps_left(rungs, k) for k in range(len(rungs)))


def steps_left(rungs: Sequence[Rung], place: int) -> int:
  """Returns the steps that the rung at `place` adds, of its cells together."""
  done = rungs[place - 1].num_steps if place else 0
  return rungs[place].num_cells * (rungs[place].num_steps - done)


def promote(cells: Sequence, scores: Sequence, num_cells: int) -> list:
  """Returns the cells that go on, in the order in which they are given.

  Args:
    cells: of a rung.
    scores: of each of them, more is better; None: it failed, and stays.
    num_cells: how many go on, or fewer where fewer have a score; of equals the
      first.
  """
  order = [i for i, score in enumerate(scores) if score is not None]
  order.sort(key=lambda i: -scores[i])
  return [cells[i] for i in sorted(order[:num_cells])]
