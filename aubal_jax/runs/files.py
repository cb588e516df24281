"""Files that are whole or absent, and locks that no death leaves behind."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import pathlib
import socket
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from aubal_jax.runs import errors


@contextlib.contextmanager
def write_atomically(path, mode: str = 'w') -> Iterator[IO]:
  """Opens a temporary file that becomes `path` when the block ends well.

  On an exception the temporary file is removed and `path` is left as it was.
  When it is there, it is there after a loss of power, too.

  Args:
    path: where the file shall be; its folder is made if need be.
    mode: 'w' (UTF-8 text) or 'wb'.

  Raises:
    OSError: the disk is full, or cannot be written to; it names `path`.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  handle, temporary = _make_temporary(path)
  try:
    encoding = None if 'b' in mode else 'utf-8'
    with naming(path), os.fdopen(handle, mode, encoding=encoding) as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes it private.
    os.replace(temporary, path)
    sync_folder(path.parent)
  except BaseException:
    with contextlib.suppress(FileNotFoundError):
      os.unlink(temporary)
    raise


def _make_temporary(path) -> tuple[int, str]:
  """Returns handle and name of a new file, locked: see `remove_left`."""
  while True:
    handle, temporary = tempfile.mkstemp(
      dir=path.parent, prefix=f'.{path.name}.', suffix='.tmp'
    )
    with contextlib.suppress(OSError):  # A file system without locks.
      fcntl.flock(handle, fcntl.LOCK_EX)
    if os.path.exists(temporary):
      return handle, temporary
    os.close(handle)  # It was taken for one that is left.


def remove_left(folder) -> None:
  """Removes what writers left in a folder that died over it.

  Those that are at work hold their temporary files, and keep them.
  """
  for left in pathlib.Path(folder).glob('.*.tmp'):
    with contextlib.suppress(OSError):
      handle = os.open(left, os.O_RDWR)
      try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        left.unlink(missing_ok=True)
      finally:
        os.close(handle)


def sync_folder(path) -> None:
  """Has the disk hold the names in a folder, where its file system can."""
  with contextlib.suppress(OSError):  # Some refuse it, of folders or at all.
    handle = os.open(path, os.O_RDONLY)
    try:
      os.fsync(handle)
    finally:
      os.close(handle)


@contextlib.contextmanager
def naming(path) -> Iterator[None]:
  """Gives the name of a file to what its full disk raises inside."""
  try:
    yield
  except OSError as error:
    if error.errno is None or error.filename is not None:
      raise
    raise OSError(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def locked(path, busy: str) -> Iterator[None]:
  """Holds the file `path`, so that no other process gets in here meanwhile.

  The kernel lets go when the process dies, however it does. Both the file and
  folders made for it are removed at the end, unless something is in them. A
  file system without locks (some that stand for a cloud's buckets) is told of
  on stderr, and nothing is held.

  Args:
    path: of the lock; its folder is made if need be.
    busy: what the error says before who holds it.

  Raises:
    UserError: another process holds it.
  """
  path = pathlib.Path(path)
  made = [folder for folder in path.parents if not folder.exists()]
  path.parent.mkdir(parents=True, exist_ok=True)
  handle = _lock(path, busy)
  try:
    yield
  finally:
    path.unlink(missing_ok=True)  # Still held: see `_lock`.
    os.close(handle)
    with contextlib.suppress(OSError):
      for folder in made:
        folder.rmdir()


def _lock(path, busy) -> int:
  """Returns the handle of the locked file."""
  while True:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
      fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      holder = os.read(handle, 100).decode(errors='replace')
      os.close(handle)
      raise errors.UserError(f'{busy} ({holder or "just begun"}).') from None
    except OSError as error:
      print(
        f'Warning: {path} cannot be locked ({error.strerror}); take care that '
        'no second run is started in its folder.',
        file=sys.stderr,
      )
    with contextlib.suppress(FileNotFoundError):
      if os.path.samestat(os.fstat(handle), os.stat(path)):
        break
    os.close(handle)  # Who held it has removed it since it was opened.
  with contextlib.suppress(OSError):  # A full disk: it is but a hint.
    os.ftruncate(handle, 0)
    os.write(
      handle, f'process {os.getpid()} on {socket.gethostname()}'.encode()
    )
  return handle


def plain(content):
  """Returns the content with infinite numbers as the texts 'inf' and '-inf'.

  JSON has no such numbers. What is read back is told apart from a text by who
  knows which settings are numbers, so both sides of a comparison are plain.
  """
  if isinstance(content, dict):
    return {name: plain(entry) for name, entry in content.items()}
  if isinstance(content, (list, tuple)):
    return [plain(entry) for entry in content]
  if isinstance(content, float) and math.isinf(content):
    return str(content)
  return content


def write_json(path, content) -> None:
  """Writes `content` as indented JSON, whole or not at all; NaN is refused."""
  with write_atomically(path) as file:
    json.dump(content, file, indent=1, allow_nan=False)
    file.write('\n')


def read_json(path):
  """Returns what a JSON file holds.

  Raises:
    FileNotFoundError: there is no such file.
    UserError: the file is not JSON; the message names it.
  """
  try:
    with open(path, encoding='utf-8') as file:
      return json.load(file)
  except (RecursionError, ValueError) as error:  # JSON or UTF-8 is broken.
    raise errors.UserError(
      f'{path} is damaged ({error}); delete it and run the task again.'
    ) from error
