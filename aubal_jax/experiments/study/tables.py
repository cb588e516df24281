"""A cell of a study on a table of features: a training, and its line."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import types

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.experiments.compare import table_trials
from aubal_jax.experiments.study import plan as plan_lib
from aubal_jax.experiments.study import scores as scores_lib
from aubal_jax.runs import errors

SUFFIXES = ('.npz', '.arff', '.csv')
_SIDE = 20  # Pixels of a drawn picture, which are the features.
# What a result of a comparison holds of each view.
_VIEWS = {'': 'trials', 'averaged': 'averaged', 'adjusted': 'adjusted'}


def _frames() -> dataset_lib.Dataset:
  """Returns the 5,760 frames of 24 drawn videos, by their pixels.

  Thirty a second, and expressions come and go within one: neighbours are near
  copies.
  """
  from aubal_jax.datasets.drawn import films

  drawn = films.load(
    targets=('labels',),
    num_train=5760,
    num_validation=0,
    num_test=0,
    seed=0,
    image_size=_SIDE,
  )
  pixels = drawn.load_images(np.arange(len(drawn)))
  return dataclasses.replace(
    drawn,
    features=(pixels.reshape(len(pixels), -1) / 255).astype(np.float32),
    load_images=None,
  )


# Name of a set -> what draws it; all others are files.
DRAWN = types.MappingProxyType({'drawn_frames': _frames})


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
    See `scores.line`.

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
  views = {
    view: result[name] for view, name in _VIEWS.items() if result.get(name)
  }
  return scores_lib.line(cell.name, views, largest=max(entry.rates))
