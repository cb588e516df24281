"""Measures the balancer beside exact solvers of others, and prints a table.

  python scripts/bench_balance.py --labels=DIR --json=balance.json

Raw lambda 70, growth from 1 to 10. Sets: every .npz in DIR with `labels`
[N, L], or `patterns` [S, L] and `counts` [S] or [sources, S]; and made-up ones
up to a million labelsets. Every solver runs each set in a process of its own,
twice: `seconds` is the second run, set-up of tables or matrices included,
`rounding` what whole images take after it, `rounded` their distance to the
bound, `compile` what JAX spent on compiling in the first run. `memory` is the
most the process held, compilers included, beyond what it held before the
problem. Rivals that need longer
than --patience seconds are stopped, and said to be. `gap` is certified by us;
`ratio` is seconds over those of PIQP.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import time

import numpy as np
from scipy import sparse

# name: labelsets, labels, labels a labelset, seed, decades of counts (None: a
# heavy tail from 1 image up), tolerance.
MADE_UP = {
  '20k x 500': (20_000, 500, 4.0, 0, None, 1e-8),
  '18,924 x 40, 5 decades': (18_924, 40, 5.0, 1, 5.0, 1e-8),
  '200k x 2,000': (200_000, 2_000, 4.0, 2, None, 1e-6),
  '1M x 1,000': (1_000_000, 1_000, 4.2, 3, None, 1e-6),
}
TOLERANCES = {'adam': 1e-5}
RIVALS = ('piqp', 'clarabel')
COLUMNS = (
  'set', 'labelsets', 'labels', 'nnz', 'solver', 'value', 'gap', 'rounded',
  'steps', 'seconds', 'rounding', 'compile', 'memory_mb', 'ratio',
)  # fmt: skip


def made_up(num_sets, num_labels, mean_size, seed, decades):
  """Returns CSR patterns, all different, and counts; label k as often as k^-.7.

  Args:
    num_sets: S.
    num_labels: L.
    mean_size: labels a labelset.
    seed: of everything drawn.
    decades: counts spread evenly over so many; None: Pareto, from 1 image up.
  """
  rng = np.random.default_rng(seed)
  likely = np.arange(1, num_labels + 1) ** -0.7
  sizes = np.minimum(1 + rng.poisson(mean_size - 1, int(1.3 * num_sets)), 12)
  rows = np.repeat(np.arange(len(sizes)), sizes)
  labels = rng.choice(num_labels, len(rows), p=likely / likely.sum())
  ones = np.ones(len(rows), np.uint8)
  drawn = sparse.csr_array(
    (ones, (rows, labels)), shape=(len(sizes), num_labels)
  )
  drawn.sum_duplicates()
  drawn.data[:] = 1
  words = rng.integers(0, 2**63, num_labels, dtype=np.uint64)
  _, first = np.unique(drawn.astype(np.uint64) @ words, return_index=True)
  patterns = sparse.csr_array(drawn[np.sort(first)[:num_sets]])
  if decades is None:
    counts = np.ceil(rng.pareto(1.0, patterns.shape[0])).clip(1, 100_000)
  else:
    counts = np.ceil(10 ** (decades * rng.random(patterns.shape[0])))
  return patterns, counts.astype(np.int64)


def load(name):
  """Returns patterns and counts of a made-up set or a label file."""
  if name in MADE_UP:
    return made_up(*MADE_UP[name][:-1])
  import aubal_jax as aubal

  with np.load(name) as arrays:
    if 'patterns' in arrays:
      counts = arrays['counts']
      counts = counts.sum(0) if counts.ndim == 2 else counts
      return sparse.csr_array(arrays['patterns']), counts
    found = aubal.find_labelsets(arrays['labels'])
  return sparse.csr_array(found.patterns), found.counts


def held():
  """Returns the most memory this process has held, in MB."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name, solver, tol):
  """Returns a row of the table as a dict; runs in a process of its own."""
  patterns, counts = load(name)
  row = {
    'labelsets': int((counts > 0).sum()),
    'labels': patterns.shape[1],
    'nnz': int(patterns.nnz),
  }
  run = _rival if solver in RIVALS else _ours
  return row | run(patterns, counts, solver, tol)


def _ours(patterns, counts, solver, tol):
  import jax

  from aubal_jax.balancing import iterations
  from aubal_jax.balancing import rounding
  from aubal_jax.balancing.instance import make_instance
  from aubal_jax.balancing.rules import Rules

  jax.devices()  # Starts the backend.
  before, compiled = held(), None
  with jax.enable_x64(True):
    for _ in range(2):
      start = time.perf_counter()
      instance = make_instance(patterns, counts, Rules(lam_images=None))
      found = iterations.run(
        instance, iterations.Search(optimizer=solver, tol=tol)
      )
      seconds = time.perf_counter() - start
      compiled = compiled or found.clock.read()[1]
  start = time.perf_counter()
  counts = rounding.round_counts(instance, found.growth)
  return {
    'value': found.value,
    'bound': found.lower_bound_priced,
    'gap': found.gap,
    'rounded': instance.value(counts) - found.lower_bound,
    'steps': found.num_steps,
    'seconds': seconds,
    'rounding': time.perf_counter() - start,
    'compile': compiled,
    'memory_mb': held() - before,
  }


def _rival(patterns, counts, solver, tol):
  from aubal_jax.balancing.instance import make_instance
  from aubal_jax.balancing.rules import Rules
  from aubal_jax.experiments.solvers import rivals

  before = held()
  for _ in range(2):
    start = time.perf_counter()
    instance = make_instance(patterns, counts, Rules(lam_images=None))
    answer = rivals.RIVALS[solver](instance, tol=tol)
    seconds = time.perf_counter() - start
    if seconds > 20:
      break
  after = answer.growth * instance.start
  return {
    'value': instance.value(after),
    'cost': instance.cost(after),
    'steps': answer.num_steps,
    'seconds': seconds,
    'memory_mb': held() - before,
  }


def in_a_process(patience, *task):
  """Returns `measure(*task)` of a new process, or what went wrong."""
  command = [sys.executable, __file__, '--one', json.dumps(task)]
  try:
    done = subprocess.run(
      command, capture_output=True, text=True, timeout=patience, check=False
    )
  except subprocess.TimeoutExpired:
    return {'failed': f'not in {patience:.0f} s'}
  if done.returncode:
    return {'failed': done.stderr.strip().splitlines()[-1]}
  return json.loads(done.stdout.splitlines()[-1])


def rows_of(name, solvers, patience):
  """Yields the table's rows of one set, ours first."""
  tol = MADE_UP[name][-1] if name in MADE_UP else 1e-8
  short = name if name in MADE_UP else pathlib.Path(name).stem
  bounds, rows = [], []
  for solver in solvers:
    limit = patience if solver in RIVALS else None
    row = in_a_process(limit, name, solver, max(tol, TOLERANCES.get(solver, 0)))
    bounds.append(row.get('bound', -np.inf))
    rows.append({'set': short, 'solver': solver} | row)
  piqp = next((r.get('seconds') for r in rows if r['solver'] == 'piqp'), None)
  for row in rows:
    if 'cost' in row:
      above = row['value'] + row['cost'] - max(bounds)
      row['gap'] = max(above, 0.0) / max(1.0, abs(row['value']))
    if piqp and 'seconds' in row:
      row['ratio'] = row['seconds'] / piqp
    yield row


def cell(row, name):
  """Returns one cell of the table."""
  if name == 'value' and 'failed' in row:
    return row['failed']
  figure = row.get(name)
  if figure is None:
    return ''
  if isinstance(figure, str):
    return figure
  form = {
    'value': ',.3f', 'gap': '.1e', 'rounded': '.2f', 'seconds': '.3g',
    'rounding': '.2g', 'compile': '.1f', 'memory_mb': ',.0f', 'ratio': '.2f',
  }  # fmt: skip
  return format(figure, form.get(name, ','))


def main():
  """Prints the tables as they grow, and writes them as JSON."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--labels', type=pathlib.Path)
  parser.add_argument('--sets', nargs='*', default=[*MADE_UP])
  parser.add_argument('--solvers', nargs='*', default=['adam', 'newton', 'ipm'])
  parser.add_argument('--rivals', nargs='*', default=[*RIVALS])
  parser.add_argument('--patience', type=float, default=60.0)
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
  for name in [*map(str, files), *arguments.sets]:
    solvers = [*arguments.solvers, *arguments.rivals]
    for row in rows_of(name, solvers, arguments.patience):
      cells = [cell(row, column) for column in COLUMNS]
      print('| ' + ' | '.join(cells) + ' |', flush=True)
      rows.append(row)
  if arguments.json:
    arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == '__main__':
  main()
