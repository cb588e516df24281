import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from aubal_jax.balancing import arrays
from aubal_jax.balancing import certificate
from aubal_jax.balancing import objective
from aubal_jax.balancing import rules
from tests.makers import problems

pytestmark = pytest.mark.usefixtures('x64')


def make(seed, num_sets, num_labels, **settings):
  """Returns an Instance and its Problem, without its empty places' order."""
  found = problems.instance(seed, num_sets, num_labels, **settings)
  return found, found.problem()[0]


def make_on_host(*size, **settings):
  """The same in NumPy, of whose text nothing is compiled.

  `test_small` holds it against the program of the same text.
  """
  found = problems.instance(*size, **settings)
  return found, found.on_host().problem


def bound_of_host(problem, u, image_cost):
  bound = arrays.compiled(certificate.lower_bound)
  return float(bound(problem, u, image_cost))


@pytest.mark.parametrize('lam', [0.0, 0.7, 70.0, 1e12])
def test_the_bound_is_the_exact_minimum_over_the_box(lam):
  # Oracle: scipy minimises the same quadratic over the same box.
  found, problem = make_on_host(1, 9, 4, lam=lam)
  u = np.random.default_rng(2).uniform(-1, 1, 4)
  slopes = u @ problems.dense_matrix(found) + 0.01 * found.start
  scale = max(1.0, lam)

  def level(g):
    return (slopes @ g + lam * g.var()) / scale

  def slope(g):
    return (slopes + 2 * lam * (g - g.mean()) / len(g)) / scale

  box = [(1.0, 10.0)] * 9
  options = {'ftol': 1e-15, 'gtol': 1e-12}
  starts = (np.ones(9), np.full(9, 5.0))
  best = min(
    optimize.minimize(level, g, jac=slope, bounds=box, options=options).fun
    for g in starts
  )
  bound = bound_of_host(problem, np.append(u, 0.0), 0.01)
  bound += 0.01 * float(found.start.sum())
  assert bound <= best * scale + 1e-9 * scale
  assert bound == pytest.approx(best * scale, rel=1e-6, abs=1e-6 * scale)


@pytest.mark.parametrize('budget', [None, 700])
@pytest.mark.parametrize('name', rules.OBJECTIVES)
def test_no_growth_that_is_allowed_is_below_the_bound(name, budget):
  found, problem = make(
    3, 32, 6, objective=name, lam=5.0, budget=budget, empty=11
  )
  rng = np.random.default_rng(4)
  bound_of = jax.jit(certificate.lower_bound)
  least, most = found.least / found.start, found.most / found.start
  for _ in range(50):
    u = jnp.asarray(rng.uniform(-1.5, 1.5, 7))  # Outside: clipped.
    bound = float(bound_of(problem, u, 0.0))
    clipped = objective.within_dual(problem, u)
    assert bound == float(bound_of(problem, clipped, 0.0))
    g = rng.uniform(least, most)
    if budget:
      room = (budget - 11 - found.start @ least) / (found.start @ (g - least))
      g = least + min(room, 1.0) * (g - least)
    assert bound <= found.value(g * found.start)


def test_what_an_inexact_mean_may_add_is_taken_off(monkeypatch):
  _, problem = make_on_host(5, 40, 5, lam=300.0)
  u = np.append(np.random.default_rng(6).uniform(-1, 1, 5), 0.0)
  exact = bound_of_host(problem, u, 0.0)
  for steps in range(4):
    monkeypatch.setattr(certificate, '_ROOT_STEPS', steps)
    assert bound_of_host(problem, u, 0.0) <= exact + 1e-9


# Counts over n_o are no round numbers: a growth that is at a bound has to have
# the very bits of the bound, whatever the compiler computes twice.
@pytest.mark.parametrize(('lower', 'upper'), [(1.0, 10.0), (0.3, 3.7)])
def test_separable_minimum_with_a_pull_meets_its_conditions(lower, upper):
  _, problem = make(7, 32, 5, lam=40.0, lower=lower, upper=upper)
  rng = np.random.default_rng(8)
  slopes, pull = rng.normal(0, 30, 32), rng.uniform(0.1, 3, 32)
  center = rng.uniform(lower, upper, 32)
  g, _, mean, _ = jax.jit(certificate.separable_minimum)(
    problem, jnp.asarray(slopes), jnp.asarray(pull), jnp.asarray(center)
  )
  g = np.asarray(g)
  assert float(mean) == pytest.approx(g.mean(), rel=1e-12)
  gradient = slopes + pull * (g - center) + 2 * 40 * (g - g.mean()) / 32
  at_lower = g == np.asarray(problem.lower)
  at_upper = g == np.asarray(problem.upper)
  assert (gradient[at_lower] >= -1e-9).all()
  assert (gradient[at_upper] <= 1e-9).all()
  assert np.abs(gradient[~at_lower & ~at_upper]).max() < 1e-9
  assert at_lower.any() and at_upper.any() and (~at_lower & ~at_upper).any()


@pytest.mark.parametrize('lam', [10.0**k for k in range(11, 26, 2)])
def test_the_bound_holds_where_lam_swallows_all_else(lam):
  # Var(g) must be 0 to be worth it: the best is an even growth, and f of that
  # is linear in it, so one of the two ends is the minimum.
  found, problem = make(9, 12, 5, lam=lam)
  matrix = problems.dense_matrix(found)
  rng = np.random.default_rng(1)
  bound_of = jax.jit(certificate.lower_bound)
  for scale in (1.0, 1e-3):
    for _ in range(20):
      u = scale * rng.uniform(-1, 1, 5)
      bound = float(bound_of(problem, np.append(u, 0.0), 0.0))
      slopes = u @ matrix
      assert bound <= min(slopes.sum(), 10 * slopes.sum()) + 1e-12


def test_rounding_is_taken_off_the_bound():
  # Labels a and b alone, ten each: with u = (1, -1) both slopes are +-10, the
  # minimum is 10 - 100 = -90, and the bound must not be above it.
  found, problem = make_on_host(10, 12, 5, lam=0.0)
  u = np.append(np.random.default_rng(3).uniform(-1, 1, 5), 0.0)
  slopes = u[:-1] @ problems.dense_matrix(found)
  exact = np.minimum(slopes, 10 * slopes).sum()
  bound = bound_of_host(problem, u, 0.0)
  assert exact - 1e-7 < bound < exact - 1e-13 * np.abs(slopes).sum()


@pytest.mark.parametrize('exactly', [False, True])
def test_the_best_price_of_an_image_bounds_best(exactly):
  _, problem = make(11, 16, 5, budget=500, exactly=exactly)
  u = np.append(np.random.default_rng(12).uniform(-1, 1, 5), 0.0)
  best = certificate.best_price(problem, jnp.asarray(u))
  bound_of = jax.jit(certificate.lower_bound)
  reached = float(bound_of(problem, best, 0.0))
  prices = np.linspace(-3 if exactly else 0, 8, 400)
  bounds = [float(bound_of(problem, np.append(u[:-1], p), 0.0)) for p in prices]
  assert reached >= max(bounds) - 1e-9
  assert reached <= max(bounds) + 5.0  # Between two prices of the grid.


@pytest.mark.parametrize('exactly', [False, True])
def test_growth_is_moved_into_the_budget(exactly):
  found, problem = make_on_host(13, 16, 5, budget=500, exactly=exactly)
  rng = np.random.default_rng(14)
  for high in (10.0, 1.1):
    g = rng.uniform(1, high, 16)
    moved = np.asarray(certificate.within_budget(problem, g))
    assert (moved >= 1 - 1e-12).all() and (moved <= 10 + 1e-12).all()
    images = found.start @ moved
    if exactly or found.start @ g > 500:
      assert images == pytest.approx(500)
    else:
      np.testing.assert_array_equal(moved, g)


def test_without_a_budget_nothing_is_moved_or_priced():
  _, problem = make_on_host(15, 16, 5)
  g = np.full(16, 9.0)
  np.testing.assert_array_equal(certificate.within_budget(problem, g), g)
  u = np.append(np.full(5, 0.5), 3.0)
  assert float(certificate.best_price(problem, u)[-1]) == 0


def test_one_bound_is_of_f_alone_and_one_with_the_price_of_images():
  _, problem = make_on_host(17, 16, 5, image_cost=0.3)
  u = np.append(np.random.default_rng(18).uniform(-1, 1, 5), 0.0)
  figures = certificate.certify(problem, np.full(16, 2.0), u)
  alone, priced = (bound_of_host(problem, u, price) for price in (0.0, 0.3))
  assert figures['lower_bound'] == pytest.approx(alone, rel=1e-12)
  assert figures['lower_bound_priced'] == pytest.approx(priced, rel=1e-12)
  assert abs(priced - alone) > 1
