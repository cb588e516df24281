"""The order of rows, and batches that depend on nothing but seed and step."""

import dataclasses
import gc
import importlib
import multiprocessing
import subprocess
import sys
import textwrap
import time
import weakref
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from aubal_jax.batches import augment
from aubal_jax.batches import draws
from aubal_jax.batches import pipeline
from aubal_jax.datasets import streams
from aubal_jax.datasets import targets
from aubal_jax.tables import plan as plan_lib

N, L = 40, 3


def make_table(channels=1, size=16):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (N, size, size, channels), np.uint8)
  labels = rng.integers(0, 2, (N, L), np.uint8)
  known = rng.random((N, L)) < 0.8
  return images, labels * known, known


def make_plan(**fields):
  """23 rows over 40, some twice, every third one added."""
  source = np.concatenate([np.arange(0, 40, 2), [4, 4, 8]])
  standard = {
    'source': source,
    'augment': np.arange(23) % 3 == 0,
    'partner': np.full(23, -1),
    'label_names': ('a', 'b', 'c'),
  }
  return plan_lib.Plan(**standard | fields)


def inputs_of(images, labels, known):
  """Returns the streams and targets of a table."""
  read = images if callable(images) else images.__getitem__
  shape = getattr(images, 'shape', (N, 16, 16, 1))[1:]
  labels = targets.Target('binary', labels, known, ('a', 'b', 'c'))
  return [streams.of_images(read, shape)], {'labels': labels}


def batches_of(plan=None, table=None, **arguments):
  arguments = {'batch_size': 6, 'seed': 5, 'num_steps': 8} | arguments
  plan = make_plan() if plan is None else plan
  return list(
    pipeline.train_batches(
      plan, *inputs_of(*(table or make_table())), **arguments
    )
  )


def pack_key(drawn, batch_size, chosen):
  """Stands for `augment_device.pack`: needs no JAX."""
  packed = np.zeros((batch_size, 1), np.uint32)
  packed[chosen, 0] = drawn.key.astype(np.uint32)
  return packed


@pytest.mark.parametrize('frozen', [False, True])
def test_the_device_is_sent_images_as_they_are_and_what_was_drawn(frozen):
  packed = batches_of(pack=pack_key, frozen=frozen, num_processes=1)
  plain = batches_of(augment_rows='none')
  for key in ('image', 'labels', 'labels_known'):
    np.testing.assert_array_equal(joined(packed, key), joined(plain, key))
  found = joined(packed, 'augment')
  assert found.dtype == np.uint32
  epochs, rows = rows_of_steps(range(8))
  chosen = make_plan().augment[rows]
  drawn = draws.draw(
    draws.Settings(),
    seed=5,
    epochs=0 if frozen else epochs[chosen],
    rows=rows[chosen],
  )
  np.testing.assert_array_equal(found, pack_key(drawn, len(rows), chosen))
  shares = [
    joined(
      batches_of(pack=pack_key, frozen=frozen, shard_index=i, shard_count=2),
      'augment',
    ).reshape(8, 3, 1)
    for i in range(2)
  ]
  np.testing.assert_array_equal(
    np.concatenate(shares, axis=1).reshape(found.shape), found
  )


def test_what_fails_for_the_device_is_raised():
  def pack(drawn, batch_size, chosen):
    raise OSError('disk on fire')

  with pytest.raises(OSError, match='disk on fire'):
    batches_of(pack=pack)


def joined(batches, key='image'):
  return np.concatenate([batch[key] for batch in batches])


def rows_of_steps(steps, num_rows=23, batch_size=6, seed=5):
  stream = pipeline.row_stream(num_rows, batch_size=batch_size, seed=seed)
  epochs, rows = zip(*(stream(step) for step in steps), strict=True)
  return np.concatenate(epochs), np.concatenate(rows)


@given(
  num_rows=st.integers(1, 60),
  batch_size=st.integers(1, 70),
  seed=st.integers(0, 2**32),
  num_steps=st.integers(1, 12),
)
@settings(deadline=None, max_examples=60)
def test_every_row_once_an_epoch(num_rows, batch_size, seed, num_steps):
  epochs, rows = rows_of_steps(range(num_steps), num_rows, batch_size, seed)
  position = np.arange(num_steps * batch_size)
  np.testing.assert_array_equal(epochs, position // num_rows)
  whole = len(position) // num_rows
  shown = rows[: whole * num_rows].reshape(whole, num_rows)
  np.testing.assert_array_equal(
    np.sort(shown, axis=1), np.tile(np.arange(num_rows), (whole, 1))
  )
  rest = rows[whole * num_rows :]
  assert len(set(rest)) == len(rest)
  assert set(rest) <= set(range(num_rows))


@given(step=st.integers(0, 50), batch_size=st.integers(1, 30))
@settings(deadline=None, max_examples=40)
def test_any_step_from_its_number_whatever_the_batch(step, batch_size):
  _, all_rows = rows_of_steps(range(51 * 30), batch_size=1)
  _, rows = rows_of_steps([step], batch_size=batch_size)
  np.testing.assert_array_equal(
    rows, all_rows[step * batch_size : (step + 1) * batch_size]
  )


def test_epochs_and_seeds_have_their_own_order():
  orders = {
    tuple(rows_of_steps([step], 50, 50, seed)[1])
    for step in range(3)
    for seed in range(3)
  }
  assert len(orders) == 9
  # Evenly spread: each row comes first in its turn.
  _, rows = rows_of_steps(range(4000), 4, 4)
  share = np.bincount(rows[::4]) / 4000
  np.testing.assert_allclose(share, 0.25, atol=0.03)


def test_batches_hold_the_rows_of_the_table():
  images, labels, known = make_table(channels=3)
  plan = make_plan()
  batches = batches_of(
    plan, (images, labels, known), augment_rows='none', num_steps=5
  )
  assert len(batches) == 5
  _, rows = rows_of_steps(range(5))
  source = plan.source[rows]
  np.testing.assert_array_equal(joined(batches), images[source])
  np.testing.assert_array_equal(joined(batches, 'labels'), labels[source])
  np.testing.assert_array_equal(joined(batches, 'labels_known'), known[source])
  shapes = {name: array.shape for name, array in batches[0].items()}
  assert shapes == {
    'image': (6, 16, 16, 3),
    'labels': (6, 3),
    'labels_known': (6, 3),
  }
  types_of = [array.dtype for array in batches[0].values()]
  assert types_of == [np.uint8, np.uint8, bool]


def test_a_function_serves_as_images():
  images, labels, known = make_table()
  called = batches_of(table=(lambda rows: images[rows], labels, known))
  np.testing.assert_array_equal(joined(called), joined(batches_of()))


def test_labels_of_the_plan_come_first():
  labels = 1 - make_table()[1][make_plan().source]
  batches = batches_of(make_plan(labels=labels), num_steps=5)
  _, rows = rows_of_steps(range(5))
  np.testing.assert_array_equal(joined(batches, 'labels'), labels[rows])
  known = make_table()[2][make_plan().source[rows]]
  np.testing.assert_array_equal(joined(batches, 'labels_known'), known)


def test_combined_labels_are_known_where_both_are():
  images, labels, known = make_table()
  partner = np.where(np.arange(23) < 10, 39, -1)
  own = 1 - labels[make_plan().source]
  _, rows = rows_of_steps(range(5))
  source = make_plan().source[rows]
  assert not known[39].all()
  for plan, expected in (
    # A row's own labels, of one or of two rows; else those of the source.
    (make_plan(labels=own), known[source]),
    (make_plan(partner=partner), known[source]),
    (
      make_plan(labels=own, partner=partner),
      known[source] & (known[39] | (rows >= 10)[:, None]),
    ),
  ):
    batches = batches_of(plan, (images, labels, known), num_steps=5)
    np.testing.assert_array_equal(joined(batches, 'labels_known'), expected)


def test_a_share_of_the_plan_is_not_drawn():
  images, labels, known = make_table(channels=3)
  plan = make_plan(partner=np.full(23, 39), share=np.arange(23) / 23)
  _, rows = rows_of_steps(range(4))
  expected = images[plan.source].astype(float)
  expected += plan.share[:, None, None, None] * (images[39] - expected)
  for seed in (5, 6):
    found = batches_of(
      plan,
      (images, labels, known),
      augment_rows='none',
      num_steps=4,
      seed=seed,
    )
    _, rows = rows_of_steps(range(4), seed=seed)
    np.testing.assert_allclose(joined(found), expected[rows], atol=0.51)


@pytest.mark.parametrize('augment_rows', ['added', 'all', 'none'])
def test_augmented_are_the_rows_asked_for_bit_for_bit_as_alone(augment_rows):
  images, labels, known = make_table()
  plan = make_plan()
  ranges = draws.Settings(flip=0.5, noise_sigma=(5.0, 10.0))
  result = joined(
    batches_of(
      plan,
      (images, labels, known),
      augment_rows=augment_rows,
      settings=ranges,
    )
  )
  changed = 0
  for epoch, row, image in zip(*rows_of_steps(range(8)), result, strict=True):
    expected = images[plan.source[row]][None]
    if augment_rows == 'all' or (augment_rows == 'added' and row % 3 == 0):
      drawn = draws.draw(
        ranges, seed=5, epochs=int(epoch), rows=np.array([row])
      )
      expected = augment.augment(expected, drawn)
      changed += 1
    np.testing.assert_array_equal(image, expected[0])
  # 48 rows are two epochs of 23, of which 8 are added, and two rows more.
  counts = {'added': (16, 17, 18), 'all': (48,), 'none': (0,)}
  assert changed in counts[augment_rows]


@pytest.mark.parametrize('exponent', [0.0, 0.5, 1.0])
def test_rows_are_as_strong_as_their_images_are_frequent(exponent):
  images, labels, known = make_table()
  source = np.concatenate([np.arange(10), np.repeat([1, 2, 5], [2, 4, 7])])
  plan = make_plan(source=source, augment=np.arange(23) >= 10)
  own = draws.Settings(strength=0.5, growth_exponent=exponent)
  arguments = {'augment_rows': 'all', 'settings': own}
  result = joined(batches_of(plan, (images, labels, known), **arguments))
  epochs, rows = rows_of_steps(range(8))
  times = np.array([1, 3, 5, 1, 1, 8, 1, 1, 1, 1])[source]
  drawn = draws.draw(
    dataclasses.replace(own, growth_exponent=0.0),
    seed=5,
    epochs=epochs,
    rows=rows,
  )
  strong = draws.draw(
    own, seed=5, epochs=epochs, rows=rows, growth=times[rows].astype(float)
  )
  np.testing.assert_allclose(
    strong.blur_sigma, drawn.blur_sigma * times[rows] ** exponent
  )
  np.testing.assert_array_equal(
    result, augment.augment(images[source[rows]], strong)
  )
  by_processes = batches_of(
    plan, (images, labels, known), num_processes=1, **arguments
  )
  np.testing.assert_array_equal(joined(by_processes), result)

  def pack(drawn, batch_size, chosen):
    return drawn.blur_sigma

  packed = batches_of(plan, (images, labels, known), pack=pack, **arguments)
  np.testing.assert_array_equal(joined(packed, 'augment'), strong.blur_sigma)


@pytest.mark.parametrize('name', augment.AUGMENTATIONS)
def test_each_augmentation_alone_and_inside_tf_data(name):
  only = {
    'flip': 0.0,
    'blur_sigma': (0.0, 0.0),
    'contrast': (1.0, 1.0),
    'noise_sigma': (0.0, 0.0),
    'multiply': (1.0, 1.0),
    'perspective': (0.0, 0.0),
  }
  assert list(only) == list(augment.AUGMENTATIONS)
  only[name] = getattr(draws.Settings(), name)
  ranges = draws.Settings(**only)
  images = make_table(channels=3, size=24)[0]
  plan = make_plan()
  result = joined(
    batches_of(
      plan,
      make_table(channels=3, size=24),
      augment_rows='all',
      settings=ranges,
      num_steps=3,
      num_workers=3,
    )
  )
  epochs, rows = rows_of_steps(range(3))
  drawn = draws.draw(ranges, seed=5, epochs=epochs, rows=rows)
  values, function = getattr(drawn, name), augment.AUGMENTATIONS[name]
  expected = np.stack(
    [
      function(images[source], value, key)
      for source, value, key in zip(
        plan.source[rows], values, drawn.key, strict=True
      )
    ]
  )
  np.testing.assert_array_equal(result, expected)
  assert (result != images[plan.source[rows]]).any()


def test_nothing_but_seed_epoch_and_row_matters():
  plain = batches_of(augment_rows='all')
  whole = joined(plain)

  for other in (
    batches_of(augment_rows='all', num_workers=1),
    batches_of(augment_rows='all', num_workers=4),
    batches_of(augment_rows='all', batch_size=16, num_steps=3),
    batches_of(augment_rows='all', batch_size=1, num_steps=48),
  ):
    np.testing.assert_array_equal(joined(other), whole)

  resumed = batches_of(augment_rows='all', start_step=3, num_steps=5)
  for name in ('image', 'labels', 'labels_known'):
    np.testing.assert_array_equal(
      joined(resumed, name), joined(plain[3:], name)
    )

  assert (joined(batches_of(augment_rows='all', seed=6)) != whole).any()


def test_slow_early_batches_do_not_change_the_order():
  images, labels, known = make_table()
  first = set(make_plan().source[rows_of_steps([0])[1]])

  def read(rows):
    time.sleep(0.1 if set(rows) == first else 0)
    return images[rows]

  slow = batches_of(table=(read, labels, known), num_workers=4)
  np.testing.assert_array_equal(joined(slow), joined(batches_of()))


@pytest.mark.parametrize('frozen', [True, False])
def test_frozen_shows_a_row_alike_in_every_epoch(frozen):
  result = joined(
    batches_of(augment_rows='all', frozen=frozen, batch_size=23, num_steps=2)
  )
  _, rows = rows_of_steps(range(2), batch_size=23)
  first, second = np.argsort(rows[:23]), np.argsort(rows[23:])
  same = (result[:23][first] == result[23:][second]).all(axis=(1, 2, 3))
  assert same.all() if frozen else not same.any()


def test_a_partner_is_mixed_in_by_one_share_a_row_before_augmentation():
  images, labels, known = make_table(channels=3)
  partner = np.where(np.arange(23) < 10, 39, -1)
  plan = make_plan(partner=partner)
  table = (images, labels, known)
  # Two whole epochs, in plan order.
  _, rows = rows_of_steps(range(2), batch_size=23)
  arguments = {'batch_size': 23, 'num_steps': 2}
  mixed = joined(batches_of(plan, table, augment_rows='none', **arguments))
  first, second = (
    mixed[e * 23 : e * 23 + 23][np.argsort(rows[e * 23 : e * 23 + 23])]
    for e in (0, 1)
  )
  np.testing.assert_array_equal(first, second)
  np.testing.assert_array_equal(first[10:], images[plan.source[10:]])

  shares = []
  for row in range(10):
    s = images[plan.source[row]].astype(float)
    change = images[39] - s
    # Least squares: the share that explains the mix best explains it all.
    share = (change * (first[row] - s)).sum() / (change**2).sum()
    assert abs(first[row] - (s + share * change)).max() < 0.6
    shares.append(share)
  assert len(set(np.round(shares, 3))) == 10
  assert min(shares) > -0.01
  assert max(shares) < 1.01

  result = joined(batches_of(plan, table, augment_rows='all', **arguments))
  epochs, rows = rows_of_steps(range(2), batch_size=23)
  drawn = draws.draw(draws.Settings(), seed=5, epochs=epochs, rows=rows)
  np.testing.assert_array_equal(result, augment.augment(mixed, drawn))


@pytest.mark.parametrize('shard_count', [2, 3])
def test_shards_make_up_the_batch(shard_count):
  shards = [
    batches_of(augment_rows='all', shard_index=index, shard_count=shard_count)
    for index in range(shard_count)
  ]
  for parts in zip(batches_of(augment_rows='all'), *shards, strict=True):
    whole, *parts = parts
    for name in whole:
      assert len(parts[0][name]) == 6 // shard_count
      np.testing.assert_array_equal(joined(parts, name), whole[name])


def test_the_table_stays_as_it_is():
  table = make_table()
  batches_of(make_plan(partner=np.full(23, 1)), table, augment_rows='all')
  for array, fresh in zip(table, make_table(), strict=True):
    np.testing.assert_array_equal(array, fresh)


class BrokenFileError(Exception):
  """Stands for whatever a reader raises."""


def test_an_error_in_a_worker_is_raised_as_it_was_at_its_batch(capfd):
  images, labels, known = make_table()
  bad = make_plan().source[rows_of_steps([4])[1][0]]

  def read(rows):
    if bad in rows:
      raise BrokenFileError(f'row {bad} cannot be read')
    return images[rows]

  broken = min(
    step
    for step in range(5)
    if bad in make_plan().source[rows_of_steps([step])[1]]
  )
  good = 0
  with pytest.raises(BrokenFileError, match=f'^row {bad} cannot be read$') as e:
    for _ in pipeline.train_batches(
      make_plan(),
      *inputs_of(read, labels, known),
      batch_size=6,
      seed=5,
      num_steps=8,
    ):
      good += 1
  assert good == broken
  assert e.traceback[-1].name == 'read'
  assert 'Traceback' not in capfd.readouterr().err


def test_an_iterator_can_be_closed_dropped_and_left_alone():
  table = inputs_of(*make_table())
  for _ in range(5):
    batches = pipeline.train_batches(
      make_plan(), *table, batch_size=6, seed=5, num_steps=10**9, num_workers=4
    )
    next(batches)
    batches.close()
    assert next(batches, None) is None
  for unstarted in (False, True):
    batches = pipeline.train_batches(
      make_plan(), *table, batch_size=6, seed=5, num_steps=10**9
    )
    if not unstarted:
      next(batches)
    del batches
    gc.collect()
  assert batches_of(num_steps=0) == []


@pytest.mark.parametrize('end', ['close', 'drop', 'read to the end'])
def test_images_are_let_go_of_with_the_iterator(end):
  images, labels, known = make_table()

  class Images:
    def __getitem__(self, rows):
      return images[rows]

  held = Images()
  batches = pipeline.train_batches(
    make_plan(),
    *inputs_of(held.__getitem__, labels, known),
    batch_size=6,
    seed=5,
    num_steps=3,
  )
  next(batches)
  if end == 'close':
    batches.close()
  elif end == 'read to the end':
    assert len(list(batches)) == 2
  else:
    del batches
  gone = weakref.ref(held)
  del held
  deadline = time.monotonic() + 120
  while gone() is not None and time.monotonic() < deadline:
    gc.collect()  # A worker may still be at its last batch.
    time.sleep(0.01)
  assert gone() is None


@pytest.mark.long
def test_a_programme_ends_though_its_iterator_is_open():
  code = """
    import time, types
    import numpy as np
    from aubal_jax.batches import pipeline
    from aubal_jax.datasets import streams
    def read(rows):
      time.sleep(0.02)
      return np.zeros((len(rows), 8, 8, 1), np.uint8)
    plan = types.SimpleNamespace(
        source=np.arange(9), augment=np.ones(9, bool),
        partner=np.full(9, -1), labels=None)
    labels = np.zeros((9, 2), np.uint8)
    labels = types.SimpleNamespace(values=labels, known=labels == 0)
    batches = pipeline.train_batches(
        plan, [streams.of_images(read, (8, 8, 1))], {'labels': labels},
        batch_size=4, seed=0,
        num_steps=10**9, num_workers=4)
    next(batches)
    raise SystemExit(7)
  """
  done = subprocess.run(
    [sys.executable, '-W', 'error', '-c', textwrap.dedent(code)],
    timeout=1200,
    check=False,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 7, done.stderr


@pytest.mark.parametrize(
  'change, message',
  [
    ({'augment_rows': 'some'}, "augment_rows must be 'added'"),
    ({'batch_size': 0}, 'batch_size must be at least 1; got 0'),
    ({'num_workers': 0}, 'num_workers must be at least 1; got 0'),
    ({'start_step': -1}, 'start_step must be at least 0; got -1'),
    ({'seed': -1}, 'seed must be at least 0; got -1'),
    ({'shard_count': 4}, 'batch_size must be a multiple of shard_count'),
    ({'shard_index': 1}, 'shard_index must be below shard_count'),
  ],
)
def test_bad_arguments_are_named_at_once(change, message):
  arguments = {'batch_size': 6, 'seed': 5, 'num_steps': 8} | change
  with pytest.raises(ValueError, match=message):
    pipeline.train_batches(make_plan(), *inputs_of(*make_table()), **arguments)


def test_plans_of_other_tables_and_bad_images_are_named():
  images, labels, known = make_table()
  with pytest.raises(ValueError, match='plan must name rows of the table'):
    batches_of(make_plan(source=np.arange(23) + 18))
  with pytest.raises(ValueError, match='plan must have at least one row'):
    none = np.zeros(0, int)
    batches_of(make_plan(source=none, augment=none > 0, partner=none))
  with pytest.raises(ValueError, match=r'the 3 labels of.* shape \[23, 2\]'):
    batches_of(make_plan(labels=np.zeros((23, 2), np.uint8)))
  with pytest.raises(
    ValueError, match=r"'image' must give uint8\[R, 16.*float64"
  ):
    batches_of(table=(images / 255, labels, known))


@given(num_rows=st.integers(0, 40), batch_size=st.integers(1, 50))
@settings(deadline=None, max_examples=40)
def test_evaluation_shows_each_row_once_in_order(num_rows, batch_size):
  images = make_table()[0]
  (seen,) = inputs_of(*make_table())[0]
  rows = np.random.default_rng(num_rows).permutation(40)[:num_rows]
  batches = list(pipeline.eval_batches([seen], rows, batch_size=batch_size))
  assert len(batches) == -(-num_rows // batch_size)
  for batch, mask in batches:
    image = batch['image']
    assert image.shape == (batch_size, 16, 16, 1)
    assert image.dtype == np.uint8
    assert mask.dtype == bool
    assert mask.shape == (batch_size,)
  shown = [batch['image'][mask] for batch, mask in batches]
  shown = np.concatenate([np.empty((0, 16, 16, 1), np.uint8), *shown])
  np.testing.assert_array_equal(shown, images[rows])


def test_evaluation_names_bad_arguments():
  with pytest.raises(ValueError, match='batch_size must be at least 1'):
    pipeline.eval_batches([], [0], batch_size=0)
  with pytest.raises(ValueError, match="'image' must give uint8"):
    bad = streams.of_images((make_table()[0] / 255).__getitem__, (16, 16, 1))
    list(pipeline.eval_batches([bad], [0], batch_size=1))


def test_settings_default_to_those_of_augment():
  ranges = draws.Settings()
  given_them = batches_of(augment_rows='all', settings=ranges)
  np.testing.assert_array_equal(
    joined(given_them), joined(batches_of(augment_rows='all'))
  )
  other = dataclasses.replace(ranges, multiply=(0.1, 0.2))
  darker = batches_of(augment_rows='all', settings=other)
  assert joined(darker).mean() < joined(given_them).mean() / 2


@pytest.mark.parametrize('frozen', [False, True])
def test_processes_make_what_threads_do(frozen):
  given_them = {'augment_rows': 'added', 'frozen': frozen}
  others = multiprocessing.active_children()
  for mine, theirs in zip(
    batches_of(num_processes=2, **given_them),
    batches_of(**given_them),
    strict=True,
  ):
    for name, values in theirs.items():
      np.testing.assert_array_equal(mine[name], values)
  assert {*multiprocessing.active_children()} == {*others}


def test_a_second_stream_and_a_second_target_are_more_fields():
  """A stream is mixed as images are, but not augmented, nor rounded."""
  images, labels, known = make_table()
  rng = np.random.default_rng(1)
  sound = rng.standard_normal((N, 5)).astype(np.float32)
  seen, learnt = inputs_of(images, labels, known)
  seen.append(streams.Stream('sound', np.dtype('f4'), (5,), sound.__getitem__))
  emotion = np.where(known[:, 0], np.arange(N) % 4, 0).astype(np.int16)
  learnt['emotion'] = targets.Target('class', emotion, known[:, 0], (*'wxyz',))
  plan = make_plan(partner=np.full(23, 39), share=np.arange(23) / 23)
  options = {'batch_size': 6, 'seed': 5, 'num_steps': 4}
  batches = list(pipeline.train_batches(plan, seen, learnt, **options))
  alone = batches_of(plan, num_steps=4)
  for name in alone[0]:
    np.testing.assert_array_equal(joined(batches, name), joined(alone, name))
  assert {*batches[0]} - {*alone[0]} == {'sound', 'emotion', 'emotion_known'}
  _, rows = rows_of_steps(range(4))
  source = plan.source[rows]
  share = plan.share[rows].astype(np.float32)[:, None]
  np.testing.assert_allclose(
    joined(batches, 'sound'),
    sound[source] + share * (sound[39] - sound[source]),
    rtol=1e-6,
  )
  np.testing.assert_array_equal(joined(batches, 'emotion'), emotion[source])
  np.testing.assert_array_equal(
    joined(batches, 'emotion_known'), known[source, 0]
  )
  (batch, mask), *_ = pipeline.eval_batches(seen, [3, 4], batch_size=3)
  assert mask.tolist() == [True, True, False]
  np.testing.assert_array_equal(
    batch['sound'], [sound[3], sound[4], 0 * sound[0]]
  )


@pytest.mark.parametrize('there', [False, True])
def test_tensorflow_comes_without_keras_unless_it_is_there(tmp_path, there):
  for folder in ('keras', 'keras/src', 'keras/src/optimizers'):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / '__init__.py').touch()
  (tmp_path / 'tensorflow.py').write_text(
    'try:\n  from keras.src.optimizers import __name__ as found\n'
    'except ImportError:\n  found = None\n'
  )
  names = ('tensorflow', 'keras', 'keras.src', 'keras.src.optimizers')
  with mock.patch.dict(sys.modules), mock.patch('sys.path', [str(tmp_path)]):
    for name in names:
      sys.modules.pop(name, None)
    if there:
      importlib.import_module(names[-1])
    found = pipeline._import_tensorflow().found
    assert found == (names[-1] if there else None)
    assert importlib.import_module(names[-1]).__name__ == names[-1]
