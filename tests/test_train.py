"""The training step on one and on four devices, and the loop around it."""

import functools
import itertools
import json
import pathlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aubal_jax import augment_device
from aubal_jax import checkpoint
from aubal_jax import losses
from aubal_jax import models
from aubal_jax import schedules
from aubal_jax import train
from aubal_jax import train_log
from aubal_jax.data import augment

GOLDEN = pathlib.Path(__file__).parent / 'golden' / 'first_step.json'
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
  dtype = jnp.float64 if wide else jnp.float32
  return models.make_model('resnet8_16', LABELS, dtype=dtype, param_dtype=dtype)


@functools.cache
def make_state(wide=False):
  """Returns the state of all runs before the first step, as host arrays."""
  optimizer = train.make_optimizer('adam', 1e-3)
  state = train.create_state(
    make_model(wide), optimizer, jax.random.key(0), (SIDE, SIDE, 1)
  )
  return jax.tree.map(np.asarray, state)


@functools.cache
def make_tiny(num_devices, wide=False):
  """Returns state, step function, and a list with an entry for each trace."""
  traces = []

  def loss(logits, labels, known, axis_name=None):
    traces.append(logits.shape)
    value = losses.soft_f1(logits, labels, known, axis_name=axis_name)
    # So that a test can have a NaN: by a batch of which nothing is known.
    return jnp.where(jax.lax.psum(known.any(), axis_name), value, jnp.nan)

  step = train.make_train_step(
    make_model(wide),
    train.make_optimizer('adam', 1e-3),
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


def dtypes(state):
  return [leaf.dtype for leaf in jax.tree.leaves(state)]


def assert_same(one, other):
  for (path, a), b in zip(
    jax.tree.leaves_with_path(one), jax.tree.leaves(other), strict=True
  ):
    name = jax.tree_util.keystr(path)
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b), name)


def test_one_device_is_four_in_float64(x64):
  state, one = run(1, 10, wide=True)
  _, four = run(4, 10, wide=True)
  assert dtypes(state) == dtypes(make_state(wide=True))
  assert one.dtype == np.float64
  np.testing.assert_allclose(four, one, rtol=0, atol=1e-12)
  assert np.ptp(one[:, 0]) > 1e-2  # Of steps that do something.


def test_one_device_is_four_in_float32():
  _, one = run(1, 10)
  _, four = run(4, 10)
  np.testing.assert_allclose(four[:, 0], one[:, 0], rtol=0, atol=1e-4)
  # Adam does not see the scale of a gradient, so that is looked at as well.
  np.testing.assert_allclose(four[:, 1], one[:, 1], rtol=1e-2)


def test_first_step_is_the_golden_one():
  _, found = run(1, 1)
  golden = json.loads(GOLDEN.read_text())
  np.testing.assert_allclose(
    found[0],
    [golden['loss'], golden['gradient_norm']],
    rtol=golden['tolerance'],
    err_msg=(
      'The first training step is no longer that of tests/golden. If model, '
      'loss, initialisation or scaling of images were meant to change, put '
      f'loss {found[0, 0]:.8f} and gradient_norm {found[0, 1]:.8f} into '
      'first_step.json and say so in the commit; else a change broke them.'
    ),
  )


def test_the_step_is_the_gradient_by_the_book():
  """Plain, on one device, against differences of the loss: no pmap in it."""
  with jax.enable_x64(True):
    optimizer = train.make_optimizer('sgd', 1.0)
    state = make_state(wide=True)
    state = state.replace(opt_state=optimizer.init(state.params))
    batch = next(make_batches())
    step = jax.jit(
      functools.partial(
        train.train_step,
        model=make_model(wide=True),
        optimizer=optimizer,
        loss=losses.make_loss('bce'),
      )
    )
    after, metrics = step(state, batch)
    change = jax.tree.map(jnp.subtract, state.params, after.params)
    np.testing.assert_allclose(
      metrics['gradient_norm'], optax.tree.norm(change), rtol=1e-9
    )
    bias = np.asarray(state.params['logits']['bias'])
    for i, gradient in enumerate(change['logits']['bias']):
      values = []
      for shift in (1e-5, -1e-5):
        params = {**state.params, 'logits': dict(state.params['logits'])}
        params['logits']['bias'] = bias + shift * np.eye(LABELS)[i]
        values.append(step(state.replace(params=params), batch)[1]['loss'])
      numeric = (values[0] - values[1]) / 2e-5
      np.testing.assert_allclose(gradient, numeric, rtol=1e-6)
    assert after.step == 1


def test_images_are_scaled_to_one():
  # Twice as bright is another batch, but batch norm hides it: look at the
  # running mean of the stem, which is linear in the image.
  state, step, _ = make_tiny(1)
  batch = next(make_batches())
  after, _ = step(state, batch)
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
  state, step, traces = make_tiny(4)
  batches = make_batches()
  with checkpoint.open_checkpoints(tmp_path) as checkpoints:
    for _ in range(3):
      state, _ = step(state, next(batches))
    checkpoint.save(checkpoints, state)
    state = checkpoint.restore(checkpoints, state)
  state, _ = step(state, next(batches))
  state, _ = step(jax.device_put(state, jax.devices()[3]), next(batches))
  assert traces == [(BATCH // 4, LABELS)]
  assert state.step == 5


def test_stop_and_resume_is_the_straight_run_bit_for_bit(tmp_path):
  state, step, _ = make_tiny(4)
  with checkpoint.open_checkpoints(tmp_path / 'straight') as checkpoints:
    straight = train.train(
      state, step, make_batches(), num_steps=6, checkpoints=checkpoints
    )
  polls = itertools.count(1)
  with (
    checkpoint.open_checkpoints(tmp_path / 'stopped') as checkpoints,
    pytest.raises(train.Preempted, match='step 3 of 6; the state is saved'),
  ):
    train.train(
      state,
      step,
      make_batches(),
      num_steps=6,
      checkpoints=checkpoints,
      should_stop=lambda: next(polls) == 3,
    )
  with checkpoint.open_checkpoints(tmp_path / 'stopped') as checkpoints:
    resumed = checkpoint.restore(checkpoints, jax.eval_shape(lambda: state))
    assert resumed.step == 3
    resumed = train.train(
      resumed, step, make_batches(3), num_steps=6, checkpoints=checkpoints
    )
    saved = checkpoint.restore(checkpoints, state)
  assert_same(resumed, straight)
  assert_same(saved, straight)
  assert any(  # Nor is it where it began.
    np.any(np.asarray(a) != b)
    for a, b in zip(
      jax.tree.leaves(straight.params),
      jax.tree.leaves(state.params),
      strict=True,
    )
  )


def test_the_state_handed_in_is_not_given_away():
  """A step donates its state; `train` must not donate the caller's."""
  host, step, _ = make_tiny(1)
  state = jax.device_put(host, jax.local_devices()[0])
  train.train(state, step, make_batches(), num_steps=2)
  assert_same(state, host)


def test_resume_on_another_number_of_devices(tmp_path):
  state, step, _ = make_tiny(4)
  with checkpoint.open_checkpoints(tmp_path) as checkpoints:
    train.train(
      state, step, make_batches(), num_steps=3, checkpoints=checkpoints
    )
    resumed = checkpoint.restore(checkpoints, state)
  one = train.train(resumed, make_tiny(1)[1], make_batches(3), num_steps=6)
  four = train.train(resumed, step, make_batches(3), num_steps=6)
  assert len(one.step.devices()) == 1
  assert len(four.step.devices()) == 4
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(four), strict=True):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-3)


def test_training_learns():
  state, step, _ = make_tiny(1)
  batch = next(make_batches())
  lines = []
  train.train(
    state,
    step,
    itertools.repeat(batch),
    num_steps=40,
    log_every_steps=1,
    write_line=lines.append,
  )
  assert lines[-1]['loss'] < 0.1 < 0.3 < lines[0]['loss']


def test_a_real_nan_stops_with_the_last_good_state_kept(tmp_path):
  state, step, _ = make_tiny(1)
  batches = list(itertools.islice(make_batches(), 8))
  batches[4]['known'] = np.zeros_like(batches[4]['known'])
  with checkpoint.open_checkpoints(tmp_path) as checkpoints:
    with pytest.raises(
      FloatingPointError, match=r'loss is nan at step 5: .*step 4 is kept'
    ):
      train.train(
        state,
        step,
        iter(batches),
        num_steps=8,
        checkpoint_every_steps=2,
        checkpoints=checkpoints,
      )
    assert checkpoint.find_step(checkpoints) == 4
    kept = checkpoint.restore(checkpoints, state)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(kept))


# From here on steps of a network that compiles in no time.


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
  optimizer = optimizer or train.make_optimizer('adam', 1e-3)
  loss = options.pop('loss', losses.make_loss('bce'))
  state = train.create_state(
    model, optimizer, jax.random.key(0), (SIDE, SIDE, 1), averaged=averaged
  )
  devices = jax.local_devices()[:num_devices]
  step = train.make_train_step(
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


@pytest.mark.parametrize('num_devices', [2, 4])
def test_a_curve_with_all_options_is_that_of_one_device(num_devices):
  options = {
    'optimizer': train.make_optimizer(
      'sgd',
      schedules.make_schedule('cosine', 0.5, num_steps=8, warmup_steps=2),
      clip_norm=0.5,
    ),
    'averaged': True,
    'ema_decay': 0.9,
  }
  (*_, one), curve = run_small(8, **options)
  (*_, many), found = run_small(8, num_devices=num_devices, **options)
  np.testing.assert_allclose(found, curve, rtol=1e-5)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
    np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)


def test_batch_norm_of_each_device_alone_is_another_curve():
  _, curve = run_small(4, sync_batch_norm=False)
  np.testing.assert_allclose(run_small(4)[1], curve, rtol=1e-5)
  (first, *_), found = run_small(4, sync_batch_norm=False, num_devices=4)
  assert np.abs(found - curve).max() > 1e-3
  # The running statistics are the means of the devices'.
  image = next(make_batches())['image'].reshape(4, 2, -1) / np.float64(255)
  np.testing.assert_allclose(
    first.batch_stats['BatchNorm_0']['var'],
    0.9 + 0.1 * image.var(axis=1).mean(axis=0),
    rtol=1e-4,
  )


def test_clipping_is_by_the_norm_of_the_whole_gradient():
  def change_and_norm(clip_norm):
    optimizer = train.make_optimizer('sgd', 1.0, clip_norm=clip_norm)
    state, step = make_small(optimizer=optimizer, num_devices=4)
    after, metrics = step(state, next(make_batches()))
    change = jax.tree.map(
      lambda x, y: np.asarray(x) - y, after.params, state.params
    )
    return change, metrics['gradient_norm']

  change, norm = change_and_norm(0.0)
  np.testing.assert_allclose(optax.tree.norm(change), norm, rtol=1e-5)
  clipped, same_norm = change_and_norm(norm / 3)
  np.testing.assert_allclose(same_norm, norm, rtol=1e-6)  # Before clipping.
  for a, b in zip(
    jax.tree.leaves(change), jax.tree.leaves(clipped), strict=True
  ):
    np.testing.assert_allclose(b, a / 3, rtol=1e-4, atol=1e-6)
  same, _ = change_and_norm(2 * norm)
  assert_same(same, change)


def test_structure_of_the_optimizer_is_of_its_name_alone():
  """So the file of a checkpoint need not tell schedules and clipping."""
  plain = train.make_optimizer('adam', 1.0)
  rate = schedules.make_schedule('cosine', 1.0, num_steps=9, warmup_steps=3)
  clipped = train.make_optimizer('adam', rate, clip_norm=1.0)
  one, other = (x.init({'w': jnp.zeros(3)}) for x in (plain, clipped))
  assert jax.tree.structure(one) == jax.tree.structure(other)


def test_averages_are_those_of_optax_and_are_what_is_evaluated():
  states, _ = run_small(5, averaged=True, ema_decay=0.8, num_devices=2)
  oracle = optax.ema(0.8, debias=True)

  def weights(state):
    return {'params': state.params, 'batch_stats': state.batch_stats}

  kept = oracle.init(weights(states[0]))
  for state in states:
    expected, kept = oracle.update(weights(state), kept)
    found = train.evaluated(state)
    assert found.average is None
    for a, b in zip(
      jax.tree.leaves(expected), jax.tree.leaves(weights(found)), strict=True
    ):
      np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-6)
  # They are looked at, not trained with.
  plain = run_small(5, num_devices=2)[0][-1]
  assert_same(weights(plain), weights(states[-1]))
  assert train.evaluated(plain) is plain


def test_bfloat16_keeps_float32_states():
  model = models.make_model('resnet8_16', LABELS, dtype=jnp.bfloat16)
  states, found = run_small(1, model=model, num_devices=4, averaged=True)
  wide = {x.dtype for x in jax.tree.leaves(states[0]) if x.ndim}
  assert wide == {np.dtype(np.float32)}
  exact = run_small(1, model=make_model(False), num_devices=4)[1]
  np.testing.assert_allclose(found, exact, rtol=0.03)
  assert found != exact


def test_the_state_is_donated():
  state, step = make_small(num_devices=4, averaged=True)
  first, _ = step(state, next(make_batches()))
  second, _ = step(first, next(make_batches()))
  assert all(x.is_deleted() for x in jax.tree.leaves(first))
  assert not any(x.is_deleted() for x in jax.tree.leaves(second))


def test_a_fresh_state_can_be_donated():
  """No array is in it twice."""
  optimizer = train.make_optimizer('adam', 1e-3)
  state = train.create_state(
    Small(), optimizer, jax.random.key(0), (SIDE, SIDE, 1), averaged=True
  )
  pointers = [
    x.unsafe_buffer_pointer()
    for x in jax.tree.leaves(state)
    if isinstance(x, jax.Array)
  ]
  assert len({*pointers}) == len(pointers)


def test_one_trace_over_a_run_with_validation_and_resume(tmp_path):
  traces = []

  def loss(logits, labels, known, axis_name=None):
    traces.append(logits.shape)
    return losses.soft_f1(logits, labels, known, axis_name=axis_name)

  state, step = make_small(
    loss=loss, averaged=True, ema_decay=0.5, num_devices=4
  )

  def go_on(state, num_steps, checkpoints):
    return train.train(
      state,
      step,
      make_batches(int(state.step)),
      num_steps=num_steps,
      eval_every_steps=2,
      patience=9,
      validate=lambda state: {'f1_macro': 1 / int(state.step)},
      checkpoints=checkpoints,
    )

  with checkpoint.open_checkpoints(tmp_path) as checkpoints:
    go_on(state, 5, checkpoints)
  with checkpoint.open_checkpoints(tmp_path) as checkpoints:
    resumed = checkpoint.restore(checkpoints, jax.eval_shape(lambda: state))
    resumed = go_on(resumed, 8, checkpoints)
  assert traces == [(BATCH // 4, LABELS)]
  straight = go_on(state, 8, None)
  assert_same(resumed, straight)
  assert (resumed.best, resumed.stale) == (0.5, 3)


def augmented_pixels(num_devices):
  """Returns the pixels the step trains on, of a batch with five rows to do."""
  settings = augment.Settings()
  chosen = np.arange(BATCH) % 3 > 0
  drawn = augment.draw(
    settings, seed=1, epochs=2, rows=np.arange(BATCH)[chosen]
  )
  batch = next(make_batches())
  batch['augment'] = augment_device.pack(drawn, BATCH, chosen)

  class Pixels(Small):
    """Its logits are the pixels."""

    @nn.compact
    def __call__(self, x, *, train=False):
      weight = self.param('weight', nn.initializers.ones, ())
      self.variable('batch_stats', 'none', jnp.zeros, ())
      return weight * x.reshape(len(x), -1)

  def loss(logits, labels, known, axis_name=None):
    whole = jax.lax.all_gather(logits, axis_name, tiled=True)
    jax.debug.callback(lambda x: seen.append(np.array(x)), whole)
    return jax.lax.psum(logits.sum(), axis_name)

  seen = []
  state, step = make_small(
    model=Pixels(),
    loss=loss,
    num_devices=num_devices,
    augment=functools.partial(augment_device.augment_images, settings=settings),
  )
  jax.block_until_ready(step(state, batch))
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
    train.make_train_step(Small(), None, None, ema_decay=decay)


# From here on the loop alone, around a step that computes next to nothing.


def stopping(scores, state, **options):
  """Trains with a validation every other step that finds these scores."""

  def step_fn(state, batch):
    metrics = {'loss': 0.5, 'gradient_norm': 2.0, 'finite': True}
    return state.replace(step=np.int32(state.step + 1)), metrics

  def validate(state):
    return {'f1_macro': scores[int(state.step)]}

  return train.train(
    state,
    step_fn,
    fake_batches(),
    **{'num_steps': 13, 'eval_every_steps': 2, **options},
    validate=validate,
  )


SCORES = dict(zip(range(2, 14, 2), (0.5, 0.6, 0.6, 0.3, 0.7, 0.1), strict=True))


@pytest.mark.parametrize(
  ('patience', 'last', 'best', 'stale'),
  [(1, 6, 0.6, 1), (2, 8, 0.6, 2), (3, 13, 0.7, 1), (0, 13, 0.7, 1)],
)
def test_training_stops_once_nothing_better_comes(patience, last, best, stale):
  # That after step 13 is not one of the every-other-step ones.
  state = stopping(SCORES | {13: 0.9}, fake_state(), patience=patience)
  assert (state.step, state.stale) == (last, stale)
  np.testing.assert_allclose(state.best, best, rtol=1e-6)


@pytest.mark.parametrize('cut', range(1, 9))
def test_a_run_in_pieces_stops_where_the_straight_one_does(tmp_path, cut):
  polls = itertools.count(1)
  with checkpoint.open_checkpoints(tmp_path) as checkpoints:
    with pytest.raises(train.Preempted):
      stopping(
        SCORES,
        fake_state(),
        patience=2,
        checkpoints=checkpoints,
        should_stop=lambda: next(polls) == cut,
      )
    for _ in range(2):  # What has stopped stays so.
      state = checkpoint.restore(checkpoints, fake_state())
      assert state.step in (cut, 8)
      state = stopping(SCORES, state, patience=2, checkpoints=checkpoints)
      assert state.step == 8
    assert checkpoint.find_step(checkpoints) == 8


def test_validation_without_a_number_is_no_better():
  scores = dict.fromkeys(range(2, 14, 2), float('nan'))
  state = stopping(scores, fake_state(), patience=2)
  assert (state.step, state.best, state.stale) == (4, -1, 2)


def fake_step(state, batch, bad=None):
  """Adds 1 to step and parameter; `bad` maps a step to metrics it has then."""
  step = int(state.step) + 1
  metrics = {'loss': 1 / step, 'gradient_norm': 2.0, 'finite': True}
  metrics |= (bad or {}).get(step, {})
  params = {'x': np.asarray(state.params['x']) + 1}
  return train.TrainState(np.int32(step), params, {}, ()), metrics


def fake_state(step=0):
  return train.TrainState(np.int32(step), {'x': np.float32(step)}, {}, ())


def fake_batches():
  return itertools.repeat({'image': np.zeros((4, 2, 2, 1), np.uint8)})


def test_lines_hold_what_they_say():
  lines = []
  train.train(
    fake_state(),
    fake_step,
    fake_batches(),
    num_steps=5,
    log_every_steps=2,
    eval_every_steps=3,
    steps_per_epoch=4,
    learning_rate=lambda step: 0.5**step,
    write_line=lines.append,
    validate=lambda state: {'f1_macro': float(state.params['x'])},
  )
  rates = [
    (line.pop('images_per_second'), line.pop('input_wait_fraction'))
    for line in lines
    if 'loss' in line
  ]
  assert lines == [
    {
      'step': 2,
      'epoch': 0.5,
      'loss': (1 + 1 / 2) / 2,
      'gradient_norm': 2.0,
      'learning_rate': 0.5,
    },
    {'step': 3, 'epoch': 0.75, 'validation': {'f1_macro': 3.0}},
    {
      'step': 4,
      'epoch': 1.0,
      'loss': (1 / 3 + 1 / 4) / 2,
      'gradient_norm': 2.0,
      'learning_rate': 0.125,
    },
    # The last step, though it is no multiple of 2.
    {
      'step': 5,
      'epoch': 1.25,
      'loss': 1 / 5,
      'gradient_norm': 2.0,
      'learning_rate': 0.5**4,
    },
    {'step': 5, 'epoch': 1.25, 'validation': {'f1_macro': 5.0}},
  ]
  for images_per_second, input_wait_fraction in rates:
    assert images_per_second > 0
    assert 0 <= input_wait_fraction <= 1


def test_the_last_step_has_one_line_where_it_has_one_anyway():
  lines = []
  train.train(
    fake_state(),
    fake_step,
    fake_batches(),
    num_steps=4,
    log_every_steps=2,
    write_line=lines.append,
  )
  assert [line['step'] for line in lines] == [2, 4]


def test_rates_are_of_training_alone(monkeypatch):
  """A clock of our own: 1 s a step, 3 s a batch, 100 s to compile."""
  now = [0.0]
  monkeypatch.setattr(train_log.time, 'monotonic', lambda: now[0])

  def spend(seconds, value):
    now[0] += seconds
    return value

  def batches():
    for batch in fake_batches():
      yield spend(3.0, batch)

  def step_fn(state, batch):
    now[0] += 101.0 if state.step == 0 else 1.0
    return fake_step(state, batch)

  lines = []
  train.train(
    fake_state(),
    step_fn,
    batches(),
    num_steps=5,
    log_every_steps=2,
    eval_every_steps=3,
    write_line=lines.append,
    validate=lambda state: spend(1000.0, {'f1_macro': 0.5}),
  )
  measured = {
    line['step']: (line['images_per_second'], line['input_wait_fraction'])
    for line in lines
    if 'loss' in line
  }
  # Step 2 is logged while step 3 runs: 3 s + 1 s for it, and 4 s for step 3.
  assert measured[2] == (4 / 8, 6 / 8)
  # Step 4: 1000 s of validation between are left out; step 5 began.
  assert measured[4] == (8 / 8, 6 / 8)


def test_the_line_of_the_compilation_has_no_rate():
  lines = []
  train.train(
    fake_state(),
    fake_step,
    fake_batches(),
    num_steps=2,
    log_every_steps=1,
    write_line=lines.append,
  )
  assert [x['images_per_second'] is None for x in lines] == [True, False]


def test_metrics_are_read_one_step_late():
  """While the devices are at step n the host reads those of step n - 1."""
  events = []

  class Loss:
    def __init__(self, step):
      self.step = step

    def __array__(self, dtype=None, copy=None):
      events.append(f'read {self.step}')
      return np.asarray(0.5)

    def __float__(self):
      return float(self.__array__())

  def step_fn(state, batch):
    state, metrics = fake_step(state, batch)
    events.append(f'start {state.step}')
    return state, metrics | {'loss': Loss(int(state.step))}

  train.train(fake_state(), step_fn, fake_batches(), num_steps=4)
  order = [event for event, _ in itertools.groupby(events)]
  # The first step is waited for, since its time is that of the compilation.
  assert order == [
    *('start 1', 'read 1', 'start 2', 'start 3'),
    *('read 2', 'start 4', 'read 3', 'read 4'),
  ]


def test_validation_and_checkpoints_come_when_due(tmp_path):
  seen = []

  def validate(state):
    seen.append(int(state.step))
    return {'f1_macro': 1 / state.step.item()}

  with checkpoint.open_checkpoints(tmp_path, keep_checkpoints=9) as checkpoints:
    train.train(
      fake_state(),
      fake_step,
      fake_batches(),
      num_steps=8,
      eval_every_steps=3,
      checkpoint_every_steps=5,
      validate=validate,
      checkpoints=checkpoints,
    )
    assert seen == [3, 6, 8]
    assert checkpoints.all_steps() == [3, 5, 6, 8]
    assert checkpoint.find_step(checkpoints, which='best') == 3
    restored = checkpoint.restore(checkpoints, fake_state(), which='best')
  assert restored.params['x'] == 3


@pytest.mark.parametrize('every', [1, 3])
@pytest.mark.parametrize(
  ('metrics', 'message'),
  [
    ({'loss': np.nan}, 'loss is nan at step 4'),
    ({'loss': -np.inf}, 'loss is -inf at step 4'),
    ({'gradient_norm': np.inf}, 'gradient_norm is inf at step 4'),
    ({'finite': False}, 'state has a NaN or an infinity after step 4'),
  ],
)
def test_what_is_not_finite_stops_and_is_never_saved(
  tmp_path, metrics, message, every
):
  with checkpoint.open_checkpoints(tmp_path) as checkpoints:
    with pytest.raises(FloatingPointError, match=f'{message}.*step 3 is kept'):
      train.train(
        fake_state(),
        functools.partial(fake_step, bad={4: metrics}),
        fake_batches(),
        num_steps=9,
        checkpoint_every_steps=every,
        checkpoints=checkpoints,
      )
    assert checkpoint.find_step(checkpoints) == 3


def test_a_bad_state_is_not_saved_on_being_stopped_either(tmp_path):
  with checkpoint.open_checkpoints(tmp_path) as checkpoints:
    with pytest.raises(FloatingPointError, match='No checkpoint was saved'):
      train.train(
        fake_state(),
        functools.partial(fake_step, bad={2: {'loss': np.nan}}),
        fake_batches(),
        num_steps=9,
        checkpoints=checkpoints,
        should_stop=iter([False, True]).__next__,
      )
    assert checkpoint.find_step(checkpoints) is None


def test_stopped_without_checkpoints_says_nothing_is_saved():
  with pytest.raises(train.Preempted, match='step 1 of 9; nothing is saved'):
    train.train(
      fake_state(),
      fake_step,
      fake_batches(),
      num_steps=9,
      should_stop=lambda: True,
    )


def test_stopped_at_the_last_step_is_done():
  polls = iter([False, True])
  state = train.train(
    fake_state(),
    fake_step,
    fake_batches(),
    num_steps=2,
    should_stop=polls.__next__,
  )
  assert state.step == 2


def test_a_finished_state_is_left_alone():
  def step_fn(state, batch):
    raise AssertionError('There is nothing to do.')

  state = train.train(fake_state(5), step_fn, iter(()), num_steps=5)
  assert state.step == 5


def test_progress_is_of_the_images_left(monkeypatch):
  made = []

  class Progress:
    def __init__(self, total, label):
      self.total, self.label, self.done = total, label, 0
      made.append(self)

    def update(self, count):
      self.done += count

  monkeypatch.setattr(train_log, 'Progress', Progress)
  train.train(fake_state(2), fake_step, fake_batches(), num_steps=7)
  (progress,) = made
  # Steps 3 to 7 of 4 images, the first of which is the compilation.
  assert (progress.total, progress.done) == (16, 16)
  assert progress.label == 'train, step 7, loss 0.1429, images'


def test_batches_that_end_early_are_refused():
  batches = itertools.islice(fake_batches(), 3)
  with pytest.raises(ValueError, match='ended before step 4 of 6: give'):
    train.train(fake_state(), fake_step, batches, num_steps=6)


def test_batches_of_several_shapes_are_refused():
  short = {'image': np.zeros((3, 2, 2, 1), np.uint8)}
  batches = itertools.chain(itertools.islice(fake_batches(), 2), [short])
  with pytest.raises(ValueError, match=r'\(3, 2, 2, 1\) at step 3 after \(4,'):
    train.train(fake_state(), fake_step, batches, num_steps=6)


@pytest.mark.parametrize(
  'name', ['log_every_steps', 'eval_every_steps', 'checkpoint_every_steps']
)
def test_steps_between_things_are_at_least_one(name):
  with pytest.raises(ValueError, match=f'{name} must be at least 1, got 0'):
    train.train(
      fake_state(), fake_step, fake_batches(), num_steps=1, **{name: 0}
    )


@pytest.mark.parametrize(
  ('batch_size', 'choice'), [(10, '8 or 12'), (3, '4'), (0, '4'), (-4, '4')]
)
def test_batch_the_devices_cannot_share_is_refused(batch_size, choice):
  with pytest.raises(
    ValueError, match=f'of the 4 devices, got {batch_size}: take {choice}\\.'
  ):
    train.check_batch_size(batch_size, 4)


def test_step_refuses_a_batch_the_devices_cannot_share():
  state, step, _ = make_tiny(4)
  batch = {name: x[:6] for name, x in next(make_batches()).items()}
  with pytest.raises(ValueError, match='got 6: take 4 or 8'):
    step(state, batch)


@pytest.mark.parametrize('name', sorted(train.OPTIMIZERS))
def test_every_optimizer_descends(name):
  optimizer = train.make_optimizer(name, 0.05)
  target = jnp.asarray([1.0, -2.0])
  x, opt_state = jnp.zeros(2), optimizer.init(jnp.zeros(2))
  for _ in range(100):
    updates, opt_state = optimizer.update(x - target, opt_state, x)
    x = optax.apply_updates(x, updates)
  assert np.abs(x - target).max() < 0.2


def test_optimizer_takes_a_schedule():
  optimizer = train.make_optimizer('sgd', optax.constant_schedule(0.5))
  updates, _ = optimizer.update(jnp.ones(1), optimizer.init(jnp.ones(1)))
  np.testing.assert_array_equal(updates, [-0.5])


def test_bad_optimizers_are_refused():
  with pytest.raises(ValueError, match=r"optimizer 'sdg'; choose .*'sgd'\]"):
    train.make_optimizer('sdg', 0.1)
  for rate in (0.0, -1.0, float('nan'), float('inf')):
    with pytest.raises(ValueError, match='learning_rate must be above 0'):
      train.make_optimizer('sgd', rate)
  for norm in (-1.0, float('nan'), float('inf')):
    with pytest.raises(ValueError, match='clip_norm must be at least 0'):
      train.make_optimizer('sgd', 0.1, clip_norm=norm)


def test_metrics_file_goes_on_where_the_checkpoint_is(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  with train_log.open_metrics(path) as write_line:
    for step in (1, 2, 3, 4):
      write_line({'step': step, 'loss': 0.5})
  with open(path, 'a') as file:
    file.write('{"step": 5, "lo')  # Killed while writing.
  with train_log.open_metrics(path, step=2) as write_line:
    write_line({'step': 3, 'loss': 0.25})
    # There at once: a run may be watched, or killed.
    lines = [json.loads(line) for line in path.read_text().splitlines()]
  assert lines == [
    {'step': 1, 'loss': 0.5},
    {'step': 2, 'loss': 0.5},
    {'step': 3, 'loss': 0.25},
  ]
  with train_log.open_metrics(path):
    assert path.read_text() == ''


def test_damaged_lines_of_the_metrics_file_are_left_out(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  assert train_log.read_lines(path) == []
  good = [{'step': 1, 'loss': 0.1}, {'step': 2, 'validation': {'f1': 1e-17}}]
  first, second = (json.dumps(line).encode() for line in good)
  broken = (
    *(b'{"step": 1, "lo', b'\0\0\0', b'\xff\xfe', b'', b'null', b'[1]', b'7'),
    *(b'{"loss": 1.0}', b'{"step": "1"}', b'{"step": 1.5}', b'{"step": true}'),
  )
  path.write_bytes(b'\n'.join([first, *broken, second, b'{"step": 3, "l']))
  assert train_log.read_lines(path) == good
  assert train_log.read_lines(str(path)) == good
  with train_log.open_metrics(path, step=2) as write_line:
    write_line({'step': 3})
  third = b'{"step": 3}\n'
  assert path.read_bytes() == first + b'\n' + second + b'\n' + third
