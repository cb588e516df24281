"""Compiled programs: equal ones are one, and kept on disk between processes."""

from __future__ import annotations

import contextlib
import functools
import os
import platform

LEAST_SECONDS = 0.2  # Of compiling, for a program to be worth keeping.
SWITCH = 'AUBAL_JAX_CACHE'  # 'off': nothing is kept but where JAX is told to.

_MOST = 8  # Programs that stay though nobody holds them.


def shared(make):
  """Returns `make`, which makes one function for arguments that are equal.

  JAX traces and compiles a function once, and one made anew once more.

  Args:
    make: arguments, by position -> a function. Where they cannot be hashed, as
      a network that holds a list, it is made anew.
  """
  made = functools.lru_cache(maxsize=_MOST)(make)

  @functools.wraps(make)
  def find(*arguments):
    try:
      hash(arguments)
    except TypeError:
      return make(*arguments)
    return made(*arguments)

  return find


def folder() -> str | None:
  """Returns the folder of programs, made if need be; None where none can be."""
  if os.environ.get(SWITCH, '').lower() == 'off':
    return None
  cache = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  # By machine: homes are shared, and programs are for one processor.
  cache = os.path.join(cache, 'aubal_jax', 'xla', platform.node())
  try:
    os.makedirs(cache, exist_ok=True)
  except OSError:
    return None  # A home that cannot be written to: compile every time.
  return cache if os.access(cache, os.W_OK) else None


@contextlib.contextmanager
def kept():
  """Keeps what is compiled meanwhile on disk, and takes from there what is.

  Only where JAX has been told of no cache, or to have none; and JAX is left as
  it was found, so that no program of others is kept.
  """
  import jax
  from jax.experimental.compilation_cache import compilation_cache

  config = jax.config
  is_free = config.jax_compilation_cache_dir is None
  path = folder() if is_free and config.jax_enable_compilation_cache else None
  if path is None:
    yield
    return
  least = config.jax_persistent_cache_min_compile_time_secs

  def tell(path, least):
    config.update('jax_compilation_cache_dir', path)
    config.update('jax_persistent_cache_min_compile_time_secs', least)
    compilation_cache.reset_cache()  # It looks for a folder once.

  tell(path, LEAST_SECONDS)
  try:
    yield
  finally:
    tell(None, least)
