"""The rows to keep: against all choices, and every promise of `keep`."""

import itertools
import os
import pathlib

import numpy as np
import pytest

from aubal_jax.balancing import cover
from aubal_jax.balancing import keeping
from aubal_jax.runs import errors
from aubal_jax.tables import labelsets as labelsets_lib

# All of these are in every table that is solved, so that one program serves.
PATTERNS = np.array([*itertools.product((0, 1), repeat=3)], np.uint8)


def table_of(patterns, counts, rng):
  """Rows of these labelsets, in a drawn order."""
  return rng.permutation(np.repeat(patterns, counts, axis=0))


def with_empty(labels):
  return np.column_stack([labels, ~labels.any(axis=1)]).astype(np.int64)


def least(counts, share):
  """floor(share / 2 n), in whole numbers: share is a multiple of 1 / 1000."""
  return counts * round(1000 * share) // 2000


@pytest.mark.parametrize('seed', range(8))
def test_keeps_every_promise(seed):
  rng = np.random.default_rng(seed)
  counts = 1 + rng.integers(0, rng.choice([2, 30, 400], 8))
  labels = table_of(PATTERNS, counts, rng)
  share = rng.integers(80, 1001) / 1000
  plan, solution = keeping.keep(labels, share, seed=seed)
  assert len(plan) == round(share * len(labels)) == solution.images_after
  assert not plan.augment.any()
  assert (np.diff(plan.source) > 0).all()  # Each once, in their order.
  assert solution.gap < 1e-6
  assert with_empty(labels[plan.source]).sum(axis=0).min() > 0
  found = labelsets_lib.find_labelsets(labels)
  kept = np.bincount(found.index[plan.source], minlength=8)
  np.testing.assert_array_equal(kept, solution.counts)
  assert (kept <= found.counts).all()
  if share < 1:
    assert (kept >= least(found.counts, share)).all()
  np.testing.assert_array_equal(
    solution.class_counts_after, labels[plan.source].sum(axis=0)
  )
  again, _ = keeping.keep(labels, share, seed=seed)
  assert again == plan


def test_all_rows_and_all_but_one_are_shares():
  for seed in range(4):
    rng = np.random.default_rng(seed)
    labels = table_of(PATTERNS, rng.integers(2, 20, 8), rng)
    num_rows = len(labels)
    for share, left_out in ((1.0, 0), (1, 0), (1 - 1 / num_rows, 1)):
      plan, solution = keeping.keep(labels, share)
      assert len(plan) == num_rows - left_out
      assert solution.gap < 1e-6


@pytest.mark.parametrize('seed', range(6))
def test_no_choice_of_rows_is_below_the_bound(seed):
  rng = np.random.default_rng(seed)
  counts = rng.integers(1, 5, 8)
  labels = table_of(PATTERNS, counts, rng)
  found = labelsets_lib.find_labelsets(labels)
  share = rng.integers(300, 900) / 1000
  _, solution = keeping.keep(labels, share)
  whole = with_empty(found.patterns)
  scale = (whole.T @ found.counts).mean()

  low = least(found.counts, share)
  boxes = [np.arange(a, b + 1) for a, b in zip(low, found.counts, strict=True)]
  choices = np.stack(np.meshgrid(*boxes), axis=-1).reshape(-1, 8)
  choices = choices[choices.sum(axis=1) == round(share * len(labels))]
  with np.errstate(divide='ignore'):
    level = -scale * np.log(choices @ whole).sum(axis=1)
  growth = np.var(choices / found.counts, axis=1)
  best = (level + solution.lam_effective * growth).min()
  assert solution.lower_bound <= best + 1e-9
  assert solution.rounded_value == pytest.approx(best, rel=1e-9)


def fewest(patterns, least_counts):
  """The fewest rows with every label, of all choices of labelsets."""
  lacking = patterns.T @ least_counts == 0
  for number in range(len(patterns) + 1):
    for chosen in itertools.combinations(range(len(patterns)), number):
      if patterns[[*chosen]].any(axis=0)[lacking].all():
        return number
  raise AssertionError('A label has no labelset.')


@pytest.mark.parametrize('seed', range(30))
def test_cover_is_near_the_fewest(seed):
  from scipy import sparse

  rng = np.random.default_rng(seed)
  patterns = np.unique(rng.random((9, 6)) < 0.3, axis=0).astype(np.int64)
  patterns = patterns[:, patterns.any(axis=0)]
  low = (rng.random(len(patterns)) < 0.15).astype(np.int64)
  csr = sparse.csr_array(patterns)
  counts = cover.least_counts(csr, low, np.maximum(low, 1))
  assert (patterns.T @ counts > 0).all()
  bound = sum(1 / k for k in range(1, patterns.sum(axis=1).max() + 1))
  assert fewest(patterns, low) <= (counts - low).sum()
  assert (counts - low).sum() <= bound * fewest(patterns, low)


@pytest.mark.parametrize('seed', range(12))
def test_a_share_too_small_is_told_with_the_least_that_works(seed):
  rng = np.random.default_rng(seed)
  wide = np.array([*itertools.product((0, 1), repeat=5)], np.uint8)
  counts = np.where(np.arange(32) < 2, rng.integers(50, 900), 0)
  counts[rng.choice(np.arange(2, 32), 8, replace=False)] = 1
  labels = table_of(wide, counts, rng)
  labels = labels[:, labels.any(axis=0)]
  names = [f'AU{k}' for k in range(labels.shape[1])]
  found = labelsets_lib.find_labelsets(labels)
  share = 1.2 / len(labels)
  with pytest.raises(errors.UserError, match='least share that works') as told:
    keeping.keep(labels, share, label_names=names)
  assert any(repr(name) in str(told.value) for name in [*names, 'no label'])
  least_share = float(str(told.value).split()[-1].rstrip('.'))

  def check(share):
    from scipy import sparse

    whole = sparse.csr_array(with_empty(found.patterns))
    keeping._check_share(whole, found.counts, share, names)

  check(least_share)
  fewer = round(least_share * len(labels)) - 1
  with pytest.raises(errors.UserError):
    check((fewer - 0.01 * fewer) / len(labels))


def test_few_rows_keep_rare_labels():
  """Whole counts, where the growth of many rare labelsets is far below one."""
  rng = np.random.default_rng(5)
  for _ in range(4):
    counts = np.append([300, 200, 100], rng.integers(1, 3, 5))
    labels = table_of(PATTERNS, rng.permutation(counts), rng)
    for rows in (4, 5, 6):
      plan, _ = keeping.keep(labels, rows / len(labels))
      assert len(plan) == rows
      assert with_empty(labels[plan.source]).sum(axis=0).min() > 0


@pytest.mark.parametrize(
  'share', [0, -0.1, 1.01, float('nan'), None, 'a', True, 1e-9]
)
def test_shares_that_are_none_are_told(share):
  with pytest.raises(errors.UserError, match=r'^share must'):
    keeping.keep([[1, 0], [0, 1], [0, 0]], share)


@pytest.mark.parametrize(
  ('given', 'words'),
  [
    ({'groups': [1, 2]}, 'groups must name'),
    ({'groups': [[1], [2], [3]]}, 'groups must name'),
    ({'frames': [1, 2]}, 'frames must be'),
    ({'frames': [1, 2, float('nan')]}, 'frames must be'),
    ({'frames': ['a', 'b', 'c']}, 'frames must be'),
    ({'seed': -1}, 'seed must'),
    ({'rows': [1]}, 'rows must'),
  ],
)
def test_what_is_given_beside_the_labels_is_checked(given, words):
  with pytest.raises(errors.UserError, match=words):
    keeping.keep([[1, 0], [0, 1], [1, 1]], 1.0, **given)


def test_one_group_is_told():
  labels = table_of(PATTERNS, np.full(8, 3), np.random.default_rng(0))
  with pytest.warns(UserWarning, match='one group'):
    keeping.keep(labels, 0.5, groups=['a'] * len(labels))


@pytest.mark.long
@pytest.mark.parametrize('share', [0.1, 0.25])
@pytest.mark.parametrize('name', ['birds', 'enron', 'yeast', 'rfmid', 'coco80'])
def test_sets_that_are_there(name, share):
  path = pathlib.Path(os.environ.get('AUBAL_LABEL_FILES', ''), f'{name}.npz')
  if not path.exists():
    pytest.skip(
      f'NOT CHECKED: set AUBAL_LABEL_FILES to a folder with {name}.npz (labels)'
    )
  labels = np.load(path)['labels']
  plan, solution = keeping.keep(labels, share)
  assert len(plan) == round(share * len(labels))
  assert solution.gap < 1e-6
  assert solution.class_counts_after[solution.class_counts_before > 0].min() > 0
