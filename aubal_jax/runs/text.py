"""Text for people: lists, quotes, and names that are nearly right."""

import difflib
import re
from collections.abc import Iterable

SHOWN = 5  # Things of a kind that a message spells out.


def listing(items: Iterable, shown: int = 2 * SHOWN) -> str:
  """Returns the first items and, where there are more, how many in all."""
  items = [str(item) for item in items]
  more = f', ... ({len(items)} in all)' if len(items) > shown else ''
  return ', '.join(items[:shown]) + more


def quote(cell: str) -> str:
  """Returns the text in quotes, cut where it is long."""
  return repr(f'{cell[:57]}...' if len(cell) > 60 else str(cell))


def first_line(error: Exception) -> str:
  """Returns the first line of an error; its type if it says nothing."""
  return (str(error) or type(error).__name__).splitlines()[0].rstrip('.')


def suggest(value, choices: Iterable) -> str:
  """Returns " Did you mean 'x'?" for the choice that is like `value`, else ''.

  Examples:
    >>> suggest('AU1', ['AU01', 'AU12'])
    " Did you mean 'AU01'?"
  """
  near = closest(value, choices)
  return f' Did you mean {near!r}?' if near else ''


def closest(value, choices: Iterable) -> str | None:
  """Returns the choice that is like `value`, or None.

  In any case, with '-' for '_', and without zeros ahead of a number.
  """
  folded = {}
  for choice in map(str, choices):
    folded.setdefault(_fold(choice), choice)
  near = difflib.get_close_matches(_fold(str(value)), folded, n=1)
  return folded[near[0]] if near else None


def _fold(name):
  name = name.casefold().replace('-', '_')
  return re.sub(r'(?<!\d)0+(?=\d)', '', name)


def multiples(number: int, share: int) -> str:
  """Returns in words the multiples of `share`, above 0, around a number."""
  below = number // share * share
  return f'{below} or {below + share}' if below > 0 else str(share)
