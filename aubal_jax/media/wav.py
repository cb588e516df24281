"""Reads WAV files of any rate, width and number of channels, piece by piece.

PCM of 8 (unsigned), 16, 24 and 32 bits, and floats of 32 and 64 bits, also in
the form called extensible.
"""

import dataclasses
import functools
import math
import os
import struct
from collections.abc import Iterator

import numpy as np
from scipy import signal

from aubal_jax.media import containers

_LEAST_RATE, _MOST_RATE = 1000, 768_000
_BLOCK = 1 << 18  # Samples that are held at a time.
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_TYPES = {
  **{(_PCM, 8): 'u1', (_PCM, 16): '<i2', (_PCM, 24): 'u1', (_PCM, 32): '<i4'},
  **{(_FLOAT, 32): '<f4', (_FLOAT, 64): '<f8'},
}
_ZERO_CROSSINGS = 10  # Of the filter of scipy.signal.resample_poly, a side.


@dataclasses.dataclass(frozen=True)
class Header:
  """What a WAV file says of itself.

  Attributes:
    rate: samples a second.
    channels: how many.
    kind: 1 for whole numbers, 3 for floats.
    bits: of a sample.
    start: byte at which the samples begin.
    samples: of a channel, as far as the file goes.
    is_cut: whether it says that there are more.
  """

  rate: int
  channels: int
  kind: int
  bits: int
  start: int
  samples: int
  is_cut: bool


def header(path: os.PathLike | str) -> Header:
  """Reads the header.

  Raises:
    Unreadable: it is no WAV file, or holds samples of another kind.
  """
  found, start, said = _chunks(path)
  kind, channels, rate, _, _, bits = struct.unpack('<HHIIHH', found[:16])
  if kind == _EXTENSIBLE and len(found) >= 26:
    kind = int.from_bytes(found[24:26], 'little')
  if (kind, bits) not in _TYPES or not channels:
    raise containers.Unreadable(
      path,
      f'sound of kind {kind} with {bits} bits',
      'A WAV file has PCM of 8, 16, 24 or 32 bits, or floats: convert it.',
    )
  if not _LEAST_RATE <= rate <= _MOST_RATE:
    raise containers.Unreadable(
      path,
      f'{rate:,} samples a second',
      f'A WAV file has {_LEAST_RATE:,} to {_MOST_RATE:,}: convert it.',
    )
  width = channels * bits // 8
  there = os.path.getsize(path) - start
  # A recorder that was stopped hard leaves 0 or all ones as the length.
  is_open = said in (0, 0xFFFFFFFF)
  samples = (there if is_open else min(said, there)) // width
  return Header(
    rate, channels, kind, bits, start, samples, not is_open and said > there
  )


def _chunks(path):
  """Returns the chunk 'fmt ', and start and length of the chunk 'data'."""
  found = b''
  with open(path, 'rb') as file:
    head = file.read(12)
    if head[:4] != b'RIFF' or head[8:] != b'WAVE':
      told = 'not a WAV file' if head else 'empty file'
      raise containers.Unreadable(
        path, told, 'It begins with RIFF and WAVE: convert it.'
      )
    while len(head := file.read(8)) == 8:
      length = int.from_bytes(head[4:], 'little')
      if head[:4] == b'data' and len(found) >= 16:
        return found, file.tell(), length
      position = file.tell() + length + length % 2
      if head[:4] == b'fmt ':
        found = file.read(min(length, 64))
      file.seek(position)
  raise containers.Unreadable(path, 'a WAV file without samples', 'Copy again.')


def blocks(path: os.PathLike | str, rate: int) -> Iterator[np.ndarray]:
  """Yields float32[n], one after the other: the mean of the channels, in -1..1.

  Another rate is converted as `scipy.signal.resample_poly` would the whole.
  """
  about = header(path)
  common = math.gcd(rate, about.rate)
  up, down = rate // common, about.rate // common
  low_pass = _low_pass(max(up, down))
  for samples, before, after in _pieces(path, about, up, down):
    if up != down:
      samples = signal.resample_poly(samples, up, down, window=low_pass)
    stop = len(samples) - after * up // down
    yield samples[before * up // down : stop].astype(np.float32)


@functools.lru_cache(maxsize=4)
def _low_pass(most):
  """Returns the filter that `resample_poly` makes by itself, each time."""
  if most == 1:
    return None
  taps = 2 * _ZERO_CROSSINGS * most + 1
  return signal.firwin(taps, 1 / most, window=('kaiser', 5.0))


def _pieces(path, about, up, down):
  """Yields samples, and how many at their ends are of the neighbours.

  What the filter reaches is given with each piece, in multiples of `down`, so
  that the pieces fit.
  """
  reach = -(-(_ZERO_CROSSINGS * max(up, down) // up + 1) // down) * down
  reach = 0 if up == down else reach
  size = -(-max(_BLOCK, reach) // down) * down
  with open(path, 'rb') as file:
    for start in range(0, about.samples, size):
      stop = min(start + size, about.samples)
      first, last = max(start - reach, 0), min(stop + reach, about.samples)
      # The last piece is as long as it is: nothing follows that would not fit.
      after = last - stop if last < about.samples else 0
      if last == about.samples:
        stop = last
      yield _read(file, about, first, last), start - first, after
      if stop == about.samples:
        return


def _read(file, about, first, last):
  """Returns float64[n], the mean of the channels of samples first to last."""
  width = about.channels * about.bits // 8
  file.seek(about.start + first * width)
  contents = file.read((last - first) * width)
  values = np.frombuffer(contents, _TYPES[about.kind, about.bits])
  if about.bits == 24:
    wide = np.zeros((len(values) // 3, 4), np.uint8)
    wide[:, 1:] = values.reshape(-1, 3)
    values = wide.view('<i4')[:, 0]
  values = values.reshape(-1, about.channels).mean(axis=1, dtype=np.float64)
  if about.kind == _FLOAT:
    return np.nan_to_num(values, posinf=0.0, neginf=0.0)
  if about.bits == 8:
    return (values - 128) / 128
  return values / 2.0 ** (15 if about.bits == 16 else 31)
