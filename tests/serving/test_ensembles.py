"""The mean of trained networks is that of their outputs, in any order."""

import csv
import itertools
import json
import pathlib
import shutil
import time

import jax
import numpy as np
import pytest

from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.network import bundle
from aubal_jax.network import checkpoint
from aubal_jax.network import ensemble
from aubal_jax.network import inference
from aubal_jax.runs import files
from aubal_jax.runs import progress
from aubal_jax.runs import workdir
from aubal_jax.scoring import thresholds
from aubal_jax.serving import networks
from aubal_jax.serving import predictions
from aubal_jax.stages import run as run_lib
from tests.makers import damage as damage_lib
from tests.makers import small_network
from tests.serving import test_predictions

LABELS = ('bright', 'edge')


def configuration(table, **changes):
  c = settings_lib.default()
  c.data.name, c.data.path = 'manifest', str(table)
  c.data.image_size = 16
  c.balance.method = 'none'
  c.model.name = small_network.NAME
  c.train.batch_size, c.train.num_steps = 8, 1
  c.evaluate.batch_size = c.predict.batch_size = 8
  for name, value in changes.items():
    section, _, key = name.rpartition('__')
    (c[section] if section else c)[key] = value
  return c


def run(config, path, task, **options):
  config.task = task
  commands.run_task(config, path, started=time.perf_counter(), **options)
  return pathlib.Path(path)


@pytest.fixture(name='runs', scope='module')
def fixture_runs(tmp_path_factory):
  """A folder with a table, and runs a, b, c of it, as if they were trained."""
  home = tmp_path_factory.mktemp('runs')
  table = test_predictions.write_table(home / 'data', labels=LABELS)
  config = configuration(table)
  own = run_lib.load(config, home / 'a', progress.Watch(0.0))
  described = bundle.describe(config, own.dataset.targets)
  parts = *bundle.make_network(described), described
  state = jax.tree.map(
    lambda x: np.zeros(x.shape, x.dtype),
    jax.eval_shape(lambda: bundle.first_state(*parts)),
  )
  for seed, name in enumerate('abc'):
    path = home / name
    rng = np.random.default_rng(seed)
    moved = jax.tree.map(
      lambda x, rng=rng: rng.normal(0, 0.3, x.shape).astype(x.dtype),
      state.params,
    )
    ones = jax.tree.map(np.ones_like, state.batch_stats)
    found = thresholds.Thresholds(
      rng.random(2), rng.random(), rng.integers(1, 30, 2)
    )
    with checkpoint.open_checkpoints(path / 'checkpoints') as kept:
      bundle.write(path / 'checkpoints', described)
      checkpoint.save(
        kept,
        state.replace(params=moved, batch_stats=ones),
        {'f1_macro': 0.5, **found.to_json()},
      )
    workdir.begin(path, 'train', own.pinned, config)
  return home


@pytest.fixture(name='evaluated', scope='module')
def fixture_evaluated(runs):
  """The folder of an ensemble that was evaluated."""
  config = of_runs(runs, 'ab')
  return run(config, runs / 'mean', 'evaluate')


def of_runs(home, names, **changes):
  members = tuple(str(home / name) for name in names)
  return configuration(
    home / 'data/table.csv', ensemble__runs=members, **changes
  )


def read_rows(path):
  with open(path, newline='') as file:
    return list(csv.DictReader(file))


def columns(path, suffix=''):
  rows = read_rows(path)
  return np.array([[float(row[n + suffix]) for n in LABELS] for row in rows])


def labels_of(home, split):
  rows = [r for r in read_rows(home / 'data/table.csv') if r['split'] == split]
  return np.array([[int(row[name]) for name in LABELS] for row in rows])


def logit(p):
  p = np.asarray(p, np.float64)
  return np.log(p / (1 - p))


def average(said, mean):
  """The mean of probabilities, float64[K, ...], by hand."""
  if mean == 'probabilities':
    return np.mean(said, axis=0)
  return 1 / (1 + np.exp(-np.mean(logit(said), axis=0)))


def test_the_mean_is_that_by_hand_and_has_no_order(runs):
  images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 1), np.uint8)

  def said_by(run):
    return np.asarray(run({'image': images})[bundle.LABELS], np.float64)

  own = {name: bundle.load(runs / name / 'checkpoints') for name in 'abc'}
  described = own['a'].description
  predict = inference.make_predict(
    bundle.make_network(described)[0], described.heads
  )
  alone = {
    name: said_by(predict(one.params, one.batch_stats))
    for name, one in own.items()
  }
  assert np.ptp([*alone.values()], axis=0).min() > 1e-4
  for names in itertools.permutations('abc'):
    loaded = ensemble.load([runs / name for name in names])
    told = [member['weights'] for member in loaded.describe()]
    assert told == sorted(one.digest() for one in own.values())
    of_folders = [own[folder.name].digest() for folder in loaded.folders]
    assert of_folders == told
  for mean, orders in (('logits', ('cab', 'bca')), ('probabilities', ('ab',))):
    got = [
      said_by(
        ensemble.load([runs / n for n in names], mean=mean).make_predict()
      )
      for names in orders
    ]
    np.testing.assert_array_equal(got[0], got[-1])
    wanted = average([alone[name] for name in orders[0]], mean)
    np.testing.assert_allclose(got[0], wanted, rtol=1e-4, atol=1e-6)


def test_predictions_are_of_the_mean_and_go_on_after_a_stop(
  runs, evaluated, tmp_path, monkeypatch
):
  config = of_runs(runs, 'ba')
  config.predict.split = 'test'
  path = shutil.copytree(evaluated, runs / 'straight')
  run(config, path, 'predict')
  written = columns(path / 'predictions.csv')
  said = []
  for name in 'ab':
    alone = configuration(runs / 'data/table.csv')
    alone.predict.out = str(tmp_path / f'{name}.csv')
    run(alone, runs / name, 'predict')
    said.append(columns(alone.predict.out))
  np.testing.assert_allclose(written, average(said, 'logits'), rtol=1e-4)
  kept = files.read_json(evaluated / 'ensemble.json')
  shrunk = thresholds.from_json(kept).shrunk
  taken = columns(path / 'predictions.csv', '_threshold')
  np.testing.assert_array_equal(taken, np.tile(shrunk, (len(taken), 1)))
  decided = columns(path / 'predictions.csv', '_decision')
  np.testing.assert_array_equal(decided, written >= shrunk)
  # Stopped after a batch, in a folder that names no runs.
  again = shutil.copytree(evaluated, runs / 'stopped')
  real = predictions.write_predictions

  def stop(*given, **named):
    polled = iter([False, True])
    return real(*given, **named | {'should_stop': lambda: next(polled)})

  monkeypatch.setattr(predictions, 'write_predictions', stop)
  alone = configuration(runs / 'data/table.csv')
  with pytest.raises(FileNotFoundError):
    run(alone, again, 'predict')
  assert 1 < len(read_rows(again / 'predictions.csv.partial')) < len(written)
  monkeypatch.setattr(predictions, 'write_predictions', real)
  run(alone, again, 'predict')
  one, other = ((p / 'predictions.csv').read_bytes() for p in (path, again))
  assert one == other


def test_evaluation_tunes_on_the_mean_over_validation(runs, evaluated):
  kept = files.read_json(evaluated / 'ensemble.json')
  loaded = ensemble.load([runs / 'a', runs / 'b'])
  report = files.read_json(evaluated / 'report.json')
  found = {}
  for split in ('validation', 'test'):
    alone = configuration(runs / 'data/table.csv', predict__split=split)
    alone.predict.out = str(runs / f'{split}.csv')
    run(alone, evaluated, 'predict', overwrite=True)
    found[split] = columns(runs / f'{split}.csv')
  label = labels_of(runs, 'validation')
  tuned = thresholds.find(found['validation'], label)
  np.testing.assert_allclose(kept['thresholds'], tuned.labels, rtol=1e-6)
  assert kept['shrinking']['threshold'] == pytest.approx(tuned.of_all)
  assert kept['shrinking']['positives'] == label.sum(axis=0).tolist()
  assert kept['mean'] == 'logits' and kept['label_names'] == [*LABELS]
  assert sorted(m['folder'] for m in kept['members']) == ['../a', '../b']
  label = labels_of(runs, 'test')
  for kind, t in (('tuned', tuned.labels), ('shrunk', tuned.shrunk)):
    said = found['test'] >= t
    hits, wrong = (said & (label == 1)).sum(0), (said != label).sum(0)
    f1 = np.where(hits > 0, 2 * hits / np.maximum(2 * hits + wrong, 1), 0)
    assert report[kind]['f1_macro'] == pytest.approx(f1.mean(), abs=1e-6)
  assert report['checkpoint'] == 'ensemble' and not report['cross_fitted']
  assert [m['weights'] for m in report['ensemble']['members']] == [
    m.digest() for m in loaded.members
  ]
  assert str(runs) not in json.dumps(report)


def test_without_evaluation_thresholds_are_means_and_that_is_said(
  runs, tmp_path, capsys
):
  own = [bundle.load(runs / name / 'checkpoints') for name in 'abc']
  own = [one.thresholds[bundle.LABELS] for one in own]
  taken = {}
  for kind in ('shrunk', 'tuned'):
    config = of_runs(runs, 'abc', predict__thresholds=kind)
    members = networks.members(config, tmp_path)
    loaded = networks.load(config, tmp_path, members)
    assert 'means, on logits' in capsys.readouterr().out
    each = [one.shrunk if kind == 'shrunk' else one.labels for one in own]
    wanted = 1 / (1 + np.exp(-logit(each).mean(axis=0)))
    taken[kind] = networks.thresholds(config, loaded)
    np.testing.assert_allclose(taken[kind], wanted, rtol=1e-6)
  path = run(of_runs(runs, 'abc'), tmp_path / 'mean', 'predict')
  written = columns(path / 'predictions.csv', '_threshold')
  np.testing.assert_array_equal(written[0], taken['shrunk'])
  # Then it may be evaluated there.
  run(of_runs(runs, 'abc'), path, 'evaluate')
  assert (path / 'ensemble.json').exists()
  with pytest.raises(ValueError, match='of other thresholds'):
    run(of_runs(runs, 'abc'), path, 'predict')


def test_without_a_test_split_scores_are_cross_fitted(runs, tmp_path, capsys):
  table = tmp_path / 'table.csv'
  lines = (runs / 'data/table.csv').read_text()
  table.write_text(lines.replace(',test,', ',train,'))
  config = of_runs(runs, 'ab')
  config.data.path, config.data.image_dir = str(table), str(runs / 'data')
  path = run(config, tmp_path / 'mean', 'evaluate')
  report = files.read_json(path / 'report.json')
  assert report['split'] == 'validation' and report['cross_fitted']
  kept = files.read_json(path / 'ensemble.json')
  for i, name in enumerate(LABELS):
    tuned = report['per_label'][name]['tuned']
    assert tuned['threshold'] == pytest.approx(kept['thresholds'][i])
    assert len(tuned['thresholds_of_halves']) == 2
  # Rows that are scored here would have trained there, had they other splits.
  assert 'may have trained it' in capsys.readouterr().err


def test_the_page_tells_of_the_mean(runs, evaluated):
  copy = shutil.copytree(evaluated, runs / 'page')
  run(of_runs(runs, 'ab'), copy, 'report')
  assert 'the mean of 2 networks reaches' in (copy / 'report.html').read_text()


def changed(home, name, change):
  """A copy of run b whose model.json says something else."""
  copy = shutil.copytree(home / 'b', home / name)
  file = copy / 'checkpoints/model.json'
  content = files.read_json(file)
  del content['sum']
  change(content)
  files.write_json(file, content)
  return copy


@pytest.mark.parametrize(
  ('what', 'words'),
  [
    ('other names', ['labels, in one order', "'dark'", 'data.label_columns']),
    ('other order', ['labels, in one order', "['edge', 'bright']"]),
    ('another head', ['heads', "'views'"]),
    ('another size', ['data.image_size', '16', '32']),
    ('streams', ['streams', "'sound'"]),
    ('the same folder', ['once', 'two are the same']),
    ('a copy', ['once', 'two are the same']),
    ('one', ['two or more']),
    ('no run', ['checkpoints', 'train first']),
  ],
)
@pytest.mark.parametrize('task', ['predict', 'evaluate'])
def test_members_that_cannot_be_averaged_are_told(
  runs, tmp_path, what, words, task
):
  home = tmp_path / 'home'
  home.mkdir()
  for name in 'ab':
    (home / name).symlink_to(runs / name)
  (home / 'data').symlink_to(runs / 'data')

  def change(content):
    (head,) = content['heads']
    if what == 'other names':
      head['names'] = ['dark', 'edge']
    elif what == 'other order':
      head['names'] = head['names'][::-1]
    elif what == 'another head':
      content['heads'].append(head | {'name': 'views'})
    elif what == 'another size':
      content['streams']['image']['image_size'] = 32
    else:
      content['streams']['sound'] = {'dtype': 'float32', 'shape': [3]}

  names = {'the same folder': ['b', '../home/b'], 'one': ['b']}.get(what)
  if what == 'a copy':
    shutil.copytree(runs / 'b', home / 'c')
    names = ['b', 'c']
  elif what == 'no run':
    names = ['b', 'nowhere']
  elif names is None:
    changed(home, 'c', change)
    names = ['a', 'c']
  config = of_runs(home, names)
  with pytest.raises((ValueError, FileNotFoundError)) as caught:
    run(config, home / 'mean', task)
  for word in words:
    assert word in str(caught.value)
  assert not (home / 'mean/ensemble.json').exists()
  assert not (home / 'mean/predictions.csv').exists()


def test_members_that_trained_on_are_told(runs, evaluated, tmp_path):
  home = tmp_path / 'home'
  for name in 'ab':
    shutil.copytree(runs / name, home / name)
  shutil.copytree(evaluated, home / 'mean')
  (home / 'data').symlink_to(runs / 'data')
  alone = configuration(runs / 'data/table.csv')
  run(alone, home / 'mean', 'predict')  # Moved together.
  shutil.rmtree(home / 'a')
  shutil.copytree(runs / 'c', home / 'a')
  with pytest.raises(ValueError, match='of other networks'):
    run(alone, home / 'mean', 'predict', overwrite=True)
  config = of_runs(home, 'ab', ensemble__mean='probabilities')
  with pytest.raises(ValueError, match='evaluate task there once more'):
    run(config, home / 'mean', 'predict', overwrite=True)


@pytest.mark.parametrize(
  ('content', 'words'),
  [
    ('{"format": 1', 'is damaged'),
    ('[]', 'is damaged'),
    ('{"format": 2}', 'of format 2'),
    (None, 'is damaged'),
  ],
)
def test_a_damaged_ensemble_json_is_told(
  runs, evaluated, tmp_path, content, words
):
  path = shutil.copytree(evaluated, tmp_path / 'mean')
  file = path / 'ensemble.json'
  if content is None:  # A digit of a threshold.
    kept = files.read_json(file)
    kept['thresholds'][0] += 1e-3
    content = json.dumps(kept)
  file.write_text(content)
  with pytest.raises(ValueError, match=words):
    run(configuration(runs / 'data/table.csv'), path, 'predict')


def test_a_mean_has_a_folder_of_its_own(runs):
  for task in ('evaluate', 'predict'):
    with pytest.raises(ValueError, match='the folder of a run of its own'):
      run(of_runs(runs, 'ab'), runs / 'c', task)
  with pytest.raises(ValueError, match='the tasks evaluate and predict'):
    run(of_runs(runs, 'ab'), runs / 'd', 'run')


def test_the_data_set_must_be_that_of_the_members(runs, tmp_path):
  config = of_runs(runs, 'ab')
  config.data.image_size = 20
  with pytest.raises(ValueError, match=r'image_size=16.*image_size=20'):
    run(config, tmp_path / 'mean', 'evaluate')
  config = of_runs(runs, 'ab')
  config.data.label_columns = LABELS[::-1]
  with pytest.raises(ValueError, match=r"'edge', 'bright'.*'bright', 'edge'"):
    run(config, tmp_path / 'mean', 'evaluate')


def test_members_without_thresholds_have_a_half(runs, tmp_path, capsys):
  for name in 'ab':
    shutil.copytree(runs / name, tmp_path / name)
  for saved in tmp_path.glob('a/checkpoints/*/metrics/metrics'):
    kept = json.loads(saved.read_text())
    saved.write_text(json.dumps(kept | {'thresholds': None}))
  damage_lib.without_sums(tmp_path / 'a/checkpoints')
  (tmp_path / 'data').symlink_to(runs / 'data')
  path = run(of_runs(tmp_path, 'ab'), tmp_path / 'mean', 'predict')
  assert '.5 is taken' in capsys.readouterr().out
  assert (columns(path / 'predictions.csv', '_threshold') == 0.5).all()


@pytest.mark.long
def test_the_mean_of_runs_that_were_trained(tmp_path):
  """The whole line, with seeds of their own."""
  table = test_predictions.write_table(tmp_path / 'data', labels=LABELS)
  said = []
  for seed, name in enumerate('ab'):
    config = configuration(table, seed=seed, train__num_steps=4)
    run(config, tmp_path / name, 'run')
    run(config, tmp_path / name, 'predict')
    said.append(columns(tmp_path / name / 'predictions.csv'))
  assert not np.allclose(*said)
  path = run(of_runs(tmp_path, 'ab'), tmp_path / 'mean', 'evaluate')
  run(configuration(table), path, 'predict')
  written = columns(path / 'predictions.csv')
  np.testing.assert_allclose(written, average(said, 'logits'), rtol=1e-4)
