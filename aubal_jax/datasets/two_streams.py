"""The two streams of Kuhnke et al. 2020, of any data set of videos."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from aubal_jax.datasets import clips
from aubal_jax.datasets import double_labels
from aubal_jax.datasets import openface
from aubal_jax.datasets import sounds
from aubal_jax.media import landmark_mask
from aubal_jax.runs import errors
from aubal_jax.runs import text


def attach(dataset, config):
  """Returns the data set with the streams `clip` and `sound`, or one of them.

  Those of `two_stream.modalities`. No picture and no sound is read yet.

  Args:
    dataset: the `Dataset`, with groups and frames.
    config: the configuration.

  Raises:
    FileNotFoundError, UserError: a setting, a file or the data set has to be
      mended.
  """
  own = config.two_stream
  _check(own)
  videos = clips.videos_of(dataset, in_frames=own.fps > 0)
  if own.filter:
    odd = np.flatnonzero(double_labels.disagree(dataset)).tolist()
    dataset = dataset.drop(dict.fromkeys(odd, double_labels.REASON))
  added, notes = [], []
  if own.modalities != 'audio':
    if dataset.load_images is None:
      raise errors.UserError(
        'This data set has no images, of which clips are made: take a data set '
        'of images, or two_stream.modalities=audio.'
      )
    added.append(_clips(dataset, videos, config))
  if own.modalities != 'video':
    powers, told = _powers(dataset, videos, config)
    notes += told
    added.append(
      sounds.stream(
        powers,
        videos,
        fps=own.fps,
        mode=own.window,
        seconds=own.seconds,
        shift=own.shift,
      )
    )
  return dataclasses.replace(
    dataset,
    streams=(*dataset.streams, *added),
    notes=(*dataset.notes, *notes),
  )


def _check(own) -> None:
  """Raises UserError for settings that do not go together."""
  if not own.fps and not own.dilation_seconds and own.modalities != 'audio':
    raise errors.UserError(
      'two_stream.dilation counts frames, and with two_stream.fps=0 the data '
      'set has times: set two_stream.dilation_seconds, such as 0.2.'
    )
  if not own.fps and own.landmark_dir:
    raise errors.UserError(
      'two_stream.landmark_dir has landmarks by the numbers of frames, and '
      'with two_stream.fps=0 the data set has times: leave it empty.'
    )
  if own.shift > own.seconds:
    raise errors.UserError(
      'two_stream.shift must be at most two_stream.seconds, the length of the '
      f'window; they are {own.shift} and {own.seconds}.'
    )


def step_of(own) -> tuple[float, float]:
  """Returns the dilation of a clip, and how far off a frame of it may be.

  Args:
    own: `config.two_stream`.

  Returns:
    Both in frames, or in seconds where `fps` is 0.
  """
  if not own.dilation_seconds:
    return own.dilation, 0.25
  step = own.dilation_seconds * (own.fps or 1.0)
  return step, step / 2


def _clips(dataset, videos, config):
  """Returns the stream of clips."""
  own, data = config.two_stream, config.data
  dilation, tolerance = step_of(own)
  index = clips.index(
    dataset,
    videos,
    length=own.frames,
    dilation=dilation,
    tolerance=tolerance,
  )
  shape = (data.image_size, data.image_size, data.channels)
  landmarks = _landmarks(dataset, videos, config) if own.mask else None
  made = {name: own[name] for name in ('dilation', 'dilation_seconds', 'fps')}
  held = clips.Clips(index, shape, landmarks, made)
  return held.stream(dataset.load_images)


def _landmarks(dataset, videos, config):
  """Returns int[R] rows -> float[R, 68, 2] in pixels of faces; None: none."""
  own, size = config.two_stream, config.data.image_size
  read = dataset.landmarks
  if own.landmark_dir:
    names = videos.names[np.unique(videos.of_rows)].tolist()
    read = openface.Landmarks(openface.find(own.landmark_dir, names), videos)
  elif config.data.name == 'synthetic':
    return read  # They are drawn as the face is.
  if read is None or not own.align:
    return read
  return lambda rows: np.array(
    [landmark_mask.align(points, size) for points in read(rows)]
  )


def _powers(dataset, videos, config):
  """Returns the powers of the sounds of videos, and notes."""
  own = config.two_stream
  if dataset.sounds is not None and not own.sound_dir:
    return sounds.Powers(dataset.sounds), []
  if not own.sound_dir:
    raise errors.UserError(
      'two_stream.sound_dir is empty; name the folder of sounds (WAV) or clips '
      'that are called like the videos, or set two_stream.modalities=video.'
    )
  used = np.unique(videos.of_rows[dataset.split != 'dropped'])
  names = [str(name) for name in videos.names[used]]
  files = sounds.find(own.sound_dir, names)
  lacking = [name for name in names if name not in files]
  notes = []
  if lacking:
    notes.append(
      f'{len(lacking)} of {len(names)} videos have no sound in '
      f'{os.path.normpath(own.sound_dir)} '
      f'({text.listing(lacking, text.SHOWN)}): they are silent.'
    )
  return sounds.of_files(files, config.data.cache_dir), notes
