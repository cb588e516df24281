"""What is said where balancing changes nothing of an uneven table."""

import re
import warnings

import numpy as np
import pytest

import aubal_jax as aubal


def companions(seed):
  """Labels from rare to rarest, each with a frequent one; MeanIR above 100."""
  rng = np.random.default_rng(seed)
  table = np.zeros((4000, 6), int)
  table[:, 0] = 1
  rows = rng.permutation(len(table))
  for label, count in enumerate((3, 12, 50, 200, 800), 1):
    table[rows[: count + rng.integers(3)], label] = 1
    rows = rows[count + 3 :]
  assert aubal.imbalance(table)['mean_ir'] > 100
  return table


def told(labels, **settings):
  """The plan and the warnings of balancing."""
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    plan, found = aubal.balance(labels, optimizer='ipm', **settings)
  return plan, found, [str(one.message) for one in caught]


@pytest.mark.parametrize('seed', range(4))
def test_nothing_to_change_is_explained_and_what_is_named_would_change(seed):
  table = companions(seed)
  upper = np.inf if seed % 2 else 10.0
  plan, found, (message,) = told(table, upper=upper)
  assert len(plan) == len(table) and found.converged
  assert "objective='l1'" in message and 'Even at lam=0' in message
  _, other, none = told(table, objective='relative', upper=upper)
  number = re.search(r"objective='relative'.* change ([\d,]+) images", message)
  changed = np.abs(other.counts - found.counts).sum()
  assert int(number[1].replace(',', '')) == changed > 0
  assert not none


def test_where_lam_holds_it_that_is_said():
  table = np.eye(4, dtype=int).repeat([900, 3, 2, 1], axis=0)
  _, found, (message,) = told(table, lam=300, lam_images=None)
  assert found.images_after == len(table)
  assert 'At lam=300 the variance of growth' in message


@pytest.mark.parametrize(
  'settings', [{}, {'upper': 1.0}, {'objective': 'relative', 'lam': 1e12}]
)
def test_where_nothing_else_helps_nothing_is_said(settings):
  even = np.eye(4, dtype=int).repeat(5, axis=0)
  for table in (even, companions(0)):
    if len(settings) or table is even:
      assert told(table, **settings)[2] == []
