"""Small networks, their steps and batches, for tests of training."""

import functools
import itertools
import json
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from aubal_jax.network import heads
from aubal_jax.network import losses
from aubal_jax.network import models
from aubal_jax.network import optimizer as optimizer_lib
from aubal_jax.network import step as step_lib
from aubal_jax.network.models import resnet

SIDE, LABELS, BATCH = 16, 3, 8
OUTPUTS = {'labels': LABELS}
STREAMS = {'image': np.zeros((1, SIDE, SIDE, 1), np.uint8)}
DTYPES = ('dtype', 'param_dtype')


def make_batches(first=0):
  """Yields the batch of each step from `first` on, the same ones every time."""
  for step in itertools.count(first):
    rng = np.random.default_rng(step)
    known = rng.random((BATCH, LABELS)) < 0.8
    label = (rng.random((BATCH, LABELS)) < 0.4) & known
    image = rng.integers(0, 256, (BATCH, SIDE, SIDE, 1), np.uint8)
    # Images of label 0 are darker on the left: there is something to learn.
    image[label[:, 0] == 1, :, : SIDE // 2] //= 2
    yield {
      'image': image,
      'labels': label.astype(np.uint8),
      'labels_known': known,
    }


def make_model(wide, axis_name=step_lib.AXIS_NAME):
  if not wide:
    return models.make_model('resnet8_16', OUTPUTS, axis_name=axis_name)
  # The same with one block, as it compiles sooner.
  options = {'axis_name': axis_name, **dict.fromkeys(DTYPES, jnp.float64)}
  trunk = resnet.ResNet(stage_sizes=(1,), width=8, **options)
  return models.Network(trunk, tuple(OUTPUTS.items()), **options)


def make_objective(name='bce', loss=None):
  """Returns the objective of the one head there is."""
  head = heads.Head('labels', 'binary', (*'abc',), name)
  loss = loss or losses.make_loss(name)
  return heads.make_objective([head], {'labels': loss})


def once(step, state, batch):
  """Returns what a step makes of a state and a batch from anywhere."""
  return step.run(step.place(state), step.shard(batch))


def make_state(wide=False):
  """Returns the state of all runs before the first step, as host arrays."""
  return _make_state(wide)


@functools.cache  # Of one signature, that nothing is made twice.
def _make_state(wide):
  optimizer = optimizer_lib.make_optimizer('adam', 1e-3)
  state = step_lib.create_state(
    make_model(wide), optimizer, jax.random.key(0), STREAMS
  )
  return jax.tree.map(np.asarray, state)


def make_tiny(num_devices, wide=False):
  """Returns what `make_anew` does, the same for all tests."""
  return _make_tiny(num_devices, wide)


@functools.cache
def _make_tiny(num_devices, wide):
  return make_anew(num_devices, wide)


def make_anew(num_devices, wide=False):
  """Returns state, step, and a list with an entry for each trace."""
  traces = []

  soft_f1 = losses.make_loss('soft_f1')

  def loss(logits, labels, known, batch, axis_name):
    traces.append(logits.shape)
    value = soft_f1(logits, labels, known, batch, axis_name)
    # So that a test can have a NaN: by a batch of which nothing is known.
    return jnp.where(jax.lax.psum(known.any(), axis_name), value, jnp.nan)

  step = step_lib.make_train_step(
    make_model(wide),
    optimizer_lib.make_optimizer('adam', 1e-3),
    make_objective(loss=loss),
    devices=jax.local_devices()[:num_devices],
  )
  return make_state(wide), step, traces


def run(num_devices, num_steps, wide=False):
  """Returns the state after some steps, and loss and gradient norm of each."""
  state, step, _ = make_tiny(num_devices, wide)
  found = []
  for batch in itertools.islice(make_batches(), num_steps):
    state, metrics = once(step, state, batch)
    assert metrics['finite']
    found.append((float(metrics['loss']), float(metrics['gradient_norm'])))
  return state, np.array(found)


class Small(nn.Module):
  """Batch norm of the pixels."""

  axis_name: str | None = None
  param_dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, image, *, train=False):
    return nn.BatchNorm(
      use_running_average=not train,
      momentum=0.9,
      axis_name=self.axis_name,
      param_dtype=self.param_dtype,
    )(image.reshape(len(image), -1))


class Plain(nn.Module):
  """A hidden layer: no batch norm, nor any option."""

  @nn.compact
  def __call__(self, image, *, train=False):
    return nn.relu(nn.Dense(8)(image.reshape(len(image), -1)))


def make_small_model(trunk=Small, axis_name=step_lib.AXIS_NAME, wide=False):
  """Returns a network of one dense layer, after batch norm of the pixels."""
  dtype = jnp.float64 if wide else jnp.float32
  options = {'axis_name': axis_name, 'param_dtype': dtype}
  return models.Network(
    trunk(**options) if issubclass(trunk, Small) else trunk(),
    tuple(OUTPUTS.items()),
    dtype=dtype,
    **options,
  )


def make_small(*, optimizer=None, averaged=False, num_devices=1, **options):
  """Returns the state before the first step, as host arrays, and the step."""
  model = options.pop('model', None) or make_small_model()
  optimizer = optimizer or optimizer_lib.make_optimizer('adam', 1e-3)
  objective = make_objective(loss=options.pop('loss', None))
  state = step_lib.create_state(
    model, optimizer, jax.random.key(0), STREAMS, averaged=averaged
  )
  devices = jax.local_devices()[:num_devices]
  step = step_lib.make_train_step(
    model, optimizer, objective, devices=devices, **options
  )
  return jax.tree.map(np.array, state), step


def run_small(num_steps, **options):
  """Returns the states after each step, as host arrays, and the losses."""
  state, step = make_small(**options)
  states, found = [], []
  for batch in itertools.islice(make_batches(), num_steps):
    state, metrics = once(step, state, batch)
    states.append(jax.tree.map(np.array, state))
    found.append(float(metrics['loss']))
  return states, np.array(found)


def tell_curves(*counts):
  """Prints dtype -> number of devices -> the losses of ten steps, as JSON."""
  curves = {'float64': {}, 'float32': {}}
  for num_devices in counts:
    with jax.enable_x64(True):
      state, found = run(num_devices, 10, wide=True)
      wide = {x.dtype for x in jax.tree.leaves(state.params)}
      assert wide == {jnp.dtype('float64')}
    curves['float64'][num_devices] = found[:, 0].tolist()
    _, found = run_small(10, num_devices=num_devices)
    curves['float32'][num_devices] = found.tolist()
  print(json.dumps(curves))


def assert_same(one, other):
  for (path, a), b in zip(
    jax.tree.leaves_with_path(one), jax.tree.leaves(other), strict=True
  ):
    name = jax.tree_util.keystr(path)
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b), name)
