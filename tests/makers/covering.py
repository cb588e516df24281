"""Products too large for the short form: a part that covers, and the rest."""

import collections
import itertools

import pytest


def product(*axes, strength=2, where=lambda *values: True):
  """Returns the params of a product of axes; those beyond a cover are long.

  The cover, found greedily, has every combination of values of each `strength`
  axes at least once (2: pairwise), and the values of an axis evenly.

  Args:
    axes: sequences of values.
    strength: how many axes are covered together.
    where: whether values go together; the others are left out for good.
  """
  axes = [list(axis) for axis in axes]

  def values(row):
    return [axis[place] for axis, place in zip(axes, row, strict=True)]

  rows = list(itertools.product(*(range(len(axis)) for axis in axes)))
  rows = [row for row in rows if where(*values(row))]
  groups = list(itertools.combinations(range(len(axes)), strength))

  def parts(row):
    return {(group, *(row[axis] for axis in group)) for group in groups}

  missing = set().union(*map(parts, rows))
  used, cover = collections.Counter(), set()
  while missing:
    best = max(
      rows,
      key=lambda row: (
        len(parts(row) & missing),
        -sum(used[place] for place in enumerate(row)),
      ),
    )
    cover.add(best)
    missing -= parts(best)
    used.update(enumerate(best))
  return [
    pytest.param(*values(row), marks=() if row in cover else pytest.mark.long)
    for row in rows
  ]
