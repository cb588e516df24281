"""What each test of a comparison says; names that pages and lines share."""

from __future__ import annotations

from aubal_jax.experiments.compare import significance

# The scores that conclusions are drawn from.
PHRASES = {
  'f1_macro': 'F1 macro at .5',
  'f1_macro_tuned': 'F1 macro at tuned thresholds',
  'auc_macro': 'AUC macro',
  'map': 'mAP',
}
# F1 at .5, and of the same net at tuned thresholds.
F1 = ('f1_macro', 'f1_macro_tuned')
# What entries are held against.
REFERENCES = {
  'none': 'plain training',
  'random': 'random rows',
  'keep_random': 'random rows kept',
}
# Of double compute: no method among the others.
AVERAGED = 'none, two seeds averaged'
ABOVE, BELOW, NOT_TOLD = 1, -1, 0


def context_name(context, contexts) -> str:
  """Returns what tells a context from the others; of one alone, its model."""
  words = {
    'model': '{}',
    'fraction': 'fraction {:g}',
    'share': 'share {:g}',
    'augment_rows': 'augmented rows: {}',
  }
  parts = [
    form.format(context[key])
    for key, form in words.items()
    if context[key] is not None and len({c[key] for c in contexts}) > 1
  ]
  return ', '.join(parts) or context['model']


def decisive(context) -> str:
  """Returns the score that decides: F1 macro, tuned wherever that is known."""
  tuned = any(t['score'] == 'f1_macro_tuned' for t in context['tests'])
  return 'f1_macro_tuned' if tuned else 'f1_macro'


def whole(context):
  """Returns the `data` of tests over all data sets, or the only one's."""
  return None if len(context['data']) > 1 else context['data'][0]


def by_share(contexts) -> list[dict]:
  """Returns contexts that differ in the share kept as one, the first of them.

  Its `share` is None, and `by_share` holds all of them.
  """
  alike = {}
  for context in contexts:
    place = context['model'], context['fraction'], context['augment_rows']
    alike.setdefault(place, []).append(context)
  return [
    {**found[0], 'share': None, 'by_share': found} for found in alike.values()
  ]


def tests_of(context, data, score, reference) -> list[dict]:
  """Returns the tests of a data set (None: over all) against one entry."""
  wanted = data, score, reference
  return [
    test
    for test in context['tests']
    if (test['data'], test['score'], test['reference']) == wanted
  ]


def fair(context, score, reference) -> list[dict]:
  """Returns tests over all data of methods against a reference.

  Beside random rows of those that have as many; of one training each.
  """
  return [
    test
    for test in tests_of(context, whole(context), score, reference)
    if (test['equal_rows'] or reference == 'none') and test['entry'] != AVERAGED
  ]


def verdict(test) -> int:
  """Returns ABOVE, BELOW or NOT_TOLD, of a test with `p_holm`."""
  if test['p_holm'] is None or test['p_holm'] >= significance.ALPHA:
    return NOT_TOLD
  return ABOVE if test['difference'] > 0 else BELOW


def told(tests) -> dict[int, list[dict]]:
  """Returns ABOVE and BELOW -> tests that say so, if any, the most first."""
  parted = {}
  for side in (ABOVE, BELOW):
    mine = [test for test in tests if verdict(test) == side]
    if mine:
      parted[side] = sorted(mine, key=lambda t: -side * t['difference'])
  return parted


def told_words(parted, name='entry') -> str:
  """Returns 'better a (+0.100); worse b (-0.100)', of what `told` returns."""
  return '; '.join(
    f'{"better" if side == ABOVE else "worse"} '
    + listed(f'{t[name]} ({t["difference"]:+z.3f})' for t in tests)
    for side, tests in parted.items()
  )


def p_text(p) -> str:
  """Returns '0.012', or '< 0.001'."""
  return f'{p:.2g}' if p >= 0.001 else '< 0.001'


def p_words(p) -> str:
  """Returns 'p = 0.012', or 'p < 0.001'."""
  return f'p = {p_text(p)}' if p >= 0.001 else f'p {p_text(p)}'


def listed(items) -> str:
  """Returns 'a, b and c'."""
  *most, last = items
  return f'{", ".join(most)} and {last}' if most else last


def level_name(level) -> str:
  """Returns the level of a factor as text."""
  return f'{level:g}' if isinstance(level, float) else str(level)
