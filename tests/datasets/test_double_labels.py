"""Rows labelled twice: those that disagree, and what is guessed."""

import dataclasses

import numpy as np
import pytest

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.datasets import double_labels
from aubal_jax.datasets import targets
from aubal_jax.datasets.drawn import expressions
from aubal_jax.datasets.drawn import films
from aubal_jax.runs import errors


def make(codes, affect, split=None, splits=None):
  """Returns a data set; codes below 0 and affect of NaN are not known."""
  affect = np.array(affect, np.float32).reshape(-1, 2)
  known = ~np.isnan(affect)
  count = len(affect)
  return dataset_lib.Dataset(
    labels=np.zeros((count, 1), np.uint8),
    known=np.ones((count, 1), bool),
    label_names=('AU01',),
    split=np.array(split or ['train'] * count, '<U10'),
    ids=np.arange(count).astype(str),
    targets={
      'expression': targets.of_codes(np.array(codes), expressions.NAMES),
      'valence_arousal': targets.Target(
        *('real', np.where(known, affect, np.float32(0)), known),
        *(('valence', 'arousal'), -1.0, 1.0),
      ),
    },
    splits=splits or {},
  )


def code(name):
  return expressions.NAMES.index(name)


def test_rows_whose_labels_disagree():
  rows = [
    ('Happiness', -0.1, 0.5, True),
    ('Happiness', 0.0, 0.5, False),
    ('Sadness', 0.1, 0.0, True),
    ('Sadness', -0.4, 0.0, False),
    ('Neutral', 0.3, 0.3, False),
    ('Neutral', 0.4, -0.31, True),
    ('Anger', 0.9, 0.9, False),
    ('Neutral', np.nan, np.nan, False),
  ]
  codes = [code(name) for name, *_ in rows]
  data = make(codes, [row[1:3] for row in rows])
  assert double_labels.disagree(data).tolist() == [row[3] for row in rows]
  other = dataclasses.replace(
    data, splits={'expression': np.array(['validation'] * 8, '<U10')}
  )
  assert not double_labels.disagree(other).any()


def test_drawn_videos_have_some_that_disagree():
  data = films.load(
    num_train=1440, num_validation=0, num_test=0, seed=0, image_size=16
  )
  odd = double_labels.disagree(data)
  assert 0 < odd.mean() < 0.2


@pytest.mark.parametrize('seed', range(3))
def test_guesses_follow_what_is_labelled_twice(seed):
  rng = np.random.default_rng(seed)
  count = 3000
  codes = rng.integers(0, 2, count) * 3  # Neutral, Fear.
  affect = np.where(codes[:, None] > 0, (-0.6, 0.8), (0.01, 0.01))
  affect = np.clip(affect + rng.normal(0, 0.002, (count, 2)), -1, 1)
  lacking = rng.integers(0, 3, count)
  held = np.where(lacking == 1, -1, codes)
  affect[lacking == 2] = np.nan
  data = make(held, affect)
  found = double_labels.guess(data, dict(data.targets))
  rows = np.flatnonzero(lacking == 1)
  unit = rng.random((len(rows), 2))
  values, known = found['expression'].drawn(rows, unit)
  assert known.tolist() == (unit[:, 0] < 0.5).tolist()
  sizes = {}
  cell = np.clip(((data.targets['valence_arousal'].values + 1) * 10), 0, 19)
  cell = cell.astype(int) @ [20, 1]
  # The share of a class among its bin, each class counted once more.
  for bin_, name in ((cell[codes == 3][0], 3), (cell[codes == 0][0], 0)):
    both = (lacking == 0) & (cell == bin_)
    sizes[name] = (both.sum() + 1) / (both.sum() + len(expressions.NAMES))
  for name in (0, 3):
    mine = known & (codes[rows] == name)
    assert (values[mine] == name).mean() == pytest.approx(
      sizes[name], abs=4 * np.sqrt(sizes[name] * (1 - sizes[name]) / mine.sum())
    )
  rows = np.flatnonzero(lacking == 2)
  unit = rng.random((len(rows), 2))
  values, known = found['valence_arousal'].drawn(rows, unit)
  assert known.tolist() == [[x, x] for x in unit[:, 0] < 0.5]
  for name in (0, 3):
    mean = np.nanmean(affect[(lacking == 0) & (codes == name)], axis=0)
    mine = known[:, 0] & (codes[rows] == name)
    assert values[mine] == pytest.approx(np.tile(mean, (mine.sum(), 1)))
  # What is labelled stays.
  rows = np.flatnonzero(lacking == 0)
  values, known = found['expression'].drawn(rows, np.zeros((len(rows), 2)))
  assert known.all()
  assert values.tolist() == codes[rows].tolist()


def test_what_validates_one_task_is_no_guess_in_it():
  data = make(
    [1, -1, -1, -1],
    [(0.1, 0.1)] * 4,
    splits={
      'labels': np.array(['train'] * 4, '<U10'),
      'expression': np.array(
        ['train', 'validation', 'dropped', 'train'], '<U10'
      ),
      'valence_arousal': np.array(['train'] * 4, '<U10'),
    },
  )
  found = double_labels.guess(data, dict(data.targets))
  _, known = found['expression'].drawn(np.arange(4), np.zeros((4, 2)))
  assert known.tolist() == [True, False, True, True]


def test_what_cannot_be_guessed_is_told():
  nothing = make([1, -1], [(np.nan, np.nan), (0.5, 0.5)])
  with pytest.raises(errors.UserError, match='there is none'):
    double_labels.guess(nothing, dict(nothing.targets))
  with pytest.raises(errors.UserError, match='one is not there'):
    double_labels.guess(nothing, {'labels': nothing.targets['labels']})
  bare = dataclasses.replace(nothing, targets={})
  with pytest.raises(errors.UserError, match='one is not there'):
    double_labels.disagree(bare)
