"""Tables of compare.html: what the rare labels gain, and the frequent pay."""

from __future__ import annotations

from aubal_jax.experiments.compare import sections
from aubal_jax.experiments.compare import thirds
from aubal_jax.experiments.compare import verdicts
from aubal_jax.report import html


def tables(context) -> str:
  """Returns scores in thirds of the labels, and how they differ from none's."""
  names = [
    name
    for name in thirds.SCORES
    if any(
      cell['scores'].get(name, {}).get('mean') is not None
      for cell in context['cells']
    )
  ]
  if not names:
    return ''
  where = verdicts.whole(context)
  differences = {
    (t['entry'], name): t
    for name in names
    for t in verdicts.tests_of(context, where, name, 'none')
  }
  rows = [
    [
      html.text(e),
      *(sections.difference(differences.get((e, n))) for n in names),
    ]
    for e in context['entries']
    if any((e, n) in differences for n in names)
  ]
  parts = [html.soft(_explained(context)), sections.scores(context, names)]
  if rows:
    caption = (
      'Each method less <code>none</code>, ± half of the 95 % interval. Bold: '
      'told from 0 at 5 %, Holm over the methods.'
    )
    parts.insert(1, html.table(caption, sections.heads(names), rows))
  return '\n'.join(parts)


def _explained(context) -> str:
  """Returns what a third is, and where there are none; HTML."""
  words = (
    'Thirds of the labels, by their positives among the training rows before '
    'any resampling; means over the labels that have a positive to be tested '
    'on. F1 is at tuned thresholds.'
  )
  few = dict.fromkeys(
    cell['data']
    for cell in context['cells']
    if len(cell['label_names']) < len(thirds.PARTS)
  )
  if few:
    words += (
      f' {html.text(verdicts.listed(few))} '
      f'{"has" if len(few) == 1 else "have"} fewer than three labels: those '
      'are one group, which stands in all three columns.'
    )
  return words
