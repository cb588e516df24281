"""Scores against scikit-learn, thresholds against trying every cut."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from aubal_jax.scoring import metrics
from aubal_jax.scoring import summary
from aubal_jax.scoring.metrics import Confusion


def fake(num_images=300, num_labels=7, seed=0, digits=2):
  """Probabilities with ties, labels with an empty and a full column."""
  rng = np.random.default_rng(seed)
  label = rng.random((num_images, num_labels)) < np.linspace(
    0.02, 0.6, num_labels
  )
  label[:, 1], label[:, -1] = False, True
  noise = rng.normal(size=label.shape)
  probability = 1 / (1 + np.exp(-(1.5 * label - 1 + noise)))
  known = rng.random(label.shape) < 0.8
  return np.round(probability, digits).astype(np.float32), label, known


def columns(probability, label, known):
  for i in range(label.shape[1]):
    rows = known[:, i]
    yield probability[rows, i], label[rows, i]


def test_worked_example():
  # threshold .5; column 0: .5 counts as yes -> tp 1 (row 0), fp 1 (row 1),
  # fn 1 (row 2), tn 1 (row 3). Column 1: row 0 unknown, rows 1..3 tp, tn, fn.
  probability = np.array([[0.5, 0.9], [0.8, 0.7], [0.1, 0.2], [0.2, 0.4]])
  label = np.array([[1, 0], [0, 1], [1, 0], [0, 1]])
  known = np.array([[1, 0], [1, 1], [1, 1], [1, 1]], bool)
  c = Confusion.from_probabilities(probability, label, known)
  assert (c.tp.tolist(), c.fp.tolist()) == ([1, 1], [1, 0])
  assert (c.fn.tolist(), c.tn.tolist()) == ([1, 1], [1, 1])
  np.testing.assert_allclose(c.precision, [1 / 2, 1])
  np.testing.assert_allclose(c.recall, [1 / 2, 1 / 2])
  np.testing.assert_allclose(c.f1, [1 / 2, 2 / 3])
  assert c.f1_macro == pytest.approx(7 / 12)
  assert c.f1_micro == pytest.approx(4 / 7)  # 2 * 2 / (2 * 2 + 1 + 2)
  assert c.accuracy == pytest.approx(4 / 7)
  assert c.awc == pytest.approx((7 / 12 + 4 / 7) / 2)
  assert c.tp.dtype == np.int64


@pytest.mark.parametrize('thresholds', [0.5, np.linspace(0.1, 0.9, 7)])
@pytest.mark.parametrize('masked', [False, True])
def test_scores_equal_scikit_learn(thresholds, masked):
  probability, label, known = fake()
  known = known if masked else np.ones_like(known)
  c = Confusion.from_probabilities(probability, label, known, thresholds)
  said = probability >= np.broadcast_to(thresholds, label.shape)
  for i in range(label.shape[1]):
    truth, guess = label[known[:, i], i], said[known[:, i], i]
    tn, fp, fn, tp = sk.confusion_matrix(
      truth, guess, labels=[False, True]
    ).ravel()
    assert [c.tp[i], c.fp[i], c.fn[i], c.tn[i]] == [tp, fp, fn, tn]
    p, r, f, _ = sk.precision_recall_fscore_support(
      truth, guess, average='binary', zero_division=0
    )
    np.testing.assert_allclose(
      [c.precision[i], c.recall[i], c.f1[i]], [p, r, f], rtol=1e-12
    )
  assert c.f1[1] == 0  # No positive.
  assert c.accuracy == pytest.approx(
    sk.accuracy_score(label[known], said[known])
  )
  assert c.f1_micro == pytest.approx(sk.f1_score(label[known], said[known]))
  assert c.awc == pytest.approx((c.f1_macro + c.accuracy) / 2)
  if not masked:
    assert c.f1_macro == pytest.approx(
      sk.f1_score(label, said, average='macro', zero_division=0)
    )


def test_labels_without_a_positive_count_in_macro_but_not_in_present():
  c = Confusion(*np.array([[3, 0], [1, 2], [1, 0], [5, 8]]))
  assert c.f1.tolist() == [0.75, 0]
  assert c.f1_macro == 0.375
  assert c.f1_macro_present == 0.75
  assert c.all_negative().f1_macro_present == 0


def test_skew_normalised_f1_is_f1_of_equally_many_negatives():
  # 10 positives, 1000 negatives: recall .8, 5 % of the negatives called yes.
  # With 10 negatives instead that were half a false alarm: 16 / (16 + .5 + 2).
  c = Confusion(*np.array([[8], [50], [2], [950]]))
  np.testing.assert_allclose(c.f1_skew_normalised, [16 / 18.5])
  same = Confusion(*np.array([[8], [3], [2], [7]]))
  np.testing.assert_allclose(same.f1_skew_normalised, same.f1)
  no_negative = Confusion(*np.array([[8], [0], [2], [0]]))
  assert no_negative.f1_skew_normalised.tolist() == [0]


def test_floors_are_what_constant_predictors_score():
  probability, label, known = fake()
  c = Confusion.from_probabilities(probability, label, known)
  for floor, constant in ((c.all_negative(), 0.0), (c.all_positive(), 1.0)):
    predicted = Confusion.from_probabilities(
      np.full_like(probability, constant), label, known
    )
    for field in dataclasses.fields(Confusion):
      np.testing.assert_array_equal(
        getattr(floor, field.name), getattr(predicted, field.name)
      )


def test_every_score_of_the_list_is_there():
  probability, label, known = fake()
  c = Confusion.from_probabilities(probability, label, known)
  for score in summary.SCORES:
    assert score.places and {*score.places} <= {*summary.PLACES}
    if score.ranking is None:
      value = getattr(c, score.name)
      assert np.shape(value) == ((7,) if score.of_label else ())
    else:
      assert len(score.ranking(probability, label, known)) == 7
      # A report has intervals and floors of all labels, which these lack.
      assert score.of_label or not {*score.places} & {*summary.PLACES[:2]}


counts = hnp.arrays(np.int64, (4, 3), elements=st.integers(0, 10**12))


@given(counts, counts, counts)
def test_merge_is_associative_and_commutative(a, b, c):
  a, b, c = Confusion(*a), Confusion(*b), Confusion(*c)
  for field in dataclasses.fields(Confusion):
    left = getattr((a + b) + c, field.name)
    np.testing.assert_array_equal(left, getattr(a + (b + c), field.name))
    np.testing.assert_array_equal(left, getattr(c + (b + a), field.name))


@given(st.integers(1, 299))
def test_counts_of_parts_add_up_to_counts_of_the_whole(cut):
  probability, label, known = fake()
  parts = [
    Confusion.from_probabilities(probability[s], label[s], known[s])
    for s in (slice(cut), slice(cut, None))
  ]
  whole = Confusion.from_probabilities(probability, label, known)
  for field in dataclasses.fields(Confusion):
    np.testing.assert_array_equal(
      getattr(parts[0] + parts[1], field.name), getattr(whole, field.name)
    )


def test_unknown_entries_do_not_matter():
  probability, label, known = fake()
  other = np.where(known, probability, np.nan)
  noise = np.where(known, label, 9)
  first = Confusion.from_probabilities(probability, label, known)
  second = Confusion.from_probabilities(other, noise, known)
  np.testing.assert_array_equal(first.tp, second.tp)
  np.testing.assert_array_equal(first.tn, second.tn)
  np.testing.assert_array_equal(
    metrics.tune_thresholds(probability, label, known),
    metrics.tune_thresholds(other, noise, known),
  )


@pytest.mark.parametrize('masked', [False, True])
def test_auc_and_average_precision_equal_scikit_learn(masked):
  probability, label, known = fake()
  known = known if masked else np.ones_like(known)
  auc = metrics.roc_auc(probability, label, known)
  ap = metrics.average_precision(probability, label, known)
  assert auc[1] is None and ap[1] is None  # No positive.
  assert auc[-1] is None and ap[-1] == 1.0  # No negative.
  for i, (score, truth) in enumerate(columns(probability, label, known)):
    if i not in (1, 6):
      assert auc[i] == pytest.approx(sk.roc_auc_score(truth, score))
      assert ap[i] == pytest.approx(sk.average_precision_score(truth, score))


@pytest.mark.parametrize('digits', [0, 1, 2, 7])
def test_average_precision_of_ties_equals_scikit_learn(digits):
  rng = np.random.default_rng(digits)
  for _ in range(30):
    size = rng.integers(1, 40)
    score = rng.random((size, 1)).round(digits).astype('f4')
    truth = rng.random((size, 1)) < rng.random()
    (found,) = metrics.average_precision(score, truth, np.ones_like(truth))
    if truth.any():
      expected = sk.average_precision_score(truth[:, 0], score[:, 0])
      assert found == pytest.approx(expected)
    else:
      assert found is None


@pytest.mark.parametrize('digits', [1, 2, 7])
@pytest.mark.parametrize('seed', range(5))
def test_tuned_thresholds_are_the_best_of_all_cuts(seed, digits):
  probability, label, known = fake(40, 7, seed, digits)
  tuned = metrics.tune_thresholds(probability, label, known)
  reached = Confusion.from_probabilities(probability, label, known, tuned).f1
  for i, (score, truth) in enumerate(columns(probability, label, known)):
    cuts = [-1.0, *np.unique(score).tolist(), 2.0]
    said = score[:, None] >= cuts  # A column each, scored at once.
    truths = np.repeat(truth[:, None], len(cuts), axis=1)
    each = sk.f1_score(truths, said, average=None, zero_division=0)
    assert reached[i] == pytest.approx(each.max(), abs=1e-12)
  assert tuned[1] == 0.5  # No positive.


def test_threshold_is_a_midpoint_and_the_one_nearest_a_half():
  # yes at .9; no at .7 -> every cut in (.7, .9] is perfect: midpoint .8.
  tune = metrics.tune_thresholds
  np.testing.assert_allclose(tune([[0.9], [0.7]], [[1], [0]]), [0.8])
  # .95 yes, .85 no, .45 no, .35 yes. Cut after 1: F1 = 2/3; after 4: 4/6.
  # Midpoints .9 and .175 (between 0 and .35): .175 is nearer to .5.
  score = [[0.95], [0.85], [0.45], [0.35]]
  np.testing.assert_allclose(tune(score, [[1], [0], [0], [1]]), [0.175])


def test_threshold_parts_neighbouring_floats():
  low = np.nextafter(0.3, 1.0)
  high = np.nextafter(low, 1.0)
  for a, b in ((low, high), (0.3, low)):
    tuned = metrics.tune_thresholds([[b], [a]], [[1], [0]])
    assert a < tuned[0] <= b
  tuned = metrics.tune_thresholds(np.zeros((3, 1)), [[1], [0], [1]])
  assert tuned.tolist() == [0.0]  # All positive, F1 .8.


def test_errors_name_the_argument():
  good = np.full((2, 3), 0.5)
  with pytest.raises(
    ValueError, match=r'one shape \[N, L\].*\(2, 3\), \(3, 2\)'
  ):
    Confusion.from_probabilities(good, np.zeros((3, 2)))
  with pytest.raises(ValueError, match=r'label must be 0 or 1.*999'):
    Confusion.from_probabilities(good, np.full((2, 3), 999))
  with pytest.raises(ValueError, match='row 1, column 2 is nan'):
    bad = good.copy()
    bad[1, 2] = np.nan
    metrics.tune_thresholds(bad, np.zeros((2, 3)))
  with pytest.raises(ValueError, match='one has 1 and the other 2'):
    Confusion(*np.zeros((4, 1))) + Confusion(*np.zeros((4, 2)))
