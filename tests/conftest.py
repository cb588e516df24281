"""What every test runs under: four host devices, no silent broadcasting."""

import os

# Before JAX starts: tests compare one device with several.
os.environ['XLA_FLAGS'] = (
  os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=4'
)
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '2'
os.environ['MPLBACKEND'] = 'agg'

import atexit
import shutil
import tempfile

import jax
import pytest
from hypothesis import settings

jax.config.update('jax_numpy_rank_promotion', 'raise')

# Equal programs are compiled once a session, in subprocesses too.
_CACHE = tempfile.mkdtemp(prefix='aubal_jax_tests_')
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ['JAX_COMPILATION_CACHE_DIR'] = _CACHE
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
jax.config.update('jax_compilation_cache_dir', _CACHE)
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)

# Examples are drawn anew on a developer's machine, the same ones in CI.
settings.register_profile('default', deadline=None, print_blob=True)
settings.register_profile('ci', deadline=None, derandomize=True)
settings.load_profile('ci' if os.environ.get('CI') else 'default')


@pytest.fixture(scope='module', autouse=True)
def _forget_programs():
  """Lets go of a module's compiled programs when it is through.

  Each is mapped memory, of which Linux gives a process 65,530 pieces; a
  session that kept them all would be killed on the way.
  """
  yield
  jax.clear_caches()


@pytest.fixture
def x64():
  """Turns on 64-bit arithmetic for one test."""
  with jax.enable_x64(True):
    yield
