r"""What a training step costs, of the program compiled for N devices; usage:

  python scripts/inspect_step.py --config=configs/quickstart.py --devices=4
  python scripts/inspect_step.py --config=configs/paper.py --devices=8 \
      --config.train.batch_size=512 --json=step.json

No accelerator is needed, and nothing is trained: the step is compiled for N
devices of the host. All figures are of one device and one step. FLOPs and
bytes are those the compiler counts (a multiply and an add are two); beside
them stands a count of the convolutions by their shapes, forward and backward.
Memory is what the program reserves; what is donated is reused for the output.
Collectives are listed with what they are for: as the program asks for them,
and as compiled, where those that need not wait for each other are one.

The last lines are estimates, not measurements: the time no step can be faster
than, max(FLOPs / peak, bytes / bandwidth) + bytes sent / link, with nothing
overlapped and a ring all-reduce. Bytes are those of this host's program, its
activations taken as bfloat16.
"""

import collections
import dataclasses
import functools
import json
import math
import os
import pathlib
import re
import sys

from absl import app
from absl import flags
from ml_collections import config_flags

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Python file with get_config(), such as configs/paper.py.'
)
_DEVICES = flags.DEFINE_integer('devices', 4, 'Of one host.', lower_bound=1)
_LABELS = flags.DEFINE_integer(
  'labels', 0, "Number of labels; 0: data.label_columns', or 8."
)
_JSON = flags.DEFINE_string('json', None, 'Where the figures are written.')

# name -> peak of dense bfloat16 FLOP/s, memory bytes/s, link bytes/s of one
# device in one direction. NVIDIA A100 80GB SXM data sheet (312 TFLOPS, 2,039
# GB/s, NVLink 600 GB/s both ways); NVIDIA H100 SXM data sheet (989 TFLOPS
# without sparsity, 3.35 TB/s, NVLink 900 GB/s both ways); Google Cloud TPU v5e
# documentation (197 TFLOPS, 819 GB/s, interconnect 1,600 Gbit/s).
ACCELERATORS = {
  'A100': (312e12, 2.039e12, 300e9),
  'H100': (989e12, 3.35e12, 450e9),
  'TPU v5e': (197e12, 819e9, 200e9),
}
GRADIENT = 'mean of gradients'  # And of statistics not of the global batch.
_BYTES = {'f64': 8, 's64': 8, 'f32': 4, 's32': 4, 'u32': 4, 'bf16': 2, 'f16': 2}
_KINDS = 'all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute'
_COLLECTIVE = re.compile(
  rf'^\s*(?:ROOT )?%?(\S+) = (.*?) ({_KINDS})(?:-start)?\(', re.MULTILINE
)
_ARRAY = re.compile(r'\b([a-z]+\d*)\[([\d,]*)\]')


@dataclasses.dataclass(frozen=True)
class Collective:
  """One collective of a program.

  Attributes:
    kind: such as 'all-reduce'.
    parts: (reason, layer, bytes) of each array it carries; the layer is '' but
      for batch norm.
  """

  kind: str
  parts: tuple[tuple[str, str, int], ...]

  @property
  def size(self) -> int:
    """Bytes of a device that it reduces or moves."""
    return sum(size for *_, size in self.parts)


def _reason(op_name):
  """Returns what an operation of this name is for, and its layer."""
  *path, _ = op_name.split('/')
  scopes = [p for p in path if '(' not in p and p != 'shard_map']
  backward = 'transpose(' in op_name
  direction = 'backward' if backward else 'forward'
  if scopes and 'norm' in scopes[-1]:
    return f'batch norm, {direction}', '/'.join(scopes)
  if 'jvp()' in op_name:
    return f'loss sums, {direction}', ''
  if not scopes and 'jvp(' not in op_name:
    return GRADIENT, ''
  return 'other', '/'.join(scopes)


def find_collectives(hlo: str) -> list[Collective]:
  """Returns the collectives of a program, in its order.

  Args:
    hlo: the program as HLO text, with the names of operations as metadata.
  """
  found = []
  lines = hlo.splitlines()
  of_results = collections.defaultdict(dict)  # Combined: name by result.
  for line in lines:
    part = re.search(r'get-tuple-element\(%?([\w.\-]+)\), index=(\d+)', line)
    if part and (name := _op_name(line)):
      of_results[part[1]][int(part[2])] = name
  for line in lines:
    head = _COLLECTIVE.match(line)
    if head is None:
      continue
    result, shapes, kind = head.groups()
    sizes = [
      _BYTES.get(dtype, 1) * math.prod(map(int, filter(None, dims.split(','))))
      for dtype, dims in _ARRAY.findall(shapes)
    ]
    names = of_results[result]
    parts = tuple(
      (*_reason(names.get(k, _op_name(line))), size)
      for k, size in enumerate(sizes)
    )
    found.append(Collective(kind, parts))
  return found


def _op_name(line):
  """Returns the name JAX gave to what is on a line of HLO, or ''."""
  named = re.search(r'op_name="([^"]*)"', line)
  return named[1] if named else ''


def by_reason(collectives) -> dict[str, dict]:
  """Returns reasons -> number of collectives and their bytes.

  One that serves several reasons is counted under all of them, joined by +.
  """
  rows = {}
  for collective in collectives:
    reasons = ' + '.join(sorted({reason for reason, *_ in collective.parts}))
    row = rows.setdefault(f'{collective.kind}: {reasons}', [0, 0])
    row[0] += 1
    row[1] += collective.size
  return {key: {'number': n, 'bytes': size} for key, (n, size) in rows.items()}


def convolution_flops(model, image_shape) -> float:
  """Counts the FLOPs of a training step's convolutions by their shapes.

  What meets padding is left out, as the compiler does. The gradients of kernel
  and input cost as much as the convolution itself; the first one's input is
  the image, which needs none.

  Args:
    model: from `models.make_model`.
    image_shape: (B, H, W, C).
  """
  import flax.linen as nn
  import jax
  import jax.numpy as jnp

  forward = []

  def count(call, args, kwargs, context):
    y = call(*args, **kwargs)
    module = context.module
    if isinstance(module, nn.Conv):
      taps = [
        _taps(side, kernel, stride, module.padding)
        for side, kernel, stride in zip(
          args[0].shape[1:3], module.kernel_size, module.strides, strict=True
        )
      ]
      channels = args[0].shape[-1] * y.shape[-1]
      forward.append(2.0 * len(y) * channels * math.prod(taps))
    return y

  with nn.intercept_methods(count):
    streams = {'image': jax.ShapeDtypeStruct(image_shape, jnp.float32)}
    jax.eval_shape(model.init, jax.random.key(0), streams)
  return 3 * sum(forward) - forward[0]


def _taps(side, kernel, stride, padding):
  """Returns how often a kernel meets a pixel along a side, padding left out."""
  starts = range(-padding, side + padding - kernel + 1, stride)
  return sum(min(start + kernel, side) - max(start, 0) for start in starts)


def lower(config, num_labels):
  """Returns the model, and the training step lowered for all devices."""
  import jax
  import numpy as np

  from aubal_jax import settings as settings_lib
  from aubal_jax.batches import augment_device
  from aubal_jax.batches import draws
  from aubal_jax.datasets import targets
  from aubal_jax.network import bundle
  from aubal_jax.network import heads
  from aubal_jax.network import losses
  from aubal_jax.network import step as step_lib

  zeros = np.zeros((1, num_labels), np.uint8)
  names = tuple(map(str, range(num_labels)))
  labels = targets.Target('binary', zeros, zeros == 0, names)
  description = bundle.describe(config, {bundle.LABELS: labels})
  model, optimizer = bundle.make_network(
    description,
    learning_rate=config.train.learning_rate,
    clip_norm=config.train.clip_norm,
    remat=config.train.remat,
    sync_batch_norm=config.model.sync_batch_norm,
  )
  on_device = config.augment.backend == 'device'
  settings = draws.Settings(
    **settings_lib.arguments(config.augment, draws.OPTIONS)
  )
  loss = losses.make_loss(
    config.loss.name,
    weights=config.loss.weights,
    frequency=np.full(num_labels, 0.5),
    counts=np.ones(num_labels),
  )
  step = step_lib.make_train_step(
    model,
    optimizer,
    heads.make_objective(description.heads, {bundle.LABELS: loss}),
    ema_decay=config.train.ema_decay,
    augment=functools.partial(augment_device.augment_images, settings=settings),
  )
  state = jax.eval_shape(
    lambda: bundle.first_state(model, optimizer, description)
  )
  size = config.train.batch_size
  shapes = {
    'image': ((size, *description.pixels.shape), np.uint8),
    'labels': ((size, num_labels), np.uint8),
    'labels_known': ((size, num_labels), np.bool_),
  }
  if on_device:
    shapes['augment'] = (size, augment_device.NUM_WORDS), np.uint32
  batch = {k: jax.ShapeDtypeStruct(*v) for k, v in shapes.items()}
  count = len(step.devices)
  shards = {
    k: jax.ShapeDtypeStruct((count, len(x) // count, *x.shape[1:]), x.dtype)
    for k, x in batch.items()
  }
  return model, jax.jit(step.run, donate_argnums=0).lower(state, shards)


def measure(config, num_labels) -> dict:
  """Returns the figures of one device and step, as JSON types."""
  import jax
  import jax.numpy as jnp

  model, lowered = lower(config, num_labels)
  compiled = lowered.compile()
  cost, memory = compiled.cost_analysis(), compiled.memory_analysis()
  num_devices = jax.device_count()
  share = config.train.batch_size // num_devices
  side, channels = config.data.image_size, config.data.channels
  asked = find_collectives(lowered.as_text('hlo', debug_info=True))
  collectives = find_collectives(compiled.as_text())
  layers = {
    layer for c in asked for reason, layer, _ in c.parts if 'norm' in reason
  }
  row = {
    'jax': jax.__version__,
    'model': config.model.name,
    'devices': num_devices,
    'batch_size': config.train.batch_size,
    'flops': cost['flops'],
    'convolution_flops': convolution_flops(
      model, (share, side, side, channels)
    ),
    'bytes_accessed': cost['bytes accessed'],
    'arguments': memory.argument_size_in_bytes,
    'outputs': memory.output_size_in_bytes,
    'donated': memory.alias_size_in_bytes,
    'temporaries': memory.temp_size_in_bytes,
    'norm_layers': len(layers),
    'asked': by_reason(asked),
    'compiled': by_reason(collectives),
    'collectives': [
      {'kind': c.kind, 'bytes': c.size, 'of': sorted({p[:2] for p in c.parts})}
      for c in collectives
    ],
    'collective_bytes': sum(c.size for c in collectives),
  }
  row['peak_memory'] = (
    row['arguments'] + row['outputs'] - row['donated'] + row['temporaries']
  )
  # The state, read and written, stays float32 on accelerators.
  moved = 2 * row['donated'] + max(
    row['bytes_accessed'] - 2 * row['donated'], 0
  ) / (2 if model.dtype == jnp.float32 else 1)
  row['estimates'] = {
    name: estimate(row['flops'], moved, row['collective_bytes'], num_devices, a)
    for name, a in ACCELERATORS.items()
  }
  return row


def estimate(flops, moved, reduced, num_devices, accelerator) -> dict:
  """Returns the least seconds of a step on an accelerator, and of its parts.

  Args:
    flops: of one device.
    moved: bytes from and to its memory.
    reduced: bytes of its collectives.
    num_devices: that take part in these.
    accelerator: a row of `ACCELERATORS`.
  """
  peak, bandwidth, link = accelerator
  # A ring sends all but one share twice: to reduce, and to gather.
  sent = 2 * (num_devices - 1) / num_devices * reduced
  parts = {'flops': flops / peak, 'memory': moved / bandwidth}
  seconds = max(parts.values()) + sent / link
  return {**parts, 'collectives': sent / link, 'seconds': seconds}


def tell(row) -> None:
  """Prints the figures of `measure`."""
  for name, value, note in (
    ('FLOPs', row['flops'] / 1e9, 'GFLOP, by the compiler'),
    ('of convolutions', row['convolution_flops'] / 1e9, 'GFLOP, by shapes'),
    ('bytes accessed', row['bytes_accessed'] / 1e6, 'MB, by the compiler'),
    ('arguments', row['arguments'] / 1e6, 'MB: state and batch'),
    ('outputs', row['outputs'] / 1e6, 'MB'),
    ('donated', row['donated'] / 1e6, 'MB of the arguments, for the outputs'),
    ('temporaries', row['temporaries'] / 1e6, 'MB'),
    ('peak memory', row['peak_memory'] / 1e6, 'MB, the above together'),
  ):
    print(f'| {name} | {value:,.4g} | {note} |')
  for title, key in (('asked for', 'asked'), ('as compiled', 'compiled')):
    total = sum(r['number'] for r in row[key].values())
    print(f'\n| collectives {title} | {total} | bytes |\n|---|---|---|')
    for reason, cells in row[key].items():
      print(f'| {reason} | {cells["number"]} | {cells["bytes"]:,} |')
  print(
    f'\nGlobal batch norm, in {row["norm_layers"]} layers: an all-reduce of '
    'mean and square forward, and one of their gradients backward. Those of a '
    'shortcut and of the layer beside it can be one; the others wait for the '
    'layer before. Loss: its sums forward, their gradients backward. '
    'Gradients: most go in one all-reduce at the end; what the compiler adds '
    'to an earlier one, or leaves to a later one, is small.\n'
  )
  images = row['batch_size']
  for name, parts in row['estimates'].items():
    print(
      f'{name} (estimate): at least {1e3 * parts["seconds"]:.2f} ms a step, at '
      f'most {images / parts["seconds"]:,.0f} images/s; FLOPs '
      f'{1e3 * parts["flops"]:.2f} ms, memory {1e3 * parts["memory"]:.2f} ms, '
      f'collectives {1e3 * parts["collectives"]:.2f} ms'
    )


def main(argv) -> None:
  """Compiles the step and prints what it is made of."""
  del argv
  if _CONFIG.value is None:
    raise app.UsageError('--config is missing, such as configs/quickstart.py.')
  # Before JAX starts: its devices are counted once.
  os.environ['JAX_PLATFORMS'] = 'cpu'
  os.environ['XLA_FLAGS'] = ' '.join(
    (
      os.environ.get('XLA_FLAGS', ''),
      f'--xla_force_host_platform_device_count={_DEVICES.value}',
    )
  )
  config = _CONFIG.value
  if config.train.batch_size % _DEVICES.value:
    raise app.UsageError(
      f'train.batch_size={config.train.batch_size} is not a multiple of '
      f'--devices={_DEVICES.value}.'
    )
  num_labels = _LABELS.value or len(config.data.label_columns) or 8
  row = measure(config, num_labels)
  print(
    f'{row["model"]}, batch {row["batch_size"]} over {row["devices"]} devices '
    f'(jax {row["jax"]}); of one device and step:\n\n| | | |\n|---|---|---|'
  )
  tell(row)
  if _JSON.value:
    pathlib.Path(_JSON.value).write_text(json.dumps(row, indent=1))


def run():
  """Runs the script; --help ends well, where absl's would not."""
  asks = any(argument.startswith('--help') for argument in sys.argv)
  try:
    app.run(main)
  except SystemExit as end:
    raise SystemExit(0 if asks else end.code) from None


if __name__ == '__main__':
  run()
