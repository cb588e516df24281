"""Folders of runs as if they were trained: weights that are drawn."""

import contextlib
import functools
import types

import jax
import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.datasets import streams
from aubal_jax.datasets import targets as targets_lib
from aubal_jax.network import bundle
from aubal_jax.network import checkpoint
from aubal_jax.network import models
from aubal_jax.network.models import resnet
from aubal_jax.scoring import thresholds


def write(
  path,
  names,
  *,
  seed=0,
  channels=1,
  tuned=True,
  normalise='none',
  crop='none',
  others=types.MappingProxyType({}),
  multitask=types.MappingProxyType({}),
  seen=types.MappingProxyType({}),
  made=types.MappingProxyType({}),
  found=None,
  **model,
):
  """Writes checkpoints/ of a small network that says something of images.

  Statistics are of a trained one: variances from .5 to 2 and means that are
  not 0, so that whoever mistakes one for another is found out.

  Args:
    path: the folder.
    names: of the labels.
    seed: of the weights.
    channels: of images.
    tuned: whether thresholds are kept with the checkpoint.
    normalise: how images are, a name of `inputs.PRESETS`.
    crop: what finds the faces that are cut out.
    others: name -> `Target`, beside the labels; of any rows.
    multitask: settings of that section.
    found: thresholds that are kept; None: some are drawn.
    seen: name -> dtype and shape of a row, of clips and sound.
    made: name -> the settings by which rows of these are made.
    **model: settings of the section model; `image_size`, `modalities`.
  """
  c = settings.default()
  c.data.image_size, c.data.channels = model.pop('image_size', 16), channels
  c.data.normalise, c.data.crop = normalise, crop
  c.model.name = 'resnet8_16'
  c.two_stream.modalities = model.pop('modalities', 'both')
  c.model.update(model)
  c.multitask.update(multitask)
  rng = np.random.default_rng(seed)
  ones = np.ones((2, len(names)), np.uint8)
  target = targets_lib.Target('binary', ones, ones > 0, tuple(names))
  described = bundle.describe(
    c,
    {bundle.LABELS: target, **others},
    lambda name: streams.Stream(
      name, *seen[name], read=None, made=made.get(name)
    ),
  )
  state = _drawn(described, rng)
  found = found or thresholds.Thresholds(
    rng.random(len(names)), rng.random(), rng.integers(1, 30, len(names))
  )
  scores = {'f1_macro': 0.5} | ({'overall': 1.5} if others else {})
  with checkpoint.open_checkpoints(path / 'checkpoints') as kept:
    bundle.write(path / 'checkpoints', described)
    checkpoint.save(
      kept, state, {**scores, **(found.to_json() if tuned else {})}
    )
  return path


def _drawn(described, rng):
  """A state of weights that keep the size of what goes through them."""
  parts = *bundle.make_network(described), described
  like = jax.eval_shape(lambda: bundle.first_state(*parts))
  state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)

  def draw(path, x):
    kind = path[-1].key
    if kind == 'kernel':
      return rng.normal(0, np.sqrt(2 / np.prod(x.shape[:-1])), x.shape)
    low, high = {'var': (0.5, 2), 'scale': (0.5, 1.5)}.get(kind, (-0.5, 0.5))
    return rng.uniform(low, high, x.shape)

  params, batch_stats = (
    jax.tree_util.tree_map_with_path(
      lambda path, x: draw(path, x).astype(x.dtype), tree
    )
    for tree in (state.params, state.batch_stats)
  )
  return state.replace(params=params, batch_stats=batch_stats)


@contextlib.contextmanager
def tiny(stage_sizes=(1,)):
  """Has a ResNet 'tiny' of 4 channels among the networks: it compiles soon."""
  made = functools.partial(resnet.ResNet, stage_sizes=stage_sizes, width=4)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(models, 'MODELS', {**models.MODELS, 'tiny': made})
    yield
