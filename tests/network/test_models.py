"""What holds for every network of the registry, and for a user's own."""

import functools
import itertools
import pathlib
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aubal_jax.network import models
from aubal_jax.network.models import convolution
from aubal_jax.network.models import layers
from aubal_jax.network.models import mobilenet
from aubal_jax.network.models import resnet
from aubal_jax.runs import errors
from tests.makers import tiny_steps

# name -> parameters with 8 outputs and one channel, with 1000 and three, and
# running statistics. The second is what torchvision's page of a network says.
COUNTS = {
  'resnet18': (11_174_344, 11_689_512, 9_600),
  'resnet18_112': (11_174_344, 11_689_512, 9_600),
  'resnet34': (21_282_504, 21_797_672, 17_024),
  'resnet34_112': (21_282_504, 21_797_672, 17_024),
  'resnet50': (23_518_152, 25_557_032, 53_120),
  'resnet50_112': (23_518_152, 25_557_032, 53_120),
  'mobilenet_v2': (2_233_544, 3_504_872, 34_112),
  'efficientnet_b0': (4_017_220, 5_288_548, 42_016),
  'vit_b_16': (85_298_696, 86_454_760, 0),
  'vit_b_14': (85_282_568, 86_346_472, 0),
  'resnet18_64': (4_254_664, 4_515_880, 6_016),
  'resnet8_16': (78_264, 144_312, 672),
  # A head of as many numbers as an image has rows, times channels.
  'features': (904, 337_000, 0),
  # Of clips of eight frames, and sound beside.
  'two_stream': (42_474_155, 43_495_365, 34_950),
  'two_stream_small': (274_495, 402_953, 2_322),
}
ALIASES = {'resnet18', 'resnet34'}  # Of what is tested by another name.


# In test_resnet and test_two_stream, or the network of another name.
COUNTED_ELSEWHERE = {
  *ALIASES,
  *('resnet18_112', 'resnet34_112', 'resnet18_64', 'two_stream'),
}
# One of each family, the smallest.
OF_FAMILIES = {
  *('resnet8_16', 'resnet50_112', 'mobilenet_v2', 'efficientnet_b0'),
  *('vit_b_14', 'features', 'two_stream_small'),
}


def of_networks(names):
  """Returns a mark: these networks, and in the long form all."""
  return pytest.mark.parametrize(
    'name',
    [
      pytest.param(name, marks=() if name in names else pytest.mark.long)
      for name in sorted(models.MODELS)
    ],
  )


@pytest.fixture(name='name', params=sorted(models.MODELS))
def fixture_name(request):
  return request.param


def images(side=32, channels=1, batch=1, seed=0):
  rng = np.random.default_rng(seed)
  return rng.random((batch, side, side, channels), np.float32)


def of_shape(side, channels, batch=2):
  return jax.ShapeDtypeStruct((batch, side, side, channels), jnp.float32)


def batch_of(model, image):
  """What a network sees: an image, numbers of its rows, or clips and sound."""
  if model.streams == ('image',):
    return {'image': image}
  batch, side, _, channels = image.shape
  if 'clip' in model.streams:
    shapes = {'clip': (8, *image.shape[1:]), 'sound': (64, 101)}
    return {
      name: jax.ShapeDtypeStruct((batch, *shape), image.dtype)
      for name, shape in shapes.items()
    }
  numbers = jax.ShapeDtypeStruct((batch, side * channels), image.dtype)
  return dict.fromkeys(model.streams, numbers)


def shapes(model, image):
  return jax.eval_shape(model.init, jax.random.key(0), batch_of(model, image))


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_every_network_has_its_counts():
  assert {*COUNTS} == {*models.MODELS}


@pytest.mark.parametrize(
  'size', [8, pytest.param(1000, marks=pytest.mark.long)]
)
@of_networks({*models.MODELS} - COUNTED_ELSEWHERE)
def test_numbers_of_parameters(name, size):
  model = models.make_model(name, {'labels': size})
  found = shapes(model, of_shape(112, 1 if size == 8 else 3))
  few, many, statistics = COUNTS[name]
  assert count(found['params']) == (few if size == 8 else many)
  assert count(found.get('batch_stats', {})) == statistics


def test_hidden_layers_have_their_counts():
  """And other networks have none."""
  rng = np.random.default_rng(0)
  for _ in range(5):
    hidden = tuple(map(int, rng.integers(1, 30, rng.integers(0, 4))))
    widths = [112, *hidden, 8]
    model = models.make_model('features', {'labels': 8}, hidden=hidden)
    expected = sum((a + 1) * b for a, b in itertools.pairwise(widths))
    assert count(shapes(model, of_shape(112, 1))) == expected
  with pytest.raises(errors.UserError, match=r'hidden must be \(\).*resnet18'):
    models.make_model('resnet18', {'labels': 8}, hidden=(3,))


@pytest.mark.parametrize(
  'sides',
  [((48, 1),), pytest.param(((48, 1), (224, 3)), marks=pytest.mark.long)],
)
@of_networks(OF_FAMILIES)
def test_features_and_heads_are_apart_at_any_side(name, sides):
  """And computed in bfloat16, kept in float32."""
  model = models.make_model(
    name, {'labels': 5, 'valence': 2}, dtype=jnp.bfloat16
  )
  sizes = set()
  patch = getattr(model.trunk, 'patch', 1)
  for side, channels in sides[:1] if name == 'features' else sides:
    side -= side % patch
    image = batch_of(model, of_shape(side, channels))
    outputs, variables = jax.eval_shape(
      model.init_with_output, jax.random.key(0), image
    )
    assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype('f4')}
    assert {k: (v.shape, v.dtype) for k, v in outputs.items()} == {
      'labels': ((2, 5), jnp.float32),
      'valence': ((2, 2), jnp.float32),
    }
    for head in ('logits', 'valence_outputs'):
      sizes.add(variables['params'][head]['kernel'].shape[0])
  features = jax.eval_shape(
    functools.partial(models.features_of, model), variables, image
  )
  assert features.dtype == jnp.float32
  if patch > 1:
    with pytest.raises(errors.UserError, match='must be a multiple of'):
      shapes(model, of_shape(side + 1, 1))
  assert features.shape == (2, *sizes)


def small_trunks():
  """Returns name -> a trunk of that family that compiles soon."""
  bottlenecks = {'stage_sizes': (1, 2), 'width': 4, 'bottleneck': True}
  return {
    'bottleneck': resnet.ResNet(**bottlenecks),
    'caffe': resnet.ResNet(published='caffe', dropout=0.5, **bottlenecks),
    'residual': mobilenet.InvertedResidual(
      6, 8, 1, 0.9, None, jnp.float32, jnp.float32
    ),
  }


@pytest.mark.long
@pytest.mark.parametrize('family', small_trunks())
def test_every_parameter_learns(family):
  trunk = small_trunks()[family]
  x = images(32, 8, batch=4)
  keys = {'params': jax.random.key(0), 'dropout': jax.random.key(1)}
  variables = jax.jit(functools.partial(trunk.init, train=True))(keys, x)

  def value(params):
    y, updated = trunk.apply(
      {**variables, 'params': params},
      x,
      train=True,
      mutable='batch_stats',
      rngs={'dropout': keys['dropout']},
    )
    return jnp.square(y).mean() + jnp.sin(y).mean(), updated

  gradient, updated = jax.jit(jax.grad(value, has_aux=True))(
    variables['params']
  )
  for path, leaf in jax.tree.leaves_with_path(gradient):
    where = jax.tree_util.keystr(path)
    assert np.isfinite(leaf).all(), where
    assert (np.asarray(leaf) != 0).mean() > 0.5, where
  for (path, old), new in zip(
    jax.tree.leaves_with_path(variables['batch_stats']),
    jax.tree.leaves(updated['batch_stats']),
    strict=True,
  ):
    assert (old != new).all(), jax.tree_util.keystr(path)


@pytest.mark.long
def test_every_parameter_of_every_network_learns(name):
  model = models.make_model(name, {'labels': 3})
  x = images(56 if name == 'vit_b_14' else 48, batch=4)  # Whole patches.
  rng = np.random.default_rng(1)
  x = {
    name: rng.random(seen.shape, np.float32)
    for name, seen in batch_of(model, x).items()
  }
  keys = {'params': jax.random.key(0), 'dropout': jax.random.key(1)}
  variables = jax.jit(model.init)(keys, x)

  def value(params):
    y, _ = model.apply(
      {**variables, 'params': params},
      x,
      train=True,
      mutable='batch_stats',
      rngs={'dropout': keys['dropout']},
    )
    return jnp.square(y['labels'] - 1).mean()

  gradient = jax.jit(jax.grad(value))(variables['params'])
  for path, leaf in jax.tree.leaves_with_path(gradient):
    where = jax.tree_util.keystr(path)
    assert np.isfinite(leaf).all(), where
    assert (np.asarray(leaf) != 0).any(), where


def test_widths_of_mobilenet_are_rounded():
  net = models.Network(mobilenet.MobileNetV2(width=0.5), (('labels', 8),))
  assert count(shapes(net, of_shape(112, 1))['params']) == 697_640
  for seed in range(100):
    width = np.random.default_rng(seed).uniform(1, 2000)
    rounded = layers.round_width(width)
    assert rounded % 8 == 0
    assert rounded >= 0.9 * width
    assert abs(rounded - width) <= max(8 - width, 8)


@pytest.mark.parametrize(
  ('name', 'sides'),
  [
    ('resnet50_112', [56, 28, 28, 14, 7, 4]),
    pytest.param(*('resnet50', [56, 28, 28, 14, 7, 4]), marks=pytest.mark.long),
    ('mobilenet_v2', [56, 56, 28, 14, 7, 7, 4, 4]),
  ],
)
def test_sides_of_maps(name, sides):
  model = models.make_model(name, {'labels': 1})

  def features(key, x):
    return model.init_with_output(key, {'image': x}, capture_intermediates=True)

  x = of_shape(112, 1)
  _, variables = jax.eval_shape(features, jax.random.key(0), x)
  found = [
    value['__call__'][0].shape[1]
    for name, value in variables['intermediates'].items()
    if '__call__' in value and len(value['__call__'][0].shape) == 4
  ]
  assert {*found} == {*sides}


@pytest.mark.parametrize(
  ('size', 'stride'),
  [
    (3, 2),
    *(
      pytest.param(*x, marks=pytest.mark.long) for x in ((3, 1), (5, 1), (5, 2))
    ),
  ],
)
def test_a_depthwise_convolution_is_xlas(size, stride, x64):
  """Against XLA's grouped one, derivatives by both included."""
  rng = np.random.default_rng(10 * size + stride)
  half = ((size // 2, size // 2),) * 2

  def plain(x, kernel):
    return jax.lax.conv_general_dilated(
      *(x, kernel, (stride, stride), half),
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      feature_group_count=x.shape[-1],
    )

  def ours(x, kernel):
    return convolution.convolve_depthwise(x, kernel, (stride, stride), half)

  x = rng.standard_normal((2, 7, 6, 3))
  kernel = rng.standard_normal((size, size, 1, 3))
  gradient = rng.standard_normal(jax.eval_shape(plain, x, kernel).shape)

  @functools.partial(jax.jit, static_argnums=0)
  def both(function, x, kernel):
    y, back = jax.vjp(function, x, kernel)
    return y, *back(gradient)

  for one, other in zip(
    both(ours, x, kernel), both(plain, x, kernel), strict=True
  ):
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_relu6_and_its_derivative():
  x = np.float32([-1, -1e-3, 1e-3, 3, 5.9, 6.1, 100])
  np.testing.assert_array_equal(layers.relu6(x), np.clip(x, 0, 6))
  slope = jax.vmap(jax.grad(layers.relu6))(x)
  np.testing.assert_array_equal(slope, (x > 0) & (x < 6))


class Dropping(nn.Module):
  """A dense layer of pixels, some of them dropped."""

  axis_name: str | None = None
  dropout: float = 0.5

  @nn.compact
  def __call__(self, image, *, train=False):
    x = image.reshape(image.shape[0], -1)
    return layers.Dropout(self.dropout, self.axis_name)(x, train)


@pytest.mark.parametrize(('rate', 'of_rows'), [(0.2, True), (0.5, False)])
def test_a_share_is_dropped(rate, of_rows):
  drop = layers.Dropout(rate, of_rows=of_rows)
  x = np.ones((2000, 3, 2), np.float32)
  np.testing.assert_array_equal(drop.apply({}, x, False), x)
  found = [
    np.asarray(drop.apply({}, x, True, rngs={'dropout': jax.random.key(seed)}))
    for seed in (0, 0, 1)
  ]
  np.testing.assert_array_equal(found[0], found[1])
  assert (found[0] != found[2]).any()
  np.testing.assert_allclose(np.unique(found[0]), [0, 1 / (1 - rate)])
  draws = found[0][:, 0, 0] if of_rows else found[0]
  near = 5 * np.sqrt(rate * (1 - rate) / draws.size)
  np.testing.assert_allclose((draws == 0).mean(), rate, atol=near)
  if of_rows:
    assert not np.ptp(found[0], axis=(1, 2)).any()


def test_what_is_dropped_is_not_of_devices():
  x, key = np.ones((8, 5), np.float32), jax.random.key(3)

  def drop(x, axis_name=None):
    module = layers.Dropout(0.5, axis_name)
    return module.apply({}, x, True, rngs={'dropout': key})

  spread = jax.vmap(functools.partial(drop, axis_name='a'), axis_name='a')
  shares = jax.jit(spread)(x.reshape(4, 2, 5)).reshape(x.shape)
  np.testing.assert_array_equal(shares, jax.jit(drop)(x))


@pytest.mark.long
def test_what_is_dropped_is_of_step_and_seed_and_not_of_devices():
  """The step on four devices is that on one; others are of other seeds."""
  states = {}
  for count_, seed in ((1, 0), (4, 0), (1, 1)):
    model = models.Network(
      Dropping('devices'), (('labels', tiny_steps.LABELS),), axis_name='devices'
    )
    state, step = tiny_steps.make_small(
      model=model, num_devices=count_, seed=seed
    )
    batches = tiny_steps.make_batches()
    for _ in range(2):
      state, _ = tiny_steps.once(step, state, next(batches))
    states[count_, seed] = np.asarray(state.params['logits']['kernel'])
  np.testing.assert_allclose(states[4, 0], states[1, 0], atol=1e-5)
  assert np.abs(states[1, 1] - states[1, 0]).max() > 1e-4


def test_a_network_that_draws_nothing_is_given_no_key():
  """So its program is the same for all seeds."""
  assert {n for n in models.MODELS if models.make_model(n, {'a': 1}).draws} == {
    'efficientnet_b0',
    'mobilenet_v2',
    'resnet50_112',
  }


MODULE = """
from flax import linen as nn

class Mine(nn.Module):
  dtype: object = None

  @nn.compact
  def __call__(self, image, *, train=False):
    return nn.Dense(7, dtype=self.dtype)(image.mean((1, 2)))

class Map(Mine):
  def __call__(self, image, *, train=False):
    return image

class NoTrain(nn.Module):
  def __call__(self, image):
    return image.mean((1, 2))

class Other:
  pass

number = 3
"""


def test_a_module_of_the_users(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'of_mine_here.py').write_text(MODULE)
  model = models.make_model('of_mine_here:Mine', {'labels': 3})
  x = {'image': images()}
  variables = model.init(jax.random.key(0), x)
  assert variables['params']['Dense_0']['kernel'].shape == (1, 7)
  assert model.apply(variables, x)['labels'].shape == (1, 3)
  assert models.features_of(model, variables, x).shape == (1, 7)
  bad = models.make_model('of_mine_here:Map', {'labels': 3})
  with pytest.raises(errors.UserError, match=r'Map must return features .*32,'):
    bad.init(jax.random.key(0), x)


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('of_mine_there:Absent', r"'of_mine_there:Absent' cannot be imported"),
    ('no_such_module_at_all:X', 'must be installed, or lie in the folder'),
    ('of_mine_there:Other', 'must be a class below flax.linen.Module'),
    ('of_mine_there:number', 'must be a class below flax.linen.Module'),
    ('of_mine_there:NoTrain', 'train is not there'),
    ('os:system', 'must be a class below flax.linen.Module'),
    (':', 'cannot be imported'),
    ('a:b:c', 'cannot be imported'),
  ],
)
def test_what_is_no_module_is_refused(tmp_path, monkeypatch, name, message):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'of_mine_there.py').write_text(MODULE)
  with pytest.raises(errors.UserError, match=message):
    models.make_model(name, {'labels': 3})


def test_a_module_is_sought_without_a_trace(monkeypatch):
  """Of the folder this runs in, which may be in the path already."""
  here = str(pathlib.Path.cwd())
  for before in (
    [here, *sys.path],
    [x for x in sys.path if x not in ('', here)],
  ):
    monkeypatch.setattr(sys, 'path', [*before])
    models.find('tests.makers.small_network:Small')
    assert sys.path == before
    with pytest.raises(errors.UserError, match='cannot be imported'):
      models.find('no.such.module:Small')
    assert sys.path == before
