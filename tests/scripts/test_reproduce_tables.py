"""The paper's tables: of the reconstruction, of runs, and from raw folders."""

import json
import pathlib
import re
import subprocess
import sys
import types

import pytest

from aubal_jax.network import log as log_lib
from aubal_jax.runs import files
from tests import test_configs
from tests.stages import test_paper

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = (
  '--config.data.image_size=16',
  '--config.balance.optimizer=newton',
  '--config.model.name=resnet8_16',
  '--config.train.batch_size=8',
  '--config.train.num_steps=2',
  '--config.train.eval_every_steps=2',
)


@pytest.fixture(scope='module')
def script():
  """The script, which solves Table I of the shipped joint once for all."""
  with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(ROOT / 'scripts')
    import reproduce_tables

    solved = reproduce_tables.table1(files.read_json(reproduce_tables.JOINT))
    patch.setattr(reproduce_tables, 'table1', lambda _: solved)
    yield reproduce_tables


def _tables(out):
  return json.loads((out / 'tables.json').read_text())


def _column(table, heading):
  place = table['columns'].index(heading)
  return {row[0]: row[place] for row in table['rows']}


def _scores(f1, **labels):
  floor = {'f1_macro': 0.2, 'accuracy': 0.5, 'awc': 0.35}
  return {
    'step': 20,
    'split': 'test',
    'label_names': ['AU01', 'smile'],
    'per_label': {k: {'f1': v} for k, v in labels.items()},
    'floors': {'all_positive': floor, 'all_negative': floor},
    **{'f1_macro': f1, 'accuracy': 0.75, 'awc': (f1 + 0.75) / 2},
  }


def _write_run(folder, **contents):
  folder.mkdir()
  for name, content in contents.items():
    (folder / f'{name}.json').write_text(json.dumps(content))
  return folder


@pytest.fixture
def runs(tmp_path):
  """A run of each kind, of two labels of which the paper has one."""
  labelsets = {
    'label_names': ['AU01', 'smile'],
    'class_counts': [30, 10],
    'images': 50,
    'sources': {
      'a': {'class_counts': [20, 0], 'images': 30},
      'b': {'class_counts': [10, 10], 'images': 20},
    },
  }
  solution = {
    'class_counts_after': [30, 28],
    'images_after': 68,
    'objective': 'l1',
    'lam_effective': 0.5,
    'value_start': 20.0,
    'rounded_value': 2.0,
    'rounded_gap': 1e-6,
    'trace': {
      'step': [0, 1],
      'value': [20.0, 2.0],
      'cost': [0.0, 0.0],
      'lower_bound': [None, 1.5],
    },
  }
  aug = _write_run(
    tmp_path / 'aug',
    labelsets=labelsets,
    solution=solution,
    report=_scores(0.5, AU01=0.6, smile=0.4),
  )
  lines = [
    {'step': 10, 'validation': {'f1_macro': 0.1, 'awc': 0.2}},
    {'step': 20, 'loss': 0.5},
    {'step': 20, 'validation': {'f1_macro': 0.55, 'awc': 0.65}},
  ]
  (aug / 'metrics.jsonl').write_text(
    ''.join(json.dumps(line) + '\n' for line in lines)
  )
  non_aug = _write_run(
    tmp_path / 'non_aug',
    labelsets=labelsets,
    report=_scores(0.25, AU01=0.5, smile=0.0) | {'split': 'validation'},
  )
  return aug, non_aug


@pytest.mark.long
def test_without_arguments_table1_is_the_papers_and_its_best(
  script, tmp_path, capsys
):
  assert script.main([f'--out={tmp_path / "out"}']) == 0
  told = capsys.readouterr().out
  first, second, third = _tables(tmp_path / 'out')
  for kind in ('non-aug', 'aug-1'):
    assert _column(first, kind) == _column(first, f'paper: {kind}')
  assert _column(first, 'AffWild')['AU04'] == 32387
  what = 'sum of abs(z - mean z)'
  assert _column(first, 'paper: non-aug')[what] == 125741
  assert _column(first, 'paper: aug-1')[what] == 80805
  # The sum of a count's distances to a mean in thirds, rounded to images.
  assert _column(first, 'best, lambda 0')[what] == pytest.approx(80803, abs=1)
  assert _column(first, 'best, lambda 0')['images'] <= 378041
  assert _column(first, 'paper: non-aug')['MeanIR'] == pytest.approx(
    4.10, abs=5e-3
  )
  assert _column(first, 'paper: aug-1')['MeanIR'] == pytest.approx(
    2.04, abs=5e-3
  )
  assert 'exactly the numbers that the paper prints' in told
  assert told.count('80,802.667') == 2  # Ours, and the linear programme's.
  assert _column(second, 'paper: aug-1')['AU15'] == 0.10
  assert set(_column(second, 'aug-1, no run').values()) == {None}
  assert _column(third, 'test AWC')['paper: two-stream (Kuhnke)'] == 0.60
  assert 'aug-1: no run is given' in told
  assert told == (tmp_path / 'out/tables.md').read_text()
  assert sorted(x.name for x in (tmp_path / 'out').iterdir()) == [
    *('fig2.png', 'tables.json', 'tables.md')
  ]


def test_another_joint_that_is_not_the_papers_is_told_of(script):
  joint = files.read_json(script.JOINT)
  patterns, counts, added = script.read_joint(joint)
  good = script.check(patterns, counts, added)
  assert 'exactly the numbers that the paper prints' in good
  counts[0, 0] += 1
  told = script.check(patterns, counts, added)
  assert 'NOT the numbers of the paper: largest error of the images' in told
  assert 'exactly the numbers' not in told


def test_numbers_of_runs_stand_beside_the_papers(
  script, runs, tmp_path, capsys
):
  aug, non_aug = runs
  out = tmp_path / 'out'
  flags = [f'--aug={aug}', f'--non_aug={non_aug}', f'--out={out}']
  assert script.main(flags) == 0
  _, own, second, third = _tables(out)
  assert own['columns'][:5] == ['', 'a', 'b', 'non-aug', 'aug-1']
  assert [x[:6] for x in own['rows'][:3]] == [
    ['AU01', 20, 10, 30, 30, 62180],
    ['smile', 0, 10, 10, 28, None],  # No AU of the paper.
    ['images', 30, 20, 50, 68, 322551],
  ]
  what = 'sum of abs(z - mean z)'
  assert _column(own, 'non-aug')[what] == 20
  assert _column(own, 'paper: non-aug')[what] is None
  assert _column(own, 'non-aug')['MeanIR'] == 2  # (1 + 3) / 2
  assert _column(second, 'aug-1, test') == {
    **{'AU01': 0.6, 'smile': 0.4, 'F1 macro': 0.5, 'Acc': 0.75, 'AWC': 0.625}
  }
  assert _column(second, 'non-aug, validation')['AU01'] == 0.5
  assert _column(second, 'floor: all negative')['AWC'] == 0.35
  assert third['rows'][:2] == [
    ['non-aug', 0.25, 0.5, None, None, None],
    ['aug-1', 0.55, 0.65, 0.5, 0.75, 0.625],  # Validation: from training.
  ]
  assert 'missing' not in capsys.readouterr().out
  assert (out / 'fig2_run.png').stat().st_size > 1000


def test_what_is_missing_is_named(script, runs, tmp_path, capsys):
  aug, _ = runs
  (aug / 'report.json').unlink()
  assert script.main([f'--aug={aug}', f'--out={tmp_path / "out"}']) == 0
  told = capsys.readouterr().out
  assert f'aug-1: {aug}/report.json is missing; finish the run' in told
  assert 'non-aug: no run is given' in told
  assert '| aug-1 | - | - | - | - | - |' in told


def test_errors_are_one_message(script, runs, tmp_path, capsys):
  aug, _ = runs
  assert script.main([f'--aug={tmp_path / "nowhere"}']) == 2
  assert 'nowhere is not a folder' in capsys.readouterr().err
  (aug / 'report.json').write_text('{')
  assert script.main([f'--aug={aug}', f'--out={tmp_path / "out"}']) == 2
  assert 'report.json is damaged' in capsys.readouterr().err
  for content in ('[]', '{}', '{"split": "test"}'):
    (aug / 'report.json').write_text(content)
    assert script.main([f'--aug={aug}', f'--out={tmp_path / "out"}']) == 2
    assert 'report.json is not that of a run' in capsys.readouterr().err
  joint = tmp_path / 'joint.json'
  for content in ('[]', '{}', '{"labelsets": []}'):
    joint.write_text(content)
    arguments = [f'--joint={joint}', f'--out={tmp_path / "out"}']
    assert script.main(arguments) == 2
    assert 'joint.json is not what' in capsys.readouterr().err
  assert not (tmp_path / 'out').exists()
  for flags in (['--config.seed=1'], ['--data=x', '--seed=1']):
    with pytest.raises(SystemExit) as stop:
      script.main(flags)
    assert stop.value.code == 2
    assert 'goes with --data' in capsys.readouterr().err


def test_runs_of_other_labels_are_no_pair(script, runs, tmp_path, capsys):
  aug, non_aug = runs
  path = non_aug / 'labelsets.json'
  content = json.loads(path.read_text()) | {'label_names': ['AU01', 'frown']}
  path.write_text(json.dumps(content))
  arguments = [f'--aug={aug}', f'--non_aug={non_aug}']
  assert script.main([*arguments, f'--out={tmp_path / "out"}']) == 2
  said = capsys.readouterr().err
  assert 'must have the same labels' in said and 'frown' in said
  assert not (tmp_path / 'out').exists()


def _run_here(command, check):
  """Runs in this process what the script would run in one of its own."""
  assert command[:3] == [sys.executable, '-m', 'aubal_jax.main']
  flags = dict(flag.removeprefix('--').split('=', 1) for flag in command[3:])
  config = test_configs.load(pathlib.Path(flags.pop('config'))).get_config()
  path = flags.pop('workdir')
  for key, value in flags.items():
    key = key.removeprefix('config.')
    old = config.to_dict()
    for name in key.split('.'):
      old = old[name]
    config.update_from_flattened_dict({key: type(old)(value)})
  test_paper.run(config, path)
  return subprocess.CompletedProcess(command, 0)


@pytest.mark.long
def test_one_command_from_raw_folders_to_the_tables(
  script, tmp_path, monkeypatch, capsys
):
  test_paper.write_sets(tmp_path / 'sets')
  monkeypatch.chdir(tmp_path)
  here = types.SimpleNamespace(run=_run_here)
  monkeypatch.setattr(script, 'subprocess', here)
  flags = [f'--data={tmp_path / "sets"}', *SMALL]
  assert script.main(flags) == 0
  assert 'is missing' not in capsys.readouterr().out
  _, own, second, third = _tables(tmp_path / 'runs/tables')
  assert own['columns'][1:5] == [
    *('aff_wild2', 'emotionet', 'ck_plus', 'actor_study')
  ]
  assert _column(own, 'actor_study')['AU25'] == 1
  solution = files.read_json(tmp_path / 'runs/paper/solution.json')
  assert [row[6] for row in own['rows'][:9]] == [
    *(*solution['class_counts_after'], solution['images_after'])
  ]
  # Two images of Aff-Wild2 are of its validation part.
  assert own['rows'][8][1:6] == [7, 3, 5, 3, 16]
  for folder, kind in (('paper', 'aug-1'), ('paper_non_aug', 'non-aug')):
    report = files.read_json(tmp_path / 'runs' / folder / 'report.json')
    assert _column(second, f'{kind}, validation')['Acc'] == report['accuracy']
    assert _column(third, 'validation AWC')[kind] == report['awc']
    assert _column(third, 'test AWC')[kind] is None
  assert (tmp_path / 'runs/tables/fig2_run.png').exists()


def test_a_run_that_fails_ends_the_command(
  script, tmp_path, monkeypatch, capfd
):
  monkeypatch.setenv('PYTHONPATH', str(ROOT))
  flags = [f'--data={tmp_path}', f'--non_aug={tmp_path / "run"}']
  with pytest.raises(SystemExit) as stop:
    script.main([*flags, f'--out={tmp_path / "out"}'])
  assert stop.value.code == 2
  told = capfd.readouterr().err
  assert 'aff_wild2' in told
  assert 'the run non-aug in' in told and 'ended with status 2' in told
  assert not (tmp_path / 'out').exists()


OF_SEVERAL_TASKS = {
  *('teacher', 'students', 'ensemble'),
  *('two-stream video', 'two-stream sound', 'two-stream both'),
}


def _report(split, f1, **more):
  scores = {'f1_macro': f1, 'accuracy': 0.75, 'awc': (f1 + 0.75) / 2}
  floor = {'f1_macro': 0.2, 'accuracy': 0.5, 'awc': 0.35}
  return {
    **{'step': 20, 'checkpoint': 'best', 'split': split, **scores},
    'per_label': {'AU01': {'f1': f1}, 'smile': {'f1': 0.0}},
    'shrunk': {'f1_macro': f1 + 0.1},
    'floors': {'all_negative': floor},
    **more,
  }


def _several(f1):
  return {
    'targets': {
      'expression': {'kind': 'class', 'f1_macro': f1, 'accuracy': 0.5},
      'affect': {'kind': 'real', 'ccc_mean': 0.25},
    },
    'challenge': {'overall': 1 + f1},
  }


def test_systems_stand_beside_each_other(script, tmp_path, monkeypatch, capsys):
  def write(config, folder, flags):
    if config == 'baseline':
      return 'no such set'
    seed = next(int(x[-1]) for x in flags if x.startswith('--config.seed='))
    folder.mkdir(parents=True)
    with log_lib.open_metrics(folder / 'metrics.jsonl', step=0) as write_line:
      log = log_lib.TrainLog(write_line, every_steps=10, last_step=20)
      log.write_validation(20, {'f1_macro': 0.4 + seed / 10, 'awc': 0.5})
    report = _report('test', 0.3 + seed / 10)
    if config == 'two_stream':
      sense = folder.name.split('-')[1]
      assert f'--config.two_stream.modalities={sense}' in flags
      report |= _several({'video': 0.1, 'audio': 0.2, 'both': 0.3}[sense])
    if config == 'multitask':
      report |= _several(0.6) | {
        'teacher': _report('test', 0.1) | _several(0.2),
        'students': [
          _report('test', 0.2 + place / 10) | _several(0.3)
          for place in range(2)
        ],
      }
    (folder / 'report.json').write_text(json.dumps(report))
    return ''

  monkeypatch.setattr(script.paper_systems, '_run', write)
  out = tmp_path / 'out'
  flags = ['--systems=all', '--seeds=2', f'--out={out}']
  assert script.main(flags) == 1  # One has failed.
  told = capsys.readouterr().out
  assert 'Small form' in told and 'paper:' not in told
  second, third, others = _tables(out)
  assert _column(second, 'non-aug, test') == {
    **{'AU01': 0.35, 'smile': 0.0, 'F1 macro': 0.35, 'Acc': 0.75},
    'AWC': pytest.approx(0.55),
  }
  assert _column(second, 'baseline, no run')['AU01'] is None
  networks = _column(third, 'networks')
  assert networks['students'] == 4 and networks['teacher'] == 2
  assert networks['baseline'] == 'no such set'
  f1 = _column(third, 'test F1 macro')
  assert f1['students'] == '0.25 (0.20 to 0.30)'
  assert f1['ensemble'] == '0.35 (0.30 to 0.40)'
  assert f1['floor: all negative'] == 0.2
  looks = _column(third, 'validation F1 macro')
  assert looks['aug-1'] == '0.45 (0.40 to 0.50)'
  assert looks['students'] is None  # Which logged nothing here.
  shown = _column(others, 'expression F1 macro')
  assert shown['students'] == '0.30 (0.30 to 0.30)'
  assert {*shown} == OF_SEVERAL_TASKS
  assert shown['two-stream sound'] == '0.20 (0.20 to 0.20)'
  # With the data of the paper its numbers are beside, and a single seed is one.
  flags = ['--systems=ensemble', '--data=there', f'--out={tmp_path / "one"}']
  assert script.main(flags) == 0
  second, third, _ = _tables(tmp_path / 'one')
  assert _column(third, 'test F1 macro')['ensemble'] == 0.3
  assert 'paper: multi-task (Deng)' in _column(third, 'test AWC')
  assert _column(second, 'published: Deng, teacher')['AU01'] == 0.63


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--systems=all,two'], r'--systems must be all, or some of non-aug,.*two'),
    (['--systems=all', '--seeds=0'], r'--seeds must be at least 1, got 0'),
  ],
)
def test_unknown_systems_are_refused(script, flags, message, tmp_path, capsys):
  assert script.main([*flags, f'--out={tmp_path / "out"}']) == 2
  assert re.search(message, capsys.readouterr().err)
  assert not (tmp_path / 'out').exists()


def test_why_a_system_did_not_run_is_its_row(script, tmp_path, monkeypatch):
  monkeypatch.setenv('PYTHONPATH', str(ROOT))
  flags = ['--systems=non-aug', f'--data={tmp_path}', f'--out={tmp_path / "t"}']
  assert script.main(flags) == 1
  _, third = _tables(tmp_path / 't')
  assert 'aff_wild2' in _column(third, 'networks')['non-aug']


@pytest.mark.long
def test_the_small_form_trains_every_system(script, tmp_path, monkeypatch):
  monkeypatch.setenv('PYTHONPATH', str(ROOT))
  flags = (
    *('--config.data.num_train=480', '--config.data.num_validation=48'),
    *('--config.data.num_test=48', '--config.train.num_steps=2'),
    *('--config.train.batch_size=12', '--config.data.image_size=32'),
  )
  assert script.main(['--systems=all', f'--out={tmp_path}', *flags]) == 0
  _, third, others = _tables(tmp_path)
  networks = _column(third, 'networks')
  assert {*networks} >= {*script.paper_systems.SYSTEMS}
  assert networks['students'] > 1
  assert {*_column(others, 'overall')} == OF_SEVERAL_TASKS
