"""A clip on a page: a line a label over time, with pictures at its peaks."""

from __future__ import annotations

import itertools
import typing
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.report import html

MOST_FACES = 4  # Lines in a picture.
_BINS = 400  # Points of a line; of more frames, the mean of those together.
_PEAKS = 3
_APART = 15  # Peaks are at least a 15th of the clip apart.
_WIDE, _HIGH = 600, 44  # Of a picture, in its own unit.
_COLOURS = ('after', 'before', 'mark', 'soft')  # Of faces, see html.STYLE.

STYLE = """<style>
.lane { display: grid; gap: .2rem .9rem; align-items: center;
  grid-template-columns: 8.5rem minmax(10rem, 1fr) 12.9rem;
  border-top: 1px solid var(--grid); padding: .35rem 0; }
.lane h3 { font-size: .88rem; font-weight: 500; margin: 0;
  overflow-wrap: anywhere; }
.lane h3 span { display: block; font-weight: 400; }
.lane svg { display: block; width: 100%; height: 3.6rem;
  background: var(--panel); border-radius: .2rem; overflow: visible; }
.lane .peaks { display: flex; gap: .3rem; min-height: 4rem; }
.peaks figure { margin: 0; width: 4.1rem; }
.peaks img { display: block; width: 4.1rem; height: 4.1rem;
  object-fit: contain; background: var(--panel); border-radius: .2rem; }
.peaks figcaption { font-size: .68rem; line-height: 1.3; text-align: center;
  font-variant-numeric: tabular-nums; }
.ticks { display: flex; justify-content: space-between; font-size: .75rem;
  color: var(--soft); font-variant-numeric: tabular-nums; }
.lane.axis { border-top: 0; padding: 0; }
.halves { display: grid; gap: 0 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.halves .thumbs figure { width: 6rem; }
.halves .thumbs img { width: 6rem; height: 6rem; object-fit: contain;
  background: var(--panel); }
@media (max-width: 44rem) {
  .lane { grid-template-columns: 1fr; } .lane .peaks { min-height: 0; }
  .lane.axis span { display: none; } }
.path { white-space: normal; overflow-wrap: anywhere; }
</style>"""


class Measure(typing.NamedTuple):
  """What is predicted of a face, as a line.

  Attributes:
    name: of it.
    column: its position among what is predicted.
    low: the least it can be.
    high: the most.
    threshold: from which on it means "present"; None: it is no such thing.
  """

  name: str
  column: int
  low: float = 0.0
  high: float = 1.0
  threshold: float | None = None


class Spot(typing.NamedTuple):
  """A face in an image or a frame, of which a picture is wanted.

  Attributes:
    item: position of the image or clip.
    frame: its number; None: of an image.
    box: left, top, width and height in pixels.
    time: in seconds; None: of an image.
    value: what is predicted.
  """

  item: int
  frame: int | None
  box: tuple[float, float, float, float]
  time: float | None
  value: float


class Line(typing.NamedTuple):
  """A measure of a face over time: float[P] each; NaN where there is a gap."""

  time: np.ndarray
  mean: np.ndarray
  low: np.ndarray
  high: np.ndarray


class Clip(typing.NamedTuple):
  """What is shown of a clip.

  Attributes:
    name: of it.
    start: of its first frame, in seconds.
    stop: of the last.
    frames: how many.
    faces: their numbers; those in most frames first.
    problems: what is wrong with it, statuses.
    lines: of each measure, those of the first faces.
    shares: of each measure, of the faces in which it is present; None: of a
      measure without a threshold.
    peaks: of each measure, in time.
  """

  name: str
  start: float
  stop: float
  frames: int
  faces: list[int]
  problems: list[str]
  lines: list[list[Line]]
  shares: list[float | None]
  peaks: list[list[Spot]]


def summarise(block, measures: Sequence[Measure]) -> Clip:
  """Returns what is shown of the rows of a clip, a `face_table.Block`."""
  seen = [k for k, row in enumerate(block.rows) if row.is_predicted]
  rows, values = [block.rows[k] for k in seen], block.values[seen]
  time = np.array([row.time for row in rows], np.float64)
  face = np.array([row.face for row in rows], np.int64)
  frames = [row for row in block.rows if row.frame is not None]
  numbers, counts = np.unique(face, return_counts=True)
  numbers = numbers[np.lexsort((numbers, -counts))].tolist()
  start, stop = (frames[0].time, frames[-1].time) if frames else (0.0, 0.0)
  step = _usual_step(frames)
  problems = {r.status for r in block.rows if r.status.startswith('unread')}
  return Clip(
    *(block.name, start, stop, len({row.frame for row in frames}), numbers),
    sorted(problems),
    [
      [
        _line(time[face == n], values[face == n, m.column], start, stop, step)
        for n in numbers[:MOST_FACES]
      ]
      for m in measures
    ],
    [_share(values[:, m.column], m.threshold) for m in measures],
    [
      _peaks(rows, time, values[:, m.column], m, stop - start) for m in measures
    ],
  )


def _usual_step(frames) -> float:
  """Returns the seconds from a frame to the next, as a rule."""
  times = np.unique([row.time for row in frames])
  return float(np.median(np.diff(times))) if len(times) > 1 else 1.0


def _share(values, threshold):
  if threshold is None or not len(values):
    return None
  return float((values.astype(np.float64) >= threshold).mean())


def _line(time, values, start, stop, step) -> Line:
  """Returns a line of a face; a gap where it is away for several frames."""
  values = values.astype(np.float64)
  if len(time) > _BINS:
    edges = np.linspace(start, stop, _BINS + 1)
    place = np.clip(np.searchsorted(edges, time, 'right') - 1, 0, _BINS - 1)
    _, first = np.unique(place, return_index=True)
    count = np.diff(np.append(first, len(time)))
    line = Line(
      np.add.reduceat(time, first) / count,
      np.add.reduceat(values, first) / count,
      np.minimum.reduceat(values, first),
      np.maximum.reduceat(values, first),
    )
    step = max(step, (stop - start) / _BINS)
  else:
    line = Line(time, values, values, values)
  gaps = np.flatnonzero(np.diff(line.time) > 2.5 * step) + 1
  return Line(*(np.insert(part, gaps, np.nan) for part in line))


def _peaks(rows, time, values, measure, seconds) -> list[Spot]:
  """Returns where a measure is highest, apart from each other; in time.

  Those below a threshold are none, but for the highest of all. Of a measure
  without one they are the highest and the lowest.
  """
  if not len(rows):
    return []
  if measure.threshold is None:
    chosen = [*{int(values.argmax()): 0, int(values.argmin()): 0}]
  else:
    chosen = []
    for k in np.argsort(-values, kind='stable').tolist():
      if chosen and values[k] < measure.threshold:
        break
      if all(abs(time[k] - time[c]) > seconds / _APART for c in chosen):
        chosen.append(k)
      if len(chosen) == _PEAKS:
        break
  return [
    Spot(
      *(rows[k].item, rows[k].frame, tuple(rows[k].box), rows[k].time),
      float(values[k]),
    )
    for k in sorted(chosen)
  ]


def show(
  clip: Clip, measures: Sequence[Measure], pictures: Mapping[Spot, np.ndarray]
) -> str:
  """Returns a clip as HTML.

  Args:
    clip: of `summarise`.
    measures: as there.
    pictures: spot -> uint8[h, w, 3], as far as they could be read.
  """
  lanes = [
    _lane(clip, measure, lines, share, peaks, pictures)
    for measure, lines, share, peaks in zip(
      measures, clip.lines, clip.shares, clip.peaks, strict=True
    )
  ]
  body = ''.join(lanes) + _axis(clip) if clip.faces else ''
  # The folder it is in does not tell it from others.
  name = clip.name.rstrip('/').rsplit('/', 1)[-1]
  return html.section(name, f'{html.soft(_words(clip))}\n{body}')


def _words(clip) -> str:
  """Returns what a clip is, and whose lines have which colour; HTML."""
  path = html.text(clip.name)
  told = [
    f'<code class="path">{path}</code>: {html.count(clip.frames, "frame")}',
    f'{seconds(clip.stop - clip.start)}',
    html.count(len(clip.faces), 'face'),
  ]
  keys = ''
  if len(clip.faces) > 1:
    keys = ' ' + ' '.join(
      html.key(colour, f'face {number}')
      for number, colour in zip(clip.faces, _COLOURS, strict=False)
    )
  if len(clip.faces) > MOST_FACES:
    keys += f', and {len(clip.faces) - MOST_FACES} more in the table'
  problems = ''.join(f'; {html.text(x)}' for x in clip.problems)
  return f'{", ".join(told)}{problems}.{keys}'


def _lane(clip, measure, lines, share, peaks, pictures) -> str:
  """Returns a measure: its name, its lines over time, pictures of its peaks."""
  note = '' if share is None else f'<span class="soft">in {share:.0%}</span>'
  thumbs = ''.join(
    f'<figure>{picture(pictures[spot], measure.name)}<figcaption>'
    f'<b>{spot.value:.2f}</b><br>{seconds(spot.time)}</figcaption></figure>'
    for spot in peaks
    if spot in pictures
  )
  return (
    f'<div class="lane"><h3>{html.text(measure.name)}{note}</h3>'
    f'{_svg(clip, measure, lines, peaks)}'
    f'<div class="peaks">{thumbs}</div></div>'
  )


def picture(pixels, name, side=132) -> str:
  """Returns a small picture of a face, HTML."""
  return html.image(pixels, alt=name, side=side, lossy=True)


def _svg(clip, measure, lines, peaks) -> str:
  """Returns lines over time, a dash at the threshold, dots at the peaks."""
  span = (clip.stop - clip.start) or 1.0

  def x(time):
    return (time - clip.start) / span * _WIDE

  def y(value):
    share = (value - measure.low) / (measure.high - measure.low)
    return (1 - np.clip(share, 0, 1)) * _HIGH

  parts = []
  level = 0.0 if measure.low < 0 < measure.high else measure.threshold
  if level is not None:
    parts.append(
      f'<line x1="0" x2="{_WIDE}" y1="{y(level):.1f}" y2="{y(level):.1f}" '
      'stroke="var(--soft)" stroke-dasharray="4 4" stroke-width="1" '
      'vector-effect="non-scaling-stroke"/>'
    )
  for line, colour in zip(lines, _COLOURS, strict=False):
    parts += _strokes(x(line.time), line, y, colour)
  # A dot is a line without length: a circle would be drawn out.
  parts += [
    f'<path d="M{x(spot.time):.1f} {y(spot.value):.1f}h0" stroke="var(--ink)" '
    'stroke-width="6" stroke-linecap="round" '
    'vector-effect="non-scaling-stroke"/>'
    for spot in peaks
  ]
  alt = html.text(f'{measure.name} over time')
  return (
    f'<svg viewBox="0 0 {_WIDE} {_HIGH}" preserveAspectRatio="none" role="img" '
    f'aria-label="{alt}">{"".join(parts)}</svg>'
  )


def _strokes(x, line, y, colour) -> list[str]:
  """Returns a line in pieces, and behind it from where to where it goes."""
  parts = []
  starts = [0, *(np.flatnonzero(np.isnan(x)) + 1).tolist(), len(x) + 1]
  for first, after in itertools.pairwise(starts):
    at = slice(first, after - 1)
    if (line.high[at] > line.low[at]).any():
      there = _points(x[at], y(line.high[at]))
      back = _points(x[at][::-1], y(line.low[at])[::-1])
      parts.append(
        f'<path d="M{there}L{back}Z" fill="var(--{colour})" opacity=".25"/>'
      )
    parts.append(
      f'<path d="M{_points(x[at], y(line.mean[at]))}h.01" fill="none" '
      f'stroke="var(--{colour})" stroke-width="1.4" stroke-linejoin="round" '
      'vector-effect="non-scaling-stroke"/>'
    )
  return parts


def _points(x, y) -> str:
  return 'L'.join(f'{a:.1f} {b:.1f}' for a, b in zip(x, y, strict=True))


def _axis(clip) -> str:
  """Returns the times below the lines."""
  ticks = ''.join(
    f'<span>{seconds(time)}</span>'
    for time in np.linspace(clip.start, clip.stop, 5)
  )
  return (
    f'<div class="lane axis"><span></span><div class="ticks">{ticks}</div>'
    '<span></span></div>'
  )


def seconds(time: float) -> str:
  """Returns '1:02:03', '2:03.4' or '3.42 s'."""
  if time < 59.995:
    return f'{time:.2f} s'
  tenths = round(10 * time)
  minutes, tenths = divmod(tenths, 600)
  if minutes < 60:
    return f'{minutes}:{tenths // 10:02d}.{tenths % 10}'
  return f'{minutes // 60}:{minutes % 60:02d}:{tenths // 10:02d}'
