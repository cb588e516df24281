"""The training step on one device and on several."""

import functools
import json
import os
import pathlib
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aubal_jax.batches import augment
from aubal_jax.batches import augment_device
from aubal_jax.batches import draws
from aubal_jax.network import checkpoint
from aubal_jax.network import heads
from aubal_jax.network import inference
from aubal_jax.network import models
from aubal_jax.network import optimizer as optimizer_lib
from aubal_jax.network import step as step_lib
from aubal_jax.network.models import resnet
from tests.makers import tiny_steps

GOLDEN = pathlib.Path(__file__).parent / 'golden' / 'first_step.json'


@functools.cache
def curves(*counts):
  """Of tiny_steps.tell_curves, in a process that has eight devices."""
  flags = (
    '--xla_force_host_platform_device_count=8',
    '--xla_backend_optimization_level=0',  # Compiles sooner.
  )
  program = f'from tests.makers import tiny_steps as t; t.tell_curves{counts}'
  told = subprocess.run(
    [sys.executable, '-c', program],
    cwd=pathlib.Path(__file__).parents[2],
    env=os.environ | {'XLA_FLAGS': ' '.join(flags)},
    stdout=subprocess.PIPE,
    check=True,
    timeout=1200,
  ).stdout
  return json.loads(told)


@pytest.mark.parametrize(
  ('dtype', 'tolerance'), [('float64', 1e-12), ('float32', 1e-4)]
)
@pytest.mark.parametrize(
  'counts', [(1, 8), pytest.param((1, 2, 4, 8), marks=pytest.mark.long)]
)
def test_1_2_4_and_8_devices_have_one_curve(counts, dtype, tolerance):
  told = curves(*counts)[dtype]
  one, *others = (np.array(told[str(n)]) for n in counts)
  for curve in others:
    np.testing.assert_allclose(curve, one, rtol=0, atol=tolerance)
  assert np.ptp(one) > 1e-2  # Of steps that do something.


@pytest.mark.long
def test_one_device_is_four_in_float32():
  _, one = tiny_steps.run(1, 10)
  _, four = tiny_steps.run(4, 10)
  np.testing.assert_allclose(four[:, 0], one[:, 0], rtol=0, atol=1e-4)
  # Adam does not see the scale of a gradient, so that is looked at as well.
  np.testing.assert_allclose(four[:, 1], one[:, 1], rtol=1e-2)


def test_first_step_is_the_golden_one():
  _, found = tiny_steps.run(1, 1)
  golden = json.loads(GOLDEN.read_text())
  np.testing.assert_allclose(
    found[0],
    [golden['loss'], golden['gradient_norm']],
    rtol=golden['tolerance'],
    err_msg=(
      'The first training step is no longer the golden one. If model, '
      'loss, initialisation or scaling of images were meant to change, put '
      f'loss {found[0, 0]:.8f} and gradient_norm {found[0, 1]:.8f} into '
      'first_step.json and say so in the commit; else a change broke them.'
    ),
  )


def norm_of(tree):
  """Returns the norm of arrays of NumPy."""
  return np.sqrt(sum((x**2).sum() for x in jax.tree.leaves(tree)))


@pytest.mark.parametrize(
  'name', ['small', pytest.param('one block', marks=pytest.mark.long)]
)
def test_the_step_is_the_gradient_by_the_book(name):
  """Plain, on one device, against differences of the loss: no pmap in it."""
  with jax.enable_x64(True):
    optimizer = optimizer_lib.make_optimizer('sgd', 1.0)
    model = (
      tiny_steps.make_small_model(axis_name=None, wide=True)
      if name == 'small'
      else tiny_steps.make_model(wide=True, axis_name=None)
    )
    state = step_lib.create_state(
      model, optimizer, jax.random.key(0), tiny_steps.STREAMS
    )
    batch = next(tiny_steps.make_batches())
    step = jax.jit(
      functools.partial(
        step_lib.train_step,
        model=model,
        optimizer=optimizer,
        objective=tiny_steps.make_objective('bce'),
      )
    )
    after, metrics = step(state, batch)
    change = jax.tree.map(
      lambda x, y: np.asarray(x) - np.asarray(y), state.params, after.params
    )
    np.testing.assert_allclose(
      metrics['gradient_norm'], norm_of(change), rtol=1e-9
    )
    bias = np.asarray(state.params['logits']['bias'])
    for i, gradient in enumerate(change['logits']['bias']):
      values = []
      for shift in (1e-5, -1e-5):
        params = {**state.params, 'logits': dict(state.params['logits'])}
        params['logits']['bias'] = bias + shift * np.eye(tiny_steps.LABELS)[i]
        values.append(step(state.replace(params=params), batch)[1]['loss'])
      numeric = (values[0] - values[1]) / 2e-5
      np.testing.assert_allclose(gradient, numeric, rtol=1e-6)
    assert after.step == 1


def test_images_are_scaled_to_one():
  # Twice as bright is another batch, but batch norm hides it: look at the
  # running mean of the stem, which is linear in the image.
  state, step, _ = tiny_steps.make_tiny(1)
  batch = next(tiny_steps.make_batches())
  after, _ = tiny_steps.once(step, state, batch)
  kernel = state.params['stem_conv']['kernel']
  mean = jax.lax.conv_general_dilated(
    batch['image'].astype(np.float32) / 255,
    kernel,
    (2, 2),
    ((3, 3), (3, 3)),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  ).mean((0, 1, 2))
  np.testing.assert_allclose(
    after.batch_stats['stem_norm']['mean'], 0.1 * mean, rtol=1e-4, atol=1e-6
  )


def test_one_compiled_step_whatever_the_state_comes_from(tmp_path):
  traces = []

  def loss(logits, *_):
    traces.append(logits.shape)
    return jax.lax.psum(logits.sum(), step_lib.AXIS_NAME)

  state, step = tiny_steps.make_small(loss=loss, num_devices=4)
  batches = tiny_steps.make_batches()
  with checkpoint.open_checkpoints(tmp_path) as checkpoints:
    for _ in range(3):
      state, _ = tiny_steps.once(step, state, next(batches))
    checkpoint.save(checkpoints, state)
    state = checkpoint.restore(checkpoints, state)
  state, _ = tiny_steps.once(step, state, next(batches))
  moved = jax.device_put(state, jax.devices()[3])
  state, _ = tiny_steps.once(step, moved, next(batches))
  assert traces == [(tiny_steps.BATCH // 4, tiny_steps.LABELS)]
  assert state.step == 5


@pytest.mark.parametrize(
  'num_devices', [pytest.param(2, marks=pytest.mark.long), 4]
)
def test_a_curve_with_all_options_is_that_of_one_device(num_devices):
  options = {
    'optimizer': optimizer_lib.make_optimizer(
      'sgd',
      0.5,
      schedule=optimizer_lib.make_schedule(
        'cosine', 1.0, num_steps=8, warmup_steps=2
      ),
      clip_norm=0.5,
    ),
    'averaged': True,
    'ema_decay': 0.9,
  }
  (*_, one), curve = tiny_steps.run_small(8, **options)
  (*_, many), found = tiny_steps.run_small(
    8, num_devices=num_devices, **options
  )
  np.testing.assert_allclose(found, curve, rtol=1e-5)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
    np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)


def test_batch_norm_of_each_device_alone_is_another_curve():
  alone = tiny_steps.make_small_model(axis_name=None)
  _, curve = tiny_steps.run_small(4, model=alone)
  np.testing.assert_allclose(tiny_steps.run_small(4)[1], curve, rtol=1e-5)
  (first, *_), found = tiny_steps.run_small(4, model=alone, num_devices=4)
  assert np.abs(found - curve).max() > 1e-3
  # The running statistics are the means of the devices'.
  image = next(tiny_steps.make_batches())['image'].reshape(
    4, 2, -1
  ) / np.float64(255)
  np.testing.assert_allclose(
    first.batch_stats['BatchNorm_0']['var'],
    0.9 + 0.1 * image.var(axis=1).mean(axis=0),
    rtol=1e-4,
  )


def test_clipping_is_by_the_norm_of_the_whole_gradient():
  def change_and_norm(clip_norm):
    optimizer = optimizer_lib.make_optimizer('sgd', 1.0, clip_norm=clip_norm)
    state, step = tiny_steps.make_small(optimizer=optimizer, num_devices=4)
    batch = next(tiny_steps.make_batches())
    after, metrics = tiny_steps.once(step, state, batch)
    change = jax.tree.map(
      lambda x, y: np.asarray(x) - np.asarray(y), after.params, state.params
    )
    return change, float(metrics['gradient_norm'])

  change, norm = change_and_norm(0.0)
  np.testing.assert_allclose(norm_of(change), norm, rtol=1e-5)
  clipped, same_norm = change_and_norm(norm / 3)
  np.testing.assert_allclose(same_norm, norm, rtol=1e-6)  # Before clipping.
  for a, b in zip(
    jax.tree.leaves(change), jax.tree.leaves(clipped), strict=True
  ):
    np.testing.assert_allclose(b, a / 3, rtol=1e-4, atol=1e-6)
  same, _ = change_and_norm(2 * norm)
  tiny_steps.assert_same(same, change)


def test_averages_are_those_of_optax_and_are_what_is_evaluated():
  states, _ = tiny_steps.run_small(
    5, averaged=True, ema_decay=0.8, num_devices=2
  )
  oracle = optax.ema(0.8, debias=True)

  def weights(state):
    return {'params': state.params, 'batch_stats': state.batch_stats}

  update, kept = jax.jit(oracle.update), oracle.init(weights(states[0]))
  for state in states:
    expected, kept = update(weights(state), kept)
    found = step_lib.evaluated(state)
    assert found.average is None
    for a, b in zip(
      jax.tree.leaves(expected), jax.tree.leaves(weights(found)), strict=True
    ):
      np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
  # They are looked at, not trained with.
  plain = tiny_steps.run_small(5, num_devices=2)[0][-1]
  tiny_steps.assert_same(weights(plain), weights(states[-1]))
  assert step_lib.evaluated(plain) is plain


@pytest.mark.long
def test_bfloat16_keeps_float32_states():
  model = models.make_model(
    'resnet8_16',
    tiny_steps.OUTPUTS,
    axis_name=step_lib.AXIS_NAME,
    dtype=jnp.bfloat16,
  )
  states, found = tiny_steps.run_small(
    1, model=model, num_devices=4, averaged=True
  )
  wide = {x.dtype for x in jax.tree.leaves(states[0]) if x.ndim}
  assert wide == {np.dtype(np.float32)}
  exact = tiny_steps.run_small(
    1, model=tiny_steps.make_model(False), num_devices=4
  )[1]
  np.testing.assert_allclose(found, exact, rtol=0.03)
  assert found != exact


def test_the_state_is_donated():
  state, step = tiny_steps.make_small(num_devices=4, averaged=True)
  batch = step.shard(next(tiny_steps.make_batches()))
  first, _ = step.run(step.place(state), batch)
  second, _ = step.run(first, batch)
  assert all(x.is_deleted() for x in jax.tree.leaves(first))
  assert not any(x.is_deleted() for x in jax.tree.leaves(second))


def test_a_fresh_state_can_be_donated():
  """No array is in it twice."""
  optimizer = optimizer_lib.make_optimizer('adam', 1e-3)
  state = step_lib.create_state(
    tiny_steps.make_small_model(),
    optimizer,
    jax.random.key(0),
    tiny_steps.STREAMS,
    averaged=True,
  )
  pointers = [
    x.unsafe_buffer_pointer()
    for x in jax.tree.leaves(state)
    if isinstance(x, jax.Array)
  ]
  assert len({*pointers}) == len(pointers)


def test_equal_models_are_traced_once_for_their_first_weights():
  traced = []

  class Trunk(nn.Module):
    @nn.compact
    def __call__(self, image, *, train):
      traced.append(train)
      return image.reshape(len(image), -1)

  optimizer = optimizer_lib.make_optimizer('sgd', 1e-3)
  for outputs, times in ((2, 1), (2, 1), (3, 2)):
    model = models.Network(Trunk(), (('labels', outputs),))
    shapes = jax.eval_shape(
      lambda model=model: step_lib.create_state(
        model, optimizer, jax.random.key(0), tiny_steps.STREAMS
      )
    )
    assert shapes.params['logits']['bias'].shape == (outputs,)
    assert len(traced) == times


@pytest.mark.parametrize(
  'name',
  [
    'dense',
    *(
      pytest.param(name, marks=pytest.mark.long)
      for name in (
        *('one block', 'resnet8_16'),
        *('resnet18_112', 'mobilenet_v2', 'vit_b_16'),
      )
    ),
  ],
)
@pytest.mark.parametrize('init', ['he_normal', 'torch_uniform'])
def test_first_weights_are_those_of_any_compilation(name, init):
  if name == 'dense':
    model = models.Network(tiny_steps.Plain(), (('labels', 3),), first=init)
  elif name == 'one block':
    trunk = resnet.ResNet(stage_sizes=(1,), width=8, first=init)
    model = models.Network(trunk, (('labels', 3),), first=init)
  else:
    model = models.make_model(name, tiny_steps.OUTPUTS, init=init)
  key, streams = jax.random.key(3), tiny_steps.STREAMS
  wanted = jax.jit(model.init)(key, streams)['params']
  optimizer = optimizer_lib.make_optimizer('sgd', 1e-3)
  found = step_lib.create_state(model, optimizer, key, streams).params
  jax.tree.map(np.testing.assert_array_equal, found, wanted)


def augmented_pixels(num_devices):
  """Returns the pixels the step trains on, of a batch with five rows to do."""
  settings = draws.Settings()
  chosen = np.arange(tiny_steps.BATCH) % 3 > 0
  drawn = draws.draw(
    settings, seed=1, epochs=2, rows=np.arange(tiny_steps.BATCH)[chosen]
  )
  batch = next(tiny_steps.make_batches())
  batch['augment'] = augment_device.pack(drawn, tiny_steps.BATCH, chosen)

  def loss(logits, labels, known, batch, axis_name):
    pixels = batch['image'].astype(np.float32) / 255
    whole = jax.lax.all_gather(pixels, axis_name, tiled=True)
    jax.debug.callback(lambda x: seen.append(np.array(x)), whole)
    return jax.lax.psum(logits.sum(), axis_name)

  seen = []
  state, step = tiny_steps.make_small(
    loss=loss,
    num_devices=num_devices,
    augment=functools.partial(augment_device.augment_images, settings=settings),
  )
  jax.block_until_ready(tiny_steps.once(step, state, batch))
  jax.effects_barrier()
  pixels = np.rint(seen[0] * 255).reshape(batch['image'].shape)
  return batch, chosen, drawn, pixels


def test_augmentation_in_the_step_is_the_same_on_one_device_and_four():
  batch, chosen, drawn, one = augmented_pixels(1)
  np.testing.assert_array_equal(augmented_pixels(4)[-1], one)
  np.testing.assert_array_equal(one[~chosen], batch['image'][~chosen])
  host = augment.augment(batch['image'][chosen], drawn)
  assert np.abs(one[chosen] - host).max() <= 3
  assert (one[chosen] != batch['image'][chosen]).mean() > 0.5


@pytest.mark.parametrize('decay', [-0.1, 1.0])
def test_decay_out_of_range_is_refused(decay):
  with pytest.raises(ValueError, match=r'ema_decay must be in \[0, 1\), got'):
    step_lib.make_train_step(None, None, None, ema_decay=decay)


@pytest.mark.parametrize(
  ('batch_size', 'choice'), [(10, '8 or 12'), (3, '4'), (0, '4'), (-4, '4')]
)
def test_batch_the_devices_cannot_share_is_refused(batch_size, choice):
  with pytest.raises(
    ValueError, match=f'of the 4 devices, got {batch_size}: take {choice}\\.'
  ):
    step_lib.check_batch_size(batch_size, 4)


def test_step_refuses_a_batch_the_devices_cannot_share():
  _, step, _ = tiny_steps.make_tiny(4)
  batch = {name: x[:6] for name, x in next(tiny_steps.make_batches()).items()}
  with pytest.raises(ValueError, match='got 6: take 4 or 8'):
    step.shard(batch)


@pytest.mark.parametrize(
  'num_devices', [pytest.param(1, marks=pytest.mark.long), 4]
)
def test_a_network_without_batch_norm_trains(tmp_path, num_devices):
  first, step = tiny_steps.make_small(
    model=tiny_steps.make_small_model(tiny_steps.Plain),
    optimizer=optimizer_lib.make_optimizer('adam', 1e-2),
    num_devices=num_devices,
    averaged=True,
    ema_decay=0.5,
  )
  assert first.batch_stats == first.average['batch_stats'] == {}
  state, found, batch = first, [], next(tiny_steps.make_batches())
  for _ in range(6):
    state, metrics = tiny_steps.once(step, state, batch)
    found.append(float(metrics['loss']))
  assert found[-1] < 0.9 * found[0]
  assert {*state.params} == {'Dense_0', 'logits'}
  with checkpoint.open_checkpoints(tmp_path) as checkpoints:
    checkpoint.save(checkpoints, state)
    kept = checkpoint.restore(checkpoints, first)
  assert kept.batch_stats == kept.average['batch_stats'] == {}
  tiny_steps.assert_same(kept, state)
  head = heads.Head('labels', 'binary', (*'abc',), 'bce')
  model = tiny_steps.make_small_model(tiny_steps.Plain)
  predict = inference.make_predict(model, [head])
  run = predict(kept.params, kept.batch_stats)
  assert run({'image': batch['image']})['labels'].shape == (8, 3)
