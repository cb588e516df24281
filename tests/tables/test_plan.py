import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aubal_jax.tables import plan as plan_lib


@st.composite
def groups_and_counts(draw):
  index = draw(st.lists(st.integers(0, 4), min_size=1, max_size=30))
  sizes = np.bincount(index, minlength=5)
  counts = [draw(st.integers(0, 3 * size)) for size in sizes]
  return np.array(index), np.array(counts)


@hypothesis.given(groups_and_counts(), st.integers(0, 3))
def test_spread_meets_the_counts_evenly(problem, seed):
  index, counts = problem
  plan = plan_lib.spread(index, counts, seed=seed)
  repeats = np.bincount(plan.source, minlength=len(index))
  for s, count in enumerate(counts):
    of_group = repeats[index == s]
    assert of_group.sum() == count
    if of_group.size:
      assert of_group.max() - of_group.min() <= 1
  kept = (~plan.augment).sum()
  assert (np.diff(plan.source[:kept]) > 0).all()
  assert plan.augment[kept:].all()
  assert (repeats[plan.source[:kept]] > 0).all()
  assert kept == (repeats > 0).sum()
  assert (plan.partner == -1).all()


def test_rounds_come_one_after_the_other():
  # Group 0 has rows 0 and 1, 5 wanted: each twice, then one drawn again.
  plan = plan_lib.spread([0, 0, 1], [5, 1], rows=np.array([10, 11, 12]))
  assert plan.source[:5].tolist() == [10, 11, 12, 10, 11]
  assert plan.source[5] in (10, 11)
  assert plan.augment.tolist() == [False] * 3 + [True] * 3


def test_who_gets_the_extra_one_is_drawn_from_the_seed():
  extra = {
    plan_lib.spread([0] * 9, [10], seed=seed).source[-1] for seed in range(30)
  }
  assert len(extra) > 3
  one, again = (plan_lib.spread([0] * 9, [13], seed=7) for _ in range(2))
  assert (one.source == again.source).all()


def test_unchanged_and_random():
  rows = np.array([3, 5, 8])
  plan = plan_lib.unchanged(rows, label_names=('a',))
  assert plan.source.tolist() == [3, 5, 8]
  assert not plan.augment.any()
  plan = plan_lib.random(rows, 3, 5, seed=1)
  assert sorted(np.bincount(plan.source)[rows].tolist()) == [2, 3, 3]
  assert plan.augment.tolist() == [False] * 3 + [True] * 5


def test_random_keeps_and_adds_as_many_as_it_is_told():
  plan = plan_lib.random(np.arange(100), 60, 75, seed=2, label_names=('a',))
  assert (~plan.augment).sum() == len(set(plan.source.tolist())) == 60
  assert plan.augment.sum() == 75
  repeats = np.bincount(plan.source)
  assert set(repeats[repeats > 0].tolist()) == {2, 3}
  assert plan.label_names == ('a',)
  assert set(plan.source[:60]) != set(range(60))  # Drawn.


def test_take_copies_and_mixes():
  plan = plan_lib.Plan(
    np.array([0, 1, 1]),
    np.zeros(3, bool),
    np.array([-1, 2, -1]),
    ('a',),
  )
  features = np.array([[0.0, 0.0], [1.0, 10.0], [3.0, 30.0]])
  rows = plan.take(features, np.random.default_rng(0))
  np.testing.assert_array_equal(rows[[0, 2]], features[[0, 1]])
  share = (rows[1] - [1.0, 10.0]) / [2.0, 20.0]
  assert ((share >= 0) & (share < 1)).all()
  assert share[0] != share[1]
  again = plan.take(features, np.random.default_rng(0))
  np.testing.assert_array_equal(rows, again)


@pytest.mark.parametrize('share', [None, np.array([0.5, 0.25])])
def test_a_share_of_the_plan_is_that_of_all_features(share):
  # Rows of two axes, and none drawn where the plan has shares.
  plan = plan_lib.with_added(3, [0, 1], partner=np.array([2, -1]), share=share)
  features = np.array([[[0, 0]], [[1, 10]], [[4, 40]]], np.uint8)
  rows = plan.take(features, np.random.default_rng(0))
  np.testing.assert_array_equal(rows[[0, 1, 2, 4]], features[[0, 1, 2, 1]])
  if share is None:
    assert plan.share is None
    assert rows[3, 0, 0] / 4 != rows[3, 0, 1] / 40
  else:
    np.testing.assert_array_equal(plan.share, [0, 0, 0, 0.5, 0.25])
    np.testing.assert_array_equal(rows[3], [[2, 20]])


def test_rows_are_added_after_all_others():
  labels = np.arange(8).reshape(4, 2) % 2
  plan = plan_lib.with_added(3, [1], labels=labels)
  assert plan.source.tolist() == [0, 1, 2, 1]
  assert plan.augment.tolist() == [False] * 3 + [True]
  assert plan.partner.tolist() == [-1] * 4
  np.testing.assert_array_equal(plan.labels, labels)
  assert len(plan_lib.with_added(3, [])) == 3
  with pytest.raises(ValueError, match='labels must have one entry a row: 4'):
    plan_lib.with_added(3, [1], labels=labels[:3])


@pytest.mark.parametrize('labels', [None, np.eye(4, 2, dtype=np.uint8)])
@pytest.mark.parametrize('share', [None, np.arange(4) / 8])
def test_saved_and_loaded(tmp_path, labels, share):
  plan = plan_lib.Plan(
    np.arange(4), np.arange(4) > 2, np.full(4, -1), ('a', 'ü'), labels, share
  )
  plan.save(tmp_path / 'plan.npz')
  found = plan_lib.load(tmp_path / 'plan.npz')
  for name in ('source', 'augment', 'partner'):
    np.testing.assert_array_equal(getattr(found, name), getattr(plan, name))
  assert found.label_names == ('a', 'ü')
  for name, value in (('labels', labels), ('share', share)):
    if value is None:
      assert getattr(found, name) is None
    else:
      np.testing.assert_array_equal(getattr(found, name), value)
  assert [p.name for p in tmp_path.iterdir()] == ['plan.npz']


def test_a_plan_cut_short_is_named(tmp_path):
  path = tmp_path / 'plan.npz'
  plan_lib.unchanged(np.arange(50)).save(path)
  path.write_bytes(path.read_bytes()[:-40])
  with pytest.raises(ValueError, match=r'plan\.npz is not a whole plan'):
    plan_lib.load(path)
  with pytest.raises(FileNotFoundError):
    plan_lib.load(tmp_path / 'none.npz')


def test_bad_arguments_are_named():
  with pytest.raises(ValueError, match='seed must be a whole number'):
    plan_lib.spread([0], [1], seed=-1)
  with pytest.raises(ValueError, match='has 1, and the plan names row 1'):
    plan_lib.unchanged([0, 1]).take([5], np.random.default_rng(0))
  with pytest.raises(ValueError, match='negative'):
    plan_lib.spread([0], [-1])
  with pytest.raises(ValueError, match='group 1'):
    plan_lib.spread([0], [1, 1])
  with pytest.raises(ValueError, match='augment must have one entry'):
    plan_lib.Plan(np.arange(2), np.zeros(1, bool), np.zeros(2, int), ())
