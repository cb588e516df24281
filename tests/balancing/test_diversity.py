"""Bounds by diversity, and the clusters of content they may come from."""

import time

import numpy as np
import pytest

from aubal_jax import commands
from aubal_jax import settings
from aubal_jax.balancing import diversity
from aubal_jax.balancing import solve as solve_lib
from aubal_jax.runs import files

# Labelset 0: 6 images of a; 1: 4 images of a, b, c, c; 2: 2 images of b.
INDEX = np.repeat([0, 1, 2], [6, 4, 2])
COUNTS = np.array([6, 4, 2])
GROUPS = np.array([*'aaaaaa', *'abcc', *'bb'])


def test_growth_is_bounded_by_who_shows_it():
  # 5 pairs of 12 images: r = 2.4. min(n, d r) = min(6, 2.4), min(4, 7.2),
  # min(2, 2.4); ten times that over n.
  found = diversity.bound_growth(INDEX, COUNTS, GROUPS, lower=1.0, upper=10.0)
  np.testing.assert_allclose(found, [4.0, 10.0, 10.0], rtol=1e-12)
  assert found.dtype == np.float64


def test_no_bound_is_below_the_least_growth():
  found = diversity.bound_growth(INDEX, COUNTS, GROUPS, lower=1.0, upper=2.0)
  np.testing.assert_allclose(found, [1.0, 2.0, 2.0], rtol=1e-12)
  # Both bounds may be one for each labelset.
  found = diversity.bound_growth(
    INDEX, COUNTS, GROUPS, lower=[0.5, 1, 1], upper=[2.0, 3.0, 1.0]
  )
  np.testing.assert_allclose(found, [0.8, 3.0, 1.0], rtol=1e-12)


def test_an_image_without_a_group_is_one_of_its_own():
  alone = diversity.bound_growth(
    INDEX, COUNTS, [''] * 12, lower=1.0, upper=10.0
  )
  np.testing.assert_array_equal(alone, 10.0)
  named = diversity.bound_growth(
    INDEX, COUNTS, [*map(str, range(12))], lower=1.0, upper=10.0
  )
  np.testing.assert_array_equal(alone, named)


def test_the_order_and_the_names_of_groups_do_not_matter():
  order = np.random.default_rng(0).permutation(12)
  number = np.unique(GROUPS, return_inverse=True)[1]
  found = [
    diversity.bound_growth(INDEX[rows], COUNTS, groups, lower=1.0, upper=10.0)
    for rows, groups in (
      (order, GROUPS[order]),
      (np.arange(12), 5 - number),  # Clusters are numbers.
    )
  ]
  np.testing.assert_array_equal(*found)


def test_groups_must_be_of_all_images():
  with pytest.raises(ValueError, match=r'groups must name .* 12 images.*\[5\]'):
    diversity.bound_growth(INDEX, COUNTS, [*'abcde'], lower=1.0, upper=2.0)


def test_a_solution_stays_inside_the_bounds():
  # A rare label that one subject alone shows must not grow tenfold.
  patterns, counts = np.array([[1, 0], [0, 1]]), np.array([100, 10])
  index = np.repeat([0, 1], counts)
  groups = np.where(index, 'one', np.arange(110).astype(str))
  upper = diversity.bound_growth(index, counts, groups, lower=1.0, upper=10.0)
  found = solve_lib.solve(patterns, counts, upper=upper, optimizer='newton')
  free = solve_lib.solve(patterns, counts, optimizer='newton')
  assert found.counts[1] <= upper[1] * 10 < free.counts[1]


def blobs(num_clusters, each, rng):
  centres = np.repeat(np.eye(num_clusters) * 50, each, axis=0)
  return centres + rng.normal(size=centres.shape)


def test_clusters_are_those_that_are_there():
  features = blobs(5, 8, np.random.default_rng(0))
  found = diversity.find_clusters(features, num_clusters=5, seed=1)
  assert found.dtype == np.int64
  assert len({*zip(found, np.repeat(range(5), 8), strict=True)}) == 5
  # The scale of a feature does not matter, nor one that is constant.
  scaled = np.concatenate(
    [features * 10.0 ** np.arange(5), np.ones((40, 1))], 1
  )
  other = diversity.find_clusters(scaled, num_clusters=5, seed=1)
  np.testing.assert_array_equal(found, other)


@pytest.mark.parametrize('most', [20_000, 30])
def test_about_as_many_as_the_root_of_the_rows(most, monkeypatch):
  monkeypatch.setattr(diversity, '_MOST_FOR_KMEANS', most)  # Or in batches.
  features = np.random.default_rng(0).normal(size=(100, 3)).astype('f4')
  found = diversity.find_clusters(features)
  assert 8 <= len(np.unique(found)) <= 10
  np.testing.assert_array_equal(found, diversity.find_clusters(features))


def test_no_more_clusters_than_distinct_rows():
  features = np.repeat([[0.0], [1.0]], 9, axis=0)
  found = diversity.find_clusters(features, num_clusters=7)
  assert len(np.unique(found)) == 2


@pytest.mark.parametrize(
  ('features', 'words'),
  [
    (np.zeros(3), r'table \[N, F\].*\[3\]'),
    (np.zeros((0, 2)), r'table \[N, F\].*\[0, 2\]'),
    ([[0.0], [np.nan], [np.inf]], 'finite; 2 rows are not, the first is row 1'),
  ],
)
def test_bad_features_are_named(features, words):
  with pytest.raises(ValueError, match=words):
    diversity.find_clusters(features)


@pytest.fixture(name='config')
def fixture_config(tmp_path):
  """A table: ten images of `a` by one subject, ten of `b` by ten."""
  c = settings.default()
  c.task = 'balance'
  c.data.name = 'labels'
  c.data.path = str(tmp_path / 'table.csv')
  lines = ['path,subject,a,b,c']
  lines += [f'{i}.png,s0,1,0,0' for i in range(10)]
  lines += [f'{i}.png,s{i},0,1,0' for i in range(10)]
  lines += [f'{i}.png,s{i},0,0,1' for i in range(60)]
  (tmp_path / 'table.csv').write_text('\n'.join(lines) + '\n')
  c.balance.optimizer = 'newton'
  c.balance.diversity = 'group'
  return c


def growth_of(config, path):
  commands.run_task(config, path, started=time.perf_counter())
  largest = files.read_json(path / 'labelsets.json')['largest']
  return {''.join(one['labels']): one['growth'] for one in largest}


def test_the_balance_task_bounds_by_groups(config, tmp_path):
  found = growth_of(config, tmp_path / 'group')
  # 1 + 10 + 60 pairs of 80 images: a may grow to 10 * 80 / 71 images.
  assert found['a'] == 1.1
  assert found['b'] > 2
  config.balance.diversity = 'none'
  assert growth_of(config, tmp_path / 'none')['a'] > 2


def test_the_balance_task_bounds_by_content(config, tmp_path):
  labels = np.repeat(np.eye(3, dtype='u1'), [10, 10, 60], axis=0)
  features = np.random.default_rng(0).normal(size=(80, 2)).astype('f4')
  features[:10] = 9.0  # One picture, ten times.
  config.data.path = str(tmp_path / 'table.npz')
  np.savez(
    config.data.path, labels=labels, features=features, label_names=[*'abc']
  )
  config.balance.diversity = 'content'
  config.balance.num_clusters = 40
  found = growth_of(config, tmp_path / 'run')
  # At most 1 + 10 + 60 pairs, at least 1 + 1 + 39.
  assert 1.1 <= found['a'] <= 10 * 80 / 41 / 10
  assert found['b'] > 2


def test_what_bounds_need_is_told(config, tmp_path):
  config.data.group_column = ''
  config.data.label_columns = ('a', 'b', 'c')
  with pytest.raises(ValueError, match=r'diversity=group.*data\.group_column'):
    growth_of(config, tmp_path / 'run')
  config.balance.diversity = 'content'
  with pytest.raises(ValueError, match=r"has no features; save them as 'feat"):
    growth_of(config, tmp_path / 'run')
