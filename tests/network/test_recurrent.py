"""The recurrent head: its equations, its size, and what a window sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from aubal_jax.network.models import recurrent
from aubal_jax.runs import errors


def _gru(cell, x):
  """The equations of Cho et al., with the reset gate behind the product."""

  def dense(name, x):
    return x @ cell[name]['kernel'] + cell[name].get('bias', 0)

  h, said = np.zeros((len(x), cell['hn']['kernel'].shape[0])), []
  for t in range(x.shape[1]):
    r, z = (
      special.expit(dense(f'i{g}', x[:, t]) + dense(f'h{g}', h)) for g in 'rz'
    )
    n = np.tanh(dense('in', x[:, t]) + r * dense('hn', h))
    h = (1 - z) * n + z * h
    said.append(h)
  return np.stack(said, axis=1)


@pytest.mark.parametrize(
  ('size', 'count'), [(8, 75_272), (7, 75_143), (40, 79_400)]
)
def test_parameters_are_as_published_but_for_biases_that_are_twice(size, count):
  head = recurrent.RecurrentHead(size, 32)
  shapes = jax.eval_shape(head.init, jax.random.key(0), jnp.zeros((32, 128)))
  leaves = jax.tree.leaves(shapes['params'])
  assert sum(leaf.size for leaf in leaves) == count


def test_it_is_its_equations_and_windows_do_not_see_each_other():
  head = recurrent.RecurrentHead(3, 4, hidden=5)
  rng = np.random.default_rng(0)
  x = rng.normal(size=(12, 6)).astype(np.float32)
  shapes = jax.eval_shape(head.init, jax.random.key(0), x)['params']
  params = jax.tree.map(
    lambda s: rng.normal(0, 0.5, s.shape).astype(np.float32), shapes
  )
  run = jax.jit(head.apply)
  found = np.asarray(run({'params': params}, x))
  windows = x.reshape(3, 4, 6).astype(float)
  cells = [params[name] for name in sorted(params) if 'GRUCell' in name]
  forward, backward = cells
  said = np.concatenate(
    [_gru(forward, windows), _gru(backward, windows[:, ::-1])[:, ::-1]], axis=2
  )
  dense = params['Dense_0']
  wanted = np.maximum(said, 0) @ dense['kernel'] + dense['bias']
  np.testing.assert_allclose(found, wanted.reshape(12, 3), atol=2e-6)
  x[5] += 1  # Of the second window.
  moved = abs(np.asarray(run({'params': params}, x)) - found).max(axis=1) > 1e-6
  assert moved.tolist() == [False] * 4 + [True] * 4 + [False] * 4


def test_half_a_window_is_refused():
  head = recurrent.RecurrentHead(3, 4)
  with pytest.raises(errors.UserError, match='whole windows of 4 rows, got 10'):
    params = jax.eval_shape(head.init, jax.random.key(0), jnp.zeros((1, 6)))
    jax.eval_shape(head.apply, params, jnp.zeros((10, 6)))
