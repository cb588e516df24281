"""The network of a run, and checkpoints/model.json, which says what it is.

The file says all that prediction must know beside the weights, so that the
folder of checkpoints alone, on any machine, is enough.
"""

from __future__ import annotations

import pathlib

import jax
import numpy as np

from aubal_jax.media import images
from aubal_jax.network import checkpoint
from aubal_jax.network import models
from aubal_jax.network import optimizer as optimizer_lib
from aubal_jax.network import step as step_lib
from aubal_jax.runs import errors
from aubal_jax.runs import files

_FILE = 'model.json'
_FORMAT = 2
_PIXELS = ('image_size', 'channels', 'resize', 'crop')


def describe(config, label_names) -> dict:
  """Returns the content of model.json: plain JSON types."""
  return {
    'format': _FORMAT,
    'label_names': [str(name) for name in label_names],
    'pixels': {name: config.data[name] for name in _PIXELS},
    'model': {
      'name': config.model.name,
      'stem': config.model.stem,
      'momentum': config.train.batch_norm_momentum,
    },
    'dtype': config.train.dtype,
    'optimizer': config.train.optimizer,
    'averaged': config.train.ema_decay > 0,
  }


def write(directory: pathlib.Path, described: dict) -> None:
  """Writes model.json into the directory of checkpoints."""
  files.write_json(directory / _FILE, described)


def read(directory: pathlib.Path) -> dict:
  """Reads model.json.

  Raises:
    FileNotFoundError: there are no checkpoints, or no such file with them.
    UserError: it is damaged, or of another format.
  """
  if not directory.is_dir():
    raise FileNotFoundError(
      f'There are no checkpoints at {directory}: train first, or name the '
      'folder of a run that has been trained by --workdir.'
    )
  try:
    described = files.read_json(directory / _FILE)
    pixels(described)
    make_network(described)
    if described['format'] != _FORMAT:
      raise KeyError('format')
  except FileNotFoundError:
    raise FileNotFoundError(
      f'{directory / _FILE} is not there: it was not copied, or the '
      'checkpoints are of an earlier version. Run the train task in that '
      'folder once more, with the configuration of the run: it writes the '
      'file, and trains no step that is done.'
    ) from None
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise errors.UserError(
      f'{directory / _FILE} is damaged, or of another version ({error}). Copy '
      'it anew, or run the train task once more: it writes the file.'
    ) from error
  return described


def pixels(described: dict) -> images.Pixels:
  """Returns what an image becomes."""
  return images.Pixels(**described['pixels'])


def make_network(
  described: dict,
  *,
  learning_rate=1.0,
  schedule=None,
  clip_norm=0.0,
  remat=False,
):
  """Returns the model and the optimiser; without those, of the same shapes."""
  model = models.make_model(
    described['model']['name'],
    len(described['label_names']),
    stem=described['model']['stem'],
    momentum=described['model']['momentum'],
    dtype=models.compute_dtype(described['dtype']),
    remat=remat,
  )
  optimizer = optimizer_lib.make_optimizer(
    described['optimizer'],
    learning_rate,
    schedule=schedule,
    clip_norm=clip_norm,
  )
  return model, optimizer


def first_state(model, optimizer, described: dict, *, seed: int = 0):
  """Returns the `TrainState` before the first step."""
  key = jax.random.key(seed)
  return step_lib.create_state(
    model,
    optimizer,
    key,
    pixels(described).shape,
    averaged=described['averaged'],
  )


def restore(directory: pathlib.Path, described: dict):
  """Returns what is evaluated, and predicted with.

  Args:
    directory: of checkpoints.
    described: what they are of.

  Returns:
    The model; the best `TrainState`, or the latest where none was validated,
    as `step.evaluated` has it; which of the two it is; and the thresholds
    float64[L] that were tuned on the validation split, or None.

  Raises:
    FileNotFoundError, UserError: there is none, it is damaged or of another
      model.
  """
  model, optimizer = make_network(described)
  like = jax.eval_shape(lambda: first_state(model, optimizer, described))
  with checkpoint.open_checkpoints(directory, read_only=True) as checkpoints:
    best = checkpoint.find_step(checkpoints, which='best')
    which = 'latest' if best is None else 'best'
    state = checkpoint.restore(checkpoints, like, which=which)
    metrics = checkpoints.metrics(int(state.step)) or {}
  thresholds = metrics.get('thresholds')
  if thresholds is not None:
    thresholds = np.array(thresholds, np.float64)
    if thresholds.shape != (len(described['label_names']),):
      raise errors.UserError(
        f'The checkpoint of step {int(state.step)} in {directory} has '
        f'{thresholds.size} thresholds, not one for each of the '
        f'{len(described["label_names"])} labels: it is of another run. Copy '
        'the folder anew.'
      )
  return model, step_lib.evaluated(state), which, thresholds
