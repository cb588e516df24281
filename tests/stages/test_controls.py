"""Controls: the same training on other plans, and what the run has more."""

import json

import pytest

from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import preemption
from aubal_jax.scoring import differences
from aubal_jax.stages import controls
from tests.makers import small_runs
from tests.stages import test_features as of_features

LINE = ('balance', 'train', 'evaluate', 'controls', 'report')


@pytest.fixture(name='_plain', scope='module', autouse=True)
def fixture_plain():
  with small_runs.without_pictures():
    yield


@pytest.fixture(name='whole', scope='module')
def fixture_whole(tmp_path_factory):
  """A run with both controls, its settings, and how often a stop was asked."""
  folder = tmp_path_factory.mktemp('whole')
  config = small(make_config(folder))
  heard = []
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(preemption, 'stop_if_requested', lambda: heard.append(1))
    path = small_runs.run(config, folder / 'run')
  return path, config, len(heard)


@pytest.fixture(name='config')
def fixture_config(tmp_path):
  return make_config(tmp_path)


def make_config(folder):
  """Of a table of features: nothing here hangs on images."""
  table = of_features.write(folder / 't.csv', *of_features.draw(3))
  return of_features.configuration(
    table, train__eval_every_steps=3, train__log_every_steps=1
  )


def small(config):
  config.train.num_steps = 3
  config.controls.methods = ('none', 'random')
  return config


def test_a_control_is_the_run_of_its_method(whole, tmp_path, capsys):
  path, config, heard = whole
  assert heard == len(LINE) + len(config.controls.methods) + 1
  record = files.read_json(path / 'controls.json')
  assert [*record['networks']] == ['none', 'random', 'aubal']
  assert record['networks']['aubal']['report'] == files.read_json(
    path / 'report.json'
  )
  assert len(record['differences']) == 2 * len(differences.SCORES)
  f1 = {n: x['report']['f1_macro'] for n, x in record['networks'].items()}
  for told in record['differences']:
    if told['score'] == 'f1_macro':
      want = f1['aubal'] - f1[told['less']]
      assert told['difference'] == pytest.approx(want, abs=2e-6)
  page = (path / 'report.html').read_text()
  assert page.index('every image once') < page.index('This run')

  small_runs.run(config, path)
  printed = capsys.readouterr().out
  assert [f'{name}: done before.' in printed for name in LINE] == [True] * 5

  alone = config.copy_and_resolve_references()
  alone.controls.methods = ()
  alone.balance.method = 'random'
  other = small_runs.run(alone, tmp_path / 'alone')
  control = path / 'controls/random'
  assert small_runs.strip_times(
    other / 'metrics.jsonl'
  ) == small_runs.strip_times(control / 'metrics.jsonl')
  assert record['networks']['random']['report'] == files.read_json(
    other / 'report.json'
  )
  assert not (other / 'controls.json').exists()


def test_controls_are_added_later_and_nothing_is_lost(
  whole, tmp_path, monkeypatch, capsys
):
  path = tmp_path / 'run'
  config = whole[1].copy_and_resolve_references()
  config.controls.methods = ('none',)
  small_runs.run(config, path)
  assert 'controls: none, 1 of 1' in capsys.readouterr().out
  names = [*files.read_json(path / 'controls.json')['networks']]
  assert names == ['none', 'aubal']
  done = (path / 'controls/none/metrics.jsonl').read_bytes()

  config.controls.methods = ('none', 'random')
  train = controls.train.run

  def stopped(run):
    train(run)
    raise SystemExit(143)

  with monkeypatch.context() as patch:
    patch.setattr(controls.train, 'run', stopped)
    with pytest.raises(SystemExit):
      small_runs.run(config, path)
  small_runs.run(config, path)
  assert (path / 'controls/none/metrics.jsonl').read_bytes() == done
  record = path / 'controls.json'
  wanted = (whole[0] / 'controls.json').read_bytes()
  assert record.read_bytes() == wanted

  for spoil in (
    record.unlink,
    lambda: record.write_text(json.dumps({'networks': {}})),
  ):
    spoil()
    capsys.readouterr()
    small_runs.run(config, path)
    assert record.read_bytes() == wanted
    assert 'steps 1 to' not in capsys.readouterr().out

  config.controls.methods = ('none',)
  with pytest.raises(errors.UserError, match=r'controls\.methods'):
    small_runs.run(config, path)


@pytest.mark.parametrize(
  ('task', 'methods', 'words'),
  [
    ('run', ('none', 'aubal'), 'the run itself'),
    ('controls', (), 'is empty'),
    ('controls', ('none',), 'has no checkpoints'),
  ],
)
def test_what_cannot_be_compared_is_said_first(
  config, tmp_path, task, methods, words
):
  config.controls.methods = methods
  with pytest.raises(errors.UserError, match=words):
    small_runs.run(config, tmp_path / 'run', task)
  assert not (tmp_path / 'run/controls').exists()
