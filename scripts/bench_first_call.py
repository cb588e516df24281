"""Measures what a first call costs a process, and what a later one does.

  python scripts/bench_first_call.py --labels=DIR --json=first.json

Every row is a process of its own, so its figures hold imports and compiling.
`empty` finds an empty folder of compiled programs, `kept` what `empty` left
there. Tables are every .npz in DIR with `labels` [N, L], or made-up ones.
Seconds are of CPU, children included: `import` of the package's parts, `first`
and `second` calls, and `start`, from the start of the process to the end of the
first call. `programs` counts what XLA compiled or took from the folder. `ratio`
is `start` over that of the interior point with the same folder.

`many` is thirty tables of different sizes below 1,000 labelsets and 100 labels,
in one process.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

CALLS = ('adam', 'ipm')
# name: rows, labels, labels a row.
MADE_UP = {'small': (500, 6, 1.9), 'medium': (2000, 50, 3.0)}
COLUMNS = (
  'set', 'call', 'folder', 'import', 'first', 'second', 'start', 'programs',
  'images', 'gap', 'ratio',
)  # fmt: skip


def table(num_rows, num_labels, mean_size, seed=0):
  """Returns labels uint8[N, L], label k as often as (k + 1)^-.7."""
  rng = np.random.default_rng(seed)
  likely = np.arange(1, num_labels + 1) ** -0.7
  likely *= mean_size / likely.sum()
  labels = rng.random((num_rows, num_labels)) < np.minimum(likely, 0.9)
  return labels.astype(np.uint8)


def load(name):
  """Returns the tables that a set stands for."""
  if name == 'many':
    rng = np.random.default_rng(0)
    sizes = zip(
      rng.integers(30, 900, 30), rng.integers(3, 100, 30), strict=True
    )
    return [table(rows, labels, 2.0) for rows, labels in sizes]
  if name in MADE_UP:
    return [table(*MADE_UP[name])]
  with np.load(name) as arrays:
    return [arrays['labels']]


def cpu():
  """Returns the CPU seconds of this process and its children so far."""
  kinds = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
  used = [resource.getrusage(kind) for kind in kinds]
  return sum(one.ru_utime + one.ru_stime for one in used)


def measure(name, call):
  """Returns the figures of one row; runs in a process of its own."""
  tables = load(name)
  before, programs = cpu(), []
  import jax

  import aubal_jax as aubal

  make = aubal.resample if call == 'resample' else aubal.balance
  imported = cpu()

  def listen(event, _, **__):
    if event == '/jax/core/compile/backend_compile_duration':
      programs.append(event)

  jax.monitoring.register_event_duration_secs_listener(listen)

  def run():
    if call == 'resample':
      return [make(labels, 'aubal', fraction=0.25) for labels in tables][-1]
    return [make(labels, optimizer=call) for labels in tables][-1]

  found = run()
  first, num_programs = cpu(), len(programs)
  run()
  row = {
    'import': imported - before,
    'first': first - imported,
    'second': cpu() - first,
    'start': first,
    'programs': num_programs,
  }
  if call == 'resample':
    return row | {'images': len(found)}
  return row | {'images': len(found[0]), 'gap': found[1].rounded_gap}


def in_a_process(name, call, folder):
  """Returns `measure(name, call)` of a new process, or what went wrong."""
  command = [sys.executable, __file__, '--one', json.dumps([name, call])]
  environment = os.environ | {
    'JAX_COMPILATION_CACHE_DIR': folder,
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
  }
  done = subprocess.run(
    command, env=environment, capture_output=True, text=True, check=False
  )
  if done.returncode:
    return {'failed': done.stderr.strip().splitlines()[-1]}
  return json.loads(done.stdout.splitlines()[-1])


def rows_of(name, calls):
  """Yields the table's rows of one set: with an empty folder, then a full."""
  rows = []
  for call in calls:
    with tempfile.TemporaryDirectory() as folder:
      for kind in ('empty', 'kept'):
        row = {'set': pathlib.Path(name).stem, 'call': call, 'folder': kind}
        rows.append(row | in_a_process(name, call, folder))
  least = {r['folder']: r.get('start') for r in rows if r['call'] == 'ipm'}
  for row in rows:
    if row.get('start') and least.get(row['folder']):
      row['ratio'] = row['start'] / least[row['folder']]
    yield row


def cell(row, name):
  """Returns one cell of the table."""
  figure = row.get(name, row.get('failed', '') if name == 'import' else '')
  if isinstance(figure, float):
    return f'{figure:.2g}' if name == 'gap' else f'{figure:.2f}'
  return str(figure)


def main():
  """Prints the table as it grows, and writes it as JSON."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--labels', type=pathlib.Path)
  parser.add_argument('--sets', nargs='*', default=[*MADE_UP, 'many'])
  parser.add_argument('--calls', nargs='*', default=[*CALLS])
  parser.add_argument('--json', type=pathlib.Path)
  parser.add_argument('--one', type=json.loads, help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.one:
    print(json.dumps(measure(*arguments.one)))
    return
  files = sorted(arguments.labels.glob('*.npz')) if arguments.labels else []
  if arguments.labels and not files:
    parser.error(f'{arguments.labels} holds no .npz file.')
  print('| ' + ' | '.join(COLUMNS) + ' |\n' + '|---' * len(COLUMNS) + '|')
  rows = []
  began = time.perf_counter()
  for name in [*map(str, files), *arguments.sets]:
    for row in rows_of(name, arguments.calls):
      cells = [cell(row, column) for column in COLUMNS]
      print('| ' + ' | '.join(cells) + ' |', flush=True)
      rows.append(row)
  print(f'{time.perf_counter() - began:.0f} s in all')
  if arguments.json:
    arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == '__main__':
  main()
