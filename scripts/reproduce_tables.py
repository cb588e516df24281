r"""Prints the paper's three tables and draws Fig. 2, with ours beside.

  python scripts/reproduce_tables.py
  python scripts/reproduce_tables.py --aug=runs/paper --non_aug=DIR
  python scripts/reproduce_tables.py --data=FOLDER
  python scripts/reproduce_tables.py --systems=all --seeds=3 [--data=FOLDER]

The paper: Rieger, Pahl, Seuss, FG 2020, arXiv 2003.08751. Without an argument
Table I and Fig. 2 are those of a made-up joint distribution that has Table I's
numbers (scripts/reconstruct_table1.py), and Tables II and III hold the paper's
numbers alone. Finished folders of configs/paper.py (--aug) and
configs/paper_non_aug.py (--non_aug), or of any two runs, put theirs beside.

With --data it is one command from raw folders to the tables: FOLDER holds the
data sets as configs/paper.py wants them, and both configurations are run first,
the baseline before the other (hours on a GPU). What is done is not done again,
and what was stopped goes on. Flags --config.KEY=VALUE are handed to both.

With --systems, Tables II and III are of the systems that the paper compares:
its two, the baseline, a teacher of several tasks, its students and their
ensemble (configs/baseline.py, configs/multitask.py), and two streams that see,
hear, and both (configs/two_stream.py; the clips of Aff-Wild2, or WAV files, lie
below its folder), each with --seeds seeds, as means and ranges. Without --data
they are small networks on drawn faces and videos, minutes a run; such a table
says that it is the small form, and has no numbers of papers beside.
A system that cannot run has its row, and says why; the exit status is 1 then.

Written into --out: tables.md, tables.json, fig2.png and, with a run that was
balanced, fig2_run.png. Numbers of the paper are marked as the paper's.
"""

import argparse
import pathlib
import subprocess
import sys

import numpy as np
import paper_systems
import paper_tables
import reconstruct_table1

from aubal_jax.datasets import action_units
from aubal_jax.runs import files

ROOT = pathlib.Path(__file__).resolve().parent.parent
JOINT = ROOT / 'aubal_jax/datasets/drawn/table1_joint.json'
# What is read of each file, so that another's is told apart.
_OF_A_RUN = {
  'labelsets': ('label_names', 'class_counts', 'images'),
  'solution': ('class_counts_after', 'images_after', 'trace'),
  'report': ('label_names', 'per_label', 'split', 'step'),
}
_OF_A_JOINT = ('label_names', 'labelsets', 'sources')
_SMALL_FORM = (
  'Small form: drawn faces of 48 pixels, each labelled for one task, and small '
  'networks (resnet8_16, also for MobileNetV2), 1,000 steps; of two streams: '
  'drawn videos with sound, each frame labelled for all tasks, so that their '
  'rows are of another test split. It says nothing about the sets of the paper.'
)
CONFIGS = {'non-aug': 'paper_non_aug', 'aug-1': 'paper'}


def read_joint(joint):
  """Returns patterns int[S, 8], counts int[4, S] and additions int[S].

  Args:
    joint: what scripts/reconstruct_table1.py wrote.
  """
  patterns, counts, added = zip(*joint['labelsets'], strict=True)
  patterns = np.array([[int(bit) for bit in pattern] for pattern in patterns])
  return patterns, np.array(counts).T, np.array(added)


def check(patterns, counts, added):
  """Returns in words whether all numbers are those of the paper."""
  rows = reconstruct_table1.check(patterns, counts, added)
  wrong = [what for what, found, wanted in rows if found != wanted]
  told = (
    f'NOT the numbers of the paper: {", ".join(wrong)}.'
    if wrong
    else 'Every source, non-aug and aug-1 have exactly the numbers that the '
    'paper prints.'
  )
  return (
    'Which AUs come together is made up: the joint counts of the paper are not '
    f'published. {told}'
  )


def table1(joint):
  """Returns Table I of a made-up joint distribution, and what Fig. 2 shows."""
  from aubal_jax.balancing import solve as solve_lib

  patterns, counts, added = read_joint(joint)
  total = counts.sum(axis=0)

  def solve(lam, optimizer, tol):
    return solve_lib.solve(
      patterns, total, lam=lam, lam_images=None, optimizer=optimizer, tol=tol
    )

  best, printed = (solve(lam, 'newton', 1e-8) for lam in (0.0, 70.0))
  columns = {
    name: [*(n @ patterns), n.sum()]
    for name, n in (
      *zip(joint['sources'], counts, strict=True),
      *(('non-aug', total), ('aug-1', total + added)),
    )
  }
  reached = paper_tables.spread(columns['aug-1'][:-1])
  for name, found in (('best, lambda 0', best), ('best, lambda 70', printed)):
    columns[name] = [*found.class_counts_after, found.images_after]
  notes = [
    check(patterns, counts, added),
    'f = sum of abs(z - mean z) + lambda times the variance of growth, growth '
    f'from 1 to 10. It begins at {best.value_start:,.0f}; the paper reached '
    f'{reached:,.0f}, the variance left out. Without the variance the least '
    f'possible is {_in_words(best)} With lambda 70, taken raw, it is '
    f'{_in_words(printed)} A linear programme of SciPy, without the variance: '
    f'{reconstruct_table1.best_value(patterns, total):,.3f}.',
  ]
  title = 'Table I: images that show each AU, and the certified best'
  table = paper_tables.table1(title, joint['label_names'], columns, notes)
  trace = solve(70.0, 'adam', 1e-5).trace
  return table, (joint['label_names'], columns, trace)


def _in_words(found):
  """Returns what a `Solution` reaches, and how sure that is."""
  return (
    f'{found.value:,.3f} with {found.images_after - found.images_before:,} '
    f'images added ({found.rounded_value:,.3f} in whole images), proved up to '
    f'a relative {max(found.gap, 0.0):.0e}.'
  )


def _checked(content, keys):
  """Returns the content of a JSON file that has these keys, or None."""
  good = isinstance(content, dict) and {*keys} <= {*content}
  return content if good else None


def _check_pair(runs):
  """Raises ValueError where two runs are not of the same labels."""
  names = {
    kind: run['labelsets']['label_names']
    for kind, run in runs.items()
    if run['labelsets'] is not None
  }
  if len({*map(tuple, names.values())}) > 1:
    told = ', '.join(f'{kind} has {found}' for kind, found in names.items())
    raise ValueError(f'The two runs must have the same labels; {told}.')


def read_run(path, kind):
  """Returns the files of a folder, None for what is not there, and notes.

  Args:
    path: of the folder, or None.
    kind: of `paper_tables.KINDS`.

  Raises:
    ValueError: the folder is not there, or a file of it is damaged.
  """
  run = dict.fromkeys(('labelsets', 'solution', 'report'))
  run |= dict.fromkeys(('validation', 'test'))
  if path is None:
    return run, [f'{kind}: no run is given, see --help.']
  if not path.is_dir():
    raise ValueError(f'{path} is not a folder; name that of a finished run.')
  notes = []
  for name in ('labelsets', 'solution', 'report'):
    file = path / f'{name}.json'
    if file.exists():
      run[name] = _checked(files.read_json(file), _OF_A_RUN[name])
      if run[name] is None:
        raise ValueError(
          f'{file} is not that of a run; name the folder of a finished one.'
        )
    elif (kind, name) != ('non-aug', 'solution'):
      notes.append(
        f'{kind}: {file} is missing; finish the run with python -m '
        f'aubal_jax.main --config=configs/{CONFIGS[kind]}.py --workdir={path}.'
      )
  report = run['report']
  if report is not None:
    run[report['split']] = report
    if run['validation'] is None:
      found = paper_systems.validated(path / 'metrics.jsonl', report['step'])
      run['validation'] = found
  return run, notes


def train(data, folders, flags):
  """Runs both configurations, each in a process of its own, or ends there."""
  for kind, folder in folders.items():
    command = [
      *(sys.executable, '-m', 'aubal_jax.main'),
      f'--config={ROOT / "configs" / CONFIGS[kind]}.py',
      *(f'--config.data.path={data}', f'--workdir={folder}', *flags),
    ]
    print(f'{kind}: {" ".join(command)}', flush=True)
    status = subprocess.run(command, check=False).returncode
    if status:
      print(
        f'Error: the run {kind} in {folder} ended with status {status}; when '
        'that is mended, the same command goes on.',
        file=sys.stderr,
      )
      raise SystemExit(status if status > 0 else 1)


def draw(path, names, columns, trace):
  """Writes Fig. 2: counts before and after, and the way down to the bound.

  Args:
    path: of the PNG.
    names: L label names.
    columns: heading -> counts of the labels, images after them.
    trace: dict of `step`, `value`, `cost` and `lower_bound`, as a `Solution`
      has it.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(10, 4), layout='constrained')
  left, right = figure.subplots(1, 2)
  width = 0.8 / len(columns)
  for k, (heading, counts) in enumerate(columns.items()):
    places = np.arange(len(names)) + (k - (len(columns) - 1) / 2) * width
    left.bar(places, counts[: len(names)], width, label=heading)
  left.set_xticks(range(len(names)), names, rotation=45)
  left.set_title('Images that show each label')
  value = np.add(trace['value'], trace['cost'])
  right.plot(trace['step'], np.minimum.accumulate(value), label='objective')
  bounds = [
    (step, bound)
    for step, bound in zip(trace['step'], trace['lower_bound'], strict=True)
    if bound is not None
  ]
  right.plot(*zip(*bounds, strict=True), '--', label='certified lower bound')
  span = np.ptp(value) or 1.0
  lowest = min(bound for _, bound in bounds)
  right.set_ylim(bottom=max(lowest, value.min() - span) - 0.05 * span)
  right.set_title('The best so far, and what nothing can be below')
  right.set_xlabel('step of the optimiser')
  for axes in (left, right):
    axes.yaxis.set_major_formatter(lambda y, _: f'{y:,.0f}')
    axes.legend()
  with files.write_atomically(path, 'wb') as file:
    figure.savefig(file, format='png', dpi=120)


def _draw_run(path, runs, table):
  """Draws Fig. 2 of the run that was balanced, where there is one."""
  solution = runs['aug-1']['solution']
  if solution is None:
    return
  names = runs['aug-1']['labelsets']['label_names']
  headings = table['columns']
  columns = {
    kind: [row[headings.index(kind)] for row in table['rows'][: len(names)]]
    for kind in paper_tables.KINDS
  }
  draw(path, names, columns, solution['trace'])


def reproduce(out, joint, folders):
  """Returns the Markdown of all tables; writes it, JSON and pictures."""
  found = {kind: read_run(path, kind) for kind, path in folders.items()}
  runs = {kind: run for kind, (run, _) in found.items()}
  _check_pair(runs)
  notes = [note for _, told in found.values() for note in told]
  first, (names, columns, trace) = table1(joint)
  own = paper_tables.table1_of_runs(runs)
  tables = [
    *(first, own, paper_tables.table2(runs, notes)),
    paper_tables.table3(runs, notes),
  ]
  tables = [table for table in tables if table is not None]
  shown = ('non-aug', 'aug-1', 'best, lambda 70')
  draw(out / 'fig2.png', names, {x: columns[x] for x in shown}, trace)
  _draw_run(out / 'fig2_run.png', runs, own)
  return _write(out, tables)


def reproduce_systems(arguments, flags):
  """Trains the systems, writes their tables, and returns the exit status."""
  if arguments.seeds < 1:
    raise ValueError(f'--seeds must be at least 1, got {arguments.seeds}.')
  systems = paper_systems.choose(arguments.systems)
  trained = paper_systems.train(
    systems,
    arguments.seeds,
    arguments.out / 'systems',
    data=arguments.data,
    flags=flags,
  )
  names = next(
    (
      [*network['report']['per_label']]
      for one in trained.values()
      for network in one.networks
    ),
    [*action_units.CODES],
  )
  form = [] if arguments.data else [_SMALL_FORM]
  seeds = f'Seeds 0 to {arguments.seeds - 1}: means, and ranges in brackets.'
  tables = paper_systems.tables(
    trained, names, [*form, seeds], published=bool(arguments.data)
  )
  print(_write(arguments.out, tables), end='')
  return int(any(one.reason for one in trained.values()))


def _write(out, tables):
  """Writes tables.json and tables.md; returns the Markdown."""
  text = '\n\n'.join(map(paper_tables.markdown, tables)) + '\n'
  files.write_json(out / 'tables.json', tables)
  with files.write_atomically(out / 'tables.md') as file:
    file.write(text)
  return text


def main(argv=None):
  """Runs what has to be run, and prints the tables."""
  parser = argparse.ArgumentParser(
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument('--data', help='folder of the raw data sets')
  parser.add_argument('--aug', type=pathlib.Path, help='folder of aug-1')
  parser.add_argument('--non_aug', type=pathlib.Path, help='folder of non-aug')
  parser.add_argument('--systems', help='all, or names with commas between')
  parser.add_argument('--seeds', type=int, default=1, help='of each system')
  parser.add_argument('--joint', default=JOINT, help='of reconstruct_table1')
  parser.add_argument('--out', type=pathlib.Path, default='runs/tables')
  arguments, flags = parser.parse_known_args(argv)
  takes_flags = arguments.data or arguments.systems
  if not takes_flags or not all(x.startswith('--config.') for x in flags):
    for flag in flags:
      parser.error(
        f'{flag} is unknown; --config.KEY=VALUE goes with --data or --systems.'
      )
  folders = {'non-aug': arguments.non_aug, 'aug-1': arguments.aug}
  try:
    if arguments.systems:
      return reproduce_systems(arguments, flags)
    joint = _checked(files.read_json(arguments.joint), _OF_A_JOINT)
    if not joint or not joint['labelsets']:
      raise ValueError(
        f'{arguments.joint} is not what scripts/reconstruct_table1.py writes.'
      )
    if arguments.data:
      for kind, name in CONFIGS.items():
        folders[kind] = folders[kind] or pathlib.Path('runs', name)
      train(arguments.data, folders, flags)
    print(reproduce(arguments.out, joint, folders), end='')
  except (OSError, ValueError) as error:
    print(f'Error: {error}', file=sys.stderr)
    return 2
  return 0


if __name__ == '__main__':
  sys.exit(main())
