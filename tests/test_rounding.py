import itertools

import numpy as np
import pytest
from scipy import sparse

from aubal_jax.balancing import instance as instance_lib
from aubal_jax.balancing import rounding
from tests import problems


def make(seed, num_sets=10, num_labels=5, lam=3.0, image_cost=0.01, upper=4.0):
  patterns, counts = problems.patterns_and_counts(seed, num_sets, num_labels)
  return instance_lib.make_instance(
    sparse.csr_array(patterns),
    counts,
    objective='relative',
    lam=lam,
    image_cost=image_cost,
    lower=np.full(num_sets, 0.5),
    upper=np.full(num_sets, upper),
  )


def priced(instance, counts):
  return instance.value(counts) + instance.cost(counts)


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('sign', [1, -1])
def test_moves_are_priced_exactly(seed, sign):
  instance = make(seed)
  rng = np.random.default_rng(seed)
  counts = rng.integers(instance.least, instance.most + 1).astype(float)
  x = instance.deviations(counts)
  found = rounding._price_moves(
    instance, rounding._by_size(instance), counts, x, sign
  )
  for s in range(len(counts)):
    moved = counts.copy()
    moved[s] += sign
    change = priced(instance, moved) - priced(instance, counts)
    assert found[s] == pytest.approx(change, abs=1e-9)


@pytest.mark.parametrize('seed', range(8))
def test_as_good_as_the_best_way_of_rounding_up_and_down(seed):
  # Oracle: all 2^10 ways. Moves may leave the neighbours: it can be better.
  instance = make(seed)
  rng = np.random.default_rng(seed)
  growth = rng.uniform(0.5, 4.0, 10)
  growth = np.clip(
    growth, instance.least / instance.start, instance.most / instance.start
  )
  wanted = growth * instance.start
  best = min(
    priced(
      instance, np.clip(np.floor(wanted) + up, instance.least, instance.most)
    )
    for up in itertools.product((0, 1), repeat=10)
  )
  counts = rounding.round_counts(instance, growth)
  assert counts.dtype == np.int64
  assert (counts >= instance.least).all() and (counts <= instance.most).all()
  assert priced(instance, counts) <= best + 1e-9 * abs(best)


def test_error_feedback_beats_rounding_to_the_nearest():
  instance = make(1, num_sets=400, num_labels=8, lam=0.0, upper=10.0)
  wanted = np.random.default_rng(2).uniform(instance.least, instance.most)
  away = instance.patterns.T @ (
    rounding._feed_back_errors(instance, wanted) - wanted
  )
  nearest = instance.patterns.T @ (np.rint(wanted) - wanted)
  assert np.abs(away).max() < 4  # Below the largest size, as Beck and Fiala.
  assert np.abs(away).sum() < np.abs(nearest).sum()


def test_two_moves_together_help_where_none_does_alone(monkeypatch):
  instance = make(2, num_sets=12, lam=0.0, image_cost=0.0)
  wanted = np.random.default_rng(2).uniform(instance.least, instance.most)
  growth = wanted / instance.start
  both = priced(instance, rounding.round_counts(instance, growth))
  monkeypatch.setattr(rounding, '_best_pair', lambda *_: [])
  alone = priced(instance, rounding.round_counts(instance, growth))
  assert both < 0.5 < alone


def test_error_feedback_weighs_the_error_of_every_label_of_a_row():
  # a: 100.6 goes up, so class a is .4 over. abc: 10.7 up leaves errors .7, .3
  # and .3, squares .67; down -.3, -.7 and -.7, squares 1.07.
  instance = instance_lib.make_instance(
    sparse.csr_array([[1, 0, 0], [1, 1, 1]]),
    np.array([100, 10]),
    objective='l1',
    lam=0.0,
    image_cost=0.0,
    lower=np.ones(2),
    upper=np.full(2, 2.0),
  )
  counts = rounding._feed_back_errors(instance, np.array([100.6, 10.7]))
  assert counts.tolist() == [101, 11]


def test_integer_boxes():
  # Growth 1 to 1.5 of 3 images: 3 or 4. 1.1 to 1.4 of one: none, so 1, the
  # nearest to the middle.
  least, most, empty = instance_lib.integer_box(
    np.array([3, 1]), np.array([1.0, 1.1]), np.array([1.5, 1.4])
  )
  assert least.tolist() == [3, 1] and most.tolist() == [4, 1] and empty == 1
