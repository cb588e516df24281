"""Scores of classes and numbers against scikit-learn and their formulas."""

import numpy as np
import pytest
from sklearn import metrics as sk

from aubal_jax.datasets import targets as targets_lib
from aubal_jax.runs import errors
from aubal_jax.scoring import bootstrap
from aubal_jax.scoring import classes
from aubal_jax.scoring import numbers
from aubal_jax.scoring import overall
from aubal_jax.scoring import summary
from aubal_jax.scoring import targets


def draw_classes(seed, num_rows=200):
  """Probabilities with ties, and classes of which one may never be there."""
  rng = np.random.default_rng(seed)
  size = int(rng.integers(2, 9))
  value = rng.integers(0, max(1, size - seed % 2), num_rows)
  probability = rng.dirichlet(np.ones(size), num_rows).round(1)
  return probability.astype(np.float32), value, rng.random(num_rows) < 0.7


def draw_numbers(seed, num_rows=150):
  rng = np.random.default_rng(seed)
  size = int(rng.integers(1, 4))
  value = rng.uniform(-1, 1, (num_rows, size))
  said = 0.5 * value + rng.normal(0.1, 0.3, value.shape)
  known = rng.random(value.shape) < 0.6
  return said.astype(np.float32), value.astype(np.float32), known


def ccc_by_hand(x, y):
  x, y = x.astype(np.float64), y.astype(np.float64)
  shared = np.cov(x, y, bias=True)
  bottom = shared[0, 0] + shared[1, 1] + (x.mean() - y.mean()) ** 2
  return 2 * shared[0, 1] / bottom


@pytest.mark.parametrize('seed', range(12))
def test_classes_equal_scikit_learn(seed):
  probability, value, known = draw_classes(seed)
  counted = classes.ClassCounts.from_probabilities(
    probability, np.where(known, value, 99), known
  )
  every = np.arange(probability.shape[1])
  truth, said = value[known], probability[known].argmax(axis=1)
  np.testing.assert_array_equal(
    counted.counts, sk.confusion_matrix(truth, said, labels=every)
  )
  p, r, f, support = sk.precision_recall_fscore_support(
    truth, said, labels=every, zero_division=0
  )
  np.testing.assert_allclose(counted.precision, p, rtol=1e-12)
  np.testing.assert_allclose(counted.recall, r, rtol=1e-12)
  np.testing.assert_allclose(counted.f1, f, rtol=1e-12)
  np.testing.assert_array_equal(counted.support, support)
  assert counted.f1_macro == pytest.approx(f.mean())
  assert counted.f1_macro_present == pytest.approx(f[support > 0].mean())
  assert counted.accuracy == pytest.approx(sk.accuracy_score(truth, said))
  floor = counted.majority()
  most = np.full(len(truth), np.bincount(truth).argmax())
  np.testing.assert_array_equal(
    floor.counts, sk.confusion_matrix(truth, most, labels=every)
  )


def test_golden_ccc():
  x, y = np.array([0.1, 0.4, -0.2, 0.8]), np.array([0, 0.5, -0.4, 0.6])
  found = numbers.Moments.from_predictions(x[:, None], y[:, None])
  np.testing.assert_allclose(found.ccc, 0.9190283401, atol=1e-10)


@pytest.mark.parametrize('seed', range(12))
def test_numbers_equal_their_formulas(seed):
  said, value, known = draw_numbers(seed)
  moments = numbers.Moments.from_predictions(
    np.where(known, said, 7), np.where(known, value, np.nan), known
  )
  pairs = [(said[k, d], value[k, d]) for d, k in enumerate(known.T)]
  wanted = [ccc_by_hand(x, y) for x, y in pairs]
  np.testing.assert_allclose(moments.ccc, wanted, rtol=1e-9)
  assert moments.ccc_mean == pytest.approx(np.mean(wanted))
  assert moments.ccc_sum == pytest.approx(np.sum(wanted))
  roots = [sk.root_mean_squared_error(y, x) for x, y in pairs]
  np.testing.assert_allclose(moments.rmse, roots, rtol=1e-6)
  np.testing.assert_array_equal(moments.known, known.sum(axis=0))
  floor = moments.at_the_mean()
  np.testing.assert_allclose(floor.ccc, 0, atol=1e-9)
  np.testing.assert_allclose(floor.rmse, [y.std() for _, y in pairs], rtol=1e-5)


@pytest.mark.parametrize('said', [0.3, 0.1])
@pytest.mark.parametrize('rows', [0, 1, 7])
def test_what_is_constant_has_no_ccc(said, rows):
  x, y = np.full((rows, 1), said), np.full((rows, 1), 0.3)
  assert numbers.Moments.from_predictions(x, y).ccc.tolist() == [0]
  varied = np.linspace(-1, 1, rows)[:, None]
  assert numbers.Moments.from_predictions(x, varied).ccc.tolist() == [0]


@pytest.mark.parametrize('seed', range(4))
def test_resamples_are_scores_of_the_rows_drawn(seed):
  rng = np.random.default_rng(seed)
  unit = np.repeat(np.arange(6), rng.integers(1, 40, 6))
  probability, value, _ = draw_classes(seed, len(unit))
  said, number, known = draw_numbers(seed, len(unit))
  times = np.concatenate([*bootstrap.draw(6, 5, seed)])
  of_classes = classes.resample(probability, value, unit, 5, seed)
  of_numbers = numbers.resample(said, number, known, unit, 5, seed)
  for r, each in enumerate(times):
    rows = np.concatenate(
      [np.flatnonzero(unit == u) for u in np.repeat(np.arange(6), each)]
    )
    one = classes.ClassCounts.from_probabilities(probability[rows], value[rows])
    np.testing.assert_array_equal(of_classes.counts[r], one.counts)
    cells = said[rows], number[rows], known[rows]
    ccc = numbers.Moments.from_predictions(*cells).ccc
    np.testing.assert_allclose(of_numbers.ccc[r], ccc, atol=1e-9)
  alone = np.zeros(len(unit), int)
  assert classes.resample(probability, value, alone, 5, seed) is None
  assert numbers.resample(said, number, known, alone, 5, seed) is None


def three_targets(seed):
  """Predictions and targets of labels, classes and numbers."""
  rng = np.random.default_rng(seed)
  probability, value, known = draw_classes(seed, 120)
  names = tuple(f'c{k}' for k in range(probability.shape[1]))
  said, number, there = draw_numbers(seed, 120)
  yes = rng.random((120, 3))
  found = {
    'labels': targets_lib.Target(
      *('binary', (rng.random((120, 3)) < yes).astype(np.uint8)),
      *(np.ones((120, 3), bool), ('a', 'b', 'c')),
    ),
    'mood': targets_lib.of_codes(np.where(known, value, -1), names),
    'va': targets_lib.of_numbers(
      np.where(there, number, np.nan),
      tuple(f'n{d}' for d in range(said.shape[1])),
      *(-1, 1),
    ),
  }
  return {'labels': yes, 'mood': probability, 'va': said}, found


@pytest.mark.parametrize('seed', range(6))
def test_validation_and_what_is_best(seed):
  said, found = three_targets(seed)
  labels = found['labels']
  cells = said['labels'], labels.values, labels.known
  alone = summary.of_validation(*cells)
  assert targets.of_validation({'labels': said['labels']}, found) == alone
  scores = targets.of_validation(said, found)
  assert {k: scores[k] for k in alone} == alone
  mood, va = found['mood'], found['va']
  truth = mood.values[mood.known]
  guess = said['mood'][mood.known].argmax(axis=1)
  every = range(len(mood.names))
  f1 = sk.f1_score(
    *(truth, guess), labels=every, average='macro', zero_division=0
  )
  accuracy = sk.accuracy_score(truth, guess)
  assert scores['mood_f1_macro'] == pytest.approx(f1)
  assert scores['mood_accuracy'] == pytest.approx(accuracy)
  cccs = [
    ccc_by_hand(said['va'][k, d], va.values[k, d])
    for d, k in enumerate(va.known.T)
  ]
  assert scores['va_ccc_mean'] == pytest.approx(np.mean(cccs))
  au = 0.5 * alone['f1_macro'] + 0.5 * alone['accuracy']
  expr = 0.67 * f1 + 0.33 * accuracy
  assert scores['overall'] == pytest.approx(au + expr + sum(cccs))
  kinds = {name: target.kind for name, target in found.items()}
  of_target = {
    'labels': alone,
    'mood': {'f1_macro': f1, 'accuracy': accuracy},
    'va': {'ccc_mean': np.mean(cccs)},
  }
  assert overall.challenges(kinds, of_target) == {
    '2020': pytest.approx({'labels': au, 'mood': expr, 'va': np.mean(cccs)}),
    '2022': pytest.approx(
      {
        'labels': alone['f1_macro'],
        'mood': f1,
        'va': np.mean(cccs),
        'multi_task': alone['f1_macro'] + f1 + np.mean(cccs),
      }
    ),
  }


@pytest.mark.parametrize('seed', range(3))
def test_all_targets_are_resampled_together(seed):
  rng = np.random.default_rng(seed)
  said, found = three_targets(seed)
  unit = rng.integers(0, 9, 120)
  rows = {
    name: np.flatnonzero(target.rows_known & (unit != place))
    for place, (name, target) in enumerate(found.items())
  }
  given = (
    {name: targets.take(found[name], of) for name, of in rows.items()},
    {name: said[name][of] for name, of in rows.items()},
    {name: 10 * unit[of] for name, of in rows.items()},  # With numbers between.
  )
  told = targets.intervals_together(*given, num_resamples=20, seed=seed)
  every = np.unique(np.concatenate([unit[of] for of in rows.values()]))
  kinds = {name: target.kind for name, target in found.items()}
  sums = {'overall': [], 'multi_task': []}
  for times in np.concatenate([*bootstrap.draw(len(every), 20, seed)]):
    scores = {}
    for name, of in rows.items():
      drawn = np.concatenate(
        [of[unit[of] == u] for u in np.repeat(every, times)]
      )
      part = targets.take(found[name], drawn)
      counted = targets.count(
        kinds[name], said[name][drawn], part.values, part.known
      )
      scores[name] = counted
    sums['overall'].append(overall.overall(kinds, scores))
    each = [
      overall.of_challenge('2022', kinds[k], x) for k, x in scores.items()
    ]
    sums['multi_task'].append(sum(each))
  for name, drawn in sums.items():
    wanted = np.quantile(drawn, [0.025, 0.975])
    np.testing.assert_allclose(told[f'{name}_interval'], wanted, atol=2e-6)
  alone = [dict.fromkeys(x, np.zeros(3, int)) for x in given[2:]]
  few = [{k: targets.take(x, np.arange(3)) for k, x in given[0].items()}]
  few += [{k: x[:3] for k, x in given[1].items()}]
  assert targets.intervals_together(*few, *alone) == {}


def test_one_message_for_what_cannot_be_scored():
  good = np.full((3, 2), 0.5)
  for call, word in (
    (lambda: targets.count('class', good, np.array([0, 1, 2])), '0 to 1'),
    (lambda: targets.count('class', good, np.zeros(4, int)), r'\[N, C\]'),
    (lambda: targets.count('class', good * np.nan, np.zeros(3, int)), 'nan'),
    (lambda: targets.count('real', good, good[:2]), r'\[N, D\]'),
    (lambda: targets.count('real', good * np.inf, good), 'inf'),
    (lambda: targets.count('real', good, good * np.nan), 'finite'),
  ):  # fmt: skip
    with pytest.raises(errors.UserError, match=word):
      call()
