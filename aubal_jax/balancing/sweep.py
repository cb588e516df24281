"""Problems side by side: each is solved from the solution of the one before.

Only lam and the budget change, so the problem stays on its devices, and what is
compiled for one serves all.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterable
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from aubal_jax.balancing import iterations
from aubal_jax.balancing import record
from aubal_jax.balancing.instance import Budget

_LEAST_FACTOR, _LARGEST_FACTOR = 1e-3, 1e4  # Of the lam given.


def _over_budgets(given, num_points: int, solve_one) -> Iterator[record.Run]:
  """Yields the `Run` of each budget, from none at all down, then up."""
  free = dataclasses.replace(given, budget=Budget())
  found = solve_one(free)
  images = float(found.growth @ given.start)
  budgets = _budgets(given, images, num_points)
  instances = [
    dataclasses.replace(
      given, budget=Budget(most, given.budget.exactly and most < np.inf)
    )
    for most in budgets.tolist()
  ]
  num_below = int((budgets < images).sum())
  yield from _walk(found, reversed(instances[:num_below]), solve_one)
  yield from _walk(found, instances[num_below:], solve_one)


def _budgets(given, images: float, num_points: int) -> np.ndarray:
  """Returns budgets float64[K], from the least; the last may be inf: none.

  Args:
    given: the problem, with the budget given.
    images: of the solution without a budget.
    num_points: from end to end.
  """
  most, exactly = given.budget.most, given.budget.exactly
  last = max(images, most) if exactly else images
  between = np.rint(np.linspace(given.least.sum(), last, num_points)[:-1])
  if not np.isfinite(given.value(given.least)):  # A logarithm without an image.
    between = between[1:]
  chosen = [most] if given.budget else []
  end = most if given.budget and most >= images else np.inf
  between = between[between < last - 0.5]  # At least half an image apart.
  return np.unique([*between, *chosen, end])


def _over_lam(given, num_points: int, solve_one) -> Iterator[record.Run]:
  """Yields the `Run` of each lam: the one given, then up, then down."""
  factors = np.geomspace(_LEAST_FACTOR, _LARGEST_FACTOR, num_points)
  factors = factors[np.abs(factors - 1) > 1e-9]
  instances = [
    dataclasses.replace(given, lam=factor * given.lam)
    for factor in factors.tolist()
  ]
  num_below = int((factors < 1).sum())
  found = solve_one(given)
  yield found
  yield from _walk(found, instances[num_below:], solve_one)
  yield from _walk(found, reversed(instances[:num_below]), solve_one)


def _walk(found, instances: Iterable, solve_one) -> Iterator[record.Run]:
  """Yields the `Run` of each instance, begun at the one before."""
  for instance in instances:
    start = iterations.Start(found.growth, found.u)
    where = _tuned(found.where, instance)
    found = solve_one(instance, where=where, start=start)
    yield found


def _tuned(where, instance):
  """Returns a `Placed` problem with the lam and the budget of `instance`."""
  problem, budget = where.problem, instance.budget
  most = budget.most if budget else 0.0
  low, high = -np.inf if budget.exactly else 0.0, np.inf if budget else 0.0
  problem = dataclasses.replace(
    problem,
    lam=jnp.asarray(instance.lam, jnp.float64),
    budget=jnp.asarray(most, jnp.float64),
    low=problem.low.at[-1].set(low),
    high=problem.high.at[-1].set(high),
  )
  return where._replace(problem=problem)


# What goes from point to point -> (the problem given, number of points, runs
# one of them) -> the runs, in the order in which they are solved.
WAYS = types.MappingProxyType({'budget': _over_budgets, 'lam': _over_lam})
