"""The tasks beside the line: optimisers compared, and the frontier."""

import csv
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from matplotlib import figure as figure_lib

from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.balancing import solve as solve_lib
from aubal_jax.balancing.rules import Rules
from aubal_jax.experiments.frontier import frontier_plot as frontier_report
from aubal_jax.experiments.solvers import optimizers
from aubal_jax.experiments.solvers import optimizers_plot as report
from aubal_jax.experiments.solvers import timing
from aubal_jax.runs import files
from aubal_jax.runs import progress
from aubal_jax.stages import problem
from aubal_jax.stages import run as run_lib
from aubal_jax.tables import labelsets as labelsets_lib
from tests import test_main
from tests.makers import children

# a x 100, b x 60, ab x 30, c x 8, bc x 3.
PATTERNS = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1]])
COUNTS = np.array([100, 60, 30, 8, 3])


@pytest.fixture(name='config')
def fixture_config(tmp_path):
  c = settings_lib.default()
  c.task = 'optimizers'
  c.data.name = 'labels'
  c.data.path = str(tmp_path / 'labels.npy')
  np.save(c.data.path, np.repeat(PATTERNS, COUNTS, axis=0))
  c.balance.lam_images = 1e4
  return c


def run(config, path, **options):
  commands.run_task(config, path, started=time.perf_counter(), **options)
  return path


def test_a_table_of_what_they_do(config, tmp_path, capsys, monkeypatch):
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(tmp_path / 'cache'))
  config.balance.objective = 'l2'
  config.optimizers.variants = ('pdhg,adam',)
  config.optimizers.rivals = ('scipy',)
  path = run(config, tmp_path / 'run')
  printed = capsys.readouterr().out
  rows = files.read_json(path / 'optimizers.json')['rows']
  with open(path / 'optimizers.csv', newline='') as file:
    table = list(csv.DictReader(file))
  assert [row['variant'] for row in rows] == ['pdhg', 'adam', 'scipy']
  assert [row['variant'] for row in table] == ['pdhg', 'adam', 'scipy']
  for row in rows:
    assert row['variant'] in printed and row['status'] in printed
  impossible, adam, scipy = rows
  assert 'sums of absolute values only' in impossible['status']
  assert impossible['value'] is None and not impossible['failed']
  solution = solve_lib.solve(
    PATTERNS, COUNTS, lam_images=1e4, objective='l2', polish=False
  )
  assert adam['converged'] and adam['gap'] <= config.balance.tol
  for name in ('value', 'cost', 'lower_bound_priced', 'num_steps'):
    assert adam[name] == pytest.approx(getattr(solution, name), rel=1e-9)
  assert float(table[1]['value']) == adam['value']
  # Really compiled, without the cache; and measured without compiling.
  assert not (tmp_path / 'cache').exists()
  assert adam['seconds_compile'] > adam['seconds'] > 0
  assert adam['trace']['seconds'][-1] == pytest.approx(adam['seconds'])
  assert 20e6 < adam['memory_bytes'] < 1e9
  assert scipy['lower_bound_priced'] == adam['lower_bound_priced']
  assert scipy['value'] == pytest.approx(adam['value'], rel=1e-4)
  excess = scipy['value'] + scipy['cost'] - adam['lower_bound_priced']
  assert scipy['seconds'] > 0 == scipy['seconds_compile']
  assert scipy['gap'] == pytest.approx(excess / scipy['value'], rel=1e-9)
  assert (path / 'optimizers.png').read_bytes().startswith(b'\x89PNG')
  before = {p: p.stat().st_mtime_ns for p in path.iterdir()}
  run(config, path)
  again = capsys.readouterr().out
  assert 'already done' in again
  assert printed.splitlines()[2:6] == again.splitlines()[2:6]
  assert before == {p: p.stat().st_mtime_ns for p in path.iterdir()}


@pytest.mark.parametrize('polish', [False, True])
def test_newton_steps_follow_where_they_are_asked_for(
  config, tmp_path, monkeypatch, polish
):
  monkeypatch.setattr(jax.config, 'update', lambda *_: None)
  timing.save_problem(tmp_path, labelsets_lib.Labelsets(PATTERNS, COUNTS, ()))
  texts = []
  found = timing.solve(texts.append, tmp_path, config, 'sgd', polish)
  assert found['polished'] == found['converged'] == polish
  assert texts[0].startswith('to compile')
  assert texts[-1].startswith('to measure')


FIGURES = {
  'value': 50.0,
  'cost': 1.0,
  'num_steps': 200,
  'seconds': 0.5,
  'seconds_compile': 3.0,
  'memory_bytes': 5_000_000,
  'polished': False,
}
TRACE = {'seconds': [0.1, 0.3, 0.5], 'gap': [None, 0.2, 0.01]}
STALLED = FIGURES | {
  'lower_bound_priced': 50.5,
  'gap': 0.01,
  'converged': False,
  'trace': TRACE,
}
CONVERGED = STALLED | {
  'lower_bound_priced': 50.9999,
  'gap': 2e-6,
  'converged': True,
  'trace': {'seconds': [0.1, 0.5], 'gap': [0.2, 0.0]},
}
RIVAL = FIGURES | {'unit': 50.0, 'says': 'Solved', 'cost': 1.0004}


@pytest.fixture(name='answers')
def fixture_answers(monkeypatch):
  """What each run answers, instead of a process: by name, or name + newton."""
  answers, asked = {}, []

  def run_apart(function, folder, config, name, polish=False, **_):
    asked.append((function.__name__, name, polish))
    return dict(answers[name + ' + newton' * polish])

  monkeypatch.setattr(timing, 'run_apart', run_apart)
  answers['asked'] = asked
  return answers


def test_variants_are_polished_where_they_stalled(config, tmp_path, answers):
  config.optimizers.variants = ('sgd', 'adam', 'lion', 'newton')
  config.optimizers.rivals = ('none',)
  config.balance.max_steps = 500
  answers['sgd'] = STALLED
  answers['newton'] = STALLED | {'num_steps': 600}  # Not first-order ones.
  answers['sgd + newton'] = answers['adam'] = CONVERGED
  answers['lion'] = STALLED | {'num_steps': 500}
  path = run(config, tmp_path / 'run')
  record = files.read_json(path / 'optimizers.json')
  assert {row['variant']: row['status'] for row in record['rows']} == {
    'sgd': 'stalled',
    'sgd + newton': 'converged',
    'adam': 'converged',
    'lion': 'out of steps',
    'newton': 'stalled',
  }
  assert ('solve', 'sgd', True) in answers['asked']
  assert 'sgd + newton 0.5 s, adam 0.5 s.' in record['notes'][-2]


def test_rivals_are_held_against_the_best_bound(config, tmp_path, answers):
  config.optimizers.variants = ('adam', 'ipm')
  config.optimizers.rivals = ('scipy', 'clarabel')
  answers |= {'adam': CONVERGED, 'scipy': RIVAL}
  answers['ipm'] = STALLED | {'lower_bound_priced': 50.8}
  answers['clarabel'] = RIVAL | {'cost': 0.999899}  # Below, by rounding alone.
  path = run(config, tmp_path / 'run')
  rows = files.read_json(path / 'optimizers.json')['rows']
  rows = {row['variant']: row for row in rows}
  # (50 + 1.0004 - 50.9999) / 50.
  assert rows['scipy']['gap'] == pytest.approx(1e-5, rel=1e-6)
  assert rows['scipy']['lower_bound_priced'] == 50.9999
  assert rows['scipy']['status'] in ('converged', 'in its own words: Solved')
  assert rows['clarabel']['gap'] == 0.0
  assert rows['clarabel']['status'] == 'converged'


def test_what_fails_is_a_row_and_is_tried_again(
  config, tmp_path, answers, capsys
):
  config.optimizers.variants = ('adam', 'ipm')
  config.optimizers.rivals = ('scipy',)
  answers['adam'] = {'status': 'failed: no memory', 'failed': True}
  answers['ipm'] = {'status': 'stopped after 3 s', 'failed': False}
  answers['scipy'] = RIVAL
  with pytest.raises(SystemExit) as caught:
    run(config, tmp_path / 'run')
  assert caught.value.code == 1
  said = capsys.readouterr()
  assert 'failed: adam;' in said.err
  assert 'failed: no memory' in said.out and 'stopped after 3 s' in said.out
  assert 'of which there is none' in said.out
  stages = files.read_json(tmp_path / 'run/config.json')['stages']
  assert not stages['optimizers']['done']
  answers['adam'] = CONVERGED
  run(config, tmp_path / 'run')
  assert 'already done' not in capsys.readouterr().out
  run(config, tmp_path / 'run')
  assert 'already done' in capsys.readouterr().out


@pytest.mark.parametrize(
  ('key', 'value', 'words'),
  [
    ('optimizers.variants', ('adm',), ['variants', "'adam'", "'adm'"]),
    ('optimizers.rivals', ('gurobi',), ['rivals', "'scipy'", "'gurobi'"]),
    ('optimizers.max_seconds', 0.0, ['max_seconds', '0.0']),
    ('balance.lower', 20.0, ['lower', '20.0', '10.0']),
    ('balance.objective', 'l3', ['objective', "'l1'", "'l3'"]),
    ('balance.budget', 7, ['budget', '201', '7']),
    ('balance.tol', 0.0, ['tol', '0']),
  ],
)
def test_bad_settings_are_named_before_any_work(
  config, tmp_path, answers, key, value, words
):
  section, name = key.split('.')
  config[section][name] = value
  with pytest.raises(ValueError) as caught:
    run(config, tmp_path / 'run')
  for word in words:
    assert word in str(caught.value)
  assert not (tmp_path / 'run').exists() and not answers['asked']


def test_a_bad_name_deletes_nothing(config, tmp_path, answers):
  config.optimizers.variants = ('ipm',)
  config.optimizers.rivals = ('none',)
  answers['ipm'] = CONVERGED
  path = run(config, tmp_path / 'run')
  config.optimizers.variants = ('imp',)
  with pytest.raises(ValueError, match='imp'):
    run(config, path, overwrite=True)
  assert (path / 'optimizers.csv').exists()


def test_a_rival_that_is_not_installed(config, tmp_path, answers, monkeypatch):
  from aubal_jax.experiments.solvers import rivals

  monkeypatch.setattr(rivals, 'available', lambda name: name == 'scipy')
  config.optimizers.variants = ('ipm',)
  answers |= {'ipm': CONVERGED, 'scipy': RIVAL}
  path = run(config, tmp_path / 'run')
  record = files.read_json(path / 'optimizers.json')
  assert record['not_installed'] == [n for n in rivals.RIVALS if n != 'scipy']
  assert [row['variant'] for row in record['rows']] == ['ipm', 'scipy']
  assert any(note.startswith('not installed: ') for note in record['notes'])
  config.optimizers.rivals = ('piqp',)
  with pytest.raises(ValueError, match=r'\[bench\]'):
    optimizers.check(config)


def test_devices_are_left_to_the_processes(
  config, tmp_path, answers, monkeypatch
):
  asked_after, devices = [], jax.devices

  def spy(*arguments):
    asked_after.append(len(answers['asked']))
    return devices(*arguments)

  monkeypatch.setattr(jax, 'devices', spy)
  config.optimizers.update(variants=('ipm', 'newton'), rivals=('none',))
  answers['ipm'] = answers['newton'] = CONVERGED
  run(config, tmp_path / 'run')
  assert {*asked_after} == {2}  # For config.json, when all is over.


# The frontier.


@pytest.mark.parametrize('over', ['budget', 'lam'])
def test_a_frontier_is_written_and_marks_the_settings(
  config, tmp_path, capsys, over
):
  config.task = 'frontier'
  config.frontier.update(over=over, num_points=11)
  config.balance.optimizer = 'newton'
  if over == 'budget':
    config.balance.budget = 203  # Of 201 images: the second point.
  path = run(config, tmp_path / 'run')
  printed = capsys.readouterr().out
  made = {p.name for p in path.iterdir()}
  assert made == {'config.json', 'frontier.csv', 'frontier.png'}
  with open(path / 'frontier.csv', newline='') as file:
    points = list(csv.DictReader(file))
  assert 11 <= len(points) <= 12
  assert (path / 'frontier.png').read_bytes().startswith(b'\x89PNG')
  solution = solve_lib.solve(
    PATTERNS, COUNTS, **problem.solve_arguments(config)
  )
  (chosen,) = (point for point in points if point['chosen'] == '1')
  assert float(chosen['value']) == pytest.approx(solution.value, rel=1e-5)
  marked = [x for x in printed.splitlines() if x.endswith('these settings')]
  assert len(marked) == 1 and f'{float(chosen["value"]):,.2f}' in marked[0]
  table = printed.split('a few:\n\n')[1].split('\n\n')[0].splitlines()
  assert 8 <= len(table) - 1 <= 10
  knees = [point for point in points if point['knee'] == '1']
  (conclusion,) = [x for x in printed.splitlines() if x.startswith('The ')]
  for knee in knees:
    (line,) = [x for x in table if '<- the knee' in x]
    assert f' {float(knee["value"]):,.2f} ' in line
    assert f'The knee is at {float(knee["added"]):+,.0f} images' in conclusion
  assert knees or 'no knee' in conclusion
  assert table[0].split()[0] == ('lambda' if over == 'lam' else 'images')
  ends = [line.split()[over == 'lam'] for line in (table[1], table[-1])]
  assert ends == [f'{float(p["images"]):,.0f}' for p in (points[0], points[-1])]
  before = {p: p.stat().st_mtime_ns for p in path.iterdir()}
  run(config, path)
  assert 'already done' in capsys.readouterr().out
  assert before == {p: p.stat().st_mtime_ns for p in path.iterdir()}


@pytest.mark.long
def test_a_frontier_stands_beside_the_plan(config, tmp_path):
  config.task = 'balance'
  path = run(config, tmp_path / 'run')
  config.task = 'frontier'
  config.frontier.num_points = 3
  run(config, path)
  stages = files.read_json(path / 'config.json')['stages']
  assert {name: stage['done'] for name, stage in stages.items()} == {
    'balance': True,
    'frontier': True,
  }
  config.task = 'balance'
  config.frontier.num_points = 4
  with pytest.raises(ValueError, match=r'frontier\.num_points: 3 there, 4 now'):
    run(config, path)


def test_points_short_of_the_gap_are_said(config, tmp_path, capsys):
  config.task = 'frontier'
  config.frontier.num_points = 3
  config.balance.update(optimizer='sgd', polish=False, max_steps=1, lower=0.5)
  run(config, tmp_path / 'run')
  assert 'is above balance.tol' in capsys.readouterr().err


def test_a_frontier_that_cannot_be_drawn_is_not_done(
  config, tmp_path, monkeypatch
):
  def plot(*_):
    raise OSError('the disk is full')

  config.task = 'frontier'
  config.frontier.num_points = 2
  with monkeypatch.context() as patch:
    patch.setattr(frontier_report, 'plot', plot)
    with pytest.raises(OSError, match='full'):
      run(config, tmp_path / 'run')
  assert (tmp_path / 'run/frontier.csv').exists()
  run(config, tmp_path / 'run')
  assert (tmp_path / 'run/frontier.png').exists()


def test_a_frontier_along_no_lam_is_refused(config, tmp_path):
  config.task = 'frontier'
  config.frontier.over = 'lam'
  config.balance.lam = 0.0
  with pytest.raises(ValueError, match='lam must be above 0'):
    run(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_without_matplotlib_optimizers_are_not_begun(
  config, tmp_path, monkeypatch
):
  monkeypatch.setitem(sys.modules, 'matplotlib', None)
  config.task = 'optimizers'
  with pytest.raises(ValueError, match='package matplotlib, which is not inst'):
    run(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_without_matplotlib_a_frontier_is_a_table(
  config, tmp_path, monkeypatch, capsys
):
  monkeypatch.setitem(sys.modules, 'matplotlib', None)
  config.task = 'frontier'
  config.frontier.num_points = 2
  path = run(config, tmp_path / 'run')
  assert (path / 'frontier.csv').exists()
  assert not (path / 'frontier.png').exists()
  assert 'Note: The picture needs the package matplotlib' in (
    capsys.readouterr().out
  )


# Processes of their own.


def apart(function, *arguments, max_seconds=600.0, texts=None):
  texts = [] if texts is None else texts
  return timing.run_apart(
    function, *arguments, max_seconds=max_seconds, on_wait=texts.append
  )


def test_an_answer_comes_from_another_process():
  texts = []
  found = apart(children.answer, 21, texts=texts)
  assert found['number'] == 42 and found['process'] != os.getpid()
  assert 'half way' in texts


def test_memory_is_that_of_the_process_alone():
  jax.devices()  # This process is a large one.
  found = apart(children.peak, 200_000_000)
  assert 1.9e8 < found['grown'] < 2.5e8
  if sys.platform == 'linux':
    assert found['before'] < 0.8 * timing.peak_memory()


@pytest.mark.parametrize(
  ('function', 'words'),
  [
    (children.die, f'failed: its process ended with status {-signal.SIGKILL}'),
    (children.break_down, 'failed: ValueError: invalid literal'),
  ],
)
def test_what_goes_wrong_is_told(function, words, capfd):
  found = apart(function)
  assert found['failed'] and found['status'].startswith(words)
  assert ('Traceback' in capfd.readouterr().err) == ('ValueError' in words)


def test_a_hanging_process_is_ended():
  found = apart(children.hang, max_seconds=1.0)
  assert not found['failed'] and 'optimizers.max_seconds' in found['status']


def test_settings_that_no_solver_takes_are_refused():
  with pytest.raises(ValueError, match='num_devices'):
    apart(children.refuse)


def test_a_stop_leaves_no_process_behind(tmp_path):
  (tmp_path / 'labels.csv').write_text('a,b\n' + '1,0\n' * 20 + '0,1\n' * 5)
  process = subprocess.Popen(
    [
      *test_main.COMMAND,
      '--config=configs/optimizers.py',
      '--config.data.name=labels',
      f'--config.data.path={tmp_path}/labels.csv',
      f'--workdir={tmp_path}/run',
    ],
    cwd=test_main.ROOT,
    stdout=subprocess.PIPE,
    text=True,
    start_new_session=True,
  )
  for line in process.stdout:
    if line.startswith('variant'):
      break
  time.sleep(0.5)  # Its first child is being started.
  process.send_signal(signal.SIGTERM)
  assert process.wait(600) == 143
  process.stdout.close()
  end = time.monotonic() + 300  # Python's own helper ends a moment later.
  while _is_there(process.pid) and time.monotonic() < end:
    time.sleep(0.05)
  assert not _is_there(process.pid)
  assert not (tmp_path / 'run').exists()


def _is_there(group):
  try:
    os.killpg(group, 0)
  except ProcessLookupError:
    return False
  return True


# The problem.


def test_the_problem_is_the_one_that_the_balance_task_solves(config):
  config.balance.lam_images = 0
  config.balance.update(budget=250, target=(0.2, 0.3, 0.5), upper=3.0)
  settings = problem.solve_arguments(config)
  ours = problem.rules_of(config)
  assert ours == {name: settings[name] for name in ours}
  rules = {field.name for field in dataclasses.fields(Rules)}
  assert {*ours} == rules - {'blocks'}  # Of several targets, which is no key.


def test_labelsets_are_those_of_the_training_split(config, tmp_path):
  lines = ['split,a,b', 'train,1,0', 'train,0,1', 'test,1,1', 'validation,1,1']
  (tmp_path / 'labels.csv').write_text('\n'.join(lines))
  config.data.path = str(tmp_path / 'labels.csv')
  inputs = run_lib.load(config, tmp_path, progress.Watch(time.perf_counter()))
  assert problem.find_labelsets(inputs).counts.tolist() == [1, 1]


# The picture.


@pytest.fixture(name='drawn')
def fixture_drawn(monkeypatch):
  drawn, save = [], figure_lib.Figure.savefig

  def savefig(figure, *arguments, **settings):
    drawn.append(figure)
    return save(figure, *arguments, **settings)

  monkeypatch.setattr(figure_lib.Figure, 'savefig', savefig)
  return drawn


def row(name, kind='variant', **others):
  return {'variant': name, 'kind': kind, 'trace': None} | others


def test_each_variant_has_a_panel_and_all_are_in_each(drawn, tmp_path):
  rows = [
    row('adam', trace={'seconds': [1.0, 2.0, 3.0], 'gap': [None, 0.5, 0.1]}),
    row('adam + newton', trace={'seconds': [1.0, 4.0], 'gap': [0.5, 0.0]}),
    row('lion', trace={'seconds': [0.2, 9.0], 'gap': [0.5, 0.2]}),
    row('pdhg'),
    row('scipy', 'rival', seconds=7.0, gap=1e-9),
    row('piqp', 'rival', seconds=None, gap=None),
  ]
  with open(tmp_path / 'x.png', 'wb') as file:
    report.draw(file, rows, tol=1e-5, title='Costs $5 and $6')
  assert (tmp_path / 'x.png').read_bytes().startswith(b'\x89PNG')
  panels = [ax for ax in drawn[0].axes if ax.get_visible()]
  assert [ax.get_title(loc='left') for ax in panels] == ['adam', 'lion']
  assert [ax.get_title(loc='right') for ax in panels] == ['not reached'] * 2
  assert (
    drawn[0].get_suptitle().split() == report.conclusion(rows, 1e-5).split()
  )
  for ax in panels:
    assert ax.get_xscale() == ax.get_yscale() == 'log'
  curves = {
    line.get_label(): [list(map(float, line.get_xdata())), [*line.get_ydata()]]
    for line in panels[0].get_lines()
  }
  assert curves['the variant'] == [[2.0, 3.0], [0.5, 0.1]]
  assert curves['finished by Newton steps'] == [[1.0, 4.0], [0.5, 1e-8]]
  assert curves['others'] == [[0.2, 9.0], [0.5, 0.2]]
  assert curves['scipy'] == [[7.0], [1e-8]]
  assert curves['gap wanted'][1] == [1e-5, 1e-5]
  assert 'piqp' not in curves
  labels = [[x.get_label() for x in ax.get_lines()] for ax in panels]
  assert [found.count('others') for found in labels] == [1, 2]


def test_the_heading_says_who_was_first_and_by_how_much():
  rng = np.random.default_rng(0)
  for _ in range(300):
    num = int(rng.integers(1, 7))
    rows = [
      row(
        f'v{k}',
        rng.choice(['variant', 'rival']),
        seconds=float(10 ** rng.uniform(-4, 3)),
        gap=float(10 ** rng.uniform(-9, 0)),
      )
      for k in range(num)
    ]
    for one in rows:
      one['converged'] = one['gap'] <= 1e-5
    words = report.conclusion(rows, 1e-5)
    met = [(r['seconds'], r) for r in rows if r['converged']]
    met.sort(key=lambda pair: pair[0])
    named = re.findall(r'v\d', words)
    if not met:
      closest = min(rows, key=lambda r: r['gap'])
      assert named == [closest['variant']]
      assert f'to {closest["gap"]:.1e}.' in words and 'None reached' in words
      continue
    fastest = [r for _, r in met]
    own = [r['variant'] for r in fastest if r['kind'] == 'variant'][:1]
    want = [r['variant'] for r in fastest[:2]]
    assert named == want + [name for name in own if name not in want]
    assert words.startswith(f'{want[0]} (')
    assert words.endswith(f' {num - len(met)} of {num} did not reach it.')
    if len(met) > 1:
      times = fastest[1]['seconds'] / fastest[0]['seconds']
      said = re.search(r'([\d,.]+) times as fast', words)[1]
      assert float(said.replace(',', '')) == pytest.approx(
        times, abs=0.051 if times < 100 else 0.51
      )
  assert report.conclusion([row('x', gap=None)], 1e-5).endswith(
    'none proved any.'
  )


def test_a_table_without_a_gap_can_be_drawn(drawn, tmp_path):
  with open(tmp_path / 'x.png', 'wb') as file:
    report.draw(file, [row('pdhg')], tol=1e-5, title='Nothing')
  assert drawn and not any(ax.get_visible() for ax in drawn[0].axes)


def test_labelsets_survive_the_way_to_the_process(tmp_path):
  found = labelsets_lib.find_labelsets(np.repeat(PATTERNS, COUNTS, axis=0))
  timing.save_problem(tmp_path, found)
  patterns, counts = timing._load_problem(tmp_path)
  np.testing.assert_array_equal(patterns.toarray(), found.patterns)
  np.testing.assert_array_equal(counts, found.counts)
