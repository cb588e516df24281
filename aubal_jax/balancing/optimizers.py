"""First-order variants: projected gradient on the relaxed objective.

Every variant is an optax transformation followed by a projection on the box.
A clip is the projection in every diagonal metric, so adaptive steps need no
other. Momentum looks at the displacement after the clip, not at the step that
was asked for, so it does not push against a bound.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import NamedTuple

import jax
import optax
from jax import Array

from aubal_jax.balancing import certificate
from aubal_jax.balancing import objective
from aubal_jax.balancing import relax


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
  """

  transform: Callable[[float], optax.GradientTransformation]
  learning_rate: float
  preconditioned: bool = False
  momentum: float = 0.0
  lookahead: bool = False
  decay: float = 1.0


OPTIMIZERS = types.MappingProxyType(
  {
    'sgd': Optimizer(optax.sgd, 1.0, preconditioned=True),
    'momentum': Optimizer(optax.sgd, 0.5, preconditioned=True, momentum=0.9),
    'nesterov': Optimizer(
      optax.sgd, 0.5, preconditioned=True, momentum=0.9, lookahead=True
    ),
    'adam': Optimizer(optax.adam, 0.3, decay=0.7),
  }
)


class State(NamedTuple):
  """Where a first-order variant stands.

  Attributes:
    growth: float64[S], inside the box.
    previous: float64[S], the growth one step before.
    inner: state of the optax transformation.
  """

  growth: Array
  previous: Array
  inner: optax.OptState


def init(name: str, growth: Array) -> State:
  """Returns the state of the variant called `name` at a first growth."""
  variant = OPTIMIZERS[name]
  inner = variant.transform(variant.learning_rate).init(growth)
  return State(growth, growth, inner)


def relaxed_gradient(problem, growth, width, relaxation: str) -> Array:
  """Returns the gradient of relaxed f + cost, float64[S].

  Args:
    problem: the problem.
    growth: float64[S].
    width: mu, below which |x| is rounded off.
    relaxation: a name of `relax.RELAXATIONS`.
  """
  smooth = relax.RELAXATIONS[relaxation]
  u = smooth.slope(objective.deviations(problem, growth), width)
  slopes = objective.labelset_slopes(problem, u)
  around = growth - growth.mean()
  spread = 2 * problem.lam / len(growth) * around
  return slopes + spread + problem.image_cost * problem.counts


def curvature(problem: objective.Problem, width) -> Array:
  """Returns float64[S], n_o (P w^2 z_o) / mu + 2 lam / S, a diagonal metric."""
  class_counts = objective.sum_over_labelsets(problem, problem.counts)
  heavy = problem.weights**2 * class_counts
  bend = problem.counts * objective.sum_over_labels(problem, heavy) / width
  return bend + 2 * problem.lam / len(problem.counts)


@functools.partial(jax.jit, static_argnames=('name', 'relaxation'))
def run_chunk(
  problem: objective.Problem,
  state: State,
  width,
  rate,
  num_steps,
  *,
  name: str,
  relaxation: str,
):
  """Takes `num_steps` projected steps and certifies where they lead.

  Args:
    problem: the problem.
    state: where to start from.
    width: mu of the relaxation, fixed during the chunk.
    rate: factor on every step.
    num_steps: to take; with none only the certificate is made.
    name: of `OPTIMIZERS`.
    relaxation: of `relax.RELAXATIONS`.

  Returns:
    The new State, the dual u float64[L] and `certificate.certify`'s figures.
  """
  variant = OPTIMIZERS[name]
  transform = variant.transform(variant.learning_rate)
  metric = curvature(problem, width) if variant.preconditioned else 1.0

  def step(_, state):
    push = variant.momentum * (state.growth - state.previous)
    ahead = state.growth + push if variant.lookahead else state.growth
    gradient = relaxed_gradient(problem, ahead, width, relaxation)
    updates, inner = transform.update(gradient / metric, state.inner)
    growth = optax.projections.projection_box(
      state.growth + push + rate * updates, problem.lower, problem.upper
    )
    return State(growth, state.growth, inner)

  state = jax.lax.fori_loop(0, num_steps, step, state)
  smooth = relax.RELAXATIONS[relaxation]
  u = smooth.slope(objective.deviations(problem, state.growth), width)
  return state, u, certificate.certify(problem, state.growth, u)
