r"""The problem as one sparse quadratic program, as solvers of others take it.

It is in counts n, so P^T stands in it as it is. With x = p - q for |x|, with
T = m . n (in blocks: one of each) and with the mean growth c:

  min  sum (p + q) + lam / S sum_s (n_s / n_o,s - c)^2 + image_cost n . 1
  s.t. P^T n - (p - q) / w - tau T = -b / w,    n . 1 + rest = budget,
       p, q, rest >= 0,    least <= n <= most.

c is free: the minimum over it is the variance. Nothing is as large as S x L.
Where an image weighs as much as it has labels, the row of T needs no labelset:
summed over the classes, 1 . (p - q) / w = (1 - 1 . tau) T + 1 . b / w. Counts
are in units of `unit` images and the value is divided by it, which changes the
number of steps of a solver and not the answer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from aubal_jax.balancing.instance import Instance


class Program(NamedTuple):
  """min v . Q v / 2 + c . v with rows v = right and low <= v <= high.

  v is n[S], the deviations, T, then rest where a budget need not be used up and
  the mean growth where lam > 0. The deviations are p[L] and q[L] of 'absolute',
  x[L] of 'square', or x[L] and y[L] of 'log', for y <= log x.

  Attributes:
    quadratic: CSC float64[V, V], the upper triangle of Q.
    linear: float64[V], c.
    rows: CSC float64[R, V].
    right: float64[R].
    low: float64[V], or -inf.
    high: float64[V], or inf.
  """

  quadratic: sparse.csc_matrix
  linear: np.ndarray
  rows: sparse.csc_matrix
  right: np.ndarray
  low: np.ndarray
  high: np.ndarray


def make_program(instance: Instance, unit: float) -> Program:
  """Returns the program of an instance.

  Args:
    instance: with a labelset.
    unit: images, above 0; counts and the value are divided by it.
  """
  start, lam = instance.start, instance.lam
  bend = 2 * lam / len(start)
  deviations, x_over_w = _deviations(instance, unit)
  rows, right = _rows(instance, x_over_w)
  columns = [
    _columns(
      len(start), low=instance.least / unit, high=instance.most / unit,
      linear=instance.image_cost, curvature=bend * unit / start**2,
    ),
    deviations,
    _columns(1 if instance.blocks is None else len(instance.blocks)),
  ]  # fmt: skip
  if instance.budget and not instance.budget.exactly:
    columns.append(_columns(1, low=0.0))
  quadratic = sparse.diags_array(np.hstack(columns)[3])
  if lam:
    beside = np.zeros((quadratic.shape[0], 1))
    beside[: len(start), 0] = -bend / start
    corner = np.full((1, 1), 2 * lam / unit)
    quadratic = sparse.block_array([[quadratic, beside], [None, corner]])
    columns.append(_columns(1))
  low, high, linear, _ = np.hstack(columns)
  rows.resize(len(right), len(linear))
  return Program(
    quadratic=sparse.csc_matrix(quadratic),
    linear=linear,
    rows=sparse.csc_matrix(rows),
    right=right / unit,
    low=low,
    high=high,
  )


def _columns(size, *, low=-np.inf, high=np.inf, linear=0.0, curvature=0.0):
  """Returns variables: float64[4, size], the last the diagonal of Q."""
  values = (low, high, linear, curvature)
  return np.stack([np.broadcast_to(value, size) for value in values])


def _deviations(instance, unit):
  """Returns the variables that make x, and x / w = M v as COO M [L, v]."""
  num_labels = len(instance.weights)
  inverse = sparse.diags_array(1 / instance.weights, format='coo')
  if instance.penalty == 'absolute':
    variables = _columns(2 * num_labels, low=0.0, linear=1.0)
    return variables, sparse.hstack([inverse, -inverse])
  if instance.penalty == 'square':
    return _columns(num_labels, curvature=2 * unit / instance.scale), inverse
  linear = np.append(np.zeros(num_labels), -instance.scale / unit)
  inverse.resize(num_labels, 2 * num_labels)
  return _columns(2 * num_labels, linear=linear), inverse


def _rows(instance, x_over_w):
  """Returns the equations of the classes, T and the budget: COO, float64[R]."""
  right = -instance.offset / instance.weights
  total, right = _totals(instance, x_over_w, right)
  tau = instance.target[:, None]
  if instance.blocks is not None:
    tau = tau * instance.blocks.T
  rows = sparse.block_array([[instance.patterns.T, -x_over_w, -tau], total])
  if instance.budget:
    rest = rows.shape[1]
    rows.resize(len(right), rest + (not instance.budget.exactly))
    images = np.zeros((1, rows.shape[1]))
    images[0, : len(instance)] = images[0, rest:] = 1
    rows = sparse.vstack([rows, sparse.coo_array(images)])
    right = np.append(right, instance.budget.most)
  return rows, right


def _totals(instance, x_over_w, right):
  """Returns the equations of T, one of each block, and right with theirs."""
  if instance.blocks is not None:
    blocks, num_blocks = instance.blocks, len(instance.blocks)
    total = [blocks @ instance.patterns.T, None, -np.eye(num_blocks)]
    return total, np.append(right, np.zeros(num_blocks))
  if np.array_equal(instance.mass, instance.sizes):
    corner = np.full((1, 1), instance.target.sum() - 1)
    total = [None, x_over_w.sum(axis=0)[None], corner]
    return total, np.append(right, -right.sum())
  return [instance.mass[None], None, np.full((1, 1), -1.0)], np.append(right, 0)


def logarithms(instance: Instance, program: Program, unit: float):
  """Returns what y <= log x is as cones of (a, b, c) with b exp(a / b) <= c.

  They are of right - rows v = (y, 1, unit x / z_o): y is less by a constant, so
  that c starts from 1 in every class.

  Args:
    instance: of any penalty; without 'log' there are no rows.
    program: of the instance.
    unit: of the program.

  Returns:
    CSR float64[3 L, V], rows, and float64[3 L], right.
  """
  size = len(instance.weights) if instance.penalty == 'log' else 0
  before = (instance.patterns.T @ instance.start)[:size]
  x = len(instance) + np.arange(size)
  cone = 3 * np.arange(size)
  rows = sparse.csr_array(
    (
      -np.append(np.ones(size), unit / before),
      (np.append(cone, cone + 2), np.append(x + size, x)),
    ),
    shape=(3 * size, len(program.linear)),
  )
  return rows, np.tile([0.0, 1.0, 0.0], size)
