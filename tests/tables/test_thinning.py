"""Rows that stay: how many, of which groups, how far apart."""

import itertools

import numpy as np
import pytest

from aubal_jax.tables import thinning


def drawn(seed):
  """A table: index, counts, groups, frames and a generator."""
  rng = np.random.default_rng(seed)
  num_rows, num_sets = int(rng.integers(1, 120)), int(rng.integers(1, 6))
  index = rng.integers(0, num_sets, num_rows)
  sizes = np.bincount(index, minlength=num_sets)
  counts = rng.integers(0, sizes + 1)
  groups = rng.integers(0, rng.integers(1, 8), num_rows)
  frames = rng.integers(0, rng.choice([5, 40, 10_000]), num_rows).astype(float)
  return index, counts, groups, frames, rng


def least_distance(frames):
  return np.diff(np.sort(frames)).min(initial=np.inf)


@pytest.mark.parametrize('with_frames', [False, True])
def test_counts_are_kept_and_groups_take_turns(with_frames):
  for seed in range(150):
    index, counts, groups, frames, rng = drawn(seed)
    frames = frames if with_frames else None
    kept = thinning.thin(index, counts, groups, frames, rng)
    assert (np.diff(kept) > 0).all()
    stays = np.bincount(index[kept], minlength=len(counts))
    np.testing.assert_array_equal(stays, counts)
    for s in range(len(counts)):
      own = np.bincount(groups[index == s], minlength=8)
      left = np.bincount(groups[kept][index[kept] == s], minlength=8)
      # Who has fewer than another by more than one has no row left.
      assert (own[left < left.max() - 1] == left[left < left.max() - 1]).all()


def test_frames_that_stay_are_far_apart():
  for seed in range(150):
    index, counts, groups, frames, rng = drawn(seed)
    kept = thinning.thin(index, counts, groups, frames, rng)
    for s, g in itertools.product(range(len(counts)), range(8)):
      mine = frames[(index == s) & (groups == g)]
      stays = frames[kept][(index[kept] == s) & (groups[kept] == g)]
      assert 2 * least_distance(stays) >= best_distance(mine, len(stays))


def best_distance(frames, number):
  """The largest least distance of so many frames, by trying each distance."""
  if number < 2:
    return 0.0
  frames = np.sort(frames)
  for distance in np.unique(frames[:, None] - frames)[::-1]:
    last, chosen = -np.inf, 0
    for frame in frames:
      if frame - last >= distance:
        last, chosen = frame, chosen + 1
    if chosen >= number:
      return distance
  raise AssertionError('There are not so many frames.')


def test_the_seed_decides_alone():
  for seed in range(20):
    index, counts, groups, frames, _ = drawn(seed)
    given = index, counts, groups, frames
    same = [thinning.thin(*given, np.random.default_rng(3)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
  index, groups = np.zeros(90, int), np.arange(90) % 30
  kept = [
    thinning.thin(
      index, np.array([10]), groups, None, np.random.default_rng(seed)
    ).tolist()
    for seed in range(5)
  ]
  assert len({*map(tuple, kept)}) == 5


def test_groups_are_numbered_as_they_come():
  rng = np.random.default_rng(0)
  for names in (['b', 'a', 'c'], [7, -1, 3], ['b', 2, None]):
    places = np.concatenate([[0, 1, 2], rng.integers(0, 3, 20)])
    groups = np.array(names, object)[places]
    for given in (groups, groups.tolist()):
      found = thinning.checked_groups(given, len(given))
      np.testing.assert_array_equal(found, places)
  assert thinning.checked_groups(None, 3) is None


def test_shares_are_rounded_up():
  rng = np.random.default_rng(0)
  for share in np.exp(rng.uniform(np.log(1e-9), 0, 300)):
    found = thinning.rounded_up(share)
    assert share <= found <= min(share * 1.01, 1.0) + 1e-15
