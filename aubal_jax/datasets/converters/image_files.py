"""Finds the image that is meant by the end of its path."""

import collections
import os
import re
from collections.abc import Iterator

from aubal_jax.datasets import folders
from aubal_jax.datasets import splits
from aubal_jax.runs import errors
from aubal_jax.runs import text


def walk(folder: str) -> Iterator[str]:
  """Yields the paths below a folder, with '/', of its files; none is hidden.

  A folder that a link leads to twice is entered once.
  """
  waiting, seen = [''], set()
  while waiting:
    below = waiting.pop()
    current = os.path.join(folder, below)
    real = os.path.realpath(current)
    if real in seen:
      continue
    seen.add(real)
    inner = []
    for entry in folders.entries(current):
      if entry.is_dir():
        inner.append(f'{below}{entry.name}/')
      elif entry.is_file():
        yield below + entry.name
    waiting += reversed(inner)


def splits_in(name: str) -> set[str]:
  """Returns the splits that words of a name say: train for 'train2017'."""
  words = re.findall('[a-z]+', name.casefold())
  return {splits.SPLIT_NAMES[w] for w in words if w in splits.SPLIT_NAMES}


class Index:
  """The files below a folder, by their names.

  Where names are used in several folders, an image of one split is not looked
  for in a folder of another's name: there, its name is another image's.
  """

  def __init__(self, folder: str):
    self._folder = folder
    self._paths = collections.defaultdict(list)
    for path in walk(folder):
      self._paths[path.rpartition('/')[2]].append(path)
    self._are_used_twice = any(len(same) > 1 for same in self._paths.values())

  def find(self, name: str, split: str, beside: str) -> str:
    """Returns the file whose path ends in `name`, '' if there is none.

    Args:
      name: the end of a path, with '/' or '\\'.
      split: of the image; '' if unknown.
      beside: the folder of the list that names it.

    Raises:
      UserError: several may be meant.
    """
    name = re.sub(r'^(\./)+', '', name.replace('\\', '/'))
    same = [
      path
      for path in self._paths.get(name.rpartition('/')[2], ())
      if path == name or path.endswith(f'/{name}')
    ]
    if self._are_used_twice and split:
      same = [p for p in same if _split_of_folders(p) in ('', split)]
    files = [os.path.join(self._folder, path) for path in same]
    if len(files) < 2:
      return files[0] if files else ''
    for near in (os.path.join(beside, name), os.path.join(self._folder, name)):
      if near in files:
        return near
    said = [f for f, p in zip(files, same, strict=True) if _split_of_folders(p)]
    if len(said) == 1:
      return said[0]
    raise errors.UserError(
      f'{text.quote(name)} may be {files[0]} or {files[1]}. Move one out of '
      f'{self._folder}, or name it with its folder.'
    )


def _split_of_folders(path):
  """Returns the split that the folders of a path say last; '' for none."""
  for part in reversed(path.split('/')[:-1]):
    said = splits_in(part)
    if len(said) == 1:
      return said.pop()
  return ''
