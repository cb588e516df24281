"""Log-mel spectrograms as the audio stream of Kuhnke et al. (2020) sees them.

Mono sound of 44,100 samples a second. Power: FFT of 1,024 samples, periodic
Hann window of 882 in their middle, every 441 samples (10 ms), the sound
reflected at both ends; 64 triangular filters on the HTK mel scale,
2595 log10(1 + f / 700), from 0 to 22,050 Hz, each with peak 1. In dB,
10 log10(max(p, 1e-10)), at least 80 below the largest of the window; then
(dB + 14.8) / 19.895. Silence is -4.282483 everywhere.

The power of a video is computed once (25.6 kB a second); a window is cut from
it. A window begins on the 10 ms grid, at most 5 ms off its time, and its first
and last column have the sound beyond where the paper's have a reflection.
"""

import functools
import types
from collections.abc import Iterable
from collections.abc import Iterator

import numpy as np
from scipy import fft
from scipy import signal

RATE = 44100
HOP = 441  # Samples: 10 ms.
FILTERS = 64

_FFT, _HANN = 1024, 882
_REFLECTED = _FFT // 2
_FLOOR, _RANGE_DB = 1e-10, 80.0
_MEAN_DB, _DEVIATION_DB = -14.8, 19.895
_LEAST_SECONDS = 0.02  # Of a window.
_PIECE = 1 << 18  # Samples that are transformed with one held rest.
_COLUMNS = 256  # Transformed at once: they stay in the cache.


def power(samples: np.ndarray | Iterable[np.ndarray]) -> np.ndarray:
  """Returns the mel power of a sound, float32[T, 64].

  Column t is centred at t * 10 ms; T = 1 + N // 441, 0 for no samples. Sound
  that is too short to be reflected (N < 513) counts as silence.

  Args:
    samples: float[N], mono, 44,100 a second; or blocks of it, one after the
      other, as `sound.blocks` gives them.
  """
  blocks = [samples] if isinstance(samples, np.ndarray) else samples
  held, columns, count = np.zeros(0, np.float32), [], 0
  for block in _gathered(blocks):
    if not count:  # The sound is reflected at its beginning, ...
      held = block[_REFLECTED:0:-1]
    count += len(block)
    held = np.concatenate([held, block])
    columns.append(_columns(held))
    held = held[len(columns[-1]) * HOP :]
  if count <= _REFLECTED:
    return np.zeros((1 + count // HOP if count else 0, FILTERS), np.float32)
  held = np.concatenate([held, held[-2 : -2 - _REFLECTED : -1]])  # ... and end.
  return np.concatenate([*columns, _columns(held)])


def window(
  power: np.ndarray,
  time: float,
  mode: str = 'published',
  *,
  seconds: float = 10.0,
  shift: float = 5.0,
) -> np.ndarray:
  """Returns what the audio stream sees for a frame, float32[64, W].

  W = 100 seconds + 1. Where the window reaches beyond the sound, its power is
  0; a window of 'published' that is shorter is filled so on its left.

  Args:
    power: float32[T, 64], of the whole sound, see `power`.
    time: of the frame, in seconds from the first.
    mode: a name of `SPANS`.
    seconds: of the longest window.
    shift: seconds of it before the frame; 'causal' has all of it there.
  """
  start, length = SPANS[mode](time, seconds, shift)
  width = _columns_of(seconds)
  number = min(_columns_of(length), width)
  first = round(start * RATE / HOP)
  begin, end = max(first, 0), min(first + number, len(power))
  seen = np.zeros((FILTERS, width), np.float32)
  if begin < end:
    at = width - number + begin - first
    seen[:, at : at + end - begin] = power[begin:end].T
  return standardised(seen)


def standardised(power: np.ndarray) -> np.ndarray:
  """Returns the power of a window in dB, clamped and standardised, float32."""
  decibels = 10 * np.log10(np.maximum(power, np.float32(_FLOOR)))
  decibels = np.maximum(decibels, decibels.max() - _RANGE_DB)
  return ((decibels - _MEAN_DB) / _DEVIATION_DB).astype(np.float32)


def _published(time, seconds, shift):
  return max(time - shift, 0.0), min(seconds, max(time, _LEAST_SECONDS))


def _symmetric(time, seconds, shift):
  return time - shift, seconds


def _causal(time, seconds, shift):
  del shift
  return time - seconds, seconds


# mode -> (first second, length) of the window of a frame at `time`.
SPANS = types.MappingProxyType(
  {'published': _published, 'symmetric': _symmetric, 'causal': _causal}
)


def _columns_of(seconds):
  """Returns the columns of so much sound; its samples are cut to whole ones."""
  return 1 + int(seconds * RATE) // HOP


def _gathered(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
  """Yields the blocks as float32, joined until they are long."""
  waiting, count = [], 0
  for block in blocks:
    waiting.append(np.asarray(block, np.float32))
    count += len(block)
    if count >= _PIECE:
      yield np.concatenate(waiting)
      waiting, count = [], 0
  if count:
    yield np.concatenate(waiting)


def _columns(padded):
  """Returns the power of the columns that a sound has in full."""
  if len(padded) < _FFT:
    return np.zeros((0, FILTERS), np.float32)
  frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::HOP]
  made = np.empty((len(frames), FILTERS), np.float32)
  for start in range(0, len(frames), _COLUMNS):
    spectrum = fft.rfft(frames[start : start + _COLUMNS] * _hann(), axis=1)
    strength = np.square(spectrum.real) + np.square(spectrum.imag)
    made[start : start + _COLUMNS] = strength @ filters()
  return made


@functools.cache
def _hann():
  """Returns float32[1024]: a periodic Hann window, zeros on both sides."""
  side = (_FFT - _HANN) // 2
  hann = signal.windows.hann(_HANN, sym=False)
  return np.pad(hann, (side, side)).astype(np.float32)


@functools.cache
def filters() -> np.ndarray:
  """Returns float32[513, 64]: the weight of each frequency in each filter."""
  highest = 2595 * np.log10(1 + RATE / 2 / 700)
  corners = 700 * (10 ** (np.linspace(0, highest, FILTERS + 2) / 2595) - 1)
  frequency = np.linspace(0, RATE / 2, _FFT // 2 + 1)[:, None]
  rise = (frequency - corners[:-2]) / np.diff(corners)[:-1]
  fall = (corners[2:] - frequency) / np.diff(corners)[1:]
  return np.maximum(0, np.minimum(rise, fall)).astype(np.float32)
