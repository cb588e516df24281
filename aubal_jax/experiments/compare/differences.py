"""The tables of compare.html that hold tests: ranks, pairs, effects."""

from __future__ import annotations

from aubal_jax.experiments.compare import sections
from aubal_jax.experiments.compare import trials
from aubal_jax.experiments.compare import verdicts
from aubal_jax.report import html

_DEEP = 0.02  # A difference that has the full colour, if none is larger.


def ranks(context, names) -> str:
  """Returns what Friedman and Nemenyi say, and the average ranks."""
  found = {row['score']: row for row in context['ranks']}
  columns = ('', *(trials.SCORES[name] for name in names))
  tests = [
    [title, *(_friedman(found[n], key) for n in names)]
    for title, key in (
      ('Friedman &chi;&sup2;', 'chi_square'),
      ('its p', 'chi_square_p'),
      ('Iman-Davenport F', 'f'),
      ('its p', 'f_p'),
    )
  ]
  for title, key, digits in (
    ('critical difference', 'critical_difference', 2),
    ('data sets needed', 'data_needed', None),
  ):
    tests.append(
      [title, *(html.number(found[n].get(key), digits) for n in names)]
    )
  rows = [
    [html.text(e), *(html.number(_rank(found, n, e), 2) for n in names)]
    for e in context['entries']
    if any(_rank(found, n, e) for n in names)
  ]
  caption = (
    'Critical difference: Nemenyi, 5 %. Data sets needed: to tell the first '
    'from the last, were these ranks the truth.'
  )
  average = (
    f'Average ranks over {len(context["data"])} data sets, 1 the best, ties '
    'averaged.'
  )
  return '\n'.join(
    [html.table(caption, columns, tests), html.table(average, columns, rows)]
  )


def _rank(found, score, entry):
  row = found[score]
  if entry not in row['entries']:
    return None
  return row['average'][row['entries'].index(entry)]


def _friedman(row, key) -> str:
  if row['friedman'] is None:
    return html.NONE
  value = row['friedman'][key]
  if value is None:
    return '&infin;'
  if key.endswith('_p'):
    return html.text(
      verdicts.p_words(value).removeprefix('p = ').removeprefix('p ')
    )
  return html.number(value, 2)


def tests(context, score, reference, alpha) -> str:
  """Returns entries x data sets: what each has more than the reference."""
  where = [*context['data'], *([None] if len(context['data']) > 1 else [])]
  found = {
    (test['entry'], data): test
    for data in where
    for test in verdicts.tests_of(context, data, score, reference)
  }
  entries = [
    e for e in context['entries'] if any((e, d) in found for d in where)
  ]
  rows = [
    [html.text(e), *(_test(found.get((e, d)), alpha, reference) for d in where)]
    for e in entries
  ]
  caption = (
    f'<b>{trials.SCORES[score]}</b>, each method less '
    f'<code>{reference}</code>, ± half of the 95 % interval. Bold: told from 0 '
    'at 5 %, Holm over the methods.'
  )
  if reference == 'random':
    caption += ' &ne;: another number of rows, so not only the choice of rows.'
  columns = ('', *('over all' if d is None else d for d in where))
  return f'<div class="snug">{html.table(caption, columns, rows)}</div>'


def _test(test, alpha, reference) -> str:
  if test is None:
    return html.NONE
  cell = sections.plus_minus(test['difference'], test['half_width'], sign='+')
  if reference == 'random' and not test['equal_rows']:
    cell += ' &ne;'
  return f'<b>{cell}</b>' if verdicts.verdict(test, alpha) else cell


def shares(context) -> str:
  """Returns gains over `none` at .5, tuned, and what is left of them."""
  where = verdicts.whole(context)
  gains = {
    (name, test['entry']): test['difference']
    for name in ('auc_macro', 'map')
    for test in verdicts.tests_of(context, where, name, 'none')
  }
  rows = []
  for row in context['shares']:
    if (row['data'], row['score']) == (where, 'f1_macro'):
      share = row['share']
      rows.append(
        [
          html.text(row['entry']),
          *(f'{row[key]:+z.3f}' for key in ('at_half', 'tuned')),
          html.NONE if share is None else f'{100 * share:z.0f} %',
          *(
            _signed(gains.get((n, row['entry']))) for n in ('auc_macro', 'map')
          ),
        ]
      )
  caption = (
    'Gain in F1 macro over <code>none</code>, both at .5 and both with '
    'thresholds tuned on held-out training data, and the share of the first '
    'that is left in the second (a dash: the first is not told from 0). AUC '
    'and mAP know no thresholds.'
  )
  columns = ('', 'at .5', 'tuned', 'left', 'AUC macro', 'mAP')
  return f'<div class="snug">{html.table(caption, columns, rows)}</div>'


def _signed(value) -> str:
  return html.NONE if value is None else f'{value:+z.3f}'


def budgets(context, score, alpha) -> str:
  """Returns entries x entries: row less column, where rows are equal."""
  pairs = {}
  for pair in context['pairs']:
    if pair['score'] == score:
      ends = pair['entry'], pair['reference']
      pairs[ends] = pair
      pairs[ends[::-1]] = pair | {'difference': -pair['difference']}
  entries = [e for e in context['entries'] if any(e == a for a, _ in pairs)]
  largest = max(_DEEP, *(abs(p['difference']) for p in pairs.values()))
  rows = [
    [html.text(a), *(_pair(pairs.get((a, b)), alpha, largest) for b in entries)]
    for a in entries
  ]
  caption = (
    f'<b>{trials.SCORES[score]}</b>, row less column, over the data sets on '
    'which both have the same number of rows (within 1 %); in thousandths. '
    f'{html.key("after", "row is better")}{html.key("before", "worse")}. '
    'Bold: told apart at 5 %, Holm over all pairs.'
  )
  return (
    f'<div class="snug heat">{html.table(caption, ("", *entries), rows)}</div>'
  )


def _pair(pair, alpha, largest) -> str:
  if pair is None:
    return ''
  value = 1000 * pair['difference']
  words = f'{value:+z.0f}'
  if verdicts.verdict(pair, alpha):
    words = f'<b>{words}</b>'
  color = 'after' if value > 0 else 'before'
  opacity = 0.6 * abs(pair['difference']) / largest
  return (
    f'{words}<i style="background:var(--{color});opacity:{opacity:.2f}"></i>'
  )


def effects(found, model, factor, reference, alpha) -> str:
  """Returns what each level of a factor gives, the rest held equal.

  Args:
    found: `effects` of the statistics.
    model: name.
    factor: name, as there.
    reference: level that the others are compared with.
    alpha: of the tests.
  """
  where = (
    None if any(row['data'] is None for row in found) else found[0]['data']
  )
  cells = {
    (row['level'], row['score']): row
    for row in found
    if (row['model'], row['factor'], row['reference'], row['data'])
    == (model, factor, reference, where)
  }
  names = [n for n in verdicts.PHRASES if any(n == s for _, s in cells)]
  rows = []
  for level in dict.fromkeys(level for level, _ in cells):
    one = [cells.get((level, name)) for name in names]
    held = max(row['num_held'] for row in one if row)
    tested = [_test(row, alpha, 'none') for row in one]
    rows.append(
      [html.text(verdicts.level_name(level)), *tested, html.number(held)]
    )
  caption = (
    f'<b>{html.text(_FACTORS[factor])}</b>, each less '
    f'<code>{html.text(verdicts.level_name(reference))}</code>: the mean '
    'over all else that both have, so many pairs of cells on a data set; ± '
    'half of the 95 % interval. Bold: told from 0 at 5 %, Holm over the rows.'
  )
  columns = ('', *(trials.SCORES[name] for name in names), 'pairs')
  return f'<div class="snug">{html.table(caption, columns, rows)}</div>'


_FACTORS = {
  'augment_rows': 'Rows that are augmented',
  'entry': 'Plan',
  'fraction': 'Fraction',
  'upper': 'Growth of a labelset, at most',
  'diversity': 'Bounds by diversity',
}
