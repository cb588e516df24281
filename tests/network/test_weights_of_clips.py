"""Weights of torchvision's R(2+1)D into a network of clips, and sound."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aubal_jax.network import models
from aubal_jax.network import weights as weights_lib
from aubal_jax.network.models import two_stream
from aubal_jax.network.weights import names
from aubal_jax.network.weights import writing
from aubal_jax.runs import errors
from tests.makers import foreign_networks as foreign

HEADS = ('logits', 'valence_outputs')
SMALL = {'stage_sizes': (1, 1), 'width': 4}
WIDE = {'dtype': jnp.float64, 'param_dtype': jnp.float64}
FRAMES, SIDE = 3, 10


def trunk_of(modalities):
  return two_stream.TwoStream(modalities, **SMALL, **WIDE)


def network(trunk):
  outputs = (('labels', 2), ('valence', 1))
  return models.Network(trunk, outputs, trunk.streams)


def batch_of(channels, seed=0):
  rng = np.random.default_rng(seed)
  return {
    'clip': rng.random((2, FRAMES, SIDE, SIDE, channels)),
    'sound': rng.standard_normal((2, 64, 20)),
  }


@functools.cache
def drawn(modalities, channels):
  """Variables before the first step, drawn at random."""
  with jax.enable_x64(True):
    init = network(trunk_of(modalities)).init
    shapes = jax.eval_shape(init, jax.random.key(0), batch_of(channels))
  rng = np.random.default_rng(9)
  return jax.tree.map(lambda x: rng.normal(size=x.shape), shapes)


def state_of(channels, seed=0):
  """Features and state of such a network, by hand."""
  weights = foreign.Weights(seed)
  net = foreign.Net(foreign.Numpy(), weights)
  clip = np.moveaxis(batch_of(channels)['clip'], 4, 1)
  y = foreign.r2plus1d(net, clip, (1, 1), 4, stem=2)
  weights('fc.weight', (400, 8)), weights('fc.bias', (400,))
  return y, weights.held


def load(path, state, modalities, channels):
  np.savez(path, **state)
  variables = drawn(modalities, channels)
  return weights_lib.load(
    path,
    variables['params'],
    variables['batch_stats'],
    trunk=trunk_of(modalities),
    heads=HEADS,
  )


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_features_are_those_of_torchvision(tmp_path, x64, prefix):
  for seed in range(2):
    expected, state = state_of(3, seed)
    named = {prefix + name: x for name, x in state.items()}
    loaded = load(tmp_path / 'w.npz', named, 'video', 3)
    run = functools.partial(models.features_of, network(trunk_of('video')))
    variables = {'params': loaded.params, 'batch_stats': loaded.batch_stats}
    found = jax.jit(run)(variables, batch_of(3))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert 'by the names of torchvision' in loaded.told[0]
    # And turned round: what is written is what was read.
    again = writing.state_of(
      'torchvision', network(trunk_of('video')), *loaded[:2]
    )
    for name in state.keys() - {'fc.weight', 'fc.bias'}:
      np.testing.assert_array_equal(again[name], state[name])
    assert again['fc.weight'].shape == (2, 8)
    assert again.keys() - state.keys() == {
      *('valence_outputs.weight', 'valence_outputs.bias'),
    }


def test_the_part_of_sound_stays_as_it_was_drawn(tmp_path):
  _, state = state_of(3)
  loaded = load(tmp_path / 'w.npz', state, 'both', 3)
  before = drawn('both', 3)
  for now, then in (
    (loaded.params, before['params']),
    (loaded.batch_stats, before['batch_stats']),
  ):
    same = jax.tree.map(np.array_equal, now['audio'], then['audio'])
    assert all(jax.tree.leaves(same))
    changed = jax.tree.map(np.array_equal, now['video'], then['video'])
    assert not any(jax.tree.leaves(changed))
  assert any('drawn anew: audio' in line for line in loaded.told)
  video = load(tmp_path / 'w.npz', state, 'video', 3)
  for now, then in zip(
    *map(jax.tree.leaves, (video.params['video'], loaded.params['video'])),
    strict=True,
  ):
    np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize('channels', [1, 2, 4])
def test_channels_of_the_first_kernel(tmp_path, channels):
  _, state = state_of(3)
  kernel = np.moveaxis(state['stem.0.weight'], (0, 1), (4, 3))
  loaded = load(tmp_path / 'w.npz', state, 'video', channels)
  found = loaded.params['video']['stem_space_conv']['kernel']
  fresh = drawn('video', channels)['params']['video']['stem_space_conv'][
    'kernel'
  ]
  colours = channels - 1 + channels % 2
  expected = kernel if colours == 3 else kernel.sum(axis=3, keepdims=True)
  np.testing.assert_allclose(found[:, :, :, :colours], expected, rtol=1e-12)
  np.testing.assert_array_equal(
    found[:, :, :, colours:], fresh[:, :, :, colours:]
  )
  told = ' '.join(loaded.told)
  assert ('summed over its three channels' in told) == (colours == 1)
  assert ('no channel of landmarks' in told) == (colours < channels)


def test_what_does_not_fit_is_told(tmp_path):
  _, state = state_of(3)
  path = tmp_path / 'w.npz'
  rng = np.random.default_rng(0)
  kernels = sorted(name for name in state if state[name].ndim == 5)
  for name in rng.choice(kernels, 3, replace=False):
    lacking = {k: x for k, x in state.items() if k != name}
    with pytest.raises(
      errors.UserError, match=rf'1 of \d+ arrays lack.*{name}'
    ):
      load(path, lacking, 'video', 3)
    wider = {**state, name: np.repeat(state[name], 2, axis=0)}
    with pytest.raises(errors.UserError, match=f'{name}.*must be of shape'):
      load(path, wider, 'both', 3)
  more = {**state, 'layer1.1.conv1.1.weight': np.ones(4)}
  with pytest.raises(errors.UserError, match='of a larger network'):
    load(path, more, 'both', 3)
  with pytest.raises(errors.UserError, match='of another network'):
    load(path, state, 'audio', 3)


def test_names_are_for_export_of_clips_alone():
  for modalities in ('both', 'audio'):
    with pytest.raises(errors.UserError, match=r'export.names must be own'):
      writing.check('torchvision', network(trunk_of(modalities)), 'two_stream')
  writing.check('torchvision', network(trunk_of('video')), 'two_stream')


def test_names_of_the_whole_network():
  """One of each kind in each block, as torchvision's page of it has them."""
  (layout,) = names.layouts(two_stream.TwoStream('video')).values()
  shapes = jax.eval_shape(
    models.make_model('two_stream', {'labels': 400}, modalities='video').init,
    jax.random.key(0),
    {'clip': jax.ShapeDtypeStruct((1, 8, 112, 112, 3), jnp.float32)},
  )
  found = {
    layout(tuple(key.key for key in route[1:])): leaf.size
    for route, leaf in jax.tree.leaves_with_path(shapes)
    if route[1].key == 'video'
  }
  inner = ('conv1.0.0', 'conv1.0.3', 'conv2.0.0', 'conv2.0.3')
  norms = ('conv1.0.1', 'conv1.1', 'conv2.0.1', 'conv2.1')
  blocks = [f'layer{s}.{b}' for s in range(1, 5) for b in range(2)]
  convs = ['stem.0', 'stem.3', *(f'{x}.{y}' for x in blocks for y in inner)]
  normed = ['stem.1', 'stem.4', *(f'{x}.{y}' for x in blocks for y in norms)]
  for stage in (2, 3, 4):
    convs.append(f'layer{stage}.0.downsample.0')
    normed.append(f'layer{stage}.0.downsample.1')
  kinds = ('weight', 'bias', 'running_mean', 'running_var')
  assert {*found} == {
    *(f'{name}.weight' for name in convs),
    *(f'{name}.{kind}' for name in normed for kind in kinds),
  }
  assert sum(found.values()) == 31_300_125 + 2 * sum(
    found[f'{name}.weight'] for name in normed
  )
