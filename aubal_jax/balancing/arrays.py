"""One text for two libraries: NumPy for small problems, JAX for the others.

A small problem takes less time in NumPy than its program takes to compile, so
nothing of it is compiled. What is written over a namespace `xp` (numpy or
jax.numpy) runs in both; what differs between them is here.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import lapack


def namespace(array) -> types.ModuleType:
  """Returns numpy for an array of NumPy, else jax.numpy."""
  return np if isinstance(array, (np.ndarray, np.generic)) else jnp


def compiled(function: Callable, **settings: Any) -> Callable:
  """Returns a function of a problem that is compiled unless that is in NumPy.

  Args:
    function: takes an `objective.Problem` first.
    **settings: of `jax.jit`.
  """
  jitted = jax.jit(function, **settings)

  @functools.wraps(function)
  def call(problem, *arguments, **keywords):
    if problem.xp is jnp:
      return jitted(problem, *arguments, **keywords)
    with np.errstate(all='ignore'):  # As JAX does.
      return function(problem, *arguments, **keywords)

  return call


def one_thread():
  """Returns a context in which linear algebra takes one thread.

  For tables of some hundred labels, other threads wait longer than they work.
  All are taken where threadpoolctl is not there, which scikit-learn brings.
  """
  found = _threads()
  return found.limit(limits=1) if found else contextlib.nullcontext()


@functools.cache
def _threads():
  if not importlib.util.find_spec('threadpoolctl'):
    return None
  import threadpoolctl

  return threadpoolctl.ThreadpoolController()


def while_loop(xp, condition: Callable, body: Callable, state):
  """Returns the state after `body` for as long as the condition holds."""
  if xp is jnp:
    return jax.lax.while_loop(condition, body, state)
  while condition(state):
    state = body(state)
  return state


def fori_loop(xp, steps: int, body: Callable, state):
  """Returns the state after body(step, state) for every step."""
  if xp is jnp:
    return jax.lax.fori_loop(0, steps, body, state)
  for step in range(steps):
    state = body(step, state)
  return state


def cond(xp, which, then: Callable, otherwise: Callable):
  """Returns then() where `which` holds, else otherwise()."""
  if xp is jnp:
    return jax.lax.cond(which, then, otherwise)
  return then() if which else otherwise()


def each(xp, function: Callable, values):
  """Returns the results of `function`, a number each, for a few values.

  One after the other, and compiled once for all: a program's time to compile
  grows with its text.
  """
  if xp is jnp:
    return jax.lax.map(function, jnp.stack(values))
  return [function(value) for value in values]


def cho_factor(xp, matrix):
  """Returns the upper Cholesky factor; NaN where the matrix has none."""
  if xp is jnp:
    return jax.scipy.linalg.cho_factor(matrix)[0]
  factor, trouble = lapack.dpotrf(matrix, clean=False)
  return np.full_like(factor, np.nan) if trouble else factor


def cho_solve(xp, factor, right):
  """Returns the solution, given the factor of `cho_factor`."""
  if xp is jnp:
    return jax.scipy.linalg.cho_solve((factor, False), right)
  return lapack.dpotrs(factor, right)[0]


def two_level_sum(xp, values):
  """Returns the sum, as about sqrt(S) sums of about sqrt(S) terms each."""
  width = int(len(values) ** 0.5) + 1
  if xp is np:
    return np.add.reduceat(values, np.arange(0, len(values), width)).sum()
  filled = jnp.pad(values, (0, -len(values) % width))
  partial = filled.reshape(-1, width).sum(axis=1)
  # Without the barrier XLA may merge both sums into one.
  return jax.lax.optimization_barrier(partial).sum()
