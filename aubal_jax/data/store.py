"""All images of a data set: held in memory, or in files mapped into memory.

A cache is a folder of shards, each `SHARD_IMAGES` images in one .npy file that
is written whole or not at all. So it is built by several processes at once,
goes on after a kill where it was, and is shared by every run that wants the
same pixels of the same files.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable

import numpy as np

from aubal_jax import files as files_lib
from aubal_jax import progress
from aubal_jax.data import dataset as dataset_lib
from aubal_jax.data import images
from aubal_jax.data import workers

SHARD_IMAGES = 1024
_FORMAT = 1  # Of the shards; another number is another cache.

# Function int[R] rows -> uint8[R, H, W, C].
Read = Callable[[np.ndarray], np.ndarray]


def open_images(
  data: dataset_lib.Dataset,
  rows: np.ndarray,
  pixels: images.Pixels,
  *,
  cache_dir: str = '',
  num_processes: int = 0,
) -> tuple[Read, dict[int, str]]:
  """Reads the images of the given rows, once, and returns a way to them.

  Args:
    data: the data set.
    rows: int[R], rows that have an image.
    pixels: what an image becomes.
    cache_dir: folder of caches; '' holds the images in memory.
    num_processes: that build a cache; 0: one for each CPU.

  Returns:
    The function int[K] rows -> uint8[K, H, W, C], for any of `rows`, from any
    number of threads; and row -> reason of those that cannot be read.

  Raises:
    ValueError: images that are no files cannot be read.
  """
  rows = np.asarray(rows, np.int64)
  place = np.full(len(data), len(rows))  # Beyond: an error.
  place[rows] = np.arange(len(rows))
  if data.files is None:
    paths = landmarks = None
    failures = {}
  else:
    paths = [str(data.files[row]) for row in rows]
    landmarks, failures = _landmarks(paths, pixels, cache_dir, num_processes)
  if cache_dir:
    load = _Load(paths, landmarks, pixels, data.load_images, rows)
    key = _key(data, paths, pixels, rows)
    folder = pathlib.Path(cache_dir) / f'images-{key}'
    read, failed = _open_cache(folder, load, len(rows), num_processes)
  elif paths is None:
    images_held, failed = data.load_images(rows), {}
    read = images_held.__getitem__
  else:
    report = progress.Progress(len(rows), 'Reading images')
    images_held, failed = images.read(
      paths, pixels, landmarks=landmarks, on_progress=report.update
    )
    read = images_held.__getitem__
  failures = failed | failures
  return (
    lambda wanted: read(place[wanted]),
    {int(rows[position]): reason for position, reason in failures.items()},
  )


def _landmarks(paths, pixels, cache_dir, num_processes):
  """Returns float32[R, 5, 2], or None where nothing is cut out; failures."""
  if pixels.crop == 'none':
    return None, {}
  from aubal_jax.data import detector

  return detector.find_faces(
    paths,
    detector=pixels.crop,
    cache_dir=cache_dir,
    num_processes=num_processes,
  )


@dataclasses.dataclass(frozen=True)
class _Load:
  """Makes one shard: its images, and position -> reason of those not read."""

  paths: list[str] | None
  landmarks: np.ndarray | None
  pixels: images.Pixels
  load_images: Read | None
  rows: np.ndarray

  def part(self, start: int, stop: int) -> '_Load':
    """Returns what makes the images from `start` to `stop`, and no others."""
    of_files = self.paths is not None
    return _Load(
      self.paths[start:stop] if of_files else None,
      None if self.landmarks is None else self.landmarks[start:stop],
      self.pixels,
      None if of_files else self.load_images,
      self.rows[start:stop],
    )

  def __call__(self):
    if self.paths is None:
      return self.load_images(self.rows), {}
    return images.read(
      self.paths, self.pixels, landmarks=self.landmarks, num_threads=1
    )


def _key(data, paths, pixels, rows) -> str:
  """Returns 16 hex digits that tell one cache from another."""
  digest = hashlib.sha256()
  digest.update(repr((_FORMAT, SHARD_IMAGES, pixels)).encode())
  if paths is None:
    digest.update(data.fingerprint().encode() + rows.tobytes())
  else:
    for path in paths:
      digest.update(f'{_state(path)}{os.path.abspath(path)}\0'.encode())
  return digest.hexdigest()[:16]


def _state(path):
  """Returns what changes when a file does."""
  try:
    found = os.stat(path)
  except OSError:
    return 'missing'
  return f'{found.st_size} {found.st_mtime_ns} '


def _open_cache(folder, load, count, num_processes):
  """Makes the shards that are not there, and maps all of them."""
  starts = range(0, count, SHARD_IMAGES)
  missing = [s for s in starts if not _shard(folder, s).exists()]
  if missing:
    _build(folder, load, count, missing, num_processes)
  failures = {}
  for start in starts:
    beside = _shard(folder, start).with_suffix('.json')
    if beside.exists():
      found = files_lib.read_json(beside)
      failures |= {start + int(k): reason for k, reason in found.items()}
  maps = [_map(_shard(folder, start)) for start in starts]
  return functools.partial(_read_maps, maps, load.pixels.shape), failures


def _shard(folder, start):
  return folder / f'{start // SHARD_IMAGES:06d}.npy'


def _build(folder, load, count, missing, num_processes):
  """Makes the missing shards, in processes where images are files."""
  report = progress.Progress(
    sum(min(SHARD_IMAGES, count - s) for s in missing), 'Caching images'
  )
  parts = [
    (folder, start, load.part(start, start + SHARD_IMAGES)) for start in missing
  ]
  if load.paths is None:  # What makes them cannot be sent to a process.
    num_processes = 1
  for part, _ in workers.map_unordered(
    _write_shard, parts, num_processes=num_processes
  ):
    report.update(len(part[2].rows))


def _write_shard(part):
  """Writes one shard; what could not be read is written first."""
  folder, start, load = part
  made, failures = load()
  path = _shard(folder, start)
  if failures:
    files_lib.write_json(path.with_suffix('.json'), failures)
  with files_lib.write_atomically(path, 'wb') as file:
    np.save(file, made)


def _map(path):
  try:
    return np.load(path, mmap_mode='r')
  except (ValueError, EOFError, OSError) as error:
    raise ValueError(
      f'{path} is damaged ({error}); delete the folder {path.parent}, and it '
      'is made again.'
    ) from error


def _read_maps(maps, shape, positions):
  """Returns uint8[K, H, W, C], the images at the given positions."""
  positions = np.asarray(positions, np.int64)
  images_read = np.empty((len(positions), *shape), np.uint8)
  for k, position in enumerate(positions.tolist()):
    shard, offset = divmod(position, SHARD_IMAGES)
    images_read[k] = maps[shard][offset]
  return images_read
