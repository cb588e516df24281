"""How results show themselves: a few lines, a small table in a notebook."""

from __future__ import annotations

import html
import importlib
import sys
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from aubal_jax.runs import extras

LINES = 10  # Of a repr, at most.
_ROWS = 20  # Of a table in a notebook.


class Shown:
  """What has a heading and a table: it shows as both, and as a data frame."""

  def _heading(self) -> str:
    """Returns what it is, in a line."""
    raise NotImplementedError

  def _num_rows(self) -> int:
    """Returns how many rows its table has."""
    raise NotImplementedError

  def _columns(self, most: int | None = None) -> Mapping[str, Sequence]:
    """Returns the columns of its table, or of its first rows."""
    raise NotImplementedError

  def __repr__(self) -> str:
    """Returns at most `LINES` lines: the heading, and rows of the table."""
    fits = self._num_rows() <= LINES - 2
    shown = self._num_rows() if fits else LINES - 3
    lines = _aligned(self._columns(shown))
    if not fits:
      lines.append(f'... and {self._num_rows() - shown:,} more')
    return '\n'.join([self._heading(), *(f'  {line}' for line in lines)])

  def _repr_html_(self) -> str:
    """Returns the heading and the table, for a notebook."""
    columns = self._columns(_ROWS)
    num_rows = self._num_rows()
    head = ''.join(f'<th>{html.escape(name)}</th>' for name in columns)
    body = ''.join(
      f'<tr>{"".join(f"<td>{html.escape(_cell(c))}</td>" for c in row)}</tr>'
      for row in zip(*columns.values(), strict=True)
    )
    more = f'<p>and {num_rows - _ROWS:,} more</p>' if num_rows > _ROWS else ''
    return (
      f'<p>{html.escape(self._heading())}</p><table><thead><tr>{head}</tr>'
      f'</thead><tbody>{body}</tbody></table>{more}'
    )

  def to_frame(self) -> Any:
    """Returns the whole table as a `pandas.DataFrame`.

    Raises:
      UserError: pandas is not installed (extra `frames`).
    """
    extras.need('pandas', f'{type(self).__name__}.to_frame()')
    pandas = importlib.import_module('pandas')
    return pandas.DataFrame(dict(self._columns()))


def _aligned(columns: Mapping[str, Sequence]) -> list[str]:
  """Returns a table with its head as lines, the first column to the left."""
  rows = zip(*columns.values(), strict=True)
  table = [list(columns), *([_cell(c) for c in row] for row in rows)]
  widths = [max(map(len, column)) for column in zip(*table, strict=True)]
  return [
    '  '.join(
      cell.rjust(width) if k else cell.ljust(width)
      for k, (cell, width) in enumerate(zip(row, widths, strict=True))
    ).rstrip()
    for row in table
  ]


def _cell(value) -> str:
  if isinstance(value, (str, bool)):
    value = str(value)
    return value if len(value) <= 40 else f'{value[:37]}...'
  if isinstance(value, float):
    return f'{value:.4g}'
  return f'{value:,}' if isinstance(value, int) else str(value)


def axes(title: str, **options) -> Any:
  """Returns matplotlib's axes of a new figure.

  In IPython the figure is one of pyplot, which shows it below the cell; else it
  is nobody's, and goes when its axes go.

  Args:
    title: of the axes.
    **options: of `matplotlib.figure.Figure`.

  Raises:
    UserError: matplotlib is not installed (extra `plot`).
  """
  extras.need('matplotlib', 'plot()')
  ipython = sys.modules.get('IPython')
  if ipython and ipython.get_ipython():
    make = importlib.import_module('matplotlib.pyplot').figure
  else:
    make = importlib.import_module('matplotlib.figure').Figure
  figure = make(layout='constrained', **options)
  made = figure.add_subplot()
  made.set_title(title)
  return made
