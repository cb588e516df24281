"""Checks of what is given beside a table: numbers, rows, names, seeds."""

from __future__ import annotations

import numbers

import numpy as np

from aubal_jax.runs import errors

_MOST = np.iinfo(np.int64).max


def numbers_of(name: str, given) -> np.ndarray:
  """Returns what was given as float64 of its shape.

  Raises:
    UserError: an entry is no real number: a text, a truth value, None, a
      missing one.
  """
  try:
    found = np.ma.asanyarray(given)
    if np.ma.is_masked(found):
      raise TypeError('A cell is masked.')
    found = np.asarray(found)
    if found.dtype == object:
      if not all(map(_is_number, found.flat)):
        raise TypeError('An entry is no number.')
    elif found.dtype.kind not in 'iuf' and found.size:
      raise TypeError(f'It is {found.dtype}.')
    return found.astype(np.float64)
  except (TypeError, ValueError, OverflowError) as error:
    raise errors.UserError(
      f'{name} must be numbers, none missing; it is {given!r}.'
    ) from error


def _is_number(entry) -> bool:
  return isinstance(entry, numbers.Real) and not isinstance(entry, bool)


def whole_numbers(name: str, given, *, least: int, below: float) -> np.ndarray:
  """Returns what was given as int64[N].

  Raises:
    UserError: it has not one axis, or an entry is not whole, or not from
      `least` to below `below`.
  """
  found = numbers_of(name, given)
  if found.ndim != 1:
    raise errors.UserError(
      f'{name} must be a list of whole numbers; its shape is {found.shape}.'
    )
  good = (found >= least) & (found < below) & (found == np.floor(found))
  if not good.all():
    raise errors.UserError(
      f'{name} must be whole numbers from {least} to below {below:,.0f}; found '
      f'{found[~good][0]:g} at {int(np.argmin(good))}.'
    )
  return found.astype(np.int64)


def checked_rows(rows, num_rows: int) -> np.ndarray:
  """Returns the rows' numbers in a larger table, int[N]; None: 0 ... N - 1."""
  rows = np.arange(num_rows) if rows is None else rows
  try:
    rows = np.asarray(rows)
  except ValueError:  # Of different lengths.
    rows = np.asarray(None)
  if rows.shape == (num_rows,) == (0,):
    return rows.astype(np.int64)
  if rows.shape != (num_rows,) or rows.dtype.kind not in 'iu':
    raise errors.UserError(
      f'rows must be whole numbers, one for each row of labels: {num_rows}; it '
      f'is {rows.dtype}{list(rows.shape)}.'
    )
  if rows.min() < 0 or rows.max() > _MOST:
    raise errors.UserError(
      f'rows must be from 0 to {_MOST}; they are from {rows.min()} to '
      f'{rows.max()}.'
    )
  return rows


def checked_names(names, num_labels: int | None = None) -> tuple[str, ...]:
  """Returns the names of labels, as many as there are or none.

  Raises:
    UserError: they are no texts, or not so many.
  """
  try:
    good = not isinstance(names, str | bytes)
    good = good and (num_labels is None or len(names) in (0, num_labels))
    found = tuple(names) if good else ()
    good = good and all(isinstance(name, str) for name in found)
  except TypeError:
    good = False
  if not good:
    every = '' if num_labels is None else f' all {num_labels}'
    raise errors.UserError(
      f'label_names must be the names of{every} labels, or (); it is {names!r}.'
    )
  return found


def check_seed(seed) -> None:
  """Raises UserError unless seed is a whole number from 0, or a Generator."""
  if isinstance(seed, np.random.Generator):
    return
  whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
  if not whole or seed < 0:
    raise errors.UserError(
      f'seed must be a whole number, at least 0; it is {seed!r}.'
    )
