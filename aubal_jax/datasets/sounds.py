"""Sounds of videos: the mel power of each once, and a window of it a row."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import threading
from collections.abc import Callable
from collections.abc import Iterable

import numpy as np

from aubal_jax.datasets import clips
from aubal_jax.datasets import dataset
from aubal_jax.datasets import streams
from aubal_jax.media import caches
from aubal_jax.media import containers
from aubal_jax.media import sound
from aubal_jax.media import sound_files
from aubal_jax.media import spectrogram
from aubal_jax.media import video
from aubal_jax.runs import errors
from aubal_jax.runs import extras
from aubal_jax.runs import text

SUFFIXES = (sound.SUFFIX, *video.SUFFIXES)


def find(folder: str, names: Iterable[str]) -> dict[str, str]:
  """Returns video -> its file in a folder or below, where there is one.

  A file is called like its video, see `sound_files.stems`; a WAV comes before a
  clip.

  Args:
    folder: of sounds or clips.
    names: of videos.

  Raises:
    FileNotFoundError: the folder is not there.
    UserError: no video has a file; or it is a clip, and PyAV is not installed.
  """
  if not os.path.isdir(folder):
    raise FileNotFoundError(
      f'two_stream.sound_dir={folder} is not there; name the folder of the '
      'sounds (WAV) or clips that are called like the videos.'
    )
  there = _by_stem(folder)
  names = [*names]
  found = {}
  for name in names:
    called = [x for x in sound_files.stems(name) if x in there]
    if called:
      found[name] = there[called[0]]
  if names and not found:
    raise errors.UserError(
      f'two_stream.sound_dir={folder}: no video has a file there. Videos are '
      f'called {text.listing(names, text.SHOWN)}; the sounds and clips there '
      f'{text.listing(there, text.SHOWN) or "are none"}. Call them alike, or '
      'set two_stream.modalities=video.'
    )
  if not all(map(_is_wav, found.values())):
    extras.need('av', 'Reading the sound of clips')
  return found


def _by_stem(folder) -> dict[str, str]:
  """Returns name without suffix -> its sound, or clip, in a folder or below."""
  found = {}
  for place, folders, names in os.walk(folder, followlinks=True):
    folders.sort()
    for name in sorted(names):
      stem, suffix = os.path.splitext(name)
      if suffix.lower() in SUFFIXES:
        path = os.path.join(place, name)
        other = found.setdefault(stem, path)
        if _is_wav(path) and not _is_wav(other):
          found[stem] = path
  return found


def _is_wav(path) -> bool:
  return path.lower().endswith(sound.SUFFIX)


class Powers:
  """Mel power of videos, float32[T, 64] each, made when it is first asked for.

  Used from many threads: two of them may hear two videos at once, and none
  hears one twice.
  """

  def __init__(self, read: Callable, keep: Callable | None = None):
    """Keeps how sounds are read.

    Args:
      read: video -> samples from its first frame on, or blocks of these, as
        `spectrogram.power` takes them.
      keep: (video, make) -> float32[T, 64], which keeps what make() returns in
        a file; None: all are held in memory.
    """
    self._read = read
    self._keep = keep or (lambda name, make: make())
    self._held = {}
    self._locks = {}
    self._lock = threading.Lock()

  def __getitem__(self, name: str) -> np.ndarray:
    """Returns the power of a video: float32[T, 64]."""
    with self._lock:
      lock = self._locks.setdefault(name, threading.Lock())
    with lock:
      if name not in self._held:
        self._held[name] = self._keep(name, functools.partial(self._make, name))
      return self._held[name]

  def _make(self, name):
    return spectrogram.power(self._read(name))


def of_files(
  files: dict[str, str],
  cache_dir: str = '',
  tell: Callable[[str], None] = print,
) -> Powers:
  """Returns the powers of videos of files; silence for those of none.

  Args:
    files: video -> its file, from `find`.
    cache_dir: where powers are kept; '': in memory.
    tell: called with a line about a file that cannot be read, or not whole;
      what cannot be read is silent.
  """

  def blocks(name):
    path = files[name]

    def remark(what):
      tell(f'{path}: {what}.')

    try:
      yield from sound.blocks(path, on_remark=remark)
    except containers.Unreadable as error:
      tell(f'{dataset.WARNING}{error} From there on it is silent.')

  def read(name):
    return blocks(name) if name in files else ()

  def keep(name, make):
    paths = [files[name]] if name in files else []
    own = f'{caches.key(name, paths)}-{caches.state(paths)}.npy'
    path = pathlib.Path(cache_dir, 'sounds', own)
    with contextlib.suppress(OSError, EOFError, ValueError):
      return np.load(path, mmap_mode='r')
    made = make()  # It is not there, or not whole.
    caches.write(path, lambda file: np.save(file, made))
    return made

  return Powers(read, keep if cache_dir else None)


def stream(
  powers: Powers,
  videos: clips.Videos,
  *,
  fps: float,
  mode: str = 'published',
  seconds: float = 10.0,
  shift: float = 5.0,
) -> streams.Stream:
  """Returns the stream `sound`, a window float32[64, W] of each row.

  The time of a row is its number / fps.

  Args:
    powers: of the videos.
    videos: of the rows.
    fps: frames a second; 0: numbers are seconds.
    mode: see `media.spectrogram.window`; likewise `seconds` and `shift`.
    seconds: see there.
    shift: see there.
  """
  times = videos.numbers / (fps or 1.0)
  cut = functools.partial(
    spectrogram.window, mode=mode, seconds=seconds, shift=shift
  )
  shape = cut(spectrogram.power(np.zeros(0, np.float32)), 0.0).shape

  def read(rows):
    windows = np.empty((len(rows), *shape), np.float32)
    for window, row in zip(windows, np.asarray(rows).tolist(), strict=True):
      power = powers[str(videos.names[videos.of_rows[row]])]
      window[...] = cut(power, float(times[row]))
    return windows

  made = {'window': mode, 'seconds': seconds, 'shift': shift}
  return streams.Stream(
    streams.SOUND, np.dtype(np.float32), shape, read, made=made
  )
