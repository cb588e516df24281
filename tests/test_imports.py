"""Imports point one way, and the light part stays light."""

import ast
import pathlib
import subprocess
import sys

import pytest

import aubal_jax

ROOT = pathlib.Path(aubal_jax.__file__).parent

# What a module (or a folder) may import of ours; anything it lists, it and its
# inner modules may use. Everything may be used by `tasks` and `main`.
MAY_IMPORT = {
  '__init__': set(),
  'config': set(),
  'files': set(),
  'progress': set(),
  'user_errors': set(),
  'preemption': set(),
  'hosts': {'preemption'},
  'row_keys': set(),
  'grouping': {'row_keys'},
  'binary_table': set(),
  'labelsets': {'binary_table', 'grouping'},
  'metrics': set(),
  'losses': {'masked_means', 'rebalanced_losses'},
  'masked_means': set(),
  'rebalanced_losses': {'masked_means'},
  'schedules': set(),
  'models': set(),
  'bootstrap': {'metrics'},
  'plan': {'files'},
  'stages': set(),
  'workdir': {'files', 'stages'},
  'balancing': {'binary_table', 'files', 'labelsets', 'plan'},
  # Of balancing its method aubal alone, when it is called.
  'resampling': {'balancing', 'binary_table', 'labelsets', 'plan'},
  'estimator': {'resampling'},
  'data': {'files', 'plan', 'progress'},
  'augment_device': {'data'},
  'checkpoint_files': set(),
  'checkpoint_manager': set(),
  'checkpoint': {'checkpoint_files', 'checkpoint_manager'},
  'train_log': {'files', 'progress'},
  'profiling': set(),
  'tensorboard': {'files'},
  'train': {'checkpoint', 'train_log', 'train_step'},
  'train_optimizer': set(),
  'train_step': {'models'},
  'evaluate': {'bootstrap', 'data', 'metrics', 'models'},
  'predict': {'data', 'files', 'progress'},
  'report': {'files', 'labelsets'},
  'diversity': set(),
  'comparison': {
    *('data', 'diversity', 'files', 'labelsets', 'losses', 'metrics'),
    *('models', 'plan', 'resampling'),
  },
}
ABOVE = {'tasks', 'main', '__main__'}


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


def modules():
  paths = sorted(ROOT.rglob('*.py'))
  return [(p, p.relative_to(ROOT).with_suffix('').parts[0]) for p in paths]


def name_of(value):
  return getattr(value, 'name', value)


def test_every_module_has_its_place():
  assert {home for _, home in modules()} == {*MAY_IMPORT, *ABOVE}


@pytest.mark.parametrize(
  ('path', 'home'), modules(), ids=lambda x: getattr(x, 'name', x)
)
def test_imports_point_one_way(path, home):
  for name, _ in imports_of(path):
    parts = name.split('.')
    if parts[0] == 'aubal_jax' and home not in ABOVE:
      assert parts[1] in MAY_IMPORT[home] | {home}, f'{path} imports {name}'


@pytest.mark.parametrize(
  ('path', 'home'), modules(), ids=lambda x: getattr(x, 'name', x)
)
def test_heavy_packages_stay_where_they_belong(path, home):
  for name, top in imports_of(path):
    package = name.split('.')[0]
    if package in ('tensorflow', 'tensorflow_datasets', 'albumentations'):
      assert home == 'data', f'{path} imports {package}'
    if package == 'jax':
      barred = {'labelsets', 'plan', 'resampling', 'data', 'files', 'main'}
      assert home not in barred, f'{path} imports jax'
      assert not top or home != 'workdir', f'{path} imports jax at once'


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


def test_public_names_are_there():
  for name in aubal_jax.__all__:
    assert callable(getattr(aubal_jax, name))
    assert name in dir(aubal_jax)
  with pytest.raises(AttributeError, match='no attribute'):
    _ = aubal_jax.nothing_of_the_kind
