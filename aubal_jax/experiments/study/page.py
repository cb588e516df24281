"""The page of a study: a picture of all differences, and a sentence each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from collections.abc import Sequence

from aubal_jax.experiments.study import answers as answers_lib
from aubal_jax.experiments.study import plan as plan_lib
from aubal_jax.report import style
from aubal_jax.runs import text

TITLES = {
  'f1': 'F1 at .5',
  'f1_shrunk': 'F1, thresholds shrunk',
  'ap': 'AP',
  'overall': 'mean over targets',
  'expression': 'F1 of expressions',
  'valence_arousal': 'concordance of valence and arousal',
}
_HEADINGS = {'f1_shrunk': 'F1, shrunk', 'overall': 'targets'}
_COLOURS = {
  'all': style.INK,
  'rare': style.MARK,
  'middle': style.BEFORE,
  'frequent': style.AFTER,
}
_ROW_INCHES, _WIDE_INCHES = 0.3, 11.0
_TICKS = (-0.3, -0.05, 0, 0.05, 0.3)


def number(value: float, half: float | None = None) -> str:
  """Returns '+.012 ± .008', or '+.012'.

  Examples:
    >>> number(0.0123, 0.008), number(-0.5)
    ('+.012 ± .008', '-.500')
  """
  told = f'{value:+z.3f}'.replace('0.', '.', 1)
  if half is None:
    return told
  return f'{told} ± {f"{half:.3f}".replace("0.", ".", 1)}'


def sentence(answer: answers_lib.Answer, plan: plan_lib.Plan) -> str:
  """Returns what a contrast says, without a full stop."""
  contrast, found = answer.contrast, answer.primary
  if found is None:
    return f'{contrast.says}: **not run** ({", ".join(answer.missing)})'
  told = (
    f'{contrast.says}: {TITLES[contrast.primary]} '
    f'{number(found.mean, found.half)}, above in {found.num_above} of '
    f'{found.num_sets}'
  )
  if len(found.each) > 1:
    told += f' ({_each_set(found)})'
  if contrast.primary == 'overall':
    told += f' ({_each_target(answer)})'
  if answer.missing:
    told += f' (not run: {", ".join(answer.missing)})'
  return f'{told}; **{_verdict(answer, plan)}**'


def _each_set(found) -> str:
  """Returns the mean of each set; of few, how sure it is."""
  few = len(found.each) < 4
  return ', '.join(
    f'{data} {number(mean, half if few else None)}'
    for data, mean, half in found.each
  )


def _each_target(answer) -> str:
  """Returns what there is beside the mean over targets."""
  others = [kind for kind in answer.differences if kind != 'overall']
  return ', '.join(
    f'{TITLES[kind]} {number(*answer.differences[kind]["all"][:2])}'
    for kind in others
  )


def _verdict(answer, plan) -> str:
  p = answer.p_holm
  if p is None or p >= answers_lib.significance.ALPHA:
    return 'not told from chance'
  if answer.gains:
    return 'a gain'
  if answer.primary.mean < 0:
    return 'a loss'
  return f'below what counts as a gain ({number(plan.gain)[1:]})'


def write(
  path: os.PathLike | str,
  plan: plan_lib.Plan,
  lines: Mapping[str, dict],
  *,
  config: str,
  picture: str,
) -> str:
  """Returns the page, in Markdown.

  Args:
    path: of the file of results, as the page names it.
    plan: the study.
    lines: name of cell -> its line.
    config: the file of the plan, as the page names it.
    picture: the file of the picture, as the page names it.
  """
  screened = answers_lib.screened(plan, lines)
  confirmed = answers_lib.confirmed(plan, lines)
  parts = [
    '# The study\n',
    f'Written by `python scripts/study.py --config={config} --page` from [the '
    f'results]({path}), a line for each training; the plan, `{config}`, was '
    'fixed before, but for what is said here. Differences are means over '
    'sets, ± half of the 95 % interval; what is tested is adjusted within a '
    'question. A gain is told '
    f'from chance and at least {number(plan.gain)[1:]}.\n',
    *([f'{plan.reads}\n'] if plan.reads else []),
    *_in_short(plan, screened, confirmed),
    f'![All differences]({picture})\n',
    'Axes are linear as far as .05 either way, and logarithmic beyond.\n',
  ]
  for question in plan.questions:
    parts += [
      f'<a id="{question.name}"></a>\n',
      f'## {question.asks}\n',
      _where(plan, question, lines),
    ]
    parts += [
      f'* {sentence(answer, plan)}.' for answer in screened[question.name]
    ]
    parts.append('')
    if question.confirms:
      parts += _confirmation(plan, confirmed[question.name])
  if plan.not_run:
    parts.append(f'## Not run\n\n{plan.not_run}\n')
  return '\n'.join(parts)


def _in_short(plan, screened, confirmed) -> list[str]:
  """Returns how many were asked of, and which gained, twice or once."""
  every = [one for found in screened.values() for one in found]
  run = [one for one in every if one.primary is not None]
  told = [
    f'{len(every)} differences were asked for'
    + (f', {len(every) - len(run)} of them **not run**' if run != every else '')
    + '.'
  ]
  for words, which in (
    ('a gain', lambda one: one.gains),
    ('a loss', lambda one: _verdict(one, plan) == 'a loss'),
  ):
    names = [
      f'{one.contrast.says} ([{question.name}](#{question.name}))'
      for question in plan.questions
      for one in screened[question.name]
      if one.primary is not None and which(one)
    ]
    told.append(f'{words.capitalize()}: {"; ".join(names) or "none"}.')
  again = [one for found in confirmed.values() for one in found]
  if again:
    sure = [one.contrast.says for one in again if one.gains]
    told.append(
      'Asked again of other sets, a gain once more: '
      f'{"; ".join(sure) or "none"}.'
    )
  if any(one.missing for one in [*every, *again]):
    told.append('**Provisional**: not all of the plan was run.')
  return [f'* {one}' for one in told] + ['']


def _where(plan, question, lines) -> str:
  """Returns what was asked of, with what was changed, and what to mind."""
  sets = text.listing(plan_lib.sets_of(plan, question))
  told = [f'Asked of {sets}.', question.note]
  if wanting := answers_lib.unconverged(plan, question, lines):
    told.append(
      '**Not converged** (validation chose the largest of the rates in most '
      f'trials of what is held against): {text.listing(wanting)}.'
    )
  return ' '.join(one for one in told if one) + '\n'


def _confirmation(plan, found: Sequence[answers_lib.Answer]) -> list[str]:
  """Returns the lines of what was asked again."""
  if not found:
    return ['Nothing is known to gain, and nothing was asked again.\n']
  sets = text.listing(plan.confirmation)
  told = [f'What gained, asked again of {sets}:\n']
  told += [f'* {sentence(answer, plan)}.' for answer in found]
  return [*told, '']


def draw(plan: plan_lib.Plan, lines: Mapping[str, dict], file) -> None:
  """Draws all differences with their intervals, as a PNG.

  Axes are linear as far as .05 either way, and logarithmic beyond.

  Args:
    plan: the study.
    lines: name of cell -> its line.
    file: open, binary.
  """
  rows = _rows(plan, lines)
  asked = [row.contrast for row in rows if not isinstance(row, str)]
  several = any(contrast.primary == 'overall' for contrast in asked)
  kinds = [*plan_lib.KINDS, *['overall'] * several]

  def make(figure, panels):
    for panel, kind in zip(panels, kinds, strict=True):
      _panel(panel, kind, rows)
    names = [row if isinstance(row, str) else row.contrast.says for row in rows]
    panels[0].set_yticks(range(len(rows)), names)
    for label, row in zip(panels[0].get_yticklabels(), rows, strict=True):
      label.set_fontweight('bold' if isinstance(row, str) else 'normal')
    panels[0].set_ylim(len(rows) - 0.5, -0.7)
    for over, colour in _COLOURS.items():
      panels[0].plot([], [], 'o', color=colour, markersize=4, label=over)
    style.legend(figure, panels, ncols=len(_COLOURS))

  file.write(
    style.draw(
      make,
      width=_WIDE_INCHES,
      height=1.2 + _ROW_INCHES * len(rows),
      columns=len(kinds),
      sharex=True,
      sharey=True,
    )
  )


def _rows(plan, lines) -> list:
  """Returns what stands below each other: headings, and answers."""
  rows: list = []
  screened = answers_lib.screened(plan, lines)
  confirmed = answers_lib.confirmed(plan, lines)
  for question in plan.questions:
    rows += [question.asks, *screened[question.name]]
    if again := confirmed.get(question.name):
      rows += ['asked again of other sets:', *again]
  return rows


def _panel(panel, kind, rows) -> None:
  """Draws one kind of score."""
  panel.axvline(0, color=style.SOFT, linewidth=0.8)
  panel.set_title(_HEADINGS.get(kind, TITLES[kind]))
  for place, row in enumerate(rows):
    if isinstance(row, str):
      panel.axhspan(place - 0.5, place + 0.5, color=style.GRID, alpha=0.35)
    else:
      _bars(panel, place, row.differences.get(kind, {}))
  # Most differences are small, and one or the other is not.
  panel.set_xscale('symlog', linthresh=0.05, linscale=0.8)
  panel.set_xticks(_TICKS, [f'{tick:g}'.replace('0.', '.') for tick in _TICKS])
  panel.grid(axis='y', visible=False)
  panel.spines['left'].set_visible(False)
  panel.tick_params(axis='y', length=0)
  panel.tick_params(axis='x', labeltop=True)


def _bars(panel, place, by_over) -> None:
  """Draws the differences of one contrast, one below the other."""
  for k, (over, colour) in enumerate(_COLOURS.items()):
    found = by_over.get(over)
    if found is not None:
      panel.errorbar(
        *(found.mean, place + 0.18 * (k - 1.5)),
        xerr=found.half or 0,
        fmt='o',
        color=colour,
        markersize=2.6,
        elinewidth=0.9,
      )
