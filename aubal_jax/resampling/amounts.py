"""How many rows a fraction of the table is."""

from __future__ import annotations

FRACTION = 0.25  # Of Charte et al. 2015, where none is given.


def num_to_add(fraction: float | None, num_rows: int) -> int:
  """Returns round(fraction N); fraction None is .25."""
  return round((FRACTION if fraction is None else fraction) * num_rows)


def num_to_delete(fraction: float | None, num_rows: int) -> int:
  """Returns round(fraction N); fraction None is .25.

  Raises:
    ValueError: no row would be left.
  """
  number = num_to_add(fraction, num_rows)
  if number >= num_rows:
    raise ValueError(
      f'fraction must leave a row where rows are deleted; {fraction} of '
      f'{num_rows} rows are {number}.'
    )
  return number
