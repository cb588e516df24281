"""What TensorBoard is shown of a plan: rows as training makes them."""

import types

import numpy as np
import pytest

from aubal_jax import settings as settings_lib
from aubal_jax.batches import augment
from aubal_jax.batches import draws
from aubal_jax.datasets import streams
from aubal_jax.stages import logs
from aubal_jax.tables import plan as plan_lib


@pytest.mark.parametrize('seed', range(4))
def test_the_contact_sheet_is_as_strong_as_training(seed):
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (6, 20, 20, 1), np.uint8)
  counts = rng.integers(1, 5, 6)
  plan = plan_lib.spread(np.arange(6), counts)
  own = draws.Settings(strength=rng.uniform(0, 2), growth_exponent=seed / 3)
  config = settings_lib.default()
  config.seed, config.augment.rows = seed, 'all'
  shown = []
  logs._write_sheet(
    types.SimpleNamespace(write_sheet=lambda *sheet: shown.append(sheet)),
    config,
    types.SimpleNamespace(
      plan=plan,
      settings=own,
      policy=None,
      description=types.SimpleNamespace(pixels=images.shape),
    ),
    [streams.of_images(images.__getitem__, images.shape[1:])],
    7,
  )
  ((step, before, after),) = shown
  rows = np.arange(len(plan))
  drawn = draws.draw(
    own,
    seed=seed,
    epochs=0,
    rows=rows,
    growth=counts[plan.source].astype(float),
  )
  assert step == 7
  np.testing.assert_array_equal(before, images[plan.source])
  np.testing.assert_array_equal(after, augment.augment(before, drawn))
