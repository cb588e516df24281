"""Pictures of classes and numbers, as inline SVG: small squares, no raster."""

from __future__ import annotations

import re

from aubal_jax.report import style

_MOST_WRITTEN = 14  # Classes whose counts are written into the squares.
_DARKEST = 0.75  # So that what is written on it can be read.
_COLUMNS = 3


def confusion(name, names, counts) -> str:
  """The classes of rows against what is said of them; grows with C.

  Args:
    name: of the target.
    names: C names.
    counts: C lists of C counts; those of a class are a line.
  """
  size = len(names)
  titles = [style.shorten(n, 18) for n in names]
  largest = max(map(max, counts), default=0)
  # Numbers of four digits and more need the room of a larger square.
  font = min(9, 56 / size) if largest >= 1000 else min(9, 100 / size)

  def make(_, axes):
    (ax,) = axes
    for i, line in enumerate(counts):
      total = sum(line) or 1
      for j, count in enumerate(line):
        _square(ax, j - 0.5, i - 0.5, 1, count / total)
        if count and size <= _MOST_WRITTEN:
          ax.text(j, i, f'{count:,}', ha='center', va='center', fontsize=font)
    ax.set_xlim(-0.5, size - 0.5)
    ax.set_ylim(size - 0.5, -0.5)
    slant = {'rotation': 40, 'ha': 'right', 'rotation_mode': 'anchor'}
    ax.set_xticks(range(size), titles, **(slant if size > 5 else {}))
    ax.set_yticks(range(size), titles)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.set_xlabel('said')
    ax.set_ylabel('true')

  height = 1.3 + max(0.36 * min(size, 14), 0.22 * size)
  return style.inline(f'confusion-{_slug(name)}', make, height=height)


def density(name, counts, low, high) -> str:
  """What is said of numbers against what is true, a picture for each.

  Args:
    name: of the target.
    counts: name of number -> B lists of B counts; those of a bin of what is
      true are a list.
    low: of the range.
    high: of the range.
  """
  columns = min(len(counts), _COLUMNS)
  rows = -(-len(counts) // columns)

  def make(_, axes):
    for ax, (title, table) in zip(axes, counts.items(), strict=False):
      most, step = max(map(max, table)) or 1, (high - low) / len(table)
      for i, line in enumerate(table):
        for j, count in enumerate(line):
          place = low + i * step, low + j * step
          _square(ax, *place, step, (count / most) ** 0.5)
      ends = [low, high]
      ax.plot(ends, ends, color=style.BEFORE, linestyle='--', linewidth=1.2)
      ax.set_xlim(*ends)
      ax.set_ylim(*ends)
      ax.set_aspect('equal')
      ax.set_title(style.shorten(title))
      ax.set_xlabel('true')
      ax.set_ylabel('said')
    style.hide(axes[len(counts) :])

  return style.inline(
    f'density-{_slug(name)}', make, height=2.9 * rows, rows=rows,
    columns=columns, width=7.2 if columns > 1 else 3.6,
  )  # fmt: skip


def _square(ax, x, y, side, share) -> None:
  """Draws a square, the darker the larger the share; none where it is 0."""
  if share:
    ax.fill(
      [x, x + side, x + side, x], [y, y, y + side, y + side],
      color=style.AFTER, alpha=_DARKEST * share, linewidth=0,
    )  # fmt: skip


def _slug(name) -> str:
  """Returns what can be part of an id."""
  return re.sub(r'\W', lambda m: f'{ord(m[0]):x}', str(name))
