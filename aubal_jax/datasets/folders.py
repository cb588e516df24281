"""Finds the folders and images of a data set as people have unpacked it.

Names are compared in any case. What archives and desktops leave behind, hidden
files and `__MACOSX`, is passed over, and a folder that a link leads to twice
is entered once.
"""

import os
import re
from collections.abc import Iterator
from collections.abc import Sequence

from aubal_jax.runs import errors
from aubal_jax.runs import text

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
DEPTH = 3  # Levels below the given folder at which parts of a set are found.


def entries(folder: str) -> list[os.DirEntry]:
  """Returns what a folder holds, by name, without hidden things.

  Raises:
    FileNotFoundError: it is not there, or no folder; says what is there.
  """
  if not os.path.isdir(folder):
    raise _no_folder(os.fspath(folder))
  with os.scandir(folder) as found:
    kept = [e for e in found if e.name[0] != '.' and e.name != '__MACOSX']
  return sorted(kept, key=lambda entry: entry.name)


def _no_folder(folder):
  """Returns the error for a folder that is none."""
  what = 'is a file' if os.path.exists(folder) else 'does not exist'
  above = os.path.dirname(os.path.abspath(folder))
  while not os.path.lexists(above):
    above = os.path.dirname(above)
  if os.path.isdir(above):
    beside = f'{above} holds {_listing(above)}'
  else:
    beside = f'{above} is no folder'
  return FileNotFoundError(
    f'{folder}: this folder {what}; {beside}. Set the path to the folder of '
    'the data set.'
  )


def _listing(folder):
  """Returns what a folder holds, for messages."""
  names = [e.name + '/' * e.is_dir() for e in entries(folder)]
  return text.listing(map(text.quote, names)) or 'nothing'


def levels(
  root: str, *, skip: str = '(?!)', depth: int = DEPTH
) -> Iterator[list[str]]:
  """Yields the folders 0, 1, ... `depth` levels below `root`.

  A level is looked at only when it is asked for.

  Args:
    root: level 0.
    skip: a regular expression; folders of such a name, in any case, are
      yielded but not entered.
    depth: the last level.
  """
  root = os.fspath(root)
  seen = {_identity(root)}
  level = [root]
  for _ in range(depth):
    yield level
    level = [
      entry.path
      for folder in level
      if folder == root or not matches(skip, folder)
      for entry in entries(folder)
      if entry.is_dir() and _is_new(entry.path, seen)
    ]
  yield level


def find_folder(
  root: str, candidates: Sequence[str], *, skip: str = '(?!)', hint: str = ''
) -> str:
  """Returns the folder called like the first candidate that there is.

  It may be `root` itself, or up to DEPTH levels below; the highest is taken.

  Args:
    root: where to look.
    candidates: names.
    skip: see `levels`.
    hint: a sentence the error ends with.

  Raises:
    FileNotFoundError: there is none; says what stands there instead.
    UserError: two are equally good.
  """
  for name in candidates:
    for level in levels(root, skip=skip):
      found = [f for f in level if _name(f).casefold() == name.casefold()]
      if len(found) > 1:
        raise ambiguous(root, *found[:2])
      if found:
        return found[0]
  raise missing(root, f'folder {" or ".join(candidates)}', hint)


def find_file(folder: str, names: Sequence[str]) -> str:
  """Returns the highest file of one of the names.

  Raises:
    FileNotFoundError: there is none down to DEPTH; says what is there.
  """
  for level in levels(folder):
    for entry in (e for f in level for e in entries(f)):
      if entry.is_file() and entry.name.lower() in map(str.lower, names):
        return entry.path
  raise missing(folder, f'file {" or ".join(names)}')


def missing(root: str, wanted: str, hint: str = '') -> FileNotFoundError:
  """Returns the error that says what was looked for, and what is there."""
  return FileNotFoundError(
    f'{root}: there is no {wanted} in it, or in its folders; it holds '
    f'{_listing(root)}. {hint or "Set the path to the folder of the data set."}'
  )


def ambiguous(root: str, first: str, second: str) -> ValueError:
  """Returns the error for two folders or files that may be meant."""
  return errors.UserError(
    f'{root}: both {first} and {second} may be meant. Move one elsewhere, or '
    'set the path to the folder that holds the other.'
  )


def list_images(folder: str) -> dict[str, str]:
  """Returns the images of `list_files`: those with one of SUFFIXES."""
  return list_files(folder, SUFFIXES)


def list_files(folder: str, suffixes: Sequence[str]) -> dict[str, str]:
  """Returns the files in a folder and in the folders below it, in any order.

  Args:
    folder: where to look.
    suffixes: such as '.txt'; those of the files may be in any case.

  Returns:
    path below `folder`, with '/' and without suffix -> file.

  Raises:
    FileNotFoundError: there is no such folder.
    UserError: two files differ in their suffix only.
  """
  found = {}
  waiting = [(os.fspath(folder), '')]
  seen = {_identity(folder)}
  while waiting:
    current, prefix = waiting.pop()
    for entry in entries(current):
      stem, suffix = os.path.splitext(entry.name)
      if entry.is_dir():
        if _is_new(entry.path, seen):
          waiting.append((entry.path, f'{prefix}{entry.name}/'))
      elif suffix.lower() in suffixes and entry.is_file():
        other = found.setdefault(prefix + stem, entry.path)
        if other != entry.path:
          raise errors.UserError(
            f'{other} and {entry.path} are two files of one name. Remove one.'
          )
  return found


def list_names(folder: str) -> dict[str, str]:
  """Returns the images below a folder by their names: 'a' -> 'x/y/a.jpg'.

  Raises:
    FileNotFoundError: there is no such folder.
    UserError: two images have one name, here or there.
  """
  found = {}
  for name, file in list_images(folder).items():
    other = found.setdefault(name.rpartition('/')[2], file)
    if other != file:
      raise errors.UserError(
        f'{other} and {file} are two images of one name. Move one out of '
        f'{folder}.'
      )
  return found


def matches(pattern: str, folder: str) -> bool:
  """Whether the name of a folder is as the expression says, in any case."""
  return re.fullmatch(pattern, _name(folder), re.I | re.S) is not None


def _name(folder):
  return os.path.basename(os.path.abspath(folder))


def _identity(folder):
  """Returns what is equal for two paths of one folder; None if not there."""
  try:
    found = os.stat(folder)
  except (FileNotFoundError, NotADirectoryError):
    return None
  return found.st_dev, found.st_ino


def _is_new(folder, seen):
  """Whether a folder is not in `seen`; adds it."""
  identity = _identity(folder)
  new = identity not in seen
  seen.add(identity)
  return new
