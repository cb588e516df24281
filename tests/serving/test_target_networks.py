"""Networks of several targets: aubal.load, predict, ensembles and exports."""

import csv
import time

import cv2
import numpy as np
import onnxruntime
import pytest
from scipy import special

import aubal_jax as aubal
from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.network import bundle
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.serving import formats
from tests.makers import targets as targets_lib
from tests.makers import trained_runs

LABELS = ('AU01', 'AU25')
CLASSES = ('Neutral', 'Anger', '=1+1', 'a, "b"')
OTHERS = {
  'expression': targets_lib.classes(CLASSES),
  'va': targets_lib.numbers(-1, 1, ('valence', 'arousal')),
  'age': targets_lib.numbers(0, 100),
}


def run(path, task, **changes):
  c = settings_lib.default()
  c.data.name, c.task = 'manifest', task
  c.predict.batch_size = 8
  for name, value in changes.items():
    section, key = name.split('__')
    c[section][key] = value
  commands.run_task(c, path, started=time.perf_counter())


def write(path, seed=0, **multitask):
  return trained_runs.write(
    *(path, LABELS), seed=seed, others=OTHERS, multitask=multitask, name='tiny'
  )


@pytest.fixture(autouse=True, scope='module')
def fixture_networks():
  """One that is compiled at once."""
  with trained_runs.tiny():
    yield


@pytest.fixture(name='home', scope='module')
def fixture_home(tmp_path_factory):
  """Runs a and b, and images."""
  home = tmp_path_factory.mktemp('home')
  write(home / 'a')
  write(home / 'b', seed=1)
  (home / 'images').mkdir()
  rng = np.random.default_rng(0)
  for k in range(11):
    image = rng.integers(0, 256, (16, 16), np.uint8)
    cv2.imwrite(str(home / f'images/{k:02d}.png'), image)
  return home


def predicted(path):
  """predictions.csv, as `aubal.load(...).predict` returns it."""
  with open(path, newline='') as file:
    rows = list(csv.DictReader(file))
  found = {
    'labels': LABELS,
    'expression': [f'expression_{name}' for name in CLASSES],
    'va': ('valence', 'arousal'),
    'age': ('age:age',) if 'age:age' in rows[0] else ('age',),
  }
  said = [row['expression'] for row in rows]
  return said, {
    name: np.array([[float(row[c]) for c in columns] for row in rows])
    for name, columns in found.items()
  }


@pytest.mark.parametrize(
  'mean', ['', pytest.param('logits', marks=pytest.mark.long), 'probabilities']
)
def test_the_file_and_the_object_say_the_same(home, tmp_path, mean):
  path, options = home / 'a', {}
  if mean:
    path, runs = tmp_path / 'mean', (str(home / 'a'), str(home / 'b'))
    options = {'ensemble__runs': runs, 'ensemble__mean': mean}
  images = sorted((home / 'images').iterdir())
  out = tmp_path / 'p.csv'
  run(
    *(path, 'predict'),
    predict__path=str(home / 'images'), predict__out=str(out), **options,
  )  # fmt: skip
  said, wanted = predicted(out)
  each = [aubal.load(home / name) for name in ('a', 'b')]
  found = [model.predict(images, batch_size=8) for model in each]
  assert 'expression' in repr(each[0])
  if not mean:
    decided = each[0].decide(found[0])
    harmless = [c.replace("'=", '=') for c in said]
    assert decided['expression'].tolist() == harmless
    np.testing.assert_array_equal(decided['va'], found[0]['va'])
    alone = each[0].decide(found[0]['labels'])
    np.testing.assert_array_equal(decided['labels'], alone)
    for name, x in wanted.items():
      np.testing.assert_array_equal(np.float32(x), found[0][name])
    empty = each[0].predict([])
    assert {k: x.shape for k, x in empty.items()} == {
      k: (0, x.shape[1]) for k, x in wanted.items()
    }
  if mean == 'probabilities':
    for name, x in wanted.items():
      by_hand = sum(one[name] for one in found) / 2
      np.testing.assert_allclose(x, by_hand, rtol=1e-5)
  if mean == 'logits':
    # The mean of what goes into a softmax, up to what is added to all.
    logits = sum(np.log(one['expression']) for one in found) / 2
    by_hand = special.softmax(logits, axis=1)
    np.testing.assert_allclose(wanted['expression'], by_hand, rtol=1e-3)
  assert wanted['age'].min() >= 0 and wanted['age'].max() <= 100
  np.testing.assert_allclose(wanted['expression'].sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
  'options',
  [
    {},
    pytest.param({'bins': 'none'}, marks=pytest.mark.long),
    pytest.param({'bins': 'centres', 'heads': 'deng'}, marks=pytest.mark.long),
  ],
)
def test_a_graph_has_all_heads(home, tmp_path, options):
  path = home / 'a' if not options else write(tmp_path / 'r', 3, **options)
  run(path, 'export', export__out=str(tmp_path / 'm.onnx'))
  record = files.read_json(tmp_path / 'm.onnx.json')
  assert max(record['compared']['difference'].values()) < 1e-5
  age = record['heads'][3]
  assert (age['low'], age['high'], age['names']) == (0, 100, ['age'])
  images = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 1), np.uint8)
  wanted = aubal.load(path).predict(images)
  session = onnxruntime.InferenceSession(tmp_path / 'm.onnx')
  for name, x in wanted.items():
    (found,) = session.run([name], {'image': images})
    near = 1e-5 * (100 if name == age['name'] else 1)  # Of its range.
    np.testing.assert_allclose(found, x, rtol=1e-4, atol=near)


@pytest.mark.long
@pytest.mark.parametrize('kind', ['stablehlo', 'safetensors'])
def test_other_files_have_all_heads(home, tmp_path, kind):
  out = tmp_path / f'm.{kind}'
  run(home / 'a', 'export', export__format=kind, export__out=str(out))
  record = files.read_json(tmp_path / f'm.{kind}.json')
  assert max(record['compared']['difference'].values()) < 1e-5
  assert [h['name'] for h in record['heads']] == ['labels', *OTHERS]


@pytest.mark.long
def test_a_mean_of_probabilities_is_one_graph(home, tmp_path):
  run(
    *(tmp_path, 'export'),
    ensemble__runs=(str(home / 'a'), str(home / 'b')),
    ensemble__mean='probabilities',
  )
  record = files.read_json(tmp_path / 'model.onnx.json')
  assert max(record['compared']['difference'].values()) < 1e-5


@pytest.mark.parametrize('library', ['torchvision', 'timm'])
def test_heads_of_several_layers_have_no_names_elsewhere(library):
  c = settings_lib.default()
  c.model.name, c.data.image_size = 'resnet8_16', 16
  c.multitask.heads = 'deng'
  c.export.format, c.export.names = 'safetensors', library
  described = bundle.describe(c, OTHERS)
  with pytest.raises(errors.UserError, match=r'heads=deng.*export\.names=own'):
    formats.check_names(c, described)
