"""The training step on all devices at once.

One process drives its local devices by `pmap`: the state is whole on each,
the batch is split among them, batch norm and loss see the global batch. So a
run on four devices is the run on one, but for rounding.
"""

import functools
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec

from aubal_jax.network import models
from aubal_jax.runs import errors

AXIS_NAME = 'devices'


@flax.struct.dataclass
class TrainState:
  """All that changes in training, the same on every device.

  Attributes:
    step: int32 scalar, optimiser steps done.
    params: the model's parameters.
    batch_stats: running batch norm statistics.
    opt_state: of the optax optimiser.
    average: moving averages of the two above, a dict of 'params' and
      'batch_stats'; None where none are kept.
    best: float32 scalar, the best F1 macro on validation so far; -1: none yet.
    stale: int32 scalar, validations since the best.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  average: Any = None
  best: jax.Array = np.float32(-1)
  stale: jax.Array = np.int32(0)


def create_state(
  model,
  optimizer: optax.GradientTransformation,
  key,
  image_shape,
  *,
  averaged: bool = False,
) -> TrainState:
  """Returns the state before the first step.

  Args:
    model: from `models.make_model`.
    optimizer: from `train_optimizer.make_optimizer`.
    key: JAX key the parameters are drawn from.
    image_shape: (H, W, C) of one image.
    averaged: whether moving averages are kept.
  """
  images = jnp.zeros((1, *image_shape), model.dtype)
  variables = jax.jit(model.init)(key, images)
  # Flax begins with float32 statistics, whatever they are updated with.
  wide = jnp.promote_types(model.param_dtype, jnp.float32)
  params = variables['params']
  batch_stats = optax.tree.cast(variables['batch_stats'], wide)
  average = {'params': params, 'batch_stats': batch_stats}
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    batch_stats=batch_stats,
    opt_state=optimizer.init(params),
    # A copy: a step donates what it is given, and nothing can be given twice.
    average=jax.tree.map(jnp.copy, average) if averaged else None,
  )


def evaluated(state: TrainState) -> TrainState:
  """Returns the state to evaluate and predict with: its averages, if any."""
  if state.average is None:
    return state
  return state.replace(**state.average, average=None)


def check_batch_size(batch_size: int, num_devices: int) -> None:
  """Raises UserError where the devices cannot share a batch evenly."""
  if batch_size < 1 or batch_size % num_devices:
    below = batch_size // num_devices * num_devices
    choice = f'{below} or {below + num_devices}' if below > 0 else num_devices
    raise errors.UserError(
      f'batch_size must be a positive multiple of the {num_devices} devices,'
      f' got {batch_size}: take {choice}.'
    )


def train_step(
  state,
  batch,
  *,
  model,
  optimizer,
  loss,
  ema_decay=0.0,
  augment=None,
  axis_name=None,
):
  """One optimiser step on one batch; plain, to be mapped and compiled.

  Args:
    state: `TrainState`.
    batch: dict of this device's image uint8[B, H, W, C], label uint8[B, L]
      and known bool[B, L]; and augment uint32[B, P], the parameters of the
      augmentation (0: of none), where it is done here.
    model: flax module; its axis_name is the same, or None: batch norm is then
      by the share of each device.
    optimizer: optax optimiser.
    loss: f(logits, labels, known, batch, axis_name), from `losses.make_loss`.
    ema_decay: of the moving averages, where the state has them.
    augment: f(image, parameters, mask bool[B]) -> image, with the settings of
      `augment_device.augment_images` bound, where batches hold parameters.
    axis_name: mapped axis the batch is spread over, or None.

  Returns:
    The next state, and a dict of scalars: 'loss' of the global batch before
    the step, 'gradient_norm', and 'finite', whether all of the next state is.
  """

  image = batch['image']
  if 'augment' in batch:
    packed = batch['augment']
    image = augment(image, packed, (packed != 0).any(axis=1))

  def loss_of(params):
    logits, updated = model.apply(
      {'params': params, 'batch_stats': state.batch_stats},
      models.scale_images(image, model.dtype),
      train=True,
      mutable=['batch_stats'],
    )
    value = loss(logits, batch['label'], batch['known'], batch, axis_name)
    return value, updated['batch_stats']

  grad_fn = jax.value_and_grad(loss_of, has_aux=True)
  (value, batch_stats), gradient = grad_fn(state.params)
  if axis_name is not None:
    # The transpose of psum is psum: each device holds (devices x its share of
    # the gradient), so that the mean is the gradient of the global loss.
    gradient = jax.lax.pmean(gradient, axis_name)
    if model.axis_name is None:
      batch_stats = jax.lax.pmean(batch_stats, axis_name)
  updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
  step, params = state.step + 1, optax.apply_updates(state.params, updates)
  state = state.replace(
    step=step,
    params=params,
    batch_stats=batch_stats,
    opt_state=opt_state,
    average=None
    if state.average is None
    else _moved(state.average, params, batch_stats, step, ema_decay),
  )
  finite = [jnp.isfinite(x).all() for x in jax.tree.leaves(state)]
  metrics = {
    'loss': value,
    'gradient_norm': optax.tree.norm(gradient),
    'finite': jnp.stack(finite).all(),
  }
  return state, metrics


def _moved(average, params, batch_stats, step, decay):
  """Returns the averages after a step: mean weighted by decay ** (its age).

  The weights are divided by their sum, 1 - decay ** step: the first average is
  the first state, and no start of zeros or random numbers lingers.
  """
  decay = jnp.float32(decay)
  share = (1 - decay) / (1 - decay**step)
  return jax.tree.map(
    lambda new, old: old + share.astype(old.dtype) * (new - old),
    {'params': params, 'batch_stats': batch_stats},
    average,
  )


def make_train_step(
  model,
  optimizer: optax.GradientTransformation,
  loss: Callable,
  *,
  ema_decay: float = 0.0,
  augment: Callable | None = None,
  sync_batch_norm: bool = True,
  devices: Sequence[jax.Device] | None = None,
) -> Callable:
  """Compiles `train_step` for all the given devices, on its first call.

  Args:
    model: from `models.make_model`; its axis_name is set here.
    optimizer: from `train_optimizer.make_optimizer`.
    loss: from `losses.make_loss`.
    ema_decay: in [0, 1), of the moving averages, where the state has them.
    augment: as in `train_step`.
    sync_batch_norm: normalise by the global batch. False: each device by its
      share, so that another number of devices is another result; the running
      statistics are the means of theirs.
    devices: the devices that share each batch; None: all there are.

  Returns:
    step(state, batch) -> (state, metrics), see `train_step`. `batch` holds
    this process's images as NumPy arrays. The state handed in is donated: it
    must not be used again. It raises UserError for a batch that the devices
    cannot share evenly.

  Raises:
    UserError: ema_decay is out of range.
  """
  if not 0 <= ema_decay < 1:
    raise errors.UserError(f'ema_decay must be in [0, 1), got {ema_decay}.')
  index = jax.process_index()
  local = [
    device
    for device in (jax.devices() if devices is None else devices)
    if device.process_index == index
  ]
  # What the compiled step returns; a state that comes in otherwise would be
  # traced and compiled for once more.
  whole = NamedSharding(Mesh(np.array(local), (AXIS_NAME,)), PartitionSpec())
  parallel = jax.pmap(
    functools.partial(
      train_step,
      model=model.clone(axis_name=AXIS_NAME if sync_batch_norm else None),
      optimizer=optimizer,
      loss=loss,
      ema_decay=ema_decay,
      augment=augment,
      axis_name=AXIS_NAME,
    ),
    axis_name=AXIS_NAME,
    in_axes=(None, 0),
    out_axes=None,
    devices=devices,
    donate_argnums=0,
  )

  def step(state, batch):
    check_batch_size(len(batch['image']), len(local))
    shards = {
      name: batch[name].reshape(len(local), -1, *batch[name].shape[1:])
      for name in ('image', 'label', 'known', 'augment')
      if name in batch
    }
    return parallel(jax.device_put(state, whole), shards)

  return step
