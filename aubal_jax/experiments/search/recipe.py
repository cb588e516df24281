"""The winner of a search as a file of settings, which the task run takes."""

from __future__ import annotations

import math
import os

from aubal_jax import settings
from aubal_jax.runs import files

# Settings that name a file or a folder.
_FILES = ('path', 'validation_path', 'test_path', 'image_dir')
_FILES += ('tfds_dir', 'cache_dir')


def write(path, config, told: str) -> None:
  """Writes a configuration file with all that differs from the defaults.

  Left out is what the task run does not read. A file or folder that is there
  is named by its absolute path, so that the configuration is the same from any
  folder.

  Args:
    path: of the file.
    config: the configuration.
    told: where it comes from, in lines.
  """
  lines = [f'# {line}'.rstrip() for line in told.splitlines()]
  lines += ['', 'from aubal_jax import settings', '', '']
  lines += ['def get_config():', '  c = settings.default()']
  lines += [f'  c.{name} = {_code(v)}' for name, v in changed(config).items()]
  lines += ['  return c', '']
  with files.write_atomically(path) as file:
    file.write('\n'.join(lines))


def changed(config) -> dict:
  """Returns name -> value of what the task run reads, where not the default."""
  found = {}
  for name, setting in settings.SETTINGS.items():
    is_own = name != 'task' and not name.startswith('distributed.')
    if is_own and settings.reads('run', setting):
      value = settings.value(config, name)
      if value != setting.default:
        found[name] = _absolute(config, name, value)
  return found


def _absolute(config, name, value):
  """Returns a value, that of a file that is there by its absolute path."""
  of_tfds = name == 'data.path' and config.data.name == 'tfds'
  is_file = name.rpartition('.')[2] in _FILES and not of_tfds
  return os.path.abspath(value) if is_file and os.path.exists(value) else value


def _code(value) -> str:
  """Returns the Python of a value."""
  if isinstance(value, tuple):
    return f'({"".join(f"{_code(one)}, " for one in value).rstrip()})'
  if isinstance(value, float) and math.isinf(value):
    return f"float('{value}')"
  return repr(value)
