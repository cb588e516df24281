"""One contract over every entry of the registry of resamplers."""

import inspect
import math
import pathlib
import pickle
import subprocess
import sys

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import sparse

import aubal_jax as aubal
from aubal_jax import resampling
from aubal_jax import settings as settings_lib
from aubal_jax.balancing import rules

# What round(fraction N) rows are, of N: added, added at most, deleted at most.
EXACT = ('random', 'inverse_frequency', 'repeat_factor', 'calibration')
ADD = ('lp_ros', 'ml_ros', 'mlsmote', 'smote', 'mlsol', 'greedy_spread')
DELETE = ('lp_rus', 'ml_rus')
# Those without an amount: of N rows, the least and the most that remain.
FREE = {'none': (1, 1), 'remedial': (1, 2), 'mlenn': (0, 1), 'mltl': (0, 1)}
# How many rows they return depends on no draw.
SETTLED = ('none', 'random', 'lp_ros', 'lp_rus', 'remedial', 'mlenn', 'mltl')

# Exactly round(share N) rows; keep itself is in test_keeping.
KEEP = ('keep_random', 'keep_class_aware', 'keep_every')

# aubal has tables of its own below.
METHODS = [*EXACT, *ADD, *DELETE, *FREE, *KEEP]
FIELDS = ('source', 'augment', 'partner', 'labels', 'share')


@st.composite
def tables(draw):
  """Labels uint8[N, L] and features [N, 3]; absent, full and equal columns."""
  shape = draw(st.integers(1, 24)), draw(st.integers(1, 5))
  rng = np.random.default_rng(draw(st.integers(0, 1000)))
  frequent = rng.choice([0.0, 0.1, 0.3, 0.6, 1.0], shape[1])
  labels = (rng.random(shape) < frequent).astype(np.uint8)
  return labels, rng.normal(size=(shape[0], 3)).round(1)


def resample(method, labels, features, fraction=0.25, **options):
  if not resampling.takes(method, 'fraction'):
    fraction = None
  if method in KEEP:
    options.setdefault('share', 0.6)
  return aubal.resample(
    labels, method, fraction=fraction, features=features, **options
  )


def check_plan(plan, num_rows, rows):
  """Asserts that a plan is one of these rows: the rules of `resample`."""
  assert plan.source.dtype == plan.partner.dtype == np.int64
  assert plan.augment.dtype == bool
  assert np.isin(plan.source, rows).all()
  assert np.isin(plan.partner, [-1, *rows]).all()
  kept = len(plan) - plan.augment.sum()
  assert not plan.augment[:kept].any()
  assert (np.diff(plan.source[:kept]) > 0).all()
  assert kept <= num_rows
  if plan.labels is not None:
    assert plan.labels.dtype == np.uint8 and plan.labels.max() <= 1
    assert len(plan.labels) == len(plan)


def check_size(method, plan, num_rows, fraction):
  amount = round(fraction * num_rows)
  if method in EXACT:
    assert len(plan) == num_rows + amount
  elif method in ADD:
    assert num_rows <= len(plan) <= num_rows + amount
    assert (~plan.augment).sum() == num_rows
  elif method in DELETE:
    assert max(num_rows - amount, 1) <= len(plan) <= num_rows
    assert not plan.augment.any()
  elif method in KEEP:
    assert len(plan) == round(0.6 * num_rows)
    assert not plan.augment.any()
  else:
    least, most = FREE[method]
    assert least * num_rows <= len(plan) <= most * num_rows


def assert_same(one, other):
  for name in FIELDS:
    np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize('method', METHODS)
@hypothesis.settings(max_examples=40)
@hypothesis.given(
  tables(), st.sampled_from([0.0, 0.25, 0.9]), st.integers(0, 3)
)
def test_contract(method, table, fraction, seed):
  labels, features = table
  before = labels.copy(), features.copy()
  labels.flags.writeable = features.flags.writeable = False
  plan = resample(method, labels, features, fraction, seed=seed)
  check_plan(plan, len(labels), np.arange(len(labels)))
  check_size(method, plan, len(labels), fraction)
  np.testing.assert_array_equal(labels, before[0])
  np.testing.assert_array_equal(features, before[1])
  # The seed is all that is drawn from; a sparse table is the same table.
  again = resample(method, labels, features, fraction, seed=seed)
  assert_same(plan, again)
  packed = sparse.coo_array(labels)
  assert_same(plan, resample(method, packed, features, fraction, seed=seed))


@pytest.mark.parametrize('method', METHODS)
@hypothesis.settings(max_examples=20)
@hypothesis.given(tables(), st.integers(0, 3))
def test_rows_are_those_of_a_larger_table(method, table, seed):
  labels, features = table
  rows = 7 + 3 * np.arange(len(labels))
  names = tuple('abcde'[: labels.shape[1]])
  plain = resample(method, labels, features, seed=seed)
  plan = resample(
    method, labels, features, seed=seed, rows=rows, label_names=names
  )
  check_plan(plan, len(labels), rows)
  np.testing.assert_array_equal(plan.source, rows[plain.source])
  np.testing.assert_array_equal(plan.partner < 0, plain.partner < 0)
  mixed = plain.partner >= 0
  np.testing.assert_array_equal(plan.partner[mixed], rows[plain.partner[mixed]])
  assert plan.label_names == names


@pytest.mark.parametrize('method', SETTLED)
@hypothesis.settings(max_examples=20)
@hypothesis.given(tables(), st.integers(0, 3))
def test_the_order_of_rows_is_irrelevant(method, table, seed):
  labels, features = table
  features += np.random.default_rng(0).normal(size=features.shape)  # No ties.
  order = np.random.default_rng(seed).permutation(len(labels))
  plan = resample(method, labels, features, seed=seed)
  other = resample(method, labels[order], features[order], seed=seed)
  assert len(plan) == len(other)
  if method not in ('random', 'lp_ros', 'lp_rus'):  # Nothing is drawn.
    assert sorted(plan.source) == sorted(order[other.source])


@pytest.mark.parametrize('method', METHODS)
def test_another_seed_is_another_plan(method):
  rng = np.random.default_rng(0)
  labels = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 1], [0, 0, 0]])
  labels = np.repeat(labels, [60, 25, 10, 4, 1], axis=0)
  features = rng.normal(size=(len(labels), 3))
  plans = [resample(method, labels, features, seed=s) for s in range(4)]
  one = {tuple(plan.source) + tuple(plan.partner) for plan in plans}
  assert len(one) == (1 if method in FREE else 4)


@pytest.mark.parametrize('method', [*EXACT, *ADD])
def test_ten_times_as_many_rows(method):
  rng = np.random.default_rng(0)
  labels = np.repeat([[1, 0], [0, 1], [1, 1]], [30, 6, 2], axis=0)
  features = rng.normal(size=(38, 2))
  plan = resample(method, labels, features, 10.0)
  check_plan(plan, 38, np.arange(38))
  check_size(method, plan, 38, 10.0)


@pytest.mark.parametrize('method', [*EXACT, *ADD, *DELETE])
def test_an_amount_of_nothing_changes_no_row_but_by_drawing(method):
  labels = np.repeat([[1, 0], [0, 1], [1, 1]], [9, 3, 1], axis=0)
  features = np.arange(26.0).reshape(13, 2)
  plan = resample(method, labels, features, 0.0)
  assert len(plan) == 13
  if not resampling.takes(method, 'num_epochs'):
    assert plan.source.tolist() == [*range(13)]


@pytest.mark.parametrize('method', [*EXACT, *ADD, *DELETE])
def test_own_amounts(method):
  rng = np.random.default_rng(0)
  labels = np.repeat([[1, 0], [0, 1], [1, 1]], [80, 14, 6], axis=0)
  features = rng.normal(size=(100, 2))
  plan = aubal.resample(labels, method, features=features)
  check_plan(plan, 100, np.arange(100))
  if method in ('inverse_frequency', 'calibration'):
    assert len(plan) == 100
  if method in ('random', 'lp_ros', 'lp_rus', 'ml_rus'):
    assert abs(len(plan) - 100) == 25


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('labels', [np.zeros((6, 2)), np.ones((6, 2))])
def test_labels_that_are_all_alike_leave_nothing_to_even_out(method, labels):
  features = np.arange(12.0).reshape(6, 2)
  plan = resample(method, labels, features)
  if method in EXACT:
    assert len(plan) == 8
  elif method in KEEP:
    assert len(plan) == 4
  else:
    assert plan.source.tolist() == [*range(6)]


ONE = np.zeros((3, 1))
TABLE = np.repeat([[1, 0], [0, 1], [1, 1], [0, 0]], [40, 12, 6, 2], axis=0)


def test_aubal_is_balance_seed_for_seed():
  plan = aubal.resample(TABLE, 'aubal', seed=3, objective='l2', upper=4.0)
  other, _ = aubal.balance(TABLE, seed=3, objective='l2', upper=4.0)
  assert_same(plan, other)
  assert_same(
    plan,
    aubal.resample(
      sparse.csr_array(TABLE), 'aubal', seed=3, objective='l2', upper=4.0
    ),
  )
  assert plan.augment.any()


def test_the_fraction_of_aubal_is_its_budget():
  rows = 100 + np.arange(len(TABLE))
  plan = aubal.resample(TABLE, 'aubal', fraction=0.25, rows=rows)
  check_plan(plan, 60, rows)
  assert len(plan) == 75
  with pytest.raises(ValueError, match=r'fraction is the budget .* budget'):
    aubal.resample(TABLE, 'aubal', fraction=0.25, budget=80)


@pytest.mark.parametrize('fraction', [10.0, 1e20, 1e300])
def test_a_fraction_beyond_the_bounds_says_what_budget_it_makes(fraction):
  message = (
    r'^fraction is .*, which makes a budget of \d[\d,]+ images: budget must '
    r'be at least 60 images and at most 582, .* A larger upper lets more be '
    'added'
  )
  with pytest.raises(aubal.UserError, match=message) as caught:
    aubal.resample(TABLE, 'aubal', fraction=fraction)
  cause = caught.value.__cause__
  assert (cause.fewest, cause.largest) == (60, 582)
  assert cause.budget == pytest.approx(60 + 60 * fraction)
  again = pickle.loads(pickle.dumps(cause))  # As between processes.
  assert (str(again), again.fewest) == (str(cause), 60)
  with pytest.raises(rules.BudgetError, match=r'^budget must be at least 60 '):
    aubal.resample(TABLE, 'aubal', budget=59)


def test_every_method_has_a_module_and_every_module_a_use():
  assert {*METHODS, 'aubal', 'keep'} == {*resampling.RESAMPLERS}
  assert {*KEEP, 'keep'} == {*settings_lib.KEEPERS}
  folder = pathlib.Path(resampling.__file__).parent
  found = {
    path.stem
    for path in folder.glob('*.py')
    if 'def make_plan(' in path.read_text(encoding='utf-8')
  }
  assert found == {*resampling.RESAMPLERS}


@pytest.mark.parametrize(
  ('argument', 'methods'),
  [
    ('features', {'mlsmote', 'smote', 'mlsol', 'mlenn', 'mltl'}),
    ('num_epochs', {'inverse_frequency', 'repeat_factor', 'calibration'}),
    ('share', {*settings_lib.KEEPERS}),
    ('groups', {'keep', 'keep_every'}),
    ('frames', {'keep', 'keep_every'}),
  ],
)
def test_a_signature_says_what_a_method_takes(argument, methods):
  found = [m for m in resampling.RESAMPLERS if resampling.takes(m, argument)]
  assert {*found} == methods
  fixed = {'none', 'remedial', 'mlenn', 'mltl'}
  for method in resampling.RESAMPLERS:
    amount = method not in {*fixed, *settings_lib.KEEPERS}
    assert resampling.takes(method, 'fraction') == amount
    assert resampling.takes(method, 'rng') == (method not in fixed)


def test_options_are_what_has_a_default():
  found = {
    method: {*resampling.options(method)} for method in resampling.RESAMPLERS
  }
  of_solve = {*inspect.signature(aubal.solve).parameters}
  assert found.pop('aubal') == of_solve - {'patterns', 'counts'}
  assert found.pop('mlenn') == {'neighbours', 'threshold'}
  assert found.pop('mlsmote') == {'neighbours', 'combine'}
  assert found.pop('mltl') == {'threshold'}
  assert found.pop('repeat_factor') == {'threshold', 'num_epochs'}
  assert found.pop('calibration') == {'cap', 'num_epochs'}
  assert found.pop('inverse_frequency') == {'reading', 'num_epochs'}
  assert found.pop('ml_ros') == {'live_mean'}
  assert found.pop('ml_rus') == {'reading'}
  assert found.pop('smote') == found.pop('mlsol') == {'neighbours'}
  assert found.pop('keep') == {'share', 'groups', 'frames'}
  assert found.pop('keep_every') == {'share', 'groups', 'frames'}
  assert found.pop('keep_random') == {'share'}
  assert found.pop('keep_class_aware') == {'share'}
  assert not any(found.values())
  assert resampling.options('aubal')['upper'] == 10.0
  with pytest.raises(aubal.UserError, match="Did you mean 'ml_rus'"):
    resampling.options('ml-rus')


def test_the_configuration_knows_every_method():
  c = settings_lib.default()
  for method in resampling.RESAMPLERS:
    c.balance.method = method
    settings_lib.check(c)
  c.balance.method = 'undersample'
  with pytest.raises(ValueError, match=r'balance.method must be one of') as e:
    settings_lib.check(c)
  for method in resampling.RESAMPLERS:
    assert repr(method) in str(e.value)
  c.balance.method = 'ML-ROS'
  with pytest.raises(ValueError, match=r"'ML-ROS'\. Did you mean 'ml_ros'\?"):
    settings_lib.check(c)


@pytest.mark.parametrize(
  ('name', 'value', 'message'),
  [
    ('fraction', -0.1, 'at least 0'),
    ('fraction', math.nan, 'at least 0'),
    ('neighbours', 0, 'at least 1'),
    ('combine', 'both', 'one of'),
    ('ml_rus', 'rows', 'one of'),
    ('features', 'net', 'one of'),
  ],
)
def test_the_configuration_checks_what_methods_read(name, value, message):
  c = settings_lib.default()
  c.balance[name] = value
  with pytest.raises(ValueError, match=f'balance.{name} must be .*{message}'):
    settings_lib.check(c)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'method': 'ml_rose'}, "method must be .*'ml_rose'.*mean 'ml_ros'"),
    ({'method': 7}, 'method must be one of'),
    ({'fraction': -0.1}, 'fraction must be .* from 0.*-0.1'),
    ({'fraction': math.nan}, 'fraction must be .* from 0'),
    ({'fraction': math.inf}, 'fraction must be .* from 0'),
    ({'fraction': 'much'}, "fraction must be .* from 0.*'much'"),
    ({'seed': -1}, 'seed must be a whole number'),
    ({'seed': 1.5}, 'seed must be a whole number'),
    ({'rows': [1, 2]}, 'rows must be .* 3'),
    ({'rows': [0.0, 1.0, 2.0]}, 'rows must be whole numbers'),
    ({'labels': np.zeros((0, 2))}, 'at least one row'),
    ({'labels': [1, 0, 1]}, 'two axes'),
    ({'labels': [[2, 0], [0, 1], [1, 1]]}, '0 and 1 only'),
    ({'reading': 'bags'}, "ml_ros has no option 'reading'.*live_mean"),
    ({'method': 'none', 'fraction': 0.1}, 'none has no amount'),
    ({'method': 'remedial', 'fraction': 0.0}, 'remedial has no amount'),
    ({'method': 'mlsmote'}, 'features must be given'),
    ({'method': 'lp_rus', 'fraction': 1.0}, 'must be below 1'),
    ({'method': 'ml_rus', 'fraction': 10.0}, 'must be below 1'),
    ({'method': 'ml_rus', 'reading': 'rows'}, "reading must be .*'rows'"),
    (
      {'method': 'inverse_frequency', 'reading': 'mean'},
      "reading must be .*'mean'",
    ),
    ({'method': 'repeat_factor', 'threshold': 0.0}, r'threshold must be'),
    ({'method': 'repeat_factor', 'threshold': 2.0}, r'threshold must be'),
    ({'method': 'calibration', 'cap': 1.0}, 'cap must be above 1'),
    ({'method': 'calibration', 'num_epochs': 0}, 'num_epochs must be'),
    ({'method': 'repeat_factor', 'num_epochs': 1.5}, 'num_epochs must be'),
    ({'method': 'repeat_factor', 'num_epochs': True}, 'num_epochs must be'),
    ({'method': 'ML-ROS'}, "method must be .*'ML-ROS'.*mean 'ml_ros'"),
    ({'method': ['ml_ros']}, 'method must be one of'),
    ({'fraction': True}, 'fraction must be .* from 0.*True'),
    ({'seed': True}, 'seed must be a whole number'),
    ({'rows': [0, 1, -1]}, 'rows must be from 0.*-1'),
    ({'rows': np.array([0, 1, 2**63], np.uint64)}, 'rows must be from 0'),
    ({'label_names': ['a']}, 'label_names must be .* 2'),
    ({'label_names': 'ab'}, "label_names must be .* 2.*'ab'"),
    ({'label_names': [0, 1]}, 'label_names must be .* 2'),
    ({'label_names': 7}, 'label_names must be .* 2'),
    ({'label_names': None}, 'label_names must be .* 2'),
    ({'labels': [[1, 0], [1], [0, 1]]}, 'labels must be a table with two axes'),
    ({'method': 'aubal', 'uper': 2.0}, "aubal has no option 'uper'.*'upper'"),
    ({'method': 'aubal', 'rng': 1}, "aubal has no option 'rng'"),
    ({'method': 'aubal', 'counts': [1]}, "aubal has no option 'counts'"),
    ({'method': 'aubal', 'fraction': 99}, 'fraction is 99, .*300.*upper'),
    ({'method': 'repeat_factor', 'threshold': 'a'}, "threshold must be .*'a'"),
    ({'method': 'calibration', 'cap': 'a'}, "cap must be .*'a'"),
    ({'method': 'mlenn', 'features': ONE, 'threshold': None}, 'threshold must'),
    ({'method': 'mltl', 'features': ONE, 'threshold': 'a'}, 'threshold must'),
    (
      {'method': 'mlsmote', 'features': sparse.csr_array(ONE)},
      'features must be dense',
    ),
    ({'method': 'random', 'fraction': 1e15}, 'random .*memory.*fraction'),
  ],
)
def test_what_cannot_be_done_is_told(arguments, message):
  given = {'labels': [[1, 0], [0, 1], [1, 1]], 'method': 'ml_ros'} | arguments
  with pytest.raises(ValueError, match=message):
    aubal.resample(given.pop('labels'), given.pop('method'), **given)


def test_resampling_needs_no_jax():
  code = (
    'import aubal_jax as aubal, sys\n'
    'aubal.resample([[1, 0], [1, 1], [0, 1]], "ml_ros")\n'
    'print("jax" in sys.modules, "sklearn" in sys.modules)'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True
  )
  assert done.stdout.split() == ['False', 'False']
