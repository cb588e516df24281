"""The rows of `balance.method=keep`: of the table, and told of."""

import types

import numpy as np
import pytest

from aubal_jax.runs import errors
from aubal_jax.stages import kept_rows
from aubal_jax.tables import labelsets as labelsets_lib


def make(rng, size, *, share, groups=None, frames=None):
  """A run of a table of which some rows train, these, and their labelsets."""
  rows = np.sort(rng.permutation(2 * size)[:size])
  labels = rng.integers(0, 2, (size, 3)).astype(np.uint8)
  labels[:3] = np.eye(3)  # Each label has a row.
  dataset = types.SimpleNamespace(
    label_names=('a', 'b', 'c'), groups=groups, frames=frames
  )
  config = types.SimpleNamespace(
    keep=types.SimpleNamespace(share=share), seed=int(rng.integers(9))
  )
  run = types.SimpleNamespace(dataset=dataset, config=config)
  return run, rows, labels, labelsets_lib.find_labelsets(labels)


def test_a_share_of_the_rows_is_kept_as_the_solution_has_it(capsys):
  rng = np.random.default_rng(0)
  for share in (0.3, 0.5, 0.8, 1.0):
    for size in (20, 57):
      groups = rng.integers(0, 4, 2 * size).astype(str)
      frames = rng.random(2 * size)
      run, rows, labels, labelsets = make(
        rng, size, share=share, groups=groups, frames=frames
      )
      plan, solution = kept_rows.choose(run, rows, labelsets)
      again, _ = kept_rows.choose(run, rows, labelsets)
      assert plan == again
      kept = round(share * size)
      assert len(plan) == len(set(plan.source)) == kept == solution.counts.sum()
      assert not plan.augment.any() and (plan.partner == -1).all()
      places = np.searchsorted(rows, plan.source)
      np.testing.assert_array_equal(rows[places], plan.source)
      np.testing.assert_array_equal(
        np.bincount(labelsets.index[places], minlength=len(labelsets.counts)),
        solution.counts,
      )
      assert labels[places].any(axis=0).all()
      out = capsys.readouterr().out
      assert f'keeps {kept:,} of {size:,} images; certified' in out
      assert 'Note:' not in out


def test_one_group_alone_is_told_of(capsys):
  rng = np.random.default_rng(1)
  for groups in (np.full(40, 'ann'), np.arange(40) % 2, None):
    run, rows, _, labelsets = make(rng, 20, share=0.5, groups=groups)
    if groups is not None and len(set(groups)) == 1:  # Of the rows that train.
      run.dataset.groups = np.where(np.isin(np.arange(40), rows), 'ann', 'bob')
    kept_rows.choose(run, rows, labelsets)
    one = groups is not None and len(set(groups)) == 1
    assert ('Note:' in capsys.readouterr().out) == one


@pytest.mark.parametrize('share', [1e-3, 0.02, 0.0, 1.5])
def test_a_share_that_is_too_small_names_the_setting(share):
  run, rows, _, labelsets = make(np.random.default_rng(2), 40, share=share)
  with pytest.raises(errors.UserError, match=r'^keep\.share'):
    kept_rows.choose(run, rows, labelsets)
