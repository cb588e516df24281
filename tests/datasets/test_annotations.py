import numpy as np
import pytest

from aubal_jax.datasets import annotations
from aubal_jax.datasets import merged
from aubal_jax.datasets import splits
from aubal_jax.datasets import targets
from aubal_jax.media import images


def found(names, rows, **others):
  """Annotations of rows of 0, 1 and None (unknown)."""
  cells = np.array(rows, object)
  count = len(rows)
  return annotations.Annotations(
    **{
      'files': np.array([f'f{n}.png' for n in range(count)]),
      'labels': (cells == 1).astype(np.uint8),
      'known': cells != None,  # noqa: E711
      'label_names': names,
      'ids': np.array([f'{n}.png' for n in range(count)]),
    }
    | others
  )


def two_sets():
  return {
    'one': found(
      ('AU01', 'AU12'),
      [(1, 0), (0, None), (1, 1)],
      groups=np.array(['S1', 'S1', 'S2']),
      reasons=np.array(['', 'no image', '']),
      notes=('odd', 'Warning: odder'),
      place=lambda row: f'one.csv:{row + 2}',
    ),
    'two': found(('AU12', 'AU02'), [(0, 1), (1, 0)]),
  }


def test_the_union_keeps_what_a_set_lacks_unknown():
  both = merged.merge(two_sets())
  assert both.label_names == ('AU01', 'AU02', 'AU12')
  assert both.labels.tolist() == [
    [1, 0, 0], [0, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1],
  ]  # fmt: skip
  assert both.known.astype(int).tolist() == [
    [1, 0, 1], [1, 0, 0], [1, 0, 1], [0, 1, 1], [0, 1, 1],
  ]  # fmt: skip
  assert both.ids.tolist()[2:4] == ['one/2.png', 'two/0.png']
  assert both.groups.tolist() == [
    'one/S1', 'one/S1', 'one/S2', 'two/0.png', 'two/1.png',
  ]  # fmt: skip
  assert both.sources.tolist() == ['one'] * 3 + ['two'] * 2
  assert both.reasons.tolist() == ['', 'no image', '', '', '']
  assert both.notes == ('one: odd', 'Warning: odder')
  assert [both.place(row) for row in (2, 3)] == ['one.csv:4', 'two/0.png']
  assert both.split is None


def test_a_reader_hands_on_what_else_is_learnt():
  cells = np.array([0, 2], np.int16)
  mood = targets.Target('class', cells, cells >= 0, ('sad', 'calm', 'glad'))
  rows = found(('AU01',), [(1,), (0,)], targets={'mood': mood})
  data = annotations.to_dataset(rows, where='here')
  assert {*data.targets} == {'labels', 'mood'}
  assert data.targets['mood'] is mood


def test_the_papers_reading_takes_it_as_absent():
  both = merged.merge(
    two_sets(), label_columns=('AU12', 'AU01'), unlabelled='absent'
  )
  assert both.label_names == ('AU12', 'AU01')
  assert both.labels.tolist() == [[0, 1], [0, 0], [1, 1], [0, 0], [1, 0]]
  assert both.known.all()


def test_splits_of_all_sets_or_of_none():
  sets = two_sets()
  train = np.array(['train', 'test', 'train'], splits.DTYPE)
  sets['one'] = found(('AU01',), [(1,), (0,), (1,)], split=train)
  with pytest.raises(ValueError, match=r'two has no official .*two\.split to'):
    merged.merge(sets)
  sets['two'] = found(('AU01',), [(1,)], split=np.array(['validation']))
  both = merged.merge(sets)
  assert both.split.tolist() == ['train', 'test', 'train', 'validation']


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'label_columns': ('ZZ',)}, r"'ZZ', which none of one, two .*AU12\.$"),
    ({'label_columns': ('AU1',)}, r"'AU1', .*\. Did you mean 'AU01'\?"),
  ],
)
def test_bad_arguments(options, message):
  with pytest.raises(ValueError, match=message):
    merged.merge(two_sets(), **options)
  with pytest.raises(ValueError, match=r'data\.sources is empty'):
    merged.merge({})


def test_table_of_sources_counts_what_is_used():
  sets = {
    name: found(
      one.label_names,
      [(1, 0)] * len(one),
      split=np.array(['train'] * len(one)),
      reasons=one.reasons,
    )
    for name, one in two_sets().items()
  }
  data = annotations.to_dataset(
    merged.merge(sets),
    where='x',
    draw=splits.Draw(),
    pixels=images.Pixels(8),
  )
  assert merged.table_of_sources(data) == {
    'one': {
      'images': 2, 'dropped': 1,
      'class_counts': [2, 0, 0], 'known': [2, 0, 2],
    },
    'two': {
      'images': 2, 'dropped': 0,
      'class_counts': [0, 0, 2], 'known': [0, 2, 2],
    },
  }  # fmt: skip
