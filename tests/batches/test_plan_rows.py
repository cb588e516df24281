"""How often a plan shows an image, counted by hand."""

import collections
import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from aubal_jax.batches import draws
from aubal_jax.batches import plan_rows
from aubal_jax.tables import plan as plan_lib

GROWING = draws.Settings(growth_exponent=0.5)


@given(
  counts=st.lists(st.integers(0, 30), min_size=1, max_size=12),
  size=st.integers(1, 4),
  num_epochs=st.integers(1, 4),
  seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_growth_is_the_times_an_image_is_in_an_epoch(
  counts, size, num_epochs, seed
):
  index = np.repeat(np.arange(len(counts)), size)
  plan = plan_lib.spread(index, counts, rows=3 * np.arange(len(index)))
  times = collections.Counter(plan.source.tolist())
  # As plans are that are drawn anew for each epoch: one after the other.
  order = np.random.default_rng(seed).permutation(num_epochs * len(plan))
  names = ('source', 'augment', 'partner')
  plan = dataclasses.replace(
    plan, **{k: np.tile(getattr(plan, k), num_epochs)[order] for k in names}
  )
  growth = plan_rows.growth_of(plan, GROWING)
  assert growth.tolist() == [times[source] for source in plan.source.tolist()]
  assert plan_rows.growth_of(plan, draws.Settings()) is None


@given(
  rows=st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1),
)
@settings(deadline=None, max_examples=60)
def test_growth_of_any_plan_is_at_least_1(rows):
  source, added = (np.array(column) for column in zip(*rows, strict=True))
  plan = plan_lib.Plan(source, added, np.full(len(rows), -1), ('a',))
  for row, growth in zip(
    source, plan_rows.growth_of(plan, GROWING), strict=True
  ):
    own = [is_added for s, is_added in rows if s == row]
    assert growth == len(own) / max(own.count(False), 1) >= 1
