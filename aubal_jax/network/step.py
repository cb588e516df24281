"""The training step on all devices at once.

One process drives its local devices by `pmap`: the state is whole on each,
the batch is split among them, batch norm and loss see the global batch. So a
run on four devices is the run on one, but for rounding.
"""

import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Mapping
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

from aubal_jax.network import distillation
from aubal_jax.runs import errors
from aubal_jax.runs import programs
from aubal_jax.runs import text

AXIS_NAME = 'devices'
# Of a program that runs once: the same bits, compiled in a third of the time.
_ONCE = {'xla_backend_optimization_level': 1}


@flax.struct.dataclass
class TrainState:
  """All that changes in training, the same on every device.

  Attributes:
    step: int32 scalar, optimiser steps done.
    params: the model's parameters.
    batch_stats: running batch norm statistics; {} of a network without.
    opt_state: of the optax optimiser.
    average: moving averages of the two above, a dict of 'params' and
      'batch_stats'; None where none are kept.
    best: float32 scalar, the best score on validation so far, see
      `checkpoint.quality`; -1: none yet.
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
  streams: Mapping[str, Any],
  *,
  averaged: bool = False,
) -> TrainState:
  """Returns the state before the first step.

  Args:
    model: from `models.make_model`.
    optimizer: from `optimizer.make_optimizer`.
    key: JAX key the parameters are drawn from.
    streams: name -> array [1, ...], such as the model sees.
    averaged: whether moving averages are kept.
  """
  traced = isinstance(key, jax.core.Tracer)  # For the shapes alone.
  once = jax.default_backend() == 'cpu' and not traced
  variables = _compiled_init(model, once)(key, streams)
  # Flax begins with float32 statistics, whatever they are updated with.
  wide = jnp.promote_types(model.param_dtype, jnp.float32)
  params = variables['params']
  batch_stats = optax.tree.cast(variables.get('batch_stats', {}), wide)
  average = {'params': params, 'batch_stats': batch_stats}
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    batch_stats=batch_stats,
    opt_state=optimizer.init(params),
    # A copy: a step donates what it is given, and nothing can be given twice.
    average=jax.tree.map(jnp.copy, average) if averaged else None,
  )


@programs.shared
def _compiled_init(model, once: bool):
  """Returns `model.init`, which is traced once for all equal models."""
  return jax.jit(model.init, compiler_options=_ONCE if once else None)


def evaluated(state: TrainState) -> TrainState:
  """Returns the state to evaluate and predict with: its averages, if any."""
  if state.average is None:
    return state
  return state.replace(**state.average, average=None)


def check_batch_size(batch_size: int, num_devices: int) -> None:
  """Raises UserError where the devices cannot share a batch evenly."""
  if batch_size < 1 or batch_size % num_devices:
    raise errors.UserError(
      f'batch_size must be a positive multiple of the {num_devices} devices,'
      f' got {batch_size}: take {text.multiples(batch_size, num_devices)}.'
    )


def train_step(
  state,
  batch,
  beside=None,
  *,
  model,
  optimizer,
  objective,
  ema_decay=0.0,
  augment=None,
  axis_name=None,
  seed=0,
):
  """One optimiser step on one batch; plain, to be mapped and compiled.

  Args:
    state: `TrainState`.
    batch: this device's share of one of `pipeline.train_batches`, a dict of
      fields [B, ...]; with augment uint32[B, P], the parameters of the
      augmentation (0: of none), where it is done here. Or a dict of such
      dicts, by the names of heads: each goes through the network by itself, in
      this order, and running statistics move once for each; losses are added.
    beside: where a teacher is: its 'variables', of the same model, and the
      'seed' that stands for `seed`. What it says of the batch, in evaluation
      mode, is the field `distillation.TEACHER` for the objective.
    model: from `models.make_model`; its axis_name is the same, or None: batch
      norm is then by the share of each device.
    optimizer: optax optimiser.
    objective: f(outputs, batch, axis_name), from `heads.make_objective`.
    ema_decay: of the moving averages, where the state has them.
    augment: f(image, parameters, mask bool[B]) -> image, with the settings of
      `augment_device.augment_images` bound, where batches hold parameters.
    axis_name: mapped axis the batch is spread over, or None.
    seed: of what the network draws in a step, beside the number of the step.

  Returns:
    The next state, and a dict of scalars: 'loss' of the global batch before
    the step, 'gradient_norm', and 'finite', whether all of the next state is.
  """
  if beside is not None:
    seed = beside['seed']
  batches, rngs = _parts(batch), {}
  if getattr(model, 'draws', True):
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    rngs = {
      name: {'dropout': jax.random.fold_in(key, k) if k else key}
      for k, name in enumerate(batches)
    }

  batches = {name: _augmented(x, augment) for name, x in batches.items()}
  if beside is not None:
    batches = {
      name: {
        **x,
        distillation.TEACHER: model.apply(beside['variables'], x, train=False),
      }
      for name, x in batches.items()
    }

  def loss_of(params):
    value, batch_stats = 0.0, state.batch_stats
    for name, fields in batches.items():
      task = (name,) if name else ()
      outputs, updated = model.apply(
        {'params': params, 'batch_stats': batch_stats},
        fields,
        train=True,
        mutable=['batch_stats'],
        rngs=rngs.get(name, {}),
        # A teacher tells of all heads, else a task pays its own alone.
        **({'heads': task} if task and beside is None else {}),
      )
      value += objective(outputs, fields, axis_name)
      batch_stats = updated.get('batch_stats', {})
    return value, batch_stats

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


def _parts(batch) -> dict:
  """Returns name of head -> its batch; '' -> the batch of all heads."""
  is_nested = all(isinstance(fields, Mapping) for fields in batch.values())
  return dict(batch) if is_nested else {'': batch}


def _augmented(batch, augment):
  """Returns a batch with its images augmented, where it says how."""
  if 'augment' not in batch:
    return batch
  packed = batch['augment']
  image = augment(batch['image'], packed, (packed != 0).any(axis=1))
  return {**batch, 'image': image}


def rows_of(batch: Mapping[str, Any]) -> int:
  """Returns how many rows a batch has, of several batches in all."""
  return sum(
    len(next(iter(fields.values()))) for fields in _parts(batch).values()
  )


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


@dataclasses.dataclass(frozen=True)
class TrainStep:
  """A compiled `train_step`, and how states and batches come to its devices.

  Attributes:
    run: (state, batch) -> (state, metrics), of a state from `place`, which is
      donated and must not be used again, and a batch from `shard`.
    devices: of this process, that share each of its batches.
  """

  run: Callable
  devices: Sequence[jax.Device]

  def place(self, state: TrainState) -> TrainState:
    """Returns a state whole on every device, as `run` returns it.

    One that came in otherwise would be traced and compiled for once more.
    """
    mesh = Mesh(np.array(self.devices), (AXIS_NAME,))
    return jax.device_put(state, NamedSharding(mesh, PartitionSpec()))

  def shard(self, batch: Mapping[str, Any]) -> dict:
    """Returns a batch as arrays [devices, B / devices, ...].

    Raises:
      UserError: the devices cannot share it evenly.
    """
    count = len(self.devices)
    for fields in _parts(batch).values():
      check_batch_size(len(next(iter(fields.values()))), count)
    return jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), batch)


def make_train_step(
  model,
  optimizer: optax.GradientTransformation,
  objective: Callable,
  *,
  ema_decay: float = 0.0,
  augment: Callable | None = None,
  seed: int = 0,
  taught: bool = False,
  devices: Sequence[jax.Device] | None = None,
) -> TrainStep:
  """Compiles `train_step` for all the given devices, on its first call.

  Args:
    model: from `models.make_model`. With the axis_name `AXIS_NAME` it
      normalises by the global batch; with None each device does by its share,
      so that another number of devices is another result, and the running
      statistics are the means of theirs.
    optimizer: from `optimizer.make_optimizer`.
    objective: from `heads.make_objective`.
    ema_decay: in [0, 1), of the moving averages, where the state has them.
    augment: as in `train_step`.
    seed: as in `train_step`; a network that draws nothing does not look at it.
    taught: the step is to be given a teacher, see the function `taught`.
    devices: the devices that share each batch; None: all there are.

  Raises:
    UserError: ema_decay is out of range.
  """
  if not 0 <= ema_decay < 1:
    raise errors.UserError(f'ema_decay must be in [0, 1), got {ema_decay}.')
  run = jax.pmap(
    functools.partial(
      train_step,
      model=model,
      optimizer=optimizer,
      objective=objective,
      ema_decay=ema_decay,
      augment=augment,
      axis_name=AXIS_NAME,
      seed=seed,
    ),
    axis_name=AXIS_NAME,
    in_axes=(None, 0, None) if taught else (None, 0),
    out_axes=None,
    devices=devices,
    donate_argnums=0,
  )
  index = jax.process_index()
  everywhere = jax.devices() if devices is None else devices
  return TrainStep(run, [d for d in everywhere if d.process_index == index])


def taught(step: TrainStep, variables, *, seed: int) -> TrainStep:
  """Returns the step of a student; those of several share one program.

  Args:
    step: from `make_train_step`, with `taught`.
    variables: of the teacher, never changed: 'params' and 'batch_stats'.
    seed: as in `train_step`.
  """
  beside = step.place({'variables': variables, 'seed': np.uint32(seed % 2**32)})

  def run(state, batch):
    return step.run(state, batch, beside)

  return dataclasses.replace(step, run=run)
