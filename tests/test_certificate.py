import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from aubal_jax.balancing import certificate
from tests import problems

pytestmark = pytest.mark.usefixtures('x64')


@pytest.mark.parametrize('lam', [0.0, 0.7, 70.0, 1e12])
def test_the_bound_is_the_exact_minimum_over_the_box(lam):
  # Oracle: scipy minimises the same quadratic over the same box.
  problem = problems.make(seed=1, num_sets=9, num_labels=4, lam=lam)
  u = np.random.default_rng(2).uniform(-1, 1, 4)
  matrix = problems.dense_matrix(problem)
  slopes = u @ matrix + 0.01 * np.asarray(problem.counts)
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
  bound = certificate.lower_bound(problem, u, 0.01)
  bound = float(bound) + 0.01 * float(problem.counts.sum())
  assert bound <= best * scale + 1e-9 * scale
  assert bound == pytest.approx(best * scale, rel=1e-6, abs=1e-6 * scale)


def test_no_growth_in_the_box_is_below_the_bound():
  problem = problems.make(seed=3, num_sets=30, num_labels=6, lam=5.0)
  rng = np.random.default_rng(4)
  matrix = problems.dense_matrix(problem)
  bound_of = jax.jit(certificate.lower_bound)
  for _ in range(50):
    u = rng.uniform(-1.5, 1.5, 6)  # Outside: clipped.
    bound = float(bound_of(problem, u, 0.0))
    assert bound == float(bound_of(problem, np.clip(u, -1, 1), 0.0))
    g = rng.uniform(np.asarray(problem.lower), np.asarray(problem.upper))
    assert bound <= np.abs(matrix @ g).sum() + 5.0 * g.var()


def test_what_an_inexact_mean_may_add_is_taken_off(monkeypatch):
  problem = problems.make(seed=5, num_sets=40, num_labels=5, lam=300.0)
  u = np.random.default_rng(6).uniform(-1, 1, 5)
  exact = float(certificate.lower_bound(problem, u, 0.0))
  for steps in range(4):
    monkeypatch.setattr(certificate, '_ROOT_STEPS', steps)
    assert float(certificate.lower_bound(problem, u, 0.0)) <= exact + 1e-9


def test_separable_minimum_with_a_pull_meets_its_conditions():
  problem = problems.make(seed=7, num_sets=25, num_labels=5, lam=40.0)
  rng = np.random.default_rng(8)
  slopes, pull = rng.normal(0, 30, 25), rng.uniform(0.1, 3, 25)
  center = rng.uniform(1, 10, 25)
  g, _, mean, _ = jax.jit(certificate.separable_minimum)(
    problem, jnp.asarray(slopes), jnp.asarray(pull), jnp.asarray(center)
  )
  g = np.asarray(g)
  assert float(mean) == pytest.approx(g.mean(), rel=1e-12)
  gradient = slopes + pull * (g - center) + 2 * 40 * (g - g.mean()) / 25
  at_lower, at_upper = g <= 1.0, g >= 10.0
  assert (gradient[at_lower] >= -1e-9).all()
  assert (gradient[at_upper] <= 1e-9).all()
  assert np.abs(gradient[~at_lower & ~at_upper]).max() < 1e-9
  assert at_lower.any() and at_upper.any() and (~at_lower & ~at_upper).any()


@pytest.mark.parametrize('lam', [10.0**k for k in range(11, 26, 2)])
def test_the_bound_holds_where_lam_swallows_all_else(lam):
  # Var(g) must be 0 to be worth it: the best is an even growth, and f of that
  # is linear in it, so one of the two ends is the minimum.
  problem = problems.make(seed=9, num_sets=12, num_labels=5, lam=lam)
  matrix = problems.dense_matrix(problem)
  rng = np.random.default_rng(1)
  bound_of = jax.jit(certificate.lower_bound)
  for scale in (1.0, 1e-3):
    for _ in range(20):
      u = scale * rng.uniform(-1, 1, 5)
      bound = float(bound_of(problem, u, 0.0))
      slopes = u @ matrix
      assert bound <= min(slopes.sum(), 10 * slopes.sum()) + 1e-12
