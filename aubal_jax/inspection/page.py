"""inspect.html: what a data set holds, and what is wrong with it."""

from aubal_jax.inspection import findings
from aubal_jax.inspection import sections
from aubal_jax.inspection import target_sections
from aubal_jax.report import html
from aubal_jax.runs import files

_WORDS = {'wrong': 'Wrong', 'odd': 'Odd', 'note': 'Note'}


def write_page(path, content, pictures) -> None:
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
    f'<h1>{_headline(content["findings"])}</h1>',
    html.lead(_describe(content)),
    html.tiles(_tiles(content)),
    html.section('What was found', _findings(content['findings'])),
    sections.labels(content),
    target_sections.targets(content),
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


def _headline(found) -> str:
  """Returns what was found, in one line and in smaller ones below it."""
  short, told = findings.headline(found)
  return (
    f'{html.text(short)}<small>{html.text(told)}</small>' if told else short
  )


def _describe(content) -> str:
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
  """Yields the few figures that come first, each with what it is."""
  images, doubles = content['images'], content['duplicates']
  if images:
    yield (
      html.number(images['readable']),
      f'of {html.number(images["images"] + images["missing"])} images can be '
      f'read, {html.number(images["missing"])} are missing',
    )
    yield (
      html.number(doubles['extra']),
      f'copies of other images, {html.number(doubles["crossing"])} of these '
      'images across splits',
    )
  groups, labelsets = content['groups'], content['labelsets']
  if groups:
    yield (
      html.number(groups['groups']),
      f'groups, {html.number(groups["crossing"])} in more than one split',
    )
  yield html.number(labelsets['labelsets']), 'combinations of labels in train'
  yield (
    html.number(labelsets['mean_ir'], 1),
    'MeanIR of train, 1 where all labels are equally frequent',
  )


def _findings(found) -> str:
  """Returns what is wrong, the worst first, each with what to do."""
  if not found:
    return '<p>There is nothing to mend, and nothing to know.</p>'
  items = ''
  for entry in found:
    names = ' '.join(map(html.chips, ([name] for name in entry['names'])))
    more = f' and {html.number(entry["more"])} more' if entry['more'] else ''
    if names:
      names = f'<div>{names}<span class="soft">{more}</span></div>'
    level = entry['level']
    items += (
      f'<li class="{level}"><b>{_WORDS[level]}</b> {html.text(entry["what"])} '
      f'<span class="soft">{html.text(entry["mend"])}</span>{names}</li>'
    )
  listed = f'<ul class="findings">{items}</ul>'
  if all(entry['level'] == 'note' for entry in found):
    return f'<p>There is nothing to mend; good to know:</p>\n{listed}'
  return listed


def _sheet(content, pictures) -> str:
  """Returns examples of each label, and of none."""
  strips = ''
  for entry in content['examples']:
    shown = ''.join(
      f'<figure title="{html.text(name)}">'
      f'{html.image(pictures[row], alt=name, lossy=True)}<figcaption>'
      f'{html.text(name.rsplit("/", 1)[-1])}</figcaption></figure>'
      for row, name in zip(entry['rows'], entry['ids'], strict=True)
      if row in pictures
    )
    label = entry['label']
    head = 'no label at all' if label is None else html.text(label)
    if entry['rows']:
      strips += f'<h3>{head}</h3><div class="thumbs">{shown}</div>'
  if not strips:
    return ''
  words = (
    'Drawn at random among the rows in use, of different groups where there '
    'are such; as in the files, made smaller.'
  )
  return html.section('Images of each label', f'{html.soft(words)}\n{strips}')


def _notes(content) -> str:
  """Returns what the reader said, and the settings."""
  notes = ''.join(f'<li>{html.text(note)}</li>' for note in content['notes'])
  said = html.fold('What the reader said', f'<ul>{notes}</ul>') if notes else ''
  return f'{said}\n{html.settings(content["settings"])}'
