"""A table of features: the whole line without an image, from table to rows."""

import csv
import dataclasses
import time

import numpy as np
import pytest

import aubal_jax as aubal
from aubal_jax import commands
from aubal_jax import settings
from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.datasets import labels as labels_lib
from aubal_jax.datasets import targets as targets_lib
from aubal_jax.media import embedding
from aubal_jax.network import bundle
from aubal_jax.network import models
from aubal_jax.network.models import inputs
from aubal_jax.runs import files
from aubal_jax.runs import progress
from aubal_jax.stages import run as run_lib

N, LABELS = 80, ('glad', 'sad')
COLUMNS = tuple(f'e{k}' for k in range(5))


def draw(seed, num_rows=N, world=7):
  """Labels, and features of any place and scale that tell of them."""
  rng, world = np.random.default_rng(seed), np.random.default_rng(world)
  labels = (rng.random((num_rows, 2)) < (0.5, 0.3)).astype(np.uint8)
  features = rng.normal(size=(num_rows, 5)) + 2 * labels @ world.normal(
    size=(2, 5)
  )
  features = features * 10.0 ** world.integers(-3, 4, 5) + world.normal(
    0, 50, 5
  )
  features[:, world.integers(5)] = 7  # Tells nothing.
  return labels, features.astype(np.float32)


def write(path, labels, features):
  """Writes a table; without labels where they are None."""
  with open(path, 'w', newline='', encoding='utf-8') as file:
    rows = csv.writer(file)
    rows.writerow([*COLUMNS, *(LABELS if labels is not None else ())])
    for k, row in enumerate(features):
      cells = [repr(float(x)) for x in row]
      rows.writerow([*cells, *(labels[k] if labels is not None else ())])
  return path


def configuration(path, **changes):
  c = settings.default()
  c.data.name, c.data.path = 'manifest', str(path)
  c.data.feature_columns = COLUMNS
  c.model.name, c.balance.optimizer = 'features', 'ipm'  # Compiles nothing.
  c.train.batch_size, c.train.learning_rate = 16, 0.05
  c.train.num_steps, c.train.eval_every_steps = 30, 15
  for name, value in changes.items():
    section, _, key = name.rpartition('__')
    (c[section] if section else c)[key] = value
  return c


def plain():
  """What `aubal_jax predict RUN` begins with."""
  c = settings.default()
  c.data.name = 'manifest'
  return c


def run(config, path, task='run'):
  config.task = task
  commands.run_task(config, path, started=time.perf_counter())
  return path


def open_run(config, path):
  return run_lib.load(config, path, progress.Watch(time.perf_counter()))


def predicted(path):
  with open(path / 'predictions.csv', encoding='utf-8') as file:
    rows = list(csv.DictReader(file))
  return np.array([[float(row[name]) for name in LABELS] for row in rows])


@pytest.fixture(name='home', scope='module')
def fixture_home(tmp_path_factory):
  home = tmp_path_factory.mktemp('home')
  run(configuration(write(home / 'table.csv', *draw(0))), home / 'run')
  return home


def by_hand(trained, features, moments):
  """What a linear network says, in NumPy."""
  mean, std = moments
  seen = (np.float64(features) - mean) / np.where(std > 0, std, np.inf)
  head = trained.params['logits']
  return 1 / (1 + np.exp(-(seen @ np.float64(head['kernel']) + head['bias'])))


def test_a_table_goes_down_the_whole_line(home):
  """Balanced, trained, scored and reported; predictions are worked by hand."""
  path, config = home / 'run', configuration(home / 'table.csv')
  for name in ('plan.npz', 'report.html', 'checkpoints/card.md'):
    assert (path / name).stat().st_size, name
  dataset = open_run(config, path).dataset
  assert all(len(dataset.rows(split)) for split in dataset_lib.SPLITS)
  said = files.read_json(path / 'checkpoints/model.json')['streams']
  train = draw(0)[1][dataset.rows('train')]
  mean, std = embedding.moments(train)
  assert said == {
    'features': {
      **{'dtype': 'float32', 'shape': [5], 'columns': [*COLUMNS]},
      **{'mean': mean.tolist(), 'std': std.tolist()},
    }
  }
  assert (std == 0).sum() == 1
  np.testing.assert_allclose(mean, np.float64(train).mean(axis=0))
  report = files.read_json(path / 'report.json')
  assert report['num_images'] == len(dataset.rows('test'))
  assert report['f1_macro'] > report['floors']['all_positive']['f1_macro']
  trained = bundle.load(path / 'checkpoints')
  run(plain(), path, 'predict')  # A split of the run's own table.
  wanted = by_hand(trained, draw(0)[1][dataset.rows('test')], (mean, std))
  np.testing.assert_allclose(predicted(path), wanted, atol=1e-3)


def test_rows_that_are_new_are_predicted(home, capsys):
  """From a table without labels, and as arrays; NaN is the training mean."""
  path = home / 'run'
  trained = bundle.load(path / 'checkpoints')
  seen = trained.description.streams['features']
  moments = np.array(seen['mean']), np.array(seen['std'])
  model = aubal.load(path)
  assert '5 features' in repr(model)
  for seed in (1, 2):
    features = draw(seed, 70)[1]
    features[3, seed] = np.nan
    write(home / 'new.csv', None, features)
    text = (home / 'new.csv').read_text(encoding='utf-8')
    (home / 'new.csv').write_text(text.replace('nan', ''), encoding='utf-8')
    np.savez(home / 'new.npz', features=features)
    found = model.predict(features)
    filled = np.where(np.isnan(features), moments[0], features)
    wanted = by_hand(trained, filled, moments)
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    for ending in ('csv', 'npz'):
      config = plain()
      config.predict.path = str(home / f'new.{ending}')
      for old in path.glob('predictions.*'):
        old.unlink()
      run(config, path, 'predict')
      np.testing.assert_allclose(predicted(path), found, rtol=1e-7)
  assert 'predict: 70 rows of' in capsys.readouterr().out
  for bad, words in (
    (features[:, :4], r'\[N, 5\].* not \[70, 4\]'),
    (features[0], r'\[N, 5\]'),
    (np.full((2, 5), 1e39), 'feature 0 of row 0'),
  ):
    with pytest.raises(ValueError, match=words):
      model.predict(bad)


def test_hidden_layers_learn_what_no_line_parts(tmp_path):
  """Exclusive or, of an .npz: its splits are drawn, and it goes on."""
  rng = np.random.default_rng(0)
  features = rng.uniform(-1, 1, (400, 2))
  labels = np.stack([features.prod(axis=1) > 0, features[:, 0] > 0], axis=1)
  np.savez(tmp_path / 'table.npz', labels=labels, features=features)
  config = configuration(
    tmp_path / 'table.npz',
    data__name='labels',
    data__feature_columns=(),
    model__hidden=(16, 8),
    loss__name='bce',
    train__num_steps=300,
    train__eval_every_steps=150,
    train__learning_rate=0.02,
  )
  path = run(config, tmp_path / 'run')
  report = files.read_json(path / 'report.json')
  assert report['per_label']['label_0']['auc'] > 0.9
  trained = bundle.load(path / 'checkpoints')
  shapes = [x.shape for x in trained.params['Dense_1'].values()]
  assert sorted(shapes) == [(8,), (16, 8)]
  assert trained.description.model['hidden'] == [16, 8]


@pytest.mark.long
def test_controls_a_search_and_a_mean_need_no_images(home, tmp_path):
  """Members of the mean standardise each by its own training rows."""
  steps = {'train__num_steps': 6, 'train__eval_every_steps': 3}
  for seed in range(2):
    config = configuration(
      home / 'table.csv', seed=seed, controls__methods=('none',), **steps
    )
    path = run(config, tmp_path / f'run{seed}')
    assert {*files.read_json(path / 'controls.json')['networks']} == {
      *('aubal', 'none')
    }
  config = configuration(
    home / 'table.csv',
    search__losses=('bce',),
    search__inits=('he_normal',),
    search__learning_rates=(0.1, 0.01),
    **steps,
  )
  run(config, tmp_path / 'search', 'search')
  assert (tmp_path / 'search/best.py').exists()
  config = plain()
  members = [tmp_path / f'run{seed}' for seed in range(2)]
  config.ensemble.runs = tuple(map(str, members))
  config.predict.path = str(home / 'table.csv')
  (tmp_path / 'mean').mkdir()
  run(config, tmp_path / 'mean', 'predict')
  wanted = []
  for member in members:
    trained = bundle.load(member / 'checkpoints')
    seen = trained.description.streams['features']
    moments = np.array(seen['mean']), np.array(seen['std'])
    probability = by_hand(trained, draw(0)[1], moments)
    wanted.append(np.log(probability / (1 - probability)))
  found = predicted(tmp_path / 'mean')
  logits = np.log(found / (1 - found))
  np.testing.assert_allclose(logits, np.mean(wanted, axis=0), atol=1e-2)


def test_what_is_said_of_features_is_read_again(tmp_path):
  """And members of an ensemble may standardise each by its own rows."""
  for seed in range(6):
    rng = np.random.default_rng(seed)
    labels, features = draw(seed, 12)
    data = dataset_lib.Dataset(
      labels=labels,
      known=labels >= 0,
      label_names=LABELS,
      split=np.resize(['train', 'train', 'test'], 12),
      ids=np.arange(12).astype(str),
      features=features,
    )
    config = configuration('t.csv')
    config.model.hidden = tuple(map(int, rng.integers(1, 9, seed % 3)))
    config.data.feature_columns = COLUMNS if seed % 2 else ()
    said = bundle.describe(config, data.targets, data.stream)
    bundle.write(tmp_path, said)
    assert bundle.read(tmp_path) == said
    assert files.read_json(tmp_path / 'model.json')['format'] == 4


def test_features_are_standardised_as_neighbours_are_found():
  for seed in range(20):
    _, features = draw(seed, 30, world=seed)
    mean, std = embedding.moments(features)
    found = inputs.standardise(features, mean.tolist(), std.tolist())
    wanted = embedding.standardise(features)
    assert found.dtype == np.float32
    off = np.where(std > 0, abs(mean) / np.where(std > 0, std, 1), 0)
    assert (abs(found - wanted) <= 2e-6 + 1e-7 * off[None]).all()


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'data__crop': 'mtcnn'}, 'data.crop is of images'),
    ({'data__normalise': 'imagenet'}, 'data.normalise is of images'),
    ({'augment__policy': 'mine.py'}, 'augment.policy is of images'),
    ({'augment__backend': 'device'}, 'augment.backend is of images'),
    ({'augment__strength': 2.0}, 'augment.strength is of images'),
    ({'data__name': 'synthetic', 'data__feature_columns': ()}, 'is for tables'),
    ({'model__hidden': (0,)}, 'model.hidden must be'),
    ({'model__name': 'resnet18', 'model__hidden': (3,)}, 'model.hidden must'),
    ({'data__feature_columns': ()}, "'e0'"),
    ({'data__feature_columns': ('e9',)}, 'data.feature_columns'),
    ({'data__exclude_columns': COLUMNS, 'data__feature_columns': ()}, 'none'),
    ({'balance__method': 'smote', 'balance__features': 'pixels'}, 'no images'),
  ],
)
def test_what_is_wrong_is_told(home, tmp_path, changes, words):
  config = configuration(home / 'table.csv', **changes)
  if config.model.name == 'resnet18':
    config.data.name = 'labels'
  with pytest.raises(ValueError, match=words):
    run(config, tmp_path / 'run')


def test_a_target_may_not_be_called_like_the_stream():
  labels, features = draw(0)
  target = targets_lib.Target(
    'class', np.zeros(N, np.int16), labels[:, 0] < 2, 'ab'
  )
  data = dataset_lib.Dataset(
    labels=labels,
    known=labels >= 0,
    label_names=LABELS,
    split=np.full(N, 'train'),
    ids=np.arange(N).astype(str),
    features=features,
    targets={'features': target},
  )
  with pytest.raises(ValueError, match='a target is called so'):
    data.stream('features')
  with pytest.raises(ValueError, match='this data set has none'):
    dataclasses.replace(data, features=None).stream('features')


def test_images_and_features_are_told_apart(tmp_path):
  assert models.streams_of('features') == ('features',)
  assert models.streams_of('resnet8_16') == ('image',)
  with pytest.raises(ValueError, match='of another form'):
    labels_lib.read_features(write(tmp_path / 'table.csv', *draw(0)))
