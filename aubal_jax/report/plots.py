"""The curves and bars of the page: matplotlib in, inline SVG out.

Colours are placeholders that become CSS variables, so that one picture is
right on a light and on a dark page; text stays text. Equal inputs give equal
bytes: matplotlib's date is cut out, and ids come from a fixed salt.
"""

import functools
import io
import itertools
import operator
import re
import warnings

# Placeholder in matplotlib -> what stands in the page; see page.STYLE.
_COLOURS = {
  '#0a0b01': 'currentColor',
  '#0a0b02': 'var(--grid)',
  '#0a0b03': 'var(--before)',
  '#0a0b04': 'var(--after)',
  '#0a0b05': 'var(--mark)',
}
_INK, _GRID, _BEFORE, _AFTER, _MARK = _COLOURS
_RC = {
  'axes.edgecolor': _GRID,
  'axes.labelcolor': _INK,
  'axes.spines.right': False,
  'axes.spines.top': False,
  'axes.titlelocation': 'left',
  'axes.titlesize': 10,
  'axes.titleweight': 'bold',
  'axes.grid': True,
  'axes.axisbelow': True,
  'axes.unicode_minus': False,
  'font.size': 9,
  'grid.color': _GRID,
  'grid.linewidth': 0.6,
  'legend.frameon': False,
  'legend.fontsize': 8.5,
  'svg.fonttype': 'none',
  'text.color': _INK,
  'text.parse_math': False,  # A $ in a label is a $.
  'xtick.color': _GRID,
  'xtick.labelcolor': _INK,
  'ytick.color': _GRID,
  'ytick.labelcolor': _INK,
}
_WIDTH = 7.2  # Inches; the page scales it.
# Families that have Chinese, Japanese and Korean, should one be installed: the
# width of a name is then known. The page itself uses the reader's fonts.
_WIDE_FONTS = (
  *('Noto Sans CJK JP', 'Noto Sans CJK SC', 'Noto Sans JP', 'Noto Sans SC'),
  *('Source Han Sans', 'WenQuanYi Zen Hei', 'WenQuanYi Micro Hei'),
  *('IPAexGothic', 'IPAGothic', 'TakaoGothic', 'VL Gothic', 'NanumGothic'),
  *('Droid Sans Fallback', 'Hiragino Sans', 'PingFang SC', 'Yu Gothic'),
  *('Microsoft YaHei', 'MS Gothic', 'Malgun Gothic', 'Arial Unicode MS'),
)


def _draw(name, draw, *, height, columns=1):
  """Returns the SVG that draw(figure, axes) makes; ids begin with `name`."""
  import matplotlib
  from matplotlib.figure import Figure

  rc = {**_RC, 'svg.hashsalt': name, 'font.family': _families()}
  with matplotlib.rc_context(rc), warnings.catch_warnings():
    # The browser has its own fonts, and shows what matplotlib's do not.
    warnings.filterwarnings(
      'ignore', message='Glyph .* missing from|Matplotlib currently does not'
    )
    figure = Figure(figsize=(_WIDTH, height), layout='constrained')
    axes = figure.subplots(1, columns, squeeze=False)[0]
    draw(figure, axes)
    out = io.StringIO()
    figure.savefig(out, format='svg', transparent=True)
  return _inline(out.getvalue(), name)


@functools.cache
def _families():
  """Returns the families to draw with: the usual one, then wide ones."""
  from matplotlib import font_manager

  installed = set(font_manager.get_font_names())
  return ['DejaVu Sans', *(x for x in _WIDE_FONTS if x in installed)]


def _inline(svg, name):
  """Returns an SVG file as an element of a page, with its colours and ids."""
  svg = svg[svg.index('<svg') :]
  svg = re.sub(r'<metadata>.*?</metadata>', '', svg, flags=re.DOTALL)
  svg = re.sub(r' xmlns(:xlink)?="[^"]*"', '', svg)
  svg = svg.replace('xlink:href', 'href')
  svg = re.sub(r' id="', f' id="{name}-', svg)
  svg = re.sub(r'(href="|url\()#', rf'\g<1>#{name}-', svg)
  svg = re.sub(r"font: ([\d.]+px)[^;\"]*'[^;\"]*", r'font: \1 var(--font)', svg)
  svg = re.sub(
    r'font: (bold|700) ([\d.]+px)[^;\"]*', r'font: 600 \2 var(--font)', svg
  )
  # With several families matplotlib writes these instead of `font`.
  svg = re.sub(r'font-family: [^;\"]*', 'font-family: var(--font)', svg)
  svg = re.sub(r'font-weight: (bold|700)', 'font-weight: 600', svg)
  for placeholder, colour in _COLOURS.items():
    svg = svg.replace(placeholder, colour)
  return svg.strip()


def shorten(name, length=26):
  """Returns a label name on one line, cut to `length` characters."""
  name = ' '.join(str(name).split())
  return name if len(name) <= length else name[: length - 1] + '…'


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
      [p - 0.2 for p in places], before, 0.36, color=_BEFORE, label='before'
    )
    ax.barh([p + 0.2 for p in places], after, 0.36, color=_AFTER, label='after')
    ax.axvline(mean, color=_INK, linewidth=1, linestyle='--')
    ax.set_yticks(places, [shorten(n) for n in names])
    ax.tick_params(axis='y', length=0)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(axis='y', visible=False)
    ax.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}')
    ax.set_xlabel('images that show the label; dashed: mean after')
    figure.legend(loc='outside upper right', ncols=2)

  return _draw('counts', draw, height=1.0 + 0.32 * len(names))


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
      color=_AFTER,
      label='best objective so far',
      **marker,
    )
    left.plot(
      [p[0] for p in points],
      [p[2] for p in points],
      color=_BEFORE,
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
      color=_AFTER,
      **marker,
    )
    if open_gaps:
      right.set_yscale('log')
      right.minorticks_off()
    right.yaxis.set_major_formatter(lambda y, _: f'{y:.0e}')
    right.set_title('Certified gap of the solution')
    for ax in axes:
      ax.set_xlabel('optimiser step')
      ax.xaxis.set_major_locator(_few_steps())
      ax.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}')

  return _draw('convergence', draw, height=2.9, columns=2)


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
    ValueError: both are empty.
  """
  if not training and not validation:
    raise ValueError('training or validation must have a point to draw.')

  def draw(_, axes):
    if training:
      _draw_loss(axes[0], training)
    if validation:
      _draw_f1(axes[-1], validation, floor, floor_name, chosen)
    for ax in axes:
      ax.set_xlabel('training step')
      ax.xaxis.set_major_locator(_few_steps())
      ax.xaxis.set_major_formatter(lambda x, _: f'{x:,.0f}')

  columns = bool(training) + bool(validation)
  return _draw('learning', draw, height=2.9, columns=columns)


def _draw_loss(ax, training):
  few = {'marker': '.'} if len(training) < 40 else {}
  ax.plot(
    [x['step'] for x in training],
    [x['loss'] for x in training],
    color=_AFTER,
    linewidth=1.2,
    **few,
  )
  ax.set_title('Training loss')


def _draw_f1(ax, validation, floor, floor_name, chosen):
  ax.plot(
    [x[0] for x in validation],
    [x[1] for x in validation],
    color=_AFTER,
    marker='.',
  )
  ax.set_title('Validation F1 macro')
  if floor is not None:
    ax.axhline(floor, color=_BEFORE, linestyle='--', label=floor_name)
  for step, f1 in validation:
    if step == chosen:
      ax.plot(
        [step],
        [f1],
        'o',
        markersize=9,
        markerfacecolor='none',
        markeredgecolor=_MARK,
        markeredgewidth=1.6,
        label='evaluated',
      )
  if ax.get_legend_handles_labels()[0]:
    ax.legend()
  ax.set_ylim(bottom=0)


def _few_steps():
  from matplotlib.ticker import MaxNLocator

  return MaxNLocator(5, integer=True)
