"""What pip makes of the package: a wheel, installed into an empty environment.

Needs a package registry, and minutes of it; each Python that runs here and
that the package is for is tried.
"""

import csv
import functools
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest

from aubal_jax import short_form

ROOT = pathlib.Path(__file__).parents[1]
PINS = ROOT / 'requirements/constraints.txt'
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
PYTHONS = ('3.11', '3.12', '3.13')

pytestmark = pytest.mark.long


def do(*words, folder, **options):
  """Runs a command in a folder, without this checkout on Python's path."""
  env = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
  return subprocess.run(
    [*map(str, words)],
    cwd=folder,
    env=env | {'PIP_DISABLE_PIP_VERSION_CHECK': '1'},
    capture_output=True,
    text=True,
    timeout=1200,
    check=False,
    **options,
  )


def done(*words, folder):
  """Runs a command that has to end well; returns what it printed."""
  ended = do(*words, folder=folder)
  assert ended.returncode == 0, ended.stdout + ended.stderr
  return ended.stdout


@functools.cache
def python_of(version):
  """A Python of that version that runs, with venv; None: there is none."""
  home = pathlib.Path(os.environ.get('PYENV_ROOT', '~/.pyenv')).expanduser()
  name = f'python{version}'
  found = [sys.executable, shutil.which(name)]
  found += sorted(home.glob(f'versions/{version}.*/bin/{name}'))
  code = 'import sys, venv, ensurepip'
  code += f'; assert sys.version.startswith("{version}.")'
  for candidate in filter(None, found):
    if do(candidate, '-c', code, folder=ROOT).returncode == 0:
      return candidate
  return None


@pytest.fixture(name='checkout', scope='module')
def fixture_checkout(tmp_path_factory):
  """A copy, as building leaves files behind; skips without a registry."""
  folder = tmp_path_factory.mktemp('registry')
  asked = do(
    *(sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps'),
    *('--no-cache-dir', '--dest', folder, '-c', PINS, 'absl-py'),
    folder=folder,
  )
  if asked.returncode:
    pytest.skip(f'no package registry: {asked.stderr.strip()[-300:]}')
  copy = tmp_path_factory.mktemp('from') / 'a checkout'
  copy.mkdir()
  for name in ('aubal_jax', 'configs', 'requirements'):
    shutil.copytree(
      *(ROOT / name, copy / name),
      symlinks=True,
      ignore=shutil.ignore_patterns('__pycache__'),
    )
  for name in ('pyproject.toml', 'README.md', 'LICENSE'):
    shutil.copy(ROOT / name, copy)
  return copy


@pytest.fixture(name='wheel', scope='module')
def fixture_wheel(checkout):
  pip = (sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps')
  done(*pip, '-w', 'made', './', folder=checkout)
  [wheel] = (checkout / 'made').glob('*.whl')
  return wheel


def test_the_wheel_holds_the_package_and_the_configurations(wheel):
  with zipfile.ZipFile(wheel) as held:
    names = {n for n in held.namelist() if '.dist-info/' not in n}
    for name in names:
      assert held.read(name) == (ROOT / name).read_bytes(), name
  wanted = {
    str(path.relative_to(ROOT))
    for folder in ('aubal_jax', 'aubal_jax/configs')
    for path in (ROOT / folder).rglob('*')
    if path.is_file() and '__pycache__' not in path.parts
  }
  assert names == wanted
  for name in short_form.packaged():
    assert f'aubal_jax/configs/{name}.py' in names


def test_a_source_distribution_makes_the_same_wheel(wheel, checkout, tmp_path):
  code = 'import setuptools.build_meta as b; b.build_sdist("sdist")'
  done(sys.executable, '-c', code, folder=checkout)
  [sdist] = (checkout / 'sdist').glob('*.tar.gz')
  pip = (sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps')
  done(*pip, '-w', tmp_path, sdist, folder=tmp_path)
  with (
    zipfile.ZipFile(wheel) as one,
    zipfile.ZipFile(tmp_path / wheel.name) as other,
  ):
    assert {*one.namelist()} == {*other.namelist()}
    for name in one.namelist():
      if not name.endswith('/RECORD'):
        assert one.read(name) == other.read(name), name


@pytest.fixture(name='installed', scope='module', params=PYTHONS)
def fixture_installed(request, wheel, tmp_path_factory):
  """The folder with the programs of an environment that has the base alone."""
  version = request.param
  python = python_of(version)
  if python is None:
    pytest.skip(f'no Python {version} with venv runs on this machine')
  home = tmp_path_factory.mktemp(f'python{version}')
  done(python, '-m', 'venv', 'environment', folder=home)
  programs = home / 'environment/bin'
  pip = (programs / 'python', '-m', 'pip', 'install', '--quiet')
  done(*pip, '-c', PINS, wheel, folder=home)
  yield programs
  shutil.rmtree(home)


def test_the_pins_are_taken_and_nothing_else(installed, tmp_path):
  held = done(installed / 'python', '-m', 'pip', 'freeze', folder=tmp_path)
  pinned = {
    line.split(';')[0].strip().lower().replace('_', '-')
    for line in PINS.read_text().splitlines()
  }
  names = {line for line in held.splitlines() if ' @ ' not in line}
  names = {name.lower().replace('_', '-') for name in names}
  assert names <= pinned
  assert not re.search('(?im)^(tensorflow|flax|scikit-learn|pandas)', held)


def test_the_command_has_help_anywhere(installed, tmp_path):
  shown = done(installed / 'aubal_jax', '--help', folder=tmp_path)
  assert shown == short_form.help_text() + '\n'
  for task in short_form.TASKS:
    shown = done(installed / 'aubal_jax', task, '--help', folder=tmp_path)
    assert shown == short_form.help_text(task) + '\n'
  assert not [*tmp_path.iterdir()]


def test_a_table_becomes_a_plan(installed, tmp_path):
  cells = ['1,0'] * 6 + ['1,1'] * 2 + ['0,1', '0,0']
  (tmp_path / 'labels.csv').write_text('\n'.join(['cat,dog', *cells]) + '\n')
  out = done(installed / 'aubal_jax', 'balance', 'labels.csv', folder=tmp_path)
  assert 'certified' in out
  with open(tmp_path / 'runs/balance-labels/plan.csv', newline='') as file:
    plan = [*csv.DictReader(file)]
  originals = [int(row['row']) for row in plan if row['augment'] == '0']
  assert sorted(originals) == [*range(len(cells))]
  counts = [
    sum(int(cells[int(row['row'])].split(',')[k]) for row in plan)
    for k in (0, 1)
  ]
  assert abs(counts[0] - counts[1]) < 8 - 3  # As it was before.


def test_configurations_go_by_name(installed, tmp_path):
  code = (
    'import runpy\n'
    'from aubal_jax import settings, short_form\n'
    'for name in short_form.packaged():\n'
    '  file = short_form.find_config(name)\n'
    "  settings.flatten(runpy.run_path(file)['get_config']().to_dict())\n"
    '  print(name)\n'
  )
  out = done(installed / 'python', '-c', code, folder=tmp_path)
  assert out.split() == short_form.packaged()
  words = ('--config=balance', '--config.data.path=no.csv', '--workdir=w')
  ended = do(installed / 'aubal_jax', *words, folder=tmp_path)
  assert (ended.returncode, ended.stderr.count('\n')) == (2, 1)
  assert 'no.csv' in ended.stderr


def test_python_is_at_home_in_it(installed, tmp_path):
  code = (
    'import pydoc\n'
    'from aubal_jax import *\n'
    'import aubal_jax\n'
    'print(pydoc.plain(pydoc.render_doc(aubal_jax)))\n'
    'plan, solution = balance([[1, 0], [1, 0], [1, 1], [0, 0]])\n'
    'assert plan.source.size and 0 <= solution.gap < 1e-3\n'
  )
  shown = done(installed / 'python', '-c', code, folder=tmp_path)
  assert re.search(r'\bbalance\(\s*labels', shown)
  assert 'class Plan(' in shown


def test_what_is_missing_is_named_with_a_command_that_installs_it(
  installed, wheel, tmp_path
):
  (tmp_path / 'table.csv').write_text('path,cat,dog\na.png,1,0\nb.png,0,1\n')
  ended = do(installed / 'aubal_jax', 'run', 'table.csv', folder=tmp_path)
  assert (ended.returncode, ended.stderr.count('\n')) == (2, 1)
  words = shlex.split(ended.stderr.partition('not installed: ')[2])
  assert words[1:] == ['-m', 'pip', 'install', f'{wheel}[train]']
  assert not (tmp_path / 'runs/run-table').exists()
  told = done(*words, '--dry-run', '-c', PINS, folder=tmp_path)
  would = told.partition('Would install ')[2].split()
  for package in PROJECT['optional-dependencies']['train']:
    name = re.split(r'[\[;]', package)[0]
    if name not in ('aubal_jax', 'tensorflow', 'tensorflow-cpu'):
      assert any(w.startswith(f'{name}-') for w in would), name
  for name in ('matplotlib-', 'scikit-learn-', 'imbalanced-learn-'):
    assert any(w.startswith(name) for w in would), name
  # One that is small is installed by the command as it stands.
  code = (
    'import aubal_jax as aubal\n'
    'plan, _ = aubal.balance([[1, 0], [1, 0], [1, 1], [0, 0]])\n'
    'print(plan.to_frame().shape)\n'
  )
  ended = do(installed / 'python', '-c', code, folder=tmp_path)
  last = ended.stderr.strip().splitlines()[-1]
  done(*shlex.split(last.partition('not installed: ')[2]), folder=tmp_path)
  assert done(installed / 'python', '-c', code, folder=tmp_path)
