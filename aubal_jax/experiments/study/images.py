"""A cell of a study on images or several targets: runs, and their line."""

from __future__ import annotations

import contextlib
import io
import pathlib
import tempfile
import time
import types
import typing
from collections.abc import Mapping

import numpy as np

from aubal_jax import settings
from aubal_jax.experiments.compare import image_cells
from aubal_jax.experiments.compare import rates as rates_lib
from aubal_jax.experiments.study import plan as plan_lib
from aubal_jax.experiments.study import scores as scores_lib
from aubal_jax.network import log as log_lib
from aubal_jax.runs import files
from aubal_jax.runs import programs
from aubal_jax.runs import progress
from aubal_jax.scoring import course
from aubal_jax.scoring import overall
from aubal_jax.scoring import targets as targets_lib
from aubal_jax.stages import balance
from aubal_jax.stages import evaluate
from aubal_jax.stages import run as run_lib
from aubal_jax.stages import train

_OTHER_FACES = 1000  # Added to the seed of faces for pretraining.


class Set(typing.NamedTuple):
  """Images, and how a small network is trained on them.

  Attributes:
    settings: of a run.
    is_file: whether they are in FOLDER/NAME/manifest.csv; else they are drawn,
      anew for each repeat.
    has_targets: whether there are targets beside the labels.
  """

  settings: Mapping[str, typing.Any]
  is_file: bool = False
  has_targets: bool = False


_USUAL = {
  'model.name': 'resnet8_16',
  'balance.optimizer': 'ipm',
  'augment.rows': 'all',
  'train.learning_rate': 1e-3,
  'train.num_workers': 1,
  'train.keep_checkpoints': 1,
  'train.num_steps': 400,
  'train.eval_every_steps': 100,
  'loss.name': 'bce',
}
_DRAWN = _USUAL | {
  'data.image_size': 32,
  'data.num_train': 1200,
  'data.num_validation': 600,
  'data.num_test': 1200,
}
# Name of a set -> what it is.
SETS = types.MappingProxyType(
  {
    'drawn_images': Set(_DRAWN),
    'drawn_tasks': Set(
      _DRAWN
      | {
        'data.num_train': 2400,
        'train.num_steps': 900,
        'data.drawn_targets': ('labels', 'expression', 'valence_arousal'),
        'data.drawn_apart': True,
        'data.drawn_ratio': 20.0,
        'multitask.targets': ('labels', 'expression', 'valence_arousal'),
        'multitask.heads': 'deng',
        'multitask.weights': (8.0, 1.0, 1.0),
        'multitask.batching': 'per_task',
        'balance.method': 'none',
        'model.init': 'he_normal',
        'model.stem': '3x3',
        'train.batch_size': 60,
      },
      has_targets=True,
    ),
    'ucmerced': Set(
      _USUAL
      | {
        'data.name': 'manifest',
        'data.split_column': '',
        'data.channels': 3,
        'data.image_size': 48,
        'data.num_folds': 4,
      },
      is_file=True,
    ),
  }
)
# What pretrains, on other faces, and on more of them.
_PRETRAINS = {
  'data.num_train': 4800,
  'data.num_test': 0,
  'train.num_steps': 1000,
  'balance.method': 'none',
}


def find(name: str, folder: str) -> str | None:
  """Returns the table of a set in a folder, '' of one that is drawn, or None.

  Args:
    name: of `SETS`.
    folder: with a folder of that name; '': there is none.
  """
  if not SETS[name].is_file:
    return ''
  path = pathlib.Path(folder, name, 'manifest.csv')
  return str(path) if folder and path.is_file() else None


def run(cell: plan_lib.Cell, path: str) -> dict:
  """Trains, and returns the line of a cell.

  Args:
    cell: of a `plan.Training`. A repeat is a seed, by which the images are
      drawn, or divided, anew; one seed of training each.
    path: from `find`.

  Returns:
    As `tables.run`; and whether the splits are drawn apart, `apart`.

  Raises:
    UserError: the settings or the table are wrong.
    FloatingPointError: it diverged at every rate; where at one, that has lost.
  """
  entry, folds = cell.entry, cell.folds
  given = SETS[cell.data]
  trials = []
  with tempfile.TemporaryDirectory() as folder, _silent(), programs.kept():
    folder = pathlib.Path(folder)
    start = _pretrain(cell, folder / 'start') if entry.pretrained else ''
    for repeat in range(folds.repeats):
      for fold in range(folds.folds):
        for rate in entry.rates:
          config = make_config(cell, path, rate=rate, seed=repeat, start=start)
          if given.is_file:
            config.data.fold = fold
          config.data.cache_dir = str(folder / 'images')
          own = folder / f'{repeat}-{fold}-{rate:g}'
          trials.append(_trial(config, own, repeat, fold, rate, given))
  chosen = rates_lib.choose(trials)
  if lost := [trial for trial in chosen if 'diverged' in trial]:
    told = rates_lib.tell_diverged(entry.rates, lost[0]['diverged'])
    raise FloatingPointError(told)
  return scores_lib.line(
    cell.name,
    {'': chosen},
    largest=max(entry.rates),
    read=_of_targets if given.has_targets else scores_lib.of_labels,
    apart=not given.is_file,
  )


def make_config(cell, path, *, rate, seed, start=''):
  """Returns the settings of a run of a cell.

  Args:
    cell: it.
    path: of the table; '' where images are drawn.
    rate: times the learning rate.
    seed: of everything.
    start: folder of the weights to start from; '' for none.
  """
  given = SETS[cell.data]
  config = _config({**given.settings, **dict(cell.entry.settings)})
  config.seed = seed
  config.train.learning_rate *= rate
  config.data.path = path
  config.model.init_from = start
  return config


def _config(values):
  config = settings.default()
  for key, value in values.items():
    section, _, name = key.partition('.')
    config[section][name] = value
  return config


def _pretrain(cell, path) -> str:
  """Trains on other faces; returns the folder of what was learnt."""
  config = _config({**SETS[cell.data].settings, **_PRETRAINS})
  config.seed = _OTHER_FACES
  one = _open(config, path)
  balance.run(one)
  train.run(one)
  return str(path / 'checkpoints')


def _open(config, path):
  """Returns the `Run` of settings, which are checked, in a new folder."""
  settings.check(config)
  path.mkdir(parents=True)
  return run_lib.load(config, path, progress.Watch(time.perf_counter()))


def _trial(config, path, repeat, fold, rate, given) -> dict:
  """Returns the trial of a run."""
  one = _open(config, path)
  about = {
    'num_train': len(one.dataset.rows('train')),
    'num_test': len(one.dataset.rows('test')),
  }
  place = {'seed': 0, 'repeat': repeat, 'fold': fold}
  if given.has_targets:
    return about | _targets_trial(one, rate) | place
  trial, _ = image_cells.make_trial(one, seed=0, fold=fold, rate=rate)
  return about | trial | place


def _targets_trial(run, rate) -> dict:
  """Returns what a trial of several targets says: its report, its rate."""
  balance.run(run)
  try:
    train.run(run)
  except FloatingPointError as error:
    return rates_lib.diverged(0, 0, rate, str(error))
  lines = log_lib.read_lines(run.path / 'metrics.jsonl')
  looks = course.of_score(lines, targets_lib.OVERALL)
  evaluate.run(run)
  plan = np.load(run.path / 'plan.npz')
  return {
    'rate': rate,
    'tried': [[rate, max(score for _, score in looks)]],
    'plan': {'rows': len(plan['source'])},
    'challenge': files.read_json(run.path / 'report.json')['challenge'],
  }


def _of_targets(trial: Mapping) -> dict[tuple[str, str], float | None]:
  """Returns (kind, 'all') -> score of a trial, of `plan.TARGET_KINDS`.

  `overall` is the multi-task score of 2022, a sum, divided by its targets.
  """
  found = trial['challenge']['2022']
  whole = found[overall.TOGETHER] / (len(found) - 1)
  return {
    ('f1', 'all'): found['labels'],
    ('expression', 'all'): found['expression'],
    ('valence_arousal', 'all'): found['valence_arousal'],
    ('overall', 'all'): whole,
  }


@contextlib.contextmanager
def _silent():
  """Keeps to itself what a run prints: the study tells of cells."""
  told = io.StringIO()
  with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
    yield
