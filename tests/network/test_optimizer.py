"""The optimisers of the training step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aubal_jax.network import optimizer as optimizer_lib
from aubal_jax.network import schedules


def test_structure_of_the_optimizer_is_of_its_name_alone():
  """So the file of a checkpoint need not tell schedules and clipping."""
  plain = optimizer_lib.make_optimizer('adam', 1.0)
  schedule = schedules.make_schedule('cosine', 1.0, num_steps=9, warmup_steps=3)
  clipped = optimizer_lib.make_optimizer(
    'adam', 1.0, schedule=schedule, clip_norm=1.0
  )
  one, other = (x.init({'w': jnp.zeros(3)}) for x in (plain, clipped))
  assert jax.tree.structure(one) == jax.tree.structure(other)


@pytest.mark.parametrize('name', sorted(optimizer_lib.OPTIMIZERS))
def test_every_optimizer_descends(name):
  optimizer = optimizer_lib.make_optimizer(name, 0.05)
  target = jnp.asarray([1.0, -2.0])
  x, opt_state = jnp.zeros(2), optimizer.init(jnp.zeros(2))
  for _ in range(100):
    updates, opt_state = optimizer.update(x - target, opt_state, x)
    x = optax.apply_updates(x, updates)
  assert np.abs(x - target).max() < 0.2


def test_optimizer_takes_a_schedule():
  optimizer = optimizer_lib.make_optimizer(
    'sgd', 0.5, schedule=optax.linear_schedule(1.0, 0.0, 4)
  )
  state = optimizer.init(jnp.ones(1))
  for rate in (0.5, 0.375, 0.25, 0.125, 0.0):
    updates, state = optimizer.update(jnp.ones(1), state, jnp.ones(1))
    np.testing.assert_array_equal(updates, [-rate])


def test_learning_rates_share_a_program():
  """The compilation of one is found in the cache by the others."""

  def program(learning_rate):
    optimizer = optimizer_lib.make_optimizer('adam', learning_rate)
    state = optimizer.init(jnp.ones(2))
    assert state.hyperparams['learning_rate'] == np.float32(learning_rate)
    args = jnp.ones(2), state, jnp.ones(2)
    return jax.jit(optimizer.update).lower(*args).as_text()

  assert program(0.1) == program(1)


def test_bad_optimizers_are_refused():
  with pytest.raises(ValueError, match=r"optimizer 'sdg'; choose .*'sgd'\]"):
    optimizer_lib.make_optimizer('sdg', 0.1)
  for rate in (0.0, -1.0, float('nan'), float('inf')):
    with pytest.raises(ValueError, match='learning_rate must be above 0'):
      optimizer_lib.make_optimizer('sgd', rate)
  for norm in (-1.0, float('nan'), float('inf')):
    with pytest.raises(ValueError, match='clip_norm must be at least 0'):
      optimizer_lib.make_optimizer('sgd', 0.1, clip_norm=norm)
