"""Blocks of classes, each evened out about a mean of its own.

Several targets in one table are several blocks of columns: the labels, the
classes of one target, the bins of a number. One common mean would pit classes
against bins, of which there are more, and even out neither. With blocks

  x_i = w_i (z_i - tau_i Z_b(i)),   Z_k = sum of z over block k,

tau is block-diagonal, and the shares of each block sum to 1. Nothing else
changes: the problem is convex and its certificate is what it was. In arrays
blocks are E, 0/1 [K, L]: which class is in which. Without blocks, or with a
single one of weight 1, all classes share one mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aubal_jax.runs import errors


class Block(NamedTuple):
  """Columns of a label table, one after the other, with a mean of their own.

  Attributes:
    size: how many columns.
    weight: of their deviations in the objective, above 0.
  """

  size: int
  weight: float = 1.0


def checked(blocks, num_labels: int) -> tuple[Block, ...] | None:
  """Returns blocks as `Block`s; None where all classes share one mean.

  Raises:
    UserError: they are no blocks of so many labels.
  """
  if blocks is None:
    return None
  try:
    found = tuple(Block(*block) for block in blocks)
    sizes = np.array([block.size for block in found], np.float64)
    weights = np.array([block.weight for block in found], np.float64)
  except (TypeError, ValueError) as error:
    raise errors.UserError(
      'blocks must be a sequence of (size, weight), one for each block of '
      f'columns; it is {blocks!r}.'
    ) from error
  whole = (sizes >= 1) & (sizes == np.floor(sizes))
  if not whole.all() or sizes.sum() != num_labels:
    raise errors.UserError(
      f'blocks must have whole sizes from 1 that sum to the {num_labels} '
      f'labels; they are {[block.size for block in found]}.'
    )
  if not ((weights > 0) & (weights < np.inf)).all():
    raise errors.UserError(
      'blocks must have finite weights above 0; they are '
      f'{[block.weight for block in found]}.'
    )
  if len(found) == 1 and found[0].weight == 1:
    return None
  return tuple(Block(int(block.size), float(block.weight)) for block in found)


def slices(blocks: Sequence[Block], present: np.ndarray) -> list[slice]:
  """Returns where the classes of each block are among those that occur.

  Args:
    blocks: of the whole table.
    present: int[L], ascending, the columns that occur.
  """
  ends = np.cumsum([0, *(block.size for block in blocks)])
  places = np.searchsorted(present, ends).tolist()
  return [*map(slice, places[:-1], places[1:])]


def matrix(parts: Sequence[slice], num_labels: int) -> np.ndarray:
  """Returns E float64[K, L], from `slices`."""
  found = np.zeros((len(parts), num_labels))
  for row, part in zip(found, parts, strict=True):
    row[part] = 1
  return found


def sums(blocks, values):
  """Returns [L, ...], for every class the sum of `values` over its block.

  Args:
    blocks: E float[K, L].
    values: float[L, ...].
  """
  return blocks.T @ (blocks @ values)
