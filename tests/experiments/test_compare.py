"""The comparison of methods: its cells, what goes on, what fails."""

import csv
import dataclasses
import functools
import pathlib

import jax
import numpy as np
import pytest

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.datasets import loading
from aubal_jax.experiments import cells
from aubal_jax.experiments.compare import averaged
from aubal_jax.experiments.compare import compare
from aubal_jax.experiments.compare import image_cells
from aubal_jax.experiments.compare import table_cells
from aubal_jax.experiments.compare import table_trials
from aubal_jax.experiments.compare import trials as trials_lib
from aubal_jax.experiments.compare import verdicts
from aubal_jax.network import log as log_lib
from aubal_jax.network import step as step_lib
from aubal_jax.runs import files
from aubal_jax.runs import preemption
from aubal_jax.runs import progress
from aubal_jax.stages import evaluate
from aubal_jax.stages import run as run_lib
from aubal_jax.tables import plan as plan_lib
from tests.makers import small_network
from tests.makers import small_runs


@pytest.fixture(name='config')
def fixture_config(tmp_path):
  c = small_runs.configure_cells(tmp_path)
  c.balance.method = 'aubal'
  c.balance.features = 'pixels'
  c.train.num_steps = 2
  c.compare.rates = (1.0,)
  return c


def run(config, path, **options):
  return small_runs.run(config, path, 'compare', **options)


def rows_of(path):
  return files.read_json(path / 'compare.json')['rows']


def cells_of(path):
  return {p.name: p for p in (path / 'cells').iterdir()}


@pytest.fixture(name='ran')
def fixture_ran(monkeypatch):
  """Cells that would have been trained; nothing is."""
  names = []

  def run_cell(whole, cell):
    names.append(cell.name)
    trial = {
      'seed': cell.seed,
      'rate': cell.rate,
      'tried': [[cell.rate, cell.rate]],
      'repeat': 0,
      'fold': cell.fold or 0,
      'num_train': 30,
      'num_test': 15,
      'scores': {'f1_macro': 0.5 + 0.01 * len(names), 'f1_macro_tuned': 0.6},
      'plan': {'rows': 30, 'mean_ir': 2.0, 'cvir': 0.5, 'scumble': 0.1},
      'seconds': {'resample': 0.1, 'train': 1.0},
      'f1_per_label': [0.5, 0.6, None],
      'f1_per_label_tuned': [0.5, 0.6, None],
      'frequency': [0.5, 0.3, 0.1],
    }
    return cell.described() | {
      'num_steps': whole.num_steps,
      'label_names': [*whole.dataset.label_names],
      'trials': [trial],
    }

  monkeypatch.setattr(image_cells, 'run_cell', run_cell)
  monkeypatch.setattr(run_lib.Run, 'images', lambda _: None)
  with small_runs.without_pictures():
    yield names


def test_methods_are_trained_in_one_line(config, tmp_path, capsys, monkeypatch):
  opened, read = [], run_lib._read_images
  monkeypatch.setattr(
    *(run_lib, '_read_images'),
    lambda *given: opened.append(read(*given)) or opened[-1],
  )
  config.compare.methods = ('none,mlsmote,aubal:relative', 'loss:focal')
  config.compare.keep_checkpoints = True
  path = run(config, tmp_path / 'run')
  printed = capsys.readouterr().out
  rows = rows_of(path)
  assert [row['method'] for row in rows] == [
    *('none', 'mlsmote', 'aubal:relative', 'loss:focal')
  ]
  assert len(opened) == 1
  amounts = [30, 30 + round(0.25 * 30), 30 + round(0.25 * 30), 30]
  for row, cell, amount in zip(
    rows, sorted_cells(path, rows), amounts, strict=True
  ):
    (trial,) = row['trials']
    assert row['num_steps'] == 2 and row['status'] == ''
    assert trial['plan']['rows'] == len(plan_lib.load(cell / 'plan.npz'))
    assert trial['plan']['rows'] == amount
    assert (trial['num_train'], trial['num_test']) == (30, 15)
    assert trial['seconds']['train'] > 0 < trial['seconds']['resample']
    looks = log_lib.read_lines(cell / 'metrics.jsonl')
    assert looks[-1]['step'] == 2
    looks = [
      (k['step'], k['validation']['map']) for k in looks if 'validation' in k
    ]
    assert trial['course'] == [*map(list, looks)]
    assert trial['tried'] == [[1.0, pytest.approx(looks[-1][1])]]
    is_plain = row['method'] == 'none'
    assert (cell / 'predicted.npz').exists() == is_plain
    assert cell.name in printed
    assert files.read_json(cell / 'result.json')['trials'] == [trial]
  losses = [
    files.read_json(c / 'config.json')['config']['loss']
    for c in sorted_cells(path, rows)
  ]
  assert [loss['name'] for loss in losses] == [*['soft_f1'] * 3, 'focal']
  with open(path / 'compare.csv', newline='') as file:
    table = list(csv.DictReader(file))
  assert [float(line['f1_macro']) for line in table] == [
    row['trials'][0]['scores']['f1_macro'] for row in rows
  ]
  assert '<html' in (path / 'compare.html').read_text()
  # What the task evaluate says of a cell is what its result says.
  whole = compare.load(config, path, progress.Watch(0.0))
  own = [*compare._make_runs(whole).values()][-1]
  evaluate.run(own)
  report = files.read_json(own.path / 'report.json')
  scores = rows[-1]['trials'][0]['scores']
  for name in ('f1_macro', 'f1_micro', 'awc'):
    assert scores[name] == pytest.approx(report[name], abs=1e-6)
    tuned = report['tuned'][name]
    assert scores[f'{name}_tuned'] == pytest.approx(tuned, abs=1e-6)


def sorted_cells(path, rows):
  """Folders of the rows, which have one seed each."""
  found = cells_of(path)
  names = [row['method'].replace(':', '_') for row in rows]
  return [found[next(k for k in found if f'-{n}-' in k)] for n in names]


@pytest.mark.long
def test_a_kill_loses_no_cell_and_no_step(config, tmp_path, monkeypatch):
  straight = run(config, tmp_path / 'straight')
  for cell in cells_of(straight).values():
    assert not (cell / 'checkpoints').exists()
  trained = []
  make_step = step_lib.make_train_step

  def counted(*args, **options):
    step = make_step(*args, **options)

    def count(state, batch):
      trained.append(int(state.step))
      if len(trained) == 3:  # The first step of the second cell.
        monkeypatch.setattr(preemption, '_received', 15)
      return step.run(state, batch)

    return dataclasses.replace(step, run=count)

  monkeypatch.setattr(step_lib, 'make_train_step', counted)
  with pytest.raises(SystemExit) as caught:
    run(config, tmp_path / 'cut')
  assert caught.value.code == 143
  assert not (tmp_path / 'cut/compare.json').exists()
  monkeypatch.setattr(preemption, '_received', 0)
  path = run(config, tmp_path / 'cut')
  assert trained == [0, 1, 0, 1]
  for row, other in zip(rows_of(path), rows_of(straight), strict=True):
    assert without_seconds(row) == without_seconds(other)


def without_seconds(row):
  return row | {'trials': [t | {'seconds': None} for t in row['trials']]}


def test_only_what_is_missing_is_run(config, tmp_path, ran, monkeypatch):
  config.compare.seeds = 2
  path = run(config, tmp_path / 'run')
  assert len(ran) == 4 and len(rows_of(path)) == 2
  assert [t['seed'] for t in rows_of(path)[0]['trials']] == [0, 1]
  before = (path / 'compare.json').read_bytes()
  run(config, path)
  assert len(ran) == 4 and (path / 'compare.json').read_bytes() == before
  # A larger grid is the same comparison.
  config.compare.seeds = 3
  config.compare.methods = ('none', 'ml_ros', 'random')
  run(config, path)
  assert len(ran) == 4 + 2 + 3 and len({*ran}) == len(ran)
  # A cell whose result is gone is run again; more steps are other cells.
  next(iter(cells_of(path).values())).joinpath('result.json').unlink()
  run(config, path)
  assert len(ran) == 10
  config.train.num_steps = 3
  run(config, path)
  assert len(ran) == 19 and {r['num_steps'] for r in rows_of(path)} == {3}


def test_rates_are_cells_of_which_the_best_counts(config, tmp_path, ran):
  config.compare.seeds = 2
  path = run(config, tmp_path / 'run')
  assert len(ran) == 4
  config.compare.rates = (1.0, 4.0, 0.5)
  run(config, path)  # What was done at the one rate goes on.
  assert len(ran) == 12 and len({*ran}) == 12
  assert {n.removesuffix('-r4').removesuffix('-r0.5') for n in ran} == {
    *ran[:4]
  }
  for row in rows_of(path):
    assert [(t['seed'], t['rate']) for t in row['trials']] == [
      *((0, 4.0), (1, 4.0))
    ]
    assert row['trials'][0]['tried'] == [[r, r] for r in (0.5, 1.0, 4.0)]
  with open(path / 'compare.csv', newline='') as file:
    assert [line['rate'] for line in csv.DictReader(file)] == ['4.0'] * 4
  # Results that do not say what to choose by are made again; one rate is not
  # chosen.
  name = ran[0]
  cell = cells_of(path)[name]
  result = files.read_json(cell / 'result.json')
  del result['trials'][0]['tried']
  files.write_json(cell / 'result.json', result)
  kept = files.read_json(cell / 'config.json')
  kept['stages']['compare']['sums'] = {}
  files.write_json(cell / 'config.json', kept)
  config.compare.rates = (1.0,)
  run(config, path)
  assert len(ran) == 12
  config.compare.rates = (1.0, 4.0)
  run(config, path)
  assert ran[12:] == [name]


def test_two_seeds_of_images_are_averaged(config, tmp_path, ran, monkeypatch):
  rng, run_cell, predicted = np.random.default_rng(0), image_cells.run_cell, {}

  def predicting(whole, cell):
    rows = [len(whole.dataset.rows(name)) for name in ('validation', 'test')]
    found = [rng.random((num, 3), 'f4') for num in rows]
    predicted[cell.method, cell.seed, cell.rate] = found
    if cell.method == 'none':
      with files.write_atomically(whole.path / 'predicted.npz', 'wb') as file:
        np.savez(file, validation=found[0], test=found[1])
    result = run_cell(whole, cell)
    # Seeds choose other rates.
    score = cell.rate if cell.seed == 1 else -cell.rate
    result['trials'][0]['tried'] = [[cell.rate, score]]
    return result

  monkeypatch.setattr(image_cells, 'run_cell', predicting)
  config.compare.seeds = 3
  config.compare.rates = (1.0, 4.0)
  path = run(config, tmp_path / 'run')
  none, ml_ros = rows_of(path)
  assert 'averaged' not in ml_ros
  chosen = [predicted['none', t['seed'], t['rate']] for t in none['trials']]
  assert [t['rate'] for t in none['trials']] == [1.0, 4.0, 1.0]
  dataset = compare.load(config, path, progress.Watch(0.0)).dataset
  split = trials_lib.split_of(dataset, None)
  for k, trial in enumerate(none['averaged']):
    both = zip(chosen[k], chosen[(k + 1) % 3], strict=True)
    expected = trials_lib.score(
      dataset, split, *(averaged.mean(*each) for each in both)
    )
    assert trial['seed'] == k
    assert trial['scores'] == pytest.approx(expected['scores'])
  with open(path / 'compare.csv', newline='') as file:
    methods = [line['method'] for line in csv.DictReader(file)]
  assert methods == ['none'] * 3 + ['ml_ros'] * 3 + [verdicts.AVERAGED] * 3
  # A folder of before that was kept has no such row.
  for cell in cells_of(path).values():
    (cell / 'predicted.npz').unlink(missing_ok=True)
  run(config, path)
  assert not rows_of(path)[0]['averaged']


def test_a_cell_trains_at_its_multiple_of_the_rate(config, tmp_path):
  config.task = 'compare'
  rng = np.random.default_rng(0)
  rates = tuple(map(float, rng.uniform(0.1, 9, 5)))
  config.compare.rates = (1.0, *rates)
  whole = compare.load(config, tmp_path, progress.Watch(0.0))
  runs = compare._make_runs(whole)
  assert len({cell.name for cell in runs}) == 12
  for cell, own in runs.items():
    wanted = cell.rate * config.train.learning_rate
    assert own.config.train.learning_rate == wanted
    assert own.pinned['compare']['train.learning_rate'] == wanted


def test_a_night_of_cells_does_not_fill_the_memory(
  config, tmp_path, ran, monkeypatch
):
  cleared = []
  monkeypatch.setattr(cells, '_FORGET_EVERY', 3)
  monkeypatch.setattr(jax, 'clear_caches', lambda: cleared.append(len(ran)))
  config.compare.seeds = 4
  run(config, tmp_path / 'run')
  assert cleared == [3, 6] and len(ran) == 8


def test_failures_are_rows(config, tmp_path, ran, monkeypatch, capsys):
  run_cell = image_cells.run_cell

  def failing(whole, cell):
    if cell.method == 'none' and cell.seed == 1:
      raise MemoryError('no room')
    if cell.method == 'ml_ros':
      raise FloatingPointError('loss is nan; lower the learning rate')
    return run_cell(whole, cell)

  monkeypatch.setattr(image_cells, 'run_cell', failing)
  config.compare.methods = ('none', 'ml_ros', 'random')
  config.compare.seeds = 2
  with pytest.raises(SystemExit) as caught:
    run(config, tmp_path / 'run')
  assert caught.value.code == 1
  said = capsys.readouterr()
  rows = rows_of(tmp_path / 'run')
  assert [(r['method'], len(r.get('trials', ()))) for r in rows] == [
    *(('none', 1), ('random', 2), ('ml_ros', 0), ('none', 0), ('ml_ros', 0))
  ]
  assert rows[3]['status'] == 'failed: MemoryError: no room'
  assert 'lower the learning rate' in rows[2]['status']
  assert said.err.count('Traceback') == 1  # Of what is no question of settings.
  small = small_network.NAME.replace(':', '_')
  for name in (f'none-{small}-all-s1', f'ml_ros-{small}-f0.25-all-s0'):
    assert f'manifest-{name}' in said.err
  # Those alone are tried again.
  monkeypatch.setattr(image_cells, 'run_cell', run_cell)
  ran.clear()
  run(config, tmp_path / 'run')
  assert len(ran) == 3
  assert all(row['status'] == '' for row in rows_of(tmp_path / 'run'))


def test_a_rate_that_diverges_has_lost(
  config, tmp_path, request, monkeypatch, capsys
):
  run_cell = image_cells.run_cell  # The real one, whose training diverges.
  request.getfixturevalue('ran')
  trained, done = image_cells.run_cell, []

  def diverges(run):
    raise FloatingPointError('loss is nan at step 2: lower the learning rate.')

  def some_diverge(whole, cell):
    done.append(cell)
    bad = cell.rate > 1 or (cell.method == 'random' and cell.seed == 1)
    return (run_cell if bad else trained)(whole, cell)

  monkeypatch.setattr(image_cells.train, 'run', diverges)
  monkeypatch.setattr(image_cells, 'run_cell', some_diverge)
  config.compare.methods = ('none', 'random')
  config.compare.rates = (1.0, 4.0)
  config.compare.seeds = 2
  path = tmp_path / 'run'
  for _ in range(2):
    with pytest.raises(SystemExit) as caught:
      run(config, path)
    assert caught.value.code == 1
    none, random = rows_of(path)
    assert [t['rate'] for t in none['trials']] == [1.0, 1.0]
    assert none['trials'][0]['tried'] == [[1.0, 1.0], [4.0, None]]
    assert none['status'] == '' and random['trials'] == []
    assert 'every one of compare.rates, 1, 4 times' in random['status']
    assert 'loss is nan' in capsys.readouterr().err
    assert len(done) == 8  # Nothing diverges twice.
  assert '1 failed' in (path / 'compare.html').read_text()


def test_a_full_disk_ends_it(config, tmp_path, monkeypatch):
  def full(*_):
    raise OSError(28, 'No space left on device', 'x')

  monkeypatch.setattr(image_cells, 'run_cell', full)
  monkeypatch.setattr(run_lib.Run, 'images', lambda _: None)
  with pytest.raises(OSError, match='No space'):
    run(config, tmp_path / 'run')
  assert not (tmp_path / 'run/compare.json').exists()


@pytest.mark.parametrize(
  ('key', 'value', 'words'),
  [
    ('methods', ('none,ml_rso',), ["'ml_rso'", 'ml_ros', 'aubal:OBJECTIVE']),
    ('methods', (), ['compare.methods', 'empty']),
    ('models', ('logistic',), ['compare.models', 'resnet8_16', "'logistic'"]),
    ('models', ('nowhere:Net',), ["'nowhere:Net'", 'imported']),
    ('fractions', ('0.1,x',), ['compare.fractions', "'x'"]),
    ('fractions', (-0.1,), ['compare.fractions', '-0.1']),
    ('uppers', (0.5,), ['compare.uppers', 'at least 1.0', '0.5']),
    ('uppers', (float('inf'),), ['compare.uppers', 'inf']),
    ('augment_rows', ('some',), ['compare.augment_rows', 'added', 'some']),
    ('diversities', ('groups',), ['compare.diversities', 'content', 'groups']),
    ('seeds', 0, ['compare.seeds', '0']),
    ('folds', 1, ['compare.folds', '1']),
    ('rates', (), ['compare.rates', 'empty']),
    ('rates', (1.0, 0.0), ['compare.rates', 'above 0', '0']),
    ('data', ('nothing.arff',), ['compare.models', 'logistic']),
  ],
)
def test_bad_settings_are_named_before_any_work(
  config, tmp_path, key, value, words
):
  config.compare[key] = value
  with pytest.raises(ValueError) as caught:
    run(config, tmp_path / 'run')
  for word in words:
    assert word in str(caught.value)
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('lacking', ['validation', 'test'])
def test_a_split_that_lacks_is_told(config, tmp_path, lacking):
  table = pathlib.Path(config.data.path)
  table.write_text(table.read_text().replace(lacking, 'train'))
  with pytest.raises(ValueError, match=f'needs a {lacking} split'):
    run(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_another_comparison_in_the_folder_is_refused(config, tmp_path, ran):
  path = run(config, tmp_path / 'run')
  config.augment.flip = 0.25
  with pytest.raises(ValueError, match=r'augment\.flip: 0\.5 there, 0\.25 now'):
    run(config, path)
  assert len(ran) == 2
  run(config, path, overwrite=True)
  assert len(ran) == 4
  table = pathlib.Path(config.data.path)
  table.write_text(table.read_text().replace('test,0', 'test,1'))
  with pytest.raises(ValueError, match='the table: '):
    run(config, path)


def test_folds_are_test_splits_that_share_no_group(config, tmp_path, ran):
  table = pathlib.Path(config.data.path)
  lines = table.read_text().splitlines()
  lines = [f'{line},{i // 3}' for i, line in enumerate(lines[1:])]
  table.write_text('path,split,bright,edge,rare,subject\n' + '\n'.join(lines))
  config.data.num_folds = 2
  with pytest.raises(ValueError, match='splits of its own'):
    run(config, tmp_path / 'run')
  config.data.split_column = ''
  table.write_text(table.read_text().replace(',split,', ',-split,'))
  config.data.label_columns = ('bright', 'edge', 'rare')
  config.compare.diversities = ('none', 'group')
  config.compare.methods = ('none', 'aubal:l1')
  config.task = 'compare'
  whole = compare.load(config, tmp_path, progress.Watch(0.0))
  runs = compare._make_runs(whole)
  tests = [own.dataset.rows('test') for own in runs.values()]
  groups = whole.dataset.groups
  assert {cell.fold for cell in runs} == {0, 1}
  for cell, own, test in zip(runs, runs.values(), tests, strict=True):
    used = {*groups[own.dataset.split != 'test']}
    assert not used & {*groups[test]}
    assert own.config.data.fold == cell.fold
  assert len(np.unique(np.concatenate(tests))) == 60
  pinned = {(c.fold, r.pinned['compare']['the table']) for c, r in runs.items()}
  assert len(pinned) == len({table for _, table in pinned}) == 2
  path = run(config, tmp_path / 'run')
  assert [
    [(t['seed'], t['fold']) for t in row['trials']] for row in rows_of(path)
  ] == [[(0, 0), (0, 1)]] * 3
  config.data.unknown = 'drop'
  with pytest.raises(ValueError, match=r'data\.unknown to absent'):
    run(config, tmp_path / 'other')


def test_each_cell_has_the_settings_of_its_choice(config, tmp_path):
  config.task = 'compare'
  config.compare.methods = ('aubal:relative', 'ml_ros', 'loss:focal')
  config.compare.augment_rows = ('all',)
  config.compare.uppers = (3.0,)
  config.compare.diversities = ('content',)
  config.compare.num_steps = 7
  config.seed = 5
  whole = compare.load(config, tmp_path, progress.Watch(0.0))
  ours, ml_ros, focal = (
    own.config for own in compare._make_runs(whole).values()
  )
  assert (ours.balance.method, ours.balance.objective) == ('aubal', 'relative')
  assert (ours.balance.upper, ours.balance.diversity) == (3.0, 'content')
  assert ours.balance.fraction == 0.25
  assert (ml_ros.balance.method, ml_ros.balance.fraction) == ('ml_ros', 0.25)
  assert (focal.balance.method, focal.loss.name) == ('none', 'focal')
  assert ml_ros.loss.name == config.loss.name
  for own in (ours, ml_ros, focal):
    assert own.augment.rows == 'all' and own.seed == 5
    assert own.train.num_steps == 7 and own.model.name == small_network.NAME
  assert config.balance.method == 'aubal'  # The comparison's own stay.


def test_groups_are_needed_for_bounds_by_groups(config, tmp_path):
  config.compare.methods = ('aubal:l1',)
  config.compare.diversities = ('group',)
  with pytest.raises(ValueError, match=r'no groups.*data\.group_column'):
    run(config, tmp_path / 'run')


@pytest.fixture(name='tables')
def fixture_tables(tmp_path, config):
  """A comparison on two tables of features, where there are no groups."""
  rng = np.random.default_rng(0)
  paths = []
  for name in ('one', 'two'):
    labels = (rng.random((60, 3)) < [0.5, 0.3, 0.15]).astype('u1')
    features = (labels @ rng.normal(size=(3, 4)) * 2).astype('f4')
    features += rng.normal(size=features.shape)
    paths.append(str(tmp_path / f'{name}.npz'))
    np.savez(paths[-1], labels=labels, features=features)
  config.compare.data = (','.join(paths),)
  config.compare.models = ('logistic',)
  config.compare.methods = ('none', 'ml_ros', 'aubal:l1')
  config.compare.seeds = 2
  config.compare.repeats = 1
  config.compare.num_steps = 5
  with small_runs.without_pictures():
    yield config


def test_tables_have_all_seeds_and_folds_in_a_cell(tables, tmp_path, capsys):
  tables.compare.diversities = ('none', 'content')
  path = run(tables, tmp_path / 'run')
  rows = rows_of(path)
  assert [(r['data'], r['method'], r['diversity']) for r in rows] == [
    (name, method, diversity)
    for name in ('one', 'two')
    for method, diversity in (
      *(('none', 'none'), ('ml_ros', 'none'), ('aubal:l1', 'none')),
      ('aubal:l1', 'content'),
    )
  ]
  names = {
    'one-none-logistic',
    'one-aubal_l1-logistic-f0.25-u10-content',
    'two-ml_ros-logistic-f0.25',
  }
  assert names < {*cells_of(path)} and len(cells_of(path)) == 8
  for row in rows:
    assert row['num_steps'] == 5 and row['augment_rows'] is None
    assert (row['upper'] is None) == (row['method'] != 'aubal:l1')
    places = [(t['seed'], t['repeat'], t['fold']) for t in row['trials']]
    assert sorted(places) == [(s, 0, f) for s in (0, 1) for f in (0, 1)]
  assert 'drawn' not in capsys.readouterr().out.casefold()  # No faces are.


def test_a_table_of_before_there_were_rates_has_the_one(tables, tmp_path):
  tables.compare.methods = ('none',)
  tables.compare.data = (str(tmp_path / 'one.npz'),)
  path = run(tables, tmp_path / 'run')
  (cell,) = cells_of(path).values()
  kept = files.read_json(cell / 'config.json')
  assert kept['stages']['compare']['settings'].pop('compare.rates') == [1.0]
  files.write_json(cell / 'config.json', kept)
  wrote = (cell / 'result.json').stat().st_mtime_ns
  run(tables, path)
  assert (cell / 'result.json').stat().st_mtime_ns == wrote
  tables.compare.rates = ('4,1',)  # More rates are the same comparison.
  run(tables, path)
  (row,) = rows_of(path)
  for trial in row['trials']:
    assert [rate for rate, _ in trial['tried']] == [1.0, 4.0]
  wrote = (cell / 'result.json').stat().st_mtime_ns
  tables.compare.rates = (1.0, 4.0)
  run(tables, path)
  assert (cell / 'result.json').stat().st_mtime_ns == wrote
  tables.compare.rates = (1.0,)
  with pytest.raises(ValueError, match=r'compare\.rates: \[1\.0, 4\.0\] there'):
    run(tables, path)


def test_losses_are_compared_on_tables(tables, tmp_path):
  tables.compare.data = (str(tmp_path / 'one.npz'),)
  tables.compare.methods = ('none', 'loss:focal')
  rows = rows_of(run(tables, tmp_path / 'run'))
  assert [row['status'] for row in rows] == ['', '']
  plain, focal = ([t['scores'] for t in row['trials']] for row in rows)
  assert plain != focal


def test_tables_are_bounded_by_diversity(tables, tmp_path, monkeypatch):
  asked = []

  def find_upper(dataset, rows, features, **settings):
    asked.append(settings)
    assert len(rows) < len(features) == len(dataset)
    return 1.9

  monkeypatch.setattr(table_trials, 'find_upper', find_upper)
  tables.compare.methods = ('aubal:l1',)
  tables.compare.diversities = ('none', 'content')
  tables.compare.uppers = (5.0,)
  tables.balance.num_clusters = 7
  path = run(tables, tmp_path / 'run')
  kind = {'kind': 'content', 'num_clusters': 7, 'lower': 1.0, 'upper': 5.0}
  assert asked == [kind] * 4  # Two tables of two folds.
  plain, bounded = (
    [t['plan'] for t in row['trials']] for row in rows_of(path)[:2]
  )
  assert [p['rows'] for p in plain] == [p['rows'] for p in bounded]
  assert plain != bounded


def test_bounds_by_diversity_are_of_the_rows_that_train():
  labels = np.repeat(np.eye(2, dtype='u1'), 8, axis=0)
  features = np.arange(16.0)[:, None] * [1.0, -1.0]
  features[:8] = 0.0  # One picture, eight times.
  split = np.full(16, 'train')
  table = dataset_lib.Dataset(
    labels,
    labels < 2,
    ('a', 'b'),
    split,
    split,
    groups=np.array([*'x' * 12, *'wxyz']),
  )
  rows = np.r_[2:8, 10:16]
  find = functools.partial(
    table_trials.find_upper, table, rows, features, upper=10.0
  )
  # Of 6 + 6 rows a is shown by x alone, b by w, x, y and z: r = 12 / 5.
  np.testing.assert_allclose(find(kind='group'), [10 * 2.4 / 6, 10.0])
  a, b = find(kind='content', num_clusters=12)
  assert a < 4 and b == 10.0


def test_a_table_more_is_the_same_comparison(tables, tmp_path, monkeypatch):
  both = tables.compare.data[0].split(',')
  tables.compare.data = (both[1],)
  path = run(tables, tmp_path / 'run')
  ran, run_cell = [], table_cells.run_cell

  def counted(whole, cell):
    ran.append(cell.data)
    return run_cell(whole, cell)

  monkeypatch.setattr(table_cells, 'run_cell', counted)
  tables.compare.data = tuple(both)
  run(tables, path)
  assert ran == ['one'] * 3
  tables.compare.seeds = 3  # Cells are run anew with more seeds.
  run(tables, path)
  assert len(ran) == 9 and len(rows_of(path)[0]['trials']) == 6
  tables.compare.methods = ('none',)
  tables.compare.num_steps = 6
  with pytest.raises(ValueError, match=r'compare\.num_steps: 5 there, 6 now'):
    run(tables, path)


def test_a_table_without_groups_has_no_bounds_by_group(tables, tmp_path):
  tables.compare.diversities = ('none', 'group')
  tables.compare.methods = ('none', 'aubal:l1')
  with pytest.raises(ValueError, match=r'one has no groups.*content'):
    run(tables, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_what_a_method_cannot_do_is_a_line(tables, tmp_path, capsys):
  tables.compare.data = (str(tmp_path / 'one.npz'),)
  tables.compare.methods = ('none', 'ml_rus')
  tables.compare.fractions = (1.5,)
  with pytest.raises(SystemExit) as caught:
    run(tables, tmp_path / 'run')
  assert caught.value.code == 1
  told = capsys.readouterr().err.splitlines()
  assert len(told) == 2 and 'the same command tries again' in told[1]
  assert told[0] == (
    'compare: one-ml_rus-logistic-f1.5 failed: fraction must be below 1 where '
    'rows are deleted; it is 1.5.'
  )


def test_what_no_table_is_compared_by_is_told(tables, tmp_path):
  bare = tmp_path / 'bare.npz'
  np.savez(bare, labels=np.eye(4, dtype='u1'))
  tables.compare.data = (str(bare),)
  with pytest.raises(
    ValueError, match=r"bare\.npz has no features.*'features'"
  ):
    run(tables, tmp_path / 'run')
  tables.compare.data = (str(tmp_path / 'one.npz'), str(tmp_path / 'one.arff'))
  (tmp_path / 'one.arff').write_text('')
  with pytest.raises(ValueError, match=r'two tables that are called one'):
    run(tables, tmp_path / 'run')
  tables.compare.data = (str(tmp_path / 'none.npz'),)
  with pytest.raises(FileNotFoundError, match=r'none\.npz.*Set compare\.data'):
    run(tables, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_the_embedded_table_is_there(tables):
  for given in (('',), ('synthetic',)):
    tables.compare.data = given
    assert loading.table_paths(tables) == ['synthetic']
  found = table_cells.load(tables, ['synthetic'])['synthetic']
  assert found.features.shape[0] == len(found)
  tables.compare.data = ()
  assert loading.table_paths(tables) == []
