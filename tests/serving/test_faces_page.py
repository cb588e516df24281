"""predictions.html: what is on it, and that it needs nothing from elsewhere."""

import html.parser
import re

import cv2
import numpy as np
import pytest

from aubal_jax.media import video
from aubal_jax.network import heads as heads_lib
from aubal_jax.serving import clips
from aubal_jax.serving import face_table
from aubal_jax.serving import faces_page
from aubal_jax.serving import inputs
from aubal_jax.serving import timeline

HEADS = (
  heads_lib.Head('e', 'class', ('Neutral', '<i>'), loss=''),
  heads_lib.Head('va', 'real', ('valence',), loss='', low=-1.0, high=1.0),
)
NAMES = ('AU01', '<b>&"')
THRESHOLDS = np.array([0.5, 0.25])
MEASURES = faces_page.measures(NAMES, THRESHOLDS, HEADS)


def rows_of(item, frames, faces, fps=25, rng=None):
  """Rows and values of a clip in which everybody is always there."""
  rows = [
    clips.Row(item, k, k / fps, face, [8.0 * face, 4.0, 6.0, 8.0], 0.9)
    for k in range(frames)
    for face in range(1, faces + 1)
  ]
  rng = rng or np.random.default_rng(0)
  return rows, rng.random((len(rows), 5)).astype(np.float32)


def test_measures_are_labels_then_what_other_targets_say():
  assert [m.name for m in MEASURES] == [
    *NAMES, 'e: Neutral', 'e: <i>', 'valence'
  ]  # fmt: skip
  assert [m.column for m in MEASURES] == [0, 1, 2, 3, 4]
  assert [m.threshold for m in MEASURES] == [0.5, 0.25, 0.5, 0.5, None]
  assert MEASURES[-1].low == -1


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('frames', [1, 90, 2500])
def test_a_clip_is_told_truly(seed, frames):
  rng = np.random.default_rng(seed)
  faces = int(rng.integers(1, 7))
  rows, values = rows_of(0, frames, faces, rng=rng)
  values[:, 0] **= 3
  away = rng.random(len(rows)) < 0.1
  away[0] = False
  rows = [r for r, gone in zip(rows, away, strict=True) if not gone]
  values = values[~away]
  clip = timeline.summarise(face_table.Block('a', rows, values), MEASURES)
  assert clip.stop == rows[-1].time and len(clip.faces) <= faces
  counts = [sum(row.face == face for row in rows) for face in clip.faces]
  assert counts == sorted(counts, reverse=True)
  for m, lines, share, peaks in zip(
    MEASURES, clip.lines, clip.shares, clip.peaks, strict=True
  ):
    of = values[:, m.column]
    if m.threshold is not None:
      assert share == pytest.approx((of >= m.threshold).mean())
    assert np.float32(of.max()) in [np.float32(s.value) for s in peaks]
    assert 1 <= len(peaks) <= 3
    times = [spot.time for spot in peaks]
    assert times == sorted(times)
    if m.threshold is not None and len(peaks) > 1:
      assert min(np.diff(times)) > clip.stop / 15
      assert all(spot.value >= m.threshold for spot in peaks)
    for face, line in zip(clip.faces, lines, strict=False):
      own = of[[row.face == face for row in rows]]
      assert np.nanmax(line.high) == own.max()
      assert np.nanmin(line.low) == own.min()
      assert len(line.time) < 900
  assert len(clip.lines[0]) == min(len(clip.faces), timeline.MOST_FACES)


def test_a_line_is_broken_where_a_face_is_away():
  rows, values = rows_of(0, 60, 1)
  there = [*range(20), *range(30, 60)]
  block = face_table.Block('a', [rows[k] for k in there], values[there])
  (line,) = timeline.summarise(block, MEASURES).lines[0]
  assert np.flatnonzero(np.isnan(line.time)).tolist() == [20]
  block = face_table.Block('a', rows, values)
  (line,) = timeline.summarise(block, MEASURES).lines[0]
  assert not np.isnan(line.time).any()


class Checker(html.parser.HTMLParser):
  """Counts elements; all that is opened is closed."""

  def __init__(self):
    super().__init__()
    self.open, self.counts, self.alts = [], {}, []

  def handle_starttag(self, tag, attrs):
    self.counts[tag] = self.counts.get(tag, 0) + 1
    if tag == 'img':
      self.alts.append(dict(attrs)['alt'])
      assert dict(attrs)['src'].startswith('data:image/')
    if tag not in ('img', 'meta', 'br', 'line', 'path'):
      self.open.append(tag)

  def handle_endtag(self, tag):
    if tag not in ('line', 'path'):
      assert self.open.pop() == tag


def write(path, folder):
  """Writes the page of a clip, nine images and one that is broken."""
  (folder / 'film').mkdir(parents=True, exist_ok=True)
  for k in range(30):
    picture = np.full((32, 40, 3), 8 * k, np.uint8)
    cv2.imwrite(str(folder / f'film/{k}.png'), picture)
  for k in range(9):
    cv2.imwrite(str(folder / f'i<{k}>.png'), np.full((32, 40), 20 * k, 'u1'))
  names = [folder / 'film', *sorted(folder.glob('*.png'))]
  items, _ = inputs.find([str(p) for p in names], fps=25)
  rng = np.random.default_rng(0)
  blocks = [face_table.Block(items[0].name, *rows_of(0, 30, 2, rng=rng))]
  for k in range(1, 10):
    row = clips.Row(k, None, None, 1, [0.0, 0.0, 9.0, 9.0], 0.9)
    values = rng.random((1, 5)).astype(np.float32)
    blocks.append(face_table.Block(items[k].name, [row], values))
  bad = clips.Row(9, status='unreadable: <script>')
  blocks.append(face_table.Block('z', [bad], np.full((1, 5), np.nan, 'f4')))
  page = faces_page.Page(MEASURES)
  assert [*page.over(blocks, items)] == blocks
  page.write(path, items, told='By <it>.')


def test_the_page_holds_its_pictures_and_asks_for_nothing(tmp_path):
  texts = []
  for k in range(2):
    write(tmp_path / f'{k}.html', tmp_path / 'seen')
    texts.append((tmp_path / f'{k}.html').read_text())
  assert texts[0] == texts[1]
  assert not re.search(r'https?:|<script|<b>&"|<i>', texts[0])
  assert '&lt;script&gt;' in texts[0] and '&lt;b&gt;&amp;' in texts[0]
  checker = Checker()
  checker.feed(texts[0])
  assert not checker.open
  assert checker.counts['svg'] == len(MEASURES)
  assert 2 * len(MEASURES) < checker.counts['img']


def test_pictures_are_those_of_the_frames(tmp_path, monkeypatch):
  for k in range(12):
    cv2.imwrite(str(tmp_path / f'{k}.png'), np.full((20, 30), 20 * k, 'u1'))
  items, _ = inputs.find([str(tmp_path)], fps=25)
  asked = []
  frames = video.frames

  def counting(path, start=0, **options):
    asked.append(start)
    return frames(path, start=start, **options)

  monkeypatch.setattr(video, 'frames', counting)
  spots = [
    timeline.Spot(0, k, (28.0, 15.0, 9.0, 9.0), k / 25, 0.5) for k in (7, 3, 9)
  ]
  spots.append(timeline.Spot(0, 99, (0.0, 0.0, 9.0, 9.0), 4.0, 0.5))
  found = faces_page.read_pictures(spots, items)
  assert {spot.frame: int(image[0, 0, 0]) for spot, image in found.items()} == {
    3: 60, 7: 140, 9: 180
  }  # fmt: skip
  assert {image.shape for image in found.values()} == {(8, 5, 3)}
  assert asked == [3]
  gone = inputs.Item('clip', 'gone', str(tmp_path / 'gone'))
  assert faces_page.read_pictures(spots, [gone]) == {}


@pytest.mark.parametrize(
  ('time', 'shown'),
  [
    *((0, '0.00 s'), (59.99, '59.99 s'), (59.999, '1:00.0'), (61.25, '1:01.2')),
    *((599.96, '10:00.0'), (3599.99, '1:00:00'), (7384.2, '2:03:04')),
  ],
)
def test_times_are_read_at_a_glance(time, shown):
  assert timeline.seconds(time) == shown
