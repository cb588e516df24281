"""Small random balancing problems, and the same problems as dense matrices."""

import jax.numpy as jnp
import numpy as np
from scipy import sparse

from aubal_jax.balancing import objective


def patterns_and_counts(seed, num_sets, num_labels):
  """0/1 [S, L] without empty rows or columns, sorted by size, and int[S].

  Row sizes depend on S and L alone: other seeds compile nothing anew.
  """
  rng = np.random.default_rng(seed)
  sizes = np.sort(1 + np.arange(num_sets) % min(4, num_labels))
  patterns = np.zeros((num_sets, num_labels), np.uint8)
  for row, size in zip(patterns, sizes, strict=True):
    row[rng.choice(num_labels, size, replace=False)] = 1
  missing = np.flatnonzero(patterns.sum(axis=0) == 0)
  for row, label in zip(patterns, missing, strict=False):
    row[:] = 0
    row[label] = 1
  assert patterns.sum(axis=0).all(), 'Too few labelsets for so many labels.'
  return patterns, np.ceil(rng.lognormal(2, 1.5, num_sets)).astype(np.int64)


def make(*, seed, num_sets, num_labels, lam, image_cost=0.0, weights=None):
  """Returns an `objective.Problem` with the box [1, 10]."""
  patterns, counts = patterns_and_counts(seed, num_sets, num_labels)
  csr = sparse.csr_array(patterns)
  blocks = objective.label_blocks(csr.indptr, csr.indices, num_labels)
  weights = np.ones(num_labels) if weights is None else weights
  return objective.Problem(
    blocks=tuple(jnp.asarray(block) for block in blocks),
    counts=jnp.asarray(counts, jnp.float64),
    weights=jnp.asarray(weights, jnp.float64),
    target=jnp.full(num_labels, 1 / num_labels),
    lam=jnp.asarray(lam, jnp.float64),
    lower=jnp.ones(num_sets),
    upper=jnp.full(num_sets, 10.0),
    image_cost=jnp.asarray(image_cost, jnp.float64),
  )


def dense_patterns(problem):
  """The patterns of a problem as float64[S, L]."""
  rows = []
  for block in problem.blocks:
    for labels in np.asarray(block):
      row = np.zeros(len(problem.weights) + 1)
      row[labels] = 1
      rows.append(row[:-1])
  return np.array(rows)


def dense_matrix(problem):
  """A of balancing, float64[L, S]: deviations are A @ growth."""
  patterns = dense_patterns(problem)
  target = np.asarray(problem.target)
  away = patterns - patterns.sum(axis=1, keepdims=True) * target
  return (np.asarray(problem.counts)[:, None] * away).T * np.asarray(
    problem.weights
  )[:, None]
