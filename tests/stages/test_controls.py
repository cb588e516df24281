"""Controls: the same training on other plans, and what the run has more."""

import json

import pytest

from aubal_jax import commands
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import preemption
from aubal_jax.scoring import differences
from aubal_jax.stages import controls
from tests.stages import test_line

fixture_config = test_line.fixture_config
LINE = ('balance', 'train', 'evaluate', 'controls', 'report')


@pytest.fixture(name='small')
def fixture_small(config):
  config.train.num_steps = 3
  config.controls.methods = ('none', 'random')
  return config


def test_a_control_is_the_run_of_its_method(small, tmp_path, capsys):
  path = test_line.run(small, tmp_path / 'run')
  record = files.read_json(path / 'controls.json')
  assert [*record['networks']] == ['none', 'random', 'aubal']
  assert record['networks']['aubal']['report'] == files.read_json(
    path / 'report.json'
  )
  assert len(record['differences']) == 2 * len(differences.SCORES)
  for told in record['differences']:
    f1 = {
      name: entry['report']['f1_macro']
      for name, entry in record['networks'].items()
    }
    if told['score'] == 'f1_macro':
      want = f1['aubal'] - f1[told['less']]
      assert told['difference'] == pytest.approx(want, abs=2e-6)
  printed = capsys.readouterr().out
  assert 'controls: none, 1 of 2' in printed and 'controls: random:' in printed
  page = (path / 'report.html').read_text()
  assert page.index('every image once') < page.index('This run')

  test_line.run(small, path)
  printed = capsys.readouterr().out
  assert [f'{name}: done before.' in printed for name in LINE] == [True] * 5

  small.controls.methods = ()
  small.balance.method = 'random'
  alone = test_line.run(small, tmp_path / 'alone')
  control = path / 'controls/random'
  assert test_line.strip_times(
    alone / 'metrics.jsonl'
  ) == test_line.strip_times(control / 'metrics.jsonl')
  assert record['networks']['random']['report'] == files.read_json(
    alone / 'report.json'
  )
  assert not (alone / 'controls.json').exists()


def test_controls_are_added_later_and_a_stop_loses_nothing(
  small, tmp_path, monkeypatch
):
  whole = test_line.run(small, tmp_path / 'whole')
  path = tmp_path / 'run'
  small.controls.methods = ('none',)
  test_line.run(small, path)
  assert [*files.read_json(path / 'controls.json')['networks']] == [
    'none',
    'aubal',
  ]
  done = (path / 'controls/none/metrics.jsonl').read_bytes()

  small.controls.methods = ('none', 'random')
  train = controls.train.run

  def stopped(run):
    train(run)
    raise SystemExit(143)

  with monkeypatch.context() as patch:
    patch.setattr(controls.train, 'run', stopped)
    with pytest.raises(SystemExit):
      test_line.run(small, path)
  test_line.run(small, path)
  assert (path / 'controls/none/metrics.jsonl').read_bytes() == done
  ends = [folder / 'controls.json' for folder in (path, whole)]
  assert ends[0].read_bytes() == ends[1].read_bytes()

  small.controls.methods = ('none',)
  with pytest.raises(errors.UserError, match=r'controls\.methods'):
    test_line.run(small, path)


def test_a_damaged_or_missing_record_is_made_again(small, tmp_path, capsys):
  small.controls.methods = ('none',)
  path = test_line.run(small, tmp_path / 'run')
  record = path / 'controls.json'
  whole = record.read_bytes()
  for spoil in (
    record.unlink,
    lambda: record.write_text(json.dumps({'networks': {}})),
  ):
    spoil()
    capsys.readouterr()
    test_line.run(small, path)
    assert record.read_bytes() == whole
    assert 'steps 1 to' not in capsys.readouterr().out


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
    test_line.run(config, tmp_path / 'run', task)
  assert not (tmp_path / 'run/controls').exists()


def test_a_request_to_stop_is_heard_between_controls(
  small, tmp_path, monkeypatch
):
  heard = []
  monkeypatch.setattr(preemption, 'stop_if_requested', lambda: heard.append(1))
  test_line.run(small, tmp_path / 'run')
  assert len(heard) == len(LINE) + len(small.controls.methods) + 1
  assert {*commands.STAGES} >= {*LINE}
