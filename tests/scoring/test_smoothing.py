"""Means over neighbouring frames, and the width that validation chooses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aubal_jax.scoring import smoothing
from aubal_jax.scoring import thresholds


@given(
  seed=st.integers(0, 2**32 - 1),
  rows=st.integers(0, 40),
  width=st.sampled_from((0, *smoothing.WIDTHS)),
)
def test_is_the_mean_of_the_frames_around(seed, rows, width):
  rng = np.random.default_rng(seed)
  values = rng.random((rows, 3)).astype(np.float32)
  frames = np.sort(rng.choice(90, rows, replace=False))
  found = smoothing.moving_average(values, frames, width)
  reach = max(width - 1, 0) / 2
  for k, frame in enumerate(frames):
    near = abs(frames - frame) <= reach
    wanted = values[near].astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(found[k], wanted, atol=1e-12)
  if width <= 1:
    np.testing.assert_array_equal(found, values)
  elif rows:
    assert found.min() >= values.min() and found.max() <= values.max()


@given(seed=st.integers(0, 2**32 - 1), width=st.sampled_from((3, 9)))
def test_videos_do_not_mix_and_order_is_no_matter(seed, width):
  rng = np.random.default_rng(seed)
  videos = rng.choice(['a', 'b', 'c', ''], 50)
  frames = rng.permutation(50)
  values = rng.random((50, 2))
  found = smoothing.of_videos(values, videos, frames, width)
  for name in ('a', 'b', 'c'):
    rows = np.flatnonzero(videos == name)
    rows = rows[np.argsort(frames[rows])]
    alone = smoothing.moving_average(values[rows], frames[rows], width)
    np.testing.assert_array_equal(found[rows], alone)
  np.testing.assert_array_equal(found[videos == ''], values[videos == ''])


def made_videos(rng, noise, length=200, hold=40):
  """Labels that change every `hold` frames; what trembles about them."""
  videos = np.repeat([f'v{k}' for k in range(6)], length)
  frames = np.tile(np.arange(length), 6)
  label = np.repeat(rng.random((len(videos) // hold, 2)) < 0.4, hold, axis=0)
  signal = 0.35 + 0.3 * label
  probability = np.clip(signal + rng.normal(0, noise, label.shape), 0, 1)
  return probability, label, videos, frames


@pytest.mark.parametrize('seed', range(3))
def test_what_trembles_is_smoothed_and_what_does_not_is_left(seed):
  rng = np.random.default_rng(seed)
  probability, label, videos, frames = made_videos(rng, 0.25)
  found = smoothing.find(probability, label, videos=videos, frames=frames)
  assert 5 <= found.smooth <= 35

  def f1(width):
    smooth = smoothing.of_videos(probability, videos, frames, width)
    said = smooth >= found.shrunk
    hits = (said & label).sum(axis=0)
    return (2 * hits / (said.sum(axis=0) + label.sum(axis=0))).mean()

  scores = [f1(width) for width in smoothing.WIDTHS]
  assert f1(found.smooth) == pytest.approx(max(scores))
  assert max(scores) > scores[0] + 0.05
  sure, label, videos, frames = made_videos(rng, 0.0)
  found = smoothing.find(sure, label, videos=videos, frames=frames)
  assert found.smooth == 1
  # A label that changes with every frame has no neighbours.
  label = rng.random((600, 2)) < 0.4
  sharp = np.clip(0.3 + 0.4 * label + rng.normal(0, 0.1, label.shape), 0, 1)
  videos, frames = np.repeat(['a', 'b'], 300), np.tile(np.arange(300), 2)
  assert smoothing.find(sharp, label, videos=videos, frames=frames).smooth == 1


def test_only_frames_of_videos_have_a_width():
  rng = np.random.default_rng(0)
  probability, label, videos, frames = made_videos(rng, 0.25)
  for options in (
    {},
    {'videos': videos},
    {'frames': frames},
    {'videos': videos, 'frames': frames / 30},  # Seconds.
  ):
    found = smoothing.find(probability, label, **options)
    assert found.smooth is None
    plain = thresholds.find(probability, label)
    assert found.to_json() == plain.to_json()


def test_a_width_is_kept_with_its_thresholds():
  rng = np.random.default_rng(1)
  probability, label, videos, frames = made_videos(rng, 0.25)
  known = rng.random(label.shape) < 0.9
  found = smoothing.find(probability, label, known, videos, frames)
  again = thresholds.from_json(found.to_json())
  assert again.smooth == found.smooth > 1
  np.testing.assert_array_equal(again.shrunk, found.shrunk)
