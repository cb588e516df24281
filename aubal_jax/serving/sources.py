"""Images without labels, as they are predicted: a few at a time, in order."""

import collections
import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.datasets import manifest
from aubal_jax.media import crop
from aubal_jax.media import decode
from aubal_jax.media import images as images_lib
from aubal_jax.runs import errors
from aubal_jax.runs import workers
from aubal_jax.tables.files import any_table

IMAGES = {*decode.SUFFIXES, *decode.OTHER_SUFFIXES}
_FACES = 256  # Images in which a process looks for faces at a time.


@dataclasses.dataclass(frozen=True)
class Source:
  """Images to predict, in their order.

  Attributes:
    names: what each row is called.
    read: (start, stop) -> uint8[stop - start, H, W, C] (or, of a table,
      float32[stop - start, F]), and position (from
      0 at `start`) -> why there is no image. `start` is a multiple of the
      number of images read at a time.
    fingerprint: hex digits that change when the images do.
    groups: the video of each row, '' of none; None: not known.
    frames: when in its video a row is; None: as they stand.
  """

  names: Sequence[str]
  read: Callable[[int, int], tuple[np.ndarray, dict[int, str]]]
  fingerprint: str
  groups: Sequence[str] | None = None
  frames: Sequence[float] | None = None


def of_files(
  names: Sequence[str],
  paths: Sequence[str],
  pixels: images_lib.Pixels,
  *,
  batch_size: int,
  cache_dir: str = '',
  num_processes: int = 0,
) -> Source:
  """Returns images that are files.

  Args:
    names: what each row is called.
    paths: the files; any may be missing or broken.
    pixels: what an image becomes.
    batch_size: images read at a time.
    cache_dir: folder where found faces are kept, where faces are cut out.
    num_processes: that find faces; 0: one for each CPU.
  """
  # Whole batches, and for each process as many images as it takes at a time.
  faces = _FACES * workers.default_count(num_processes)
  chunk = batch_size * -(-faces // batch_size)

  @functools.lru_cache(maxsize=1)
  def find_faces(number):
    return crop.find_faces(
      paths[number * chunk : (number + 1) * chunk],
      detector=pixels.crop,
      cache_dir=cache_dir,
      num_processes=num_processes,
    )

  def read(start, stop):
    if pixels.crop == 'none':
      return images_lib.read(paths[start:stop], pixels)
    first = start % chunk
    landmarks, _ = find_faces(start // chunk)  # NaN where there is none.
    return images_lib.read(
      paths[start:stop],
      pixels,
      landmarks=landmarks[first : first + stop - start],
    )

  digest = hashlib.sha256()
  for name, path in zip(names, paths, strict=True):
    digest.update(os.fsencode(f'{name}\0{os.path.abspath(path)}\0'))
    digest.update(state(path))
  return Source(names, read, digest.hexdigest()[:16])


def of_dataset(data: dataset_lib.Dataset, rows: np.ndarray) -> Source:
  """Returns images of a data set that are no files."""
  digest = hashlib.sha256(data.fingerprint().encode() + rows.tobytes())
  return Source(
    data.ids[rows].tolist(),
    lambda start, stop: (data.load_images(rows[start:stop]), {}),
    digest.hexdigest()[:16],
  )


def of_features(names: Sequence[str], features: np.ndarray) -> Source:
  """Returns rows of a table, float32[N, F], of which each is called by name."""
  digest = hashlib.sha256('\0'.join(names).encode() + features.tobytes())
  return Source(
    names,
    lambda start, stop: (features[start:stop], {}),
    digest.hexdigest()[:16],
  )


def list_folder(
  folder: os.PathLike | str,
) -> tuple[list[str], list[str], collections.Counter]:
  """Lists every image below a folder, at any depth, sorted by path.

  An image is a file that is called one, in any case: by `decode.SUFFIXES`, or
  by `decode.OTHER_SUFFIXES`, of which reading says that they are not decoded.
  A folder is entered once, so links that go in circles end; hidden files and
  folders are passed over.

  Returns:
    The paths below `folder`, with '/' between folders; the files; and suffix
    -> how many other files there are.

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
  names, others = [], collections.Counter()
  for where, held in walk(folder):
    for name in held:
      suffix = os.path.splitext(name)[1].lower()
      if suffix in IMAGES:
        inside = os.path.relpath(os.path.join(where, name), folder)
        names.append(inside.replace(os.sep, '/'))
      else:
        others[suffix] += 1
  if not names:
    raise FileNotFoundError(
      f'{folder}: there is no image in this folder or below it; images are '
      f'files called *{", *".join(decode.SUFFIXES)}.'
    )
  names.sort()
  return names, [os.path.join(folder, name) for name in names], others


def walk(folder: str) -> Iterator[tuple[str, list[str]]]:
  """Yields folders from `folder` down, each once, and the files in them.

  Raises:
    OSError: a folder cannot be listed.
  """
  seen = set()
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
    yield where, [name for name in held if not name.startswith('.')]


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


def state(path) -> bytes:
  """Returns what changes when a file does."""
  try:
    found = os.stat(path)
  except (OSError, ValueError):  # ValueError: a name no file can have.
    return b'missing'
  return f'{found.st_size} {found.st_mtime_ns}'.encode()
