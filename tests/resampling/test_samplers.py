"""Samplers by weight, the greedy one, and the weights of calibration."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import optimize
from scipy import sparse

import aubal_jax as aubal
from aubal_jax.resampling import calibration
from aubal_jax.resampling import inverse_frequency
from aubal_jax.resampling import repeat_factor

# a in 4 rows, b in 2; one row has both, one none.
LABELS = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [1, 1], [0, 0]], np.uint8)
SAMPLERS = ('inverse_frequency', 'repeat_factor', 'calibration')


class Chances:
  """Stands for a Generator; keeps the chances it is asked to draw with."""

  def multinomial(self, number, chances):
    self.number, self.chances = number, chances
    return np.ones(len(chances), int)


def chances_of(make_plan, fraction=0.0, **options):
  rng = Chances()
  make_plan(sparse.csr_array(LABELS), fraction=fraction, rng=rng, **options)
  return rng


@pytest.mark.parametrize(
  ('reading', 'weights'),
  [
    ('sum', [1 / 4, 1 / 4, 1 / 4, 1 / 2, 3 / 4, 1 / 6]),
    ('largest', [1 / 4, 1 / 4, 1 / 4, 1 / 2, 1 / 2, 1 / 6]),
  ],
)
def test_inverse_frequency_by_hand(reading, weights):
  rng = chances_of(inverse_frequency.make_plan, 0.5, reading=reading)
  np.testing.assert_allclose(rng.chances, np.array(weights) / sum(weights))
  assert rng.number == 9


def test_repeat_factors_by_hand():
  # Shares 2/3 and 1/3, their median 1/2: r is 1 and sqrt(3 / 2).
  b = np.sqrt(1.5)
  rng = chances_of(repeat_factor.make_plan)
  np.testing.assert_allclose(
    rng.chances, np.array([1, 1, 1, b, b, 1]) / (4 + 2 * b)
  )
  rng = chances_of(repeat_factor.make_plan, threshold=1.0)
  a, b = np.sqrt([1.5, 3])
  np.testing.assert_allclose(
    rng.chances, np.array([a, a, a, b, b, 1]) / (3 * a + 2 * b + 1)
  )


def test_repeat_factors_as_published():
  # With t = 4/3 of b's share r is 1 for a, sqrt(4) for b: no chance in it.
  labels = np.repeat([[1, 0], [0, 1]], [9, 1], axis=0)
  plan = aubal.resample(labels, 'repeat_factor', threshold=0.4)
  assert plan.source.tolist() == [*range(10), 9]
  # r = sqrt(2.5): once, and with .58 once more, anew in each epoch.
  plan = aubal.resample(
    labels, 'repeat_factor', threshold=0.25, num_epochs=2000
  )
  assert np.bincount(plan.source)[:9].tolist() == [2000] * 9
  assert (plan.source == 9).sum() / 2000 == pytest.approx(2.5**0.5, abs=0.05)


@pytest.mark.parametrize('method', SAMPLERS)
def test_epochs_are_drawn_apart_and_each_keeps_its_first_as_it_is(method):
  labels = np.repeat([[1, 0], [0, 1], [1, 1]], [30, 8, 4], axis=0)
  one = aubal.resample(labels, method, fraction=0.25, seed=2)
  plan = aubal.resample(labels, method, fraction=0.25, seed=2, num_epochs=3)
  assert len(one) == 52 and len(plan) == 156
  source, augment = plan.source.reshape(3, 52), plan.augment.reshape(3, 52)
  assert source[0].tolist() == one.source.tolist()
  assert len({tuple(sorted(epoch)) for epoch in source}) == 3
  for epoch, added in zip(source, augment, strict=True):
    assert sorted({*epoch}) == epoch[~added].tolist()
    assert not added[: (~added).sum()].any()


def test_drawing_follows_the_weights():
  labels = np.repeat([[1, 0], [0, 1]], [30, 10], axis=0)
  plan = aubal.resample(labels, 'inverse_frequency', fraction=99.0, seed=0)
  shares = np.bincount(plan.source, minlength=40) / 4000
  # Each label half of the time, and each of its rows alike: 1/60 and 1/20.
  np.testing.assert_allclose(shares[:30], 1 / 60, atol=0.008)
  np.testing.assert_allclose(shares[30:], 1 / 20, atol=0.015)
  assert shares[:30].sum() == pytest.approx(0.5, abs=0.03)


@st.composite
def uneven_tables(draw):
  shape = draw(st.integers(2, 60)), draw(st.integers(1, 5))
  rng = np.random.default_rng(draw(st.integers(0, 10_000)))
  labels = rng.random(shape) < rng.choice([0.0, 0.1, 0.3, 0.8], shape[1])
  return labels.astype(np.uint8)


def plain_greedy(labels, budget, rng):
  """Returns the rows added, by a loop over rows and NumPy's variance."""
  counts = labels.sum(axis=0, dtype=float)
  labels = labels[:, counts > 0].astype(float)
  counts = counts[counts > 0]
  added, helped = [], bool(counts.size)
  while helped and len(added) < budget:
    helped = False
    for row in rng.permutation(len(labels)):
      after = counts + labels[row]
      if len(added) < budget and after.var() < counts.var() - 1e-9:
        counts, helped = after, True
        added.append(row)
  return added


@hypothesis.given(
  uneven_tables(), st.sampled_from([0.1, 0.5, 3.0]), st.integers(0, 3)
)
def test_greedy_is_the_plain_loop(labels, fraction, seed):
  plan = aubal.resample(labels, 'greedy_spread', fraction=fraction, seed=seed)
  budget = round(fraction * len(labels))
  rng = np.random.default_rng(seed)
  assert plan.source[len(labels) :].tolist() == plain_greedy(
    labels, budget, rng
  )


def test_greedy_stops_when_counts_are_even():
  labels = np.repeat([[1, 0], [0, 1], [1, 1]], [30, 8, 4], axis=0)
  plan = aubal.resample(labels, 'greedy_spread', fraction=2.0)
  assert labels[plan.source].sum(axis=0).tolist() == [34, 34]


def least_divergence(labels, cap):
  """Weights by another solver, on the rows themselves."""
  num_rows = len(labels)
  rest = labels[:, 1:].astype(float) - labels[:, :1]
  found = optimize.minimize(
    lambda w: (w * np.log(np.maximum(w, 1e-300))).sum(),
    np.ones(num_rows),
    jac=lambda w: np.log(np.maximum(w, 1e-300)) + 1,
    bounds=[(1e-9, cap)] * num_rows,
    constraints=[
      {'type': 'eq', 'fun': lambda w: w.sum() - num_rows},
      {'type': 'eq', 'fun': lambda w: rest.T @ w, 'jac': lambda _: rest.T},
    ],
    method='SLSQP',
    options={'maxiter': 500, 'ftol': 1e-12},
  )
  assert found.success
  return found.x


@pytest.mark.parametrize('cap', [10.0, 2.0])
def test_calibration_is_the_least_divergence(cap):
  labels = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]])
  labels = np.repeat(labels, [8, 4, 3, 2, 2], axis=0)
  weights, is_equal = calibration.find_weights(labels, cap=cap)
  assert is_equal and weights.mean() == pytest.approx(1)
  np.testing.assert_allclose(
    weights, least_divergence(labels, cap), atol=1e-3 * cap
  )
  if cap == 2.0:  # It binds, so that it is seen to be kept.
    assert weights.max() == pytest.approx(2.0)


def test_calibration_by_hand():
  # One of four rows is b: w is 3/2 a share of 1/2 each: 2/3 and 2.
  labels = np.repeat([[1, 0], [0, 1]], [3, 1], axis=0)
  weights, is_equal = calibration.find_weights(labels)
  assert is_equal
  np.testing.assert_allclose(weights, [2 / 3] * 3 + [2], atol=1e-4)
  # Even labels, one that is absent and rows without any want no weights.
  labels = np.repeat([[1, 0, 0], [0, 1, 0], [0, 0, 0]], [3, 3, 2], axis=0)
  weights, is_equal = calibration.find_weights(labels)
  assert is_equal
  np.testing.assert_allclose(weights, 1, atol=1e-6)


@pytest.mark.parametrize(
  ('patterns', 'counts', 'cap'),
  [
    # Too few rows of c for the cap.
    ([[1, 0, 0], [0, 1, 0], [0, 1, 1], [1, 1, 1]], [40, 10, 1, 4], 2.0),
    # c comes with a and with b, so it is there as often as both.
    ([[1, 0, 1], [0, 1, 1], [0, 0, 0]], [40, 5, 10], 10.0),
  ],
)
def test_calibration_that_cannot_be_has_the_least_deviation(
  patterns, counts, cap
):
  labels = np.repeat(patterns, counts, axis=0).astype(float)
  weights, is_equal = calibration.find_weights(labels, cap=cap)
  before = labels.mean(axis=0)
  scale = np.sqrt(before)

  def deviation(w):
    return ((((labels.T @ w) / len(w) - before.mean()) / scale) ** 2).sum()

  heavy = 1e4 * np.ones((1, len(labels))) / len(labels)
  best = optimize.lsq_linear(
    np.concatenate([labels.T / len(labels) / scale[:, None], heavy]),
    np.append(before.mean() / scale, 1e4),
    bounds=(0, cap),
  ).x
  assert not is_equal
  assert weights.mean() == pytest.approx(1) and weights.max() <= cap + 1e-6
  assert deviation(weights) <= deviation(best) + 1e-4
  assert deviation(weights) < deviation(np.ones(len(labels)))


def test_calibration_evens_out_what_is_drawn():
  rng = np.random.default_rng(0)
  labels = rng.random((2000, 6)) < np.geomspace(0.5, 0.03, 6)
  before = aubal.imbalance(labels)['mean_ir']
  plan = aubal.resample(labels, 'calibration', fraction=0.25)
  after = aubal.imbalance(labels[plan.source])['mean_ir']
  assert before > 5 and after < 1.15
