r"""The certificate: a number that no growth in the box can go below.

For any u of the dual (u_i in [low_i, high_i], one for each class and one, the
price of an image, for the budget), weak duality gives

  d(u) = b . u - phi*(u) + min over g in the box of c . g + lam Var(g)
      <= min f,     c = A^T u + image_cost n_o,

and the minimum is had exactly: lam Var(g) is the least over m of
lam / S sum (g_s - m)^2, so for a fixed m each labelset stands alone,
g_s(m) = clip(m - c_s / q, lower, upper) with q = 2 lam / S, and m is the root
of m = mean g(m), a monotone piecewise linear equation.
"""

from __future__ import annotations

from jax import Array

from aubal_jax.balancing import arrays
from aubal_jax.balancing import objective

_ROOT_STEPS = 100
_PRICE_STEPS = 60


def separable_minimum(
  problem: objective.Problem, slopes, pull, center, guess=None
) -> tuple[Array, Array, Array, Array]:
  r"""Minimises c . g + lam Var(g) + sum_s h_s (g_s - y_s)^2 / 2 over the box.

  Everything is computed from d = m - g, which stays exact where lam is so large
  that m and g agree to all digits.

  Args:
    problem: gives lam and the box.
    slopes: float64[S'], c.
    pull: float64[S'], h >= 0.
    center: float64[S'], y.
    guess: of the mean m, where a good one is known.

  Returns:
    growth float64[S'], the minimiser, exactly at its bound where it is at one;
    d float64[S'], 0 at empty places; the mean m; and a float64 that bounds from
    above what an inexact m adds to the minimum.
  """
  xp = problem.xp
  q = problem.q
  total = q + pull

  def away_at(mean):
    free = (slopes + pull * (mean - center)) / xp.where(total > 0, total, 1)
    corner = xp.where(slopes > 0, xp.inf, -xp.inf)
    free = xp.where(total > 0, free, corner)
    highest, lowest = mean - problem.lower, mean - problem.upper
    inside = (free > lowest) & (free < highest)
    return problem.present * xp.clip(free, lowest, highest), inside

  # What may stay of the slack: far less than is taken off for rounding.
  tiny = 1e-15 * (xp.abs(slopes) * problem.upper).sum()

  def unsolved(state):
    step, _, low, high, solved = state
    return (step < _ROOT_STEPS) & (high - low > 1e-15 * high) & ~solved

  def narrow(state):
    step, mean, low, high, _ = state
    away, inside = away_at(mean)
    above = away.sum() / problem.num_sets
    moved = xp.where(inside, q / xp.maximum(total, 1e-300), 0.0)
    slope = 1 - moved.sum() / problem.num_sets
    low = xp.where(above <= 0, mean, low)
    high = xp.where(above >= 0, mean, high)
    solved = 2 * problem.lam * xp.abs(above) * (high - low) <= tiny
    solved &= xp.abs(above) <= 1e-13 * high
    newton = mean - above / xp.maximum(slope, 1e-12)
    within = (newton > low) & (newton < high)
    following = xp.where(within, newton, (low + high) / 2)
    return step + 1, xp.where(solved, mean, following), low, high, solved

  low = problem.lower.sum() / problem.num_sets
  high = problem.upper.sum() / problem.num_sets
  guess = center.sum() / problem.num_sets if guess is None else guess
  start = (0, xp.clip(guess, low, high), low, high, xp.zeros((), bool))
  _, mean, low, high, _ = arrays.while_loop(xp, unsolved, narrow, start)
  away, _ = away_at(mean)
  above = away.sum() / problem.num_sets
  distance = xp.where(above > 0, mean - low, high - mean)
  # d/dm of the minimum is q sum (m - g_s) = 2 lam (m - mean g).
  slack = 2 * problem.lam * xp.abs(above) * xp.maximum(distance, 0)
  growth = xp.clip(mean - away, problem.lower, problem.upper)
  growth = xp.where(away >= mean - problem.lower, problem.lower, growth)
  growth = xp.where(away <= mean - problem.upper, problem.upper, growth)
  return growth, away, mean, slack


def lower_bound(problem: objective.Problem, u, image_cost) -> Array:
  """Returns d(u) - image_cost sum n_o, a lower bound on f + cost.

  Rigorous in float64: what an inexact root may add is taken off, and so is the
  most that rounding can do. A sum of n terms in any order is off by at most
  (n - 1) eps times the sum of magnitudes; sums over S labelsets are made in two
  levels, so that n is about 2 sqrt(S).

  Args:
    problem: the problem, in float64.
    u: float64[L + 1]; clipped to the dual's domain.
    image_cost: price of an added image; 0 bounds f alone.
  """
  xp = problem.xp
  u = objective.within_dual(problem, u)
  counts = problem.counts
  slopes = objective.all_slopes(problem, u) + image_cost * counts
  zeros = xp.zeros_like(slopes)
  _, away, mean, slack = separable_minimum(
    problem, slopes, zeros, problem.present
  )
  spread = problem.lam * arrays.two_level_sum(xp, away**2) / problem.num_sets
  minimum = mean * arrays.two_level_sum(xp, slopes) - arrays.two_level_sum(
    xp, slopes * away
  )
  # u with the budget's share: B u is the least that row can be.
  fixed = problem.offset @ u[:-1] - objective.conjugate(problem, u)
  fixed -= xp.where(problem.high[-1] > 0, problem.budget * u[-1], 0.0)
  weighed = xp.abs(problem.weights * u[:-1])
  size = problem.incidence.over_labels(weighed)
  size += objective.shared_of(problem, weighed)
  size = counts * (size + xp.abs(u[-1]) + image_cost)
  magnitude = arrays.two_level_sum(xp, size * (mean + xp.abs(away))) + spread
  num_sums = 2 * (len(u) + 2 * len(counts) ** 0.5 + 16)
  magnitude += xp.abs(problem.offset) @ xp.abs(u[:-1])
  magnitude += xp.abs(problem.budget * u[-1])
  magnitude += _conjugate_size(problem, u) + image_cost * counts.sum()
  rounding = num_sums * xp.finfo(slopes.dtype).eps * magnitude
  total = image_cost * arrays.two_level_sum(xp, counts)
  return minimum + spread + fixed - slack - rounding - total


def _conjugate_size(problem, u) -> Array:
  """Returns the sum of magnitudes of the terms of phi*(u)."""
  xp = problem.xp
  size = (problem.bend * u**2).sum() / 2
  if problem.penalty == 'log':
    k, v = problem.scale, -u[:-1]
    size += (k * (xp.abs(xp.log(k)) + xp.abs(xp.log(v)) + 1)).sum()
  return size


def certify(problem: objective.Problem, growth, u) -> dict[str, Array]:
  """Returns f, cost and both lower bounds at growth `growth` and dual `u`.

  Args:
    problem: the problem, in float64.
    growth: float64[S'], inside the box and the budget.
    u: float64[L + 1].
  """
  prices = (problem.xp.zeros_like(problem.image_cost), problem.image_cost)
  bound, priced = arrays.each(
    problem.xp, lambda price: lower_bound(problem, u, price), prices
  )
  return {
    'value': objective.value(problem, growth),
    'cost': objective.cost(problem, growth),
    'lower_bound': bound,
    'lower_bound_priced': priced,
  }


def within_budget(problem: objective.Problem, growth) -> Array:
  """Returns growth float64[S'] moved along one line until the budget is met.

  Towards the lower bounds where there are too many images, towards the upper
  ones where there are too few and the number is exact.
  """
  xp = problem.xp
  if_any = problem.high[-1] > 0
  exactly = problem.low[-1] < 0
  images = (problem.counts * growth).sum()
  fewest = (problem.counts * problem.lower).sum()
  largest = (problem.counts * problem.upper).sum()
  too_many = if_any & (images > problem.budget)
  too_few = if_any & exactly & (images < problem.budget)
  down = (images - problem.budget) / xp.maximum(images - fewest, 1e-300)
  up = (problem.budget - images) / xp.maximum(largest - images, 1e-300)
  share = xp.clip(xp.where(too_many, down, xp.where(too_few, up, 0.0)), 0, 1)
  bound = xp.where(too_many, problem.lower, problem.upper)
  return growth + share * (bound - growth)


def best_price(problem: objective.Problem, u) -> Array:
  """Returns u float[L + 1] with the budget's price that bounds best.

  Given the classes' u the bound is concave in the price, and its slope is the
  number of images beyond the budget at the growth that attains the minimum.

  Args:
    problem: the problem, in float64.
    u: float64[L + 1], whose last entry is where the search begins.
  """
  xp = problem.xp
  base = objective.all_slopes(problem, xp.append(u[:-1], 0.0))
  base += problem.image_cost * problem.counts
  zeros = xp.zeros_like(base)

  def beyond(price, guess):
    growth, _, mean, _ = separable_minimum(
      problem, base + price * problem.counts, zeros, problem.present, guess
    )
    return (problem.counts * growth).sum() - problem.budget, mean

  def search():
    widest = xp.abs(base / xp.maximum(problem.counts, 1.0)).max()
    widest += problem.q * (problem.upper - problem.lower).max() + 1.0
    zero = xp.zeros_like(widest)
    free, mean = beyond(zero, None)
    low = xp.where(problem.low[-1] < 0, -widest, 0.0)

    def halve(_, bracket):
      low, high, mean = bracket
      middle = (low + high) / 2
      excess, mean = beyond(middle, mean)
      more = excess > 0
      low, high = xp.where(more, middle, low), xp.where(more, high, middle)
      return low, high, mean

    bracket = (low, widest, mean)
    low, high, _ = arrays.fori_loop(xp, _PRICE_STEPS, halve, bracket)
    return xp.where(free > 0, high, low)

  price = arrays.cond(
    xp, problem.high[-1] > 0, search, lambda: xp.zeros_like(problem.budget)
  )
  return xp.append(u[:-1], price)


def certify_within(problem: objective.Problem, growth, u):
  """Returns growth moved within the budget, u, and `certify`'s figures."""
  growth = within_budget(problem, growth)
  return growth, u, certify(problem, growth, u)


def certify_corner(problem: objective.Problem):
  """The same where the budget leaves one corner of the box, and no choice.

  The slopes of phi there are the classes' u. The price is minus the slope of f
  + cost over budgets, from there into the box: the first at which all labelsets
  stay in the corner.
  """
  xp = problem.xp
  counts = problem.counts
  middle = (counts * (problem.lower + problem.upper)).sum() / 2
  at_lower = problem.budget <= middle
  growth = xp.where(at_lower, problem.lower, problem.upper)
  x = objective.deviations(problem, growth)
  u = xp.append(objective.slope_of_level(problem, x, objective.SHARP), 0.0)
  price = -objective.multipliers(problem, growth, u)
  price /= xp.where(counts > 0, counts, 1)
  free = problem.upper > problem.lower
  highest = xp.where(free, price, -xp.inf).max()
  lowest = xp.where(free, price, xp.inf).min()
  u = xp.append(u[:-1], xp.where(at_lower, highest, lowest))
  u = objective.within_dual(problem, u)
  return growth, u, certify(problem, growth, u)
