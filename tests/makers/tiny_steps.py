"""Small networks, their steps and batches, for tests of training."""

import functools
import itertools
import json
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from aubal_jax.network import losses
from aubal_jax.network import models
from aubal_jax.network import optimizer as optimizer_lib
from aubal_jax.network import step as step_lib
from aubal_jax.network.models import resnet

SIDE, LABELS, BATCH = 16, 3, 8


def make_batches(first=0):
  """Yields the batch of each step from `first` on, the same ones every time."""
  for step in itertools.count(first):
    rng = np.random.default_rng(step)
    known = rng.random((BATCH, LABELS)) < 0.8
    label = (rng.random((BATCH, LABELS)) < 0.4) & known
    image = rng.integers(0, 256, (BATCH, SIDE, SIDE, 1), np.uint8)
    # Images of label 0 are darker on the left: there is something to learn.
    image[label[:, 0] == 1, :, : SIDE // 2] //= 2
    yield {'image': image, 'label': label.astype(np.uint8), 'known': known}


def make_model(wide):
  if not wide:
    return models.make_model('resnet8_16', LABELS)
  return resnet.ResNet(  # The same with one block, as it compiles sooner.
    num_outputs=LABELS,
    stage_sizes=(1,),
    width=8,
    dtype=jnp.float64,
    param_dtype=jnp.float64,
  )


def make_state(wide=False):
  """Returns the state of all runs before the first step, as host arrays."""
  return _make_state(wide)


@functools.cache  # Of one signature, that nothing is made twice.
def _make_state(wide):
  optimizer = optimizer_lib.make_optimizer('adam', 1e-3)
  state = step_lib.create_state(
    make_model(wide), optimizer, jax.random.key(0), (SIDE, SIDE, 1)
  )
  return jax.tree.map(np.asarray, state)


def make_tiny(num_devices, wide=False):
  """Returns what `make_anew` does, the same for all tests."""
  return _make_tiny(num_devices, wide)


@functools.cache
def _make_tiny(num_devices, wide):
  return make_anew(num_devices, wide)


def make_anew(num_devices, wide=False):
  """Returns state, step function, and a list with an entry for each trace."""
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
    loss,
    devices=jax.local_devices()[:num_devices],
  )
  return make_state(wide), step, traces


def run(num_devices, num_steps, wide=False):
  """Returns the state after some steps, and loss and gradient norm of each."""
  state, step, _ = make_tiny(num_devices, wide)
  found = []
  for batch in itertools.islice(make_batches(), num_steps):
    state, metrics = step(state, batch)
    assert metrics['finite']
    found.append((float(metrics['loss']), float(metrics['gradient_norm'])))
  return state, np.array(found)


class Small(nn.Module):
  """Batch norm of the pixels, and one dense layer."""

  axis_name: str | None = None
  dtype: Any = jnp.float32
  param_dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.BatchNorm(
      use_running_average=not train,
      momentum=0.9,
      axis_name=self.axis_name,
      dtype=self.dtype,
      param_dtype=self.param_dtype,
    )(x.reshape(len(x), -1))
    return nn.Dense(LABELS, dtype=self.dtype, param_dtype=self.param_dtype)(x)


def make_small(*, optimizer=None, averaged=False, num_devices=1, **options):
  """Returns the state before the first step, as host arrays, and the step."""
  model = options.pop('model', Small())
  optimizer = optimizer or optimizer_lib.make_optimizer('adam', 1e-3)
  loss = options.pop('loss', losses.make_loss('bce'))
  state = step_lib.create_state(
    model, optimizer, jax.random.key(0), (SIDE, SIDE, 1), averaged=averaged
  )
  devices = jax.local_devices()[:num_devices]
  step = step_lib.make_train_step(
    model, optimizer, loss, devices=devices, **options
  )
  return jax.tree.map(np.array, state), step


def run_small(num_steps, **options):
  """Returns the states after each step, as host arrays, and the losses."""
  state, step = make_small(**options)
  states, found = [], []
  for batch in itertools.islice(make_batches(), num_steps):
    state, metrics = step(state, batch)
    states.append(jax.tree.map(np.array, state))
    found.append(float(metrics['loss']))
  return states, np.array(found)


def tell_curves():
  """Prints dtype -> number of devices -> the losses of ten steps, as JSON."""
  curves = {'float64': {}, 'float32': {}}
  for num_devices in (1, 2, 4, 8):
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
