"""Masks of landmarks: lines, greys, and which lies over which."""

import itertools

import numpy as np
import pytest

from aubal_jax.media import crop
from aubal_jax.media import landmark_mask


def spread(rng, size=112):
  return rng.uniform(0, size - 1, (68, 2))


@pytest.mark.parametrize('seed', range(10))
def test_each_line_is_connected_and_on_its_points(seed):
  rng = np.random.default_rng(seed)
  points = spread(rng)
  mask = landmark_mask.draw(points, 112)
  assert {*np.unique(mask)} <= {0, 31, 63, 127, 159, 191, 223, 255}
  later = np.zeros((112, 112), bool)
  # From the last line to the first: what is not covered is of its grey.
  for grey, (first, last, closed) in reversed(landmark_mask.LINES.items()):
    alone = points.copy()
    order = [*range(first, last + 1), *([first] if closed else [])]
    line = np.zeros((112, 112), bool)
    for start, end in itertools.pairwise(order):
      a, b = np.rint(alone[start]).astype(int), np.rint(alone[end]).astype(int)
      steps = max(abs(b - a).max(), 1)
      way = a + (b - a) * np.linspace(0, 1, steps + 1)[:, None]
      # 8-connected: one pixel a step of the longer side, half a pixel off.
      near = np.zeros((112, 112), bool)
      for x, y in way:
        for px in {int(np.floor(x)), int(np.ceil(x))}:
          for py in {int(np.floor(y)), int(np.ceil(y))}:
            near[py, px] = True
      line |= near
      assert (mask[a[1], a[0]] == grey) or later[a[1], a[0]]
    assert not ((mask == grey) & ~line).any()
    later |= mask == grey
  assert (mask > 0).sum() == later.sum()


def test_where_lines_cross_the_later_is_seen():
  points = np.full((68, 2), 5.0)
  assert landmark_mask.draw(points, 16)[5, 5] == 31
  points[6:11] = 9.0
  assert landmark_mask.draw(points, 16)[5, 5] == 63


def test_lines_are_as_they_are_written_down():
  points = np.full((68, 2), -9.0)
  points[17:22] = [(2, 3), (4, 3), (6, 3), (8, 3), (10, 3)]
  points[36:42] = [(2, 8), (4, 6), (6, 6), (8, 8), (6, 10), (4, 10)]
  mask = landmark_mask.draw(points, 16)
  assert (mask[3, 2:11] == 223).all()
  assert mask[6, 4:7].tolist() == [159] * 3
  assert mask[9, 3] == 159  # Closed.
  assert (mask > 0).sum() == 9 + 12


def test_no_landmarks_no_line():
  points = np.full((68, 2), 3.0)
  points[5] = np.nan
  assert not landmark_mask.draw(points, 16).any()
  far = landmark_mask.draw(np.full((68, 2), 1e12), 16)
  assert not far.any()


@pytest.mark.parametrize('seed', range(5))
def test_aligned_landmarks_fit_the_template(seed):
  rng = np.random.default_rng(seed)
  points = rng.uniform(0, 1, (68, 2))
  points[36:42] = crop.TEMPLATE[0] + rng.normal(0, 0.01, (6, 2))
  points[36:42] -= points[36:42].mean(axis=0) - crop.TEMPLATE[0]
  points[42:48] = crop.TEMPLATE[1]
  points[[30, 48, 54]] = crop.TEMPLATE[2:]
  angle, scale = rng.uniform(-1, 1), rng.uniform(20, 500)
  turn = scale * np.array(
    [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
  )
  moved = points @ turn.T + rng.uniform(-100, 100, 2)
  found = landmark_mask.align(moved, 112)
  assert found == pytest.approx(points * 112 - 0.5, abs=1e-6)


def test_landmarks_at_one_place_have_no_alignment():
  assert np.isnan(landmark_mask.align(np.ones((68, 2)), 112)).all()
