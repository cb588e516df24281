import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

from aubal_jax.balancing import newton
from aubal_jax.balancing import objective
from aubal_jax.balancing import optimizers
from aubal_jax.balancing import relax
from tests import problems

pytestmark = pytest.mark.usefixtures('x64')


@pytest.fixture(name='problem')
def fixture_problem():
  weights = np.array([1.0, 0.5, 2.0, 1.0, 3.0])
  return problems.make(
    seed=0, num_sets=20, num_labels=5, lam=7.0, image_cost=0.3, weights=weights
  )


def test_blocks_hold_every_row_in_order():
  patterns, _ = problems.patterns_and_counts(1, 50, 12)
  csr = sparse.csr_array(patterns)
  blocks = objective.label_blocks(csr.indptr, csr.indices, 12)
  assert [b.shape[1] for b in blocks] == sorted({b.shape[1] for b in blocks})
  rebuilt = [sorted(row[row < 12]) for block in blocks for row in block]
  assert rebuilt == [np.flatnonzero(row).tolist() for row in patterns]


def test_operators_equal_the_dense_matrix(problem):
  matrix = problems.dense_matrix(problem)
  rng = np.random.default_rng(2)
  g, u = rng.uniform(1, 10, 20), rng.normal(size=5)
  np.testing.assert_allclose(
    objective.deviations(problem, jnp.asarray(g)), matrix @ g, rtol=1e-12
  )
  np.testing.assert_allclose(
    objective.labelset_slopes(problem, jnp.asarray(u)), u @ matrix, rtol=1e-10
  )
  np.testing.assert_allclose(
    objective.column_scale(problem), np.abs(matrix).sum(axis=0), rtol=1e-12
  )
  level = np.abs(matrix @ g).sum() + 7.0 * g.var()
  assert float(objective.value(problem, jnp.asarray(g))) == pytest.approx(level)


def test_value_by_hand():
  # Labelsets a x 4, b x 2, ab x 1 with growth 1, 2, 1: z = (4 + 1, 4 + 1), so
  # no deviation; growth has mean 4/3 and variance 2/9; lam 9 makes 2.
  blocks = (np.array([[0], [1]], np.int32), np.array([[0, 1]], np.int32))
  problem = objective.Problem(
    blocks, jnp.array([4.0, 2.0, 1.0]), jnp.ones(2), jnp.full(2, 0.5),
    jnp.asarray(9.0), jnp.ones(3), jnp.full(3, 10.0), jnp.asarray(0.25),
  )  # fmt: skip
  growth = jnp.array([1.0, 2.0, 1.0])
  assert float(objective.value(problem, growth)) == pytest.approx(2.0)
  # Two images were added.
  assert float(objective.cost(problem, growth)) == pytest.approx(0.5)


@pytest.mark.parametrize('name', relax.RELAXATIONS)
def test_relaxations_keep_their_promises(name):
  smooth = relax.RELAXATIONS[name]
  x = jnp.linspace(-5.0, 5.0, 20_001)
  for width in (1.0, 0.01):
    value = smooth.value(x, width)
    slope = smooth.slope(x, width)
    assert (value <= jnp.abs(x) + 1e-12).all()
    assert (jnp.abs(slope) <= 1).all()
    np.testing.assert_allclose(
      jax.vmap(jax.grad(smooth.value), (0, None))(x[x != 0], width),
      slope[x != 0],
      atol=1e-9,
    )
  worst = (jnp.abs(x) * (1 - jnp.abs(smooth.slope(x, 1.0)))).max()
  assert float(worst) <= smooth.gap
  assert float(worst) == pytest.approx(smooth.gap, abs=1e-4)


@pytest.mark.parametrize('name', relax.RELAXATIONS)
def test_the_gradient_is_that_of_the_relaxed_objective(problem, name):
  smooth = relax.RELAXATIONS[name]

  def relaxed(g):
    x = objective.deviations(problem, g)
    level = smooth.value(x, 3.0).sum()
    spread = objective.spread_of_growth(problem, g)
    return level + spread + objective.cost(problem, g)

  g = jnp.asarray(np.random.default_rng(3).uniform(1, 10, 20))
  np.testing.assert_allclose(
    optimizers.relaxed_gradient(problem, g, 3.0, name),
    jax.grad(relaxed)(g),
    rtol=1e-9,
  )


def test_label_pairs_sum_to_the_table_of_co_occurrence():
  patterns, counts = problems.patterns_and_counts(4, 30, 7)
  csr = sparse.csr_array(patterns)
  pairs = newton.label_pairs(csr.indptr, csr.indices)
  table = np.zeros((7, 7))
  np.add.at(table, (pairs.first, pairs.second), counts[pairs.labelset])
  np.testing.assert_allclose(table, (patterns.T * counts) @ patterns)


def test_the_hessian_is_the_derivative_of_the_dual_gradient(problem):
  # Around a u where no labelset changes sides, x(u) is linear with slope -H.
  problem = problem._replace(lam=jnp.asarray(700.0))
  patterns = sparse.csr_array(problems.dense_patterns(problem))
  pairs = newton.label_pairs(patterns.indptr, patterns.indices)
  pull = jnp.full(20, 60.0)
  center = jnp.asarray(np.random.default_rng(5).uniform(3, 8, 20))
  u = jnp.asarray(np.random.default_rng(6).uniform(-0.3, 0.3, 5))
  _, _, growth = newton._dual(problem, u, pull, center)
  free = (growth > problem.lower) & (growth < problem.upper)
  q = 2 * problem.lam / 20
  hessian = newton._hessian(problem, pairs, jnp.where(free, 1 / (q + pull), 0))
  for i in range(5):
    step = jnp.zeros(5).at[i].set(1e-6)
    above = newton._dual(problem, u + step, pull, center)[1]
    below = newton._dual(problem, u - step, pull, center)[1]
    np.testing.assert_allclose(
      (below - above) / 2e-6, hessian[i], rtol=1e-4, atol=1e-4
    )
