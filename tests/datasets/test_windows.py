"""Windows of videos: every row is scored once, in time, and none is mixed."""

import numpy as np
import pytest

from aubal_jax.datasets import windows


@pytest.mark.parametrize('seed', range(40))
def test_every_row_is_scored_once_among_its_own(seed):
  rng = np.random.default_rng(seed)
  length = int(rng.integers(1, 9))
  step = int(rng.integers(1, length + 1))
  size = int(rng.integers(1, 60))
  groups = rng.integers(0, rng.integers(1, 8), size).astype(str)
  groups[rng.random(size) < 0.1] = ''
  frames = rng.permutation(size) * 0.5
  rows = rng.permutation(size)[: rng.integers(1, size + 1)]
  found = windows.make(groups, frames, rows, length=length, step=step)
  assert found.rows.shape == found.scored.shape
  assert sorted(found.rows[found.scored]) == sorted(rows)
  videos = [
    *(rows[groups[rows] == g] for g in {*groups[rows]} - {''}),
    *([row] for row in rows[groups[rows] == '']),
  ]
  wanted = sum(
    1 if len(v) <= length else 1 + -(-(len(v) - length) // step) for v in videos
  )
  assert len(found.rows) == wanted
  assert found.short == sum(len(v) < length for v in videos)
  for window in found.rows:
    assert len({*groups[window]}) == 1
    if groups[window[0]] == '':
      assert len({*window}) == 1
    video = rows[groups[rows] == groups[window[0]]]
    if groups[window[0]] and len(video) >= length:
      # As the video has them: nothing is left out or repeated between.
      video = video[np.argsort(frames[video])].tolist()
      start = video.index(window[0])
      assert window.tolist() == video[start : start + length]
    else:
      assert (np.diff(frames[window]) >= 0).all()


def test_a_video_by_hand():
  found = windows.make(['a'] * 7, None, range(7), length=4, step=2)
  assert found.rows.tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [3, 4, 5, 6]]
  assert found.scored.astype(int).tolist() == [
    *([1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1])
  ]
  found = windows.make(['a', 'a', ''], [2, 1, 0], [0, 1, 2], length=3, step=3)
  assert found.rows.tolist() in (
    [[1, 0, 0], [2, 2, 2]],
    [[2, 2, 2], [1, 0, 0]],
  )
  assert found.short == 2
  assert windows.make(None, None, [], length=3, step=1).rows.shape == (0, 3)
