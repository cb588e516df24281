"""The section on scores: F1 of each label, beside its floor and interval."""

from aubal_jax.report import html

# Score of all labels together -> its heading.
_TOTALS = {
  'f1_macro': 'F1 macro',
  'f1_micro': 'F1 micro',
  'accuracy': 'accuracy',
  'awc': 'AWC',
}


def _f1_cells(f1, interval, floor):
  """Returns the cells F1, interval, bar and floor."""
  line = [('range', interval[0], interval[1] - interval[0])] if interval else []
  return [
    html.number(f1, 3),
    f'{interval[0]:.3f} to {interval[1]:.3f}' if interval else html.NONE,
    html.bar(('', 0, f1), *line, ('floor', floor, None)),
    html.number(floor, 3),
  ]


def _f1_row(name, entry):
  """Returns the cells of one label in the table of F1."""
  tuned = entry['tuned']
  # Without a positive every F1 is 0, of every sample: that is no interval.
  interval = entry.get('f1_interval') if entry['positives'] else None
  return [
    html.text(name),
    html.number(entry['positives']),
    *_f1_cells(entry['f1'], interval, entry['f1_all_positive']),
    html.number(tuned['f1'], 3),
    f'{tuned["threshold"]:.3g}',
    *(html.number(entry[k], 3) for k in ('precision', 'recall', 'auc', 'ap')),
  ]


def has_positives(report):
  """Returns whether any label has a positive among the images scored."""
  return len(report['labels_without_positives']) < len(report['label_names'])


def scores(report):
  """Table II of the paper, for this run, with what it must be read beside."""
  level = f'{100 * report["bootstrap"]["confidence"]:.0f} %'
  columns = ('label', 'positives', 'F1', f'{level} interval', '0 to 1')
  columns += ('floor', 'F1 tuned', 'threshold')
  columns += ('precision', 'recall', 'AUC', 'AP')
  rows = [_f1_row(n, report['per_label'][n]) for n in report['label_names']]
  macro = _f1_cells(
    report['f1_macro'],
    report.get('f1_macro_interval') if has_positives(report) else None,
    report['floors']['all_positive']['f1_macro'],
  )
  tuned = html.number(report['tuned']['f1_macro'], 3)
  foot = [['F1 macro', '', *macro, tuned, *[''] * 5]]
  caption = (
    f'{html.text(report["split"]).capitalize()} split, '
    f'{html.count(report["num_images"], "image")}. F1, precision and recall at '
    'threshold 0.5. Bar: F1, with its interval as a line; '
    f'{html.key("before", "floor: F1 of saying yes to every image")}.'
  )
  return '\n'.join(
    [
      '<h2>F1 of each label</h2>',
      html.table(caption, columns, rows, foot=foot),
      _floors(report),
      *(f'<p class="soft">{note}</p>' for note in _notes(report)),
    ]
  )


def _floors(report):
  """Returns the table of the run beside the two constant predictors."""
  rows = [
    [html.text(name), *(html.number(x[key], 3) for key in _TOTALS)]
    for name, x in (
      ('this run, threshold 0.5', report),
      ('this run, tuned thresholds', report['tuned']),
      ('floor: yes to everything', report['floors']['all_positive']),
      ('floor: no to everything', report['floors']['all_negative']),
    )
  ]
  return html.table(
    'All labels together, beside predictors that have learnt nothing.',
    ('', *_TOTALS.values()),
    rows,
  )


_TOTALS = {
  'f1_macro': 'F1 macro',
  'f1_micro': 'F1 micro',
  'accuracy': 'accuracy',
  'awc': 'AWC',
}


def _notes(report):
  """Yields what one has to know to read the scores; HTML."""
  boot = report['bootstrap']
  if boot['num_resamples']:
    unit = html.count(boot['num_units'], boot['unit'])
    if boot['unit'] == 'group':
      unit += ' (subjects or videos)'
    yield (
      f'Intervals: {html.count(boot["num_resamples"], "bootstrap sample")} of '
      f'{unit}.'
    )
  yield (
    'Tuned thresholds were cross-fitted: each half of these images was scored '
    'with thresholds from the other half, as there are no other images to '
    'tune them on.'
    if report['cross_fitted']
    else 'Tuned thresholds come from the validation split.'
  )
  if report['labels_without_positives']:
    names = ', '.join(map(html.text, report['labels_without_positives']))
    yield (
      f'Without a positive in this split, so F1 is 0 by definition: {names}. '
      f'F1 macro without them: {html.number(report["f1_macro_present"], 3)}.'
    )
  if report['num_images_dropped']:
    yield (
      'Dropped by the reader, and counted nowhere: '
      f'{html.count(report["num_images_dropped"], "image")}.'
    )
  yield 'AWC is the mean of F1 macro and accuracy.'
