"""The section on a teacher, its students, and the mean that is scored."""

from __future__ import annotations

from aubal_jax.report import html
from aubal_jax.scoring import targets as targets_lib

_LABELS = (
  ('F1 macro', lambda r: r['f1_macro']),
  ('F1 shrunk', lambda r: r['shrunk']['f1_macro']),
  ('F1 tuned', lambda r: r['tuned']['f1_macro']),
  ('accuracy', lambda r: r['accuracy']),
  ('AWC', lambda r: r['awc']),
)


def sections(report) -> list[str]:
  """Returns the section; [] where there are no students.

  Args:
    report: content of report.json.
  """
  if 'students' not in report:
    return []
  columns = [*_LABELS, *_of_targets(report)]
  students = report['students']
  networks = {'teacher': report['teacher']}
  networks |= {f'student {k + 1}': one for k, one in enumerate(students)}
  rows = [
    [html.text(name), *(html.number(read(one), 3) for _, read in columns)]
    for name, one in networks.items()
  ]
  each = [[*map(read, students)] for _, read in columns]
  rows.append(['students, mean', *map(_mean, each)])
  rows.append(['students, range', *map(_range, each)])
  foot = [
    ['their ensemble', *(html.number(read(report), 3) for _, read in columns)]
  ]
  mean = html.text(report['ensemble']['mean'])
  caption = (
    f'{report["split"].capitalize()} split. Each student began anew and learnt '
    'what the teacher says beside what is known; the ensemble is the mean of '
    f'their {mean}, and what this page is about. One teacher: what another '
    'seed of it would give, this does not say.'
  )
  titles = ('', *(title for title, _ in columns))
  table = html.table(caption, titles, rows, foot=foot)
  return [html.section('Teacher, students, ensemble', table)]


def _mean(values) -> str:
  return (
    html.NONE if None in values else html.number(sum(values) / len(values), 3)
  )


def _range(values) -> str:
  if None in values:
    return html.NONE
  return f'{min(values):.3f} to {max(values):.3f}'


def _of_targets(report):
  """Yields the title and the reader of the main score of each other target."""
  for name, entry in report.get('targets', {}).items():
    main = targets_lib.scores_in(entry['kind'], 'report.html')[0]

    def read(one, name=name, score=main.name):
      return one['targets'][name][score]

    yield f'{name}: {main.title}', read
  if 'challenge' in report:
    yield 'overall', lambda one: one['challenge'][targets_lib.OVERALL]
