"""Files that are whole or absent: written aside, then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def write_atomically(path, mode: str = 'w') -> Iterator[IO]:
  """Opens a temporary file that becomes `path` when the block ends well.

  On an exception the temporary file is removed and `path` is left as it was.

  Args:
    path: where the file shall be; its folder is made if need be.
    mode: 'w' (UTF-8 text) or 'wb'.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  handle, temporary = tempfile.mkstemp(
    dir=path.parent, prefix=f'.{path.name}.', suffix='.tmp'
  )
  try:
    encoding = None if 'b' in mode else 'utf-8'
    with os.fdopen(handle, mode, encoding=encoding) as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes it private.
    os.replace(temporary, path)
  except BaseException:
    with contextlib.suppress(FileNotFoundError):
      os.unlink(temporary)
    raise


def write_json(path, content) -> None:
  """Writes `content` as indented JSON, whole or not at all; NaN is refused."""
  with write_atomically(path) as file:
    json.dump(content, file, indent=1, allow_nan=False)
    file.write('\n')


def read_json(path):
  """Returns what a JSON file holds.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is not JSON; the message names it.
  """
  try:
    with open(path, encoding='utf-8') as file:
      return json.load(file)
  except json.JSONDecodeError as error:
    raise ValueError(
      f'{path} is damaged ({error}); delete it and run the task again.'
    ) from error
