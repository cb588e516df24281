"""Rows labelled twice: of an expression, and of valence and arousal.

Where both are known they may disagree; where one is, the other may be guessed
from it. Both as in the training of Kuhnke et al. 2020, as far as it is told.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from aubal_jax.datasets import targets as targets_lib
from aubal_jax.runs import errors

EXPRESSION = 'expression'
AFFECT = 'valence_arousal'
REASON = 'expression and affect disagree'
BINS = 20  # Of valence and of arousal.
WEIGHT = 0.5  # Of a guess, beside what is labelled.
_FURTHEST = 0.5  # From 0, valence and arousal of a neutral face.


def disagree(dataset) -> np.ndarray:
  """Returns bool[N], the rows that train both tasks and whose labels disagree.

  Happiness with valence below 0, sadness with valence above 0, and neutral
  further than .5 from 0.

  Args:
    dataset: the `Dataset`.

  Raises:
    UserError: it lacks one of the two targets, or one of the names.
  """
  classes, affect = _both(dataset, 'two_stream.filter')
  both = _training(dataset, EXPRESSION) & _training(dataset, AFFECT)
  both &= classes.rows_known & affect.known.all(axis=1)
  valence, arousal = _columns(affect)
  lower = [name.lower() for name in classes.names]

  def shows(name):
    if name not in lower:
      raise errors.UserError(
        f'two_stream.filter needs the class {name!r} of expression, which has '
        f'{[*classes.names]}. Set two_stream.filter=False.'
      )
    return classes.values == lower.index(name)

  odd = shows('happiness') & (valence < 0)
  odd |= shows('sadness') & (valence > 0)
  odd |= shows('neutral') & (np.hypot(valence, arousal) > _FURTHEST)
  return both & odd


@dataclasses.dataclass(frozen=True)
class Guessed(targets_lib.Target):
  """A target that is guessed, in training, where only the other is known.

  A guess is drawn anew in each epoch, and counts in as many of them as it
  weighs: in the mean over epochs the loss is that of soft targets of `WEIGHT`.

  Attributes:
    guesses: of a class: float[N, C], a cumulated distribution; of numbers:
      float[N, D], the values.
    guessed: bool[N], the rows that have guesses.
  """

  guesses: np.ndarray | None = None
  guessed: np.ndarray | None = None

  def drawn(self, rows, unit) -> tuple[np.ndarray, np.ndarray]:
    """Returns values and known of some rows.

    Args:
      rows: int[B], of the table.
      unit: float[B, 2] in [0, 1), drawn evenly: whether a row's guess counts,
        and which class it is.
    """
    values, known = self.values[rows], self.known[rows]
    taken = self.guessed[rows] & (unit[:, 0] < WEIGHT)
    guesses = self.guesses[rows[taken]]
    if self.kind == 'class':
      guesses = (guesses < unit[taken, 1:]).sum(axis=1)
      guesses = np.minimum(guesses, len(self.names) - 1)
    values[taken], known[taken] = guesses, True
    return values, known


def guess(dataset, targets: dict) -> dict:
  """Returns targets, expression and affect guessed from each other.

  The distribution of expressions in each of 20 x 20 bins of valence and
  arousal, each counted once more than it is there, and the mean valence and
  arousal of each expression, of the rows that train both.

  Args:
    dataset: the `Dataset`.
    targets: name -> `Target`, known where its task trains.

  Raises:
    UserError: no row trains both tasks, or a target is not learnt.
  """
  classes, affect = (targets.get(name) for name in (EXPRESSION, AFFECT))
  if classes is None or affect is None:
    raise _lacking('two_stream.pseudo_labels')
  has_class, has_affect = classes.rows_known, affect.known.all(axis=1)
  both = has_class & has_affect & _training(dataset, EXPRESSION)
  both &= _training(dataset, AFFECT)
  if not both.any():
    raise errors.UserError(
      'two_stream.pseudo_labels learns from rows that train expression and '
      'affect, and there is none. Set two_stream.pseudo_labels=False.'
    )
  cell = _cells(affect)
  counts = np.ones((BINS**2, len(classes.names)))
  np.add.at(counts, (cell[both], classes.values[both]), 1)
  shares = counts.cumsum(axis=1) / counts.sum(axis=1, keepdims=True)
  sums = np.zeros((len(classes.names), affect.values.shape[1]))
  np.add.at(sums, classes.values[both], affect.values[both])
  sizes = np.bincount(classes.values[both], minlength=len(classes.names))
  means = sums / np.maximum(sizes, 1)[:, None]
  # What a row's video validates in the other task is not to be guessed at.
  free = {name: _training(dataset, name, or_none=True) for name in targets}
  guessed = {
    EXPRESSION: has_affect & ~has_class & free[EXPRESSION],
    AFFECT: has_class & ~has_affect & free[AFFECT],
  }
  guessed[AFFECT] &= sizes[classes.values] > 0
  return {
    **targets,
    EXPRESSION: _guessed(classes, shares[cell], guessed[EXPRESSION]),
    AFFECT: _guessed(affect, means[classes.values], guessed[AFFECT]),
  }


def _guessed(target, guesses, rows) -> Guessed:
  own = {f.name: getattr(target, f.name) for f in dataclasses.fields(target)}
  return Guessed(**own, guesses=guesses, guessed=rows)


def _both(dataset, setting) -> tuple[targets_lib.Target, targets_lib.Target]:
  found = [dataset.targets.get(name) for name in (EXPRESSION, AFFECT)]
  if None in found:
    raise _lacking(setting)
  return tuple(found)


def _lacking(setting) -> errors.UserError:
  return errors.UserError(
    f'{setting} is of data with the targets {EXPRESSION} and {AFFECT}, which '
    f'are both learnt here; one is not there. Set {setting}=False.'
  )


def _training(dataset, target, *, or_none: bool = False) -> np.ndarray:
  """Returns bool[N], the rows of which a task trains, or that are not of it."""
  split = dataset.split_of(target)
  train = split == 'train'
  if or_none:
    train |= (split == 'dropped') & (dataset.split == 'train')
  return train


def _columns(affect) -> tuple[np.ndarray, np.ndarray]:
  """Returns valence and arousal, float[N] each."""
  lower = [name.lower() for name in affect.names]
  return tuple(
    affect.values[:, lower.index(name)] for name in ('valence', 'arousal')
  )


def _cells(affect) -> np.ndarray:
  """Returns int[N], in which of 20 x 20 bins valence and arousal are."""
  part = (np.stack(_columns(affect), axis=1) - affect.low) / (
    affect.high - affect.low
  )
  place = np.clip((part * BINS).astype(np.int64), 0, BINS - 1)
  return place @ [BINS, 1]
