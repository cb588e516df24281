"""The curves and bars of the page, as inline SVG."""

import itertools
import operator

from aubal_jax.report import style
from aubal_jax.runs import errors


def class_counts(names, before, after) -> str:
  """Bars of the images that show each label, before and after; grows with L.

  Args:
    names: L label names.
    before: L counts.
    after: L counts.
  """
  mean = sum(after) / max(len(after), 1)

  def make(figure, axes):
    (ax,) = axes
    for shift, counts, color, label in (
      (-0.2, before, style.BEFORE, 'before'),
      (0.2, after, style.AFTER, 'after'),
    ):
      places = [place + shift for place in range(len(names))]
      ax.barh(places, counts, 0.36, color=color, label=label)
    ax.axvline(mean, color=style.INK, linewidth=1, linestyle='--')
    ax.set_yticks(range(len(names)), [style.shorten(n) for n in names])
    ax.tick_params(axis='y', length=0)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis='y', visible=False)
    ax.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}')
    ax.set_xlabel('images that show the label; dashed: mean after')
    figure.legend(loc='outside upper right', ncols=2)

  return style.inline('counts', make, height=1.0 + 0.32 * len(names))


def beside(names, networks) -> str:
  """F1 of each label at threshold 0.5 under each plan; grows with L.

  Args:
    names: L label names.
    networks: name of plan -> entry of controls.json, with its `report`.
  """
  colours = (style.SOFT, style.BEFORE, style.AFTER, *style.CYCLE[2:])
  step = 0.7 / max(len(networks), 1)

  def make(figure, axes):
    (ax,) = axes
    for i, (name, network) in enumerate(networks.items()):
      found = [network['report']['per_label'][label] for label in names]
      places = [
        place + (i - (len(networks) - 1) / 2) * step
        for place in range(len(names))
      ]
      color = colours[i % len(colours)]
      for place, entry in zip(places, found, strict=True):
        if entry['positives'] and entry.get('f1_interval'):
          ax.plot(entry['f1_interval'], [place] * 2, color=color, linewidth=1)
      f1 = [entry['f1'] for entry in found]
      marker = style.MARKERS[i % len(style.MARKERS)]
      ax.plot(f1, places, marker, color=color, markersize=5, label=name)
    floors = [entry['f1_all_positive'] for entry in found]
    for place, floor in enumerate(floors):
      ax.plot([floor] * 2, [place - 0.4, place + 0.4], color=style.INK)
    ax.set_yticks(range(len(names)), [style.shorten(n) for n in names])
    ax.tick_params(axis='y', length=0)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 1)
    ax.grid(axis='y', visible=False)
    ax.set_xlabel('F1 at threshold 0.5')
    figure.legend(loc='outside upper right', ncols=len(networks))

  height = 1.0 + (0.16 + 0.1 * len(networks)) * len(names)
  return style.inline('beside', make, height=height)


def convergence(trace) -> str:
  """The objective coming down on the bound below it, and the gap between.

  A gap that is known once is not drawn: it is a number.

  Args:
    trace: dict of equally long lists: `step`, `value`, `lower_bound`, and, if
      there, `cost`, the price of the added images, which the bound includes.
  """
  steps, bounds = trace['step'], trace['lower_bound']
  cost = trace.get('cost') or [0.0] * len(steps)
  priced = map(operator.add, trace['value'], cost)
  # Newton steps begin anew from the middle of the box: the best so far, each
  # with its value without the price, which the relative gap is relative to.
  best = [*itertools.accumulate(zip(priced, trace['value'], strict=True), min)]
  bounded = [
    (s, b) for s, b in zip(steps, bounds, strict=True) if b is not None
  ]
  gaps = [
    (s, (value - b) / max(1.0, abs(plain)))
    for s, (value, plain), b in zip(steps, best, bounds, strict=True)
    if b is not None and value > b
  ]
  values = [value for value, _ in best]
  low, high = min(values), max(values)
  span = (high - low) or max(abs(high), 1.0) * 0.1
  bottom = max(min((b for _, b in bounded), default=low), low - 0.5 * span)
  marked = {'marker': '.', 'markersize': 4} if len(values) < 60 else {}
  blue = {'color': style.AFTER, **marked}
  floor = {'color': style.BEFORE, 'linestyle': '--', **marked}

  def make(_, axes):
    left, *others = axes
    left.plot(steps, values, label='best objective so far', **blue)
    left.plot(*_split(bounded), label='certified lower bound', **floor)
    left.set_ylim(bottom - 0.06 * span, high + 0.06 * span)
    left.yaxis.set_major_formatter(lambda y, _: f'{y:,.6g}')
    left.set_title('Objective')
    left.legend()
    for right in others:
      right.plot(*_split(gaps), **blue)
      right.set_yscale('log')
      right.minorticks_off()
      right.yaxis.set_major_formatter(lambda y, _: f'{y:.0e}')
      right.set_title('Certified gap of the solution')
    _over(axes, 'optimiser step')

  columns = 1 + (len(gaps) > 1)
  return style.inline('convergence', make, height=2.9, columns=columns)


def learning(
  training,
  validation,
  *,
  floor=None,
  floor_name='',
  chosen=None,
  score='F1 macro',
) -> str:
  """Training loss and validation score over the steps; one if one is empty.

  Args:
    training: lines with `step` and `loss`.
    validation: pairs (step, score).
    floor: F1 macro of saying yes to everything, or None.
    floor_name: of the floor, which says on what images it is.
    chosen: step of the checkpoint that was evaluated, or None.
    score: what it is called.

  Raises:
    UserError: both are empty.
  """
  if not training and not validation:
    raise errors.UserError('training or validation must have a point to draw.')

  def make(_, axes):
    if training:
      few = {'marker': '.'} if len(training) < 40 else {}
      points = [(line['step'], line['loss']) for line in training]
      axes[0].plot(*_split(points), color=style.AFTER, linewidth=1.2, **few)
      axes[0].set_title('Training loss')
    if validation:
      _draw_score(axes[-1], validation, floor, floor_name, chosen)
      axes[-1].set_title(f'Validation {score}')
    _over(axes, 'training step')

  columns = bool(training) + bool(validation)
  return style.inline('learning', make, height=2.9, columns=columns)


def _draw_score(ax, validation, floor, floor_name, chosen):
  ax.plot(*_split(validation), color=style.AFTER, marker='.')
  if floor is not None:
    ax.axhline(floor, color=style.BEFORE, linestyle='--', label=floor_name)
  for point in validation:
    if point[0] == chosen:
      style.ring(ax, *point, size=9, width=1.6, label='evaluated')
  if ax.get_legend_handles_labels()[0]:
    ax.legend()
  ax.set_ylim(bottom=min(0, *(score for _, score in validation)))


def _split(points):
  """Returns pairs as two lists."""
  return [x for x, _ in points], [y for _, y in points]


def _over(axes, name):
  """Names what runs along: whole numbers of steps."""
  for ax in axes:
    ax.set_xlabel(name)
    style.count_along(ax.xaxis)
