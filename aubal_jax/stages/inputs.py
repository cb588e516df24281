"""What the tasks share: settings, data set, images and a watch."""

from __future__ import annotations

import copy
import functools
import math
import resource
import sys
import time

import numpy as np

from aubal_jax.datasets import loading
from aubal_jax.runs import errors
from aubal_jax.runs import hosts
from aubal_jax.runs import progress
from aubal_jax.runs import stages as stages_lib
from aubal_jax.runs import workdir


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
    self._images = None
    self.dataset = loading.load(config)
    watch.lap('reading data')
    as_read = self.dataset.fingerprint()
    if self._must_open():
      self._open()
    if config.data.unknown == 'drop':
      self.dataset = self.dataset.drop_unknown()
    rows = len(self.dataset.rows('train'))
    epochs = config.train.num_epochs * rows / config.train.batch_size
    self.num_steps = config.train.num_steps or max(math.ceil(epochs), 1)
    self.pinned = stages_lib.pin(
      config,
      fingerprint=self.dataset.fingerprint(),
      num_steps=self.num_steps,
    )
    self.pinned['inspect']['the table'] = as_read
    if loading.table_paths(config):
      self.pinned['compare'] = {}  # Each cell pins the table that it is of.
    if config.task == 'inspect':  # Which images are bad is not known yet.
      for stage in {*self.pinned} - {'inspect'}:
        self.pinned[stage]['the table'] = stages_lib.NOT_KNOWN
      self.pinned['train']['train.num_steps'] = stages_lib.NOT_KNOWN
      if config.balance.redraw_each_epoch:
        self.pinned['balance']['rows drawn'] = stages_lib.NOT_KNOWN

  def within(self, path, config) -> Inputs:
    """Returns the inputs of another run on the same data set and images.

    Args:
      path: its folder.
      config: its settings, of which `train.num_steps` is above 0.
    """
    other = copy.copy(self)
    other.path, other.config = path, config
    other.num_steps = config.train.num_steps
    other.pinned = stages_lib.pin(
      config,
      fingerprint=self.pinned['train']['the table'],
      num_steps=other.num_steps,
    )
    other.pinned['inspect'] = self.pinned['inspect']
    return other

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
    if hosts.is_first():
      workdir.begin(self.path, stage, self.pinned, self.config)

  def finish(self, stage):
    """Says that `stage` is done."""
    if hosts.is_first():
      workdir.finish(self.path, stage, self.pinned, self.config)

  def is_done(self, stage) -> bool:
    """Whether `stage` and those before it are done for these settings."""
    return hosts.from_first(
      lambda: workdir.is_done(self.path, stage, self.pinned)
    )

  def need_images(self):
    """Raises UserError where the data set has labels alone."""
    if self.dataset.load_images is None:
      raise errors.UserError(
        'This data set has labels but no images: it can be balanced '
        '(--config.task=balance) and reported, not trained on.'
      )

  def images(self):
    """Returns a function int[R] rows -> uint8[R, H, W, C].

    All splits are read before anything is trained, so that a broken image is
    not found out at the end.

    Raises:
      UserError: there are no images, or some cannot be read.
    """
    self.need_images()
    if self._images is None:
      self._open()
    return self._images

  def share_images(self, others):
    """Reads the images once, for itself and for inputs that are from `within`.

    Raises:
      UserError: as `images`.
    """
    images = self.images()
    for other in others:
      other._images = images

  def some_images(self, rows):
    """Returns uint8[R, H, W, C] of a few rows; the others stay unread."""
    return (self._images or self.dataset.load_images)(rows)

  def _must_open(self) -> bool:
    """Whether only the images tell which rows can be used."""
    data = self.config.data
    drops = data.unreadable == 'drop' and self.config.task != 'inspect'
    return self.dataset.load_images is not None and (
      drops or data.crop != 'none'
    )

  def _open(self):
    """Reads the images; rows without a face, or unreadable, are dropped."""
    from aubal_jax.media import crop
    from aubal_jax.media import images
    from aubal_jax.media import store

    self.watch.lap('other')
    data, dataset = self.config.data, self.dataset
    self._images, failures = store.open_images(
      dataset,
      np.flatnonzero(dataset.split != 'dropped'),
      loading.pixels(self.config),
      cache_dir=data.cache_dir,
      num_processes=data.num_processes,
      tell=functools.partial(print, flush=True),
    )
    self.watch.lap('reading images')
    unreadable = {k: v for k, v in failures.items() if v != crop.NO_FACE}
    if self.config.task == 'inspect':  # It tells of the bad ones itself.
      failures = {k: failures[k] for k in failures.keys() - unreadable.keys()}
    elif unreadable and data.unreadable == 'error':
      raise images.unreadable_error(unreadable, len(dataset), dataset.describe)
    self.dataset = dataset.drop(failures)
