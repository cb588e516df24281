"""The grid of a search: its cells, and what is wrong with its settings."""

from __future__ import annotations

import itertools
import typing

from aubal_jax import settings
from aubal_jax.experiments import cells
from aubal_jax.runs import errors
from aubal_jax.runs import extras
from aubal_jax.stages import balance
from aubal_jax.stages import train

# The settings of a search that cells are products of, in `Cell`'s order.
_AXES = ('losses', 'optimizers', 'learning_rates', 'batch_sizes')
_AXES += ('inits', 'augment_rows')


class Cell(typing.NamedTuple):
  """One choice of the grid."""

  loss: str
  optimizer: str
  learning_rate: float
  batch_size: int
  init: str
  augment_rows: str

  @property
  def name(self) -> str:
    """Of its folder."""
    return (
      f'{self.loss}-{self.optimizer}-lr{self.learning_rate}-b{self.batch_size}-'
      f'{self.init}-{self.augment_rows}'
    )

  def settings(self) -> dict:
    """Returns what it sets, by the full names of the configuration."""
    return {
      'loss.name': self.loss,
      'train.optimizer': self.optimizer,
      'train.learning_rate': self.learning_rate,
      'train.batch_size': self.batch_size,
      'model.init': self.init,
      'augment.rows': self.augment_rows,
    }


def check(config) -> None:
  """Raises UserError for what is wrong whatever the table."""
  balance.check(config)
  train.check(config)
  for key in _AXES:
    if not settings.values(config, f'search.{key}'):
      raise errors.UserError(
        f'search.{key} must hold at least one value; it is empty.'
      )
  if config.search.halving > 1 and config.train.schedule == 'cosine':
    raise errors.UserError(
      'train.schedule=cosine is drawn over all the steps of a training, so a '
      'cell that stops early has not begun the training of one that goes on. '
      'Set train.schedule=constant, or search.halving=0: the full grid.'
    )
  extras.need('matplotlib', 'config.task=search')
  cells.check(config)


def make_grid(config) -> list[Cell]:
  """Returns the cells, each once, in the order they are trained in."""
  choices = (settings.values(config, f'search.{key}') for key in _AXES)
  return [*itertools.starmap(Cell, itertools.product(*choices))]
