"""Measures what a frontier of 30 points costs beside one solve.

  python scripts/bench_frontier.py labels.npz

The file holds `labels` [N, L], 0/1. Raw lambda 70, growth from 1 to 10. Each is
done twice, the second time counts, so compiling is left out of both.
"""

import argparse
import pathlib
import time

import numpy as np

import aubal_jax as aubal


def seconds_of(function):
  """Returns seconds of the second call, and what it returned."""
  function()
  start = time.perf_counter()
  found = function()
  return time.perf_counter() - start, found


def main():
  """Prints a line for each kind of frontier."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('path', type=pathlib.Path)
  parser.add_argument('--optimizer', default='ipm')
  parser.add_argument('--points', type=int, default=30)
  arguments = parser.parse_args()
  with np.load(arguments.path) as arrays:
    labelsets = aubal.find_labelsets(arrays['labels'])
  settings = {'lam_images': None, 'optimizer': arguments.optimizer}
  cold, _ = seconds_of(
    lambda: aubal.solve(labelsets.patterns, labelsets.counts, **settings)
  )
  print(f'one solve: {cold:.2f} s')
  for over in ('budget', 'lam'):
    seconds, found = seconds_of(
      lambda over=over: aubal.frontier(
        labelsets, over=over, num_points=arguments.points, **settings
      )
    )
    print(
      f'{len(found)} points over {over}: {seconds:.2f} s, {seconds / cold:.1f} '
      f'solves; largest gap {found.gap.max():.1e}'
    )


if __name__ == '__main__':
  main()
