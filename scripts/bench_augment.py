"""Times the six augmentations: 112 x 112 images, all six each.

The host's on one core; the device's, in batches of 64, on what JAX finds.

python scripts/bench_augment.py
"""

import argparse
import functools
import time

import jax
import numpy as np

from aubal_jax.batches import augment
from aubal_jax.batches import augment_device
from aubal_jax.batches import draws

_BATCH = 64
_SETTINGS = draws.Settings()


def on_host(images, epoch):
  """Draws the parameters and makes the images, by albumentations."""
  rows = np.arange(len(images))
  drawn = draws.draw(_SETTINGS, seed=0, epochs=epoch, rows=rows)
  augment.augment(images, drawn)


def on_device(images, epoch, *, function):
  """Draws and packs the parameters on the host, makes images on the device."""
  chosen = np.ones(_BATCH, bool)
  made = []
  for start in range(0, len(images), _BATCH):
    rows = np.arange(start, start + _BATCH)
    drawn = draws.draw(_SETTINGS, seed=0, epochs=epoch, rows=rows)
    packed = augment_device.pack(drawn, _BATCH, chosen)
    made.append(function(images[start : start + _BATCH], packed, chosen))
  jax.block_until_ready(made)


def seconds(make, images):
  """Returns the best time of five, after one that compiles."""
  make(images, 0)
  times = []
  for epoch in range(5):
    start = time.perf_counter()
    make(images, epoch)
    times.append(time.perf_counter() - start)
  return min(times)


def main():
  """Prints microseconds an image and images a second, host and device."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--images', type=int, default=512)
  num = -(-parser.parse_args().images // _BATCH) * _BATCH  # Whole batches.
  function = jax.jit(
    functools.partial(augment_device.augment_images, settings=_SETTINGS)
  )
  device = functools.partial(on_device, function=function)
  name = jax.devices()[0].device_kind
  rng = np.random.default_rng(0)
  for channels in (1, 3):
    images = rng.integers(0, 256, (num, 112, 112, channels), np.uint8)
    host = seconds(on_host, images)
    for where, spent in (('host', host), (name, seconds(device, images))):
      print(
        f'{channels} channel(s), {where}: {1e6 * spent / num:.0f} us an image,'
        f' {num / spent:,.0f} images/s, {host / spent:.2f} times the host'
      )


if __name__ == '__main__':
  main()
