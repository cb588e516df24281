"""Rows of a trial are fair and the same for all; scores are scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics as sk_metrics

from aubal_jax.datasets import dataset
from aubal_jax.datasets.drawn import synthetic
from aubal_jax.experiments.compare import thirds
from aubal_jax.experiments.compare import trials
from aubal_jax.scoring import thresholds
from aubal_jax.tables import plan as plan_lib


def table(labels, known=None, groups=None, dropped=()):
  labels = np.asarray(labels, np.uint8)
  known = np.ones(labels.shape, bool) if known is None else known
  split = np.full(len(labels), 'train', '<U10')
  split[list(dropped)] = dataset.DROPPED
  return dataset.Dataset(
    labels * known,
    known,
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
  found = trials.draw(data, repeats=2, num_folds=num_folds)
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
  for split in trials.draw(data, repeats=2):
    for rows, share in zip(parts(split), (0.4, 0.1, 0.5), strict=True):
      expected = share * data.labels.sum(axis=0)
      assert np.abs(data.labels[rows].sum(axis=0) - expected).max() < 4


def test_equal_tables_have_equal_splits():
  first, second = (synthetic.load_table(num_rows=80) for _ in range(2))
  one, two = (
    trials.draw(first, repeats=1),
    trials.draw(second, repeats=3),
  )
  for a, b in zip(one, two[:2], strict=True):
    for x, y in zip(parts(a), parts(b), strict=True):
      np.testing.assert_array_equal(x, y)


def test_groups_stay_together():
  rng = np.random.default_rng(0)
  groups = np.array([f's{k}' for k in rng.integers(0, 20, 200)])
  data = table(rng.integers(0, 2, (200, 3)), groups=groups)
  for split in trials.draw(data, repeats=2):
    sides = [set(groups[part].tolist()) for part in parts(split)]
    assert len(set.union(*sides)) == sum(map(len, sides)) == 20
    assert len(sides[2]) == 10
    assert len(sides[1]) == 2


@pytest.mark.parametrize('grouped', [False, True])
def test_dropped_rows_have_no_part(grouped):
  labels = np.random.default_rng(0).integers(0, 2, (60, 3))
  groups = np.repeat(np.arange(30), 2).astype(str) if grouped else None
  dropped = [0, 7, 8, 59]
  data = table(labels, groups=groups, dropped=dropped)
  for split in trials.draw(data, repeats=1):
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
    trials.draw(table(np.ones((num_rows, 2))), **options)


def test_too_few_groups():
  data = table(
    np.ones((40, 2)), groups=np.repeat(['a', 'b', 'c'], [20, 10, 10])
  )
  with pytest.raises(ValueError, match='3 groups are too few'):
    trials.draw(data)


def split_of(sizes):
  ends = np.cumsum(sizes)
  return trials.Split(0, 0, *np.split(np.arange(ends[-1]), ends[:-1]))


def test_scores_are_those_of_scikit_learn():
  rng = np.random.default_rng(0)
  labels = rng.random((200, 4)) < [0.5, 0.3, 0.2, 0.1]
  split = split_of([80, 40, 80])
  probability = np.clip(rng.normal(0.3, 0.2, (200, 4)) + 0.2 * labels, 0, 1)
  found = trials.score(
    table(labels), split, probability[split.validation], probability[split.test]
  )
  assert {*found['scores']} == {*trials.TITLES}
  truth, p = labels[split.test], probability[split.test]
  # The best threshold of F1 on validation, found by trying all scores.
  held, q = labels[split.validation], probability[split.validation]
  shrunk = thresholds.find(q, held).shrunk
  said = {'': p >= 0.5, '_tuned': np.zeros_like(truth), '_shrunk': p >= shrunk}
  for k in range(4):
    best = max(
      q[:, k], key=lambda t: sk_metrics.f1_score(held[:, k], q[:, k] >= t)
    )
    below = q[:, k][q[:, k] < best].max(initial=0)
    said['_tuned'][:, k] = p[:, k] >= (best + below) / 2
  for suffix, decided in said.items():
    for average in ('macro', 'micro'):
      assert found['scores'][f'f1_{average}{suffix}'] == pytest.approx(
        sk_metrics.f1_score(truth, decided, average=average)
      )
    f1 = sk_metrics.f1_score(truth, decided, average=None)
    assert found[f'f1_per_label{suffix}'] == pytest.approx(f1)
    awc = (f1.mean() + (truth == decided).mean()) / 2
    assert found['scores'][f'awc{suffix}'] == pytest.approx(awc)
  assert found['scores']['auc_macro'] == pytest.approx(
    sk_metrics.roc_auc_score(truth, p, average='macro')
  )
  assert found['scores']['map'] == pytest.approx(
    sk_metrics.average_precision_score(truth, p, average='macro')
  )
  assert found['frequency'] == pytest.approx(labels[split.train].mean(axis=0))


def test_rare_labels_are_a_third_by_their_count_before_resampling():
  rng = np.random.default_rng(0)
  for num in rng.permutation(np.arange(1, 12)):
    share = rng.uniform(0.03, 0.5, num)
    labels = rng.random((200, num)) < share
    known = rng.random(labels.shape) < 0.9
    split = split_of([80, 40, 80])
    p = np.clip(rng.normal(0.3, 0.2, (200, num)) + 0.2 * labels, 0, 1)
    found = trials.score(
      table(labels, known), split, p[split.validation], p[split.test]
    )
    counts = (labels & known)[split.train].sum(axis=0)
    ranks = sorted(range(num), key=lambda k: (counts[k], k))
    truth, q, k = (x[split.test] for x in (labels, p, known))
    ap = [
      sk_metrics.average_precision_score(truth[k[:, i], i], q[k[:, i], i])
      if truth[k[:, i], i].any()
      else None
      for i in range(num)
    ]
    sizes = [len(x) for x in np.array_split(ranks, 3)]
    ends = np.cumsum([0, *sizes]) if num > 2 else None
    for i, part in enumerate(thirds.PARTS):
      mine = ranks if ends is None else ranks[ends[i] : ends[i + 1]]
      for name, each in (
        (f'ap_{part}', ap),
        (f'f1_{part}_tuned', found['f1_per_label_tuned']),
      ):
        each = [each[k] for k in mine if each[k] is not None]
        expected = pytest.approx(np.mean(each)) if each else None
        assert found['scores'][name] == expected


def test_what_is_undefined_is_none():
  # Label 0 has no positive in the test rows, label 1 no known training label.
  labels = np.array([[1, 0], [0, 0], [1, 1], [0, 0], [0, 1], [0, 0]])
  known = np.ones((6, 2), bool)
  known[:2, 1] = False
  half = np.full((2, 2), 0.5)
  found = trials.score(table(labels, known), split_of([2, 2, 2]), half, half)
  assert found['f1_per_label'] == [None, pytest.approx(2 / 3)]
  assert found['f1_per_label_tuned'][0] is None
  assert found['f1_per_label_shrunk'][0] is None
  assert found['frequency'] == [0.5, None]
  assert found['scores']['auc_macro'] == 0.5
  labels[:] = 0
  found = trials.score(table(labels), split_of([2, 2, 2]), half, half)
  assert found['scores']['auc_macro'] is found['scores']['map'] is None
  assert found['scores']['f1_macro'] == 0


def test_unknown_labels_do_not_count():
  rng = np.random.default_rng(1)
  labels = rng.integers(0, 2, (60, 2))
  known = rng.random((60, 2)) < 0.7
  probability = rng.random((60, 2))
  split = split_of([20, 20, 20])

  def found(p):
    return trials.score(
      table(labels, known), split, p[split.validation], p[split.test]
    )

  assert found(probability) == found(np.where(known, probability, np.nan))


def test_a_plan_is_described_by_its_rows():
  labels = np.array([[1, 0], [1, 0], [1, 1], [0, 0]], np.uint8)
  plan = plan_lib.spread(np.zeros(4, int), [4])
  assert trials.describe(plan, labels) == {
    'rows': 4,
    'mean_ir': 2.0,
    # IRLbl is 1 and 3: sd 2 ** .5, mean 2.
    'cvir': pytest.approx(0.5**0.5),
    # One of four rows has both: 1 - 3 ** .5 / 2.
    'scumble': pytest.approx((1 - 3**0.5 / 2) / 4),
  }
  own = plan_lib.with_added(4, [2], labels=np.ones((5, 2), np.uint8))
  assert trials.describe(own, labels)['mean_ir'] == 1
  none = trials.describe(plan, np.zeros((4, 2), np.uint8))
  assert none['mean_ir'] is none['cvir'] is None
