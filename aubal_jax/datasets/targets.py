"""What a network may learn of a row: targets, of three kinds."""

from __future__ import annotations

import dataclasses
import math
import types

import numpy as np

from aubal_jax.runs import errors

# kind -> dtype and number of axes of its values.
KINDS = types.MappingProxyType(
  {
    'binary': (np.dtype(np.uint8), 2),
    'class': (np.dtype(np.int16), 1),
    'real': (np.dtype(np.float32), 2),
  }
)


@dataclasses.dataclass(frozen=True)
class Target:
  """Values of N rows, and which of them are known.

  Attributes:
    kind: 'binary', any of L labels; 'class', one of C classes; or 'real', D
      numbers.
    values: uint8[N, L], 0 or 1; int16[N], which class; or float32[N, D]. 0
      where not known.
    known: bool, of the shape of values.
    names: of the L labels, the C classes or the D numbers, distinct.
    low: of 'real' values, the least there can be; else None.
    high: the largest.
  """

  kind: str
  values: np.ndarray
  known: np.ndarray
  names: tuple[str, ...]
  low: float | None = None
  high: float | None = None

  def __post_init__(self):
    if self.kind not in KINDS:
      raise errors.UserError(
        f'Unknown kind of target {self.kind!r}; choose one of {[*KINDS]}.'
      )
    values, known = self.values, self.known
    dtype, num_axes = KINDS[self.kind]
    if values.ndim != num_axes or values.dtype != dtype:
      raise errors.UserError(
        f'values must be {dtype}[{("N", "N, L")[num_axes - 1]}] for the kind '
        f'{self.kind}, not {values.dtype}{list(values.shape)}.'
      )
    if known.shape != values.shape or known.dtype != bool:
      raise errors.UserError(
        f'known must be bool{list(values.shape)} like values, not '
        f'{known.dtype}{list(known.shape)}.'
      )
    size = len(self.names) if num_axes == 1 else values.shape[1]
    if len(set(self.names)) != len(self.names) or len(self.names) != size:
      raise errors.UserError(
        f'names must be {size} distinct names, one for each column of values '
        f'or class, not {self.names}.'
      )
    self._check_range()

  def _check_range(self):
    """Raises UserError where a value cannot be."""
    low, high = self.low, self.high
    if self.kind != 'real':
      if (low, high) != (None, None):
        raise errors.UserError(
          f'low and high are of real targets; this one is {self.kind}.'
        )
      low, high = 0, 1 if self.kind == 'binary' else len(self.names) - 1
    elif low is None or high is None or not -math.inf < low < high < math.inf:
      raise errors.UserError(
        'A real target has a range: low and high must be numbers, low below '
        f'high, not {low} and {high}.'
      )
    values, known = self.values, self.known
    if not ((values >= low) & (values <= high))[known].all() or (
      values[~known].any()
    ):
      between = '0 or 1' if self.kind == 'binary' else f'in [{low}, {high}]'
      raise errors.UserError(
        f'values must be {between}, and 0 where not known.'
      )

  def __len__(self):
    return len(self.values)


def to_binary(target: Target) -> Target:
  """Returns the 0/1 table of a target, by which its rows are balanced.

  That of 'binary' is itself; that of 'class' has a column for each class, known
  where the class is.

  Raises:
    UserError: the target is 'real', which has none.
  """
  if target.kind == 'binary':
    return target
  if target.kind == 'real':
    raise errors.UserError(
      'Rows are balanced by labels or classes; a real target has neither.'
    )
  known = np.repeat(target.known[:, None], len(target.names), axis=1)
  ones = target.values[:, None] == np.arange(len(target.names))
  return Target('binary', (ones & known).astype(np.uint8), known, target.names)
