"""What is wrong with a data set, in words, from the content of inspect.json."""

from aubal_jax.inspection import label_findings
from aubal_jax.report import html

# How bad a finding is: scores are not to be trusted, or rows are lost; it may
# be meant so; good to know.
LEVELS = ('wrong', 'odd', 'note')
_REASONS = 3  # That a sentence tells apart.
_SHOWN = 5  # Names that a sentence holds.


def find(content: dict) -> list[dict]:
  """Returns what there is to say, the worst first.

  Args:
    content: of inspect.json.

  Returns:
    dicts of `level`, `what`, `mend` and `names`, the first few it is about.
  """
  found = [
    *_images(content),
    *_duplicates(content['duplicates']),
    *_groups(content['groups']),
    *_labels(content['labels'], content['rows']),
    *_pairs(content['pairs']),
    *_statistics(content['statistics'], content['settings']),
    *_labelsets(content['labelsets']),
  ]
  return sorted(found, key=lambda entry: LEVELS.index(entry['level']))


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


def _ids(rows):
  return [row['id'] for row in rows]


def _is(n, noun, verbs=('is', 'are')):
  """Returns '1 image is', '2 images are'."""
  return f'{html.count(n, noun)} {verbs[n != 1]}'


def _images(content):
  """Yields what is said of images that are not there or not readable."""
  reasons = content['images']['reasons'] if content['images'] else ()
  if reasons:
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
  spare = content['images']['spare_bytes'] if content['images'] else None
  if spare and spare['count']:
    yield _finding(
      'note',
      f'{_is(spare["count"], "image", ("has", "have"))} bytes to spare in the '
      'JPEG file: many cameras leave some, and so does damage.',
      'They are read all the same. Look at some of them.',
      _ids(spare['rows']),
      spare['count'],
    )
  total = sum(content['rows'].values())
  for entry in content['drops']:
    missing = entry['reason'].startswith('no image')
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
    if content['images'] and not content['rows'][split]:
      yield _finding(
        'odd',
        f'No row is in the split {split}.',
        f'Name some in data.split_column, or set data.{split}_fraction.',
      )


def _duplicates(found):
  """Yields what is said of images that are there more than once."""
  if not found:
    return
  listed = found['listed']
  crossing = [x for x in listed if x['crosses']]
  for entry in found['across']:
    a, b = entry['splits']
    names = [
      ' = '.join(_ids(x['rows'])[:2])
      for x in crossing
      if {a, b} <= {row['split'] for row in x['rows']}
    ]
    yield _finding(
      'wrong',
      f'{_is(entry["images"], "image")} in both {a} and {b}, byte for byte.',
      f'Scores on {b} flatter. Keep each in one split, or give its copies one '
      'group (data.group_column) and let the splits be drawn.',
      names,
    )
  if found['contradictions']:
    differ = [x for x in listed if x['labels_differ']]
    yield _finding(
      'wrong',
      f'{_is(found["contradictions"], "image")} there more than once with '
      'different labels.',
      'One of the labels is wrong: look at them below, and correct it.',
      [
        f'{" = ".join(_ids(x["rows"])[:2])} ({", ".join(x["labels_differ"])})'
        for x in differ
      ],
    )
  repeats = sum(found['within'].values())
  if repeats:
    parts = [
      f'{html.number(n)} in {split}'
      for split, n in found['within'].items()
      if n
    ]
    yield _finding(
      'odd',
      f'{_is(repeats, "row", ("repeats", "repeat"))} an image of the same '
      f'split ({", ".join(parts)}).',
      'Such images weigh double. Remove the copies if that is not meant.',
      [
        ' = '.join(_ids(x['rows'])[:2])
        for x in listed
        if len({row['split'] for row in x['rows']}) < len(x['rows'])
      ],
    )


def _groups(found):
  """Yields what is said of groups."""
  if found and found['crossing']:
    count = found['crossing']
    yield _finding(
      'wrong',
      f'{html.count(count, "group")} (subject, video) '
      f'{"has" if count == 1 else "have"} images in more than one split.',
      'Scores flatter: who was seen in training is recognised. Keep each in '
      "one split, or set data.split_column='' to split by group.",
      [x['group'] for x in found['listed']],
      count,
    )


def _labels(entries, rows):
  """Yields what is said of single labels, all of a kind in one."""
  for kind, names in label_findings.find(entries, rows).items():
    level, words, mend = label_findings.KINDS[kind]
    verbs = ('has', 'have') if words[0] == '~' else ('is', 'are')
    yield _finding(
      level,
      f'{_is(len(names), "label", verbs)} {words.lstrip("~")}.',
      mend,
      names,
    )


def _pairs(found):
  """Yields what is said of labels that say the same."""
  for kind, words in (
    ('equal', 'equal in every row'),
    ('complementary', 'opposite in every row'),
  ):
    count = found[kind]['count']
    if count:
      yield _finding(
        'odd',
        f'{html.count(count, "pair")} of labels '
        f'{"is" if count == 1 else "are"} {words}.',
        'One of the two says nothing new; is it a column given twice?',
        [' and '.join(pair) for pair in found[kind]['listed']],
        count,
      )


def _statistics(found, settings):
  """Yields what is said of the pictures themselves."""
  if not found:
    return
  size = settings['image_size']
  hidden = set()
  if settings['crop'] != 'none':  # Then faces count, which are not cut out.
    hidden = {'smaller', 'not_square'}
  elif settings['resize'] != 'stretch':
    hidden = {'not_square'}
  suspicious = found['suspicious']
  for name, level, words, mend in (
    (
      'dark_16_bit',
      'wrong',
      'of 16 bits, but with values of at most '
      f'{html.number(found["brightest_of_dark_16_bit"])}: nearly black once '
      'the high 8 bits are taken',
      'Likely 12 bits in 16: scale the values up to 65,535.',
    ),
    (
      'constant',
      'odd',
      'of one colour all over',
      'Remove them, or look where they come from.',
    ),
    ('nearly_black', 'odd', 'nearly black', 'Look at them; remove the lost.'),
    ('nearly_white', 'odd', 'nearly white', 'Look at them; remove the lost.'),
    (
      'smaller',
      'note',
      f'smaller than the {size} pixels they are enlarged to',
      'A smaller data.image_size costs less and loses nothing of them.',
    ),
    (
      'not_square',
      'note',
      'a quarter longer than wide, or more, and stretched to a square',
      "data.resize='pad' or 'crop' keeps their proportions.",
    ),
  ):
    count = suspicious[name]['count']
    if count and name not in hidden:
      yield _finding(
        level,
        f'{_is(count, "image")} {words}.',
        mend,
        _ids(suspicious[name]['rows']),
        count,
      )


def _labelsets(found):
  """Yields what is said of combinations of labels."""
  for split, unseen in found['unseen'].items():
    if unseen['labelsets']:
      yield _finding(
        'note',
        f'{html.count(unseen["labelsets"], "combination")} of labels in '
        f'{split} ({html.count(unseen["rows"], "row")}) '
        f'{"is" if unseen["labelsets"] == 1 else "are"} never seen in train.',
        'Usual where labels are many; balancing can only weigh what is there.',
      )
  if found['near_empty']:
    yield _finding(
      'note',
      f'{html.number(found["near_empty"])} of '
      f'{html.count(found["labelsets"], "combination")} of labels in train '
      f'{"has" if found["near_empty"] == 1 else "have"} fewer than '
      f'{html.count(found["near_empty_below"], "image")}.',
      'balance.upper limits how often each of these few images is repeated.',
    )
