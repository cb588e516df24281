import numpy as np
import pytest

from aubal_jax.datasets import dataset
from aubal_jax.datasets.drawn import synthetic
from aubal_jax.experiments.compare import folds


def table(labels, groups=None, dropped=()):
  labels = np.asarray(labels, np.uint8)
  split = np.full(len(labels), 'train', '<U10')
  split[list(dropped)] = dataset.DROPPED
  return dataset.Dataset(
    labels,
    np.ones(labels.shape, bool),
    tuple(map(str, range(labels.shape[1]))),
    split,
    np.arange(len(labels)).astype(str),
    groups,
  )


def parts(split):
  return split.train, split.validation, split.test


@pytest.mark.parametrize('num_folds', [2, 3])
def test_every_row_is_tested_once_in_each_repeat(num_folds):
  data = synthetic.load_table(num_rows=101)
  found = folds.draw(data, repeats=2, num_folds=num_folds)
  assert [(s.repeat, s.fold) for s in found] == [
    (r, f) for r in range(2) for f in range(num_folds)
  ]
  for split in found:
    rows = np.concatenate(parts(split))
    assert np.array_equal(np.sort(rows), np.arange(101))
    assert all((np.diff(part) > 0).all() for part in parts(split))
    assert len(split.validation) == round(0.2 * (101 - len(split.test)))
  for repeat in range(2):
    tested = [s.test for s in found if s.repeat == repeat]
    assert np.array_equal(np.sort(np.concatenate(tested)), np.arange(101))
  first, second = found[0], found[num_folds]
  assert not np.array_equal(first.test, second.test)


def test_labels_are_even_in_all_parts():
  data = synthetic.load_table(num_rows=600)
  for split in folds.draw(data, repeats=2):
    for rows, share in zip(parts(split), (0.4, 0.1, 0.5), strict=True):
      expected = share * data.labels.sum(axis=0)
      assert np.abs(data.labels[rows].sum(axis=0) - expected).max() < 4


def test_equal_tables_have_equal_splits():
  first, second = (synthetic.load_table(num_rows=80) for _ in range(2))
  one, two = folds.draw(first, repeats=1), folds.draw(second, repeats=3)
  for a, b in zip(one, two[:2], strict=True):
    for x, y in zip(parts(a), parts(b), strict=True):
      np.testing.assert_array_equal(x, y)


def test_groups_stay_together():
  rng = np.random.default_rng(0)
  groups = np.array([f's{k}' for k in rng.integers(0, 20, 200)])
  data = table(rng.integers(0, 2, (200, 3)), groups)
  for split in folds.draw(data, repeats=2):
    sides = [set(groups[part].tolist()) for part in parts(split)]
    assert len(set.union(*sides)) == sum(map(len, sides)) == 20
    assert len(sides[2]) == 10
    assert len(sides[1]) == 2


@pytest.mark.parametrize('grouped', [False, True])
def test_dropped_rows_have_no_part(grouped):
  labels = np.random.default_rng(0).integers(0, 2, (60, 3))
  groups = np.repeat(np.arange(30), 2).astype(str) if grouped else None
  dropped = [0, 7, 8, 59]
  for split in folds.draw(table(labels, groups, dropped), repeats=1):
    rows = np.sort(np.concatenate(parts(split)))
    assert np.array_equal(rows, np.setdiff1d(np.arange(60), dropped))


@pytest.mark.parametrize(
  ('num_rows', 'options', 'message'),
  [
    (9, {'repeats': 0}, r'compare\.repeats must be at least 1 .* 0 and 2'),
    (9, {'num_folds': 1}, r'compare\.folds at least 2; they are 5 and 1'),
    (3, {}, r'3 rows are too few for compare\.folds=2: .*Give more rows'),
    (9, {'num_folds': 10}, r'9 rows are too few for compare\.folds=10'),
  ],
)
def test_what_cannot_be_drawn(num_rows, options, message):
  with pytest.raises(ValueError, match=message):
    folds.draw(table(np.ones((num_rows, 2))), **options)


def test_too_few_groups():
  data = table(np.ones((40, 2)), np.repeat(['a', 'b', 'c'], [20, 10, 10]))
  with pytest.raises(ValueError, match='3 groups are too few'):
    folds.draw(data)
