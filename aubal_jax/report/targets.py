"""The sections on targets beside the labels: classes and numbers."""

from __future__ import annotations

from collections.abc import Iterator

from aubal_jax.report import html
from aubal_jax.report import target_plots
from aubal_jax.scoring import overall
from aubal_jax.scoring import targets as targets_lib

_LABELS = targets_lib.LABELS
_MOST_CLASSES = 40  # Of which a confusion matrix is drawn.
_EACH = {'binary': 'label', 'class': 'class', 'real': 'number'}
_FLOORS = {
  'majority': 'floor: the most frequent class, always',
  'mean': 'floor: the mean, always',
  'all_positive': 'floor: yes to everything',
  'all_negative': 'floor: no to everything',
}
_SHORT = {
  'majority': 'Always the most frequent class',
  'mean': 'Always the mean',
  'all_positive': 'Yes to everything',
}


def describe(report) -> Iterator[str]:
  """Yields a sentence on each target beside the labels, HTML.

  Args:
    report: content of report.json.
  """
  for name, entry in report.get('targets', {}).items():
    (main, *others) = targets_lib.scores_in(entry['kind'], 'report.html')
    interval = entry.get(f'{main.name}_interval')
    noun = f'{html.text(entry["split"])} row'
    told = (
      f'Of <b>{html.text(name)}</b>, on {html.count(entry["num_rows"], noun)}, '
      f'{main.title} is <b>{entry[main.name]:.3f}</b>'
    )
    if interval:
      told += f' ({_level(entry)} interval {_range(interval)})'
    for score in others:
      told += f', {score.title} {entry[score.name]:.3f}'
    floor, found = next(iter(entry['floors'].items()))
    floors = ', '.join(
      f'{s.title} {found[s.name]:.3f}' for s in (main, *others)
    )
    yield f'{told}. {_SHORT[floor]} has {floors}.'


def tiles(report) -> Iterator[tuple[str, str, str]]:
  """Yields the main score of each target, with what it is, HTML."""
  for name, entry in report.get('targets', {}).items():
    (main, *_) = targets_lib.scores_in(entry['kind'], 'report.html')
    floor, found = next(iter(entry['floors'].items()))
    yield (
      f'{entry[main.name]:.3f}',
      f'{main.title} of {html.text(name)}, {html.text(entry["split"])}',
      f'{_FLOORS[floor]}: {found[main.name]:.3f}',
    )


def sections(report) -> list[str]:
  """Returns the sections of all targets; [] where there are the labels alone.

  Args:
    report: content of report.json.
  """
  if 'targets' not in report:
    return []
  parts = [html.section('All targets together', _together(report))]
  for name, entry in report['targets'].items():
    clean = report.get('clean', {}).get('targets', {}).get(name)
    title = f'Target {name}'
    parts.append(html.section(title, _target(name, entry, clean)))
  return parts


def _together(report) -> str:
  """Returns the table of what challenges score."""
  found = {'': report['challenge']}
  if 'clean' in report:
    found['clean: '] = report['clean']['challenge']
  years = [*overall.CHALLENGES]
  names = [_LABELS, *report['targets']]
  rows = [
    [
      html.text(name),
      *(html.number(c[y].get(name), 3) for c in found.values() for y in years),
    ]
    for name in names
  ]
  foot = [
    ['sum, 2022', *_in_last(found, years, overall.TOGETHER)],
    ['overall', *_in_first(found, years)],
  ]
  columns = ('target', *(f'{lead}{y}' for lead in found for y in years))
  caption = (
    'What the challenges on affective behaviour score. 2020: labels half F1 '
    'macro and half accuracy of all entries, classes .67 F1 macro + .33 '
    'accuracy, numbers mean CCC. From 2022 on: F1 macro, F1 macro, mean CCC, '
    'and their sum. Overall, by which the best state is chosen, is '
    'the sum of the scores of 2020, with each CCC for itself.'
  )
  notes = _intervals(report)
  if 'clean' in report:
    notes += html.soft(
      'Clean: over the rows whose subject or video trains in no task. The '
      'splits of the tasks contradict each other, and the network has seen '
      'the others, with other labels.'
    )
  return f'{html.table(caption, columns, rows, foot=foot)}\n{notes}'


def _intervals(report) -> str:
  """Returns the intervals of what all targets come to; HTML, '' without any."""
  found = report['challenge']
  told = [
    f'{words} {_range(found[f"{name}_interval"])}'
    for name, words in (
      (targets_lib.OVERALL, 'overall'),
      (overall.TOGETHER, 'sum of 2022'),
    )
    if f'{name}_interval' in found
  ]
  level = f'{100 * report["bootstrap"]["confidence"]:.0f} %'
  return html.soft(f'{level} intervals: {", ".join(told)}.') if told else ''


def _in_last(found, years, name) -> list[str]:
  """Returns cells that are blank but in the last year."""
  return [
    html.number(c[year].get(name), 3) if year == years[-1] else ''
    for c in found.values()
    for year in years
  ]


def _in_first(found, years) -> list[str]:
  return [
    html.number(c.get(targets_lib.OVERALL), 3) if year == years[0] else ''
    for c in found.values()
    for year in years
  ]


def _target(name, entry, clean) -> str:
  """Returns the section of one target."""
  parts = [_totals(entry, clean), _each(entry), *_picture(name, entry)]
  boot = entry['bootstrap']
  if boot['num_resamples']:
    unit = html.count(boot['num_units'], boot['unit'])
    samples = html.count(boot['num_resamples'], 'bootstrap sample')
    parts.append(html.soft(f'Intervals: {samples} of {unit}.'))
  return '\n'.join(parts)


def _totals(entry, clean) -> str:
  """Returns the table of the run beside what says the same of every row."""
  scores = targets_lib.scores_in(entry['kind'], 'report.html')
  shown = [('this run', entry)]
  if clean is not None:
    shown.append((f'clean rows alone, {html.number(clean["num_rows"])}', clean))
  shown += [(_FLOORS[f], found) for f, found in entry['floors'].items()]
  rows = [
    [
      html.text(title),
      *(cell for s in scores for cell in _with_interval(found, s.name)),
    ]
    for title, found in shown
  ]
  columns = ['']
  for score in scores:
    columns += [score.title, f'{_level(entry)} interval']
  caption = (
    f'{html.text(entry["split"]).capitalize()} split, '
    f'{html.count(entry["num_rows"], "row")} that the target is known of, all '
    'pooled.'
  )
  return html.table(caption, columns, rows)


def _each(entry) -> str:
  """Returns the table of labels, classes or numbers."""
  kind = entry['kind']
  main, *others = _in_order(kind)
  rows = []
  for name, found in entry['of_each'].items():
    # Without a row every F1 is 0, of every sample: that is no interval.
    interval = found.get(f'{main.name}_interval') if found['rows'] else None
    line = []
    if interval:
      low, high = (min(max(x, 0), 1) for x in interval)
      line = [('range', low, high - low)]
    rows.append(
      [
        html.text(name),
        html.number(found['rows']),
        html.number(found[main.name], 3),
        _range(interval) if interval else html.NONE,
        html.bar(('', 0, max(found[main.name], 0)), *line),
        *(html.number(found[s.name], 3) for s in others),
      ]
    )
  columns = (
    *(_EACH[kind], 'rows', main.title, f'{_level(entry)} interval', '0 to 1'),
    *(score.title for score in others),
  )
  return html.table(_CAPTIONS[kind], columns, rows)


_CAPTIONS = {
  'binary': 'At threshold 0.5. Rows: those that show the label.',
  'class': 'Said is the likeliest class. Rows: those that are of the class.',
  'real': (
    'CCC is the concordance correlation coefficient, with deviations of n; '
    'RMSE is in the unit of the number.'
  ),
}


def _in_order(kind):
  """Returns the scores of each label, class or number, the main one first."""
  scores = targets_lib.scores_in(kind, 'report.html', of_label=True)
  return sorted(scores, key=lambda s: s.name not in ('f1', 'ccc'))


def _picture(name, entry) -> Iterator[str]:
  """Yields what can be drawn of a target."""
  if entry['kind'] == 'class' and len(entry['names']) <= _MOST_CLASSES:
    yield html.plot(
      target_plots.confusion(name, entry['names'], entry['confusion']),
      alt=f'Confusion matrix of {name}; precision and recall of each class '
      'are in the table.',
      caption='Rows of each class, by what is said of them. The stronger the '
      'colour, the larger the share of its line.',
    )
  if entry['kind'] == 'real':
    yield html.plot(
      target_plots.density(name, entry['density'], entry['low'], entry['high']),
      alt=f'What is said of {name} against what is true; the CCC of each is '
      'in the table.',
      caption='The stronger the colour, the more rows, by the root of their '
      'number; on the dashed line what is said is true.',
    )


def _level(entry) -> str:
  return f'{100 * entry["bootstrap"]["confidence"]:.0f} %'


def _range(interval) -> str:
  return f'{interval[0]:.3f} to {interval[1]:.3f}'


def _with_interval(found, name) -> tuple[str, str]:
  interval = found.get(f'{name}_interval')
  return html.number(found[name], 3), _range(interval) if interval else ''
