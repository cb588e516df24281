"""Times batches of augmented images, beside what people usually write.

  python scripts/bench_pipeline.py --json=pipeline.json
  python scripts/bench_pipeline.py --batches=4 --repeats=1

112 x 112 grey images from memory, all six augmentations on each, batches of
64. Ours is `pipeline.train_batches`, seeded: by one thread on one core, by two
threads, by one and two worker processes, and with the device backend, whose
images JAX makes. Rivals: `usual`, tf.data with one numpy_function an image, an
albumentations Compose in it (made anew of the same settings, not seeded) and
AUTOTUNE; and `grain`, two seeded workers, where it is installed. All take
turns; the figure is the median, start-up and the first batches not counted.

`waiting` is the share of a training step on this machine that waits for input,
as the trainer logs it, in a run on made-up images.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

BATCH, SIDE, LABELS = 64, 112, 8
NUM_IMAGES = 2048
WARM = 8  # Batches before the clock starts; some wait, finished.
ONE_CORE = 2500
WORKERS_RATIO = 1.7
WAITING = 0.02


def batches(num, *, seed, pack=None, **options):
  """Returns the batches of `pipeline.train_batches`, all rows augmented."""
  from aubal_jax.batches import pipeline
  from aubal_jax.datasets import streams
  from aubal_jax.datasets import targets
  from aubal_jax.tables import plan

  rows = np.arange(NUM_IMAGES)
  zeros = np.zeros((NUM_IMAGES, LABELS), np.uint8)
  labels = targets.Target('binary', zeros, zeros == 0, (*'abcdefgh',))
  return pipeline.train_batches(
    plan.Plan(rows, np.ones(NUM_IMAGES, bool), np.full(NUM_IMAGES, -1), ()),
    [streams.of_images(make_images().__getitem__, (SIDE, SIDE, 1))],
    {'labels': labels},
    batch_size=BATCH,
    seed=seed,
    num_steps=num,
    augment_rows='all',
    pack=pack,
    **options,
  )


def make_images():
  """Returns uint8[NUM_IMAGES, SIDE, SIDE, 1]."""
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (NUM_IMAGES, SIDE, SIDE, 1), np.uint8)


def on_device(num, *, seed):
  """Yields batches whose images JAX augments."""
  import functools

  import jax

  from aubal_jax.batches import augment_device
  from aubal_jax.batches import draws

  made = jax.jit(
    functools.partial(augment_device.augment_images, settings=draws.Settings())
  )
  chosen = np.ones(BATCH, bool)
  for batch in batches(num, seed=seed, pack=augment_device.pack):
    image = made(batch['image'], batch['augment'], chosen)
    yield {**batch, 'image': np.asarray(image)}


def compose():
  """Returns the six augmentations as albumentations offers them."""
  import albumentations as A

  return A.Compose(
    [
      A.HorizontalFlip(p=0.5),
      A.GaussianBlur(blur_limit=(3, 5), sigma_limit=(0.0, 1.0), p=1),
      A.RandomBrightnessContrast(0.0, (-0.2, 0.25), p=1),
      A.GaussNoise(std_range=(0.0, 8 / 255), p=1),
      A.MultiplicativeNoise(multiplier=(0.8, 1.2), p=1),
      A.Perspective(scale=(0.0, 0.06), p=1),
    ]
  )


def usual(num, *, seed):
  """Returns batches as most tutorials of tf.data and albumentations do."""
  import tensorflow as tf

  images, transform = make_images(), compose()

  def one(image, label):
    image = tf.numpy_function(
      lambda x: transform(image=x)['image'], [image], tf.uint8
    )
    return tf.ensure_shape(image, (SIDE, SIDE, 1)), label

  labels = np.zeros((NUM_IMAGES, LABELS), np.uint8)
  return (
    tf.data.Dataset.from_tensor_slices((images, labels))
    .shuffle(NUM_IMAGES, seed=seed)
    .repeat()
    .map(one, num_parallel_calls=tf.data.AUTOTUNE)
    .batch(BATCH)
    .prefetch(tf.data.AUTOTUNE)
    .take(num)
    .as_numpy_iterator()
  )


class Augmented:
  """Augments one image for grain, from a generator that grain seeds."""

  def __init__(self):
    self._transform = None

  def __call__(self, image, rng):
    """Returns the augmented image."""
    if self._transform is None:  # In the worker.
      self._transform = compose()
    self._transform.set_random_seed(int(rng.integers(2**31)))
    return self._transform(image=image)['image']


def grain(num, *, seed):
  """Returns batches of two workers of grain."""
  import grain.python as pygrain
  from absl import flags

  flags.FLAGS.mark_as_parsed()  # Grain has some; they keep their defaults.
  dataset = (
    pygrain.MapDataset.source(make_images())
    .seed(seed)
    .shuffle()
    .repeat()
    .random_map(Augmented())
    .batch(BATCH)
  )[: num + 2 * WARM]
  options = pygrain.MultiprocessingOptions(num_workers=2)
  return iter(dataset.to_iter_dataset().mp_prefetch(options))


def ours(**options):
  """Returns num, seed -> batches of ours."""
  return lambda num, *, seed: batches(num, seed=seed, **options)


RIVALS = {
  'one thread': ours(num_workers=1),
  'two threads': ours(num_workers=2),
  'one process': ours(num_workers=1, num_processes=1),
  'two processes': ours(num_workers=2, num_processes=2),
  'device': on_device,
  'usual': usual,
  'grain': grain,
}


def rate(name, num):
  """Returns images a second of one rival, in a process of its own."""
  made = iter(RIVALS[name](num + WARM, seed=0))
  for _ in range(WARM):
    next(made)
  start = time.perf_counter()
  for _ in range(num):
    next(made)
  return num * BATCH / (time.perf_counter() - start)


def waiting(arguments):
  """Trains with the trainer; returns shares of steps that waited."""
  from aubal_jax import commands
  from aubal_jax import settings as settings_lib
  from aubal_jax.network import log as log_lib

  config = settings_lib.default()
  config.data.num_train = 1024
  config.data.num_validation = config.data.num_test = 64
  config.augment.rows = 'all'
  config.model.name = arguments.model
  config.train.num_steps = arguments.steps
  config.train.log_every_steps = 1
  config.train.eval_every_steps = config.train.checkpoint_every_steps = 10**6
  with tempfile.TemporaryDirectory() as folder:
    for task in ('balance', 'train'):
      config.task = task
      commands.run_task(config, folder, started=time.perf_counter())
    lines = log_lib.read_lines(pathlib.Path(folder, 'metrics.jsonl'))
  # The first step compiles, the second finds what was made meanwhile.
  return [line['input_wait_fraction'] for line in lines[2:] if 'loss' in line]


def run_apart(*arguments):
  """Returns what this script prints, last, in a fresh process."""
  command = [sys.executable, os.path.abspath(__file__), *map(str, arguments)]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  if done.returncode:
    raise SystemExit(f'{command} failed:\n{done.stderr}')
  return json.loads(done.stdout.splitlines()[-1])


def on_one_core():
  """Keeps this process on one core, where the system can."""
  if hasattr(os, 'sched_setaffinity'):
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])


def tell(rates):
  """Prints a line for each rival, with what was asked for."""
  one = rates['one thread']
  for name, found in rates.items():
    text = f'{name}: {found:,.0f} images/s'
    if name == 'one thread':
      text += f' (asked: {ONE_CORE:,}, reached: {found / ONE_CORE:.2f} of it)'
    elif name == 'two processes':
      ratio = found / rates['one process']
      text += (
        f', {ratio:.2f} times one process (asked: {WORKERS_RATIO}, reached: '
        f'{ratio / WORKERS_RATIO:.2f} of it)'
      )
    if name in ('usual', 'grain'):
      text += f'; one thread of ours is {one / found:.2f} times as fast'
    elif name != 'one thread':
      text += f', {found / one:.2f} times one thread'
    print(text, flush=True)


def main():
  """Runs all in turn, or in a process of its own one of them."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--batches', type=int, default=80, help='Of a turn.')
  parser.add_argument('--repeats', type=int, default=3, help='Turns of each.')
  parser.add_argument('--steps', type=int, default=30, help='Trained; 0: none.')
  parser.add_argument(
    '--model', default='resnet18_112', help='That is trained.'
  )
  parser.add_argument('--json', help='Where the figures are written.')
  parser.add_argument('--rival', choices=RIVALS, help=argparse.SUPPRESS)
  parser.add_argument('--waiting', action='store_true', help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.rival:
    if arguments.rival == 'one thread':
      on_one_core()
    print(json.dumps(rate(arguments.rival, arguments.batches)))
    return
  if arguments.waiting:
    print(json.dumps(waiting(arguments)))
    return
  names = [*RIVALS]
  if not importlib.util.find_spec('grain'):
    names.remove('grain')
    print('grain is not installed: left out.')
  turns = [
    {n: run_apart('--rival', n, '--batches', arguments.batches) for n in names}
    for _ in range(arguments.repeats)
  ]
  rates = {n: statistics.median(turn[n] for turn in turns) for n in names}
  tell(rates)
  rows = {'cpus': os.cpu_count(), 'images_per_second': rates, 'turns': turns}
  if arguments.steps > 2:
    shares = run_apart(
      '--waiting', '--steps', arguments.steps, '--model', arguments.model
    )
    rows['waiting'] = statistics.mean(shares)
    print(
      f'waiting: {rows["waiting"]:.2%} of a step of {arguments.model} (asked: '
      f'less than {WAITING:.0%}, taken: {rows["waiting"] / WAITING:.2f} of it)'
    )
  if arguments.json:
    pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=1))


if __name__ == '__main__':
  main()
