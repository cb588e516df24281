"""What every test runs under: four host devices, no silent broadcasting."""

import atexit
import gc
import os
import pathlib
import shutil
import tempfile
import tracemalloc

# Before JAX starts: tests compare one device with several.
os.environ['XLA_FLAGS'] = (
  os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=4'
)
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
os.environ['MPLBACKEND'] = 'agg'
# Equal programs are compiled once a session, by its workers (of pytest-xdist)
# and subprocesses together; or once, if the variable names a folder that stays.
os.environ['JAX_COMPILATION_CACHE_DIR'] = os.environ.get(
  'JAX_COMPILATION_CACHE_DIR'
) or tempfile.mkdtemp(prefix='aubal_jax_tests_')
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'

import jax
import pytest
from hypothesis import settings

jax.config.update('jax_numpy_rank_promotion', 'raise')

IS_WORKER = 'PYTEST_XDIST_WORKER' in os.environ
_CACHE = pathlib.Path(os.environ['JAX_COMPILATION_CACHE_DIR'])
if _CACHE.name.startswith('aubal_jax_tests_') and not IS_WORKER:
  atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)

# Examples are drawn anew on a developer's machine, the same ones in CI.
for _name, _num_examples in (('short', 40), ('long', 200)):
  settings.register_profile(
    _name,
    deadline=None,
    print_blob=True,
    derandomize=bool(os.environ.get('CI')),
    max_examples=_num_examples,
  )

_NUM_LEFT_OUT = pytest.StashKey()


def pytest_addoption(parser):
  parser.addoption(
    '--long',
    action='store_true',
    help='run the tests marked long as well, which cost minutes',
  )


def pytest_configure(config):
  settings.load_profile('long' if config.getoption('long') else 'short')


def pytest_collection_modifyitems(config, items):
  if config.getoption('long'):
    return
  left_out = [item for item in items if item.get_closest_marker('long')]
  items[:] = [item for item in items if not item.get_closest_marker('long')]
  config.hook.pytest_deselected(items=left_out)
  config.stash[_NUM_LEFT_OUT] = len(left_out)
  if IS_WORKER:
    config.workeroutput['num_left_out'] = len(left_out)


def pytest_collection_finish():
  gc.freeze()  # Six thousand tests are no garbage: 3 % of a run saved.


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
  told = getattr(node, 'workeroutput', {})  # Not by one that died.
  node.config.stash[_NUM_LEFT_OUT] = told.get('num_left_out', 0)


def pytest_terminal_summary(terminalreporter, config):
  if config.stash.get(_NUM_LEFT_OUT, 0):
    terminalreporter.write_line(
      f'Left out: {config.stash[_NUM_LEFT_OUT]} long tests; '
      'scripts/test --long runs them as well.'
    )


@pytest.fixture(scope='module', autouse=True)
def _forget_programs():
  """Lets go of a module's compiled programs when it is through.

  Each is mapped memory, of which Linux gives a process 65,530 pieces; a
  session that kept them all would be killed on the way.
  """
  yield
  jax.clear_caches()
  # Every test behind one that leaves it on costs two to four times as much.
  assert not tracemalloc.is_tracing()


@pytest.fixture
def x64():
  """Turns on 64-bit arithmetic for one test."""
  with jax.enable_x64(True):
    yield
