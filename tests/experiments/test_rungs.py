"""Successive halving: how many cells, how many steps, and who goes on."""

import itertools
import math

import hypothesis
import pytest
from hypothesis import strategies as st

from aubal_jax.experiments.search import rungs as rungs_lib

CELLS, STEPS = st.integers(1, 200), st.integers(1, 20_000)


@hypothesis.given(CELLS, STEPS, st.integers(2, 9))
def test_rungs_are_fractions_of_all_cells_and_steps(cells, steps, eta):
  rungs = rungs_lib.make_rungs(cells, steps, eta=eta)
  counts, ends = zip(*rungs, strict=True)
  assert counts[0] == cells and ends[-1] == steps
  last = len(rungs) - 1
  for k, (one, other) in enumerate(itertools.pairwise(counts)):
    assert other == math.ceil(one / eta) < one
    assert ends[k] == math.ceil(steps / eta ** (last - k)) < ends[k + 1]
  # Not a rung too few, nor one too many.
  assert counts[-1] <= eta or eta ** len(rungs) > steps
  assert last == 0 or (counts[-2] > eta and eta**last <= steps)
  done = dict.fromkeys(range(cells), 0)
  for count, end in rungs:
    for cell in range(count):
      done[cell] = end
  total = rungs_lib.total_steps(rungs)
  assert total == sum(done.values()) <= cells * steps
  assert total == sum(map(rungs_lib.steps_left, [rungs] * 99, range(last + 1)))


@hypothesis.given(CELLS, STEPS, st.sampled_from([0, 1]))
def test_without_halving_all_cells_train_all_steps(cells, steps, eta):
  assert rungs_lib.make_rungs(cells, steps, eta=eta) == [(cells, steps)]


def test_rungs_by_hand():
  rungs = rungs_lib.make_rungs(16, 375, eta=3)
  assert rungs == [(16, 42), (6, 125), (2, 375)]
  assert rungs_lib.total_steps(rungs) == 16 * 42 + 6 * 83 + 2 * 250
  assert rungs_lib.make_rungs(3, 375, eta=3) == [(3, 375)]


@hypothesis.given(
  st.lists(st.none() | st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=20),
  st.integers(0, 20),
)
def test_the_best_go_on_and_failures_stay(scores, num):
  cells = [*range(len(scores))]
  found = rungs_lib.promote(cells, scores, num)
  able = [c for c in cells if scores[c] is not None]
  assert found == sorted(found) and len(found) == min(num, len(able))
  assert {*found} <= {*able}
  for out in {*able} - {*found}:
    for chosen in found:  # Of equals the first.
      assert (scores[chosen], -chosen) > (scores[out], -out)


@pytest.mark.parametrize('num', [0, 1, 5])
def test_nobody_goes_on_where_all_failed(num):
  assert rungs_lib.promote(['a', 'b'], [None, None], num) == []
