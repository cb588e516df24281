"""The training loop."""

import dataclasses
import functools
import itertools

import jax
import numpy as np
import pytest

from aubal_jax.network import checkpoint
from aubal_jax.network import log as log_lib
from aubal_jax.network import loop as loop_lib
from aubal_jax.network import losses
from aubal_jax.network import step as step_lib
from tests.makers import tiny_steps


def train(state, step, batches, **options):
  """`loop.train`, with the numbers of a `Cadence` among its options.

  A function is taken for a step of one device.
  """
  names = {field.name for field in dataclasses.fields(loop_lib.Cadence)}
  cadence = {k: options.pop(k) for k in names & {*options}}
  if callable(step):
    step = step_lib.TrainStep(step, jax.local_devices()[:1])
  return loop_lib.train(
    state, step, batches, loop_lib.Cadence(**cadence), **options
  )


@pytest.mark.long
def test_stop_and_resume_is_the_straight_run_bit_for_bit(tmp_path):
  state, step, _ = tiny_steps.make_tiny(4)
  with checkpoint.open_checkpoints(tmp_path / 'straight') as checkpoints:
    straight = train(
      state,
      step,
      tiny_steps.make_batches(),
      num_steps=6,
      checkpoints=checkpoints,
    )
  polls = itertools.count(1)
  with (
    checkpoint.open_checkpoints(tmp_path / 'stopped') as checkpoints,
    pytest.raises(loop_lib.Preempted, match='step 3 of 6; the state is saved'),
  ):
    train(
      state,
      step,
      tiny_steps.make_batches(),
      num_steps=6,
      checkpoints=checkpoints,
      should_stop=lambda: next(polls) == 3,
    )
  with checkpoint.open_checkpoints(tmp_path / 'stopped') as checkpoints:
    resumed = checkpoint.restore(checkpoints, jax.eval_shape(lambda: state))
    assert resumed.step == 3
    resumed = train(
      resumed,
      step,
      tiny_steps.make_batches(3),
      num_steps=6,
      checkpoints=checkpoints,
    )
    saved = checkpoint.restore(checkpoints, state)
  tiny_steps.assert_same(resumed, straight)
  tiny_steps.assert_same(saved, straight)
  assert any(  # Nor is it where it began.
    np.any(np.asarray(a) != b)
    for a, b in zip(
      jax.tree.leaves(straight.params),
      jax.tree.leaves(state.params),
      strict=True,
    )
  )


@pytest.mark.long
def test_the_state_handed_in_is_not_given_away():
  """A step donates its state; `train` must not donate the caller's."""
  host, step, _ = tiny_steps.make_tiny(1)
  state = jax.device_put(host, jax.local_devices()[0])
  train(state, step, tiny_steps.make_batches(), num_steps=2)
  tiny_steps.assert_same(state, host)


def test_resume_on_another_number_of_devices(tmp_path):
  state, step = tiny_steps.make_small(num_devices=4)
  with checkpoint.open_checkpoints(tmp_path) as checkpoints:
    train(
      state,
      step,
      tiny_steps.make_batches(),
      num_steps=3,
      checkpoints=checkpoints,
    )
    resumed = checkpoint.restore(checkpoints, state)
  one = train(
    resumed, tiny_steps.make_small()[1], tiny_steps.make_batches(3), num_steps=6
  )
  four = train(resumed, step, tiny_steps.make_batches(3), num_steps=6)
  assert len(one.step.devices()) == 1
  assert len(four.step.devices()) == 4
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(four), strict=True):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-3)


def test_training_learns():
  state, step, _ = tiny_steps.make_tiny(1)
  batch = next(tiny_steps.make_batches())
  lines = []
  train(
    state,
    step,
    itertools.repeat(batch),
    num_steps=40,
    log_every_steps=1,
    write_line=lines.append,
  )
  assert lines[-1]['loss'] < 0.1 < 0.3 < lines[0]['loss']


def test_a_real_nan_stops_with_the_last_good_state_kept(tmp_path):
  state, step, _ = tiny_steps.make_tiny(1)
  batches = list(itertools.islice(tiny_steps.make_batches(), 8))
  batches[4]['labels_known'] = np.zeros_like(batches[4]['labels_known'])
  with checkpoint.open_checkpoints(tmp_path) as checkpoints:
    with pytest.raises(
      FloatingPointError, match=r'loss is nan at step 5: .*step 4 is kept'
    ):
      train(
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


def test_one_trace_over_a_run_with_validation_and_resume(tmp_path):
  traces = []

  soft_f1 = losses.make_loss('soft_f1')

  def loss(logits, labels, known, batch, axis_name):
    traces.append(logits.shape)
    return soft_f1(logits, labels, known, batch, axis_name)

  state, step = tiny_steps.make_small(
    loss=loss, averaged=True, ema_decay=0.5, num_devices=4
  )

  def go_on(state, num_steps, checkpoints):
    return train(
      state,
      step,
      tiny_steps.make_batches(int(state.step)),
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
  assert traces == [(tiny_steps.BATCH // 4, tiny_steps.LABELS)]
  straight = go_on(state, 8, None)
  tiny_steps.assert_same(resumed, straight)
  assert (resumed.best, resumed.stale) == (0.5, 3)


# From here on the loop alone, around a step that computes next to nothing.


def stopping(scores, state, **options):
  """Trains with a validation every other step that finds these scores."""

  def step_fn(state, batch):
    metrics = {'loss': 0.5, 'gradient_norm': 2.0, 'finite': True}
    return state.replace(step=np.int32(state.step + 1)), metrics

  def validate(state):
    return {'f1_macro': scores[int(state.step)]}

  return train(
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
    with pytest.raises(loop_lib.Preempted):
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
  return step_lib.TrainState(np.int32(step), params, {}, ()), metrics


def fake_state(step=0):
  return step_lib.TrainState(np.int32(step), {'x': np.float32(step)}, {}, ())


def fake_batches():
  return itertools.repeat({'image': np.zeros((4, 2, 2, 1), np.uint8)})


def test_lines_hold_what_they_say():
  lines = []
  train(
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
  train(
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
  monkeypatch.setattr(log_lib.time, 'monotonic', lambda: now[0])

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
  train(
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
  train(
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

  train(fake_state(), step_fn, fake_batches(), num_steps=4)
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
    train(
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
      train(
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
      train(
        fake_state(),
        functools.partial(fake_step, bad={2: {'loss': np.nan}}),
        fake_batches(),
        num_steps=9,
        checkpoints=checkpoints,
        should_stop=iter([False, True]).__next__,
      )
    assert checkpoint.find_step(checkpoints) is None


def test_stopped_without_checkpoints_says_nothing_is_saved():
  with pytest.raises(loop_lib.Preempted, match='step 1 of 9; nothing is saved'):
    train(
      fake_state(),
      fake_step,
      fake_batches(),
      num_steps=9,
      should_stop=lambda: True,
    )


def test_stopped_at_the_last_step_is_done():
  polls = iter([False, True])
  state = train(
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

  state = train(fake_state(5), step_fn, iter(()), num_steps=5)
  assert state.step == 5


def test_progress_is_of_the_images_left(monkeypatch):
  made = []

  class Progress:
    def __init__(self, total, label):
      self.total, self.label, self.done = total, label, 0
      made.append(self)

    def update(self, count):
      self.done += count

  monkeypatch.setattr(log_lib, 'Progress', Progress)
  train(fake_state(2), fake_step, fake_batches(), num_steps=7)
  (progress,) = made
  # Steps 3 to 7 of 4 images, the first of which is the compilation.
  assert (progress.total, progress.done) == (16, 16)
  assert progress.label == 'train, step 7, loss 0.1429, images'


def test_batches_that_end_early_are_refused():
  batches = itertools.islice(fake_batches(), 3)
  with pytest.raises(ValueError, match='ended before step 4 of 6: give'):
    train(fake_state(), fake_step, batches, num_steps=6)


def test_batches_of_several_shapes_are_refused():
  short = {'image': np.zeros((3, 2, 2, 1), np.uint8)}
  batches = itertools.chain(itertools.islice(fake_batches(), 2), [short])
  with pytest.raises(ValueError, match=r'\(3, 2, 2, 1\) at step 3 after \(4,'):
    train(fake_state(), fake_step, batches, num_steps=6)


@pytest.mark.parametrize(
  'name', ['log_every_steps', 'eval_every_steps', 'checkpoint_every_steps']
)
def test_steps_between_things_are_at_least_one(name):
  with pytest.raises(ValueError, match=f'{name} must be at least 1, got 0'):
    train(fake_state(), fake_step, fake_batches(), num_steps=1, **{name: 0})
