import clarabel
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import sparse

import aubal_jax as aubal
from aubal_jax.balancing import newton
from aubal_jax.balancing import solve as solve_lib
from tests import problems

_SETS, _LABELS = 24, 6  # Fixed shapes, so that nothing compiles anew.


def exact_value(patterns, counts, weights, lam, lower, upper, image_cost=0.0):
  """The least f + cost, by Clarabel: an interior-point QP solver.

  Variables g[S], t[L]; minimises sum t + lam Var(g) + image_cost n . (g - 1)
  with -t <= A g <= t and the box.
  """
  num_sets, num_labels = patterns.shape
  away = patterns - patterns.sum(axis=1, keepdims=True) / num_labels
  matrix = weights[:, None] * (counts[:, None] * away).T
  spread = 2 * lam / num_sets * (np.eye(num_sets) - 1 / num_sets)
  quadratic = sparse.block_diag([spread, sparse.csc_array((num_labels,) * 2)])
  linear = np.concatenate([image_cost * counts, np.ones(num_labels)])
  t = np.eye(num_labels)
  box = np.hstack([np.eye(num_sets), np.zeros((num_sets, num_labels))])
  rows = [np.hstack([matrix, -t]), np.hstack([-matrix, -t]), box, -box]
  zeros = np.zeros(2 * num_labels)
  right = np.concatenate([zeros, upper, -lower])
  settings = clarabel.DefaultSettings()
  settings.verbose = False
  settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
  solver = clarabel.DefaultSolver(
    sparse.csc_matrix(sparse.triu(quadratic)), linear,
    sparse.csc_matrix(np.vstack(rows)), right,
    [clarabel.NonnegativeConeT(len(right))], settings,
  )  # fmt: skip
  return solver.solve().obj_val - image_cost * counts.sum()


@hypothesis.settings(max_examples=25)
@hypothesis.given(
  seed=st.integers(0, 10_000),
  lam=st.sampled_from([0.0, 1e-3, 1.0, 70.0, 1e6]),
  name=st.sampled_from(['l1', 'relative']),
  lower=st.sampled_from([0.3, 1.0]),
  image_cost=st.sampled_from([0.0, 1e-4, 0.5]),
)
def test_the_certificate_agrees_with_a_qp_solver(
  seed, lam, name, lower, image_cost
):
  patterns, counts = problems.patterns_and_counts(seed, _SETS, _LABELS)
  found = aubal.solve(
    patterns, counts, lam=lam, lam_images=None, lower=lower, objective=name,
    image_cost=image_cost, optimizer='newton', tol=1e-8,
  )  # fmt: skip
  assert found.converged
  before = found.class_counts_before.astype(float)
  weights = before.mean() / before if name == 'relative' else np.ones(_LABELS)
  best = exact_value(
    patterns.astype(float), counts, weights, lam,
    np.ceil(lower * counts) / counts, np.full(_SETS, 10.0), image_cost,
  )  # fmt: skip
  slack = 1e-6 * max(1.0, abs(best))
  assert found.lower_bound_priced <= best + slack
  assert found.value + found.cost >= best - slack
  assert found.value >= found.lower_bound - 1e-9


@pytest.mark.parametrize('name', solve_lib.VARIANTS)
@pytest.mark.parametrize('seed', range(3))
def test_every_variant_meets_the_gap_and_agrees(name, seed):
  patterns, counts = problems.patterns_and_counts(seed, _SETS, _LABELS)
  settings = {'lam_images': None, 'image_cost': 0.0, 'tol': 1e-6}
  exact = aubal.solve(patterns, counts, optimizer='newton', **settings)
  found = aubal.solve(patterns, counts, optimizer=name, **settings)
  assert found.converged and found.gap <= 1e-6
  scale = max(1.0, abs(exact.value))
  assert abs(found.value - exact.value) <= (found.gap + exact.gap) * scale
  assert found.trace['gap'][-1] == found.gap
  z = patterns.T @ (counts * found.growth)
  level = np.abs(z - z.mean()).sum() + 70 * found.growth.var()
  assert found.value == pytest.approx(level, rel=1e-12)
  assert (np.diff(found.trace['lower_bound']) >= 0).all()
  lengths = {len(column) for column in found.trace.values()}
  assert lengths == {len(found.trace['step'])}


@pytest.mark.parametrize('name', solve_lib.RELAXATIONS)
def test_every_relaxation_serves(name):
  patterns, counts = problems.patterns_and_counts(5, _SETS, _LABELS)
  found = aubal.solve(patterns, counts, relaxation=name)
  assert found.converged


def test_whole_counts_keep_the_box_and_lose_little():
  patterns, counts = problems.patterns_and_counts(8, _SETS, _LABELS)
  found = aubal.solve(patterns, counts, lower=0.5, upper=3.3)
  assert found.counts.dtype == np.int64
  assert (found.counts >= np.ceil(0.5 * counts)).all()
  assert (found.counts <= np.floor(3.3 * counts)).all()
  np.testing.assert_array_equal(
    found.class_counts_after, patterns.T.astype(int) @ found.counts
  )
  assert found.rounded_value >= found.lower_bound - 1e-9
  assert found.rounded_gap * max(1, abs(found.value)) < counts.max()


def test_copying_every_image_changes_no_growth():
  patterns, counts = problems.patterns_and_counts(9, _SETS, _LABELS)
  settings = {'optimizer': 'newton', 'tol': 1e-10, 'lam_images': 1000}
  once = aubal.solve(patterns, counts, **settings)
  twice = aubal.solve(patterns, 2 * counts, **settings)
  np.testing.assert_allclose(once.growth, twice.growth, atol=1e-4)
  assert twice.lam_effective == 2 * once.lam_effective


def test_the_price_of_an_image_breaks_ties():
  # a x 100, b x 60, ab x 1000 at lam 0: b must grow by 40, and with it both
  # ways of doing so are as even: 6,300 images, or the 1,200 that are needed.
  found = aubal.solve(
    [[1, 0], [0, 1], [1, 1]], [100, 60, 1000], lam=0.0, tol=1e-9
  )
  assert found.images_after == 1200
  assert found.counts.tolist() == [100, 100, 1000]


def test_the_empty_labelset_and_absent_classes_take_no_part():
  patterns, counts = problems.patterns_and_counts(10, _SETS, _LABELS)
  plain = aubal.solve(patterns, counts, lam_images=None)
  wider = np.hstack([patterns, np.zeros((_SETS, 1), np.uint8)])
  wider = np.vstack([np.zeros((1, _LABELS + 1), np.uint8), wider])
  found = aubal.solve(wider, np.append(5000, counts), lam_images=None)
  assert found.counts[0] == 5000 and found.growth[0] == 1
  assert found.absent.tolist() == [_LABELS]
  np.testing.assert_array_equal(found.counts[1:], plain.counts)
  assert found.value == pytest.approx(plain.value, rel=1e-12)


def test_sparse_patterns_and_any_order_give_the_same():
  patterns, counts = problems.patterns_and_counts(11, _SETS, _LABELS)
  plain = aubal.solve(patterns, counts)
  found = aubal.solve(sparse.csr_array(patterns), counts)
  np.testing.assert_array_equal(found.counts, plain.counts)
  found = aubal.solve(patterns[::-1], counts[::-1])
  assert found.value == pytest.approx(plain.value, rel=2e-5, abs=2e-5)


@pytest.mark.parametrize(
  ('patterns', 'counts', 'settings', 'value'),
  [
    ([[1]], [7], {}, 0.0),  # One label is always at the mean.
    ([[1, 1]], [7], {}, 0.0),  # Constant and duplicate columns.
    ([[1, 0]], [7], {}, 0.0),  # A class without a positive is left out.
    ([[0, 0]], [7], {}, 0.0),  # Only the empty labelset.
    (np.zeros((0, 3)), [], {}, 0.0),  # An empty table.
    ([[1, 0], [0, 1]], [4, 1], {'upper': 1.0}, 3.0),  # Nothing may grow.
    ([[1, 0], [0, 1]], [4, 1], {'lam': 1e12}, 3.0),  # Nothing pays.
    ([[1, 0], [0, 1]], [4, 1], {'lam': 0.0}, 0.0),
    ([[1, 0], [0, 1]], [10**6, 1], {'lam': 0.0}, 10**6 - 10),
    ([[1, 0], [0, 1]], [1, 1], {}, 0.0),
    ([[1, 0], [0, 1]], [4, 0], {}, 0.0),  # Only one class is left.
  ],
)
def test_hard_cases_have_right_answers(patterns, counts, settings, value):
  found = aubal.solve(patterns, counts, **{'lam_images': None} | settings)
  assert found.value == pytest.approx(value, abs=1e-3, rel=1e-5)
  assert found.converged


@pytest.mark.parametrize('lam', [1e12, 1e16, 1e18, 1e20, 1e24])
def test_a_huge_lam_is_solved_and_certified_or_not_at_all(lam):
  # Uneven growth is out of the question; even growth of .1 is the best there
  # is: class counts 450, 150, 10 of a mean 203.33 are .1 of 493.33 away.
  found = aubal.solve(
    [[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]],
    [400, 100, 50, 10],
    lam=lam,
    lam_images=None,
    lower=0.1,
    image_cost=0.0,
    optimizer='newton',
  )
  assert found.lower_bound <= 49.334
  assert found.value >= 49.33
  if found.converged:
    assert found.value == pytest.approx(49.3333, abs=1e-2)


def test_where_newton_would_not_fit_it_is_not_tried(monkeypatch):
  patterns, counts = problems.patterns_and_counts(3, _SETS, _LABELS)
  monkeypatch.setattr(newton, 'MOST_PAIRS', 10)
  settings = {'lam_images': None, 'tol': 1e-12}
  found = aubal.solve(patterns, counts, **settings)
  assert not found.polished and not found.converged
  with pytest.raises(ValueError, match="take 'adam'"):
    aubal.solve(patterns, counts, optimizer='newton', **settings)


def test_running_out_of_steps_is_said_and_honest():
  patterns, counts = problems.patterns_and_counts(12, _SETS, _LABELS)
  settings = {'lam_images': None, 'image_cost': 0.0}
  exact = aubal.solve(patterns, counts, optimizer='newton', **settings)
  found = aubal.solve(
    patterns, counts, optimizer='sgd', max_steps=120, **settings
  )
  assert not found.converged and found.num_steps == 120
  assert found.gap > 1e-5
  assert found.value - exact.value <= found.gap * max(1.0, found.value)


def test_an_empty_integer_box_takes_the_nearest_whole_number():
  # One image may grow by 1.2 to 1.8: no whole number; 1.5 rounds to 2.
  found = aubal.solve([[1, 0], [0, 1]], [1, 100], lower=1.2, upper=1.8)
  assert found.empty_boxes == 1
  assert found.counts[0] == 2


@pytest.mark.parametrize(
  ('settings', 'words'),
  [
    ({'lam': -1}, ['lam', 'at least 0', '-1']),
    ({'lam': float('nan')}, ['lam', 'nan']),
    ({'lam_images': 0}, ['lam_images', 'above 0']),
    ({'image_cost': -0.1}, ['image_cost', '-0.1']),
    ({'tol': 0}, ['tol', 'above 0']),
    ({'lam': 'a'}, ['lam', 'number', 'a']),
    ({'upper': 'x'}, ['upper', 'numbers', 'x']),
    ({'upper': np.inf}, ['upper', 'finite', 'inf']),
    ({'lower': -1}, ['lower', 'not negative', '-1']),
    ({'lower': 3, 'upper': 2}, ['lower', 'upper', '3.0', '2.0']),
    ({'upper': [1, 2, 3]}, ['upper', '2 labelsets', '(3,)']),
    ({'objective': 'l3'}, ['objective', 'l1', 'l3']),
    ({'optimizer': 'adm'}, ['optimizer', 'adam', 'adm']),
    ({'relaxation': 'x'}, ['relaxation', 'huber']),
  ],
)
def test_bad_arguments_are_named(settings, words):
  with pytest.raises(ValueError) as caught:
    aubal.solve([[1, 0], [0, 1]], [1, 2], **settings)
  for word in words:
    assert word in str(caught.value)


@pytest.mark.parametrize('counts', [[1], [1, -2], [1, 0.5], [1, np.nan]])
def test_bad_counts_are_named(counts):
  with pytest.raises(ValueError, match='counts'):
    aubal.solve([[1, 0], [0, 1]], counts)


def test_balance_makes_the_plan_of_the_solution():
  labels = np.random.default_rng(13).random((300, 5)) < [0.5, 0.3, 0.1, 0.1, 0]
  plan, found = aubal.balance(labels, seed=3, label_names=tuple('abcde'))
  assert len(plan) == found.images_after
  np.testing.assert_array_equal(
    labels[plan.source].sum(axis=0), found.class_counts_after
  )
  assert (~plan.augment).sum() == 300
  again, _ = aubal.balance(labels, seed=3)
  np.testing.assert_array_equal(plan.source, again.source)


def test_progress_is_told():
  patterns, counts = problems.patterns_and_counts(14, _SETS, _LABELS)
  told = []
  found = aubal.solve(patterns, counts, on_progress=told.append)
  assert [entry['step'] for entry in told] == found.trace['step']
