"""What is odd about single labels, from the labels of inspect.json."""

FEW = 10  # Rows of a label's rarer value, below which it is hardly learnt.

# name -> level, what is said of such labels ('~': they have it), the mend.
KINDS = {
  'unknown': (
    'wrong',
    'unknown in every row',
    'Remove the column, or correct data.unknown_codes.',
  ),
  'zero': (
    'wrong',
    '0 in every row',
    'Nothing can be learnt or measured: remove the column, or correct it.',
  ),
  'one': (
    'wrong',
    '1 in every row',
    'Nothing can be learnt or measured: remove the column, or correct it.',
  ),
  'train': (
    'wrong',
    'never 1 in train, though elsewhere',
    'Nothing can be learnt: move rows with it to train, or remove it.',
  ),
  'test': (
    'wrong',
    'never 1 in test, though elsewhere',
    'Its F1 says nothing: move rows with it to test.',
  ),
  'validation': (
    'odd',
    'never 1 in validation, though elsewhere',
    'Its threshold cannot be tuned: move rows with it to validation.',
  ),
  'few': (
    'odd',
    f'1 (or 0) in fewer than {FEW} rows',
    'Too few to learn from or to measure on: find more, merge or remove it.',
  ),
  'group': (
    'odd',
    '~positives in one group only',
    'The person or video is learnt in its stead: find more groups with it.',
  ),
  'source': (
    'odd',
    '~positives in one source only, though others label it',
    'The source is learnt in its stead: check what the others mean by it.',
  ),
  'known': (
    'note',
    'known in one source only',
    'A set that lacks it teaches nothing about it.',
  ),
}


def find(entries, rows):
  """Returns name in KINDS -> the labels that are such, in order of KINDS.

  Args:
    entries: of the labels; see `data.label_survey.labels`.
    rows: split -> rows.
  """
  found = {kind: [] for kind in KINDS}
  for entry in entries:
    for kind in _kinds(entry, rows):
      found[kind].append(entry['name'])
  return {kind: names for kind, names in found.items() if names}


def _kinds(entry, rows):
  """Yields the names in KINDS of what is odd about a label."""
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
