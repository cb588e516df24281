"""Blocks of classes, and several targets at once."""

import dataclasses

import numpy as np
import pytest

import aubal_jax as aubal
from aubal_jax.balancing import several
from aubal_jax.balancing.instance import make_instance
from aubal_jax.balancing.rules import OBJECTIVES
from aubal_jax.balancing.rules import Rules
from aubal_jax.runs import errors
from tests.makers import problems

BLOCKED = sorted({*OBJECTIVES} - {'prevalence'})


def drawn_targets(seed, *, alone, num_rows=240):
  """Labels, classes and the bins of two numbers, unevenly; some not known.

  Args:
    seed: of the draw.
    alone: whether each row knows one target only.
    num_rows: how many.
  """
  rng = np.random.default_rng(seed)
  labels = (rng.random((num_rows, 4)) < [0.6, 0.3, 0.15, 0.05]).astype(float)
  classes = rng.choice(5, num_rows, p=[0.5, 0.25, 0.15, 0.07, 0.03])
  bins = np.clip(rng.normal(2, 1, (num_rows, 2)), 0, 5).astype(int)
  task = rng.integers(3, size=num_rows)
  unknown = (
    task[:, None] != np.arange(3) if alone else rng.random((num_rows, 3)) < 0.4
  )
  labels[unknown[:, 0]] = np.nan
  return {
    'au': labels,
    'expression': np.where(unknown[:, 1], -1, classes),
    'valence': np.where(unknown[:, 2], -1, bins[:, 0]),
    'arousal': np.where(unknown[:, 2], -1, bins[:, 1]),
  }


def own_unevenness(target, repeats):
  """sum |z - mean z| / (L R) of a target whose rows come so often, by hand."""
  if target.ndim == 2:
    known = ~np.isnan(target).any(axis=1)
    columns = [target[:, k] == 1 for k in range(target.shape[1])]
  else:
    known = target >= 0
    columns = [target == k for k in range(target.max() + 1)]
  columns = [column for column in columns if column.any()]
  z = np.array([repeats[column].sum() for column in columns], float)
  return np.abs(z - z.mean()).sum() / len(z) / known.sum()


@pytest.mark.parametrize('optimizer', ['ipm', 'adam'])
def test_one_block_gives_what_no_block_does_bit_by_bit(optimizer):
  for seed in range(2):
    patterns, counts = problems.patterns_and_counts(seed, 24, 6)
    settings = {'optimizer': optimizer, 'lam_images': None, 'budget': 900}
    plain = aubal.solve(patterns, counts, **settings)
    found = aubal.solve(patterns, counts, blocks=[(6, 1)], **settings)
    for field in dataclasses.fields(plain):
      if field.name.startswith('seconds') or field.name == 'trace':
        continue
      one, other = (getattr(s, field.name) for s in (plain, found))
      np.testing.assert_array_equal(one, other, err_msg=field.name)


# a | b c of blocks weighted 2 and 3, z_o = (5, 2, 4), z = (5, 2, 8): of one
# label there is no deviation; of b, c |2 - 5| + |8 - 5| = 6.
#   l1 3 6 = 18; relative, mean 3: 3 (3/2 3 + 3/4 3) = 20.25; l2 3 18 / 3 = 18
#   log -(2 5 log 5 + 3 3 (log 2 + log 8))
# With shares (1, 1, 3): b, c want 2.5 and 7.5: l1 3 (.5 + .5) = 3
@pytest.mark.parametrize(
  ('name', 'target', 'level'),
  [
    ('l1', None, 18.0),
    ('relative', None, 20.25),
    ('l2', None, 18.0),
    ('log', None, -10 * np.log(5) - 9 * np.log(16)),
    ('l1', [1.0, 1.0, 3.0], 3.0),
  ],
)
def test_values_by_hand(name, target, level):
  rules = Rules(
    objective=name, target=target, blocks=[(1, 2.0), (2, 3.0)], lam=0.0
  )
  found = make_instance(np.eye(3), [5, 2, 4], rules)
  assert found.value(np.array([5.0, 2.0, 8.0])) == pytest.approx(level)


@pytest.mark.parametrize('name', ['l1', 'relative', 'l2'])
@pytest.mark.parametrize('seed', range(3))
def test_rows_of_one_target_each_are_solved_target_by_target(name, seed):
  targets = drawn_targets(seed, alone=True)
  settings = {
    'lam': 0.0, 'image_cost': 0.0, 'objective': name, 'tol': 1e-8,
    'optimizer': 'ipm', 'upper': 3.0,
  }  # fmt: skip
  _, found = several.balance_targets(targets, **settings)
  joint = several.join({k: several._part(k, v) for k, v in targets.items()})
  unit = np.mean([*joint.sizes.values()])
  total = 0.0
  for names in (['au'], ['expression'], ['valence', 'arousal']):
    own = {one: targets[one] for one in names}
    _, alone = several.balance_targets(own, **settings)
    # Its f is in units of its own mean size.
    own_unit = np.mean([joint.sizes[one] for one in names])
    total += unit / own_unit * alone.value
  assert found.value == pytest.approx(total, rel=1e-5, abs=1e-5)
  assert found.gap <= 1e-6


@pytest.mark.parametrize('unknown', several.UNKNOWN)
def test_the_sum_of_unevenness_is_never_worse_than_before(unknown):
  fell = 0
  for seed in range(8):
    targets = drawn_targets(seed, alone=seed % 4 == 0)
    plan, found = several.balance_targets(
      targets, unknown=unknown, lam=float(seed), optimizer='ipm', tol=1e-7
    )
    assert found.gap <= 1e-6
    repeats = np.bincount(plan.source, minlength=240)
    for name, target in targets.items():
      before, after = found.unevenness[name]
      assert before == pytest.approx(own_unevenness(target, np.ones(240)))
      assert after == pytest.approx(own_unevenness(target, repeats))
    before, after = np.sum([*found.unevenness.values()], axis=0)
    assert after <= before + 1e-12
    fell += after < 0.8 * before
    assert found.rounded_value >= found.lower_bound
  assert fell == 8


def test_default_descent_certifies_as_well():
  for seed in range(2):
    targets = drawn_targets(seed, alone=False)
    _, found = several.balance_targets(targets, tol=1e-6)
    assert found.optimizer == 'adam' and found.gap <= 1e-6


def test_a_common_mean_evens_out_less():
  # Three classes beside twenty bins: their mean is next to the bins'.
  rng = np.random.default_rng(0)
  classes = rng.choice(3, 3000, p=[0.7, 0.2, 0.1])
  bins = rng.integers(20, size=3000)
  targets = {'class': classes, 'bin': bins}
  joint = several.join({k: several._part(k, v) for k, v in targets.items()})
  found = joint.find_labelsets('absent')
  common = aubal.solve(found.patterns, found.counts, optimizer='ipm', lam=0.0)
  _, own = several.balance_targets(targets, optimizer='ipm', lam=0.0)
  after = joint.unevenness(common.class_counts_after)
  assert own.unevenness['class'][1] < 0.1 * own.unevenness['class'][0]
  assert after['class'] > 3 * own.unevenness['class'][1]


def test_its_text_tells_every_target():
  _, found = several.balance_targets(drawn_targets(0, alone=True))
  for name, (before, after) in found.unevenness.items():
    assert f'{name}: unevenness {before:.3g} to {after:.3g}' in repr(found)
  assert found.label_names[:4] == ('au: 0', 'au: 1', 'au: 2', 'au: 3')


@pytest.mark.parametrize(
  ('targets', 'settings', 'message'),
  [
    ({}, {}, 'at least one target'),
    ([1], {}, 'must be a dict'),
    ({'a': [0, 1], 'b': [0, 1, 1]}, {}, 'the same rows'),
    ({'a': [-1, -1], 'b': [0, 1]}, {}, "'a' cannot be .* knows anything"),
    ({'a': [[0.0], [0.0]]}, {}, "'a' cannot be .* has any of its labels"),
    ({'a': [0, -2]}, {}, r"targets\['a'\] must be whole numbers from -1"),
    ({'a': [[0], [2]]}, {}, r"targets\['a'\]"),
    ({'a': [0, 1]}, {'unknown': 'drop'}, 'unknown must be one of'),
    ({'a': [0, 1], 'b': [0, 1]}, {'objective': 'prevalence'}, 'with blocks'),
    ({'a': [0, 1], 'b': [0, 1]}, {'empty': 'label'}, 'empty at keep'),
  ],
)
def test_targets_that_are_none_are_refused(targets, settings, message):
  with pytest.raises(errors.UserError, match=message):
    several.balance_targets(targets, **settings)


@pytest.mark.parametrize(
  'blocks', [3, [2], [(2, 1.0), (2, 1.0)], [(3, 0.0)], [(0, 1.0), (3, 1.0)],
             [(1.5, 1.0), (1.5, 1.0)], [(3, np.inf)], [('x', 1)]],
)  # fmt: skip
def test_blocks_that_are_none_are_refused(blocks):
  with pytest.raises(errors.UserError, match='blocks must'):
    aubal.solve(np.eye(3), [1, 2, 3], blocks=blocks)


@pytest.mark.parametrize('name', BLOCKED)
def test_a_block_without_a_positive_is_left_out(name):
  patterns = np.eye(4)[:, [0, 1]][:3]
  blocks = [(1, 1.0), (1, 2.0), (2, 5.0)]
  settings = {'budget_growth': 2.0, 'objective': name, 'optimizer': 'ipm'}
  wider = np.pad(patterns, ((0, 0), (0, 2)))
  with_it = aubal.solve(wider, [3, 5, 2], blocks=blocks, **settings)
  without = aubal.solve(patterns, [3, 5, 2], blocks=blocks[:2], **settings)
  assert with_it.absent.tolist() == [2, 3]
  assert with_it.value == pytest.approx(without.value)
