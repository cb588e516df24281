"""The answer of a comparison: a table of it, and three sentences at most."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from aubal_jax.experiments.compare import sections
from aubal_jax.experiments.compare import trials
from aubal_jax.experiments.compare import verdicts
from aubal_jax.report import html

# Beside the decisive score. F1 at .5 is below: it tells of thresholds.
_SHOWN = ('f1_macro_shrunk', 'map', 'ap_rare')
_NAMED = 5  # Methods that a sentence names.
_SIGNS = {
  verdicts.ABOVE: ('better', '▲', 'better'),
  verdicts.BELOW: ('worse', '▼', 'worse'),
  verdicts.NOT_TOLD: ('same', '≈', 'no more than chance'),
}


def order(contexts) -> list[tuple]:
  """Returns (context, entry's means over the data sets), the best first.

  Args:
    contexts: that differ in the share kept alone; what keeps none is of the
      first.
  """
  score = verdicts.decisive(contexts[0])

  def place(found):
    mean = found[1]['scores'].get(score, {}).get('mean')
    return (mean is None, -(mean or 0.0))

  found = [
    (context, entry)
    for context in contexts
    for entry in sections.means(context, verdicts.whole(context))
    if context is contexts[0] or _share(context, entry['entry']) is not None
  ]
  return sorted(found, key=place)


def _share(context, name) -> float | None:
  """Returns which share of the rows an entry keeps; None: none is asked of."""
  return next(c['share'] for c in context['cells'] if c['entry'] == name)


def table(context) -> str:
  """Returns a row for each method, the best first: scores, and what they say.

  Args:
    context: of the statistics, or from `verdicts.by_share`: a row a share.

  Returns:
    HTML. Differences and the verdict are of `decisive`.
  """
  where, contexts = verdicts.whole(context), context.get('by_share', [context])
  measured = {t for e in context['cells'] for t in e['scores']}
  shown = [verdicts.decisive(context)]
  shown += [name for name in _SHOWN if name in measured]
  tests = {
    id(own): {
      (name, reference, t['entry']): t
      for name in shown
      for reference in verdicts.REFERENCES
      for t in verdicts.tests_of(own, where, name, reference)
    }
    for own in contexts
  }
  rows = [
    _row(own, entry, shown, tests[id(own)], named=len(contexts) > 1)
    for own, entry in order(contexts)
  ]
  mean = f'Mean over {verdicts.listed(context["data"])}'
  title = context['data'][0] if where is not None else mean
  columns = ('method', 'verdict', *(trials.TITLES[name] for name in shown))
  columns += (*(f'less {name}' for name in _references(context)), 'rows')
  largest = max(rate for c in context['cells'] for rate, _ in c['rates'])
  columns += (f'at \u00d7{largest:g}',) if _several_rates(context) else ()
  return html.table(f'{html.text(title)}, the best first.', columns, rows)


def explain(context) -> str:
  """Returns how `table` is read; HTML."""
  return html.soft(
    'Verdict and differences: '
    f'{verdicts.PHRASES[verdicts.decisive(context)]}, ± half of the 95 % '
    'interval. '
    f'{_verdict(verdicts.ABOVE)} {_verdict(verdicts.BELOW)} than '
    '<code>none</code> by the paired test at 5 %, Holm over the methods; '
    f'{_verdict(verdicts.NOT_TOLD)} not told from it. Signs beside scores say '
    'the same of those. Bold: told from 0. &ne;: another number of rows than '
    'those at random. Twice: two trainings, double compute. Last: the trials '
    'for which validation chose the largest learning rate, so many times the '
    'usual.'
  )


def _references(context) -> list[str]:
  """Returns what methods are held against, of what there is."""
  return [name for name in verdicts.REFERENCES if name in context['entries']]


def _row(context, entry, shown, tests, *, named) -> list:
  """Returns the cells of one method, which the share it keeps may name."""
  name, score = entry['entry'], verdicts.decisive(context)
  against = {
    reference: tests.get((score, reference, name))
    for reference in _references(context)
  }
  share = _share(context, name) if named else None
  title = name if share is None else f'{name}, share {share:g}'
  cells = [html.text(title), ('left', _judge(name, against))]
  for key in shown:
    test, mean = tests.get((key, 'none', name)), entry['scores'][key]['mean']
    sign = '' if test is None else _sign(verdicts.verdict(test))
    cells.append(f'{sign}{html.number(mean, 3)}')
  cells += map(sections.difference, against.values())
  rates = [_at_largest(context, name)] if _several_rates(context) else []
  return [*cells, _rows_used(context, name), *rates]


def _several_rates(context) -> bool:
  return any(len(cell['rates']) > 1 for cell in context['cells'])


def _at_largest(context, name) -> str:
  """Returns how many trials of a method chose the largest rate; HTML."""
  chosen = {}
  for cell in context['cells']:
    for rate, num in cell['rates'] if cell['entry'] == name else ():
      chosen[rate] = chosen.get(rate, 0) + num
  total = sum(chosen.values())
  if not total:  # Averaged: each has its own.
    return html.NONE
  return f'{100 * chosen[max(chosen)] / total:.0f} %'


def _sign(side) -> str:
  """Returns the sign of what is told apart, in its colour; HTML."""
  kind, sign, _ = _SIGNS[side]
  if side == verdicts.NOT_TOLD:
    return ''
  return f'<span class="sign {kind}">{sign}</span> '


def _verdict(side, words='') -> str:
  """Returns a verdict in its colour, with its sign and in words; HTML."""
  kind, sign, usual = _SIGNS[side]
  return (
    f'<span class="verdict {kind}"><span class="sign {kind}">{sign}</span> '
    f'{usual}{words}</span>'
  )


def _judge(name, against) -> str:
  """Returns what the tests of a method against the references come to.

  Args:
    name: of the method.
    against: reference -> its test, or None.
  """
  if name == 'none':
    return '<span class="verdict">plain training</span>'
  none = against.get('none')
  if none is None or none['p_holm'] is None:
    return '<span class="verdict">not tested</span>'
  side, words = verdicts.verdict(none), ''
  controls = [test for key, test in against.items() if test and key != 'none']
  fair = [verdicts.verdict(test) for test in controls if test['equal_rows']]
  if side == verdicts.ABOVE and fair:
    words = {
      verdicts.ABOVE: '',
      verdicts.NOT_TOLD: ', as random rows may be',
      verdicts.BELOW: ', less so than random rows',
    }[min(fair)]
  return _verdict(side, words)


def _rows_used(context, name) -> str:
  """Returns the rows of a method over all data sets, and how many times."""
  rows = {
    entry: [
      cell['plan']['rows']
      for cell in context['cells']
      if cell['entry'] == entry
    ]
    for entry in (name, 'none')
  }
  if len(rows[name]) < len(context['data']):
    return html.NONE
  used = html.number(sum(rows[name]))
  if name == verdicts.AVERAGED:
    return f'twice {used}'
  if len(rows['none']) < len(context['data']) or name == 'none':
    return used
  times = sum(rows[name]) / sum(rows['none'])
  return f'{used} <small>&times;{times:.2f}</small>'


def sentences(record) -> list[str]:
  """Returns what comes first after the table: three sentences at most.

  Args:
    record: from `comparison.make_record`.
  """
  contexts = record['statistics']['contexts']
  if not contexts:
    return []
  told = [*_told(contexts)]
  told += [*_augmented(record['statistics']['effects'])] or [
    *_thresholds(contexts)
  ]
  return [*told, *_limits(contexts)]


def _told(contexts) -> Iterator[str]:
  """Says which methods are told from the references, in every context."""
  score = verdicts.decisive(contexts[0])
  parts = []
  for reference, words in verdicts.REFERENCES.items():
    families = [verdicts.fair(c, score, reference) for c in contexts]
    families = [[t for t in f if t['p_holm'] is not None] for f in families]
    num = min(len({t['entry'] for t in family}) for family in families)
    if num:
      sides = {s: _always(contexts, families, s) for s in _SIGNS}
      parts.append(_against(reference, words, num, sides))
  if not parts:
    return
  head = f'By {verdicts.PHRASES[score]}'
  if len(contexts) > 1:
    head += f', in each of the {len(contexts)} tables'
  yield f'{head}: {"; ".join(parts)}.'


def _always(contexts, families, side) -> list[str]:
  """Returns the entries on a side in all families, in order."""
  found = set.intersection(
    *(
      {t['entry'] for t in tests if verdicts.verdict(t) == side}
      for tests in families
    )
  )
  return [e for e in contexts[0]['entries'] if e in found]


def _against(reference, words, num, sides) -> str:
  """Says who of `num` methods is better or worse than a reference."""
  equal = '' if reference == 'none' else 'as many '
  parts = [
    f'{_named(sides[side])} {word} than {equal}{words}'
    for side, word in ((verdicts.ABOVE, 'better'), (verdicts.BELOW, 'worse'))
    if sides[side]
  ]
  if not sides[verdicts.ABOVE]:
    of = 'the one method' if num == 1 else f'none of {num} methods'
    no = ' no' if num == 1 else ''
    parts.insert(0, f'{of} is{no} better than {equal}{words}')
  return ', '.join(parts)


def _named(names) -> str:
  """Returns 'a, b and 3 more are'; 'a is'."""
  verb = 'is' if len(names) == 1 else 'are'
  if len(names) > _NAMED:
    names = [*names[: _NAMED - 1], f'{len(names) - _NAMED + 1} more']
  return f'{verdicts.listed(names)} {verb}'


def _augmented(effects) -> Iterator[str]:
  """Says what augmenting rows gives, where that was varied."""
  scores = [row['score'] for row in effects]
  score = 'f1_macro_tuned' if 'f1_macro_tuned' in scores else 'f1_macro'
  data = {row['data'] for row in effects}
  where = None if None in data else next(iter(data), None)
  wanted = 'augment_rows', score, where
  rows = [
    row
    for row in effects
    if tuple(row[k] for k in ('factor', 'score', 'data')) == wanted
  ]
  if not rows:
    return
  models = {row['model'] for row in rows}
  steps = []
  for row in rows:
    level = verdicts.level_name(row['level'])
    if len(models) > 1:
      level += f' ({row["model"]})'
    half = row['half_width']
    half = '' if half is None else f' ±{half:.3f}'
    steps.append(f'{level} {row["difference"]:+z.3f}{half}')
  yield (
    f'Augmenting rows, {verdicts.PHRASES[score]}, against '
    f'{verdicts.level_name(rows[0]["reference"])}: {verdicts.listed(steps)}, '
    'the mean over all plans.'
  )


def _thresholds(contexts) -> Iterator[str]:
  """Says how much of the gains at .5 thresholds alone would have given."""
  gains = [
    row
    for context in contexts
    for row in context['shares']
    if (row['data'], row['score']) == (verdicts.whole(context), 'f1_macro')
    and row['share'] is not None
    and row['at_half'] > 0
  ]
  if gains:
    half = sum(row['at_half'] for row in gains)
    left = sum(row['tuned'] for row in gains) / half
    yield (
      f'Of the F1 macro gained over plain training at .5, {100 * left:z.0f} % '
      'is left where both have tuned thresholds; the rest was a matter of '
      'thresholds.'
    )


def _limits(contexts) -> Iterator[str]:
  """Says how small a difference is not seen, and of what nothing is said."""
  score = verdicts.decisive(contexts[0])
  widths = [
    t['half_width']
    for c in contexts
    for t in verdicts.tests_of(c, verdicts.whole(c), score, 'none')
    if t['half_width'] is not None
  ]
  num_data = len({d for context in contexts for d in context['data']})
  others = html.count(num_data, 'data set')
  if widths:
    yield (
      'Differences to plain training smaller than about '
      f'±{statistics.median(widths):.3f} are not seen here, and '
      f'{others} {"says" if num_data == 1 else "say"} nothing of others.'
    )
  else:
    yield 'There is no interval, and no test: that takes two trials of a cell.'
