r"""Times a network in the runtimes that its exports are for.

  python scripts/bench_export.py --json=export.json
  python scripts/bench_export.py --model=mobilenet_v2 --side=224 --channels=3

Weights are drawn: they decide no time. `JAX` is the compiled prediction of the
task predict, on one device of the CPU; `ONNX Runtime` and `OpenCV` read the
exported ONNX file, as `StableHLO` does that file; PyTorch, where it is
installed, runs the same network written there (ResNets of basic blocks). All
take bytes and return probabilities, in one process, and take turns, --repeats
times. Seconds are medians of the turns, ratios the medians of the ratios of
each turn. What the files differ by from JAX is told, too.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import bench_networks

BATCHES = (1, 32)


def draw_bundle(name, side, channels):
  """Returns a `Bundle` as it would be after training, but of drawn weights."""
  import jax

  from aubal_jax.media import images
  from aubal_jax.network import bundle
  from aubal_jax.network import heads

  labels = tuple(f'label {k}' for k in range(bench_networks.LABELS))
  description = bundle.Description(
    heads=(heads.Head(bundle.LABELS, 'binary', labels, 'bce'),),
    pixels=images.Pixels(image_size=side, channels=channels),
    model={'name': name, 'stem': '7x7', 'momentum': 0.9},
    dtype='float32',
    optimizer='adam',
    averaged=False,
  )
  model, optimizer = bundle.make_network(description)
  state = bundle.first_state(model, optimizer, description)
  weights = jax.tree.map(np.asarray, (state.params, state.batch_stats))
  return bundle.Bundle(description, 0, 'latest', *weights, {})


def runtimes(trained, arguments):
  """Returns name -> function of images, and name -> difference from JAX."""
  import jax

  from aubal_jax.serving import formats

  predict = trained.make_predict(jax.local_devices(backend='cpu')[:1])
  found = {'JAX': lambda x: np.asarray(predict({'image': x})['labels'])}
  for kind in ('onnx', 'stablehlo'):
    form = formats.FORMATS[kind]
    readers = form.readers(form.make(trained, {}), trained)
    for name, run in readers.items():
      name = 'StableHLO' if kind == 'stablehlo' else name
      found[name] = lambda x, run=run: np.asarray(run(x)['labels'])
  shape = (8, *trained.description.pixels.shape)
  images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  wanted = found['JAX'](images)
  apart = {k: float(np.abs(f(images) - wanted).max()) for k, f in found.items()}
  basic = arguments.model.startswith(('resnet8', 'resnet18', 'resnet34'))
  if importlib.util.find_spec('torch') and basic and arguments.channels == 1:
    make = bench_networks.torch(arguments.model, arguments.side)
    ready = {n: make('inference', {'image': batch(n, shape)}) for n in BATCHES}
    found['PyTorch'] = lambda x: ready[len(x)]()
  return found, apart


def batch(size, shape):
  """Returns a batch of random images."""
  rng = np.random.default_rng(size)
  return rng.integers(0, 256, (size, *shape[1:]), np.uint8)


def seconds_of(run, images, least) -> float:
  """Returns the median seconds of a call, of as many as take `least`."""
  times, end = [], time.perf_counter() + least
  while len(times) < 2 or time.perf_counter() < end:
    start = time.perf_counter()
    run(images)
    times.append(time.perf_counter() - start)
  return statistics.median(times)


def measure(found, shape, arguments) -> list[dict]:
  """Returns a row for each runtime and size of batch; prints them."""
  rows = []
  for size in BATCHES:
    images = batch(size, shape)
    for run in found.values():
      run(images)  # Compiles, and warms up.
    turns = [
      {
        k: seconds_of(run, images, arguments.seconds)
        for k, run in found.items()
      }
      for _ in range(arguments.repeats)
    ]
    for name in found:
      rows.append(
        {
          'batch': size,
          'runtime': name,
          'images_per_second': size / statistics.median(t[name] for t in turns),
          'times_jax': statistics.median(t['JAX'] / t[name] for t in turns),
        }
      )
      print('| {} | {} | {:,.1f} | {:.2f} |'.format(*rows[-1].values()))
  return rows


def main():
  """Measures, and prints a table."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--model', default='resnet18_112')
  parser.add_argument('--side', type=int, default=112, help='of images')
  parser.add_argument('--channels', type=int, default=1, choices=(1, 3))
  parser.add_argument('--seconds', type=float, default=2.0, help='of a turn')
  parser.add_argument('--repeats', type=int, default=5, help='turns')
  parser.add_argument('--json', help='file for the figures')
  arguments = parser.parse_args()
  busy = os.getloadavg()[0]
  if busy > 0.5:
    print(f'The machine is not idle (load {busy:.1f}): the ratios mean little.')
  trained = draw_bundle(arguments.model, arguments.side, arguments.channels)
  found, apart = runtimes(trained, arguments)
  if 'PyTorch' not in found:
    print('PyTorch is not installed, or not of this network: it is left out.')
  for name, value in apart.items():
    print(f'{name}: probabilities differ from JAX by at most {value:.1e}')
  print('| batch | runtime | images/s | times JAX |\n|---|---|---|---|')
  shape = (1, *trained.description.pixels.shape)
  rows = measure(found, shape, arguments)
  if arguments.json:
    content = {'rows': rows, 'differences': apart, 'load': busy}
    pathlib.Path(arguments.json).write_text(json.dumps(content, indent=1))


if __name__ == '__main__':
  main()
