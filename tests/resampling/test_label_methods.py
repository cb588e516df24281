"""Methods that look at labels alone, by hand and replayed row by row."""

import fractions
import os
import pathlib

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import sparse

import aubal_jax as aubal
from aubal_jax.resampling import bags
from aubal_jax.resampling import ml_ros
from aubal_jax.tables import labelsets as labelsets_lib

A, B, AB = [1, 0], [0, 1], [1, 1]


def table(patterns, counts):
  return np.repeat(np.array(patterns, np.uint8), counts, axis=0)


def sizes(plan, labels):
  """How many rows of each distinct kind a plan has, in the table's order."""
  _, index = np.unique(labels, axis=0, return_inverse=True)
  first = [index.tolist().index(k) for k in range(index.max() + 1)]
  after = np.bincount(index[plan.source], minlength=index.max() + 1)
  return after[np.argsort(first)].tolist()


@st.composite
def uneven_tables(draw):
  shape = draw(st.integers(2, 40)), draw(st.integers(2, 6))
  rng = np.random.default_rng(draw(st.integers(0, 10_000)))
  labels = rng.random(shape) < rng.choice([0.04, 0.1, 0.3, 0.8], shape[1])
  return labels.astype(np.uint8)


@hypothesis.given(
  st.lists(st.integers(0, 9), max_size=12).map(sorted), st.integers(0, 90)
)
def test_water_filling_is_taking_turns(caps, total):
  left, shares = total, []
  for place, cap in enumerate(caps):
    shares.append(min(cap, left // (len(caps) - place)))
    left -= shares[-1]
  found = bags.share_evenly(np.array(caps, int), total)
  assert found.tolist() == shares
  assert found.sum() == min(total, sum(caps))


@pytest.mark.parametrize(
  ('fraction', 'expected'),
  [
    # 8 a, 3 b, 1 ab: the mean is 4, b takes 1 at most and ab 3.
    (0.0, [8, 3, 1]),
    (0.1, [8, 3, 2]),  # One row, fewer than bags: the rarest gets it.
    (0.25, [8, 4, 3]),
    (0.5, [8, 4, 4]),  # Six rows, of which four fit.
    (10.0, [8, 4, 4]),
  ],
)
def test_lp_ros_by_hand(fraction, expected):
  labels = table([A, B, AB], [8, 3, 1])
  plan = aubal.resample(labels, 'lp_ros', fraction=fraction)
  assert sizes(plan, labels) == expected


@pytest.mark.parametrize(
  ('fraction', 'expected'),
  [
    # 8 a, 6 b, 1 ab: the mean is 5, a gives 3 at most and b 1.
    (0.0, [8, 6, 1]),
    (0.07, [7, 6, 1]),  # One row: of the most frequent.
    (0.2, [6, 5, 1]),
    (0.9, [5, 5, 1]),
  ],
)
def test_lp_rus_by_hand(fraction, expected):
  labels = table([A, B, AB], [8, 6, 1])
  plan = aubal.resample(labels, 'lp_rus', fraction=fraction)
  assert sizes(plan, labels) == expected


def test_a_mean_that_is_no_whole_number_is_not_passed():
  # Seven rows of three kinds: the mean is 7 / 3.
  labels = table([A, B, AB], [4, 2, 1])
  plan = aubal.resample(labels, 'lp_ros', fraction=1.0)
  assert sizes(plan, labels) == [4, 2, 2]
  plan = aubal.resample(labels, 'lp_rus', fraction=0.9)
  assert sizes(plan, labels) == [3, 2, 1]


@pytest.mark.parametrize('method', ['lp_ros', 'lp_rus'])
def test_rows_that_are_all_unlike_stay_as_they_are(method):
  labels = np.unpackbits(np.arange(16, dtype=np.uint8)[:, None], axis=1)
  plan = aubal.resample(labels, method, fraction=0.5)
  assert plan.source.tolist() == [*range(16)]


def test_the_empty_labelset_is_a_bag():
  labels = table([A, B, [0, 0]], [8, 3, 1])
  plan = aubal.resample(labels, 'lp_ros', fraction=0.5)
  assert sizes(plan, labels) == [8, 4, 4]


def test_which_of_equal_bags_gets_the_row_is_drawn():
  labels = table([A, B, AB], [8, 1, 1])
  given = {
    tuple(sizes(aubal.resample(labels, 'lp_ros', fraction=0.1, seed=s), labels))
    for s in range(20)
  }
  assert given == {(8, 2, 1), (8, 1, 2)}


@pytest.mark.parametrize(
  ('patterns', 'counts', 'live_mean', 'expected'),
  [
    # IRLbl 1 and 6, mean 3.5: b doubles to IRLbl 3, and that is enough.
    ([A, B], [6, 1], False, [6, 2]),
    # The mean follows to 2, 1.5, ... and b until it is as frequent as a.
    ([A, B], [6, 1], True, [6, 6]),
    # IRLbl 1 and 7, mean 4. A clone makes a 8 and b 2: 8 / 2 is at the mean.
    ([A, AB], [6, 1], False, [6, 2]),
    # No label is rarer than the mean.
    ([A, B], [4, 4], False, [4, 4]),
  ],
)
def test_ml_ros_by_hand(patterns, counts, live_mean, expected):
  labels = table(patterns, counts)
  plan = aubal.resample(labels, 'ml_ros', fraction=1.0, live_mean=live_mean)
  assert sizes(plan, labels) == expected


def exact_mean_ir(counts):
  """MeanIR without rounding, which decides ties."""
  ratios = [fractions.Fraction(int(counts.max()), int(c)) for c in counts if c]
  return sum(ratios) / len(ratios) if ratios else fractions.Fraction(1)


def replay_ml_ros(labels, added, budget, live_mean):
  """Asserts that `added` is what the rounds of ML-ROS can clone, in order."""
  counts = labels.sum(axis=0, dtype=int)
  mean = exact_mean_ir(counts)
  waiting = [
    label
    for label in np.flatnonzero(counts)
    if fractions.Fraction(int(counts.max()), int(counts[label])) > mean
  ]
  added = iter(added)
  while waiting and budget:
    for label in [*waiting]:
      if not budget:
        break
      row = next(added)
      assert labels[row, label]
      counts += labels[row]
      budget -= 1
      level = exact_mean_ir(counts) if live_mean else mean
      if int(counts.max()) <= level * int(counts[label]):
        waiting.remove(label)
  assert next(added, None) is None


@hypothesis.given(
  uneven_tables(), st.sampled_from([0.1, 0.25, 2.0]), st.booleans()
)
def test_ml_ros_replayed(labels, fraction, live_mean):
  plan = aubal.resample(
    labels, 'ml_ros', fraction=fraction, live_mean=live_mean
  )
  budget = round(fraction * len(labels))
  added = plan.source[len(labels) :].tolist()
  replay_ml_ros(labels, added, budget, live_mean)


def test_ml_ros_in_short_blocks_is_ml_ros(monkeypatch):
  monkeypatch.setattr(ml_ros, '_BLOCK_ENTRIES', 1)
  rng = np.random.default_rng(0)
  labels = (rng.random((400, 9)) < np.geomspace(0.5, 0.01, 9)).astype(np.uint8)
  plan = aubal.resample(labels, 'ml_ros', fraction=0.5)
  replay_ml_ros(labels, plan.source[400:].tolist(), 200, False)


def test_ml_ros_draws_members_evenly():
  # IRLbl of b is 22.5, the mean 11.75: four clones of rows 90 to 93.
  labels = table([A, B], [90, 4])
  plans = [aubal.resample(labels, 'ml_ros', seed=seed) for seed in range(100)]
  times = np.bincount(np.concatenate([plan.source[94:] for plan in plans]))
  assert times.sum() == 400
  assert times[90:].min() > 75


@pytest.mark.parametrize(
  ('fraction', 'expected'),
  [
    # 6 a, 2 b: IRLbl 1 and 3, mean 2. a goes until 2 / 1 is at the mean.
    (0.25, [4, 2]),
    (0.9, [1, 2]),
  ],
)
def test_ml_rus_by_hand(fraction, expected):
  labels = table([A, B], [6, 2])
  plan = aubal.resample(labels, 'ml_rus', fraction=fraction)
  assert sizes(plan, labels) == expected


def test_ml_rus_takes_turns():
  # 12 a, 12 b, 2 c: IRLbl 1, 1, 6, so a and b give a row in turn.
  labels = table(np.eye(3), [12, 12, 2])
  plan = aubal.resample(labels, 'ml_rus', fraction=7 / 26)
  assert sizes(plan, labels) == [8, 9, 2]


def plain_ml_rus(labels, number, rng):
  """Returns the rows left, by sets, with all counted anew at each deletion."""
  counts = labels.sum(axis=0, dtype=int)
  mean = labelsets_lib.mean_ir(counts)
  majority = np.flatnonzero(labelsets_lib.irlbl(counts) < mean)
  order = {k: rng.permutation(np.flatnonzero(labels[:, k])) for k in majority}
  left, waiting = {*range(len(labels))}, [*majority]
  while waiting and number:
    for label in [*waiting]:
      row = next((r for r in order[label] if r in left), None)
      if number and row is not None:
        left.remove(row)
        number -= 1
      counts = labels[[*left]].sum(axis=0, dtype=int)
      if row is None or counts.max() >= mean * counts[label]:
        waiting.remove(label)
  return sorted(left)


@hypothesis.given(
  uneven_tables(), st.sampled_from([0.1, 0.25, 0.9]), st.integers(0, 3)
)
def test_ml_rus_is_the_plain_loop(labels, fraction, seed):
  plan = aubal.resample(labels, 'ml_rus', fraction=fraction, seed=seed)
  number = min(round(fraction * len(labels)), len(labels) - 1)
  rng = np.random.default_rng(seed)
  assert plan.source.tolist() == plain_ml_rus(labels, number, rng)


def test_ml_rus_of_rows_without_a_minority_label():
  # 6 a, 2 b, 1 ab, 3 without any: only a alone and those without can go.
  labels = table([A, B, AB, [0, 0]], [60, 2, 1, 3])
  plan = aubal.resample(labels, 'ml_rus', fraction=0.9, reading='no_minority')
  assert sizes(plan, labels)[1:3] == [2, 1] and len(plan) == 66 - 59
  plan = aubal.resample(labels, 'ml_rus', fraction=0.97, reading='no_minority')
  assert sizes(plan, labels) == [0, 2, 1, 0]
  labels = table([AB], [4])
  plan = aubal.resample(labels, 'ml_rus', fraction=0.5, reading='no_minority')
  assert len(plan) == 2  # No label is in the minority: any row may go.
  plan = aubal.resample(labels, 'ml_rus', fraction=0.9, reading='no_minority')
  assert len(plan) == 1  # Of four rows .9 are four, but one stays.


@pytest.mark.parametrize(('fraction', 'added'), [(0.25, 2), (2.5, 25)])
def test_the_control_is_even(fraction, added):
  plan = aubal.resample(table([A, B], [8, 2]), 'random', fraction=fraction)
  times = np.bincount(plan.source)
  assert plan.augment.sum() == added
  assert times.max() - times.min() == 1


def test_bags():
  # a in rows 0, 2 and 3, b in row 2, c nowhere.
  labels = sparse.csr_array(
    np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0], [1, 0, 0]], np.uint8)
  )
  counts = bags.class_counts(labels)
  assert counts.tolist() == [3, 1, 0]
  assert bags.minority(counts).tolist() == [False, True, False]
  assert bags.majority(counts).tolist() == [True, False, False]
  starts, members = bags.members(labels)
  assert starts.tolist() == [0, 3, 4, 4] and members.tolist() == [0, 2, 3, 2]
  assert bags.largest(labels, [2.0, 5.0, 9.0]).tolist() == [2, 0, 5, 2]


# MeanIR, CVIR and SCUMBLE of the tables of the literature, by two programs.
TABLES = {
  'emotions': (1.4781, 0.1796, 0.01095),
  'yeast': (7.1968, 1.8838, 0.10436),
  'enron': (73.9528, 1.9596, 0.30277),
  'birds': (5.4070, 0.8169, 0.03303),
}
# What public programs make of a quarter of their rows: MeanIR and CVIR, means
# over seeds. Those programs miss the budget that is exact here by up to 4 % of
# the rows, so the figures cannot be the same to the last digit.
PUBLIC = {
  ('lp_ros', 'emotions'): (1.356, 0.163),
  ('lp_ros', 'yeast'): (4.88, 1.63),
  ('lp_rus', 'emotions'): (1.455, 0.204),
  ('lp_rus', 'yeast'): (6.88, 1.90),
  ('ml_ros', 'emotions'): (1.490, 0.168),
  ('ml_ros', 'yeast'): (3.75, 0.66),
  ('ml_ros', 'enron'): (33.3, 0.77),
  ('ml_rus', 'emotions'): (1.187, 0.167),
  ('ml_rus', 'yeast'): (7.02, 1.75),
}


def labels_of_the_literature(name):
  folder = os.environ.get('AUBAL_LABEL_FILES', '')
  path = pathlib.Path(folder, f'{name}.npz')
  if not path.exists():
    pytest.skip(
      f'NOT CHECKED: set AUBAL_LABEL_FILES to a folder with {name}.npz (labels)'
    )
  with np.load(path) as arrays:
    return arrays['labels']


@pytest.mark.parametrize('name', TABLES)
def test_measures_of_the_literature(name):
  found = aubal.imbalance(labels_of_the_literature(name))
  mean_ir, cvir, scumble = TABLES[name]
  assert found['mean_ir'] == pytest.approx(mean_ir, abs=5e-5)
  assert found['cvir'] == pytest.approx(cvir, abs=5e-5)
  assert found['scumble'] == pytest.approx(scumble, abs=5e-6)


@pytest.mark.parametrize(('method', 'name'), PUBLIC)
def test_public_programs_agree(method, name):
  labels = labels_of_the_literature(name)
  found = []
  for seed in range(20):
    plan = aubal.resample(labels, method, fraction=0.25, seed=seed)
    uneven = aubal.imbalance(labels[plan.source])
    found.append((uneven['mean_ir'], uneven['cvir']))
  mean_ir, cvir = np.mean(found, axis=0)
  assert mean_ir == pytest.approx(PUBLIC[method, name][0], rel=0.03)
  assert cvir == pytest.approx(PUBLIC[method, name][1], rel=0.08)
