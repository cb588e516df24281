"""The tables of inspect.html, each from a part of inspect.json."""

from aubal_jax.report import html

_SHOWN = 20  # Lines of a list of rows; inspect.json has more.
_SPLITS = ('train', 'validation', 'test')


def _chips(names):
  return ''.join(f'<span class="chip">{html.text(x)}</span>' for x in names)


def _snug(*arguments):
  """Returns a table no wider than it needs to be."""
  return f'<div class="snug">{html.table(*arguments)}</div>'


def _percent(share):
  return html.NONE if share is None else f'{100 * share:.3g} %'


def labels(content):
  """How often each label is 1, by split."""
  splits = [name for name in _SPLITS if content['rows'][name]]
  splits = splits if len(splits) > 1 else []
  unknown = any(entry['unknown'] for entry in content['labels'])
  grouped = any(entry['groups'] is not None for entry in content['labels'])
  most = max([e['share'] or 0 for e in content['labels']], default=0) or 1
  rows = []
  for entry in content['labels']:
    row = [
      html.text(entry['name']),
      html.number(entry['positives']),
      _percent(entry['share']),
      html.bar(('', 0, (entry['share'] or 0) / most)),
    ]
    for split in splits:
      part = entry['splits'][split]
      share = f'<span class="soft">{_percent(part["share"])}</span>'
      row += [f'{html.number(part["positives"])} {share}']
    if unknown:
      row.append(html.number(entry['unknown']))
    if grouped:
      row.append(html.number(entry['groups']))
    rows.append(row)
  columns = ['label', 'rows with it', 'share', '', *splits]
  columns += ['unknown'] * unknown + ['groups with it'] * grouped
  caption = 'Rows in use. Shares are of the rows where the label is known.'
  return '<h2>Labels</h2>\n' + html.table(caption, columns, rows)


def pairs(found, num_labels):
  """Which labels go together: the most so, and all of few as a map."""
  if not found['together']:
    return ''
  rows = [
    [
      _chips(entry['labels']),
      html.number(entry['rows']),
      f'{entry["jaccard"]:.3f}',
      html.bar(('', 0, entry['jaccard'])),
    ]
    for entry in found['together']
  ]
  caption = (
    'Jaccard: rows with both labels over rows with either. '
    f'{html.count(len(rows), "pair")} of the largest.'
  )
  columns = ('labels', 'rows with both', 'Jaccard', '')
  lines = ['<h2>Labels that go together</h2>', _heat(found, num_labels)]
  lines.append(html.fold('The largest', _snug(caption, columns, rows)))
  return '\n'.join(lines)


def _heat(found, num_labels):
  """Returns the map: a table whose cells are the darker, the larger."""
  names = found['names']
  rows = []
  for i, (name, line) in enumerate(zip(names, found['jaccard'], strict=True)):
    row = [html.text(name)]
    for j, value in enumerate(line):
      if i == j or value is None:
        row.append('')
        continue
      what = html.text(f'{name}, {names[j]}: {value:.3f}')
      row.append(
        f'<i style="opacity:{0.7 * value:.3f}"></i><span title="{what}">'
        f'{round(100 * value) or "&nbsp;"}</span>'
      )
    rows.append(row)
  which = (
    ''
    if len(names) == num_labels
    else (f' The {html.number(len(names))} most frequent labels.')
  )
  caption = (
    'Of the rows with either label, percent with both (Jaccard index).' + which
  )
  table = html.table(caption, ('', *names), rows)
  return f'<div class="snug heat">{table}</div>'


def labelsets(found):
  """How uneven the combinations of labels are."""
  rows = [
    [
      _chips(entry['labels']) or '<span class="soft">no label</span>',
      html.number(entry['count']),
    ]
    for entry in found['largest']
  ]
  unseen = ' and '.join(
    f'{html.number(x["labelsets"])} of {split} ({html.count(x["rows"], "row")})'
    for split, x in found['unseen'].items()
  )
  facts = (
    f'{html.count(found["labelsets"], "combination")} of labels in train, '
    f'{html.number(found["near_empty"])} of them with fewer than '
    f'{html.count(found["near_empty_below"], "image")}. Never seen in train: '
    f'{unseen}. MeanIR {html.number(found["mean_ir"], 2)}, CVIR '
    f'{html.number(found["cvir"], 2)}, SCUMBLE '
    f'{html.number(found["scumble"], 3)}; '
    f'{html.number(found["cardinality"], 2)} labels a row.'
  )
  caption = f'The {html.number(len(rows))} largest.'
  return f'<h2>Labelsets</h2>\n<p>{facts}</p>\n' + _snug(
    caption, ('labels together', 'rows'), rows
  )


def groups(found):
  """How many groups there are, and which cross splits."""
  if not found:
    return ''
  images, splits = found['images'], found['splits']
  parts = ', '.join(f'{html.number(n)} in {s}' for s, n in splits.items())
  text = (
    f'<h2>Groups</h2>\n<p>{html.count(found["groups"], "group")} (subjects, '
    f'videos): {parts}. Images of a group: {html.number(images["min"])} at '
    f'least, {images["median"]:,g} in the median, '
    f'{html.number(images["max"])} at most.</p>'
  )
  if not found['crossing']:
    return text + '\n<p>None has images in more than one split.</p>'
  rows = [
    [html.text(x['group']), *(html.number(x[split]) for split in _SPLITS)]
    for x in found['listed'][:_SHOWN]
  ]
  caption = _of('Groups in more than one split', len(rows), found['crossing'])
  return f'{text}\n{_snug(caption, ("group", *_SPLITS), rows)}'


def _of(what, shown, total):
  """Returns the caption of a list that may be cut."""
  if shown == total:
    return f'{what}.'
  return f'{what}: {html.number(shown)} of {html.number(total)}.'


def statistics(found):
  """Sizes and grey levels of the images."""
  if not found:
    return ''
  kinds = ', '.join(
    f'{html.count(x["count"], "image")} of '
    f'{html.count(x["channels"], "channel")} and {x["bits"]} bits'
    for x in found['kinds']
  )
  spread = '; '.join(
    f'{name} {x["min"]:,g} to {x["max"]:,g} (median {x["median"]:,g})'
    for name, x in (
      ('width', found['width']),
      ('height', found['height']),
      ('width / height', found['aspect']),
    )
  )
  rows = [
    [f'{x["width"]} &times; {x["height"]}', html.number(x['count'])]
    for x in found['sizes']
  ]
  caption = _of('Sizes, the most frequent first', len(rows), found['num_sizes'])
  sizes = _snug(caption, ('width and height', 'images'), rows)
  rows = [
    [
      html.text(x['of']),
      html.number(x['images']),
      f'{x["mean"]:.1f}',
      f'{x["deviation"]:.1f}',
    ]
    for x in found['grey']
  ]
  caption = 'Grey levels from 0 to 255; each image counts alike.'
  columns = ('', 'images', 'mean', 'standard deviation')
  grey = _snug(caption, columns, rows)
  return (
    f'<h2>Sizes and grey levels</h2>\n<p>{kinds}. In pixels: {spread}.</p>\n'
    f'{sizes}\n{grey}\n{_suspicious(found["suspicious"])}'
  )


def _suspicious(found):
  """Returns the images whose pictures are odd, folded."""
  words = {
    'nearly_black': 'Nearly black',
    'nearly_white': 'Nearly white',
    'constant': 'Of one colour all over',
    'dark_16_bit': 'Dark ones of 16 bits',
  }
  return '\n'.join(
    _rows(words[name], found[name]['rows'], found[name]['count'])
    for name in words
    if found[name]['count']
  )


def _rows(what, rows, total):
  """Returns a list of rows, folded."""
  lines = [[html.text(x['id']), ('left', x['split'])] for x in rows[:_SHOWN]]
  caption = _of('Rows', len(lines), total)
  table = _snug(caption, ('image', 'split'), lines)
  return html.fold(f'{what} ({html.number(total)})', table)


def duplicates(found):
  """Images that are there more than once."""
  if not found or not found['groups']:
    return ''
  rows = []
  for entry in found['listed'][:_SHOWN]:
    names = '<br>'.join(
      f'{html.text(row["id"])} <span class="soft">{row["split"]}</span>'
      for row in entry['rows'][:_SHOWN]
    )
    rows.append(
      [
        names,
        html.number(len(entry['rows'])),
        'yes' if entry['crosses'] else 'no',
        ('left', _chips(entry['labels_differ'])),
      ]
    )
  caption = _of(
    'Images with equal bytes, one below the other', len(rows), found['groups']
  )
  columns = ('the same image', 'rows', 'across splits', 'labels that differ')
  return '<h2>The same image again</h2>\n' + html.table(caption, columns, rows)


def lost(content):
  """Images that cannot be read, and rows that cannot be used."""
  images = content['images']
  parts = [
    _rows(f'Cannot be read: {x["reason"]}', x['rows'], x['count'])
    for x in (images['reasons'] if images else ())
  ]
  for x in content['drops']:
    where = ''.join(f', {n:,} of {s}' for s, n in x.get('sources', {}).items())
    parts.append(
      _rows(f'Not used: {x["reason"]}{where}', x['rows'], x['count'])
    )
  if not parts:
    return ''
  return '<h2>Rows that are lost</h2>\n' + '\n'.join(parts)
