"""Annotation files of several tasks of Aff-Wild2 as rows, one for an image."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import aff_wild2_rows
from aubal_jax.datasets import annotations
from aubal_jax.datasets import dataset
from aubal_jax.datasets import splits as splits_lib
from aubal_jax.datasets import targets as targets_lib

# Of an expression only each such frame stays of those that train, in turn: of
# all of them, of what is left, of what is left then.
_THINNED = (('Neutral', 10), ('Happiness', 2), ('Sadness', 2))
_THINNED_AFFECT = 5


@dataclasses.dataclass(frozen=True)
class Joined:
  """Rows of files, by the image they are of.

  Attributes:
    videos: N names, with _left or _right.
    frames: N numbers of images.
    rows: task -> int[R], the row of each row of its files, in their order.
    values: task -> what its files say, see `aff_wild2_rows.Rows`.
    annotated: task -> bool[R].
    splits: task -> str[R].
    first: int[N], where each row stands first, among those of all files.
    parts: all files, in order.
  """

  videos: list[str]
  frames: list[int]
  rows: Mapping[str, np.ndarray]
  values: Mapping[str, np.ndarray]
  annotated: Mapping[str, np.ndarray]
  splits: Mapping[str, np.ndarray]
  first: np.ndarray
  parts: Sequence[aff_wild2_rows.Rows]

  def __len__(self):
    return len(self.first)

  def place(self):
    """Returns row -> 'file:line'."""
    find = annotations.place_in_parts(
      self.parts, lambda part, n: f'{part.path}:{n + 2}'
    )
    return lambda row: find(int(self.first[row]))


def join(
  found: Mapping[str, Sequence[tuple[str, aff_wild2_rows.Rows]]],
) -> Joined:
  """Joins files of tasks, by video and number of the image.

  Args:
    found: task -> its files, each with its split. Of one task alone every row
      of a file is a row, and there may be two of one image.
  """
  parts = [part for of_task in found.values() for _, part in of_task]
  videos = [video for part in parts for video in part.videos]
  frames = [frame for part in parts for frame in part.frames]
  first, row = np.arange(len(videos)), np.arange(len(videos))
  if len(found) > 1:
    first, row = _distinct(videos, frames)
  ends = np.cumsum([sum(len(p) for _, p in files) for files in found.values()])
  return Joined(
    videos=[videos[k] for k in first],
    frames=[frames[k] for k in first],
    rows=dict(zip(found, np.split(row, ends[:-1]), strict=True)),
    values={t: _all(files, 'values') for t, files in found.items()},
    annotated={t: _all(files, 'annotated') for t, files in found.items()},
    splits={
      task: np.repeat(
        np.array([split for split, _ in files], splits_lib.DTYPE),
        [len(part) for _, part in files],
      )
      for task, files in found.items()
    },
    first=first,
    parts=parts,
  )


def _distinct(videos, frames):
  """Returns int[N], where each image is first, and int[R], which one it is."""
  number = {}
  key = np.array([number.setdefault(v, len(number)) for v in videos], np.int64)
  frames = np.asarray(frames, np.int64)
  key = key * (frames.max(initial=0) + 1) + frames
  _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
  order = np.argsort(first)
  return first[order], np.argsort(order)[inverse]


def _all(files, name):
  return np.concatenate([getattr(part, name) for _, part in files])


def thin(joined: Joined, has_image: np.ndarray, release: str) -> Joined:
  """Returns the rows, of which fewer train, as Deng et al. (2020) do.

  Of the frames that train and have an expression, in the order of files, each
  10th Neutral one stays (by its place among all of them), of what is left each
  2nd Happiness, and then each 2nd Sadness. Of those with valence and arousal
  each 5th. Others are no longer of the task.

  Args:
    joined: the rows.
    has_image: bool[N], which rows have an image; others do not count.
    release: of the files.
  """
  annotated, splits = dict(joined.annotated), dict(joined.splits)
  for task in ('expression', 'valence_arousal'):
    if task not in joined.rows:
      continue
    used = annotated[task] & (splits[task] == 'train')
    used = np.flatnonzero(used & has_image[joined.rows[task]])
    left = used
    if task == 'expression':
      for name, step in _THINNED:
        code = aff_wild2_rows.EXPRESSIONS[release].index(name)
        is_it = joined.values[task][left] == code
        left = left[~is_it | (np.arange(len(left)) % step == 0)]
    else:
      left = left[::_THINNED_AFFECT]
    gone = np.setdiff1d(used, left)
    annotated[task], splits[task] = annotated[task].copy(), splits[task].copy()
    annotated[task][gone], splits[task][gone] = False, dataset.DROPPED
  return dataclasses.replace(joined, annotated=annotated, splits=splits)


def known_rows(joined: Joined) -> np.ndarray:
  """Returns bool[N], the rows that any task annotates."""
  known = np.zeros(len(joined), bool)
  for task, rows in joined.rows.items():
    known[rows[joined.annotated[task]]] = True
  return known


def splits_of(joined: Joined) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
  """Returns task -> str[N], 'dropped' where a row is not of it, and notes.

  An image that both trains and validates in one task validates.
  """
  found, notes = {}, []
  for task, rows in joined.rows.items():
    own = np.full(len(joined), dataset.DROPPED, splits_lib.DTYPE)
    of_file = joined.splits[task]
    for split in ('train', 'validation'):
      own[rows[of_file == split]] = split
    both = np.intersect1d(
      *(rows[of_file == s] for s in ('train', 'validation'))
    )
    if len(both):
      notes.append(
        f'{len(both):,} images are in both sets of the task {task}: they '
        'validate, and do not train.'
      )
    found[task] = own
  return found, tuple(notes)


def labels_of(joined: Joined, num_labels: int):
  """Returns uint8[N, L] labels and bool[N, L] known."""
  labels = np.zeros((len(joined), num_labels), np.uint8)
  known = np.zeros(labels.shape, bool)
  if 'labels' in joined.rows:
    rows = joined.rows['labels'][joined.annotated['labels']]
    labels[rows] = joined.values['labels'][joined.annotated['labels']]
    known[rows] = True
  return labels, known


def targets_of(joined: Joined, release: str) -> dict[str, targets_lib.Target]:
  """Returns name -> target, of the tasks beside the labels."""
  found = {}
  for task in joined.rows:
    annotated = joined.annotated[task]
    rows = joined.rows[task][annotated]
    values = joined.values[task][annotated]
    if task == 'expression':
      codes = np.full(len(joined), -1)
      codes[rows] = values
      names = aff_wild2_rows.EXPRESSIONS[release]
      found[task] = targets_lib.of_codes(codes, names)
    elif task == 'valence_arousal':
      numbers = np.full((len(joined), 2), np.nan)
      numbers[rows] = values
      names = aff_wild2_rows.VALENCE_AROUSAL
      found[task] = targets_lib.of_numbers(numbers, names, -1.0, 1.0)
  return found


def odd_notes(joined: Joined) -> tuple[str, ...]:
  """Returns a note on rows of valence and arousal that are the other code."""
  values = joined.values.get('valence_arousal')
  if values is None:
    return ()
  count = int((values == -1).all(axis=1).sum())
  if not count:
    return ()
  return (
    f'{dataset.WARNING}{count:,} rows have a valence and arousal of -1 and -1, '
    'which is "not annotated" in other tasks; here that is -5, and they are '
    'read as values.',
  )
