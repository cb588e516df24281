"""Resampler: what scikit-learn and imbalanced-learn ask of a resampler."""

import pickle

import imblearn.pipeline
import numpy as np
import pytest
from scipy import sparse
from sklearn import base
from sklearn import datasets
from sklearn import metrics
from sklearn import model_selection
from sklearn import neighbors
from sklearn import preprocessing
from sklearn import tree
from sklearn.utils import estimator_checks

import aubal_jax as aubal
from aubal_jax import resampling
from aubal_jax.resampling import estimator

# Methods that make rows, and one whose rows have labels of their own.
MIXING = ('mlsmote', 'smote', 'mlsol')
NEEDING = [n for n in resampling.RESAMPLERS if resampling.takes(n, 'features')]


def table(rows=60, labels=5):
  return datasets.make_multilabel_classification(
    rows, n_features=7, n_classes=labels, random_state=0
  )


class OfClasses(estimator.Resampler):
  """scikit-learn's checks make classes: here they become columns of 0 and 1."""

  def _choose(self, X, y):
    if y is not None:
      y = (np.ravel(y)[:, None] == np.unique(y)).astype(int)
    return super()._choose(X, y)


def not_applicable(resampler):
  """The checks that do not apply, and why."""
  if resampler.method in NEEDING:
    return {}
  return {
    'check_dtype_object': (
      'A table whose rows are only picked may hold anything; the check wants '
      'a dict in a cell to be refused.'
    )
  }


@estimator_checks.parametrize_with_checks(
  [OfClasses(name) for name in ('random', 'ml_ros', 'remedial', 'mlsmote')],
  expected_failed_checks=not_applicable,
  xfail_strict=True,
)
def test_checks_of_scikit_learn(estimator, check):
  check(estimator)


def test_the_checks_are_those_that_are_listed():
  ran = [
    entry['check_name']
    for entry in estimator_checks.check_estimator(
      OfClasses('none'),
      expected_failed_checks=not_applicable(OfClasses('none')),
      on_skip=None,
    )
    if entry['status'] == 'passed'
  ]
  assert {
    'check_do_not_raise_errors_in_init_or_set_params',
    'check_estimator_cloneable',
    'check_estimator_repr',
    'check_estimator_sparse_array',
    'check_estimators_overwrite_params',
    'check_estimators_pickle',
    'check_estimators_unfitted',
    'check_fit_idempotent',
    'check_get_params_invariance',
    'check_n_features_in',
    'check_no_attributes_set_in_init',
    'check_parameters_default_constructible',
    'check_requires_y_none',
    'check_set_params',
  } <= set(ran)
  assert len(ran) > 35


@pytest.mark.parametrize('method', resampling.RESAMPLERS)
def test_it_returns_the_rows_of_the_plan(method):
  X, y = table()
  resampler = aubal.Resampler(method, random_state=3)
  new_X, new_y = resampler.fit_resample(X, y)
  plan = aubal.resample(y, method, seed=3, features=X)
  np.testing.assert_array_equal(resampler.sample_indices_, plan.source)
  assert len(new_X) == len(new_y) == len(plan) == len(resampler.plan_)
  copies = plan.partner < 0
  assert copies.all() == (method not in MIXING)
  np.testing.assert_array_equal(new_X[copies], X[plan.source[copies]])
  expected = y[plan.source] if plan.labels is None else plan.labels
  np.testing.assert_array_equal(new_y, expected)
  assert new_X.dtype == X.dtype
  assert new_y.dtype == y.dtype


@pytest.mark.parametrize('method', MIXING)
def test_synthetic_rows_lie_between_their_two_rows(method):
  X, y = table()
  resampler = aubal.Resampler(method)
  new_X, _ = resampler.fit_resample(X.astype(np.float32), y)
  plan = resampler.plan_
  mixed = plan.partner >= 0
  ends = np.stack([X[plan.source[mixed]], X[plan.partner[mixed]]])
  assert mixed.any()
  assert (new_X[mixed] >= ends.min(axis=0) - 1e-5).all()
  assert (new_X[mixed] <= ends.max(axis=0) + 1e-5).all()
  assert new_X.dtype == np.float32
  again, _ = resampler.fit_resample(X.astype(np.float32), y)
  np.testing.assert_array_equal(again, new_X)
  whole, _ = resampler.fit_resample(X.astype(int), y)
  assert whole.dtype == np.float64


@pytest.mark.parametrize('method', ['ml_ros', 'remedial', 'mlsmote'])
@pytest.mark.parametrize('kind', [sparse.csr_array, sparse.coo_array])
def test_sparse_tables_come_back_sparse_and_the_same(method, kind):
  X, y = table()
  resampler = aubal.Resampler(method)
  expected_X, expected_y = resampler.fit_resample(X, y)
  new_X, new_y = resampler.fit_resample(kind(X), kind(y))
  assert new_X.format == new_y.format == 'csr'
  np.testing.assert_array_equal(new_X.toarray(), expected_X)
  np.testing.assert_array_equal(new_y.toarray(), expected_y)
  assert new_y.dtype == y.dtype


@pytest.mark.parametrize('method', ['ml_ros', 'remedial', 'mlsmote'])
def test_data_frames_come_back_as_data_frames(method):
  pandas = pytest.importorskip('pandas')
  X, y = table()
  names = [f'x{i}' for i in range(X.shape[1])]
  labels = pandas.DataFrame(y, columns=[*'abcde']).astype({'a': bool})
  resampler = aubal.Resampler(method)
  expected_X, expected_y = resampler.fit_resample(X, y)
  index = np.arange(len(X)) + 100
  new_X, new_y = resampler.fit_resample(
    pandas.DataFrame(X, columns=names, index=index), labels.set_index(index)
  )
  assert [*new_X.columns] == [*resampler.feature_names_in_] == names
  assert resampler.plan_.label_names == (*'abcde',)
  assert [*new_y.dtypes] == [*labels.dtypes]
  assert [*new_X.index] == [*new_y.index] == [*range(len(expected_X))]
  np.testing.assert_array_equal(new_X, expected_X)
  np.testing.assert_array_equal(new_y, expected_y)


def test_columns_of_any_numbers_are_mixed():
  pandas = pytest.importorskip('pandas')
  rng = np.random.default_rng(0)
  _, y = table()
  kinds = {
    'float64': np.float64,
    'float32': np.float32,
    'Float64': 'Float64',
    'int64': np.float64,
    'Int64': np.float64,
    'bool': np.float64,
    'boolean': np.float64,
    'uint8': np.float64,
  }
  for trial in range(24):
    method = MIXING[trial % 3]
    chosen = rng.choice([*kinds], rng.integers(1, 5))
    numbers = rng.integers(0, 2, (len(y), len(chosen)))
    frame = pandas.DataFrame(numbers).rename(columns='c{}'.format)
    for name, kind in zip(frame.columns, chosen, strict=True):
      frame[name] = frame[name].astype(kind)
    wanted = [kinds[kind] for kind in chosen]
    if trial % 4 == 0:
      frame, wanted = frame.astype(object), [np.float64] * len(wanted)
    new_X, _ = aubal.Resampler(method).fit_resample(frame, y)
    expected, _ = aubal.Resampler(method).fit_resample(numbers, y)
    np.testing.assert_allclose(new_X.astype(float), expected, rtol=1e-6)
    assert [*new_X.dtypes] == [*map(pandas.api.types.pandas_dtype, wanted)]


def test_frames_that_cannot_be_taken_are_told():
  pandas = pytest.importorskip('pandas')
  _, y = table()
  numbers = pandas.DataFrame(np.random.default_rng(0).random((60, 3)))
  times = pandas.date_range('2020', periods=60)
  for at, method in enumerate(NEEDING):
    frame = numbers.set_axis([*'abc'], axis=1)
    frame['abc'[at % 3]] = times if at % 2 else times - times[0]
    with pytest.raises(ValueError, match=f"'{'abc'[at % 3]}' is not. Encode"):
      aubal.Resampler(method).fit_resample(frame, y)
  for at, method in enumerate(resampling.RESAMPLERS):
    names = [['a', 'a', 'b'], ['b', 'a', 'a'], ['a', 'b', 'a']][at % 3]
    with pytest.raises(ValueError, match="X has two columns 'a'; give each"):
      aubal.Resampler(method).fit_resample(numbers.set_axis(names, axis=1), y)
    with pytest.raises(ValueError, match=r'Expected (a 2-dimension|2D array)'):
      aubal.Resampler(method).fit_resample(numbers[0], y)


def test_a_table_whose_rows_are_picked_may_hold_anything():
  _, y = table()
  words = np.array([[f'row {i}', None] for i in range(len(y))], object)
  resampler = aubal.Resampler('lp_ros')
  new_X, _ = resampler.fit_resample(words, y)
  assert (new_X == words[resampler.sample_indices_]).all()
  images = np.random.default_rng(0).random((len(y), 4, 4, 1))
  new_X, _ = resampler.fit_resample(images, y)
  np.testing.assert_array_equal(new_X, images[resampler.sample_indices_])
  nothing = np.full((len(y), 2), np.nan)
  assert np.isnan(resampler.fit_resample(nothing, y)[0]).all()


def test_parameters_hold():
  resampler = aubal.Resampler(
    'mlsmote', fraction=0.5, options={'neighbours': 3}
  )
  unsaid = dict.fromkeys(
    ['neighbours', 'objective', 'lam', 'lower', 'upper', 'share']
  )
  assert resampler.get_params() == unsaid | {
    'method': 'mlsmote',
    'fraction': 0.5,
    'random_state': 0,
    'options': {'neighbours': 3},
  }
  assert repr(resampler) == (
    "Resampler(fraction=0.5, method='mlsmote', options={'neighbours': 3})"
  )
  copy = base.clone(resampler).set_params(random_state=7, method='ml_ros')
  assert copy.random_state == 7
  assert copy.options == resampler.options
  X, y = table()
  resampler.fit(X, y)
  revived = pickle.loads(pickle.dumps(resampler))
  np.testing.assert_array_equal(
    revived.sample_indices_, resampler.sample_indices_
  )
  assert not hasattr(base.clone(resampler), 'plan_')


def test_random_state_is_that_of_scikit_learn():
  X, y = table()

  def rows(random_state):
    resampler = aubal.Resampler('random', random_state=random_state)
    return resampler.fit(X, y).sample_indices_.tolist()

  assert rows(1) == rows(1) == rows(np.int64(1)) != rows(2)
  assert rows(np.random.RandomState(5)) == rows(np.random.RandomState(5))
  shared = np.random.RandomState(5)
  assert rows(shared) != rows(shared)
  assert rows(None) != rows(None)


def test_options_reach_the_method():
  X, y = table()
  few, many = (
    aubal.Resampler('mlsmote', options={'combine': name}).fit_resample(X, y)[1]
    for name in ('intersection', 'union')
  )
  assert few.sum() < many.sum()


def test_in_a_pipeline_it_acts_on_fitting_alone():
  X, y = table()
  pipeline = imblearn.pipeline.Pipeline(
    [
      ('scale', preprocessing.StandardScaler()),
      ('resample', aubal.Resampler('mlsmote')),
      ('classify', neighbors.KNeighborsClassifier(1)),
    ]
  )
  predicted = pipeline.fit(X, y).predict(X)
  assert predicted.shape == y.shape
  scaled = preprocessing.StandardScaler().fit_transform(X)
  new_X, new_y = aubal.Resampler('mlsmote').fit_resample(scaled, y)
  assert pipeline['classify'].n_samples_fit_ == len(new_X) > len(X)
  by_hand = neighbors.KNeighborsClassifier(1).fit(new_X, new_y)
  np.testing.assert_array_equal(predicted, by_hand.predict(scaled))


def test_a_grid_search_goes_over_methods_and_amounts():
  X, y = table()
  pipeline = imblearn.pipeline.Pipeline(
    [
      ('resample', aubal.Resampler('none')),
      ('classify', tree.DecisionTreeClassifier(max_depth=3, random_state=0)),
    ]
  )
  grid = [
    {'resample__method': ['none']},
    {'resample__method': ['ml_ros'], 'resample__fraction': [0.1, 0.5]},
    {'resample': [aubal.Resampler('remedial')]},
  ]
  search = model_selection.GridSearchCV(
    pipeline, grid, cv=2, scoring='f1_macro', error_score='raise'
  ).fit(X, y)
  assert np.isfinite(search.cv_results_['mean_test_score']).all()


def test_a_grid_goes_over_options_beside_none_and_frames_stay_frames():
  pandas = pytest.importorskip('pandas')
  X, y = table()
  X = pandas.DataFrame(X).rename(columns='c{}'.format)
  pipeline = imblearn.pipeline.Pipeline(
    [
      ('scale', preprocessing.StandardScaler()),
      ('resample', aubal.Resampler()),
      ('classify', tree.DecisionTreeClassifier(max_depth=3, random_state=0)),
    ]
  ).set_output(transform='pandas')
  grid = [
    {
      'resample__method': ['none', 'mlsmote'],
      'resample__fraction': [0.25, 0.5],
      'resample__neighbours': [2, 3],
    },
    {'resample__method': ['none'], 'resample__upper': [2.0, 4.0]},
  ]
  train, test = np.arange(0, 40), np.arange(40, 60)
  search = model_selection.GridSearchCV(
    *(pipeline, grid),
    cv=[(train, test)],
    scoring='f1_macro',
    error_score='raise',
    refit=False,
  ).fit(X, y)
  scores = search.cv_results_['mean_test_score']
  found = dict(zip(map(str, search.cv_results_['params']), scores, strict=True))
  assert len(found) == 10
  plain = {score for name, score in found.items() if "'none'" in name}
  assert len(plain) == 1  # Whatever stands beside it.
  scale = preprocessing.StandardScaler().set_output(transform='pandas')
  scaled = scale.fit_transform(X.iloc[train])
  for params in model_selection.ParameterGrid(grid):
    options = {k.partition('__')[2]: v for k, v in params.items()}
    new_X, new_y = aubal.Resampler(**options).fit_resample(scaled, y[train])
    fitted = base.clone(pipeline['classify']).fit(new_X, new_y)
    predicted = fitted.predict(scale.transform(X.iloc[test]))
    assert found[str(params)] == metrics.f1_score(
      y[test], predicted, average='macro', zero_division=0
    )
    fitted = (
      base.clone(pipeline).set_params(**params).fit(X.iloc[train], y[train])
    )
    assert [*fitted['classify'].feature_names_in_] == [*X.columns]
    names = fitted['resample'].get_feature_names_out()
    assert names.tolist() == [*X.columns]


def test_what_goes_with_the_rows_is_picked_by_their_numbers():
  X, y = table()
  rng = np.random.default_rng(0)
  for method in ('lp_ros', 'ml_rus', 'remedial', 'mlenn', *MIXING):
    resampler = aubal.Resampler(method).fit(X, y)
    rows = resampler.sample_indices_
    names = np.array([f'{n}.png' for n in range(len(X))])
    weights, images = rng.random(len(X)), rng.random((len(X), 2, 2))
    new_X, _ = resampler.fit_resample(X, y)
    assert len(names[rows]) == len(weights[rows]) == len(new_X)
    copies = resampler.plan_.partner < 0
    again = aubal.Resampler(method)
    if not resampling.takes(method, 'features'):
      new_images, _ = again.fit_resample(images, y)
      np.testing.assert_array_equal(new_images, images[rows])
    np.testing.assert_array_equal(new_X[copies], X[rows[copies]])


@pytest.mark.parametrize(
  ('settings', 'change', 'message'),
  [
    ({'method': 'mlros'}, {}, "'mlros'.* Did you mean 'ml_ros'"),
    ({'method': 'ml_ros', 'fraction': -1}, {}, 'fraction must be'),
    ({'method': 'remedial', 'fraction': 0.5}, {}, 'no amount'),
    ({'method': 'ml_ros', 'options': {'k': 3}}, {}, "no option 'k'"),
    ({'method': 'ml_ros', 'random_state': -1}, {}, 'seed must be'),
    ({}, {'y': None}, 'requires y'),
    ({}, {'y': np.zeros(60, int)}, r'y must be .* \(60,\)\. .*Binarizer'),
    ({}, {'y': np.full((60, 2), 2)}, 'must hold 0 and 1 only'),
    ({}, {'y': np.zeros((59, 2), int)}, r'inconsistent numbers .* \[60, 59\]'),
    ({'method': 'mlsmote'}, {'X': np.full((60, 2), np.nan)}, 'contains NaN'),
    ({'method': 'mlsmote'}, {'X': [['a']] * 60}, 'compatible with .*strings'),
    ({'method': 'smote'}, {'X': np.zeros((60, 2, 2))}, 'dim 3'),
    ({}, {'y': [[1], [1, 0]] * 30}, 'y must be .*differ in length'),
    ({'method': ['smote']}, {}, 'method must be one of'),
    ({'options': {'seed': 3}}, {}, "options .* not 'seed'"),
    ({'options': {'rows': np.arange(60) + 9}}, {}, "options .* not 'rows'"),
    ({'options': {'method': 'none'}}, {}, "options .* not 'method'"),
    ({'options': {1: 2}}, {}, 'options .* not 1'),
    ({'options': 'upper'}, {}, "options must be a dict.*'upper'"),
    ({'random_state': True}, {}, 'random_state must be .* True'),
    ({'random_state': 1.5}, {}, 'random_state must be .* 1.5'),
  ],
)
def test_what_is_wrong_is_told(settings, change, message):
  X, y = table()
  with pytest.raises(ValueError, match=message):
    aubal.Resampler(**settings).fit_resample(**{'X': X, 'y': y, **change})


@pytest.mark.parametrize('method', resampling.RESAMPLERS)
def test_parameters_are_options_of_the_method(method):
  rng = np.random.default_rng(0)
  X, y = rng.random((40, 3)), (rng.random((40, 3)) < 0.4).astype(int)
  taken = resampling.options(method)
  neighbours = 3 if method == 'mltl' else 2
  given = {
    'neighbours': neighbours,
    'objective': 'l2',
    'lam': 1.0,
    'upper': 2.0,
  }
  given = {name: value for name, value in given.items() if name in taken}
  resampler = estimator.Resampler(method, **given).fit(X, y)
  needs = resampling.takes(method, 'features')
  wanted = resampling.resample(
    y, method, features=X if needs else None, **given
  )
  assert resampler.plan_ == wanted
  others = {'neighbours', 'upper'} - {*taken}
  if others and method != 'none':
    name = min(others)
    with pytest.raises(ValueError, match=f"no option '{name}'"):
      estimator.Resampler(method, **{name: 3}).fit(X, y)


def test_grids_reach_parameters_and_hold_none_beside_a_fraction():
  resampler = estimator.Resampler('lp_ros')
  for method in ('none', 'mlsmote', 'aubal'):
    clone = base.clone(resampler).set_params(
      method=method, fraction=0.25, neighbours=3, upper=4.0
    )
    assert clone.get_params()['neighbours'] == 3
  same = base.clone(resampler).set_params(
    method='none', fraction=0.25, neighbours=3, options={'k': 1}
  )
  X, y = table()
  assert len(same.fit_resample(X, y)[0]) == len(X)
  with pytest.raises(ValueError, match='options and the parameter upper both'):
    estimator.Resampler('aubal', upper=2, options={'upper': 3}).fit(
      [[0.1], [0.2]], [[1, 0], [0, 1]]
    )


def test_categories_are_named_where_rows_are_mixed():
  pandas = pytest.importorskip('pandas')
  frame = pandas.DataFrame(
    {'a': [0.1, 0.2, 0.3, 0.4], 'colour': [*'rgbr'], 'size': [1, 2, 1, 2]}
  )
  frame['size'] = frame['size'].astype('category')
  y = [[1, 0], [1, 0], [1, 0], [1, 1]]
  with pytest.raises(ValueError, match=r"'colour', 'size' are not\. Encode"):
    estimator.Resampler('mlsmote').fit_resample(frame, y)
  new, _ = estimator.Resampler('lp_ros', fraction=0.5).fit_resample(frame, y)
  assert [*new.columns] == ['a', 'colour', 'size']


def test_names_of_columns_come_out_as_they_went_in():
  pandas = pytest.importorskip('pandas')
  y = [[1, 0], [0, 1]]
  plain = estimator.Resampler('none').fit([[0.1, 0.2], [0.3, 0.4]], y)
  assert plain.get_feature_names_out().tolist() == ['x0', 'x1']
  assert plain.get_feature_names_out(['a', 'b']).tolist() == ['a', 'b']
  frame = pandas.DataFrame({'u': [0.1, 0.2], 'v': [0.3, 0.4]})
  named = estimator.Resampler('none').fit(frame, y)
  assert named.get_feature_names_out().tolist() == ['u', 'v']
