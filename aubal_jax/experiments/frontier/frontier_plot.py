"""The picture of a frontier: imbalance against the images added."""

from __future__ import annotations

import pathlib
import textwrap

import numpy as np

from aubal_jax.report import style
from aubal_jax.runs import errors
from aubal_jax.runs import files

_WIDTH = 78  # Characters of the heading.
_FLOOR = '#e9ecf0'  # Between the grid and the paper.


def plot(frontier, path) -> None:
  """Draws imbalance against the images added, with what each image is worth.

  Above, the points and the certified floor below them; the point chosen and
  the knee are marked, and the heading says what the knee brings. Along budgets
  it is the value f, below it no growth with so many images can be; along lam it
  is the imbalance alone, below it none that varies as little. Below, the price
  of an image, or lam. Relative to the start, where it is above 0. Equal
  frontiers give equal files.

  Args:
    frontier: a Frontier, or whatever has its attributes over, objective,
      chosen, value_start and the columns.
    path: of the picture, .png, .svg or .pdf; written whole or not at all.

  Raises:
    UserError: the path ends in something else.
  """
  kind = pathlib.Path(path).suffix.removeprefix('.').lower()
  if kind not in style.KINDS:
    raise errors.UserError(
      f'path must end in one of {sorted(style.KINDS)}; it is {str(path)!r}.'
    )

  def make(figure, axes):
    above, below = axes
    figure.suptitle(
      textwrap.fill(conclusion(frontier), _WIDTH),
      x=0.01, horizontalalignment='left', fontsize=10.5, fontweight='bold',
    )  # fmt: skip
    _draw_values(above, frontier)
    _draw_price(below, frontier)

  picture = style.draw(
    make, kind, height=5.6, rows=2, sharex=True, height_ratios=(3, 1)
  )
  with files.write_atomically(path, 'wb') as file:
    file.write(picture)


def conclusion(frontier) -> str:
  """Returns what the points say: what the knee brings, and for how much.

  Args:
    frontier: as `plot` takes it.
  """
  k, height = frontier.knee, frontier.height
  whole = frontier.value_start - height.min()
  if np.ptp(height) <= 1e-9 or whole <= 0:
    return 'No number of images within the bounds is more even than the start.'
  if k is None:
    return 'There is no knee: each image brings as much as the one before.'
  words = f'The knee is at {_images(frontier, k)}'
  share = (frontier.value_start - height[k]) / whole
  if share > 0:
    words += f', with {100 * share:.0f} % of the evenness that can be had'
  return f'{words}; all of it is at {_images(frontier, height.argmin())}.'


def _images(frontier, k) -> str:
  """Returns '+12 images (+3.4 %)' of a point."""
  added = frontier.added[k]
  share = 100 * added / frontier.images_start
  return f'{added:+,.0f} images ({share:+.3g} %)'


def _draw_values(ax, frontier):
  """Draws what is had for the images, the floor below it, and the choice."""
  value, floor, name = _heights(frontier)
  added, k = frontier.added, frontier.chosen
  room = 0.12 * max(value.max() - value.min(), 0.01 * abs(value).max(), 1e-9)
  bottom = floor.min() - room
  if frontier.over == 'budget':
    places, heights = _with_corners(frontier, floor)
    ax.fill_between(
      places, bottom, heights, color=_FLOOR, linewidth=0,
      label='certified: with so many images nothing lies here',
    )  # fmt: skip
  else:
    ax.plot(
      added, floor, color=style.GRID, linewidth=6, solid_capstyle='round',
      label='certified floor at the same variance of growth',
    )  # fmt: skip
  ax.plot(
    added, value, color=style.AFTER, marker='o', markersize=3.5, linewidth=1.4
  )
  label = f'chosen: {_describe(frontier, k, value[k])}'
  style.ring(ax, added[k], value[k], size=9, width=1.8, label=label)
  if frontier.knee is not None:
    _mark_knee(ax, frontier, value)
  ax.set_ylim(bottom, value.max() + room)
  ax.set_title(
    f'Objective {frontier.objective}, certified within '
    f'{max(frontier.gap.max(), 1e-16):.0e}; {frontier.images_start:,} images '
    'at the start', fontweight='normal', fontsize=9,
  )  # fmt: skip
  ax.set_ylabel(name)
  ax.yaxis.set_major_formatter(lambda y, _: f'{y:,.6g}')
  ax.legend(loc='upper right', **style.ON_PAPER)


def _mark_knee(ax, frontier, value):
  """Draws the line that the knee is farthest from, and names the knee."""
  added, k = frontier.added, frontier.knee
  ends = [int(np.argmin(added)), int(np.argmax(added))]
  ax.plot(
    added[ends], value[ends], color=style.SOFT, linewidth=0.9, linestyle=':',
    label='from end to end: the knee is farthest below',
  )  # fmt: skip
  ax.plot(
    added[k], value[k], 's', color=style.BEFORE, markersize=7,
    label=f'knee: {_describe(frontier, k, value[k])}',
  )  # fmt: skip
  ax.annotate(
    'knee', (added[k], value[k]), (-6, -6), textcoords='offset points',
    horizontalalignment='right', verticalalignment='top', fontweight='bold',
  )  # fmt: skip


def _with_corners(frontier, floor):
  """Returns the floor over images, with its corners between the points.

  A bound holds for other budgets too, with the price of the images between: the
  floor is the highest of these lines, and two of them meet between two points.
  """
  x = frontier.added
  scale = 100 / frontier.value_start if _is_relative(frontier) else 1.0
  price = scale * frontier.image_price
  drop = price[:-1] - price[1:]
  ahead = floor[:-1] - price[:-1] * np.diff(x)  # The left one's, at the right.
  step = (floor[1:] - ahead) / np.where(drop > 0, drop, np.inf)
  step = np.clip(step, 0.0, np.diff(x))
  between = floor[1:] + price[1:] * step
  corners = np.stack([x[1:] - step, between], axis=1)
  points = np.stack([x, floor], axis=1)
  order = np.argsort(np.append(np.arange(len(x)), np.arange(len(x) - 1) + 0.5))
  return np.concatenate([points, corners])[order].T


def _heights(frontier):
  """Returns what is drawn, its floor, and what it is called."""
  value, floor = frontier.value, frontier.lower_bound
  name = 'imbalance f'
  if frontier.over == 'lam':
    spread = frontier.lam_effective * frontier.growth_var
    value, floor, name = frontier.imbalance, floor - spread, 'imbalance'
  start = frontier.value_start
  if _is_relative(frontier):
    return (
      100 * value / start,
      100 * floor / start,
      f'{name}, % of that at the start',
    )
  return value - start, floor - start, f'{name}, less that at the start'


def _is_relative(frontier) -> bool:
  """Whether f has a natural zero, and more than that at the start."""
  return frontier.objective != 'log' and frontier.value_start > 0


def _describe(frontier, k, height) -> str:
  """Returns what the legend says of a point."""
  figure = f'{height:.1f} %' if _is_relative(frontier) else f'{height:,.5g}'
  return f'{_images(frontier, k)}, {figure}, MeanIR {frontier.mean_ir[k]:.2f}'


def _draw_price(ax, frontier):
  """Draws the price of an image, or lam, under the points."""
  added, k = frontier.added, frontier.chosen
  name, heights = 'price of an\nimage, in f', frontier.image_price
  if frontier.over == 'lam':
    name, heights = 'lam', frontier.lam
    ax.set_yscale('log')
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(lambda y, _: f'{y:,g}')
  ax.plot(
    added, heights, color=style.AFTER, marker='.', markersize=4, linewidth=1
  )
  style.ring(ax, added[k], heights[k], size=7, width=1.5)
  if frontier.knee is not None:
    knee = added[frontier.knee], heights[frontier.knee]
    ax.plot(*knee, 's', color=style.BEFORE, markersize=5)
  ax.margins(y=0.15)
  if np.ptp(added) < 1:  # Nothing pays: one point, and no range around it.
    ax.set_xlim(added[k] - 10, added[k] + 10)
  ax.set_ylabel(name)
  ax.set_xlabel('images added, and in % of those at the start')
  style.count_along(ax.xaxis, 6)
  start = frontier.images_start
  ax.xaxis.set_major_formatter(
    lambda x, _: f'{x:+,.0f}\n{100 * x / start:+.3g} %' if x else '0'
  )
