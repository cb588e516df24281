"""Drawn videos with sound, of which is known what each sense can tell.

A video is a person for 8 seconds at 30 frames a second, see `moving_faces`.
What is labelled:

* Action units and expression are those of the face.
* Arousal is sqrt(w) A_face + sqrt(1 - w) A_sound, w = .25: that of the
  expression, and what is heard alone. Within each split both have mean 0 and
  variance 1 and are orthogonal; then the sum is scaled into [-1, 1]. Who sees
  alone can so reach a correlation, and a CCC, of sqrt(w), who hears alone one
  of sqrt(1 - w): see `ceilings`.
* Valence is .7 of that of the expression, and up to .3 more or less: the head
  nods at .7 Hz (more) or at 2 Hz (less), which no single picture tells.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import dataset
from aubal_jax.datasets import splits
from aubal_jax.datasets.drawn import expressions
from aubal_jax.datasets.drawn import moving_faces

FRAMES = 8 * moving_faces.FPS  # Of a video; the last of a split has the rest.
SEEN = 0.25  # w: the share of arousal's variance that a face shows.


@dataclasses.dataclass(frozen=True)
class Films:
  """Videos, those of a split side by side.

  Attributes:
    films: all of them.
    split: the split of each.
    arousal: float[N], of all frames, in [-1, 1].
  """

  films: Sequence[moving_faces.Film]
  split: Sequence[str]
  arousal: np.ndarray

  def of_frames(self, name: str) -> np.ndarray:
    """Returns a field of the films or of their truth, of all N frames."""
    return _of_frames(self.films, name)

  @property
  def split_of_frames(self) -> np.ndarray:
    """str[N], the split of each frame."""
    sizes = [len(film) for film in self.films]
    return np.repeat(np.array(self.split, splits.DTYPE), sizes)

  @property
  def valence(self) -> np.ndarray:
    """float[N], of all frames."""
    of_face = self.of_frames('affect')[:, 0]
    return 0.7 * of_face + 0.3 * self.of_frames('nodding')


def draw(sizes: Mapping[str, int], seed: int, ratio: float = 1.0) -> Films:
  """Draws videos of so many frames in all of each split.

  Args:
    sizes: split -> frames; a video has `FRAMES`, the last one what is left.
    seed: of everything.
    ratio: see `expressions.draw_truth`.
  """
  films, split, sums = [], [], []
  for part, (name, size) in enumerate(sizes.items()):
    lengths = [min(FRAMES, size - x) for x in range(0, size, FRAMES)]
    own = [
      moving_faces.draw((seed, part, 5, video), length, ratio)
      for video, length in enumerate(lengths)
    ]
    own, arousal = _compose(own)
    films += own
    split += [name] * len(own)
    sums.append(arousal)
  # One scale for all splits: what is learnt in one holds in another.
  arousal = np.concatenate([np.zeros(0), *sums])
  arousal /= max(abs(arousal).max(initial=0), 1e-9)
  loudest = max((abs(film.heard).max() for film in films), default=1.0)
  films = [
    dataclasses.replace(film, heard=film.heard / max(loudest, 1e-9))
    for film in films
  ]
  return Films(films, split, arousal)


def ceilings(films: Films) -> dict[str, dict[str, float]]:
  """Returns split -> 'video', 'audio' -> the best correlation with arousal.

  That of the part that is seen, and of the one that is heard, over the frames
  of the split; the CCC of the best predictor is equal to it. From both it is 1.
  """
  split = films.split_of_frames
  parts = {
    'video': films.of_frames('affect')[:, 1],
    'audio': films.of_frames('heard'),
  }
  return {
    str(name): {
      sense: float(
        np.corrcoef(x[split == name], films.arousal[split == name])[0, 1]
      )
      for sense, x in parts.items()
    }
    for name in dict.fromkeys(films.split)
  }


def load(
  *,
  targets: Sequence[str] = expressions.TARGETS,
  ratio: float = 1.0,
  apart: bool = False,
  num_train: int,
  num_validation: int,
  num_test: int,
  seed: int,
  image_size: int = 112,
  channels: int = 1,
) -> dataset.Dataset:
  """Returns the frames of drawn videos, with their sounds and landmarks.

  Args:
    targets: some of `expressions.TARGETS`.
    ratio: see `expressions.draw_truth`.
    apart: each frame that trains is known to one of the targets alone, drawn.
    num_train: frames in the training split.
    num_validation: frames in the validation split.
    num_test: frames in the test split.
    seed: of everything.
    image_size: height and width in pixels, at least 16.
    channels: 1, or 3 for the same grey three times.
  """
  sizes = {'train': num_train, 'validation': num_validation, 'test': num_test}
  films = draw(sizes, seed, ratio)
  sounds = {_name(k): film for k, film in enumerate(films.films)}
  lengths = [len(film) for film in films.films]
  number = np.repeat(np.arange(len(lengths)), lengths)
  frame = np.concatenate([np.zeros(0, int), *map(np.arange, lengths)])

  def load_images(rows):
    images = np.empty((len(rows), image_size, image_size, channels), np.uint8)
    for image, row in zip(images, rows, strict=True):
      film = films.films[number[row]]
      image[...] = film.picture(int(frame[row]), image_size)[:, :, None]
    return images

  def landmarks(rows):
    points = [
      films.films[number[row]].landmarks(int(frame[row]), image_size)
      for row in rows
    ]
    return np.array(points, np.float32).reshape(-1, 68, 2)

  split, truth = films.split_of_frames, _truth(films)
  asked = expressions.asked_of(targets, split, seed, apart=apart)
  return dataset.Dataset(
    **expressions.labels_of(truth, asked),
    targets=expressions.targets_of(truth, asked),
    split=split,
    ids=np.array(
      [
        f'{split[row]}/{_name(number[row])}/{frame[row]:06d}.png'
        for row in range(len(split))
      ]
    ),
    groups=np.array([_name(k) for k in number]),
    frames=frame.astype(np.float64),
    load_images=load_images,
    sounds=lambda name: sounds[name].sound(),
    landmarks=landmarks,
    notes=(_note(films, targets),),
  )


def _name(number):
  return f'subject{number:03d}'


def _compose(films):
  """Returns films of a split with A_sound as it is, and its arousal float[N].

  Both parts have mean 0 and variance 1 and are orthogonal, over the split.
  """
  if not films:
    return [], np.zeros(0)
  seen = _standard(_of_frames(films, 'affect')[:, 1])
  heard = _standard(_of_frames(films, 'heard'))
  heard -= seen * (seen @ heard) / max(seen @ seen, 1e-9)
  heard = _standard(heard)
  ends = np.cumsum([len(film) for film in films])[:-1]
  films = [
    dataclasses.replace(film, heard=part)
    for film, part in zip(films, np.split(heard, ends), strict=True)
  ]
  return films, np.sqrt(SEEN) * seen + np.sqrt(1 - SEEN) * heard


def _standard(values):
  """Returns values of mean 0 and, where they differ, of variance 1."""
  values = values - values.mean()
  return values / max(values.std(), 1e-9)


def _of_frames(films, name):
  """Returns a field of the films, or of their truth, of all frames."""
  empty = np.zeros((0, 2) if name == 'affect' else 0)
  parts = [
    getattr(film if hasattr(film, name) else film.truth, name) for film in films
  ]
  return np.concatenate(parts) if parts else empty


def _truth(films) -> expressions.Truth:
  """Returns what there is to know of all frames, with their own affect."""
  count = len(films.arousal)
  return expressions.Truth(
    films.of_frames('codes').astype(int),
    films.of_frames('strength'),
    films.of_frames('intensity').reshape(count, -1),
    np.stack([films.valence, films.arousal], axis=1),
  )


def _note(films, targets) -> str:
  """Returns what a person is told."""
  return (
    f'{len(films.films)} drawn videos with sound, each of one person; most of '
    'their arousal is heard alone. Known: '
    f'{", ".join(targets)}.'
  )
