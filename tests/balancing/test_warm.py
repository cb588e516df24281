import dataclasses

import numpy as np
import pytest

from aubal_jax.balancing import certificate
from aubal_jax.balancing import ipm
from aubal_jax.balancing import ipm_system
from aubal_jax.balancing import iterations
from aubal_jax.balancing import objective as objective_lib
from aubal_jax.balancing.instance import Budget
from aubal_jax.balancing.rules import OBJECTIVES
from tests.makers import problems

pytestmark = pytest.mark.usefixtures('x64')

_SETS, _LABELS = 24, 6  # Fixed shapes, so that nothing compiles anew.


def run(instance, *, start=None, optimizer='ipm', tol=1e-9):
  search = iterations.Search(optimizer=optimizer, tol=tol, max_steps=0)
  return iterations.run(instance, search, start=start)


def solved(name, **settings):
  instance = problems.instance(1, _SETS, _LABELS, objective=name, **settings)
  return run(instance)


@pytest.mark.parametrize('name', OBJECTIVES)
def test_a_start_next_to_a_solution_is_inside_and_on_the_path(name):
  found = solved(name, lower=0.5, budget=500)
  problem, gap = found.where.problem, 3.0
  growth = found.where.put(found.growth)
  state = ipm.near(problem, growth, found.u, gap)
  frame = ipm_system.frame_of(problem)
  products = ipm_system.products_of(problem, frame, state)
  assert float(ipm_system.gap_of(problem, products)) == pytest.approx(gap)
  mu = gap / float(ipm_system.weight_of(problem, frame))
  targets = ipm_system.targets(problem, frame, mu)
  for product, target in zip(products, targets, strict=True):
    np.testing.assert_allclose(product, target, rtol=1e-9)
  free = np.asarray(frame.free)
  width = np.asarray(problem.upper - problem.lower)[free]
  below, above = np.asarray(state.below)[free], np.asarray(state.above)[free]
  np.testing.assert_allclose(below + above, width)
  assert (below > 0).all() and (above > 0).all()
  up, down = ipm_system.room(problem, frame, state.u)
  assert (np.asarray(up) > 0).all() and (np.asarray(down) > 0).all()


def test_what_presses_on_a_bound_stays_as_near_as_the_path():
  found = solved('l1', upper=2.0)
  problem, gap = found.where.problem, 0.1
  growth = found.where.put(found.growth)
  state = ipm.near(problem, growth, found.u, gap)
  frame = ipm_system.frame_of(problem)
  force = gap / float(ipm_system.weight_of(problem, frame))
  slopes = np.asarray(objective_lib.all_slopes(problem, found.u))
  mean = float(objective_lib.mean_growth(problem, growth))
  slopes = slopes + float(problem.q) * (np.asarray(growth) - mean)
  away = force * np.asarray(frame.omega) / np.abs(slopes)
  width = np.asarray(problem.upper - problem.lower)
  held = np.asarray(frame.free) & (np.abs(slopes) > 1) & (away < 0.4 * width)
  low = held & (np.asarray(growth) == np.asarray(problem.lower))
  high = held & (np.asarray(growth) == np.asarray(problem.upper))
  assert low.sum() > 3 and high.sum() > 0
  np.testing.assert_allclose(np.asarray(state.below)[low], away[low])
  np.testing.assert_allclose(np.asarray(state.above)[high], away[high])
  # The same for classes: u = 1 where there are too many, -1 where too few.
  inside = ipm_system.growth_of(problem, state)
  x = np.asarray(objective_lib.deviations(problem, inside))
  away = force * np.asarray(frame.row_omega)[:-1] / np.abs(x)
  u = np.asarray(state.u)[:-1]
  many, few = (
    (x > 1) & (found.u[:-1] > 0.999),
    (x < -1) & (found.u[:-1] < -0.999),
  )
  assert many.any() and few.any()
  np.testing.assert_allclose(1 - u[many], away[many], rtol=1e-6)
  np.testing.assert_allclose(1 + u[few], away[few], rtol=1e-6)


@pytest.mark.parametrize('name', OBJECTIVES)
@pytest.mark.parametrize('end', ['fewest', 'most'])
def test_one_corner_of_the_box_is_certified_at_once(name, end):
  found = solved(name, lower=0.5, image_cost=1e-4)
  instance = found.instance
  corner = instance.least if end == 'fewest' else instance.most
  pinned = dataclasses.replace(
    instance, budget=Budget(float(corner.sum()), exactly=True)
  )
  start = iterations.Start(found.growth, found.u)
  found = run(pinned, start=start)
  assert found.num_steps == 0 and found.gap <= 1e-9
  np.testing.assert_allclose(found.growth * pinned.start, corner)
  # A little less of the price, or more in the other corner, would not do.
  problem = found.where.problem
  growth = found.where.put(found.growth)
  step = -0.01 if end == 'fewest' else 0.01
  for off, is_met in ((0.0, True), (step, False)):
    u = found.u.copy()
    u[-1] += off
    _, _, figures = certificate.certify_within(problem, growth, u)
    gap = float(figures['value'] + figures['cost'])
    gap -= float(figures['lower_bound_priced'])
    assert (gap <= 1e-6) == is_met


@pytest.mark.parametrize('optimizer', ['ipm', 'newton', 'adam', 'pdhg'])
def test_a_solution_is_a_start_that_needs_no_step(optimizer):
  found = solved('l1')
  start = iterations.Start(found.growth, found.u)
  again = run(found.instance, start=start, optimizer=optimizer, tol=1e-8)
  assert again.num_steps == 0
  assert again.value == pytest.approx(found.value, rel=1e-12)


def test_a_budget_at_most_has_no_price_below_0():
  # All classes are to have .9 of the images, and no image has more than 4 of
  # 6 labels: one more adds 6 * .9 - 4 = 1.4 to f at least.
  found = solved('prevalence', target=np.full(_LABELS, 0.9))
  fewest = Budget(float(found.instance.least.sum()))
  start = iterations.Start(found.growth, found.u)
  for exactly in (False, True):
    pinned = dataclasses.replace(
      found.instance, budget=dataclasses.replace(fewest, exactly=exactly)
    )
    again = run(pinned, start=start)
    assert again.gap <= 1e-9 and again.num_steps == 0
    assert again.u[-1] == pytest.approx(-1.4 if exactly else 0.0)


@pytest.mark.parametrize(
  ('optimizer', 'polished', 'inside'),
  [('ipm', False, 1), ('newton', False, 0), ('adam', True, 1)],
)
def test_who_takes_the_steps_from_a_neighbour(
  monkeypatch, optimizer, polished, inside
):
  found, near, calls = solved('l1'), ipm.near, []
  monkeypatch.setattr(ipm, 'near', lambda *a: calls.append(1) or near(*a))
  other = dataclasses.replace(found.instance, lam=9.0)
  start = iterations.Start(found.growth, found.u)
  found = run(other, start=start, optimizer=optimizer)
  assert found.gap <= 1e-9 and found.num_steps > 0
  assert found.polished == polished and len(calls) == inside
