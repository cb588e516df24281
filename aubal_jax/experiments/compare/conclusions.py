"""What a comparison can and cannot conclude, in words."""

from __future__ import annotations

import statistics
import typing

from aubal_jax.experiments.compare import verdicts

_F1 = ('f1_macro', 'f1_macro_tuned')
_SIDES = {1: 'better than', -1: 'worse than', 0: 'not told from'}
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
  answers = [_in_short(contexts, alpha)] if len(contexts) > 1 else []
  for model in dict.fromkeys(row['model'] for row in found['effects']):
    answers.append(_factors(found['effects'], model, alpha))
  for context in contexts:
    can, cannot = [], []
    for reference in verdicts.REFERENCES:
      if any(verdicts.fair(context, s, reference) for s in verdicts.PHRASES):
        told, words = _reference_words(context, reference, alpha)
        (can if told else cannot).append(words)
    can += _threshold_words(context)
    if not any(row['factor'] == 'augment_rows' for row in found['effects']):
      _add_own(can, cannot, context, alpha)
    _add_ranks(can, cannot, context, alpha)
    cannot += _power_words(context)
    answers.append(
      Answer(verdicts.context_name(context, contexts), can, cannot)
    )
  return [*answers, Answer('', [], _limits(record))]


def _reference_words(context, reference, alpha) -> tuple[bool, str]:
  """Says who is better or worse than a reference, in each score.

  Beside random rows only methods that have as many are told of.
  """
  parts, not_told, num = [], [], 0
  for score, phrase in verdicts.PHRASES.items():
    tests = verdicts.fair(context, score, reference)
    num = max(num, len(tests))
    sides = verdicts.sides(tests, alpha)
    if sides:
      parts.append(f'{phrase}: {sides}')
    elif tests:
      not_told.append(phrase)
  told = bool(parts)
  if not_told:
    parts.append(f'{verdicts.listed(not_told)}: none is told apart')
  words = f'{verdicts.methods(num)} against {verdicts.REFERENCES[reference]}. '
  return told, words + '. '.join(parts) + '.'


def _in_short(contexts, alpha) -> Answer:
  """Says what holds in every context, at tuned thresholds."""
  can, cannot = [], []
  where = '; '.join(verdicts.context_name(c, contexts) for c in contexts)
  for reference, name in verdicts.REFERENCES.items():
    families = [verdicts.fair(c, 'f1_macro_tuned', reference) for c in contexts]
    for side, word in ((1, 'better'), (-1, 'worse')):
      always = set.intersection(
        *(
          {t['entry'] for t in f if verdicts.verdict(t, alpha) == side}
          for f in families
        )
      )
      words = f'{verdicts.PHRASES["f1_macro_tuned"]}, {word} than {name}'
      if always:
        names = [e for e in contexts[0]['entries'] if e in always]
        can.append(
          f'{words} in each of these ({where}): {verdicts.listed(names)}.'
        )
      elif side == 1 and any(families):
        cannot.append(f'{words} in each of these ({where}): no method.')
  return Answer('In short', can, cannot)


def _threshold_words(context) -> list[str]:
  """Returns what tuned thresholds leave of gains, and of losses, at .5."""
  where = verdicts.whole(context), 'f1_macro'
  shares = [
    row
    for row in context['shares']
    if (row['data'], row['score']) == where and row['share'] is not None
  ]
  sentences = []
  for side, words in ((1, 'gained over'), (-1, 'lost to')):
    mine = [row for row in shares if side * row['at_half'] > 0]
    mine.sort(key=lambda row: row['share'])
    if not mine:
      continue
    half = sum(row['at_half'] for row in mine)
    left = sum(row['tuned'] for row in mine) / half
    ends = [f'{x["entry"]} {100 * x["share"]:z.0f} %' for x in mine]
    spread = f' (from {ends[0]} to {ends[-1]})' if len(mine) > 1 else ''
    sentences.append(
      f'Thresholds: of the F1 macro {words} plain training at .5 by '
      f'{verdicts.methods(len(mine))}, {100 * left:z.0f} % is left where both '
      f'have tuned thresholds{spread}; the rest was a matter of thresholds.'
    )
  return sentences


def _add_own(can, cannot, context, alpha):
  """Says how each balanced entry stands to the others with equal rows."""
  said = {}
  for entry in context['entries']:
    if entry.startswith('aubal'):
      words = _stand(context, entry, alpha)
      if words:
        said.setdefault(words, []).append(entry)
  for words, entries in said.items():
    told = 'better' in words or 'worse' in words
    (can if told else cannot).append(
      f'{verdicts.listed(entries)}, beside methods with as many rows. {words}.'
    )


def _stand(context, entry, alpha) -> str:
  """Returns who an entry is better or worse than, and not told from."""
  said = {}
  for score in _F1:
    sides = {name: [] for name in _SIDES.values()}
    for pair in context['pairs']:
      ends = pair['entry'], pair['reference']
      if pair['score'] == score and entry in ends:
        other = ends[ends[0] == entry]
        whole = pair['num_data'] == len(context['data'])
        if whole and not other.startswith('aubal'):
          side = verdicts.verdict(pair, alpha) * (1 if ends[0] == entry else -1)
          sides[_SIDES[side]].append(other)
    words = [
      f'{k} {verdicts.listed(names)}' for k, names in sides.items() if names
    ]
    if words:
      said.setdefault('; '.join(words), []).append(verdicts.PHRASES[score])
  return '. '.join(
    f'{verdicts.listed(k)}: {words}' for words, k in said.items()
  )


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
      f'Ranks of {k} methods on {num_data} data sets, '
      f'{verdicts.PHRASES[row["score"]]}: {best} first; Friedman '
      f'{verdicts.p_words(friedman["f_p"])}. Nemenyi tells apart what lies '
      f'{difference:.1f} ranks apart; {k - 1} are possible, '
      f'{spread:.1f} seen'
    )
    told = spread > difference and friedman['f_p'] < alpha
    if not told:
      words += ': the first is not told from the last'
      if row['data_needed'] is not None:
        words += (
          f'. Ranks this far apart would take {row["data_needed"]} data sets'
        )
    (can if told else cannot).append(f'{words}.')


def _power_words(context) -> list[str]:
  """Returns how small a difference to plain training is not seen."""
  score = 'f1_macro_tuned'
  tests = verdicts.tests_of(context, verdicts.whole(context), score, 'none')
  widths = [t['half_width'] for t in tests if t['half_width'] is not None]
  if not widths:
    return []
  return [
    f'{verdicts.PHRASES[score]}: the intervals of differences to plain '
    f'training are ±{statistics.median(widths):.3f} (median), and smaller ones '
    'are not seen.'
  ]


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
          f'{verdicts.level_name(row["level"])} {row["difference"]:+z.3f}'
          + ('' if row['half_width'] is None else f' ±{row["half_width"]:.3f}')
          for row in rows
        ]
        reference = verdicts.level_name(rows[0]['reference'])
        told = any(verdicts.verdict(row, alpha) for row in rows)
        (can if told else cannot).append(
          f'{name}, {verdicts.PHRASES[score]}, against {reference}: '
          f'{verdicts.listed(steps)}.'
        )
  for reference, name in verdicts.REFERENCES.items():
    for score in _F1:
      rows = [
        row | {'entry': row['level']}
        for row in mine
        if (row['factor'], row['score'], row['reference'])
        == ('entry', score, reference)
      ]
      sides = verdicts.sides(rows, alpha)
      name = name.removesuffix(' in the same number')
      words = f'Plans against {name}, {verdicts.PHRASES[score]}: '
      if sides:
        can.append(f'{words}{sides}.')
      elif rows:
        cannot.append(f'{words}none of {len(rows)} is told apart.')
  heading = f'{model}: what each factor gives, the mean over all the others'
  return Answer(heading, can, cannot)


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
      f'test of {verdicts.p_words(2 ** (1 - num_data))}.'
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
    words.append(
      f'Not on every data set, so in no ranks: {verdicts.listed(left_out)}.'
    )
  words.append(
    'Settings of every method were fixed before the run; others, or more '
    'steps, may change the order.'
  )
  return words
