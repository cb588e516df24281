"""What training tells beside metrics.jsonl: lines, and a sheet of rows."""

import random
import types

import numpy as np
import pytest

from aubal_jax import settings as settings_lib
from aubal_jax.batches import augment
from aubal_jax.batches import draws
from aubal_jax.datasets import streams
from aubal_jax.runs import hosts
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


class Log:
  """An event log that keeps its lines."""

  def __init__(self):
    self.lines = []

  def write_line(self, line):
    self.lines.append(line)


def test_a_line_goes_to_the_file_and_then_to_the_log():
  rng = random.Random(0)
  for _ in range(20):
    lines = [
      {'step': k, 'loss': rng.random()} for k in range(rng.randint(0, 5))
    ]
    log, written = Log(), []

    def write(line, log=log, written=written):
      assert len(log.lines) == len(written)  # A full disk is told by the file.
      written.append(line)

    both = logs.beside(write, log)
    for line in lines:
      both(line)
    assert written == log.lines == lines
  assert logs.beside(write, None) is write
  assert logs.beside(None, None) is None


@pytest.mark.parametrize(('wanted', 'first'), [(False, True), (True, False)])
def test_none_is_opened_that_is_not_wanted(
  monkeypatch, tmp_path, wanted, first
):
  monkeypatch.setattr(hosts, 'is_first', lambda: first)
  train = types.SimpleNamespace(tensorboard=wanted)
  run = types.SimpleNamespace(
    config=types.SimpleNamespace(train=train), path=tmp_path
  )
  with logs.opened(run, None, None, 0) as log:
    assert log is None
  assert not [*tmp_path.iterdir()]
