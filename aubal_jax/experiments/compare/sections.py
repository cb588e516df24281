"""The tables of compare.html."""

from __future__ import annotations

from aubal_jax.experiments.compare import trials
from aubal_jax.experiments.compare import verdicts
from aubal_jax.report import html

_DEEP = 0.02  # A difference that has the full colour, if none is larger.
_FACTORS = {
  'augment_rows': 'Rows that are augmented',
  'entry': 'Plan',
  'fraction': 'Fraction',
  'share': 'Share of rows kept',
  'upper': 'Growth of a labelset, at most',
  'diversity': 'Bounds by diversity',
}


def scores(context, names) -> str:
  """Returns a table over all data sets, and one of each, folded."""
  data = context['data']
  if len(data) == 1:
    return _scores(context, data[0], names, data[0])
  title = f'Mean over {verdicts.listed(data)}'
  return '\n'.join(
    [
      _scores(context, None, names, title),
      *(html.fold(d, _scores(context, d, names, d)) for d in data),
    ]
  )


def means(context, data) -> list[dict]:
  """Returns the entries' means on a data set; None: over all of them."""
  if data is None:
    return context['overall']
  return [cell for cell in context['cells'] if cell['data'] == data]


def _scores(context, data, names, title) -> str:
  """Returns methods x scores; `data` is None for the mean over all."""
  entries = means(context, data)
  best, above = {}, {}
  for name in names:
    found = [e['scores'][name]['mean'] for e in entries]
    best[name] = max((m for m in found if m is not None), default=None)
    tests = verdicts.tests_of(context, data, name, 'none')
    above |= {(t['entry'], name): verdicts.verdict(t) for t in tests}
  rows = []
  for entry in entries:
    row = [html.text(entry['entry'])]
    for name in names:
      one, side = entry['scores'][name], above.get((entry['entry'], name))
      cell = _plus_minus(one['mean'], one['half_width'])
      if one['mean'] is not None and one['mean'] == best[name]:
        cell = f'<u>{cell}</u>'
      if side == verdicts.ABOVE:
        cell = f'<b>{cell}</b>'
      row.append(('soft', cell) if side == verdicts.BELOW else cell)
    rows.append(row)
  caption = (
    f'{html.text(title)}: scores ± half of the 95 % interval. '
    '<u>Underlined</u>: the best of the column. <b>Bold</b>: above '
    '<code>none</code> by the paired test, Holm over the methods; pale: below '
    'it.'
  )
  return html.table(caption, heads(names), rows)


def heads(names, *after):
  """Returns the headings of columns of scores, and of others after them."""
  return ('', *(trials.TITLES[name] for name in names), *after)


def _plus_minus(mean, half_width, sign='') -> str:
  """Returns '0.654 ± .032' as HTML; a dash where there is no mean."""
  if mean is None:
    return html.NONE
  words = f'{mean:{sign}z.3f}'
  if half_width is not None:
    words += f' <small>±{half_width:.3f}</small>'.replace('±0.', '±.')
  return words


def imbalance(context) -> str:
  """Returns what each plan is like and takes, a table for each data set."""
  columns = ('', 'rows', 'MeanIR', 'CVIR', 'SCUMBLE')
  columns += ('resampling, s', 'training, s', 'trials at rate')
  parts = []
  for data in context['data']:
    rows = [
      [
        html.text(cell['entry']),
        html.number(cell['plan']['rows']),
        *(html.number(cell['plan'][k], 3) for k in trials.UNEVEN),
        html.number(cell['seconds']['resample'], 3),
        html.number(cell['seconds']['train'], 2),
        _rates(cell),
      ]
      for cell in means(context, data)
    ]
    caption = f'{html.text(data)}: means over the trials.'
    parts.append(html.table(caption, columns, rows))
  first, *others = parts
  return '\n'.join([first, *map(html.fold, context['data'][1:], others)])


def _rates(cell) -> str:
  """Returns how many trials chose which learning rate; HTML."""
  told = [
    f'{num} <small>&times;{rate:g}</small>'
    for rate, num in cell['rates']
    if num
  ]
  return ', '.join(told) or html.NONE


def failed(rows) -> str:
  """Returns the cells that failed, and why."""
  keys = (
    *('data', 'model', 'method', 'fraction', 'share', 'augment_rows', 'upper'),
    'rate',
  )
  cells = []
  for row in rows:
    parts = [str(row[k]) for k in keys if row.get(k) is not None]
    name, why = html.text(', '.join(parts)), html.text(row['status'])
    cells.append([name, ('left', why)])
  caption = 'No mean and no test has these.'
  return html.table(caption, ('cell', 'why'), cells)


def ranks(context, names) -> str:
  """Returns what Friedman and Nemenyi say, and the average ranks."""
  found = {row['score']: row for row in context['ranks']}
  tests = [
    [title, *(_friedman(found[n]['friedman'], key) for n in names)]
    for title, key in (
      ('Friedman &chi;&sup2;', 'chi_square'),
      ('its p', 'chi_square_p'),
      ('Iman-Davenport F', 'f'),
      ('its p', 'f_p'),
    )
  ]
  tests += [
    [title, *(html.number(found[n].get(key), digits) for n in names)]
    for title, key, digits in (
      ('critical difference', 'critical_difference', 2),
      ('data sets needed', 'data_needed', None),
    )
  ]
  average = {
    n: dict(zip(found[n]['entries'], found[n]['average'], strict=True))
    for n in names
  }
  rows = [
    [html.text(e), *(html.number(average[n].get(e), 2) for n in names)]
    for e in context['entries']
    if any(e in average[n] for n in names)
  ]
  tested = html.table(
    'Critical difference: Nemenyi, 5 %. Data sets needed: to tell the first '
    'from the last, were these ranks the truth.',
    heads(names),
    tests,
  )
  ranked = html.table(
    f'Average ranks over {len(context["data"])} data sets, 1 the best, ties '
    'averaged.',
    heads(names),
    rows,
  )
  return f'{tested}\n{ranked}'


def _friedman(found, key) -> str:
  if found is None:
    return html.NONE
  if found[key] is None:
    return '&infin;'
  if key.endswith('_p'):
    return html.text(verdicts.p_text(found[key]))
  return html.number(found[key], 2)


def tests(context, score, reference) -> str:
  """Returns entries x data sets: what each has more than the reference."""
  where = [*context['data'], *([None] if len(context['data']) > 1 else [])]
  found = {
    (test['entry'], data): test
    for data in where
    for test in verdicts.tests_of(context, data, score, reference)
  }
  rows = [
    [html.text(e), *(difference(found.get((e, d))) for d in where)]
    for e in context['entries']
    if any((e, d) in found for d in where)
  ]
  caption = (
    f'<b>{trials.TITLES[score]}</b>, each method less '
    f'<code>{reference}</code>, ± half of the 95 % interval. Bold: told from 0 '
    'at 5 %, Holm over the methods.'
  )
  if reference != 'none':
    caption += ' &ne;: another number of rows, so not only the choice of rows.'
  columns = ('', *('over all' if d is None else d for d in where))
  return html.table(caption, columns, rows)


def difference(test) -> str:
  """Returns the difference that a test is of, with its interval; HTML."""
  if test is None:
    return html.NONE
  cell = _plus_minus(test['difference'], test['half_width'], '+')
  # Of effects and against `none` rows are not asked for.
  if test['reference'] != 'none' and not test.get('equal_rows', True):
    cell += ' &ne;'
  return f'<b>{cell}</b>' if verdicts.verdict(test) else cell


def shares(context) -> str:
  """Returns gains over `none` at .5, tuned, and what is left of them."""
  where = verdicts.whole(context)
  unthresholded = ('auc_macro', 'map')
  gains = {
    (name, test['entry']): f'{test["difference"]:+z.3f}'
    for name in unthresholded
    for test in verdicts.tests_of(context, where, name, 'none')
  }
  rows = []
  for row in context['shares']:
    if (row['data'], row['score']) == (where, 'f1_macro'):
      entry, share = row['entry'], row['share']
      rows.append(
        [
          html.text(entry),
          *(f'{row[key]:+z.3f}' for key in ('at_half', 'tuned')),
          html.NONE if share is None else f'{100 * share:z.0f} %',
          *(gains.get((name, entry), html.NONE) for name in unthresholded),
        ]
      )
  caption = (
    'Gain in F1 macro over <code>none</code>, both at .5 and both with '
    'thresholds tuned on held-out training data, and the share of the first '
    'that is left in the second (a dash: the first is not told from 0). AUC '
    'and mAP know no thresholds.'
  )
  columns = ('', 'at .5', 'tuned', 'left', 'AUC macro', 'mAP')
  return html.table(caption, columns, rows)


def budgets(context, score) -> str:
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
    [html.text(a), *(_pair(pairs.get((a, b)), largest) for b in entries)]
    for a in entries
  ]
  caption = (
    f'<b>{trials.TITLES[score]}</b>, row less column, over the data sets on '
    'which both have the same number of rows (within 1 %); in thousandths. '
    f'{html.key("after", "row is better")}{html.key("before", "worse")}. '
    'Bold: told apart at 5 %, Holm over all pairs.'
  )
  return html.table(caption, ('', *entries), rows, kind='heat')


def _pair(pair, largest) -> str:
  if pair is None:
    return ''
  value = 1000 * pair['difference']
  words = f'{value:+z.0f}'
  if verdicts.verdict(pair):
    words = f'<b>{words}</b>'
  color = 'after' if value > 0 else 'before'
  opacity = 0.6 * abs(pair['difference']) / largest
  return (
    f'{words}<i style="background:var(--{color});opacity:{opacity:.2f}"></i>'
  )


def effects(found, model, factor, reference) -> str:
  """Returns what each level of a factor gives, the rest held equal.

  Args:
    found: `effects` of the statistics.
    model: name.
    factor: name, as there.
    reference: level that the others are compared with.
  """
  over_all = any(row['data'] is None for row in found)
  where = model, factor, reference, None if over_all else found[0]['data']
  keys = ('model', 'factor', 'reference', 'data')
  cells = {
    (row['level'], row['score']): row
    for row in found
    if tuple(row[key] for key in keys) == where
  }
  names = [n for n in verdicts.PHRASES if any(n == s for _, s in cells)]
  rows = []
  for level in dict.fromkeys(level for level, _ in cells):
    one = [cells.get((level, name)) for name in names]
    held = max(row['num_held'] for row in one if row)
    name = html.text(verdicts.level_name(level))
    rows.append([name, *map(difference, one), html.number(held)])
  caption = (
    f'<b>{html.text(_FACTORS[factor])}</b>, each less '
    f'<code>{html.text(verdicts.level_name(reference))}</code>: the mean '
    'over all else that both have, so many pairs of cells on a data set; ± '
    'half of the 95 % interval. Bold: told from 0 at 5 %, Holm over the rows.'
  )
  return html.table(caption, heads(names, 'pairs'), rows)
