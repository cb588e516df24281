import dataclasses

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aubal_jax.data import splits
from aubal_jax.data import table

HALVES = splits.Draw(0.25, 0.25, stratify=False)


def none(num_rows):
  """Labels of which no row has any."""
  return np.zeros((num_rows, 2), np.uint8)


def read(folder, *cells):
  path = folder / 't.csv'
  path.write_text('\n'.join(['part,x', *(f'{cell},0' for cell in cells)]))
  return table.read(path)


def test_parse_takes_the_usual_names_in_any_case(tmp_path):
  rows = read(tmp_path, 'TRAIN', 'training', 'Val', 'valid', 'dev', 'Testing')
  split = splits.parse(rows, 'part')
  assert split.tolist() == ['train'] * 2 + ['validation'] * 3 + ['test']


def test_parse_leaves_room_for_dropped(tmp_path):
  split = splits.parse(read(tmp_path, 'test', 'test'), 'part')
  split[0] = 'dropped'
  assert split.tolist() == ['dropped', 'test']


def test_parse_names_the_cells_that_are_no_split(tmp_path):
  rows = read(tmp_path, 'train', 'trian', '', 'test')
  message = (
    r"t\.csv:3: column 'part' holds 'trian'; line 4: column 'part' holds '' "
    r"\(2 in all\)\. A split is one of train, .*set data\.split_column=''"
  )
  with pytest.raises(ValueError, match=message):
    splits.parse(rows, 'part')


@hypothesis.given(
  st.lists(st.sampled_from('abcdefghij'), min_size=1, max_size=60),
  st.floats(0, 0.45),
  st.floats(0, 0.45),
  st.integers(0, 9),
)
def test_draw_keeps_groups_together(names, validation, test, seed):
  groups = np.array(names)
  num_groups = len(set(names))
  sizes = [max(round(num_groups * f), f > 0) for f in (validation, test)]
  hypothesis.assume(sum(sizes) < num_groups)

  def draw(groups):
    return splits.draw(
      none(len(groups)),
      groups,
      splits.Draw(validation, test, stratify=False, seed=seed),
    )

  split = draw(groups)
  of_group = {name: set(split[groups == name]) for name in names}
  assert all(len(held) == 1 for held in of_group.values())
  held = [next(iter(held)) for held in of_group.values()]
  assert [held.count('validation'), held.count('test')] == sizes
  assert held.count('train') == num_groups - sum(sizes)
  np.testing.assert_array_equal(draw(groups), split)
  np.testing.assert_array_equal(draw(groups[::-1])[::-1], split)


def test_draw_by_row_depends_on_the_seed():
  split = splits.draw(none(100), None, HALVES)
  assert [(split == name).sum() for name in ('validation', 'test')] == [25, 25]
  settings = dataclasses.replace(HALVES, seed=1)
  other = splits.draw(none(100), None, settings)
  assert (other != split).any()


def test_draw_takes_none_where_the_fraction_is_zero():
  settings = dataclasses.replace(HALVES, test_fraction=0)
  split = splits.draw(none(9), None, settings)
  assert set(split.tolist()) == {'train', 'validation'}


@pytest.mark.parametrize('fraction', [-0.1, 1, float('nan')])
@pytest.mark.parametrize('name', ['validation_fraction', 'test_fraction'])
def test_draw_refuses_a_fraction_out_of_range(name, fraction):
  message = rf'data\.{name} must be 0 or more and less than 1, not {fraction}'
  with pytest.raises(ValueError, match=message):
    splits.Draw(**{name: fraction})


def test_draw_refuses_to_leave_no_training_row():
  message = r'2 groups cannot be split: 1 .*1 for test .*Lower the fractions'
  with pytest.raises(ValueError, match=message):
    splits.draw(none(3), np.array(['a', 'b', 'a']), HALVES)
  with pytest.raises(ValueError, match='4 rows cannot be split'):
    splits.draw(none(4), None, splits.Draw(0.4, 0.5, stratify=False))
  with pytest.raises(ValueError, match=r'less than 1 together.*Lower them'):
    splits.Draw(0.5, 0.5)


def test_check_sizes():
  assert splits.check_sizes(np.array(['train', 'validation', 'test']), 't') == (
    ()
  )
  (note,) = splits.check_sizes(np.array(['train', 'test']), 't.csv')
  assert "'validation'" in note
  assert 'data.validation_fraction' in note
  (note,) = splits.check_sizes(np.array(['train']), 't.csv')
  assert note.startswith(
    "Warning: No row has the split 'validation' or 'test'. "
  )
  with pytest.raises(
    ValueError, match=r't\.csv: no row .*\(1 rows, 0 of'
  ) as no:
    splits.check_sizes(np.array(['test']), 't.csv')
  assert 'Mend the paths' not in str(no.value)
  with pytest.raises(ValueError, match=r'1 of them dropped\)\. Mend the paths'):
    splits.check_sizes(np.array(['test', 'dropped']), 't.csv')


def test_check_groups():
  split = np.array(['train', 'test', 'train', 'dropped', 'test', 'dropped'])
  groups = np.array(['a', 'a', 'b', 'b', 'c', 'd'])
  (note,) = splits.check_groups(split, groups)
  assert note.startswith(
    'Warning: 1 of 3 groups have rows in more than one split (a)'
  )
  assert "data.split_column=''" in note
  assert splits.check_groups(split, np.array(list('abcdef'))) == ()
  assert splits.check_groups(split, None) == ()
