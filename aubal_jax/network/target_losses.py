"""Losses of classes and of real numbers, over what is known of a batch.

Each sums over all devices (`psum`) before any ratio or root is taken, so every
device returns the loss of the global batch; its gradient wants `pmean`. What
is not known has no part in it and a gradient of exactly 0.
"""

from __future__ import annotations

import types
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from aubal_jax.network import heads as heads_lib

# Squared deviations below it are rounding: numbers that are all the same.
_LEAST = 1e-10
# Values on an edge of bins belong above it, whatever float32 makes of them.
_ON_EDGE = 1e-4


def make_loss(head: heads_lib.Head) -> Callable:
  """Returns the loss of a 'class' or 'real' head.

  It is f(outputs, values, known, batch=None, axis_name=None) -> scalar in the
  dtype of the outputs, float[B, size]: values and known are those of a
  `datasets.targets.Target`, and the mapped axis is that which the batch is
  spread over, if any. It is 0 where nothing is known.
  """
  function = LOSSES[head.loss]

  def loss(outputs, values, known, batch=None, axis_name=None):
    del batch  # Losses of labels take fields of it.

    def total(x):
      sums = jax.tree.map(lambda x: x.sum(0), x)
      return sums if axis_name is None else jax.lax.psum(sums, axis_name)

    return function(head, outputs, values, known, total)

  return loss


def cross_entropy(head, outputs, values, known, total):
  """Mean over the known rows of -log softmax(outputs)[value]."""
  del head
  return _mean_entropy(outputs, values, known, total)


def _mean_entropy(logits, index, known, total):
  """Returns the mean cross entropy of [B, ..., C], known [B, ...]: [...]."""
  cost = optax.losses.softmax_cross_entropy_with_integer_labels(
    logits, index.astype(jnp.int32)
  )
  known = known.astype(cost.dtype)
  whole, count = total((known * cost, known))
  return whole / jnp.maximum(count, 1)


def ccc(head, outputs, values, known, total):
  """Sum over the numbers of 1 - CCC, see `concordance`."""
  truth = heads_lib.scaled(head, values.astype(outputs.dtype))
  found = concordance(heads_lib.numbers(head, outputs), truth, known, total)
  return (1 - found).sum()


def ccc_cross_entropy(head, outputs, values, known, total):
  """`ccc` + the cross entropy of the bins, summed over the numbers."""
  truth = heads_lib.scaled(head, values.astype(outputs.dtype))
  logits = heads_lib.by_bin(head, outputs)
  bins = to_bins(truth, head.bins)
  entropy = _mean_entropy(logits, bins, known, total)
  return ccc(head, outputs, values, known, total) + entropy.sum()


def to_bins(values: jax.Array, bins: int) -> jax.Array:
  """Returns which of so many equal bins of [-1, 1] each value is in: int32.

  Bins are closed on the left, and the last on both sides.
  """
  index = jnp.floor(bins / 2 * (values + 1) + _ON_EDGE).astype(jnp.int32)
  return jnp.clip(index, 0, bins - 1)


def concordance(x, y, known, total, ddof: int = 0) -> jax.Array:
  """Concordance correlation coefficients of the columns: float[D] in [-1, 1].

  CCC = 2 s_xy / (s_x^2 + s_y^2 + (m_x - m_y)^2) over the known rows (Lin
  1989), with deviations over n, as it is scored. Where fewer than two rows are
  known, or all numbers of both are the same, it is 1, and nothing is learnt.

  Args:
    x: float[B, D], predicted.
    y: float[B, D], true.
    known: bool[B, D].
    total: function that sums arrays [B, D] over the global batch.
    ddof: 1: deviations are over n - 1, as in the loss of Deng et al. 2020.
  """
  known = known.astype(x.dtype)
  x, y = known * x, known * y
  n, sum_x, sum_y = total((known, x, y))
  mean_x, mean_y = (s / jnp.maximum(n, 1) for s in (sum_x, sum_y))
  dx, dy = known * (x - mean_x[None]), known * (y - mean_y[None])
  products, squares = total((dx * dy, dx**2 + dy**2))
  count = jnp.maximum(n - ddof, 1)
  below = squares / count + (mean_x - mean_y) ** 2
  there = (n >= 2) & (below > _LEAST)
  above = 2 * products / count
  return jnp.where(there, above / jnp.where(there, below, 1), 1)


# Of heads that are no binary ones.
LOSSES = types.MappingProxyType(
  {
    'cross_entropy': cross_entropy,
    'ccc': ccc,
    'ccc_cross_entropy': ccc_cross_entropy,
  }
)
