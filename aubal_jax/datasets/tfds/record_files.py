"""The files of a prepared TFDS set: found by name, read in their order."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np
from absl import logging

from aubal_jax.datasets import readers
from aubal_jax.datasets import splits
from aubal_jax.runs import errors
from aubal_jax.runs import text

_BATCH = 1024  # Rows whose labels are read at once.
_NEAR = (
  8192  # Wanted rows no further apart are read in one go: a start is dear.
)


@dataclasses.dataclass(frozen=True)
class Part:
  """A split as the set calls it, and as we do; its rows begin at `start`."""

  name: str
  split: str
  start: int
  size: int


def open_builder(name: str, data_dir: str):
  """Returns the builder of a prepared set, whose code need not be there.

  Args:
    name: of the set, maybe with a config and a version.
    data_dir: folder of prepared sets; '' is TFDS's own.

  Raises:
    UserError: it is not there; says how to prepare it.
  """
  import tensorflow as tf
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core import read_only_builder

  # The devices are JAX's; TensorFlow would take all their memory.
  tf.config.set_visible_devices([], 'GPU')
  folder = pathlib.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
  try:
    # tfds.builder would look for a set that is not there in a bucket.
    with _quietly():
      return read_only_builder.builder_from_files(name, data_dir=str(folder))
  except ValueError as error:
    raise errors.UserError(_not_prepared(name, folder)) from error


def _not_prepared(name, folder):
  """Returns what is said of a set that is not there."""
  there = sorted(
    f'{found.parent.parent.relative_to(folder)}:{found.parent.name}'
    for pattern in ('*/*/features.json', '*/*/*/features.json')
    for found in folder.glob(pattern)
  )
  names = [path.rpartition(':')[0] for path in there]
  if name.split('/')[0].split(':')[0] in readers.names():
    how = (
      'import aubal_jax.datasets.tfds.builders, tensorflow_datasets as tfds; '
      f"tfds.load('{name}', data_dir='{folder}', "
      'download_and_prepare_kwargs=dict(download_config='
      "tfds.download.DownloadConfig(manual_dir='FOLDER_OF_THE_SET')))"
    )
  else:
    how = (
      'import tensorflow_datasets as tfds; '
      f"tfds.load('{name}', data_dir='{folder}')"
    )
  return (
    f'There is no prepared TFDS set {name!r} in {folder} (prepared there: '
    f'{text.listing(there) or "none"}).{text.suggest(name, names)} '
    'Correct data.path or data.tfds_dir, or prepare the set: '
    f'python -c "{how}"'
  )


def find_parts(builder) -> tuple[tuple[Part, ...], tuple[str, ...]]:
  """Returns the splits that are used, and notes on the others.

  Raises:
    UserError: none of them trains.
  """
  parts, start, left = [], 0, []
  for name, info in builder.info.splits.items():
    split = splits.SPLIT_NAMES.get(name.casefold())
    if split is None:
      left.append(name)
    else:
      parts.append(Part(name, split, start, info.num_examples))
      start += info.num_examples
  if 'train' not in {part.split for part in parts}:
    raise errors.UserError(
      f'{where(builder)}: none of its splits {[*builder.info.splits]} trains. '
      'Choose another set or config in data.path.'
    )
  note = f'{where(builder)}: left out the splits {text.listing(left)}.'
  return tuple(parts), (note,) if left else ()


def where(builder) -> str:
  """Returns what messages call the set."""
  return f'TFDS set {builder.info.full_name}'


def read_batches(
  builder, part: Part, paths: Sequence[str]
) -> Iterator[dict[str, Sequence]]:
  """Yields path -> values of the next rows of a split; images are not parsed.

  Args:
    builder: of the set.
    part: the split.
    paths: features, at least one.

  Raises:
    UserError: files are damaged, or missing.
  """
  partial = _partial(paths, None)
  num_read = 0
  with _readable(builder, part):
    if _is_array_record(builder):
      data = _parse(builder, part, partial)
    else:
      data = _as_dataset(builder, part.name, partial)
    for batch in data.ragged_batch(_BATCH):
      values = {path: _column(batch, path) for path in paths}
      yield values
      num_read += len(values[paths[0]])
    if num_read != part.size:
      raise OSError(f'{num_read} rows instead of {part.size}')


def read_images(
  builder, part: Part, path: str, rows: np.ndarray
) -> Iterator[bytes]:
  """Yields the files of the images of ascending rows of a split, undecoded.

  Sets of array_record files are read at these rows alone, others from the
  first to the last of each run of near rows.

  Args:
    builder: of the set.
    part: the split.
    path: of the feature.
    rows: int[R], counted in the split, ascending and distinct.

  Raises:
    UserError: files are damaged, or missing.
  """
  import tensorflow_datasets as tfds

  partial = _partial([path], tfds.decode.SkipDecoding())
  with _readable(builder, part):
    if _is_array_record(builder):
      features = _features(builder, partial)
      for record in _records(builder, part, rows.tolist()):
        example = features.deserialize_example_np(
          record, decoders=partial.decoders
        )
        yield _at(example, path)
      return
    for run in np.split(rows, np.flatnonzero(np.diff(rows) > _NEAR) + 1):
      if not len(run):
        continue
      piece = f'{part.name}[{run[0]}:{run[-1] + 1}]'
      data = _as_dataset(builder, piece, partial).as_numpy_iterator()
      wanted = np.isin(np.arange(run[0], run[-1] + 1), run)
      for is_wanted in wanted:
        example = next(data, None)
        if example is None:
          raise OSError('rows are missing')
        if is_wanted:
          yield _at(example, path)


def _is_array_record(builder):
  import tensorflow_datasets as tfds

  return builder.info.file_format is tfds.core.FileFormat.ARRAY_RECORD


def _partial(paths, decoder):
  """Returns what decodes the features at `paths`, and parses no others."""
  import tensorflow_datasets as tfds

  decoders = decoder and _nest(paths, decoder)
  return tfds.decode.PartialDecoding(_nest(paths, True), decoders)


def _nest(paths, value):
  """Returns a dict of dicts with `value` at each path."""
  tree = {}
  for path in paths:
    *folders, name = path.split('/')
    branch = tree
    for folder in folders:
      branch = branch.setdefault(folder, {})
    branch[name] = value
  return tree


def _as_dataset(builder, piece, partial):
  """Returns the tf.data.Dataset of the rows of a split, in their order."""
  import tensorflow_datasets as tfds

  config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
  with _quietly():
    return builder.as_dataset(
      split=piece, decoders=partial, read_config=config, shuffle_files=False
    )


def _records(builder, part, rows):
  """Yields the rows of a split as they are stored, by random access."""
  import tensorflow_datasets as tfds

  raw = tfds.decode.DeserializeMethod.RAW_BYTES
  source = builder.as_data_source(part.name, deserialize_method=raw)
  if len(source) != part.size:
    raise OSError(f'{len(source)} rows instead of {part.size}')
  for start in range(0, len(rows), _BATCH):
    for record in source.__getitems__(list(rows[start : start + _BATCH])):
      if not record:  # What is read of a file that is cut short.
        raise OSError('a row is empty')
      yield record


def _parse(builder, part, partial):
  """Returns the tf.data.Dataset of the rows of a split, of array_record."""
  import tensorflow as tf

  return tf.data.Dataset.from_generator(
    lambda: _records(builder, part, range(part.size)),
    output_signature=tf.TensorSpec((), tf.string),
  ).map(_features(builder, partial).deserialize_example)


def _features(builder, partial):
  """Returns the features that `partial` names."""
  with _quietly():
    return partial.extract_features(builder.info.features)


def _at(tree, path):
  """Returns what is at a path of a dict of dicts."""
  for name in path.split('/'):
    tree = tree[name]
  return tree


def _column(batch, path):
  """Returns the values of a feature in a batch, one for each row."""
  values = _at(batch, path)
  if hasattr(values, 'row_splits'):  # Ragged: a list in each row.
    return np.split(values.flat_values.numpy(), values.row_splits[1:-1])
  return values.numpy()


@contextlib.contextmanager
def _quietly():
  """Keeps TFDS from logging how it reads, and what it finds old in itself."""
  verbosity = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    yield
  finally:
    logging.set_verbosity(verbosity)


@contextlib.contextmanager
def _readable(builder, part):
  """Turns what damaged files raise into one clear ValueError."""
  import tensorflow as tf

  try:
    yield
  except (tf.errors.OpError, OSError, RuntimeError, IndexError) as error:
    reason = str(error).partition('\n')[0]
    raise errors.UserError(
      f'{where(builder)}: the files of the split {part.name!r} in '
      f'{builder.data_dir} are damaged or missing ({reason}). Delete the '
      'folder and prepare the set again.'
    ) from error
