"""Times the six augmentations on one core: 112 x 112 images, all six each.

python scripts/bench_augment.py
"""

import argparse
import time

import numpy as np

from aubal_jax.data import augment


def main():
  """Prints microseconds an image and images a second, the best of five."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--images', type=int, default=512)
  num = parser.parse_args().images
  rng = np.random.default_rng(0)
  for channels in (1, 3):
    images = rng.integers(0, 256, (num, 112, 112, channels), np.uint8)
    best = np.inf
    for epoch in range(5):
      start = time.perf_counter()
      drawn = augment.draw(
        augment.Settings(), seed=0, epochs=epoch, rows=np.arange(num)
      )
      augment.augment(images, drawn)
      best = min(best, time.perf_counter() - start)
    print(
      f'{channels} channel(s): {1e6 * best / num:.0f} us an image, '
      f'{num / best:,.0f} images/s'
    )


if __name__ == '__main__':
  main()
