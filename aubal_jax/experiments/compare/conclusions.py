"""What a comparison can and cannot conclude, in words."""

from __future__ import annotations

import statistics
import typing
from collections.abc import Iterator

from aubal_jax.experiments.compare import significance
from aubal_jax.experiments.compare import verdicts

_SIDES = {
  verdicts.ABOVE: 'better than',
  verdicts.BELOW: 'worse than',
  verdicts.NOT_TOLD: 'not told from',
}
_FACTORS = {
  'augment_rows': 'Augmenting rows',
  'fraction': 'The fraction',
  'share': 'The share kept',
  'upper': 'Growth of a labelset, at most',
  'diversity': 'Bounds by diversity',
}


class Said(typing.NamedTuple):
  """A sentence, and whether it tells something apart."""

  told: bool
  words: str


class Answer(typing.NamedTuple):
  """What is told apart and what is not, under a heading ('' for all)."""

  heading: str
  can: list[str]
  cannot: list[str]


def _answer(heading, said) -> Answer:
  said = [*said]
  can, cannot = ([s.words for s in said if s.told == x] for x in (True, False))
  return Answer(heading, can, cannot)


def conclude(record) -> list[Answer]:
  """Returns an Answer for each context, for the factors, and for it all.

  Args:
    record: from `comparison.make_record`.
  """
  effects = record['statistics']['effects']
  contexts = record['statistics']['contexts']
  answers = []
  if len(contexts) > 1:
    answers.append(_answer('In short', _in_short(contexts)))
  for model in dict.fromkeys(row['model'] for row in effects):
    heading = f'{model}: what each factor gives, the mean over all the others'
    answers.append(_answer(heading, _factors(effects, model)))
  crossed = any(row['factor'] == 'augment_rows' for row in effects)
  for context in contexts:
    heading = verdicts.context_name(context, contexts)
    answers.append(_answer(heading, _of_context(context, crossed)))
  return [*answers, Answer('', [], [*_limits(record)])]


def _of_context(context, crossed) -> Iterator[Said]:
  for reference in verdicts.REFERENCES:
    if any(verdicts.fair(context, s, reference) for s in verdicts.PHRASES):
      yield _against(context, reference)
  yield from _thresholds(context)
  if not crossed:
    yield from _own(context)
  yield from _ranks(context)
  yield from _power(context)


def _reference_words(reference) -> str:
  equal = ' in the same number' if reference != 'none' else ''
  return verdicts.REFERENCES[reference] + equal


def _methods(num) -> str:
  return '1 method' if num == 1 else f'{num} methods'


def _against(context, reference) -> Said:
  """Says who is better or worse than a reference, in each score.

  Beside random rows only methods that have as many are told of.
  """
  parts, not_told, num = [], [], 0
  for score, phrase in verdicts.PHRASES.items():
    tests = verdicts.fair(context, score, reference)
    num = max(num, len(tests))
    told = verdicts.told(tests)
    if told:
      parts.append(f'{phrase}: {verdicts.told_words(told)}')
    elif tests:
      not_told.append(phrase)
  any_told = bool(parts)
  if not_told:
    parts.append(f'{verdicts.listed(not_told)}: none is told apart')
  words = f'{_methods(num)} against {_reference_words(reference)}. '
  return Said(any_told, words + '. '.join(parts) + '.')


def _in_short(contexts) -> Iterator[Said]:
  """Says what holds in every context, at tuned thresholds."""
  score = 'f1_macro_tuned'
  where = '; '.join(verdicts.context_name(c, contexts) for c in contexts)
  for reference in verdicts.REFERENCES:
    families = [verdicts.fair(c, score, reference) for c in contexts]
    for side in (verdicts.ABOVE, verdicts.BELOW):
      always = set.intersection(
        *(
          {t['entry'] for t in tests if verdicts.verdict(t) == side}
          for tests in families
        )
      )
      words = (
        f'{verdicts.PHRASES[score]}, {_SIDES[side]} '
        f'{_reference_words(reference)} in each of these ({where}): '
      )
      if always:
        names = [e for e in contexts[0]['entries'] if e in always]
        yield Said(True, f'{words}{verdicts.listed(names)}.')
      elif side == verdicts.ABOVE and any(families):
        yield Said(False, f'{words}no method.')


def _thresholds(context) -> Iterator[Said]:
  """Says what tuned thresholds leave of gains, and of losses, at .5."""
  where = verdicts.whole(context), 'f1_macro'
  shares = [
    row
    for row in context['shares']
    if (row['data'], row['score']) == where and row['share'] is not None
  ]
  for side, words in ((1, 'gained over'), (-1, 'lost to')):
    mine = [row for row in shares if side * row['at_half'] > 0]
    mine.sort(key=lambda row: row['share'])
    if not mine:
      continue
    half = sum(row['at_half'] for row in mine)
    left = sum(row['tuned'] for row in mine) / half
    ends = [f'{x["entry"]} {100 * x["share"]:z.0f} %' for x in mine]
    spread = f' (from {ends[0]} to {ends[-1]})' if len(mine) > 1 else ''
    yield Said(
      True,
      f'Thresholds: of the F1 macro {words} plain training at .5 by '
      f'{_methods(len(mine))}, {100 * left:z.0f} % is left where both '
      f'have tuned thresholds{spread}'
      + ('.' if left >= 1 else '; the rest was a matter of thresholds.'),
    )


def _own(context) -> Iterator[Said]:
  """Says how each balanced entry stands to the others with equal rows."""
  own = {
    c['entry'] for c in context['cells'] if c['method'].startswith('aubal')
  }
  alike = {}
  for entry in context['entries']:
    stand = _stand(context, entry, own) if entry in own else None
    if stand:
      alike.setdefault(stand, []).append(entry)
  for stand, entries in alike.items():
    words = '. '.join(
      f'{verdicts.listed(phrases)}: '
      + '; '.join(
        f'{_SIDES[side]} {verdicts.listed(names)}' for side, names in sides
      )
      for sides, phrases in stand
    )
    yield Said(
      any(side != verdicts.NOT_TOLD for sides, _ in stand for side, _ in sides),
      f'{verdicts.listed(entries)}, beside methods with as many rows. {words}.',
    )


def _stand(context, entry, own) -> tuple:
  """Returns ((side, names), ...) of others, and the phrases of its scores."""
  alike = {}
  for score in verdicts.F1:
    sides = {side: [] for side in _SIDES}
    for pair in context['pairs']:
      ends = pair['entry'], pair['reference']
      if pair['score'] == score and entry in ends:
        other = ends[ends[0] == entry]
        whole = pair['num_data'] == len(context['data'])
        if whole and other not in own:
          sign = 1 if ends[0] == entry else -1
          sides[sign * verdicts.verdict(pair)].append(other)
    found = tuple((k, tuple(names)) for k, names in sides.items() if names)
    if found:
      alike.setdefault(found, []).append(verdicts.PHRASES[score])
  return tuple((sides, tuple(phrases)) for sides, phrases in alike.items())


def _ranks(context) -> Iterator[Said]:
  """Says what the ranks over data sets tell, and how little they can."""
  for row in context['ranks']:
    friedman = row['friedman']
    if row['score'] not in verdicts.F1 or friedman is None:
      continue
    k, difference = len(row['entries']), row['critical_difference']
    first, last = min(row['average']), max(row['average'])
    words = (
      f'Ranks of {k} methods on {len(context["data"])} data sets, '
      f'{verdicts.PHRASES[row["score"]]}: '
      f'{row["entries"][row["average"].index(first)]} first; Friedman '
      f'{verdicts.p_words(friedman["f_p"])}. Nemenyi tells apart what lies '
      f'{difference:.1f} ranks apart; {k - 1} are possible, '
      f'{last - first:.1f} seen'
    )
    told = last - first > difference and friedman['f_p'] < significance.ALPHA
    if not told:
      words += ': the first is not told from the last'
      if row['data_needed'] is not None:
        words += (
          f'. Ranks this far apart would take {row["data_needed"]} data sets'
        )
    yield Said(told, f'{words}.')


def _power(context) -> Iterator[Said]:
  """Says how small a difference to plain training is not seen."""
  score = 'f1_macro_tuned'
  tests = verdicts.tests_of(context, verdicts.whole(context), score, 'none')
  widths = [t['half_width'] for t in tests if t['half_width'] is not None]
  if widths:
    yield Said(
      False,
      f'{verdicts.PHRASES[score]}: the intervals of differences to plain '
      f'training are ±{statistics.median(widths):.3f} (median), and smaller '
      'ones are not seen.',
    )


def _factors(effects, model) -> Iterator[Said]:
  """Says what each factor of a crossed experiment gives, all else equal."""
  data = {row['data'] for row in effects}
  where = None if None in data else next(iter(data))
  mine = [r for r in effects if (r['model'], r['data']) == (model, where)]
  for factor, name in _FACTORS.items():
    for score in verdicts.F1:
      rows = [r for r in mine if (r['factor'], r['score']) == (factor, score)]
      if rows:
        steps = [
          f'{verdicts.level_name(row["level"])} {row["difference"]:+z.3f}'
          + ('' if row['half_width'] is None else f' ±{row["half_width"]:.3f}')
          for row in rows
        ]
        reference = verdicts.level_name(rows[0]['reference'])
        yield Said(
          any(map(verdicts.verdict, rows)),
          f'{name}, {verdicts.PHRASES[score]}, against {reference}: '
          f'{verdicts.listed(steps)}.',
        )
  for reference, name in verdicts.REFERENCES.items():
    for score in verdicts.F1:
      wanted = 'entry', score, reference
      keys = 'factor', 'score', 'reference'
      rows = [row for row in mine if tuple(row[k] for k in keys) == wanted]
      told = verdicts.told(rows)
      words = f'Plans against {name}, {verdicts.PHRASES[score]}: '
      if told:
        yield Said(True, f'{words}{verdicts.told_words(told, "level")}.')
      elif rows:
        yield Said(False, f'{words}none of {len(rows)} is told apart.')


def unequal(contexts) -> str:
  """Returns where methods differ in what is augmented; '' where none do."""
  if all(context['augment_rows'] != 'added' for context in contexts):
    return ''
  return (
    'Where augmented rows are those added, plain training and what adds no row '
    'have no augmented image: what is over them may be augmentation, not '
    'balance. Rows at random are augmented alike; compare.augment_rows=all '
    'augments the rows of every method.'
  )


def _limits(record) -> Iterator[str]:
  """Yields what holds of every comparison like this one."""
  contexts = record['statistics']['contexts']
  num_data = len({d for context in contexts for d in context['data']})
  cells = [cell for context in contexts for cell in context['cells']]
  failed = [row for row in record['rows'] if row['status']]
  left_out = {
    e for c in contexts for row in c['ranks'] for e in row['left_out']
  }
  if num_data == 1:
    yield 'One data set: nothing is said of others, and none rank.'
  if num_data > 1:
    yield (
      f'Tests over all average these {num_data} data sets, and say nothing of '
      f'others: to those even {num_data} wins out of {num_data} are a sign '
      f'test of {verdicts.p_words(2 ** (1 - num_data))}.'
    )
  if any(cell['num_splits'] == 1 for cell in cells):
    yield (
      'Where there is one split, intervals are of the seeds of training alone; '
      'other images would move the scores more.'
    )
  if any(cell['num_trials'] == 1 for cell in cells):
    yield 'A cell with one trial has no interval, and no test.'
  if words := unequal(contexts):
    yield words
  if failed:
    yield (
      f'{len(failed)} of {len(record["rows"])} cells failed; no mean has them.'
    )
  if left_out:
    names = verdicts.listed(sorted(left_out))
    yield f'Not on every data set, so in no ranks: {names}.'
  yield (
    'Settings of every method were fixed before the run, but for the learning '
    'rate, where validation chose one of several; others, or more steps, may '
    'change the order.'
  )
