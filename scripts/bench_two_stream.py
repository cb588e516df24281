"""A training step of the two-stream network, and of XLA's own convolutions.

  .venv/bin/python scripts/bench_two_stream.py [--batch=8] [--seconds=10]

Both are the small form (width 8, a block a stage; clips of 8 frames of 112
pixels with a mask, 10 seconds of sound), compiled by themselves in this one
process and run in turns. Prints the milliseconds of each turn, and how many
times faster ours is: the median of the turns' own ratios.
"""

import argparse
import time
from unittest import mock

import jax
import numpy as np


def make_batch(size):
  """Returns a batch as the pipeline makes it."""
  rng = np.random.default_rng(0)
  return {
    'clip': rng.integers(0, 256, (size, 8, 112, 112, 4), np.uint8),
    'sound': rng.standard_normal((size, 64, 1001)).astype(np.float32),
    'labels': rng.integers(0, 2, (size, 8), np.uint8),
    'labels_known': np.ones((size, 8), bool),
  }


def by_xla(x, kernel, strides, padding, **options):
  """The convolution in three dimensions, which ours stands for."""
  return jax.lax.conv_general_dilated(x, kernel, strides, padding, **options)


def make_step(batch):
  """Returns a function that does a step, and the seconds it took to compile."""
  from aubal_jax.network import heads as heads_lib
  from aubal_jax.network import losses
  from aubal_jax.network import models
  from aubal_jax.network import optimizer as optimizer_lib
  from aubal_jax.network import step as step_lib

  head = heads_lib.Head('labels', 'binary', tuple('abcdefgh'), 'bce')
  model = models.make_model(
    'two_stream_small', {'labels': 8}, axis_name=step_lib.AXIS_NAME
  )
  optimizer = optimizer_lib.make_optimizer('adam', 1e-4)
  objective = heads_lib.make_objective(
    [head], {'labels': losses.make_loss('bce')}
  )
  step = step_lib.make_train_step(
    model, optimizer, objective, devices=jax.devices()[:1]
  )
  streams = {name: batch[name][:1] for name in model.streams}
  state = step.place(
    step_lib.create_state(model, optimizer, jax.random.key(0), streams)
  )

  def once():
    nonlocal state
    state, metrics = step.run(state, step.shard(batch))
    jax.device_get(metrics)

  started = time.perf_counter()
  once()
  return once, time.perf_counter() - started


def measure(once, seconds):
  """Returns seconds a step, the best of those of a while."""
  found, end = [], time.perf_counter() + seconds
  while len(found) < 2 or time.perf_counter() < end:
    started = time.perf_counter()
    once()
    found.append(time.perf_counter() - started)
  return min(found)


def main():
  """Measures both, in turns."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--batch', type=int, default=8)
  parser.add_argument('--seconds', type=float, default=10, help='of each turn')
  parser.add_argument('--turns', type=int, default=3)
  options = parser.parse_args()
  from aubal_jax.network.models import time_convolution

  batch = make_batch(options.batch)
  ours, took = make_step(batch)
  print(f'ours: compiled in {took:.1f} s', flush=True)
  with mock.patch.object(time_convolution, 'convolve', by_xla):
    theirs, took = make_step(batch)
  print(f'XLA in three dimensions: compiled in {took:.1f} s', flush=True)
  ratios = []
  for turn in range(options.turns):
    a, b = (measure(step, options.seconds) for step in (ours, theirs))
    ratios.append(b / a)
    print(
      f'turn {turn + 1}: ours {1e3 * a:.0f} ms, XLA {1e3 * b:.0f} ms a step of '
      f'{options.batch} clips with sound',
      flush=True,
    )
  print(f'ours is {np.median(ratios):.2f} times faster')


if __name__ == '__main__':
  main()
