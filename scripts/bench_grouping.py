"""Groups equal rows of drawn label tables, and prints a table of ratios.

  python scripts/bench_grouping.py --json=grouping.json
  python scripts/bench_grouping.py --scale=0.01 --repeats=2

Three tables: 10M x 8 and 1M x 80 dense, 1M x 1,000 sparse with 4.5 labels a
row, nearly all rows distinct. `seconds` is the best of --repeats, the check
for 0 and 1 included. `unique` is numpy.unique(axis=0) with index and counts,
`pandas` a groupby's ngroup and size: the best of --rival_repeats in the same
run, divided by ours. `memory` is the most that grouping allocates in a fresh
process, its result counted in, as a multiple of the table; `resident` is the
same as the system sees it, with what the allocator keeps, where there is /proc.
"""

import argparse
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import tracemalloc

import numpy as np
from scipy import sparse

import aubal_jax as aubal

COLUMNS = (
  'table', 'rows', 'labels', 'labelsets', 'seconds', 'unique', 'pandas',
  'memory', 'resident',
)  # fmt: skip


def dense_table(rng, num_rows, num_labels, num_sets):
  """Returns uint8[N, L] of at most `num_sets` labelsets, some far ahead."""
  patterns = rng.random((num_sets, num_labels)) < min(0.5, 4 / num_labels)
  weights = rng.dirichlet(np.full(num_sets, 0.3))
  return patterns.astype(np.uint8)[rng.choice(num_sets, num_rows, p=weights)]


def sparse_table(rng, num_rows, num_labels, cardinality):
  """Returns a CSR array uint8[N, L], `cardinality` labels a row on average."""
  sizes = rng.poisson(cardinality, num_rows)
  entries = np.repeat(np.arange(num_rows), sizes) * num_labels
  entries = np.unique(entries + rng.integers(0, num_labels, len(entries)))
  rows, columns = np.divmod(entries, num_labels)
  starts = np.searchsorted(rows, np.arange(num_rows + 1)).astype(np.int32)
  return sparse.csr_array(
    (np.ones(len(rows), np.uint8), columns.astype(np.int32), starts),
    shape=(num_rows, num_labels),
  )


TABLES = {
  '10M x 8': (dense_table, 10_000_000, 8, 255),
  '1M x 80': (dense_table, 1_000_000, 80, 10_000),
  '1M x 1000 sparse': (sparse_table, 1_000_000, 1000, 4.5),
}


def best_seconds(function, repeats):
  """Returns the least time of several calls."""
  seconds = []
  for _ in range(repeats):
    start = time.perf_counter()
    function()
    seconds.append(time.perf_counter() - start)
  return min(seconds)


def unique(table):
  """Groups rows as NumPy does."""
  np.unique(table, axis=0, return_inverse=True, return_counts=True)


def pandas(frame):
  """Groups rows as pandas does."""
  groups = frame.groupby(list(frame.columns), sort=False)
  groups.ngroup()
  groups.size()


def num_bytes(table):
  """Returns the size of a table in memory."""
  if sparse.issparse(table):
    return table.data.nbytes + table.indices.nbytes + table.indptr.nbytes
  return table.nbytes


def peak_bytes():
  """Returns the most memory this process had so far, or None."""
  status = pathlib.Path('/proc/self/status')
  for line in status.read_text().splitlines() if status.exists() else ():
    if line.startswith('VmHWM:'):
      return 1024 * int(line.split()[1])
  return None


def print_memory(folder):
  """Prints the multiples of the table in a folder that grouping it takes."""
  arrays = [np.load(path) for path in sorted(folder.glob('*.npy'))]
  table = arrays[0]
  if len(arrays) > 1:
    shape = json.loads((folder / 'shape.json').read_text())
    table = sparse.csr_array(tuple(arrays), shape=shape)
  aubal.find_labelsets(table[:100])
  before = peak_bytes()
  aubal.find_labelsets(table)
  resident = None if before is None else peak_bytes() - before
  tracemalloc.start()
  aubal.find_labelsets(table)
  _, traced = tracemalloc.get_traced_memory()
  size = num_bytes(table)
  print(json.dumps([traced / size, resident and resident / size]))


def memory(table):
  """Returns what `print_memory` says in a fresh process."""
  arrays = [table]
  if sparse.issparse(table):
    arrays = [table.data, table.indices, table.indptr]
  with tempfile.TemporaryDirectory() as folder:
    for number, array in enumerate(arrays):
      np.save(f'{folder}/{number}.npy', array)
    pathlib.Path(folder, 'shape.json').write_text(json.dumps(table.shape))
    command = [sys.executable, __file__, f'--memory_of={folder}']
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
  return json.loads(done.stdout)


def measure(name, arguments):
  """Returns a row of the table as a dict."""
  make, num_rows, num_labels, variety = TABLES[name]
  num_rows = max(int(num_rows * arguments.scale), 1)
  rng = np.random.default_rng(0)
  table = make(rng, num_rows, num_labels, variety)
  seconds = best_seconds(lambda: aubal.find_labelsets(table), arguments.repeats)
  row = {
    'table': name,
    'rows': num_rows,
    'labels': num_labels,
    'labelsets': len(aubal.find_labelsets(table).counts),
    'seconds': seconds,
  }
  row['memory'], row['resident'] = memory(table)
  if not sparse.issparse(table):
    repeats = arguments.rival_repeats
    row['unique'] = best_seconds(lambda: unique(table), repeats) / seconds
    if importlib.util.find_spec('pandas'):
      import pandas as pd

      frame = pd.DataFrame(table)
      row['pandas'] = best_seconds(lambda: pandas(frame), repeats) / seconds
  return row


def cell(value):
  """Returns a value of the table as text."""
  if isinstance(value, float):
    return f'{value:.3g}'
  return f'{value:,}' if isinstance(value, int) else str(value or '')


def main():
  """Prints the table as it grows, and writes it as JSON."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--scale', type=float, default=1.0, help='of the rows')
  parser.add_argument('--repeats', type=int, default=7)
  parser.add_argument('--rival_repeats', type=int, default=1)
  parser.add_argument('--tables', nargs='+', choices=TABLES, default=[*TABLES])
  parser.add_argument('--json', type=pathlib.Path)
  parser.add_argument('--memory_of', type=pathlib.Path, help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.memory_of:
    print_memory(arguments.memory_of)
    return
  if not importlib.util.find_spec('pandas'):
    print('pandas is not installed (the extra "bench" has it): left out.')
  print('| ' + ' | '.join(COLUMNS) + ' |\n' + '|---' * len(COLUMNS) + '|')
  rows = []
  for name in arguments.tables:
    rows.append(measure(name, arguments))
    cells = [cell(rows[-1].get(column)) for column in COLUMNS]
    print('| ' + ' | '.join(cells) + ' |', flush=True)
  if arguments.json:
    arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == '__main__':
  main()
