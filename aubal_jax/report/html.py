"""The pieces of one self-contained HTML page: style, tables, pictures.

Nothing is fetched: style and pictures are in the file, and its policy forbids
any request. Whatever comes from a table goes through `text`.
"""

import base64
import html
import itertools
import math

from aubal_jax.runs import errors

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24;
  --soft: #59636e; --panel: #f5f6f8; --grid: #cfd5dc; --before: #d98c00;
  --after: #0068a8; --mark: #b0005a; --shade: #00000038;
  --font: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c;
  --ink: #e6e9ee; --soft: #a3adb9; --panel: #1e232b; --grid: #3d4652;
  --before: #f0b23e; --after: #5fb4ee; --mark: #ff7dbb;
  --shade: #ffffff40; } }
* { box-sizing: border-box; }
/* One width for words, pictures and tables. */
body { margin: 0 auto; max-width: 61rem; padding: 1.5rem 1rem 4rem;
  background: var(--paper); color: var(--ink);
  font: 16px/1.55 var(--font); overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .4rem; }
p { margin: .5rem 0; }
.soft, figcaption { color: var(--soft); font-size: .88rem; }
.lead { font-size: 1.1rem; }
h1 small { display: block; font-size: 1.1rem; font-weight: 400;
  line-height: 1.45; margin-top: .4rem; }
.tiles { display: grid; gap: .7rem; margin: 1.2rem 0; padding: 0;
  grid-template-columns: repeat(auto-fit, minmax(10.4rem, 1fr)); }
.tile { background: var(--panel); border-radius: .5rem;
  padding: .7rem .9rem; }
.tile b { display: block; font-size: 1.45rem; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
.tile span { display: block; font-size: .84rem; color: var(--soft); }
.scroll { overflow: auto; max-height: 36rem; margin: .4rem 0; }
/* A shade at the side behind which there is more. */
.scroll, .plot { background:
  linear-gradient(to right, var(--paper) 36%, transparent) left / 2rem 100%
    no-repeat local,
  linear-gradient(to left, var(--paper) 36%, transparent) right / 2rem 100%
    no-repeat local,
  linear-gradient(to right, var(--shade), transparent) left / .7rem 100%
    no-repeat scroll,
  linear-gradient(to left, var(--shade), transparent) right / .7rem 100%
    no-repeat scroll; }
table { border-collapse: collapse; width: 100%; font-size: .88rem;
  font-variant-numeric: tabular-nums; }
code { white-space: nowrap; }
th, td { padding: .26rem .34rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--grid); }
thead th { position: sticky; top: 0; z-index: 1; background: var(--paper);
  vertical-align: bottom; font-weight: 600; white-space: normal; }
th:first-child, .left { text-align: left; }
tbody th, tfoot th { position: sticky; left: 0; background: var(--paper); }
thead th:first-child { left: 0; z-index: 2; }
thead th[colspan] { text-align: center; border-bottom: 0; }
thead:has(th[colspan]) th { position: static; }
tbody th { font-weight: 500; white-space: normal; min-width: 6rem;
  max-width: 18rem; }
td.left { white-space: normal; } td.soft, td .soft { font-size: inherit; }
td .verdict { white-space: nowrap; }
tfoot th, tfoot td { font-weight: 600; border-bottom: 0; }
.bar { position: relative; display: inline-block; width: 6rem;
  height: .7rem; background: var(--panel); vertical-align: middle; }
.bar i { position: absolute; left: 0; height: 100%;
  background: var(--after); }
.bar i.was { background: var(--before); height: 50%; }
.bar i.now { height: 50%; top: 50%; }
.bar i.range { height: 2px; top: calc(50% - 1px);
  background: var(--ink); }
.bar i.floor { width: 3px; margin-left: -1px; height: 140%; top: -20%;
  background: var(--before); }
.chip { display: inline-block; background: var(--panel);
  border-radius: .3rem; padding: 0 .4rem; margin: .05rem .15rem .05rem 0; }
figure { margin: .8rem 0; } .plot { overflow-x: auto; }
.plot svg { display: block; width: 100%; min-width: 34rem; height: auto; }
.sheet { display: grid; gap: .9rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); }
.strip { margin: 0; background: var(--panel); border-radius: .5rem;
  padding: .6rem; }
.strip .chip { background: var(--paper); }
.strip figcaption { margin-top: .35rem; }
.strip div { display: flex; gap: .35rem; overflow: hidden; }
.strip img { display: block; flex: 0 1 5.9rem; min-width: 2.5rem;
  width: 5.9rem; height: auto;
  border-radius: .2rem; align-self: flex-start; }
.strip img:first-child { outline: 3px solid var(--before);
  outline-offset: -3px; margin-right: .4rem; }
details { margin: .7rem 0; } summary { cursor: pointer; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px;
  margin: 0 .3em 0 .5em; vertical-align: -.05em; }
.keyed { display: inline-block; }
h3 { font-size: 1rem; margin: 1.1rem 0 .3rem; }
.findings { list-style: none; padding: 0; }
.findings li { border-left: 4px solid var(--grid); padding: .1rem .8rem;
  margin: .8rem 0; }
.findings .wrong { border-color: var(--mark); }
.findings .wrong b { color: var(--mark); }
.findings .odd { border-color: var(--before); }
.thumbs { display: flex; flex-wrap: wrap; gap: .5rem; }
.thumbs figure { margin: 0; width: 7rem; }
.thumbs img { display: block; border-radius: .2rem;
  outline: 1px solid var(--grid); }
.thumbs figcaption { font-size: .7rem; line-height: 1.25; max-height: 2.5em;
  overflow: hidden; overflow-wrap: anywhere; }
.heat table { width: auto; }
/* What a test says: a colour, a sign and a word. */
.verdict { display: inline-block; background: var(--panel);
  border-left: 4px solid var(--grid); border-radius: .2rem;
  padding: .05rem .5rem; }
.verdict.better { border-color: var(--after); }
.verdict.worse { border-color: var(--before); }
.sign { font-size: .8em; } .sign.better { color: var(--after); }
.sign.worse { color: var(--before); }
.heat .scroll, .whole .scroll { max-height: none; }
.heat thead th { writing-mode: vertical-rl; text-align: left;
  padding: .4rem .1rem; font-weight: 500; }
.heat td { position: relative; isolation: isolate; text-align: center;
  min-width: 1.9rem; padding: .2rem; }
.heat td i { position: absolute; inset: 0; z-index: -1;
  background: var(--after); }
@media (max-width: 36rem) {
  body { font-size: 15px; } h1 { font-size: 1.45rem; }
  table { font-size: .82rem; } th, td { padding: .26rem .28rem; }
  tbody th { min-width: 5.5rem; max-width: 8.5rem; }
  .bar { width: 3.6rem; } .tile b { font-size: 1.2rem; }
  .thumbs figure { width: 5.4rem; }
  .plot + figcaption::before { content: "Goes on sideways \\2194  "; } }
@media print { .scroll { max-height: none; overflow: visible; } }
"""

NONE = '&ndash;'  # Where there is no number.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def text(value):
  """Returns any value as text that is safe inside elements and attributes."""
  return html.escape(str(value))


def number(value, digits=None):
  """Returns 12,345, or 0.123 with 3 `digits`; a dash for None and NaN."""
  if value is None or math.isnan(value):
    return NONE
  return f'{value:,.0f}' if digits is None else f'{value:,.{digits}f}'


def count(n, noun):
  """Returns '1 image', '1,234 images'."""
  return f'{number(n)} {noun}{"" if n == 1 else "s"}'


def value(x):
  """Returns a quantity of any size with about four digits."""
  return f'{x:,.0f}' if abs(x) >= 1000 else f'{x:.4g}'


def bar(*parts):
  """Returns a small bar: parts are (class, left, width), shares of 1."""
  pieces = ''.join(
    f'<i class="{kind}" style="left:{100 * left:.1f}%'
    + (f';width:{100 * width:.1f}%' if width is not None else '')
    + '"></i>'
    for kind, left, width in parts
  )
  return f'<span class="bar" aria-hidden="true">{pieces}</span>'


def key(variable, name):
  """Returns a little square of a colour of the style, and what it means."""
  return (
    '<span class="keyed">'
    f'<span class="key" style="background:var(--{variable})"></span>'
    f'{text(name)}</span>'
  )


def chips(names):
  """Returns names, each on a ground of its own."""
  return ''.join(f'<span class="chip">{text(name)}</span>' for name in names)


def tiles(entries):
  """Returns the main numbers, large: entries are (number, note...), HTML."""
  out = ''
  for figure, *notes in entries:
    lines = ''.join(f'<span>{note}</span>' for note in notes)
    out += f'<div class="tile"><b>{figure}</b>{lines}</div>'
  return f'<div class="tiles">{out}</div>' if out else ''


def lead(content):
  """Returns a paragraph of what is read first; HTML."""
  return f'<p class="lead">{content}</p>'


def soft(content):
  """Returns a paragraph of what is beside the point; HTML."""
  return f'<p class="soft">{content}</p>'


def soft_text(content):
  """Returns words within a line that are beside the point; HTML."""
  return f'<span class="soft">{content}</span>'


def section(title, content):
  """Returns HTML under a heading, which is text."""
  return f'<h2>{text(title)}</h2>\n{content}'


def table(caption, columns, rows, *, foot=(), over=(), kind=''):
  """Returns a table that scrolls within itself; its first column heads rows.

  Args:
    caption: what the table shows; HTML.
    columns: C headings, text.
    rows: lists of C cells, HTML; a cell (class, HTML) has a class.
    foot: rows of the same kind, set off at the end.
    over: (heading, how many columns it is over), in order.
    kind: class of it all, such as 'heat'.
  """

  sides = [_of_cell(cell)[0] for cell in rows[0]] if rows else []
  heads = ''.join(
    f'<th scope="col"{" class=left" if side == "left" else ""}>{text(c)}</th>'
    for c, side in itertools.zip_longest(columns, sides)
  )
  above = ''.join(
    f'<th scope="colgroup" colspan="{wide}">{text(c)}</th>' for c, wide in over
  )
  if above:
    heads = f'{above}</tr><tr>{heads}'
  body = '\n'.join(_line(row) for row in rows)
  feet = ''.join(_line(row) for row in foot)
  figure = f'<figure class="{kind}">' if kind else '<figure>'
  return (
    f'{figure}<figcaption>{caption}</figcaption>\n'
    '<div class="scroll" tabindex="0"><table>\n'
    f'<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>'
    + (f'\n<tfoot>{feet}</tfoot>' if feet else '')
    + '</table></div></figure>'
  )


def _line(cells):
  """Returns a row of a table; its first cell heads it."""
  head, *others = cells
  out = f'<tr><th scope="row">{head}</th>'
  for kind, cell in map(_of_cell, others):
    out += f'<td class="{kind}">{cell}</td>' if kind else f'<td>{cell}</td>'
  return out + '</tr>'


def _of_cell(cell):
  """Returns the class of a cell, or '', and its HTML."""
  return cell if isinstance(cell, tuple) else ('', cell)


def plot(svg, *, alt, caption):
  """Returns a picture with what it shows in words; `caption` is HTML."""
  return (
    f'<figure><div class="plot" role="img" aria-label="{text(alt)}">\n{svg}\n'
    f'</div><figcaption>{caption}</figcaption></figure>'
  )


def fold(summary, content, *, is_open=False):
  """Returns content under a line that opens and closes it."""
  state = ' open' if is_open else ''
  return (
    f'<details{state}><summary>{text(summary)}</summary>\n{content}\n</details>'
  )


def settings(values):
  """Returns names and values of settings as a table, folded."""
  rows = [[text(name), ('left', text(v))] for name, v in values.items()]
  return fold('Settings', table('As given.', ('setting', 'value'), rows))


def image(pixels, *, alt, side=160, lossy=False):
  """Returns an img element with a PNG inside, `side` pixels at most.

  Args:
    pixels: uint8[H, W], [H, W, 1] or [H, W, 3] RGB.
    alt: what it shows.
    side: the longer side is made smaller to this.
    lossy: a JPEG inside, a fifth of the bytes.

  Raises:
    UserError: not such an array.
  """
  import cv2

  if pixels.dtype.name != 'uint8' or not (
    pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3))
  ):
    raise errors.UserError(
      'pixels must be uint8[H, W], [H, W, 1] or [H, W, 3], not '
      f'{pixels.dtype}{list(pixels.shape)}.'
    )
  scale = side / max(pixels.shape[:2])
  if scale < 1:
    pixels = cv2.resize(
      pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
    )
  if pixels.ndim == 3 and pixels.shape[2] == 3:
    pixels = pixels[:, :, ::-1]  # OpenCV writes blue first.
  kind, options = 'png', [cv2.IMWRITE_PNG_COMPRESSION, 9]
  if lossy:
    kind, options = 'jpeg', [cv2.IMWRITE_JPEG_QUALITY, 85]
  _, data = cv2.imencode(f'.{kind}', pixels, options)
  height, width = pixels.shape[:2]
  return (
    f'<img alt="{text(alt)}" width="{width}" height="{height}" '
    f'src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
  )


def document(title, parts):
  """Returns the whole page.

  Args:
    title: text.
    parts: HTML, in order.
  """
  body = '\n\n'.join(parts)
  return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
