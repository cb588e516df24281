"""Balances every label file in a folder, and prints a table.

  python scripts/bench_balance.py DIR --json=balance.json

A file is an .npz with `labels` [N, L], or with `patterns` [S, L] and `counts`
[S] or [sources, S]. Raw lambda 70 and growth from 1 to 10. Each is solved
twice: `seconds` is the second time, `compile` the first time's difference.
"""

import argparse
import json
import pathlib
import time

import numpy as np

import aubal_jax as aubal

COLUMNS = (
  'set', 'images', 'labels', 'labelsets', 'value', 'gap', 'bound_distance',
  'added', 'steps', 'seconds', 'compile',
)  # fmt: skip


def labelsets_of(path):
  """Returns patterns and counts of a label file."""
  with np.load(path) as arrays:
    if 'patterns' in arrays:
      counts = arrays['counts']
      return arrays['patterns'], counts.sum(0) if counts.ndim == 2 else counts
    found = aubal.find_labelsets(arrays['labels'])
    return found.patterns, found.counts


def measure(path, optimizer, tol):
  """Returns a row of the table as a dict."""
  patterns, counts = labelsets_of(path)
  settings = {'lam_images': None, 'optimizer': optimizer, 'tol': tol}
  seconds = []
  for _ in range(2):
    start = time.perf_counter()
    found = aubal.solve(patterns, counts, **settings)
    seconds.append(time.perf_counter() - start)
  return {
    'set': path.stem,
    'images': found.images_before,
    'labels': patterns.shape[1],
    'labelsets': int((counts > 0).sum()),
    'value': found.value,
    'gap': found.gap,
    'bound_distance': found.rounded_value - found.lower_bound,
    'added': found.images_after - found.images_before,
    'steps': found.num_steps,
    'seconds': seconds[1],
    'compile': seconds[0] - seconds[1],
  }


def main():
  """Prints the table as it grows, and writes it as JSON."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('folder', type=pathlib.Path)
  parser.add_argument('--optimizer', default='adam')
  parser.add_argument('--tol', type=float, default=1e-5)
  parser.add_argument('--json', type=pathlib.Path)
  arguments = parser.parse_args()
  paths = sorted(arguments.folder.glob('*.npz'))
  if not paths:
    parser.error(f'{arguments.folder} holds no .npz file.')
  print('| ' + ' | '.join(COLUMNS) + ' |\n' + '|---' * len(COLUMNS) + '|')
  rows = []
  for path in paths:
    row = measure(path, arguments.optimizer, arguments.tol)
    cells = [
      f'{row[name]:.4g}' if name in ('gap', 'seconds', 'compile')
      else f'{row[name]:,.3f}' if isinstance(row[name], float)
      else f'{row[name]:,}' if isinstance(row[name], int)
      else str(row[name])
      for name in COLUMNS
    ]  # fmt: skip
    print('| ' + ' | '.join(cells) + ' |', flush=True)
    rows.append(row)
  if arguments.json:
    arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == '__main__':
  main()
