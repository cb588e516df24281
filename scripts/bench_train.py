r"""Times the training step, inference and the start, and measures memory.

  python scripts/bench_train.py --json=train.json
  python scripts/bench_train.py --crops=400000 --jobs memory
  python scripts/bench_train.py --model=resnet8_16 --side=32 --repeats=2

`steps`: ours, the compiled step as the trainer makes it, beside the same
network written plainly (flax linen, jit) on the same jax, and beside PyTorch
(float32, channels_last) where it is installed. Each lives in a process of its
own and they take turns, --repeats times; the figure is the median of the
turns, the ratio the median of the ratios of each turn. `peak` is the share of
the FLOP/s that NumPy's matrix product reaches in the same turns.

`start`: the train task on drawn faces, twice in fresh processes, the second
time with the compilation cache that the first one left: seconds of imports,
and from there to the first step.

`memory`: the most a process holds that trains on so many crops, in memory and
in a mapped cache. `own` leaves out pages of mapped files, which the system
takes back as it needs them. The state is what training on a mapped cache
holds.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import bench_networks
import numpy as np

# Of resnet18_112 on 112 x 112 grey, forward and backward, per image; those of
# the forward pass alone. See scripts/inspect_step.py.
STEP_FLOPS, INFERENCE_FLOPS = 2.38e9, 0.80e9
WORK = (('step', 64), ('step', 32), ('inference', 32), ('inference', 1))
FIRST_STEP_SECONDS = 6.0
STEP_RATIO = 1.10
OF_CROPS = 1.5
MAPPED_BYTES = 2e9


def serve(pipe, name, model_name, side):
  """Answers (kind, batch size, seconds) by the median seconds of one."""
  make, ready = RIVALS[name](model_name, side), {}
  while (wanted := pipe.recv()) is not None:
    kind, size, seconds = wanted
    if (kind, size) not in ready:
      ready[kind, size] = make(kind, bench_networks.make_batch(size, side))
      ready[kind, size]()  # Compiles.
    once = ready[kind, size]
    times, end = [], time.perf_counter() + seconds
    while len(times) < 2 or time.perf_counter() < end:
      start = time.perf_counter()
      once()
      times.append(time.perf_counter() - start)
    pipe.send(statistics.median(times))


def product(model_name, side):
  """A product of two matrices, whatever is asked for."""
  del model_name, side
  a = np.random.default_rng(0).random((2048, 2048), np.float32)
  return lambda kind, batch: lambda: a @ a


PRODUCT_FLOPS = 2 * 2048**3
RIVALS = {
  'ours': bench_networks.ours,
  'linen': bench_networks.linen,
  'torch': bench_networks.torch,
  'product': product,
}


def steps(arguments):
  """Has all take turns; returns kind and batch -> figures."""
  busy = os.getloadavg()[0]
  if busy > 0.5:
    print(
      f'The machine is not idle (load {busy:.1f}): the ratios mean little, '
      'those to PyTorch nothing, as its threads wait for each other.'
    )
  names = ['ours', 'linen', 'product']
  if importlib.util.find_spec('torch'):
    names.insert(2, 'torch')
  context, pipes, processes = multiprocessing.get_context('spawn'), {}, []
  for name in names:
    pipes[name], there = context.Pipe()
    task = there, name, arguments.model, arguments.side
    processes.append(context.Process(target=serve, args=task, daemon=True))
    processes[-1].start()
    there.close()

  def ask(name, *wanted):
    pipes[name].send(wanted)
    return pipes[name].recv()

  rows = {}
  for kind, size in WORK:
    for name in names:
      ask(name, kind, size, 0.0)  # Compiles, and warms up.
    turns = [
      {name: ask(name, kind, size, arguments.seconds) for name in names}
      for _ in range(arguments.repeats)
    ]
    rows[f'{kind} {size}'] = figures(kind, size, turns, names, arguments)
    tell_steps(f'{kind} {size}', rows[f'{kind} {size}'])
  for pipe, process in zip(pipes.values(), processes, strict=True):
    pipe.send(None)
    process.join()
  return rows


def figures(kind, size, turns, names, arguments):
  """Returns seconds of each, ratios of ours to others, shares of the peak."""
  row = {'seconds': {}, 'times': {}, 'peak': {}}
  for name in names[:-1]:
    row['seconds'][name] = statistics.median(turn[name] for turn in turns)
    if name != 'ours':
      row['times'][name] = statistics.median(t[name] / t['ours'] for t in turns)
    if (arguments.model, arguments.side) == ('resnet18_112', 112):
      flops = size * (STEP_FLOPS if kind == 'step' else INFERENCE_FLOPS)
      row['peak'][name] = statistics.median(
        flops / turn[name] / (PRODUCT_FLOPS / turn['product']) for turn in turns
      )
  row['size'] = size
  peak = statistics.median(turn['product'] for turn in turns)
  row['product_gflops'] = PRODUCT_FLOPS / peak / 1e9
  return row


def tell_steps(name, row):
  """Prints one line of the table for each rival."""
  for rival, seconds in row['seconds'].items():
    text = f'{name}: {rival} {row["size"] / seconds:,.1f} images/s'
    text += f', {1e3 * seconds:,.1f} ms'
    if rival in row['peak']:
      text += (
        f', {row["peak"][rival]:.0%} of {row["product_gflops"]:,.0f} GFLOP/s'
      )
    if rival in row['times']:
      text += f'; ours is {row["times"][rival]:.2f} times as fast'
      if rival == 'linen' and name == 'step 64':
        text += (
          f' (asked: {STEP_RATIO:.2f}, reached: '
          f'{row["times"][rival] / STEP_RATIO:.2f} of it)'
        )
    print(text, flush=True)
  if 'torch' not in row['seconds']:
    print(f'{name}: PyTorch is not installed', flush=True)


def run_apart(job, *arguments, cwd=None, env=None):
  """Runs a job of this script in a fresh process; returns what it prints."""
  command = [sys.executable, os.path.abspath(__file__), f'--job={job}']
  done = subprocess.run(
    [*command, *arguments],
    cwd=cwd,
    env={**os.environ, **(env or {})},
    capture_output=True,
    text=True,
    check=False,
  )
  if done.returncode:
    raise SystemExit(f'{job} failed:\n{done.stderr}')
  return json.loads(done.stdout.splitlines()[-1])


def start(arguments):
  """Times the first step without and with a warm compilation cache."""
  rows = {}
  with tempfile.TemporaryDirectory() as folder:
    setup = [f'--model={arguments.model}', f'--side={arguments.side}']
    env = {'XDG_CACHE_HOME': folder}
    run_apart('first_step', *setup, '--task=balance', cwd=folder, env=env)
    shutil.copytree(f'{folder}/run', f'{folder}/balanced')
    for name in ('cold', 'warm'):
      rows[name] = run_apart(
        'first_step', *setup, '--task=train', cwd=folder, env=env
      )
      shutil.rmtree(f'{folder}/run')
      shutil.copytree(f'{folder}/balanced', f'{folder}/run')
      print(
        f'start, compilation cache {name}: first step after '
        f'{rows[name]["first_step"]:.1f} s, imports before it '
        f'{rows[name]["imports"]:.1f} s',
        end='\n' if name == 'cold' else '',
      )
  share = rows['warm']['first_step'] / FIRST_STEP_SECONDS
  print(f' (asked: {FIRST_STEP_SECONDS:.0f} s, taken: {share:.2f} of it)')
  return rows


def first_step(arguments):
  """Runs a task in ./run; returns when the first step was done."""
  started = time.perf_counter()
  from aubal_jax import main

  main._prepare_environment()  # As the command does, before JAX is imported.
  import albumentations  # noqa: F401
  import jax  # noqa: F401
  import optax  # noqa: F401
  import orbax.checkpoint  # noqa: F401
  import tensorflow  # noqa: F401

  from aubal_jax import commands
  from aubal_jax import settings

  imported, seconds = time.perf_counter(), []
  config = settings.default()
  config.task, config.data.cache_dir = arguments.task, 'crops'
  config.data.num_train, config.data.num_validation = 512, 64
  config.data.num_test = 64
  config.model.name, config.data.image_size = arguments.model, arguments.side
  config.train.num_steps, config.train.log_every_steps = 2, 1
  path = pathlib.Path('run', 'metrics.jsonl')

  def watch():
    while not (path.exists() and path.stat().st_size):
      time.sleep(0.01)
    seconds.append(time.perf_counter() - imported)

  if arguments.task == 'train':
    threading.Thread(target=watch, daemon=True).start()
  commands.run_task(config, 'run', started=started)
  return {'imports': imported - started, 'first_step': sum(seconds)}


def memory(arguments):
  """Measures runs in memory and mapped."""
  rows = {}
  with tempfile.TemporaryDirectory() as folder:
    for name in ('mapped', 'held'):
      rows[name] = run_apart(
        'hold',
        f'--model={arguments.model}',
        f'--side={arguments.side}',
        f'--crops={arguments.crops}',
        f'--cache={folder if name == "mapped" else ""}',
        cwd=folder,
      )
  crops, state = arguments.crops * arguments.side**2, rows['mapped']['own']
  rows['crops'] = crops
  print(
    f'memory, mapped: {rows["mapped"]["peak"] / 1e9:.2f} GB, '
    f'{state / 1e9:.2f} GB of its own (asked: {MAPPED_BYTES / 1e9:.1f} GB, '
    f'taken: {state / MAPPED_BYTES:.2f} of it)'
  )
  print(
    f'memory, held: {rows["held"]["peak"] / 1e9:.2f} GB with '
    f'{arguments.crops:,} crops of {crops / 1e9:.2f} GB: '
    f'{(rows["held"]["own"] - state) / crops:.2f} times their size beside '
    f'the state (asked: {OF_CROPS}'
    + ('; of so few it tells nothing)' if crops < state / 4 else ')'),
    flush=True,
  )
  return rows


class Crops:
  """As much of a `Dataset` as a cache needs: files, each many times."""

  load_images = corners = None

  def __init__(self, folder, count, side):
    import cv2

    rng = np.random.default_rng(0)
    names = [f'{folder}/{k}.jpg' for k in range(min(count, 1000))]
    for name in names:
      small = rng.integers(0, 256, (9, 9), np.uint8)
      cv2.imwrite(name, cv2.resize(small, (side, side)))
    self.files = np.resize(names, count)

  def __len__(self):
    return len(self.files)


def own_bytes():
  """Returns what this process holds now, without mapped files; or None."""
  status = pathlib.Path('/proc/self/status')
  found = 0
  for line in status.read_text().splitlines() if status.exists() else ():
    if line.startswith(('RssAnon:', 'RssShmem:')):
      found += 1024 * int(line.split()[1])
  return found


def hold(arguments):
  """Reads crops and trains on them; returns the most memory it took."""
  import resource

  import jax

  from aubal_jax.batches import pipeline
  from aubal_jax.datasets import streams
  from aubal_jax.datasets import targets
  from aubal_jax.media import images
  from aubal_jax.media import store
  from aubal_jax.network import loop as loop_lib
  from aubal_jax.network import step as step_lib
  from aubal_jax.tables import plan

  most, done = [0], threading.Event()

  def watch():
    while not done.wait(0.02):
      most[0] = max(most[0], own_bytes())

  threading.Thread(target=watch, daemon=True).start()
  crops = Crops('.', arguments.crops, arguments.side)
  rows = np.arange(len(crops))
  pixels = images.Pixels(image_size=arguments.side)
  read, _ = store.open_images(crops, rows, pixels, cache_dir=arguments.cache)
  _, model, optimizer, step = bench_networks.make_ours(arguments.model)
  shape = arguments.side, arguments.side, 1
  labels = np.zeros((len(crops), bench_networks.LABELS), np.uint8)
  labels[::3] = 1
  target = targets.Target('binary', labels, labels < 2, (*'abcdefgh',))
  num_steps = 20
  loop_lib.train(
    step_lib.create_state(
      model,
      optimizer,
      jax.random.key(0),
      {'image': np.zeros((1, *shape), np.uint8)},
    ),
    step,
    pipeline.train_batches(
      plan.Plan(rows, np.ones(len(rows), bool), np.full(len(rows), -1), ()),
      [streams.of_images(read, shape)],
      {'labels': target},
      batch_size=64,
      seed=0,
      num_steps=num_steps,
    ),
    loop_lib.Cadence(num_steps),
  )
  done.set()
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
  return {'peak': peak, 'own': max(most[0], own_bytes())}


JOBS = {'steps': steps, 'start': start, 'memory': memory}
APART = {'first_step': first_step, 'hold': hold}


def main():
  """Runs all jobs, or in a process of its own a part of one."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--jobs', nargs='+', choices=JOBS, default=[*JOBS])
  parser.add_argument('--model', default='resnet18_112')
  parser.add_argument('--side', type=int, default=112, help='Of an image.')
  parser.add_argument('--repeats', type=int, default=5, help='Turns of each.')
  parser.add_argument('--seconds', type=float, default=3.0, help='Of a turn.')
  parser.add_argument('--crops', type=int, default=20_000)
  parser.add_argument('--json', help='Where the figures are written.')
  for name in ('--job', '--task', '--cache'):
    parser.add_argument(name, help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.job:
    print(json.dumps(APART[arguments.job](arguments)))
    return
  rows = {'cpus': os.cpu_count()}
  for name in arguments.jobs:
    rows[name] = JOBS[name](arguments)
  if arguments.json:
    pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=1))


if __name__ == '__main__':
  main()
