"""What a network may learn of a row: targets, of three kinds."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import text

# kind -> dtype and number of axes of its values.
KINDS = types.MappingProxyType(
  {
    'binary': (np.dtype(np.uint8), 2),
    'class': (np.dtype(np.int16), 1),
    'real': (np.dtype(np.float32), 2),
  }
)

MOST_CLASSES = int(np.iinfo(np.int16).max)


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
    if self.kind == 'class' and not 2 <= len(self.names) <= MOST_CLASSES:
      raise errors.UserError(
        f'A class target has 2 to {MOST_CLASSES:,} classes, or nothing is to '
        f'be learnt; this one has {len(self.names):,}: '
        f'{text.listing(self.names, text.SHOWN) or "none"}.'
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

  @property
  def rows_known(self) -> np.ndarray:
    """bool[N], the rows of which anything is known."""
    return self.known if self.kind == 'class' else self.known.any(axis=1)

  def where(self, rows: np.ndarray) -> Target:
    """Returns the target known in no rows but those of bool[N]."""
    known = self.known & _beside(rows, self.known)
    return dataclasses.replace(
      self,
      values=np.where(known, self.values, self.values.dtype.type(0)),
      known=known,
    )


def of_codes(codes: np.ndarray, names: Sequence[str]) -> Target:
  """Returns the 'class' target of int[N] codes, -1 where unknown."""
  codes = np.asarray(codes)
  known = codes >= 0
  values = np.where(known, codes, 0).astype(np.int16)
  return Target('class', values, known, tuple(names))


def of_numbers(
  numbers: np.ndarray, names: Sequence[str], low: float, high: float
) -> Target:
  """Returns the 'real' target of float[N, D] numbers, NaN where unknown."""
  known = ~np.isnan(numbers)
  values = np.where(known, numbers, 0).astype(np.float32)
  return Target('real', values, known, tuple(names), low, high)


def stack(parts: Mapping[str, Target | None], sizes: Sequence[int]) -> Target:
  """Returns a target of several sets, one below the other.

  Columns and classes go by their names: it has all of them, in the order in
  which sets first name them, and what a set does not have is unknown there.

  Args:
    parts: name of set -> its target; None where it has none, though one has.
    sizes: rows of each set.

  Raises:
    UserError: two sets have it in another kind or range.
  """
  held = {name: part for name, part in parts.items() if part is not None}
  (first, one), *others = held.items()
  for name, other in others:
    forms = [(part.kind, part.low, part.high) for part in (one, other)]
    if forms[0] != forms[1]:
      raise errors.UserError(
        f'{first} and {name} have one target in two forms: {describe(one)}, '
        f'and {describe(other)}. Give it the same kind and range in both, or '
        'another name.'
      )
  names = tuple(dict.fromkeys(n for part in held.values() for n in part.names))
  widened = [
    _widen(part, one.kind, names, size)
    for part, size in zip(parts.values(), sizes, strict=True)
  ]
  values, known = (
    np.concatenate(arrays) for arrays in zip(*widened, strict=True)
  )
  return dataclasses.replace(one, values=values, known=known, names=names)


def _widen(part, kind, names, size) -> tuple[np.ndarray, np.ndarray]:
  """Returns values and known of a set, or of none, over all the names."""
  dtype, num_axes = KINDS[kind]
  shape = (size, len(names))[:num_axes]
  if part is None:
    return np.zeros(shape, dtype), np.zeros(shape, bool)
  place = np.array([names.index(name) for name in part.names], np.int64)
  if kind == 'class':
    moved = place.astype(dtype)[part.values]
    return np.where(part.known, moved, dtype.type(0)), part.known
  values, known = np.zeros(shape, dtype), np.zeros(shape, bool)
  values[:, place], known[:, place] = part.values, part.known
  return values, known


def stack_all(
  parts: Mapping[str, Mapping[str, Target]], sizes: Sequence[int]
) -> dict[str, Target]:
  """Returns name -> target of several sets, see `stack`.

  Args:
    parts: name of set -> its targets.
    sizes: rows of each set.

  Raises:
    UserError: two sets have one in another kind or range.
  """
  names = dict.fromkeys(name for part in parts.values() for name in part)
  return {
    name: stack({s: part.get(name) for s, part in parts.items()}, sizes)
    for name in names
  }


def pool(target: Target, number: np.ndarray, size: int) -> Target:
  """Returns a target of rows that are made one, of what is known of them.

  Numbers are their mean; a class is that of most rows, of equals the first; a
  label is 1 where any row says so.

  Args:
    target: of N rows.
    number: int[N], which of the `size` new rows each of them is.
    size: how many there will be.
  """
  table = to_binary(target) if target.kind == 'class' else target
  shape = size, table.values.shape[1]
  sums, counts = np.zeros(shape), np.zeros(shape)
  np.add.at(sums, number, table.values)
  np.add.at(counts, number, table.known)
  known = counts > 0
  if target.kind == 'class':
    known = known.any(axis=1)
    values = np.where(known, sums.argmax(axis=1), 0)
  elif target.kind == 'real':
    values = np.clip(sums / np.maximum(counts, 1), target.low, target.high)
    values = np.where(known, values, 0)
  else:
    values = sums > 0
  values = values.astype(target.values.dtype)
  return dataclasses.replace(target, values=values, known=known)


def describe(target: Target) -> str:
  """Returns in words what a target is."""
  size, names = len(target.names), ', '.join(target.names[: text.SHOWN])
  names += ', ...' if size > text.SHOWN else ''
  if target.kind == 'real':
    what = 'number' if size == 1 else 'numbers'
    return f'{size} {what} in [{target.low:g}, {target.high:g}] ({names})'
  what = 'label' if target.kind == 'binary' else 'class'
  plural = f'{what}es' if target.kind == 'class' else f'{what}s'
  return f'{size} {what if size == 1 else plural} ({names})'


def _beside(rows, known):
  """Returns bool[N] as the shape of `known` takes it."""
  return rows if known.ndim == 1 else rows[:, None]


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


def to_bins(target: Target, num_bins: int) -> Target:
  """Returns the 0/1 table of a real target: a column for each bin of a number.

  The bins of a number are as wide as each other, closed at their lower edge,
  the last at both: min(floor(num_bins (v - low) / (high - low) + 1e-4),
  num_bins - 1), so that a float32 tenth on an edge is above it.

  Args:
    target: real, of D numbers.
    num_bins: of each number.

  Returns:
    The binary target of D num_bins columns, those of a number side by side.
  """
  low, high, steps = target.low, target.high, np.arange(num_bins)
  part = (target.values.astype(np.float64) - low) / (high - low)
  place = np.floor(num_bins * part + 1e-4).clip(0, num_bins - 1)
  ones = (place[:, :, None] == steps) & target.known[:, :, None]
  edges = low + (high - low) / num_bins * steps
  return Target(
    'binary',
    ones.reshape(len(ones), -1).astype(np.uint8),
    np.repeat(target.known, num_bins, axis=1),
    tuple(f'{name} from {edge:.4g}' for name in target.names for edge in edges),
  )
