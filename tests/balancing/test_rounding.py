import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from scipy import optimize

from aubal_jax.balancing import box
from aubal_jax.balancing import chains
from aubal_jax.balancing import cover
from aubal_jax.balancing import instance as instance_lib
from aubal_jax.balancing import moves as moves_lib
from aubal_jax.balancing import rounding
from aubal_jax.balancing.instance import Budget
from aubal_jax.balancing.rules import OBJECTIVES as ALL
from aubal_jax.balancing.rules import Rules
from tests.makers import problems

OBJECTIVES = sorted(ALL)


ANY = Budget()


def make(patterns, counts, *, budget=ANY, **changed):
  settings = {'lower': 0.5, 'upper': 4.0, 'lam': 3.0, 'image_cost': 0.01}
  rules = Rules(**{'lam_images': None} | settings | changed)
  instance = instance_lib.make_instance(patterns, counts, rules)
  return dataclasses.replace(instance, budget=budget)


def drawn(seed, num_sets=10, num_labels=5, **settings):
  return make(
    *problems.patterns_and_counts(seed, num_sets, num_labels), **settings
  )


def in_the_box(instance, rng):
  """Growth float64[S], anywhere in the box."""
  return rng.uniform(instance.least, instance.most) / instance.start


def priced(instance, counts):
  return instance.value(counts) + instance.cost(counts)


def keeps(budget, counts):
  total = counts.sum(axis=-1)
  return total == budget.most if budget.exactly else total <= budget.most


def nearest_repaired(instance, growth):
  """Rounded to the nearest, then one image after the other changed."""
  counts = np.clip(
    np.rint(growth * instance.start), instance.least, instance.most
  )
  while not keeps(instance.budget, counts):
    if counts.sum() > instance.budget.most:
      counts[np.flatnonzero(counts > instance.least)[0]] -= 1
    else:
      counts[np.flatnonzero(counts < instance.most)[0]] += 1
  return counts


def every_point(instance):
  """All whole counts in the box that keep the budget, int64[P, S]."""
  ranges = [
    range(least, most + 1)
    for least, most in zip(instance.least, instance.most, strict=True)
  ]
  points = np.array(list(itertools.product(*ranges)))
  return points[keeps(instance.budget, points)]


def all_priced(instance, points):
  x = points @ (problems.dense_matrix(instance).T / instance.start[:, None])
  level = instance.level(x + instance.offset)
  spread = instance.lam * np.var(points / instance.start, axis=1)
  added = (points - instance.start).sum(axis=1)
  return level + spread + instance.image_cost * added


@st.composite
def problems_with_growth(draw, largest=40):
  """Any objective and budget, and growth that knows of neither."""
  num_sets = draw(st.integers(1, 12))
  num_labels = draw(st.integers(1, 3)) if num_sets > 3 else 1
  seed = draw(st.integers(0, 99))
  patterns, counts = problems.patterns_and_counts(seed, num_sets, num_labels)
  counts = np.minimum(counts, largest)
  settings = {
    'objective': draw(st.sampled_from(OBJECTIVES)),
    'lam': draw(st.sampled_from([0.0, 3.0, 1000.0])),
    'image_cost': draw(st.sampled_from([0.0, 0.01])),
    'lower': draw(st.sampled_from([0.0, 0.5, 1.0])),
    'upper': draw(st.sampled_from([1.0, 1.5, 4.0])),
  }
  if num_labels > 1 and settings['objective'] != 'prevalence':
    blocked = problems.blocks_of(np.random.default_rng(seed), num_labels)
    settings['blocks'] = draw(st.sampled_from([None, blocked]))
  free = make(patterns, counts, **settings)
  kind = draw(st.sampled_from(['none', 'most', 'exactly']))
  most = draw(st.integers(int(free.least.sum()), int(free.most.sum())))
  budget = Budget() if kind == 'none' else Budget(most, kind == 'exactly')
  instance = make(patterns, counts, budget=budget, **settings)
  rng = np.random.default_rng(draw(st.integers(0, 99)))
  return instance, in_the_box(instance, rng)


@settings(max_examples=60)
@given(problems_with_growth())
def test_whole_counts_keep_the_rules_and_beat_the_nearest(problem):
  instance, growth = problem
  counts = rounding.round_counts(instance, growth)
  assert counts.dtype == np.int64
  assert (counts >= instance.least).all() and (counts <= instance.most).all()
  assert keeps(instance.budget, counts)
  nearest = priced(instance, nearest_repaired(instance, growth))
  found = priced(instance, counts)
  assert found <= nearest + 1e-9 * max(1.0, abs(nearest)) or found == nearest
  assert (counts == rounding.round_counts(instance, growth)).all()


@settings(max_examples=50)
@given(problems_with_growth(largest=4))
def test_no_one_or_two_changes_would_help(problem):
  # Wherever it starts: it tries every pair, and the best is but 200 moves off.
  instance, growth = problem
  counts = rounding.round_counts(instance, growth)
  ones = np.concatenate([np.eye(len(counts)), -np.eye(len(counts))])
  changes = np.concatenate([ones, *(ones + one for one in ones)])
  points = counts + changes[np.abs(changes).max(axis=1) == 1]
  inside = (points >= instance.least) & (points <= instance.most)
  points = points[inside.all(axis=1) & keeps(instance.budget, points)]
  found = all_priced(instance, counts[None])[0]
  best = all_priced(instance, points).min(initial=np.inf)
  assert found <= best + 1e-8 * max(1.0, abs(best)) or found == best


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('objective', OBJECTIVES)
def test_finds_the_best_of_all_whole_counts(objective, seed):
  for budget in (Budget(), Budget(20), Budget(20, exactly=True)):
    assert_finds_the_best(objective, budget, seed)


def assert_finds_the_best(objective, budget, seed):
  patterns = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]]
  rng = np.random.default_rng(seed)
  counts = rng.integers(1, 5, 5)
  settings = {'objective': objective, 'budget': budget, 'lam': 0.5}
  instance = make(patterns, counts, upper=2.5, **settings)
  points = every_point(instance)
  values = all_priced(instance, points)
  best = points[np.argmin(values)]
  assert values.min() == pytest.approx(priced(instance, best))
  # From within half an image of it, where it is the nearest, or anywhere.
  near = best + rng.uniform(-0.49, 0.49, 5)
  near = np.clip(near, instance.least, instance.most) / instance.start
  for growth in (near, in_the_box(instance, rng)):
    found = rounding.round_counts(instance, growth)
    assert priced(instance, found) == pytest.approx(values.min(), abs=1e-9)


@pytest.mark.parametrize('objective', ['l1', 'relative', 'prevalence'])
@pytest.mark.parametrize('exactly', [False, True])
@pytest.mark.parametrize('seed', range(3))
def test_as_good_as_an_integer_programme(objective, exactly, seed):
  # Oracle: HiGHS. The relaxed optimum, an image off at most, is what is given.
  instance = drawn(
    seed,
    num_sets=24,
    objective=objective,
    lam=0.0,
    image_cost=1e-4,
    budget=Budget(400, exactly=True) if exactly else Budget(),
  )
  relaxed, bound = programme(instance, whole=False)
  best, value = programme(instance, whole=True)
  assert bound <= value + 1e-6 and value == pytest.approx(
    priced(instance, best)
  )
  off = np.random.default_rng(seed).uniform(-1, 1, 24)
  growth = np.clip(relaxed + off, instance.least, instance.most)
  growth /= instance.start
  assert priced(instance, nearest_repaired(instance, growth)) > value + 1
  found = rounding.round_counts(instance, growth)
  assert priced(instance, found) == pytest.approx(value, abs=1e-6)


def programme(instance, *, whole):
  """Returns the best counts [S], and f + cost there, for lam = 0.

  Minimises t . 1 + image_cost sum (n - n_o) with -t <= x(n) <= t.
  """
  num_sets, num_labels = instance.patterns.shape
  away = instance.patterns.toarray().T
  away = instance.weights[:, None] * (
    away - np.outer(instance.target, instance.mass)
  )
  eye = np.eye(num_labels)
  rules = [
    optimize.LinearConstraint(np.hstack([away, eye]), lb=-instance.offset),
    optimize.LinearConstraint(np.hstack([away, -eye]), ub=-instance.offset),
  ]
  if instance.budget:
    images = np.repeat([1.0, 0.0], [num_sets, num_labels])
    rules.append(optimize.LinearConstraint(images, *2 * [instance.budget.most]))
  found = optimize.milp(
    np.repeat([instance.image_cost, 1.0], [num_sets, num_labels]),
    integrality=np.repeat([int(whole), 0], [num_sets, num_labels]),
    bounds=optimize.Bounds(
      np.append(instance.least, np.zeros(num_labels)),
      np.append(instance.most, np.full(num_labels, np.inf)),
    ),
    constraints=rules,
  )
  counts = found.x[:num_sets]
  counts = np.rint(counts) if whole else counts
  return counts, found.fun - instance.image_cost * instance.start.sum()


@pytest.mark.parametrize('objective', OBJECTIVES)
@pytest.mark.parametrize('seed', range(2))
def test_moves_are_priced_exactly(objective, seed):
  rng = np.random.default_rng(seed)
  blocks = problems.blocks_of(rng, 5)
  blocks = None if objective == 'prevalence' or not seed else blocks
  instance = drawn(seed, objective=objective, blocks=blocks)
  counts = rng.integers(instance.least, instance.most + 1).astype(float)
  counts[0], counts[1] = instance.least[0], instance.most[1]
  point = moves_lib.Point(instance, counts)
  moves = moves_lib.all_moves(instance)
  prices = moves.prices(point)
  assert np.isinf(prices[1, 0]) and np.isinf(prices[0, 1])
  changes = np.stack([np.eye(10), -np.eye(10)])
  found = all_priced(instance, (counts + changes).reshape(20, 10))
  expected = found.reshape(2, 10) - priced(instance, counts)
  inside = np.isfinite(prices)
  assert inside.sum() >= 15
  np.testing.assert_allclose(prices[inside], expected[inside], atol=1e-8)
  np.testing.assert_array_equal(
    moves.take([7, 3]).prices(point), prices[:, [7, 3]]
  )


def fed_back(patterns, part, counts=100, **changed):
  """Which go up of `counts` + part; without a word every error counts alike.

  The penalty is sum z^2 / 2, so v = 1: half the sum of all classes' squared
  errors.
  """
  patterns = np.array(patterns)
  num_sets, num_labels = patterns.shape
  instance = make(patterns, np.zeros(num_sets, int) + counts, lam=0.0)
  plain = {
    'penalty': 'square',
    'target': np.zeros(num_labels),
    'scale': np.full(num_labels, 2.0),
  }
  instance = dataclasses.replace(instance, **plain | changed)
  rounded = rounding._feed_back_errors(instance, counts + np.array(part))
  return (rounded - counts).astype(int).tolist()


def test_error_feedback_weighs_the_error_of_every_label():
  # Clearest first: abc goes up (.1 too much of a, b and c). Then a has .45 +
  # .1 too much if it goes up, squared .3025, or .55 - .1 too little, .2025.
  assert fed_back([[1, 0, 0], [1, 1, 1]], [0.55, 0.9]) == [0, 1]
  # Now abc goes down, so a is .1 short and goes up: .55 short if not.
  assert fed_back([[1, 0, 0], [1, 1, 1]], [0.45, 0.1]) == [1, 0]
  # Nothing in common with what went before: to the nearest.
  assert fed_back([[1, 0, 0], [0, 1, 1]], [0.55, 0.9]) == [1, 1]


def test_error_feedback_takes_away_the_target_s_share():
  # x = +-(z_a - z_b) / 2, so what goes up in a goes up in b as well.
  halves = {'target': np.full(2, 0.5)}
  assert fed_back(np.eye(2), [0.9, 0.45], **halves) == [1, 1]  # .35, not .55.
  assert fed_back(np.eye(2), [0.1, 0.55], **halves) == [0, 0]
  # Shares of images: a moves x by (1/2, -1/4), b by (-1/2, 3/4). First b, up by
  # .1; a has the slope -.1 * 7/16 and h = 5/16: up from .5 - 7/50 = .36 on.
  shares = {'target': np.array([0.5, 0.25]), 'mass': np.ones(2)}
  assert fed_back(np.eye(2), [0.35, 0.9], **shares) == [0, 1]
  assert fed_back(np.eye(2), [0.37, 0.9], **shares) == [1, 1]


def test_error_feedback_weighs_classes_by_how_phi_bends():
  # a is .1 over and b .3 short when ab is to be rounded, from .45. Alike, .2
  # short is a reason to go up; where b hardly matters, .1 over is to go down.
  patterns, part = [[1, 0], [0, 1], [1, 1]], [0.9, 0.3, 0.45]
  assert fed_back(patterns, part) == [1, 0, 1]
  to_zero = -np.array([201.35, 200.75])  # Then x = (0, 0).
  changed = {'penalty': 'absolute', 'offset': to_zero}
  assert fed_back(patterns, part, **changed) == [1, 0, 1]
  changed['offset'] = np.add(to_zero, [0.0, 99.0])  # v = (1, 1 / 100).
  assert fed_back(patterns, part, **changed) == [1, 0, 0]
  changed = {'penalty': 'log', 'offset': to_zero + 10.0}
  assert fed_back(patterns, part, **changed) == [1, 0, 1]
  changed['offset'] = np.add(to_zero, [10.0, 100.0])  # v = (1 / 50, 1 / 5000).
  assert fed_back(patterns, part, **changed) == [1, 0, 0]


def test_error_feedback_weighs_the_spread_of_growth():
  # .1 too much of a: the single image goes down from .55, as above, unless
  # growth 1 instead of 1.55 costs more than the class: h = 1 + 2 lam / S.
  counts = np.array([100, 1])
  assert fed_back([[1], [1]], [0.9, 0.55], counts) == [1, 0]
  assert fed_back([[1], [1]], [0.9, 0.55], counts, lam=9.0) == [1, 1]


def test_error_feedback_stays_in_the_box():
  # 200.9 is a count that the product with a growth may not even give.
  most = np.array([200, 200])
  assert fed_back([[1], [1]], [100.9, 0.5], most=most) == [100, 0]


def test_every_row_is_in_one_block_and_the_last_ones_are_alone():
  blocks = list(rounding._blocks(20_000))
  ends = [block.stop for block in blocks]
  assert [block.start for block in blocks] == [0, *ends[:-1]]
  assert ends[-1] == 20_000
  sizes = [block.stop - block.start for block in blocks]
  assert sizes[0] == rounding._BLOCK
  assert sizes == sorted(sizes, reverse=True)
  assert set(sizes[-rounding._ONE_BY_ONE :]) == {1}


@pytest.fixture(scope='module')
def on_the_kink():
  """4,000 labelsets of 30 classes that are all even at a growth in parts."""
  rng = np.random.default_rng(0)
  patterns = rng.random((4000, 30)) < np.linspace(0.02, 0.3, 30)
  patterns[np.arange(4000), rng.integers(0, 30, 4000)] = True
  counts = np.ceil(rng.pareto(1.2, 4000)).astype(int)
  growth = rng.uniform(1.0, 10.0, 4000)
  classes = (counts * growth) @ patterns
  instance = make(
    patterns.astype(np.uint8),
    counts,
    lower=1.0,
    upper=10.0,
    lam=0.0,
    image_cost=0.0,
    target=classes / classes.sum(),
  )
  return instance, growth[instance.rows]


def test_error_feedback_in_blocks_keeps_the_errors_of_classes_small(
  on_the_kink,
):
  instance, growth = on_the_kink
  wanted = np.clip(growth * instance.start, instance.least, instance.most)
  counts = rounding._feed_back_errors(instance, wanted)
  assert np.abs(counts - wanted).max() < 1
  assert len(instance) > rounding._ONE_BY_ONE + 8 * rounding._BLOCK
  assert instance.value(wanted) < 1e-6
  nearest = instance.value(nearest_repaired(instance, growth))
  assert instance.value(counts) < 0.15 * nearest
  # Classes are whole and their targets are not: a quarter off on average.
  found = instance.value(rounding.round_counts(instance, growth))
  assert found < 0.3 * len(instance.weights) < 0.06 * nearest


def test_many_labelsets_are_searched_from_the_better_start(
  on_the_kink, monkeypatch
):
  monkeypatch.setattr(rounding, '_TWO_STARTS', 100)
  monkeypatch.setattr(chains, '_ROUNDS', 0)
  instance, growth = on_the_kink
  nearest = nearest_repaired(instance, growth)
  fed_back = rounding.round_counts(instance, growth)
  assert instance.value(fed_back) < instance.value(nearest)
  monkeypatch.setattr(
    rounding, '_feed_back_errors', lambda instance, wanted: instance.least * 1.0
  )
  assert (rounding.round_counts(instance, growth) == nearest).all()
  monkeypatch.setattr(rounding, '_TWO_STARTS', 10_000)
  assert (rounding.round_counts(instance, growth) == nearest).all()


@pytest.mark.parametrize('exactly', [False, True])
@pytest.mark.parametrize('most', [9_000, 30_000])
def test_error_feedback_alone_all_but_meets_a_budget(
  on_the_kink, exactly, most
):
  instance, growth = on_the_kink
  budget = Budget(int(instance.start.sum()) + most, exactly)
  instance = dataclasses.replace(instance, budget=budget)
  wanted = instance.within_budget(growth * instance.start)
  assert (wanted >= instance.least).all() and (wanted <= instance.most).all()
  total = rounding._feed_back_errors(instance, wanted).sum()
  assert wanted.sum() == pytest.approx(budget.most)
  assert abs(total - budget.most) <= 3


def test_repair_in_order():
  # 4, 4 and 4 with room for 2 each way. 9.5 at most: three too many.
  instance = make(np.eye(3), [4, 4, 4], upper=1.5, budget=Budget(9.5))
  repaired = rounding._repair_in_order(instance, np.full(3, 4.0))
  assert repaired.tolist() == [2, 3, 4]
  instance = dataclasses.replace(instance, budget=Budget(15, exactly=True))
  repaired = rounding._repair_in_order(instance, np.full(3, 4.0))
  assert repaired.tolist() == [6, 5, 4]


def test_repair_makes_the_cheapest_moves_and_prices_them_anew():
  # Class a has 8 images, b 4: of x = +-(a - b) / 2 an image less of a saves 1,
  # the second as well, up to 4 of each. Four too many: all of them from a.
  instance = make(
    np.eye(2), [4, 4], lam=0.0, upper=2.0, budget=Budget(8, exactly=True)
  )
  moves = moves_lib.all_moves(instance)
  point = moves_lib.Point(instance, np.array([8.0, 4.0]))
  assert rounding._repair(moves, point).counts.tolist() == [4, 4]
  point = moves_lib.Point(instance, np.array([2.0, 4.0]))
  assert rounding._repair(moves, point).counts.tolist() == [4, 4]


def test_repair_of_many_takes_from_many():
  # 1,000 labelsets of one class, all up by one: 300 too many are taken off in
  # halves, from different ones, as lam Var(g) is least for the largest.
  counts = np.arange(1001, 2001)
  instance = make(
    np.ones((1000, 1)),
    counts,
    image_cost=0.0,
    budget=Budget(counts.sum() + 700),
  )
  point = moves_lib.Point(instance, counts + 1.0)
  found = rounding._repair(moves_lib.all_moves(instance), point)
  assert found.images == instance.budget.most
  assert sorted(set(found.counts - counts)) == [0, 1]


@pytest.mark.parametrize('objective', OBJECTIVES)
@pytest.mark.parametrize('exactly', [False, True])
def test_growth_far_beyond_the_budget(objective, exactly, monkeypatch):
  monkeypatch.setattr(chains, '_CHAINS', 10)  # They have room for millions.
  instance = make(
    np.eye(3),
    [1_000_000, 2_000_000, 1_000_000],
    objective=objective,
    upper=10.0,
    budget=Budget(6_000_000.5 - 0.5 * exactly, exactly),
  )
  counts = rounding.round_counts(instance, np.full(3, 10.0))
  assert keeps(instance.budget, counts)
  assert 5_999_900 < counts.sum() <= 6_000_000


def test_swaps_where_the_budget_leaves_nothing_else():
  # 3 of a and 7 of b, ten in all: two swaps make them even.
  instance = make(
    np.eye(2), [4, 4], lam=0.0, upper=2.0, budget=Budget(10, exactly=True)
  )
  found = rounding.round_counts(instance, np.array([3, 7]) / 4)
  assert found.tolist() == [5, 5]
  # At most ten: as even, and fewer cost less.
  instance = dataclasses.replace(instance, budget=Budget(10))
  found = rounding.round_counts(instance, np.array([3, 7]) / 4)
  assert found.tolist() == [2, 2]


@pytest.mark.parametrize(
  ('goal', 'expected'), [(-np.inf, [5, 5]), (np.inf, [3, 7])]
)
def test_rounds_go_on_while_above_the_goal(goal, expected, monkeypatch):
  monkeypatch.setattr(chains, '_CHAINS', 1)
  monkeypatch.setattr(chains, '_CANDIDATES', 1)  # Of either sign.
  instance = make(
    np.eye(2), [4, 4], lam=0.0, upper=2.0, budget=Budget(10, exactly=True)
  )
  point = moves_lib.Point(instance, np.array([2.0, 8.0]))
  found = chains.search(moves_lib.all_moves(instance), point, goal)
  assert found.counts.tolist() == expected


def test_chains_help_where_no_move_does_alone():
  # Four even classes of a labelset each. One image less saves .1 and costs
  # 1.5, (3 + 1 + 1 + 1) / 4; one less of each costs nothing.
  instance = make(np.eye(4), np.full(4, 10), lam=0.0, image_cost=0.1, lower=1.0)
  found = rounding.round_counts(instance, np.full(4, 1.1))
  assert found.tolist() == [10, 10, 10, 10]


def test_chains_know_that_growing_together_is_no_spread():
  # log wants more of both; of one only, Var(g) is 1 / 4 and costs 25.
  instance = make(np.eye(2), [1, 1], objective='log', lam=100.0, upper=4.0)
  found = rounding.round_counts(instance, np.ones(2))
  assert found.tolist() == [4, 4]


def test_longer_chains_are_the_best_and_each_is_kept_once():
  # {0, 1} costs 1 either way, {0, 2} 4, {1, 2} 2; no move goes with itself.
  single = np.array([[0], [1], [2]])
  change = np.array([[np.inf, 1, 4], [1, np.inf, 2], [4, 2, np.inf]])
  first, last, longer = chains._longer(single, change, 2)
  assert longer.tolist() == [[0, 1], [1, 2]]
  assert change[first, last].tolist() == [1, 2]
  every = chains._longer(single, change, 9)[2]
  assert every.tolist() == [[0, 1], [1, 2], [0, 2]]


def test_classes_without_a_positive_are_filled_first():
  # log: from no image of b, which is worth as much as can be.
  instance = make(
    np.eye(2), [4, 2], objective='log', lower=0.0, lam=0.0, budget=Budget(4)
  )
  found = rounding.round_counts(instance, np.array([1.0, 0.0]))
  assert found.tolist() == [2, 2]


def test_a_fixed_number_of_images_takes_part():
  # Prevalence: four images without a label and 4 of a, half of all: x = 0.
  instance = make(
    [[0], [1]], [4, 2], objective='prevalence', target=[0.5], lam=0.0,
    image_cost=0.0, lower=1.0,
  )  # fmt: skip
  assert rounding.round_counts(instance, np.array([3.4])).tolist() == [4]


def test_nothing_to_round():
  instance = make(np.zeros((1, 2), int), [5])
  counts = rounding.round_counts(instance, np.zeros(0))
  assert counts.shape == (0,) and counts.dtype == np.int64


def test_growth_that_is_not_finite():
  with pytest.raises(ValueError, match='growth must be finite'):
    rounding.round_counts(make(np.eye(2), [4, 4]), np.array([1.0, np.nan]))


@pytest.mark.parametrize(
  ('budget', 'exactly', 'growth', 'counts'),
  [
    # Bounds 10 to 20 and 5 to 10.
    (np.inf, False, [3.0, 0.5], [20, 5]),
    (30, False, [1.4, 1.2], [14, 6]),
    (18, False, [1.4, 1.2], [12.4, 5.6]),  # 60 % of the way from 15 to 20.
    (25, True, [1.4, 1.2], [17, 8]),  # Half way from 20 to 30.
    (20, True, [1.4, 1.2], [14, 6]),
  ],
)
def test_counts_are_moved_into_the_budget(budget, exactly, growth, counts):
  instance = make(
    np.eye(2), [10, 5], lower=1.0, upper=2.0, budget=Budget(budget, exactly)
  )
  found = instance.within_budget(growth * instance.start)
  np.testing.assert_allclose(found, counts, rtol=1e-12)


def test_integer_boxes():
  # Growth 1 to 1.5 of 3 images: 3 or 4. 1.1 to 1.4 of one: none, so 1, the
  # nearest to the middle.
  least, most, empty = box.integer_box(
    np.array([3, 1]), np.array([1.0, 1.1]), np.array([1.5, 1.4])
  )
  assert least.tolist() == [3, 1] and most.tolist() == [4, 1] and empty == 1


def test_a_logarithm_loses_no_class():
  """As many images as classes need, and growth that knows nothing of it."""
  for seed in range(30):
    rng = np.random.default_rng(seed)
    patterns = np.concatenate(
      [np.eye(60, dtype=int), rng.random((300, 60)) < 0.08]
    )
    patterns = np.unique(patterns[patterns.any(axis=1)], axis=0)
    counts = rng.choice([1, 2, 40], len(patterns))
    instance = make(
      *(patterns, counts),
      **{'objective': 'log', 'lam': 0.0, 'image_cost': 0.0},
      **{'lower': 0.0, 'upper': 1.0},
    )
    least = cover.least_counts(instance.patterns, instance.least, instance.most)
    budget = Budget(float(least.sum()), exactly=True)
    instance = dataclasses.replace(instance, budget=budget)
    growth = rng.random(len(counts)) * (rng.random(len(counts)) < 0.1)
    whole = rounding.round_counts(instance, growth)
    assert (instance.patterns.T @ whole > 0).all()
    assert whole.sum() == budget.most
    assert (whole <= instance.most).all()


@pytest.mark.parametrize('objective', OBJECTIVES)
@pytest.mark.parametrize('most_dense', [0, 1 << 18])
def test_moves_from_many_points_are_priced_as_one_by_one(
  objective, most_dense, monkeypatch
):
  monkeypatch.setattr(moves_lib, '_MOST_DENSE', most_dense)
  for seed in range(6):
    instance = drawn(seed, num_sets=12, objective=objective)
    rng = np.random.default_rng(seed)
    counts = rng.integers(instance.least, instance.most + 1).astype(float)
    point = moves_lib.Point(instance, counts)
    few = chains._cheapest(moves_lib.all_moves(instance), point, 1 << 10)
    x = point.x + rng.normal(size=(7, len(point.x)))
    x = np.maximum(x, 5.0) if objective == 'log' else x
    expected = moves_lib.terms_of(instance, x[:, None] + few.steps).sum(axis=2)
    np.testing.assert_allclose(few.levels(instance, x), expected, rtol=1e-9)
    changed = counts + few.signs[:, None] * np.eye(12)[few.rows]
    alone = all_priced(instance, changed) - priced(instance, counts)
    np.testing.assert_allclose(few.prices, alone, atol=1e-8)
    assert (few.rows[few.twin] == few.rows).all()
    has_twin = [np.sum(few.rows == row) == 2 for row in few.rows]
    assert ((few.signs[few.twin] == -few.signs) == has_twin).all()


def fed_back_by_hand(instance, wanted):
  """Each clearest first, to where sum v (dx / w)^2 / 2 + lam Var is less."""
  away = instance.patterns.toarray() - np.outer(instance.mass, instance.target)
  v = rounding._curvature(instance, instance.deviations(wanted))
  change, part = np.zeros(len(instance)), wanted - np.floor(wanted)

  def cost(change):
    spread = (
      instance.lam / len(instance) * ((change / instance.start) ** 2).sum()
    )
    return v @ (change @ away) ** 2 / 2 + spread

  for row in np.argsort(-np.abs(part - 0.5), kind='stable'):
    ends = [change.copy(), change.copy()]
    ends[0][row], ends[1][row] = -part[row], 1 - part[row]
    change = min(ends, key=cost)
  return np.rint(wanted + change)


def test_error_feedback_is_the_least_error_row_by_row():
  for seed in range(12):
    instance = drawn(seed, num_sets=30, num_labels=6, lam=float(seed % 3))
    rng = np.random.default_rng(seed)
    wanted = instance.least + 0.01 + 0.98 * rng.random(len(instance))
    wanted = np.where(wanted < instance.most, wanted, instance.least * 1.0)
    free = wanted > instance.least
    expected = fed_back_by_hand(
      instance.only(free, wanted / instance.start), wanted[free]
    )
    found = rounding._feed_back_errors(instance, wanted)
    assert (found[free] == expected).all()
