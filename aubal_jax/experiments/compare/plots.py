"""The pictures of compare.html, as inline SVG."""

from __future__ import annotations

import math

from aubal_jax.experiments.compare import verdicts
from aubal_jax.report import style

_ACROSS = 4  # Panels of labels.
_HALF, _TUNED = 'F1 macro at .5', 'at tuned thresholds'


def critical_difference(name, row) -> str:
  """The diagram of Demsar: who is where, and who is not told apart.

  Args:
    name: of the picture, unique on the page.
    row: of `ranks`: K `entries`, their `average` ranks, `critical_difference`,
      and `bars`, lists of entries that are not told apart, by number.
  """
  entries, average, bars = row['entries'], row['average'], row['bars']
  k, difference = len(entries), row['critical_difference']
  order = sorted(range(k), key=lambda i: average[i])
  left = (k + 1) // 2
  top = 0.34 * len(bars) + 0.5
  height = 0.22 * (left + top / 0.5 + 3)

  def make(_, axes):
    (ax,) = axes
    ax.axis('off')
    for tick in range(1, k + 1):
      ax.plot([tick, tick], [0, 0.16], color=style.INK, linewidth=0.8)
      ax.text(tick, 0.3, tick, horizontalalignment='center', fontsize=8)
    ax.plot([1, k], [0, 0], color=style.INK, linewidth=0.8)
    ax.plot([1, 1 + difference], [1.1] * 2, color=style.MARK, linewidth=2)
    ax.text(
      1 + difference / 2, 1.2, f'critical difference {difference:.2f}',
      color=style.MARK, horizontalalignment='center',
      fontsize=8, verticalalignment='bottom',
    )  # fmt: skip
    for down, bar in enumerate(bars):
      ends = average[bar[0]], average[bar[-1]]
      ax.plot(
        [ends[0] - 0.06, ends[1] + 0.06], [-0.4 - 0.34 * down] * 2,
        color=style.AFTER, linewidth=3.2, solid_capstyle='butt',
      )  # fmt: skip
    for place, i in enumerate(order):
      is_left = place < left
      down = place if is_left else k - 1 - place
      edge = 0.6 if is_left else k + 0.4
      _lead_out(ax, entries[i], average[i], edge, -top - 0.5 * down, is_left)
    ax.set_xlim(0.4, max(k, 1 + difference) + 0.6)
    ax.set_ylim(-top - 0.5 * left, 1.8)

  return style.inline(f'ranks-{name}', make, height=height)


def _lead_out(ax, entry, rank, edge, y, is_left):
  """Draws the line from a rank to its name at the edge."""
  ax.plot([rank, rank, edge], [0, y, y], color=style.INK, linewidth=0.7)
  parts = [style.shorten(entry), f'{rank:.2f}']
  ax.text(
    edge + (-0.1 if is_left else 0.1), y,
    '  '.join(parts if is_left else parts[::-1]),
    horizontalalignment='right' if is_left else 'left',
    verticalalignment='center',
  )  # fmt: skip


def dots(name, context) -> str:
  """Means with intervals at .5 and tuned, a panel for each data set."""
  entries, data = context['entries'], context['data']

  def make(figure, axes):
    for ax, d in zip(axes, data, strict=False):
      cells = {c['entry']: c for c in context['cells'] if c['data'] == d}
      for score, color, shift, label in (
        ('f1_macro', style.BEFORE, -0.16, _HALF),
        ('f1_macro_tuned', style.AFTER, 0.16, _TUNED),
      ):
        points = [
          (place + shift, cells[e]['scores'][score])
          for place, e in enumerate(entries)
          if e in cells and cells[e]['scores'][score]['mean'] is not None
        ]
        ax.errorbar(
          [p['mean'] for _, p in points],
          [y for y, _ in points],
          xerr=[p['half_width'] or 0 for _, p in points],
          fmt='o', markersize=4, color=color, linewidth=1.2, label=label,
        )  # fmt: skip
        none = cells.get('none', {}).get('scores', {}).get(score, {})
        if none.get('mean') is not None:
          ax.axvline(none['mean'], color=color, linewidth=0.8, linestyle='--')
      ax.set_title(style.shorten(d))
      ax.set_yticks(range(len(entries)), [style.shorten(e) for e in entries])
      ax.tick_params(axis='y', length=0)
      ax.set_ylim(len(entries) - 0.5, -0.5)
      ax.grid(axis='y', visible=False)
    style.hide(axes[len(data) :])
    style.legend(figure, axes, ncols=6)

  across = min(len(data), _ACROSS)
  rows = math.ceil(len(data) / across)
  return style.inline(
    f'dots-{name}', make, height=rows * (0.9 + 0.24 * len(entries)),
    width=max(7.2, 1.4 + 2.1 * across), rows=rows, columns=across, sharey=True,
  )  # fmt: skip


def labels(name, context) -> str:
  """F1 of each label less that of `none`, against how frequent the label is.

  A panel for each entry; lines are means over thirds of the labels.
  """
  base = {c['data']: c for c in context['cells'] if c['entry'] == 'none'}
  entries = [e for e in context['entries'] if e != 'none']
  across = min(len(entries), _ACROSS)
  rows = math.ceil(len(entries) / across)

  def make(figure, axes):
    for ax, entry in zip(axes, entries, strict=False):
      _draw_labels(ax, context, base, entry)
    for ax in axes[max(len(entries) - across, 0) : len(entries)]:
      ax.tick_params(labelbottom=True)
    style.hide(axes[len(entries) :])
    figure.supxlabel(
      'share of the training images that show the label', fontsize=9
    )
    figure.supylabel('F1 less that of none', fontsize=9)
    style.legend(figure, axes, ncols=6)

  return style.inline(
    f'labels-{name}', make, height=0.9 + 1.45 * rows, width=9.0, rows=rows,
    columns=across, sharex=True, sharey=True,
  )  # fmt: skip


def _draw_labels(ax, context, base, entry):
  """Draws the labels of one entry, at .5 and at tuned thresholds."""
  from matplotlib import ticker

  ax.axhline(0, color=style.INK, linewidth=0.8)
  for key, color, label in (
    ('f1_per_label', style.BEFORE, 'F1 at .5'),
    ('f1_per_label_tuned', style.AFTER, _TUNED),
  ):
    found = _label_points(context, base, entry, key)
    ax.plot(
      *zip(*found, strict=True) if found else ([], []),
      'o', markersize=2.6, alpha=0.5, color=color, markeredgewidth=0,
    )  # fmt: skip
    ax.plot(
      *_thirds(found), color=color, linewidth=1.8, marker='o',
      markersize=3.5, label=label,
    )  # fmt: skip
  ax.set_xscale('log')
  ax.set_title(style.shorten(entry), fontsize=8.5)
  ax.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 3)))
  ax.xaxis.set_major_formatter(lambda x, _: f'{x:g}')
  ax.minorticks_off()


def _label_points(context, base, entry, key) -> list[tuple[float, float]]:
  """Returns (frequency, difference to none) of all labels of all data sets."""
  points = []
  for cell in context['cells']:
    if cell['entry'] != entry or cell['data'] not in base:
      continue
    none = base[cell['data']]
    for frequency, mine, theirs in zip(
      none['frequency'], cell[key], none[key], strict=True
    ):
      if None not in (frequency, mine, theirs) and frequency > 0:
        points.append((frequency, mine - theirs))
  return sorted(points)


def _thirds(points) -> tuple[list[float], list[float]]:
  """Returns the means of the rarest third of labels, the middle, the rest."""
  size = math.ceil(len(points) / 3) or 1
  groups = [points[i : i + size] for i in range(0, len(points), size)]
  x = [math.exp(sum(math.log(p[0]) for p in g) / len(g)) for g in groups]
  return x, [sum(p[1] for p in g) / len(g) for g in groups]


def curves(name, context) -> str:
  """mAP of validation less that of none, by step: a panel for each entry."""
  points = {}
  for row in context['curves']:
    points.setdefault(row['entry'], []).append(row)
  across = min(len(points), _ACROSS)
  rows = math.ceil(len(points) / across)

  def make(figure, axes):
    for ax, (entry, mine) in zip(axes, points.items(), strict=False):
      ax.axhline(0, color=style.INK, linewidth=0.8)
      steps = [row['step'] for row in mine]
      ax.errorbar(
        steps, [row['difference'] for row in mine],
        yerr=[row['half_width'] or 0 for row in mine],
        color=style.AFTER, linewidth=1.5, elinewidth=0.7, marker='o',
        markersize=3.5,
      )  # fmt: skip
      ax.set_title(style.shorten(entry), fontsize=8.5)
    for ax in axes[max(len(points) - across, 0) : len(points)]:
      ax.tick_params(labelbottom=True)
    style.hide(axes[len(points) :])
    figure.supxlabel('optimiser steps', fontsize=9)
    figure.supylabel('mAP less that of none', fontsize=9)

  return style.inline(
    f'curves-{name}', make, height=0.9 + 1.45 * rows, width=9.0, rows=rows,
    columns=across, sharex=True, sharey=True,
  )  # fmt: skip


def crossed(name, contexts, score) -> str:
  """Scores against the rows that are augmented, a line for each plan.

  Bounds of growth make the columns and bounds of diversity the rows; what has
  neither is in every panel.

  Args:
    name: of the picture, unique on the page.
    contexts: those that differ in `augment_rows` alone, in order.
    score: name.
  """
  cells = [
    cell | {'at': place}
    for place, context in enumerate(contexts)
    for cell in context['cells']
  ]
  free = [c for c in cells if c['upper'] is None]
  bound = [c for c in cells if c['upper'] is not None]
  uppers = sorted({c['upper'] for c in bound}) or [None]
  kinds = [*dict.fromkeys(c['diversity'] for c in bound)] or [None]
  methods = [*dict.fromkeys(c['method'] for c in [*free, *bound])]

  def make(figure, axes):
    panels = [(kind, upper) for kind in kinds for upper in uppers]
    for ax, (kind, upper) in zip(axes, panels, strict=True):
      here = [c for c in bound if (c['diversity'], c['upper']) == (kind, upper)]
      for method in methods:
        mine = [c for c in [*free, *here] if c['method'] == method]
        _line(ax, mine, score, method, methods.index(method))
      ax.set_xticks(
        range(len(contexts)), [str(c['augment_rows']) for c in contexts]
      )
      ax.margins(x=0.12)
      words = [] if upper is None else [f'upper {upper:g}']
      words += [f'diversity {kind}'] if len(kinds) > 1 else []
      ax.set_title(', '.join(words), fontsize=9)
    figure.supxlabel('rows that are augmented', fontsize=9)
    style.legend(figure, axes, ncols=6)

  return style.inline(
    f'crossed-{name}', make, height=1.0 + 1.9 * len(kinds),
    width=max(7.2, 2.2 * len(uppers)), rows=len(kinds), columns=len(uppers),
    sharex=True, sharey=True,
  )  # fmt: skip


def _line(ax, cells, score, method, place):
  """Draws the means of one method with their intervals."""
  points = [
    (c['at'], c['scores'][score])
    for c in cells
    if c['scores'][score]['mean'] is not None
  ]
  color, line = style.GRID, '-'
  if method in verdicts.REFERENCES:
    color, line = style.INK, '--' if method == 'none' else ':'
  elif method.startswith('aubal'):
    color = style.AFTER
  else:
    color = style.BEFORE
  shift = 0.02 * (place - 2)
  ax.errorbar(
    [x + shift for x, _ in points],
    [p['mean'] for _, p in points],
    yerr=[p['half_width'] or 0 for _, p in points],
    color=color, linestyle=line, linewidth=1.3, elinewidth=0.7, label=method,
    markersize=4, marker=style.MARKERS[place % len(style.MARKERS)],
  )  # fmt: skip
