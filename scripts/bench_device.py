"""Measures training and the solver on an accelerator, within six minutes.

  python scripts/bench_device.py --json=device.json
  python scripts/bench_device.py --coco=coco80.npz --seconds=330
  JAX_PLATFORMS=cpu python scripts/bench_device.py --small

It needs jax, flax, optax and NumPy alone. What no longer fits into --seconds is
skipped, and said to be; what runs out of memory is a row that says so.

`peak`: what a large matrix product and a large sum reach, beside the data
sheet's figures where the kind of device is known. `gradient`: that of the
compiled step, against float64 on the CPU; and how far images that are augmented
here are from those of the CPU. `step`: the training step as the trainer
compiles it, augmentation on the device included, batches at hand there; FLOPs
by the program before it is compiled (convolutions are calls of a library
after), bytes by the compiled one; `share` is the least time that either takes
at the peaks, over what the step takes. `torch`: PyTorch 2 (compiled,
channels_last, bfloat16), where it is installed, beside the same step of ours;
neither augments. `solver`: `ipm` on the device and on the CPU, compilation left
out.
"""

import argparse
import contextlib
import functools
import importlib.util
import json
import math
import pathlib
import time
from typing import Any

import bench_balance
import bench_networks
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

# Kind of device -> peak FLOP/s of dense products in bfloat16 and in float32 as
# JAX takes them (TF32 on NVIDIA), bytes/s of its memory. NVIDIA data sheets of
# A100 80GB SXM, H100 SXM, H200 SXM; documentation of Google Cloud TPU.
SHEETS = {
  'NVIDIA A100-SXM4-80GB': (312e12, 156e12, 2.039e12),
  'NVIDIA H100 80GB HBM3': (989e12, 494e12, 3.35e12),
  'NVIDIA H200': (989e12, 494e12, 4.8e12),
  'TPU v4': (275e12, 275e12, 1.2e12),
  'TPU v5 lite': (197e12, 197e12, 0.819e12),
}
DTYPES = ('bfloat16', 'float32')
GRADIENT_BATCH = 8
# So many seconds the first of a kind is thought to take.
FIRST = {'peak': 20, 'gradient': 60, 'step': 40, 'solver': 30, 'torch': 60}
LARGE, SMALL = (
  {
    'model': 'resnet18_112',
    'side': 112,
    'steps': [(b, dtype) for b in (256, 1024) for dtype in DTYPES],
    'last': [(b, dtype) for b in (64, 4096) for dtype in DTYPES],
    'product': 8192,
    'sum': 1 << 29,
    'measured': 1.0,
    'torch': (1024,),
    'solver': {
      'like coco80': (20_000, 80, 2.9, 0, None, 1e-8),
      '1M x 1,000': bench_balance.MADE_UP['1M x 1,000'],
    },
  },
  {
    'model': 'bench_device:Tiny',
    'side': 16,
    'steps': [(4, 'bfloat16')],
    'last': [],
    'product': 64,
    'sum': 1 << 12,
    'measured': 0.0,
    'torch': (),
    'solver': {'300 x 12': (300, 12, 2.5, 0, None, 1e-6)},
  },
)


class Tiny(nn.Module):
  """A convolution, for --small: the networks of the package compile longer."""

  axis_name: str | None = None
  dtype: Any = jnp.float32
  param_dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, image, *, train=False):
    """Returns features float[B, 8] of images [B, H, W, C]."""
    dtypes = {'dtype': self.dtype, 'param_dtype': self.param_dtype}
    x = nn.Conv(8, (3, 3), (2, 2), use_bias=False, **dtypes)(image)
    x = nn.BatchNorm(not train, axis_name=self.axis_name, **dtypes)(x)
    x = nn.relu(x).mean((1, 2))
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


class Budget:
  """The seconds there are, and what the parts took.

  Attributes:
    rows: of all parts, in their order.
  """

  def __init__(self, seconds):
    self.rows, self._end = [], time.perf_counter() + seconds
    self._longest = dict(FIRST)

  @contextlib.contextmanager
  def part(self, kind, **about):
    """Yields the row of a part; None where there is no time for it."""
    left, needed = self._end - time.perf_counter(), self._longest[kind]
    row = {'kind': kind, **about}
    self.rows.append(row)
    if left < needed:
      row['skipped'] = f'{left:.0f} s are left, and it may take {needed:.0f} s'
      tell(row)
      yield None
      return
    start = time.perf_counter()
    try:
      yield row
    except Exception as error:  # Of memory, mostly; the rest goes on.
      row['failed'] = f'{type(error).__name__}: {str(error)[:300]}'
    row['took'] = time.perf_counter() - start
    self._longest[kind] = 1.2 * row['took']
    tell(row)


def tell(row):
  """Prints a row in a line."""
  shown = {k: f'{v:.4g}' if isinstance(v, float) else v for k, v in row.items()}
  word = next((w.upper() for w in ('skipped', 'failed') if w in row), '')
  print(word, *(f'{k}={v}' for k, v in shown.items()), flush=True)


def seconds_of(once, least):
  """Returns the seconds of one call, of as many as take `least` seconds.

  Args:
    once: begins it, and returns what is waited for.
    least: seconds.
  """
  jax.block_until_ready(once())
  count = 1
  while True:
    start = time.perf_counter()
    for _ in range(count):
      last = once()
    jax.block_until_ready(last)
    seconds = time.perf_counter() - start
    if seconds >= least:
      return seconds / count
    count = max(2 * count, math.ceil(1.1 * count * least / max(seconds, 1e-6)))


def measure_peaks(row, size):
  """Adds FLOP/s of products and bytes/s of a sum; returns those to share."""
  side, least = size['product'], size['measured']
  rng = np.random.default_rng(0)
  values = rng.standard_normal((side, side), np.float32)
  found = {}
  for dtype in DTYPES:
    a = jnp.asarray(values, dtype)
    product = jax.jit(jnp.matmul)
    seconds = seconds_of(functools.partial(product, a, a), least)
    found[dtype] = 2 * side**3 / seconds
  x = jnp.ones(size['sum'], jnp.float32)
  add = jax.jit(lambda x: x + 1)
  seconds = seconds_of(functools.partial(add, x), least)
  found['bandwidth'] = 2 * x.nbytes / seconds
  row |= {f'measured_{name}': rate for name, rate in found.items()}
  sheet = SHEETS.get(jax.devices()[0].device_kind)
  if sheet:
    found = dict(zip((*DTYPES, 'bandwidth'), sheet, strict=True))
  row |= {f'peak_{name}': float(rate) for name, rate in found.items()}
  return found


def make_batch(count, side, *, augmented):
  """Returns a batch as the pipeline makes it."""
  from aubal_jax.batches import augment_device
  from aubal_jax.batches import draws

  batch = bench_networks.make_batch(count, side)
  if augmented:
    drawn = draws.draw(
      draws.Settings(), seed=0, epochs=0, rows=np.arange(count)
    )
    batch['augment'] = augment_device.pack(drawn, count, np.ones(count, bool))
  return batch


@functools.cache
def first_state(model_name, side):
  """Returns the state before the first step, on the host: compiled once."""
  from aubal_jax.network import step as step_lib

  _, model, optimizer, _ = bench_networks.make_ours(model_name)
  image = np.zeros((1, side, side, 1), np.uint8)
  state = step_lib.create_state(
    model, optimizer, jax.random.key(0), {'image': image}
  )
  return jax.device_get(state)


def make_step(model_name, side, dtype, *, devices, wide=False):
  """Returns a state and the step as the trainer makes them.

  Args:
    model_name: of the network.
    side: of the images.
    dtype: of the arithmetic, and in float64 of the parameters.
    devices: one JAX device, in a list.
    wide: sgd at rate 1, so that a step is the gradient.
  """
  from aubal_jax.batches import augment_device
  from aubal_jax.batches import draws

  options = {'dtype': dtype}
  if dtype == jnp.float64:
    options['param_dtype'] = dtype
  augment = functools.partial(
    augment_device.augment_images, settings=draws.Settings()
  )
  _, _, optimizer, step = bench_networks.make_ours(
    model_name,
    ('sgd', 1.0) if wide else ('adam', 1e-4),
    options,
    augment=augment,
    devices=devices,
  )
  state = first_state(model_name, side)
  if dtype == jnp.float64:
    state = jax.tree.map(widened, state)
  if wide:
    state = state.replace(opt_state=optimizer.init(state.params))
  return state, step


def gradient(state, step, batch):
  """Returns the gradient by which a step of rate 1 moves parameters."""
  after, _ = step.run(step.place(state), step.shard(batch))
  return jax.tree.map(
    lambda a, b: np.asarray(a, np.float64) - np.asarray(b, np.float64),
    jax.device_get(state.params),
    jax.device_get(after.params),
  )


def norm(tree):
  """Returns the Euclidean norm of all numbers."""
  return math.sqrt(sum(float((x**2).sum()) for x in jax.tree.leaves(tree)))


def measure_gradient(row, size):
  """Adds how far the compiled gradient is from float64 on the CPU, by dtype."""
  cpu, device = jax.devices('cpu')[:1], jax.devices()[:1]
  batch = make_batch(GRADIENT_BATCH, size['side'], augmented=True)
  images = [augmented(batch, where) for where in (cpu[0], device[0])]
  off = np.abs(images[0].astype(int) - images[1])
  row['augment_most_off'] = int(off.max())
  row['augment_mean_off'] = float(off.mean())
  batch = {**batch, 'image': images[0]}
  del batch['augment']
  make = functools.partial(make_step, size['model'], size['side'], wide=True)
  with jax.enable_x64(True):
    exact = gradient(*make(jnp.float64, devices=cpu), batch)
  for dtype in DTYPES:
    found = gradient(*make(jnp.dtype(dtype), devices=device), batch)
    off = jax.tree.map(np.subtract, found, exact)
    row[f'{dtype}_off'] = norm(off) / norm(exact)
    row[f'{dtype}_layer_off'] = max(
      norm(off[layer]) / norm(exact[layer]) for layer in exact
    )


def augmented(batch, device):
  """Returns the images of a batch, augmented on a device."""
  from aubal_jax.batches import augment_device
  from aubal_jax.batches import draws

  run = jax.jit(
    functools.partial(augment_device.augment_images, settings=draws.Settings())
  )
  mask = np.ones(len(batch['image']), bool)
  with jax.default_device(device):
    return np.asarray(run(batch['image'], batch['augment'], mask))


def widened(x):
  """Returns a float32 array as float64, anything else as it is."""
  return x.astype(np.float64) if x.dtype == np.float32 else x


def measure_step(row, size, peaks, *, is_augmented=True):
  """Adds images/s, the share of the roofline, memory and compile seconds."""
  device, count, dtype = jax.devices()[:1], row['batch'], row['dtype']
  state, step = make_step(
    size['model'], size['side'], jnp.dtype(dtype), devices=device
  )
  batch = make_batch(count, size['side'], augmented=is_augmented)
  state, batch = step.place(state), jax.device_put(step.shard(batch), device[0])
  start = time.perf_counter()
  lowered = step.run.lower(state, batch)
  compiled = lowered.compile()
  row['compile_seconds'] = time.perf_counter() - start
  row['flops'] = lowered.cost_analysis()['flops']
  row['bytes'] = compiled.cost_analysis().get('bytes accessed', 0.0)
  memory = compiled.memory_analysis()
  row['program_gb'] = (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    - memory.alias_size_in_bytes
    + memory.temp_size_in_bytes
  ) / 1e9

  def once():
    nonlocal state
    state, metrics = compiled(state, batch)
    return metrics

  seconds = seconds_of(once, size['measured'])
  if not bool(np.all(once()['finite'])):
    raise FloatingPointError('The step made numbers that are not finite.')
  held = (device[0].memory_stats() or {}).get('peak_bytes_in_use')
  row['most_held_gb'] = held / 1e9 if held else None
  row['images_per_second'] = count / seconds
  if peaks:
    row['flops_share'] = row['flops'] / seconds / peaks[dtype]
    row['bytes_share'] = row['bytes'] / seconds / peaks['bandwidth']
    row['share'] = max(row['flops_share'], row['bytes_share'])


def measure_torch(row, size):
  """Adds images/s of PyTorch: compiled, channels_last, bfloat16."""
  import torch

  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  batch = bench_networks.make_batch(row['batch'], size['side'])
  once = bench_networks.torch_on(size['model'], device, batch)
  start = time.perf_counter()
  once()
  row['compile_seconds'] = time.perf_counter() - start
  row |= {'version': torch.__version__, 'device': device}

  def waited():
    once()
    if device == 'cuda':
      torch.cuda.synchronize()

  seconds = seconds_of(waited, size['measured'])
  row['images_per_second'] = row['batch'] / seconds


def measure_solver(row, patterns, counts, tol):
  """Adds value, gap, steps and seconds of `ipm` on the row's platform."""
  from aubal_jax.balancing import solve as solve_lib

  with jax.default_device(jax.devices(row['platform'])[0]):
    solution = solve_lib.solve(
      patterns, counts, optimizer='ipm', tol=tol, lam_images=None
    )
  row |= {
    'labelsets': len(counts),
    'value': solution.value,
    'gap': solution.gap,
    'steps': solution.num_steps,
    'seconds': solution.seconds,
    'compile_seconds': solution.seconds_compile,
  }


def solvers(budget, size, coco):
  """Solves each problem on the device, then on the CPU."""
  for name, (*made, tol) in size['solver'].items():
    if coco and 'coco' in name:
      name, problem = 'coco80', bench_balance.load(coco)
    else:
      problem = bench_balance.made_up(*made)
    for platform in dict.fromkeys((jax.default_backend(), 'cpu')):
      with budget.part('solver', set=name, platform=platform) as row:
        if row is not None:
          measure_solver(row, *problem, tol)


def measure(seconds, size, coco=None):
  """Returns what was found, as JSON has it."""
  budget, peaks = Budget(seconds), None
  with budget.part('peak') as row:
    if row is not None:
      peaks = measure_peaks(row, size)
  with budget.part('gradient', batch=GRADIENT_BATCH) as row:
    if row is not None:
      measure_gradient(row, size)
  steps(budget, size, peaks, size['steps'])
  solvers(budget, size, coco)
  beside_torch(budget, size, peaks)
  steps(budget, size, peaks, size['last'])
  return {
    'device': jax.devices()[0].device_kind,
    'platform': jax.default_backend(),
    'jax': jax.__version__,
    'model': size['model'],
    'rows': budget.rows,
  }


def steps(budget, size, peaks, wanted):
  """Measures the step for each batch size and dtype, while there is time."""
  for batch, dtype in wanted:
    with budget.part('step', batch=batch, dtype=dtype) as row:
      if row is not None:
        measure_step(row, size, peaks)


def beside_torch(budget, size, peaks):
  """Has PyTorch and ours do the same step, without augmentation."""
  if not importlib.util.find_spec('torch'):
    print('torch: not installed.')
    return
  for batch in size['torch']:
    about = {'batch': batch, 'dtype': 'bfloat16', 'augmented': False}
    with budget.part('step', **about) as row:
      if row is not None:
        measure_step(row, size, peaks, is_augmented=False)
    with budget.part('torch', **about) as row:
      if row is not None:
        measure_torch(row, size)


def main():
  """Measures all there is time for, and writes it."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--seconds', type=float, default=330.0)
  parser.add_argument('--small', action='store_true', help='seconds, for CPUs')
  parser.add_argument('--coco', help='coco80.npz, instead of one of its size')
  parser.add_argument('--json', type=pathlib.Path)
  args = parser.parse_args()
  found = measure(args.seconds, SMALL if args.small else LARGE, args.coco)
  if args.json:
    args.json.write_text(json.dumps(found, indent=1))


if __name__ == '__main__':
  main()
