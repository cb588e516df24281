"""The grid of a comparison: each cell once, each folder its own."""

import itertools
import random

import pytest

from aubal_jax import resampling
from aubal_jax import settings
from aubal_jax.experiments.compare import grid as grid_lib
from aubal_jax.experiments.compare import rates as rates_lib

CHECKED = {'objectives': ('l1', 'relative'), 'losses': ('bce', 'focal')}


def grid(methods, **choices):
  chosen = {
    'fractions': (0.1, 0.25),
    'models': ('resnet8_16',),
    'augment_rows': ('added', 'all'),
    'uppers': (3.0, 10.0),
    'diversities': ('none', 'group'),
    **choices,
  }
  return grid_lib.make_grid(['faces'], 'images', methods=methods, **chosen)


@pytest.mark.parametrize(
  ('method', 'num_cells'),
  [
    ('none', 2),  # augment_rows
    ('remedial', 2),
    ('loss:focal', 2),
    ('ml_ros', 4),  # and fraction
    ('random', 4),
    ('aubal:l1', 16),  # and upper, and diversity
  ],
)
def test_what_does_not_matter_makes_no_cell(method, num_cells):
  found = grid([method])
  assert len(found) == num_cells
  assert all((cell.upper is None) == (num_cells < 16) for cell in found)
  assert all((cell.fraction is None) == (num_cells < 4) for cell in found)


def test_every_choice_is_there_and_a_cut_has_all_methods():
  methods = ('none', 'aubal:l1', 'aubal:relative', 'mlenn')
  found = grid(methods, seeds=(0, 1), folds=(0, 1, 2))
  assert len(found) == len({*found}) == 6 * (2 + 2 + 16 + 16)
  of_first = [cell for cell in found if (cell.seed, cell.fold) == (0, 0)]
  assert found[: len(of_first)] == of_first
  assert {cell.method for cell in of_first} == {*methods}
  ours = {
    (c.fraction, c.augment_rows, c.upper, c.diversity)
    for c in found
    if c.method == 'aubal:l1'
  }
  assert ours == {
    *itertools.product(
      (0.1, 0.25), ('added', 'all'), (3.0, 10.0), ('none', 'group')
    )
  }


def test_shares_are_crossed_for_what_keeps_rows():
  methods = ('none', 'ml_ros', *settings.KEEPERS)
  shares = (0.1, 0.25, 0.5)
  found = grid(methods, shares=shares, augment_rows=('added',))
  for method in methods:
    mine = [cell for cell in found if cell.method == method]
    keeps = method in settings.KEEPERS
    assert [c.share for c in mine if c.share] == [*shares] * keeps
    assert all(cell.fraction is None for cell in mine) == (method != 'ml_ros')
    assert len({cell.name for cell in mine}) == len(mine)
  assert len(found) == len({*found}) == 1 + 2 + 4 * 3


def test_folders_are_told_apart_and_can_be_typed():
  found = grid(('none', 'ml_ros', 'aubal:l1', 'loss:bce'), seeds=(0, 1))
  found += grid(('none', 'ml_ros'), fractions=(0,))  # The method's own amount.
  names = [cell.name for cell in dict.fromkeys(found)]
  assert len({*names}) == len(names)
  assert 'faces-aubal_l1-resnet8_16-f0.25-all-u10-group-s1' in names
  assert 'faces-none-resnet8_16-added-s0' in names
  strange = found[0]._replace(data='a b/ü:c')
  assert strange.name.startswith('a_b_ü_c-none')


def test_a_fraction_of_0_is_the_own_amount():
  (cell,) = grid(['ml_ros'], fractions=(0.0,), augment_rows=('added',))
  assert cell.fraction is None


def test_every_resampler_can_be_compared():
  for method in resampling.RESAMPLERS:
    if method != 'aubal':  # It is told which objective.
      grid_lib.check_method(method, **CHECKED)
      assert grid([method])
  grid_lib.check_method('aubal:relative', **CHECKED)
  grid_lib.check_method('loss:focal', **CHECKED)


@pytest.mark.parametrize(
  'method', ['aubal', 'aubal:', 'aubal:l3', 'loss:', 'ml_rso', 'ml_ros:x', '']
)
def test_what_is_no_method_is_told(method):
  with pytest.raises(ValueError) as caught:
    grid_lib.check_method(method, **CHECKED)
  for word in (repr(method), 'ml_ros', 'aubal:OBJECTIVE', 'relative', 'focal'):
    assert word in str(caught.value)


@pytest.mark.parametrize(
  ('method', 'meant'),
  [
    ('ML-ROS', 'ml_ros'),
    ('mlros', 'ml_ros'),
    ('aubal', 'aubal:l1'),
    ('aubal:relativ', 'aubal:relative'),
    ('loss:focl', 'loss:focal'),
  ],
)
def test_a_method_that_may_be_meant_is_named(method, meant):
  with pytest.raises(ValueError, match=rf'Did you mean {meant!r}\?$'):
    grid_lib.check_method(method, **CHECKED)


def trial(seed, fold=0, tried=((1.0, 0.5),)):
  place = {'seed': seed, 'repeat': 0, 'fold': fold}
  return place | {'rate': tried[0][0], 'tried': [*map(list, tried)]}


def test_of_rates_the_best_on_validation_is_chosen():
  rng = random.Random(0)
  for _ in range(50):
    rates = rng.sample((0.1, 0.5, 1.0, 4.0, 9.0), rng.randrange(1, 4))
    scores = {
      (seed, fold, rate): rng.choice((None, 0.0, 0.2, 0.5))
      for seed in (0, 1)
      for fold in (0, 1)
      for rate in rates
    }
    found = [
      trial(seed, fold, [(rate, score)])
      for (seed, fold, rate), score in scores.items()
    ]
    rng.shuffle(found)
    chosen = rates_lib.choose(found)
    assert len(chosen) == 4
    for one in chosen:
      mine = {r: scores[one['seed'], one['fold'], r] for r in sorted(rates)}
      known = {r: x for r, x in mine.items() if x is not None}
      best = max(known, key=known.get) if known else min(mine)
      assert one['rate'] == best  # Of equals the smallest.
      assert one['tried'] == [[r, x] for r, x in mine.items()]
    counted = dict(rates_lib.counts(chosen))
    assert {*counted} == {*rates}
    for rate in rates:
      assert counted[rate] == sum(one['rate'] == rate for one in chosen)
  assert rates_lib.counts([{}, {}]) == [[1.0, 2]]  # Of before there were any.


def test_seeds_and_folds_are_trials_of_one_result():
  found = grid(('none', 'ml_ros'), augment_rows=('added',), seeds=(0, 1))
  results = [
    cell.described() | {'num_steps': 4, 'trials': [trial(cell.seed)]}
    for cell in found
  ]
  failed = found[-1].described() | {'status': 'failed: x'}
  merged = grid_lib.merge([*results[:-1], failed])
  assert [row['method'] for row in merged] == ['none', *['ml_ros'] * 3]
  assert [trial['seed'] for trial in merged[0]['trials']] == [0, 1]
  # One that failed is a row of its own beside the other seed.
  assert [len(row.get('trials', ())) for row in merged] == [2, 2, 1, 0]
  assert merged[-1]['status'] == 'failed: x'
  assert results[0]['trials'] == [trial(0)]  # Nothing that was given changes.
