r"""An interior point next to the solution of a neighbouring problem.

Interior-point methods like no start at a bound, and that is where a solution
is. So growth and dual move inwards, as far as the central path is away from
their bounds there: where a labelset's multiplier is r, by mu omega / |r|, where
a class deviates by x, by mu omega / |x| (see `ipm`), and never by much. The
multipliers are then chosen so that all products are on the path; that slopes
and rows do not add up is what the method mends by itself.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from aubal_jax.balancing import certificate
from aubal_jax.balancing import ipm_system as system_lib
from aubal_jax.balancing import objective
from aubal_jax.balancing import optimizers

_MOST_MOVED = 0.1  # Share of the width between two bounds.
_SHARP = 1e-9  # Width of the relaxation that gives the slopes of |x|.


@jax.jit
def certify(problem: objective.Problem, growth, u):
  """Certifies the solution of another problem for this one.

  Args:
    problem: the problem, in float64.
    growth: float64[S'], inside the box.
    u: float64[L + 1].

  Returns:
    growth within the budget, u, and `certificate.certify`'s figures.
  """
  growth = certificate.within_budget(problem, growth)
  return growth, u, certificate.certify(problem, growth, u)


@jax.jit
def certify_corner(problem: objective.Problem):
  """The same where the budget leaves one corner of the box, and no choice.

  The slopes of phi there are the classes' u. The price is minus the slope of f
  + cost over budgets, from there into the box: the first at which all labelsets
  stay in the corner.
  """
  counts = problem.counts
  middle = (counts * (problem.lower + problem.upper)).sum() / 2
  at_lower = problem.budget <= middle
  growth = jnp.where(at_lower, problem.lower, problem.upper)
  x = objective.deviations(problem, growth)
  u = jnp.append(optimizers.relaxed_slopes(problem, x, _SHARP, 'huber'), 0.0)
  price = -_multipliers(problem, growth, u) / jnp.where(counts > 0, counts, 1)
  free = problem.upper > problem.lower
  highest = jnp.where(free, price, -jnp.inf).max()
  lowest = jnp.where(free, price, jnp.inf).min()
  u = u.at[-1].set(jnp.where(at_lower, highest, lowest))
  u = objective.within_dual(problem, u)
  return growth, u, certificate.certify(problem, growth, u)


@jax.jit
def near(problem: objective.Problem, growth, u, gap) -> system_lib.State:
  """Returns an interior point near a solution of a problem like this one.

  Args:
    problem: the problem, in float64.
    growth: float64[S'], inside the box; of a problem with the same P and n_o.
    u: float64[L + 1], its dual.
    gap: what the products shall sum to, in units of f: the farther the other
      problem is away, the more. A tenth of f where nothing grows served all.
  """
  frame = system_lib.frame_of(problem)
  mu = gap / system_lib.weight_of(problem, frame)
  force = system_lib.targets(problem, frame, mu)
  u = objective.within_dual(problem, u)
  width = problem.upper - problem.lower
  growth = _inside(
    growth,
    _multipliers(problem, growth, u),
    problem.lower,
    problem.upper,
    force.below,
    width,
  )
  x = objective.all_rows(problem, growth)
  low = jnp.where(frame.down, problem.low, -jnp.inf)
  high = jnp.where(frame.up, problem.high, jnp.inf)
  u = _inside(u, x, low, high, mu * frame.row_omega, 2.0)
  u = jnp.where(frame.used, u, 0.0)
  below = jnp.where(frame.free, growth - problem.lower, 0.0)
  above = jnp.where(frame.free, problem.upper - growth, 0.0)
  up, down = system_lib.room(problem, frame, u)
  return system_lib.State(
    below=below,
    above=above,
    push=force.below / jnp.where(frame.free, below, 1.0),
    pull=force.above / jnp.where(frame.free, above, 1.0),
    u=u,
    plus=force.plus / up,
    minus=force.minus / down,
  )


def _multipliers(problem, growth, u) -> Array:
  """Returns r = A^T u + cost + d lam Var(g): > 0 at the lower bound."""
  slopes = objective.all_slopes(problem, u)
  around = growth - objective.mean_growth(problem, growth)
  return slopes + problem.image_cost * problem.counts + problem.q * around


def _inside(values, multipliers, low, high, force, width) -> Array:
  """Returns values float64[K] moved off their bounds.

  Args:
    values: float64[K].
    multipliers: float64[K], of the bound that each is at.
    low: float64[K], or -inf.
    high: float64[K], or inf.
    force: float64[K], what distance times multiplier shall be.
    width: float64[K] or a number, between two bounds.
  """
  away = force / jnp.maximum(jnp.abs(multipliers), 1e-300)
  away = jnp.minimum(away, _MOST_MOVED * width)
  return jnp.clip(values, low + away, high - away)
