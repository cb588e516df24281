"""Writes drawn videos with sound as people have them: frames or clips.

  FOLDER/labels.csv                  a row a frame: path, split, subject, ...
  FOLDER/frames/VIDEO/00001.png      and VIDEO_left, VIDEO_right of pairs
  FOLDER/sounds/VIDEO.wav            or
  FOLDER/clips/VIDEO.mp4             both in one, .avi as well

The table is one for data.name=manifest, see `SETTINGS`.
"""

from __future__ import annotations

import csv
import fractions
import pathlib
import types
import typing
from collections.abc import Sequence

import cv2
import numpy as np

from aubal_jax.datasets import action_units
from aubal_jax.datasets.drawn import expressions
from aubal_jax.datasets.drawn import films as films_lib
from aubal_jax.datasets.drawn import moving_faces
from aubal_jax.runs import extras

# What reads the table, as settings.
SETTINGS = types.MappingProxyType(
  {
    'data.name': 'manifest',
    'data.frame_column': 'frame',
    'data.landmark_column': 'landmarks',
    'data.class_columns': ('expression',),
    'data.real_columns': ('valence', 'arousal'),
    'two_stream.align': False,
  }
)
# Suffix -> codecs of pictures and of sound.
_CODECS = types.MappingProxyType(
  {'.mp4': ('h264', 'aac'), '.avi': ('mpeg4', 'pcm_s16le')}
)
_TICKS = fractions.Fraction(1, 90_000)  # Of the times of frames of a clip.
_BLOCK = 1024  # Samples.


class Tree(typing.NamedTuple):
  """What was written, and where.

  Attributes:
    table: labels.csv.
    frames: folder of folders of frames; likewise `sounds` and `clips`, which
      are not there where nothing of the kind was written.
    sounds: folder of WAV files.
    clips: folder of clips.
    films: what is in it.
  """

  table: pathlib.Path
  frames: pathlib.Path
  sounds: pathlib.Path
  clips: pathlib.Path
  films: films_lib.Films


def write(
  folder: pathlib.Path | str,
  films: films_lib.Films,
  *,
  image_size: int = 112,
  suffix: str = '',
  with_frames: bool = True,
  sound: bool = True,
  delay: float = 0.0,
  variable: bool = False,
  pairs: bool = False,
) -> Tree:
  """Writes videos, called video000 and so on, and the table of their frames.

  Args:
    folder: is made, where it is not there.
    films: from `films.draw`; as short as one likes.
    image_size: height and width of a face in pixels.
    suffix: '.mp4' or '.avi' of clips; '': sounds are WAV files.
    with_frames: whether there are folders of frames.
    sound: whether anything is to be heard.
    delay: seconds, when the sound begins; what is before is not heard. Of
      clips alone, as a WAV begins with the first frame.
    variable: whether the rate of clips varies: some frames are left out, and
      the time of each is as it was.
    pairs: whether two follow each other in the list side by side in a picture,
      with the sound of both; their frames are those of _left and _right. An
      odd last one is alone.
  """
  folder = pathlib.Path(folder)
  tree = Tree(
    folder / 'labels.csv',
    *(folder / name for name in ('frames', 'sounds', 'clips')),
    films,
  )
  held = [*films.films]
  groups = [held[k : k + 2] for k in range(0, len(held), 2)]
  groups = groups if pairs else [[film] for film in held]
  names = []
  for number, group in enumerate(groups):
    name = f'video{number:03d}'
    sides = ('_left', '_right') if len(group) == 2 else ('',)
    names += [(name, f'{name}{side}') for side in sides]
    heard = _together(group) if sound else None
    if suffix:
      write_clip(
        tree.clips / f'{name}{suffix}',
        [film_pictures(film, image_size) for film in group],
        heard,
        delay=delay,
        kept=_kept(len(group[0]), number) if variable else None,
      )
    elif sound:
      write_wav(tree.sounds / f'{name}.wav', heard)
  if with_frames:
    for film, (_, own) in zip(held, names, strict=True):
      _write_frames(tree.frames / own, film_pictures(film, image_size))
  folder.mkdir(parents=True, exist_ok=True)
  _write_table(tree, names, image_size)
  return tree


def film_pictures(film: moving_faces.Film, image_size: int) -> np.ndarray:
  """Returns uint8[T, image_size, image_size], the pictures of a film."""
  return np.stack([film.picture(k, image_size) for k in range(len(film))])


def write_wav(path: pathlib.Path, samples: np.ndarray) -> None:
  """Writes float[n] in -1..1 as 16 bit, mono."""
  from scipy.io import wavfile

  path.parent.mkdir(parents=True, exist_ok=True)
  wavfile.write(path, moving_faces.RATE, np.rint(samples * 32767).astype('<i2'))


def write_clip(
  path: pathlib.Path,
  pictures: Sequence[np.ndarray],
  samples: np.ndarray | None,
  *,
  delay: float = 0.0,
  kept: np.ndarray | None = None,
) -> None:
  """Writes a clip, by PyAV.

  Args:
    path: ends with a suffix of `_CODECS`.
    pictures: of each face uint8[T, S, S], of an even S; side by side.
    samples: float[n], from the first frame on; None: there is no sound track.
    delay: seconds, when the sound track begins; an .avi, whose tracks begin
      together, is silent before.
    kept: int[K], ascending, the frames that are there; None: all.

  Raises:
    UserError: PyAV is not installed.
  """
  extras.need('av', 'Writing a clip')
  import av

  seen, heard = _CODECS[path.suffix]
  shortest = min(len(own) for own in pictures)
  side_by_side = np.concatenate([x[:shortest] for x in pictures], axis=2)
  kept = np.arange(shortest) if kept is None else kept[kept < shortest]
  path.parent.mkdir(parents=True, exist_ok=True)
  with av.open(str(path), 'w') as container:
    track = container.add_stream(seen, rate=moving_faces.FPS)
    track.height, track.width = side_by_side.shape[1:]
    track.pix_fmt = 'yuv420p'
    if seen != 'mpeg4':
      track.codec_context.time_base = _TICKS
    audio = samples is not None and container.add_stream(
      heard, rate=moving_faces.RATE, layout='mono'
    )
    ticks = track.codec_context.time_base
    ticks = ticks or fractions.Fraction(1, moving_faces.FPS)
    for number in kept.tolist():
      frame = av.VideoFrame.from_ndarray(side_by_side[number], format='gray')
      frame.pts = round(fractions.Fraction(number, moving_faces.FPS) / ticks)
      frame.time_base = ticks
      container.mux(track.encode(frame))
    container.mux(track.encode(None))
    if audio:
      first = round(delay * moving_faces.RATE)
      if path.suffix == '.avi':
        samples = np.where(np.arange(len(samples)) < first, 0, samples)
        first = 0
      _write_sound(container, audio, samples, first)


def _write_sound(container, track, samples, start):
  """Writes the samples from one on; those before are not there."""
  import av

  samples = np.asarray(samples, np.float32)
  for first in range(start, len(samples), _BLOCK):
    block = samples[None, first : first + _BLOCK]
    block = np.ascontiguousarray(block)
    frame = av.AudioFrame.from_ndarray(block, 'fltp', 'mono')
    frame.sample_rate, frame.pts = moving_faces.RATE, first
    frame.time_base = fractions.Fraction(1, moving_faces.RATE)
    container.mux(track.encode(frame))
  container.mux(track.encode(None))


def _together(films) -> np.ndarray:
  """Returns the sound of films at once: their mean, as long as the shortest."""
  sounds = [film.sound() for film in films]
  shortest = min(map(len, sounds))
  return np.mean([sound[:shortest] for sound in sounds], axis=0)


def _kept(length, number) -> np.ndarray:
  """Returns which frames of a clip of variable rate are there."""
  rng = np.random.default_rng([length, number])
  kept = rng.random(length) < np.where(np.arange(length) % 60 < 30, 0.9, 0.5)
  kept[0] = True
  return np.flatnonzero(kept)


def _write_frames(folder, pictures):
  folder.mkdir(parents=True, exist_ok=True)
  for number, picture in enumerate(pictures, 1):
    cv2.imwrite(str(folder / f'{number:05d}.png'), picture)


def _write_table(tree, names, image_size):
  """Writes the table: a row for each frame of each face."""
  films = tree.films
  header = ['path', 'split', 'subject', 'frame', *action_units.CODES]
  header += ['expression', 'valence', 'arousal', 'landmarks']
  valence, row = films.valence, 0
  with tree.table.open('w', newline='', encoding='utf-8') as file:
    writer = csv.writer(file)
    writer.writerow(header)
    for film, split, (video, own) in zip(
      films.films, films.split, names, strict=True
    ):
      for k in range(len(film)):
        units = film.truth.intensity[k, : len(action_units.CODES)] > 0
        points = film.landmarks(k, image_size).round(2).ravel()
        writer.writerow(
          [
            *(f'frames/{own}/{k + 1:05d}.png', split, video, k + 1),
            *units.astype(int),
            expressions.NAMES[film.truth.codes[k]],
            *(f'{valence[row]:.6f}', f'{films.arousal[row]:.6f}'),
            ' '.join(map(str, points)),
          ]
        )
        row += 1
