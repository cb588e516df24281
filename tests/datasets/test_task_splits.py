"""Splits of several tasks that contradict each other."""

import csv
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aubal_jax.datasets import annotations
from aubal_jax.datasets import merged
from aubal_jax.datasets import splits
from aubal_jax.datasets import task_splits
from aubal_jax.runs import errors
from aubal_jax.stages import rows as rows_lib
from tests.makers import targets as makers

SEEDS = st.integers(0, 2**31)
NAMES = ('labels', 'mood', 'va')
EVERY = ('train', 'validation', 'test', 'dropped')


def drawn(rng, size=30):
  """Groups and the split of each in each of three tasks."""
  groups = rng.integers(0, 8, size).astype(str)
  return groups, {
    name: rng.choice(EVERY, 8, p=(0.4, 0.2, 0.1, 0.3))[groups.astype(int)]
    for name in NAMES
  }


@given(SEEDS)
def test_each_row_keeps_its_split_or_loses_it_to_another_task(seed):
  rng = np.random.default_rng(seed)
  groups, own = drawn(rng)
  roles = {
    g: {s for name in NAMES for s in own[name][groups == g]} for g in {*groups}
  }
  for overlap, lost, other in (
    ('keep', '', ''),
    ('drop_train', 'train', 'validation'),
    ('drop_validation', 'validation', 'train'),
  ):
    expected = {
      name: [
        'dropped' if split == lost and other in roles[group] else split
        for group, split in zip(groups, own[name], strict=True)
      ]
      for name in NAMES
    }
    bare = [
      (name, split)
      for name in NAMES
      for split in ('train', 'validation')
      if split in own[name] and split not in expected[name]
    ]
    if bare:
      name, _ = bare[0]
      message = (
        rf'overlap=.{overlap}.*target .{name}. no row of the split .*keep'
      )
      with pytest.raises(errors.UserError, match=message):
        task_splits.resolve(own, groups, overlap)
      continue
    left, notes = task_splits.resolve(own, groups, overlap)
    assert {name: found.tolist() for name, found in left.items()} == expected
    mixed = any({'train', 'validation'} <= role for role in roles.values())
    assert len(notes) == mixed + (overlap != 'keep')


@given(SEEDS)
def test_counts_are_told(seed):
  rng = np.random.default_rng(seed)
  groups, own = drawn(rng)
  _, notes = task_splits.resolve(own, groups, 'keep')
  told = ' '.join(notes)
  train = {name: {*groups[own[name] == 'train']} for name in NAMES}
  for name in NAMES:
    mine = {*groups[own[name] == 'validation']}
    others = [
      f'{len(mine & train[o])} train {o}' for o in NAMES if mine & train[o]
    ]
    clean = len(mine - set.union(*train.values()))
    said = f'Of {len(mine)} groups that validate {name}, {", ".join(others)}'
    assert (f'{said}; {clean} are clean.' in told) == bool(others)


@given(SEEDS)
def test_a_row_is_of_the_first_task_that_has_it(seed):
  rng = np.random.default_rng(seed)
  groups, own = drawn(rng)
  first = task_splits.first_of(own)
  for row in range(len(groups)):
    said = [own[name][row] for name in NAMES if own[name][row] != 'dropped']
    assert first[row] == (said or ['dropped'])[0]


def rows_of(rng, size, **others):
  """Rows with three targets."""
  forms = {name: makers.form(name, rng) for name in NAMES[1:]}
  return dataclasses.replace(makers.annotations_of(rng, size, forms), **others)


@given(SEEDS)
def test_a_union_with_a_set_of_one_split_has_splits_of_each_task(seed):
  rng = np.random.default_rng(seed)
  groups, own = drawn(rng)
  first = task_splits.first_of(own)
  sets = {
    'one': rows_of(rng, 30, groups=groups, splits=own, split=first),
    'two': rows_of(rng, 5, split=np.full(5, 'train', splits.DTYPE)),
  }
  del sets['two'].targets['va']
  data = annotations.to_dataset(merged.merge(sets), where='here')
  assert data.split_of('labels').tolist() == [*own['labels'], *['train'] * 5]
  assert data.split_of('mood').tolist() == [*own['mood'], *['train'] * 5]
  assert data.split_of('va').tolist() == [*own['va'], *['dropped'] * 5]
  assert data.split.tolist() == [*first, *['train'] * 5]
  lost = data.reasons == task_splits.REASON
  np.testing.assert_array_equal(lost, data.split == 'dropped')
  less = data.drop({0: 'lost'})
  for name in NAMES:
    for split in EVERY[:3]:
      mine = less.split_of(name) == split
      rows = np.flatnonzero(mine & less.targets[name].rows_known)
      np.testing.assert_array_equal(less.rows(split, name), rows)
    assert less.split_of(name)[0] == 'dropped'
  train = {f'one/{g}' for n in NAMES for g in groups[own[n] == 'train']}
  train |= {f'two/{k}' for k in range(5)}
  np.testing.assert_array_equal(data.clean(), ~np.isin(data.groups, [*train]))
  other = {**data.splits, 'va': data.splits['va'].copy()}
  other['va'][7] = 'test' if other['va'][7] != 'test' else 'train'
  changed = dataclasses.replace(data, splits=other)
  assert changed.fingerprint() != data.fingerprint()


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'none': np.full(9, 'train')}, r"of targets.*'none'"),
    ({'mood': np.full(8, 'train')}, r"shape \[9\]; that of 'mood' has \[8\]"),
    ({'mood': np.full(9, 'val')}, r"split of 'mood' must be .*'val'"),
  ],
)
def test_splits_of_no_target_are_refused(changes, message):
  data = annotations.to_dataset(rows_of(np.random.default_rng(0), 9), where='x')
  with pytest.raises(errors.UserError, match=message):
    dataclasses.replace(data, splits=changes)


@given(SEEDS)
def test_rows_csv_has_the_split_of_each_task(tmp_path_factory, seed):
  rng = np.random.default_rng(seed)
  groups, own = drawn(rng)
  own['labels'][0] = 'train'
  first = task_splits.first_of(own)
  found = rows_of(rng, 30, groups=groups, splits=own, split=first)
  data = annotations.to_dataset(found, where='here')
  path = tmp_path_factory.mktemp('run') / 'rows.csv'
  rows_lib.write(path, data)
  with open(path, encoding='utf-8', newline='') as file:
    rows = [*csv.DictReader(file)]
  for name in NAMES:
    assert [row[f'split of {name}'] for row in rows] == own[name].tolist()
  clean = [row['clean'] == '1' for row in rows]
  np.testing.assert_array_equal(clean, data.clean())
