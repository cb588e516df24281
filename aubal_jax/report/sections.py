"""The sections of the page, each from the file of the stage that made it."""

import math

from aubal_jax.report import html
from aubal_jax.report import plots
from aubal_jax.tables import labelsets as labelsets_lib

_FOLD_ABOVE = 30  # Labels; a longer picture waits folded.


def missing(title, task):
  """Returns a section that says which task makes it."""
  return (
    f'<h2>{html.text(title)}</h2>\n<p class="soft">Not there yet: the task '
    f'<code>{task}</code> makes it (<code>--config.task={task}</code>).</p>'
  )


def absent(title, why):
  """Returns a section that says why there is nothing to show."""
  return f'<h2>{html.text(title)}</h2>\n<p class="soft">{html.text(why)}</p>'


def class_counts(names, before, after, images):
  """Table I of the paper, for this data set, and the same as bars.

  Args:
    names: L label names.
    before: L counts in the training split.
    after: L counts in the plan, or None where there is none.
    images: (before, after) images.
  """
  title = '<h2>Images that show each label</h2>'
  after = before if after is None else after
  most = max(*before, *after, 1)
  rows = []
  for name, b, a, ir_b, ir_a in zip(
    names,
    before,
    after,
    labelsets_lib.irlbl(before),
    labelsets_lib.irlbl(after),
    strict=True,
  ):
    rows.append(
      [
        html.text(name),
        html.number(b),
        html.number(a),
        f'&times; {a / b:.2f}' if b else html.NONE,
        html.number(ir_b, 2),
        html.number(ir_a, 2),
        html.bar(('was', 0, b / most), ('now', 0, a / most)),
      ]
    )
  growth = f'&times; {images[1] / images[0]:.2f}' if images[0] else html.NONE
  foot = [
    ['images', *map(html.number, images), growth, '', '', ''],
    [
      'MeanIR',
      '',
      '',
      '',
      html.number(labelsets_lib.mean_ir(before), 2),
      html.number(labelsets_lib.mean_ir(after), 2),
      '',
    ],
  ]
  caption = (
    'Training split. IRLbl is the count of the most frequent label over that '
    'of this one; MeanIR is its mean, 1 when all labels are equally frequent.'
    f' Bars:{html.key("before", "before")}{html.key("after", "after")}.'
  )
  columns = ('label', 'before', 'after', 'growth', 'IRLbl before', 'after', '')
  picture = html.plot(
    plots.class_counts(names, before, after),
    alt=f'Bars of the images of {html.count(len(names), "label")}, before and '
    'after balancing; the numbers are in the table.',
    caption='The dashed line is the mean after balancing, the common target.',
  )
  picture = html.fold(
    'As a picture', picture, is_open=len(names) <= _FOLD_ABOVE
  )
  return '\n'.join(
    [title, html.table(caption, columns, rows, foot=foot), picture]
  )


def sources(names, found):
  """The left half of the paper's Table I: images of each merged set.

  Args:
    names: L label names.
    found: set -> `images`, `dropped`, `class_counts` and `known` (L each).
  """
  entries = list(found.values())
  rows = []
  for k, name in enumerate(names):
    counts = [e['class_counts'][k] for e in entries]
    cells = [
      html.number(count) if e['known'][k] else html.NONE
      for e, count in zip(entries, counts, strict=True)
    ]
    rows.append([html.text(name), *cells, html.number(sum(counts))])
  foot = [
    [what, *map(html.number, counts), html.number(sum(counts))]
    for what in ('images', 'dropped')
    for counts in ([e[what] for e in entries],)
  ]
  caption = (
    'All splits together. A dash: the set does not label it, so it is unknown '
    'there.'
  )
  columns = ('label', *found, 'together')
  return '<h2>Where the images come from</h2>\n' + html.table(
    caption, columns, rows, foot=foot
  )


def labelsets(found):
  """The combinations of labels that grew most, or the largest if none did."""
  grown = found.get('grown') or []
  entries = grown or found.get('largest') or []
  most = max([e['growth'] for e in entries], default=1)
  rows = []
  for entry in entries:
    chips = ''.join(
      f'<span class="chip">{html.text(n)}</span>'
      for n in (*entry['labels'], *(f'{x}?' for x in entry.get('unknown', ())))
    )
    rows.append(
      [
        chips or '<span class="soft">no label</span>',
        html.number(entry['count']),
        html.number(entry['count_after']),
        html.number(entry['count_after'] - entry['count']),
        f'&times; {entry["growth"]:.2f}',
        html.bar(('', 0, entry['growth'] / most)),
      ]
    )
  which = 'that gained most images' if grown else 'with most images; none grew'
  caption = (
    f'The {html.count(len(entries), "combination")} {which}, of '
    f'{html.number(found["labelsets"])}. A combination grows as a whole, so a '
    'frequent label rides along with a rare one.'
  )
  if any(entry.get('unknown') for entry in entries):
    caption += ' A question mark: the label is unknown there.'
  columns = ('labels together', 'before', 'after', 'added', 'growth', '')
  return '<h2>Labelsets</h2>\n' + html.table(caption, columns, rows)


def convergence(solution):
  """Fig. 2 of the paper, with the bound that proves how far is left."""
  trace = solution['trace']
  bound = trace['lower_bound'][-1]
  caption = (
    f'Optimiser {html.text(solution["optimizer"])}, '
    f'{html.count(solution["num_steps"], "step")}. No choice of images within '
    'the limits lies below the dashed line, whatever optimiser finds it: the '
    'distance to it is the most that can still be gained. The price of added '
    'images is included in both.'
  )
  alt = (
    f'The objective falls from {html.value(solution["value_start"])} to '
    f'{html.value(solution["value"])}; the certified lower bound, the price of '
    'added images included, rises to '
    f'{"no value" if bound is None else html.value(bound)}. Beside it the '
    'relative gap of the solution on a logarithmic scale, '
    f'{solution["gap"]:.1e} at the end.'
  )
  picture = html.plot(plots.convergence(trace), alt=alt, caption=caption)
  return f'<h2>Convergence of the balance</h2>\n{picture}'


def contact_sheet(entries):
  """Originals, each with the rows that were made from it.

  Args:
    entries: dicts of `original` uint8[H, W, C], `augmented` a list of them,
      `labels` (names), and `name` of the row, which may be None.
  """
  strips = []
  for entry in entries:
    labels = ', '.join(map(str, entry['labels'])) or 'no label'
    pictures = [html.image(entry['original'], alt=f'Original: {labels}')]
    pictures += [
      html.image(x, alt=f'Augmented copy {i}: {labels}')
      for i, x in enumerate(entry['augmented'], 1)
    ]
    chips = ''.join(
      f'<span class="chip">{html.text(x)}</span>' for x in entry['labels']
    )
    name = entry.get('name')
    name = (
      '' if name is None else f' <span class="soft">{html.text(name)}</span>'
    )
    strips.append(
      f'<figure class="strip"><div>{"".join(pictures)}</div><figcaption>'
      f'{chips or "no label"}{name}</figcaption></figure>'
    )
  return (
    '<h2>Originals and what training sees of them</h2>\n'
    '<p class="soft">Framed: the original. Beside it what augmentation makes '
    'of it in training, with the same labels.</p>\n'
    f'<div class="sheet">{"".join(strips)}</div>'
  )


def learning(lines, report):
  """Loss and validation F1, and how busy the input kept the devices."""
  title = 'Learning curves'
  training = [x for x in lines if 'loss' in x]
  validation = [
    (x['step'], x['validation']['f1_macro']) for x in lines if 'validation' in x
  ]
  if not training and not validation:
    return absent(title, 'Neither a training loss nor a validation was logged.')
  step = floor = None
  floor_name = ''
  if report is not None:
    step, floor = report.get('step'), report['floors']['all_positive']
    floor = floor['f1_macro']
    # That of validation is known only where validation was evaluated.
    on = '' if report['split'] == 'validation' else f' on {report["split"]}'
    floor_name = f'floor{on}: all positive'
  best = max(validation, key=_quality, default=None)
  alt = 'Validation F1 macro against training steps'
  if training:
    alt = (
      'Training loss and validation F1 macro against training steps; loss from '
      f'{training[0]["loss"]:.3f} to {training[-1]["loss"]:.3f}'
    )
  if best:
    alt += f'; F1 macro {best[1]:.3f} at best'
  facts = ', '.join(_learning_facts(training, best))
  picture = html.plot(
    plots.learning(
      training, validation, floor=floor, floor_name=floor_name, chosen=step
    ),
    alt=alt + '.',
    caption=facts[0].upper() + facts[1:] + '.',
  )
  return f'<h2>{title}</h2>\n{picture}'


def _quality(point):
  """What (step, F1 macro) is ordered by: as checkpoints are, newest of equals.

  A NaN is worse than any number.
  """
  step, f1 = point
  return (-math.inf if math.isnan(f1) else f1, step)


def _learning_facts(training, best):
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
      f'best validation F1 macro {best[1]:.3f} at step {html.number(best[0])}'
    )
  else:
    yield 'no validation was logged'


def _median(values):
  values = sorted(x for x in values if x is not None)
  return values[len(values) // 2] if values else None
