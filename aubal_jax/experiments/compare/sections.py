"""The tables of compare.html."""

from __future__ import annotations

from aubal_jax.experiments.compare import trials
from aubal_jax.experiments.compare import verdicts
from aubal_jax.report import html


def scores(context, names, alpha) -> str:
  """Returns a table over all data sets, and one of each, folded."""
  where = verdicts.whole(context)
  entries = context['overall'] if where is None else _cells(context, where)
  title = 'Mean over ' + verdicts.listed(context['data'])
  if where is not None:
    title = where
  parts = [_scores(context, where, entries, names, alpha, title)]
  if where is None:
    parts += [
      html.fold(
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
    tests = verdicts.tests_of(context, data, name, 'none')
    above |= {(t['entry'], name): verdicts.verdict(t, alpha) for t in tests}
  rows = []
  for entry in entries:
    row = [html.text(entry['entry'])]
    for name in names:
      one, side = entry['scores'][name], above.get((entry['entry'], name), 0)
      cell = plus_minus(one['mean'], one['half_width'])
      if one['mean'] is not None and one['mean'] == best[name]:
        cell = f'<u>{cell}</u>'
      row.append(('', f'<b>{cell}</b>') if side > 0 else (_low(side), cell))
    rows.append(row)
  caption = (
    f'{html.text(title)}: scores ± half of the 95 % interval. '
    '<u>Underlined</u>: the best of the column. <b>Bold</b>: above '
    '<code>none</code> by the paired test, Holm over the methods; pale: below '
    'it.'
  )
  columns = ('', *(trials.SCORES[name] for name in names))
  return html.table(caption, columns, rows)


def _low(side) -> str:
  return 'soft' if side < 0 else ''


def plus_minus(mean, half_width, *, sign='', digits=3) -> str:
  """Returns '0.654 ± .032' as HTML; a dash where there is no mean."""
  if mean is None:
    return html.NONE
  text = f'{mean:{sign}z.{digits}f}'
  if half_width is not None:
    text += f' <small>±{half_width:.{digits}f}</small>'.replace('±0.', '±.')
  return text


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
        html.text(cell['entry']),
        html.number(cell['plan']['rows']),
        *(
          html.number(cell['plan'][k], 3)
          for k in ('mean_ir', 'cvir', 'scumble')
        ),
        html.number(cell['seconds']['resample'], 3),
        html.number(cell['seconds']['train'], 2),
      ]
      for cell in _cells(context, data)
    ]
    parts.append(
      html.table(f'{html.text(data)}: means over the trials.', columns, rows)
    )
  first, *others = parts
  return '\n'.join([first, *map(html.fold, context['data'][1:], others)])


def failed(rows) -> str:
  """Returns the cells that failed, and why."""
  columns = ('cell', 'why')
  keys = ('data', 'model', 'method', 'fraction', 'augment_rows', 'upper')
  cells = [
    [
      html.text(', '.join(str(row[k]) for k in keys if row.get(k) is not None)),
      ('left', html.text(row['status'])),
    ]
    for row in rows
  ]
  return html.table('No mean and no test has these.', columns, cells)
