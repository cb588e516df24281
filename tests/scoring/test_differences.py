"""Differences of networks: by the book, paired, and never without interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk_metrics

from aubal_jax.scoring import bootstrap
from aubal_jax.scoring import differences
from aubal_jax.scoring import metrics

SEEDS = st.integers(0, 2**32 - 1)


def draw(seed, num_rows=40, num_labels=3, digits=1):
  """Probabilities with ties, labels and what is known of them."""
  rng = np.random.default_rng(seed)
  shape = (num_rows, num_labels)
  probability = {
    name: rng.random(shape).round(digits)
    for name in ('aubal', 'none', 'random')
  }
  return probability, rng.random(shape) < 0.3, rng.random(shape) < 0.8


@given(SEEDS)
def test_map_is_that_of_images_written_out(seed):
  probability, label, known = draw(seed)
  rng = np.random.default_rng(seed)
  times = rng.integers(0, 3, (4, len(label)))
  found = differences.mean_average_precision(
    probability['aubal'], label, known, times
  )
  for mine, drawn in zip(found, times, strict=True):
    rows = np.repeat(np.arange(len(label)), drawn)
    areas = [
      sk_metrics.average_precision_score(y[k], p[k])
      for p, y, k in zip(
        *(x[rows].T for x in (probability['aubal'], label, known)), strict=True
      )
      if y[k].any()
    ]
    assert mine == pytest.approx(np.mean(areas) if areas else 0, abs=1e-12)


def thresholds_of(probability):
  num_labels = next(iter(probability.values())).shape[1]
  kinds = {'tuned': 0.4, 'shrunk': 0.6}
  return {
    name: {kind: np.full(num_labels, value) for kind, value in kinds.items()}
    for name in probability
  }


@given(SEEDS)
def test_f1_is_that_of_the_same_subjects_drawn_for_both(seed):
  probability, label, known = draw(seed)
  groups = np.random.default_rng(seed).integers(0, 5, len(label))
  unit = bootstrap.units(len(label), groups)
  found = differences.differences(
    *(probability, label, known),
    thresholds=thresholds_of(probability),
    reference='aubal',
    groups=groups,
    num_resamples=30,
    seed=seed,
  )
  assert [(d['less'], d['score']) for d in found] == [
    (name, score) for name in ('none', 'random') for score in differences.SCORES
  ]
  (times,) = bootstrap.draw(int(unit.max()) + 1, 30, seed)
  for told in found:
    if told['score'] == 'map':
      continue
    at = {'f1_macro': 0.5, 'f1_macro_tuned': 0.4}.get(told['score'], 0.6)

    def f1(name, rows, at=at):
      entries = probability[name][rows], label[rows], known[rows]
      return metrics.Confusion.from_probabilities(*entries, at).f1_macro

    both = 'aubal', told['less']
    everything = np.arange(len(label))
    mine, others = (f1(name, everything) for name in both)
    assert told['difference'] == pytest.approx(mine - others, abs=1e-6)
    less = []
    for drawn in times:
      rows = np.repeat(everything, drawn[unit])
      mine, others = (f1(name, rows) for name in both)
      less.append(mine - others)
    interval = np.quantile(less, (0.025, 0.975))
    np.testing.assert_allclose(told['interval'], interval, atol=1e-6)
    assert told['beyond_chance'] == (interval[0] > 0 or interval[1] < 0)


@given(SEEDS)
def test_a_network_does_not_differ_from_itself(seed):
  probability, label, known = draw(seed)
  probability['none'] = probability['aubal']
  found = differences.differences(
    *(probability, label, known),
    thresholds=thresholds_of(probability),
    reference='aubal',
    num_resamples=20,
  )
  for told in found[:4]:
    assert told['difference'] == 0 and told['interval'] == [0, 0]
    assert not told['beyond_chance']


def test_a_kind_of_thresholds_that_one_lacks_is_left_out():
  probability, label, known = draw(0)
  options = {'reference': 'aubal', 'num_resamples': 20}
  thresholds = thresholds_of(probability)
  whole = differences.differences(
    probability, label, known, thresholds=thresholds, **options
  )
  del thresholds['random']['shrunk']
  found = differences.differences(
    probability, label, known, thresholds=thresholds, **options
  )
  assert found == [d for d in whole if d['score'] != 'f1_macro_shrunk']


def test_what_is_surely_better_is_told_and_one_group_tells_nothing():
  probability, label, known = draw(0, num_rows=400)
  probability['aubal'] = np.where(label, 0.9, 0.1)
  options = {
    'thresholds': thresholds_of(probability),
    'reference': 'aubal',
    'num_resamples': 100,
  }
  found = differences.differences(probability, label, known, **options)
  assert all(d['beyond_chance'] and d['interval'][0] > 0 for d in found)
  one = np.zeros(400, int)
  found = differences.differences(
    probability, label, known, groups=one, **options
  )
  assert all(d['interval'] is None and d['difference'] > 0 for d in found)
  assert not any(d['beyond_chance'] for d in found)
