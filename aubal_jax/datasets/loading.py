"""The data set that `config.data` names."""

from __future__ import annotations

import dataclasses
import os

from aubal_jax import settings
from aubal_jax.datasets import streams
from aubal_jax.runs import errors

SYNTHETIC = 'synthetic'  # The table that is drawn, in `compare.data`.
_DRAWN = ('synthetic', 'synthetic_table')


def load(config):
  """Returns the `Dataset` of a configuration; no image is opened.

  A network of two streams has them added, see `two_streams.attach`.

  Raises:
    FileNotFoundError, UserError: a setting, a file or a folder has to be
      mended.
  """
  dataset = _load(config)
  if config.model.name not in settings.TWO_STREAM:
    return dataset
  from aubal_jax.datasets import two_streams

  return two_streams.attach(dataset, config)


def _load(config):
  data = config.data
  if data.name in _DRAWN:
    _check_no_path(data)
  if data.name == 'synthetic':
    return _drawn(config)
  if data.name == 'synthetic_table':
    return load_table(config, SYNTHETIC)
  # A network of features needs no image of a table.
  of_features = config.model.name == streams.FEATURES
  if data.name == 'labels' or (data.name == 'manifest' and of_features):
    return load_table(config, _path(config))
  if data.name == 'tfds':
    from aubal_jax.datasets.tfds import sets

    return sets.load(
      _path(config),
      data_dir=data.tfds_dir,
      label_columns=settings.values(config, 'data.label_columns'),
      exclude_columns=settings.values(config, 'data.exclude_columns'),
      draw=draw(config),
      pixels=pixels(config),
    )
  from aubal_jax.datasets import annotations

  found, where = _annotations(config)
  return annotations.to_dataset(
    found,
    where=where,
    draw=draw(config),
    pixels=pixels(config),
    by_column=data.name == 'manifest',
    overlap=data.overlap,
  )


def _drawn(config):
  """Returns the `Dataset` of drawn faces."""
  from aubal_jax.datasets.drawn import expressions
  from aubal_jax.datasets.drawn import films
  from aubal_jax.datasets.drawn import synthetic

  data = config.data
  names = ('num_train', 'num_validation', 'num_test', 'image_size', 'channels')
  common = {'seed': config.seed, **{name: data[name] for name in names}}
  targets = settings.values(config, 'data.drawn_targets')
  if data.drawn_sound:
    _check_rate(config)
    return films.load(
      targets=targets,
      ratio=data.drawn_ratio,
      apart=data.drawn_apart,
      **common,
    )
  if targets == ('labels',) and not data.drawn_film:
    return synthetic.load(**common)
  return expressions.load(
    targets=targets,
    ratio=data.drawn_ratio,
    apart=data.drawn_apart,
    film=data.drawn_film,
    **common,
  )


def _check_rate(config) -> None:
  """Raises UserError where drawn videos would be taken for slower or faster."""
  from aubal_jax.datasets.drawn import moving_faces

  is_seen = config.model.name in settings.TWO_STREAM
  if is_seen and config.two_stream.fps != moving_faces.FPS:
    raise errors.UserError(
      f'two_stream.fps must be {moving_faces.FPS} with data.drawn_sound, whose '
      f'videos have so many frames a second; it is {config.two_stream.fps:g}.'
    )


def _annotations(config):
  """Returns the `Annotations` of image files, and where they are."""
  from aubal_jax.datasets import annotations
  from aubal_jax.datasets import manifest
  from aubal_jax.datasets import merged

  data = config.data
  label_columns = settings.values(config, 'data.label_columns')
  excluded = settings.values(config, 'data.exclude_columns')
  if data.name == 'manifest':
    path = _path(config)
    found = manifest.read(
      path,
      image_dir=data.image_dir,
      # To `inspect` missing images are something to count.
      unreadable='drop' if config.task == 'inspect' else data.unreadable,
      others=_others(config),
      **reading(config),
    )
    return found, path
  if data.name != 'merge':
    found, where = _read_set(config, data.name), _folder(config, data.name)
    found = annotations.select_labels(found, label_columns, where)
    return annotations.leave_out(found, excluded, where), where
  if len({*data.sources}) < len(data.sources):
    raise errors.UserError(
      f'data.sources names a set twice: {tuple(data.sources)}. Name it once.'
    )
  found = merged.merge(
    {name: _read_set(config, name) for name in data.sources},
    label_columns=label_columns,
    unlabelled=data.unlabelled,
  )
  where = 'the merged sets'
  return annotations.leave_out(found, excluded, where), where


def table_paths(config) -> list[str]:
  """Returns `compare.data`, each once; [] where images are compared on.

  The text 'a,b' is two, and an empty one is the table that is drawn.
  """
  given = [*settings.values(config, 'compare.data')]
  return given or [SYNTHETIC] if len(config.compare.data) else []


def load_table(config, path: str):
  """Returns the `Dataset` of a table without images.

  Splits are drawn where it has none and a network is to learn of its features;
  else all rows train, and a comparison makes its own folds.

  Args:
    config: the configuration.
    path: of the table, `data.path` or one of `table_paths`.

  Raises:
    FileNotFoundError, UserError: it has to be mended.
  """
  data, compared = config.data, path in table_paths(config)
  learnt = config.model.name == streams.FEATURES and not compared
  how = draw(config) if learnt else None
  if path == SYNTHETIC:
    from aubal_jax.datasets.drawn import synthetic

    return synthetic.load_table(seed=config.seed, draw=how)
  from aubal_jax.datasets import labels

  return labels.load(
    path,
    tfds_dir=data.tfds_dir,
    feature_columns=settings.values(config, 'data.feature_columns'),
    path_key='compare.data' if compared else 'data.path',
    others=None if compared else _others(config),
    draw=how,
    **reading(config),
  )


def draw(config):
  """Returns how splits are drawn: a `splits.Draw`."""
  from aubal_jax.datasets import splits

  data = config.data
  return splits.Draw(
    validation_fraction=data.validation_fraction,
    test_fraction=data.test_fraction,
    num_folds=data.num_folds,
    fold=data.fold,
    stratify=data.stratify,
    seed=config.seed,
  )


def pixels(config):
  """Returns what an image becomes: an `images.Pixels`."""
  from aubal_jax.media import images

  names = ('image_size', 'channels', 'resize', 'crop')
  return images.Pixels(**{name: config.data[name] for name in names})


def reading(config) -> dict:
  """Returns how a table is read: the fields of `reading.Reading`."""
  from aubal_jax.datasets import reading as reading_lib

  names = [field.name for field in dataclasses.fields(reading_lib.Reading)]
  return {name: settings.value(config, f'data.{name}') for name in names}


def _others(config) -> dict[str, str]:
  """Returns split -> its table, where each has one."""
  paths = {name: config.data[f'{name}_path'] for name in ('validation', 'test')}
  return {name: path for name, path in paths.items() if path}


def _check_no_path(data) -> None:
  """Raises UserError where a path is given beside a data set that is drawn."""
  if data.path:
    raise errors.UserError(
      f'data.path={data.path} is not read where data.name={data.name}, which '
      'is drawn; set data.name to labels (a table of labels alone), manifest '
      '(a table of images) or the name of a data set, or leave out data.path.'
    )


def _path(config) -> str:
  if not config.data.path:
    raise errors.UserError(
      'data.path is empty; say which table to read: '
      '--config.data.path=table.csv'
    )
  return config.data.path


def _folder(config, name: str) -> str:
  """Returns where the data set called `name` is."""
  path = config[name].path
  if not path and config.data.path:
    merged = config.data.name == 'merge'
    path = os.path.join(config.data.path, name) if merged else config.data.path
  if not path:
    raise errors.UserError(
      f'{name}.path is empty; say where the data set is: '
      f'--config.{name}.path=FOLDER'
    )
  return path


def _read_set(config, name: str):
  """Returns the `Annotations` of a data set with a reader of its own."""
  import numpy as np

  from aubal_jax.datasets import dataset
  from aubal_jax.datasets import readers
  from aubal_jax.datasets import splits

  options = {
    key: settings.value(config, f'{name}.{key}')
    for key in readers.options(name)
  }
  found = readers.read(name, _folder(config, name), **options)
  if config[name].split == 'train':
    split = np.full(len(found), 'train', splits.DTYPE)
    own = {
      target: np.where(own == dataset.DROPPED, own, 'train')
      for target, own in found.splits.items()
    }
    found = dataclasses.replace(found, split=split, splits=own)
  return found
