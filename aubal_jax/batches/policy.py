"""A pipeline of albumentations of the user's, in place of the paper's six.

What it draws for a row depends on (seed, epoch, row) alone, as ours does: it is
seeded anew for each image.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import pathlib
import runpy
import threading

import numpy as np

from aubal_jax.batches import augment  # Says first how albumentations begins.
from aubal_jax.runs import errors

_NAME = 'policy'  # Of the pipeline in a Python file, if none is named.
_SERIALISED = {'.yaml': 'yaml', '.yml': 'yaml', '.json': 'json'}


class Policy:
  """A pipeline, seeded by rows; threads may share it.

  Another process loads it once more, from its file.
  """

  def __init__(self, pipeline, seed: int, spec: str):
    self._pipeline, self._seed, self._spec = pipeline, seed, spec
    self._of_thread = threading.local()  # A pipeline has a state that draws.

  def __reduce__(self):
    return functools.partial(load, seed=self._seed), (self._spec,)

  def __call__(self, images, epochs, rows) -> np.ndarray:
    """Returns images after the pipeline.

    Args:
      images: uint8[B, H, W, C]; not changed.
      epochs: int[B], or int for all.
      rows: int[B].

    Raises:
      UserError: an image comes back of another shape or dtype.
    """
    if not hasattr(self._of_thread, 'pipeline'):
      self._of_thread.pipeline = copy.deepcopy(self._pipeline)
    pipeline = self._of_thread.pipeline
    epochs = np.broadcast_to(epochs, len(images))
    result = np.empty_like(images)
    for i, image in enumerate(images):
      key = (self._seed, int(epochs[i]), int(rows[i]))
      drawn = np.random.SeedSequence(key).generate_state(1)
      pipeline.set_random_seed(int(drawn[0]))
      after = pipeline(image=image)['image']
      self._check(after, image)
      result[i] = after.reshape(image.shape)
    return result

  def _check(self, after, image):
    shape = image.shape[: after.ndim] if image.shape[2] == 1 else image.shape
    if after.dtype != np.uint8 or after.shape != shape:
      raise errors.UserError(
        f'augment.policy: {self._spec} must give images uint8'
        f'{list(image.shape)}, as it is given; it gave {after.dtype}'
        f'{list(after.shape)}. Leave out what resizes, normalises or makes '
        'tensors: that is done for all images alike.'
      )


def load(spec: str, *, seed: int) -> Policy:
  """Returns the pipeline that `augment.policy` names.

  Args:
    spec: 'FILE.py' or 'FILE.py:NAME', of a Python file that is run and has the
      pipeline under that name ('policy'); or a file of `albumentations.save`,
      .yaml or .json.
    seed: of everything drawn.

  Raises:
    UserError: there is no such file, or no pipeline in it.
  """
  file, name = _split(spec)
  try:
    if file.suffix == '.py':
      found = runpy.run_path(str(file)).get(name)
    else:
      found = augment.A.load(file, data_format=_SERIALISED[file.suffix])
  except Exception as error:
    raise errors.UserError(
      f'augment.policy: {file} cannot be loaded ({type(error).__name__}: '
      f'{error}).'
    ) from error
  if not isinstance(found, augment.A.BaseCompose):
    raise errors.UserError(
      f'augment.policy: {name!r} in {file} must be a pipeline of '
      f'albumentations, such as A.Compose([...]); it is {found!r}.'
    )
  return Policy(found, seed, spec)


def digest(spec: str) -> str:
  """Returns 16 hex digits of the file; UserError where there is none."""
  return hashlib.sha256(_split(spec)[0].read_bytes()).hexdigest()[:16]


def _split(spec: str) -> tuple[pathlib.Path, str]:
  """Returns the file and the name in it; UserError where there is none."""
  head, colon, name = spec.rpartition(':')
  is_named = bool(colon) and head.endswith('.py')
  file = pathlib.Path(head if is_named else spec).expanduser()
  if file.suffix not in ('.py', *_SERIALISED) or not file.is_file():
    raise errors.UserError(
      'augment.policy must be a file .py, .yaml or .json, or FILE.py:NAME; '
      f'there is no such {spec!r}.'
    )
  return file, name if is_named else _NAME
