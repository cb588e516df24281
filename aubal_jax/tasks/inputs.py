"""What the tasks share: settings, data set, images and a watch."""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from aubal_jax import progress


class Watch:
  """Seconds by what they were spent on."""

  def __init__(self, started):
    self._started = self._last = started
    self._seconds = {}
    self.lap('start and imports')

  def lap(self, name):
    """Books the time since the last lap under `name`."""
    now = time.perf_counter()
    self._seconds[name] = self._seconds.get(name, 0.0) + now - self._last
    self._last = now

  def report(self):
    """Prints where the time went, and the most memory that was held."""
    self.lap('other')
    total = time.perf_counter() - self._started
    parts = [f'{name} {s:.1f} s' for name, s in self._seconds.items()]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory *= 1 if sys.platform == 'darwin' else 1024  # macOS counts bytes.
    print(
      f'{progress.duration(total)} in all: {", ".join(parts)}; at most '
      f'{memory / 1e9:.1f} GB of memory',
      flush=True,
    )


class Inputs:
  """The settings and the data set, read when first asked for."""

  def __init__(self, config, watch):
    self.config = config
    self.watch = watch
    self._dataset = None

  @property
  def dataset(self):
    """The `Dataset` of the settings."""
    if self._dataset is None:
      self.watch.lap('other')
      self._dataset = load_dataset(self.config)
      for note in self._dataset.notes:
        print(f'Note: {note}', flush=True)
      self.watch.lap('reading data')
    return self._dataset

  def images(self, *splits):
    """Returns a function int[R] rows -> uint8[R, H, W, C], held in memory."""
    if self.dataset.load_images is None:
      raise ValueError(
        'This data set has labels but no images: it can be balanced '
        '(--config.task=balance) and reported, not trained on.'
      )
    self.watch.lap('other')
    rows = np.concatenate([self.dataset.rows(split) for split in splits])
    place = np.full(len(self.dataset), -1)
    place[rows] = np.arange(len(rows))
    images = self.dataset.load_images(rows)
    self.watch.lap('reading images')
    return lambda wanted: images[place[wanted]]


def load_dataset(config):
  """Returns the `Dataset` that `config.data` names.

  Raises:
    ValueError: a setting or the table has to be mended.
  """
  data = config.data
  if data.name == 'synthetic':
    from aubal_jax.data import synthetic

    return synthetic.load(
      num_train=data.num_train,
      num_validation=data.num_validation,
      num_test=data.num_test,
      seed=config.seed,
      image_size=data.image_size,
      channels=data.channels,
    )
  if data.name not in ('manifest', 'labels'):
    raise ValueError(
      "config.data.name must be 'synthetic', 'manifest' or 'labels'; it is "
      f'{data.name!r}.'
    )
  if not data.path:
    raise ValueError(
      'config.data.path is empty; say which table to read: '
      '--config.data.path=table.csv'
    )
  columns = {
    name: data[name] for name in ('path_column', 'split_column', 'group_column')
  }
  columns['label_columns'] = tuple(data.label_columns)
  columns['unknown_codes'] = tuple(data.unknown_codes)
  if data.name == 'labels':
    from aubal_jax.data import labels

    return labels.load(data.path, **columns)
  from aubal_jax.data import manifest

  return manifest.load(
    data.path,
    **columns,
    unreadable=data.unreadable,
    validation_fraction=data.validation_fraction,
    test_fraction=data.test_fraction,
    seed=config.seed,
    image_size=data.image_size,
    channels=data.channels,
    resize=data.resize,
  )
