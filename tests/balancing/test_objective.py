import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aubal_jax.balancing import box
from aubal_jax.balancing import ipm
from aubal_jax.balancing import ipm_system
from aubal_jax.balancing import newton
from aubal_jax.balancing import objective
from aubal_jax.balancing import projected_gradient
from aubal_jax.balancing.instance import make_instance
from aubal_jax.balancing.rules import OBJECTIVES
from aubal_jax.balancing.rules import Rules
from tests.makers import problems

pytestmark = pytest.mark.usefixtures('x64')

_SETS, _LABELS = 16, 5  # A power of two: no empty place.


def both(name, **settings):
  """Returns an Instance, and its Problem with the places in its order."""
  found = problems.instance(
    0, _SETS, _LABELS, objective=name, lam=7.0, image_cost=0.3, **settings
  )
  problem, place = found.problem()
  np.testing.assert_array_equal(place, np.arange(_SETS))
  return found, problem


def growth_of(seed):
  return np.random.default_rng(seed).uniform(1, 10, _SETS)


@pytest.mark.parametrize('name', OBJECTIVES)
@pytest.mark.parametrize('blocks', [None, [(2, 0.5), (1, 3.0), (2, 1.0)]])
def test_operators_equal_the_dense_matrix(name, blocks):
  blocks = None if name == 'prevalence' else blocks
  found, problem = both(name, empty=40, budget=900, blocks=blocks)
  matrix = problems.dense_matrix(found)
  g = growth_of(1)
  u = np.random.default_rng(2).normal(size=_LABELS + 1)
  x = matrix @ g + found.offset
  rows = objective.all_rows(problem, jnp.asarray(g))
  np.testing.assert_allclose(rows[:-1], x, rtol=1e-10)
  # 40 images have no label, so 860 are left of the budget.
  assert float(rows[-1]) == pytest.approx(found.start @ g - 860)
  np.testing.assert_allclose(
    objective.all_slopes(problem, jnp.asarray(u)),
    u[:-1] @ matrix + u[-1] * found.start,
    rtol=1e-10,
  )
  bordered = np.vstack([matrix, found.start])
  np.testing.assert_allclose(
    objective.normal_matrix(problem, jnp.asarray(g)),
    (bordered * g[None]) @ bordered.T,
    rtol=1e-9,
    atol=1e-6,
  )
  scale = objective.column_scale(problem)
  exact = np.abs(matrix).sum(axis=0)
  assert (scale >= exact * (1 - 1e-12)).all()
  if name != 'log':
    scale = box._column_sizes(found) * found.start
    assert (scale >= exact * (1 - 1e-12)).all()
  width = found.most / found.start - found.least / found.start
  assert (
    objective.row_scale(problem)[:-1] >= np.abs(matrix) @ width * (1 - 1e-12)
  ).all()


@pytest.mark.parametrize('name', OBJECTIVES)
@pytest.mark.parametrize('blocks', [None, [(3, 0.5), (2, 3.0)]])
def test_both_forms_of_the_problem_agree(name, blocks):
  blocks = None if name == 'prevalence' else blocks
  found, problem = both(name, blocks=blocks)
  g = growth_of(3)
  counts = g * found.start
  value = float(objective.value(problem, jnp.asarray(g)))
  assert value == pytest.approx(found.value(counts), rel=1e-12)
  u = np.random.default_rng(5).normal(size=_LABELS)
  slopes = objective.all_slopes(problem, jnp.append(jnp.asarray(u), 0.0))
  np.testing.assert_allclose(slopes / found.start, found.slopes(u), rtol=1e-9)
  cost = float(objective.cost(problem, jnp.asarray(g)))
  assert cost == pytest.approx(found.cost(counts), rel=1e-12)


# Labelsets a x 4, b x 2, ab x 1 and 3 images without a label; growth 1, 2, 1:
# z = (4 + 1, 4 + 1), all images 4 + 4 + 1 + 3 = 12, z_o = (5, 3), their mean 4.
#   Var(g): mean 4/3, variance 2/9; lam 9 makes 2
#   l1, relative and l2 have no deviation
#   prevalence 1/2: |5 - 6| + |5 - 6| = 2
#   log: -4 (log 5 + log 5)
#   with target (.2, .8): l1 |5 - 2| + |5 - 8| = 6
#     relative 4/5 3 + 4/3 3 = 6.4; l2 (9 + 9) / 4; prevalence |5 - 2.4| +
#     |5 - 9.6| = 7.2; log -4 (.4 log 5 + 1.6 log 5)
@pytest.mark.parametrize(
  ('name', 'even', 'uneven'),
  [
    ('l1', 0.0, 6.0),
    ('relative', 0.0, 6.4),
    ('l2', 0.0, 4.5),
    ('prevalence', 2.0, 7.2),
    ('log', -8 * np.log(5), -8 * np.log(5)),
  ],
)
def test_values_by_hand(name, even, uneven):
  patterns = [[1, 0], [0, 1], [1, 1], [0, 0]]
  for target, level in ((None, even), ([0.2, 0.8], uneven)):
    rules = Rules(
      objective=name, lam=9.0, lam_images=None, image_cost=0.25, target=target
    )
    found = make_instance(patterns, [4, 2, 1, 3], rules)
    counts = np.array([4.0, 4.0, 1.0])
    assert found.value(counts) == pytest.approx(level + 2.0)
    assert found.cost(counts) == pytest.approx(0.5)  # Two images were added.


@pytest.mark.parametrize('name', OBJECTIVES)
def test_conjugates_are_those_of_the_level(name):
  # Fenchel and Young: phi(x) + phi*(u) >= u . x, with equality at a slope.
  found, problem = both(name)
  rng = np.random.default_rng(4)
  x = rng.uniform(0.5, 30, _LABELS) * (1 if name == 'log' else -1)
  slope = objective.slope_of_level(problem, jnp.asarray(x), 1e-9, 'huber')
  level = found.level(x)
  for u in (slope, *rng.normal(0, 2, (5, _LABELS))):
    u = objective.within_dual(problem, jnp.append(jnp.asarray(u), 0.0))
    rest = level + float(objective.conjugate(problem, u)) - float(u[:-1] @ x)
    assert rest >= -1e-9
    if np.allclose(u[:-1], slope):
      assert rest == pytest.approx(0, abs=1e-9)
      if name in ('l2', 'log'):
        np.testing.assert_allclose(
          objective.conjugate_slope(problem, u)[:-1], x, rtol=1e-9
        )
        bend = jax.grad(lambda u: objective.conjugate_slope(problem, u).sum())(
          u
        )
        np.testing.assert_allclose(
          objective.conjugate_curvature(problem, u), bend, rtol=1e-9
        )


@pytest.mark.parametrize('name', objective.RELAXATIONS)
def test_relaxations_keep_their_promises(name):
  smooth = objective.RELAXATIONS[name]
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


@pytest.mark.parametrize('relaxation', objective.RELAXATIONS)
@pytest.mark.parametrize('name', OBJECTIVES)
def test_the_gradient_is_that_of_the_relaxed_objective(name, relaxation):
  _, problem = both(name, budget=700)
  g = jnp.asarray(growth_of(5))
  arguments = (0.4, 3.0, relaxation)
  slope = jax.grad(projected_gradient.relaxed_value, 1)
  np.testing.assert_allclose(
    projected_gradient.relaxed_gradient(problem, g, *arguments),
    slope(problem, g, *arguments),
    rtol=1e-9,
    atol=1e-9,
  )


@pytest.mark.parametrize('exactly', [False, True])
def test_projection_is_the_nearest_point_of_box_and_budget(exactly):
  from scipy import optimize

  found, problem = both('l1', budget=600, exactly=exactly)
  rng = np.random.default_rng(6)
  metric = rng.uniform(0.5, 50, _SETS)
  box = list(
    zip(found.least / found.start, found.most / found.start, strict=True)
  )
  for center in (rng.uniform(0, 12, _SETS), rng.uniform(0, 1.2, _SETS)):
    nearest = projected_gradient.project(
      problem, jnp.asarray(center), jnp.asarray(metric)
    )
    # Nothing that is allowed lies further towards the center.
    towards = metric * (center - nearest)
    kind = 'eq' if exactly else 'ub'
    rule = {f'A_{kind}': found.start[None], f'b_{kind}': 600}
    best = optimize.linprog(-towards, bounds=box, **rule)
    assert -best.fun - towards @ nearest <= 1e-6 * np.abs(towards).sum()
    low, high = np.transpose(box)
    assert ((low <= nearest) & (nearest <= high)).all()
    images = found.start @ nearest
    assert images <= 600 + 1e-6
    assert not exactly or images == pytest.approx(600)


@pytest.mark.parametrize('name', OBJECTIVES)
def test_newtons_matrix_is_the_derivative_of_the_dual_gradient(name):
  # Around a u where no labelset changes sides, r(u) is linear with slope -H:
  # then a full Newton step leads where r = 0.
  _, problem = both(name)
  problem = dataclasses.replace(
    problem, lam=jnp.asarray(700.0), lower=problem.lower - 100,
    upper=problem.upper + 100,
  )  # fmt: skip
  pull = jnp.full(_SETS, 60.0)
  center = jnp.asarray(growth_of(7))
  u = jnp.append(jnp.full(_LABELS, -0.3), 0.0)
  point = newton._dual(problem, u, pull, center, None)
  direction = newton._direction(problem, pull, u, point)
  step = 1e-5
  ahead = newton._dual(problem, u + step * direction, pull, center, None)
  np.testing.assert_allclose(
    (ahead.rest - point.rest)[:-1] / step, -point.rest[:-1],
    rtol=1e-3, atol=1e-3 * float(jnp.abs(point.rest).max()),
  )  # fmt: skip
  slope = (ahead.level - point.level) / step
  assert float(slope) == pytest.approx(
    float(point.rest[:-1] @ direction[:-1]), rel=1e-2
  )


@pytest.mark.parametrize('name', OBJECTIVES)
def test_an_interior_step_solves_its_linear_system(name):
  found, problem = both(name, budget=700)
  matrix = np.vstack([problems.dense_matrix(found), found.start])
  state = ipm.start(problem, jnp.asarray(growth_of(8)))
  frame = ipm_system.frame_of(problem)
  system = ipm_system.factor(problem, frame, state)
  products = ipm_system.products_of(problem, frame, state)
  aim = ipm_system.Products(*(-0.7 * p for p in products))
  step = ipm_system.solve(problem, frame, state, system, aim)
  # The four products change by what was aimed at, to first order ...
  change = ipm_system.Products(
    state.below * step.push + step.below * state.push,
    state.above * step.pull + step.above * state.pull,
    state.plus * -step.u
    + step.plus * ipm_system.room(problem, frame, state.u)[0],
    state.minus * step.u
    + step.minus * ipm_system.room(problem, frame, state.u)[1],
  )
  for got, wanted, used in zip(
    change, aim, (frame.free, frame.free, frame.up, frame.down), strict=True
  ):
    np.testing.assert_allclose(
      np.asarray(got)[np.asarray(used)],
      np.asarray(wanted)[np.asarray(used)],
      rtol=1e-6,
      atol=1e-6,
    )
  # ... and both kinds of conditions, which are linear, are met at its end.
  growth, u = np.asarray(step.below), np.asarray(step.u)
  q = float(problem.q)
  dual = u @ matrix + q * (growth - growth.mean()) - step.push + step.pull
  np.testing.assert_allclose(dual, -system.dual_rest, rtol=1e-6, atol=1e-6)
  rows = matrix @ growth - step.plus + step.minus - problem.bend * u
  np.testing.assert_allclose(rows, -system.row_rest, rtol=1e-6, atol=1e-5)
