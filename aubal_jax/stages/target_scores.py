"""Rows and scores of each target, where a network learns several."""

from __future__ import annotations

import functools
import typing

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.scoring import bootstrap
from aubal_jax.scoring import smoothing
from aubal_jax.scoring import targets as targets_lib
from aubal_jax.scoring import thresholds as thresholds_lib

LABELS = dataset_lib.LABELS


class Said(typing.NamedTuple):
  """What a network says of a target.

  Attributes:
    split: that is scored: test, or validation where there is no test.
    rows: int[R] of the data set, those of which the target is known.
    prediction: float32[R, L].
  """

  split: str
  rows: np.ndarray
  prediction: np.ndarray


class Reader:
  """What a network says of rows, each of which is predicted once.

  Where it learns the labels alone, a split is that of all rows; where it learns
  several targets, each has its own rows.
  """

  def __init__(self, dataset, heads, predict_rows):
    """Takes a `Dataset`, the heads, and rows -> head -> float32[R, L].

    Raises:
      UserError: the data set lacks a target of the heads, or has it in another
        form.
    """
    self._dataset, self._predict_rows = dataset, predict_rows
    self.names = [head.name for head in heads]
    self._one = self.names == [LABELS]
    _check(dataset, heads)
    self._all = functools.cache(self._predict)

  @property
  def others(self) -> list[str]:
    """The targets beside the labels."""
    return [name for name in self.names if name != LABELS]

  def rows(self, split: str, target: str = LABELS) -> np.ndarray:
    """Returns int[R], the rows of a split in the task of a target."""
    return self._dataset.rows(split, '' if self._one else target)

  def split(self, target: str = LABELS) -> str:
    """Returns the split to score; '' where it has neither."""
    for split in ('test', 'validation'):
      if len(self.rows(split, target)):
        return split
    return ''

  def said(self, split: str, target: str = LABELS) -> np.ndarray:
    """Returns float32[R, L], what is said of a target in `rows`."""
    rows, found = self._all(split)
    return found[target][np.searchsorted(rows, self.rows(split, target))]

  def read(self, target: str) -> Said:
    """Returns what is said of the split to score of a target."""
    split = self.split(target)
    return Said(split, self.rows(split, target), self.said(split, target))

  def _predict(self, split):
    each = [self.rows(split, name) for name in self.names]
    rows = np.unique(np.concatenate(each))
    return rows, self._predict_rows(rows)


def _check(dataset, heads) -> None:
  """Raises UserError where heads are not of the data set's targets."""
  for head in heads:
    if head.name == LABELS:  # Which others compare, with their own words.
      continue
    target = dataset.targets.get(head.name)
    form = target and (target.kind, tuple(target.names))
    if form != (head.kind, tuple(head.names)):
      has = (
        f'has it as {form[0]} of {text.listing(form[1], text.SHOWN)}'
        if form
        else f'has the targets {[*dataset.targets]}'
      )
      raise errors.UserError(
        f'The network learnt the target {head.name!r}, a {head.kind} of '
        f'{text.listing(head.names, text.SHOWN)}, but the data set {has}; give '
        'the configuration that it was trained with.'
      )


def of_validation(dataset, reader: Reader) -> dict[str, float]:
  """Returns name -> score of a state, see `targets.of_validation`.

  A target that no row of the validation split knows has none.
  """
  rows = {name: reader.rows('validation', name) for name in reader.names}
  there = [name for name in reader.names if len(rows[name])]
  return targets_lib.of_validation(
    {name: reader.said('validation', name) for name in there},
    {
      name: targets_lib.take(dataset.targets[name], rows[name])
      for name in there
    },
  )


def tune(dataset, rows, probability) -> thresholds_lib.Thresholds:
  """Returns thresholds of labels, and over how many frames to average.

  Args:
    dataset: the `Dataset`.
    rows: int[R] of it, of the validation split.
    probability: float[R, L], what is said of them.
  """
  videos, frames = dataset.groups, dataset.frames
  return smoothing.find(
    probability,
    dataset.labels[rows],
    dataset.known[rows],
    videos=None if videos is None else videos[rows],
    frames=None if frames is None else frames[rows],
  )


def summarise(run, said, report) -> dict:
  """Returns what report.json has of several targets beside the labels.

  Args:
    run: the `Run`.
    said: name of target -> `Said`, of all, the labels too.
    report: content of report.json, of the labels.
  """
  entries = {
    name: _entry(run, name, one) for name, one in said.items() if name != LABELS
  }
  challenge = _challenge(run, said, {LABELS: report, **entries})
  return {'targets': entries, 'challenge': challenge}


def _challenge(run, said, entries) -> dict:
  """Returns what all targets come to, with intervals."""
  dataset = run.dataset
  unit = bootstrap.units(len(dataset), dataset.groups)
  return {
    **targets_lib.summarise_all(dataset.targets, entries),
    **targets_lib.intervals_together(
      {
        name: targets_lib.take(dataset.targets[name], one.rows)
        for name, one in said.items()
      },
      {name: one.prediction for name, one in said.items()},
      {name: unit[one.rows] for name, one in said.items()},
      seed=run.config.seed,
    ),
  }


def clean(run, said) -> dict:
  """Returns the same over rows of groups that train in no task.

  Args:
    run: the `Run`; {} is returned where its tasks have no splits of their own.
    said: name of target -> `Said`, of all, the labels too.
  """
  if not run.dataset.splits:
    return {}
  is_clean, fewer = run.dataset.clean(), {}
  for name, one in said.items():
    kept = is_clean[one.rows]
    if kept.any():
      fewer[name] = Said(one.split, one.rows[kept], one.prediction[kept])
  entries = {name: _entry(run, name, one) for name, one in fewer.items()}
  # Of fewer targets the sums would be others.
  whole = len(fewer) == len(said)
  challenge = (
    _challenge(run, fewer, entries)
    if whole
    else targets_lib.summarise_all(run.dataset.targets, entries, sums=False)
  )
  return {'clean': {'targets': entries, 'challenge': challenge}}


def _entry(run, name, one) -> dict:
  """Returns the scores of a target, see `targets.summarise`."""
  dataset = run.dataset
  return targets_lib.summarise(
    targets_lib.take(dataset.targets[name], one.rows),
    one.prediction,
    groups=None if dataset.groups is None else dataset.groups[one.rows],
    split=one.split,
    seed=run.config.seed,
  )


def lines(report):
  """Yields a line on the scores of each target beside the labels, and all."""
  for name, entry in report.get('targets', {}).items():
    told = ', '.join(
      f'{score.title} {entry[score.name]:.3f}'
      for score in targets_lib.scores_in(entry['kind'], 'report.html')
    )
    yield f'{name}: {entry["split"]} split, {entry["num_rows"]:,} rows: {told}'
  if 'challenge' in report:
    yield f'all targets together: {report["challenge"]["overall"]:.3f}'
