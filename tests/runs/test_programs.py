"""Where compiled programs are kept, and whose."""

import itertools

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

import aubal_jax as aubal
from aubal_jax.runs import programs

_NUMBERS = itertools.count(2)


@pytest.fixture
def no_cache(monkeypatch, tmp_path):
  """JAX that has been told of no cache, and a home of its own."""
  before = jax.config.jax_compilation_cache_dir
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  monkeypatch.setattr(programs, 'LEAST_SECONDS', 0.0)
  jax.config.update('jax_compilation_cache_dir', None)
  compilation_cache.reset_cache()
  yield
  jax.config.update('jax_compilation_cache_dir', before)
  compilation_cache.reset_cache()


def compile_one():
  """Compiles a program that was not compiled before."""
  number = float(next(_NUMBERS))
  jax.jit(lambda x: x * number + number)(np.arange(3.0))


def kept_below(path):
  return [one for one in path.rglob('*') if one.is_file()]


def test_own_programs_are_kept_and_no_others(no_cache, tmp_path):
  for number in range(1, 4):
    compile_one()
    before = len(kept_below(tmp_path))
    with programs.kept():
      compile_one()
    compile_one()
    after = len(kept_below(tmp_path))
    assert after > before >= number - 1
    assert jax.config.jax_compilation_cache_dir is None


def test_a_solve_keeps_what_it_compiles(no_cache, tmp_path):
  jax.clear_caches()
  aubal.solve(np.eye(3), [9, 4, 1])
  assert kept_below(tmp_path / 'aubal_jax')


@pytest.mark.parametrize('way', ['off', 'told', 'disabled', 'home'])
def test_nothing_is_kept_where_that_is_not_wanted(
  way, no_cache, tmp_path, monkeypatch
):
  own = tmp_path / 'own'
  if way == 'off':
    monkeypatch.setenv('AUBAL_JAX_CACHE', 'off')
  if way == 'told':
    jax.config.update('jax_compilation_cache_dir', str(own))
  if way == 'disabled':
    jax.config.update('jax_enable_compilation_cache', False)
  if way == 'home':
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
  try:
    with programs.kept():
      compile_one()
  finally:
    jax.config.update('jax_enable_compilation_cache', True)
  assert not kept_below(tmp_path / 'aubal_jax')
  assert jax.config.jax_compilation_cache_dir == (
    str(own) if way == 'told' else None
  )


def test_equal_arguments_share_a_function_and_lists_have_their_own():
  made = []

  @programs.shared
  def make(*arguments):
    made.append(arguments)
    return lambda: arguments

  assert make(1, 'a') is make(1, 'a')
  assert make(2, 'a')() == (2, 'a')
  assert make(1, ['a'])() == make(1, ['a'])() == (1, ['a'])
  assert made == [(1, 'a'), (2, 'a'), (1, ['a']), (1, ['a'])]
