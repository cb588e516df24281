import csv
import dataclasses
import itertools
import types

import numpy as np
import pytest

import aubal_jax as aubal
from aubal_jax.balancing import frontier as frontier_lib
from aubal_jax.balancing import instance as instance_lib
from aubal_jax.balancing import iterations
from aubal_jax.balancing import newton
from aubal_jax.balancing.frontier import WAYS
from aubal_jax.balancing.frontier import solve_frontier
from aubal_jax.balancing.rules import OBJECTIVES
from aubal_jax.experiments.frontier import frontier_plot as report
from tests.makers import problems

_SETS, _LABELS = 24, 6  # Fixed shapes, so that nothing compiles anew.
_TOL = 1e-7
# Shares for 'prevalence' at which more images help; with 1 / L none do.
HALF = np.full(_LABELS, 0.45)
# Those of which nothing is compiled but a chunk of steps.
FOUND_SOON = (('newton', 'budget'), ('adam', 'lam'))


def problem(seed=0):
  return problems.patterns_and_counts(seed, _SETS, _LABELS)


def frontier(seed=0, **settings):
  """A frontier of few points, raw lam, solved well."""
  few = {'num_points': 6, 'lam_images': None, 'tol': _TOL}
  return solve_frontier(*problem(seed), **few | settings)


def solve(seed=0, **settings):
  exact = {'lam_images': None, 'tol': _TOL, 'optimizer': 'ipm'}
  return aubal.solve(*problem(seed), **exact | settings)


def slack_of(found):
  """What value + cost may be above the least, float64[K]."""
  unit = np.maximum(1, np.abs(found.value))
  if found.objective == 'log':
    patterns, counts = problem()
    unit = (patterns.T @ counts).mean()
  return found.gap * unit + 1e-9 * np.abs(found.value)


@pytest.mark.parametrize(
  ('name', 'lower'),
  [
    pytest.param(name, lower, marks=() if is_short else pytest.mark.long)
    for name in OBJECTIVES
    for lower in (0.4, 1.0)
    for is_short in [(name, lower) in (('l1', 1.0), ('prevalence', 0.4))]
  ],
)
def test_more_images_buy_evenness_at_a_falling_price(name, lower):
  target = HALF if name == 'prevalence' else None
  found = frontier(objective=name, lower=lower, target=target)
  assert len(found) == 6 and (found.gap <= _TOL).all()
  assert (found.value >= found.lower_bound - 1e-9).all()
  images, slack = found.images, slack_of(found)
  assert images[0] == np.ceil(lower * problem()[1]).sum()
  assert (np.diff(images) > 1).all()
  assert (images <= found.budget + 1e-6).all()
  priced = found.value + found.cost
  assert (np.diff(priced) < slack[:-1]).all()
  # Every point lies above the line through any other one, with that one's
  # price as its slope: f + cost is convex, and the price is minus its slope.
  away = images[None] - images[:, None]
  lines = (priced - slack)[:, None] - found.image_price[:, None] * away
  assert (lines <= priced + 1e-9 * np.abs(priced)).all()
  assert (np.diff(found.image_price) <= 1e-6).all()


@pytest.mark.long
def test_the_price_is_minus_the_slope():
  found = frontier(objective='l2', tol=1e-11)
  for k in (1, 3):
    near = [found.budget[k] - 1, found.budget[k] + 1]
    priced = []
    for budget in near:
      other = solve(objective='l2', budget=int(budget), tol=1e-11)
      priced.append(other.value + other.cost)
    slope = (priced[1] - priced[0]) / 2
    assert found.image_price[k] == pytest.approx(-slope, rel=1e-2)
    assert found.image_price[k] > 0.01


def test_a_table_worked_by_hand():
  # a x 40, b x 10 and 7 images of nothing, lam 0. Every b more lessens
  # |z_a - z_b| = 30 by one, and costs .001, until 30 are added.
  patterns, counts = [[1, 0], [0, 1], [0, 0]], [40, 10, 7]
  found = solve_frontier(
    patterns, counts, num_points=4, lam=0.0, image_cost=1e-3, tol=1e-9
  )
  images = [57, 67, 77, 87]
  np.testing.assert_allclose(found.images, images, atol=1e-4)
  np.testing.assert_allclose(found.added, [0, 10, 20, 30], atol=1e-4)
  np.testing.assert_allclose(found.value, [30, 20, 10, 0], atol=1e-4)
  np.testing.assert_allclose(found.cost, [0, 0.01, 0.02, 0.03], atol=1e-6)
  np.testing.assert_allclose(found.image_price[:3], 0.999, atol=1e-5)
  assert found.image_price[3] == 0
  assert found.budget.tolist() == [57, 67, 77, np.inf]
  assert found.images_start == 57 and found.value_start == 30
  np.testing.assert_allclose(found.growth_max, [1, 2, 3, 4], atol=1e-5)
  np.testing.assert_allclose(found.growth_mean, [1, 1.5, 2, 2.5], atol=1e-5)
  np.testing.assert_allclose(found.growth_var, [0, 0.25, 1, 2.25], atol=1e-4)
  np.testing.assert_allclose(found.imbalance, found.value, atol=1e-9)
  spread = [4, 2, 4 / 3, 1]
  np.testing.assert_allclose(found.class_spread, spread, atol=1e-5)
  mean_ir = [2.5, 1.5, 7 / 6, 1]
  np.testing.assert_allclose(found.mean_ir, mean_ir, atol=1e-5)


def test_its_ends_are_what_solve_finds():
  found, free = frontier(), solve()
  assert found.chosen == 5 and found.budget[5] == np.inf
  assert found.value[5] == free.value and found.gap[5] == free.gap
  assert found.lower_bound[5] == free.lower_bound
  patterns, counts = problem()
  assert found.images[5] == pytest.approx(free.growth @ counts)
  assert found.growth_max[5] == free.growth.max()
  assert found.growth_var[5] == pytest.approx(free.growth.var())
  before = aubal.imbalance(np.repeat(patterns, counts, axis=0))
  assert found.value[0] == found.value_start == free.value_start
  assert found.added[0] == 0 and found.growth_max[0] == 1
  assert found.mean_ir[0] == pytest.approx(before['mean_ir'])
  spread = before['class_counts'].max() / before['class_counts'].min()
  assert found.class_spread[0] == pytest.approx(spread)
  assert (found.lam == 70).all() and (found.lam_effective == 70).all()


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=() if name in ('l1', 'l2') else pytest.mark.long)
    for name in OBJECTIVES
  ],
)
def test_over_lam_the_variance_is_traded_for_imbalance(name):
  budget = 700 if name == 'log' else None
  settings = {'objective': name, 'lam': 3.0, 'budget': budget}
  settings['target'] = HALF if name == 'prevalence' else None
  found = frontier(over='lam', **settings)
  assert len(found) == 7 and (found.gap <= _TOL).all()
  assert (np.diff(found.lam) < 0).all()
  assert found.lam[[0, -1]] == pytest.approx([3e4, 3e-3])
  slack = slack_of(found)
  # f is the least of lines in lam: it rises with lam, and less and less so.
  priced = found.value + found.cost
  var = found.growth_var[:, None]
  away = found.lam_effective[None] - found.lam_effective[:, None]
  assert (priced[:, None] + var * away >= priced - slack - 1e-9).all()
  spread = found.lam_effective * found.growth_var
  assert found.imbalance == pytest.approx(found.value - spread, abs=1e-6)
  assert (np.diff(found.growth_var) > -1e-4 * found.growth_var.max()).all()
  same = solve(**settings)
  assert found.lam[found.chosen] == 3.0
  assert found.value[found.chosen] == same.value
  assert (found.image_price >= 0).all()
  assert (found.budget == (budget or np.inf)).all()


def test_lam_is_scaled_to_the_images_there_are():
  num_images = int(problem()[1].sum())
  found = frontier(over='lam', lam_images=2 * num_images)
  np.testing.assert_allclose(found.lam_effective, found.lam / 2)
  assert found.lam[found.chosen] == 70


def test_a_lam_that_is_one_of_the_points_is_there_once():
  found = frontier(over='lam', num_points=8)  # One for each power of ten.
  assert len(found) == 8 and found.lam[found.chosen] == 70
  np.testing.assert_allclose(found.lam[:-1] / found.lam[1:], 10)


@pytest.mark.parametrize('exactly', [False, True])
def test_a_budget_given_is_a_point_and_chosen(exactly):
  start = int(problem()[1].sum())
  budget = start + 17
  settings = {'budget': budget, 'budget_exactly': exactly}
  found = frontier(**settings)
  same = solve(**settings)
  assert len(found) == 7 and found.budget[-1] == np.inf
  k = found.chosen
  assert found.budget[k] == budget == pytest.approx(found.images[k])
  slack = (found.gap[k] + same.gap) * max(1, same.value)
  assert abs(found.value[k] - same.value) <= slack + 1e-9
  assert found.image_price[k] == pytest.approx(same.image_price, rel=1e-2)


def test_a_budget_beyond_what_is_wanted():
  free = solve(objective='relative')
  most = int(free.growth @ problem()[1]) + 200
  found = frontier(objective='relative', budget=most)
  assert found.chosen == 5 and found.budget[5] == most
  assert found.value[5] == pytest.approx(free.value, abs=_TOL * free.value)
  assert found.image_price[5] == pytest.approx(0, abs=1e-4)
  found = frontier(objective='relative', budget=most, budget_exactly=True)
  assert found.chosen == len(found) - 1 == 5
  np.testing.assert_allclose(np.diff(found.budget), (most - 579) / 5, atol=1)
  assert found.images[-1] == pytest.approx(most)
  assert found.image_price[-1] < 0 < found.image_price[0]
  same = solve(objective='relative', budget=most, budget_exactly=True)
  assert found.value[-1] == pytest.approx(same.value, rel=1e-6)


def test_where_nothing_pays_there_is_one_point():
  found = frontier(upper=1.0)
  assert len(found) == 1 and found.chosen == 0
  assert found.added.tolist() == [0] and found.gap[0] <= 1e-9


def test_few_images_have_few_budgets():
  found = solve_frontier([[1, 0], [0, 1]], [4, 2], num_points=9, lam=0.0)
  assert found.budget.tolist() == [6, 7, np.inf]


def test_no_logarithm_is_infinite():
  found = frontier(objective='log', lower=0.0)
  assert len(found) == 5 and np.isfinite(found.value).all()
  assert (found.gap <= _TOL).all()


def test_the_problem_is_set_up_once_and_warm_starts_are_short(monkeypatch):
  made, steps = [], []
  make, run = instance_lib.Instance.on_host, iterations.run

  def counted(self, **settings):
    made.append(self)
    return make(self, **settings)

  def followed(*arguments, **settings):
    found = run(*arguments, **settings)
    steps.append(found.num_steps)
    return found

  monkeypatch.setattr(instance_lib.Instance, 'on_host', counted)
  monkeypatch.setattr(iterations, 'run', followed)
  warm, cold = 0, 0
  for seed in range(4):
    made.clear()
    steps.clear()
    found = frontier(seed, num_points=20, tol=1e-5)
    assert len(made) == 1 and len(steps) == 21
    warm += sum(steps[1:])
    for budget in found.budget[1:-1]:
      cold += solve(seed, budget=int(budget), tol=1e-5).num_steps
  assert warm < 0.8 * cold, (warm, cold)


@pytest.mark.parametrize(
  ('optimizer', 'over'),
  [
    pytest.param(*pair, marks=() if pair in FOUND_SOON else pytest.mark.long)
    for pair in itertools.product(('newton', 'adam', 'pdhg'), WAYS)
  ],
)
def test_other_optimizers_find_the_same(optimizer, over):
  expected = frontier(over=over)
  found = frontier(over=over, optimizer=optimizer, tol=1e-6)
  assert (found.gap <= 1e-6).all()
  slack = slack_of(expected) + slack_of(found)
  off = found.value + found.cost - expected.value - expected.cost
  assert (np.abs(off) <= slack)[found.budget == expected.budget].all()
  assert len(found) == len(expected)


def test_where_pairs_would_not_fit_first_order_steps_do(monkeypatch):
  monkeypatch.setattr(newton, 'MOST_PAIRS', 10)
  expected = frontier(num_points=3, optimizer='pdhg', tol=1e-3)
  assert (expected.gap <= 1e-3).all()
  with pytest.raises(ValueError, match="take 'adam'"):
    frontier(optimizer='ipm')


def test_the_door_for_a_table_of_labels():
  labels = np.repeat(*problem(), axis=0)
  told = []
  found = aubal.frontier(labels, num_points=4, on_progress=told.append)
  labelsets = aubal.find_labelsets(labels)
  again = aubal.frontier(labelsets, num_points=4)
  assert found.images_start == len(labels)
  for name, column in found.columns().items():
    np.testing.assert_array_equal(column, again.columns()[name])
  assert len(told) == len(found)
  assert sorted(t['budget'] for t in told) == found.budget.tolist()


def test_csv_gives_every_digit_back(tmp_path):
  path = tmp_path / 'new' / 'frontier.csv'
  found = frontier(budget=600)
  found.save_csv(path)
  with open(path, encoding='utf-8', newline='') as file:
    rows = list(csv.DictReader(file))
  columns = found.columns()
  assert list(rows[0]) == list(columns) and len(rows) == len(found)
  for name, column in columns.items():
    assert [float(row[name]) for row in rows] == column.tolist()
  assert [row['chosen'] for row in rows].index('1') == found.chosen
  assert sum(int(row['chosen']) for row in rows) == 1
  assert [p.name for p in path.parent.iterdir()] == ['frontier.csv']


@pytest.mark.parametrize(
  ('settings', 'words'),
  [
    ({'over': 'growth'}, ['over', 'budget', 'lam', 'growth']),
    ({'num_points': 1}, ['num_points', 'at least 2', '1']),
    ({'num_points': 2.5}, ['num_points', 'whole', '2.5']),
    ({'num_points': 'x'}, ['num_points', 'x']),
    ({'over': 'lam', 'lam': 0.0}, ['lam', 'above 0']),
    ({'lam': -1}, ['lam', '-1']),
    ({'lam_images': 0}, ['lam_images', '0']),
    ({'budget': 3}, ['budget', 'at least', '3']),
    ({'budget_exactly': True}, ['budget_exactly', 'budget']),
    ({'lower': 3, 'upper': 2}, ['lower', 'upper']),
    ({'image_cost': -2}, ['image_cost', '-2']),
    ({'objective': 'l3'}, ['objective', 'l1', 'l3']),
    ({'optimizer': 'adm'}, ['optimizer', 'ipm', 'adm']),
    ({'relaxation': 'x'}, ['relaxation', 'huber', 'x']),
    ({'tol': 0}, ['tol', 'above 0']),
    ({'max_steps': -1}, ['max_steps', '-1']),
    ({'optimizer': 'pdhg', 'objective': 'l2'}, ['optimizer', 'pdhg']),
  ],
)
def test_bad_arguments_are_named(settings, words):
  with pytest.raises(ValueError) as caught:
    frontier(**settings)
  for word in words:
    assert word in str(caught.value)


def test_no_label_that_occurs_is_an_error():
  with pytest.raises(ValueError, match='must have a positive somewhere'):
    solve_frontier([[0, 0]], [3])


# The picture.


@pytest.mark.parametrize('over', WAYS)
def test_the_picture_says_what_was_chosen(tmp_path, over):
  found = frontier(over=over, num_points=4)
  path = tmp_path / 'frontier.svg'
  report.plot(found, path)
  content = path.read_text(encoding='utf-8')
  k = found.chosen
  assert f'chosen: {found.added[k]:+,.0f} images' in content
  assert f'MeanIR {found.mean_ir[k]:.2f}' in content
  assert report.conclusion(found).split(';')[0][:40] in content
  assert ('knee: ' in content) == (found.knee is not None)
  assert 'certified' in content and 'images added' in content
  assert ('price of' in content) == (over == 'budget')
  report.plot(found, tmp_path / 'again.svg')
  assert (tmp_path / 'again.svg').read_bytes() == path.read_bytes()


def points_at(images, heights, over='budget'):
  """A frontier through points, by images; its chosen point is the last."""
  columns = {
    field.name: np.zeros(len(images))
    for field in dataclasses.fields(frontier_lib.Frontier)
  }
  start = images[0]
  columns |= {'images': images, 'added': images - start, 'value': heights}
  columns |= {'imbalance': heights, 'mean_ir': np.ones(len(images))}
  return frontier_lib.Frontier(
    **columns
    | {
      'over': over,
      'objective': 'l1',
      'images_start': int(start),
      'value_start': float(heights[0]),
      'chosen': len(images) - 1,
    }
  )


def test_the_knee_is_the_corner_whatever_the_units():
  rng = np.random.default_rng(0)
  for _ in range(200):
    num, corner = int(rng.integers(3, 30)), rng.uniform(0.05, 0.6)
    x = np.sort([0.0, corner, *rng.uniform(0, 1, num - 3), 1.0])
    share = rng.uniform(0.05, 0.9) * (1 - corner)  # Left at the corner.
    y = np.interp(x, [0, corner, 1], [1, share, 0])
    images = 100 + x * 10 ** rng.uniform(1, 6)
    found = points_at(images, 7 + y * 10 ** rng.uniform(-6, 6))
    if 1 - corner - share < 0.011:
      continue
    assert x[found.knee] == corner
    columns = found.columns()
    assert columns['knee'].tolist() == (x == corner).astype(int).tolist()
    words = report.conclusion(found)
    assert f'{found.added[found.knee]:+,.0f} images' in words
    assert f'with {100 * (1 - share):.0f} % of the evenness' in words
    order = rng.permutation(num)  # Along lam images need not go up.
    assert x[order][points_at(images[order], y[order], 'lam').knee] == corner


def test_what_is_straight_has_no_knee():
  x = np.linspace(100, 200, 7)
  for heights in (300 - x, x * 0 + 5, 300 - x + 0.5 * np.sin(x)):
    found = points_at(x, heights)
    assert found.knee is None
    assert not found.columns()['knee'].any()
    assert not report.conclusion(found).startswith('The knee')
  assert points_at(x[:1], x[:1]).knee is None


@pytest.mark.parametrize('settings', [{'objective': 'log'}, {'upper': 1.0}])
def test_any_frontier_can_be_drawn(tmp_path, settings):
  path = tmp_path / 'frontier.PNG'
  report.plot(frontier(num_points=3, **settings), path)
  assert path.read_bytes().startswith(b'\x89PNG')


def test_a_picture_of_another_kind_is_refused(tmp_path):
  path = tmp_path / 'frontier.txt'
  with pytest.raises(ValueError, match=r'path must end in .*png.*txt'):
    report.plot(frontier(num_points=3), path)
  assert not path.exists()


def test_only_what_has_a_zero_is_a_share_of_the_start():
  drawn = types.SimpleNamespace(objective='log', value_start=5.0)
  assert not report._is_relative(drawn)
  drawn.objective = 'l2'
  assert report._is_relative(drawn)
  drawn.value_start = 0.0
  assert not report._is_relative(drawn)


def test_the_floor_has_its_corners_between_the_points():
  # Bounds 10, 4, 1 at 0, 2, 8 images and prices 4, 1, 0: the first two lines,
  # 10 - 4 x and 4 - (x - 2), meet at 4/3 in 14/3; the last two at 5 in 1.
  drawn = types.SimpleNamespace(
    added=np.array([0.0, 2.0, 8.0]),
    image_price=np.array([4.0, 1.0, 0.0]),
    value_start=0.0,
    objective='l1',
  )
  places, heights = report._with_corners(drawn, np.array([10.0, 4.0, 1.0]))
  np.testing.assert_allclose(places, [0, 4 / 3, 2, 5, 8])
  np.testing.assert_allclose(heights, [10, 14 / 3, 4, 1, 1])
