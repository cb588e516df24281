import numpy as np
import pytest

from aubal_jax.datasets import dataset


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
    ({'labels': np.zeros((4, 2), bool)}, r'labels must be uint8\[N, L\]'),
    ({'labels': np.zeros(4, np.uint8)}, r'labels must be uint8\[N, L\]'),
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
