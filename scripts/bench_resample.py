"""Times every resampler beside public programs, and prints tables of ratios.

  python scripts/bench_resample.py --labels=DIR --json=resample.json

Sets: `emotions.npz` and so on in DIR, with `labels` [N, L] and maybe `features`
[N, F]; one that DIR has not is made up in its size, as is one in the size of
bibtex, and frames of videos, whose place `keep` and `keep_every` are told.
Samplers change (or keep) 25 % of the rows; those that make new rows from
neighbours make one for each positive of each rare label. Every program runs
each set in a process of its own: `seconds` is the best of --repeats after a
first run, tables in memory to plan (ours) or tables (theirs), `memory` the most
that NumPy and Python hold meanwhile, in MB. `ratio` is seconds over ours.

Programs: multismote, a version of MLSMOTE that searches all rows; imblearn,
imbalanced-learn called label by label (RandomOverSampler beside ml_ros, which
spreads its rows otherwise; SMOTE); loop, a plain reference of ours
(resample_rivals.py), which grows tables row by row and measures them anew, as
public code of ML-ROS and LP-ROS does. The extra "bench" has the first two. Of
what is not installed, or takes longer than --patience seconds, that is said.
"""

import argparse
import importlib.util
import json
import pathlib
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import resample_rivals
from scipy import sparse

RIVALS = resample_rivals.RIVALS
BIBTEX = 'bibtex size'
FRAMES = 'frames'  # Of videos, in which neighbours are near copies.
# name: rows, labels, labels a row, labelsets, features (0: methods that need
# them do not run).
SETS = {
  'emotions': (593, 6, 1.87, 27, 72),
  'birds': (645, 19, 1.01, 133, 260),
  'yeast': (2417, 14, 4.24, 198, 103),
  'enron': (1702, 53, 3.38, 753, 1001),
  BIBTEX: (7395, 159, 2.4, 2856, 1836),
  'nih_chestxray14': (112_120, 14, 0.72, 801, 0),
  'coco80': (112_218, 80, 2.9, 23_965, 0),
  FRAMES: (400_000, 12, 2.4, 1740, 0),
}
COLUMNS = (
  'set', 'method', 'program', 'rows', 'seconds', 'ratio', 'memory',
)  # fmt: skip
GOAL_SECONDS = 0.2
FRAMES_OF_VIDEO = 1000
PUBLISHED_SECONDS = 16.0


def made_up(num_rows, num_labels, cardinality, num_sets, num_features):
  """Returns labels uint8[N, L] and features float32[N, F], or None for F = 0.

  Label k is as frequent as k^-.6, and so is the k-th of `num_sets` labelsets at
  most, which are all there; features move with the labels.
  """
  rng = np.random.default_rng(0)
  likely = np.arange(1, num_labels + 1) ** -0.6
  sizes = rng.poisson(1.1 * cardinality, num_sets)  # Some are drawn twice.
  drawn = rng.choice(num_labels, sizes.sum(), p=likely / likely.sum())
  patterns = np.zeros((num_sets, num_labels), np.uint8)
  patterns[np.repeat(np.arange(num_sets), sizes), drawn] = 1
  likely = np.arange(1, num_sets + 1) ** -0.6
  more = rng.choice(
    num_sets, max(num_rows - num_sets, 0), p=likely / likely.sum()
  )
  labels = patterns[np.concatenate([np.arange(num_sets), more])[:num_rows]]
  if not num_features:
    return labels, None
  features = rng.standard_normal((num_rows, num_features), np.float32)
  moves = rng.standard_normal((num_labels, num_features), np.float32)
  return labels, features + labels @ moves


def load(name, folder, scale):
  """Returns labels, features (None: there are none) and if they are made up."""
  path = pathlib.Path(folder or '', f'{name}.npz')
  if folder and path.exists():
    with np.load(path) as arrays:
      return arrays['labels'], arrays.get('features'), False
  num_rows, num_labels, cardinality, num_sets, num_features = SETS[name]
  num_rows, num_sets = (max(int(scale * n), 20) for n in (num_rows, num_sets))
  made = made_up(num_rows, num_labels, cardinality, num_sets, num_features)
  return *made, True


def places(num_rows):
  """Returns int[N], the video of each row, and int[N], its frame there."""
  return divmod(np.arange(num_rows), FRAMES_OF_VIDEO)


def measure(name, folder, scale, program, repeats):
  """Returns a row of the table as a dict; runs in a process of its own."""
  labels, features, is_made_up = load(name, folder, scale)
  if program in RIVALS:
    _, _, function, needs_features = RIVALS[program]

    def run():
      return len(function(labels, features))

  else:
    from aubal_jax import resampling

    needs_features = resampling.takes(program, 'features')
    by_rows = resampling.takes(program, 'fraction') and not needs_features
    table = sparse.csr_array(labels)
    options = {}
    if name == FRAMES and resampling.takes(program, 'frames'):
      options = dict(
        zip(('groups', 'frames'), places(len(labels)), strict=True)
      )

    def run():
      return len(
        resampling.resample(
          table,
          program,
          fraction=resample_rivals.FRACTION if by_rows else None,
          features=features if needs_features else None,
          **options,
        )
      )

  if needs_features and features is None:
    return {'failed': 'no features'}
  start = time.perf_counter()
  rows = run()
  seconds = [time.perf_counter() - start]
  slow = seconds[0] > 10 and program != 'keep'
  if not slow:  # What is slow is not compiling, but for keep.
    seconds = []
    for _ in range(repeats):
      start = time.perf_counter()
      run()
      seconds.append(time.perf_counter() - start)
  row = {
    'made_up': is_made_up, 'shape': labels.shape, 'rows': rows,
    'seconds': min(seconds),
  }  # fmt: skip
  if not slow:
    tracemalloc.start()
    try:
      run()
      row['memory'] = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
      tracemalloc.stop()
  return row


def in_a_process(patience, *task):
  """Returns `measure(*task)` of a new process, or what went wrong."""
  needed = RIVALS[task[3]][1] if task[3] in RIVALS else None
  if needed and not importlib.util.find_spec(needed):
    return {'failed': 'not installed'}
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


def rows_of(name, arguments):
  """Yields the table's rows of one set, each rival after the method."""
  folder = str(arguments.labels) if arguments.labels else None
  for method in arguments.methods:
    rivals = [rival for rival in arguments.rivals if RIVALS[rival][0] == method]
    ours = None
    for program in (method, *rivals):
      row = {'set': name, 'method': method} | in_a_process(
        *(arguments.patience, name, folder, arguments.scale, program),
        arguments.repeats,
      )
      row['program'] = 'ours' if program == method else program
      ours = row.get('seconds') if program == method else ours
      if ours and 'seconds' in row:
        row['ratio'] = row['seconds'] / ours
      yield row


def cell(row, name):
  """Returns one cell of the table."""
  if name == 'seconds' and 'failed' in row:
    return row['failed']
  if name == 'set' and row.get('made_up'):
    return f'{row[name]} (made up)'
  figure = row.get(name)
  if figure is None:
    return ''
  if isinstance(figure, str):
    return figure
  return format(figure, {'rows': ','}.get(name, '.3g'))


def goal(rows):
  """Returns what was aimed at and what was found, or that it was not measured.

  Args:
    rows: of the table.
  """
  for row in rows:
    found = (row['set'], row['method'], row['program'], row.get('shape'))
    if found == (BIBTEX, 'ml_ros', 'ours', [*SETS[BIBTEX][:2]]):
      verdict = 'met' if row['seconds'] < GOAL_SECONDS else 'MISSED'
      return (
        f'Goal: ml_ros at 25 % on the size of bibtex below {GOAL_SECONDS} s '
        f'(public code: {PUBLISHED_SECONDS:.0f} s): {row["seconds"]:.3g} s, '
        f'{verdict}.'
      )
  return 'Goal: ml_ros on the whole size of bibtex was not measured.'


def main(argv=None):
  """Prints the tables as they grow, and writes them as JSON."""
  from aubal_jax import resampling

  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--labels', type=pathlib.Path)
  parser.add_argument('--sets', nargs='*', choices=SETS, default=[*SETS])
  parser.add_argument(
    '--methods', nargs='*', default=[*resampling.RESAMPLERS],
    choices=resampling.RESAMPLERS,
  )  # fmt: skip
  parser.add_argument('--rivals', nargs='*', choices=RIVALS, default=[*RIVALS])
  parser.add_argument(
    '--scale', type=float, default=1.0, help='of made-up rows'
  )
  parser.add_argument('--repeats', type=int, default=3)
  parser.add_argument('--patience', type=float, default=120.0)
  parser.add_argument('--json', type=pathlib.Path)
  parser.add_argument('--one', type=json.loads, help=argparse.SUPPRESS)
  arguments = parser.parse_args(argv)
  if arguments.one:
    print(json.dumps(measure(*arguments.one)))
    return
  print('| ' + ' | '.join(COLUMNS) + ' |\n' + '|---' * len(COLUMNS) + '|')
  rows = []
  for name in arguments.sets:
    for row in rows_of(name, arguments):
      print('| ' + ' | '.join(cell(row, x) for x in COLUMNS) + ' |', flush=True)
      rows.append(row)
  print(goal(rows))
  if arguments.json:
    arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == '__main__':
  main()
