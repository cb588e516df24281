"""A run: its settings, folder and data set, and what its stages pin."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import pathlib
import typing
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping

import numpy as np

from aubal_jax import settings as settings_lib
from aubal_jax.datasets import codes
from aubal_jax.datasets import loading
from aubal_jax.datasets import streams as streams_lib
from aubal_jax.runs import errors
from aubal_jax.runs import hosts
from aubal_jax.runs import progress
from aubal_jax.runs import text
from aubal_jax.runs import workdir
from aubal_jax.stages import learnt
from aubal_jax.stages import run_features

_OF_PICTURES = (streams_lib.IMAGE, streams_lib.CLIP)
_PIXELS = ('image_size', 'channels', 'resize', 'crop')


@dataclasses.dataclass(frozen=True)
class Run:
  """The settings, the data set they name, and what each stage depends on.

  Attributes:
    config: the configuration.
    path: the folder.
    dataset: the `Dataset`, without the rows that cannot be used.
    num_steps: optimiser steps in all. Epochs are passes over the training
      split, not over the plan, so that all plans train equally long.
    pinned: stage -> setting -> value, see `pin`.
    watch: what the time is booked with.
    opened: the images, where they have been read: int[R] rows ->
      uint8[R, H, W, C].
  """

  config: typing.Any
  path: pathlib.Path
  dataset: typing.Any
  num_steps: int
  pinned: Mapping[str, dict]
  watch: progress.Watch
  opened: Callable | None = None

  def within(self, path, config, dataset=None) -> Run:
    """Returns another run on the same images.

    Args:
      path: its folder.
      config: its settings, of which `train.num_steps` is above 0.
      dataset: the same table with other splits; None: the same.
    """
    dataset = self.dataset if dataset is None else dataset
    steps = config.train.num_steps
    pinned = pin(config, dataset, steps)
    pinned['inspect'] = self.pinned['inspect']
    return dataclasses.replace(
      self,
      config=config,
      path=path,
      dataset=dataset,
      num_steps=steps,
      pinned=pinned,
    )

  def refuse_other(self) -> None:
    """Raises UserError where the folder holds what these settings did not."""
    workdir.check_folder(self.path)
    workdir.refuse_other(
      self.path,
      self.pinned,
      may_grow=settings_lib.MAY_GROW,
      defaults=settings_lib.DEFAULTS,
    )

  @contextlib.contextmanager
  def locked(self) -> Iterator[None]:
    """Locks the folder, which process 0 alone sees."""
    if not hosts.is_first():
      yield
      return
    with workdir.locked(self.path):
      yield

  def begin(self, stage: str) -> None:
    """Says that `stage` is about to write its files."""
    if hosts.is_first():
      workdir.begin(self.path, stage, self.pinned, self.config)

  def finish(self, stage: str) -> None:
    """Says that `stage` is done."""
    if hosts.is_first():
      workdir.finish(self.path, stage, self.pinned, self.config)

  def is_done(self, stage: str, *, alone: bool = False) -> bool:
    """Whether `stage`, and those before it, are done for these settings."""
    return hosts.from_first(
      lambda: workdir.is_done(
        *(self.path, stage, self.pinned),
        defaults=settings_lib.DEFAULTS,
        alone=alone,
      )
    )

  def need_images(self) -> None:
    """Raises UserError where the data set has labels alone."""
    if self.dataset.load_images is None:
      raise errors.UserError(
        'This data set has labels but no images: it can be balanced '
        '(--config.task=balance) and reported, not trained on. A network of '
        f'its features is model.name={streams_lib.FEATURES}.'
      )

  @functools.cached_property
  def sees(self) -> tuple[str, ...]:
    """Names of the streams that the network sees."""
    from aubal_jax.network import models

    config = self.config
    return models.streams_of(config.model.name, config.two_stream.modalities)

  @property
  def sees_pictures(self) -> bool:
    """Whether the network sees images, or clips of them."""
    return bool({*_OF_PICTURES} & {*self.sees})

  def need_streams(self) -> None:
    """Raises UserError where the data set lacks what the network sees."""
    for name in self.sees:
      if name in _OF_PICTURES:
        self.need_images()
      if name != streams_lib.IMAGE:
        self.dataset.stream(name)

  def need_varied(self) -> None:
    """Raises UserError where a label has one value alone, see `need_varied`."""
    need_varied(self.config, self.dataset)

  def images(self) -> Callable:
    """Returns a function int[R] rows -> uint8[R, H, W, C].

    All splits are read before anything is trained, so that a broken image is
    not found out at the end.

    Raises:
      UserError: there are no images, or some cannot be read.
    """
    self.need_images()
    return self._read

  def images_seen(self) -> Callable | None:
    """Returns `images`; None where the network sees none, nor clips of them."""
    return self.images() if self.sees_pictures else None

  def streams(self, description) -> list[streams_lib.Stream]:
    """Returns what a network sees: the image, if any, and what else it takes.

    Args:
      description: `bundle.Description` of the network.

    Raises:
      UserError: as `images`, or there is no such stream.
    """
    others = [
      dataclasses.replace(
        self._stream(name), dtype=seen['dtype'], shape=seen['shape']
      )
      for name, seen in description.streams.items()
    ]
    if description.pixels is None:
      return others
    shape = description.pixels.shape
    return [streams_lib.of_images(self.images(), shape), *others]

  def _stream(self, name) -> streams_lib.Stream:
    """Returns a stream; of pictures, as they were read once."""
    stream = self.dataset.stream(name)
    return stream if stream.over is None else stream.over(self.images())

  @functools.cached_property
  def _read(self) -> Callable:
    if self.opened is not None:
      return self.opened
    return _read_images(self.config, self.dataset, self.watch)[0]

  def some_images(self, rows):
    """Returns uint8[R, H, W, C] of a few rows; the others stay unread."""
    return (self.opened or self.dataset.load_images)(rows)


def load(config, path, watch: progress.Watch) -> Run:
  """Returns the run of a configuration in a folder.

  Images are read where they alone tell which rows can be used.

  Raises:
    FileNotFoundError, UserError: a setting, a file or a folder has to be
      mended.
  """
  dataset = loading.load(config)
  watch.lap('reading data')
  opened, as_read = None, dataset.fingerprint()
  drops = config.data.unreadable == 'drop' or config.data.crop != 'none'
  if dataset.load_images is not None and drops:
    opened, dataset = _read_images(config, dataset, watch)
  if config.data.unknown == 'drop':
    dataset = dataset.drop_unknown()
  rows = learnt.rows_of_epoch(config, dataset) * config.train.num_epochs
  steps = max(math.ceil(rows / config.train.batch_size), 1)
  steps = config.train.num_steps or steps
  pinned = pin(config, dataset, steps)
  pinned['inspect']['the table'] = as_read  # Which tells of all rows.
  run = Run(config, path, dataset, steps, pinned, watch, opened)
  return run_features.attach(run)


def load_unread(config, path, watch: progress.Watch) -> Run:
  """Returns the run to be inspected: which of its images are bad is not known.

  So neither is what the stages of the line depend on; faces are looked for
  where the settings say so, and rows without one are dropped.

  Raises:
    FileNotFoundError, UserError: as `load`.
  """
  dataset = loading.load(config)
  watch.lap('reading data')
  pinned = pin(config, dataset, 0)
  for stage in {*pinned} - {'inspect'}:
    pinned[stage] |= dict.fromkeys(_OF_ROWS, workdir.NOT_KNOWN)
  opened = None
  if dataset.load_images is not None and config.data.crop != 'none':
    opened, dataset = _read_images(config, dataset, watch, keep_unreadable=True)
  if config.data.unknown == 'drop':
    dataset = dataset.drop_unknown()
  return Run(config, path, dataset, 0, pinned, watch, opened)


# What is pinned beside the settings; all of it depends on which rows there are.
_OF_ROWS = (
  *('the table', 'the groups and frames', 'train.num_steps', 'rows drawn'),
)


def _policy(spec: str) -> str:
  """Returns a digest of the file of `augment.policy`."""
  from aubal_jax.batches import policy

  return policy.digest(spec)


def pin(config, dataset, num_steps: int) -> dict[str, dict]:
  """Returns, for each stage, what its result depends on.

  Args:
    config: the configuration.
    dataset: the `Dataset`.
    num_steps: optimiser steps, whichever setting gives them.
  """
  flat = settings_lib.flatten(config.to_dict())
  fingerprint = dataset.fingerprint()
  pinned = {
    stage: {name: flat[name] for name in settings_lib.read_by(stage)}
    | {'the table': fingerprint}
    for stage in workdir.WRITES
  }
  if flat['balance.features'] == 'pixels':  # Then these decide who is near.
    pinned['balance'] |= {f'data.{k}': flat[f'data.{k}'] for k in _PIXELS}
  spreads = flat['balance.method'] in ('keep', 'keep_every')
  if spreads or flat['balance.diversity'] == 'group':
    found = dataset.fingerprint_of_groups()
    pinned['balance'] |= {'the groups and frames': found}
  if flat['multitask.balance'] != 'none':
    pinned['balance']['multitask.targets'] = flat['multitask.targets']
  is_drawn = flat['multitask.balance'] == 'published'
  if is_drawn or flat['balance.redraw_each_epoch']:
    # The plan is as long as training.
    pinned['balance']['rows drawn'] = num_steps * flat['train.batch_size']
  pinned['train']['train.num_steps'] = num_steps
  if flat['multitask.heads'] == 'gru':
    found = dataset.fingerprint_of_groups()
    pinned['train'] |= {'the groups and frames': found}
  if flat['augment.policy']:
    pinned['train']['the policy'] = _policy(flat['augment.policy'])
  steps = flat['distill.num_steps'] or num_steps
  pinned['distill'] |= {**pinned['train'], 'distill.num_steps': steps}
  if flat['controls.methods']:  # Each is such a plan, and such a training.
    pinned['controls'] |= pinned['balance'] | pinned['train']
  return pinned


def _read_images(config, dataset, watch, *, keep_unreadable: bool = False):
  """Reads the images; returns a way to them, and the `Dataset` without those
  that have no face or, where `data.unreadable` says so, cannot be read.

  Args:
    config: the configuration.
    dataset: the `Dataset`.
    watch: books the time.
    keep_unreadable: their rows stay, and are no error.

  Raises:
    UserError: some cannot be read.
  """
  from aubal_jax.media import crop
  from aubal_jax.media import images
  from aubal_jax.media import store

  watch.lap('other')
  used = dataset.split != 'dropped'
  opened, failures = store.open_images(
    dataset,
    np.flatnonzero(used | dataset.pictured),
    loading.pixels(config),
    cache_dir=config.data.cache_dir,
    num_processes=config.data.num_processes,
    tell=functools.partial(print, flush=True),
  )
  watch.lap('reading images')
  failures = {row: why for row, why in failures.items() if used[row]}
  unreadable = {k: v for k, v in failures.items() if v != crop.NO_FACE}
  if keep_unreadable:
    failures = {k: failures[k] for k in failures.keys() - unreadable.keys()}
  elif unreadable and config.data.unreadable == 'error':
    raise images.unreadable_error(unreadable, len(dataset), dataset.describe)
  return opened, dataset.drop(failures)


def need_labels(dataset, where: str = '') -> None:
  """Raises UserError where there are no labels, only other targets."""
  if not dataset.label_names:
    raise errors.UserError(
      f'{where}This data set has no 0/1 labels, only the targets '
      f'{text.listing(sorted({*dataset.targets} - {"labels"}))}; balancing and '
      'training take labels. Merge it with a set that has some '
      '(data.name=merge), or name label columns (data.label_columns).'
    )


def need_varied(config, dataset, where: str = '') -> None:
  """Raises UserError where a label that is trained or scored has one value.

  Args:
    config: of which `data.allow_constant` allows it.
    dataset: the `Dataset`.
    where: what the message begins with.
  """
  need_labels(dataset, where)
  found = {k: v for k, v in dataset.constant_labels().items() if v}
  if not found or config.data.allow_constant:
    return
  told = ' '.join(
    f'Never {what}: {text.listing(names, text.SHOWN)}.'
    for what, names in found.items()
  )
  raise errors.UserError(
    f'{where}Labels of one value alone cannot be learnt or scored. {told} '
    f'The cells are {codes.describe(dataset.counts)}. Say what they mean '
    '(data.absent_codes, data.unknown_codes), leave labels out '
    '(data.exclude_columns), or set data.allow_constant=True.'
  )
