"""A cell of a study on a table of features: a training, and its line."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import types
from collections.abc import Mapping

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.experiments.compare import table_trials
from aubal_jax.experiments.compare import thirds
from aubal_jax.experiments.study import plan as plan_lib
from aubal_jax.runs import errors

SUFFIXES = ('.npz', '.arff', '.csv')
_SIDE = 20  # Pixels of a drawn picture, which are the features.
_DIGITS = 6  # Of a score: what threads may change is behind them.
# What a result of a comparison holds of each view.
_VIEWS = {'': 'trials', 'averaged': 'averaged', 'adjusted': 'adjusted'}


def _faces() -> dataset_lib.Dataset:
  """Returns 1,800 drawn faces of 150 people, by their pixels."""
  from aubal_jax.datasets.drawn import synthetic

  return _by_pixels(
    synthetic.load(
      num_train=1800, num_validation=0, num_test=0, seed=0, image_size=_SIDE
    )
  )


def _frames() -> dataset_lib.Dataset:
  """Returns the 5,760 frames of 24 drawn videos, by their pixels.

  Thirty a second, and expressions come and go within one: neighbours are near
  copies.
  """
  from aubal_jax.datasets.drawn import films

  return _by_pixels(
    films.load(
      targets=('labels',),
      num_train=5760,
      num_validation=0,
      num_test=0,
      seed=0,
      image_size=_SIDE,
    )
  )


def _by_pixels(drawn) -> dataset_lib.Dataset:
  """Returns a table of the same rows whose features are the pixels."""
  pixels = drawn.load_images(np.arange(len(drawn)))
  return dataclasses.replace(
    drawn,
    features=(pixels.reshape(len(pixels), -1) / 255).astype(np.float32),
    load_images=None,
  )


# Name of a set -> what draws it; all others are files.
DRAWN = types.MappingProxyType({'drawn_faces': _faces, 'drawn_frames': _frames})


def find(name: str, folder: str) -> str | None:
  """Returns the file of a set in a folder, '' of one that is drawn, or None."""
  if name in DRAWN:
    return ''
  for suffix in SUFFIXES:
    path = pathlib.Path(folder, name + suffix)
    if folder and path.exists():
      return os.fspath(path)
  return None


@functools.lru_cache(maxsize=2)
def load(name: str, path: str) -> dataset_lib.Dataset:
  """Returns a set.

  Args:
    name: of it.
    path: from `find`.

  Raises:
    UserError: the file is none, or has no features.
  """
  from aubal_jax.datasets import labels

  if name in DRAWN:
    return DRAWN[name]()
  table = labels.load(path)
  if table.features is None:
    raise errors.UserError(
      f'{path} has no features to train on; a study takes an .npz with '
      "'features' [N, F] and 'labels' [N, L], or an .arff of Mulan."
    )
  return table


def run(cell: plan_lib.Cell, path: str) -> dict:
  """Trains, and returns the line of a cell.

  Returns:
    `cell`: its name; `num_train`, `num_test`: of a split, the mean; `rows`: of
    a plan, likewise; `at_largest`: the share of trials whose best rate is the
    largest; and `scores`: view -> kind -> of `plan.OVER` -> a number a split,
    the mean of its seeds; None where no label has it.

  Raises:
    UserError: the method refuses the table.
  """
  entry = cell.entry
  dataset = load(cell.data, path)
  if not entry.spread:
    dataset = dataclasses.replace(dataset, frames=None)
  options = {'upper': entry.upper, 'share': entry.share}
  result = table_trials.run_cell(
    dataset,
    entry.method,
    fraction=entry.fraction,
    model=entry.model,
    seeds=cell.folds.seeds,
    repeats=cell.folds.repeats,
    folds=cell.folds.folds,
    num_steps=entry.num_steps,
    options={k: v for k, v in options.items() if v is not None},
    diversity=entry.diversity,
    rates=entry.rates,
    adjusts=entry.method != 'none',
  )
  trials = result['trials']
  largest = max(entry.rates)
  return {
    'cell': cell.name,
    'num_train': _mean(trial['num_train'] for trial in trials),
    'num_test': _mean(trial['num_test'] for trial in trials),
    'rows': _mean(trial['plan']['rows'] for trial in trials),
    'at_largest': _mean(trial['rate'] == largest for trial in trials),
    'scores': {
      view: _by_split(result[name])
      for view, name in _VIEWS.items()
      if result.get(name)
    },
  }


def _mean(values) -> float:
  return round(float(np.mean([*values])), _DIGITS)


def _by_split(trials) -> dict[str, dict[str, list]]:
  """Returns kind -> over -> a score a split, of trials of several seeds."""
  found: dict[tuple, dict] = {}
  for trial in trials:
    split = trial['repeat'], trial['fold']
    for place, value in _scores(trial).items():
      found.setdefault(place, {}).setdefault(split, []).append(value)
  scores: dict[str, dict[str, list]] = {}
  for (kind, over), by_split in found.items():
    values = [
      None if None in some else round(float(np.mean(some)), _DIGITS)
      for _, some in sorted(by_split.items())
    ]
    scores.setdefault(kind, {})[over] = values
  return scores


def _scores(trial: Mapping) -> dict[tuple[str, str], float | None]:
  """Returns (kind, over) -> score of a trial, of `plan.KINDS` and `OVER`."""
  scores = trial['scores']
  found = {
    ('f1', 'all'): scores['f1_macro'],
    ('f1_shrunk', 'all'): scores['f1_macro_shrunk'],
    ('f1_tuned', 'all'): scores['f1_macro_tuned'],
    ('ap', 'all'): scores['map'],
  }
  parts = thirds.parts([share or 0.0 for share in trial['frequency']])
  for part, labels in zip(thirds.PARTS, parts, strict=True):
    found['ap', part] = scores[f'ap_{part}']
    for kind, ending in (('f1', ''), ('f1_shrunk', '_shrunk')):
      per_label = trial[f'f1_per_label{ending}']
      some = [per_label[k] for k in labels if per_label[k] is not None]
      found[kind, part] = float(np.mean(some)) if some else None
  return found
