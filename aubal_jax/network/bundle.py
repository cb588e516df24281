"""A bundle: what a trained network is to the world.

That is a folder of checkpoints and the file model.json beside them, which says
what the network is and how its input is prepared. The folder alone, on any
machine, is enough to evaluate, to predict and to go on training.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from aubal_jax.media import crop
from aubal_jax.media import images
from aubal_jax.network import checkpoint
from aubal_jax.network import checkpoint_sums
from aubal_jax.network import heads as heads_lib
from aubal_jax.network import inference
from aubal_jax.network import models
from aubal_jax.network import optimizer as optimizer_lib
from aubal_jax.network import step as step_lib
from aubal_jax.network import tuning as tuning_lib
from aubal_jax.network.models import inputs
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.scoring import thresholds as thresholds_lib

_FILE = 'model.json'
_FORMAT = 6
_TARGETS_FORMAT = 5  # Of heads of any kind, and images or features.
_TUNED_FORMAT = 4  # Of labels alone, by a dense layer.
_PLAIN_FORMAT = 3  # Of images not normalised, and networks not fine-tuned.
_IMAGE = 'image'  # The stream that is made of files.
_FEATURES = 'features'  # The stream of numbers of a table.
_CLIP = 'clip'  # The stream of frames, each prepared as an image is.
_MOMENTS = ('mean', 'std')  # By which numbers are standardised.
LABELS = 'labels'  # The head of binary labels.


@dataclasses.dataclass(frozen=True)
class Description:
  """What model.json says.

  Attributes:
    heads: of the network.
    pixels: what an image becomes, before the network sees it; None: it sees no
      image.
    model: name of the network and its options; 'mean' and 'std' of the
      channels where images are normalised.
    dtype: of the arithmetic, see `models.compute_dtype`.
    optimizer: a name of `optimizer.OPTIMIZERS`.
    averaged: whether a moving average of the weights is kept.
    streams: name -> what the network sees of a row beside the image: `dtype`,
      by name, and `shape`; `mean` and `std` where it is standardised. Of
      features that are columns of a table also their names, `columns`; of a
      clip the `pixels` of its frames; of what is made of files the settings it
      is made by, `made`.
    tuning: how parameters were told apart in training.
  """

  heads: tuple[heads_lib.Head, ...]
  pixels: images.Pixels | None
  model: dict[str, Any]
  dtype: str
  optimizer: str
  averaged: bool
  streams: Mapping[str, dict] = dataclasses.field(default_factory=dict)
  tuning: tuning_lib.Tuning = dataclasses.field(
    default_factory=tuning_lib.Tuning
  )

  @property
  def label_names(self) -> tuple[str, ...]:
    """The labels of the head `LABELS`."""
    return next(head.names for head in self.heads if head.name == LABELS)

  @property
  def frames(self) -> images.Pixels | None:
    """What a frame of a clip becomes; None: the network sees no clip."""
    return self.streams.get(_CLIP, {}).get('pixels')


@dataclasses.dataclass(frozen=True)
class Bundle:
  """A trained network, as plain host arrays.

  Attributes:
    description: what it is.
    step: optimiser steps it was trained for.
    which: 'best', on validation, or 'latest' where none was validated.
    params: as they are evaluated: their moving averages, if any are kept.
    batch_stats: likewise.
    thresholds: name of head -> those tuned on the validation split; {} where
      the checkpoint was not validated.
  """

  description: Description
  step: int
  which: str
  params: Any
  batch_stats: Any
  thresholds: dict[str, thresholds_lib.Thresholds]

  def make_predict(self, devices=None):
    """Returns streams -> predictions, see `inference.make_predict`."""
    model, _ = make_network(self.description)
    predict = inference.make_predict(model, self.description.heads, devices)
    return predict(self.params, self.batch_stats)

  def digest(self) -> str:
    """Returns 16 hex digits that tell one set of weights from another."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves((self.params, self.batch_stats)):
      found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()[:16]


def describe(
  config, targets, stream: Callable[[str], Any] | None = None
) -> Description:
  """Returns what a configuration trains, of these targets.

  Args:
    config: the configuration.
    targets: name -> `datasets.targets.Target`, in the order of
      `multitask.weights`.
    stream: name -> what has its `dtype` and `shape`, of what the network sees
      beside the image; None: it sees the image alone.
  """
  data, train = config.data, config.train
  hidden = [*map(int, config.model.hidden)]
  of_model = {'hidden': hidden} if hidden else {}
  if models.takes(config.model.name, 'modalities'):
    of_model['modalities'] = config.two_stream.modalities
  description = Description(
    heads=heads_lib.of_targets(
      targets,
      config.loss.name,
      layers=config.multitask.heads,
      window=config.multitask.window,
      bins=config.multitask.bins,
      weights=[*map(float, config.multitask.weights)],
    ),
    pixels=None,
    model={
      'name': config.model.name,
      'stem': config.model.stem,
      'momentum': train.batch_norm_momentum,
      **of_model,
    },
    dtype=train.dtype,
    optimizer=train.optimizer,
    averaged=train.ema_decay > 0,
    tuning=_tuning(config),
  )
  model, _ = make_network(description)
  found = {name: stream(name) for name in model.streams if name != _IMAGE}
  streams = {name: _of_stream(seen) for name, seen in found.items()}
  if _FEATURES in streams and data.feature_columns:
    streams[_FEATURES]['columns'] = tuple(map(str, data.feature_columns))
  if _CLIP in streams and len(streams[_CLIP]['shape']) == 4:
    streams[_CLIP] |= _of_frames(streams[_CLIP]['shape'][-1], data)
  description = dataclasses.replace(description, streams=streams)
  if _IMAGE in model.streams:
    description = _with_image(description, data)
  return description


def _of_stream(seen) -> dict:
  """Returns what model.json says of a stream."""
  moments = {
    name: tuple(map(float, values))
    for name in _MOMENTS
    if (values := getattr(seen, name, None)) is not None
  }
  dtype = np.dtype(seen.dtype).name
  made = {'made': dict(seen.made)} if getattr(seen, 'made', None) else {}
  parts = {name: tuple(part) for name, part in (seen.parts or {}).items()}
  return {
    'dtype': dtype,
    'shape': tuple(seen.shape),
    **moments,
    **({'parts': parts} if parts else {}),
    **made,
  }


def _pixels_of(data) -> images.Pixels:
  """Returns what a configuration makes of an image."""
  names = ('image_size', 'channels', 'resize', 'crop')
  return images.Pixels(**{name: data[name] for name in names})


def _of_frames(channels, data) -> dict:
  """Returns what model.json says of a clip alone."""
  found = inputs.find(data.normalise, data.mean, data.std, data.channels)
  moments = inputs.of_clip(found, channels)
  return {**moments, 'pixels': _pixels_of(data)}


def _with_image(description, data) -> Description:
  """Returns the description of a network that sees images, too."""
  pixels = _pixels_of(data)
  found = inputs.find(data.normalise, data.mean, data.std, data.channels)
  return dataclasses.replace(
    description, pixels=pixels, model={**description.model, **found}
  )


def _tuning(config) -> tuning_lib.Tuning:
  """Returns how a configuration tells parameters apart."""
  train = config.train
  rate = train.backbone_learning_rate or train.learning_rate
  return tuning_lib.Tuning(
    freeze=tuple(config.model.freeze),
    backbone=rate / train.learning_rate,
    layer_decay=train.layer_decay,
    weight_decay=train.weight_decay,
    accumulate_steps=train.accumulate_steps,
  )


def write(directory: pathlib.Path, description: Description) -> None:
  """Writes model.json into the directory of checkpoints."""
  content = dataclasses.asdict(description)
  content['heads'] = [head.to_json() for head in description.heads]
  pixels = content.pop('pixels')
  streams = {} if pixels is None else {_IMAGE: pixels}
  streams |= content.pop('streams')
  tuning = description.tuning.to_json()
  del content['tuning']
  if tuning:
    content['tuning'] = tuning
  # Older releases read all that says nothing they do not know.
  newer = tuning or 'mean' in description.model or pixels is None
  newer = newer or any('mean' in seen for seen in streams.values())
  number = _TUNED_FORMAT if newer else _PLAIN_FORMAT
  if not all(head.is_plain for head in description.heads):
    number = _TARGETS_FORMAT
  raw = any(head.raw for head in description.heads)
  if raw or 'modalities' in description.model:
    number = _FORMAT
  content = {'format': number, 'streams': streams, **content}
  content['sum'] = checkpoint_sums.of_json(content)
  files.write_json(directory / _FILE, content)


def read(directory: pathlib.Path) -> Description:
  """Reads model.json.

  Raises:
    FileNotFoundError: there are no checkpoints, or no such file with them.
    UserError: it is damaged, or of a format that is not read.
  """
  if not directory.is_dir():
    raise FileNotFoundError(
      f'There are no checkpoints at {directory}: train first, or name the '
      'folder of a run that has been trained by --workdir.'
    )
  path = directory / _FILE
  try:
    content = files.read_json(path)
    number = content['format']
    if number <= _FORMAT:
      description = _READERS[number](content)
      model, _ = make_network(description)  # All that it names is there.
      there = {*description.streams, *([_IMAGE] if description.pixels else ())}
      if lacking := {*model.streams} - there:
        raise KeyError(f'streams: {sorted(lacking)}')
      return description
  except FileNotFoundError:
    raise FileNotFoundError(
      f'{path} is not there: it was not copied, or the checkpoints are of an '
      'earlier version. Run the train task in that folder once more, with the '
      'configuration of the run: it writes the file, and trains no step that '
      'is done.'
    ) from None
  except (AttributeError, KeyError, TypeError, ValueError) as error:
    raise errors.UserError(
      f'{path} is damaged, or of another version ({error}). Copy it anew, or '
      'run the train task once more: it writes the file.'
    ) from error
  raise errors.UserError(
    f'{path} is of format {number}, and formats up to {_FORMAT} are read here: '
    'a newer version of aubal_jax wrote it. Install that version.'
  )


def _read_3(content):
  """Returns the `Description` of what `write` writes."""
  held = dict(content)
  kept = held.pop('sum', None)  # Files from before it was written lack it.
  if {*held} - {'tuning'} != {'format', 'heads', 'streams', *_PLAIN}:
    raise KeyError(f'its entries are {sorted(held)}')
  if kept is not None and kept != checkpoint_sums.of_json(held):
    raise ValueError('its checksum is wrong')
  heads = [heads_lib.Head.from_json(head) for head in content['heads']]
  if len({head.layers for head in heads}) != 1:
    raise KeyError('heads')
  streams = dict(content['streams'])
  pixels = _pixels(streams.pop(_IMAGE)) if _IMAGE in streams else None
  return Description(
    heads=tuple(heads),
    pixels=pixels,
    streams={name: _stream(seen) for name, seen in streams.items()},
    **{name: content[name] for name in _PLAIN},
    tuning=tuning_lib.Tuning.from_json(content.get('tuning', {})),
  )


def _stream(seen) -> dict:
  """Returns what a file says of a stream, for which no setting has vouched."""
  shape = tuple(map(int, seen['shape']))
  moments = {
    name: tuple(map(float, seen[name])) for name in _MOMENTS if name in seen
  }
  wrong = any(not np.isfinite(x).all() for x in moments.values())
  if wrong or any((len(x),) != shape[-1:] for x in moments.values()):
    raise KeyError(f'no such mean and std of {shape} numbers')
  named = {'columns': tuple(seen['columns'])} if 'columns' in seen else {}
  if 'pixels' in seen:
    named['pixels'] = _pixels(seen['pixels'])
  if 'made' in seen:
    named['made'] = dict(seen['made'])
  if 'parts' in seen:
    parts = {name: tuple(part) for name, part in seen['parts'].items()}
    if any(not 0 <= low < high <= shape[0] for low, high in parts.values()):
      raise KeyError(f'no such parts of {shape} numbers: {parts}')
    named['parts'] = parts
  return {
    'dtype': np.dtype(seen['dtype']).name,
    'shape': shape,
    **moments,
    **named,
  }


def _read_2(content):
  """Returns the `Description` of a file of the first release."""
  names = tuple(content['label_names'])
  return Description(
    # The loss is not in the file; nothing but training would ask for it.
    heads=(heads_lib.Head(LABELS, 'binary', names, loss=''),),
    pixels=_pixels(content['pixels']),
    **{name: content[name] for name in _PLAIN},
  )


def _pixels(found):
  """Returns `Pixels` of a file, for which no setting has vouched."""
  pixels = images.Pixels(**found)
  if not (
    isinstance(pixels.image_size, int)
    and pixels.image_size > 0
    and pixels.channels in (1, 3)
    and pixels.resize in ('stretch', 'pad', 'crop')
    and pixels.crop in ('none', *crop.DETECTORS)
  ):
    raise KeyError(f'no such pixels: {found}')
  return pixels


_PLAIN = ('model', 'dtype', 'optimizer', 'averaged')
_READERS = {2: _read_2, **dict.fromkeys((3, 4, 5, 6), _read_3)}


def make_network(
  description: Description,
  *,
  learning_rate=1.0,
  schedule=None,
  clip_norm=0.0,
  remat=False,
  sync_batch_norm=True,
  init='he_normal',
):
  """Returns the model and the optimiser; without those, of the same shapes.

  `init` decides the weights before the first step alone: no file tells it.
  """
  model = models.make_model(
    description.model['name'],
    {head.name: head.size for head in description.heads},
    stem=description.model['stem'],
    momentum=description.model['momentum'],
    axis_name=step_lib.AXIS_NAME if sync_batch_norm else None,
    dtype=models.compute_dtype(description.dtype),
    remat=remat,
    init=init,
    mean=description.model.get('mean', ()),
    std=description.model.get('std', ()),
    frozen=description.tuning.freezes_trunk,
    hidden=description.model.get('hidden', ()),
    standardised=[
      (name, seen['mean'], seen['std'])
      for name, seen in description.streams.items()
      if 'mean' in seen
    ],
    layers=description.heads[0].layers,
    window=description.heads[0].window,
    parts=description.streams.get(_FEATURES, {}).get('parts', {}),
    modalities=description.model.get('modalities', 'both'),
  )
  optimizer = optimizer_lib.make_optimizer(
    description.optimizer,
    learning_rate,
    schedule=schedule,
    clip_norm=clip_norm,
    tuning=description.tuning,
    heads=model.head_names,
  )
  return model, optimizer


def first_state(model, optimizer, description: Description, *, seed: int = 0):
  """Returns the `TrainState` before the first step."""
  streams = one_row(description)
  return step_lib.create_state(
    model,
    optimizer,
    jax.random.key(seed),
    streams,
    averaged=description.averaged,
  )


def one_row(description: Description) -> dict[str, np.ndarray]:
  """Returns a batch of one row of zeros, as the network sees it."""
  streams = {
    name: np.zeros((1, *seen['shape']), seen['dtype'])
    for name, seen in description.streams.items()
  }
  if description.pixels is not None:
    streams[_IMAGE] = np.zeros((1, *description.pixels.shape), np.uint8)
  return streams


def load(directory: pathlib.Path, *, which: str = 'best') -> Bundle:
  """Returns what the best checkpoint holds, or the latest if none is best.

  Args:
    directory: of checkpoints.
    which: 'latest': that one, even where another is best.

  Raises:
    FileNotFoundError, UserError: there is none, it is damaged or of another
      model.
  """
  description = read(directory)
  model, optimizer = make_network(description)
  like = jax.eval_shape(lambda: first_state(model, optimizer, description))
  with checkpoint.open_checkpoints(directory, read_only=True) as checkpoints:
    if checkpoint.find_step(checkpoints, which='best') is None:
      which = 'latest'
    state = checkpoint.restore(checkpoints, like, which=which)
    metrics = checkpoints.metrics(int(state.step)) or {}
  step, state = int(state.step), step_lib.evaluated(state)
  _check_finite(directory, step, (state.params, state.batch_stats), metrics)
  kept = thresholds_lib.from_json(metrics)
  if kept is not None:
    _check_thresholds(directory, step, kept, len(description.label_names))
  thresholds = {} if kept is None else {LABELS: kept}
  return Bundle(
    description, step, which, state.params, state.batch_stats, thresholds
  )


def _check_thresholds(directory, step, kept, num_labels):
  """Raises UserError where there is not one for each label."""
  for found, what in (
    (kept.labels, 'thresholds'),
    (kept.positives, 'counts of them'),
    (kept.break_even, 'break-even thresholds'),
  ):
    if found is not None and found.shape != (num_labels,):
      raise errors.UserError(
        f'The checkpoint of step {step} in {directory} has {found.size} '
        f'{what}, not one for each of the {num_labels} labels: it is of '
        'another run. Copy the folder anew.'
      )


def _check_finite(directory, step, weights, metrics):
  """Raises UserError where weights or thresholds are no numbers."""
  weights = dict(zip(('params', 'batch_stats'), weights, strict=True))
  bad = checkpoint_sums.not_finite(weights)
  of_all = (metrics.get('shrinking') or {}).get('threshold', 0.0)
  numbers = [of_all]
  for kind in ('thresholds', 'break_even'):
    numbers += metrics.get(kind) or ()
  if not np.isfinite(numbers).all():
    bad.append('thresholds')
  if bad:
    raise errors.UserError(
      f'The checkpoint of step {step} in {directory} must hold finite numbers; '
      f'{bad[0]} does not ({len(bad)} such arrays). It is damaged, or the '
      'training failed: copy the folder anew, or train anew.'
    )
