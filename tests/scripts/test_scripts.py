"""The entry points: shell that parses, and help that helps."""

import os
import pathlib
import re
import runpy
import subprocess
import sys
import tomllib

import numpy as np
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


@pytest.mark.parametrize('seed', range(5))
def test_the_table_of_recipes_has_each_cell_in_its_place(seed):
  rng = np.random.default_rng(seed)
  rates, inits, steps = [1e-4, 3e-4, 0.01], ['a', 'b'], [200, 2000]
  scores = rng.random((3, 2, 2)).round(3)
  failed = tuple(rng.integers(0, 2, 3))
  rows = []
  for i, rate in enumerate(rates):
    for k, init in enumerate(inits):
      curve = {
        'step': [200, 400, 2000],
        'map': [scores[i, k, 0], 0.123456, scores[i, k, 1]],
      }
      if (i, k, 1) == failed:
        curve = {'step': [200], 'map': [scores[i, k, 0]]}
      rows.append({'learning_rate': rate, 'init': init, 'curve': curve})
  rng.shuffle(rows)
  table = runpy.run_path(str(ROOT / 'scripts/recipe_table.py'))['table']
  lines = table({'metric': 'map', 'rows': rows}, steps).splitlines()
  cells = [[x.strip() for x in line.split('|')[1:-1]] for line in lines]
  assert cells[0] == [
    *('rate, mAP', 'a, 200 steps', 'b, 200 steps'),
    *('a, 2,000 steps', 'b, 2,000 steps'),
  ]
  assert [row[0] for row in cells[2:]] == ['0.0001', '0.0003', '0.01']
  for i, row in enumerate(cells[2:]):
    for k in range(2):
      for j in range(2):
        wanted = f'{scores[i, k, j]:.3f}'
        if j == 1 and (i, k, 1) == failed:
          wanted = 'failed'
        assert row[1 + 2 * j + k] == wanted


def test_apart_the_table_of_targets_has_joint_where_per_task_is():
  script = runpy.run_path(str(ROOT / 'scripts/target_balances.py'))
  for seed in range(2):
    parts = script['draw'](600, seed=seed, ratio=5.0, apart=True)
    lines = [*script['table'](parts, optimizer='ipm', lam=0.0, image_cost=0.0)]
    cells = [line.split(' | ') for line in lines[:-1]]
    assert [row[0] for row in cells[2:]] == [
      *('| as they are', '| one mean', '| joint', '| per_task'),
    ]
    start, common, joint, alone = (float(row[4]) for row in cells[2:])
    assert joint == pytest.approx(alone, abs=0.002)
    assert joint <= min(start, common) + 0.002
