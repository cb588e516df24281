"""What a comparison can and cannot conclude, in words."""

from __future__ import annotations

import typing

PHRASES = {
  'f1_macro': 'F1 macro at .5',
  'f1_macro_tuned': 'F1 macro at tuned thresholds',
  'auc_macro': 'AUC macro',
  'map': 'mAP',
}
_F1 = ('f1_macro', 'f1_macro_tuned')
_REFERENCES = {
  'none': 'plain training',
  'random': 'random rows in the same number',
}
_FACTORS = {
  'augment_rows': 'Augmenting rows',
  'fraction': 'The fraction',
  'upper': 'Growth of a labelset, at most',
  'diversity': 'Bounds by diversity',
}


class Answer(typing.NamedTuple):
  """What is told apart and what is not, under a heading ('' for all)."""

  heading: str
  can: list[str]
  cannot: list[str]


def conclude(record) -> list[Answer]:
  """Returns an Answer for each context, for the factors, and for it all.

  Args:
    record: from comparison.record.make_record.
  """
  found = record['statistics']
  contexts, alpha = found['contexts'], found['alpha']
  answers = []
  for context in contexts:
    can, cannot = [], []
    for reference in _REFERENCES:
      _add_reference(can, cannot, context, reference, alpha)
    can += _threshold_words(context)
    if not found['effects']:
      _add_own(can, cannot, context, alpha)
    _add_ranks(can, cannot, context, alpha)
    answers.append(Answer(context_name(context, contexts), can, cannot))
  for model in dict.fromkeys(row['model'] for row in found['effects']):
    answers.append(_factors(found['effects'], model, alpha))
  return [*answers, Answer('', [], _limits(record))]


def context_name(context, contexts) -> str:
  """Returns what tells a context from the others; of one alone, its model."""
  words = {
    'model': '{}',
    'fraction': 'fraction {:g}',
    'augment_rows': 'augmented rows: {}',
  }
  parts = [
    form.format(context[key])
    for key, form in words.items()
    if context[key] is not None
    and (key == 'model' or len({c[key] for c in contexts}) > 1)
  ]
  return ', '.join(parts)


def whole(context):
  """Returns the `data` of tests over all data sets, or the only one's."""
  return None if len(context['data']) > 1 else context['data'][0]


def tests_of(context, data, score, reference) -> list[dict]:
  """Returns the tests of a data set (None: over all) against one entry."""
  wanted = data, score, reference
  return [
    test
    for test in context['tests']
    if (test['data'], test['score'], test['reference']) == wanted
  ]


def verdict(test, alpha) -> int:
  """Returns 1 above, -1 below, 0 not told apart, of a test with `p_holm`."""
  if test['p_holm'] is None or test['p_holm'] >= alpha:
    return 0
  return 1 if test['difference'] > 0 else -1


def p_words(p) -> str:
  """Returns 'p = 0.012', or 'p < 0.001'."""
  return f'p = {p:.2g}' if p >= 0.001 else 'p < 0.001'


def listed(items) -> str:
  """Returns 'a, b and c'."""
  *most, last = items
  return f'{", ".join(most)} and {last}' if most else last


def _methods(num) -> str:
  return '1 method' if num == 1 else f'{num} methods'


def _add_reference(can, cannot, context, reference, alpha):
  """Says what is told from a reference, in each score; random: equal rows."""
  name, not_told, num = _REFERENCES[reference], [], 0
  for score, phrase in PHRASES.items():
    tests = [
      test
      for test in tests_of(context, whole(context), score, reference)
      if test['equal_rows'] or reference == 'none'
    ]
    sides = _sides(tests, alpha)
    if sides:
      can.append(f'{phrase}, {sides.format(name)}; of {_methods(len(tests))}.')
    elif tests:
      not_told.append(phrase)
      num = len(tests)
  if not_told:
    cannot.append(
      f'None of {_methods(num)} is told from {name} in {listed(not_told)}.'
    )


def _sides(tests, alpha) -> str:
  """Returns 'above {0}: a (+0.1); below {0}: b (-0.1)', or ''."""
  parts = []
  for side, word in ((1, 'above'), (-1, 'below')):
    chosen = [test for test in tests if verdict(test, alpha) == side]
    chosen.sort(key=lambda test: -side * test['difference'])
    if chosen:
      names = [f'{t["entry"]} ({t["difference"]:+z.3f})' for t in chosen]
      parts.append(f'{word} {{0}}: {listed(names)}')
  return '; '.join(parts)


def _threshold_words(context) -> list[str]:
  """Returns what tuned thresholds leave of the gains at .5."""
  shares = [
    row
    for row in context['shares']
    if (row['data'], row['score']) == (whole(context), 'f1_macro')
    and row['share'] is not None
  ]
  if not shares:
    return []
  half = sum(row['at_half'] for row in shares)
  left = sum(row['tuned'] for row in shares) / half
  order = sorted(shares, key=lambda row: row['share'])
  gain = 'gains' if len(shares) == 1 else 'gain'
  words = (
    f'Thresholds: of what {_methods(len(shares))} {gain} over plain training '
    f'at .5, {100 * left:z.0f} % is left where both have tuned thresholds'
  )
  if len(shares) > 1:
    ends = [f'{x["entry"]} {100 * x["share"]:z.0f} %' for x in order]
    words += f' (from {ends[0]} to {ends[-1]})'
  return [f'{words}; the rest is had by tuning alone.']


def _add_own(can, cannot, context, alpha):
  """Says how each balanced entry stands to the others with equal rows."""
  own = [e for e in context['entries'] if e.startswith('aubal')]
  for entry in own:
    parts, told = [], False
    for score in _F1:
      sides = {1: [], -1: [], 0: []}
      for pair in context['pairs']:
        ends = pair['entry'], pair['reference']
        if pair['score'] == score and entry in ends:
          other = ends[ends[0] == entry]
          if other not in own and pair['num_data'] == len(context['data']):
            sign = 1 if ends[0] == entry else -1
            sides[sign * verdict(pair, alpha)].append(other)
      told |= bool(sides[1] or sides[-1])
      named = {1: 'above', -1: 'below', 0: 'not told from'}
      words = [
        f'{named[x]} {listed(names)}' for x, names in sides.items() if names
      ]
      if words:
        parts.append(f'{PHRASES[score]} {"; ".join(words)}')
    if parts:
      words = f'{entry} beside methods with as many rows: {". ".join(parts)}.'
      (can if told else cannot).append(words)


def _add_ranks(can, cannot, context, alpha):
  """Says what the ranks over data sets tell, and how little they can."""
  num_data = len(context['data'])
  for row in context['ranks']:
    friedman = row['friedman']
    if row['score'] not in _F1 or friedman is None:
      continue
    k, difference = len(row['entries']), row['critical_difference']
    spread = max(row['average']) - min(row['average'])
    best = row['entries'][row['average'].index(min(row['average']))]
    words = (
      f'Ranks of {k} methods on {num_data} data sets, {PHRASES[row["score"]]}: '
      f'{best} first; Friedman {p_words(friedman["f_p"])}. Nemenyi tells apart '
      f'what lies {difference:.1f} ranks apart; {k - 1} are possible, '
      f'{spread:.1f} seen'
    )
    told = spread > difference and friedman['f_p'] < alpha
    if not told:
      words += (
        ': the first is not told from the last. Ranks this far apart would '
        f'take {row["data_needed"]} data sets'
      )
    (can if told else cannot).append(f'{words}.')


def _factors(effects, model, alpha) -> Answer:
  """Says what each factor of a crossed experiment gives, all else equal."""
  data = {row['data'] for row in effects}
  where = None if None in data else next(iter(data))
  mine = [r for r in effects if (r['model'], r['data']) == (model, where)]
  can, cannot = [], []
  for factor, name in _FACTORS.items():
    for score in _F1:
      rows = [r for r in mine if (r['factor'], r['score']) == (factor, score)]
      if rows:
        steps = [
          f'{_level(row["level"])} {row["difference"]:+z.3f}'
          + ('' if row['half_width'] is None else f' ±{row["half_width"]:.3f}')
          for row in rows
        ]
        told = any(verdict(row, alpha) for row in rows)
        (can if told else cannot).append(
          f'{name}, {PHRASES[score]}, against {_level(rows[0]["reference"])}: '
          f'{listed(steps)}.'
        )
  for reference, name in _REFERENCES.items():
    for score in _F1:
      rows = [
        row | {'entry': row['level']}
        for row in mine
        if (row['factor'], row['score'], row['reference'])
        == ('entry', score, reference)
      ]
      sides = _sides(rows, alpha)
      name = name.removesuffix(' in the same number')
      if sides:
        can.append(f'Plans, {PHRASES[score]}, {sides.format(name)}.')
      elif rows:
        cannot.append(
          f'Plans, {PHRASES[score]}: none of {len(rows)} is told from {name}.'
        )
  heading = f'{model}: what each factor gives, the mean over all the others'
  return Answer(heading, can, cannot)


def _level(level) -> str:
  return f'{level:g}' if isinstance(level, float) else str(level)


def _limits(record) -> list[str]:
  """Returns what holds of every comparison like this one."""
  contexts = record['statistics']['contexts']
  num_data = len({d for context in contexts for d in context['data']})
  cells = [cell for context in contexts for cell in context['cells']]
  failed = [row for row in record['rows'] if row['status']]
  left_out = sorted(
    {e for c in contexts for row in c['ranks'] for e in row['left_out']}
  )
  words = []
  if num_data == 1:
    words.append('One data set: nothing is said of others, and none rank.')
  if num_data > 1:
    words.append(
      f'Tests over all average these {num_data} data sets, and say nothing of '
      f'others: to those even {num_data} wins out of {num_data} are a sign '
      f'test of {p_words(2 ** (1 - num_data))}.'
    )
  if any(cell['num_splits'] == 1 for cell in cells):
    words.append(
      'Where there is one split, intervals are of the seeds of training alone; '
      'other images would move the scores more.'
    )
  if any(cell['num_trials'] == 1 for cell in cells):
    words.append('A cell with one trial has no interval, and no test.')
  if failed:
    words.append(
      f'{len(failed)} of {len(record["rows"])} cells failed; no mean has them.'
    )
  if left_out:
    words.append(f'Not on every data set, so in no ranks: {listed(left_out)}.')
  words.append(
    'Settings of every method were fixed before the run; others, or more '
    'steps, may change the order.'
  )
  return words
