import dataclasses
import json
import types

import jax
import numpy as np
import pytest
from scipy import special
from sklearn import linear_model
from sklearn import preprocessing

from aubal_jax import resampling
from aubal_jax.datasets.drawn import synthetic
from aubal_jax.experiments.compare import averaged
from aubal_jax.experiments.compare import fit
from aubal_jax.experiments.compare import table_trials
from aubal_jax.experiments.compare import trials
from aubal_jax.network import losses
from aubal_jax.network.models import tabular as models
from aubal_jax.tables import plan as plan_lib

# Models of which one alone is in the short form.
LOGISTIC_SOON = ('logistic', pytest.param('mlp', marks=pytest.mark.long))
MLP_SOON = (pytest.param('logistic', marks=pytest.mark.long), 'mlp')


def test_every_model_is_tried():
  assert {*models.MODELS} == {'logistic', 'mlp'}


def problem(num_rows=40, num_features=5, num_labels=3, seed=0):
  rng = np.random.default_rng(seed)
  features = rng.normal(size=(num_rows, num_features)).astype(np.float32)
  logits = features @ rng.normal(size=(num_features, num_labels))
  targets = logits + rng.normal(size=logits.shape) > 0.5
  return features, targets.astype(np.float32)


def train(model, features, targets, weights, *, num_entries=None, seeds=(0,)):
  """Parameters of fit.fit; targets and weights [R, L] or [S, R, L]."""
  shape = (len(seeds), *targets.shape[-2:])
  params, _ = fit.fit(
    models.make_model(model, targets.shape[-1]),
    (fit.bce,),
    0,
    features,
    np.broadcast_to(targets, shape).astype(np.float32),
    np.broadcast_to(weights, shape).astype(np.float32),
    np.float32(num_entries or targets.size),
    jax.numpy.stack([jax.random.key(seed) for seed in seeds]),
    learning_rates=np.float32([fit.LEARNING_RATES[model]]),
    # Rounding grows with the steps of a net whose loss is not convex.
    num_steps=200 if model == 'logistic' else 20,
  )
  return params


def probability(model, features, *arguments, **options):
  params = train(model, features, *arguments, **options)
  net = models.make_model(model, arguments[0].shape[-1])
  return np.asarray(fit.predict(net, params, features))


def test_bce_has_the_value_and_gradient_of_the_loss():
  rng = np.random.default_rng(0)
  logits = rng.normal(0, 3, (7, 4)).astype(np.float32)
  targets = rng.random((7, 4)).astype(np.float32)
  known = (rng.random((7, 4)) < 0.7).astype(np.float32)
  ours = jax.value_and_grad(fit.bce)(logits, targets, known)
  theirs = jax.value_and_grad(losses.make_loss('bce'))(logits, targets, known)
  for mine, other in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('weighted', [False, True])
def test_logistic_model_is_that_of_scikit_learn(weighted):
  features, targets = problem()
  rng = np.random.default_rng(1)
  counts = rng.integers(0, 4, 40) if weighted else np.ones(40)
  found = train('logistic', features, targets, counts[:, None])['Dense_0']
  for k in range(3):
    exact = linear_model.LogisticRegression(C=1, tol=1e-9, max_iter=10000)
    # Weights of mean 1: the penalty weighs as it does without duplicates.
    exact.fit(features, targets[:, k], counts * 40 / counts.sum())
    np.testing.assert_allclose(
      found['kernel'][0, :, k], exact.coef_[0], atol=1e-3
    )
    np.testing.assert_allclose(
      found['bias'][0, k], exact.intercept_[0], atol=1e-3
    )


@pytest.mark.parametrize('model', LOGISTIC_SOON)
def test_weights_are_duplicates_and_padding_is_nothing(model):
  features, targets = problem()
  counts = np.random.default_rng(1).integers(0, 4, 40)
  options = {'num_entries': 120}
  twice = np.repeat(np.arange(40), counts)
  by_rows = train(model, features[twice], targets[twice], 1.0, **options)
  fill = (0, len(twice) - 40)
  by_weight = train(
    model,
    np.pad(features, (fill, (0, 0)), constant_values=7),
    np.pad(targets, (fill, (0, 0)), constant_values=1),
    np.pad(counts, fill)[:, None],
    **options,
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
    by_rows,
    by_weight,
  )


@pytest.mark.parametrize('model', LOGISTIC_SOON)
def test_a_row_with_two_labellings_is_a_mean_target(model):
  features, targets = problem()
  other = targets[::-1]
  options = {'num_entries': 120}
  both = train(
    model,
    np.concatenate([features, features]),
    np.concatenate([targets, other]),
    1.0,
    **options,
  )
  mean = train(model, features, (targets + other) / 2, 2.0, **options)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
    both,
    mean,
  )


@pytest.mark.parametrize('model', LOGISTIC_SOON)
def test_a_seed_alone_is_the_same_among_others(model):
  features, targets = problem()
  weights = np.random.default_rng(1).integers(0, 3, (3, 40, 1))
  together = probability(model, features, targets, weights, seeds=(5, 6, 7))
  for k, seed in enumerate((5, 6, 7)):
    alone = probability(model, features, targets, weights[k], seeds=(seed,))
    np.testing.assert_allclose(together[k], alone[0], atol=1e-5)
  assert np.abs(together[0] - together[1]).max() > 1e-3


@pytest.mark.long
def test_a_rate_alone_is_the_same_among_others():
  features, targets = problem()
  weights = np.random.default_rng(1).integers(0, 3, (2, 40, 1))
  shape = (2, *targets.shape)
  net = models.make_model('mlp', 3)

  def trained(rates):
    params, _ = fit.fit(
      net,
      (fit.bce,),
      0,
      features,
      np.broadcast_to(targets, shape).astype(np.float32),
      np.broadcast_to(weights, shape).astype(np.float32),
      np.float32(120),
      jax.random.split(jax.random.key(0), 2),
      learning_rates=np.float32(rates),
      num_steps=20,
    )
    return np.asarray(fit.predict(net, params, features))

  rates = np.random.default_rng(2).uniform(0.001, 0.1, 3)
  together = trained(rates).reshape(3, 2, 40, 3)
  for k, rate in enumerate(rates):
    np.testing.assert_allclose(together[k], trained([rate]), atol=1e-5)
  assert np.abs(together[0] - together[1]).max() > 1e-3


def test_looks_on_the_way_change_nothing():
  features, targets = problem()

  def trained(**options):
    return fit.fit(
      models.make_model('logistic', 3),
      (fit.bce,),
      0,
      features,
      targets[None],
      np.ones((1, 40, 3), 'f4'),
      np.float32(120),
      jax.random.key(0)[None],
      learning_rates=np.float32([0.1]),
      num_steps=11,
      **options,
    )

  expected, _ = trained()
  params, looks = trained(num_looks=4)
  for exact, mine, on_way in zip(
    *map(jax.tree.leaves, (expected, params, looks)), strict=True
  ):
    np.testing.assert_array_equal(mine, on_way[-1])
    np.testing.assert_allclose(mine, exact, rtol=1e-5, atol=1e-7)
    sizes = np.abs(np.diff(on_way, axis=0)).max(axis=(1, 2, 3)[: mine.ndim])
    assert len(on_way) == 4 and (sizes > 0).all()


def test_looks_are_evenly_spread_over_the_steps():
  for num_steps in range(1, 40):
    for num_looks in range(1, 9):
      found = np.diff([0, *fit.look_steps(num_steps, num_looks)])
      assert found.sum() == num_steps and found.min() >= 1
      assert np.ptp(found) <= 1 and len(found) == min(num_looks, num_steps)


def test_which_loss_is_trained_with():
  features, targets = problem()
  options = {'targets': targets[None], 'weights': np.ones((1, 40, 3), 'f4')}
  net = models.make_model('logistic', 3)

  def trained(which, *names):
    params, _ = fit.fit(
      net,
      tuple(losses.make_loss(name) for name in names),
      which,
      features,
      num_entries=np.float32(120),
      keys=jax.random.key(0)[None],
      learning_rates=np.float32([0.1]),
      num_steps=20,
      **options,
    )
    return params['Dense_0']['kernel']

  focal = trained(0, 'focal')
  np.testing.assert_allclose(trained(1, 'bce', 'focal'), focal, rtol=1e-6)
  assert np.abs(trained(0, 'bce', 'focal') - focal).max() > 0.01


def test_standardised_by_the_rows_given():
  rng = np.random.default_rng(0)
  features = rng.normal(1000, [1, 20, 0], (30, 3)).astype(np.float32)
  rows = np.arange(0, 30, 2)
  found = fit.standardise(features, rows)
  scaler = preprocessing.StandardScaler().fit(features[rows].astype(float))
  np.testing.assert_allclose(
    found[:, :2], scaler.transform(features.astype(float))[:, :2], rtol=1e-5
  )
  assert not found[:, 2].any()


def test_principal_axes_only_turn():
  features, _ = problem()
  axes = fit.principal_axes(features)
  np.testing.assert_allclose(axes.T @ axes, np.eye(5), atol=1e-5)
  turned = (features @ axes).T @ (features @ axes)
  np.testing.assert_allclose(turned, np.diag(np.diag(turned)), atol=1e-3)


@pytest.fixture
def recorded(monkeypatch):
  """What run_cell scores: a list of (split, validation, test)."""
  found, score = [], trials.score

  def record(dataset, split, *probabilities):
    found.append((split, *probabilities))
    return score(dataset, split, *probabilities)

  monkeypatch.setattr(trials, 'score', record)
  return found


def cell(method='none', *, data=None, fraction=None, **options):
  settings = {'model': 'logistic', 'seeds': 1, 'repeats': 1, **options}
  data = synthetic.load_table(num_rows=120) if data is None else data
  return table_trials.run_cell(data, method, fraction=fraction, **settings)


def test_probabilities_are_those_of_scikit_learn(recorded):
  data = synthetic.load_table(num_rows=120)
  cell(data=data)
  assert len(recorded) == 2
  for split, *found in recorded:
    scaler = preprocessing.StandardScaler().fit(data.features[split.train])
    features = scaler.transform(data.features)
    for k in range(8):
      exact = linear_model.LogisticRegression(tol=1e-9, max_iter=10000)
      exact.fit(features[split.train], data.labels[split.train, k])
      expected = exact.predict_proba(features)[:, 1]
      for rows, p in zip((split.validation, split.test), found, strict=True):
        np.testing.assert_allclose(p[:, k], expected[rows], atol=5e-3)


@pytest.mark.parametrize('model', MLP_SOON)
def test_a_plan_is_trained_on_row_by_row(recorded, monkeypatch, model):
  data = synthetic.load_table(num_rows=120)
  known = np.random.default_rng(0).random(data.labels.shape) < 0.9
  data = dataclasses.replace(data, labels=data.labels * known, known=known)
  plans = []

  def resample(labels, *, rows, label_names, **_):
    # Copies, rows between two others, and labels that are none of the table's.
    rng = np.random.default_rng(len(plans))
    source, partner = rng.choice(rows, (2, len(rows) + 9))
    partner[: len(rows)] = -1
    drawn = rng.integers(0, 2, (len(source), 8)).astype(np.uint8)
    plans.append(
      plan_lib.Plan(
        *(source, np.zeros(len(source), bool), partner, label_names),
        labels=drawn & known[source],
        share=rng.random(len(source)),
      )
    )
    return plans[-1]

  monkeypatch.setattr(resampling, 'resample', resample)
  num_steps = 200 if model == 'logistic' else 20
  result = cell('random', data=data, model=model, num_steps=num_steps, seeds=2)
  assert [t['plan']['rows'] for t in result['trials']] == [*map(len, plans)]
  for k, (plan, found) in enumerate(zip(plans, recorded, strict=True)):
    split, _, test = found
    scaler = preprocessing.StandardScaler().fit(data.features[split.train])
    features = scaler.transform(data.features).astype(np.float32)
    entropy = np.random.SeedSequence([k % 2, split.repeat, split.fold])
    weights = known[plan.source] & np.where(
      plan.partner[:, None] >= 0, known[plan.partner], True
    )
    params, _ = fit.fit(
      models.make_model(model, 8),
      (fit.bce,),
      0,
      plan.take(features, None).astype(np.float32),
      plan.labels[None].astype(np.float32),
      weights[None].astype(np.float32),
      np.float32(known[split.train].sum()),
      jax.random.key(int(entropy.generate_state(3)[2]))[None],
      learning_rates=np.float32([fit.LEARNING_RATES[model]]),
      num_steps=num_steps,
    )
    expected = fit.predict(
      models.make_model(model, 8), params, features[split.test]
    )
    np.testing.assert_allclose(test, expected[0], atol=3e-3)


def test_result_of_a_cell():
  data = synthetic.load_table(num_rows=120)
  result = cell('random', data=data, fraction=0.25, seeds=[4, 2], repeats=2)
  found = result.pop('trials')
  assert result == {'num_steps': 300, 'label_names': list(data.label_names)}
  assert sorted((t['seed'], t['repeat'], t['fold']) for t in found) == [
    (seed, repeat, fold)
    for seed in (2, 4)
    for repeat in (0, 1)
    for fold in (0, 1)
  ]
  for trial in found:
    assert (trial['num_train'], trial['num_test']) == (48, 60)
    assert trial['plan']['rows'] == 60
    assert {*trial['scores']} == {*trials.TITLES}
    assert {*trial['seconds']} == {'resample', 'train'}
    for name in (*trials.PER_LABEL, 'frequency'):
      assert len(trial[name]) == 8
  json.dumps(found, allow_nan=False)


def test_rows_that_stay_know_their_groups_and_frames(monkeypatch):
  called = []

  def resample(labels, method, **given):
    called.append(given)
    return resampling.resample(labels, method, **given)

  spied = types.SimpleNamespace(
    resample=resample, about_rows=resampling.about_rows
  )
  monkeypatch.setattr(table_trials, 'resampling', spied)
  data = synthetic.load_table(num_rows=120)
  rng = np.random.default_rng(0)
  data = dataclasses.replace(
    data, groups=rng.integers(0, 30, 120), frames=rng.normal(size=120)
  )
  for method, names in (
    ('keep_every', {'groups', 'frames'}),
    ('keep_random', set()),
  ):
    called.clear()
    result = cell(method, data=data, options={'share': 0.5}, num_steps=1)
    for given, trial in zip(called, result['trials'], strict=True):
      assert {*given} & {'groups', 'frames'} == names
      for name in names:
        values = getattr(data, name)[given['rows']]
        np.testing.assert_array_equal(given[name], values)
      assert trial['plan']['rows'] == round(0.5 * len(given['rows']))


def test_a_trial_is_that_of_the_rate_best_on_validation():
  data = synthetic.load_table(num_rows=120)
  several, seen = (0.05, 1.0, 30.0), set()
  for method in ('none', 'random'):
    options = {'data': data, 'seeds': 2, 'num_steps': 8}
    options['fraction'] = None if method == 'none' else 0.25
    alone = {r: cell(method, rates=(r,), **options) for r in several}
    found = cell(method, rates=several, **options)['trials']
    for k, trial in enumerate(found):
      each = [alone[r]['trials'][k] for r in several]
      assert [rate for rate, _ in trial['tried']] == [*several]
      scores = [score for _, score in trial['tried']]
      own = [one['tried'][0][1] for one in each]
      assert scores == pytest.approx(own, abs=1e-3)
      best = several[int(np.argmax(scores))]
      assert trial['rate'] == best
      mine = each[several.index(best)]
      assert trial['scores'] == pytest.approx(mine['scores'], abs=5e-3)
      assert trial['course'][-1] == [8, pytest.approx(max(scores), abs=1e-3)]
      assert [step for step, _ in trial['course']] == fit.look_steps(8, 6)
      seen.add(best)
  assert len(seen) > 1


@pytest.mark.parametrize('model', LOGISTIC_SOON)
def test_a_rate_that_diverges_has_lost(model):
  data = synthetic.load_table(num_rows=120)
  options = {'data': data, 'seeds': 1, 'num_steps': 400, 'model': model}
  alone = cell(rates=(1.0,), **options)['trials']
  found = cell(rates=(1.0, 3e38), **options)['trials']
  for one, other in zip(alone, found, strict=True):
    assert other['rate'] == 1.0 and other['tried'][1] == [3e38, None]
    assert other['scores'] == pytest.approx(one['scores'], abs=5e-3)
  with pytest.raises(FloatingPointError, match=r'one of compare\.rates'):
    cell(rates=(2e38, 3e38), **options)


def test_no_test_row_has_a_say_in_what_rates_are_chosen_by():
  data = synthetic.load_table(num_rows=120)
  rng = np.random.default_rng(0)
  for split in trials.draw(data, repeats=2):
    other = dataclasses.replace(data, labels=data.labels.copy())
    rest = np.setdiff1d(np.arange(120), split.validation)
    other.labels[rest] = rng.permutation(other.labels[rest])
    p = rng.random((len(split.validation), 8))
    one, two = (trials.validation_map(d, split, p) for d in (data, other))
    assert one == two
    other.labels[split.validation] = 1 - other.labels[split.validation]
    assert trials.validation_map(other, split, p) != one


def test_two_seeds_are_averaged_on_logits(recorded):
  num_splits, num = 2, 3
  result = cell('none', seeds=num, num_steps=4, rates=(1.0, 4.0))
  assert len(result['averaged']) == num * num_splits
  for k in range(num_splits):
    own = recorded[2 * num * k :][:num]
    means = recorded[2 * num * k + num :][:num]
    for seed, (split, *found) in enumerate(means):
      assert split is own[0][0]
      both = own[seed][1:], own[(seed + 1) % num][1:]
      for mine, one, other in zip(found, *both, strict=True):
        logits = (special.logit(one) + special.logit(other)) / 2
        np.testing.assert_allclose(mine, special.expit(logits), rtol=1e-4)
  for trial, one in zip(result['averaged'], result['trials'], strict=True):
    assert trial['seed'] == one['seed'] and trial['plan'] == one['plan']
    assert {*trial} == {*one} | {'best_last'} and trial['rate'] is None
    assert trial['seconds']['train'] == 2 * one['seconds']['train']
  json.dumps(result, allow_nan=False)
  for method, seeds in (('none', 1), ('random', 2)):
    assert 'averaged' not in cell(method, seeds=seeds, num_steps=4)


def test_means_of_logits_are_finite_and_between():
  rng = np.random.default_rng(0)
  for _ in range(30):
    sure = rng.choice((0.0, 1.0, 0.5), (2, 5, 3))
    one, other = np.where(rng.random(sure.shape) < 0.3, sure, rng.random())
    found = averaged.mean(one.astype('f4'), other.astype('f4'))
    swapped = averaged.mean(other.astype('f4'), one.astype('f4'))
    np.testing.assert_array_equal(found, swapped)
    low, high = np.minimum(one, other), np.maximum(one, other)
    assert ((low - 1e-6 <= found) & (found <= high + 1e-6)).all()
    np.testing.assert_allclose(averaged.mean(one, one), one, atol=2e-7)


def test_equal_cells_are_equal_and_seeds_matter():
  def found(**options):
    return [
      {**trial, 'seconds': None}
      for trial in cell('random', fraction=0.5, **options)['trials']
    ]

  both = found(seeds=2)
  assert both == found(seeds=2)
  assert [t['seed'] for t in both] == [0, 1, 0, 1]
  assert found()[0]['plan'] == both[0]['plan'] != both[1]['plan']


@pytest.mark.parametrize(
  ('method', 'fraction'), [('mlsmote', 0.25), ('remedial', None)]
)
def test_methods_that_make_rows_and_labels(method, fraction):
  for trial in cell(method, fraction=fraction, num_steps=9)['trials']:
    assert trial['plan']['rows'] > trial['num_train']


def test_what_the_resampler_is_given(monkeypatch):
  data = synthetic.load_table(num_rows=120)
  calls = []

  def resample(labels, method, *, rows, **settings):
    calls.append((labels, method, rows, settings))
    return plan_lib.unchanged(rows)

  monkeypatch.setattr(resampling, 'resample', resample)
  options = {'upper': 3.0, 'lam': 7.0}
  cell('aubal:log', data=data, fraction=0.5, options=options, num_steps=9)
  assert len({settings['seed'] for *_, settings in calls}) == 2
  for labels, method, rows, settings in calls:
    assert method == 'aubal'
    np.testing.assert_array_equal(labels, data.labels[rows])
    np.testing.assert_allclose(settings['features'].mean(axis=0), 0, atol=1e-6)
    del settings['features'], settings['seed']
    assert settings == {
      'objective': 'log',
      'fraction': 0.5,
      'label_names': data.label_names,
      **options,
    }


def test_a_loss_is_trained_with_on_the_rows_as_they_are():
  plain = cell('none', num_steps=50)
  same = cell('loss:bce', num_steps=50, fraction=0.25)
  for one, other in zip(plain['trials'], same['trials'], strict=True):
    assert one['scores'] == pytest.approx(other['scores'], abs=0.02)
    assert one['plan'] == other['plan']


def test_a_loss_knows_the_training_rows_of_its_split(monkeypatch):
  data = synthetic.load_table(num_rows=120)
  calls, told = [], {}
  train, make_loss = fit.fit, losses.make_loss

  def kept(name, **given):
    loss = make_loss(name, **given)
    told[loss] = name, given
    return loss

  monkeypatch.setattr(losses, 'make_loss', kept)
  monkeypatch.setattr(
    fit, 'fit', lambda *args, **kw: calls.append(kw) or train(*args, **kw)
  )
  cell('loss:class_balanced', data=data, num_steps=9)
  assert len(calls) == 2
  for settings, split in zip(calls, trials.draw(data, repeats=1), strict=True):
    name, known = told[settings['losses'][settings['which']]]
    counts = data.labels[split.train].sum(axis=0)
    assert name == 'class_balanced'
    np.testing.assert_array_equal(known['counts'], counts)
    np.testing.assert_allclose(known['frequency'], counts / 48)


@pytest.mark.parametrize(
  ('method', 'options', 'message'),
  [
    ('none', {'model': 'forest'}, r"Unknown model 'forest'.*logistic.*mlp"),
    ('ml_rso', {}, r"method must be one of .*'ml_rso'.*Did you mean 'ml_r.s'"),
    ('loss:bec', {}, r"Unknown loss 'bec'"),
    ('none', {'fraction': 0.25}, r'none has no amount'),
  ],
)
def test_bad_arguments(method, options, message):
  with pytest.raises(ValueError, match=message):
    cell(method, **options)
