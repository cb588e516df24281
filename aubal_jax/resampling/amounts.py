"""How many rows a fraction of the table is."""

from __future__ import annotations

from aubal_jax.runs import errors

FRACTION = 0.25  # Of Charte et al. 2015, where none is given.


def num_to_add(fraction: float | None, num_rows: int) -> int:
  """Returns round(fraction N); fraction None is .25."""
  return round((FRACTION if fraction is None else fraction) * num_rows)


def num_to_delete(fraction: float | None, num_rows: int) -> int:
  """Returns round(fraction N), but a row less than N; fraction None is .25.

  Raises:
    UserError: no row would be left.
  """
  if fraction is not None and fraction >= 1:
    raise errors.UserError(
      f'fraction must be below 1 where rows are deleted; it is {fraction}.'
    )
  return min(num_to_add(fraction, num_rows), num_rows - 1)
