"""Pictures of the page: matplotlib in, inline SVG out.

Colours are placeholders that become CSS variables, so that one picture is
right on a light and on a dark page; text stays text. Equal inputs give equal
bytes: matplotlib's date is cut out, and ids come from a fixed salt.
"""

import functools
import io
import re
import warnings

# Placeholder in matplotlib -> what stands in the page; see html.STYLE.
_COLOURS = {
  '#0a0b01': 'currentColor',
  '#0a0b02': 'var(--grid)',
  '#0a0b03': 'var(--before)',
  '#0a0b04': 'var(--after)',
  '#0a0b05': 'var(--mark)',
}
INK, GRID, BEFORE, AFTER, MARK = _COLOURS
_RC = {
  'axes.edgecolor': GRID,
  'axes.labelcolor': INK,
  'axes.spines.right': False,
  'axes.spines.top': False,
  'axes.titlelocation': 'left',
  'axes.titlesize': 10,
  'axes.titleweight': 'bold',
  'axes.grid': True,
  'axes.axisbelow': True,
  'axes.unicode_minus': False,
  'font.size': 9,
  'grid.color': GRID,
  'grid.linewidth': 0.6,
  'legend.frameon': False,
  'legend.fontsize': 8.5,
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


def draw(name, make, *, height, width=7.2, rows=1, columns=1, **options):
  """Returns the SVG that make(figure, axes) draws.

  Args:
    name: of the picture; its ids begin with it.
    make: function of a matplotlib figure and its rows x columns axes, a list.
    height: in inches.
    width: in inches; the page scales it.
    rows: of axes.
    columns: of axes.
    **options: of `Figure.subplots`.
  """
  import matplotlib
  from matplotlib.figure import Figure

  rc = {**_RC, 'svg.hashsalt': name, 'font.family': _families()}
  with matplotlib.rc_context(rc), warnings.catch_warnings():
    # The browser has its own fonts, and shows what matplotlib's do not.
    warnings.filterwarnings(
      'ignore', message='Glyph .* missing from|Matplotlib currently does not'
    )
    figure = Figure(figsize=(width, height), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    make(figure, axes.ravel().tolist())
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
