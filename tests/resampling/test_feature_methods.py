"""Methods with neighbours or labels of their own, by hand and by oracle."""

import os
import pathlib

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from aubal_jax import resampling
from aubal_jax.resampling import bags
from aubal_jax.resampling import mlsol
from aubal_jax.resampling import mltl
from aubal_jax.resampling import neighbours as neighbours_lib
from aubal_jax.tables import labelsets as labelsets_lib

# a in 6 rows, b in 6, c in 3: IRLbl 1, 1, 2, mean 4/3, so c is a minority.
# The bag of c is rows 1, 4, 6, at 0, 1, 10; row 2 is nearer to 6 than 4 is.
LABELS = np.array(
  [
    [1, 1, 0],
    [1, 0, 1],
    [1, 1, 0],
    [1, 1, 0],
    [1, 1, 1],
    [0, 1, 0],
    [0, 1, 1],
    [1, 0, 0],
  ],
  np.uint8,
)
PLACES = np.array([[3], [0], [9], [0.5], [1], [8], [10], [-4]], float)


def uneven(seed=0, num_rows=300):
  """A table of 6 labels, the last two rare, and 8 features."""
  draw = np.random.default_rng(seed)
  chances = np.array([0.5, 0.4, 0.4, 0.3, 0.06, 0.04])
  labels = (draw.random((num_rows, 6)) < chances).astype(np.uint8)
  return labels, draw.normal(size=(num_rows, 8))


def labels_of(plan, labels):
  return labels[plan.source] if plan.labels is None else plan.labels


def assert_originals(plan, num_rows):
  """N rows of the table as they are, whatever comes after."""
  assert plan.source[:num_rows].tolist() == list(range(num_rows))
  assert (plan.partner[:num_rows] == -1).all()
  assert not plan.augment[:num_rows].any()
  assert plan.augment[num_rows:].all()


@pytest.mark.parametrize(
  ('neighbours', 'combine', 'expected'),
  [
    # Pairs 1 with 4, 4 with 1, 6 with 4: ab of both but b of row 1.
    (1, 'ranking', [[1, 0, 1], [1, 0, 1], [0, 1, 1]]),
    (1, 'union', [[1, 1, 1]] * 3),
    (1, 'intersection', [[1, 0, 1], [1, 0, 1], [0, 1, 1]]),
    # All three vote: two have a, two b, three c.
    (2, 'ranking', [[1, 1, 1]] * 3),
    (2, 'intersection', [[0, 0, 1]] * 3),
    (5, 'ranking', [[1, 1, 1]] * 3),
  ],
)
def test_mlsmote_by_hand(neighbours, combine, expected):
  plan = resampling.resample(
    LABELS, 'mlsmote', features=PLACES, neighbours=neighbours, combine=combine
  )
  assert_originals(plan, 8)
  assert plan.source[8:].tolist() == [1, 4, 6]
  if neighbours == 1:
    assert plan.partner[8:].tolist() == [4, 1, 4]
  np.testing.assert_array_equal(plan.labels[:8], LABELS)
  assert plan.labels[8:].tolist() == expected
  assert plan.labels.dtype == np.uint8


def test_mlsmote_made_of_features():
  plan = resampling.resample(
    LABELS, 'mlsmote', features=PLACES, neighbours=1, seed=3
  )
  rows = plan.take(PLACES, np.random.default_rng(0))
  np.testing.assert_array_equal(rows[:8], PLACES)
  assert 0 <= rows[8, 0] < 1 and 0 < rows[9, 0] <= 1 and 1 < rows[10, 0] <= 10


@pytest.mark.parametrize('method', ['mlsmote', 'smote'])
@pytest.mark.parametrize(
  ('fraction', 'repeats'),
  [(0, [0, 0, 0]), (0.125, [0, 0, 1]), (0.375, [1, 1, 1]), (0.875, [2, 2, 3])],
)
def test_an_amount_is_spread_evenly_over_the_seeds(method, fraction, repeats):
  drawn = set()
  for seed in range(20):
    plan = resampling.resample(
      LABELS, method, features=PLACES, fraction=fraction, seed=seed
    )
    assert len(plan) == 8 + round(fraction * 8)
    found = np.bincount(plan.source[8:], minlength=8)[[1, 4, 6]]
    assert sorted(found) == repeats
    drawn.add(tuple(found))
  assert len(drawn) == (1 if len(set(repeats)) == 1 else 3)


@pytest.mark.parametrize('method', ['mlsmote', 'smote'])
def test_references_are_drawn_among_the_nearest_of_the_bag(method):
  labels, features = uneven()
  plan = resampling.resample(labels, method, features=features, fraction=4)
  assert_originals(plan, 300)
  rare = labelsets_lib.irlbl(labels.sum(0))
  columns = np.flatnonzero(rare > rare.mean())
  assert columns.tolist() == [4, 5]
  # A new row is of the first bag, or of the second.
  source, partner = plan.source[300:], plan.partner[300:]
  near = [set(), set()]
  for pairs, column in zip(near, columns, strict=True):
    bag = np.flatnonzero(labels[:, column])
    other = NearestNeighbors(n_neighbors=5).fit(features[bag])
    for row, others in zip(bag, other.kneighbors()[1], strict=True):
      pairs.update((row, one) for one in bag[others])
  border = round(1200 * labels[:, 4].sum() / labels[:, 4:].sum())
  made = list(zip(source.tolist(), partner.tolist(), strict=True))
  assert set(made) <= near[0] | near[1]
  assert set(made[: border - 40]) <= near[0]
  assert set(made[border + 40 :]) <= near[1]
  # Each of five neighbours about as often: 60 to 110 rows a seed.
  assert len(set(made)) > 0.95 * len(near[0] | near[1])
  if method == 'smote':
    assert plan.labels is None  # Those of the seed.


def test_mlsmote_votes_of_seed_and_neighbours():
  labels, features = uneven(1)
  plan = resampling.resample(labels, 'mlsmote', features=features)
  bags = [np.flatnonzero(labels[:, column]) for column in (4, 5)]
  assert plan.source[300:].tolist() == np.concatenate(bags).tolist()
  expected = []
  for bag in bags:
    other = NearestNeighbors(n_neighbors=5).fit(features[bag])
    votes = labels[bag][other.kneighbors()[1]].sum(1) + labels[bag]
    expected.extend((votes > 3).astype(int).tolist())
  assert plan.labels[300:].tolist() == expected


@pytest.mark.parametrize('method', ['mlsmote', 'smote'])
def test_a_bag_of_one_makes_nothing(method):
  # 40, 40, 40, 3, 1: IRLbl 1, 1, 1, 13.3, 40, mean 11.3.
  labels = np.zeros((40, 5), np.uint8)
  labels[:, :3] = 1
  labels[[3, 20, 30], 3] = 1
  labels[7, 4] = 1
  features = np.arange(40.0)[:, None]
  plan = resampling.resample(labels, method, features=features)
  assert len(plan) == 44  # As many as both labels have rows.
  assert set(plan.source[40:]) == {3, 20, 30}
  # Nobody else: nothing to do.
  alone = labels.copy()
  alone[:, 3] = 0
  for fraction in (None, 0.5):
    plan = resampling.resample(
      alone, method, features=features, fraction=fraction
    )
    assert len(plan) == 40 and not plan.augment.any()


@pytest.mark.parametrize(
  'method',
  [m for m in resampling.RESAMPLERS if resampling.takes(m, 'features')],
)
def test_where_all_labels_are_as_frequent(method):
  labels = np.tile(np.eye(2, dtype=np.uint8), (5, 1))
  features = np.arange(10.0)[:, None] // 2
  plan = resampling.resample(labels, method, features=features)
  if method in ('mlsmote', 'smote'):
    assert len(plan) == 10
  again = resampling.resample(labels, method, features=features)
  np.testing.assert_array_equal(plan.source, again.source)
  with pytest.raises(ValueError, match='features must be given'):
    resampling.resample(labels, method)


def test_remedial_by_hand():
  # a in 4 rows, b in 4, c in 1: IRLbl 1, 1, 4, mean 2. Row 2 has IRLbl 1 and 4:
  # SCUMBLE 1 - 2 / 2.5 = .2, the mean is .2 / 7.
  labels = np.array(
    [[1, 0, 0]] * 2 + [[1, 0, 1], [1, 1, 0]] + [[0, 1, 0]] * 3, np.uint8
  )
  found = labelsets_lib.scumble_of_rows(labels, labels.sum(0))
  np.testing.assert_allclose(found, [0, 0, 0.2, 0, 0, 0, 0], atol=1e-12)
  plan = resampling.resample(labels, 'remedial')
  assert_originals(plan, 7)
  assert plan.source.tolist() == [*range(7), 2]
  assert plan.labels[2].tolist() == [0, 0, 1]
  assert plan.labels[7].tolist() == [1, 0, 0]
  others = np.delete(np.arange(7), 2)
  np.testing.assert_array_equal(plan.labels[others], labels[others])
  # Then rare and frequent labels no longer meet.
  assert labelsets_lib.imbalance(plan.labels)['scumble'] < 1e-12


def test_remedial_splits_a_row_of_frequent_labels_too():
  # a in 4 rows, b in 2, c in 1: IRLbl 1, 2, 4, mean 7/3; row 0 has a and b.
  labels = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]] + [[1, 0, 0]] * 3)
  plan = resampling.resample(labels, 'remedial')
  assert plan.source.tolist() == [0, 1, 2, 3, 4, 5, 0]
  assert plan.labels[0].tolist() == [0, 0, 0]
  assert plan.labels[6].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
  'labels',
  [
    [[1, 1, 0], [1, 0, 1]],  # Both .057: none is above the mean.
    [[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]],
    np.column_stack([np.ones(11, int), np.eye(11, dtype=int)]),  # Rounded.
    np.eye(3, dtype=int),
    np.zeros((3, 2), int),
  ],
)
def test_remedial_has_nothing_to_split(labels):
  plan = resampling.resample(labels, 'remedial')
  assert len(plan) == len(labels) and plan.labels is None


def test_how_far_labels_differ():
  labels = resampling._as_csr([[1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 0]], ())[
    0
  ]
  # ab and bc: 2 of 4; ab and a: 1 of 3; bc and a: all; none: nothing differs.
  rows, others = np.array([0, 0, 1, 3, 3]), np.array([1, 2, 2, 3, 0])
  found = neighbours_lib.adjusted_hamming(labels, rows, others)
  np.testing.assert_allclose(found, [0.5, 1 / 3, 1, 0, 1])


# a in 5 rows, b in 4, c in 1: IRLbl 1, 1.25, 5, mean 2.42: c is a minority.
# Pairs of rows stand close together, at 0, 10, 20, 30, 40.
MIXED = np.array(
  [
    [1, 0, 0],  # 0 and 1: all differs.
    [0, 1, 0],
    [1, 0, 0],  # 2 and 3: nothing does.
    [1, 0, 0],
    [1, 1, 0],  # 4 and 5: 2 of 4, as a is shared.
    [1, 0, 1],
    [0, 1, 0],  # 6 and 7: all, one has no labels.
    [0, 0, 0],
    [0, 0, 0],  # 8 and 9: as those.
    [0, 1, 0],
  ],
  np.uint8,
)
STANDS = np.array([0, 1, 10, 11, 20, 21, 30, 31, 40, 41.0])[:, None]


@pytest.mark.parametrize(
  ('threshold', 'gone'),
  [(0.75, {0, 1, 6, 7, 8, 9}), (0.4, {0, 1, 4, 6, 7, 8, 9}), (1, set())],
)
def test_mlenn_by_hand(threshold, gone):
  plan = resampling.resample(
    MIXED, 'mlenn', features=STANDS, neighbours=1, threshold=threshold
  )
  assert set(range(10)) - set(plan.source.tolist()) == gone
  assert not plan.augment.any() and plan.labels is None
  assert (np.diff(plan.source) > 0).all()


def test_mlenn_takes_half_of_the_neighbours():
  # a at -2, -1, 0 and b at 1.5, 4, 5. Of 3 neighbours of the row at 1.5 two
  # differ, of those of others one. Of 4 neighbours two or three differ.
  labels = [[1, 0]] * 3 + [[0, 1]] * 3
  places = np.array([[-2], [-1], [0], [1.5], [4], [5]])
  kept = resampling.resample(labels, 'mlenn', features=places).source
  assert kept.tolist() == [0, 1, 2, 4, 5]
  kept = resampling.resample(labels, 'mlenn', features=places, neighbours=4)
  assert kept.source.tolist() == [0, 1, 2, 3, 4, 5]  # All would go: all stay.


def test_mltl_by_hand():
  # Row 5 has the frequent label a, so it goes in spite of c; 7 and 8 have none.
  plan = resampling.resample(MIXED, 'mltl', features=STANDS, threshold=0.4)
  assert plan.source.tolist() == [2, 3, 7, 8]
  # From MeanIR 2.42: 1 / sqrt = .64, so .5; the difference of 4 and 5 is .5.
  plan = resampling.resample(MIXED, 'mltl', features=STANDS)
  assert plan.source.tolist() == [2, 3, 4, 5, 7, 8]


def test_mltl_judges_labels_below_the_mean_alone():
  # Both labels have IRLbl 1, the mean; rows 1 and 3 stand close together.
  labels = [[1, 0], [1, 0], [0, 1], [0, 1]]
  places = np.array([[0], [1], [3], [1.9]])
  plan = resampling.resample(labels, 'mltl', features=places)
  assert plan.source.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
  ('labels', 'expected'),
  [
    # IRLbl 1 and 6, 1 and 15, 1 and 40: MeanIR 3.5, 8, 20.5.
    (np.repeat(np.eye(2), [6, 1], axis=0), 0.5),
    (np.repeat(np.eye(2), [15, 1], axis=0), 0.3),
    (np.repeat(np.eye(2), [40, 1], axis=0), 0.15),
    # MeanIR 15.1, but SCUMBLE is 1 - 4 / 8.5.
    (np.column_stack([np.ones(16), np.eye(16)]), 0.5),
    (np.zeros((3, 2)), 0.15),  # No label: nothing is judged.
  ],
)
def test_mltl_has_a_threshold_of_its_own(labels, expected):
  labels, _ = resampling._as_csr(labels, ())
  assert mltl._threshold(labels, bags.class_counts(labels)) == expected


@pytest.mark.parametrize('method', ['mlenn', 'mltl'])
def test_cleaning_has_a_threshold_and_leaves_rows(method):
  for wrong in (-0.1, 1.5, float('nan')):
    with pytest.raises(ValueError, match='threshold must be from 0 to 1'):
      resampling.resample(MIXED, method, features=STANDS, threshold=wrong)
  labels = [[1, 0], [0, 1]]
  plan = resampling.resample(labels, method, features=[[0.0], [1.0]])
  assert len(plan) == 2
  with pytest.raises(ValueError, match='has no amount to choose'):
    resampling.resample(MIXED, method, features=STANDS, fraction=0.1)


def test_mlsol_kinds_by_hand():
  # Four neighbours each; rows 0 to 4 have the rarer value, 5 the other.
  # 0: none disagrees; 1: two do; 2, 3, 4: three do, one of all but 4 being
  # near to 3, 3 near to 1. So 3 is at the border, and then 2; 4 stays rare.
  near = np.array(
    [
      [1, 2, 3, 4],
      [0, 2, 5, 5],
      [3, 5, 5, 5],
      [1, 5, 5, 5],
      [4, 5, 5, 5],
      [5] * 4,
    ]
  )
  disagree = np.array([[0], [2], [3], [3], [3], [1]])
  is_rare = np.array([[True]] * 5 + [[False]])
  found = mlsol.kinds_of(is_rare, disagree, near)
  assert found.ravel().tolist() == [
    mlsol.SAFE,
    mlsol.BORDER,
    mlsol.BORDER,
    mlsol.BORDER,
    mlsol.RARE,
    mlsol.MAJORITY,
  ]
  disagree[4] = 4
  assert mlsol.kinds_of(is_rare, disagree, near)[4] == mlsol.OUTLIER


def slow_mlsol_labels(labels, kinds, rarer, s, r, share):
  """The paper's loop over labels, in which the two rows change places."""
  found, distance = [], share
  reach = {
    mlsol.SAFE: 0.5,
    mlsol.BORDER: 0.75,
    mlsol.RARE: 2,
    mlsol.OUTLIER: -1,
  }
  for column in range(labels.shape[1]):
    if labels[s, column] == labels[r, column]:
      found.append(labels[s, column])
      continue
    if labels[s, column] != rarer[column]:
      s, r, distance = r, s, 1 - distance
    near = distance <= reach[kinds[s, column]]
    found.append(labels[s if near else r, column])
  return found


def test_mlsol_labels_are_those_of_the_papers_loop():
  labels, features = uneven(2)
  labels[:, 0] |= np.arange(300) % 3 > 0  # The rarer value of it is 0.
  plan = resampling.resample(labels, 'mlsol', features=features)
  assert_originals(plan, 300)
  assert len(plan) == 390
  np.testing.assert_array_equal(plan.labels[:300], labels)
  other = NearestNeighbors(n_neighbors=5).fit(features).kneighbors()[1]
  rarer = labels.mean(0) <= 0.5
  assert rarer.tolist() == [False] + [True] * 5
  disagree = (labels[other] != labels[:, None]).sum(1)
  kinds = mlsol.kinds_of(labels == rarer, disagree, other)
  for row in range(300, 390):
    source, partner = plan.source[row], plan.partner[row]
    assert partner in other[source]
    assert plan.labels[row].tolist() == slow_mlsol_labels(
      labels, kinds, rarer, source, partner, plan.share[row]
    )
  assert (plan.share[300:] != 0).all() and (plan.share < 1).all()
  # All of these differ somewhere from their seed, and not always.
  moved = (plan.labels[300:] != labels[plan.source[300:]]).any(1).mean()
  assert 0.2 < moved < 0.9


def test_mlsol_seeds_are_drawn_by_disagreement():
  # a: rows 0 to 3 of 10. Neighbours of 0, 1: the other and one of 2 and 3; of 2
  # one without a; 3 is an outlier. With 2 neighbours C = 0, 0, .5, 1: only row
  # 2 counts.
  labels = np.array([[1]] * 4 + [[0]] * 6)
  places = np.array([0, 1, 2.1, 50, 3, 4.5, 60, 61, 49, 49.5])[:, None]
  plan = resampling.resample(
    labels, 'mlsol', features=places, neighbours=2, fraction=1
  )
  assert set(plan.source[10:]) == {2}
  assert set(plan.partner[10:]) == {1, 4}
  # At the border: the rarer value up to three quarters of the way to row 4.
  mixed = plan.partner[10:] == 4
  np.testing.assert_array_equal(
    plan.labels[10:, 0][mixed], plan.share[10:][mixed] <= 0.75
  )
  assert (plan.labels[10:, 0][~mixed] == 1).all()
  rows = plan.take(places, np.random.default_rng(0))[:, 0]
  expected = 2.1 + plan.share * (places[plan.partner, 0] - 2.1)
  np.testing.assert_allclose(rows[10:], expected[10:])


def test_mlsol_without_a_seed_adds_nothing():
  labels = np.tile([[1, 0]], (6, 1))
  plan = resampling.resample(labels, 'mlsol', features=np.arange(6.0)[:, None])
  assert len(plan) == 6 and plan.labels is None
  plan = resampling.resample(LABELS, 'mlsol', features=PLACES, fraction=0)
  assert len(plan) == 8


@pytest.mark.parametrize('method', ['mlsmote', 'smote', 'mlsol'])
def test_the_seed_decides(method):
  labels, features = uneven(3)
  one, again, other = (
    resampling.resample(labels, method, features=features, seed=seed)
    for seed in (0, 0, 1)
  )
  for name in ('source', 'partner'):
    np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
  np.testing.assert_array_equal(
    labels_of(one, labels), labels_of(again, labels)
  )
  assert (one.partner != other.partner).any()


def test_rows_of_a_larger_table_are_named():
  rows = np.arange(100, 108)
  plan = resampling.resample(LABELS, 'mlsmote', features=PLACES, rows=rows)
  assert set(plan.source) == set(rows)
  assert set(plan.partner) == {-1, 101, 104, 106} & {*plan.partner}


def test_how_labels_are_combined_is_named():
  with pytest.raises(ValueError, match=r"combine must be one of.*'rankin'"):
    resampling.resample(LABELS, 'mlsmote', features=PLACES, combine='rankin')
  with pytest.raises(ValueError, match='neighbours must be a whole number'):
    resampling.resample(LABELS, 'mlsmote', features=PLACES, neighbours=0)


# What two independent programs make of the tables of the literature: rows and
# SCUMBLE of REMEDIAL, rows that MLSMOTE adds.
REFERENCE = {
  'emotions': (815, 0.00056, 655),
  'yeast': (3234, 0.06454, 212),
  'enron': (2547, 0.19285, 75),
  'birds': (785, 0.01338, 79),
}


@pytest.mark.parametrize('name', REFERENCE)
def test_reference_values(name):
  folder = os.environ.get('AUBAL_LABEL_FILES', '')
  path = pathlib.Path(folder, f'{name}.npz')
  if not path.exists():
    pytest.skip(
      f'NOT CHECKED: set AUBAL_LABEL_FILES to a folder with {name}.npz '
      '(labels, features)'
    )
  with np.load(path) as arrays:
    labels, features = arrays['labels'], arrays['features']
  rows, scumble, added = REFERENCE[name]
  plan = resampling.resample(labels, 'remedial')
  assert len(plan) == rows
  found = labelsets_lib.imbalance(plan.labels)['scumble']
  assert round(found, 5) == scumble
  plan = resampling.resample(labels, 'mlsmote', features=features)
  assert len(plan) - len(labels) == added
