"""Trains a model of a table with several seeds and rates at once.

The seeds of a split share its rows. What a plan repeats, leaves out or labels
anew is told by weights and targets of the same rows, so that one product of
the features and the weights of all seeds is most of a step. Rows that a plan
makes up are further rows, which weigh nothing to the other seeds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

# Fixed beforehand, the same for every method. `num_steps` steps of Adam go
# down a cosine from the rate.
LEARNING_RATES = {'logistic': 0.4, 'mlp': 0.01}
PENALTY = 1.0  # Half the sum of squares of the weights: 1 / C of scikit-learn.


@jax.custom_jvp
def _entropy(logits, targets):
  return optax.losses.sigmoid_binary_cross_entropy(logits, targets)


# By itself JAX computes the gradient from two logarithms, ten times as long.
_entropy.defjvps(
  lambda change, _, logits, targets: (
    change * (jax.nn.sigmoid(logits) - targets)
  ),
  None,
)


def bce(logits, targets, weights):
  """Returns `losses.bce` of entries that have weights: their weighted mean."""
  return (weights * _entropy(logits, targets)).sum() / weights.sum()


@functools.partial(
  jax.jit, static_argnames=('model', 'losses', 'num_steps', 'num_looks')
)
def fit(
  model,
  losses: tuple[Callable, ...],
  which,
  features,
  targets,
  weights,
  num_entries,
  keys,
  *,
  learning_rates,
  num_steps: int,
  num_looks: int = 1,
):
  """Trains S seeds of a model at K rates, on all rows at every step.

  The loss of each seed is losses[which](logits, targets, weights) + PENALTY / 2
  times the sum of squares of all kernels / num_entries. With `losses.bce`,
  weights that add up to num_entries and the logistic model that is
  scikit-learn's objective with C = 1 / PENALTY, summed over labels and divided
  by num_entries.

  Args:
    model: a flax module, features [R, F] -> logits [R, L].
    losses: functions (logits [R, L], labels [R, L], known [R, L]) -> scalar,
      as `aubal_jax.network.losses` has them.
    which: int scalar, the one to train with.
    features: float[R, F].
    targets: float[S, R, L], in [0, 1]; between for a row that the plan has with
      the label and without.
    weights: float[S, R, L], how often the plan has an entry; 0 for none.
    num_entries: float scalar, entries of the training part before resampling.
    keys: JAX keys [S], of the first parameters.
    learning_rates: float[K], of Adam, at the first step.
    num_steps: optimiser steps.
    num_looks: into how many parts they are divided, see `look_steps`.

  Returns:
    The parameters, K S of each: all seeds at the first rate first. And those
    after each part, the last of which are the same.
  """
  (num_rates,) = learning_rates.shape
  decay = optax.cosine_decay_schedule(-1.0, num_steps)
  optimizer = optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(decay))
  rates = jnp.repeat(learning_rates, len(keys))
  # Targets are those of a seed at every rate.
  each = [jax.vmap(jax.vmap(loss), (0, None, None)) for loss in losses]

  def total(params):
    logits = jax.vmap(model.apply, (0, None))({'params': params}, features)
    logits = logits.reshape(num_rates, -1, *logits.shape[1:])
    value = jax.lax.switch(which, each, logits, targets, weights)
    kernels = [p for p in jax.tree.leaves(params) if p.ndim == 3]
    squares = sum(jnp.square(kernel).sum() for kernel in kernels)
    return value.sum() + PENALTY / 2 * squares / num_entries

  def step(_, state):
    params, opt_state = state
    updates, opt_state = optimizer.update(jax.grad(total)(params), opt_state)
    updates = jax.tree.map(
      lambda x: x * rates.reshape(-1, *[1] * (x.ndim - 1)), updates
    )
    return optax.apply_updates(params, updates), opt_state

  init = jax.vmap(lambda key: model.init(key, features[:1])['params'])
  params = init(jnp.concatenate([keys] * num_rates))

  def train_part(state, part):
    state = jax.lax.fori_loop(*part, step, state)
    return state, state[0]

  ends = jnp.array([0, *look_steps(num_steps, num_looks)])
  (params, _), looks = jax.lax.scan(
    train_part, (params, optimizer.init(params)), (ends[:-1], ends[1:])
  )
  return params, looks


def look_steps(num_steps: int, num_looks: int) -> list[int]:
  """Returns the steps after which training is looked at; the last is the end.

  Examples:
    >>> look_steps(300, 6)
    [50, 100, 150, 200, 250, 300]
    >>> look_steps(2, 6)
    [1, 2]
  """
  num_looks = min(num_looks, num_steps)
  return [num_steps * (k + 1) // num_looks for k in range(num_looks)]


@functools.partial(jax.jit, static_argnames='model')
def predict(model, params, features):
  """Returns float[S, N, L], probabilities of rows float[N, F]."""
  logits = jax.vmap(model.apply, (0, None))({'params': params}, features)
  return jax.nn.sigmoid(logits)


def standardise(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
  """Returns float32[N, F], of mean 0 and deviation 1 over the rows given.

  A feature that is constant there is 0 there.

  Args:
    features: float[N, F].
    rows: int[R].
  """
  features = features.astype(np.float64)
  mean, scale = features[rows].mean(axis=0), features[rows].std(axis=0)
  # Nothing but rounding differs: no division by it.
  constant = scale <= 1e-9 * np.abs(mean)
  return ((features - mean) / np.where(constant, 1, scale)).astype(np.float32)


def principal_axes(rows: np.ndarray) -> np.ndarray:
  """Returns float32[F, F], the principal axes of rows [R, F] in its columns.

  In these coordinates the optimum of the logistic model is the same one, but
  the loss curves nearly along each by itself, which is how Adam scales its
  steps: hundreds of them do what takes thousands in the features.
  """
  return _axes(np.ascontiguousarray(rows, np.float32).tobytes(), rows.shape)


@functools.lru_cache(maxsize=32)  # The same for all methods.
def _axes(rows, shape):
  rows = np.frombuffer(rows, np.float32).reshape(shape)
  return np.linalg.eigh(rows.T @ rows)[1]
