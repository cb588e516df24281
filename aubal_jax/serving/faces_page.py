"""predictions.html: clips over time, images from the surest to the doubtful."""

from __future__ import annotations

import collections
import heapq
import os
import typing
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from aubal_jax.media import decode
from aubal_jax.media import video
from aubal_jax.report import html
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.serving import inputs
from aubal_jax.serving import timeline

_CLIPS = 20  # That are shown; of more, the first.
_MEASURES = 40  # Likewise.
_SHEET = 4  # Images of a label, of the surest and of the most doubtful.
_DOUBT = 0.2  # From a threshold, at most, of what is doubtful.
_PROBLEMS = 50
_MARGIN = 0.25  # Around a face, of the side of its box.


def measures(
  label_names: Sequence[str], thresholds, others: Sequence
) -> list[timeline.Measure]:
  """Returns what there is to show: labels, then what other targets say.

  Args:
    label_names: L names.
    thresholds: float64[L].
    others: heads of the targets beside the labels.
  """
  found = [
    timeline.Measure(name, k, threshold=float(t))
    for k, (name, t) in enumerate(zip(label_names, thresholds, strict=True))
  ]
  start = len(found)
  for head in others:
    for k, name in enumerate(head.names, start):
      if head.kind == 'real':
        low, high = float(head.low), float(head.high)
        found.append(timeline.Measure(name, k, low, high))
      else:
        found.append(timeline.Measure(f'{head.name}: {name}', k, threshold=0.5))
    start += len(head.names)
  return found[:_MEASURES]


class Page:
  """What the page shows, gathered as rows come by; few things of each."""

  def __init__(self, found: Sequence[timeline.Measure]):
    """Takes what there is to show, see `measures`."""
    self._measures = found
    self._clips, self._more_clips = [], 0
    self._counts = collections.Counter()
    self._problems = []
    # Of each measure heaps of (sureness, -number of the row, spot).
    self._sure = [[] for _ in found]
    self._doubtful = [[] for _ in found]

  def over(self, blocks: Iterable, items: Sequence) -> Iterator:
    """Yields blocks, and notes what is in them.

    Args:
      blocks: `face_table.Block`s.
      items: images and clips.
    """
    for block in blocks:
      self._note(block, items[block.rows[0].item].kind)
      yield block

  def _note(self, block, kind):
    faces = sum(row.is_predicted for row in block.rows)
    self._counts['faces'] += faces
    self._counts[kind] += 1
    self._counts[f'{kind}s with a face'] += faces > 0
    for status in {r.status for r in block.rows if not r.is_predicted}:
      if status.startswith('unreadable') or not faces:
        self._counts['problems'] += 1
        self._problems.append((block.name, status))
        del self._problems[_PROBLEMS:]
    if kind == inputs.CLIP:
      self._counts['frames'] += len({row.frame for row in block.rows} - {None})
      if len(self._clips) < _CLIPS:
        self._clips.append(timeline.summarise(block, self._measures))
      else:
        self._more_clips += 1
      return
    for row, values in zip(block.rows, block.values, strict=True):
      if row.is_predicted:
        self._note_image(row, values, block.name)

  def _note_image(self, row, values, name):
    for k, measure in enumerate(self._measures):
      value = float(values[measure.column])
      spot = timeline.Spot(row.item, None, tuple(row.box), None, value)
      number = (-row.item, -row.face)
      entry = (value, number, spot, name)
      _keep(self._sure[k], entry)
      if measure.threshold is not None:
        apart = abs(value - measure.threshold)
        if apart <= _DOUBT:
          _keep(self._doubtful[k], (-apart, number, spot, name))

  def write(self, path, items: Sequence, *, told: str = '') -> None:
    """Writes the page; pictures are read anew.

    Args:
      path: where it is written, whole or not at all.
      items: images and clips.
      told: what predicted, text.
    """
    spots = {s for clip in self._clips for peaks in clip.peaks for s in peaks}
    for heaps in (self._sure, self._doubtful):
      spots |= {entry[2] for heap in heaps for entry in heap}
    pictures = read_pictures(spots, items)
    parts = [
      timeline.STYLE,
      f'<h1>{self._headline()}</h1>',
      html.lead(html.text(told)) if told else '',
      html.tiles(self._tiles()),
      *(timeline.show(clip, self._measures, pictures) for clip in self._clips),
      self._note_more(),
      self._sheet(pictures),
      self._told_problems(),
    ]
    with files.write_atomically(path) as file:
      file.write(html.document('Predictions', [part for part in parts if part]))

  def _headline(self) -> str:
    what = [
      html.count(self._counts[kind], kind)
      for kind in (inputs.CLIP, inputs.IMAGE)
      if self._counts[kind]
    ]
    return f'What the network sees in {" and ".join(what)}'

  def _tiles(self):
    """Yields the main numbers."""
    counts = self._counts
    yield html.number(counts['faces']), 'rows with a face'
    if counts[inputs.CLIP]:
      yield html.number(counts['frames']), 'frames of clips'
    for kind in (inputs.CLIP, inputs.IMAGE):
      if counts[kind]:
        yield (
          html.number(counts[f'{kind}s with a face']),
          f'of {html.count(counts[kind], kind)} with a face',
        )
    if counts['problems']:
      yield html.number(counts['problems']), 'not read whole, or without a face'

  def _note_more(self) -> str:
    if not self._more_clips:
      return ''
    return html.soft(
      f'{html.count(self._more_clips, "more clip")} are in the table alone.'
    )

  def _sheet(self, pictures) -> str:
    """Returns images, a few of each label."""
    parts = []
    for k, measure in enumerate(self._measures):
      columns = [('the highest', self._sure[k])]
      if measure.threshold is not None:
        near = f'nearest its threshold, {measure.threshold:.2f}'
        columns.append((near, self._doubtful[k]))
      shown = [(words, _thumbs(heap, pictures)) for words, heap in columns]
      if any(thumbs for _, thumbs in shown):
        inner = ''.join(
          f'<div>{html.soft(words)}{thumbs or html.NONE}</div>'
          for words, thumbs in shown
        )
        name = html.text(measure.name)
        parts.append(f'<h3>{name}</h3><div class="halves">{inner}</div>')
    if not parts:
      return ''
    words = 'The surest and the most doubtful faces of each label.'
    return html.section('Images', f'{html.soft(words)}\n{"".join(parts)}')

  def _told_problems(self) -> str:
    """Returns what was not read, or has no face."""
    if not self._problems:
      return ''
    rows = [[html.text(n), ('left', html.text(s))] for n, s in self._problems]
    more = self._counts['problems'] - len(rows)
    caption = f'{html.number(more)} more are in the table.' if more else ''
    return html.section(
      'Not read, or without a face',
      html.table(caption, ('file', 'status'), rows),
    )


def _keep(heap, entry) -> None:
  """Keeps the largest entries, of equals the first."""
  if len(heap) < _SHEET:
    heapq.heappush(heap, entry)
  else:
    heapq.heappushpop(heap, entry)


def _thumbs(heap, pictures) -> str:
  shown = ''.join(
    f'<figure title="{html.text(name)}">'
    f'{timeline.picture(pictures[spot], name, 112)}<figcaption>'
    f'<b>{spot.value:.2f}</b> {html.text(name.rsplit("/", 1)[-1])}'
    '</figcaption></figure>'
    for _, _, spot, name in sorted(heap, reverse=True)
    if spot in pictures
  )
  return f'<div class="thumbs">{shown}</div>' if shown else ''


def read_pictures(
  spots: Iterable[timeline.Spot], items: Sequence
) -> dict[timeline.Spot, np.ndarray]:
  """Returns spot -> uint8[h, w, 3], the face with a margin.

  Args:
    spots: in any order; those that cannot be read any more are left out.
    items: images and clips.
  """
  by_item = collections.defaultdict(list)
  for spot in spots:
    by_item[spot.item].append(spot)
  found = {}
  for item, wanted in sorted(by_item.items()):
    frames = {spot.frame for spot in wanted}
    for number, pixels in _read(items[item], frames):
      for spot in wanted:
        if spot.frame == number:
          found[spot] = _cut(pixels, spot.box)
  return found


def _read(item, frames) -> Iterator[tuple[typing.Any, np.ndarray]]:
  """Yields (number, pixels) of the frames of a clip, or (None, an image)."""
  try:
    if item.kind == inputs.IMAGE:
      yield None, decode.image(decode.read_contents(item.path), 3)
      return
    if not os.path.exists(item.path):
      return
    for frame in video.frames(item.path, start=min(frames)):
      if frame.number in frames and frame.pixels is not None:
        yield frame.number, frame.pixels
      if frame.number >= max(frames):
        return
  except errors.UserError:
    return  # What was read before is shown.


def _cut(pixels, box) -> np.ndarray:
  """Returns what is in a box, and a margin around it, as far as it goes."""
  left, top, width, height = box
  margin = _MARGIN * max(width, height)
  low = np.maximum(np.floor([top - margin, left - margin]), 0).astype(int)
  high = np.ceil([top + height + margin, left + width + margin]).astype(int)
  low = np.minimum(low, np.array(pixels.shape[:2]) - 1)
  high = np.maximum(high, low + 1)
  return np.ascontiguousarray(pixels[low[0] : high[0], low[1] : high[1]])
