"""Tests and numbers of a comparison in words; what pages and lines share."""

from __future__ import annotations

PHRASES = {
  'f1_macro': 'F1 macro at .5',
  'f1_macro_tuned': 'F1 macro at tuned thresholds',
  'auc_macro': 'AUC macro',
  'map': 'mAP',
}
REFERENCES = {
  'none': 'plain training',
  'random': 'random rows in the same number',
}


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
    if context[key] is not None and len({c[key] for c in contexts}) > 1
  ]
  return ', '.join(parts) or context['model']


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


def methods(num) -> str:
  """Returns '1 method', '2 methods'."""
  return '1 method' if num == 1 else f'{num} methods'


def fair(context, score, reference) -> list[dict]:
  """Returns tests over all data against a reference; random: equal rows."""
  return [
    test
    for test in tests_of(context, whole(context), score, reference)
    if test['equal_rows'] or reference == 'none'
  ]


def sides(tests, alpha) -> str:
  """Returns 'better a (+0.1); worse b (-0.1)', or ''."""
  parts = []
  for side, word in ((1, 'better'), (-1, 'worse')):
    chosen = [test for test in tests if verdict(test, alpha) == side]
    chosen.sort(key=lambda test: -side * test['difference'])
    if chosen:
      names = [f'{t["entry"]} ({t["difference"]:+z.3f})' for t in chosen]
      parts.append(f'{word} {listed(names)}')
  return '; '.join(parts)


def level_name(level) -> str:
  """Returns the level of a factor as text."""
  return f'{level:g}' if isinstance(level, float) else str(level)
