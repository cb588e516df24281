"""Drawn faces with an expression, and with valence and arousal.

A face has an expression of a strength g in [.5, 1], which scales its action
units and how far from 0 its valence and arousal are. AU25 also comes alone, as
in speech, so that no single unit tells the expression; AU07 (tight lids) and
AU09 (wrinkled nose) are drawn and no labels, so that the picture tells what
the labels do not. The truth of every face is drawn first, whole; then what is
not asked for is made unknown.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import action_units
from aubal_jax.datasets import aff_wild2_rows
from aubal_jax.datasets import dataset
from aubal_jax.datasets import targets as targets_lib
from aubal_jax.datasets.drawn import face_parts
from aubal_jax.datasets.drawn import faces
from aubal_jax.datasets.drawn import synthetic
from aubal_jax.runs import errors

TARGETS = ('labels', 'expression', 'valence_arousal')
NAMES = aff_wild2_rows.EXPRESSIONS['2020']
# Expression -> its action units, and valence and arousal at full strength.
EXPRESSIONS = types.MappingProxyType(
  {
    'Neutral': ((), (0.0, 0.0)),
    'Anger': (('AU04', 'AU07'), (-0.5, 0.7)),
    'Disgust': (('AU04', 'AU09', 'AU15'), (-0.7, 0.3)),
    'Fear': (('AU01', 'AU02', 'AU04', 'AU20', 'AU25'), (-0.6, 0.8)),
    'Happiness': (('AU06', 'AU12'), (0.8, 0.4)),
    'Sadness': (('AU01', 'AU15'), (-0.7, -0.4)),
    'Surprise': (('AU01', 'AU02', 'AU25'), (0.2, 0.8)),
  }
)
# The commonest first, where some are commoner.
_BY_FREQUENCY = (
  *('Neutral', 'Happiness', 'Sadness', 'Surprise', 'Anger', 'Fear', 'Disgust'),
)
_LEAST_STRENGTH = 0.5
_SPEECH = 0.3  # How often AU25 comes by itself.
_HOLD = 4  # Frames of a film from one expression to the next.
SEEN = 0.25  # What is weaker is not there in a film.
_UNITS = (*action_units.CODES, *face_parts.HIDDEN)


@dataclasses.dataclass(frozen=True)
class Truth:
  """All there is to know of N faces.

  Attributes:
    codes: int[N], places in `NAMES`.
    strength: float[N], g.
    intensity: float[N, 10], of the eight action units and `HIDDEN`.
    affect: float[N, 2], valence and arousal.
  """

  codes: np.ndarray
  strength: np.ndarray
  intensity: np.ndarray
  affect: np.ndarray


def draw_truth(
  size: int, rng: np.random.Generator, ratio: float = 1.0
) -> Truth:
  """Draws faces; of each expression as many as its share, but for rounding.

  Args:
    size: N.
    rng: of what is drawn.
    ratio: how much commoner the commonest expression is than the rarest;
      those between lie evenly on a logarithmic scale.
  """
  shares = np.empty(len(NAMES))
  order = [NAMES.index(name) for name in _BY_FREQUENCY]
  shares[order] = ratio ** -np.linspace(0, 1, len(NAMES))
  points = (np.arange(size) + rng.random()) / max(size, 1)
  ends = np.cumsum(shares / shares.sum())
  codes = np.minimum(np.searchsorted(ends, points), len(NAMES) - 1)
  codes = rng.permutation(codes)
  strength = rng.uniform(_LEAST_STRENGTH, 1, size)
  speech = (rng.random(size) < _SPEECH) * rng.uniform(_LEAST_STRENGTH, 1, size)
  units = np.array(
    [[unit in EXPRESSIONS[name][0] for unit in _UNITS] for name in NAMES]
  )
  centres = np.array([EXPRESSIONS[name][1] for name in NAMES])
  intensity = units[codes] * strength[:, None]
  lips = _UNITS.index('AU25')
  intensity[:, lips] = np.maximum(intensity[:, lips], speech)
  return Truth(codes, strength, intensity, centres[codes] * strength[:, None])


def as_film(truth: Truth, groups: Sequence[str]) -> tuple[Truth, np.ndarray]:
  """Returns faces that move, and float64[N], the number of each frame.

  Of the faces of a person, in their order, every fourth is a pose; those
  between lie evenly between two poses, with the expression of the nearer one.
  An action unit below .25 is not there.

  Args:
    truth: of N faces.
    groups: N names of people.
  """
  _, first, person, size = np.unique(
    groups, return_index=True, return_inverse=True, return_counts=True
  )
  frame = np.arange(len(groups)) - first[person]
  before = frame // _HOLD * _HOLD
  after = np.minimum(before + _HOLD, size[person] - 1)
  share = (frame - before) / np.maximum(after - before, 1)

  def between(values):
    w = share.reshape(-1, *[1] * (values.ndim - 1))
    start = first[person]
    return (1 - w) * values[start + before] + w * values[start + after]

  nearer = first[person] + np.where(share < 0.5, before, after)
  intensity = between(truth.intensity)
  return Truth(
    truth.codes[nearer],
    between(truth.strength),
    np.where(intensity < SEEN, 0.0, intensity),
    between(truth.affect),
  ), frame.astype(np.float64)


def load(
  *,
  targets: Sequence[str] = TARGETS,
  ratio: float = 1.0,
  apart: bool = False,
  film: bool = False,
  num_train: int,
  num_validation: int,
  num_test: int,
  seed: int,
  image_size: int = 112,
  channels: int = 1,
) -> dataset.Dataset:
  """Returns drawn faces with these targets.

  People and views are those of `synthetic.load`. A face is a function of the
  seed, its split, the split's size and its number in it, whatever the targets.

  Args:
    targets: some of `TARGETS`.
    ratio: see `draw_truth`.
    apart: each face that trains is known to one of the targets alone, drawn;
      those that validate or test are known to all.
    film: faces of a person are frames of a video, see `as_film`.
    num_train: images in the training split.
    num_validation: images in the validation split.
    num_test: images in the test split.
    seed: of everything.
    image_size: height and width in pixels, at least 16.
    channels: 1, or 3 for the same grey three times.

  Raises:
    UserError: there is no target.
  """
  if not targets:
    raise errors.UserError(
      f'data.drawn_targets is empty; name some of {TARGETS}.'
    )
  sizes = {'train': num_train, 'validation': num_validation, 'test': num_test}
  cast = synthetic.draw_cast(sizes, seed)
  parts = [
    draw_truth(size, np.random.default_rng([seed, part, 3]), ratio)
    for part, size in enumerate(sizes.values())
  ]
  truth = Truth(*map(np.concatenate, zip(*map(_arrays, parts), strict=True)))
  frames = None
  if film:
    truth, frames = as_film(truth, cast.groups)
  num_labels = len(action_units.CODES)

  def draw(row, rng):
    intensity = truth.intensity[row]
    hidden = dict(zip(face_parts.HIDDEN, intensity[num_labels:], strict=True))
    return faces.draw_face(
      cast.person(row), intensity[:num_labels], rng, image_size, hidden
    )

  asked = asked_of(targets, cast.split, seed, apart=apart)
  return dataset.Dataset(
    **labels_of(truth, asked),
    targets=targets_of(truth, asked),
    **cast.columns(),
    frames=frames,
    load_images=cast.loader(draw, image_size, channels),
    notes=(_note(targets, apart),),
  )


def _arrays(truth):
  return [getattr(truth, field.name) for field in dataclasses.fields(truth)]


def asked_of(
  targets: Sequence[str], split: Sequence[str], seed: int, *, apart: bool
) -> dict[str, np.ndarray]:
  """Returns target -> bool[N], the rows that know it; see `load`."""
  train = np.array(split) == 'train'
  which = np.full(len(split), -1)
  evenly = np.arange(train.sum()) % len(targets)
  which[train] = np.random.default_rng([seed, 4]).permutation(evenly)
  everything = ~train | (not apart)
  return {
    name: everything | (which == k)
    for k, name in enumerate(name for name in TARGETS if name in targets)
  }


def labels_of(truth, asked) -> dict:
  """Returns labels, known and label_names; of no label where not asked for."""
  names = action_units.CODES if 'labels' in asked else ()
  rows = asked.get('labels', np.zeros(len(truth.codes), bool))
  labels = (truth.intensity[:, : len(names)] > 0) & rows[:, None]
  known = np.repeat(rows[:, None], len(names), axis=1)
  return {
    'labels': labels.astype(np.uint8),
    'known': known,
    'label_names': names,
  }


def targets_of(truth, asked) -> dict[str, targets_lib.Target]:
  """Returns the targets beside the labels."""
  whole = {
    'expression': targets_lib.of_codes(truth.codes, NAMES),
    'valence_arousal': targets_lib.of_numbers(
      truth.affect, aff_wild2_rows.VALENCE_AROUSAL, -1.0, 1.0
    ),
  }
  return {
    name: whole[name].where(asked[name]) for name in whole if name in asked
  }


def _note(targets, apart) -> str:
  """Returns what a person is told."""
  told = (
    'Drawn faces; their action units, valence and arousal follow an '
    f'expression. Known: {", ".join(targets)}'
  )
  return (
    f'{told}, one of them for each face that trains.' if apart else f'{told}.'
  )
