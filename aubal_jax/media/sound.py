"""The sound of a clip, of a WAV file or beside frames, from the first frame on.

One channel, the mean of those there are, at one rate. Sample 0 is heard when
the first frame is seen: what was heard before is cut, and where the track
begins later, or pauses, it is silent. It comes in blocks, so that the sound of
an hour need not be held at once.
"""

import os
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np

from aubal_jax.media import containers
from aubal_jax.media import frame_folder
from aubal_jax.media import sound_files
from aubal_jax.media import video
from aubal_jax.media import wav

RATE = 44100
SUFFIX = sound_files.SUFFIX
NO_SOUND = 'no sound'
CUT = 'the sound is cut short or damaged'

_LEAST_PAUSE = 0.05  # Seconds: less is how containers round times.
_BLOCK = 1 << 16  # Samples of silence that are given at a time.


def read(
  path: os.PathLike | str,
  rate: int = RATE,
  *,
  on_remark: Callable[[str], None] | None = None,
) -> np.ndarray:
  """Returns the sound at once, see `blocks`: float32[n]."""
  found = [*blocks(path, rate, on_remark=on_remark)]
  return np.concatenate(found) if found else np.zeros(0, np.float32)


def blocks(
  path: os.PathLike | str,
  rate: int = RATE,
  *,
  on_remark: Callable[[str], None] | None = None,
) -> Iterator[np.ndarray]:
  """Yields the sound as float32[n], in -1..1, one block after the other.

  Args:
    path: a clip; a WAV file; or a folder of frames, see `sound_files.beside`.
      Without a sound track there is no block.
    rate: samples a second.
    on_remark: called with what is odd: `NO_SOUND` or `CUT`.

  Raises:
    Unreadable: the file is no clip and no WAV file.
    UserError: it is a clip, and PyAV is not installed.
  """
  tell = on_remark or (lambda remark: None)
  file, start = os.fspath(path), 0.0
  if os.path.isdir(path):
    file, start = sound_files.beside(path), _start_of_folder(path)
  if file is None:
    tell(NO_SOUND)
  elif file.lower().endswith(SUFFIX):
    if wav.header(file).is_cut:
      tell(CUT)
    yield from _shifted(wav.blocks(file, rate), -round(start * rate))
  else:
    yield from _of_clip(file, rate, tell)


def _start_of_folder(path):
  """Returns when the first frame is, in seconds of the sound."""
  numbers = [*frame_folder.files(path)]
  return float(frame_folder.times(path, numbers, frame_folder.RATE)[0])


def _of_clip(path, rate, tell):
  """Yields the sound of a clip from its first frame on."""
  start = video.first_time(path)
  problems = []
  with containers.opened(path) as container:
    stream = container.streams.best('audio')
    if stream is None:
      tell(NO_SOUND)
      return
    pieces = _pieces(container, stream, rate, problems)
    yield from _placed(pieces, rate, start, _end(container))
  if problems or containers.missing_bytes(path):
    tell(CUT)


def _end(container):
  """Returns the second behind which no sound is believed to be."""
  if not container.duration:
    return float('inf')
  return ((container.start_time or 0) + container.duration) / 1e6 + 1


def _placed(pieces, rate, start, end):
  """Yields samples, each where its time says.

  Args:
    pieces: (seconds or None, float32[n]), as they follow each other.
    rate: samples a second.
    start: seconds, when sample 0 is heard; None: when the first piece is.
    end: seconds; later times are not believed.
  """
  position = None  # Of the next sample, from `start`.
  for time, samples in pieces:
    start = time if start is None else start
    known = time is not None and time <= end
    at = round((time - start) * rate) if known else position or 0
    if position is None or at - position > _LEAST_PAUSE * rate:
      yield from _silence(at - max(position or 0, 0))
      position = at
    yield samples[max(-position, 0) :]
    position += len(samples)


def _silence(samples):
  """Yields so many zeros; none where it is below 0."""
  for start in range(0, samples, _BLOCK):
    yield np.zeros(min(_BLOCK, samples - start), np.float32)


def _shifted(pieces, offset):
  """Yields float32[n] `offset` samples later; below 0: without the first."""
  yield from _silence(offset)
  for samples in pieces:
    yield samples[max(-offset, 0) :]
    offset = min(offset + len(samples), 0)


def _pieces(container, stream, rate, problems):
  """Yields (seconds or None, float32[n]): the mean of the channels."""
  import av

  resampler, form = None, None
  for frame in containers.decoded(container, stream, problems):
    now = frame.format.name, frame.layout.name, frame.sample_rate
    if now != form:
      yield from _converted(resampler, None)
      resampler, form = av.AudioResampler('flt', rate=rate), now
    yield from _converted(resampler, frame)
  yield from _converted(resampler, None)


def _converted(resampler, frame):
  """Yields what a resampler makes of a frame, or with None has held back."""
  for made in resampler.resample(frame) if resampler else ():
    time = None if made.pts is None else float(made.pts * made.time_base)
    values = made.to_ndarray().reshape(made.samples, -1)
    yield time, values.mean(axis=1)
