"""What the tasks share: settings, data set, images and a watch."""

from __future__ import annotations

import math
import resource
import sys
import time

import numpy as np

from aubal_jax import progress
from aubal_jax import workdir


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
  """The settings, the data set they name, and the stages they pin.

  Attributes:
    config: the configuration.
    path: the folder of the run.
    dataset: the `Dataset`.
    num_steps: optimiser steps in all. Epochs are passes over the training
      split, not over the plan, so that all plans train equally long.
    watch: what the time is booked with.
  """

  def __init__(self, config, path, watch):
    self.config = config
    self.path = path
    self.watch = watch
    self.dataset = load_dataset(config)
    watch.lap('reading data')
    rows = len(self.dataset.rows('train'))
    epochs = config.train.num_epochs * rows / config.train.batch_size
    self.num_steps = config.train.num_steps or max(math.ceil(epochs), 1)
    self.pinned = workdir.pin(
      config,
      fingerprint=self.dataset.fingerprint(),
      num_steps=self.num_steps,
    )
    self._images = None

  def tell_notes(self):
    """Prints what the reader has to say; warnings on stderr."""
    for note in self.dataset.notes:
      serious = note.startswith('Warning: ')
      print(
        note if serious else f'Note: {note}',
        file=sys.stderr if serious else sys.stdout,
        flush=True,
      )

  def begin(self, stage):
    """Says that `stage` is about to write its files."""
    workdir.begin(self.path, stage, self.pinned, self.config)

  def finish(self, stage):
    """Says that `stage` is done."""
    workdir.finish(self.path, stage, self.pinned, self.config)

  def is_done(self, stage) -> bool:
    """Whether `stage` and those before it are done for these settings."""
    return workdir.is_done(self.path, stage, self.pinned)

  def need_images(self):
    """Raises ValueError where the data set has labels alone."""
    if self.dataset.load_images is None:
      raise ValueError(
        'This data set has labels but no images: it can be balanced '
        '(--config.task=balance) and reported, not trained on.'
      )

  def images(self):
    """Returns a function int[R] rows -> uint8[R, H, W, C], held in memory.

    All splits are read before anything is trained, so that a broken image is
    not found out at the end.
    """
    self.need_images()
    if self._images is None:
      self.watch.lap('other')
      rows = np.flatnonzero(self.dataset.split != 'dropped')
      place = np.full(len(self.dataset), len(rows))  # Beyond: an error.
      place[rows] = np.arange(len(rows))
      images = self.dataset.load_images(rows)
      self._images = lambda wanted: images[place[wanted]]
      self.watch.lap('reading images')
    return self._images


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
  if not data.path:
    raise ValueError(
      'data.path is empty; say which table to read: '
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
