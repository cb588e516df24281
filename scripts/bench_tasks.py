r"""Times a step of one head, of three, and of a batch of each task by itself.

  python scripts/bench_tasks.py --json=tasks.json

`heads`: the step of three heads on one mixed batch, over that of the labels
alone. `per_task`: the step on a batch of each task, over the sum of three steps
of such a batch of one head. They take turns, and a figure is the median of the
ratios of each turn.
"""

import argparse
import json
import statistics
import time

import jax
import numpy as np

from aubal_jax.network import heads as heads_lib
from aubal_jax.network import losses
from aubal_jax.network import models
from aubal_jax.network import optimizer as optimizer_lib
from aubal_jax.network import step as step_lib
from aubal_jax.network import target_losses

HEADS = (
  heads_lib.Head('labels', 'binary', tuple('abcdefgh'), 'bce'),
  heads_lib.Head('expression', 'class', tuple('abcdefg'), 'cross_entropy'),
  heads_lib.Head(
    *('valence_arousal', 'real', ('v', 'a'), 'ccc_cross_entropy'), bins=20
  ),
)
MOST_HEADS, MOST_TASKS = 1.05, 1.05


def targets_of(head, size, rng):
  """Returns the fields of a batch that are a target."""
  numbers = size if head.kind == 'class' else (size, len(head.names))
  values = {
    'binary': lambda: rng.integers(0, 2, numbers).astype(np.uint8),
    'class': lambda: rng.integers(0, 7, numbers).astype(np.int16),
    'real': lambda: rng.uniform(-1, 1, numbers).astype(np.float32),
  }[head.kind]()
  return {head.name: values, f'{head.name}_known': np.ones(numbers, bool)}


def make_batch(heads, size, side, rng):
  """Returns a batch that all these heads know."""
  batch = {'image': rng.integers(0, 256, (size, side, side, 1), np.uint8)}
  for head in heads:
    batch |= targets_of(head, size, rng)
  return batch


def make_once(model_name, layers, heads, batch):
  """Returns a function that takes one step on the batch, and waits for it."""
  model = models.make_model(
    model_name,
    {head.name: head.size for head in heads},
    axis_name=step_lib.AXIS_NAME,
    layers=layers,
  )
  optimizer = optimizer_lib.make_optimizer('adam', 1e-4)
  own = {
    head.name: losses.make_loss('bce')
    if head.kind == 'binary'
    else target_losses.make_loss(head)
    for head in heads
  }
  objective = heads_lib.make_objective(heads, own)
  step = step_lib.make_train_step(model, optimizer, objective)
  any_batch = batch if 'image' in batch else next(iter(batch.values()))
  streams = {'image': any_batch['image'][:1]}
  state = step_lib.create_state(model, optimizer, jax.random.key(0), streams)
  held = [step.place(state)]

  def once():
    held[0], metrics = step.run(held[0], step.shard(batch))
    jax.block_until_ready(metrics)

  once()  # Compiles.
  return once


def seconds_of(once):
  """Returns the seconds of a call."""
  start = time.perf_counter()
  once()
  return time.perf_counter() - start


def main():
  """Measures, and prints or writes what was found."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--model', default='resnet18_112')
  parser.add_argument('--layers', default='deng', choices=heads_lib.LAYERS)
  parser.add_argument('--side', type=int, default=112)
  parser.add_argument('--rows', type=int, default=20, help='of each task')
  parser.add_argument('--turns', type=int, default=15)
  parser.add_argument('--json', default='')
  args = parser.parse_args()
  rng = np.random.default_rng(0)
  tasks = {
    head.name: make_batch([head], args.rows, args.side, rng) for head in HEADS
  }
  mixed = make_batch(HEADS, 3 * args.rows, args.side, rng)
  make = {
    'one': (HEADS[:1], mixed),
    'three': (HEADS, mixed),
    'per_task': (HEADS, tasks),
    **{head.name: ([head], tasks[head.name]) for head in HEADS},
  }
  steps = {
    name: make_once(args.model, args.layers, *given)
    for name, given in make.items()
  }
  turns = [
    {name: seconds_of(once) for name, once in steps.items()}
    for _ in range(args.turns)
  ]
  found = {
    'seconds': {n: statistics.median(t[n] for t in turns) for n in steps},
    'heads': statistics.median(t['three'] / t['one'] for t in turns),
    'per_task': statistics.median(
      t['per_task'] / sum(t[head.name] for head in HEADS) for t in turns
    ),
    'most': {'heads': MOST_HEADS, 'per_task': MOST_TASKS},
    **{name: getattr(args, name) for name in ('model', 'layers', 'side')},
    'rows': args.rows,
  }
  print(json.dumps(found, indent=1))
  if args.json:
    with open(args.json, 'w', encoding='utf-8') as file:
      json.dump(found, file, indent=1)


if __name__ == '__main__':
  main()
