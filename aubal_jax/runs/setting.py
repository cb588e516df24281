"""What a setting is: one declaration, and the check of a value by it."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import math
import numbers
import os
from collections.abc import Callable
from collections.abc import Iterable

from aubal_jax.runs import errors
from aubal_jax.runs import text as text_lib

_INT32 = 2**31 - 1  # In which steps and rows are counted.
_LARGEST = 1e30  # Whose square is finite as well.


@dataclasses.dataclass(frozen=True)
class Setting:
  """A setting: the one place where all that holds for it is said.

  Its type is that of `default`: bool, int, float (a whole number will do),
  str, or a tuple. Choices and range are those of the value, of each value
  where it is a tuple.

  Attributes:
    name: 'section.key', or 'key' alone.
    default: what it is where nobody says otherwise.
    meaning: what it does, with its unit; for people.
    read_by: the stages whose result depends on it, and which pin it.
    may_grow: a larger value goes on from where a smaller one ended.
    before: what it was before there was such a setting, in folders that do not
      know it; None: as the default.
    choices: the values there are; (): any.
    registry: 'module:NAME', a mapping or tuple of the choices, where importing
      it takes libraries that not everybody has.
    importable: 'package.module:Name', of the user's, is a value as well.
    least: the value is at least that; None: no bound. Likewise `above` (and
      not equal), `most` (a number, or what returns one) and `below`.
    infinite: inf is a value as well, above `most`: no bound.
    each: type of the values of a tuple: str, int or float.
    listed: the text 'a,b' in a tuple is two values.
    pair: the tuple is (low, high), 0 <= low <= high.
    option: the method and its argument, 'method.argument', that it is, where
      that is not called so.
  """

  name: str
  default: object
  meaning: str
  _: dataclasses.KW_ONLY
  read_by: tuple[str, ...] = ()
  may_grow: bool = False
  before: object = None
  choices: Iterable = ()
  registry: str = ''
  importable: bool = False
  least: float | None = None
  above: float | None = None
  most: float | Callable[[], float] | None = None
  below: float | None = None
  infinite: bool = False
  each: type = str
  listed: bool = False
  pair: bool = False
  option: str = ''

  @property
  def kind(self) -> type:
    """The type of a value, of each value where it is a tuple."""
    if self.pair:
      return float
    return self.each if isinstance(self.default, tuple) else type(self.default)

  def rule(self, choices=None) -> str:
    """Returns what a value must be, in words.

    Args:
      choices: those there are; None: `self.choices`.
    """
    choices = self.choices if choices is None else choices
    if choices:
      words = f'one of {[*choices]}'
      words += ", or 'package.module:Name'" if self.importable else ''
    else:
      words = _KINDS[self.kind] + self._range()
      words += ', or inf' if self.infinite else ''
    if self.pair:
      return f'two numbers (low, high), low at most high, each {words}'
    if isinstance(self.default, tuple):
      return f'() or several values, each {words}'
    return words

  def _range(self) -> str:
    """Returns the bounds in words, beginning with a space; '' without any."""
    least, most = self._bounds()
    words = [
      f'{word} {_plain(value)}'
      for word, value in (
        ('at least', least),
        ('above', self.above),
        ('at most', most),
        ('below', self.below),
      )
      if value is not None and value not in (_INT32, _LARGEST)
    ]
    lead = ' of ' if words and words[0].startswith('at') else ' '
    return lead + ' and '.join(words) if words else ''

  def _bounds(self) -> tuple:
    """Returns `least` and `most`, those of the type where none are named."""
    most = self.most() if callable(self.most) else self.most
    if self.pair:
      return 0, 255 if most is None else most
    if most is None and self.below is None:
      most = _INT32 if self.kind is int else _LARGEST
    return self.least, most

  def values(self, value) -> tuple:
    """Returns a tuple's values, of the type they are to have, each once.

    Raises:
      UserError: it is no tuple, or a value is of another type.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
      raise self.refuse(value)
    parts = [
      part.strip() if isinstance(part, str) else part
      for entry in value
      for part in (
        entry.split(',') if self.listed and isinstance(entry, str) else [entry]
      )
    ]
    if self.listed:
      parts = [part for part in parts if part != '']
    typed = [self._typed(part) for part in parts]
    return tuple(dict.fromkeys(typed) if self.listed else typed)

  def _typed(self, part):
    """Returns a value of a tuple, where text may stand for a number."""
    if self.kind is str:
      if isinstance(part, bool) or not isinstance(part, (str, int)):
        raise self.refuse(part)
      return str(part)
    if isinstance(part, str):
      try:
        return self.kind(part)
      except ValueError:
        raise self.refuse(part) from None
    return part

  def parse(self, text: str):
    """Returns the value that a text on the command line stands for.

    Values of a tuple stand between commas, or as Python writes them.

    Raises:
      UserError: it cannot be one.
    """
    if isinstance(self.default, tuple):
      try:
        value = ast.literal_eval(text)
      except (SyntaxError, ValueError):
        value = tuple(part.strip() for part in text.split(','))
      return self.values(value if isinstance(value, (tuple, list)) else [value])
    if self.kind is bool:
      known = {'true': True, 't': True, '1': True}
      known |= {'false': False, 'f': False, '0': False}
      if text.lower() not in known:
        raise self.refuse(text)
      return known[text.lower()]
    try:
      return self.kind(text)
    except ValueError:
      raise self.refuse(text) from None

  def check(self, value, *, look_up: bool = False) -> None:
    """Raises UserError, naming the setting, unless the value is one of its own.

    Args:
      value: of the setting.
      look_up: import the registry for its choices.
    """
    choices = self.choices
    if look_up and self.registry:
      choices = self._registered()
    if not isinstance(self.default, tuple):
      self._check_one(value, choices)
      return
    values = self.values(value)
    for one in values:
      self._check_one(one, choices)
    if self.pair and (len(values) != 2 or not values[0] <= values[1]):
      raise self.refuse(value)

  def _registered(self) -> tuple:
    module, _, name = self.registry.partition(':')
    return tuple(getattr(importlib.import_module(module), name))

  def _check_one(self, value, choices) -> None:
    if not _is_a(value, self.kind):
      raise self.refuse(value, choices)
    if choices:
      if value not in choices and not (self.importable and ':' in value):
        raise self.refuse(value, choices)
    elif self.infinite and value == math.inf:
      pass
    elif self.kind in (int, float) and not self._in_range(value):
      raise self.refuse(value)

  def _in_range(self, value) -> bool:
    least, most = self._bounds()
    return (
      math.isfinite(value)
      and (least is None or value >= least)
      and (self.above is None or value > self.above)
      and (most is None or value <= most)
      and (self.below is None or value < self.below)
    )

  def refuse(self, value, choices=None) -> errors.UserError:
    """Returns the error about a value."""
    choices = self.choices if choices is None else choices
    near = text_lib.suggest(value, choices) if choices else ''
    return errors.UserError(
      f'{self.name} must be {self.rule(choices)}; it is {value!r}.{near}'
    )


_KINDS = {
  bool: 'True or False',
  int: 'a whole number',
  float: 'a finite number',
  str: 'a text',
}


def _plain(number) -> str:
  return f'{number:,}' if isinstance(number, int) else f'{number:g}'


def _is_a(value, kind: type) -> bool:
  if kind is bool or isinstance(value, bool):
    return kind is bool and isinstance(value, bool)
  wanted = {int: numbers.Integral, float: numbers.Real, str: str}[kind]
  return isinstance(value, wanted)


def most_processes() -> int:
  """Returns how many processes or threads may be asked for: four a core."""
  return max(16, 4 * (os.cpu_count() or 1))


def memory_bytes() -> int:
  """Returns the memory of this machine in bytes."""
  return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
