"""The tables of inspect.html, each from a part of inspect.json."""

from aubal_jax.datasets import codes
from aubal_jax.report import html

_SHOWN = 20  # Lines of a list of rows; inspect.json has more.
_SPLITS = ('train', 'validation', 'test')
_PICTURES = {
  'nearly_black': 'Nearly black',
  'nearly_white': 'Nearly white',
  'constant': 'Of one colour all over',
  'dark_16_bit': 'Dark ones of 16 bits',
}


def _percent(share) -> str:
  return html.NONE if share is None else f'{100 * share:.3g} %'


def labels(content) -> str:
  """How often each label is 1, by split."""
  entries = content['labels']
  if not entries:
    return ''
  splits = [name for name in _SPLITS if content['rows'][name]]
  splits = splits if len(splits) > 1 else []
  unknown = any(entry['unknown'] for entry in entries)
  grouped = any(entry['groups'] is not None for entry in entries)
  most = max([e['share'] or 0 for e in entries], default=0) or 1
  rows = []
  for entry in entries:
    parts = [entry['splits'][split] for split in splits]
    row = [
      html.text(entry['name']),
      html.number(entry['positives']),
      _percent(entry['share']),
      html.bar(('', 0, (entry['share'] or 0) / most)),
      *(
        f'{html.number(part["positives"])} '
        f'<span class="soft">{_percent(part["share"])}</span>'
        for part in parts
      ),
    ]
    row += [html.number(entry['unknown'])] * unknown
    row += [html.number(entry['groups'])] * grouped
    rows.append(row)
  columns = ['label', 'rows with it', 'share', '', *splits]
  columns += ['unknown'] * unknown + ['groups with it'] * grouped
  caption = (
    'Rows in use. Shares are of the rows where the label is known. Cells of '
    f'all rows: {html.text(_cells(content["codes"]))}.'
  )
  return html.section('Labels', html.table(caption, columns, rows))


def _cells(found) -> str:
  """Returns how often each code is there, in words."""
  return codes.describe(
    {code: (entry['means'], entry['cells']) for code, entry in found.items()}
  )


def pairs(found, num_labels) -> str:
  """Which labels go together: the most so, and all of few as a map."""
  if not found['together']:
    return ''
  rows = [
    [
      html.chips(entry['labels']),
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
  listed = html.fold('The largest', html.table(caption, columns, rows))
  inner = f'{_heat(found, num_labels)}\n{listed}'
  return html.section('Labels that go together', inner)


def _heat(found, num_labels) -> str:
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
  caption = 'Of the rows with either label, percent with both (Jaccard index).'
  if len(names) < num_labels:
    caption += f' The {html.number(len(names))} most frequent labels.'
  return html.table(caption, ('', *names), rows, kind='heat')


def labelsets(found) -> str:
  """How uneven the combinations of labels are; '' without labels."""
  if found['labelsets'] and found['mean_ir'] is None:
    return ''
  rows = [
    [
      html.chips(entry['labels']) or '<span class="soft">no label</span>',
      html.number(entry['count']),
    ]
    for entry in found['largest']
  ]
  unseen = ' and '.join(
    f'{html.number(x["labelsets"])} of {split} ({html.count(x["rows"], "row")})'
    for split, x in found['unseen'].items()
  )
  facts = (
    f'<p>{html.count(found["labelsets"], "combination")} of labels in train, '
    f'{html.number(found["near_empty"])} of them with fewer than '
    f'{html.count(found["near_empty_below"], "image")}. Never seen in train: '
    f'{unseen}. MeanIR {html.number(found["mean_ir"], 2)}, CVIR '
    f'{html.number(found["cvir"], 2)}, SCUMBLE '
    f'{html.number(found["scumble"], 3)}; '
    f'{html.number(found["cardinality"], 2)} labels a row.</p>'
  )
  caption = f'The {html.number(len(rows))} largest.'
  table = html.table(caption, ('labels together', 'rows'), rows)
  return html.section('Labelsets', f'{facts}\n{table}')


def groups(found) -> str:
  """How many groups there are, and which cross splits."""
  if not found:
    return ''
  images, splits = found['images'], found['splits']
  parts = ', '.join(f'{html.number(n)} in {s}' for s, n in splits.items())
  facts = (
    f'<p>{html.count(found["groups"], "group")} (subjects, videos): {parts}. '
    f'Images of a group: {html.number(images["min"])} at least, '
    f'{images["median"]:,g} in the median, {html.number(images["max"])} at '
    'most.</p>'
  )
  inner = '<p>None has images in more than one split.</p>'
  if found['crossing']:
    rows = [
      [html.text(x['group']), *(html.number(x[split]) for split in _SPLITS)]
      for x in found['listed'][:_SHOWN]
    ]
    caption = _of('Groups in more than one split', rows, found['crossing'])
    inner = html.table(caption, ('group', *_SPLITS), rows)
  return html.section('Groups', f'{facts}\n{inner}')


def _of(what, shown, total) -> str:
  """Returns the caption of a list that may be cut."""
  if len(shown) == total:
    return f'{what}.'
  return f'{what}: {html.number(len(shown))} of {html.number(total)}.'


def statistics(found) -> str:
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
  caption = _of('Sizes, the most frequent first', rows, found['num_sizes'])
  sizes = html.table(caption, ('width and height', 'images'), rows)
  rows = [
    [
      html.text(x['of']),
      html.number(x['images']),
      *(f'{x[name]:.1f}' for name in ('mean', 'deviation')),
    ]
    for x in found['grey']
  ]
  caption = 'Grey levels from 0 to 255; each image counts alike.'
  columns = ('', 'images', 'mean', 'standard deviation')
  grey = html.table(caption, columns, rows)
  odd = [
    _rows(words, found['suspicious'][name])
    for name, words in _PICTURES.items()
    if found['suspicious'][name]['count']
  ]
  inner = f'<p>{kinds}. In pixels: {spread}.</p>\n{sizes}\n{grey}\n'
  return html.section('Sizes and grey levels', inner + '\n'.join(odd))


def _rows(what, entry) -> str:
  """Returns the rows of an entry, folded."""
  rows, total = entry['rows'][:_SHOWN], entry['count']
  lines = [[html.text(x['id']), ('left', x['split'])] for x in rows]
  table = html.table(_of('Rows', rows, total), ('image', 'split'), lines)
  return html.fold(f'{what} ({html.number(total)})', table)


def duplicates(found) -> str:
  """Images that are there more than once."""
  if not found or not found['groups']:
    return ''
  rows = []
  for entry in found['listed'][:_SHOWN]:
    names = '<br>'.join(
      f'{html.text(row["id"])} <span class="soft">{row["split"]}</span>'
      for row in entry['rows'][:_SHOWN]
    )
    differ = ('left', html.chips(entry['labels_differ']))
    crosses = 'yes' if entry['crosses'] else 'no'
    rows.append([names, html.number(len(entry['rows'])), crosses, differ])
  caption = _of(
    'Images with equal bytes, one below the other', rows, found['groups']
  )
  columns = ('the same image', 'rows', 'across splits', 'labels that differ')
  return html.section(
    'The same image again', html.table(caption, columns, rows)
  )


def lost(content) -> str:
  """Images that cannot be read, and rows that cannot be used."""
  images = content['images']
  parts = [
    _rows(f'Cannot be read: {x["reason"]}', x)
    for x in (images['reasons'] if images else ())
  ]
  for x in content['drops']:
    where = ''.join(f', {n:,} of {s}' for s, n in x.get('sources', {}).items())
    parts.append(_rows(f'Not used: {x["reason"]}{where}', x))
  return html.section('Rows that are lost', '\n'.join(parts)) if parts else ''
