import itertools
import sys

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aubal_jax.datasets import splits
from aubal_jax.datasets import stratify

FRACTIONS = np.array([0.15, 0.15, 0.7])


def rng(seed=0):
  return np.random.default_rng(seed)


def unevenness(counts, part, sizes):
  """The largest distance of a part's share of a count from its size."""
  sizes = np.asarray(sizes)
  held = np.stack([counts[part == p].sum(0) for p in range(len(sizes))])
  shares = held / np.maximum(counts.sum(0), 1)
  return np.abs(shares - (sizes / sizes.sum())[:, None]).max()


def videos(seed, num_videos=60, num_labels=8):
  """Counts of the labels in videos of very uneven length, and frames."""
  draw = rng(seed)
  frames = np.maximum(draw.lognormal(5.7, 0.9, num_videos).astype(int), 5)
  logits = draw.normal(-2, 1, num_labels)
  logits = logits + draw.normal(0, 1.5, (num_videos, num_labels))
  positives = draw.binomial(frames[:, None], 1 / (1 + np.exp(-logits)))
  return np.column_stack([positives, frames]).astype(float)


def test_rows_are_even_in_every_label():
  labels = (rng().random((2000, 10)) < np.geomspace(0.01, 0.5, 10)).astype(
    np.uint8
  )
  sizes = [300, 300, 1400]
  part = stratify.part_rows(labels, sizes, rng())
  assert np.bincount(part).tolist() == sizes
  held = np.stack([labels[part == p].sum(0) for p in range(3)])
  wanted = FRACTIONS[:, None] * labels.sum(0)
  assert np.abs(held - wanted).max() <= 4  # Moved rows among them.
  chance = splits.draw(labels, None, splits.Draw(stratify=False)) == 'test'
  assert np.abs(labels[chance].sum(0) - wanted[1]).max() > 6


@pytest.mark.parametrize('seed', range(3))
def test_groups_are_evener_than_the_best_of_many_draws(seed):
  counts = videos(seed)
  sizes = [9, 9, 42]
  part = stratify.part_groups(counts, sizes, rng(seed))
  assert np.bincount(part).tolist() == sizes
  drawn = np.repeat(np.arange(3), sizes)
  chance = [
    unevenness(counts, rng(k).permutation(drawn), sizes) for k in range(200)
  ]
  found = unevenness(counts, part, sizes)
  assert found < 0.05
  assert found < min(chance)


def test_no_exchange_is_left_that_makes_few_groups_evener():
  sizes = np.array([1, 3, 8])
  wanted = sizes / 12

  def score(shares, part):
    held = np.stack([shares[part == p].sum(0) for p in range(3)])
    return (np.square(held - wanted[:, None]).sum(1) / wanted).sum()

  for seed in range(40):
    counts = videos(seed, num_videos=12, num_labels=3)
    part = stratify.part_groups(counts, sizes, rng(seed))
    shares = counts / counts.sum(0)
    reached = score(shares, part)
    for i, j in itertools.combinations(range(12), 2):
      other = part.copy()
      other[[i, j]] = part[[j, i]]
      assert score(shares, other) > reached - 1e-9, (seed, i, j)


@hypothesis.settings(deadline=None)
@hypothesis.given(
  st.lists(
    st.lists(st.integers(0, 1), min_size=4, max_size=4), min_size=1, max_size=30
  ),
  st.integers(0, 9),
  st.randoms(use_true_random=False),
)
def test_sizes_are_exact_whatever_the_labels(rows, seed, random):
  labels = np.array(rows, np.uint8)
  cuts = sorted(random.choices(range(len(rows) + 1), k=2))
  sizes = np.diff([0, *cuts, len(rows)])  # Some may be 0.
  for part in (
    stratify.part_rows(labels, sizes, rng(seed)),
    stratify.part_groups(labels.astype(float), sizes, rng(seed)),
  ):
    assert np.bincount(part, minlength=3).tolist() == sizes.tolist()


@pytest.mark.parametrize(
  'labels',
  [
    np.zeros((20, 3), np.uint8),  # No positive at all.
    np.eye(20, dtype=np.uint8),  # One a label: the largest part wants all.
    np.ones((20, 3), np.uint8),
  ],
)
def test_labels_that_cannot_be_stratified(labels):
  part = stratify.part_rows(labels, [3, 3, 14], rng())
  assert np.bincount(part).tolist() == [3, 3, 14]


def test_rows_with_rare_labels_are_not_the_ones_that_move():
  # The package puts the 40 rows that are alone with their label in the largest
  # part; of the 20 others 15 would be, and 10 of them must move.
  labels = np.zeros((60, 41), np.uint8)
  labels[:40, 1:] = np.eye(40, dtype=np.uint8)
  labels[40:, 0] = 1
  part = stratify.part_rows(labels, [15, 45], rng())
  assert (part[:40] == 1).all()


def test_seeds_draw_other_parts_and_more_groups_than_candidates(monkeypatch):
  monkeypatch.setattr(stratify, 'CANDIDATES', 5)
  counts = videos(0)
  parts = [stratify.part_groups(counts, [9, 9, 42], rng(s)) for s in range(3)]
  assert any((parts[0] != part).any() for part in parts[1:])
  for part in parts:
    assert np.bincount(part).tolist() == [9, 9, 42]
    assert unevenness(counts, part, [9, 9, 42]) < 0.1


def test_few_visits_end_the_exchanges(monkeypatch):
  monkeypatch.setattr(stratify, 'MAX_VISITS', 0)
  part = stratify.part_groups(videos(0), [9, 9, 42], rng())
  assert np.bincount(part).tolist() == [9, 9, 42]


def test_without_the_package(monkeypatch):
  monkeypatch.setitem(sys.modules, 'iterstrat', None)
  with pytest.raises(ValueError, match=r'stratification, which is not i'):
    stratify.part_rows(np.eye(3, dtype=np.uint8), [1, 2], rng())
