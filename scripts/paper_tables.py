"""The paper's Tables I, II and III: its numbers, and ours beside them.

Rieger, Pahl, Seuss, FG 2020, arXiv 2003.08751. A table is a dict of `title`,
`columns`, `rows` (values, None where there is none) and `notes`.
"""

import numpy as np

from aubal_jax.datasets import action_units
from aubal_jax.tables import labelsets as labelsets_lib

# The baseline, and the set that was balanced: columns of every table.
KINDS = ('non-aug', 'aug-1')
# Table I: images that show each AU, then images.
COUNTS = {
  'non-aug': (62180, 12699, 48209, 18455, 33237, 5306, 9600, 28175, 322551),
  'aug-1': (62874, 24754, 48365, 33091, 35417, 17748, 25681, 35416, 378041),
}
# Table II: F1 of each AU on the validation part of Aff-Wild2, and then TOTALS.
SCORES = {
  'non-aug': (0.64, 0.0, 0.47, 0.21, 0.39, 0.0, 0.0, 0.0, 0.21, 0.94, 0.58),
  'aug-1': (0.71, 0.0, 0.36, 0.33, 0.41, 0.10, 0.04, 0.0, 0.24, 0.93, 0.59),
}
TOTALS = {'f1_macro': 'F1 macro', 'accuracy': 'Acc', 'awc': 'AWC'}
# Table III: validation F1 macro and AWC; test F1 macro, accuracy and AWC.
RANKING = {
  'baseline (Kollias, MobileNetV2)': (None, 0.31, None, None, 0.26),
  'two-stream (Kuhnke)': (None, 0.59, 0.27, 0.93, 0.60),
  'multi-task (Deng)': (None, 0.63, 0.31, 0.91, 0.61),
  'non-aug': (0.21, 0.58, 0.16, 0.91, 0.53),
  'aug-1': (0.24, 0.59, 0.22, 0.89, 0.55),
}
# Of Deng et al., arXiv 2002.03557, on validation, as they tell in the thread of
# their repository; the ensemble with thresholds tuned on the rows scored.
DENG = {
  'teacher': (
    0.63,
    0.0,
    0.52,
    0.02,
    0.46,
    0.01,
    0.04,
    0.0,
    0.209,
    0.945,
    0.577,
  ),
  'student 0': (0.67, 0.0, 0.44, 0.43, 0.4, 0.0, 0.0, 0.0, 0.243, 0.945, 0.594),
  'ensemble, tuned': (*(None,) * 8, 0.316, 0.936, 0.626),
}


def spread(counts):
  """Returns sum_i |z_i - mean z|: (1a) of the paper without its variance."""
  counts = np.asarray(counts, float)
  return float(np.abs(counts - counts.mean()).sum())


def table1(title, names, columns, notes):
  """Returns a Table I, the paper's two columns last.

  Args:
    title: of the table.
    names: L label names; of those that are no AUs the paper has no numbers.
    columns: heading -> L counts of images that show each label, and images.
    notes: what is to be said below it.
  """
  paper = [
    [*_of_names(names, counts[:-1]), counts[-1]] for counts in COUNTS.values()
  ]
  columns = {k: [int(x) for x in v] for k, v in columns.items()}
  columns |= {f'paper: {k}': v for k, v in zip(KINDS, paper, strict=True)}
  rows = [
    [name, *(column[i] for column in columns.values())]
    for i, name in enumerate([*names, 'images'])
  ]
  for what, measure in (
    ('sum of abs(z - mean z)', spread),
    ('MeanIR', lambda z: float(labelsets_lib.mean_ir(np.array(z)))),
  ):
    counts = (column[:-1] for column in columns.values())
    rows.append([what, *(None if None in z else measure(z) for z in counts)])
  return {
    'title': title,
    'columns': ['', *columns],
    'rows': rows,
    'notes': notes,
  }


def _of_names(names, values):
  """Returns the paper's value of each label, None where it has none."""
  of_code = dict(zip(action_units.CODES, values, strict=True))
  return [of_code.get(name) for name in names]


def table1_of_runs(runs):
  """Returns Table I of what was read from folders, or None without any.

  Args:
    runs: kind -> dict of `labelsets` and `solution`, each a file or None.
  """
  found = [run['labelsets'] for run in runs.values() if run['labelsets']]
  if not found:
    return None
  columns, solution = {}, runs['aug-1']['solution']
  for name, entry in found[-1].get('sources', {}).items():
    columns[name] = [*entry['class_counts'], entry['images']]
  before = found[-1]
  columns['non-aug'] = [*before['class_counts'], before['images']]
  notes = [
    'A column of a data set counts all its images, validation included; '
    'non-aug and aug-1 count what trains.'
  ]
  if solution is not None:
    columns['aug-1'] = [
      *(*solution['class_counts_after'], solution['images_after'])
    ]
    notes.append(
      f'f, of the objective {solution["objective"]} with lambda '
      f'{solution["lam_effective"]:.4g}, went from '
      f'{solution["value_start"]:,.3f} to {solution["rounded_value"]:,.3f} in '
      f'whole images; no choice is better by more than a relative '
      f'{solution["rounded_gap"]:.1e}, which is proved.'
    )
  title = 'Table I of these runs: images that show each label'
  return table1(title, before['label_names'], columns, notes)


def table2(runs, notes):
  """Returns Table II: F1 of each label, and all together.

  Args:
    runs: kind -> dict of `report`, report.json or None.
    notes: what is to be said below it.
  """
  reports = {kind: run['report'] for kind, run in runs.items()}
  there = [report for report in reports.values() if report is not None]
  names = there[-1]['label_names'] if there else list(action_units.CODES)
  columns = {}
  for kind, report in reports.items():
    columns[f'{kind}, {report["split"] if report else "no run"}'] = (
      [None] * (len(names) + len(TOTALS))
      if report is None
      else [report['per_label'].get(n, {}).get('f1') for n in names]
      + [report[total] for total in TOTALS]
    )
  if there:
    for floor in ('all_positive', 'all_negative'):
      scores = there[-1]['floors'][floor]
      columns[f'floor: {floor.replace("_", " ")}'] = [None] * len(names) + [
        scores[total] for total in TOTALS
      ]
  columns |= {
    heading: values
    for heading, values in published_columns(names).items()
    if heading.startswith('paper: ')
  }
  return {
    'title': 'Table II: F1 of each label',
    'columns': ['', *columns],
    'rows': [
      [name, *(column[i] for column in columns.values())]
      for i, name in enumerate([*names, *TOTALS.values()])
    ],
    'notes': [
      'The paper: validation part of Aff-Wild2. An all-negative predictor '
      'already has a high accuracy: the floors tell what is learnt.',
      *notes,
    ],
  }


def published_columns(names):
  """Returns heading -> the numbers of others: of each label, then TOTALS."""
  columns = {f'paper: {kind}': values for kind, values in SCORES.items()}
  columns |= {f'published: Deng, {k}': values for k, values in DENG.items()}
  last = -len(TOTALS)
  return {
    heading: [*_of_names(names, values[:last]), *values[last:]]
    for heading, values in columns.items()
  }


def table3(runs, notes):
  """Returns Table III: validation and test scores, ours above the paper's.

  Args:
    runs: kind -> dict of `validation` and `test`, dicts of scores or None.
    notes: what is to be said below it.
  """
  rows = []
  for kind, run in runs.items():
    validation, test = run['validation'] or {}, run['test'] or {}
    rows.append(
      [kind, validation.get('f1_macro'), validation.get('awc')]
      + [test.get(total) for total in TOTALS]
    )
  rows += [[f'paper: {name}', *values] for name, values in RANKING.items()]
  return {
    'title': 'Table III: all labels together',
    'columns': [
      *('', 'validation F1 macro', 'validation AWC'),
      *(f'test {total}' for total in TOTALS.values()),
    ],
    'rows': rows,
    'notes': [
      'The paper: Aff-Wild2, whose test labels its authors keep; a run on it '
      'has no test scores.',
      *notes,
    ],
  }


def markdown(table):
  """Returns a table as Markdown."""
  lines = [f'## {table["title"]}', '']
  for row in (
    table['columns'],
    ['---'] * len(table['columns']),
    *table['rows'],
  ):
    lines.append('| ' + ' | '.join(map(_cell, row)) + ' |')
  return '\n'.join([*lines, *(f'\n{note}' for note in table['notes'])])


def _cell(value):
  if value is None:
    return '-'
  if isinstance(value, float):
    return f'{value:,.3f}' if value >= 100 else f'{value:.2f}'
  return f'{value:,}' if isinstance(value, int) else str(value)
