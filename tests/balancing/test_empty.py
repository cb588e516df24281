"""Rows without a label as a label: the same problem with such a column."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import sparse

import aubal_jax as aubal
from aubal_jax import settings
from aubal_jax.balancing import instance as instance_lib
from aubal_jax.balancing import rules as rules_lib
from aubal_jax.stages import problem


def drawn(seed):
  """Patterns with the empty one (or not), counts, and rules of both bounds."""
  rng = np.random.default_rng(seed)
  patterns = np.unique(rng.integers(0, 2, (12, 4)), axis=0)
  if seed % 4 == 0:
    patterns = patterns[patterns.any(axis=1)]
  counts = rng.integers(0, 50, len(patterns))
  rules = {
    'lower': rng.uniform(0, 1, len(patterns)),
    'upper': rng.uniform(1, 4, len(patterns)),
    'target': rng.uniform(0.1, 1, 5) if seed % 3 else None,
    'budget': int(2 * counts.sum()) if seed % 2 else None,
  }
  return patterns, counts, rules


@pytest.mark.parametrize('objective', [*rules_lib.OBJECTIVES])
def test_it_is_the_problem_with_one_more_label(objective):
  for seed in range(24):
    patterns, counts, given = drawn(seed)
    column = ~patterns.any(axis=1)
    one = instance_lib.make_instance(
      patterns,
      counts,
      rules_lib.Rules(objective=objective, empty='label', **given),
    )
    other = instance_lib.make_instance(
      np.column_stack([patterns, column]),
      counts,
      rules_lib.Rules(objective=objective, **given),
    )
    for field in dataclasses.fields(one):
      mine, theirs = (getattr(found, field.name) for found in (one, other))
      if sparse.issparse(mine):
        mine, theirs = mine.toarray(), theirs.toarray()
      np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
    taking_part = np.flatnonzero(counts > 0)
    assert sorted(one.rows.tolist()) == taking_part.tolist()


def test_rows_without_a_label_shrink_only_then():
  # Eight labelsets, as in test_keeping: one program serves.
  patterns = np.array([*itertools.product((0, 1), repeat=3)])
  labels = np.repeat(patterns, [200, 30, 40, 6, 20, 5, 4, 1], axis=0)
  given = {'lower': 0.0, 'upper': 1.0, 'objective': 'log', 'budget': 100}
  given |= {'budget_exactly': True, 'optimizer': 'ipm', 'image_cost': 0.0}
  plan, solution = aubal.balance(labels, empty='label', **given)
  assert len(plan) == 100 and solution.gap < 1e-5
  kept = 100 - labels[plan.source].any(axis=1).sum()
  # The even share of four labels, of which some rows have several.
  assert 100 / 4 <= kept < 40
  with pytest.raises(aubal.UserError, match='budget must be at least 200'):
    aubal.balance(labels, **given)


def test_what_it_is_is_checked_and_set():
  with pytest.raises(aubal.UserError, match='empty must be one of'):
    aubal.solve([[1], [0]], [3, 2], empty='drop')
  config = settings.default()
  assert problem.rules_of(config)['empty'] == 'keep'
  config.balance.empty = 'label'
  assert problem.rules_of(config)['empty'] == 'label'
