"""Facial action units (AUs) and what they are called.

Source: Ekman and Friesen, Facial Action Coding System (1978), for the numbers;
Rieger, Pahl, Seuss (FG 2020, arXiv 2003.08751) for the choice and the order.
"""

from collections.abc import Iterable


def names(numbers: Iterable[int]) -> tuple[str, ...]:
  """Returns what action units are called: 'AU01' for 1."""
  return tuple(f'AU{number:02d}' for number in numbers)


# Those the paper detects: inner and outer brow raiser, brow lowerer, cheek
# raiser, lip corner puller and depressor, lip stretcher, lips part.
CODES = names((1, 2, 4, 6, 12, 15, 20, 25))
