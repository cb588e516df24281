"""Rows of a plan, and how often it shows an image, written out by hand."""

import collections
import dataclasses

import numpy as np
import pytest
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


N, L = 7, 3


def draw_plan(rng, *, share, labels):
  size = int(rng.integers(1, 12))
  return plan_lib.Plan(
    source=rng.integers(0, N, size),
    augment=rng.random(size) < 0.5,
    partner=rng.integers(-1, N, size) * (rng.random() < 0.8),
    label_names=('a', 'b', 'c'),
    labels=rng.integers(0, 2, (size, L)).astype(np.uint8) if labels else None,
    share=rng.random(size) if share else None,
  )


@pytest.mark.parametrize('dtype', ['uint8', 'int16', 'float32'])
def test_a_row_is_on_the_way_from_source_to_partner(dtype):
  rng = np.random.default_rng(0)
  for _ in range(40):
    plan = draw_plan(rng, share=True, labels=True)
    shape = tuple(rng.integers(1, 4, rng.integers(0, 4)))
    table = rng.integers(0, 256, (N, *shape)).astype(dtype)

    def read(rows, table=table):
      found = table[rows]
      found.setflags(write=False)  # As of a file that is mapped.
      return found

    rows = rng.integers(0, len(plan), rng.integers(0, 9))
    found = plan_rows.inputs_of(plan, read, rows, seed=1)
    assert found.dtype == table.dtype and found.shape == (len(rows), *shape)
    for k, row in enumerate(rows):
      s = table[plan.source[row]].astype(np.float64)
      if plan.partner[row] >= 0:
        s = s + plan.share[row] * (table[plan.partner[row]] - s)
      off = 0.5 if dtype != 'float32' else 0
      assert (np.abs(found[k] - s) <= off + 1e-4).all()


def test_a_drawn_share_is_of_seed_and_row_alone():
  rng = np.random.default_rng(1)
  values = np.arange(N, dtype=np.float32)[:, None] * np.ones(2, np.float32)
  drawn = []
  for _ in range(30):
    plan = draw_plan(rng, share=False, labels=False)
    rows, seed = np.arange(len(plan)), int(rng.integers(9))
    found = plan_rows.inputs_of(plan, values.__getitem__, rows, seed=seed)
    assert (found[:, 0] == found[:, 1]).all()  # One U for all of a row.
    some = rng.permutation(rows)[: rng.integers(1, len(rows) + 1)]
    again = plan_rows.inputs_of(plan, values.__getitem__, some, seed=seed)
    np.testing.assert_array_equal(again, found[some])
    apart = (plan.partner >= 0) & (plan.partner != plan.source)
    ends = plan.source[apart], plan.partner[apart]
    drawn += [*((found[apart, 0] - ends[0]) / (ends[1] - ends[0]))]
  assert 0 <= min(drawn) < 0.1 and 0.9 < max(drawn) < 1
  assert abs(np.mean(drawn) - 0.5) < 0.1


def test_labels_and_what_is_known_of_them():
  rng = np.random.default_rng(2)
  for k in range(60):
    plan = draw_plan(rng, share=False, labels=bool(k % 2))
    labels = rng.integers(0, 2, (N, L)).astype(bool)
    known = rng.random((N, L)) < 0.6
    rows = rng.integers(0, len(plan), 8)
    found = plan_rows.labels_of(plan, labels, rows)
    of_them = plan_rows.known_of(plan, known, rows)
    assert found.dtype == np.uint8 and of_them.dtype == bool
    for n, row in enumerate(rows):
      source, partner = plan.source[row], plan.partner[row]
      own = plan.labels is not None
      wanted = plan.labels[row] if own else labels[source]
      np.testing.assert_array_equal(found[n], wanted)
      both = (
        known[source] & known[partner]
        if own and partner >= 0
        else (known[source])
      )
      np.testing.assert_array_equal(of_them[n], both)
