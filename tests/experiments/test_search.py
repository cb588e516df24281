"""The grid search, on cells of a few steps."""

import csv
import dataclasses
import itertools
import pathlib
import random
import shlex
import sys
import time

import pytest
from matplotlib import figure as figure_lib

from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.experiments.search import grid as grid_lib
from aubal_jax.experiments.search import search
from aubal_jax.experiments.search import search_plot as report
from aubal_jax.network import log as log_lib
from aubal_jax.network import losses
from aubal_jax.network import step as step_lib
from aubal_jax.runs import files
from aubal_jax.runs import preemption
from aubal_jax.runs import workdir
from aubal_jax.stages import evaluate
from aubal_jax.stages import run as run_lib
from aubal_jax.stages import train
from tests.stages import test_line


@pytest.fixture(name='config')
def fixture_config(tmp_path):
  c = settings_lib.default()
  c.data.name = 'manifest'
  c.data.path = str(test_line.write_manifest(tmp_path / 'data'))
  c.data.image_size = 16
  c.balance.method = 'none'
  c.model.name = 'resnet8_16'
  c.train.batch_size = 4
  c.train.num_steps = 4
  c.train.eval_every_steps = 2
  c.train.checkpoint_every_steps = 1
  c.train.log_every_steps = 1
  c.search.losses = ('bce',)
  c.search.optimizers = ('sgd',)
  c.search.learning_rates = ('0.1,0.001',)
  c.search.batch_sizes = (4,)
  return c


def run(config, path, **options):
  config.task = 'search'
  commands.run_task(config, path, started=time.perf_counter(), **options)
  return pathlib.Path(path)


def read(path):
  return files.read_json(path / 'search.json')


def test_a_grid_is_compared_and_its_best_evaluated(
  config, tmp_path, capsys, monkeypatch
):
  monkeypatch.setattr(evaluate, 'run', lambda _: 1 / 0)  # No look at the test.
  opened = []
  read_images = run_lib._read_images
  monkeypatch.setattr(
    *(run_lib, '_read_images'),
    lambda *given: opened.append(read_images(*given)) or opened[-1],
  )
  monkeypatch.setattr(
    sys,
    'argv',
    [
      *('main', '--config=configs/search.py', '--workdir', 'x', '--overwrite'),
      *('--config.search.losses=bce', '--config.seed=0', '--config.task=no'),
    ],
  )
  config.search.batch_sizes = (4, 8)
  path = run(config, tmp_path / 'run')
  printed = capsys.readouterr().out
  assert len(opened) == 1
  record = read(path)
  rows = record['rows']
  scores = [row['f1_macro'] for row in rows]
  assert scores == sorted(scores, reverse=True)
  assert {(row['learning_rate'], row['batch_size']) for row in rows} == {
    *itertools.product((0.1, 0.001), (4, 8))
  }
  for row in rows:
    # Equal optimiser steps, whatever the batch.
    assert row['num_steps'] == 4 and row['curve']['step'] == [2, 4]
    cell = path / 'search' / row['cell']
    lines = log_lib.read_lines(cell / 'metrics.jsonl')
    seen = {x['step']: x['validation'] for x in lines if 'validation' in x}
    assert row['f1_macro'] == max(row['curve']['f1_macro'])
    for name in train.SCORES:
      assert row[name] == seen[row['step']][name]
    assert (cell / 'plan.npz').read_bytes() == (path / 'plan.npz').read_bytes()
    assert files.read_json(cell / 'config.json')['config']['seed'] == 0
    assert not (cell / 'report.json').exists()
  with open(path / 'search.csv', newline='') as file:
    table = list(csv.DictReader(file))
  assert [row['cell'] for row in table] == [row['cell'] for row in rows]
  assert float(table[0]['f1_macro']) == scores[0]
  assert (path / 'search.png').read_bytes().startswith(b'\x89PNG')
  places = [printed.index(report.line(row, train.SCORES)) for row in rows]
  assert places == sorted(places)
  command = next(x for x in printed.splitlines() if x.startswith('  python'))
  assert command == '  ' + shlex.join(
    [
      *('python', '-m', 'aubal_jax.main', '--config=configs/search.py'),
      '--config.seed=0',
      f'--workdir={path / "search" / rows[0]["cell"]}',
      *('--config.task=run', '--config.train.num_steps=4'),
      *('--config.loss.name=bce', '--config.train.optimizer=sgd'),
      f'--config.train.learning_rate={rows[0]["learning_rate"]}',
      f'--config.train.batch_size={rows[0]["batch_size"]}',
    ]
  )
  # Which finds the run trained, and goes on from there.
  monkeypatch.undo()
  for argument in shlex.split(command):
    key, _, value = argument.partition('=')
    if key.startswith('--config.'):
      section, _, name = key.removeprefix('--config.').rpartition('.')
      place = config[section] if section else config
      place[name] = type(place[name])(value)
  best = path / 'search' / rows[0]['cell']
  commands.run_task(config, best, started=time.perf_counter())
  assert capsys.readouterr().out.count('done before') == 2
  assert files.read_json(best / 'report.json')['step'] == rows[0]['step']


@pytest.mark.long
def test_it_goes_on_within_a_cell_to_the_same_end(
  config, tmp_path, monkeypatch
):
  straight = run(config, tmp_path / 'straight')
  trained = []
  make_step = step_lib.make_train_step

  def counted(*args, **options):
    step = make_step(*args, **options)

    def count(state, batch):
      trained.append(int(state.step))
      if len(trained) == 6:  # In the second cell.
        monkeypatch.setattr(preemption, '_received', 15)
      return step.run(state, batch)

    return dataclasses.replace(step, run=count)

  monkeypatch.setattr(step_lib, 'make_train_step', counted)
  with pytest.raises(SystemExit) as caught:
    run(config, tmp_path / 'cut')
  assert caught.value.code == 143
  assert not (tmp_path / 'cut/search.json').exists()
  monkeypatch.setattr(preemption, '_received', 0)
  path = run(config, tmp_path / 'cut')
  assert trained == [0, 1, 2, 3, 0, 1, 2, 3]
  for name in ('search.json', 'search.csv'):
    assert (path / name).read_bytes() == (straight / name).read_bytes()
  # What is done is not done again, and a larger grid is the same search.
  monkeypatch.setattr(run_lib, '_read_images', lambda *_: 1 / 0)
  run(config, path)
  monkeypatch.undo()
  monkeypatch.setattr(step_lib, 'make_train_step', counted)
  config.search.learning_rates = (0.1, 0.001, 0.01)
  run(config, path)
  assert len(trained) == 12 and len(read(path)['rows']) == 3


def test_failures_are_rows(config, tmp_path, monkeypatch, capsys):
  make_loss = losses.make_loss

  def full(name, **options):
    if name == 'focal':
      raise MemoryError('no room')
    return make_loss(name, **options)

  monkeypatch.setattr(losses, 'make_loss', full)
  config.search.losses = ('bce', 'focal')
  config.search.learning_rates = (1e30, 0.001)
  with pytest.raises(SystemExit) as caught:
    run(config, tmp_path / 'run')
  assert caught.value.code == 1
  rows = read(tmp_path / 'run')['rows']
  said = capsys.readouterr()
  assert [row['f1_macro'] is None for row in rows] == [False, *[True] * 3]
  assert rows[0]['learning_rate'] == 0.001 and rows[0]['status'] == ''
  status = {(r['loss'], r['learning_rate']): r['status'] for r in rows}
  assert 'lower the learning rate' in status['bce', 1e30]
  assert status['focal', 0.001] == 'failed: MemoryError: no room'
  for row in rows[1:]:
    assert row['cell'] in said.err and row['status'] in said.out
  assert 'Traceback' in said.err  # Of what is no question of settings.
  # Those alone are tried again.
  monkeypatch.undo()
  config.search.learning_rates = (0.001,)
  run(config, tmp_path / 'run')
  assert 'focal' in capsys.readouterr().out
  assert all(row['status'] == '' for row in read(tmp_path / 'run')['rows'])


def test_a_full_disk_ends_it(config, tmp_path, monkeypatch):
  def full(_):
    raise OSError(28, 'No space left on device', 'x')

  monkeypatch.setattr(train, 'run', full)
  with pytest.raises(OSError, match='No space'):
    run(config, tmp_path / 'run')
  assert not (tmp_path / 'run/search.json').exists()


@pytest.mark.parametrize(
  ('key', 'value', 'words'),
  [
    ('losses', ('bce,bec',), ['search.losses', 'bec', 'soft_f1']),
    ('optimizers', ('adm',), ['search.optimizers', 'adm', 'adam']),
    ('learning_rates', ('0.1,x',), ['search.learning_rates', "'x'"]),
    ('learning_rates', (-0.1,), ['search.learning_rates', '-0.1']),
    ('learning_rates', (float('nan'),), ['search.learning_rates', 'nan']),
    ('batch_sizes', ('8.5',), ['search.batch_sizes', '8.5']),
    ('batch_sizes', (8, 0), ['search.batch_sizes', '0']),
    ('batch_sizes', (8, 6), ['batch_size', '6', '4 devices']),
    ('losses', (), ['search.losses', 'empty']),
    ('metric', 'auc', ['search.metric', 'auc', 'f1_macro']),
  ],
)
def test_bad_settings_are_named_before_any_work(
  config, tmp_path, key, value, words
):
  config.search[key] = value
  with pytest.raises(ValueError) as caught:
    run(config, tmp_path / 'run')
  for word in words:
    assert word in str(caught.value)
  assert not (tmp_path / 'run').exists()


def test_without_a_validation_split_there_is_nothing_to_compare(
  config, tmp_path
):
  table = pathlib.Path(config.data.path)
  table.write_text(table.read_text().replace('validation', 'train'))
  with pytest.raises(ValueError, match='validation split'):
    run(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_another_search_in_the_folder_is_refused(config, tmp_path):
  config.search.learning_rates = (0.1,)
  config.train.num_steps = 1
  path = run(config, tmp_path / 'run')
  config.augment.flip = 0.25
  with pytest.raises(ValueError, match=r'augment\.flip: 0\.5 there, 0\.25 now'):
    run(config, path)
  run(config, path, overwrite=True)
  assert workdir.has_begun(path / 'search/bce-sgd-lr0.1-b4', 'train')


@pytest.mark.parametrize('metric', train.SCORES)
def test_the_metric_orders_the_rows(metric, tmp_path, capsys):
  rows = [
    dict.fromkeys(search._FIELDS)
    | grid_lib.Cell('bce', 'sgd', rate, 4)._asdict()
    | {'cell': f'{rate}', 'step': 1, 'num_steps': 1, 'status': ''}
    | {name: rate if name == metric else -rate for name in train.SCORES}
    | {'curve': {'step': [1], metric: [rate]}}
    for rate in (0.2, 0.1, 0.3)
  ]

  class Inputs:
    path = tmp_path
    num_steps = 1
    config = settings_lib.default()

  search._conclude(Inputs, rows, metric)
  assert [row['cell'] for row in read(tmp_path)['rows']] == [
    '0.3',
    '0.2',
    '0.1',
  ]
  assert 'lr0.3' in capsys.readouterr().out.splitlines()[-1]


def search_rows(rng, num_steps=2):
  """Rows of a table, the best first and the failed last; scores are drawn."""
  rows = []
  for loss, name, rate in itertools.product('xy', ('adam', 'sgd'), (0.1, 0.01)):
    score = None if rng.random() < 0.3 else round(rng.uniform(0.4, 0.45), 4)
    steps = [] if score is None else [*range(1, num_steps + 1)]
    rows.append(
      {
        'loss': loss,
        'optimizer': name,
        'learning_rate': rate,
        'batch_size': 2048,
        'f1_macro': score,
        'curve': {'step': steps, 'f1_macro': [score] * len(steps)},
      }
    )
  rows.sort(key=lambda row: (row['f1_macro'] is None, -(row['f1_macro'] or 0)))
  return rows


def test_the_heading_names_the_best_and_how_many_are_as_good():
  rng = random.Random(0)
  for _ in range(200):
    rows = search_rows(rng)
    scores = [r['f1_macro'] for r in rows if r['f1_macro'] is not None]
    words = report.conclusion(rows, 'f1_macro')
    if not scores:
      assert words == 'All 8 cells failed.'
      continue
    near = sum(scores[0] - x < 0.01 for x in scores[1:])
    best = rows[0]
    assert words == (
      f'Best: {best["loss"]}, {best["optimizer"]}, rate '
      f'{best["learning_rate"]:g}, batch 2,048, with F1 macro {scores[0]:.3f}. '
      f'{near} of {len(scores) - 1} others are less than 0.01 below it.'
    )


@pytest.mark.parametrize('num_steps', [1, 2])
def test_what_was_measured_once_has_no_course(tmp_path, monkeypatch, num_steps):
  figures, save = [], figure_lib.Figure.savefig

  def savefig(figure, *arguments, **settings):
    figures.append(figure)
    return save(figure, *arguments, **settings)

  monkeypatch.setattr(figure_lib.Figure, 'savefig', savefig)
  rows = search_rows(random.Random(1), num_steps)
  with open(tmp_path / 'x.png', 'wb') as file:
    report.draw(file, rows, metric='f1_macro')
  assert len(figures[0].axes) == 2 * num_steps
  assert figures[0].get_suptitle().startswith('Best: ')
