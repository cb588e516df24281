"""Trains on each way of balancing several targets, with paired seeds.

  python scripts/compare_target_balances.py --workdir=runs/target_balances
  python scripts/compare_target_balances.py --workdir=runs/mine --seeds=5 \
      --config.data.path=FOLDER

Runs configs/multitask.py with every `multitask.balance` and every seed from 0
on: without data, on drawn faces whose commonest expression is twenty times as
frequent as the rarest. A seed draws the faces, the first weights and the order
of rows, the same ones for every balance. What is done is not done again. Prints
the mean of each score and its mean difference to `none`, with the half of a
95 % interval over seeds (Student's t); writes WORKDIR/balances.json.
"""

import argparse
import pathlib
import subprocess
import sys

import numpy as np
from scipy import stats

from aubal_jax.runs import files
from aubal_jax.scoring import targets

CONFIG = pathlib.Path(__file__).resolve().parents[1] / 'configs/multitask.py'
BALANCES = ('none', 'per_task', 'joint', 'published')
FLAGS = ('--config.distill.students=0',)
DRAWN = ('--config.data.drawn_ratio=20',)  # Where there are no data.


def run(balance, seed, path, flags):
  """Trains once, and returns name -> score of its report."""
  command = [
    *(sys.executable, '-m', 'aubal_jax.main', f'--config={CONFIG}'),
    *(f'--workdir={path}', *FLAGS, f'--config.seed={seed}'),
    f'--config.multitask.balance={balance}',
    f'--config.balance.method={"none" if balance == "none" else "aubal"}',
    *flags,
  ]
  print(' '.join(command), flush=True)
  subprocess.run(command, check=True)
  return scores_of(files.read_json(path / 'report.json'))


def scores_of(report):
  """Returns title -> score, of every target, and of all together."""
  found = {'labels: F1 macro': report['f1_macro']}
  for name, entry in report['targets'].items():
    for score in targets.scores_in(entry['kind'], 'report.html'):
      found[f'{name}: {score.title}'] = entry[score.name]
  return {**found, 'overall': report['challenge'][targets.OVERALL]}


def summarise(found):
  """Returns balance -> title -> mean, difference to 'none' and half interval.

  Args:
    found: balance -> list of what `scores_of` returns, one of each seed.
  """
  arrays = {
    balance: {title: np.array([x[title] for x in rows]) for title in rows[0]}
    for balance, rows in found.items()
  }
  return {
    balance: {
      title: (
        float(values.mean()),
        *_difference(values - arrays['none'][title]),
      )
      for title, values in scores.items()
    }
    for balance, scores in arrays.items()
  }


def _difference(paired):
  """Returns the mean, and the half of its interval; None of one seed."""
  mean, size = float(paired.mean()), len(paired)
  if size < 2:
    return mean, None
  half = stats.t.ppf(0.975, size - 1) * stats.sem(paired)
  return mean, float(half)


def table(summary):
  """Returns the table, in Markdown."""
  titles = [*summary['none']]
  lines = [f'| | {" | ".join(titles)} |', '|---|' + '---|' * len(titles)]
  for balance, scores in summary.items():
    cells = [_cell(balance, *scores[title]) for title in titles]
    lines.append(f'| `{balance}` | {" | ".join(cells)} |')
  return '\n'.join(lines)


def _cell(balance, mean, difference, half):
  if balance == 'none':
    return f'{mean:.3f}'
  beside = f'{difference:+.3f}'
  return f'{mean:.3f} ({beside}{"" if half is None else f" ± {half:.3f}"})'


def main(argv=None):
  """Runs what is not done yet, and prints the table."""
  parser = argparse.ArgumentParser(
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument('--workdir', default='runs/target_balances')
  parser.add_argument('--seeds', type=int, default=3)
  options, flags = parser.parse_known_args(argv)
  if options.seeds < 1:
    parser.error(f'--seeds must be at least 1, got {options.seeds}.')
  path = pathlib.Path(options.workdir)
  if not any(flag.startswith('--config.data.path') for flag in flags):
    flags = [*DRAWN, *flags]
  found = {
    balance: [
      run(balance, seed, path / f'{balance}-{seed}', flags)
      for seed in range(options.seeds)
    ]
    for balance in BALANCES
  }
  summary = summarise(found)
  files.write_json(path / 'balances.json', {'runs': found, 'summary': summary})
  print(f'\n{table(summary)}')


if __name__ == '__main__':
  main()
