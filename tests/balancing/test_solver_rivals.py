"""Solvers of others, against scipy's, against each other and by hand."""

import importlib.util
import itertools

import numpy as np
import pytest
from scipy import optimize
from scipy import sparse

from aubal_jax.balancing import box
from aubal_jax.balancing import instance as instance_lib
from aubal_jax.balancing.rules import OBJECTIVES
from aubal_jax.balancing.rules import Rules
from aubal_jax.experiments.solvers import program as program_lib
from aubal_jax.experiments.solvers import rivals
from tests.makers import problems

_NOT_LOG = ('l1', 'relative', 'l2', 'prevalence')
_EMPTY = 70  # Images without a label, which nothing changes.


def solve(name, instance, tol=1e-9):
  """The answer of a rival and its value with the cost; skips without it."""
  pytest.importorskip(name, reason=f'The rival {name} is not installed.')
  answer = rivals.RIVALS[name](instance, tol=tol)
  counts = answer.growth * instance.start
  return answer, instance.value(counts) + instance.cost(counts)


def make(name, *, lam, budget=None, exactly=False, seed=0, target=None):
  """An instance of 9 labelsets, one without a label, one that cannot grow."""
  patterns, counts = problems.patterns_and_counts(seed, 8, 4)
  patterns = sparse.csr_array(np.vstack([np.zeros((1, 4)), patterns]))
  counts = np.append(_EMPTY, np.minimum(counts, 60))
  lower, upper = np.full(9, 0.4), np.full(9, 3.0)
  lower[4] = upper[4] = 1.0
  if budget is not None:  # A share of the way from the fewest to the most.
    least, most, _ = box.integer_box(counts[1:], lower[1:], upper[1:])
    budget = least.sum() + np.rint(budget * (most - least).sum()) + _EMPTY
  rules = Rules(
    lam=lam, lam_images=None, lower=lower, upper=upper, objective=name,
    target=target, image_cost=1e-3, budget=budget,
    budget_exactly=exactly and budget is not None,
  )  # fmt: skip
  return instance_lib.make_instance(patterns, counts, rules)


def scipy_value(name, instance):
  """The least f + cost by scipy, written out densely from the definitions.

  Variables n[S], and t[L] >= |x| where f is a sum of |x|.
  """
  patterns, start = instance.patterns.toarray(), instance.start
  size, num_labels = patterns.shape
  before = start @ patterns
  away = patterns.T - patterns.sum(axis=1) / num_labels
  empty = 0.0
  if name == 'relative':
    away = away * (before.mean() / before)[:, None]
  if name == 'prevalence':
    away, empty = patterns.T - 1 / num_labels, -_EMPTY / num_labels
  linear = name in ('l1', 'relative', 'prevalence')

  def value(v):
    counts = v[:size]
    x = away @ counts
    level = {
      'l2': (x**2).sum() / before.mean(),
      'log': -before.mean() * np.log(counts @ patterns).sum(),
    }.get(name, v[size:].sum())
    spread = instance.lam * np.var(counts / start)
    return level + spread + instance.image_cost * (counts - start).sum()

  t = np.eye(num_labels) if linear else np.zeros((num_labels, 0))
  rows = np.vstack([np.hstack([-away, t]), np.hstack([away, t])])
  right = np.append(np.full(num_labels, empty), np.full(num_labels, -empty))
  images = np.append(np.ones(size), np.zeros(t.shape[1]))
  low = np.append(instance.least, np.zeros(t.shape[1]))
  high = np.append(instance.most, np.full(t.shape[1], np.inf))
  most = min(instance.budget.most, instance.most.sum())
  if linear and not instance.lam:
    within = {'A_ub': np.vstack([-rows, images]), 'b_ub': [*-right, most]}
    if instance.budget.exactly:
      within |= {'A_eq': images[None], 'b_eq': [most]}
    cost = np.append(np.full(size, instance.image_cost), np.ones(t.shape[1]))
    found = optimize.linprog(cost, **within, bounds=np.c_[low, high])
    assert found.success, found.message
    return found.fun - instance.image_cost * start.sum()
  within = [optimize.LinearConstraint(rows, right, np.inf)] if linear else []
  if instance.budget:
    fewest = most if instance.budget.exactly else -np.inf
    within.append(optimize.LinearConstraint(images[None], fewest, most))
  first = np.append(start, np.abs(away @ start + empty)[: t.shape[1]])
  found = optimize.minimize(
    value, first, method='SLSQP', bounds=np.c_[low, high], constraints=within,
    options={'ftol': 1e-12, 'maxiter': 1000},
  )  # fmt: skip
  assert found.success, found.message
  return found.fun


def instances(name, seed=0):
  """Yields those with and without a budget and a price of uneven growth."""
  budgets = ((None, False), (0.2, False), (0.6, True))
  for lam, (budget, exactly) in itertools.product((0.0, 3.0), budgets):
    yield make(name, lam=lam, budget=budget, exactly=exactly, seed=seed)


@pytest.mark.parametrize('name', OBJECTIVES)
def test_clarabel_finds_what_scipy_finds(name):
  for instance in instances(name):
    _, found = solve('clarabel', instance)
    wanted = scipy_value(name, instance)
    assert found == pytest.approx(wanted, rel=2e-6, abs=2e-6), instance


@pytest.mark.parametrize('name', _NOT_LOG)
def test_piqp_agrees_with_clarabel(name):
  for instance in instances(name, seed=1):
    _, exact = solve('clarabel', instance)
    _, found = solve('piqp', instance)
    assert found == pytest.approx(exact, rel=1e-7, abs=1e-7), instance


@pytest.mark.parametrize('name', _NOT_LOG)
def test_mpax_agrees_with_clarabel(name):  # Each compiles for seconds.
  instance = make(name, lam=3.0, budget=0.2, seed=1)
  _, exact = solve('clarabel', instance)
  _, found = solve('mpax', instance, tol=1e-6)
  assert found == pytest.approx(exact, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize('lam', [0.0, 3.0])
@pytest.mark.parametrize('name', OBJECTIVES)
def test_scipy_agrees_with_clarabel(name, lam):
  instance = make(name, lam=lam, seed=1)
  _, exact = solve('clarabel', instance)
  _, found = solve('scipy', instance, tol=1e-7)
  assert found == pytest.approx(exact, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize('rival', ['mpax', 'piqp'])
def test_who_has_no_logarithms(rival):
  with pytest.raises(ValueError, match=f"the rival '{rival}'; it is 'log'"):
    rivals.RIVALS[rival](make('log', lam=1.0), tol=1e-6)


def test_who_has_no_budget():
  with pytest.raises(ValueError, match="must be none for the rival 'scipy'"):
    rivals.RIVALS['scipy'](make('l1', lam=1.0, budget=0.5), tol=1e-6)


def two_labelsets(counts, *, name='l1', lam=0.0, lower=1.0, **more):
  """Labelsets {a} and {b}, which grow to ten times at most."""
  rules = Rules(lam=lam, lam_images=None, objective=name, lower=lower, **more)
  return instance_lib.make_instance(np.eye(2), counts, rules)


@pytest.mark.parametrize('rival', rivals.RIVALS)
def test_a_table_by_hand(rival):
  # |z_a - z_b| falls to 0 by four images of a for each one.
  answer, _ = solve(rival, two_labelsets([2, 8]), tol=1e-7)
  np.testing.assert_allclose(answer.growth, [4, 1], atol=1e-3)
  # f = 4 g_b - g_a + lam (g_a - g_b)^2 / 4 until g_a = 4 g_b. At lam = 2 and
  # g_b = 1 the slope in g_a is g_a - 2, that in g_b at (2, 1) is 3: f = 2.5.
  answer, value = solve(rival, two_labelsets([1, 4], lam=2.0), tol=1e-7)
  np.testing.assert_allclose(answer.growth, [2, 1], atol=1e-3)
  assert value == pytest.approx(2.5 + 1e-4, abs=1e-6)


@pytest.mark.parametrize('rival', ['clarabel', 'mpax', 'piqp'])
@pytest.mark.parametrize('name', ['l1', 'l2'])
def test_a_budget_by_hand(rival, name):
  # b stays, so a gets what is left of it: 14 - 8.
  answer, _ = solve(rival, two_labelsets([2, 8], name=name, budget=14))
  np.testing.assert_allclose(answer.growth, [3, 1], atol=1e-3)
  # 40 images, all of them: 20 and 20.
  exactly = {'budget': 40, 'budget_exactly': True}
  answer, _ = solve(rival, two_labelsets([2, 8], name=name, **exactly))
  np.testing.assert_allclose(answer.growth, [10, 2.5], atol=1e-3)


def test_logarithms_by_hand():
  # Equal classes within the budget; with next to all of the target on b, a
  # falls to 1.
  half = {'name': 'log', 'lower': 0.5, 'budget': 8}
  answer, _ = solve('clarabel', two_labelsets([2, 6], **half))
  np.testing.assert_allclose(answer.growth, [4 / 2, 4 / 6], atol=1e-4)
  one = two_labelsets([2, 6], **half, target=[1e-9, 1.0])
  answer, _ = solve('clarabel', one)
  np.testing.assert_allclose(answer.growth, [1 / 2, 7 / 6], atol=1e-4)


@pytest.mark.parametrize('exactly', [False, True])
@pytest.mark.parametrize('rival', rivals.RIVALS)
def test_the_contract_of_an_answer(rival, exactly):
  budget = None if rival == 'scipy' else 0.3
  instance = make('l1', lam=1.0, budget=budget, exactly=exactly)
  answer, _ = solve(rival, instance, tol=1e-2)  # So loose that it would stray.
  counts = answer.growth * instance.start
  assert answer.growth.dtype == np.float64 and counts.shape == (8,)
  assert (counts >= instance.least - 1e-9).all()
  assert (counts <= instance.most + 1e-9).all()
  if budget:
    assert counts.sum() <= instance.budget.most + 1e-9
  if budget and exactly:
    assert counts.sum() >= instance.budget.most - 1e-9
  assert answer.seconds > 0
  assert (answer.seconds_setup > 0) == (rival == 'mpax')
  assert answer.num_steps >= 1 and isinstance(answer.num_steps, int)
  assert answer.status and isinstance(answer.status, str)


@pytest.mark.parametrize('beyond', [-3.0, 0.0, 3.0])
def test_growth_is_brought_into_the_box_and_the_budget(beyond):
  instance = two_labelsets([2, 8], lower=0.5, budget=20, budget_exactly=True)
  solution = np.array([0.0, 19.0 + beyond, 99.0])  # a is 1 below its least.
  growth = rivals._growth(instance, solution)
  np.testing.assert_allclose(growth @ [2, 8], 20.0)
  assert (growth >= 0.5).all() and (growth <= 10).all()


def test_the_names_are_the_documented_ones():
  names = ['clarabel', 'mpax', 'piqp', 'scipy']
  assert list(rivals.RIVALS) == names
  listed = rivals.__doc__.split('\n\n')[1].splitlines()[1:]
  assert [line.split()[0] for line in listed] == names


def test_what_is_available(monkeypatch):
  assert rivals.available('scipy')
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  assert not rivals.available('piqp')
  with pytest.raises(ValueError, match='name must be one of'):
    rivals.available('cvxpy')


@pytest.mark.parametrize('rival', rivals.RIVALS)
def test_what_no_rival_can_be_asked(rival):
  with pytest.raises(ValueError, match='tol must be above 0; it is 0'):
    rivals.RIVALS[rival](two_labelsets([2, 8]), tol=0.0)
  with pytest.raises(ValueError, match='instance must hold a labelset'):
    rivals.RIVALS[rival](two_labelsets([0, 0]), tol=1e-6)


@pytest.mark.parametrize('name', OBJECTIVES)
def test_a_program_is_as_sparse_as_the_patterns(name):
  patterns, counts = problems.patterns_and_counts(0, 400, 30)
  rules = Rules(objective=name, lam=1.0, lam_images=None, image_cost=0.0)
  instance = instance_lib.make_instance(patterns, counts, rules)
  program = program_lib.make_program(instance, 1.0)
  rows_of_t = 400 if name == 'prevalence' else 0
  assert program.rows.nnz <= patterns.sum() + rows_of_t + 6 * 30
  assert program.quadratic.nnz <= 2 * 400 + 3 * 30
