"""The two-stream network: its sizes, shapes, streams and devices."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.datasets import streams as streams_lib
from aubal_jax.datasets import targets
from aubal_jax.network import bundle
from aubal_jax.network import models
from aubal_jax.network import optimizer as optimizer_lib
from aubal_jax.network import step as step_lib
from aubal_jax.network.models import first_weights
from aubal_jax.network.models import inputs
from aubal_jax.network.models import r2plus1d
from aubal_jax.network.models import two_stream
from aubal_jax.runs import errors
from tests.makers import tiny_steps

# Expression, valence and arousal, action units.
HEADS = {'labels': 8, 'expression': 7, 'affect': 2}
OUTPUTS = sum(HEADS.values())
# Channels of frames -> parameters of the trunk of clips.
TRUNKS = {3: 31_300_125, 4: 31_302_330, 1: 31_295_715}
AUDIO = 11_170_240


def of_shapes(channels, frames=8, side=112):
  seen = {'clip': (2, frames, side, side, channels), 'sound': (2, 64, 1001)}
  return {k: jax.ShapeDtypeStruct(x, jnp.float32) for k, x in seen.items()}


def shapes(name, channels, heads=HEADS, **options):
  model = models.make_model(name, heads, **options)
  return jax.eval_shape(model.init, jax.random.key(0), of_shapes(channels))


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
  'channels',
  [k if k == 3 else pytest.param(k, marks=pytest.mark.long) for k in TRUNKS],
)
def test_numbers_of_parameters_of_clips(channels):
  params = shapes('two_stream', channels, modalities='video')['params']
  assert count(params['video']) == TRUNKS[channels]
  assert count(params) == TRUNKS[channels] + 513 * OUTPUTS


@pytest.mark.long
def test_number_of_parameters_of_the_classifier():
  classifier = shapes('two_stream', 3, {'labels': 400}, modalities='video')
  assert count(classifier['params']) == 31_505_325


def test_numbers_of_parameters():
  whole = shapes('two_stream', 4, remat=True)['params']
  assert count(whole) == 42_489_995
  assert count(whole['audio']) == AUDIO
  video = shapes('two_stream', 4, modalities='video')['params']
  assert count(video) == 31_311_051
  audio = shapes('two_stream', 4, modalities='audio')['params']
  assert count(audio) == 11_178_961
  assert jax.tree.structure(whole['video']) == jax.tree.structure(
    video['video']
  )


def test_channels_between_space_and_time():
  """As published: of a block's input and output, for both convolutions."""
  params = shapes('two_stream', 4)['params']['video']
  found = [
    [
      params[f'stage{stage}_block{block}'][f'space{k}_conv']['kernel'].shape[4]
      for block in (1, 2)
      for k in (1, 2)
    ]
    for stage in range(1, 5)
  ]
  assert found == [
    *([144] * 4, [230, 230, 288, 288]),
    *([460, 460, 576, 576], [921, 921, 1152, 1152]),
  ]
  rng = np.random.default_rng(0)
  for _ in range(50):  # About as many parameters as a convolution of 3x3x3.
    a, b = map(int, rng.integers(8, 600, 2))
    between, whole = r2plus1d.middle(a, b), 27 * a * b
    assert whole - 9 * a - 3 * b < between * (9 * a + 3 * b) <= whole


def test_sizes_of_the_stages():
  model = models.make_model('two_stream', HEADS)

  def features(key, batch):
    return model.init_with_output(key, batch, capture_intermediates=True)

  outputs, variables = jax.eval_shape(features, jax.random.key(0), of_shapes(4))
  found = variables['intermediates']
  expected = [(8, 56, 64), (4, 28, 128), (2, 14, 256), (1, 7, 512)]
  for stage, (frames, side, width) in enumerate(expected, start=1):
    shape = found['video'][f'stage{stage}_block2']['__call__'][0].shape
    assert shape == (2, frames, side, side, width)
  assert found['video']['stem_time_conv']['__call__'][0].shape == (
    *(2, 8, 56, 56, 64),
  )
  heard = [(16, 251, 64), (8, 126, 128), (4, 63, 256), (2, 32, 512)]
  for stage, shape in enumerate(heard, start=1):
    block = found['audio'][f'stage{stage}_block2']['__call__'][0]
    assert block.shape == (2, *shape)
  assert {k: x.shape for k, x in outputs.items()} == {
    name: (2, size) for name, size in HEADS.items()
  }


def test_he_fan_out_begins_the_convolutions_of_clips():
  assert {*r2plus1d.INITS} == {*first_weights.INITS}
  for seed, shape in enumerate([(1, 3, 3, 30, 144), (3, 1, 1, 144, 64)]):
    draw = r2plus1d.INITS['he_normal'](jax.random.key(seed), shape)
    fan_out = np.prod(shape) / shape[3]
    np.testing.assert_allclose(draw.std(), np.sqrt(2 / fan_out), rtol=0.03)


def make_batches(modalities='both', rows=8, first=0):
  """Yields batches of noise; a clip of label 0 has a darker half."""
  while True:
    rng = np.random.default_rng(first)
    labels = (rng.random((rows, 3)) < 0.4).astype(np.uint8)
    clip = rng.integers(0, 256, (rows, 2, 16, 16, 4), np.uint8)
    clip[labels[:, 0] == 1, :, :, :8] //= 2
    batch = {
      'clip': clip,
      'sound': rng.standard_normal((rows, 64, 21)).astype(np.float32),
    }
    batch = {k: batch[k] for k in two_stream.MODALITIES[modalities]}
    known = rng.random(labels.shape) < 0.8
    yield {**batch, 'labels': labels * known, 'labels_known': known}
    first += 1


def describe(modalities, **changes):
  """The description of a small network of these streams."""
  config = settings.default()
  config.model.name = 'two_stream_small'
  config.two_stream.modalities = modalities
  config.data.image_size, config.data.channels = 16, 3
  config.multitask.bins = 'raw'
  config.data.update(changes)
  batch = next(make_batches(modalities))
  zeros = np.zeros((1, 3), np.uint8)
  return bundle.describe(
    config,
    {
      'labels': targets.Target('binary', zeros, zeros == 0, (*'abc',)),
      'affect': targets.of_numbers(np.zeros((1, 2)), ('v', 'a'), -1, 1),
    },
    lambda name: streams_lib.Stream(
      *(name, batch[name].dtype, batch[name].shape[1:], batch.get),
      made={'frames': 4},
    ),
  )


@pytest.mark.parametrize('modalities', two_stream.MODALITIES)
def test_what_is_written_of_its_streams_is_read(tmp_path, modalities):
  description = describe(modalities)
  bundle.write(tmp_path, description)
  assert bundle.read(tmp_path) == description
  content = json.loads((tmp_path / 'model.json').read_text())
  assert content['format'] == 6
  assert content['model']['modalities'] == modalities
  assert {*description.streams} == {*two_stream.MODALITIES[modalities]}
  assert all(x['made'] == {'frames': 4} for x in description.streams.values())
  sees_clips = 'clip' in description.streams
  assert (description.frames is not None) == sees_clips
  if sees_clips:
    assert description.frames.image_size == 16
    assert content['streams']['clip']['mean'] == [
      *(0.43216, 0.394666, 0.37645, 0.5),
    ]
    del content['sum']
    content['streams']['clip']['pixels']['image_size'] = 0
    (tmp_path / 'model.json').write_text(json.dumps(content))
    with pytest.raises(errors.UserError, match='is damaged'):
      bundle.read(tmp_path)


def test_clips_are_normalised_by_channel_and_black_is_before(monkeypatch):
  rng = np.random.default_rng(0)
  mean, std = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
  cases = {
    3: (mean, std),
    4: ((*mean, 0.5), (*std, 0.225)),
    1: ((np.mean(mean),), (np.mean(std),)),
    2: ((np.mean(mean), 0.5), (np.mean(std), 0.225)),
  }
  for channels, (means, stds) in cases.items():
    found = inputs.of_clip({}, channels)
    model = models.make_model(
      'two_stream_small',
      HEADS,
      standardised=[('clip', found['mean'], found['std'])],
      dtype=rng.choice([jnp.float32, jnp.bfloat16]),
    )
    clip = rng.integers(0, 256, (2, 3, 5, 6, channels), np.uint8)
    clip[:, 0] = 0
    seen = model.prepare({'clip': clip, 'sound': np.zeros((2, 64, 9), 'f4')})
    expected = (clip / 255 - means) / stds
    np.testing.assert_allclose(seen['clip'], expected, rtol=1e-4, atol=1e-5)
  given = inputs.find('imagenet', (), (), 3)
  assert inputs.of_clip(given, 4)['mean'] == (0.485, 0.456, 0.406, 0.5)
  given = inputs.find('none', (0.25,), (0.5,), 3)
  assert inputs.of_clip(given, 4) == {
    'mean': (0.25, 0.25, 0.25, 0.5),
    'std': (0.5, 0.5, 0.5, 0.225),
  }


def make_state_and_step(num_devices):
  """Of a network that compiles soon, its batch norm over all devices."""
  axis = {'axis_name': step_lib.AXIS_NAME}
  moments = inputs.of_clip({}, 4)
  model = models.Network(
    two_stream.TwoStream(stage_sizes=(1, 1), width=2, **axis),
    (('labels', 3),),
    ('clip', 'sound'),
    standardised=(('clip', moments['mean'], moments['std']),),
    **axis,
  )
  optimizer = optimizer_lib.make_optimizer('sgd', 0.05)
  step = step_lib.make_train_step(
    model,
    optimizer,
    tiny_steps.make_objective(),
    devices=jax.devices()[:num_devices],
  )
  batch = next(make_batches())
  first = {name: batch[name][:1] for name in model.streams}
  state = step_lib.create_state(model, optimizer, jax.random.key(0), first)
  return state, step


@pytest.mark.long
def test_one_device_is_as_many():
  states = []
  for num_devices in (1, 4):
    state, step = make_state_and_step(num_devices)
    batches = make_batches()
    for _ in range(3):
      state, metrics = tiny_steps.once(step, state, next(batches))
      assert metrics['finite']
    states.append(jax.tree.map(np.asarray, (state.params, state.batch_stats)))
  one, many = states
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5),
    *(one, many),
  )


@pytest.mark.parametrize('bad', ['image', 'integers'])
def test_what_are_no_clips_or_sounds_is_told(bad):
  model = models.make_model('two_stream_small', HEADS)
  batch = of_shapes(4, 4, 32)
  for name, dims in (('clip', 'B, T, H, W, C'), ('sound', 'B, 64, W')):
    shape, dtype = batch[name].shape, jnp.float32
    if bad == 'image':
      shape = shape[:-1]
    else:
      dtype = jnp.int32
    other = {**batch, name: jax.ShapeDtypeStruct(shape, dtype)}
    match = rf'\[{dims}\], got|must be uint8'
    with pytest.raises(errors.UserError, match=match):
      jax.eval_shape(model.init, jax.random.key(0), other)


def test_settings_know_which_networks_these_are():
  choices = settings.SETTINGS['two_stream.modalities'].choices
  assert {*choices} == {*two_stream.MODALITIES}
  assert {*settings.TWO_STREAM} == {
    name for name in models.MODELS if models.takes(name, 'modalities')
  }


def test_no_such_modalities_are_told():
  with pytest.raises(errors.UserError, match=r"'smell'.*audio.*both.*video"):
    models.make_model('two_stream', HEADS, modalities='smell')
  assert not models.takes('resnet18', 'modalities')
  for modalities, seen in two_stream.MODALITIES.items():
    assert models.streams_of('two_stream', modalities) == seen
