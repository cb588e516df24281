"""The one style of all pictures: matplotlib in, a file or inline SVG out.

Colours are those of a light page (html.STYLE). In a picture inside a page they
become its CSS variables, so that it is right on a dark page too; text stays
text. Equal inputs give equal bytes: no date, and ids from a fixed salt.
"""

import functools
import io
import re
import warnings

# Colour in a file -> what stands in the page; see html.STYLE.
_COLOURS = {
  '#1b1f24': 'currentColor',
  '#59636e': 'var(--soft)',
  '#cfd5dc': 'var(--grid)',
  '#d98c00': 'var(--before)',
  '#0068a8': 'var(--after)',
  '#b0005a': 'var(--mark)',
}
INK, SOFT, GRID, BEFORE, AFTER, MARK = _COLOURS
# What is compared with, behind the lines themselves; and those, in turn.
OTHERS = {'color': SOFT, 'alpha': 0.35, 'linewidth': 0.7}
CYCLE = (AFTER, BEFORE, MARK, '#2e8540', '#6f4bb2', '#8a5a2b')
# A legend that lines go behind.
ON_PAPER = {
  'frameon': True, 'facecolor': 'white', 'edgecolor': 'none', 'framealpha': 0.9
}  # fmt: skip
MARKERS = 'osD^v*XP'
_RC = {
  'axes.axisbelow': True,
  'axes.edgecolor': GRID,
  'axes.grid': True,
  'axes.labelcolor': INK,
  'axes.spines.right': False,
  'axes.spines.top': False,
  'axes.titlelocation': 'left',
  'axes.titlesize': 10,
  'axes.titleweight': 'bold',
  'axes.unicode_minus': False,
  'figure.labelsize': 9,
  'figure.titlesize': 9,
  'font.size': 9,
  'grid.color': GRID,
  'grid.linewidth': 0.6,
  'legend.fontsize': 8.5,
  'legend.frameon': False,
  'savefig.dpi': 150,
  'svg.fonttype': 'none',
  'text.color': INK,
  'text.parse_math': False,  # A $ in a label is a $.
  'xtick.color': GRID,
  'xtick.labelcolor': INK,
  'ytick.color': GRID,
  'ytick.labelcolor': INK,
}
# Families that have Chinese, Japanese and Korean, should one be installed: the
# width of a name is then known. The page itself uses the reader's fonts.
_WIDE_FONTS = (
  *('Noto Sans CJK JP', 'Noto Sans CJK SC', 'Noto Sans JP', 'Noto Sans SC'),
  *('Source Han Sans', 'WenQuanYi Zen Hei', 'WenQuanYi Micro Hei'),
  *('IPAexGothic', 'IPAGothic', 'TakaoGothic', 'VL Gothic', 'NanumGothic'),
  *('Droid Sans Fallback', 'Hiragino Sans', 'PingFang SC', 'Yu Gothic'),
  *('Microsoft YaHei', 'MS Gothic', 'Malgun Gothic', 'Arial Unicode MS'),
)


# Kinds of files, and what keeps the date out of them.
_NO_DATE = {
  'png': {'Software': None},
  'svg': {'Date': None},
  'pdf': {'CreationDate': None},
}
KINDS = (*_NO_DATE,)


def draw(
  make,
  kind='png',
  *,
  height,
  width=7.2,
  rows=1,
  columns=1,
  salt='picture',
  transparent=False,
  **options,
):
  """Returns the content of a file with what make(figure, axes) draws, bytes.

  Args:
    make: function of a matplotlib figure and its rows x columns axes, a list.
    kind: one of KINDS.
    height: in inches.
    width: in inches.
    rows: of axes.
    columns: of axes.
    salt: of the ids in an SVG.
    transparent: whether there is nothing behind it.
    **options: of `Figure.subplots`.
  """
  import matplotlib
  from matplotlib.figure import Figure

  rc = {**_RC, 'svg.hashsalt': salt, 'font.family': _families()}
  out = io.BytesIO()
  with matplotlib.rc_context(rc), warnings.catch_warnings():
    # The browser has its own fonts, and shows what matplotlib's do not.
    warnings.filterwarnings(
      'ignore', message='Glyph .* missing from|Matplotlib currently does not'
    )
    figure = Figure((width, height), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    make(figure, axes.ravel().tolist())
    figure.savefig(
      out, format=kind, metadata=_NO_DATE[kind], transparent=transparent
    )
  return out.getvalue()


def inline(name, make, **options):
  """Returns the SVG element that make(figure, axes) draws, for a page.

  Args:
    name: of the picture; its ids begin with it.
    make: see `draw`.
    **options: of `draw`.
  """
  svg = draw(make, 'svg', salt=name, transparent=True, **options).decode()
  return _inline(svg, name)


@functools.cache
def _families():
  """Returns the families to draw with: the usual one, then wide ones."""
  from matplotlib import font_manager

  installed = set(font_manager.get_font_names())
  wide = [x for x in _WIDE_FONTS if x in installed]
  return ['DejaVu Sans', *wide, 'sans-serif']


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
  for colour, variable in _COLOURS.items():
    svg = svg.replace(f': {colour}', f': {variable}')
  return svg.strip()


def shorten(name, length=26):
  """Returns a label name on one line, cut to `length` characters."""
  name = ' '.join(str(name).split())
  return name if len(name) <= length else name[: length - 1] + '…'


def legend(figure, axes, loc='outside upper right', **options):
  """Draws one legend for all axes, where any has a label."""
  handles = {
    label: handle
    for ax in axes
    for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
  }
  if handles:
    figure.legend(handles.values(), handles, loc=loc, **options)


def ring(ax, x, y, *, size, width, color=MARK, **options):
  """Draws a ring around the point that is chosen."""
  ax.plot(
    x, y, 'o', color=color, markersize=size, markerfacecolor='none',
    markeredgewidth=width, **options,
  )  # fmt: skip


def hide(axes):
  """Leaves out axes that have nothing to show."""
  for ax in axes:
    ax.set_visible(False)


def count_along(axis, most=5):
  """Marks an axis at whole numbers, few of them, written 12,345."""
  from matplotlib.ticker import MaxNLocator

  axis.set_major_locator(MaxNLocator(most, integer=True))
  axis.set_major_formatter(lambda x, _: f'{x:,.0f}')
