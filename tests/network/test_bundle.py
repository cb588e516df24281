"""model.json: what is written, what is read, and what is refused."""

import dataclasses
import json

import hypothesis
import jax
import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.datasets import targets
from aubal_jax.network import bundle
from aubal_jax.network import heads
from aubal_jax.network.models import first_weights

NAMES = ('bright', 'edge')
PIXELS = {
  'image_size': 32,
  'channels': 1,
  'resize': 'stretch',
  'crop': 'none',
}


@pytest.fixture(name='description')
def fixture_description():
  config = settings.default()
  config.model.name = 'resnet8_16'
  config.data.image_size = 32
  config.loss.name = 'focal'
  zeros = np.zeros((1, 2), np.uint8)
  labels = targets.Target('binary', zeros, zeros == 0, NAMES)
  return bundle.describe(config, {'labels': labels})


def test_what_is_written_is_read(tmp_path, description):
  bundle.write(tmp_path, description)
  assert bundle.read(tmp_path) == description
  content = json.loads((tmp_path / 'model.json').read_text())
  assert content['format'] == 3
  assert content['heads'] == [
    {
      'name': 'labels',
      'kind': 'binary',
      'names': ['bright', 'edge'],
      'loss': 'focal',
      'weight': 1.0,
    }
  ]
  assert content['streams']['image']['image_size'] == 32


@pytest.mark.parametrize('bins', ['linspace', 'centres', 'none', 'raw'])
def test_what_is_said_of_several_heads_is_read(tmp_path, description, bins):
  config = settings.default()
  config.model.name, config.multitask.bins = 'resnet8_16', bins
  config.data.image_size, config.multitask.weights = 32, (8, 1, 0.5)
  zeros = np.zeros((1, 2), np.uint8)
  held = {
    'labels': targets.Target('binary', zeros, zeros == 0, NAMES),
    'mood': targets.of_codes(np.zeros(1, int), ('sad', 'calm', 'glad')),
    'pain': targets.of_numbers(np.zeros((1, 1)), ('pain',), 0.0, 10.0),
  }
  made = bundle.describe(config, held)
  bundle.write(tmp_path, made)
  number = json.loads((tmp_path / 'model.json').read_text())['format']
  assert number == (6 if bins == 'raw' else 5)
  found = bundle.read(tmp_path)
  assert found == made
  assert [head.weight for head in found.heads] == [8, 1, 0.5]
  assert found.heads[2].high == 10.0
  model, _ = bundle.make_network(found)
  size = 1 if bins in heads.NO_BINS else 20
  assert dict(model.outputs) == {'labels': 2, 'mood': 3, 'pain': size}


@pytest.mark.parametrize('init', first_weights.INITS)
def test_first_weights_are_drawn_as_init_says_and_no_file_tells_it(
  tmp_path, description, init
):
  model, optimizer = bundle.make_network(description, init=init)
  assert model.first == model.trunk.first == init
  # What is saved, and read without knowing it, is of the same form.
  states = [
    jax.eval_shape(lambda m=m: bundle.first_state(m, optimizer, description))
    for m in (model, bundle.make_network(description)[0])
  ]
  assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
  assert jax.tree.leaves(states[0]) == jax.tree.leaves(states[1])
  bundle.write(tmp_path, description)
  assert init not in (tmp_path / 'model.json').read_text()


def test_a_file_of_the_first_release_is_read(tmp_path, description):
  old = {
    'format': 2,
    'label_names': [*NAMES],
    'pixels': PIXELS,
    'model': {'name': 'resnet8_16', 'stem': '7x7', 'momentum': 0.9},
    'dtype': 'auto',
    'optimizer': 'adam',
    'averaged': False,
  }
  (tmp_path / 'model.json').write_text(json.dumps(old))
  found = bundle.read(tmp_path)
  (head,) = found.heads
  assert found.label_names == head.names == NAMES
  assert dataclasses.replace(found, heads=description.heads) == description


def test_a_newer_format_is_refused_by_its_number(tmp_path, description):
  bundle.write(tmp_path, description)
  path = tmp_path / 'model.json'
  content = json.loads(path.read_text()) | {'format': 7, 'model': 'of its own'}
  path.write_text(json.dumps(content))
  with pytest.raises(ValueError, match=r'format 7, and formats up to 6.*newer'):
    bundle.read(tmp_path)


@pytest.mark.parametrize(
  ('name', 'value', 'kept'),
  [
    ('data.normalise', 'imagenet', ('mean', (0.485, 0.456, 0.406))),
    ('data.normalise', 'half', ('std', (0.5,))),
    ('model.freeze', ('trunk',), ('freeze', ('trunk',))),
    ('train.backbone_learning_rate', 1e-4, ('backbone', 0.2)),
    ('train.layer_decay', 0.75, ('layer_decay', 0.75)),
    ('train.accumulate_steps', 4, ('accumulate_steps', 4)),
    ('train.weight_decay', 0.05, ('weight_decay', 0.05)),
  ],
)
def test_how_it_is_fine_tuned_is_in_the_file(
  tmp_path, description, name, value, kept
):
  """For the state that is restored has the form that says."""
  config = settings.default()
  config.model.name, config.data.image_size = 'resnet8_16', 32
  config.loss.name, config.train.optimizer = 'focal', 'adamw'
  section, _, key = name.partition('.')
  config[section][key] = value
  zeros = np.zeros((1, 2), np.uint8)
  held = {'labels': targets.Target('binary', zeros, zeros == 0, NAMES)}
  made = bundle.describe(config, held)
  bundle.write(tmp_path, made)
  found = bundle.read(tmp_path)
  assert found == made
  assert json.loads((tmp_path / 'model.json').read_text())['format'] == 4
  network, _ = bundle.make_network(found)
  where = found.tuning if hasattr(found.tuning, kept[0]) else network
  assert getattr(where, kept[0]) == pytest.approx(kept[1])
  assert network.frozen == (value == ('trunk',))
  parts = [bundle.make_network(d) for d in (made, found)]
  states = [
    jax.eval_shape(lambda part=part: bundle.first_state(*part, description))
    for part in parts
  ]
  assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
  assert states[0].params.keys() == states[1].params.keys()


@pytest.mark.parametrize(
  'change',
  [
    {'format': 1},
    {'format': '3'},
    {'heads': []},
    {'heads': [{'name': 'labels', 'kind': 'smell', 'names': [], 'loss': ''}]},
    {'streams': {}},
    {'streams': {'image': {'image_size': 32, 'resize': 'fold'}}},
    {'streams': {'image': PIXELS, 'audio': {'dtype': 'smell', 'shape': [2]}}},
    {'model': {'name': 'resnet9', 'stem': '7x7', 'momentum': 0.9}},
    {'dtype': 'half'},
  ],
)
def test_damage_is_told(tmp_path, description, change):
  bundle.write(tmp_path, description)
  path = tmp_path / 'model.json'
  content = json.loads(path.read_text())
  del content['sum']  # By which each of them would be found.
  path.write_text(json.dumps(content | change))
  with pytest.raises(ValueError, match=r'model\.json is damaged, or of ano'):
    bundle.read(tmp_path)


@hypothesis.settings(
  max_examples=60,
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(hypothesis.strategies.data())
def test_no_flipped_bit_makes_another_network(tmp_path, description, data):
  bundle.write(tmp_path, description)
  path = tmp_path / 'model.json'
  content = bytearray(path.read_bytes())
  place = data.draw(hypothesis.strategies.integers(0, 8 * len(content) - 1))
  content[place // 8] ^= 1 << place % 8
  path.write_bytes(content)
  try:
    assert bundle.read(tmp_path) == description  # A blank beside a word.
  except ValueError as error:
    assert 'model.json' in str(error)


def test_checkpoints_hold_what_those_of_the_first_release_do(description):
  """Names are the format: by them the arrays of a checkpoint are found."""
  model, optimizer = bundle.make_network(description)
  state = jax.eval_shape(
    lambda: bundle.first_state(model, optimizer, description)
  )
  assert {*state.params} == {
    *('stem_conv', 'stem_norm', 'logits'),
    *(f'stage{i}_block1' for i in (1, 2, 3)),
  }
  assert {*state.params['stage2_block1']} == {
    *('conv1', 'norm1', 'conv2', 'norm2', 'conv_shortcut', 'norm_shortcut')
  }
  assert {*state.params['logits']} == {'kernel', 'bias'}
  assert {*state.batch_stats['stem_norm']} == {'mean', 'var'}
  assert [field.name for field in dataclasses.fields(state)] == [
    *('step', 'params', 'batch_stats', 'opt_state', 'average', 'best', 'stale')
  ]
