"""A file that is exported says what the network says, or is not written."""

import csv
import dataclasses
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import cv2
import flax.linen as nn
import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import aubal_jax
from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax import short_form
from aubal_jax.media import images as images_lib
from aubal_jax.network import bundle
from aubal_jax.network import heads as heads_lib
from aubal_jax.network import models
from aubal_jax.network import weights
from aubal_jax.network.models import resnet
from aubal_jax.network.models import vit
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import workdir
from aubal_jax.serving import formats
from aubal_jax.serving import networks as networks_lib
from aubal_jax.serving import onnx_graph
from tests.makers import damage as damage_lib
from tests.makers import trained_runs

LABELS = ('bright', 'edge, "half"\nof it')


class Flat(nn.Module):
  """A network of no family."""

  @nn.compact
  def __call__(self, image, *, train: bool = False):
    del train
    return nn.Dense(3)(image.reshape(image.shape[0], -1)).astype('float32')


def configuration(**changes):
  c = settings_lib.default()
  c.data.name = 'manifest'
  c.predict.batch_size = 8
  for name, value in changes.items():
    section, _, key = name.rpartition('__')
    (c[section] if section else c)[key] = value
  return c


def run(config, path, task='export', **options):
  config.task = task
  commands.run_task(config, path, started=time.perf_counter(), **options)
  return pathlib.Path(path)


@pytest.fixture(autouse=True, scope='module')
def fixture_networks():
  """Those that are compiled at once: of few blocks, and of no family."""
  tiny = functools.partial(resnet.ResNet, stage_sizes=(1, 1), width=4)
  known = {
    **models.MODELS,
    'tiny': tiny,
    'bottleneck': functools.partial(tiny, bottleneck=True),
    'caffe': functools.partial(tiny, bottleneck=True, published='caffe'),
    'flat': Flat,
    'small vit': functools.partial(
      vit.VisionTransformer, patch=8, width=12, depth=1, heads=3
    ),
  }
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(models, 'MODELS', known)
    yield


@pytest.fixture(name='home', scope='module')
def fixture_home(tmp_path_factory):
  """A folder with runs a and b, and with images of all sizes."""
  home = tmp_path_factory.mktemp('home')
  for seed, name in enumerate('ab'):
    trained_runs.write(home / name, LABELS, seed=seed, name='tiny')
  (home / 'images').mkdir()
  rng = np.random.default_rng(0)
  for k in range(11):
    image = rng.integers(0, 256, rng.integers(8, 40, 2), np.uint8)
    cv2.imwrite(str(home / f'images/{k:02d}.png'), image)
  return home


@pytest.fixture(name='copy')
def fixture_copy(home, tmp_path):
  """A copy of run a, and nothing else in its folder."""
  shutil.copytree(home / 'a/checkpoints', tmp_path / 'a/checkpoints')
  return tmp_path / 'a'


@pytest.fixture(name='trained', scope='module')
def fixture_trained(home):
  return formats.in_float32(bundle.load(home / 'a/checkpoints'))


@pytest.fixture(name='expected', scope='module')
def fixture_expected(trained):
  """Images, and what the network says of them."""
  shape = (8, 16, 16, 1)
  images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  return images, formats.expect(trained, images)


def predicted(config, path):
  """The probabilities that the task predict writes of images, and images."""
  run(config, path, 'predict', overwrite=True)
  with open(path / 'predictions.csv', newline='') as file:
    rows = list(csv.DictReader(file))
  found = np.array([[float(row[n]) for n in LABELS] for row in rows])
  names = [os.path.join(config.predict.path, row['path']) for row in rows]
  pixels = images_lib.Pixels(image_size=16)
  return found, images_lib.read(names, pixels)[0]


def by_onnxruntime(path):
  session = onnxruntime.InferenceSession(path)
  return lambda images: session.run(['labels'], {'image': images})[0]


# Of one network and of means: rows of predict.


@pytest.mark.parametrize(
  'what',
  ['one', 'logits', pytest.param('probabilities', marks=pytest.mark.long)],
)
def test_onnx_says_what_predict_writes(home, tmp_path, what):
  config = configuration(predict__path=str(home / 'images'))
  path = home / 'a'
  if what != 'one':
    config.ensemble.runs = (str(home / 'a'), str(home / 'b'))
    config.ensemble.mean, path = what, tmp_path / 'mean'
  run(config, path)
  wanted, images = predicted(config, path)
  assert np.ptp(wanted, axis=0).min() > 1e-3
  say = by_onnxruntime(path / 'model.onnx')
  np.testing.assert_allclose(say(images), wanted, rtol=1e-5)
  for k in (0, 3):  # Any number of images at a time.
    np.testing.assert_allclose(say(images[k:5]), wanted[k:5], rtol=1e-5)
  network = cv2.dnn.readNetFromONNX(str(path / 'model.onnx'))
  network.setInput(images, 'image')
  np.testing.assert_allclose(network.forward('labels'), wanted, rtol=1e-5)


@pytest.mark.parametrize(
  'kind',
  ['stablehlo', pytest.param('safetensors', marks=pytest.mark.long)],
)
def test_other_files_say_what_predict_writes(home, trained, kind):
  config = configuration(
    predict__path=str(home / 'images'), export__format=kind
  )
  run(config, home / 'a')
  wanted, images = predicted(config, home / 'a')
  content = (home / f'a/model.{kind}').read_bytes()
  (say,) = formats.FORMATS[kind].readers(content, trained).values()
  found = np.asarray(say(images[:8])['labels'])
  np.testing.assert_allclose(found, wanted[:8], rtol=1e-5)


@pytest.mark.parametrize(
  ('name', 'side', 'stem', 'normalise'),
  [
    ('tiny', 21, '3x3', 'imagenet'),
    ('caffe', 17, '7x7', 'none'),  # Pooled from a side of 9, and of 12.
    pytest.param('caffe', 24, '3x3', 'half', marks=pytest.mark.long),
    pytest.param('bottleneck', 26, '7x7', 'imagenet', marks=pytest.mark.long),
  ],
)
def test_colours_odd_sides_and_stems(tmp_path, name, side, stem, normalise):
  path = trained_runs.write(
    *(tmp_path, LABELS),
    name=name,
    channels=3,
    image_size=side,
    stem=stem,
    normalise=normalise,
  )
  run(configuration(), path)
  record = files.read_json(path / 'model.onnx.json')
  assert record['input']['shape'] == ['batch', side, side, 3]
  assert record['compared']['rows'] == 8
  told = record['compared']['difference']
  assert {*told} == {'OpenCV', 'ONNX Runtime'} and max(told.values()) < 1e-5


@pytest.mark.parametrize(
  'channels', [1, pytest.param(3, marks=pytest.mark.long)]
)
def test_vision_transformer_goes_as_stablehlo(tmp_path, channels):
  path = trained_runs.write(
    *(tmp_path, LABELS), name='small vit', image_size=24, channels=channels
  )
  with pytest.raises(errors.UserError, match=r'small vit.*=stablehlo'):
    run(configuration(), path)
  assert not (path / 'model.onnx').exists()
  run(configuration(export__format='stablehlo'), path)
  told = files.read_json(path / 'model.stablehlo.json')['compared']
  assert told['rows'] == 8 and max(told['difference'].values()) < 5e-5
  content = (path / 'model.stablehlo').read_bytes()
  said = aubal_jax.load(path)
  images = np.random.default_rng(channels).integers(
    *(0, 256, (5, 24, 24, channels)), dtype=np.uint8
  )
  (say,) = formats.FORMATS['stablehlo'].readers(content, said.network).values()
  np.testing.assert_allclose(
    say(images)['labels'], said.predict(images), rtol=1e-5
  )


@pytest.mark.long
@pytest.mark.parametrize(
  # A vision transformer has a gigabyte of weights and moments; networks of
  # tables and of videos have tests of their own.
  'name',
  [n for n in models.MODELS if not n.startswith(('vit', 'feat', 'two'))],
)
def test_every_network_is_exported(tmp_path, name):
  rng = np.random.default_rng(len(name))
  side, channels = int(rng.integers(40, 70)), int(rng.choice([1, 3]))
  path = trained_runs.write(
    *(tmp_path, LABELS), name=name, image_size=side, channels=channels
  )
  own = bundle.read(path / 'checkpoints')
  kinds = {*formats.FORMATS}
  if type(bundle.make_network(own)[0].trunk) not in onnx_graph.FAMILIES:
    kinds -= {'onnx'}
    with pytest.raises(ValueError, match=rf'network {name}.*=stablehlo'):
      run(configuration(), path)
  for kind in kinds:
    run(configuration(export__format=kind), path)
    told = files.read_json(path / f'model.{kind}.json')['compared']
    assert max(told['difference'].values()) < 5e-5


# What would be another network.


def wrong_norm(change):
  def normalise(self, x, params, statistics):
    return right_norm(self, x, *change(dict(params), dict(statistics)))

  right_norm = onnx_graph.Graph.normalise
  return {'normalise': normalise}


def wrong_conv(change):
  def convolve(self, x, weights, stride=1, **options):
    changed = {'kernel': change(weights['kernel'])}
    return right(self, x, changed, stride, **options)

  right = onnx_graph.Graph.convolve
  return {'convolve': convolve}


def wrong_node(operator, **changes):
  def add(self, name, *inputs, **attributes):
    if name == operator:
      attributes |= changes
    return right(self, name, *inputs, **attributes)

  right = onnx_graph.Graph.add
  return {'add': add}


def pads_at_the_end(self, name, *inputs, **attributes):
  """Padding as SAME of TensorFlow has it, of stride 2."""
  if name in ('Conv', 'MaxPool') and attributes['strides'] == [2, 2]:
    total = max(attributes['kernel_shape'][0] - 2, 0)
    attributes['pads'] = [total // 2] * 2 + [total - total // 2] * 2
  return _add(self, name, *inputs, **attributes)


_add = onnx_graph.Graph.add
TRAPS = {
  'eps 1e-3': wrong_node('BatchNormalization', epsilon=1e-3),
  'SAME': {'add': pads_at_the_end},
  'VALID pool': wrong_node('MaxPool', pads=[0] * 4),
  'sd for variance': wrong_norm(
    lambda p, s: (p, s | {'var': np.sqrt(s['var'])})
  ),
  'statistics left out': wrong_norm(
    lambda p, s: (p, s | {'mean': np.zeros_like(s['mean'])})
  ),
  'height and width swapped': wrong_conv(lambda k: k.transpose(1, 0, 2, 3)),
  'mirrored kernels': wrong_conv(lambda k: k[::-1, ::-1]),
  'transposed images': wrong_node('Transpose', perm=[0, 3, 2, 1]),
  'a NaN': wrong_conv(lambda k: k * np.nan),
}


def folded(model):
  """Mean and deviation in the stem: right inside, wrong at the border."""

  def convolve(self, x, weights, stride=1, **options):
    first = not any(node.op_type == 'Conv' for node in self.nodes)
    if not first:
      return right(self, x, weights, stride, **options)
    mean, std = (np.reshape(v, (1, 1, -1, 1)) for v in (model.mean, model.std))
    kernel = weights['kernel'] / std
    y = right(self, x, {'kernel': kernel}, stride, **options)
    shift = -(kernel * mean).sum((0, 1, 2)).reshape(1, -1, 1, 1)
    return self.add('Add', y, self.array(shift))

  right = onnx_graph.Graph.convolve
  return convolve


@pytest.mark.parametrize(
  ('channels', 'normalise'), [(1, 'imagenet'), (1, 'half')]
)
def test_images_are_normalised_in_the_file(
  tmp_path, monkeypatch, channels, normalise
):
  path = trained_runs.write(
    *(tmp_path, LABELS),
    name='tiny',
    channels=channels,
    normalise=normalise,
  )
  own = formats.in_float32(bundle.load(path / 'checkpoints'))
  shape = (8, 16, 16, channels)
  images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  wanted, form = formats.expect(own, images), formats.FORMATS['onnx']
  formats.compare(form.readers(form.make(own, {}), own), wanted, images)
  model, _ = bundle.make_network(own.description)
  if channels == len(model.mean):
    with monkeypatch.context() as patch:
      patch.setattr(onnx_graph.Graph, 'convolve', folded(model))
      patch.setattr(onnx_graph, '_normalised', lambda graph, x, model: x)
      content = form.make(own, {})
    with pytest.raises(ValueError, match='differs from the network'):
      formats.compare(form.readers(content, own), wanted, images)


@pytest.mark.parametrize('trap', TRAPS)
def test_a_file_of_another_network_is_noticed(
  trained, expected, monkeypatch, trap
):
  images, wanted = expected
  form = formats.FORMATS['onnx']
  right = form.make(trained, {})
  formats.compare(form.readers(right, trained), wanted, images)
  for name, wrong in TRAPS[trap].items():
    monkeypatch.setattr(onnx_graph.Graph, name, wrong)
  content = form.make(trained, {})
  for reader in form.readers(content, trained).items():
    with pytest.raises(ValueError, match=f'read by {reader[0]}, .* differs'):
      formats.compare(dict([reader]), wanted, images)


@given(
  st.floats(-500, -30), st.floats(0, 1e-6), st.sampled_from([1e-3, np.nan])
)
def test_differences_are_of_the_largest_logit_or_of_one(logit, near, far):
  """The probability of a logit of -460 is 0 to some and 1e-200 to others."""

  def outputs(logit, probability):
    return {
      'labels': np.array([[probability]]),
      'labels_logits': np.array([[logit]]),
    }

  wanted = outputs(logit, np.exp(logit))
  told = formats.difference(outputs(logit * (1 + near), 0.0), wanted)
  assert told <= near + 1e-9
  for found in (outputs(logit * (1 + far), 0.0), outputs(logit, far)):
    assert not formats.difference(found, wanted) <= formats.LIMIT


def test_what_differs_is_not_written(copy, monkeypatch):
  for name, wrong in TRAPS['eps 1e-3'].items():
    monkeypatch.setattr(onnx_graph.Graph, name, wrong)
  before = sorted(copy.rglob('*'))
  with pytest.raises(ValueError, match='it is not written'):
    run(configuration(), copy)
  assert sorted(copy.rglob('*')) == before


def test_names_of_other_libraries_are_for_safetensors_of_their_networks(copy):
  config = configuration(export__names='timm', export__format='onnx')
  with pytest.raises(ValueError, match=r'names=timm is for .*=safetensors'):
    run(config, copy)
  file = copy / 'checkpoints/model.json'
  content = files.read_json(file)
  content.pop('sum')
  content['model']['name'] = 'caffe'
  files.write_json(file, content)
  config = configuration(export__names='timm', export__format='safetensors')
  with pytest.raises(ValueError, match=r'names must be own for .*=caffe'):
    run(config, copy)


@pytest.mark.parametrize('names', ['own', 'torchvision', 'timm'])
def test_a_run_begins_with_an_export_by_either_names(trained, names, tmp_path):
  """From the file, and so by other libraries: torchvision's own names."""
  form = formats.FORMATS['safetensors']
  about = {} if names == 'own' else {formats.ARRAYS: names}
  content = form.make(trained, about)
  (read,) = form.readers(content, trained).values()
  assert read.args[0].digest() == trained.digest()
  (tmp_path / 'model.safetensors').write_bytes(content)
  model, _ = bundle.make_network(trained.description)
  zeros = (
    jax.tree.map(np.zeros_like, tree)
    for tree in (trained.params, trained.batch_stats)
  )
  loaded = weights.load(
    *(tmp_path / 'model.safetensors', *zeros),
    trunk=model.trunk,
    heads=model.head_names,
  )
  own = trained.params | {'logits': loaded.params['logits']}
  assert not loaded.params['logits']['kernel'].any()
  np.testing.assert_equal(loaded.params, own)
  np.testing.assert_equal(loaded.batch_stats, trained.batch_stats)
  assert (
    f'by the names of {"aubal_jax" if names == "own" else "torch"}'
    in (loaded.told[0])
  )


@pytest.mark.parametrize('seed', range(4))
def test_a_safetensors_file_holds_the_arrays(trained, seed):
  rng = np.random.default_rng(seed)
  drawn = jax.tree.map(
    lambda x: rng.normal(size=x.shape).astype(np.float32), trained.params
  )
  changed = dataclasses.replace(trained, params=drawn)
  form, names = formats.FORMATS['safetensors'], ['a', '"', '\n'][:seed]
  content = form.make(changed, {'names': names})
  (read,) = form.readers(content, trained).values()
  assert read.args[0].digest() == changed.digest() != trained.digest()
  size = int.from_bytes(content[:8], 'little')
  held = json.loads(content[8 : 8 + size])['__metadata__']
  assert json.loads(held['names']) == names


# What is told of it.


@hypothesis_settings(max_examples=15)
@given(
  st.lists(st.text(min_size=1), min_size=2, max_size=2, unique=True),
  st.lists(st.floats(0, 1), min_size=2, max_size=2),
)
def test_any_name_and_threshold_is_in_the_file(trained, names, thresholds):
  model, _ = bundle.make_network(trained.description)
  head = heads_lib.Head('labels', 'binary', tuple(names), 'bce')
  content = onnx_graph.make(
    [(model, trained.params, trained.batch_stats)],
    [head],
    networks_lib.inputs_of(trained.description),
    metadata={'names': names, 'thresholds': thresholds},
  )
  held = {
    entry.key: json.loads(entry.value)
    for entry in onnx.load_from_string(content).metadata_props
  }
  assert held == {'names': names, 'thresholds': thresholds}


@pytest.mark.parametrize('kind', ['shrunk', 'tuned'])
def test_names_thresholds_and_weights_are_told(copy, kind):
  run(configuration(predict__thresholds=kind), copy)
  record = files.read_json(copy / 'model.onnx.json')
  own = bundle.load(copy / 'checkpoints')
  kept = own.thresholds[bundle.LABELS]
  wanted = {'shrunk': kept.shrunk, 'tuned': kept.labels}
  assert record['thresholds'] == [*wanted[kind]]
  assert record['thresholds_kind'] == kind
  assert record['names'] == [*LABELS]
  assert record['network']['weights'] == own.digest()
  assert str(copy) not in json.dumps(record)
  model = onnx.load(copy / 'model.onnx')
  for entry in model.metadata_props:
    assert json.loads(entry.value) == record[entry.key], entry.key
  assert {entry.key for entry in model.metadata_props} == {*record} - {
    *('sha256', 'compared')
  }


def test_an_export_is_replaced_and_a_file_of_others_is_not(copy, tmp_path):
  for name in ('x.onnx', 'x.onnx.json'):
    out = tmp_path / f'of {name}'
    out.mkdir()
    (out / name).write_text('mine')
    config = configuration(export__out=str(out / 'x.onnx'))
    with pytest.raises(ValueError, match=rf'{name} is there, and no export'):
      run(config, copy)
    assert [p.read_text() for p in out.iterdir()] == ['mine']
  run(config, copy, overwrite=True)
  first = (out / 'x.onnx').read_bytes()
  run(config, copy)
  assert (out / 'x.onnx').read_bytes() == first


def test_the_folder_of_a_mean_can_still_be_evaluated_in(tmp_path):
  for name in workdir.EXPORTS:
    (tmp_path / name).write_text('{}')
  assert workdir.check_folder(tmp_path) == tmp_path
  workdir.clear(tmp_path)
  assert not [*tmp_path.iterdir()]
  kinds = {name.removeprefix('model.') for name in workdir.EXPORTS}
  suffixes = {form.suffix[1:] for form in formats.FORMATS.values()}
  assert kinds == suffixes | {f'{suffix}.json' for suffix in suffixes}
  declared = settings_lib.SETTINGS['export.format'].choices
  assert [*declared] == [*formats.FORMATS]


# What cannot be exported.


def test_a_network_without_a_graph_is_told_what_holds_it(tmp_path, monkeypatch):
  monkeypatch.setattr(models, 'MODELS', {**models.MODELS, 'flat': Flat})
  path = trained_runs.write(tmp_path / 'flat', LABELS, name='flat')
  with pytest.raises(ValueError, match=r'the network flat.*=stablehlo'):
    run(configuration(), path)
  for kind in ('stablehlo', 'safetensors'):
    run(configuration(export__format=kind), path)
    assert (path / f'model.{kind}').exists()


def without_thresholds(path, monkeypatch):
  del monkeypatch
  for saved in path.glob('checkpoints/*/metrics/metrics'):
    kept = json.loads(saved.read_text())
    saved.write_text(json.dumps({'f1_macro': kept['f1_macro']}))
  damage_lib.without_sums(path / 'checkpoints')


def change_model(change):
  def changed(path, monkeypatch):
    file = path / 'checkpoints/model.json'
    content = files.read_json(file)
    del content['sum']
    change(content)
    files.write_json(file, content)
    monkeypatch.setattr(
      heads_lib, 'PREDICTIONS', {**heads_lib.PREDICTIONS, 'real': None}
    )

  return changed


def another_stream(content):
  content['streams']['sound'] = {'dtype': 'float32', 'shape': [3]}


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    (without_thresholds, ['without tuned thresholds', 'thresholds=half']),
    (change_model(another_stream), ['sees sound beside the image']),
    (lambda path, _: shutil.rmtree(path), ['no checkpoints', 'train first']),
    (
      lambda _, patch: patch.setitem(sys.modules, 'onnx', None),
      ['export.format=onnx needs the package onnx', 'pip install'],
    ),
  ],
)
def test_a_run_that_cannot_be_exported_is_told(
  copy, monkeypatch, change, words
):
  change(copy, monkeypatch)
  with pytest.raises((ValueError, FileNotFoundError)) as caught:
    run(configuration(), copy)
  for word in words:
    assert word in str(caught.value)
  assert not [*copy.glob('model.*')]


@pytest.mark.parametrize(
  ('out', 'words'),
  [
    ('x.csv', ['export.out=x.csv', '*.onnx']),
    ('x', ['*.onnx']),
    ('folder.onnx', ['that is a folder']),
    ('no/x.onnx', ['no is no folder']),
  ],
)
def test_what_is_no_file_to_export_to_is_told(
  copy, tmp_path, monkeypatch, out, words
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'folder.onnx').mkdir()
  with pytest.raises(ValueError) as caught:
    run(configuration(export__out=out), copy)
  for word in words:
    assert word in str(caught.value)


def test_without_thresholds_half_may_be_asked_for(copy, monkeypatch):
  without_thresholds(copy, monkeypatch)
  run(configuration(predict__thresholds='half'), copy)
  assert files.read_json(copy / 'model.onnx.json')['thresholds'] == [0.5, 0.5]


# What the guide shows.


def test_the_guide_runs_as_written(copy, home, tmp_path, monkeypatch):
  (tmp_path / 'runs').mkdir()
  copy.rename(tmp_path / 'runs/mine')
  (tmp_path / 'images').symlink_to(home / 'images')
  for k in range(2):
    shutil.copy(home / f'images/0{k}.png', home / f'images/{k}.png')
  monkeypatch.chdir(tmp_path)
  page = pathlib.Path(__file__).parents[2] / 'docs/take-your-model.md'
  shown = re.findall(r'^```(\w+)\n(.*?)^```$', page.read_text(), re.M | re.S)
  commands_shown = [code for kind, code in shown if kind == 'bash']
  (command,) = commands_shown
  for kind in ('onnx', 'stablehlo'):
    words = command.split()[1:]
    words = [re.sub('=onnx', f'={kind}', word) for word in words]
    long = dict(x.split('=', 1) for x in short_form.expand(words))
    config = configuration(export__format=long['--config.export.format'])
    run(config, long['--workdir'])
  held = {}
  for kind, code in shown:
    if kind == 'py':
      names = {}
      exec(compile(code, str(page), 'exec'), names)
      held |= names
      if 'model' in names:
        said = names['probability']
        decided = [
          n for n, p in zip(LABELS, names['present'][0], strict=True) if p
        ]
      if 'found' in names:
        np.testing.assert_allclose(names['probability'][0], said[0], atol=0.1)
        assert names['found'] == decided
  assert held['probability'].shape == (5, 2)


# Where nothing of ours is.

CHILD = """
import sys
import numpy as np
from jax import export
images = np.load('images.npy')
exported = export.deserialize(bytearray(open('model.stablehlo', 'rb').read()))
for k in (1, len(images)):
  np.save(f'{k}.npy', exported.call(images[:k])['labels'])
assert not {'flax', 'aubal_jax'} & {*sys.modules}
"""


@pytest.mark.long
def test_a_stablehlo_file_needs_jax_alone(copy, home, tmp_path):
  config = configuration(
    predict__path=str(home / 'images'), export__format='stablehlo'
  )
  config.export.out = str(tmp_path / 'model.stablehlo')
  run(config, copy)
  wanted, images = predicted(config, copy)
  np.save(tmp_path / 'images.npy', images)
  subprocess.run([sys.executable, '-c', CHILD], cwd=tmp_path, check=True)
  for k in (1, len(images)):
    found = np.load(tmp_path / f'{k}.npy')
    np.testing.assert_allclose(found, wanted[:k], rtol=1e-5)
