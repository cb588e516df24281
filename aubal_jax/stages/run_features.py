"""What the network of another run says, frozen, as features of every row."""

from __future__ import annotations

import dataclasses
import pathlib
import threading

import numpy as np

from aubal_jax.datasets import streams as streams_lib
from aubal_jax.runs import errors


def attach(run):
  """Returns a `Run` whose data set has the features of `multitask.features_of`.

  They are what the last layers of the heads see there, side by side, in
  evaluation mode; each head of the same target sees its own part. They are
  computed when they are first asked for, of all rows at once.

  Args:
    run: the `Run`; as it is where there is no such setting.

  Raises:
    FileNotFoundError, UserError: that run is not trained, or sees other images.
  """
  folder = run.config.multitask.features_of
  if not folder:
    return run
  from aubal_jax.network import bundle
  from aubal_jax.network import features

  trained = bundle.load(pathlib.Path(folder) / 'checkpoints')
  _check(run, folder, trained.description)
  size, parts = features.size(trained)
  digest = trained.digest()
  stream = streams_lib.Stream(
    streams_lib.FEATURES,
    np.dtype(np.float32),
    (size,),
    _Features(run, folder, trained, size).take,
    parts=parts,
    made={'weights': digest},
  )
  others = (s for s in run.dataset.streams if s.name != stream.name)
  dataset = dataclasses.replace(run.dataset, streams=(*others, stream))
  pinned = {stage: dict(settings) for stage, settings in run.pinned.items()}
  for stage in ('train', 'distill', 'evaluate'):
    pinned[stage]['the features'] = digest
  return dataclasses.replace(run, dataset=dataset, pinned=pinned)


def _check(run, folder, description) -> None:
  """Raises UserError where that network cannot see these rows."""
  from aubal_jax.datasets import loading

  given = loading.pixels(run.config)
  if description.pixels is not None and description.pixels != given:
    raise errors.UserError(
      f'multitask.features_of={folder} sees images as {description.pixels}, '
      f'but the configuration makes them {given}; set data.image_size, '
      'channels, resize and crop to what it sees.'
    )
  if {*description.streams} & {streams_lib.CLIP, streams_lib.SOUND}:
    raise errors.UserError(
      f'multitask.features_of={folder} sees {" and ".join(description.streams)}'
      ' of videos; name a run whose network sees images, or features.'
    )
  if description.heads[0].window:
    raise errors.UserError(
      f'multitask.features_of={folder} sees windows of videos itself; name a '
      'run whose network sees a row alone.'
    )


class _Features:
  """Rows of features, which are computed once."""

  def __init__(self, run, folder, trained, size):
    self._run, self._folder, self._trained = run, folder, trained
    self._size, self._values = size, None
    self._lock = threading.Lock()  # Batches are made by many threads.

  def take(self, rows: np.ndarray) -> np.ndarray:
    """Returns float32[R, F] of rows that are in use."""
    with self._lock:
      if self._values is None:
        self._values = self._compute()
    return self._values[rows]

  def _compute(self):
    from aubal_jax.network import features
    from aubal_jax.network import inference

    run, dataset = self._run, self._run.dataset
    rows = np.flatnonzero(dataset.split != 'dropped')
    print(
      f'features: {len(rows):,} rows as {self._folder} sees them, '
      f'{self._size} numbers each',
      flush=True,
    )
    found = inference.predict_rows(
      features.make(self._trained),
      run.streams(self._trained.description),
      rows,
      batch_size=run.config.evaluate.batch_size,
    )
    values = np.zeros((len(dataset), self._size), np.float32)
    values[rows] = found[streams_lib.FEATURES]
    return values
