"""The networks: their sizes, their shapes, and batch norm over devices."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import strategies as st

from aubal_jax.network import models
from aubal_jax.network import step as step_lib
from aubal_jax.network.models import first_weights
from aubal_jax.network.models import resnet
from tests.makers import tiny_steps

# name -> labels -> trainable parameters with the 7x7 stem, one channel.
NUM_PARAMETERS = {
  'resnet18_112': {8: 11_174_344, 1: 11_170_753},
  'resnet34_112': {8: 21_282_504, 1: 21_278_913},
  'resnet18_64': {8: 4_254_664, 1: 4_252_865},
  'resnet8_16': {8: 78_264, 1: 77_809},
}


@pytest.fixture(params=sorted(NUM_PARAMETERS))
def name(request):
  return request.param


def shapes(model, image_shape=(112, 112, 1)):
  """Returns the shapes of the model's variables without computing any."""
  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  return jax.eval_shape(model.init, jax.random.key(0), {'image': images})


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


@functools.cache
def tiny():
  """Returns the small model and its variables, those of `tiny_steps`."""
  return make(3), variables_of(tiny_steps.make_state())


@functools.cache
def one_block(outputs=(('labels', 3),), **options):
  """Returns a network of one block, as it compiles sooner, and variables."""
  trunk = resnet.ResNet(stage_sizes=(1,), width=8, **options)
  model = models.Network(trunk, outputs, **options)
  return model, first(model)


def first(model):
  """Returns the variables that training begins with."""
  image = jnp.zeros((1, 32, 32, 1))
  return variables_of(
    step_lib.create_state(
      model, optax.identity(), jax.random.key(0), {'image': image}
    )
  )


def variables_of(state):
  return {'params': state.params, 'batch_stats': state.batch_stats}


def make(num_outputs, name='resnet8_16', **options):
  return models.make_model(name, {'labels': num_outputs}, **options)


def infer(model, variables, x):
  return jax.jit(model.apply)(variables, {'image': x})['labels']


def learn(model, variables, x):
  apply = functools.partial(model.apply, train=True, mutable='batch_stats')
  outputs, updated = jax.jit(apply)(variables, {'image': x})
  return outputs['labels'], updated


def images(batch=8, seed=0):
  rng = np.random.default_rng(seed)
  return rng.random((batch, 32, 32, 1), np.float32)


@pytest.mark.parametrize('num_outputs', [8, 1])
def test_number_of_parameters(name, num_outputs):
  model = make(num_outputs, name)
  expected = NUM_PARAMETERS[name][num_outputs]
  assert count(shapes(model)['params']) == expected


def test_number_of_parameters_with_the_small_stem():
  model = make(8, 'resnet18_112', stem='3x3')
  assert count(shapes(model)['params']) == 11_171_784


def test_three_channels_add_to_the_stem_alone():
  model = make(8, 'resnet18_112')
  more = count(shapes(model, (112, 112, 3))['params'])
  assert more - 11_174_344 == 2 * 49 * 64


@pytest.mark.parametrize('stem', ['7x7', '3x3'])
def test_sides_of_the_stages(stem):
  model = make(8, 'resnet18_112', stem=stem)

  def features(key, x):
    return model.init_with_output(key, {'image': x}, capture_intermediates=True)

  x = jax.ShapeDtypeStruct((2, 112, 112, 1), jnp.float32)
  outputs, variables = jax.eval_shape(features, jax.random.key(0), x)
  found = variables['intermediates']
  assert found['stem_conv']['__call__'][0].shape == (2, 56, 56, 64)
  for stage, (side, width) in enumerate(
    [(28, 64), (14, 128), (7, 256), (4, 512)], start=1
  ):
    shape = found[f'stage{stage}_block2']['__call__'][0].shape
    assert shape == (2, side, side, width)
  assert outputs['labels'].shape == (2, 8)


def test_he_initialisation():
  params = tiny()[1]['params']
  kernel = params['stage3_block1']['conv2']['kernel']  # 3 x 3 x 64 x 64.
  np.testing.assert_allclose(kernel.std(), np.sqrt(2 / 576), rtol=0.03)
  np.testing.assert_allclose(kernel.mean(), 0, atol=2e-3)
  assert list(params['stem_conv']) == ['kernel']  # And no bias.


# init -> the variance of a kernel, times its inputs; whether it is bounded.
VARIANCES = {'he_normal': 2.0, 'torch_uniform': 1 / 3}


def test_every_draw_of_first_weights_has_its_variance():
  assert {*VARIANCES} == {*first_weights.INITS}


@pytest.mark.parametrize('init', VARIANCES)
def test_first_weights_have_their_variance_in_every_layer(init):
  variables = tiny()[1] if init == 'he_normal' else first(make(3, init=init))
  params = variables['params']
  kernels = {
    name: np.asarray(leaf)
    for path, leaf in jax.tree.leaves_with_path(params)
    if (name := jax.tree_util.keystr(path)).endswith("['kernel']")
  }
  assert len(kernels) == 10  # A stem, 2 in 3 blocks, 2 shortcuts, and a head.
  for name, kernel in kernels.items():
    inputs = kernel[..., 0].size
    found, near = inputs * kernel.var(), 6 / np.sqrt(kernel.size)
    np.testing.assert_allclose(found, VARIANCES[init], rtol=near, err_msg=name)
    if init == 'torch_uniform':
      assert 0.9 < np.abs(kernel).max() * np.sqrt(inputs) <= 1, name
  # What is no kernel begins alike, whatever the draw: nothing of the head.
  assert not params['logits']['bias'].any()
  for name in ('stem_norm', ('stage3_block1', 'norm2')):
    norm = params[name] if isinstance(name, str) else params[name[0]][name[1]]
    assert (norm['scale'] == 1).all() and not norm['bias'].any()


@hypothesis.given(st.sampled_from(sorted(VARIANCES)), st.integers(0, 2**31 - 1))
def test_first_weights_are_those_of_the_seed(init, seed):
  draw = jax.jit(first_weights.INITS[init], static_argnums=1)
  one, again = (draw(jax.random.key(seed), (3, 3, 4, 5)) for _ in range(2))
  np.testing.assert_array_equal(one, again)
  assert (one != draw(jax.random.key(seed + 1), (3, 3, 4, 5))).any()
  if init == 'torch_uniform':  # fan_in 36.
    assert np.abs(one).max() <= 1 / 6


def test_an_unknown_draw_of_first_weights_is_refused():
  with pytest.raises(ValueError, match=r"init 'torch'; choose .*'he_normal'"):
    make(3, init='torch')


def test_one_block_is_what_the_paper_says():
  """A block with stride and projection against scipy's correlation."""
  from scipy import signal

  block = resnet.BasicBlock(2, 2, 0.9, None, jnp.float32, jnp.float32)
  rng = np.random.default_rng(0)
  x = rng.standard_normal((2, 6, 6, 3)).astype(np.float32)
  init = jax.jit(functools.partial(block.init, train=False))
  variables = init(jax.random.key(1), x)
  result = jax.jit(functools.partial(block.apply, train=False))(variables, x)

  def conv(x, kernel, pad, stride):
    kernel = np.asarray(kernel, np.float64)
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    return np.stack(
      [
        np.stack(
          [
            signal.correlate(image, kernel[..., f], mode='valid')[..., 0]
            for f in range(kernel.shape[-1])
          ],
          axis=-1,
        )
        for image in x
      ]
    )[:, ::stride, ::stride]

  # Fresh running statistics: mean 0, variance 1, scale 1, bias 0.
  norm = 1 / np.sqrt(1 + 1e-5)
  params = variables['params']
  y = np.maximum(conv(x, params['conv1']['kernel'], 1, 2) * norm, 0)
  y = conv(y, params['conv2']['kernel'], 1, 1) * norm
  shortcut = conv(x, params['conv_shortcut']['kernel'], 0, 2) * norm
  np.testing.assert_allclose(result, np.maximum(y + shortcut, 0), atol=1e-5)


def test_training_updates_the_running_statistics_by_momentum():
  model, variables = make(3, momentum=0.75), tiny()[1]
  x = images()
  _, updated = learn(model, variables, x)
  conv = jax.lax.conv_general_dilated(
    jnp.asarray(x),
    variables['params']['stem_conv']['kernel'],
    (2, 2),
    ((3, 3), (3, 3)),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )
  stats = updated['batch_stats']['stem_norm']
  np.testing.assert_allclose(
    stats['mean'], 0.25 * conv.mean((0, 1, 2)), rtol=1e-4, atol=1e-6
  )
  np.testing.assert_allclose(
    stats['var'], 0.75 + 0.25 * conv.var((0, 1, 2)), rtol=1e-4
  )


def test_evaluation_treats_each_image_alone():
  model, variables = one_block()
  x = images()
  whole = infer(model, variables, x)
  np.testing.assert_allclose(
    infer(model, variables, x[:3]), whole[:3], atol=1e-5
  )
  assert np.ptp(np.asarray(whole), axis=0).min() > 1e-4


@pytest.mark.parametrize(
  'name', ['one block', pytest.param('resnet8_16', marks=pytest.mark.long)]
)
def test_batch_norm_is_that_of_all_devices(name):
  with jax.enable_x64(True):
    wide = {'dtype': jnp.float64, 'param_dtype': jnp.float64}
    if name == 'one block':
      (model, variables), (over_all, _) = (
        one_block(axis_name=axis_name, **wide)
        for axis_name in (None, 'devices')
      )
    else:
      model, over_all = (
        make(3, name, axis_name=axis_name, **wide)
        for axis_name in (None, 'devices')
      )
      variables = first(model)
    x = images().astype(np.float64)
    x[:2] *= 0.1  # The first device's share is unlike the others.
    whole, stats = learn(model, variables, x)
    spread = jax.pmap(
      functools.partial(
        over_all.apply,
        train=True,
        mutable='batch_stats',
      ),
      axis_name='devices',
      in_axes=(None, 0),
      devices=jax.local_devices()[:4],
    )
    parts, part_stats = spread(variables, {'image': x.reshape(4, 2, 32, 32, 1)})
    parts = parts['labels'].reshape(whole.shape)
    np.testing.assert_allclose(parts, whole, atol=1e-12)
    for one, four in zip(
      jax.tree.leaves(stats), jax.tree.leaves(part_stats), strict=True
    ):
      np.testing.assert_allclose(four, np.stack([one] * 4), atol=1e-13)
    alone, _ = learn(model, variables, x[:2])
    assert np.abs(alone - whole[:2]).max() > 1e-3


def test_bfloat16_computes_narrow_and_keeps_wide():
  model, variables = make(3, dtype=jnp.bfloat16), tiny()[1]
  kept = jax.tree.leaves(shapes(model))
  assert {x.dtype for x in kept} == {np.dtype('float32')}
  logits = infer(model, variables, images())
  assert logits.dtype == jnp.float32
  exact = infer(tiny()[0], variables, images())
  assert 0 < np.abs(logits - exact).max() < 0.1


def test_auto_is_narrow_on_accelerators_alone(monkeypatch):
  assert models.compute_dtype('auto') == jnp.float32
  for backend in ('gpu', 'tpu'):
    monkeypatch.setattr(jax, 'default_backend', lambda name=backend: name)
    assert models.compute_dtype('auto') == jnp.bfloat16
  assert models.compute_dtype('float32') == jnp.float32
  assert models.compute_dtype('bfloat16') == jnp.bfloat16
  with pytest.raises(ValueError, match="Unknown dtype 'half'; choose"):
    models.compute_dtype('half')


@pytest.mark.long
def test_remat_gives_the_same_gradients_in_less_memory():
  _, variables = tiny()
  x = images(batch=32)

  def compiled(remat):
    model = make(3, remat=remat)

    def loss(params):
      everything = {**variables, 'params': params}
      logits, _ = learn(model, everything, x)
      return jnp.square(logits).sum()

    lowered = jax.jit(jax.grad(loss)).lower(variables['params'])
    # XLA for CPUs drops the barriers that keep the two computations apart, and
    # makes them one; other compilers do not.
    options = {'xla_disable_hlo_passes': 'cse_barrier_expander'}
    return lowered.compile(compiler_options=options)

  plain, remat = compiled(False), compiled(True)
  for a, b in zip(
    jax.tree.leaves(plain(variables['params'])),
    jax.tree.leaves(remat(variables['params'])),
    strict=True,
  ):
    np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)
  saved, held = (x.memory_analysis().temp_size_in_bytes for x in (remat, plain))
  assert saved < 0.85 * held


def test_scaling_of_images():
  scaled = models.scale(np.array([0, 51, 255], np.uint8))
  np.testing.assert_array_equal(scaled, np.float32([0, 0.2, 1]))
  same = models.scale(np.float32([0, 7, -1]))
  np.testing.assert_array_equal(same, [0, 7, -1])
  with pytest.raises(ValueError, match=r'must be uint8, .* got int32\[3\]'):
    models.scale(np.zeros(3, np.int32))


@pytest.mark.parametrize('shape', [(32, 32, 1), (1, 32, 32)])
def test_images_of_another_shape_are_refused(shape):
  model, variables = tiny()
  with pytest.raises(ValueError, match=r'floating point \[B, H, W, C\]'):
    infer(model, variables, np.zeros(shape, np.float32))


def test_a_second_head_leaves_the_first_as_it_is():
  model, variables = one_block()
  two, made = one_block((('labels', 3), ('valence', 2)))
  assert {*made['params']} - {*variables['params']} == {'valence_outputs'}
  x = images()
  both = jax.jit(two.apply)(made, {'image': x})
  assert {k: v.shape for k, v in both.items()} == {
    'labels': (8, 3),
    'valence': (8, 2),
  }
  np.testing.assert_allclose(
    both['labels'], infer(model, variables, x), rtol=1e-5, atol=1e-5
  )


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'name': 'resnet19'}, r"model 'resnet19'; choose one of .*'resnet18_112'"),
    ({'stem': '5x5'}, r"stem '5x5'; choose one of \['3x3', '7x7'\]"),
    ({'outputs': {'labels': 0}}, 'labels must have at least 1 output, got 0'),
    ({'momentum': 1.0}, r'momentum must be in \[0, 1\), got 1.0'),
  ],
)
def test_bad_arguments_are_refused(arguments, message):
  with pytest.raises(ValueError, match=message):
    models.make_model(
      **{'name': 'resnet8_16', 'outputs': {'labels': 3}, **arguments}
    )
