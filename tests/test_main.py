"""The command as a person meets it: exit status, one message, no traceback."""

import os
import pathlib
import subprocess
import sys

import pytest

from aubal_jax.runs import files

ROOT = pathlib.Path(__file__).parent.parent
COMMAND = (sys.executable, '-m', 'aubal_jax.main')


def run(*arguments, cwd=ROOT):
  return subprocess.run(
    [*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, check=False
  )


def test_help_ends_well():
  done = run('--help')
  assert done.returncode == 0
  assert '--workdir' in done.stdout and '--config' in done.stdout


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    ([], ['--config is missing']),
    (['--config=configs/balance.py'], ['--workdir is missing']),
    (['--config=configs/nowhere.py', '--workdir=x'], ['nowhere.py']),
    (['--confg=configs/balance.py'], ['confg']),
    (['stray'], ["no task 'stray'", '--help']),
    (['--config=README.md', '--workdir=x'], ['README.md', 'SyntaxError']),
    (['--config=configs/balance.py', '--workdir='], ['--workdir']),
    (['--config=configs/balance.py', '--config.seed=-1'], ['seed', '-1']),
    (
      ['--config=configs/balance.py', '--config.balance.lamb=3'],
      ['lamb', "Did you mean 'balance.lam'?"],
    ),
    (['--config=configs/balance.py', '--config.balance.lam=x'], ['lam', "'x'"]),
    (
      ['--config=configs/balance.py', '--config.data.path=none.csv'],
      ['none.csv', 'does not exist'],
    ),
  ],
)
def test_a_users_error_is_one_message_and_status_2(arguments, words, tmp_path):
  if any(a.startswith('--config.') for a in arguments):
    arguments = [*arguments, f'--workdir={tmp_path / "run"}']
  done = run(*arguments)
  assert done.returncode == 2, done.stderr
  assert 'Traceback' not in done.stderr
  for word in words:
    assert word in done.stderr
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  ('name', 'status'), [('SIGINT', 130), ('SIGTERM', 143)]
)
def test_a_signal_before_anything_is_done(name, status, tmp_path):
  config = tmp_path / 'config.py'
  config.write_text(
    f'import os, signal\nos.kill(os.getpid(), signal.{name})\n'
    'from aubal_jax import settings\nget_config = settings.default\n'
  )
  done = run(f'--config={config}', f'--workdir={tmp_path / "run"}')
  assert (done.returncode, done.stderr) == (status, '')


def test_balancing_a_table_from_another_folder(tmp_path):
  table = tmp_path / 'labels.csv'
  table.write_text('a,b\n' + '1,0\n' * 20 + '0,1\n' * 5 + '1,1\n' * 2)
  done = run(
    f'--config={ROOT}/configs/balance.py',
    '--config.data.path=labels.csv',
    '--workdir=out',
    cwd=tmp_path,
  )
  assert done.returncode == 0, done.stderr
  assert 'certified' in done.stdout
  assert files.read_json(tmp_path / 'out/solution.json')['converged']
  done = run(
    f'--config={ROOT}/configs/balance.py',
    '--config.data.path=labels.csv',
    '--config.balance.upper=5',
    '--workdir=out',
    cwd=tmp_path,
  )
  assert done.returncode == 2
  assert 'balance.upper: 10.0 there, 5.0 now' in done.stderr


def test_a_light_install_makes_plans_also_by_a_raw_lambda(tmp_path):
  # What an install without extras lacks cannot be imported here.
  (tmp_path / 'labels.csv').write_text('a,b\n' + '1,0\n' * 20 + '0,1\n' * 5)
  absent = (
    'tensorflow tensorflow_datasets albumentations flax orbax cv2 sklearn '
    'matplotlib pandas'
  )
  code = (
    'import runpy, sys\n'
    f'for name in {absent!r}.split(): sys.modules[name] = None\n'
    "runpy.run_module('aubal_jax.main', run_name='__main__')"
  )
  arguments = [
    f'--config={ROOT}/configs/balance.py',
    f'--config.data.path={tmp_path}/labels.csv',
    '--config.balance.lam_images=0',
    f'--workdir={tmp_path}/run',
  ]
  subprocess.run([sys.executable, '-c', code, *arguments], check=True, cwd=ROOT)
  assert (tmp_path / 'run/plan.npz').exists()
  solution = files.read_json(tmp_path / 'run/solution.json')
  assert solution['lam_effective'] == solution['lam'] == 70.0


def test_a_first_run_says_nothing_on_stderr_and_keeps_its_programs(tmp_path):
  (tmp_path / 'labels.csv').write_text('a,b\n' + '1,0\n' * 20 + '0,1\n' * 5)
  environment = {k: v for k, v in os.environ.items() if 'CACHE' not in k}
  done = subprocess.run(
    [
      *COMMAND,
      '--config=configs/balance.py',
      f'--config.data.path={tmp_path}/labels.csv',
      f'--workdir={tmp_path}/run',
    ],
    cwd=ROOT,
    env=environment | {'XDG_CACHE_HOME': str(tmp_path / 'cache')},
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stderr == ''
  assert any((tmp_path / 'cache/aubal_jax/xla').rglob('*-cache'))


def test_a_librarys_value_error_is_a_bug_with_its_traceback(tmp_path):
  code = (
    'import sys, aubal_jax.commands as t\n'
    'def run_task(*_, **__): int("x")\n'
    't.run_task = run_task\n'
    'from aubal_jax import main\nmain.run()'
  )
  done = subprocess.run(
    [sys.executable, '-c', code, '--config=configs/balance.py', '--workdir=x'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  assert 'Traceback' in done.stderr and "'x'" in done.stderr
