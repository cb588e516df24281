"""The box of whole counts, and growth without an upper bound."""

import fractions
import itertools
import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import aubal_jax as aubal
from aubal_jax.balancing import box
from aubal_jax.balancing.instance import make_instance
from aubal_jax.balancing.rules import Rules
from aubal_jax.runs import errors
from tests.makers import problems

_SETS, _LABELS = 24, 6  # Fixed shapes, so that nothing compiles anew.
_DIGITS = 10_000


def exact_box(start, lower, upper):
  """The least and the most whole count, from exact fractions."""
  least, most = math.ceil(lower * start), math.floor(upper * start)
  if least > most:
    nearest = (lower + upper) / 2 * start
    assert abs(nearest - least) < 1 or abs(nearest - most) < 1
    return None
  return least, most


@hypothesis.given(
  st.lists(
    st.tuples(
      st.integers(1, 10**6),
      st.integers(0, 3 * _DIGITS),
      st.one_of(
        st.integers(0, 30 * _DIGITS),
        st.sampled_from([10**k * _DIGITS for k in (5, 9, 12, 15)]),
      ),
    ),
    min_size=1,
    max_size=20,
  )
)
def test_integer_boxes_are_those_of_exact_arithmetic(cases):
  # Decimal numbers, as people write them: their products are whole or not.
  boxes = [(n, low, low + more) for n, low, more in cases]
  start, lower, upper = (np.array(c, float) for c in zip(*boxes, strict=True))
  least, most, empty = box.integer_box(start, lower / _DIGITS, upper / _DIGITS)
  num_empty = 0
  for (n, *bounds), *found in zip(boxes, least, most, strict=True):
    exact = exact_box(n, *(fractions.Fraction(x, _DIGITS) for x in bounds))
    num_empty += exact is None
    if exact is None:
      assert found[0] == found[1]
    else:
      # Of numbers so large that a float has no four digits behind the point
      # one image more may be meant.
      near = np.ceil(4 * np.finfo(float).eps * exact[1] - 1 / _DIGITS)
      assert found[0] == exact[0]
      assert abs(int(found[1]) - min(exact[1], 2**53)) <= near
  assert empty == num_empty


@hypothesis.given(
  st.lists(st.integers(1, 2**44), min_size=1, max_size=50),
  st.sampled_from([1.0, 1e3, 1e9, 1e12, 1e15, 1e300, np.inf]),
)
def test_a_least_growth_of_1_keeps_every_image(counts, upper):
  counts = np.array(counts)
  ones = np.ones(len(counts))
  least, most, empty = box.integer_box(counts, ones, upper * ones)
  np.testing.assert_array_equal(least, counts)
  assert (most >= counts).all() and not empty


@pytest.mark.long
def test_a_huge_upper_takes_no_image():
  rng = np.random.default_rng(0)
  for upper in (1e9, 1e12, 1e15, np.inf):
    patterns, counts = problems.patterns_and_counts(3, _SETS, _LABELS)
    counts *= rng.integers(1, 1000)
    found = aubal.solve(patterns, counts, upper=upper, optimizer='ipm')
    assert (found.counts >= counts).all() and found.converged


def cases(names):
  """Yields objectives and what bounds growth, with whether it does."""
  bounds = {
    'price': {'lam': 0.0, 'image_cost': 0.1},
    'lam': {'lam': 5.0, 'image_cost': 0.0},
    'both': {'lam': 5.0, 'image_cost': 1e-3},
    'budget': {'lam': 0.0, 'image_cost': 0.0, 'budget_growth': 2.5},
    'exactly': {
      'lam': 1.0, 'image_cost': 0.0, 'budget_growth': 2.5,
      'budget_exactly': True,
    },
    'nothing': {'lam': 0.0, 'image_cost': 0.0},
  }  # fmt: skip
  for name, kind in itertools.product(names, bounds):
    is_log = name == 'log'
    bounded = kind != 'nothing' and not (is_log and kind == 'lam')
    yield name, {'lam_images': None, 'objective': name, **bounds[kind]}, bounded


@pytest.mark.parametrize('some', [False, True])
@pytest.mark.parametrize(
  'names',
  [
    ('l1', 'prevalence', 'relative'),
    pytest.param(('l2', 'log'), marks=pytest.mark.long),
  ],
  ids='-'.join,
)
def test_without_a_bound_it_is_the_problem_of_a_very_large_one(names, some):
  for seed, (name, rules, bounded) in enumerate(cases(names)):
    patterns, counts = problems.patterns_and_counts(seed, _SETS, _LABELS)
    if name != 'prevalence' and seed % 2:
      blocks = problems.blocks_of(np.random.default_rng(seed), _LABELS)
      rules['blocks'] = blocks
    upper = np.full(_SETS, np.inf)
    if some:  # Of one labelset growth is bounded, which lam hands on.
      upper[seed % _SETS] = 3.0
      bounded = bounded or rules['lam'] > 0
    rules |= {'lower': 0.5 if seed % 2 else 1.0, 'upper': upper}
    if not bounded:
      with pytest.raises(
        errors.UserError, match=r'upper is inf.*price.*budget'
      ):
        aubal.solve(patterns, counts, optimizer='ipm', **rules)
      continue
    found = aubal.solve(patterns, counts, optimizer='ipm', **rules)
    assert found.converged
    wide = np.where(np.isinf(upper), 30 * max(found.growth.max(), 10), upper)
    other = aubal.solve(
      patterns, counts, optimizer='ipm', **{**rules, 'upper': wide}
    )
    unit = max(1, abs(found.value)) if name != 'log' else counts.sum()
    assert other.value + other.cost >= found.lower_bound_priced - 1e-9 * unit
    assert found.value + found.cost >= other.lower_bound_priced - 1e-9 * unit
    # The bound itself holds where a solution of the other box is unique.
    instance = make_instance(patterns, counts, Rules(**rules))
    if rules['lam'] and other.gap < 1e-5:
      most = instance.most / instance.start
      assert (other.growth[instance.rows] <= 1.01 * most).all(), (name, rules)


@pytest.mark.long
def test_a_frontier_needs_no_bound_either():
  patterns, counts = problems.patterns_and_counts(5, _SETS, _LABELS)
  labels = np.repeat(patterns, np.minimum(counts, 30), axis=0)
  for over, rules in (
    ('budget', {}),
    ('budget', {'budget_growth': 0.8, 'lower': 0.5}),
    ('budget', {'budget_growth': 9.0, 'budget_exactly': True}),
    ('lam', {'image_cost': 0.0}),
    ('lam', {'lower': 1.5}),
  ):
    found, wide = (
      aubal.frontier(labels, over=over, num_points=5, upper=upper, **rules)
      for upper in (np.inf, 1e4)
    )
    assert (found.gap <= 1e-5).all()
    np.testing.assert_allclose(found.value, wide.value, rtol=1e-4, atol=1e-3)
  with pytest.raises(errors.UserError, match='price'):
    aubal.frontier(labels, upper=np.inf, image_cost=0.0, lam=0.0, budget=900)
