"""What keeps a share of the rows: `keep` by that door, and its rivals."""

import numpy as np
import pytest

import aubal_jax as aubal


def test_keep_is_that_of_its_own_door():
  rng = np.random.default_rng(0)
  # Eight labelsets, as in test_keeping: one program serves.
  labels = np.concatenate(
    [np.unravel_index(np.arange(8), (2, 2, 2)), rng.integers(0, 2, (3, 90))], 1
  ).T
  given = {
    'groups': rng.integers(0, 4, len(labels)),
    'frames': rng.permutation(len(labels)),
  }
  for seed, share in ((0, 0.25), (3, 0.5)):
    plan, _ = aubal.keep(labels, share, seed=seed, **given)
    same = aubal.resample(labels, 'keep', share=share, seed=seed, **given)
    assert plan == same
    resampler = aubal.Resampler(
      'keep', share=share, random_state=seed, options=given
    )
    _, kept = resampler.fit_resample(np.zeros((len(labels), 1)), labels)
    np.testing.assert_array_equal(resampler.sample_indices_, plan.source)
    np.testing.assert_array_equal(kept, labels[plan.source])


def test_every_kth_frame_stays():
  for seed in range(60):
    rng = np.random.default_rng(seed)
    num_rows = int(rng.integers(1, 80))
    groups = rng.integers(0, 4, num_rows)
    frames = rng.permutation(num_rows).astype(float)
    share = rng.uniform(0.6 / num_rows, 1)
    plan = aubal.resample(
      np.ones((num_rows, 1), int), 'keep_every',
      share=share, seed=seed, groups=groups, frames=frames,
    )  # fmt: skip
    named = [*dict.fromkeys(groups.tolist())]
    order = sorted(
      range(num_rows), key=lambda row: (named.index(groups[row]), frames[row])
    )
    places = np.sort([order.index(row) for row in plan.source.tolist()])
    steps = np.diff(places)
    assert len(places) == round(share * num_rows)
    if len(steps):
      assert np.ptp(steps) <= 1
      assert abs(places[0] - (num_rows - 1 - places[-1])) <= steps.max() + 1


def test_where_the_first_step_begins_is_drawn():
  starts = {
    int(aubal.resample(np.ones((40, 1)), 'keep_every', seed=seed).source[0])
    for seed in range(40)
  }
  assert starts == {0, 1, 2, 3}


def test_class_aware_rows_are_drawn_by_label():
  # Labels of their own rows, plenty of them, and as many without a label.
  sizes = np.array([300, 600, 2000, 900])
  index = np.repeat(np.arange(4), sizes)
  labels = np.eye(4, dtype=int)[index][:, :3]
  counts = np.zeros(4)
  for seed in range(10):
    plan = aubal.resample(labels, 'keep_class_aware', share=0.1, seed=seed)
    counts += np.bincount(index[plan.source], minlength=4)
  num_drawn = counts.sum()
  assert num_drawn == 3800
  assert (abs(counts - num_drawn / 4) < 5 * np.sqrt(num_drawn / 4)).all()


def test_class_aware_rows_of_a_label_run_out():
  for seed in range(40):
    rng = np.random.default_rng(seed)
    labels = rng.random((50, 4)) < [0.9, 0.5, 0.1, 0.02]
    plan = aubal.resample(labels, 'keep_class_aware', share=0.96, seed=seed)
    assert len({*plan.source.tolist()}) == len(plan) == 48


@pytest.mark.parametrize(
  'method', ['keep_random', 'keep_class_aware', 'keep_every']
)
@pytest.mark.parametrize('share', [0, 1.5, float('nan'), '1', 1e-6])
def test_shares_that_are_none_are_told(method, share):
  with pytest.raises(aubal.UserError, match=r'^share must'):
    aubal.resample([[1, 0], [0, 1]], method, share=share)
