"""Targets of several kinds, through all that makes one set of others."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aubal_jax.datasets import annotations
from aubal_jax.datasets import merged
from aubal_jax.datasets import splits
from aubal_jax.datasets import targets
from aubal_jax.datasets import votes
from aubal_jax.runs import errors
from tests.makers import targets as makers

SEEDS = st.integers(0, 2**31)


def sets_of(rng):
  """One to four sets of rows, each with some of three targets."""
  forms = {name: makers.form(name, rng) for name in ('mood', 'va', 'tags')}
  return {
    f'set{k}': makers.annotations_of(
      rng,
      int(rng.integers(1, 9)),
      {
        name: makers.some_names(form, rng)
        for name, form in forms.items()
        if rng.random() < 0.7
      },
    )
    for k in range(rng.integers(1, 5))
  }


@given(SEEDS)
def test_codes_and_numbers_become_targets(seed):
  rng = np.random.default_rng(seed)
  codes = rng.integers(-1, 4, 9)
  one = targets.of_codes(codes, [*'abcd'])
  assert one.values.dtype == np.int16
  np.testing.assert_array_equal(np.where(one.known, one.values, -1), codes)
  numbers = rng.uniform(-2, 3, (9, 2))
  numbers[rng.random((9, 2)) < 0.3] = np.nan
  one = targets.of_numbers(numbers, 'xy', -2, 3)
  assert one.values.dtype == np.float32 and one.names == ('x', 'y')
  np.testing.assert_array_equal(one.known, ~np.isnan(numbers))
  back = np.where(one.known, one.values, np.nan)
  np.testing.assert_allclose(back, numbers.astype(np.float32))


@given(SEEDS)
def test_a_union_has_every_cell_by_its_name_and_no_other(seed):
  rng = np.random.default_rng(seed)
  sets = sets_of(rng)
  both = merged.merge(sets)
  expected = {
    (name, f'{source}/{row}', column): value
    for source, one in sets.items()
    for (name, row, column), value in makers.cells_of(one).items()
  }
  assert makers.cells_of(both) == expected
  data = annotations.to_dataset(both, where='here')
  assert {*data.targets} == {'labels', *both.targets}


@given(SEEDS)
def test_columns_rows_and_splits_leave_targets_as_they_are(seed):
  rng = np.random.default_rng(seed)
  found = makers.annotations_of(
    rng, 40, {name: makers.form(name, rng) for name in ('mood', 'va')}
  )
  taken = annotations.select_labels(found, ('B',), 'here')
  taken = annotations.leave_out(taken, (), 'here')
  assert taken.targets == found.targets
  prints = set()
  for fold in range(3):
    draw = splits.Draw(num_folds=3, fold=fold, stratify=False)
    data = annotations.to_dataset(found, where='here', draw=draw)
    dropped = data.drop({int(rng.integers(40)): 'lost'})
    for name, target in found.targets.items():
      assert dropped.targets[name] is target
      known = target.rows_known & (dropped.split == 'train')
      rows = dropped.rows('train', name)
      np.testing.assert_array_equal(rows, np.flatnonzero(known))
    prints |= {data.fingerprint(), dropped.fingerprint()}
  assert len(prints) == 6


@given(SEEDS)
def test_one_cell_of_a_target_tells_a_table_from_another(seed):
  rng = np.random.default_rng(seed)
  found = makers.annotations_of(rng, 6, {'mood': makers.form('mood', rng)})
  mood = found.targets['mood']
  row = rng.integers(6)
  known = mood.known.copy()
  known[row] ^= True
  values = np.where(known, mood.values, np.int16(0))
  changed = dataclasses.replace(mood, known=known, values=values)
  prints = {
    annotations.to_dataset(
      dataclasses.replace(found, targets={'mood': one}), where='here'
    ).fingerprint()
    for one in (mood, changed)
  }
  assert len(prints) == 2


@given(SEEDS)
def test_rows_of_one_image_pool_what_is_known_of_them(seed):
  rng = np.random.default_rng(seed)
  found = makers.annotations_of(
    rng, 12, {name: makers.form(name, rng) for name in ('mood', 'va', 'tags')}
  )
  ids = rng.choice(['a', 'b', 'c', 'd'], 12)
  pooled = votes.count(dataclasses.replace(found, files=None, ids=ids), 1)
  for row, name in enumerate(pooled.ids):
    mine = ids == name
    for key, target in found.targets.items():
      one = pooled.targets[key]
      if target.kind == 'class':
        said = target.values[mine & target.known]
        assert one.known[row] == bool(len(said))
        if len(said):
          counts = np.bincount(said)
          assert one.values[row] == np.flatnonzero(counts == counts.max())[0]
        continue
      for k in range(len(target.names)):
        said = target.values[mine & target.known[:, k], k]
        assert one.known[row, k] == bool(len(said))
        if len(said):
          whole = said.mean() if target.kind == 'real' else said.any()
          np.testing.assert_allclose(one.values[row, k], whole, atol=1e-6)


@pytest.mark.parametrize(
  ('first', 'second'),
  [
    (makers.numbers(0, 1), makers.numbers(0, 2)),
    (makers.numbers(0, 1), makers.numbers(-1, 1)),
    (makers.numbers(0, 1), makers.classes('ab')),
  ],
)
def test_one_name_in_two_forms_is_refused(first, second):
  rng = np.random.default_rng(0)
  sets = {
    name: makers.annotations_of(rng, 3, {'age': form})
    for name, form in (('one', first), ('two', second))
  }
  with pytest.raises(errors.UserError, match=r'one and two .*two forms.*Give'):
    merged.merge(sets)


@pytest.mark.parametrize('names', [(), ('only',)])
def test_a_target_of_one_class_is_refused(names):
  with pytest.raises(errors.UserError, match='2 to 32,767 classes'):
    targets.of_codes(np.full(3, -1), names)


@given(SEEDS)
def test_what_cannot_be_learnt_is_told(seed):
  rng = np.random.default_rng(seed)
  split = rng.permutation(['train'] * 6 + ['validation'] * 3 + ['test'] * 3)
  codes = np.where(split == 'train', rng.integers(0, 2, 12), 2)
  numbers = np.where(split == 'train', 0.5, rng.uniform(-1, 1, 12))
  silent = rng.random() < 0.5
  found = dataclasses.replace(
    makers.annotations_of(rng, 12, {}),
    split=split,
    known=np.zeros((12, 2), bool),
    labels=np.zeros((12, 2), np.uint8),
    targets={
      'mood': targets.of_codes(np.where(silent, -1, codes), [*'abc']),
      'pain': targets.of_numbers(numbers[:, None], ['pain'], -1, 1),
    },
  )
  notes = annotations.to_dataset(found, where='here').notes
  told = ' '.join(notes)
  assert "Warning: 'pain' of the target 'pain' is 0.5 in every row" in told
  unseen = "'c' of the target 'mood' never trains" in told
  nothing = "the target 'mood' is known in no row in use" in told
  assert (unseen, nothing) == (not silent, silent)
  assert 'known to no target' not in told
  pain = targets.of_numbers(np.full((12, 1), np.nan), ['pain'], -1, 1)
  found = dataclasses.replace(found, targets={'pain': pain})
  notes = annotations.to_dataset(found, where='here').notes
  assert notes[-1].startswith('12 of 12 rows are known to no target')
