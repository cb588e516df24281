"""Learning rates over the steps, against optax's own and the formula."""

import math

import numpy as np
import optax
import pytest

from aubal_jax.network import schedules


def rates(*args, **options):
  schedule = schedules.make_schedule(*args, **options)
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
    schedules.make_schedule(name, 0.1, num_steps=10, warmup_steps=warmup_steps)
