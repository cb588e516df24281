"""inspect.html: what a data set holds, and what is wrong with it."""

from aubal_jax.inspection import sections
from aubal_jax.report import html
from aubal_jax.runs import files

_WORDS = {'wrong': 'Wrong', 'odd': 'Odd', 'note': 'Note'}


def write_page(path, content, pictures):
  """Writes inspect.html: style and pictures inside, nothing outside.

  Equal arguments give an equal file.

  Args:
    path: where the page is written, whole or not at all.
    content: of inspect.json, `findings` among it.
    pictures: row -> uint8[h, w, 1 or 3], of the rows in `examples`; one that
      is not there is left out.
  """
  title = 'What is in the data set'
  parts = [
    f'<h1>{title}</h1>',
    f'<p class="lead">{_lead(content)}</p>',
    _tiles(content),
    _findings(content['findings']),
    sections.labels(content),
    _sheet(content, pictures),
    sections.pairs(content['pairs'], len(content['label_names'])),
    sections.labelsets(content['labelsets']),
    sections.groups(content['groups']),
    sections.statistics(content['statistics']),
    sections.duplicates(content['duplicates']),
    sections.lost(content),
    _notes(content),
  ]
  with files.write_atomically(path) as file:
    file.write(html.document(title, [part for part in parts if part]))


def _lead(content):
  """Returns in one sentence what there is."""
  rows = content['rows']
  splits = ', '.join(
    f'{html.number(n)} {name}' for name, n in rows.items() if n
  )
  name = content['settings']['path'] or content['settings']['name']
  images = '' if content['images'] else ' There are no images, only labels.'
  return (
    f'<b>{html.text(name)}</b>: {html.count(sum(rows.values()), "row")} '
    f'({splits}) with {html.count(len(content["label_names"]), "label")}.'
    f'{images}'
  )


def _tiles(content):
  """Returns the few figures that come first."""
  tiles = []

  def add(value, words):
    tiles.append(f'<div class="tile"><b>{value}</b><span>{words}</span></div>')

  images, doubles = content['images'], content['duplicates']
  if images:
    add(
      html.number(images['readable']),
      f'of {html.number(images["images"] + images["missing"])} images can be '
      f'read, {html.number(images["missing"])} are missing',
    )
    add(
      html.number(doubles['extra']),
      'copies of other images, '
      f'{html.number(doubles["crossing"])} of these images across splits',
    )
  groups, labelsets = content['groups'], content['labelsets']
  if groups:
    add(
      html.number(groups['groups']),
      f'groups, {html.number(groups["crossing"])} in more than one split',
    )
  add(
    html.number(labelsets['labelsets']),
    'combinations of labels in train',
  )
  add(
    html.number(labelsets['mean_ir'], 1),
    'MeanIR of train, 1 where all labels are equally frequent',
  )
  return f'<div class="tiles">{"".join(tiles)}</div>'


def _findings(findings):
  """Returns what is wrong, the worst first, each with what to do."""
  title = '<h2>What is wrong</h2>'
  if not findings:
    return f'{title}\n<p>Nothing wrong was found.</p>'
  if all(entry['level'] == 'note' for entry in findings):
    title += '\n<p>Nothing wrong was found; good to know:</p>'
  items = []
  for entry in findings:
    names = ', '.join(
      f'<span class="chip">{html.text(name)}</span>' for name in entry['names']
    ).replace('</span>, ', '</span> ')
    more = f' and {html.number(entry["more"])} more' if entry['more'] else ''
    level = entry['level']
    items.append(
      f'<li class="{level}"><b>{_WORDS[level]}</b> {html.text(entry["what"])} '
      f'<span class="soft">{html.text(entry["mend"])}</span>'
      + (f'<div>{names}<span class="soft">{more}</span></div>' if names else '')
      + '</li>'
    )
  return f'{title}\n<ul class="findings">{"".join(items)}</ul>'


def _sheet(content, pictures):
  """Returns examples of each label, and of none."""
  entries = [entry for entry in content['examples'] if entry['rows']]
  if not entries:
    return ''
  strips = []
  for entry in entries:
    shown = [
      f'<figure title="{html.text(name)}">'
      f'{html.image(pictures[row], alt=name, lossy=True)}<figcaption>'
      f'{html.text(name.rsplit("/", 1)[-1])}</figcaption></figure>'
      for row, name in zip(entry['rows'], entry['ids'], strict=True)
      if row in pictures
    ]
    label = entry['label']
    head = 'no label at all' if label is None else html.text(label)
    strips.append(f'<h3>{head}</h3><div class="thumbs">{"".join(shown)}</div>')
  return (
    '<h2>Images of each label</h2>\n<p class="soft">Drawn at random among the '
    'rows in use, of different groups where there are such; as in the files, '
    f'made smaller.</p>\n{"".join(strips)}'
  )


def _notes(content):
  """Returns what the reader said, and the settings."""
  notes = ''.join(f'<li>{html.text(note)}</li>' for note in content['notes'])
  rows = [
    [html.text(name), ('left', html.text(value))]
    for name, value in content['settings'].items()
  ]
  settings = html.table('As given.', ('setting', 'value'), rows)
  said = html.fold('What the reader said', f'<ul>{notes}</ul>') if notes else ''
  return f'{said}\n{html.fold("Settings", settings)}'
