"""The tables of compare.html."""

from __future__ import annotations

from aubal_jax.report import conclusions
from aubal_jax.report import page

TITLES = {
  'f1_macro': 'F1 macro',
  'f1_macro_tuned': 'F1 macro, tuned',
  'f1_micro': 'F1 micro',
  'f1_micro_tuned': 'F1 micro, tuned',
  'auc_macro': 'AUC macro',
  'map': 'mAP',
  'awc': 'AWC',
  'awc_tuned': 'AWC, tuned',
}


def scores(context, names, alpha) -> str:
  """Returns a table over all data sets, and one of each, folded."""
  where = conclusions.whole(context)
  entries = context['overall'] if where is None else _cells(context, where)
  title = 'the mean over ' + conclusions.listed(context['data'])
  if where is not None:
    title = where
  parts = [_scores(context, where, entries, names, alpha, title)]
  if where is None:
    parts += [
      page.fold(
        data,
        _scores(context, data, _cells(context, data), names, alpha, data),
      )
      for data in context['data']
    ]
  return '\n'.join(parts)


def _cells(context, data) -> list[dict]:
  return [cell for cell in context['cells'] if cell['data'] == data]


def _scores(context, data, entries, names, alpha, title) -> str:
  """Returns methods x scores; `data` is None for the mean over all."""
  best, above = {}, {}
  for name in names:
    means = [e['scores'][name]['mean'] for e in entries]
    best[name] = max((m for m in means if m is not None), default=None)
    tests = conclusions.tests_of(context, data, name, 'none')
    above |= {(t['entry'], name): conclusions.verdict(t, alpha) for t in tests}
  rows = []
  for entry in entries:
    row = [page.text(entry['entry'])]
    for name in names:
      one, side = entry['scores'][name], above.get((entry['entry'], name), 0)
      cell = _plus_minus(one['mean'], one['half_width'])
      if one['mean'] is not None and one['mean'] == best[name]:
        cell = f'<u>{cell}</u>'
      row.append(('', f'<b>{cell}</b>') if side > 0 else (_low(side), cell))
    rows.append(row)
  caption = (
    f'{page.text(title)}: mean ± half of the 95 % interval. <u>Underlined</u>: '
    'the best of the column. <b>Bold</b>: above <code>none</code> by the '
    'paired test, Holm over the methods; pale: below it.'
  )
  columns = ('', *(TITLES[name] for name in names))
  return page.table(caption, columns, rows)


def _low(side) -> str:
  return 'soft' if side < 0 else ''


def _plus_minus(mean, half_width, *, sign='', digits=3) -> str:
  """Returns '0.654 ± .032' as HTML; a dash where there is no mean."""
  if mean is None:
    return page.NONE
  text = f'{mean:{sign}z.{digits}f}'
  if half_width is not None:
    text += f' <small>±{half_width:.{digits}f}</small>'.replace('±0.', '±.')
  return text


def ranks(context, names) -> str:
  """Returns average ranks of every score, with Friedman and Nemenyi."""
  found = {row['score']: row for row in context['ranks']}
  entries = [
    e for e in context['entries'] if any(_rank(found, n, e) for n in names)
  ]
  rows = [
    [page.text(e), *(page.number(_rank(found, n, e), 2) for n in names)]
    for e in entries
  ]
  foot = [
    [
      'Friedman &chi;&sup2;',
      *(_friedman(found[n], 'chi_square') for n in names),
    ],
    ['its p', *(_friedman(found[n], 'chi_square_p') for n in names)],
    ['Iman-Davenport F', *(_friedman(found[n], 'f') for n in names)],
    ['its p', *(_friedman(found[n], 'f_p') for n in names)],
    [
      'critical difference',
      *(page.number(found[n].get('critical_difference'), 2) for n in names),
    ],
    [
      'data sets to tell the first from the last',
      *(page.number(found[n].get('data_needed')) for n in names),
    ],
  ]
  caption = (
    f'Average ranks over {len(context["data"])} data sets, 1 the best, ties '
    'averaged. Critical difference: Nemenyi, 5 %.'
  )
  columns = ('', *(TITLES[name] for name in names))
  return page.table(caption, columns, rows, foot=foot)


def _rank(found, score, entry):
  row = found[score]
  if entry not in row['entries']:
    return None
  return row['average'][row['entries'].index(entry)]


def _friedman(row, key) -> str:
  if row['friedman'] is None:
    return page.NONE
  value = row['friedman'][key]
  if value is None:
    return '&infin;'
  if key.endswith('_p'):
    return page.text(
      conclusions.p_words(value).removeprefix('p = ').removeprefix('p ')
    )
  return page.number(value, 2)


def tests(context, score, reference, alpha) -> str:
  """Returns entries x data sets: what each has more than the reference."""
  where = [*context['data'], *([None] if len(context['data']) > 1 else [])]
  found = {
    (test['entry'], data): test
    for data in where
    for test in conclusions.tests_of(context, data, score, reference)
  }
  entries = [
    e for e in context['entries'] if any((e, d) in found for d in where)
  ]
  rows = [
    [page.text(e), *(_test(found.get((e, d)), alpha, reference) for d in where)]
    for e in entries
  ]
  caption = (
    f'{TITLES[score]} less that of <code>{reference}</code>, ± half of the '
    '95 % interval. Bold: told from 0 at 5 %, Holm over the methods.'
  )
  if reference == 'random':
    caption += ' &ne;: another number of rows, so not only the choice of rows.'
  columns = ('', *('over all' if d is None else d for d in where))
  return page.table(caption, columns, rows)


def _test(test, alpha, reference) -> str:
  if test is None:
    return page.NONE
  cell = _plus_minus(test['difference'], test['half_width'], sign='+')
  if reference == 'random' and not test['equal_rows']:
    cell += ' &ne;'
  return f'<b>{cell}</b>' if conclusions.verdict(test, alpha) else cell


def shares(context) -> str:
  """Returns gains over `none` at .5, tuned, and what is left of them."""
  where = conclusions.whole(context)
  gains = {
    (name, test['entry']): test['difference']
    for name in ('auc_macro', 'map')
    for test in conclusions.tests_of(context, where, name, 'none')
  }
  rows = []
  for row in context['shares']:
    if (row['data'], row['score']) == (where, 'f1_macro'):
      share = row['share']
      rows.append(
        [
          page.text(row['entry']),
          *(f'{row[key]:+z.3f}' for key in ('at_half', 'tuned')),
          page.NONE if share is None else f'{100 * share:z.0f} %',
          *(
            _signed(gains.get((n, row['entry']))) for n in ('auc_macro', 'map')
          ),
        ]
      )
  caption = (
    'Gain in F1 macro over <code>none</code>, both at .5 and both with '
    'thresholds tuned on held-out training data, and the share of the first '
    'that is left in the second (a dash: the first is not above 0). AUC and mAP '
    'know no thresholds.'
  )
  columns = ('', 'at .5', 'tuned', 'left', 'AUC macro', 'mAP')
  return f'<div class="snug">{page.table(caption, columns, rows)}</div>'


def _signed(value) -> str:
  return page.NONE if value is None else f'{value:+z.3f}'


def budgets(context, score, alpha) -> str:
  """Returns entries x entries: row less column, where rows are equal."""
  pairs = {}
  for pair in context['pairs']:
    if pair['score'] == score:
      ends = pair['entry'], pair['reference']
      pairs[ends] = pair
      pairs[ends[::-1]] = pair | {'difference': -pair['difference']}
  entries = [e for e in context['entries'] if any(e == a for a, _ in pairs)]
  largest = max([abs(p['difference']) for p in pairs.values()], default=0) or 1
  rows = [
    [page.text(a), *(_pair(pairs.get((a, b)), alpha, largest) for b in entries)]
    for a in entries
  ]
  caption = (
    f'{TITLES[score]}, row less column, over the data sets on which both have '
    'the same number of rows (within 1 %); in thousandths. '
    f'{page.key("after", "row is better")}{page.key("before", "worse")}. '
    'Bold: told apart at 5 %, Holm over all pairs.'
  )
  return (
    f'<div class="snug heat">{page.table(caption, ("", *entries), rows)}</div>'
  )


def _pair(pair, alpha, largest) -> str:
  if pair is None:
    return ''
  value = 1000 * pair['difference']
  words = f'{value:+z.0f}'
  if conclusions.verdict(pair, alpha):
    words = f'<b>{words}</b>'
  color = 'after' if value > 0 else 'before'
  opacity = 0.6 * abs(pair['difference']) / largest
  return (
    f'{words}<i style="background:var(--{color});opacity:{opacity:.2f}"></i>'
  )


def imbalance(context) -> str:
  """Returns what each plan is like and takes, a table for each data set."""
  columns = (
    '',
    'rows',
    'MeanIR',
    'CVIR',
    'SCUMBLE',
    'resampling, s',
    'training, s',
  )
  parts = []
  for data in context['data']:
    rows = [
      [
        page.text(cell['entry']),
        page.number(cell['plan']['rows']),
        *(
          page.number(cell['plan'][k], 3)
          for k in ('mean_ir', 'cvir', 'scumble')
        ),
        page.number(cell['seconds']['resample'], 3),
        page.number(cell['seconds']['train'], 2),
      ]
      for cell in _cells(context, data)
    ]
    parts.append(
      page.table(f'{page.text(data)}: means over the trials.', columns, rows)
    )
  first, *others = parts
  return '\n'.join([first, *map(page.fold, context['data'][1:], others)])


def effects(found, model, names, alpha) -> str:
  """Returns what each level gives over its reference, the rest held equal."""
  data = {row['data'] for row in found}
  where = None if None in data else next(iter(data))
  cells = {
    (row['factor'], row['reference'], row['level'], row['score']): row
    for row in found
    if (row['model'], row['data']) == (model, where)
  }
  rows = []
  for factor, reference, level in dict.fromkeys(key[:3] for key in cells):
    one = {n: cells.get((factor, reference, level, n)) for n in names}
    held = next(row['num_held'] for row in one.values() if row)
    rows.append(
      [
        f'{_FACTORS[factor]}: {_level(level)} less {_level(reference)}',
        *(_test(row, alpha, 'none') for row in one.values()),
        page.number(held),
      ]
    )
  caption = (
    'Differences between two levels, the mean over everything else that both '
    'have, ± half of the 95 % interval. Bold: told from 0 at 5 %, Holm over '
    'the levels.'
  )
  columns = ('', *(TITLES[name] for name in names), 'pairs')
  return page.table(caption, columns, rows)


_FACTORS = {
  'entry': 'plan',
  'augment_rows': 'augmented rows',
  'fraction': 'fraction',
  'upper': 'upper',
  'diversity': 'diversity',
}


def _level(level) -> str:
  return page.text(f'{level:g}' if isinstance(level, float) else level)


def failed(rows) -> str:
  """Returns the cells that failed, and why."""
  columns = ('cell', 'why')
  keys = ('data', 'model', 'method', 'fraction', 'augment_rows', 'upper')
  cells = [
    [
      page.text(', '.join(str(row[k]) for k in keys if row.get(k) is not None)),
      ('left', page.text(row['status'])),
    ]
    for row in rows
  ]
  return page.table('No mean and no test has these.', columns, cells)
