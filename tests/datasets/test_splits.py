import dataclasses

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aubal_jax.datasets import splits
from aubal_jax.tables.files import any_table

HALVES = splits.Draw(0.25, 0.25, stratify=False)


def none(num_rows):
  """Labels of which no row has any."""
  return np.zeros((num_rows, 2), np.uint8)


def read(folder, *cells):
  path = folder / 't.csv'
  path.write_text('\n'.join(['part,x', *(f'{cell},0' for cell in cells)]))
  return any_table.read(path)


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


@st.composite
def cases(draw):
  """Draws rows with labels, maybe with groups, and how to split them."""
  rows = draw(
    st.lists(
      st.tuples(
        st.sampled_from('abcdefghij'),
        st.lists(st.integers(0, 1), min_size=3, max_size=3),
      ),
      min_size=1,
      max_size=60,
    )
  )
  names, labels = zip(*rows, strict=True)
  return (
    np.array(labels, np.uint8),
    np.array(names) if draw(st.booleans()) else None,
    draw(st.booleans()),
    draw(st.integers(0, 9)),
  )


@hypothesis.settings(deadline=None)
@hypothesis.given(cases(), st.floats(0, 0.45), st.floats(0, 0.45))
def test_draw_takes_exact_shares_of_whole_groups(case, validation, test):
  labels, groups, stratify, seed = case
  names = np.arange(len(labels)) if groups is None else groups
  num_groups = len(set(names.tolist()))
  sizes = [max(round(num_groups * f), f > 0) for f in (validation, test)]
  hypothesis.assume(sum(sizes) < num_groups)
  settings = splits.Draw(validation, test, stratify=stratify, seed=seed)
  split = splits.draw(labels, groups, settings)
  held = [set(split[names == name]) for name in set(names.tolist())]
  assert all(len(found) == 1 for found in held)
  held = [next(iter(found)) for found in held]
  assert [held.count('validation'), held.count('test')] == sizes
  assert held.count('train') == num_groups - sum(sizes)
  np.testing.assert_array_equal(splits.draw(labels, groups, settings), split)
  if groups is not None:
    order = np.random.default_rng(seed).permutation(len(labels))
    again = splits.draw(labels[order], groups[order], settings)
    np.testing.assert_array_equal(again, split[order])


@hypothesis.settings(deadline=None)
@hypothesis.given(cases(), st.integers(2, 6), st.floats(0, 0.45))
def test_every_group_is_in_one_test_fold(case, num_folds, validation):
  labels, groups, stratify, seed = case
  names = np.arange(len(labels)) if groups is None else groups
  num_groups = len(set(names.tolist()))
  hypothesis.assume(num_groups >= max(num_folds, 4))
  tested = np.zeros(len(labels), int)
  for fold in range(num_folds):
    settings = splits.Draw(
      validation, 0.15, num_folds, fold, stratify=stratify, seed=seed
    )
    split = splits.draw(labels, groups, settings)
    parts = {
      name: set(names[split == name].tolist()) for name in set(split.tolist())
    }
    assert sum(map(len, parts.values())) == num_groups  # None crosses.
    tested += split == 'test'
    num_test = len(parts['test'])
    assert num_test - num_groups // num_folds in (0, 1)
    rest = num_groups - num_test
    expected = max(round(rest * validation), validation > 0)
    assert len(parts.get('validation', ())) == expected
  assert (tested == 1).all()


@pytest.mark.parametrize('groups', [None, np.arange(5).astype(str)])
def test_too_few_for_the_folds(groups):
  with pytest.raises(ValueError, match=r'^5 .* in data\.num_folds=6 folds\. L'):
    splits.draw(none(5), groups, splits.Draw(num_folds=6))
  message = r'2 \w+ that are not in the fold cannot be split: 2 for validation'
  with pytest.raises(ValueError, match=message):
    splits.draw(none(5), groups, splits.Draw(0.9, 0, num_folds=2))


@pytest.mark.parametrize(('num_folds', 'fold'), [(1, 0), (5, 5), (5, -1)])
def test_folds_out_of_range(num_folds, fold):
  with pytest.raises(ValueError, match=rf'data\.num_folds .*{num_folds} and'):
    splits.Draw(num_folds=num_folds, fold=fold)


def test_note_says_how_it_was_drawn():
  assert splits.Draw(seed=3).note(True) == (
    'No split column: drew validation and test by group, evenly in the '
    'labels, with seed 3.'
  )
  assert splits.Draw(num_folds=5, fold=2, stratify=False).note(False) == (
    'No split column: drew validation, and fold 2 of 5 as test by row, with '
    'seed 0.'
  )
  of_a_set = splits.Draw().note(True, by_column=False)
  assert of_a_set.startswith('No official split: drew validation')


def test_the_plain_draw_stays_as_it_was():
  """Runs that were split by it must find the same rows again."""
  split = splits.draw(none(8), None, HALVES)
  order = np.random.default_rng(0).permutation(8)
  assert set(split[order[:2]].tolist()) == {'validation'}
  assert set(split[order[2:4]].tolist()) == {'test'}
  assert set(split[order[4:]].tolist()) == {'train'}


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


def test_sets_without_a_split_column_are_not_told_of_one():
  split = np.array(['train', 'validation'])
  assert splits.check_sizes(split, 't', by_column=False) == ()
  (note,) = splits.check_sizes(split[:1], 't', by_column=False)
  assert note == "Warning: No row has the split 'validation' or 'test'."
  with pytest.raises(ValueError, match=r'0 of them dropped\)\.$'):
    splits.check_sizes(split[1:], 't', by_column=False)
  groups = np.array(['a', 'a'])
  (note,) = splits.check_groups(split, groups, by_column=False)
  assert note.endswith('scores on them flatter.')
