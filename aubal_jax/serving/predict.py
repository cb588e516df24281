"""checkpoints/, or those of several runs, and new images -> predictions.csv."""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np

from aubal_jax import settings
from aubal_jax.runs import errors
from aubal_jax.runs import preemption
from aubal_jax.runs import text
from aubal_jax.runs import workdir
from aubal_jax.serving import networks
from aubal_jax.serving import outputs as outputs_lib
from aubal_jax.serving import predict_faces


def run(config, path, watch, *, overwrite: bool = False) -> None:
  """Predicts every image of a folder, a manifest or a split, or every row.

  What the network is and how images are prepared, the checkpoint says; of the
  configuration only `predict`, where images and caches are, of which runs the
  mean is wanted (`ensemble`), which frozen network a network sees
  (`multitask.features_of`) and which columns of a table tell videos and frames
  have a say.
  Where it names no images, a split of the run's own data set is predicted.
  A network of features takes tables with such columns. Clips, and several
  inputs, are of another form, see `predict_faces`.

  Args:
    config: any configuration.
    path: the folder of the run, with its checkpoints/; or one with an
      ensemble.json; or any, where `ensemble.runs` names the runs.
    watch: books the time.
    overwrite: predict anew what was predicted before.

  Raises:
    UserError, OSError: the user has to mend something.
    SystemExit: a signal came; the rows so far are kept.
  """
  path = pathlib.Path(path)
  form = predict_faces.form_of(config)
  of_faces = form != predict_faces.IMAGES
  outputs = outputs_lib.find(config, path, of_faces=of_faces)
  with outputs_lib.locked(outputs, path):
    if of_faces:
      predict_faces.run(config, path, outputs, form, watch, overwrite=overwrite)
    else:
      _predict(config, path, outputs, watch, overwrite)


def _predict(config, path, outputs, watch, overwrite) -> None:
  from aubal_jax.serving import in_parts
  from aubal_jax.serving import rows_in_videos
  from aubal_jax.serving import submission

  members = networks.members(config, path)
  description = networks.describe(path, members)
  eye = in_parts.find_eye(config, path, members, description)
  seen = in_parts.seen_by(description, eye)
  of_table = networks.sees_features(seen)
  if not of_table:
    networks.check_image_alone(seen)
  known = (path / 'config.json').exists() or not members
  home = path if known else members[0]
  find = _source_of_table if of_table else _source
  source, inputs = find(config, home, seen)
  if networks.window_of(description):
    source = rows_in_videos.find(config, home, source)
  kind = config.predict.submission
  if kind:
    submission.check(source.names, description.label_names)
  watch.lap('looking for images')
  trained = networks.load(config, path, members)
  parts = in_parts.make(trained, eye)
  thresholds = networks.thresholds(config, trained)
  watch.lap('reading the checkpoint')
  if overwrite:
    outputs_lib.clear(outputs, path)
  what = 'rows' if of_table else 'images'
  print(
    f'predict: {len(source.names):,} {what} of {inputs}, with the '
    f'{networks.in_words(trained)}',
    flush=True,
  )
  about = {'inputs': inputs, 'checkpoint': networks.identity(trained)}
  if not of_table:
    about['pixels'] = dataclasses.asdict(seen.pixels)
  if parts is not None:
    about['parts'] = parts.describe(source.groups, source.frames)
  name = networks.FEATURES if of_table else networks.IMAGE
  source, run = _program(config, trained, parts, source, name)
  _write(config, outputs, source, run, trained.description, thresholds, about)
  watch.lap('prediction')
  preemption.stop_if_requested()
  _tell(outputs.rows, description, what)
  if kind:
    _write_submission(config, outputs, description)
  watch.lap('summary')


def _program(config, trained, parts, source, name):
  """Returns what is read a batch at a time, and what is said of that.

  Args:
    config: any configuration.
    trained: a `Bundle` or an `Ensemble`.
    parts: of `in_parts.make`; then what is read is what is said.
    source: rows of a stream.
    name: of that stream.
  """
  from aubal_jax.serving import rows_in_videos
  from aubal_jax.serving import target_columns

  if parts is not None:
    size = config.predict.batch_size
    said = rows_in_videos.predicted(source, name, parts, batch_size=size)
    return said, np.asarray
  predict = trained.make_predict()
  others = target_columns.others(trained.description.heads)
  return source, lambda rows: target_columns.join(predict({name: rows}), others)


def _write(config, outputs, source, run, description, thresholds, about):
  """Predicts, into the rows of `outputs`."""
  from aubal_jax.serving import predictions as predict_lib
  from aubal_jax.serving import target_columns

  with preemption.deferred():
    predict_lib.write_predictions(
      outputs.rows,
      source,
      run,
      label_names=description.label_names,
      thresholds=thresholds,
      batch_size=config.predict.batch_size,
      about=about,
      others=target_columns.others(description.heads),
      record=outputs.record,
      raw=config.raw_cells,
      should_stop=preemption.requested,
    )


def _write_submission(config, outputs, description) -> None:
  from aubal_jax.serving import predictions as predict_lib
  from aubal_jax.serving import target_columns

  written = predict_lib.write_submission(
    outputs.rows,
    outputs.submission,
    description.label_names,
    config.predict.submission,
    others=target_columns.others(description.heads),
    raw=config.raw_cells,
  )
  print(
    f'predict: a submission of {len(written):,} files is in '
    f'{outputs.submission}',
    flush=True,
  )


def _source(config, path, description):
  """Returns the images, and what they are called."""
  from aubal_jax.serving import sources

  given = config.predict.path
  if not given:
    return _split(_with_data(config, path), description)
  if os.path.isdir(given):
    names, paths, others = sources.list_folder(given)
    tell_others(others)
  elif os.path.exists(given):
    names, paths = sources.list_table(
      given,
      path_column=config.data.path_column,
      image_dir=config.data.image_dir,
    )
  else:
    raise FileNotFoundError(
      f'predict.path={given}: there is no such folder or table.'
    )
  source = sources.of_files(
    names, paths, description.pixels, **_options(config)
  )
  return source, given


def _source_of_table(config, path, description):
  """Returns rows of a table with the features of a network, and their name.

  What is missing there is the mean of the training split.
  """
  from aubal_jax.datasets import labels
  from aubal_jax.serving import sources

  given, seen = config.predict.path, description.streams[networks.FEATURES]
  if not given:
    config = _with_data(config, path)
    dataset, rows, name = _rows_of_split(config, description)
    features = dataset.stream(networks.FEATURES).take(rows)
    source = sources.of_features(
      dataset.ids[rows].tolist(), checked_features(features, seen)
    )
    return _as_in(dataset, rows, source), name
  names, features = labels.read_features(
    *(given, seen.get('columns', ())),
    label_columns=description.label_names,
    path_column=config.data.path_column,
  )
  return sources.of_features(names, checked_features(features, seen)), given


def checked_features(features: np.ndarray, seen) -> np.ndarray:
  """Returns features as a network sees them, float32[N, F].

  Args:
    features: float[N, F]; NaN is the mean of the training split.
    seen: of the stream, in a `Description`.

  Raises:
    UserError: F is another, or a number is infinite in float32.
  """
  size, mean = *seen['shape'], seen.get('mean', 0.0)
  if features.ndim != 2 or features.shape[1] != size:
    raise errors.UserError(
      f'features must be [N, {size}], those that the network was trained on in '
      f'their order, not {list(features.shape)}.'
    )
  with np.errstate(over='ignore'):
    features = np.where(np.isnan(features), mean, features).astype(np.float32)
  if not np.isfinite(features).all():
    row, column = np.argwhere(~np.isfinite(features))[0]
    raise errors.UserError(
      f'features must be finite in float32, or NaN where one is missing; '
      f'feature {column} of row {row} (both counted from 0) is not. Correct it.'
    )
  return features


def tell_others(others) -> None:
  """Says how many files have no row, as they are called no image."""
  if others:
    kinds = [
      f'{n:,} {suffix or "without"}' for suffix, n in others.most_common()
    ]
    print(
      'Note: files that are called neither like an image nor like a clip have '
      f'no row: {text.listing(kinds)}.',
      flush=True,
    )


def _options(config):
  return {
    'batch_size': config.predict.batch_size,
    'cache_dir': config.data.cache_dir,
    'num_processes': config.data.num_processes,
  }


def _with_data(config, path):
  """Returns a copy that names a data set: else that of the run in `path`.

  Raises:
    UserError: neither does.
  """
  config = config.copy_and_resolve_references()
  if config.data.name != 'manifest' or config.data.path:
    return config
  held = settings.flatten(workdir.read_settings(path))
  if 'data.name' not in held:
    raise errors.UserError(
      f'Predict which images? aubal_jax predict {path} IMAGES, a folder or a '
      f'table (predict.path). Without, it is the {config.predict.split} split '
      f'of the data set of the run, of which no {path}/config.json tells.'
    )
  settings.take_data(config, held)
  return config


def _split(config, description):
  """Returns the images of a split of the data set that `config` names."""
  config.data.update(dataclasses.asdict(description.pixels))
  dataset, rows, name = _rows_of_split(config, description)
  source = _of_rows(config, dataset, rows, description.pixels)
  return _as_in(dataset, rows, source), name


def _as_in(dataset, rows, source):
  """Returns a source with the videos and the frames of a data set's rows."""

  def taken(column):
    return None if column is None else column[rows]

  return dataclasses.replace(
    source, groups=taken(dataset.groups), frames=taken(dataset.frames)
  )


def _rows_of_split(config, description):
  """Returns the data set that `config` names, rows of a split, and its name.

  Raises:
    UserError: it is not what the network was trained on, or has no such split.
  """
  from aubal_jax.datasets import loading
  from aubal_jax.datasets import telling

  config.model.name = description.model['name']
  dataset = loading.load(config)
  telling.tell(dataset)
  split = config.predict.split
  if description.pixels is not None and dataset.load_images is None:
    raise errors.UserError(
      'This data set has labels but no images to predict; set predict.path to '
      'a folder or a table of images.'
    )
  if tuple(dataset.label_names) != description.label_names:
    raise errors.UserError(
      f'The data set has the labels {[*dataset.label_names]}, but the '
      f'checkpoint is of {[*description.label_names]}; give the configuration '
      'of the run, or set predict.path to a folder or a table of images.'
    )
  rows = dataset.rows(split)
  if not len(rows):
    raise errors.UserError(
      f'The data set has no {split} split; it has {dataset.num_rows()} rows. '
      'Set predict.split to another.'
    )
  return (
    *(dataset, rows),
    f'the {split} split of {config.data.path or config.data.name}',
  )


def _of_rows(config, dataset, rows, pixels):
  """Returns the images of rows, as a network sees them."""
  from aubal_jax.serving import sources

  if dataset.files is None:
    return sources.of_dataset(dataset, rows)
  return sources.of_files(
    dataset.ids[rows].tolist(),
    dataset.files[rows].tolist(),
    pixels,
    **_options(config),
  )


def some_rows(config, path, description, count: int) -> dict:
  """Returns a few rows of the data set of a run, as its network is given them.

  Args:
    config: any configuration.
    path: the folder of the run.
    description: of its network.
    count: of the rows, at most `predict.batch_size`.

  Returns:
    Name -> [n, ...] of each of `networks.inputs_of`; fewer where some cannot be
    read, and none where the data set is not at hand.
  """
  from aubal_jax.datasets import loading

  inputs = networks.inputs_of(description)
  try:
    config = _with_data(config, path)
    config.model.name = description.model['name']
    pixels = description.pixels or description.frames
    if pixels is not None:
      config.data.update(dataclasses.asdict(pixels))
    dataset = loading.load(config)
    rows = np.flatnonzero(dataset.split != 'dropped')
    spread = np.linspace(0, len(rows) - 1, min(count, len(rows)))
    rows = rows[np.unique(spread.round().astype(int))]
    return _read_rows(config, dataset, rows, description)
  except (ImportError, OSError, errors.UserError):
    return {x.name: np.zeros((0, *x.shape), x.dtype) for x in inputs}


def _as_seen(stream, seen):
  """Returns a stream that tells where it does not give what a network sees."""
  return dataclasses.replace(stream, dtype=seen['dtype'], shape=seen['shape'])


def _read_rows(config, dataset, rows, description) -> dict:
  """Returns those of these rows that can be read, as a network is given them.

  Raises:
    OSError, UserError: the data set has no such thing.
  """
  if description.pixels is None:
    return {
      name: _as_seen(dataset.stream(name), seen).take(rows)
      for name, seen in description.streams.items()
    }
  if dataset.load_images is None or not len(rows):
    return {networks.IMAGE: np.zeros((0, *description.pixels.shape), np.uint8)}
  source = _of_rows(config, dataset, rows, description.pixels)
  images, failures = source.read(0, len(rows))
  return {networks.IMAGE: np.delete(images, [*failures], axis=0)}


def _tell(path, description, what):
  """Prints what the file holds."""
  from aubal_jax.serving import predictions as predict_lib
  from aubal_jax.serving import target_columns

  label_names = description.label_names
  statuses, positive = predict_lib.summarise(path, len(label_names))
  good = statuses.pop(predict_lib.OK, 0)
  total = good + sum(statuses.values())
  print(f'predict: {total:,} {what}, {good:,} of them ok')
  for status, count in statuses.items():
    print(f'  {count:,} {status}')
  if good:
    width = max(map(len, label_names))
    for name, count in zip(label_names, positive, strict=True):
      print(f'  {name:{width}} positive in {count:,} ({count / good:.1%})')
  others = target_columns.others(description.heads)
  if good and others:
    found = predict_lib.read_targets(path, len(label_names), others)
    for head in others:
      for line in target_columns.describe(head, found[head.name]):
        print(f'  {line}')
  print(f'predict: written to {path}', flush=True)
