"""First-order variants: projected gradient on the relaxed objective.

Every variant is an optax transformation followed by a projection on the box.
A clip is the projection in every diagonal metric, so adaptive steps need no
other. Momentum looks at the displacement after the clip, not at the step that
was asked for, so it does not push against a bound.

A budget cuts the box by one plane. Its projection depends on the metric, which
an adaptive step does not tell; so the gradient carries the price of an image
that the last certificate found, and the projection only keeps the point inside:
at the solution that price makes it idle, whatever the metric.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec

from aubal_jax.balancing import arrays
from aubal_jax.balancing import certificate
from aubal_jax.balancing import objective

_HALVINGS = 12
_PLANE_STEPS = 50


class Optimizer(NamedTuple):
  """A first-order variant.

  Attributes:
    transform: learning rate -> optax transformation.
    learning_rate: in units of growth for adaptive steps; of the reciprocal
      curvature for preconditioned ones.
    preconditioned: divide the gradient by the curvature's diagonal first.
    momentum: share of the last displacement that is added.
    lookahead: take the gradient after that addition (Nesterov), not before.
    decay: factor on the step from one chunk of steps to the next; adaptive
      steps do not shrink by themselves.
    searching: quasi-Newton direction on the labelsets that are free to move,
      and a search along the projected path.
  """

  transform: Callable[[float], optax.GradientTransformation]
  learning_rate: float
  preconditioned: bool = False
  momentum: float = 0.0
  lookahead: bool = False
  decay: float = 1.0
  searching: bool = False


def _lbfgs(_) -> optax.GradientTransformation:
  return optax.scale_by_lbfgs(memory_size=20)


def _lion(learning_rate) -> optax.GradientTransformation:
  return optax.lion(learning_rate, weight_decay=0.0)


OPTIMIZERS = types.MappingProxyType(
  {
    'sgd': Optimizer(optax.sgd, 1.0, preconditioned=True),
    'momentum': Optimizer(optax.sgd, 0.5, preconditioned=True, momentum=0.9),
    'nesterov': Optimizer(
      optax.sgd, 0.5, preconditioned=True, momentum=0.9, lookahead=True
    ),
    'adam': Optimizer(optax.adam, 0.3, decay=0.7),
    'amsgrad': Optimizer(optax.amsgrad, 0.3, decay=0.7),
    'adabelief': Optimizer(optax.adabelief, 0.3, decay=0.7),
    'rmsprop': Optimizer(optax.rmsprop, 0.1, decay=0.7),
    'lion': Optimizer(_lion, 0.1, decay=0.7),
    'lbfgs': Optimizer(_lbfgs, 1.0, preconditioned=True, searching=True),
  }
)


class State(NamedTuple):
  """Where a first-order variant stands.

  Attributes:
    growth: float64[S'], inside the box.
    previous: float64[S'], the growth one step before.
    inner: state of the optax transformation.
  """

  growth: Array
  previous: Array
  inner: optax.OptState


def init(name: str, growth) -> State:
  """Returns the state of the variant called `name` at a first growth.

  All of them begin with zeros, or, where they search, anew in every chunk.
  Those of several devices lie as a chunk of steps leaves them, so that the
  second chunk is of the program of the first.
  """
  shape = jax.ShapeDtypeStruct(growth.shape, np.float64)
  own = getattr(growth, 'sharding', None)

  def zeros(leaf):
    made = np.zeros(leaf.shape, leaf.dtype)
    if not isinstance(own, NamedSharding):
      return made
    whole = NamedSharding(own.mesh, PartitionSpec())
    return jax.device_put(made, own if made.shape == growth.shape else whole)

  return State(growth, growth, jax.tree.map(zeros, _inner(name, shape)))


@functools.lru_cache(maxsize=256)
def _inner(name, shape):
  """Returns shapes and types of what a variant keeps from step to step."""
  variant = OPTIMIZERS[name]
  return jax.eval_shape(variant.transform(variant.learning_rate).init, shape)


def relaxed_value(problem, growth, price, width, relaxation: str) -> Array:
  """Returns the relaxed f + cost with images at `price` more."""
  x = objective.deviations(problem, growth)
  level = objective.level(problem, x)
  if problem.penalty == 'absolute':
    level = objective.RELAXATIONS[relaxation].value(x, width).sum()
  images = (problem.counts * growth).sum()
  level += objective.spread_of_growth(problem, growth)
  return level + (problem.image_cost + price) * images


def relaxed_gradient(problem, growth, price, width, relaxation: str) -> Array:
  """Returns the gradient of `relaxed_value`, float64[S']."""
  x = objective.deviations(problem, growth)
  u = objective.slope_of_level(problem, x, width, relaxation)
  slopes = objective.all_slopes(problem, problem.xp.append(u, price))
  around = growth - objective.mean_growth(problem, growth)
  spread = problem.q * problem.present * around
  return slopes + spread + problem.image_cost * problem.counts


def curvature(problem: objective.Problem, growth, width) -> Array:
  """Returns float64[S'], n_o (P w^2 phi'' z_o) + 2 lam / S, a diagonal metric.

  phi'' is 1 / mu for a relaxed |x|, 2 / scale for a square and scale / x^2 for
  a logarithm.
  """
  class_counts = problem.incidence.over_labelsets(problem.counts)
  bend = 1 / width
  if problem.penalty == 'square':
    bend = 2 / problem.scale
  if problem.penalty == 'log':
    x = objective.deviations(problem, growth)
    bend = problem.scale / jnp.maximum(x, width) ** 2
  heavy = problem.weights**2 * bend * class_counts
  total = problem.counts * problem.incidence.over_labels(heavy) + problem.q
  return jnp.where(problem.counts * total > 0, total, 1.0)


def project(problem: objective.Problem, growth, metric) -> Array:
  """Returns the point of box and budget nearest to growth float64[S'].

  Args:
    problem: the problem.
    growth: float64[S'].
    metric: float64[S'], weight of each coordinate's squared distance.
  """

  def boxed(price):
    shifted = growth - price * problem.counts / metric
    return optax.projections.projection_box(
      shifted, problem.lower, problem.upper
    )

  def beyond(price):
    return (problem.counts * boxed(price)).sum() - problem.budget

  def meet():
    weight = problem.counts / metric
    room = jnp.maximum(growth - problem.lower, problem.upper - growth)
    far = (room / jnp.where(weight > 0, weight, jnp.inf)).max()
    low = jnp.where(problem.low[-1] < 0, -far, 0.0)

    def halve(_, bracket):
      low, high = bracket
      middle = (low + high) / 2
      more = beyond(middle) > 0
      return jnp.where(more, middle, low), jnp.where(more, high, middle)

    return jax.lax.fori_loop(0, _PLANE_STEPS, halve, (low, far))[1]

  plain = beyond(jnp.zeros_like(problem.budget))
  unmet = (problem.high[-1] > 0) & ((plain > 0) | (problem.low[-1] < 0))
  price = jax.lax.cond(unmet, meet, lambda: jnp.zeros_like(problem.budget))
  return boxed(price)


@functools.partial(
  jax.jit, static_argnames=('name', 'relaxation', 'has_budget')
)
def run_chunk(
  problem: objective.Problem,
  state: State,
  price,
  width,
  rate,
  num_steps,
  *,
  name: str,
  relaxation: str,
  has_budget: bool = True,
) -> State:
  """Takes `num_steps` projected steps.

  Args:
    problem: the problem.
    state: where to start from.
    price: of an image, beyond its cost, that the budget asks for.
    width: mu of the relaxation, fixed during the chunk.
    rate: factor on every step.
    num_steps: to take.
    name: of `OPTIMIZERS`.
    relaxation: of `objective.RELAXATIONS`.
    has_budget: whether there may be one; the program is shorter without.
  """
  variant = OPTIMIZERS[name]
  transform = variant.transform(variant.learning_rate)
  metric = jnp.ones_like(problem.counts)
  if variant.preconditioned:
    metric = curvature(problem, state.growth, width)

  def onto(growth):
    if has_budget:
      return project(problem, growth, metric)
    box = problem.lower, problem.upper
    return optax.projections.projection_box(growth, *box)

  def gradient_at(growth):
    return relaxed_gradient(problem, growth, price, width, relaxation)

  def step(_, state):
    push = variant.momentum * (state.growth - state.previous)
    ahead = state.growth + push if variant.lookahead else state.growth
    gradient = gradient_at(ahead) / metric
    updates, inner = transform.update(gradient, state.inner, state.growth)
    growth = onto(state.growth + push + rate * updates)
    return State(growth, state.growth, inner)

  def search(_, state):
    return _search(
      problem,
      state,
      transform,
      metric,
      onto,
      gradient_at,
      lambda growth: relaxed_value(problem, growth, price, width, relaxation),
    )

  take = search if variant.searching else step
  if variant.searching:  # Its memory is of another width and metric.
    state = state._replace(inner=transform.init(state.growth))
  return jax.lax.fori_loop(0, num_steps, take, state)


def _search(
  problem, state, transform, metric, onto, gradient_at, value_at
) -> State:
  """Takes a quasi-Newton step on the free labelsets, along the projected path.

  Clipping a quasi-Newton step need not descend, so labelsets that are held at
  a bound stay out of the direction. Variables are sqrt(metric) g.
  """
  growth, root = state.growth, jnp.sqrt(metric)
  gradient = gradient_at(growth)
  held = (growth <= problem.lower) & (gradient > 0)
  held |= (growth >= problem.upper) & (gradient < 0)
  free = jnp.where(held, 0.0, gradient) / root
  direction, inner = transform.update(free, state.inner, root * growth)
  direction = jnp.where(held, 0.0, -direction / root)
  steepest = -free / root
  downhill = (direction @ gradient) < 0
  direction = jnp.where(downhill, direction, steepest)
  level = value_at(growth)

  def attempt(scale):
    trial = onto(growth + scale * direction)
    return scale, trial, value_at(trial)

  def too_long(search):
    scale, trial, reached = search
    fall = 1e-4 * gradient @ (trial - growth)
    return ~(reached <= level + fall) & (scale > 0.25**_HALVINGS)

  _, trial, reached = jax.lax.while_loop(
    too_long, lambda search: attempt(search[0] / 4), attempt(jnp.ones(()))
  )
  return State(jnp.where(reached <= level, trial, growth), growth, inner)


@functools.partial(arrays.compiled, static_argnames=('relaxation',))
def certify(problem: objective.Problem, growth, price, width, *, relaxation):
  """Certifies where steps have led.

  Args:
    problem: the problem, in float64.
    growth: float64[S'], inside the box.
    price: of an image, for a start.
    width: mu of the relaxation.
    relaxation: of `objective.RELAXATIONS`.

  Returns:
    growth within the budget; the dual u float64[L + 1]; float64[S'], how hard a
    labelset is held at its bound, as a share of the largest gradient it can
    have (below 0: pushed off it, -inf: at none); and `certificate.certify`'s
    figures.
  """
  xp = problem.xp
  growth = certificate.within_budget(problem, growth)
  x = objective.deviations(problem, growth)
  u = xp.append(objective.slope_of_level(problem, x, width, relaxation), price)
  u = certificate.best_price(problem, objective.within_dual(problem, u))
  gradient = relaxed_gradient(problem, growth, u[-1], width, relaxation)
  low = xp.where(growth <= problem.lower, gradient, -xp.inf)
  high = xp.where(growth >= problem.upper, -gradient, -xp.inf)
  scale = xp.maximum(objective.column_scale(problem), 1e-300)
  hold = xp.maximum(low, high) / scale
  return growth, u, hold, certificate.certify(problem, growth, u)
