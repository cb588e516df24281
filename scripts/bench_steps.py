"""Measures what a step of the balancer costs, from 1e4 to 5e6 entries.

  python scripts/bench_steps.py --json=steps.json --plot=steps.png

Made-up sets of 1,000 classes. The share of bandwidth is the bytes that an adam
step has to move at least, over what a plain copy moves in its time.
"""

import argparse
import json
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np

# scripts/ is the first entry of the path when a script runs.
from bench_balance import made_up

from aubal_jax.balancing import ipm
from aubal_jax.balancing import projected_gradient
from aubal_jax.balancing.instance import make_instance
from aubal_jax.balancing.rules import Rules

_ADAM_STEPS = 20
_IPM_STEPS = 3


def best_seconds(function, count, repeats=5):
  """Returns the least seconds of `function(count)`, compilation left out."""
  jax.block_until_ready(function(count))
  seconds = []
  for _ in range(repeats):
    start = time.perf_counter()
    jax.block_until_ready(function(count))
    seconds.append(time.perf_counter() - start)
  return min(seconds)


def bandwidth():
  """Returns bytes per second that a copy of 256 MB reads and writes."""
  source = np.ones(1 << 25)
  target = np.empty_like(source)
  seconds = []
  for _ in range(5):
    start = time.perf_counter()
    np.copyto(target, source)
    seconds.append(time.perf_counter() - start)
  return 2 * source.nbytes / min(seconds)


def bytes_a_step(problem):
  """Returns the bytes an adam step has to move at least.

  Both kinds of tables once, int32; P^T x gathers 8 bytes an entry; and growth,
  two moments and the displacement are read and written, the counts, the mass,
  the mask and both bounds read, float64 each.
  """
  incidence = problem.incidence
  entries = sum(t.size for t in incidence.rows.tables)
  gathered = sum(t.size for t in incidence.columns.tables)
  return 4 * entries + 12 * gathered + 8 * 13 * incidence.num_places


def measure(num_sets):
  """Returns entries, seconds an adam step, seconds an ipm step, bytes."""
  patterns, counts = made_up(num_sets, 1_000, 4.2, 4, None)
  with jax.enable_x64(True):
    rules = Rules(lam_images=None)
    problem, _ = make_instance(patterns, counts, rules).problem()
    state = projected_gradient.init('adam', problem.present)
    point = ipm.start(problem, problem.present)
    zero, one = jnp.zeros(()), jnp.ones(())

    def descend(steps):
      return projected_gradient.run_chunk(
        problem, state, zero, one, one, steps, name='adam', relaxation='huber'
      )

    def interior(steps):
      return ipm.run_chunk(problem, point, 0.0, steps)

    adam = best_seconds(descend, _ADAM_STEPS) / _ADAM_STEPS
    certificate = best_seconds(interior, 0)
    inner = (best_seconds(interior, _IPM_STEPS) - certificate) / _IPM_STEPS
  return {
    'nnz': int(patterns.nnz),
    'labelsets': num_sets,
    'adam_seconds': adam,
    'ipm_seconds': inner,
    'certificate_seconds': certificate,
    'adam_bytes': bytes_a_step(problem),
  }


def draw(rows, path):
  """Draws seconds a step against entries, both logarithmic."""
  import matplotlib

  matplotlib.use('agg')
  from matplotlib import pyplot as plt

  figure, axes = plt.subplots(figsize=(6, 4), layout='constrained')
  nnz = np.array([row['nnz'] for row in rows], float)
  for name in ('adam', 'ipm'):
    steps = np.array([row[f'{name}_seconds'] for row in rows])
    (line,) = axes.loglog(nnz, 1e3 * steps, marker='o')
    axes.annotate(
      f' {name}', (nnz[-1], 1e3 * steps[-1]), color=line.get_color()
    )
    proportional = 1e3 * steps[-1] * nnz / nnz[-1]
    axes.loglog(nnz, proportional, '--', color='0.7', zorder=0)
  axes.set(
    xlabel='labels of all labelsets (nnz)', ylabel='milliseconds a step',
    title='What a step costs; dashed: in proportion',
    xlim=(nnz[0] / 1.5, nnz[-1] * 2.5),
  )  # fmt: skip
  figure.savefig(path, dpi=120)


def main():
  """Prints the table as it grows; writes JSON and the plot."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  sizes = [2_500, 12_500, 60_000, 300_000, 1_150_000]
  parser.add_argument('--labelsets', nargs='*', type=int, default=sizes)
  parser.add_argument('--json', type=pathlib.Path)
  parser.add_argument('--plot', type=pathlib.Path)
  arguments = parser.parse_args()
  rate = bandwidth()
  print(f'A plain copy moves {rate / 1e9:.1f} GB/s.')
  print('| nnz | adam step, ms | share of bandwidth | ipm step, ms |')
  print('|---|---|---|---|')
  rows = []
  for num_sets in arguments.labelsets:
    row = measure(num_sets)
    row['bandwidth'] = row['adam_bytes'] / row['adam_seconds'] / rate
    print(
      f'| {row["nnz"]:,} | {1e3 * row["adam_seconds"]:.3f} | '
      f'{row["bandwidth"]:.2f} | {1e3 * row["ipm_seconds"]:.2f} |',
      flush=True,
    )
    rows.append(row)
  if arguments.plot:
    draw(rows, arguments.plot)
  if arguments.json:
    arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == '__main__':
  main()
