"""Which targets are learnt: the choice, the masks and the messages."""

import dataclasses
import re

import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.datasets import targets
from aubal_jax.runs import errors
from aubal_jax.stages import learnt

SIZE = 40
SPLITS = ('train', 'validation', 'test')


def make_dataset(rng, **changes):
  """Returns rows of three targets, each with a split of its own."""
  labels = rng.integers(0, 2, (SIZE, 2), np.uint8)
  known = rng.random((SIZE, 2)) < 0.7
  codes = rng.integers(-1, 3, SIZE)
  numbers = np.where(rng.random((SIZE, 1)) < 0.5, np.nan, 0.5)
  split = np.resize(SPLITS, SIZE)
  made = dataset_lib.Dataset(
    labels=labels * known,
    known=known,
    label_names=('x', 'y'),
    split=split,
    ids=np.arange(SIZE).astype(str),
    targets={
      'mood': targets.of_codes(codes, ('sad', 'calm', 'glad', 'odd')),
      'pain': targets.of_numbers(numbers, ('pain',), 0.0, 1.0),
    },
    splits={'mood': rng.permutation(split), 'pain': rng.permutation(split)},
  )
  return dataclasses.replace(made, **changes)


def make_config(**options):
  config = settings.default()
  for key, value in options.items():
    config.multitask[key] = value
  settings.check(config)
  return config


@pytest.mark.parametrize('seed', range(5))
def test_a_row_trains_the_tasks_that_it_trains(seed):
  data = make_dataset(np.random.default_rng(seed))
  found = learnt.in_training(make_config(), data)
  assert [*found] == ['labels', 'mood', 'pain']  # Whose weights are in order.
  for name in ('mood', 'pain'):
    rows = np.flatnonzero(found[name].rows_known)
    np.testing.assert_array_equal(rows, data.rows('train', name))
    np.testing.assert_array_equal(
      found[name].values[rows], data.targets[name].values[rows]
    )
  assert found['labels'] is data.targets['labels']
  chosen = make_config(targets=('pain', 'labels'))
  assert [*learnt.in_training(chosen, data)] == ['pain', 'labels']


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'targets': ('labels', 'age')}, 'targets of the data set, labels, mood'),
    ({'targets': ('mood',)}, 'must have labels.*; it is mood'),
    ({'weights': (8.0, 1.0)}, r'one number for each of labels, mood, pain.*8'),
    (
      {'targets': ('labels',), 'batching': 'per_task'},
      'batching must be mixed where one target is learnt, labels',
    ),
  ],
)
def test_what_cannot_be_learnt_is_told(options, message):
  data = make_dataset(np.random.default_rng(0))
  with pytest.raises(errors.UserError, match=message):
    learnt.check(make_config(**options), data)


@pytest.mark.parametrize('name', ['labels', 'mood', 'pain'])
def test_a_target_that_never_trains_is_told(name):
  rng = np.random.default_rng(1)
  data = make_dataset(rng)
  learnt.check(make_config(), data)
  learnt.check(make_config(weights=(8, 1, 1)), data)
  never = {**data.splits, name: np.full(SIZE, 'test')}
  data = dataclasses.replace(data, splits=never)
  left = ','.join(n for n in ('labels', 'mood', 'pain') if n != name)
  with pytest.raises(
    errors.UserError, match=re.escape(f'multitask.targets={left}')
  ):
    learnt.check(make_config(), data)


def test_classes_that_never_train_are_counted():
  for seed in range(5):
    data = make_dataset(np.random.default_rng(seed))
    (line,) = learnt.notes(make_config(), data)
    mood = data.targets['mood']
    seen = {*mood.values[data.rows('train', 'mood')].tolist()}
    names = [n for k, n in enumerate(mood.names) if k not in seen]
    assert 'odd' in names
    assert line.startswith(f'{len(names)} of 4 classes of mood')
    assert line.endswith(', '.join(names))
    assert not learnt.notes(make_config(targets=('labels', 'pain')), data)
