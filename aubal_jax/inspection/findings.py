"""What is wrong with a data set, in words, from the content of inspect.json."""

import typing

from aubal_jax.inspection import image_survey
from aubal_jax.report import html

# How bad a finding is: scores are not to be trusted, or rows are lost; it may
# be meant so; good to know.
LEVELS = ('wrong', 'odd', 'note')
FEW = 10  # Rows of a label's rarer value, below which it is hardly learnt.
_REASONS = 3  # That a sentence tells apart.
_SHOWN = 5  # Names that a sentence holds.
_TOLD = 3  # Findings that the headline tells.
_HAS, _IS = ('has', 'have'), ('is', 'are')


class Kind(typing.NamedTuple):
  """What labels or images can be, said of all that are so in one sentence."""

  level: str
  words: str
  mend: str
  verbs: tuple[str, str] = _IS


_CONSTANT = (
  'Nothing can be learnt or measured: remove the column, or correct it.'
)
_LABELS = {
  'unknown': Kind(
    'wrong', 'unknown in every row',
    'Remove the column, or correct data.unknown_codes.'),
  'zero': Kind('wrong', '0 in every row', _CONSTANT),
  'one': Kind('wrong', '1 in every row', _CONSTANT),
  'train': Kind(
    'wrong', 'never 1 in train, though elsewhere',
    'Nothing can be learnt: move rows with it to train, or remove it.'),
  'test': Kind(
    'wrong', 'never 1 in test, though elsewhere',
    'Its F1 says nothing: move rows with it to test.'),
  'validation': Kind(
    'odd', 'never 1 in validation, though elsewhere',
    'Its threshold cannot be tuned: move rows with it to validation.'),
  'few': Kind(
    'odd', f'1 (or 0) in fewer than {FEW} rows',
    'Too few to learn from or to measure on: find more, merge or remove it.'),
  'group': Kind(
    'odd', 'positives in one group only',
    'The person or video is learnt in its stead: find more groups with it.',
    _HAS),
  'source': Kind(
    'odd', 'positives in one source only, though others label it',
    'The source is learnt in its stead: check what the others mean by it.',
    _HAS),
  'known': Kind(
    'note', 'known in one source only',
    'A set that lacks it teaches nothing about it.'),
}  # fmt: skip
_CLASSES = {
  'train': Kind(
    'wrong', 'never in train, though elsewhere',
    'Nothing can be learnt: move rows with it to train, or remove it.'),
  'nowhere': Kind(
    'note', 'in no row at all',
    'It is never learnt and never scored.'),
  'few': Kind(
    'odd', f'in fewer than {FEW} rows',
    'Too few to learn from or to measure on: find more.'),
}  # fmt: skip
_LOOK = 'Look at them; remove the lost.'
# Words are formatted with `brightest` and `size`.
_PICTURES = {
  'dark_16_bit': Kind(
    'wrong',
    'of 16 bits, but with values of at most {brightest}: nearly black once '
    'the high 8 bits are taken',
    'Likely 12 bits in 16: scale the values up to 65,535.'),
  'constant': Kind(
    'odd', 'of one colour all over',
    'Remove them, or look where they come from.'),
  'nearly_black': Kind('odd', 'nearly black', _LOOK),
  'nearly_white': Kind('odd', 'nearly white', _LOOK),
  'smaller': Kind(
    'note', 'smaller than the {size} pixels they are enlarged to',
    'A smaller data.image_size costs less and loses nothing of them.'),
  'not_square': Kind(
    'note', 'a quarter longer than wide, or more, and stretched to a square',
    "data.resize='pad' or 'crop' keeps their proportions."),
}  # fmt: skip


def find(content: dict) -> list[dict]:
  """Returns what there is to say, the worst first.

  Args:
    content: of inspect.json.

  Returns:
    dicts of `level`, `what`, `mend` and `names`, the first few it is about.
  """
  found = [
    *_images(content),
    *_cache(content.get('cache')),
    *_duplicates(content['duplicates']),
    *_groups(content['groups']),
    *_labels(content['labels'], content['rows']),
    *_targets(content.get('targets', ()), content['rows']),
    *_pairs(content['pairs']),
    *_statistics(content['statistics'], content['settings']),
    *_labelsets(content['labelsets']),
  ]
  return sorted(found, key=lambda entry: LEVELS.index(entry['level']))


def headline(findings) -> tuple[str, str]:
  """Returns what was found in a few words, and the worst of it.

  Args:
    findings: from `find`, the worst first.

  Returns:
    '2 things to mend, 1 to look at' (or that nothing is odd), and the first
    findings; '' where there are none.
  """
  wrong, odd = (
    [entry['what'] for entry in findings if entry['level'] == level]
    for level in LEVELS[:2]
  )
  if not wrong and not odd:
    return 'Nothing odd was found', ''
  parts = [f'{html.count(len(wrong), "thing")} to mend'] if wrong else []
  parts += [f'{len(odd):,} to look at'] if wrong and odd else []
  if not wrong:
    parts = [f'{html.count(len(odd), "thing")} to look at']
  # Its reasons, after a colon, stand below.
  told = [what.partition(': ')[0].rstrip('.') for what in [*wrong, *odd]]
  more = f'; and {len(told) - _TOLD:,} more' if len(told) > _TOLD else ''
  return ', '.join(parts), f'{"; ".join(told[:_TOLD])}{more}.'


def _finding(level, what, mend, names=(), total=None):
  """Returns an entry; `total` is how many names there are, where cut."""
  names = [str(name) for name in names]
  total = len(names) if total is None else total
  return {
    'level': level,
    'what': what,
    'mend': mend,
    'names': names[:_SHOWN],
    'more': max(total - _SHOWN, 0),
  }


def _of_kind(kind, noun, names, count, **facts):
  """Returns the finding that `count` things, these among them, are so."""
  what = f'{_count(count, noun, kind.verbs)} {kind.words.format(**facts)}.'
  return _finding(kind.level, what, kind.mend, names, count)


def _ids(rows):
  return [row['id'] for row in rows]


def _copies(entry):
  """Returns the names of the first two rows of an image."""
  return ' = '.join(_ids(entry['rows'])[:2])


def _count(n, noun, verbs=_IS):
  """Returns '1 image is', '2 images are'."""
  return f'{html.count(n, noun)} {verbs[n != 1]}'


def _images(content):
  """Yields what is said of images that are not there or not readable."""
  images = content['images']
  if images and images['reasons']:
    reasons = images['reasons']
    count = sum(entry['count'] for entry in reasons)
    parts = [f'{html.number(x["count"])} {x["reason"]}' for x in reasons]
    if len(reasons) == 1:
      parts = [reasons[0]['reason']]
    if len(parts) > _REASONS:
      parts[_REASONS:] = ['others for other reasons']
    yield _finding(
      'wrong',
      f'{html.count(count, "image")} cannot be read: {"; ".join(parts)}.',
      "Mend or remove them, or set data.unreadable='drop' to go on without.",
      [name for entry in reasons for name in _ids(entry['rows'])],
      count,
    )
  if images and images['spare_bytes']['count']:
    count = images['spare_bytes']['count']
    yield _finding(
      'note',
      f'{_count(count, "image", _HAS)} bytes to spare in the JPEG file: many '
      'cameras leave some, and so does damage.',
      'They are read all the same. Look at some of them.',
      _ids(images['spare_bytes']['rows']),
      count,
    )
  total = sum(content['rows'].values())
  for entry in content['drops']:
    missing = image_survey.is_missing(entry['reason'])
    yield _finding(
      'wrong' if missing else 'note',
      f'{html.number(entry["count"])} of {html.count(total, "row")} cannot be '
      f'used: {entry["reason"]}.',
      "Correct the paths, or set data.unreadable='drop' to go on without."
      if missing
      else 'They are left out.',
      _ids(entry['rows']),
      entry['count'],
    )
  for split in ('validation', 'test'):
    if images and not content['rows'][split]:
      yield _finding(
        'odd',
        f'No row is in the split {split}.',
        f'Name some in data.split_column, or set data.{split}_fraction.',
      )


def _cache(found):
  """Yields what is said of the cache of decoded images."""
  if not found:
    return
  if found['damaged']:
    count = len(found['damaged'])
    yield _finding(
      'wrong',
      f'{_count(count, "file")} damaged of the '
      f'{html.number(found["shards"])} that hold decoded images.',
      'Delete them in data.cache_dir, and they are made again.',
      [message.partition(' is damaged')[0] for message in found['damaged']],
    )
  if found['unchecked']:
    yield _finding(
      'note',
      f'{_count(found["unchecked"], "file", _HAS)} no checksum of the images '
      'in it: of an earlier version.',
      'Delete the folders in data.cache_dir to have them made anew.',
    )


def _duplicates(found):
  """Yields what is said of images that are there more than once."""
  if not found:
    return
  listed = [(x, {row['split'] for row in x['rows']}) for x in found['listed']]
  for entry in found['across']:
    a, b = entry['splits']
    yield _finding(
      'wrong',
      f'{_count(entry["images"], "image")} in both {a} and {b}, byte for byte.',
      f'Scores on {b} flatter. Keep each in one split, or give its copies one '
      'group (data.group_column) and let the splits be drawn.',
      [_copies(x) for x, splits in listed if {a, b} <= splits],
    )
  if found['contradictions']:
    yield _finding(
      'wrong',
      f'{_count(found["contradictions"], "image")} there more than once with '
      'different labels.',
      'One of the labels is wrong: look at them below, and correct it.',
      [
        f'{_copies(x)} ({", ".join(x["labels_differ"])})'
        for x, _ in listed
        if x['labels_differ']
      ],
    )
  within = {split: n for split, n in found['within'].items() if n}
  if within:
    parts = [f'{html.number(n)} in {split}' for split, n in within.items()]
    repeats = _count(sum(within.values()), 'row', ('repeats', 'repeat'))
    yield _finding(
      'odd',
      f'{repeats} an image of the same split ({", ".join(parts)}).',
      'Such images weigh double. Remove the copies if that is not meant.',
      [_copies(x) for x, splits in listed if len(splits) < len(x['rows'])],
    )


def _groups(found):
  """Yields what is said of groups."""
  if found and found['crossing']:
    count = found['crossing']
    yield _finding(
      'wrong',
      f'{html.count(count, "group")} (subject, video) {_HAS[count != 1]} '
      'images in more than one split.',
      'Scores flatter: who was seen in training is recognised. Keep each in '
      "one split, or set data.split_column='' to split by group.",
      [x['group'] for x in found['listed']],
      count,
    )


def _labels(entries, rows):
  """Yields what is said of single labels, all of a kind in one."""
  found = {kind: [] for kind in _LABELS}
  for entry in entries:
    for kind in _kinds(entry, rows):
      found[kind].append(entry['name'])
  for kind, names in found.items():
    if names:
      yield _of_kind(_LABELS[kind], 'label', names, len(names))


def _targets(entries, rows):
  """Yields what is said of targets beside the labels."""
  for entry in entries:
    name, known = entry['name'], entry['known']
    bare = [s for s in ('train', 'validation') if rows[s] and not known[s]]
    if bare:
      yield _finding(
        'wrong',
        f'The target {name} is known in no row of {" and ".join(bare)}.',
        'Nothing can be learnt or scored there: read rows that know it.',
      )
    found = {kind: [] for kind in _CLASSES}
    for one in entry.get('counts', ()) if known['all'] else ():
      if not one['all']:
        found['nowhere'].append(one['name'])
      elif known['train'] and not one['train']:
        found['train'].append(one['name'])
      elif one['all'] < FEW:
        found['few'].append(one['name'])
    for kind, names in found.items():
      if names:
        yield _of_kind(_CLASSES[kind], f'{name} value', names, len(names))
    for one in entry.get('numbers', ()):
      if one['known'] and one['min'] == one['max']:
        yield _finding(
          'wrong',
          f'{one["name"]} of the target {name} is {one["min"]:g} in every row.',
          _CONSTANT,
        )


def _kinds(entry, rows):
  """Yields the names in _LABELS of what is odd about a label."""
  yes, no = entry['positives'], entry['negatives']
  known_sources = entry['known_sources'] or ()
  if not yes + no:
    yield 'unknown'
  elif not yes:
    yield 'zero'
  elif not no:
    yield 'one'
  else:
    for split in ('train', 'validation', 'test'):
      if rows[split] and not entry['splits'][split]['positives']:
        yield split
    if min(yes, no) < FEW:
      yield 'few'
    if entry['groups'] == 1 and yes > 1:
      yield 'group'
    if len(known_sources) == 1:
      yield 'known'
    elif entry['sources'] and len(entry['sources']) == 1:
      yield 'source'


def _pairs(found):
  """Yields what is said of labels that say the same."""
  for kind, words in (('equal', 'equal'), ('complementary', 'opposite')):
    count = found[kind]['count']
    if count:
      yield _finding(
        'odd',
        f'{html.count(count, "pair")} of labels {_IS[count != 1]} {words} in '
        'every row.',
        'One of the two says nothing new; is it a column given twice?',
        [' and '.join(pair) for pair in found[kind]['listed']],
        count,
      )


def _statistics(found, settings):
  """Yields what is said of the pictures themselves."""
  if not found:
    return
  hidden = set()
  if settings['crop'] != 'none':  # Then faces count, which are not cut out.
    hidden = {'smaller', 'not_square'}
  elif settings['resize'] != 'stretch':
    hidden = {'not_square'}
  facts = {
    'brightest': html.number(found['brightest_of_dark_16_bit']),
    'size': settings['image_size'],
  }
  for name, kind in _PICTURES.items():
    entry = found['suspicious'][name]
    if entry['count'] and name not in hidden:
      names, count = _ids(entry['rows']), entry['count']
      yield _of_kind(kind, 'image', names, count, **facts)


def _labelsets(found):
  """Yields what is said of combinations of labels."""
  for split, unseen in found['unseen'].items():
    count = unseen['labelsets']
    if count:
      yield _finding(
        'note',
        f'{html.count(count, "combination")} of labels in {split} '
        f'({html.count(unseen["rows"], "row")}) {_IS[count != 1]} never seen '
        'in train.',
        'Usual where labels are many; balancing can only weigh what is there.',
      )
  few = found['near_empty']
  if few:
    yield _finding(
      'note',
      f'{html.number(few)} of '
      f'{html.count(found["labelsets"], "combination")} of labels in train '
      f'{_HAS[few != 1]} fewer than '
      f'{html.count(found["near_empty_below"], "image")}.',
      'balance.upper limits how often each of these few images is repeated.',
    )
