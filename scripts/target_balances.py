"""How even several targets of drawn faces become, by five ways to balance them.

  python scripts/target_balances.py --rows=20000
  python scripts/target_balances.py --rows=20000 --apart

A table: for each target its unevenness (sum |z - its share| / (labels x rows
that know it)) and the spread of its class counts (standard deviation / mean),
as they are; by one problem whose labels share one mean; by `balance_targets`;
and by itself, on its own rows. No picture is drawn.
"""

import argparse

import numpy as np

import aubal_jax as aubal
from aubal_jax.balancing import several
from aubal_jax.datasets import targets
from aubal_jax.datasets.drawn import expressions

BINS = 20


def draw(rows, *, seed, ratio, apart):
  """Returns target -> its columns, of faces that train."""
  data = expressions.load(
    num_train=rows, num_validation=1, num_test=1, seed=seed, ratio=ratio,
    apart=apart,
  )  # fmt: skip
  train, parts = data.rows('train'), {}
  for name in expressions.TARGETS:
    target, blocks = data.targets[name], 1
    if target.kind == 'real':
      blocks = len(target.names)
      target = targets.to_bins(target, BINS)
    table = targets.to_binary(target)
    sizes = (table.values.shape[1] // blocks,) * blocks
    parts[name] = several.Part(table.values[train], table.known[train], sizes)
  return parts


def row(how, joint, counts, images):
  """Returns a line of the table."""
  cells = []
  for name, uneven in joint.unevenness(counts).items():
    z = counts[joint.columns[name]]
    z = z[z > 0]
    cells.append(f'{uneven:.4f} ({z.std() / z.mean():.2f})')
  total = sum(joint.unevenness(counts).values())
  return f'| {" | ".join([how, *cells, f"{total:.4f}", f"{images:,}"])} |'


def table(parts, **settings):
  """Yields the lines of the table, and the largest certified gap."""
  joint = several.join(parts)
  found = joint.find_labelsets('absent')
  yield f'| | {" | ".join(parts)} | sum | images |'
  yield '|---|' + '---|' * (len(parts) + 2)
  yield row('as they are', joint, found.class_counts, found.counts.sum())
  plain = aubal.solve(found.patterns, found.counts, **settings)
  at_once = several.solve(joint, found, **settings)
  for how, solution in (('one mean', plain), ('joint', at_once)):
    counts, images = solution.class_counts_after, solution.images_after
    yield row(how, joint, counts, images)
  gaps, counts, images = [plain.gap, at_once.gap], [], []
  for name, part in parts.items():
    alone = several.join({name: part})
    solution = several.solve(alone, alone.find_labelsets('absent'), **settings)
    counts.append(solution.class_counts_after)
    images.append(f'{solution.images_after - (~_knows(part)).sum():,}')
    gaps.append(solution.gap)
  line = row('per_task', joint, np.concatenate(counts), 0)
  yield line.removesuffix('0 |') + f'{" / ".join(images)} |'
  yield f'{len(found.counts):,} labelsets; certified gaps to {max(gaps):.1g}'


def _knows(part):
  return part.known.any(axis=1)


def main() -> None:
  """Prints the table of what is asked for."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--rows', type=int, default=20_000)
  parser.add_argument('--ratio', type=float, default=10.0)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--apart', action='store_true')
  asked = parser.parse_args()
  parts = draw(
    asked.rows, seed=asked.seed, ratio=asked.ratio, apart=asked.apart
  )
  for line in table(parts, optimizer='ipm', tol=1e-6):
    print(line)


if __name__ == '__main__':
  main()
