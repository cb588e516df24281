"""Deng's heads: their counts, their names, and batches of one task each."""

import functools

import jax
import numpy as np
import optax
import pytest

from aubal_jax.network import distillation
from aubal_jax.network import heads
from aubal_jax.network import losses
from aubal_jax.network import models
from aubal_jax.network import step as step_lib
from aubal_jax.network import target_losses
from aubal_jax.network import tuning
from aubal_jax.network import weights
from tests.makers import tiny_steps

OUTPUTS = {'labels': 8, 'expression': 7, 'valence_arousal': 40}
HEADS = (
  heads.Head('labels', 'binary', (*'abc',), 'bce', 8.0, 'deng'),
  heads.Head('mood', 'class', (*'wxyz',), 'cross_entropy', 1.0, 'deng'),
  heads.Head(
    *('pain', 'real', ('pain', 'age'), 'ccc_cross_entropy', 1.0, 'deng'), bins=5
  ),
)
SIZES = {head.name: head.size for head in HEADS}


@pytest.fixture(
  name='tasks', params=[2, pytest.param(3, marks=pytest.mark.long)]
)
def fixture_tasks(request):
  """The first heads, as fewer compile sooner."""
  return HEADS[: request.param]


def count(tree):
  return sum(x.size for x in jax.tree.leaves(tree))


@pytest.mark.parametrize(
  ('name', 'channels', 'wanted', 'whole'),
  [
    ('resnet50_112', 3, (267_656, 267_527, 271_784), 24_314_999),
    ('resnet18_112', 1, (67_976, 67_847, 72_104), 11_378_167),
  ],
)
def test_parameters_are_as_published(name, channels, wanted, whole):
  model = models.make_model(name, OUTPUTS, layers='deng')
  image = np.zeros((1, 112, 112, channels), np.uint8)
  params = jax.eval_shape(
    lambda: model.init(jax.random.key(0), {'image': image})['params']
  )
  assert tuple(count(params[head]) for head in model.head_names) == wanted
  assert count(params) == whole


def make_model(axis_name=step_lib.AXIS_NAME, tasks=HEADS):
  return models.Network(
    tiny_steps.Small(axis_name=axis_name),
    tuple((head.name, head.size) for head in tasks),
    axis_name=axis_name,
    layers='deng',
  )


def make_batches(rng, tasks, size=8):
  """Returns name of head -> a batch of its own."""
  found = {}
  for head in tasks:
    shape = (size,) if head.kind == 'class' else (size, len(head.names))
    known = rng.random(shape) < 0.8
    values = {
      'binary': rng.integers(0, 2, shape).astype(np.uint8),
      'class': rng.integers(0, 4, shape).astype(np.int16),
      'real': rng.uniform(-1, 1, shape).astype(np.float32),
    }[head.kind]
    side = tiny_steps.SIDE
    found[head.name] = {
      'image': rng.integers(0, 256, (size, side, side, 1), np.uint8),
      head.name: values * known.astype(values.dtype),
      f'{head.name}_known': known,
    }
  return found


@functools.cache
def make_step(tasks, num_devices=1, *, taught=False):
  model, optimizer = make_model(tasks=tasks), optax.sgd(0.1)
  own = {
    head.name: losses.make_loss('bce')
    if head.kind == 'binary'
    else target_losses.make_loss(head)
    for head in tasks
  }
  objective = (
    distillation.make_objective(tasks, own)
    if taught
    else heads.make_objective(tasks, own)
  )
  state = step_lib.create_state(
    model, optimizer, jax.random.key(0), tiny_steps.STREAMS
  )
  devices = jax.local_devices()[:num_devices]
  step = step_lib.make_train_step(
    model, optimizer, objective, devices=devices, taught=taught
  )
  return jax.tree.map(np.array, state), step


def test_a_batch_of_each_task_is_a_pass_of_each_and_one_step(tasks):
  batches = make_batches(np.random.default_rng(0), tasks)
  state, step = make_step(tasks)
  after, metrics = tiny_steps.once(step, state, batches)
  alone = {
    name: tiny_steps.once(step, state, {name: batch})
    for name, batch in batches.items()
  }
  total = sum(float(found['loss']) for _, found in alone.values())
  np.testing.assert_allclose(metrics['loss'], total, rtol=1e-5)
  # Gradients are added; nothing of other heads has one.
  for (path, now), first, *each in zip(
    jax.tree.leaves_with_path(after.params),
    jax.tree.leaves(state.params),
    *(jax.tree.leaves(found.params) for found, _ in alone.values()),
    strict=True,
  ):
    change = sum(np.asarray(x) - first for x in each)
    np.testing.assert_allclose(now - first, change, rtol=1e-3, atol=1e-6)
    if path[0].key == 'logits':
      assert not (np.asarray(each[1]) - first).any()
  # Statistics of the trunk move once for each task, those of a head once.
  pixels = [x['image'].reshape(8, -1) / 255 for x in batches.values()]
  kept = 0.0
  for each in pixels:
    kept = 0.9 * kept + 0.1 * each.mean(axis=0)
  found = after.batch_stats['BatchNorm_0']['mean']
  np.testing.assert_allclose(found, kept, rtol=1e-4, atol=1e-6)
  names = make_model(tasks=tasks).head_names
  for head, name in zip(tasks, names, strict=True):
    once = alone[head.name][0].batch_stats[name]
    tiny_steps.assert_same(after.batch_stats[name], once)
    moved = jax.tree.leaves(once), jax.tree.leaves(state.batch_stats[name])
    assert all((np.asarray(a) != b).any() for a, b in zip(*moved, strict=True))


def test_a_teacher_tells_all_heads_of_the_batch_of_a_task(tasks):
  batches = make_batches(np.random.default_rng(1), tasks)
  state, step = make_step(tasks, taught=True)
  said = {'params': state.params, 'batch_stats': state.batch_stats}
  step = step_lib.taught(step, step.place(said), seed=0)
  after, _ = tiny_steps.once(step, state, {'mood': batches['mood']})
  for name in make_model(tasks=tasks).head_names:
    now, before = after.batch_stats[name], state.batch_stats[name]
    assert (np.asarray(now['norm1']['mean']) != before['norm1']['mean']).any()
    kernel = state.params[name]['outputs']['kernel']
    moved = np.asarray(after.params[name]['outputs']['kernel']) != kernel
    assert moved.any()


def test_batches_of_tasks_on_four_devices_are_those_on_one(tasks):
  batches = make_batches(np.random.default_rng(2), tasks)
  (state, one), (_, four) = make_step(tasks), make_step(tasks, 4)
  after, metrics = tiny_steps.once(one, state, batches)
  found, others = tiny_steps.once(four, state, batches)
  np.testing.assert_allclose(others['loss'], metrics['loss'], rtol=1e-4)
  for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(found), strict=True):
    np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-5)
  with pytest.raises(ValueError, match='4 devices, got 6'):
    four.shard({'mood': {'mood': np.zeros(6)}})


def test_heads_are_no_part_of_the_trunk():
  model = make_model(None)
  made = jax.eval_shape(model.init, jax.random.key(0), tiny_steps.STREAMS)
  params = made['params']
  how = tuning.Tuning(freeze=('trunk',))
  groups = tuning.group(how, params, model.head_names)
  assert {*jax.tree.leaves(groups['logits'])} == {'heads'}
  assert {*jax.tree.leaves(groups['BatchNorm_0'])} == {'frozen'}
  how = tuning.Tuning(freeze=('logits/norm?/*',))
  groups = tuning.group(how, params, model.head_names)
  assert {*jax.tree.leaves(groups['logits']['norm1'])} == {'frozen'}
  assert {*jax.tree.leaves(groups['logits']['hidden'])} == {'heads'}


def test_imported_weights_leave_heads_as_drawn():
  layers = [
    models.make_model('resnet8_16', SIZES, layers=layers)
    for layers in ('deng', 'dense')
  ]
  model, other = layers
  states = [
    jax.tree.map(
      lambda x, k=k: np.full(x.shape, k, x.dtype),
      jax.eval_shape(made.init, jax.random.key(0), tiny_steps.STREAMS),
    )
    for k, made in enumerate((model, other), 1)
  ]
  held = {
    '.'.join(key.key for key in path): leaf
    for path, leaf in jax.tree.leaves_with_path(states[1])
  }
  found = weights.take(
    *(held, 'here', states[0]['params'], states[0]['batch_stats']),
    trunk=model.trunk,
    heads=model.head_names,
  )
  for tree in (found.params, found.batch_stats):
    for path, leaf in jax.tree.leaves_with_path(tree):
      drawn = path[0].key in model.head_names
      assert (leaf == (1 if drawn else 2)).all()
