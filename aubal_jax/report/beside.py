"""The answer: the run beside the same training on other plans."""

from __future__ import annotations

from collections.abc import Iterator

from aubal_jax.report import html
from aubal_jax.report import plots
from aubal_jax.runs import extras

_TITLES = {
  'f1_macro': 'F1 at 0.5',
  'f1_macro_shrunk': 'F1 with shrunk thresholds',
  'f1_macro_tuned': 'F1 with tuned thresholds',
  'map': 'mAP',
}
_NAMES = {
  'none': 'every image once',
  'random': 'as many random rows',
  'aubal': 'balanced by aubal',
}


def describe(record) -> str:
  """Returns which differences are more than chance over subjects, HTML.

  Args:
    record: content of controls.json.
  """
  found = record['differences']
  beyond = [d for d in found if d['beyond_chance']]
  over = _units(record)
  others = ' and '.join(_code(n) for n in [*record['networks']][:-1])
  opening = (
    f'The same network was trained for {html.number(record["num_steps"])} '
    f'steps on each of {len(record["networks"])} plans.'
  )
  ending = (
    ' One seed of each: what another seed would give, this does not say.'
    f'{_short(record)}'
  )
  if all(d['interval'] is None for d in found):
    return (
      f'{opening} With {over} alone, no difference can be told from chance.'
      f'{ending}'
    )
  if not beyond:
    return (
      f'{opening} <b>No difference between {_code(record["method"])} and '
      f'{others} is more than chance over {over}</b>, in F1 at any of these '
      f'thresholds or in mAP.{ending}'
    )
  told = '; '.join(
    _tell(record['method'], name, [d for d in beyond if d['less'] == name])
    for name in dict.fromkeys(d['less'] for d in beyond)
  )
  rest = len(found) - len(beyond)
  kept = (
    f' The other {html.count(rest, "difference")} '
    f'{"is" if rest == 1 else "are"} not.'
    if rest
    else ''
  )
  return f'{opening} More than chance over {over}: {told}.{kept}{ending}'


def _short(record) -> str:
  """Returns which trainings look short of their rate, and what that means."""
  short = [name for name, x in record['networks'].items() if x['short']]
  if not short:
    return ''
  why = record['networks'][short[0]]['short']
  return (
    f' The training of {", ".join(map(_code, short))} looks short '
    f'({html.text(why)}). In a short training balance gains what more steps or '
    'a larger learning rate would give as well.'
  )


def _tell(method, other, found) -> str:
  """Returns by how much, and in what, a network is above or below another."""
  words = [
    f'{abs(d["difference"]):.3f} {"above" if d["difference"] > 0 else "below"} '
    f'in {_TITLES[d["score"]]}'
    for d in found
  ]
  return f'<b>{_code(method)} beside {_code(other)}</b> is {", ".join(words)}'


def _code(name) -> str:
  return f'<code>{html.text(name)}</code>'


def _units(record) -> str:
  """Returns what is resampled: '20 test subjects'."""
  report = record['networks'][record['method']]['report']
  boot, split = report['bootstrap'], html.text(report['split'])
  if boot['unit'] == 'group':
    return html.count(boot['num_units'], f'{split} subject')
  return html.count(boot['num_units'], f'{split} image')


def side_by_side(record) -> str:
  """The networks, the floors, and what lies between the networks."""
  networks = record['networks']
  report = networks[record['method']]['report']
  floor = report['floors']['all_positive']['f1_macro']
  kinds = [*_kinds(record)]
  rows = [
    _network(name, entry, floor, kinds) for name, entry in networks.items()
  ]
  rows += [
    [
      html.soft_text(f'floor: {words} to every image'),
      *(html.NONE for _ in range(3)),
      html.number(report['floors'][key]['f1_macro'], 3),
      *(html.NONE, html.bar(('floor', floor, None)), html.NONE),
      *(html.NONE for _ in kinds),
    ]
    for words, key in (('yes', 'all_positive'), ('no', 'all_negative'))
  ]
  level = f'{100 * report["bootstrap"]["confidence"]:.0f} %'
  columns = ('trained on', 'rows', 'added', 'MeanIR', 'F1 macro')
  columns += (f'{level} interval', '0 to 1', *(f'F1 {k}' for k in kinds))
  columns += ('mAP',)
  caption = (
    f'{report["split"].capitalize()} split, '
    f'{html.count(report["num_images"], "image")}; F1 at threshold 0.5, and '
    f'with {" and ".join(kinds)} ones. Intervals are over {_units(record)}. '
    f'Bar: F1, its interval as a line; {html.key("before", "the floor")}.'
  )
  return '\n'.join(
    [html.table(caption, columns, rows), _differences(record, level)]
  )


def _kinds(record) -> Iterator[str]:
  """Yields the kinds of thresholds; older records lack shrunk."""
  for kind in ('shrunk', 'tuned'):
    if all(kind in entry['report'] for entry in record['networks'].values()):
      yield kind


def _network(name, entry, floor, kinds) -> list[str]:
  """Returns the row of a network."""
  report = entry['report']
  interval = report.get('f1_macro_interval')
  line = [('range', interval[0], interval[1] - interval[0])] if interval else []
  words = _NAMES.get(name)
  return [
    _code(name) + (f' {html.soft_text(words)}' if words else ''),
    html.number(entry['rows']),
    html.number(entry['added']),
    html.number(entry['mean_ir'], 2),
    f'<b>{report["f1_macro"]:.3f}</b>',
    f'{interval[0]:.3f} to {interval[1]:.3f}' if interval else html.NONE,
    html.bar(('', 0, report['f1_macro']), *line, ('floor', floor, None)),
    *(html.number(report[kind]['f1_macro'], 3) for kind in kinds),
    html.number(entry['map'], 3),
  ]


def _differences(record, level) -> str:
  """Returns the table of differences, each with its interval."""
  by_other = {}
  for found in record['differences']:
    by_other.setdefault(found['less'], []).append(found)
  rows = [
    [
      f'{_code(record["method"])} less {_code(name)}',
      *map(_difference, found),
    ]
    for name, found in by_other.items()
  ]
  caption = (
    f'Differences with {level} intervals, over the same resamples of '
    f'{_units(record)} for both. Bold: zero is outside, more than chance over '
    'them; each interval stands by itself, and nothing is said of seeds.'
  )
  scores = dict.fromkeys(found['score'] for found in record['differences'])
  return html.table(caption, ('', *(_TITLES[s] for s in scores)), rows)


def _difference(found) -> str:
  if found['interval'] is None:
    return f'{found["difference"]:+.3f}'
  low, high = found['interval']
  words = f'{found["difference"]:+.3f} ({low:+.3f} to {high:+.3f})'
  return f'<b>{words}</b>' if found['beyond_chance'] else words


def of_each_label(record) -> str:
  """Rows, F1 and AP of each label under each plan, and F1 as a picture."""
  networks = record['networks']
  names = networks[record['method']]['report']['label_names']
  rows = [_label_row(networks, i, name) for i, name in enumerate(names)]
  columns = ('label', *networks, 'positives', 'floor')
  columns += ('F1 .5', 'tuned', 'AP') * len(networks)
  split = networks[record['method']]['report']['split']
  over = [('', 1), ('rows that show it', len(networks)), (split, 2)]
  over += [(name, 3) for name in networks]
  caption = (
    'What each network was trained on, and what it scores. Floor: F1 of saying '
    'yes to every image.'
  )
  table = html.table(caption, columns, rows, over=over)
  if not extras.is_there('matplotlib'):
    return table
  picture = html.plot(
    plots.beside(names, networks),
    alt=f'F1 of {html.count(len(names), "label")} at threshold 0.5 under each '
    'plan, with intervals; the numbers are in the table.',
    caption='F1 at threshold 0.5 with its interval; the bar across is the '
    'floor, saying yes to every image.',
  )
  return f'{picture}\n{table}'


def _label_row(networks, i, name) -> list[str]:
  entries = [x['report']['per_label'][name] for x in networks.values()]
  row = [html.text(name)]
  row += [html.number(x['class_counts'][i]) for x in networks.values()]
  row += [
    html.number(entries[0]['positives']),
    html.number(entries[0]['f1_all_positive'], 3),
  ]
  for entry in entries:
    scores = entry['f1'], entry['tuned']['f1'], entry['ap']
    row += [html.number(score, 3) for score in scores]
  return row
