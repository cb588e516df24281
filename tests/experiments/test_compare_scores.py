import numpy as np
import pytest
from sklearn import metrics as sk_metrics

from aubal_jax.datasets import dataset
from aubal_jax.experiments.compare import folds
from aubal_jax.experiments.compare import scores
from aubal_jax.experiments.compare import trials
from aubal_jax.tables import plan as plan_lib


def table(labels, known=None):
  labels = np.asarray(labels, np.uint8)
  known = np.ones(labels.shape, bool) if known is None else known
  return dataset.Dataset(
    labels * known,
    known,
    tuple(map(str, range(labels.shape[1]))),
    np.full(len(labels), 'train'),
    np.arange(len(labels)).astype(str),
  )


def split_of(sizes):
  ends = np.cumsum(sizes)
  return folds.Split(0, 0, *np.split(np.arange(ends[-1]), ends[:-1]))


def test_scores_are_those_of_scikit_learn():
  rng = np.random.default_rng(0)
  labels = rng.random((200, 4)) < [0.5, 0.3, 0.2, 0.1]
  split = split_of([80, 40, 80])
  probability = np.clip(rng.normal(0.3, 0.2, (200, 4)) + 0.2 * labels, 0, 1)
  found = scores.score(
    table(labels), split, probability[split.validation], probability[split.test]
  )
  assert {*found['scores']} == {*trials.SCORES}
  truth, p = labels[split.test], probability[split.test]
  # The best threshold of F1 on validation, found by trying all scores.
  held, q = labels[split.validation], probability[split.validation]
  said = {'': p >= 0.5, '_tuned': np.zeros_like(truth)}
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


def test_what_is_undefined_is_none():
  # Label 0 has no positive in the test rows, label 1 no known training label.
  labels = np.array([[1, 0], [0, 0], [1, 1], [0, 0], [0, 1], [0, 0]])
  known = np.ones((6, 2), bool)
  known[:2, 1] = False
  half = np.full((2, 2), 0.5)
  found = scores.score(table(labels, known), split_of([2, 2, 2]), half, half)
  assert found['f1_per_label'] == [None, pytest.approx(2 / 3)]
  assert found['f1_per_label_tuned'][0] is None
  assert found['frequency'] == [0.5, None]
  assert found['scores']['auc_macro'] == 0.5
  labels[:] = 0
  found = scores.score(table(labels), split_of([2, 2, 2]), half, half)
  assert found['scores']['auc_macro'] is found['scores']['map'] is None
  assert found['scores']['f1_macro'] == 0


def test_unknown_labels_do_not_count():
  rng = np.random.default_rng(1)
  labels = rng.integers(0, 2, (60, 2))
  known = rng.random((60, 2)) < 0.7
  probability = rng.random((60, 2))
  split = split_of([20, 20, 20])

  def found(p):
    return scores.score(
      table(labels, known), split, p[split.validation], p[split.test]
    )

  assert found(probability) == found(np.where(known, probability, np.nan))


def test_a_plan_is_described_by_its_rows():
  labels = np.array([[1, 0], [1, 0], [1, 1], [0, 0]], np.uint8)
  plan = plan_lib.spread(np.zeros(4, int), [4])
  assert scores.describe(plan, labels) == {
    'rows': 4,
    'mean_ir': 2.0,
    # IRLbl is 1 and 3: sd 2 ** .5, mean 2.
    'cvir': pytest.approx(0.5**0.5),
    # One of four rows has both: 1 - 3 ** .5 / 2.
    'scumble': pytest.approx((1 - 3**0.5 / 2) / 4),
  }
  own = plan_lib.with_added(4, [2], labels=np.ones((5, 2), np.uint8))
  assert scores.describe(own, labels)['mean_ir'] == 1
  none = scores.describe(plan, np.zeros((4, 2), np.uint8))
  assert none['mean_ir'] is none['cvir'] is None
