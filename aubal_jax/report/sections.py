"""The sections on the data and the balance, each from a file of that stage."""

from aubal_jax.report import html
from aubal_jax.report import plots
from aubal_jax.runs import extras
from aubal_jax.tables import labelsets as labelsets_lib

_FOLD_ABOVE = 30  # Labels; a longer picture waits folded.


def class_counts(found, after, images) -> str:
  """Table I of the paper, for this data set, and the same as bars.

  Args:
    found: content of labelsets.json.
    after: L counts in the plan, or None where there is none.
    images: (before, after) images.

  Returns:
    HTML; without the bars where matplotlib is not installed.
  """
  names, before = found['label_names'], found['class_counts']
  after = before if after is None else after
  most = max(*before, *after, 1)
  irlbl = map(labelsets_lib.irlbl, (before, after))
  rows = [
    [
      html.text(name),
      *(html.number(b), html.number(a), _growth(b, a)),
      *(html.number(ir_b, 2), html.number(ir_a, 2)),
      html.bar(('was', 0, b / most), ('now', 0, a / most)),
    ]
    for name, b, a, ir_b, ir_a in zip(names, before, after, *irlbl, strict=True)
  ]
  mean_irs = map(labelsets_lib.mean_ir, (before, after))
  foot = [
    ['images', *map(html.number, images), _growth(*images), '', '', ''],
    ['MeanIR', '', '', '', *(html.number(x, 2) for x in mean_irs), ''],
  ]
  caption = (
    'Training split. IRLbl is the count of the most frequent label over that '
    'of this one; MeanIR is its mean, 1 when all labels are equally frequent.'
    f' Bars:{html.key("before", "before")}{html.key("after", "after")}.'
  )
  columns = ('label', 'before', 'after', 'growth', 'IRLbl before', 'after', '')
  table = html.table(caption, columns, rows, foot=foot)
  if not extras.is_there('matplotlib'):
    return table
  picture = html.plot(
    plots.class_counts(names, before, after),
    alt=f'Bars of the images of {html.count(len(names), "label")}, before and '
    'after balancing; the numbers are in the table.',
    caption='The dashed line is the mean after balancing, the common target.',
  )
  is_open = len(names) <= _FOLD_ABOVE
  picture = html.fold('As a picture', picture, is_open=is_open)
  return f'{table}\n{picture}'


def _growth(before, after) -> str:
  return f'&times; {after / before:.2f}' if before else html.NONE


def sources(found) -> str:
  """The left half of the paper's Table I: images of each merged set.

  Args:
    found: content of labelsets.json, whose `sources` are set -> `images`,
      `dropped`, `class_counts` and `known` (L each).
  """
  entries = found['sources'].values()
  rows = []
  for k, name in enumerate(found['label_names']):
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
  columns = ('label', *found['sources'], 'together')
  return html.table(caption, columns, rows, foot=foot)


def targets(found) -> str:
  """How uneven each of several targets is, before and in its plan.

  Args:
    found: content of labelsets.json, whose `targets` are target -> `images`,
      `rows`, `unevenness_before` and `unevenness_after`.
  """
  rows = [
    [
      html.text(name),
      *(html.number(entry[key]) for key in ('images', 'rows')),
      *(f'{entry[f"unevenness_{when}"]:.3f}' for when in ('before', 'after')),
    ]
    for name, entry in found['targets'].items()
  ]
  caption = (
    'Unevenness: how far its labels, classes or bins are from their even '
    'share, on average, as a part of the images that know the target. Rows are '
    'those of its own plan, of all epochs that are drawn anew; unevenness is '
    'that of one.'
  )
  columns = ('target', 'images', 'rows', 'unevenness before', 'after')
  return html.table(caption, columns, rows)


def labelsets(found) -> str:
  """The combinations of labels that grew most, or the largest if none did."""
  grown = found.get('grown') or []
  entries = grown or found.get('largest') or []
  most = max([e['growth'] for e in entries], default=1)
  rows = []
  for entry in entries:
    before, after = entry['count'], entry['count_after']
    unknown = [f'{name}?' for name in entry.get('unknown', ())]
    chips = html.chips([*entry['labels'], *unknown])
    rows.append(
      [
        chips or '<span class="soft">no label</span>',
        *map(html.number, (before, after, after - before)),
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
  return html.table(caption, columns, rows)


def convergence(solution) -> str:
  """Fig. 2 of the paper, with the bound that proves how far is left."""
  trace = solution['trace']
  bound = trace['lower_bound'][-1]
  caption = (
    f'Optimiser {html.text(solution["optimizer"])}, '
    f'{html.count(solution["num_steps"], "step")}. No choice of images within '
    'the limits lies below the lower bound (dashed), whatever optimiser finds '
    'it: the distance to it is the most that can still be gained. The price of '
    'added images is included in both.'
  )
  if len(trace['step']) == 1:
    tiles = [(html.value(solution['value']), 'objective, known once')]
    if bound is not None:
      tiles.append((html.value(bound), 'certified lower bound, price included'))
    return f'{html.tiles(tiles)}\n{html.soft(caption)}'
  alt = (
    f'The objective falls from {html.value(solution["value_start"])} to '
    f'{html.value(solution["value"])}; the certified lower bound, the price of '
    'added images included, rises to '
    f'{"no value" if bound is None else html.value(bound)}. The relative gap '
    f'of the solution is {solution["gap"]:.1e} at the end.'
  )
  return html.plot(plots.convergence(trace), alt=alt, caption=caption)


def contact_sheet(entries) -> str:
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
    name = entry.get('name')
    if name is not None:
      name = f' <span class="soft">{html.text(name)}</span>'
    strips.append(
      f'<figure class="strip"><div>{"".join(pictures)}</div><figcaption>'
      f'{html.chips(entry["labels"]) or "no label"}{name or ""}</figcaption>'
      '</figure>'
    )
  words = (
    'Framed: the original. Beside it what augmentation makes of it in '
    'training, with the same labels.'
  )
  return f'{html.soft(words)}\n<div class="sheet">{"".join(strips)}</div>'
