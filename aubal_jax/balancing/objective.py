r"""The objective: how uneven the classes are at a given growth of labelsets.

With patterns P (0/1, S labelsets x L labels), counts n_o, growth g = n / n_o,
class weights w, target shares tau and the mass m of an image of each labelset
(the number of its labels, or 1):

  z(n) = P^T n                                        class counts       (1b)
  x(g) = W (z - tau m . n) + b = A g + b              deviations
  f(g) = phi(x(g)) + lam Var_s(g_s)                                      (1a)
  lower <= g <= upper,   n . 1 <= budget                                 (2)

Equation numbers are those of Rieger, Pahl and Seuss, arXiv 2003.08751, where
phi(x) = sum |x_i|, w = 1, tau = 1 / L, b = 0. The price of an added image adds
cost(g) = image_cost sum_s n_o,s (g_s - 1). A is never formed. With blocks of
classes, m . n is the sum of z over the class's own: see `balancing.blocks`.

The conjugate of phi decides what the dual looks like: each class has a u_i in
[low_i, high_i], and there phi*(u) = sum bend u^2 / 2 + k (log(k / -u) - 1), k
the barrier. The budget is one more row, x = n . 1 - budget, with u in [0, inf),
or any u where it is to be met exactly, or 0 where there is none.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable
from typing import NamedTuple

import jax
from jax import Array

from aubal_jax.balancing import arrays
from aubal_jax.balancing import blocks as blocks_lib
from aubal_jax.balancing.incidence import HostIncidence
from aubal_jax.balancing.incidence import Incidence


class Relaxation(NamedTuple):
  """A smooth |x|, exact as its width mu goes to 0.

  It lies between |x| - bound mu and |x|, and its slope lies in [-1, 1], so the
  slope is a feasible point of the dual from any growth.

  Attributes:
    value: (x, mu) -> smoothed |x|.
    slope: (x, mu) -> its derivative in x.
    gap: at a minimiser of the relaxed objective the certified gap is at most
      `gap` L mu: the maximum over x of |x| (1 - |slope|) at mu = 1.
  """

  value: Callable[[Array, Array], Array]
  slope: Callable[[Array, Array], Array]
  gap: float


def _huber(x, mu):
  xp = arrays.namespace(x)
  return xp.where(xp.abs(x) < mu, x**2 / (2 * mu), xp.abs(x) - mu / 2)


def _pseudo_huber(x, mu):
  xp = arrays.namespace(x)
  return xp.sqrt(x**2 + mu**2) - mu


def _log_cosh(x, mu):
  xp = arrays.namespace(x)
  scaled = xp.abs(x) / mu
  return mu * (scaled + xp.log1p(xp.exp(-2 * scaled)) - xp.log(2.0))


def _huber_slope(x, mu):
  return arrays.namespace(x).clip(x / mu, -1, 1)


def _pseudo_huber_slope(x, mu):
  return x / arrays.namespace(x).sqrt(x**2 + mu**2)


def _log_cosh_slope(x, mu):
  return arrays.namespace(x).tanh(x / mu)


SHARP = 1e-9  # A width at which slopes are those of |x|.

RELAXATIONS = types.MappingProxyType(
  {
    'huber': Relaxation(_huber, _huber_slope, 0.25),
    'pseudo_huber': Relaxation(_pseudo_huber, _pseudo_huber_slope, 0.3003),
    'logcosh': Relaxation(_log_cosh, _log_cosh_slope, 0.2785),
  }
)


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=(
    'incidence', 'counts', 'present', 'mass', 'weights', 'target', 'offset',
    'scale', 'low', 'high', 'budget', 'lam', 'image_cost', 'lower', 'upper',
    'num_sets', 'rest', 'blocks',
  ),
  meta_fields=('penalty',),
)  # fmt: skip
@dataclasses.dataclass(frozen=True)
class Problem:
  """One balancing problem, as arrays over S' places and L classes.

  They are of JAX, or, where the problem is small, of NumPy.

  Attributes:
    incidence: P.
    counts: float64[S'], n_o; 0 where a place has no labelset.
    present: float64[S'], 1 where a place has a labelset, else 0.
    mass: float64[S'], m.
    weights: float64[L], w.
    target: float64[L], tau; 0 for 'log'.
    offset: float64[L], b.
    scale: float64[L], of 'square' (mean z_o) and 'log' (mean z_o L tau).
    low: float64[L + 1], least u of every row.
    high: float64[L + 1], largest u.
    budget: float64, images at most.
    lam: float64, weight of the variance of growth, as it is used.
    image_cost: float64, price of an added image in units of f.
    lower: float64[S'], least growth; 0 at an empty place.
    upper: float64[S'], largest growth; 0 at an empty place.
    num_sets: float64, S, with labelsets that are left out of the places.
    rest: float64, sum of the growth of those left out.
    penalty: phi, as in `rules.Objective`.
    blocks: float64[K, L], E; then mass is 0. None: one block of all classes.
  """

  incidence: Incidence | HostIncidence
  counts: Array
  present: Array
  mass: Array
  weights: Array
  target: Array
  offset: Array
  scale: Array
  low: Array
  high: Array
  budget: Array
  lam: Array
  image_cost: Array
  lower: Array
  upper: Array
  num_sets: Array
  rest: Array
  penalty: str
  blocks: Array | None = None

  @property
  def xp(self) -> types.ModuleType:
    """The library that computes it: numpy or jax.numpy."""
    return arrays.namespace(self.counts)

  @property
  def q(self) -> Array:
    """float64, 2 lam / S: curvature of lam Var(g)."""
    return 2 * self.lam / self.num_sets

  @property
  def bend(self) -> Array:
    """float64[L + 1], the curvature of phi* that does not depend on u."""
    xp = self.xp
    bend = self.scale / 2 if self.penalty == 'square' else 0 * self.scale
    return xp.append(bend, 0.0)

  @property
  def barrier(self) -> Array:
    """float64[L + 1], k of the terms -k log x in phi."""
    xp = self.xp
    barrier = self.scale if self.penalty == 'log' else 0 * self.scale
    return xp.append(barrier, 0.0)


def deviations(problem: Problem, growth: Array) -> Array:
  """Returns x = A g + b: float[L], weighted distance of each class's target."""
  counts = problem.counts * growth
  class_counts = problem.incidence.over_labelsets(counts)
  total = total_of(problem, class_counts, counts)
  x = problem.weights * (class_counts - problem.target * total)
  return x + problem.offset


def total_of(problem: Problem, class_counts: Array, counts: Array) -> Array:
  """Returns m . n, a number, or float[L] of each class's own block.

  Args:
    problem: the problem.
    class_counts: float[L], P^T n.
    counts: float[S'], n.
  """
  if problem.blocks is None:
    return (problem.mass * counts).sum()
  return blocks_lib.sums(problem.blocks, class_counts)


def shared_of(problem: Problem, values: Array) -> Array:
  """Returns float[S'], over each labelset m (tau . values), values float[L]."""
  if problem.blocks is None:
    return problem.mass * (problem.target @ values)
  shared = blocks_lib.sums(problem.blocks, problem.target * values)
  return problem.incidence.over_labels(shared)


def all_rows(problem: Problem, growth: Array) -> Array:
  """Returns float[L + 1], the deviations and the images beyond the budget."""
  xp = problem.xp
  beyond = (problem.counts * growth).sum() - problem.budget
  return xp.append(deviations(problem, growth), beyond)


def row_moves(problem: Problem, growth: Array) -> Array:
  """Returns A g with the budget's row, without what is constant in them."""
  xp = problem.xp
  fixed = xp.append(problem.offset, -problem.budget)
  return all_rows(problem, growth) - fixed


def all_slopes(problem: Problem, u: Array) -> Array:
  """Returns A^T u with the budget's row: float[S'], from u float[L + 1]."""
  weighted = problem.weights * u[:-1]
  sums = problem.incidence.over_labels(weighted)
  shared = shared_of(problem, weighted)
  return problem.counts * (sums - shared + u[-1])


def multipliers(problem: Problem, growth: Array, u: Array) -> Array:
  """Returns A^T u + cost + d lam Var(g), float[S']: > 0 at a lower bound."""
  slopes = all_slopes(problem, u)
  around = growth - mean_growth(problem, growth)
  return slopes + problem.image_cost * problem.counts + problem.q * around


def mean_growth(problem: Problem, growth: Array) -> Array:
  """Returns the mean of growth over all S labelsets."""
  return (growth.sum() + problem.rest) / problem.num_sets


def spread_of_growth(problem: Problem, growth: Array) -> Array:
  """Returns lam Var(g), the population variance over labelsets."""
  around = problem.present * (growth - mean_growth(problem, growth))
  return problem.lam * (around**2).sum() / problem.num_sets


def level(problem: Problem, x: Array) -> Array:
  """Returns phi(x), from the deviations float[L]."""
  xp = problem.xp
  if problem.penalty == 'absolute':
    return xp.abs(x).sum()
  if problem.penalty == 'square':
    return (x**2 / problem.scale).sum()
  return -(problem.scale * xp.log(xp.maximum(x, 0.0))).sum()


def slope_of_level(
  problem: Problem, x: Array, width, relaxation: str = 'huber'
) -> Array:
  """Returns phi'(x), u float[L], of the relaxed phi.

  Args:
    problem: the problem.
    x: float[L], deviations.
    width: mu, below which |x| is rounded off and log x is straight.
    relaxation: a name of `RELAXATIONS`.
  """
  xp = problem.xp
  if problem.penalty == 'square':
    return 2 * x / problem.scale
  if problem.penalty == 'log':
    return -problem.scale / xp.maximum(x, width)
  return RELAXATIONS[relaxation].slope(x, width)


def conjugate(problem: Problem, u: Array) -> Array:
  """Returns phi*(u), from u float[L + 1] within [low, high]."""
  xp = problem.xp
  total = (problem.bend * u**2).sum() / 2
  if problem.penalty == 'log':
    k, v = problem.scale, -u[:-1]
    total += (k * (xp.log(k / xp.maximum(v, 1e-300)) - 1)).sum()
  return total


def conjugate_slope(problem: Problem, u: Array) -> Array:
  """Returns the x at which u is a slope of phi: float[L + 1]; 0 at kinks."""
  xp = problem.xp
  x = problem.bend * u
  if problem.penalty == 'log':
    x -= problem.barrier / xp.where(problem.barrier > 0, u, 1.0)
  return x


def conjugate_curvature(problem: Problem, u: Array) -> Array:
  """Returns the second derivative of phi*, float[L + 1]."""
  xp = problem.xp
  curvature = problem.bend
  if problem.penalty == 'log':
    curvature += problem.barrier / xp.where(problem.barrier > 0, u, 1.0) ** 2
  return curvature


def within_dual(problem: Problem, u: Array) -> Array:
  """Returns u float[L + 1] clipped to where phi* is finite."""
  xp = problem.xp
  u = xp.clip(u, problem.low, problem.high)
  tiny = 1e-12 * xp.sign(problem.barrier)  # A log wants u < 0.
  return xp.minimum(u, xp.where(problem.barrier > 0, -tiny, xp.inf))


def value(problem: Problem, growth: Array) -> Array:
  """Returns f(g) of (1a)."""
  x = deviations(problem, growth)
  return level(problem, x) + spread_of_growth(problem, growth)


def cost(problem: Problem, growth: Array) -> Array:
  """Returns the price of the images added, in units of f."""
  added = problem.counts * (growth - problem.present)
  return problem.image_cost * added.sum()


def column_scale(problem: Problem) -> Array:
  """Returns float[S'], about sum_i |A_is|: what a unit of growth moves.

  Exact to a factor of two: the class's own term and the target's share of it
  are not set off against each other.
  """
  own = problem.incidence.over_labels(problem.weights)
  return problem.counts * (own + shared_of(problem, problem.weights))


def row_scale(problem: Problem) -> Array:
  """Returns float[L + 1], about sum_s |A_is| (upper_s - lower_s)."""
  xp = problem.xp
  room = problem.counts * (problem.upper - problem.lower)
  own = problem.incidence.over_labelsets(room)
  shared = problem.target * total_of(problem, own, room)
  return xp.append(problem.weights * (own + shared), room.sum())


def normal_matrix(problem: Problem, diagonal: Array) -> Array:
  """Returns A_ext D A_ext^T: float[L + 1, L + 1], for D = diag(diagonal)."""
  xp = problem.xp
  y = problem.counts**2 * diagonal
  z = problem.incidence.over_labelsets(y)
  tau, w = problem.target, problem.weights
  border = w * (z - tau * total_of(problem, z, y))
  table = _centred(problem, problem.incidence.pair_table(y), y)
  table = xp.concatenate([xp.outer(w, w) * table, border[None]])
  last = xp.append(border, y.sum())
  return xp.concatenate([table, last[:, None]], axis=1)


def _centred(problem: Problem, table: Array, y: Array) -> Array:
  """Returns C table C^T float[L, L], C what takes z to z - tau m . n.

  Args:
    problem: the problem.
    table: float[L, L], P^T diag(y) P.
    y: float[S'].
  """
  xp, tau = problem.xp, problem.target
  if problem.blocks is not None:
    table = table - tau[:, None] * blocks_lib.sums(problem.blocks, table)
    return table - blocks_lib.sums(problem.blocks, table.T).T * tau[None]
  t = problem.incidence.over_labelsets(y * problem.mass)
  table -= xp.outer(tau, t) + xp.outer(t, tau)
  return table + (y * problem.mass**2).sum() * xp.outer(tau, tau)
