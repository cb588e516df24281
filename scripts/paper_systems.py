"""The systems of the paper's Table III, each trained here, with several seeds.

A system is a configuration, and which of its networks is meant: of a run with
students there are the teacher, each student, and their ensemble.
"""

import pathlib
import subprocess
import sys
import types
import typing

import numpy as np
import paper_tables

from aubal_jax.network import log as log_lib
from aubal_jax.runs import files

ROOT = pathlib.Path(__file__).resolve().parent.parent


class System(typing.NamedTuple):
  """What is trained, and what of it is scored.

  Attributes:
    config: name of a file of configs/.
    learner: 'teacher' or 'students', of a run that has some; '': what the run
      itself is scored by.
    flags: --config.KEY=VALUE that make it another system of its configuration.
    folder: of the raw data sets, the one that it reads; '': all of them.
  """

  config: str
  learner: str = ''
  flags: tuple[str, ...] = ()
  folder: str = ''

  @property
  def run(self) -> str:
    """What its runs are called."""
    values = [flag.partition('=')[2] for flag in self.flags]
    return '-'.join([self.config, *values])


SYSTEMS = types.MappingProxyType(
  {
    'non-aug': System('paper_non_aug'),
    'aug-1': System('paper'),
    'baseline': System('baseline'),
    'teacher': System('multitask', 'teacher'),
    'students': System('multitask', 'students'),
    'ensemble': System('multitask'),
    **{
      f'two-stream {name}': System(
        'two_stream',
        flags=(f'--config.two_stream.modalities={modalities}',),
        folder='aff_wild2',
      )
      for name, modalities in (
        *(('video', 'video'), ('sound', 'audio'), ('both', 'both')),
      )
    },
  }
)
# Drawn faces, each labelled for one task, and networks of minutes.
_SMALL_DATA = (
  '--config.data.name=synthetic',
  '--config.data.drawn_targets=labels,expression,valence_arousal',
  '--config.data.drawn_apart=True',
  '--config.data.image_size=48',
  '--config.data.num_validation=600',
  '--config.data.num_test=600',
)
_SMALL_LABELS = (
  *_SMALL_DATA,
  '--config.multitask.targets=labels',
  '--config.data.unknown=drop',
  '--config.train.learning_rate=1e-3',
  '--config.train.num_steps=1000',
  '--config.train.eval_every_steps=200',
  '--config.train.keep_checkpoints=1',
  '--config.model.name=resnet8_16',  # As configs/multitask.py has it.
  '--config.model.stem=3x3',
)
SMALL = types.MappingProxyType(
  {
    'paper_non_aug': _SMALL_LABELS,
    'paper': _SMALL_LABELS,
    'baseline': _SMALL_LABELS,
    'multitask': (),
    'two_stream': (),
  }
)


# kind of target -> scores that stand in a table, and what they are called.
_SCORES = types.MappingProxyType(
  {
    'class': (('f1_macro', 'F1 macro'), ('accuracy', 'accuracy')),
    'real': (('ccc_mean', 'mean CCC'),),
    'binary': (('f1_macro', 'F1 macro'),),
  }
)


class Trained(typing.NamedTuple):
  """What came of a system.

  Attributes:
    networks: dicts of `report`, scores of the split `report['split']`, and
      `validation`, those of validation or None; one of each network.
    reason: why there are none; ''.
  """

  networks: list[dict]
  reason: str = ''


def choose(names):
  """Returns name -> `System`, of 'all' or of names with commas between."""
  chosen = [*SYSTEMS] if names == 'all' else names.split(',')
  unknown = [name for name in chosen if name not in SYSTEMS]
  if unknown:
    raise ValueError(
      f'--systems must be all, or some of {",".join(SYSTEMS)}; got '
      f'{",".join(unknown)}.'
    )
  return {name: SYSTEMS[name] for name in chosen}


def train(systems, num_seeds, out, data='', flags=()):
  """Trains what is not trained yet; returns name of system -> `Trained`.

  Args:
    systems: from `choose`.
    num_seeds: each of its runs is made with so many seeds, from 0 on.
    out: folder of the runs, such as CONFIG-SEED.
    data: folder of the raw data sets; '': the small form, on drawn faces.
    flags: --config.KEY=VALUE, handed to all.
  """
  reasons, folders = {}, {}
  for run, system in {one.run: one for one in systems.values()}.items():
    own = _of_data(system, data) if data else SMALL[system.config]
    for seed in range(num_seeds):
      folder = pathlib.Path(out, f'{run}-{seed}')
      given = [*own, *system.flags, f'--config.seed={seed}', *flags]
      reason = _run(system.config, folder, given)
      if reason:
        reasons[run] = reason
        break  # Nor would another seed.
      folders.setdefault(run, []).append(folder)
  return {
    name: Trained([], reasons[system.run])
    if system.run in reasons
    else Trained(
      [
        network
        for folder in folders[system.run]
        for network in _read(folder, system.learner)
      ]
    )
    for name, system in systems.items()
  }


def _of_data(system, data):
  """Returns flags that name the raw data of a system."""
  folder = pathlib.Path(data, system.folder)
  flags = [f'--config.data.path={folder}']
  if system.config == 'two_stream':
    flags.append(f'--config.two_stream.sound_dir={folder}')
  return flags


def _run(config, folder, flags):
  """Runs a configuration; returns why it failed, ''."""
  command = [
    *(sys.executable, '-m', 'aubal_jax.main'),
    *(f'--config={ROOT / "configs" / config}.py', f'--workdir={folder}'),
    *flags,
  ]
  print(f'{folder.name}: {" ".join(command)}', flush=True)
  last = ''
  with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
    for line in process.stderr:
      print(line, end='', file=sys.stderr, flush=True)
      last = line.strip() or last
  if not process.returncode:
    return ''
  return last.removeprefix('Error: ') or f'status {process.returncode}'


def _read(folder, learner):
  """Returns the networks of a finished run that a system is scored by."""
  report = files.read_json(folder / 'report.json')
  if learner == 'teacher':
    return [_network(folder, report['teacher'])]
  if learner == 'students':
    return [
      _network(folder / 'students' / str(place), one)
      for place, one in enumerate(report['students'])
    ]
  return [_network(folder, report)]


def _network(folder, report):
  if report['split'] == 'validation':
    return {'report': report, 'validation': report}
  found = validated(folder / 'metrics.jsonl', report['step'])
  return {'report': report, 'validation': found}


def validated(path, step):
  """Returns the scores of validation that training logged, or None."""
  for line in log_lib.read_lines(path) if path.exists() else ():
    if line['step'] == step and 'validation' in line:
      return line['validation']
  return None


def tables(trained, names, notes, *, published):
  """Returns Tables II and III of systems, and one of their other targets.

  Args:
    trained: name of system -> `Trained`.
    names: L label names.
    notes: what is to be said below Table III.
    published: whether numbers of papers stand beside.
  """
  found = [
    _table2(trained, names, published=published),
    _table3(trained, notes, published=published),
    _others(trained),
  ]
  return [table for table in found if table is not None]


def _table2(trained, names, *, published):
  """Returns F1 of each label, the mean over networks, a column a system."""
  totals = paper_tables.TOTALS
  columns = {}
  for name, one in trained.items():
    reports = [network['report'] for network in one.networks]
    split = reports[0]['split'] if reports else 'no run'
    columns[f'{name}, {split}'] = [
      _mean([r['per_label'][label]['f1'] for r in reports]) for label in names
    ] + [_mean([r[total] for r in reports]) for total in totals]
  if published:
    columns |= paper_tables.published_columns(names)
  rows = [
    [name, *(column[i] for column in columns.values())]
    for i, name in enumerate([*names, *totals.values()])
  ]
  return {
    'title': 'Table II: F1 of each label at threshold .5',
    'columns': ['', *columns],
    'rows': rows,
    'notes': ['Means over the networks of a system.'],
  }


def _table3(trained, notes, *, published):
  """Returns a row a system: means, and from where to where they go."""
  totals = [*paper_tables.TOTALS]
  rows, floors = [], {}
  for name, one in trained.items():
    reports = [network['report'] for network in one.networks]
    tests = [r for r in reports if r['split'] == 'test']
    looks = [network['validation'] for network in one.networks]
    looks = looks if None not in looks else []
    for report in reports[:1]:
      floors |= report.get('floors', {})
    rows.append(
      [
        *(name, len(reports) or one.reason),
        *(_with_range([x[k] for x in looks]) for k in ('f1_macro', 'awc')),
        *(_with_range([x[k] for x in tests]) for k in totals),
        _with_range([x['shrunk']['f1_macro'] for x in reports]),
      ]
    )
  for floor, scores in floors.items():
    told = f'floor: {floor.replace("_", " ")}'
    cells = [scores[total] for total in totals]
    rows.append([told, None, None, None, *cells, None])
  if published:
    rows += [
      [f'paper: {name}', None, *values, None]
      for name, values in paper_tables.RANKING.items()
    ]
  return {
    'title': 'Table III: all labels together',
    'columns': [
      *('', 'networks', 'validation F1 macro', 'validation AWC'),
      *(f'test {total}' for total in paper_tables.TOTALS.values()),
      'F1 macro, shrunk thresholds',
    ],
    'rows': rows,
    'notes': notes,
  }


def _others(trained):
  """Returns the scores of other targets, None where no system has any."""
  rows, titles = [], []
  for name, one in trained.items():
    reports = [network['report'] for network in one.networks]
    if not reports or 'targets' not in reports[0]:
      continue
    cells = {
      f'{target} {title}': [r['targets'][target][k] for r in reports]
      for target, entry in reports[0]['targets'].items()
      for k, title in _SCORES[entry['kind']]
    }
    cells['overall'] = [r['challenge']['overall'] for r in reports]
    titles = [*cells]
    rows.append([name, *map(_with_range, cells.values())])
  if not rows:
    return None
  return {
    'title': 'The other targets',
    'columns': ['', *titles],
    'rows': rows,
    'notes': [
      'Overall: half F1 macro and half accuracy of labels, .67 F1 macro + .33 '
      'accuracy of classes, and each CCC, added.'
    ],
  }


def _mean(values):
  if not values or None in values:
    return None
  return float(np.mean(values))


def _with_range(values):
  """Returns the mean, and the range where there are several; None: none."""
  mean = _mean(values)
  if mean is None or len(values) == 1:
    return mean
  return f'{mean:.2f} ({min(values):.2f} to {max(values):.2f})'
