"""Labels in other forms than a column each: names, indices and lists in one.

What no setting says is not guessed: a form that is recognised is named, with
the settings that read it.
"""

from __future__ import annotations

import ast
import collections
import json
import re
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import codes
from aubal_jax.datasets import dataset
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import table

WHOLE = 'none'  # The separator where a cell is one name.
_FEW = 3  # Numbers: fewer are slips, not scores.
_SEPARATORS = ('|', ';', ',', ' ')  # That are looked for, in this order.
_NOTHING = re.compile(
  r'(no|none|nothing|normal|negative|background|n/?a|null|empty)'
  r'([ _-]?(findings?|labels?|class|tags?))?',
  re.I,
)
_NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?', re.I)
_LETTER = re.compile(r'[^\W\d_]')


def parse_names(
  rows: table.Table,
  name: str,
  *,
  separator: str = '',
  none_names: Sequence[str] = (),
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
  """Converts a column in which a cell holds the names of a row's labels.

  A cell that is a list of Python or JSON is read as such: of names, or of
  numbers, which then are the names. A blank cell holds no name.

  Args:
    rows: the table, N rows.
    name: of the column.
    separator: between names; white space is any of it; WHOLE: a cell is one
      name; '': as WHOLE, but a cell that may hold several is an error.
    none_names: words, in any case, for "no label".

  Returns:
    uint8[N, L] labels, L names, in order (numbers by value), and notes.

  Raises:
    UserError: a cell is a damaged list, may hold several names, or has a word
      for "no label" beside names; or there is no name.
  """
  column = rows.column(name, 'data.label_column')
  nothing = {word.strip().casefold() for word in none_names}
  lists = _split_cells(rows, name, column.values, separator)
  _check_nothing(rows, name, lists, nothing)
  lists = [[n for n in cell if n.casefold() not in nothing] for cell in lists]
  names = sorted({n for cell in lists for n in cell}, key=by_value)
  if not names:
    raise errors.UserError(
      f'{rows.header}: the column {name!r} (data.label_column) names no label '
      'in any row. Name the right column.'
    )
  position = {n: k for k, n in enumerate(names)}
  of_cell = np.zeros((len(lists), len(names)), np.uint8)
  for code, cell in enumerate(lists):
    of_cell[code, [position[n] for n in cell]] = 1
  notes = (*_alike_notes(names), *_nothing_notes(names, of_cell))
  return of_cell[column.codes], tuple(names), notes


def _split_cells(rows, name, cells, separator) -> list[list[str]]:
  """Returns the names in each of the distinct cells."""
  lists = [_list_of(cell) for cell in cells]
  damaged = [c for c, found in enumerate(lists) if found is None]
  if damaged:
    raise rows.cell_error(
      name,
      damaged,
      "A list is written as in Python or JSON, ['a', 'b'] or [0, 1]. Correct "
      'it.',
    )
  plain = [c for c, found in enumerate(lists) if found == ()]
  marks = [m for m in _SEPARATORS if any(m in cells[c] for c in plain)]
  if marks and not separator:
    several = [c for c in plain if marks[0] in cells[c]]
    raise rows.cell_error(
      name,
      several,
      f'Are these several names? Set data.separator={marks[0]!r}, or '
      f'data.separator={WHOLE} if a cell is one name.',
    )
  for c in plain:
    lists[c] = _split(cells[c], separator)
  return [[*found] for found in lists]


def _split(cell: str, separator: str) -> list[str]:
  if not codes.normal(cell):
    return []
  if separator in ('', WHOLE):
    return [cell]
  parts = cell.split() if not separator.strip() else cell.split(separator)
  return [part.strip() for part in parts if part.strip()]


def _list_of(cell: str):
  """Returns the names in a list; () where it is none, None if damaged."""
  if not (cell[:1] in '[({' and cell[-1:] in '])}' and len(cell) > 1):
    return ()
  try:
    found = json.loads(cell)
  except (ValueError, RecursionError):
    try:
      found = ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
      return None if cell[0] == '[' else ()
  if not isinstance(found, (list, tuple, set)):
    return None
  if not all(type(one) in (str, int) for one in found):
    return None
  return [str(one).strip() for one in found if str(one).strip()]


def _check_nothing(rows, name, lists, nothing):
  """Raises UserError where a word for "no label" stands beside names."""
  wrong = [
    c
    for c, cell in enumerate(lists)
    if {n.casefold() for n in cell} & nothing
    and {n.casefold() for n in cell} - nothing
  ]
  if wrong:
    raise rows.cell_error(
      name,
      wrong,
      'A word of data.none_names says that there is no label, and others '
      'stand beside it. Correct the cell, or data.none_names.',
    )


def by_value(name: str):
  """Returns a key by which numbers come before names, by their value."""
  is_number = re.fullmatch(r'\d{1,18}', name) is not None
  return (not is_number, int(name) if is_number else 0, name)


def _alike_notes(names) -> tuple[str, ...]:
  """Returns a warning on names that differ in case alone."""
  alike = collections.defaultdict(list)
  for name in names:
    alike[name.casefold()].append(name)
  told = [' and '.join(map(repr, some)) for some in alike.values() if some[1:]]
  if not told:
    return ()
  return (
    f'{dataset.WARNING}labels differ in case alone: '
    f'{text.listing(told, text.SHOWN)}. Are they the same?',
  )


def _nothing_notes(names, of_cell) -> tuple[str, ...]:
  """Returns a warning on names that look like "no label", always alone."""
  sizes = of_cell.sum(1)
  alone = of_cell[sizes == 1].any(0) & ~of_cell[sizes > 1].any(0)
  return tuple(
    f'{dataset.WARNING}{name!r} is read as a label. If it means that there is '
    f'none: --config.data.none_names={name!r}'
    for name, is_alone in zip(names, alone, strict=True)
    if is_alone and _NOTHING.fullmatch(name)
  )


def hint(rows: table.Table, names: Sequence[str]) -> str:
  """Returns a sentence on the form that columns have which hold no codes.

  Args:
    rows: the table.
    names: of the columns that should be labels.
  """
  for name in names:
    column = rows.columns[name]
    values = [v for v in column.values if codes.normal(v)]
    if values and not any(v.startswith('<') for v in values):
      told = _tell_form(name, values, len(column.values) < len(rows))
      if told:
        return f'The column {name!r} holds {told}. '
  return ''


def _tell_form(name, values, repeats) -> str:
  """Returns what cells hold and how it is read; '' for codes, or a riddle.

  Args:
    name: of their column.
    values: its distinct cells that are not blank.
    repeats: whether a cell stands in several rows.
  """
  use = f'data.label_column={name}'
  if all(_list_of(value) not in ((), None) for value in values):
    return f'lists: set {use}'
  marks = [m for m in _SEPARATORS if any(m in value for value in values)]
  if marks and all(re.fullmatch(r'[\d ,;|]+', value) for value in values):
    return f'indices: set {use} and data.separator={marks[0]!r}'
  if all(_NUMBER.fullmatch(value) for value in values):
    others = {*map(codes.normal, values)} - {*codes.UNKNOWN_CODES, '0', '1'}
    if len(others) < _FEW:
      return ''
    return (
      'numbers: if they are scores or intensities, set data.threshold to the '
      'least that means present; if features, name data.feature_columns'
    )
  if not (repeats or marks) or not any(map(_LETTER.search, values)):
    return ''
  separator = repr(marks[0]) if marks else WHOLE
  return f'names: set {use} and data.separator={separator}'
