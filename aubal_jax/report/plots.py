"""The curves and bars of the page, as inline SVG."""

import itertools
import operator

from aubal_jax.report import style
from aubal_jax.runs import errors


def class_counts(names, before, after):
  """Bars of the images that show each label, before and after; grows with L.

  Args:
    names: L label names.
    before: L counts.
    after: L counts.

  Returns:
    The SVG element as text.
  """
  mean = sum(after) / max(len(after), 1)

  def draw(figure, axes):
    (ax,) = axes
    places = list(range(len(names)))
    ax.barh(
      [p - 0.2 for p in places],
      before,
      0.36,
      color=style.BEFORE,
      label='before',
    )
    ax.barh(
      [p + 0.2 for p in places], after, 0.36, color=style.AFTER, label='after'
    )
    ax.axvline(mean, color=style.INK, linewidth=1, linestyle='--')
    ax.set_yticks(places, [style.shorten(n) for n in names])
    ax.tick_params(axis='y', length=0)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis='y', visible=False)
    ax.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}')
    ax.set_xlabel('images that show the label; dashed: mean after')
    figure.legend(loc='outside upper right', ncols=2)

  return style.inline('counts', draw, height=1.0 + 0.32 * len(names))


def convergence(trace):
  """The objective coming down on the bound below it, and the gap between.

  Args:
    trace: dict of equally long lists: `step`, `value`, `lower_bound`, and, if
      there, `cost`, the price of the added images, which the bound includes.

  Returns:
    The SVG element as text.
  """
  cost = trace.get('cost') or [0.0] * len(trace['step'])
  priced = map(operator.add, trace['value'], cost)
  # Newton steps begin anew from the middle of the box: the best so far, each
  # with its value without the price, which the relative gap is relative to.
  best = list(
    itertools.accumulate(zip(priced, trace['value'], strict=True), min)
  )
  value = [v for v, _ in best]
  points = [
    (s, v, b, max(v - b, 0) / max(1.0, abs(plain)))
    for s, (v, plain), b in zip(
      trace['step'], best, trace['lower_bound'], strict=True
    )
    if b is not None
  ]
  marker = {'marker': '.', 'markersize': 4} if len(value) < 60 else {}

  def draw(_, axes):
    left, right = axes
    left.plot(
      trace['step'],
      value,
      color=style.AFTER,
      label='best objective so far',
      **marker,
    )
    left.plot(
      [p[0] for p in points],
      [p[2] for p in points],
      color=style.BEFORE,
      linestyle='--',
      label='certified lower bound',
      **marker,
    )
    low, high = min(value), max(value)
    span = (high - low) or max(abs(high), 1.0) * 0.1
    lowest = min([p[2] for p in points], default=low)
    left.set_ylim(
      max(lowest, low - 0.5 * span) - 0.06 * span, high + 0.06 * span
    )
    left.yaxis.set_major_formatter(lambda y, _: f'{y:,.6g}')
    left.set_title('Objective')
    left.legend()
    open_gaps = [p for p in points if p[3] > 0]
    right.plot(
      [p[0] for p in open_gaps],
      [p[3] for p in open_gaps],
      color=style.AFTER,
      **marker,
    )
    if open_gaps:
      right.set_yscale('log')
      right.minorticks_off()
    right.yaxis.set_major_formatter(lambda y, _: f'{y:.0e}')
    right.set_title('Certified gap of the solution')
    for ax in axes:
      ax.set_xlabel('optimiser step')
      style.count_along(ax.xaxis)

  return style.inline('convergence', draw, height=2.9, columns=2)


def learning(training, validation, *, floor=None, floor_name='', chosen=None):
  """Training loss and validation F1 macro over the steps; one if one is empty.

  Args:
    training: lines with `step` and `loss`.
    validation: pairs (step, F1 macro).
    floor: F1 macro of saying yes to everything, or None.
    floor_name: of the floor, which says on what images it is.
    chosen: step of the checkpoint that was evaluated, or None.

  Returns:
    The SVG element as text.

  Raises:
    UserError: both are empty.
  """
  if not training and not validation:
    raise errors.UserError('training or validation must have a point to draw.')

  def draw(_, axes):
    if training:
      _draw_loss(axes[0], training)
    if validation:
      _draw_f1(axes[-1], validation, floor, floor_name, chosen)
    for ax in axes:
      ax.set_xlabel('training step')
      style.count_along(ax.xaxis)

  columns = bool(training) + bool(validation)
  return style.inline('learning', draw, height=2.9, columns=columns)


def _draw_loss(ax, training):
  few = {'marker': '.'} if len(training) < 40 else {}
  ax.plot(
    [x['step'] for x in training],
    [x['loss'] for x in training],
    color=style.AFTER,
    linewidth=1.2,
    **few,
  )
  ax.set_title('Training loss')


def _draw_f1(ax, validation, floor, floor_name, chosen):
  ax.plot(
    [x[0] for x in validation],
    [x[1] for x in validation],
    color=style.AFTER,
    marker='.',
  )
  ax.set_title('Validation F1 macro')
  if floor is not None:
    ax.axhline(floor, color=style.BEFORE, linestyle='--', label=floor_name)
  for step, f1 in validation:
    if step == chosen:
      ax.plot(
        [step],
        [f1],
        'o',
        markersize=9,
        markerfacecolor='none',
        markeredgecolor=style.MARK,
        markeredgewidth=1.6,
        label='evaluated',
      )
  if ax.get_legend_handles_labels()[0]:
    ax.legend()
  ax.set_ylim(bottom=0)
