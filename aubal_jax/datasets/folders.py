"""Lists images that have no labels: those below a folder, or of a table."""

import os

from aubal_jax.datasets import manifest
from aubal_jax.datasets.readers import folders as reader_folders
from aubal_jax.runs import errors
from aubal_jax.tables.files import any_table

SUFFIXES = reader_folders.SUFFIXES


def list_folder(folder: os.PathLike | str) -> tuple[list[str], list[str]]:
  """Lists every image below a folder, at any depth, sorted by path.

  An image is a file with one of SUFFIXES in any case. A folder is entered
  once, so links that go in circles end; hidden files and folders are passed
  over.

  Returns:
    The paths below `folder`, with '/' between folders; and the files.

  Raises:
    FileNotFoundError: there is no such folder, or no image below it.
    OSError: a folder cannot be listed.
  """
  folder = os.fspath(folder)
  if not os.path.isdir(folder):
    raise FileNotFoundError(
      f'{folder}: there is no such folder. Set predict.path to a folder or a '
      'table of images.'
    )
  names, seen = [], set()
  for where, inner, held in os.walk(
    folder, followlinks=True, onerror=_raise_error
  ):
    found = os.stat(where)
    if (found.st_dev, found.st_ino) in seen:
      inner.clear()
      continue
    seen.add((found.st_dev, found.st_ino))
    # Links last: a folder is called by its own name, if it has one here.
    inner[:] = [name for name in inner if not name.startswith('.')]
    inner.sort(key=lambda name: (os.path.islink(f'{where}/{name}'), name))
    names += [
      os.path.relpath(os.path.join(where, name), folder).replace(os.sep, '/')
      for name in held
      if name.lower().endswith(SUFFIXES) and not name.startswith('.')
    ]
  if not names:
    raise FileNotFoundError(
      f'{folder}: there is no image in this folder or below it; images are '
      f'files called *{", *".join(SUFFIXES)}.'
    )
  names.sort()
  return names, [os.path.join(folder, name) for name in names]


def list_table(
  path: os.PathLike | str, *, path_column: str = 'path', image_dir: str = ''
) -> tuple[list[str], list[str]]:
  """Lists the images a table names, in its order; whether or not they exist.

  Args:
    path: of a kind that `manifest.read` takes; only the paths are looked at.
    path_column: the column of image files.
    image_dir: folder that they are relative to; '' is that of the table.

  Returns:
    The paths as the table has them; and the files.

  Raises:
    FileNotFoundError: there is no such table.
    UserError: it is no table, has no such column, or a path in it is blank,
      leaves the folder or is there twice.
  """
  path = any_table.check_exists(path)
  if path.suffix.lower() not in any_table.SUFFIXES:
    raise errors.UserError(
      f'{path}: a table of images is read from '
      f'{", ".join(any_table.SUFFIXES)}, not from '
      f'{path.suffix or "a file without a suffix"!r}. Set predict.path to such '
      'a table, or to a folder.'
    )
  rows = any_table.read(path)
  names = rows.column(path_column, 'data.path_column').cells()
  files, _ = manifest.find_files(
    rows, path_column, image_dir or str(path.parent)
  )
  return names.tolist(), files.tolist()


def _raise_error(error):
  raise error
