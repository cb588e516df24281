"""A recurrent head on a table of videos: windows, scores, what is refused."""

import csv

import jax
import numpy as np
import pytest
from scipy import special

from aubal_jax import settings
from aubal_jax.network import bundle
from aubal_jax.network import inference
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import progress
from aubal_jax.stages import evaluate
from aubal_jax.stages import run as run_lib
from aubal_jax.stages import sequence
from aubal_jax.tables import plan as plan_lib
from tests.stages import test_features as of_features

SPLITS = ('train', 'train', 'validation', 'test')
COLUMNS = ('e0', 'e1', 'e2')


def write(path, lengths, seed=0):
  """Videos of which a row alone tells little, and its neighbours much."""
  rng = np.random.default_rng(seed)
  rows = []
  for video, length in enumerate(lengths):
    smooth = np.cumsum(rng.normal(size=(length, 2)), axis=0)
    smooth -= smooth.mean(axis=0)
    noisy = smooth + rng.normal(0, 3, smooth.shape)
    turn = rng.random(length)
    for t in range(length):
      cells = [*noisy[t], turn[t], *(smooth[t] > 0).astype(int)]
      rows.append([SPLITS[video % 4], f'v{video}', t, *cells])
  rng.shuffle(rows)  # Time is what the column says.
  with open(path, 'w', newline='', encoding='utf-8') as file:
    table = csv.writer(file)
    table.writerow(['split', 'video', 'frame', *COLUMNS, *of_features.LABELS])
    table.writerows(rows)
  return path


def configuration(path, **changes):
  c = settings.default()
  c.data.name, c.data.path = 'manifest', str(path)
  c.data.feature_columns = COLUMNS
  c.data.group_column, c.data.frame_column = 'video', 'frame'
  c.model.name, c.balance.method = 'features', 'none'
  c.loss.name, c.augment.rows = 'bce', 'none'
  c.train.learning_rate, c.train.batch_size = 0.01, 64
  c.train.num_steps, c.train.eval_every_steps = 60, 30
  c.multitask.heads, c.multitask.window = 'gru', 8
  for name, value in changes.items():
    section, _, key = name.rpartition('__')
    c[section][key] = value
  return c


@pytest.fixture(name='whole', scope='module')
def fixture_whole(tmp_path_factory):
  folder = tmp_path_factory.mktemp('videos')
  table = write(folder / 't.csv', [30, 23, 30, 35, 5, 41, 29, 40, 33, 3, 7, 9])
  config = configuration(table)
  return of_features.run(config, folder / 'run'), config


def test_neighbours_tell_more_than_a_row_alone(whole, tmp_path):
  path, config = whole
  report = files.read_json(path / 'report.json')
  assert report['num_images'] == 35 + 40 + 9
  alone = config.copy_and_resolve_references()
  alone.multitask.heads = 'dense'
  other = of_features.run(alone, tmp_path / 'alone')
  other = files.read_json(other / 'report.json')
  assert report['f1_macro'] > other['f1_macro'] + 0.05


def test_every_row_is_scored_once_in_its_window(whole, monkeypatch):
  path, config = whole
  watch = progress.Watch(0.0)
  run = run_lib.load(config, path, watch)
  found = evaluate.predict(run)
  assert found.rows.tolist() == run.dataset.rows('test').tolist()
  seen = []
  predict_rows = inference.predict_rows

  def kept(run, streams, rows, **options):
    if 'windows' not in options:
      seen.append(rows)
    return predict_rows(run, streams, rows, **options)

  monkeypatch.setattr(inference, 'predict_rows', kept)
  for size in (1, 1000):  # Whatever the batches.
    config = config.copy_and_resolve_references()
    config.evaluate.batch_size = size
    again = evaluate.predict(run_lib.load(config, path, watch))
    np.testing.assert_allclose(again.probability, found.probability, atol=1e-6)
  for rows in seen:
    for window in np.asarray(rows).reshape(-1, 8):
      assert len({*run.dataset.groups[window]}) == 1
      assert (np.diff(run.dataset.frames[window]) >= 0).all()


@pytest.mark.long
def test_a_run_that_goes_on_equals_a_straight_one(whole, tmp_path):
  path, config = whole
  config = config.copy_and_resolve_references()
  config.train.num_steps = 30
  of_features.run(config, tmp_path / 'two')
  config.train.num_steps = 60
  of_features.run(config, tmp_path / 'two')
  name = 'report.json'
  assert (tmp_path / 'two' / name).read_bytes() == (path / name).read_bytes()


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'balance__method': 'aubal'}, r'balance\.method must be none .*aubal'),
    ({'augment__rows': 'all'}, r'augment\.rows must be none .*all'),
    ({'train__batch_size': 40}, r'8 rows x 4; it is 40: take 32 or 64'),
    ({'multitask__window': 0}, r'multitask\.window .*0'),
  ],
)
def test_what_does_not_go_with_windows_is_named(
  whole, tmp_path, changes, words
):
  config = configuration(whole[1].data.path, **changes)
  with pytest.raises(errors.UserError, match=words):
    of_features.run(config, tmp_path / 'run')


def test_videos_shorter_than_a_window_are_counted(whole, capsys):
  path, config = whole
  config = config.copy_and_resolve_references()
  config.multitask.window = 64
  run = run_lib.load(config, path, progress.Watch(0.0))
  plan = plan_lib.load(path / 'plan.npz')
  found = sequence.make_plan(plan, config, run.dataset)
  said = capsys.readouterr().out
  assert '6 windows of 64 rows; 6 of the videos are shorter' in said
  assert len(found) == 6 * 64
  assert {*found.source} == {*plan.source}


@pytest.mark.long
def test_windows_of_what_another_run_sees(whole, tmp_path):
  """The 128 numbers of each head of Deng's, which stay as they were."""
  config = configuration(
    whole[1].data.path,
    multitask__heads='deng',
    train__num_steps=20,
    train__eval_every_steps=10,
  )
  first = of_features.run(config, tmp_path / 'first')
  before = bundle.load(first / 'checkpoints').digest()
  config.multitask.heads = 'gru'
  config.multitask.features_of = str(first)
  path = of_features.run(config, tmp_path / 'second')
  described = bundle.read(path / 'checkpoints')
  seen = described.streams['features']
  assert seen['shape'] == (128,) and seen['parts'] == {'labels': (0, 128)}
  trained = bundle.load(path / 'checkpoints')
  count = sum(x.size for x in jax.tree.leaves(trained.params))
  assert count == 74_240 + 128 * 2 + 2
  assert bundle.load(first / 'checkpoints').digest() == before
  report = files.read_json(path / 'report.json')
  assert report['num_images'] == 35 + 40 + 9
  # What the last dense layer makes of them is what that network says.
  run = run_lib.load(config, path, progress.Watch(0.0))
  rows = run.dataset.rows('test')
  teacher = bundle.load(first / 'checkpoints')
  last = teacher.params['logits']['outputs']
  logits = run.dataset.stream('features').take(rows) @ last['kernel']
  said = evaluate.predict(
    run_lib.load(_of_rows(config), first, progress.Watch(0.0))
  )
  np.testing.assert_allclose(
    special.expit(logits + last['bias']), said.probability, atol=1e-5
  )


def _of_rows(config):
  config = config.copy_and_resolve_references()
  config.multitask.heads, config.multitask.features_of = 'deng', ''
  return config
