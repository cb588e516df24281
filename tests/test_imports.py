"""Imports point one way, and the light part stays light."""

import ast
import pathlib
import subprocess
import sys

import pytest

import aubal_jax

ROOT = pathlib.Path(aubal_jax.__file__).parent

# What each room may import of ours beside itself: one direction.
MAY_IMPORT = {
  'runs': set(),
  'settings': {'runs', 'resampling'},
  'tables': {'runs'},
  'balancing': {'runs', 'tables'},
  'resampling': {'runs', 'settings', 'tables', 'balancing'},
  'media': {'runs'},
  'datasets': {'runs', 'settings', 'tables', 'media'},
  'batches': {'runs', 'tables'},
  'scoring': {'runs'},
  'network': {'runs', 'media', 'batches', 'scoring'},
  'report': {'runs', 'tables', 'scoring'},
  'stages': {
    *('runs', 'tables', 'balancing', 'resampling', 'media', 'datasets'),
    *('batches', 'scoring', 'network', 'report', 'settings'),
  },
  'serving': {
    *('runs', 'settings', 'tables', 'media', 'datasets', 'scoring'),
    *('network', 'report'),
  },
  'inspection': {'runs', 'tables', 'media', 'datasets', 'report'},
  'experiments': {
    *('runs', 'tables', 'balancing', 'resampling', 'datasets', 'batches'),
    *('scoring', 'network', 'report', 'settings', 'stages'),
  },
  'commands': {
    *('runs', 'settings', 'datasets', 'stages', 'serving', 'inspection'),
    'experiments',
  },
  'short_form': {'runs', 'settings'},
  'main': {'runs', 'settings', 'commands', 'short_form'},
  '__main__': {'main'},
  '__init__': set(),  # Its names are imported when they are first used.
}

# Package -> the rooms that may import it; more may once it is there.
HEAVY_HOMES = {
  'tensorflow': {'batches', 'datasets', 'media'},
  'tensorflow_datasets': {'datasets'},
  'albumentations': {'batches'},
  'flax': {'network', 'experiments', 'stages'},
  'orbax': {'network'},
  'sklearn': {'balancing', 'resampling', 'scoring'},
  'jax': {
    *('runs', 'balancing', 'batches', 'network', 'stages', 'serving'),
    'experiments',
  },
}

# Imported by what needs it, when it is called.
AT_CALL = {('jax', 'runs'), ('sklearn', 'balancing'), ('sklearn', 'scoring')}


def imports_of(path):
  """Yields (module, at top level) of each import statement."""
  tree = ast.parse(path.read_text(encoding='utf-8'))
  for node in ast.walk(tree):
    top = node in tree.body
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield alias.name, top
    elif isinstance(node, ast.ImportFrom):
      for alias in node.names:
        yield f'{node.module}.{alias.name}', top


def imports():
  """Yields (file, room, imported name, at top level) over the package."""
  for path in sorted(ROOT.rglob('*.py')):
    inner = path.relative_to(ROOT)
    for name, top in imports_of(path):
      yield str(inner), inner.with_suffix('').parts[0], name, top


def test_imports_point_one_way():
  rooms = {
    p.relative_to(ROOT).with_suffix('').parts[0] for p in ROOT.rglob('*.py')
  }
  assert rooms == {*MAY_IMPORT}
  wrong = [
    f'{file} imports {name}'
    for file, room, name, _ in imports()
    if name.startswith('aubal_jax.')
    and name.split('.')[1] not in MAY_IMPORT[room] | {room}
  ]
  assert not wrong, '\n'.join(wrong)


def test_heavy_packages_stay_where_they_belong():
  wrong = [
    f'{file} imports {name}'
    for file, room, name, top in imports()
    if room not in HEAVY_HOMES.get(name.split('.')[0], {room})
    or (top and (name.split('.')[0], room) in AT_CALL)
  ]
  assert not wrong, '\n'.join(wrong)


def loaded(statement):
  """The top-level packages that a fresh interpreter has after `statement`."""
  code = (
    f'{statement}\nimport sys\nprint(*{{n.split(".")[0] for n in sys.modules}})'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True
  )
  return set(done.stdout.split())


HEAVY = {'tensorflow', 'albumentations', 'flax', 'orbax', 'cv2', 'sklearn'}


def test_balancing_needs_no_training_stack():
  found = loaded(
    'import aubal_jax as aubal; aubal.imbalance([[1, 0], [0, 1]]);'
    'aubal.balance([[1, 0], [0, 1], [1, 0]])'
  )
  assert 'jax' in found
  assert not found & (HEAVY | {'matplotlib', 'pandas'})


def test_the_package_and_the_command_start_light():
  found = loaded('import aubal_jax, aubal_jax.main')
  assert not found & (HEAVY | {'jax', 'numpy', 'scipy', 'matplotlib'})


def test_import_and_help_load_nothing_heavy():
  heavy = HEAVY | {
    *('jax', 'jaxlib', 'numpy', 'optax', 'scipy', 'matplotlib', 'pandas'),
    *('imblearn', 'tensorflow_datasets', 'pyarrow', 'ml_dtypes'),
  }
  alone = loaded('import aubal_jax; dir(aubal_jax)')
  assert not alone & (heavy | {'absl', 'ml_collections', 'yaml', 'argparse'})
  helped = loaded(
    'import contextlib, io, sys\n'
    'from aubal_jax import main, short_form\n'
    'with contextlib.redirect_stdout(io.StringIO()):\n'
    '  for words in ([], *([t] for t in short_form.TASKS)):\n'
    '    with contextlib.suppress(SystemExit):\n'
    "      main._parse_flags(['aubal_jax', *words, '--help'])\n"
  )
  assert not helped & heavy


def test_without_scikit_learn_all_but_its_estimator_is_there():
  found = loaded(
    'import sys\n'
    "for name in ('sklearn', 'imblearn'):\n"
    '  sys.modules[name] = None\n'
    'import importlib.util, pydoc\n'
    'find = importlib.util.find_spec\n'
    "lacks = lambda n, *a: None if n == 'sklearn' else find(n, *a)\n"
    'importlib.util.find_spec = lacks\n'
    'from aubal_jax import *\n'
    'import aubal_jax\n'
    "assert 'Resampler' not in {*aubal_jax.__all__, *dir(aubal_jax)}\n"
    'assert balance([[1, 0], [0, 1]])[0].source.size\n'
    "assert ' balance(' in pydoc.plain(pydoc.render_doc(aubal_jax))\n"
    'try:\n'
    '  aubal_jax.Resampler\n'
    'except UserError as error:\n'
    "  assert 'aubal.Resampler needs the package scikit-learn' in str(error)\n"
    'else:\n'
    '  raise AssertionError\n'
  )
  assert 'jax' in found


def test_public_names_are_there():
  for name in aubal_jax.__all__:
    assert callable(getattr(aubal_jax, name))
    assert name in dir(aubal_jax)
  with pytest.raises(AttributeError, match='no attribute'):
    _ = aubal_jax.nothing_of_the_kind
