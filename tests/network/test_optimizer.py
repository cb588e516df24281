"""The optimisers, and learning rates over the steps, against optax's own."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aubal_jax.network import optimizer as optimizer_lib


def test_structure_of_the_optimizer_is_of_its_name_alone():
  """So the file of a checkpoint need not tell schedules and clipping."""
  plain = optimizer_lib.make_optimizer('adam', 1.0)
  schedule = optimizer_lib.make_schedule(
    'cosine', 1.0, num_steps=9, warmup_steps=3
  )
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


def rates(*args, **options):
  schedule = optimizer_lib.make_schedule(*args, **options)
  return np.array([float(schedule(step)) for step in range(13)])


def test_constant():
  np.testing.assert_allclose(rates('constant', 0.5, num_steps=1), 0.5)


def test_constant_after_a_warmup():
  found = rates('constant', 0.5, num_steps=2, warmup_steps=4)
  expected = [0, 0.125, 0.25, 0.375, *[0.5] * 9]
  np.testing.assert_allclose(found, expected, atol=1e-7)


def test_cosine_by_the_formula():
  found = rates('cosine', 0.5, num_steps=10)
  half = [0.25 * (1 + math.cos(math.pi * n / 10)) for n in range(11)]
  np.testing.assert_allclose(found, [*half, 0, 0], atol=1e-7)


def test_cosine_after_a_warmup_is_that_of_optax():
  oracle = optax.warmup_cosine_decay_schedule(0.0, 0.5, 4, 10)
  found = rates('cosine', 0.5, num_steps=10, warmup_steps=4)
  expected = [float(oracle(step)) for step in range(13)]
  np.testing.assert_allclose(found, expected, atol=1e-7)
  assert found[0] == 0
  assert found[4] == 0.5


@pytest.mark.parametrize(
  ('name', 'warmup_steps', 'message'),
  [
    ('linear', 0, r"Unknown schedule 'linear'; choose .*'cosine'"),
    ('constant', -1, 'warmup_steps must be at least 0, got -1'),
    ('cosine', 10, 'must be below the 10 steps of the run, got 10'),
  ],
)
def test_bad_arguments_are_refused(name, warmup_steps, message):
  with pytest.raises(ValueError, match=message):
    optimizer_lib.make_schedule(
      name, 0.1, num_steps=10, warmup_steps=warmup_steps
    )
