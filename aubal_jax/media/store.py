"""All images of a data set: held in memory, or in files mapped into memory.

A cache is a folder of shards, each `SHARD_IMAGES` images in one .npy file that
is written whole or not at all, named by the state of the image files. So it is
built by several processes or runs at once, goes on after a kill where it was,
makes anew what a changed file is in, and is shared by every run that wants the
same pixels of the same files. Beside it is a checksum, which is compared where
the shard was changed or copied since; `check` compares all.
"""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import time
import zlib
from collections.abc import Callable

import numpy as np

from aubal_jax.media import caches
from aubal_jax.media import crop
from aubal_jax.media import images
from aubal_jax.media import pieces
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
  corners = None if data.corners is None else data.corners[rows]
  landmarks, failures = _landmarks(
    paths, corners, pixels, cache_dir, num_processes
  )
  whole = _Shard(rows, paths, landmarks, corners, pixels, data.load_images)
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


def _landmarks(paths, corners, pixels, cache_dir, num_processes):
  """Returns float32[R, 5, 2], or None where nothing is cut out; failures."""
  if pixels.crop == 'none':
    return None, {}
  if paths is None:
    raise errors.UserError(
      f'data.crop={pixels.crop!r} cuts faces out of image files, and this data '
      "set is not made of files: set data.crop='none'."
    )
  sought = np.arange(len(paths))
  if corners is not None:  # Where a data set says where the face is.
    sought = np.flatnonzero(~pieces.is_given(corners))
  found, failures = crop.find_faces(
    [paths[k] for k in sought],
    detector=pixels.crop,
    cache_dir=cache_dir,
    num_processes=num_processes,
  )
  landmarks = np.full((len(paths), 5, 2), np.nan, np.float32)
  landmarks[sought] = found
  return landmarks, {int(sought[k]): why for k, why in failures.items()}


@dataclasses.dataclass(frozen=True)
class _Shard:
  """Images that are made in one go, and the file that keeps them, if any."""

  rows: np.ndarray
  paths: list[str] | None
  landmarks: np.ndarray | None
  corners: np.ndarray | None
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
      None if self.corners is None else self.corners[some],
      self.pixels,
      None if paths else self.load_images,  # Cannot be sent to a process.
      folder / name,
    )

  @property
  def told(self) -> pathlib.Path:
    """The file beside it: failures, remarks and sums."""
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
      corners=self.corners,
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
  if whole.corners is not None:
    settings += ['pieces', whole.corners.tobytes()]
  return caches.key(repr(settings), whole.paths or ())


def _open_cache(folder, whole, num_processes):
  """Makes the shards that are not there.

  Returns:
    A reader, failures, remarks, and the number of images made now.
  """
  files_lib.remove_left(folder)
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
  told, maps = ({}, {}), []
  for start, shard in zip(starts, shards, strict=True):
    *some, sums = _read_told(shard.told)
    for all_, of_shard in zip(told, some, strict=True):
      all_ |= {start + int(k): text for k, text in of_shard.items()}
    shape = (len(shard.rows), *shard.pixels.shape)
    maps.append(_map(shard.file, shape))
    if sums and sums['mtime_ns'] != shard.file.stat().st_mtime_ns:
      _compare(shard.file, maps[-1], sums)
      _note_time(shard, some, sums)
  read = functools.partial(_read_maps, maps, whole.pixels.shape)
  return read, *told, num_missing


def _make(shard):
  """Writes one shard, after what is told of it."""
  if shard.file.exists():  # By another run.
    return
  made, *told = shard.make(num_threads=1)
  now = time.time_ns()
  sums = {'images': _sum(made), 'mtime_ns': now}
  _write_told(shard, told, sums)

  def save(file):
    np.save(file, made)
    file.flush()
    os.utime(file.fileno(), ns=(now, now))

  caches.write(shard.file, save)


def _sum(images: np.ndarray) -> int:
  """Returns the CRC-32 of images: 12 ms for 45 MB."""
  return zlib.crc32(np.ascontiguousarray(images).reshape(-1))


def _write_told(shard, told, sums):
  """Writes failures, remarks, and the sums of images and of these two."""
  plain = json.dumps(told).encode()
  content = [*told, sums | {'told': zlib.crc32(plain)}]
  text = json.dumps(content).encode()
  caches.write(shard.told, lambda file: file.write(text))


def _note_time(shard, told, sums):
  """Notes that a shard of that time was found whole, where that can be."""
  with contextlib.suppress(OSError):
    found = shard.file.stat().st_mtime_ns
    _write_told(shard, told, {**sums, 'mtime_ns': found})


def _read_told(path):
  """Returns failures, remarks and sums; {} of a release that took none."""
  try:
    failures, remarks, *sums = files_lib.read_json(path)
    if sums:
      plain = json.dumps([failures, remarks]).encode()
      if sums[0]['told'] != zlib.crc32(plain):
        raise ValueError('its checksum is wrong')
      return failures, remarks, {k: sums[0][k] for k in ('images', 'mtime_ns')}
  except FileNotFoundError:
    return {}, {}, {}
  except (KeyError, TypeError, ValueError) as error:
    raise errors.UserError(
      f'{path} is damaged ({error}); delete it and '
      f'{path.with_suffix(".npy").name} beside it, and they are made again.'
    ) from error
  return failures, remarks, {}


def _map(path, shape=None):
  """Returns uint8[n, H, W, C], mapped into memory."""
  try:
    mapped = np.load(path, mmap_mode='r')
    if mapped.dtype != np.uint8 or (shape or mapped.shape) != mapped.shape:
      raise errors.UserError(f'it holds {mapped.dtype}{[*mapped.shape]}')
    if path.stat().st_size != mapped.offset + mapped.nbytes:
      raise errors.UserError('there is more in it')
  except Exception as error:  # The parser of headers raises what comes.
    raise _damaged(path, error) from error
  return np.asarray(mapped)  # A memmap is slow to index.


def _damaged(path, why):
  return errors.UserError(
    f'{path} is damaged ({why}); delete it, and it is made again.'
  )


def _compare(path, images, sums):
  """Raises UserError where the images are not those that were written."""
  if _sum(images) != sums['images']:
    raise _damaged(path, 'its checksum is wrong')


def check(cache_dir: str | os.PathLike[str]) -> dict:
  """Compares every shard of every cache in a folder with its checksum.

  Returns:
    `shards`, how many there are; `unchecked`, those of them that were written
    by a release that took no checksums; `damaged`, messages that name one each.
  """
  paths = sorted(pathlib.Path(cache_dir).glob('images-*/*.npy'))
  unchecked, damaged = 0, []
  report = progress.Progress(len(paths), 'Checking the cache, shards')
  for path in paths:
    try:
      *_, sums = _read_told(path.with_suffix('.json'))
      images = _map(path)
      if sums:
        _compare(path, images, sums)
      unchecked += not sums
    except errors.UserError as error:
      damaged.append(str(error))
    report.update(1)
  return {'shards': len(paths), 'unchecked': unchecked, 'damaged': damaged}


def _read_maps(maps, shape, positions):
  """Returns uint8[K, H, W, C], the images at the given positions."""
  read = np.empty((len(positions), *shape), np.uint8)
  for k, position in enumerate(positions.tolist()):
    shard, offset = divmod(position, SHARD_IMAGES)
    read[k] = maps[shard][offset]
  return read
