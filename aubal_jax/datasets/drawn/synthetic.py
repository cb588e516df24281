"""A made-up data set: drawn faces with the imbalance of the paper's Table I.

The labels follow table1_joint.json, which scripts/reconstruct_table1.py
writes; faces.py draws the pictures, one at a time, when they are asked for.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from collections.abc import Mapping

import numpy as np

from aubal_jax.datasets import action_units
from aubal_jax.datasets import dataset
from aubal_jax.datasets import splits
from aubal_jax.datasets.drawn import face_parts
from aubal_jax.datasets.drawn import faces

_JOINT = pathlib.Path(__file__).with_name('table1_joint.json')
_ROWS_PER_SUBJECT = 12
_LEAST_SUBJECTS = 20  # In a split, where it has that many rows.
_LEAST_INTENSITY = 0.6

NUM_FEATURES = 32
_STRENGTH = 0.6  # Of a label in a feature, beside noise of 1.
_LEAST_STRENGTH = 0.3


def joint() -> tuple[np.ndarray, np.ndarray]:
  """Returns patterns uint8[S, 8] and counts int64[S] of all four sources."""
  table = json.loads(_JOINT.read_text(encoding='utf-8'))
  patterns = [[int(bit) for bit in row[0]] for row in table['labelsets']]
  counts = [sum(row[1]) for row in table['labelsets']]
  return np.array(patterns, np.uint8), np.array(counts, np.int64)


def draw_labels(num_rows: int, rng: np.random.Generator) -> np.ndarray:
  """Returns uint8[num_rows, 8] labels in the ratios of Table I.

  Systematic sampling: the labelsets lie on a line, each as long as its count,
  and evenly spaced points pick from it. They lie in the order of a Gray code
  whose first bit is the rarest AU, so the images of a rare AU lie together
  and its number differs from its share of `num_rows` by less than one; that
  of the k-th rarest by less than 2^(k - 2) + 1.
  """
  patterns, counts = joint()
  rarest = np.argsort(counts @ patterns, kind='stable')
  gray = np.bitwise_xor.accumulate(patterns[:, rarest], axis=1)
  order = np.lexsort(gray.T[::-1])
  ends = np.cumsum(counts[order])
  points = (np.arange(num_rows) + rng.random()) / max(num_rows, 1) * ends[-1]
  picked = order[np.searchsorted(ends, points, side='right')]
  return patterns[rng.permutation(picked)]


def load(
  *,
  num_train: int,
  num_validation: int,
  num_test: int,
  seed: int,
  image_size: int = 112,
  channels: int = 1,
) -> dataset.Dataset:
  """Returns drawn faces with the eight AUs, as rare as in Table I.

  Each split has its own subjects, about one to twelve images. A picture is a
  function of (seed, split, number within the split) alone, whatever else is
  asked for with it; nothing is kept in memory.

  Args:
    num_train: images in the training split.
    num_validation: images in the validation split.
    num_test: images in the test split.
    seed: of labels, subjects and pictures.
    image_size: height and width in pixels, at least 16.
    channels: 1, or 3 for the same grey three times.
  """
  sizes = {'train': num_train, 'validation': num_validation, 'test': num_test}
  cast = draw_cast(sizes, seed)
  labels = np.concatenate(
    [
      draw_labels(size, np.random.default_rng([seed, part, 0]))
      for part, size in enumerate(sizes.values())
    ]
  )

  def draw(row, rng):
    intensity = labels[row] * rng.uniform(_LEAST_INTENSITY, 1, 8)
    return faces.draw_face(cast.person(row), intensity, rng, image_size)

  return dataset.Dataset(
    labels=labels,
    known=np.ones(labels.shape, bool),
    label_names=action_units.CODES,
    **cast.columns(),
    load_images=cast.loader(draw, image_size, channels),
    notes=(
      'Drawn faces; their labels follow a joint distribution with the '
      'marginals of Table I of arXiv 2003.08751.',
    ),
  )


@dataclasses.dataclass(frozen=True)
class Cast:
  """Who is on which picture.

  Attributes:
    seed: of everything.
    people: all of them.
    split: N names of splits.
    ids: N names of rows.
    groups: N names of people.
    keys: N times (split, number in it, person), each counted from 0.
  """

  seed: int
  people: list
  split: list[str]
  ids: list[str]
  groups: list[str]
  keys: list[tuple[int, int, int]]

  def person(self, row: int) -> face_parts.Subject:
    """Returns who is on a row's picture."""
    return self.people[self.keys[row][2]]

  def columns(self) -> dict[str, np.ndarray]:
    """Returns the fields of a data set that tell of it."""
    names = ('split', 'ids', 'groups')
    return {name: np.array(getattr(self, name)) for name in names}

  def loader(self, draw: Callable, image_size: int, channels: int) -> Callable:
    """Returns the function that draws the pictures of given rows.

    Args:
      draw: row, generator of its view -> uint8[image_size, image_size].
      image_size: height and width in pixels.
      channels: 1, or 3 for the same grey three times.
    """

    def load_images(rows):
      rows = np.asarray(rows)
      images = np.empty((len(rows), image_size, image_size, channels), np.uint8)
      for image, row in zip(images, rows, strict=True):
        part, number, _ = self.keys[row]
        rng = np.random.default_rng([self.seed, part, 2, number])
        image[...] = draw(row, rng)[:, :, None]
      return images

    return load_images


def draw_cast(sizes: Mapping[str, int], seed: int) -> Cast:
  """Returns people for so many pictures of each split, none in two of them."""
  people, split, ids, groups, keys = [], [], [], [], []
  for part, (name, size) in enumerate(sizes.items()):
    num_people = min(size, max(_LEAST_SUBJECTS, -(-size // _ROWS_PER_SUBJECT)))
    first = len(people)
    for person in range(num_people):
      rng = np.random.default_rng([seed, part, 1, person])
      people.append(faces.make_subject(rng))
    for number in range(size):
      person = number * num_people // size
      group = f'subject{first + person:03d}'
      split.append(name)
      groups.append(group)
      ids.append(f'{name}/{group}/{number:06d}.png')
      keys.append((part, number, first + person))
  return Cast(seed, people, split, ids, groups, keys)


def load_table(
  *, num_rows: int = 1200, seed: int = 0, draw: splits.Draw | None = None
) -> dataset.Dataset:
  """Returns rows of eight AUs, as rare as in Table I, with features.

  features = (intensity * labels) @ directions + noise: each label has a drawn
  direction among the features, each positive a drawn intensity in [.3, 1], and
  the noise is normal, so that positives and negatives overlap. Directions are
  not orthogonal: labels are mistaken for each other, as AUs are.

  Args:
    num_rows: N.
    seed: of labels and features.
    draw: of splits; None: of one, as a comparison makes its own folds.

  Returns:
    The data set, its features float32[N, NUM_FEATURES].
  """
  rng = np.random.default_rng(seed)
  labels = draw_labels(num_rows, rng)
  directions = rng.normal(0, _STRENGTH, (labels.shape[1], NUM_FEATURES))
  intensity = labels * rng.uniform(_LEAST_STRENGTH, 1, labels.shape)
  features = intensity @ directions
  features += rng.normal(size=features.shape)
  return dataset.Dataset(
    labels=labels,
    known=np.ones(labels.shape, bool),
    label_names=action_units.CODES,
    split=np.full(num_rows, 'train', splits.DTYPE)
    if draw is None
    else splits.draw(labels, None, draw),
    ids=np.arange(num_rows).astype(str),
    features=features.astype(np.float32),
    notes=(
      'A made-up table; its labels follow a joint distribution with the '
      'marginals of Table I of arXiv 2003.08751.',
    ),
  )
