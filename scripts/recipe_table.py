"""Scores of learning rates x first weights after few steps and after many.

  python scripts/recipe_table.py --workdir=runs/recipe
  python scripts/recipe_table.py --workdir=runs/recipe --steps=200,1000,2000 \
      --config.data.image_size=64 --config.balance.method=aubal

Runs the search of configs/recipe.py, which goes on where it was stopped, and
prints a table in Markdown. What else is given goes to the search. A score is
that of the look at validation after so many steps, not the best until then.
"""

import argparse
import pathlib
import subprocess
import sys

from aubal_jax.runs import files
from aubal_jax.scoring import summary


def table(record, steps) -> str:
  """Returns the table, in Markdown.

  Args:
    record: content of search.json.
    steps: those to show, of which each cell has a look at validation.
  """
  metric, rows = record['metric'], record['rows']
  titles = {score.name: score.title for score in summary.SCORES}
  inits = sorted({row['init'] for row in rows})
  columns = [f'{init}, {step:,} steps' for step in steps for init in inits]
  lines = [
    f'| rate, {titles[metric]} | {" | ".join(columns)} |',
    '|---|' + '---|' * len(columns),
  ]
  for rate in sorted({row['learning_rate'] for row in rows}):
    cells = [
      _cell(rows, rate, init, step, metric) for step in steps for init in inits
    ]
    lines.append(f'| {rate:g} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def _cell(rows, rate, init, step, metric) -> str:
  """Returns the scores at a step, of the cells with this rate and draw."""
  found = []
  for row in rows:
    if (row['learning_rate'], row['init']) == (rate, init):
      curve = row['curve']
      score = dict(zip(curve['step'], curve[metric], strict=True)).get(step)
      found.append('failed' if score is None else f'{score:.3f}')
  return ', '.join(found)


def main() -> None:
  """Runs the search, and prints the table."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--workdir', default='runs/recipe')
  parser.add_argument('--steps', default='200,2000')
  options, others = parser.parse_known_args()
  config = pathlib.Path(__file__).resolve().parents[1] / 'configs/recipe.py'
  command = [sys.executable, '-m', 'aubal_jax.main', f'--config={config}']
  command += [f'--workdir={options.workdir}', *others]
  status = subprocess.run(command, check=False).returncode
  path = pathlib.Path(options.workdir) / 'search.json'
  if status not in (0, 1) or not path.exists():  # 1: some cells failed.
    raise SystemExit(status or 1)
  steps = [int(step) for step in options.steps.split(',')]
  print(f'\n{table(files.read_json(path), steps)}')
  raise SystemExit(status)


if __name__ == '__main__':
  main()
