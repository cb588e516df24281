"""What learns and how fast, against optax's optimisers one by one."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aubal_jax.network import losses
from aubal_jax.network import models
from aubal_jax.network import optimizer as optimizer_lib
from aubal_jax.network import step as step_lib
from aubal_jax.network import tuning as tuning_lib
from aubal_jax.network.models import inputs
from aubal_jax.runs import errors
from tests.makers import tiny_steps

HEADS = ('logits',)
SHAPES = {
  'stem_conv': {'kernel': (3, 3, 1, 2)},
  'stem_norm': {'scale': (2,), 'bias': (2,)},
  'block1': {'conv': {'kernel': (1, 1, 2, 2)}, 'norm': {'scale': (2,)}},
  'block2': {'conv': {'kernel': (1, 1, 2, 2)}, 'norm': {'scale': (2,)}},
  'block10': {'conv': {'kernel': (1, 1, 2, 2)}},
  'last_norm': {'scale': (2,)},
  'position': (4, 2),
  'logits': {'kernel': (2, 3), 'bias': (3,)},
}


def tree(seed):
  rng = np.random.default_rng(seed)
  return jax.tree.map(
    lambda shape: rng.standard_normal(shape).astype(np.float32),
    SHAPES,
    is_leaf=lambda x: isinstance(x, tuple),
  )


def named(values):
  return {
    '/'.join(key.key for key in route): np.asarray(leaf)
    for route, leaf in jax.tree.leaves_with_path(values)
  }


def run(optimizer, num_steps=3, seed=0):
  """Returns the parameters after some steps of drawn gradients."""
  params = tree(100 + seed)
  state = optimizer.init(params)
  update = jax.jit(optimizer.update)
  for step in range(num_steps):
    updates, state = update(tree(seed + step), state, params)
    params = optax.apply_updates(params, updates)
  return named(params)


def make(name='sgd', rate=0.1, **options):
  schedule, clip_norm = options.pop('schedule', None), options.pop('clip', 0.0)
  tuning = tuning_lib.Tuning(**options)
  return optimizer_lib.make_optimizer(
    name,
    rate,
    schedule=schedule,
    clip_norm=clip_norm,
    tuning=tuning,
    heads=HEADS,
  )


def test_by_default_nothing_is_told_apart():
  """Same state, same program: a run from before goes on."""
  params = tree(0)
  plain = optimizer_lib.make_optimizer('adam', 0.1)
  texts = [
    str(jax.make_jaxpr(o.update)(params, o.init(params), params))
    for o in (plain, make('adam'))
  ]
  assert texts[0] == texts[1]


@pytest.mark.long
@pytest.mark.parametrize('name', sorted(optimizer_lib.OPTIMIZERS))
def test_every_group_learns_at_its_rate(name):
  """As an optimiser of that rate alone would."""
  rng = np.random.default_rng(0)
  for seed in range(2):
    backbone, decay = rng.uniform(0.1, 1, 2)
    found = run(make(name, backbone=backbone, layer_decay=decay), seed=seed)
    # Above the last block are the norm and the heads; below the first, a stem.
    above = {'last': 0, 'block10': 1, 'block2': 2, 'block1': 3}
    for place in ('stem_conv', 'stem_norm', 'position', *above, 'logits'):
      factor = backbone * decay ** above.get(place, 4)
      rate = 0.1 if place == 'logits' else 0.1 * factor
      alone = run(optimizer_lib.make_optimizer(name, rate), seed=seed)
      for path, value in alone.items():
        if path.startswith((f'{place}/', f'{place}_')) or path == place:
          np.testing.assert_allclose(found[path], value, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
  ('globs', 'frozen'),
  [
    (('trunk', 'logits/bias'), '(?!logits/kernel)'),
    (('*norm*',), '.*norm'),
    (('block1/*', 'stem_*'), 'block1/|stem_'),
    (('*/kernel',), '.*/kernel'),
    (('logits/bias',), 'logits/bias'),
  ],
)
def test_what_is_frozen_stays_and_the_rest_does_not(globs, frozen):
  import re

  before = named(tree(100))
  found = run(make('adam', freeze=globs))
  free = run(optimizer_lib.make_optimizer('adam', 0.1))
  for path, value in found.items():
    if re.match(frozen, path):
      np.testing.assert_array_equal(value, before[path])
    else:
      np.testing.assert_allclose(value, free[path], rtol=1e-6)


def test_a_frozen_gradient_does_not_clip_the_others():
  found = run(make('sgd', freeze=('trunk',), clip=0.5), num_steps=1)
  gradient, before = named(tree(0)), named(tree(100))
  free = [gradient[p] for p in gradient if p.startswith('logits')]
  norm = np.sqrt(sum((g**2).sum() for g in free))
  for path in ('logits/kernel', 'logits/bias'):
    expected = before[path] - 0.1 * gradient[path] * min(1, 0.5 / norm)
    np.testing.assert_allclose(found[path], expected, rtol=1e-5)


@pytest.mark.parametrize(
  'name',
  [
    name if name == 'adamw' else pytest.param(name, marks=pytest.mark.long)
    for name in tuning_lib.DECAYING
  ],
)
def test_kernels_alone_decay(name):
  for seed, weight in enumerate((0.01, 0.3)):
    found = run(make(name, weight_decay=weight), seed=seed, num_steps=1)
    # Without any decay, the gradient being that of it: by the formula.
    before, gradient = named(tree(100 + seed)), named(tree(seed))
    for path, value in found.items():
      decayed = path.endswith('kernel') and path != 'position'
      share = weight if decayed else 0.0
      if name in ('sgd', 'nesterov'):
        step = gradient[path] + share * before[path]
        step = step * (1.9 if name == 'nesterov' else 1)
      elif name == 'lion':
        step = np.sign(gradient[path]) + share * before[path]
      else:
        step = gradient[path] / (np.abs(gradient[path]) + 1e-8)
        step = step + share * before[path]
      expected = before[path] - 0.1 * step
      np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_steps_are_accumulated_to_their_mean():
  """k steps are one of the mean gradient; the schedule counts all of them."""
  for k in (2, 3):
    optimizer = make(
      'sgd', accumulate_steps=k, schedule=lambda step: 1 / (1 + step)
    )
    found = run(optimizer, num_steps=2 * k)
    params = named(tree(100))
    for update in range(2):
      gradients = [named(tree(update * k + i)) for i in range(k)]
      for path in params:
        mean = np.mean([g[path] for g in gradients], axis=0)
        params[path] = params[path] - 0.1 / (1 + update * k) * mean
    for path, value in found.items():
      np.testing.assert_allclose(value, params[path], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'freeze': ('nothing*',)}, r"model\.freeze .*'nothing\*' names none"),
    ({'freeze': ('*',)}, 'must leave something to learn.* all 12 arrays'),
    ({'freeze': ('trunk', 'logits/*')}, 'must leave something to learn'),
    ({'weight_decay': 0.1, 'name': 'adam'}, r'weight_decay is for .*adamw'),
  ],
)
def test_what_cannot_be_is_refused(options, message):
  with pytest.raises(errors.UserError, match=message):
    make(**options).init(tree(0))


def test_layers_without_an_order_have_no_decay():
  optimizer = make(layer_decay=0.5)
  with pytest.raises(errors.UserError, match='layer_decay must be 1'):
    optimizer.init({'Dense_0': {'kernel': jnp.zeros((2, 2))}, 'logits': {}})


@pytest.mark.parametrize(
  'options',
  [
    {},
    {'freeze': ('a', 'trunk')},
    {'backbone': 0.1, 'accumulate_steps': 3},
    {'weight_decay': 0.1, 'layer_decay': 0.5},
  ],
)
def test_tuning_is_kept_as_json(options):
  tuning = tuning_lib.Tuning(**options)
  content = json.loads(json.dumps(tuning.to_json()))
  assert {*content} == {*options}
  assert tuning_lib.Tuning.from_json(content) == tuning


@pytest.mark.long
def test_every_network_with_blocks_has_an_order():
  shapes = {'image': (112, 112, 1), 'clip': (8, 112, 112, 4), 'sound': (64, 99)}
  seen = {
    name: jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    for name, shape in shapes.items()
  }
  for name in {*models.MODELS} - {'features'}:
    model = models.make_model(name, {'labels': 2})
    params = jax.eval_shape(model.init, jax.random.key(0), seen)
    tuning = tuning_lib.Tuning(layer_decay=0.5)
    groups = tuning_lib.group(tuning, params['params'], model.head_names)
    names = {*jax.tree.leaves(groups)}
    assert 'heads' in names
    above = {int(n.partition('_')[2]) for n in names - {'heads'}}
    assert above - {0} == {*range(1, max(above) + 1)}
    assert max(above) > 2


def test_the_blocks_of_each_stream_decay_by_themselves():
  model = models.make_model('two_stream_small', {'labels': 2})
  seen = {'clip': (1, 4, 32, 32, 3), 'sound': (1, 64, 99)}
  seen = {k: jax.ShapeDtypeStruct(x, jnp.float32) for k, x in seen.items()}
  params = jax.eval_shape(model.init, jax.random.key(0), seen)['params']
  tuning = tuning_lib.Tuning(layer_decay=0.5)
  groups = tuning_lib.group(tuning, params, model.head_names)
  for stream in ('video', 'audio'):
    for name, group in groups[stream].items():
      above = 5 if name.startswith('stem') else 5 - int(name[5])
      assert {*jax.tree.leaves(group)} == {f'trunk_{above}'}
  assert {*jax.tree.leaves(groups['logits'])} == {'heads'}


def test_a_frozen_trunk_is_as_in_evaluation():
  """No statistic moves, and the loss is that of what is evaluated."""
  model = models.Network(
    tiny_steps.Small(step_lib.AXIS_NAME),
    (('labels', tiny_steps.LABELS),),
    axis_name=step_lib.AXIS_NAME,
    frozen=True,
  )
  optimizer = optimizer_lib.make_optimizer(
    'adam',
    1e-2,
    tuning=tuning_lib.Tuning(freeze=('trunk',)),
    heads=model.head_names,
  )
  state, step = tiny_steps.make_small(model=model, optimizer=optimizer)
  batch = next(tiny_steps.make_batches())
  variables = {'params': state.params, 'batch_stats': state.batch_stats}
  outputs = model.apply(variables, batch, train=False)
  expected = tiny_steps.make_objective()(outputs, batch)
  after, metrics = tiny_steps.once(step, state, batch)
  np.testing.assert_allclose(metrics['loss'], expected, rtol=1e-5)
  tiny_steps.assert_same(after.batch_stats, state.batch_stats)
  tiny_steps.assert_same(
    {k: v for k, v in after.params.items() if k != 'logits'},
    {k: v for k, v in state.params.items() if k != 'logits'},
  )
  moved = after.params['logits']['kernel'] != state.params['logits']['kernel']
  assert moved.any()


@pytest.mark.parametrize('channels', [1, 3])
def test_images_are_normalised_as_asked(channels):
  rng = np.random.default_rng(channels)
  image = rng.integers(0, 256, (2, 16, 16, channels), np.uint8)
  for count in {1, 3}:
    mean, std = rng.uniform(0.1, 0.9, (2, count))
    held = inputs.find('none', tuple(mean), tuple(std), channels)
    model = models.make_model('resnet8_16', {'labels': 1}, **held)
    found = model.prepare({'image': image})['image']
    expected = (image / 255.0 - mean) / std
    assert found.shape[3] == max(count, channels)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    shapes = jax.eval_shape(model.init, jax.random.key(0), {'image': image})
    stem = shapes['params']['stem_conv']['kernel'].shape
    assert stem == (7, 7, max(count, channels), 16)
  narrow = models.make_model(
    'resnet8_16', {'labels': 1}, dtype=jnp.bfloat16, **held
  )
  exact = np.asarray(expected).astype(jnp.bfloat16)
  near = narrow.prepare({'image': image})['image']
  assert near.dtype == jnp.bfloat16
  np.testing.assert_allclose(near.astype('f4'), exact.astype('f4'), rtol=0.01)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (('imagenet', (0.5,), (0.5,), 1), 'data.normalise must be none'),
    (('none', (0.5,), (), 1), 'they have 1 and 0'),
    (('none', (0.5,) * 2, (0.5,) * 2, 3), 'they have 2 and 2'),
    (('none', (), (0.5,) * 3, 3), 'they have 0 and 3'),
  ],
)
def test_what_cannot_normalise_is_refused(arguments, message):
  with pytest.raises(errors.UserError, match=message):
    inputs.find(*arguments)


def test_presets_are_those_of_their_libraries():
  found = inputs.find('imagenet', (), (), 3)
  assert found['mean'] == [0.485, 0.456, 0.406]
  assert found['std'] == [0.229, 0.224, 0.225]
  assert inputs.find('none', (), (), 1) == {}
  for preset in inputs.PRESETS:
    assert {*inputs.find(preset, (), (), 1)} in ({'mean', 'std'}, set())


SMOOTHED = sorted(n for n in losses.LOSSES if 'counts' not in losses.needs(n))


@pytest.mark.parametrize(
  'name',
  [
    name
    if name in ('soft_f1', 'class_balanced')
    else pytest.param(name, marks=pytest.mark.long)
    for name in losses.LOSSES
  ],
)
def test_smoothed_labels_are_what_the_cost_sees(name):
  frequency = np.array([0.1, 0.4, 0.7])
  options = {'frequency': frequency, 'counts': 100 * frequency}
  if name not in SMOOTHED:
    with pytest.raises(errors.UserError, match='label_smoothing must be 0 wi'):
      losses.make_loss(name, label_smoothing=0.1, **options)
    return
  plain = losses.make_loss(name, **options)
  for seed in range(2):
    rng = np.random.default_rng(seed)
    s = rng.uniform(0.01, 0.9)
    logits = rng.standard_normal((5, 3)).astype(np.float32)
    y = (rng.random((5, 3)) < 0.5).astype(np.float32)
    known = rng.random((5, 3)) < 0.8
    smooth = losses.make_loss(name, label_smoothing=s, **options)
    soft = np.where(y > 0, 1 - s / 2, s / 2).astype(np.float32)
    expected = plain(logits, soft, known)
    np.testing.assert_allclose(smooth(logits, y, known), expected, rtol=1e-5)
    assert abs(expected - plain(logits, y, known)) > 1e-4


@pytest.mark.parametrize('s', [-0.1, 1.0, float('nan')])
def test_a_smoothing_out_of_range_is_refused(s):
  with pytest.raises(errors.UserError, match=r'must be in \[0, 1\), got'):
    losses.make_loss('bce', label_smoothing=s)
