"""The first sentence of a comparison: what helped, by how much, how sure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from aubal_jax.experiments.compare import verdicts

_NAMED = 4  # Methods that a sentence names.


def sentence(record) -> str:
  """Returns what helped, or that nothing did; first of all if not converged.

  Args:
    record: from `comparison.make_record`.
  """
  contexts = record['statistics']['contexts']
  if not contexts:
    return 'Nothing was measured: no cell has a result.'
  parts = [*dict.fromkeys(_not_converged(contexts))]
  found = _found(verdicts.by_share(contexts), contexts)
  if not parts:
    return found
  return f'Not converged: {verdicts.listed(parts)}. {found}'


def _not_converged(contexts) -> Iterator[str]:
  """Yields why plain training may only have been too short, or too slow."""
  for context in contexts:
    cells = [c for c in context['cells'] if c['method'] == 'none']
    num = sum(cell['num_trials'] for cell in cells)
    where = _where(context, contexts)
    chosen = {}
    for cell in cells:
      for rate, count in cell['rates']:
        chosen[rate] = chosen.get(rate, 0) + count
    largest = max(chosen, default=None)
    if len(chosen) > 1 and 2 * chosen[largest] > num:
      yield (
        f'plain training{where} is best at the largest rate '
        f'({largest:g} times the usual) in {chosen[largest]} of {num} trials'
      )
    last = sum(cell['best_last'] for cell in cells)
    if 2 * last > num:
      yield (
        f'the best checkpoint of plain training{where} is its last in {last} '
        f'of {num} trials'
      )


def _where(context, contexts) -> str:
  """Returns ' (mlp)', where that tells one plain training from others."""
  parts = [
    str(context[key])
    for key in ('model', 'augment_rows')
    if context[key] is not None and len({c[key] for c in contexts}) > 1
  ]
  return f' ({", ".join(parts)})' if parts else ''


def _found(contexts, with_shares) -> str:
  """Returns what the verdicts of the tables of the answer come to.

  Args:
    contexts: one of those that differ in the share kept.
    with_shares: all contexts. What keeps fewer rows is not held against plain
      training on all of them, but against rows kept at random.
  """
  score = verdicts.decisive(contexts[0])
  kept = _kept(with_shares, score)
  families = [
    [
      t
      for t in verdicts.fair(c, score, 'none')
      if t['p_holm'] is not None and not _keeps(c, t['entry'])
    ]
    for c in contexts
  ]
  if not any(families):
    return f'{kept[0].upper()}{kept[1:]}.' if kept else _untested(contexts)
  best = max(
    (
      (test, c)
      for c, family in zip(contexts, families, strict=True)
      for test in family
      if verdicts.verdict(test) == verdicts.ABOVE
    ),
    key=lambda found: found[0]['difference'],
    default=None,
  )
  if best is None:
    words = _nothing(contexts, families, score)
  else:
    words = _helped(contexts, families, score, *best)
  words += _averaged(contexts, score)
  return f'{words}; {kept}.' if kept else f'{words}.'


def _keeps(context, entry) -> bool:
  """Whether an entry keeps a share of the rows."""
  return any(
    c['share'] is not None for c in context['cells'] if c['entry'] == entry
  )


def _kept(contexts, score) -> str:
  """Says which choice of rows is better than one at random; '' untested."""
  tests = [
    (test, context)
    for context in contexts
    for test in verdicts.fair(context, score, 'keep_random')
    if test['p_holm'] is not None and _keeps(context, test['entry'])
  ]
  if not tests:
    return ''
  better = [x for x in tests if verdicts.verdict(x[0]) == verdicts.ABOVE]
  if not better:
    return 'of as many rows kept, no choice is told to be better than at random'
  test, context = max(better, key=lambda found: found[0]['difference'])
  where = [f'share {context["share"]:g}']
  if len({c['model'] for c in contexts}) > 1:
    where.append(context['model'])
  return (
    f'of as many rows kept, {test["entry"]} ({", ".join(where)}) is better '
    f'than at random: {verdicts.PHRASES[score]} {test["difference"]:+z.3f} '
    f'±{test["half_width"]:.3f}'
  )


def _untested(contexts) -> str:
  if all('none' not in context['entries'] for context in contexts):
    return (
      'Whether anything helped is not known: compare.methods has no none, '
      'plain training.'
    )
  if all({*c['entries']} <= {'none', verdicts.AVERAGED} for c in contexts):
    return 'Plain training alone was measured: there is nothing to compare.'
  return (
    'Whether anything helped is not known: there is no test, which takes two '
    'trials of a cell.'
  )


def _nothing(contexts, families, score) -> str:
  """Says that no method is better, and which are worse."""
  tests = [test for family in families for test in family]
  methods = {test['entry'] for test in tests}
  width = statistics.median(test['half_width'] for test in tests)
  of = f'none of {len(methods)} methods is'
  if len(methods) == 1:
    of = f'{methods.pop()} is no'
  many = f', in any of {len(contexts)} tables' if len(contexts) > 1 else ''
  words = (
    f'Nothing helped here: {of} better than plain training by more than chance '
    f'({verdicts.PHRASES[score]}, ±{width:.3f}{many})'
  )
  worse = _names(contexts, families, verdicts.BELOW)
  if worse:
    words += f'; worse {"is" if len(worse) == 1 else "are"} {_few(worse)}'
  return words


def _helped(contexts, families, score, test, context) -> str:
  """Says which method is the best, how much and how sure, and who else is."""
  where = ''
  if len(contexts) > 1:
    where = f' ({verdicts.context_name(context, contexts)})'
  bare = ''
  if context['augment_rows'] == 'added':
    bare = ', which has no image augmented'
  half = f' ±{test["half_width"]:.3f}'
  words = (
    f'{test["entry"]} helped here{where}: {verdicts.PHRASES[score]} '
    f'{test["difference"]:+z.3f}{half} over plain training{bare} '
    f'({verdicts.p_words(test["p_holm"])})'
  )
  words += _beside_random(context, score, test['entry'])
  others = _names(contexts, families, verdicts.ABOVE)
  others = [name for name in others if name != test['entry']]
  if others:
    words += f'; so did {_few(others)}'
  if len(contexts) > 1:
    num = sum(
      any(
        t['entry'] == test['entry'] and verdicts.verdict(t) == verdicts.ABOVE
        for t in family
      )
      for family in families
    )
    words += f'; in {num} of {len(contexts)} tables'
  return words


def _averaged(contexts, score) -> str:
  """Says what double compute gives without any plan, where that is told."""
  tests = [
    (test, context)
    for context in contexts
    for test in verdicts.tests_of(
      context, verdicts.whole(context), score, 'none'
    )
    if test['entry'] == verdicts.AVERAGED
    and verdicts.verdict(test) == verdicts.ABOVE
  ]
  if not tests:
    return ''
  test, context = max(tests, key=lambda found: found[0]['difference'])
  where = _where(context, contexts)
  return (
    f'; two seeds of plain training{where} averaged, at double compute: '
    f'{test["difference"]:+z.3f} ±{test["half_width"]:.3f}'
  )


def _beside_random(context, score, entry) -> str:
  """Says how a method stands to the control, if that has as many rows."""
  sides = [
    verdicts.verdict(test)
    for reference in verdicts.REFERENCES
    if reference not in ('none', entry)
    for test in verdicts.fair(context, score, reference)
    if test['entry'] == entry
  ]
  if not sides:
    return ''
  return {
    verdicts.ABOVE: ', and over as many random rows',
    verdicts.NOT_TOLD: ', but it is not told from as many random rows',
    verdicts.BELOW: ', but as many random rows are better',
  }[min(sides)]


def _names(contexts, families, side) -> list[str]:
  """Returns the entries that are on a side in any of the tables."""
  found = {
    t['entry'] for f in families for t in f if verdicts.verdict(t) == side
  }
  entries = dict.fromkeys(e for c in contexts for e in c['entries'])
  return [entry for entry in entries if entry in found]


def _few(names) -> str:
  if len(names) > _NAMED:
    names = [*names[: _NAMED - 1], f'{len(names) - _NAMED + 1} more']
  return verdicts.listed(names)
