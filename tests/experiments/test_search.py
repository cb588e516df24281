"""The search for a recipe, on cells of a few steps."""

import contextlib
import csv
import dataclasses
import itertools
import json
import pathlib
import random
import runpy
import time
import types

import numpy as np
import pytest
from matplotlib import figure as figure_lib

from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.experiments.search import grid as grid_lib
from aubal_jax.experiments.search import rungs as rungs_lib
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
from tests.makers import small_runs


@pytest.fixture(name='config')
def fixture_config(tmp_path):
  c = small_runs.configure_cells(tmp_path)
  c.search.optimizers = ('sgd',)
  c.search.learning_rates = ('0.1,0.001',)
  c.search.batch_sizes = (4,)
  c.search.inits = ('he_normal',)
  c.search.halving = 0
  c.search.metric = 'f1_macro'
  return c


def run(config, path, *, draws=False, **options):
  """Runs the search; its picture is a blank one unless it `draws`."""
  blank = contextlib.nullcontext() if draws else small_runs.without_pictures()
  with blank:
    return small_runs.run(config, path, 'search', **options)


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
  config.search.batch_sizes = (4, 8)
  path = run(config, tmp_path / 'run', draws=True)
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
  assert '\n'.join(report.table(rows, train.SCORES)) in printed
  best = path / 'search' / rows[0]['cell']
  command = next(x for x in printed.splitlines() if x.startswith('  python'))
  assert command.split() == [
    *('python', '-m', 'aubal_jax.main', f'--config={path / "best.py"}'),
    f'--workdir={best}',
  ]
  # Which finds the run trained, and goes on from there, from any folder.
  monkeypatch.undo()
  monkeypatch.chdir('/')
  found = runpy.run_path(str(path / 'best.py'))['get_config']()
  commands.run_task(found, best, started=time.perf_counter())
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
  def full(*_, **__):
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
    ('inits', ('he',), ['search.inits', "'he'", 'he_normal']),
    ('augment_rows', ('some',), ['search.augment_rows', 'some', 'added']),
    ('halving', -1, ['search.halving', '-1', 'at least 0']),
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
  [cell] = (path / 'search').iterdir()
  assert cell.name == 'bce-sgd-lr0.1-b4-he_normal-added'
  assert workdir.has_begun(cell, 'train')


@pytest.mark.parametrize('metric', train.METRICS)
def test_the_metric_orders_the_rows(metric, tmp_path, capsys):
  cells = [
    grid_lib.Cell('bce', 'sgd', rate, 4, 'he_normal', 'all')
    for rate in (0.2, 0.1, 0.3, 0.4, 0.5)
  ]
  rows = [
    dict.fromkeys(search._fields(metric))
    | {**cell._asdict(), 'cell': cell.name, 'step': 1, 'num_steps': 1}
    | {'status': '', 'rung': 1 + (cell.learning_rate < 0.4)}
    | dict.fromkeys(train.SCORES, -cell.learning_rate)
    | {metric: None if cell.learning_rate == 0.5 else cell.learning_rate}
    | {'curve': {'step': [1], metric: [cell.learning_rate]}}
    for cell in cells
  ]

  class Inputs:
    path = tmp_path
    num_steps = 2
    config = settings_lib.default()

  Inputs.config.search.metric = metric
  search._conclude(Inputs, rows, rungs_lib.make_rungs(5, 2, eta=2))
  # One of a higher rung is above, and one that failed below all.
  found = [row['learning_rate'] for row in read(tmp_path)['rows']]
  assert found == [0.3, 0.2, 0.1, 0.4, 0.5]
  said = capsys.readouterr().out
  assert 'lr0.3' in said.splitlines()[-1]
  assert 'rungs end at steps 1, 2' in said
  made = runpy.run_path(str(tmp_path / 'best.py'))['get_config']()
  assert made.train.learning_rate == 0.3 and made.train.num_steps == 2
  assert made.augment.rows == 'all' and made.loss.name == 'bce'


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
        'init': rng.choice(['he_normal', 'torch_uniform']),
        'augment_rows': 'all',
        'rung': 1,
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
    halved = rng.random() < 0.5
    for row in rows[3:] if halved else ():
      row['rung'] = 0
    mine = rows[:3] if halved else rows
    scores = [r['f1_macro'] for r in mine if r['f1_macro'] is not None]
    words = report.conclusion(rows, 'f1_macro')
    if not scores:
      assert words == 'All 8 cells failed.'
      continue
    near = sum(scores[0] - x < 0.01 for x in scores[1:])
    best, whose = rows[0], ' of its rung' if halved else ''
    assert words == (
      f'Best: {best["loss"]}, {best["optimizer"]}, {best["init"]}, rate '
      f'{best["learning_rate"]:g}, batch 2,048, all rows augmented, with F1 '
      f'macro {scores[0]:.3f}. {near} of {len(scores) - 1} others{whose} are '
      'less than 0.01 below it.'
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


# Halving, with trainings whose scores are drawn.

ETA, STEPS = 2, 12
RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def drawn_scores(seed, rate, step):
  """The scores of a look, some of them equal."""
  rng = np.random.default_rng([seed, int(rate * 10), step])
  return {name: int(rng.integers(0, 5)) / 4 for name in train.SCORES}


class Trainings:
  """Stands for `train.run`: looks at every fifth step, and at the last."""

  def __init__(self, seed, failing=(), left=10**9):
    self.seed, self.failing, self.left = seed, failing, left
    self.trained = []

  def run(self, own, *, tells_short):
    assert not tells_short
    own.begin('train')
    path, rate = own.path, own.config.train.learning_rate
    (path / 'checkpoints').mkdir(exist_ok=True)
    lines = log_lib.read_lines(path / 'metrics.jsonl')
    first = lines[-1]['step'] + 1 if lines else 1
    assert first <= own.num_steps + 1  # Not what is trained further.
    with log_lib.open_metrics(path / 'metrics.jsonl', step=first) as write:
      for step in range(first, own.num_steps + 1):
        if (rate, step) in self.failing:
          raise FloatingPointError('lower the learning rate.')
        if not self.left:
          raise SystemExit(143)
        self.left -= 1
        self.trained.append((rate, step))
        if step % 5 == 0 or step == own.num_steps:
          found = drawn_scores(self.seed, rate, step)
          write({'step': step, 'validation': found})
        else:
          write({'step': step, 'loss': 1.0})
    own.finish('train')


@pytest.fixture(name='halved')
def fixture_halved(config, monkeypatch):
  monkeypatch.setattr(report, 'draw', lambda file, *_, **__: file.write(b''))
  config.search.halving = ETA
  config.search.learning_rates = RATES
  config.search.metric = 'map'
  config.train.num_steps = STEPS
  return config


def halve(rates, seed, failing=()):
  """Returns rate -> (rung, steps of the best look or None), by the rules."""
  found, alive = {}, [*rates]
  ends = [3, 6, 12]  # 7 cells, 4, 2.
  looks = {*ends, 5, 10}
  for rung, end in enumerate(ends):
    scored = []
    for rate in alive:
      dead = any((rate, step) in failing for step in range(1, end + 1))
      mine = [step for step in sorted(looks) if step <= end]
      mine = [s for s in mine if s % 5 == 0 or s in ends[: rung + 1]]
      best = max(mine, key=lambda s: (drawn_scores(seed, rate, s)['map'], s))
      found[rate] = rung + 1, None if dead else best
      if not dead:
        score = drawn_scores(seed, rate, best)['map']
        scored.append((-score, rates.index(rate), rate))
    keep = -(-[7, 4, 2][rung] // ETA)
    alive = sorted(rate for *_, rate in sorted(scored)[:keep])
  return found


@pytest.mark.parametrize('seed', range(4))
def test_the_best_of_a_rung_go_on_to_the_next(
  halved, tmp_path, monkeypatch, capsys, seed
):
  rng = np.random.default_rng(seed)
  failing = [(0.3, 2), (float(rng.choice(RATES)), int(rng.integers(3, 9)))]
  failing = failing[: seed % 3]
  straight = Trainings(seed, failing)
  monkeypatch.setattr(train, 'run', straight.run)
  status = pytest.raises(SystemExit) if failing else contextlib.nullcontext()
  with status:
    run(halved, tmp_path / 'straight')
  said = capsys.readouterr().out
  assert '7 to step 3, 4 to step 6, 2 to step 12; 45 optimiser steps' in said
  assert 'the full grid 84' in said
  record = read(tmp_path / 'straight')
  found = {r['learning_rate']: (r['rung'], r['step']) for r in record['rows']}
  assert found == halve(RATES, seed, failing)
  # No step is trained twice, and none that nobody goes on to.
  assert len({*straight.trained}) == len(straight.trained) <= 45
  for row in record['rows']:
    assert row['step'] is not None or 'lower the learning' in row['status']
    assert {*row['curve']['step']} <= {
      *range(1, (3, 6, 12)[row['rung'] - 1] + 1)
    }
  best = runpy.run_path(str(tmp_path / 'straight/best.py'))['get_config']()
  assert best.train.learning_rate == record['rows'][0]['learning_rate']
  assert best.train.num_steps == STEPS
  # Stopped now and then, and gone on with: the same end, bit for bit.
  cut = Trainings(seed, failing)
  monkeypatch.setattr(train, 'run', cut.run)
  for _ in range(20):
    cut.left = int(rng.integers(1, 20))
    with contextlib.suppress(SystemExit):
      run(halved, tmp_path / 'cut')
      break
    if (tmp_path / 'cut/search.json').exists():
      break  # With failures.
  assert {*cut.trained} == {*straight.trained}
  for name in ('search.json', 'search.csv'):
    one, other = (tmp_path / x / name for x in ('straight', 'cut'))
    assert one.read_bytes() == other.read_bytes()


def test_a_larger_grid_goes_on_and_another_rung_is_refused(
  halved, tmp_path, monkeypatch
):
  trainings = Trainings(0)
  monkeypatch.setattr(train, 'run', trainings.run)
  halved.search.learning_rates = RATES[:6]  # 6, 3, 2: of the same steps.
  run(halved, tmp_path / 'grown')
  halved.search.learning_rates = RATES
  run(halved, tmp_path / 'grown')
  run(halved, tmp_path / 'fresh')
  found = [
    {r['learning_rate']: (r['rung'], r['step']) for r in read(path)['rows']}
    for path in (tmp_path / 'grown', tmp_path / 'fresh')
  ]
  assert found[0] == found[1] == halve(RATES, 0)
  halved.search.halving = 3  # Rungs end at 4 and 12.
  with pytest.raises(ValueError, match=r'past step 4 without.*--overwrite'):
    run(halved, tmp_path / 'grown')
  halved.search.halving = 2
  halved.train.num_steps = 6
  with pytest.raises(ValueError, match=r'num_steps: 12 there, 6 now'):
    run(halved, tmp_path / 'grown')


def test_a_cosine_is_not_halved(halved, tmp_path):
  halved.train.schedule = 'cosine'
  with pytest.raises(ValueError, match=r'schedule=cosine.*search\.halving=0'):
    run(halved, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()
  halved.search.halving = 0
  grid_lib.check(halved)


@pytest.mark.long
def test_a_halved_search_trains_what_a_straight_training_does(config, tmp_path):
  """Real steps: who goes on has the losses of a training without a stop."""
  config.search.halving = 2
  config.search.learning_rates = (0.1, 0.01, 0.001)
  path = run(config, tmp_path / 'halved')  # 3 to step 2, 2 to step 4.
  config.search.halving = 0
  whole = run(config, tmp_path / 'whole')
  rows = [row for row in read(path)['rows'] if row['rung'] == 2]
  assert len(rows) == 2
  for row in rows:
    one, other = (
      {
        line['step']: (line['loss'], line['gradient_norm'])
        for line in log_lib.read_lines(
          p / 'search' / row['cell'] / 'metrics.jsonl'
        )
        if 'loss' in line
      }
      for p in (path, whole)
    )
    assert one == other and len(one) == 4


@pytest.mark.parametrize('seed', range(3))
def test_all_targets_decide_where_they_are_learnt(tmp_path, capsys, seed):
  rng = np.random.default_rng(seed)
  looks = [
    {'step': k, 'validation': {'f1_macro': 0.1, 'overall': rng.random()}}
    for k in range(1, 5)
  ]
  with open(tmp_path / 'metrics.jsonl', 'w') as file:
    file.writelines(json.dumps(look) + '\n' for look in looks)
  c = settings_lib.default()
  c.search.metric = 'overall'
  own = types.SimpleNamespace(path=tmp_path, num_steps=4, config=c)
  cell = grid_lib.Cell('bce', 'sgd', 0.1, 4, 'he_normal', 'all')
  row = search._row(own, cell, 1, None)
  best = max(looks, key=lambda look: look['validation']['overall'])
  assert row['overall'] == best['validation']['overall']
  assert row['step'] == best['step']
  for names, metric, told in (
    (('labels',), 'overall', 'of several targets'),
    (('labels', 'mood'), 'map', 'of the labels alone'),
    (('labels', 'mood'), 'overall', ''),
    (('labels',), 'map', ''),
  ):
    c.search.metric = metric
    targets = dict.fromkeys(names)
    own.dataset = types.SimpleNamespace(targets=targets)
    if len(names) == 1 and told:
      with pytest.raises(ValueError, match=told):
        search._check_metric(own)
      continue
    search._check_metric(own)
    said = capsys.readouterr().out
    assert told in said and bool(told) == bool(said)
