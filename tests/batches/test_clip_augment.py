"""Clips are flipped and shifted as wholes, as (seed, epoch, row) say."""

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aubal_jax import settings as settings_lib
from aubal_jax.batches import clip_augment
from aubal_jax.batches import draws
from aubal_jax.batches import pipeline
from aubal_jax.datasets import streams
from aubal_jax.datasets import targets
from aubal_jax.runs import errors
from aubal_jax.stages import report
from aubal_jax.tables import plan as plan_lib

N = 12
GREYS = (0, 255, 223, 191, 159, 127, 63, 31)  # Of a mask.


def make_clips(rng, channels, rows=3, frames=4, side=6):
  clips = rng.integers(0, 256, (rows, frames, side, side, channels), np.uint8)
  if channels % 2 == 0:
    clips[..., -1] = rng.choice(GREYS, clips.shape[:-1])
  clips[:, rng.random(frames) < 0.3] = 0
  return clips


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_a_flip_mirrors_all_frames_and_swaps_the_sides_of_a_mask(
  seed, channels
):
  (clip,) = make_clips(np.random.default_rng(seed), channels, rows=1)
  flipped = clip_augment.flip(clip)
  np.testing.assert_array_equal(clip_augment.flip(flipped), clip)
  colours = channels - 1 + channels % 2
  np.testing.assert_array_equal(
    flipped[..., :colours], clip[:, :, ::-1, :colours]
  )
  if colours < channels:
    other = {223: 191, 191: 223, 159: 127, 127: 159}
    mask = clip[:, :, ::-1, -1]
    expected = np.vectorize(lambda grey: other.get(grey, grey))(mask)
    np.testing.assert_array_equal(flipped[..., -1], expected)


def by_hand(pixel, hue, saturation, value):
  """The shift of a pixel, in whole units of OpenCV."""
  h, s, v = colorsys.rgb_to_hsv(*pixel / 255)
  h = (round(h * 180) + hue) % 180 / 180
  s = np.clip(round(s * 255) + saturation, 0, 255) / 255
  v = np.clip(round(v * 255) + value, 0, 255) / 255
  return 255 * np.array(colorsys.hsv_to_rgb(h, s, v))


@given(st.integers(0, 2**32 - 1))
def test_a_shift_is_that_of_hue_saturation_and_value(seed):
  rng = np.random.default_rng(seed)
  shifts = [int(rng.integers(-most, most + 1)) for most in clip_augment.SHIFTS]
  for channels in (3, 4):
    (clip,) = make_clips(rng, channels, rows=1)
    shifted = clip_augment.shift(clip, *shifts)
    np.testing.assert_array_equal(shifted[..., 3:], clip[..., 3:])
    black = ~clip.any(axis=(1, 2, 3))
    assert not shifted[black].any()
    for t, y, x in rng.integers(0, (4, 6, 6), (8, 3)):
      if not black[t]:
        expected = by_hand(clip[t, y, x, :3], *shifts)
        # A hue on an edge of two bytes may be either, 8.5 of a channel apart.
        assert abs(shifted[t, y, x, :3] - expected).max() < 9.5
  for channels in (1, 2):
    (clip,) = make_clips(rng, channels, rows=1)
    shifted = clip_augment.shift(clip, *shifts).astype(int)
    there = clip.any(axis=(1, 2, 3))
    wanted = np.clip(clip[there, ..., 0].astype(int) + shifts[2], 0, 255)
    np.testing.assert_array_equal(shifted[there, ..., 0], wanted)
    np.testing.assert_array_equal(shifted[..., 1:], clip[..., 1:])


def test_what_is_drawn_is_of_seed_epoch_and_row_alone():
  drawn, rows = clip_augment.Drawn(draws.Settings(), seed=3), np.arange(4000)
  flips, shifts = drawn.parameters(1, rows)
  assert 0.45 < flips.mean() < 0.55
  for k, most in enumerate(clip_augment.SHIFTS):
    # Cut towards 0, which has both sides: twice as often as others.
    assert {*shifts[:, k]} == {*range(1 - most, most)}
    assert 1.4 < (shifts[:, k] == 0).mean() / (shifts[:, k] == 1).mean() < 2.8
  order = np.random.default_rng(0).permutation(4000)
  again = drawn.parameters(np.ones(4000, int), rows[order])
  np.testing.assert_array_equal(again[0], flips[order])
  np.testing.assert_array_equal(again[1], shifts[order])
  for other in (
    drawn.parameters(2, rows),
    clip_augment.Drawn(draws.Settings(), 4),
  ):
    found = other if isinstance(other, tuple) else other.parameters(1, rows)
    assert (found[1] != shifts).any(axis=1).mean() > 0.9
  never = clip_augment.Drawn(draws.Settings(flip=0.0), 3)
  assert not never.parameters(1, rows)[0].any()


def test_a_strength_is_of_shifts_alone():
  rows, rng = np.arange(4000), np.random.default_rng(0)
  flips, shifts = clip_augment.Drawn(draws.Settings(), 3).parameters(1, rows)
  for _ in range(10):
    strength, exponent = rng.uniform(0, 2), rng.uniform(0, 1)
    own = draws.Settings(strength=strength, growth_exponent=exponent)
    growth = rng.integers(1, 9, 4000).astype(float)
    found = clip_augment.Drawn(own, 3, growth).parameters(1, rows)
    np.testing.assert_array_equal(found[0], flips)
    s = np.minimum(strength * growth**exponent, 5)[:, None]
    # What is cut to a whole number may lose almost one.
    assert (abs(found[1]) <= s * (abs(shifts) + 1)).all()
    assert (abs(found[1]) > s * abs(shifts) - 1).all()
    assert (found[1] * shifts >= 0).all()


@pytest.mark.parametrize(
  'bad', [np.zeros((2, 3, 4, 4, 1)), np.zeros((2, 4, 4, 1), np.uint8)]
)
def test_what_are_no_clips_is_told(bad):
  with pytest.raises(errors.UserError, match='clips must be uint8'):
    clip_augment.Drawn(draws.Settings(), 0)(bad, 0, np.arange(2))


def make_plan():
  return plan_lib.Plan(
    source=np.resize(np.random.default_rng(7).permutation(N), 20),
    augment=np.arange(20) >= N,
    partner=np.full(20, -1),
    label_names=('a', 'b'),
  )


def batches_of(channels, **arguments):
  rng = np.random.default_rng(channels)
  clips = make_clips(rng, channels, rows=N)
  sounds = rng.standard_normal((N, 8, 5)).astype(np.float32)
  labels = rng.integers(0, 2, (N, 2), np.uint8)
  seen = [
    streams.Stream(name, x.dtype, x.shape[1:], x.__getitem__)
    for name, x in (('clip', clips), ('sound', sounds))
  ]
  target = targets.Target('binary', labels, labels >= 0, ('a', 'b'))
  arguments = {'batch_size': 4, 'seed': 1, 'num_steps': 10} | arguments
  return list(
    pipeline.train_batches(make_plan(), seen, {'labels': target}, **arguments)
  )


def joined(batches, key):
  return np.concatenate([batch[key] for batch in batches])


@pytest.mark.parametrize('channels', [1, 4])
def test_batches_of_clips_are_the_same_after_a_restart(channels):
  plain = batches_of(channels, augment_rows='none')
  added = batches_of(channels)
  for some in (added, batches_of(channels, augment_rows='all')):
    np.testing.assert_array_equal(joined(some, 'sound'), joined(plain, 'sound'))
    assert 'augment' not in some[0]
  changed = joined(added, 'clip') != joined(plain, 'clip')
  share = changed.any(axis=(1, 2, 3, 4)).mean()
  assert 0.2 < share <= 0.4  # Two in five rows were added.
  later = batches_of(channels, start_step=6, num_steps=4, num_workers=3)
  shards = [
    batches_of(
      channels, start_step=6, num_steps=4, shard_index=k, shard_count=2
    )
    for k in range(2)
  ]
  np.testing.assert_array_equal(
    joined(later, 'clip'), joined(added[6:], 'clip')
  )
  for k, batch in enumerate(later):
    both = np.concatenate([shard[k]['clip'] for shard in shards])
    np.testing.assert_array_equal(both, batch['clip'])
  # A row looks different in its next epoch, unless draws are frozen.
  epochs = batches_of(channels, augment_rows='all', num_steps=10)
  frozen = batches_of(channels, augment_rows='all', frozen=True)
  assert (joined(epochs, 'clip') != joined(frozen, 'clip')).any()
  np.testing.assert_array_equal(
    joined(epochs[:5], 'clip'), joined(frozen[:5], 'clip')
  )


def test_processes_make_the_same_clips():
  by_threads = batches_of(4, num_steps=2)
  by_processes = batches_of(4, num_steps=2, num_processes=1)
  np.testing.assert_array_equal(
    joined(by_threads, 'clip'), joined(by_processes, 'clip')
  )


def test_no_policy_is_of_clips():
  with pytest.raises(errors.UserError, match=r'augment.policy must be'):
    batches_of(3, policy=lambda images, epochs, rows: images)


@pytest.mark.parametrize('exponent', [0.0, 1.0])
def test_the_contact_sheet_shows_what_training_sees(exponent):
  """Of clips the last frames, flipped and shifted as the clips are."""
  config = settings_lib.default()
  config.model.name, config.seed = 'two_stream_small', 1
  config.augment.strength, config.augment.growth_exponent = 2.0, exponent
  (batch,) = batches_of(
    3,
    num_steps=1,
    batch_size=20,
    augment_rows='all',
    settings=draws.Settings(strength=2.0, growth_exponent=exponent),
  )
  (plain,) = batches_of(3, num_steps=1, batch_size=20, augment_rows='none')
  order = pipeline.row_stream(20, batch_size=20, seed=1)(0)[1]
  shown = report._augmented(config, make_plan())(plain['clip'][:, -1], 0, order)
  np.testing.assert_array_equal(shown, batch['clip'][:, -1])
