r"""Smooth stand-ins for |x|, exact as their width mu goes to 0.

Each lies between |x| - bound mu and |x|, and its slope lies in [-1, 1], so the
slope is a feasible point of the dual from any growth.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array


class Relaxation(NamedTuple):
  """A smooth |x|.

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
  return jnp.where(jnp.abs(x) < mu, x**2 / (2 * mu), jnp.abs(x) - mu / 2)


def _pseudo_huber(x, mu):
  return jnp.sqrt(x**2 + mu**2) - mu


def _log_cosh(x, mu):
  scaled = jnp.abs(x) / mu
  return mu * (scaled + jnp.log1p(jnp.exp(-2 * scaled)) - jnp.log(2.0))


RELAXATIONS = types.MappingProxyType(
  {
    'huber': Relaxation(_huber, lambda x, mu: jnp.clip(x / mu, -1, 1), 0.25),
    'pseudo_huber': Relaxation(
      _pseudo_huber, lambda x, mu: x / jnp.sqrt(x**2 + mu**2), 0.3003
    ),
    'logcosh': Relaxation(_log_cosh, lambda x, mu: jnp.tanh(x / mu), 0.2785),
  }
)


def slope_of_log(x: Array, scale: Array, width) -> Array:
  """Returns the slope of -scale log x, float[L]; straight below `width`."""
  return -scale / jnp.maximum(x, width)
