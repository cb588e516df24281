"""All images of a data set: held in memory, or in files mapped into memory.

A cache is a folder of shards, each `SHARD_IMAGES` images in one .npy file that
is written whole or not at all, named by the state of the image files. So it is
built by several processes or runs at once, goes on after a kill where it was,
makes anew what a changed file is in, and is shared by every run that wants the
same pixels of the same files.
"""

import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Callable

import numpy as np

from aubal_jax.media import caches
from aubal_jax.media import crop
from aubal_jax.media import images
from aubal_jax.runs import errors
from aubal_jax.runs import files as files_lib
from aubal_jax.runs import progress
from aubal_jax.runs import workers

SHARD_IMAGES = 256
_FORMAT = 2  # Of the shards; another number is another cache.

# Function int[R] rows -> uint8[R, H, W, C].
Read = Callable[[np.ndarray], np.ndarray]


def open_images(
  data,
  rows: np.ndarray,
  pixels: images.Pixels,
  *,
  cache_dir: str = '',
  num_processes: int = 0,
  tell: Callable[[str], None] | None = None,
) -> tuple[Read, dict[int, str]]:
  """Reads the images of the given rows, once, and returns a way to them.

  Args:
    data: the data set.
    rows: int[R], rows that have an image; all different.
    pixels: what an image becomes.
    cache_dir: folder of caches; '' holds the images in memory.
    num_processes: that build a cache; 0: one for each CPU.
    tell: called with a line for people about the cache, and about images that
      are odd but read.

  Returns:
    The function int[K] rows -> uint8[K, H, W, C], for any of `rows` in any
    order, from any number of threads; and row -> reason of those that cannot
    be read, whose images are black.

  Raises:
    UserError: images that are no files cannot be read, they do not fit into
      memory, or a shard is damaged.
    OSError: the cache cannot be written.
    ChildProcessError: a worker died.
  """
  rows = np.asarray(rows, np.int64)
  if not cache_dir:
    _check_memory(len(rows), pixels)
  paths = None
  if data.files is not None:
    paths = [str(data.files[row]) for row in rows]
  landmarks, failures = _landmarks(paths, pixels, cache_dir, num_processes)
  whole = _Shard(rows, paths, landmarks, pixels, data.load_images)
  if cache_dir:
    folder = pathlib.Path(cache_dir, f'images-{_key(data, whole)}')
    read, failed, remarks, num_made = _open_cache(folder, whole, num_processes)
    if tell:
      tell(
        f'Images: {len(rows):,} in the cache {folder}, {num_made:,} of them '
        'made now.'
      )
  else:
    report = progress.Progress(len(rows), 'Reading images')
    held, failed, remarks = whole.make(on_progress=report.update)
    read = held.__getitem__
  if tell and remarks:
    tell(images.remarks_note(remarks, len(rows), paths.__getitem__))
  failures = failed | failures  # Why there is no face comes first.
  place = np.full(len(data), len(rows))  # Beyond: an error.
  place[rows] = np.arange(len(rows))
  return (
    lambda wanted: read(place[wanted]),
    {int(rows[position]): reason for position, reason in failures.items()},
  )


def _check_memory(count, pixels):
  """Raises UserError where so many images cannot be held in memory."""
  needed = count * int(np.prod(pixels.shape))
  there = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
  if needed > there:
    raise errors.UserError(
      f'{count:,} images of {needed / 1e9:.1f} GB do not fit into the '
      f'{there / 1e9:.1f} GB of memory of this machine: set data.cache_dir to '
      'a folder, from which they are read as they are needed.'
    )


def _landmarks(paths, pixels, cache_dir, num_processes):
  """Returns float32[R, 5, 2], or None where nothing is cut out; failures."""
  if pixels.crop == 'none':
    return None, {}
  if paths is None:
    raise errors.UserError(
      f'data.crop={pixels.crop!r} cuts faces out of image files, and this data '
      "set is not made of files: set data.crop='none'."
    )
  return crop.find_faces(
    paths,
    detector=pixels.crop,
    cache_dir=cache_dir,
    num_processes=num_processes,
  )


@dataclasses.dataclass(frozen=True)
class _Shard:
  """Images that are made in one go, and the file that keeps them, if any."""

  rows: np.ndarray
  paths: list[str] | None
  landmarks: np.ndarray | None
  pixels: images.Pixels
  load_images: Read | None
  file: pathlib.Path | None = None

  def part(self, start: int, folder: pathlib.Path) -> '_Shard':
    """Returns the shard that begins at `start`."""
    some = slice(start, start + SHARD_IMAGES)
    paths = self.paths and self.paths[some]
    name = f'{start // SHARD_IMAGES:06d}-{caches.state(paths or ())}.npy'
    return _Shard(
      self.rows[some],
      paths,
      None if self.landmarks is None else self.landmarks[some],
      self.pixels,
      None if paths else self.load_images,  # Cannot be sent to a process.
      folder / name,
    )

  @property
  def told(self) -> pathlib.Path:
    """The file beside it: failures and remarks, if there are any."""
    return self.file.with_suffix('.json')

  def make(self, num_threads=None, on_progress=None):
    """Returns the images; position -> why one cannot be read; remarks."""
    if self.paths is None:
      return self.load_images(self.rows), {}, {}
    remarks = {}
    made, failures = images.read(
      self.paths,
      self.pixels,
      landmarks=self.landmarks,
      num_threads=num_threads,
      on_progress=on_progress,
      on_remark=remarks.__setitem__,
    )
    return made, failures, remarks


def _key(data, whole) -> str:
  """Returns 16 hex digits that tell one cache from another."""
  settings = [_FORMAT, SHARD_IMAGES, whole.pixels]
  if whole.paths is None:
    settings += [data.fingerprint(), whole.rows.tobytes()]
  if whole.landmarks is not None:
    settings += [crop.TEMPLATE.tolist(), whole.landmarks.tobytes()]
  return caches.key(repr(settings), whole.paths or ())


def _open_cache(folder, whole, num_processes):
  """Makes the shards that are not there.

  Returns:
    A reader, failures, remarks, and the number of images made now.
  """
  starts = range(0, len(whole.rows), SHARD_IMAGES)
  shards = [whole.part(start, folder) for start in starts]
  missing = [shard for shard in shards if not shard.file.exists()]
  num_missing = sum(len(shard.rows) for shard in missing)
  # In an order of its own: of two runs, each makes what the other has not.
  np.random.default_rng().shuffle(missing)
  report = progress.Progress(num_missing, 'Caching images')
  for shard, _ in workers.map_unordered(
    _make, missing, num_processes=1 if whole.paths is None else num_processes
  ):
    report.update(len(shard.rows))
  told = {}, {}
  for start, shard in zip(starts, shards, strict=True):
    if shard.told.exists():
      for all_, some in zip(told, files_lib.read_json(shard.told), strict=True):
        all_ |= {start + int(k): text for k, text in some.items()}
  maps = [_map(shard) for shard in shards]
  read = functools.partial(_read_maps, maps, whole.pixels.shape)
  return read, *told, num_missing


def _make(shard):
  """Writes one shard, after what is told of it."""
  if shard.file.exists():  # By another run.
    return
  made, *told = shard.make(num_threads=1)
  if any(told):
    caches.write(shard.told, lambda file: file.write(json.dumps(told).encode()))
  caches.write(shard.file, lambda file: np.save(file, made))


def _map(shard):
  """Returns uint8[n, H, W, C], mapped into memory."""
  shape = (len(shard.rows), *shard.pixels.shape)
  try:
    mapped = np.load(shard.file, mmap_mode='r')
    if mapped.shape != shape or mapped.dtype != np.uint8:
      raise errors.UserError(f'it holds {mapped.dtype}{list(mapped.shape)}')
  except (ValueError, EOFError, OSError) as error:
    raise errors.UserError(
      f'{shard.file} is damaged ({error}); delete it, and it is made again.'
    ) from error
  return np.asarray(mapped)  # A memmap is slow to index.


def _read_maps(maps, shape, positions):
  """Returns uint8[K, H, W, C], the images at the given positions."""
  read = np.empty((len(positions), *shape), np.uint8)
  for k, position in enumerate(positions.tolist()):
    shard, offset = divmod(position, SHARD_IMAGES)
    read[k] = maps[shard][offset]
  return read
