"""The grid of a search: its cells, and what is wrong with its settings."""

from __future__ import annotations

import importlib.util
import itertools
import math
import typing

from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.stages import train


class Cell(typing.NamedTuple):
  """One choice of the grid."""

  loss: str
  optimizer: str
  learning_rate: float
  batch_size: int

  @property
  def name(self) -> str:
    """Of its folder."""
    return (
      f'{self.loss}-{self.optimizer}-lr{self.learning_rate}-b{self.batch_size}'
    )

  def settings(self) -> dict:
    """Returns what it sets, by the full names of the configuration."""
    return {
      'loss.name': self.loss,
      'train.optimizer': self.optimizer,
      'train.learning_rate': self.learning_rate,
      'train.batch_size': self.batch_size,
    }


def check(config) -> None:
  """Raises UserError for what is wrong whatever the table."""
  from aubal_jax.network import losses
  from aubal_jax.network import optimizer as optimizer_lib

  train.check(config)
  for key, choices in (
    ('losses', losses.LOSSES),
    ('optimizers', optimizer_lib.OPTIMIZERS),
  ):
    for name in _values(config, key):
      if name not in choices:
        raise errors.UserError(
          f'search.{key} must hold names of {[*choices]}; it holds {name!r}.'
        )
  for key, kind, words in (
    ('learning_rates', float, 'numbers above 0'),
    ('batch_sizes', int, 'whole numbers of at least 1'),
  ):
    for value in _values(config, key):
      try:
        good = 0 < kind(value) < math.inf
      except ValueError:
        good = False
      if not good:
        raise errors.UserError(
          f'search.{key} must hold {words}; it holds {value!r}.'
        )
  if config.search.metric not in train.SCORES:
    raise errors.UserError(
      f'search.metric must be one of {[*train.SCORES]}; it is '
      f'{config.search.metric!r}.'
    )
  if not importlib.util.find_spec('matplotlib'):
    raise errors.UserError(
      'config.task=search needs matplotlib for its plot, which is not '
      'installed: pip install matplotlib'
    )


def _values(config, key: str) -> list[str]:
  """Returns what a setting holds, as text; the text 'a,b' is two values.

  Raises:
    UserError: it holds nothing.
  """
  values = text.parse_list(config.search[key])
  if not values:
    raise errors.UserError(
      f'search.{key} must hold at least one value; it is empty.'
    )
  return values


def make_grid(config) -> list[Cell]:
  """Returns the cells, each once, in the order they are trained in."""
  choices = (
    _values(config, 'losses'),
    _values(config, 'optimizers'),
    map(float, _values(config, 'learning_rates')),
    map(int, _values(config, 'batch_sizes')),
  )
  return list(
    dict.fromkeys(itertools.starmap(Cell, itertools.product(*choices)))
  )
