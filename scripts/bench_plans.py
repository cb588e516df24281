"""Trains on the plans none, random and aubal at equal steps, and compares.

  python scripts/bench_plans.py --config=configs/quickstart.py --out=runs/faces
  python scripts/bench_plans.py --config=configs/manifest.py --out=runs/mine \
      --data_dir=DIR --config.train.num_steps=100

--data_dir names a folder that holds manifest.csv and the images it lists.

Every plan is trained with every seed, each in a folder of its own below --out;
what is done there already is not done again. `random` adds as many augmented
images as `aubal` does, drawn evenly: what it gains is augmentation's doing,
what `aubal` gains over it is balancing's. What this script does not know goes
to `python -m aubal_jax.main` as it is; give it --config.train.num_steps, or the
longer plans train longer.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

METHODS = ('none', 'random', 'aubal')
NUM_RARE = 3


def parse_arguments():
  """Returns this script's arguments and those for the command."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--config', required=True, help='a file of configs/')
  parser.add_argument('--out', required=True, type=pathlib.Path)
  parser.add_argument(
    '--data_dir', type=pathlib.Path, help='holds manifest.csv and its images'
  )
  parser.add_argument('--seeds', type=int, default=3, help='how many')
  arguments, others = parser.parse_known_args()
  if arguments.data_dir:
    others.append(f'--config.data.path={arguments.data_dir / "manifest.csv"}')
  return arguments, others


def train(method, seed, folder, config, others):
  """Runs all stages with one plan and one seed; returns its report."""
  command = [sys.executable, '-m', 'aubal_jax.main', f'--config={config}']
  command += [f'--config.seed={seed}', f'--config.balance.method={method}']
  command += [f'--workdir={folder}', *others]
  print('+', *command[1:], file=sys.stderr, flush=True)
  subprocess.run(command, check=True, stdout=sys.stderr)
  return json.loads((folder / 'report.json').read_text())


def scores(report, rare):
  """Returns the columns of the table for one run."""
  labels = report['per_label']
  aucs = [label['auc'] for label in labels.values() if label['auc'] is not None]
  aps = [label['ap'] for label in labels.values() if label['ap'] is not None]
  return {
    'F1 macro': report['f1_macro'],
    'F1 macro, tuned': report['tuned']['f1_macro'],
    'AUC macro': statistics.fmean(aucs),
    'mAP': statistics.fmean(aps),
    'AWC': report['awc'],
    **{f'F1 {name}': labels[name]['f1'] for name in rare},
    **{f'F1 {name}, tuned': labels[name]['tuned']['f1'] for name in rare},
  }


def rarest(folder):
  """Returns the names of the rarest labels of a run's training split."""
  content = json.loads((folder / 'labelsets.json').read_text())
  counts = zip(content['class_counts'], content['label_names'], strict=True)
  return [name for count, name in sorted(counts) if count][:NUM_RARE]


def table(columns, floors):
  """Returns Markdown: a row for each plan, mean and spread over seeds."""
  names = list(next(iter(columns.values()))[0])
  lines = [
    '| plan | ' + ' | '.join(names) + ' |',
    '|---' * (len(names) + 1) + '|',
  ]
  for method, runs in columns.items():
    cells = []
    for name in names:
      values = [run[name] for run in runs]
      spread = statistics.stdev(values) if len(values) > 1 else 0.0
      cells.append(f'{statistics.fmean(values):.3f} ± {spread:.3f}')
    lines.append(f'| `{method}` | ' + ' | '.join(cells) + ' |')
  cells = [f'{floors[name]:.3f}' if name in floors else '' for name in names]
  lines.append('| all-positive floor | ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines)


def main():
  """Trains, writes --out/plans.json and prints the table."""
  arguments, others = parse_arguments()
  columns, floors, rare = {}, {}, None
  for method in METHODS:
    for seed in range(arguments.seeds):
      folder = arguments.out / f'{method}_{seed}'
      report = train(method, seed, folder, arguments.config, others)
      rare = rare or rarest(folder)
      columns.setdefault(method, []).append(scores(report, rare))
      floors['F1 macro'] = report['floors']['all_positive']['f1_macro']
      floors['AWC'] = report['floors']['all_positive']['awc']
      for name in rare:
        floors[f'F1 {name}'] = report['per_label'][name]['f1_all_positive']
  content = {'config': arguments.config, 'others': others, 'runs': columns}
  (arguments.out / 'plans.json').write_text(json.dumps(content, indent=1))
  print(table(columns, floors))


if __name__ == '__main__':
  main()
