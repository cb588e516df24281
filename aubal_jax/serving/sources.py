"""Images without labels, as they are predicted: a few at a time, in order."""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.media import images as images_lib
from aubal_jax.runs import workers

_FACES = 256  # Images in which a process looks for faces at a time.


@dataclasses.dataclass(frozen=True)
class Source:
  """Images to predict, in their order.

  Attributes:
    names: what each row is called.
    read: (start, stop) -> uint8[stop - start, H, W, C], and position (from
      0 at `start`) -> why there is no image. `start` is a multiple of the
      number of images read at a time.
    fingerprint: hex digits that change when the images do.
  """

  names: Sequence[str]
  read: Callable[[int, int], tuple[np.ndarray, dict[int, str]]]
  fingerprint: str


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
    from aubal_jax.media import detector

    return detector.find_faces(
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
    digest.update(_state(path))
  return Source(names, read, digest.hexdigest()[:16])


def of_dataset(data: dataset_lib.Dataset, rows: np.ndarray) -> Source:
  """Returns images of a data set that are no files."""
  digest = hashlib.sha256(data.fingerprint().encode() + rows.tobytes())
  return Source(
    data.ids[rows].tolist(),
    lambda start, stop: (data.load_images(rows[start:stop]), {}),
    digest.hexdigest()[:16],
  )


def _state(path):
  """Returns what changes when a file does."""
  try:
    found = os.stat(path)
  except (OSError, ValueError):  # ValueError: a name no file can have.
    return b'missing'
  return f'{found.st_size} {found.st_mtime_ns}'.encode()
