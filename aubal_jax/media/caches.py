"""Files made from other files: names that tell them apart, and writing them."""

import hashlib
import os
import pathlib
from collections.abc import Callable
from collections.abc import Sequence
from typing import IO

from aubal_jax.runs import files


def key(settings: str, paths: Sequence[str]) -> str:
  """Returns 16 hex digits that tell settings and paths from others."""
  digest = hashlib.sha256(settings.encode())
  for path in paths:
    digest.update(b'\0' + os.fsencode(os.path.abspath(path)))
  return digest.hexdigest()[:16]


def state(paths: Sequence[str]) -> str:
  """Returns 8 hex digits that change when a file does, or can be read now."""
  digest = hashlib.sha256()
  for path in paths:
    try:
      found = os.stat(path)
    except (OSError, ValueError):  # ValueError: a NUL in the name.
      digest.update(b'missing ')
    else:
      # Not the time of the last change of mode, which copies alter.
      now = (found.st_size, found.st_mtime_ns, found.st_mode & 0o444)
      digest.update(repr(now).encode())
  return digest.hexdigest()[:8]


def write(path: pathlib.Path, save: Callable[[IO], None]) -> None:
  """Writes what `save` writes into a binary file, whole or not at all.

  Raises:
    OSError: it cannot be written.
  """
  try:
    with files.write_atomically(path, 'wb') as file:
      save(file)
  except OSError as error:
    raise OSError(
      f'{path} cannot be written ({error.strerror or error}). Mend that, or '
      'set data.cache_dir to another folder; what is finished is kept.'
    ) from error
