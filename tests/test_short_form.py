"""The short form of the command, and its help."""

import contextlib
import io
import os
import pathlib
import subprocess
import sys

import pytest

from aubal_jax import commands
from aubal_jax import settings
from aubal_jax import short_form

ROOT = pathlib.Path(__file__).parents[1]


def command(*arguments, folder):
  """Runs the command; returns its status, and what it wrote where."""
  done = subprocess.run(
    [sys.executable, '-m', 'aubal_jax', *map(str, arguments)],
    cwd=folder,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    timeout=600,
    check=False,
  )
  return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
  ('short', 'long'),
  [
    (
      ['run'],
      [
        '--config=quickstart',
        '--config.task=run',
        '--workdir=runs/run-quickstart',
      ],
    ),
    (
      ['run', 'a/my table.csv', '--seed', '3'],
      [
        *('--config=manifest', '--config.task=run'),
        *('--config.data.path=a/my table.csv', '--config.seed=3'),
        '--workdir=runs/run-my-table',
      ],
    ),
    (
      ['inspect', 'x.npz', '--workdir=w', '--overwrite'],
      [
        *('--config=manifest', '--config.task=inspect'),
        *('--config.data.name=labels', '--config.data.path=x.npz'),
        *('--workdir=w', '--overwrite'),
      ],
    ),
    (
      ['compare', 'a.npz', 'b.arff', '--compare.folds=3'],
      [
        *('--config=compare', '--config.task=compare'),
        *('--config.compare.data=a.npz,b.arff', '--config.compare.folds=3'),
        '--workdir=runs/compare-a',
      ],
    ),
    (
      ['predict', 'runs/b,more/a/', 'new/'],
      [
        *('--config=manifest', '--config.task=predict'),
        *(
          '--config.predict.path=new/',
          '--config.ensemble.runs=runs/b,more/a/',
        ),
        '--workdir=runs/ensemble-a-b',
      ],
    ),
    (
      ['evaluate', 't.csv', '--ensemble.runs', 'more/a,runs/b'],
      [
        *('--config=manifest', '--config.task=evaluate'),
        *('--config.data.path=t.csv', '--config.ensemble.runs=more/a,runs/b'),
        '--workdir=runs/ensemble-a-b',
      ],
    ),
    (
      ['predict', 'a,b', '--ensemble.mean=probabilities', '--workdir=mean'],
      [
        *('--config=manifest', '--config.task=predict'),
        *('--config.ensemble.runs=a,b', '--config.ensemble.mean=probabilities'),
        '--workdir=mean',
      ],
    ),
    (
      ['predict', 'runs/mine', 'new/', '--data.channels=3'],
      [
        *('--config=manifest', '--config.task=predict'),
        *('--config.predict.path=new/', '--config.data.channels=3'),
        '--workdir=runs/mine',
      ],
    ),
    (
      ['balance', '--config=own.py', '--config.balance.upper=3', 't.csv'],
      [
        *('--config=own.py', '--config.task=balance'),
        *('--config.data.path=t.csv', '--config.balance.upper=3'),
        '--workdir=runs/balance-t',
      ],
    ),
    (
      ['run', '--config=runs/search-t/best.py'],
      [
        *('--config=runs/search-t/best.py', '--config.task=run'),
        '--workdir=runs/run-best',
      ],
    ),
    (
      ['run', '--config', 'paper'],
      ['--config=paper', '--config.task=run', '--workdir=runs/run-paper'],
    ),
    (
      ['predict', 'runs/mine', 'new/', '--out=x.csv', '--split', 'train'],
      [
        *('--config=manifest', '--config.task=predict'),
        *('--config.predict.path=new/', '--config.predict.out=x.csv'),
        *('--config.predict.split=train', '--workdir=runs/mine'),
      ],
    ),
    (
      ['predict', 'runs/mine', 'a.mp4', 'b,c/', "d'.png"],
      [
        *('--config=manifest', '--config.task=predict'),
        '--config.predict.path=a.mp4',
        """--config.predict.also=('b,c/', "d'.png")""",
        '--workdir=runs/mine',
      ],
    ),
    (
      ['predict', 'runs/mine'],
      ['--config=manifest', '--config.task=predict', '--workdir=runs/mine'],
    ),
    (
      ['export', 'runs/mine', '--format', 'stablehlo', '--out=m.stablehlo'],
      [
        *('--config=manifest', '--config.task=export'),
        '--config.export.format=stablehlo',
        *('--config.export.out=m.stablehlo', '--workdir=runs/mine'),
      ],
    ),
    (
      ['export', 'a,b'],
      [
        *('--config=manifest', '--config.task=export'),
        *('--config.ensemble.runs=a,b', '--workdir=runs/ensemble-a-b'),
      ],
    ),
    (
      ['train', '--tensorboard', 't.csv'],
      [
        *('--config=manifest', '--config.task=train'),
        *('--config.data.path=t.csv', '--config.train.tensorboard'),
        '--workdir=runs/train-t',
      ],
    ),
    (
      ['train', '--train.tensorboard', 't.csv'],
      [
        *('--config=manifest', '--config.task=train'),
        *('--config.data.path=t.csv', '--config.train.tensorboard'),
        '--workdir=runs/train-t',
      ],
    ),
  ],
)
def test_the_long_form_of_a_short_one(short, long):
  assert short_form.expand(short) == long


@pytest.mark.parametrize(
  ('short', 'words'),
  [
    (['balanc'], ["'balanc'", "mean 'balance'", 'inspect']),
    (['run', 'a.csv', 'b.csv'], ['one table', 'a.csv, b.csv', 'test_path']),
    (['predict'], ['predict RUN IMAGES']),
    (['export'], ['export RUN', 'here are 0']),
    (['export', 'a', 'images/'], ['export RUN', 'here are 2']),
    (['run', '--balance.uper=3'], ["mean 'balance.upper'"]),
    (['run', '--seed'], ['--seed has no value']),
  ],
)
def test_what_is_wrong_is_named(short, words):
  with pytest.raises(ValueError) as caught:
    short_form.expand(short)
  for word in words:
    assert word in str(caught.value)


def test_a_folder_with_a_comma_in_its_name_is_one_run(tmp_path):
  (tmp_path / 'a,b').mkdir()
  long = short_form.expand(['predict', str(tmp_path / 'a,b')])
  assert long[-1] == f'--workdir={tmp_path / "a,b"}'
  assert not any('ensemble' in flag for flag in long)


def test_every_task_and_every_setting_has_help():
  assert {*short_form.TASKS} == {*settings.TASKS}
  assert {*commands.STAGES} < {*short_form.TASKS}
  whole = short_form.help_text()
  seen = set()
  for name, task in short_form.TASKS.items():
    assert f'\n  {name} ' in whole and task.meaning in whole
    assert task.config in short_form.packaged()
    helped = short_form.help_text(name)
    for setting in settings.SETTINGS.values():
      if f'  --{setting.name}=' in helped:
        assert setting.meaning in helped
        seen.add(setting.name)
  assert {*settings.SETTINGS} - seen == {'task'}
  assert '--balance.upper=10.0' in short_form.help_text('balance')
  assert '--train.batch_size' not in short_form.help_text('balance')


def test_a_key_of_the_section_of_the_task_stands_alone(monkeypatch):
  monkeypatch.setattr(settings, '_nearest', lambda name: '')  # It is slow.
  for name, setting in settings.SETTINGS.items():
    section, _, key = name.rpartition('.')
    for task in short_form.TASKS:
      if section != task and f'{task}.{key}' not in settings.SETTINGS:
        if section:
          with pytest.raises(ValueError, match=f'{key} is no setting'):
            short_form.expand([task, f'--{key}=1', 'input'])
      elif section == task:
        assert key not in settings.SETTINGS  # It would be that one.
        alone = [] if setting.kind is bool else ['1']
        whole = short_form.expand([task, 'input', f'--{name}', *alone])
        assert short_form.expand([task, 'input', f'--{key}', *alone]) == whole


def test_configurations_go_by_name():
  for name in short_form.packaged():
    assert pathlib.Path(short_form.find_config(name)).is_file()
  assert short_form.find_config('own/file.py') == 'own/file.py'
  with pytest.raises(ValueError, match="mean 'quickstart'"):
    short_form.find_config('quikstart')


def test_the_command_from_any_folder(tmp_path):
  table = tmp_path / 'my labels.csv'
  table.write_text('cat,dog\n1,0\n1,0\n1,1\n0,1\n0,0\n')
  status, out, err = command('balance', table.name, folder=tmp_path)
  assert status == 0, err
  first, second, *_ = out.splitlines()
  assert first.startswith('Stands for: python -m aubal_jax.main --config=bal')
  assert "'--config.data.path=my labels.csv'" in first
  assert second.startswith('Labels: cat, dog')
  assert (tmp_path / 'runs/balance-my-labels/plan.npz').exists()
  status, out, err = command('balance', 'no.csv', folder=tmp_path)
  assert (status, err.count('\n')) == (2, 1)
  assert not (tmp_path / 'runs/balance-no').exists()


@pytest.mark.parametrize('arguments', [['--help'], ['-h'], ['run', '--help']])
def test_help_is_on_stdout(arguments, monkeypatch):
  from aubal_jax import main

  out = io.StringIO()
  with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as end:
    main._written_out(arguments)
  assert end.value.code == 0
  assert out.getvalue().startswith(('Usage: ', 'aubal_jax run [TABLE]'))
