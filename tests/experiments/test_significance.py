"""Tests of differences, against scipy, hand-worked numbers and papers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from aubal_jax.experiments.compare import significance

# AUC of four decision trees on 14 data sets: table 6 of Demsar, 2006. Its .975
# and .975 rank 2 and 3 there, so more digits were ranked.
TREES = np.array(
  [
    [0.763, 0.768, 0.771, 0.798],
    [0.599, 0.591, 0.590, 0.569],
    [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657],
    [0.882, 0.888, 0.886, 0.898],
    [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685],
    [0.583, 0.583, 0.563, 0.625],
    [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000],
    [0.940, 0.962, 0.965, 0.962],
    [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975],
    [0.957, 0.978, 0.946, 0.970],
  ]
)


def test_independent_values_have_the_usual_interval_and_p():
  values = np.random.default_rng(0).normal(0.3, 1, 12)
  found = significance.estimate(values, 0)
  usual = stats.ttest_1samp(values, 0)
  low, high = usual.confidence_interval(0.95)
  assert found.mean == pytest.approx(values.mean())
  assert found.p_value() == pytest.approx(usual.pvalue)
  assert found.half_width() == pytest.approx((high - low) / 2)


def test_overlap_of_trials_widens_the_interval():
  # s^2 = 1/60; (1/4 + 1) s^2 = 1/48; t = 1/4 over its root, 3^(1/2).
  found = significance.estimate([0.1, 0.2, 0.3, 0.4], 1.0)
  assert found == pytest.approx((0.25, 1 / 48, 3))
  assert found.p_value() == pytest.approx(2 * stats.t.sf(3**0.5, 3))
  assert found.half_width() == pytest.approx(3.18245 / 48**0.5, rel=1e-5)


def test_one_value_is_no_evidence():
  found = significance.estimate([0.5], 1.0)
  assert (found.mean, found.half_width(), found.p_value()) == (0.5, None, None)
  both = significance.average([found, significance.estimate([1.0, 2.0], 0)])
  assert both.mean == 1.0 and both.half_width() is None
  with pytest.raises(ValueError, match='values must hold at least one'):
    significance.estimate([], 1.0)


@pytest.mark.parametrize(('value', 'p'), [(0.0, 1.0), (0.1, 0.0)])
def test_values_that_never_differ(value, p):
  found = significance.estimate([value + 1e-16, value, value], 1.0)
  assert (found.half_width(), found.p_value()) == (0.0, p)
  found = significance.average([found, found])
  assert (found.half_width(), found.p_value()) == (0.0, p)


def test_the_average_is_that_of_welch():
  rng = np.random.default_rng(1)
  a, b = rng.normal(0.5, 1, 9), rng.normal(0, 3, 5)
  welch = stats.ttest_ind(a, b, equal_var=False)
  found = significance.average(
    [significance.estimate(a, 0), significance.estimate(-b, 0)]
  )
  assert found.mean == pytest.approx((a.mean() - b.mean()) / 2)
  assert found.dof == pytest.approx(welch.df)
  assert found.p_value() == pytest.approx(welch.pvalue)


def test_holm():
  # Sorted .005 x 4, .01 x 3, .03 x 2, then .04, which may not be less.
  found = significance.holm([0.01, 0.04, None, 0.03, 0.005])
  assert found == pytest.approx([0.03, 0.06, None, 0.06, 0.02])
  assert significance.holm([0.6, 0.7]) == [1.0, 1.0]
  assert significance.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_p_and_bonferroni(p):
  found = significance.holm(p)
  for one, adjusted in zip(p, found, strict=True):
    assert one <= adjusted <= min(1, len(p) * one)
  order = np.argsort(p, kind='stable')
  assert (np.diff(np.array(found)[order]) >= 0).all()


def test_ranks_are_averaged_where_scores_tie():
  scores = [[0.5, 0.9, 0.5, 0.1], [0.1 + 0.2, 0.3, 0.3, 0.2]]
  assert significance.ranks(scores).tolist() == [
    [2.5, 1, 2.5, 4],
    [2, 2, 2, 4],
  ]


def test_the_published_example():
  average = significance.ranks(TREES).mean(axis=0)
  assert average == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
  assert significance.critical_difference(4, 14) == pytest.approx(
    1.25, abs=0.01
  )
  # Nobody at 5 %; at 10 %, where it is 1.12, the last from the first two.
  assert significance.not_told_apart(average, 1.25) == [[3, 1, 2, 0]]
  assert significance.not_told_apart(average, 1.12) == [[3, 1, 2], [2, 0]]
  # Without its ties, for which the paper's formula does not correct.
  chi_square = 12 * 14 / 20 * ((average**2).sum() - 25)
  assert chi_square == pytest.approx(9.28, abs=0.01)
  found = significance.friedman(TREES)
  assert found.chi_square > chi_square
  assert found.chi_square == stats.friedmanchisquare(*TREES.T).statistic


@pytest.mark.parametrize('scores', [TREES, TREES[:5], TREES[:, :3]])
def test_f_is_that_of_two_way_anova_on_ranks(scores):
  ranks = significance.ranks(scores)
  num, k = ranks.shape
  columns = ranks.mean(axis=0) - ranks.mean()
  rest = ranks - ranks.mean(axis=0) - ranks.mean(axis=1, keepdims=True)
  rest = ((rest + ranks.mean()) ** 2).sum() / ((k - 1) * (num - 1))
  f = num * (columns**2).sum() / (k - 1) / rest
  found = significance.friedman(scores)
  assert found.f == pytest.approx(f)
  assert found.f_p == pytest.approx(stats.f.sf(f, k - 1, (k - 1) * (num - 1)))


def test_friedman_where_all_agree_and_where_there_is_nothing_to_test():
  agreed = significance.friedman([[1, 2, 3], [4, 5, 6], [0, 1, 9]])
  assert (agreed.chi_square, agreed.f) == (pytest.approx(6), None)
  assert agreed.f_p == pytest.approx(1 / 36)
  assert significance.friedman([[1, 2, 3]]) is None
  assert significance.friedman([[1, 2], [3, 4]]) is None
  assert significance.friedman(np.ones((4, 5))) is None


def test_quantiles_are_those_of_the_published_table():
  published = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)
  found = [significance.nemenyi_q(k) for k in range(2, 11)]
  assert found == pytest.approx(published, abs=1.01e-3)


@given(st.integers(2, 20), st.floats(0.05, 19))
def test_data_needed_is_just_enough(k, distance):
  num = significance.data_needed(k, distance)
  assert significance.critical_difference(k, num) <= distance * (1 + 1e-12)
  if num > 1:
    assert significance.critical_difference(k, num - 1) > distance
  assert significance.data_needed(k, 0) is None


def test_bars_are_maximal():
  ranks = [1.0, 4.0, 2.0, 7.0, 4.5]
  assert significance.not_told_apart(ranks, 2.5) == [[0, 2], [2, 1, 4], [4, 3]]
  assert significance.not_told_apart(ranks, 0.4) == []
  assert significance.not_told_apart(ranks, 9) == [[0, 2, 1, 4, 3]]
  assert math.isclose(significance.CONFIDENCE + significance.ALPHA, 1)
