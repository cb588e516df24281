"""The entry points: shell that parses, and help that helps."""

import os
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

from aubal_jax.runs import extras

ROOT = pathlib.Path(__file__).parents[2]
SHELL = sorted(
  path
  for path in [*(ROOT / 'scripts').iterdir(), ROOT / '.ci/run']
  if path.is_file() and path.read_text().startswith('#!/usr/bin/env bash')
)


@pytest.mark.parametrize('path', SHELL, ids=lambda p: p.name)
def test_shell_scripts_parse_and_may_be_run(path):
  subprocess.run(['bash', '-n', str(path)], check=True)
  assert path.stat().st_mode & 0o111


PYTHON = sorted(
  path
  for path in (ROOT / 'scripts').glob('*.py')
  if "__name__ == '__main__'" in path.read_text()  # Not what they share.
)


def test_python_scripts_explain_themselves():
  # In one process, as most import the same for seconds.
  code = (
    'import runpy, sys\n'
    'for path in sys.argv[1:]:\n'
    "  sys.argv = [path, '--help']\n"
    "  print('script', path)\n"
    '  try:\n'
    "    runpy.run_path(path, run_name='__main__')\n"
    '  except SystemExit as error:\n'
    '    assert not error.code, path\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code, *map(str, PYTHON)],
    env=os.environ | {'PYTHONPATH': str(ROOT / 'scripts')},
    capture_output=True,
    text=True,
    check=True,
  )
  told = done.stdout.split('script ')[1:]
  assert len(told) == len(PYTHON)
  assert [text for text in told if 'usage' not in text] == []


def test_what_an_install_takes_is_pinned():
  pinned = (ROOT / 'requirements/constraints.txt').read_text()
  project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
  held = project['optional-dependencies']
  for name in ('', 'train', 'tables', 'frames', 'sklearn', 'plot', 'crop'):
    for line in held[name] if name else project['dependencies']:
      package = re.split(r'[><=;\[ ]', line)[0].replace('_', '-')
      if package not in ('aubal-jax', 'tensorflow'):
        assert f'\n{package}==' in f'\n{pinned}', line
  assert '://' not in pinned


def test_packages_are_in_the_extra_that_errors_name():
  project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
  for package, extra in extras.PACKAGES.values():
    held = project['optional-dependencies'][extra]
    assert any(line.startswith(package) for line in held), package
