"""The comparison of optimisers: lines of the table, and optimizers.png."""

from __future__ import annotations

import math
import textwrap

from aubal_jax.report import style
from aubal_jax.runs import extras

_WIDTH = 88
_NUM_FASTEST = 3
_ACROSS = 4  # Panels.
_FLOOR = 1e-3  # Of the gap wanted; what is below is drawn there.


def _joined(name, steps, seconds, compiled, value, gap, memory) -> str:
  return (
    f'{name:18} {steps:>8} {seconds:>9} {compiled:>8} {value:>14} {gap:>8} '
    f'{memory:>8}'
  )


def head() -> str:
  """Returns the line above the table."""
  names = ('variant', 'steps', 'seconds', 'compile', 'value', 'gap', 'memory')
  return f'{_joined(*names)}  status'


def line(row) -> str:
  """Returns the line of a row; one that has no value says why."""
  if row['value'] is None:
    return f'{row["variant"]:<18} {row["status"]}'
  figures = _joined(
    row['variant'],
    f'{row["num_steps"]:,}',
    _short(row['seconds']),
    f'{row["seconds_compile"]:.1f}',
    f'{row["value"]:#,.8g}',
    '' if row['gap'] is None else f'{row["gap"]:.1e}',
    f'{row["memory_bytes"] / 1e6:,.0f} MB',
  )
  return f'{figures}  {row["status"]}'


def _short(seconds) -> str:
  return f'{seconds:,.3g}' if seconds < 1000 else f'{seconds:,.0f}'


def wrapped(notes) -> str:
  """Returns `notes` as lines that are not too long."""
  wrapper = textwrap.TextWrapper(_WIDTH, subsequent_indent='  ')
  return '\n'.join(map(wrapper.fill, notes))


def notes(record) -> list[str]:
  """Returns what has to be known to read the table, and its upshot."""
  rows = record['rows']
  lines = [
    'seconds: the quickest of up to 5 solves after the one that compiled, from '
    'the labelsets to the last certificate; whole images are not made.',
    'compile: seconds of tracing and compiling in a fresh process, without '
    'the cache of compiled programs.',
    'memory: the most that the process held, compiling included, beyond what '
    'it held before it read the labelsets.',
    'value: f, without the price of the added images; gap: how far f and that '
    'price may be from the best, proved by each variant itself.',
  ]
  if any('+ newton' in row['variant'] for row in rows):
    lines.append(
      '+ newton: the variant again, Newton steps finishing what it left; only '
      'where it stalled.'
    )
  bounds = [
    row['lower_bound_priced']
    for row in rows
    if row['kind'] == 'variant' and row['lower_bound_priced'] is not None
  ]
  if any(row['kind'] == 'rival' for row in rows):
    lines.append(
      'rivals: seconds with the building of their matrices; gap to the best '
      'lower bound of the variants above'
      + (f', {max(bounds):,.4f}.' if bounds else ', of which there is none.')
    )
  if record['not_installed']:
    absent = ', '.join(record['not_installed'])
    lines.append(f'not installed: {absent} ({extras.command("bench")})')
  met = _met(rows)[:_NUM_FASTEST]
  fastest = [f'{row["variant"]} {_short(row["seconds"])} s' for row in met]
  if len(met) > 1:
    lines.append(
      f'Within a gap of {record["tol"]:g} first: {", ".join(fastest)}.'
    )
  return [*lines, conclusion(rows, record['tol'])]


def _met(rows) -> list[dict]:
  """Returns the rows that met the gap, the quickest first."""
  met = [row for row in rows if row.get('converged')]
  return sorted(met, key=lambda row: row['seconds'])


def conclusion(rows, tol) -> str:
  """Returns which reached the gap first, in what time, and by how much.

  Args:
    rows: of the table.
    tol: the gap wanted.
  """
  met = _met(rows)
  if not met:
    gaps = [row for row in rows if row.get('gap') is not None]
    words = f'None reached a gap of {tol:g}'
    if not gaps:
      return f'{words}, and none proved any.'
    best = min(gaps, key=lambda row: row['gap'])
    return f'{words}; {best["variant"]} came closest, to {best["gap"]:.1e}.'
  first, *others = met
  words = f'{_timed(first)} reached a gap of {tol:g} first'
  if others:
    words += f', {_times(first, others[0])} as fast as {_timed(others[0])}'
  own = next((row for row in met if row['kind'] == 'variant'), None)
  if own not in (None, *met[:2]):
    words += f'; of the variants here {_timed(own)}'
  short = len(rows) - len(met)
  return f'{words}. {short} of {len(rows)} did not reach it.'


def _timed(row) -> str:
  return f'{row["variant"]} ({_duration(row["seconds"])})'


def _times(first, other) -> str:
  ratio = other['seconds'] / first['seconds'] if first['seconds'] else math.inf
  return f'{ratio:,.1f} times' if ratio < 100 else f'{ratio:,.0f} times'


def _duration(seconds) -> str:
  """Returns '6.7 ms', '1.2 s'."""
  if seconds < 1:
    return (
      f'{1000 * seconds:.2g} ms'
      if seconds < 0.1
      else (f'{1000 * seconds:.0f} ms')
    )
  return f'{_short(seconds)} s'


def draw(file, rows, *, tol: float, title: str) -> None:
  """Draws a panel for each variant, all the others pale behind it, as PNG.

  The heading is the conclusion; beside the name of a variant stands when it
  reached the gap.

  Args:
    file: to write to, binary.
    rows: of the table, dicts of `variant`, `kind` ('variant' or 'rival'),
      `seconds`, `gap`, `converged` and, for a variant, `trace` of equally long
      lists `seconds` and `gap`. One called 'x + newton' is drawn in the panel
      of x. What has no gap is left out.
    tol: the gap wanted, a line in every panel.
    title: what the problem is.
  """
  lines = {row['variant']: row['trace'] for row in rows if row['trace']}
  points = [r for r in rows if r['kind'] == 'rival' and r['gap'] is not None]
  names = list(dict.fromkeys(name.split(' + ')[0] for name in lines))
  across = min(_ACROSS, max(len(names), 1))
  down = math.ceil(max(len(names), 1) / across)
  size = {'height': 1.9 * down + 1.6, 'width': max(2.5 * across, 7.2)}

  def make(figure, axes):
    style.hide(axes[len(names) :])
    for ax, name in zip(axes, names, strict=False):
      _draw_panel(ax, name, lines, points, tol)
      mine = [r for r in rows if r['variant'].split(' + ')[0] == name]
      ax.set_title(
        _reached(mine), loc='right', fontsize=8.5, fontweight='normal'
      )
      ax.tick_params(labelbottom=True)
    for ax in axes[max(len(names) - across, 0) : len(names)]:
      ax.set_xlabel('time, compilation apart')
    if names:
      _scale(axes[0], tol)
    wide = round(11 * size['width'])
    words = {'title': textwrap.fill(title, wide), 'title_fontsize': 8.5}
    style.legend(figure, axes, 'outside lower center', ncols=4, **words)
    figure.suptitle(
      textwrap.fill(conclusion(rows, tol), wide),
      x=0.01, horizontalalignment='left', fontsize=11, fontweight='bold',
    )  # fmt: skip
    figure.supylabel('certified gap, relative')

  shape = {'rows': down, 'columns': across, 'sharex': True, 'sharey': True}
  file.write(style.draw(make, **size, **shape))


def _reached(rows) -> str:
  """Returns when the first of these rows reached the gap, if any did."""
  met = _met(rows)
  if not met:
    return 'not reached'
  newton = ' with Newton' if ' + ' in met[0]['variant'] else ''
  return f'{_duration(met[0]["seconds"])}{newton}'


def _draw_panel(ax, name, lines, points, tol):
  """Draws the lines of one variant, and pale what it is compared with."""
  ax.set_title(name)
  wanted = {'color': style.INK, 'linewidth': 0.9, 'linestyle': ':'}
  ax.axhline(tol, **wanted, label='gap wanted')
  for other, trace in lines.items():
    if other.split(' + ')[0] != name:
      ax.plot(*_curve(trace, tol), **style.OTHERS, label='others')
  dot = {'color': style.MARK, 'markersize': 3.5}
  for marker, row in zip(style.MARKERS, points, strict=False):
    place = _curve({'seconds': [row['seconds']], 'gap': [row['gap']]}, tol)
    ax.plot(*place, marker, **dot, label=row['variant'])
  for title, color, label in (
    (f'{name} + newton', style.BEFORE, 'finished by Newton steps'),
    (name, style.AFTER, 'the variant'),
  ):
    if title in lines:
      x, y = _curve(lines[title], tol)
      ax.plot(
        x, y, color=color, linewidth=1.7, marker='o', markersize=3.5,
        markevery=[-1], label=label,
      )  # fmt: skip


def _curve(trace, tol):
  """Returns seconds and gaps, where there is a gap, none below the floor."""
  pairs = zip(trace['seconds'], trace['gap'], strict=True)
  pairs = [(x, max(y, _FLOOR * tol)) for x, y in pairs if y is not None]
  return [x for x, _ in pairs], [y for _, y in pairs]


def _scale(ax, tol):
  """Makes both axes logarithmic; they are shared by all panels."""
  from matplotlib import ticker

  ax.set_xscale('log')
  ax.set_yscale('log')
  ax.set_ylim(bottom=_FLOOR * tol / 2)
  for axis, form in ((ax.xaxis, _seconds), (ax.yaxis, '{:.0e}'.format)):
    axis.set_major_locator(ticker.LogLocator(numticks=6))
    axis.set_minor_formatter(ticker.NullFormatter())
    axis.set_major_formatter(lambda value, _, form=form: form(value))


def _seconds(value) -> str:
  return f'{value:g} s' if value >= 1 else f'{1000 * value:g} ms'
