"""Measures what is done by an executor: label tables in parts, and cells.

  python scripts/bench_cluster.py --rows=1e8 --processes=2 --json=cluster.json

A table of made-up labels is written as Parquet files in a temporary folder, a
row group at a time. Then its labelsets are counted, its balance is solved, and
its plan written, part by part, in worker processes; all as
`aubal.balance_parts` does. Rows a second are of all processes together,
rows a CPU second of one; `worker mb` is the most that one held beyond what it
held before the first part;
`again` is a second run, which finds the plan there. At the end every part's
plan is counted: of each labelset it has exactly the rows of the solution. The
second table is what ten billion rows would take by these figures.

Then so many cells of a comparison on a table of features are done in each way
there is: by one process, by several, by Dask's workers, by jobs of submitit;
the results are equal. Each is a command of its own, its start included, with
programs that have been compiled before; the workers of Dask are there before.
"""

import argparse
import contextlib
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

GROUP_ROWS = 1 << 20  # Written at a time.
PAPER_ROWS = 1e10
PAPER_PART = 1e7  # Rows of a part there.
PAPER_WORKERS = 100


def probabilities(num_labels):
  """Returns [8, L]: of each kind of row, how likely it has each label."""
  rng = np.random.default_rng(0)
  usual = np.geomspace(0.3, 0.005, num_labels)
  return np.clip(usual * rng.lognormal(0, 1, (8, num_labels)), 0, 0.95)


def make_part(folder, number, num_rows, num_labels):
  """Writes one part; returns its bytes."""
  import pyarrow as pa
  from pyarrow import parquet

  rng, likely = np.random.default_rng((1, number)), probabilities(num_labels)
  names = [f'label_{k}' for k in range(num_labels)]
  schema = pa.schema([(name, pa.bool_()) for name in names])
  pathlib.Path(folder).mkdir(exist_ok=True)
  path = pathlib.Path(folder) / f'part-{number:06}.parquet'
  with parquet.ParquetWriter(path, schema) as writer:
    for start in range(0, num_rows, GROUP_ROWS):
      kind = rng.integers(0, len(likely), min(GROUP_ROWS, num_rows - start))
      columns = [
        rng.random(len(kind), np.float32) < likely[kind, label].astype('f4')
        for label in range(num_labels)
      ]
      writer.write_table(pa.table(columns, names=names))
  return path.stat().st_size


def spent():
  """Returns the process, its CPU seconds, and the most it has held, in MB."""
  for name in ('pyarrow.parquet', 'aubal_jax.tables.plan_parts'):
    importlib.import_module(name)  # What the work needs, but no part.
  time.sleep(0.5)  # So that all processes are asked.
  status = pathlib.Path('/proc/self/status').read_text()
  held = int(status.split('VmHWM:')[1].split()[0]) / 1e3
  return os.getpid(), np.array([time.process_time(), held])


def ask(executor, processes):
  """Returns process -> its CPU seconds and the most it has held, in MB."""
  waiting = [executor.submit(spent) for _ in range(2 * processes)]
  return dict(future.result() for future in waiting)


def tell_spent(row, name, before, after):
  """Adds to a row what the processes spent from one asking to the next."""
  used = np.array([after[k] - before[k] for k in before])
  row[f'{name}_cpu_seconds'] = cpu = float(used[:, 0].sum())
  row[f'{name}_rows_per_cpu_second'] = row['rows'] / cpu
  row[f'{name}_worker_mb'] = float(used[:, 1].max())


def count_plan(path, plan, reading, numbers, size):
  """Returns int64[S], rows that the plan of a part has of each labelset."""
  from aubal_jax.tables import parts
  from aubal_jax.tables import plan_parts

  index = parts.read(path, reading).labelsets.index
  rows = plan_parts.read(plan).source
  counts = np.zeros(size, np.int64)
  counts[numbers] = np.bincount(index[rows], minlength=len(numbers))
  return counts


@contextlib.contextmanager
def timed(row, name, num_rows):
  """Adds to a row the seconds of the block, and the rows it did in one."""
  start = time.perf_counter()
  yield
  row[f'{name}_seconds'] = seconds = time.perf_counter() - start
  row[f'{name}_rows_per_second'] = num_rows / seconds


def make_table(folder, executor, args):
  """Writes all parts; returns the first figures."""
  from aubal_jax.tables import parts

  sizes = [args.part_rows] * (args.rows // args.part_rows)
  sizes += [args.rows % args.part_rows] * bool(args.rows % args.part_rows)
  row = {'rows': args.rows, 'labels': args.labels, 'parts': len(sizes)}
  row |= {'part_rows': args.part_rows, 'processes': args.processes}
  jobs = ((folder, k, size, args.labels) for k, size in enumerate(sizes))
  with timed(row, 'make', args.rows):
    row['table_mb'] = sum(parts.in_order(executor, make_part, jobs)) / 1e6
  return row


def measure_plan(folder, executor, row):
  """Adds the figures of counting, solving and planning to a row."""
  from aubal_jax.balancing import solve as solve_lib
  from aubal_jax.tables import parts as parts_lib
  from aubal_jax.tables import plan_parts

  processes, num_rows = row['processes'], row['rows']
  before = ask(executor, processes)
  with timed(row, 'count', num_rows):
    parts = parts_lib.survey(folder, parts_lib.Reading(), executor)
  counted = ask(executor, processes)
  tell_spent(row, 'count', before, counted)
  labelsets = parts.labelsets
  row['labelsets'] = len(labelsets.counts)
  with timed(row, 'solve', num_rows):
    solution = solve_lib.solve(labelsets.patterns, labelsets.counts)
  row['compile_seconds'] = solution.seconds_compile
  row['plan_rows'] = int(solution.counts.sum())
  out = pathlib.Path(folder) / 'plan'
  with timed(row, 'plan', num_rows):
    paths = plan_parts.write(
      parts, solution.counts, out, seed=0, executor=executor
    )
  tell_spent(row, 'plan', counted, ask(executor, processes))
  with timed(row, 'again', num_rows):
    plan_parts.write(parts, solution.counts, out, seed=0, executor=executor)
  row['plan_mb'] = sum(path.stat().st_size for path in paths) / 1e6
  row['imports_mb'] = float(max(held for _, held in before.values()))
  row['worker_mb'] = row['count_worker_mb'] + row['plan_worker_mb']
  check(parts, paths, solution, executor)


def check(parts, paths, solution, executor):
  """Ends with status 1 where the plan has not the rows of the solution."""
  from aubal_jax.tables import parts as parts_lib

  jobs = (
    (one.path, path, parts.reading, one.numbers, len(solution.counts))
    for one, path in zip(parts.parts, paths, strict=True)
  )
  found = sum(parts_lib.in_order(executor, count_plan, jobs))
  if not np.array_equal(found, solution.counts):
    raise SystemExit('The plan has not the counts of the solution.')


def on_paper(row):
  """Returns what `PAPER_ROWS` would take, by the figures of a table."""
  share = PAPER_ROWS / row['rows']
  hours = {
    name: share * row[f'{name}_cpu_seconds'] / 3600
    for name in ('count', 'plan')
  }
  parts = PAPER_ROWS / PAPER_PART
  return {
    'rows': PAPER_ROWS,
    'parts': parts,
    'cpu_hours_count': hours['count'],
    'cpu_hours_plan': hours['plan'],
    'workers': PAPER_WORKERS,
    'minutes': 60 * sum(hours.values()) / PAPER_WORKERS,
    'worker_gb': row['worker_mb'] * PAPER_PART / row['part_rows'] / 1e3,
    'asker_gb': 12 * parts * row['labelsets'] / 1e9,
    'table_gb': row['table_mb'] * share / 1e3,
    'plan_gb': row['plan_mb'] * share / 1e3,
  }


def measure_table(args):
  """Returns the figures of a table in parts."""
  from aubal_jax.runs import executors

  with tempfile.TemporaryDirectory(dir=args.folder) as folder:
    with executors.open('local', '', args.processes) as executor:
      row = make_table(folder, executor, args)
    with executors.open('local', '', args.processes) as executor:
      measure_plan(folder, executor, row)
  return row | {'on_paper': on_paper(row)}


def make_features(path, num_rows):
  """Writes a table of six labels and twenty features."""
  rng = np.random.default_rng(0)
  labels = rng.random((num_rows, 6)) < np.geomspace(0.4, 0.05, 6)
  features = labels @ rng.normal(size=(6, 20))
  features += rng.normal(size=features.shape)
  np.savez(path, labels=labels.astype('u1'), features=features.astype('f4'))


def compare(folder, name, num_cells, *settings):
  """Compares in a process of its own; returns its seconds, and the result."""
  path = pathlib.Path(folder)
  fractions = np.linspace(0.1, 0.9, num_cells // 2).round(4)
  command = [sys.executable, '-m', 'aubal_jax', '--config=compare']
  command += [f'--workdir={path / name}']
  given = {
    'compare.data': path / 'table.npz',
    'compare.models': 'logistic',
    'compare.methods': 'random,ml_ros',
    'compare.fractions': ','.join(map(str, fractions)),
    'compare.rates': 1,
    'compare.seeds': 2,
    'compare.repeats': 2,
    'compare.num_steps': 100,
  }
  command += [f'--config.{key}={value}' for key, value in given.items()]
  start = time.perf_counter()
  subprocess.run([*command, *settings], check=True, stdout=subprocess.DEVNULL)
  seconds = time.perf_counter() - start
  record = json.loads((path / name / 'compare.json').read_text())
  return seconds, [trial for row in record['rows'] for trial in row['trials']]


def scores_of(trials):
  """Returns what is to be the same in every way."""
  return [trial['scores'] for trial in trials]


@contextlib.contextmanager
def ways(processes):
  """Yields the ways that cells are done by -> their settings."""
  import distributed

  def given(executor, address='', num_workers=1):
    values = {'executor': executor, 'address': address}
    values |= {'num_workers': num_workers}
    return [f'--config.experiments.{k}={v}' for k, v in values.items()]

  with distributed.LocalCluster(
    n_workers=processes, threads_per_worker=1, dashboard_address=None
  ) as cluster:
    yield {
      'local 1': given('local'),
      f'local {processes}': given('local', '', processes),
      f'dask {processes}': given('dask', cluster.scheduler_address),
      f'submitit {processes}': given('submitit', 'local', processes),
    }


def measure_cells(folder, args):
  """Returns way -> its figures, of a comparison on a table of features.

  Programs are compiled before, by a comparison that is not measured.
  """
  make_features(pathlib.Path(folder) / 'table.npz', 300)
  programs = pathlib.Path(folder) / 'programs'  # Of all, Dask's workers too.
  os.environ['JAX_COMPILATION_CACHE_DIR'] = str(programs)
  _, trials = compare(folder, 'before', args.cells)
  found = {}
  with ways(args.processes) as given:
    for way, settings in given.items():
      seconds, own = compare(folder, way, args.cells, *settings)
      if scores_of(own) != scores_of(trials):
        raise SystemExit(f'The results by {way} are not those of before.')
      found[way] = {
        'cells': args.cells,
        'seconds': seconds,
        'cells_per_minute': 60 * args.cells / seconds,
      }
  first = found['local 1']['seconds']
  return {
    k: row | {'ratio': first / row['seconds']} for k, row in found.items()
  }


def tell(row):
  """Prints a row, a figure a line."""
  print('\n| | |\n|---|---|')
  for name, value in row.items():
    shown = f'{value:,.3g}' if isinstance(value, float) else f'{value:,}'
    print(f'| {name.replace("_", " ")} | {shown} |')


def tell_cells(ways):
  """Prints a line for each way that cells were done by."""
  print('\n| by | cells | seconds | cells a minute | ratio |')
  print('|---|---|---|---|---|')
  for way, row in ways.items():
    shown = [f'{value:,.3g}' for value in row.values()]
    print(f'| {way} | {" | ".join(shown)} |')


def whole_number(text):
  """Returns what '1e8' says."""
  return int(float(text))


def main():
  """Makes the table, measures, and prints what came of it."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument(
    '--rows', type=whole_number, default=10_000_000, help='0: no tables'
  )
  parser.add_argument('--part-rows', type=whole_number, default=2_500_000)
  parser.add_argument('--labels', type=int, default=14)
  parser.add_argument('--processes', type=int, default=2)
  parser.add_argument('--cells', type=int, default=24, help='even; 0: none')
  parser.add_argument('--folder', help="of the table; else the system's own")
  parser.add_argument('--json', type=pathlib.Path)
  args = parser.parse_args()
  row = {}
  if args.rows:
    row = measure_table(args)
    tell({name: value for name, value in row.items() if name != 'on_paper'})
    tell(row['on_paper'])
  if args.cells:
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
      row['cells'] = measure_cells(folder, args)
    tell_cells(row['cells'])
  if args.json:
    args.json.write_text(json.dumps(row, indent=1))


if __name__ == '__main__':
  main()
