import dataclasses

import numpy as np
import pytest

from aubal_jax.datasets import dataset
from aubal_jax.datasets import targets


def make(**changes):
  made = {
    'labels': np.array([[0, 1], [1, 0], [0, 0], [1, 1]], np.uint8),
    'known': np.array([[1, 1], [1, 0], [1, 1], [1, 1]], bool),
    'label_names': ('AU01', 'AU02'),
    'split': np.array(['train', 'dropped', 'test', 'train']),
    'ids': np.array(['a', 'b', 'c', 'd']),
  }
  return dataset.Dataset(**made | changes)


def test_rows():
  data = make()
  assert len(data) == 4
  assert data.rows('train').tolist() == [0, 3]
  assert data.rows('dropped').tolist() == [1]
  assert data.rows('validation').tolist() == []
  assert data.num_rows() == {
    'train': 2,
    'validation': 0,
    'test': 1,
    'dropped': 1,
  }
  with pytest.raises(ValueError, match=r"'val'; choose one of .*'validation'"):
    data.rows('val')


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'labels': np.zeros((4, 2), bool)}, r'values must be uint8\[N, L\]'),
    ({'labels': np.zeros(4, np.uint8)}, r'values must be uint8\[N, L\]'),
    ({'known': np.ones((4, 1), bool)}, r'known must be bool\[4, 2\]'),
    ({'known': np.ones((4, 2), int)}, r'known must be bool\[4, 2\]'),
    ({'labels': np.array([[2, 0]] * 4, np.uint8)}, '0 or 1'),
    ({'labels': np.ones((4, 2), np.uint8)}, '0 where not known'),
    ({'label_names': ('a',)}, 'must be 2 distinct names'),
    ({'label_names': ('a', 'a')}, 'must be 2 distinct names'),
    ({'ids': np.array(['a'])}, r'ids must have shape \[4\]'),
    ({'groups': np.array(['a'])}, r'groups must have shape \[4\]'),
    ({'split': np.array(['train'] * 3)}, r'split must have shape \[4\]'),
    ({'split': np.array(['train'] * 3 + ['val'])}, r"not \['val'\]"),
  ],
)
def test_bad_arguments(changes, message):
  with pytest.raises(ValueError, match=message):
    make(**changes)


def valence():
  return targets.Target(
    kind='real',
    values=np.array([[-1.0], [0.5], [0.0], [1.0]], np.float32),
    known=np.array([[True], [True], [False], [True]]),
    names=('valence',),
    low=-1.0,
    high=1.0,
  )


def test_labels_are_one_target_of_several():
  data = make(targets={'valence': valence()})
  assert {*data.targets} == {'labels', 'valence'}
  labels = data.targets['labels']
  assert labels.kind == 'binary' and labels.names == data.label_names
  assert labels.values is data.labels and labels.known is data.known
  # What is made of a data set keeps them, with its own labels.
  other = dataclasses.replace(data, labels=np.zeros_like(data.labels))
  assert other.targets['labels'].values is other.labels
  assert other.targets['valence'] is data.targets['valence']
  assert data.fingerprint() != make().fingerprint()
  with pytest.raises(ValueError, match="target 'valence' must have 4 rows"):
    make(targets={'valence': target(rows=3)})


def target(of='class', rows=4, **changes):
  made = {
    'binary': {'values': np.eye(rows, 3, dtype=np.uint8)},
    'class': {'values': np.arange(rows, dtype=np.int16) % 3},
    'real': {
      'values': np.zeros((rows, 3), np.float32),
      'low': -1.0,
      'high': 1.0,
    },
  }[of]
  made['known'] = np.ones(made['values'].shape, bool)
  return targets.Target(**{'kind': of, 'names': (*'abc',), **made, **changes})


@pytest.mark.parametrize(
  ('kind', 'changes', 'message'),
  [
    ('binary', {'kind': 'many'}, r"'many'; choose one of \['binary', 'class'"),
    ('class', {'values': np.zeros(4, int)}, r'values must be int16\[N\]'),
    ('real', {'values': np.zeros((4, 3))}, r'values must be float32\[N, L\]'),
    ('class', {'known': np.ones(3, bool)}, r'known must be bool\[4\]'),
    ('class', {'names': (*'ab',)}, r'values must be in \[0, 1\]'),
    ('class', {'names': (*'aab',)}, 'must be 3 distinct names'),
    ('class', {'low': 0.0}, 'low and high are of real targets'),
    ('class', {'known': np.zeros(4, bool)}, '0 where not known'),
    ('real', {'low': 2.0}, 'low below high, not 2.0 and 1.0'),
    ('real', {'high': None}, 'low below high, not -1.0 and None'),
    ('real', {'low': 0.5}, r'values must be in \[0.5, 1.0\]'),
  ],
)
def test_bad_targets(kind, changes, message):
  target(kind)
  with pytest.raises(ValueError, match=message):
    target(kind, **changes)


def test_rows_are_balanced_by_the_table_of_a_target():
  binary = target('binary')
  assert targets.to_binary(binary) is binary
  known = np.array([True, True, True, False])
  classes = target(values=np.array([2, 0, 1, 0], np.int16), known=known)
  table = targets.to_binary(classes)
  assert table.kind == 'binary' and table.names == classes.names
  np.testing.assert_array_equal(
    table.values, [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0]]
  )
  np.testing.assert_array_equal(table.known, np.tile(known[:, None], 3))
  with pytest.raises(ValueError, match='a real target has neither'):
    targets.to_binary(valence())
