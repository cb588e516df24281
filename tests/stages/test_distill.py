"""Students: from the checkpoint of a run to the ensemble that is scored."""

import hashlib
import itertools
import json
import shutil

import numpy as np
import pytest
from sklearn.metrics import f1_score

import aubal_jax as aubal
from aubal_jax import settings
from aubal_jax.network import bundle
from aubal_jax.network import checkpoint
from aubal_jax.network import ensemble
from aubal_jax.network import step as step_lib
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import preemption
from aubal_jax.runs import progress
from aubal_jax.stages import distill
from aubal_jax.stages import run as run_lib
from tests.makers import small_runs
from tests.stages import test_features as of_features

K = 3


def configure(folder, **changes):
  table = of_features.write(folder / 't.csv', *of_features.draw(3, 160))
  return of_features.configuration(
    table, **{'distill__students': K, 'train__log_every_steps': 1} | changes
  )


def sums(path):
  """SHA-256 of every file of a folder."""
  return {
    str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest()
    for p in sorted(path.rglob('*'))
    if p.is_file()
  }


@pytest.fixture(name='_plain', scope='module', autouse=True)
def fixture_plain():
  with small_runs.without_pictures():
    yield


@pytest.fixture(name='whole', scope='module')
def fixture_whole(tmp_path_factory):
  """A run with students, its settings, and how often steps were traced."""
  folder = tmp_path_factory.mktemp('whole')
  config, traced = configure(folder), []
  make, step = step_lib.make_train_step, step_lib.train_step

  def made(*args, **options):
    traced.append(0)
    return make(*args, **options)

  def counted(*args, **options):
    traced[-1] += 1
    return step(*args, **options)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(step_lib, 'make_train_step', made)
    patch.setattr(step_lib, 'train_step', counted)
    of_features.run(config, folder / 'run', 'balance')
    of_features.run(config, folder / 'run', 'train')
    before = sums(folder / 'run' / 'checkpoints')
    of_features.run(config, folder / 'run')
  return folder / 'run', config, traced, before


def test_the_mean_of_students_is_what_is_scored(whole, capsys):
  path, config, _, _ = whole
  report = files.read_json(path / 'report.json')
  assert report['checkpoint'] == 'ensemble'
  assert len(report['ensemble']['members']) == K
  kept = ensemble.read(path)
  places = [path / 'students' / str(i) for i in range(K)]
  assert {*ensemble.folders_of(path, kept)} == {*places}
  _, features = of_features.draw(8)
  alone = [aubal.load(place).predict(features) for place in places]
  logits = np.log(alone) - np.log1p(-np.array(alone))
  mean = 1 / (1 + np.exp(-logits.mean(axis=0)))
  np.testing.assert_allclose(
    aubal.load(path).predict(features), mean, atol=2e-6
  )
  assert np.ptp(alone, axis=0).max() > 1e-3  # Each from a seed of its own.
  assert '3 networks' in (path / 'report.html').read_text()
  assert f'mean of {K} students' in (path / 'students/card.md').read_text()
  capsys.readouterr()
  of_features.run(config, path)
  assert 'distill: done before.' in capsys.readouterr().out
  for place in places:
    lines = small_runs.strip_times(place / 'metrics.jsonl')
    assert lines[-1]['step'] == 30 and 'loss' in lines[0]


def test_the_teacher_is_unchanged_and_students_share_a_program(whole):
  path, _, traced, before = whole
  after = sums(path / 'checkpoints')
  assert {k: after[k] for k in before} == before
  assert traced == [1, 1]  # That of the teacher, and that of all students.


@pytest.mark.parametrize(
  'polls',  # In the first student, and in the second.
  [pytest.param(3, marks=pytest.mark.long), 37],
)
def test_students_go_on_where_they_were_stopped(
  whole, tmp_path, monkeypatch, polls
):
  path, config, _, _ = whole
  other = tmp_path / 'run'
  shutil.copytree(path, other)
  for name in ('students', 'ensemble.json', 'report.json'):
    gone = other / name
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
  asked = itertools.count()
  with monkeypatch.context() as patch, pytest.raises(BaseException) as stop:
    patch.setattr(preemption, 'requested', lambda: next(asked) == polls)
    of_features.run(config, other)
  assert 'Stopped at step' in str(stop.value)
  assert not (other / 'report.json').exists()
  of_features.run(config, other)
  wanted = [small_runs.strip_times(p) for p in _logs(path)]
  assert [small_runs.strip_times(p) for p in _logs(other)] == wanted
  name = 'ensemble.json'  # With digests of all weights.
  assert (other / name).read_bytes() == (path / name).read_bytes()


def _logs(path):
  return sorted(path.glob('students/*/metrics.jsonl'))


def test_teacher_and_students_stand_beside_their_mean(whole, tmp_path):
  path, config, _, _ = whole
  report = files.read_json(path / 'report.json')
  own = config.copy_and_resolve_references()
  own.distill.students = 0
  of_features.run(own, tmp_path)
  wanted = files.read_json(tmp_path / 'report.json')
  assert {k: wanted[k] for k in report['teacher']} == report['teacher']
  dataset = run_lib.load(config, path, progress.Watch(0.0)).dataset
  rows = dataset.rows('test')
  assert len(report['students']) == K
  for place, one in enumerate(report['students']):
    student = aubal.load(path / 'students' / str(place))
    said = student.predict(dataset.features[rows]) > 0.5
    f1 = f1_score(dataset.labels[rows], said, average='macro')
    assert one['f1_macro'] == pytest.approx(f1, abs=1e-6)
  f1 = [one['f1_macro'] for one in report['students']]
  page = (path / 'report.html').read_text()
  assert f'{np.mean(f1):.3f}' in page
  assert f'{min(f1):.3f} to {max(f1):.3f}' in page


def test_more_students_join_those_there_are(whole, tmp_path, capsys):
  path, config, _, _ = whole
  config = config.copy_and_resolve_references()
  other = tmp_path / 'run'
  config.distill.students = 1
  of_features.run(config, other)
  before = sums(other / 'students' / '0')
  of_one = files.read_json(other / 'report.json')
  assert len(of_one['ensemble']['members']) == 1
  # An ensemble of one is the network.
  _, features = of_features.draw(9)
  np.testing.assert_allclose(
    aubal.load(other).predict(features),
    aubal.load(other / 'students/0').predict(features),
    atol=1e-7,
  )
  config.distill.students = K
  capsys.readouterr()
  of_features.run(config, other)
  assert 'student 1 of' not in capsys.readouterr().out
  after = sums(other / 'students/0')
  assert {k: after[k] for k in before} == before
  name = 'report.json'
  assert (other / name).read_bytes() == (path / name).read_bytes()
  config.distill.students = 1
  with pytest.raises(errors.UserError, match=r'distill\.students: 3 there'):
    of_features.run(config, other)


def test_another_teacher_is_refused(whole, tmp_path):
  path, config, _, _ = whole
  other = tmp_path / 'run'
  shutil.copytree(path, other)
  record = files.read_json(other / 'config.json')
  record['stages']['distill']['done'] = False
  (other / 'config.json').write_text(json.dumps(record))
  trained = bundle.load(other / 'checkpoints')
  shutil.rmtree(other / 'checkpoints')
  shutil.copytree(other / 'students/1/checkpoints', other / 'checkpoints')
  with pytest.raises(errors.UserError, match=r'students/0 .*\n  the teacher: '):
    of_features.run(config, other, 'distill')
  assert trained.digest()  # And what was learnt stays.
  assert len(_logs(other)) == K
  described = bundle.read(other / 'checkpoints')
  heads = [*described.heads]
  for names in (('glad', 'mad'), ('glad', 'sad', 'mad')):
    heads[0] = heads[0].__class__(**{**vars(heads[0]), 'names': names})
    with pytest.raises(errors.UserError, match=r'has the heads .*mad'):
      distill._check_alike(
        other,
        described.__class__(**{**vars(described), 'heads': tuple(heads)}),
        described,
      )


@pytest.mark.parametrize(
  ('name', 'given', 'words'),
  [
    ('students', -1, r'distill\.students .*-1'),
    ('students', 1000, r'distill\.students .*1000'),
    ('temperature', 0.0, r'distill\.temperature .*0'),
    ('own', 1.5, r'distill\.own .*1\.5'),
    ('num_steps', -2, r'distill\.num_steps .*-2'),
  ],
)
def test_what_is_out_of_range_is_named(tmp_path, name, given, words):
  config = settings.default()
  config.distill[name] = given
  with pytest.raises(errors.UserError, match=words):
    of_features.run(config, tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_what_comes_first_is_named(tmp_path):
  config = configure(tmp_path)
  with pytest.raises(errors.UserError, match='train task there first'):
    of_features.run(config, tmp_path / 'run', 'distill')
  config.distill.students = 0
  with pytest.raises(errors.UserError, match=r'distill\.students is 0'):
    of_features.run(config, tmp_path / 'run', 'distill')


def write_targets(path):
  """A table whose features tell two labels, a class and a number."""
  labels, features = of_features.draw(5, 200)
  mood = np.where(labels[:, 0], 'glad', np.where(labels[:, 1], 'low', 'calm'))
  valence = np.tanh(labels @ [1.5, -2.0] + 0.2)
  rows = [','.join([*of_features.COLUMNS, *of_features.LABELS, 'mood', 'v'])]
  for k, (x, y) in enumerate(zip(features, labels, strict=True)):
    cells = [*map(repr, map(float, x)), *map(str, y), mood[k], f'{valence[k]}']
    if k % 5 == 0:  # Not every row knows all of it.
      cells[-2] = ''
    rows.append(','.join(cells))
  path.write_text('\n'.join(rows) + '\n')
  return path


def test_all_targets_of_a_table_are_learnt(tmp_path):
  """In a few steps, not well: what none is to be is guessing."""
  config = of_features.configuration(
    write_targets(tmp_path / 't.csv'),
    data__class_columns=('mood',),
    data__real_columns=('v',),
    balance__method='none',
    loss__name='bce',
    multitask__batching='mixed',
    train__batch_size=24,
  )
  path = of_features.run(config, tmp_path / 'run')
  report = files.read_json(path / 'report.json')
  floor = report['floors']['all_positive']['f1_macro']
  assert report['f1_macro'] > floor + 0.1
  assert report['targets']['mood']['accuracy'] > 0.6
  assert report['targets']['v']['of_each']['v']['ccc'] > 0.3


@pytest.mark.long
@pytest.mark.parametrize('batching', ['mixed', 'per_task'])
def test_students_of_several_targets(tmp_path, batching):
  config = of_features.configuration(
    write_targets(tmp_path / 't.csv'),
    data__class_columns=('mood',),
    data__real_columns=('v',),
    balance__method='none',
    distill__students=2,
    distill__num_steps=20,
    ensemble__mean='probabilities',
    multitask__heads='deng',
    multitask__batching=batching,
    train__batch_size=24,
  )
  path = of_features.run(config, tmp_path / 'run')
  report = files.read_json(path / 'report.json')
  assert report['ensemble']['mean'] == 'probabilities'
  assert report['targets']['mood']['accuracy'] > 0.5
  lines = small_runs.strip_times(path / 'students/1/metrics.jsonl')
  assert lines[-1]['step'] == 20
  heads = [
    head.name for head in bundle.read(path / 'students/0/checkpoints').heads
  ]
  assert heads == ['labels', 'mood', 'v']


@pytest.mark.parametrize('best', [15, 30])
def test_the_teacher_is_the_best_or_as_published_the_last(
  whole, tmp_path, best
):
  path, config, _, _ = whole
  config = config.copy_and_resolve_references()
  trained = bundle.load(path / 'checkpoints')
  parts = *bundle.make_network(trained.description), trained.description
  run = of_features.open_run(config, tmp_path)
  with checkpoint.open_checkpoints(tmp_path / 'checkpoints') as kept:
    bundle.write(tmp_path / 'checkpoints', trained.description)
    for step in (15, 30):
      state = bundle.first_state(*parts, seed=step)
      state = state.replace(step=np.int32(step))
      checkpoint.save(kept, state, {'f1_macro': float(step == best)})
  found = {}
  for recipe in ('repaired', 'published'):
    run.config.multitask.recipe = recipe
    found[recipe] = distill.load_teacher(run).step
  assert found == {'repaired': best, 'published': 30}
