"""Thresholds of labels and of all, against trying every cut in fractions."""

import fractions
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from aubal_jax.scoring import metrics
from aubal_jax.scoring import summary
from aubal_jax.scoring import thresholds


@st.composite
def entries(draw):
  """Probabilities with ties, labels, and which of them are known."""
  shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 4)))
  seed = draw(st.integers(0, 10**6))
  step = draw(st.sampled_from([2, 5, 20, 10**6]))
  share, known = draw(st.sampled_from([(0.1, 1.0), (0.5, 0.6), (0.0, 0.9)]))
  rng = np.random.default_rng(seed)
  probability = rng.integers(0, step + 1, shape) / step
  if draw(st.booleans()):
    probability = probability.astype(np.float32)
  return probability, rng.random(shape) < share, rng.random(shape) < known


def f1_macro(probability, label, known, threshold):
  """The mean over labels, with nothing rounded."""
  total = fractions.Fraction(0)
  for p, truth, k in zip(probability.T, label.T, known.T, strict=True):
    said = [float(x) >= threshold for x in p[k]]
    hits = sum(s and t for s, t in zip(said, truth[k], strict=True))
    if hits:
      total += fractions.Fraction(2 * hits, sum(said) + int(truth[k].sum()))
  return total / label.shape[1]


def best_of_all(probability, label, known):
  """Every cut, the upper first; of equally good ones that nearest a half."""
  if not (label & known).any():
    return 0.5
  score = sorted({float(x) for x in probability[known]}, reverse=True)
  below = [*score[1:], min(0.0, score[-1])]
  middles = [
    low + (high - low) / 2 for low, high in zip(below, score, strict=True)
  ]
  found = [f1_macro(probability, label, known, t) for t in middles]
  equal = [t for t, f1 in zip(middles, found, strict=True) if f1 == max(found)]
  return min(equal, key=lambda t: abs(t - 0.5))  # The first of equals.


@given(entries())
def test_the_one_threshold_is_the_best_of_all_cuts(drawn):
  got = thresholds.tune_for_all(*drawn)
  assert got == best_of_all(*drawn)
  assert isinstance(got, float)


@given(entries())
def test_shrunk_thresholds_are_mixed_by_their_positives(drawn):
  _, label, known = drawn
  found = thresholds.find(*drawn)
  of_all = best_of_all(*drawn)
  labels = metrics.tune_thresholds(*drawn)
  np.testing.assert_array_equal(found.labels, labels)
  for i, t in enumerate(found.shrunk):
    positives = int((label & known)[:, i].sum())
    assert found.positives[i] == positives
    if not positives:
      assert t == of_all
      continue
    cut = [min(max(x, 1e-6), 1 - 1e-6) for x in (labels[i], of_all)]
    own, one = (math.log(x / (1 - x)) for x in cut)
    weight = positives / (positives + 10)
    wanted = 1 / (1 + math.exp(-(weight * own + (1 - weight) * one)))
    assert t == pytest.approx(wanted, rel=1e-9)


def test_worked_example():
  # Sorted: a .9 yes, b .8 yes, a .6 no, b .4 no, a .2 yes. Sum of F1 after each
  # cut: 2/3, 5/3, 3/2, 1/2 + 2/3, 4/5 + 2/3: best between .8 and .6.
  probability = np.array([[0.9, 0.8], [0.6, 0.4], [0.2, 0.1]])
  label = np.array([[1, 1], [0, 0], [1, 0]])
  known = np.array([[1, 1], [1, 1], [1, 0]], bool)
  found = thresholds.find(probability, label, known)
  assert found.of_all == pytest.approx(0.7)
  assert found.positives.tolist() == [2, 1]
  # Of a: everything is F1 4/5, threshold .1; w 2 / 12. Of b: .6, w 1 / 11.
  logits = [np.log(0.7 / 0.3), np.log(0.1 / 0.9), np.log(0.6 / 0.4)]
  wanted = [
    logits[1] / 6 + 5 * logits[0] / 6,
    logits[2] / 11 + 10 * logits[0] / 11,
  ]
  np.testing.assert_allclose(found.shrunk, 1 / (1 + np.exp(-np.array(wanted))))


def test_equally_good_cuts_the_nearest_a_half_and_of_two_the_upper():
  # Cuts .875 and .125 both give 2/3 and are as near: the upper.
  score = np.array([[1.0], [0.75], [0.25], [0.25]])
  label = np.array([[1], [0], [0], [1]])
  assert thresholds.tune_for_all(score, label) == 0.875
  # As of labels, of which one alone is the mean of all.
  assert metrics.tune_thresholds(score, label).tolist() == [0.875]


@given(entries(), st.integers(0, 10**6))
def test_order_of_images_and_labels_does_not_matter(drawn, seed):
  rng = np.random.default_rng(seed)
  rows, columns = map(rng.permutation, drawn[0].shape)
  other = [x[np.ix_(rows, columns)] for x in drawn]
  first, second = thresholds.find(*drawn), thresholds.find(*other)
  assert first.of_all == second.of_all
  np.testing.assert_array_equal(first.shrunk[columns], second.shrunk)


@given(entries())
def test_thresholds_go_through_json_and_older_files_have_less(drawn):
  found = thresholds.find(*drawn)
  content = json.loads(json.dumps({'f1_macro': 0.5, **found.to_json()}))
  read = thresholds.from_json(content)
  np.testing.assert_array_equal(read.shrunk, found.shrunk)
  np.testing.assert_array_equal(read.positives, found.positives)
  np.testing.assert_array_equal(read.break_even, found.break_even)
  del content['shrinking'], content['break_even']
  older = thresholds.from_json(content)
  np.testing.assert_array_equal(older.labels, found.labels)
  assert older.shrunk is older.of_all is older.positives is None
  assert older.break_even is older.of_kind('break_even') is None
  assert older.to_json() == {'thresholds': found.labels.tolist()}
  assert thresholds.from_json({'f1_macro': 0.5}) is None


@pytest.mark.parametrize('seed', range(5))
def test_thresholds_next_to_0_and_1_have_logits(seed):
  rng = np.random.default_rng(seed)
  labels = np.array([0.0, 1.0, 10 ** rng.uniform(-12, -2)])
  of_all = rng.choice([0.0, 1.0, 1e-7, 0.3])
  positives = rng.integers(1, 40, 3)
  for i, t in enumerate(thresholds.shrink(labels, of_all, positives)):
    own, one = (min(max(x, 1e-6), 1 - 1e-6) for x in (labels[i], of_all))
    weight = positives[i] / (positives[i] + 10)
    odds = (own / (1 - own)) ** weight * (one / (1 - one)) ** (1 - weight)
    assert t == pytest.approx(odds / (1 + odds), rel=1e-9)


@given(entries())
def test_break_even_is_where_the_curve_of_scikit_learn_is_nearest(drawn):
  found = thresholds.find(*drawn)
  for i, (p, truth, k) in enumerate(zip(*(x.T for x in drawn), strict=True)):
    if not truth[k].any():
      assert found.break_even[i] == 0.5
      continue
    precision, recall, at = sk.precision_recall_curve(truth[k], p[k])
    apart = np.abs(precision - recall)[: len(at)]
    said = p >= found.break_even[i]
    np.testing.assert_array_equal(said, p > at[apart.argmin()])


@given(entries())
def test_published_thresholds_are_scored_beside_and_on_the_same_images(drawn):
  names = [f'a{i}' for i in range(drawn[1].shape[1])]
  plain, more = (
    summary.summarise(
      *drawn, thresholds=None, label_names=names, num_resamples=3,
      published=published,
    )
    for published in (False, True)
  )  # fmt: skip
  same = more.pop('same_images')
  pieces = [more, more['pooled'], *more['per_label'].values()]
  assert all(piece.pop('break_even') for piece in pieces)
  assert json.dumps(more) == json.dumps(plain)
  found = thresholds.find(*drawn)
  for kind in ('tuned', 'shrunk', 'break_even'):
    counts = metrics.Confusion.from_probabilities(*drawn, found.of_kind(kind))
    assert same[kind]['f1_macro'] == round(float(counts.f1_macro), 6)
