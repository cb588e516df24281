"""What a cell of a label column says, and how often each of them does.

Everywhere in this package cells are compared in one form: 1.0 is 1, True is
true, NaN is blank.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import re
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import table

ABSENT, PRESENT, UNKNOWN = range(3)  # As `Codes.parse` has them.
MEANINGS = ('absent', 'present', 'unknown')
PRESENT_CODES = ('1', 'true')
ABSENT_CODES = ('0', 'false')
UNKNOWN_CODES = ('', '-1', '9', '999')
_USUAL = (ABSENT_CODES, PRESENT_CODES, UNKNOWN_CODES)

# Code -> what it means ('present', ...) and how many cells hold it.
Counts = Mapping[str, tuple[str, int]]


@dataclasses.dataclass(frozen=True)
class Codes:
  """The cells there are in label columns, by what they mean.

  A code that one of these names, and another only by its default, is the
  first's: `Codes(absent=('0', '-1'))` takes -1 out of the unknown ones.

  Attributes:
    present: cells that mean 1.
    absent: cells that mean 0.
    unknown: cells that say nothing.
    threshold: above 0: numbers from there on mean 1, lesser ones 0, whatever
      `present` and `absent` say; of the codes only `unknown` counts.
  """

  present: Sequence[str] = PRESENT_CODES
  absent: Sequence[str] = ABSENT_CODES
  unknown: Sequence[str] = UNKNOWN_CODES
  threshold: float = 0.0

  @property
  def is_usual(self) -> bool:
    """Whether nobody said what codes mean."""
    return self == Codes()

  @functools.cached_property
  def meanings(self) -> dict[str, int]:
    """Cell, as compared, -> ABSENT, PRESENT or UNKNOWN.

    Raises:
      UserError: two of the settings name one code.
    """
    given = [
      [normal(code) for code in codes]
      for codes in (self.absent, self.present, self.unknown)
    ]
    own = [
      sorted(codes) != sorted(map(normal, usual))
      for codes, usual in zip(given, _USUAL, strict=True)
    ]
    meanings = {}
    for meaning in sorted(range(3), key=own.__getitem__):
      for code in given[meaning]:
        other = meanings.get(code, meaning)
        if other != meaning and own[other]:
          raise errors.UserError(
            f'data.{MEANINGS[other]}_codes and data.{MEANINGS[meaning]}_codes '
            f'both name {code!r}. Take it out of one of them.'
          )
        meanings[code] = meaning
    return meanings

  def meaning(self, cell: str) -> int | None:
    """Returns ABSENT, PRESENT or UNKNOWN; None for what is no code."""
    return self.meanings.get(normal(cell))

  def parse(
    self, rows: table.Table, names: Sequence[str], hint: str = ''
  ) -> tuple[np.ndarray, np.ndarray, Counts]:
    """Returns what the cells of label columns say.

    Args:
      rows: the table, N rows.
      names: of its L label columns.
      hint: of what else the cells may be, for the error, as a sentence.

    Returns:
      uint8[N, L] labels (0 where unknown), bool[N, L] known, and the counts.

    Raises:
      UserError: a column is not there, a cell is no code, or a code of unknown
        stands amid numbers that are none.
    """
    read = self.meanings.get
    if self.threshold:
      read = self._of_number
      self._check_numbers(rows, names)
    cells = rows.parse(
      names,
      'data.label_columns',
      lambda cell: read(normal(cell)),
      np.uint8,
      f'{hint}{self._rule()}',
    )
    labels = (cells == PRESENT).astype(np.uint8)
    return labels, cells != UNKNOWN, self._count(rows, names, read)

  def _of_number(self, cell: str) -> int | None:
    if self.meanings.get(cell) == UNKNOWN:
      return UNKNOWN
    value = _number(cell)
    return None if value is None else int(value >= self.threshold)

  def _rule(self) -> str:
    if self.threshold:
      return (
        'With data.threshold a label is a number, or one of '
        f'data.unknown_codes {tuple(self.unknown)!r}. Correct the cell, or '
        'add it there.'
      )
    return (
      f'A label is one of data.present_codes {tuple(self.present)!r}, '
      f'data.absent_codes {tuple(self.absent)!r} or data.unknown_codes '
      f'{tuple(self.unknown)!r}. Correct the cell, add it to the codes, or '
      'leave the column out (data.exclude_columns).'
    )

  def _count(self, rows, names, read) -> Counts:
    """Returns how many cells hold each code, absent first."""
    counts = collections.Counter()
    for name in names:
      column = rows.columns[name]
      found = np.bincount(column.codes, minlength=len(column.values))
      for cell, count in zip(column.values, found.tolist(), strict=True):
        if count:  # A column need not hold all of its values.
          counts[normal(cell)] += count
    named = collections.Counter()
    for cell, count in counts.items():
      meaning = read(cell)
      code = cell
      if self.threshold and meaning != UNKNOWN:
        side = 'from' if meaning == PRESENT else 'below'
        code = f'{side} {self.threshold:g}'
      named[meaning, code] += count
    return {
      code: (MEANINGS[meaning], count)
      for (meaning, code), count in sorted(named.items())
    }

  def _check_numbers(self, rows, names):
    """Raises UserError where a code of unknown lies amid other numbers."""
    unknown = [c for c, m in self.meanings.items() if m == UNKNOWN]
    cells = {
      normal(cell)
      for name in names
      for cell in rows.column(name, 'data.label_columns').values
    }
    numbers = [_number(cell) for cell in cells - {*unknown}]
    numbers = [number for number in numbers if number is not None]
    for code in cells & {*unknown}:
      value = _number(code)
      if value is not None and numbers and min(numbers) < value < max(numbers):
        raise errors.UserError(
          f'{rows.path}: {code} is one of data.unknown_codes, and the labels '
          f'hold numbers from {min(numbers):g} to {max(numbers):g}: it may be '
          'one of them. Set data.unknown_codes to what means unknown here, '
          "such as ''."
        )


def normal(cell) -> str:
  """Returns the cell as compared: 1.0 is 1, True is true, NaN is blank."""
  cell = str(cell).strip().casefold()
  if cell == 'nan':
    return ''
  return re.sub(r'^([+-]?\d+)\.0*$', r'\1', cell)


def _number(cell: str) -> float | None:
  """Returns the finite number that a cell holds, or None."""
  try:
    value = float(cell)
  except ValueError:
    return None
  return value if math.isfinite(value) else None


def describe(counts: Counts) -> str:
  """Returns the counts in words: '0 = absent (12), 1 = present (8)'."""
  return text.listing(
    f'{_said(code, meaning)} ({count:,})'
    for code, (meaning, count) in counts.items()
  )


def _said(code: str, meaning: str) -> str:
  """Returns '0 = absent'; of labels that are no cells the meaning alone."""
  return meaning if code == meaning else f'{code or "blank"} = {meaning}'


def as_json(counts: Counts) -> dict[str, dict]:
  """Returns code -> what it `means`, and how many `cells` hold it."""
  return {
    code: {'means': meaning, 'cells': count}
    for code, (meaning, count) in counts.items()
  }


def hints(counts: Counts) -> tuple[str, ...]:
  """Returns what the codes may mean instead, where nobody said it.

  Such tables are 1 and blank, where blank is more likely absent, and 1, -1 and
  0, where -1 is absent and 0 unknown (VOC).
  """
  number = {code: count for code, (_, count) in counts.items()}
  others = {code for code, (said, _) in counts.items() if said != 'present'}
  if others == {''}:
    return (
      f'Blank is the only other code ({number[""]:,} cells) and is read as '
      "unknown. If it means absent: --config.data.absent_codes=\"('0','')\"",
    )
  if number.get('-1', 0) > number.get('0', 0):
    zero = ''
    if number.get('0'):
      zero = ' --config.data.unknown_codes=0'
    return (
      f'-1 ({number["-1"]:,} cells) is read as unknown, and is commoner than 0 '
      f'({number.get("0", 0):,}). If -1 means absent: '
      f'--config.data.absent_codes=-1{zero}',
    )
  return ()
