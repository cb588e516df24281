"""The entry points: shell that parses, and help that helps."""

import os
import pathlib
import subprocess
import sys

import pytest

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


def test_light_requirements_are_pinned():
  pinned = (ROOT / 'requirements/constraints.txt').read_text()
  for line in (ROOT / 'requirements/light.txt').read_text().splitlines():
    if line and not line.startswith('#'):
      assert f'\n{line.replace("_", "-")}==' in f'\n{pinned}', line
  assert '://' not in pinned
