"""What training came to: learning curves, and scores beside their floors."""

from aubal_jax.report import html
from aubal_jax.report import plots
from aubal_jax.scoring import course
from aubal_jax.scoring import summary
from aubal_jax.scoring import thresholds as thresholds_lib


def describe(report) -> str:
  """Returns sentences on the scores and what they are worth, HTML."""
  interval = report.get('f1_macro_interval')
  level = f'{100 * report["bootstrap"]["confidence"]:.0f} %'
  f1 = report['f1_macro']
  yes = report['floors']['all_positive']['f1_macro']
  no = report['floors']['all_negative']
  noun = f'{html.text(report["split"])} image'
  members = report.get('ensemble', {}).get('members', ())
  who = f'the mean of {len(members)} networks' if members else 'the network'
  out = (
    f'On {html.count(report["num_images"], noun)} {who} reaches F1 macro '
    f'<b>{f1:.3f}</b>'
  )
  if not _has_positives(report):
    return (
      f'{out}: no label has a positive among them, so F1 is 0 by definition '
      'and says nothing.'
    )
  if interval:
    out += f' ({level} interval {interval[0]:.3f} to {interval[1]:.3f})'
  beside = ', '.join(
    f'{report[kind]["f1_macro"]:.3f} with {_title(kind)} thresholds'
    for kind in _kinds(report)
  )
  out += (
    f', {beside}. Saying yes to everything would score {yes:.3f}, no to '
    f'everything {no["f1_macro"]:.3f}: '
  )
  if f1 <= yes:
    out += (
      'at threshold 0.5 it is <b>no better than that floor</b>, so these '
      'scores show nothing learnt.'
    )
  elif interval and interval[0] <= yes:
    out += (
      'it is above both floors, but the interval still reaches down to one.'
    )
  elif interval:
    out += 'it is above both floors, and so is the whole interval.'
  else:
    out += 'it is above both floors.'
  out += (
    f' Accuracy is {report["accuracy"]:.3f}, where no to everything already '
    f'has {no["accuracy"]:.3f}.'
  )
  return out


def learning(lines, report):
  """Loss and validation F1, and how busy the input kept the devices.

  Of several targets it is the score of all of them.
  """
  training = [x for x in lines if 'loss' in x]
  score = course.main_score(lines)
  title = 'F1 macro' if score == 'f1_macro' else 'score of all targets'
  validation = [
    (x['step'], x['validation'][score]) for x in lines if 'validation' in x
  ]
  if not training and not validation:
    return html.soft('Neither a training loss nor a validation was logged.')
  step = floor = None
  floor_name = ''
  if report is not None:
    step = report.get('step')
    if score == 'f1_macro':
      floor = report['floors']['all_positive']['f1_macro']
    # That of validation is known only where validation was evaluated.
    on = '' if report['split'] == 'validation' else f' on {report["split"]}'
    floor_name = f'floor{on}: all positive'
  best = course.best_look(lines)
  best = best and (best['step'], best['validation'][score])
  alt = f'Validation {title} against training steps'
  if training:
    alt = (
      f'Training loss and validation {title} against training steps; loss from '
      f'{training[0]["loss"]:.3f} to {training[-1]["loss"]:.3f}'
    )
  if best:
    alt += f'; {title} {best[1]:.3f} at best'
  facts = ', '.join(_learning_facts(training, best, title))
  facts = facts[0].upper() + facts[1:] + '.'
  floors = floor, floor_name, title
  numbers = html.tiles(_single(training, validation, *floors))
  curves = [c if len(c) > 1 else [] for c in (training, validation)]
  if not any(curves):
    return f'{numbers}\n{html.soft(facts)}{_short(lines)}'
  picture = plots.learning(
    *curves, floor=floor, floor_name=floor_name, chosen=step, score=title
  )
  picture = html.plot(picture, alt=f'{alt}.', caption=facts)
  return f'{numbers}{picture}{_short(lines)}'


def _single(training, validation, floor, floor_name, title):
  """Yields what was logged once: a number, of which there is no curve."""
  if len(training) == 1:
    (line,) = training
    note = f'training loss at step {html.number(line["step"])}, logged once'
    yield html.number(line['loss'], 3), note
  if len(validation) == 1:
    ((step, f1),) = validation
    note = f'validation {title} at step {html.number(step)}, measured once'
    notes = [] if floor is None else [f'{floor_name}, {floor:.3f}']
    yield html.number(f1, 3), note, *notes


def _short(lines) -> str:
  """Returns a sentence where a training looks short of its rate; HTML."""
  reason = course.seems_short(lines)
  return reason and (
    f'\n<p>It looks <b>short of its rate</b>: {html.text(reason)}. Then plans '
    'compared at these steps may be ordered otherwise than at more of them, or '
    'at another <code>train.learning_rate</code> or <code>model.init</code>: '
    'the task <code>search</code> tries those first.</p>'
  )


def _learning_facts(training, best, title):
  """Yields what the curves come to; HTML."""
  if training:
    last = training[-1]
    yield html.count(last['step'], 'step')
    if last.get('epoch') is not None:
      yield f'{last["epoch"]:.1f} epochs'
    if last.get('learning_rate') is not None:
      yield f'learning rate {last["learning_rate"]:.3g}'
  else:
    yield 'no training loss was logged (see <code>train.log_every_steps</code>)'
  rate = _median([x.get('images_per_second') for x in training])
  if rate is not None:
    yield f'{html.number(rate)} images/s (median)'
  wait = _median([x.get('input_wait_fraction') for x in training])
  if wait is not None:
    yield f'{100 * wait:.0f} % of the time waiting for input'
  if best:
    yield (
      f'best validation {title} {best[1]:.3f} at step {html.number(best[0])}'
    )
  else:
    yield 'no validation was logged'


def _median(values):
  values = sorted(x for x in values if x is not None)
  return values[len(values) // 2] if values else None


def _f1_cells(f1, interval, floor):
  """Returns the cells F1, interval, bar and floor."""
  line = [('range', interval[0], interval[1] - interval[0])] if interval else []
  return [
    html.number(f1, 3),
    f'{interval[0]:.3f} to {interval[1]:.3f}' if interval else html.NONE,
    html.bar(('', 0, f1), *line, ('floor', floor, None)),
    html.number(floor, 3),
  ]


def _beside_f1():
  """Returns the scores of each label that follow F1 and its threshold."""
  scores = summary.scores_in('report.html', of_label=True)
  return [score for score in scores if score.name != 'f1']


def _kinds(report) -> list[str]:
  """Returns the kinds of thresholds beside .5; older reports lack shrunk."""
  return [kind for kind in thresholds_lib.KINDS if kind in report]


def _title(kind) -> str:
  """Returns what a kind of thresholds is called on pages."""
  return kind.replace('_', '-')


def _threshold(value) -> str:
  """Returns a threshold with three digits; HTML."""
  if value < 0.0005:
    return '&lt; 0.001'
  return f'{value:.3f}' if value < 0.9995 else '&gt; 0.999'


def _behind(entry) -> str:
  """Returns the positives behind thresholds; HTML, marked where few."""
  positives = entry['threshold_positives']
  few = positives is not None and positives < thresholds_lib.FEW
  return html.number(positives) + ('&nbsp;*' if few else '')


def _f1_row(name, entry, kinds):
  """Returns the cells of one label in the table of F1."""
  # Without a positive every F1 is 0, of every sample: that is no interval.
  interval = entry.get('f1_interval') if entry['positives'] else None
  return [
    html.text(name),
    html.number(entry['positives']),
    *_f1_cells(entry['f1'], interval, entry['f1_all_positive']),
    *(
      cell
      for kind in kinds
      for cell in (
        html.number(entry[kind]['f1'], 3),
        _threshold(entry[kind]['threshold']),
      )
    ),
    *([_behind(entry)] if 'threshold_positives' in entry else ()),
    *(html.number(entry[score.name], 3) for score in _beside_f1()),
  ]


def _has_positives(report):
  """Returns whether any label has a positive among the images scored."""
  return len(report['labels_without_positives']) < len(report['label_names'])


def scores(report):
  """Table II of the paper, for this run, with what it must be read beside."""
  level = f'{100 * report["bootstrap"]["confidence"]:.0f} %'
  kinds, entries = _kinds(report), report['per_label']
  columns = ('label', 'positives', 'F1', f'{level} interval', '0 to 1', 'floor')
  for kind in kinds:
    columns += (f'F1 {_title(kind)}', 'threshold')
  has_behind = any('threshold_positives' in e for e in entries.values())
  columns += ('positives behind',) * has_behind
  columns += tuple(score.title for score in _beside_f1())
  rows = [_f1_row(n, entries[n], kinds) for n in report['label_names']]
  macro = _f1_cells(
    report['f1_macro'],
    report.get('f1_macro_interval') if _has_positives(report) else None,
    report['floors']['all_positive']['f1_macro'],
  )
  foot = ['F1 macro', '', *macro]
  for kind in kinds:
    foot += [html.number(report[kind]['f1_macro'], 3), '']
  foot += [''] * (len(columns) - len(foot))
  caption = (
    f'{html.text(report["split"]).capitalize()} split, '
    f'{html.count(report["num_images"], "image")}. F1, precision and recall at '
    'threshold 0.5. Bar: F1, with its interval as a line; '
    f'{html.key("before", "floor: F1 of saying yes to every image")}.'
  )
  return '\n'.join(
    [
      html.table(caption, columns, rows, foot=[foot]),
      _floors(report),
      *map(html.soft, _notes(report)),
    ]
  )


def _floors(report):
  """Returns the table of the run beside the two constant predictors."""
  totals, kinds = summary.scores_in('report.html'), _kinds(report)
  rows = [
    [html.text(name), *(html.number(x[score.name], 3) for score in totals)]
    for name, x in (
      ('this run, threshold 0.5', report),
      *(
        (f'this run, {_title(kind)} thresholds{_from(report)}', report[kind])
        for kind in kinds
      ),
      *(
        (f'this run, {_title(kind)} thresholds, of these very images', same)
        for kind, same in report.get('same_images', {}).items()
      ),
      ('floor: yes to everything', report['floors']['all_positive']),
      ('floor: no to everything', report['floors']['all_negative']),
    )
  ]
  return html.table(
    'All labels together, beside predictors that have learnt nothing.',
    ('', *(score.title for score in totals)),
    rows,
  )


def _from(report) -> str:
  """Returns where thresholds are from, where there are others to tell from."""
  if 'same_images' not in report:
    return ''
  half, other = ', of the other half', ', of validation'
  return half if report['cross_fitted'] else other


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
  yield from _threshold_notes(report)
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


def _threshold_notes(report):
  """Yields where thresholds come from, and what they rest on; HTML."""
  yield (
    'Thresholds were cross-fitted: each half of these images was scored with '
    'thresholds from the other half, as there are no other images to tune '
    'them on. Those shown are of both halves, to use on new images.'
    if report['cross_fitted']
    else 'Thresholds come from the validation split.'
  )
  if 'shrunk' not in report:
    return
  yield (
    'Tuned: of the best F1 of each label. Shrunk: those, drawn to the one of '
    f'the best F1 macro, {_threshold(report["threshold_of_all"])}, the more '
    'the fewer positives of the label they rest on.'
  )
  if 'break_even' in report:
    yield (
      'Break-even: where precision and recall of a label are nearest, as Deng, '
      'Chen and Shi published it. They tuned and scored on the same images, '
      'which flatters: those rows are here to be compared with theirs, and '
      'the others are what thresholds are worth on new images.'
    )
  few = sum(
    entry['threshold_positives'] < thresholds_lib.FEW
    for entry in report['per_label'].values()
  )
  if few:
    yield (
      f'*: fewer than {thresholds_lib.FEW} positives behind the thresholds of '
      f'{html.count(few, "label")}, of which the tuned one is mostly chance.'
    )
