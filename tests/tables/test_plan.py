import io
import random
import shutil
import zipfile

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aubal_jax.runs import errors
from aubal_jax.tables import plan as plan_lib
from tests.makers import damage


@st.composite
def groups_and_counts(draw):
  index = draw(st.lists(st.integers(0, 4), min_size=1, max_size=30))
  sizes = np.bincount(index, minlength=5)
  counts = [draw(st.integers(0, 3 * size)) for size in sizes]
  return np.array(index), np.array(counts)


@hypothesis.given(groups_and_counts(), st.integers(0, 3))
def test_spread_meets_the_counts_evenly(problem, seed):
  index, counts = problem
  plan = plan_lib.spread(index, counts, seed=seed)
  repeats = np.bincount(plan.source, minlength=len(index))
  for s, count in enumerate(counts):
    of_group = repeats[index == s]
    assert of_group.sum() == count
    if of_group.size:
      assert of_group.max() - of_group.min() <= 1
  kept = (~plan.augment).sum()
  assert (np.diff(plan.source[:kept]) > 0).all()
  assert plan.augment[kept:].all()
  assert (repeats[plan.source[:kept]] > 0).all()
  assert kept == (repeats > 0).sum()
  assert (plan.partner == -1).all()


def test_rounds_come_one_after_the_other():
  # Group 0 has rows 0 and 1, 5 wanted: each twice, then one drawn again.
  plan = plan_lib.spread([0, 0, 1], [5, 1], rows=np.array([10, 11, 12]))
  assert plan.source[:5].tolist() == [10, 11, 12, 10, 11]
  assert plan.source[5] in (10, 11)
  assert plan.augment.tolist() == [False] * 3 + [True] * 3


def test_who_gets_the_extra_one_is_drawn_from_the_seed():
  extra = {
    plan_lib.spread([0] * 9, [10], seed=seed).source[-1] for seed in range(30)
  }
  assert len(extra) > 3
  one, again = (plan_lib.spread([0] * 9, [13], seed=7) for _ in range(2))
  assert (one.source == again.source).all()


def test_unchanged_and_random():
  rows = np.array([3, 5, 8])
  plan = plan_lib.unchanged(rows, label_names=('a',))
  assert plan.source.tolist() == [3, 5, 8]
  assert not plan.augment.any()
  plan = plan_lib.random(rows, 3, 5, seed=1)
  assert sorted(np.bincount(plan.source)[rows].tolist()) == [2, 3, 3]
  assert plan.augment.tolist() == [False] * 3 + [True] * 5


def test_random_keeps_and_adds_as_many_as_it_is_told():
  plan = plan_lib.random(np.arange(100), 60, 75, seed=2, label_names=('a',))
  assert (~plan.augment).sum() == len(set(plan.source.tolist())) == 60
  assert plan.augment.sum() == 75
  repeats = np.bincount(plan.source)
  assert set(repeats[repeats > 0].tolist()) == {2, 3}
  assert plan.label_names == ('a',)
  assert set(plan.source[:60]) != set(range(60))  # Drawn.


def test_take_copies_and_mixes():
  plan = plan_lib.Plan(
    np.array([0, 1, 1]),
    np.zeros(3, bool),
    np.array([-1, 2, -1]),
    ('a',),
  )
  features = np.array([[0.0, 0.0], [1.0, 10.0], [3.0, 30.0]])
  rows = plan.take(features, np.random.default_rng(0))
  np.testing.assert_array_equal(rows[[0, 2]], features[[0, 1]])
  share = (rows[1] - [1.0, 10.0]) / [2.0, 20.0]
  assert ((share >= 0) & (share < 1)).all()
  assert share[0] != share[1]
  again = plan.take(features, np.random.default_rng(0))
  np.testing.assert_array_equal(rows, again)


@pytest.mark.parametrize('share', [None, np.array([0.5, 0.25])])
def test_a_share_of_the_plan_is_that_of_all_features(share):
  # Rows of two axes, and none drawn where the plan has shares.
  plan = plan_lib.with_added(3, [0, 1], partner=np.array([2, -1]), share=share)
  features = np.array([[[0, 0]], [[1, 10]], [[4, 40]]], np.uint8)
  rows = plan.take(features, np.random.default_rng(0))
  np.testing.assert_array_equal(rows[[0, 1, 2, 4]], features[[0, 1, 2, 1]])
  if share is None:
    assert plan.share is None
    assert rows[3, 0, 0] / 4 != rows[3, 0, 1] / 40
  else:
    np.testing.assert_array_equal(plan.share, [0, 0, 0, 0.5, 0.25])
    np.testing.assert_array_equal(rows[3], [[2, 20]])


def test_rows_are_added_after_all_others():
  labels = np.arange(8).reshape(4, 2) % 2
  plan = plan_lib.with_added(3, [1], labels=labels)
  assert plan.source.tolist() == [0, 1, 2, 1]
  assert plan.augment.tolist() == [False] * 3 + [True]
  assert plan.partner.tolist() == [-1] * 4
  np.testing.assert_array_equal(plan.labels, labels)
  assert len(plan_lib.with_added(3, [])) == 3
  with pytest.raises(ValueError, match='labels must have one entry a row: 4'):
    plan_lib.with_added(3, [1], labels=labels[:3])


@pytest.mark.parametrize('labels', [None, np.eye(4, 2, dtype=np.uint8)])
@pytest.mark.parametrize('share', [None, np.arange(4) / 8])
def test_saved_and_loaded(tmp_path, labels, share):
  plan = plan_lib.Plan(
    np.arange(4), np.arange(4) > 2, np.full(4, -1), ('a', 'ü'), labels, share
  )
  plan.save(tmp_path / 'plan.npz')
  found = plan_lib.load(tmp_path / 'plan.npz')
  for name in ('source', 'augment', 'partner'):
    np.testing.assert_array_equal(getattr(found, name), getattr(plan, name))
  assert found.label_names == ('a', 'ü')
  for name, value in (('labels', labels), ('share', share)):
    if value is None:
      assert getattr(found, name) is None
    else:
      np.testing.assert_array_equal(getattr(found, name), value)
  assert [p.name for p in tmp_path.iterdir()] == ['plan.npz']


def test_a_plan_cut_short_is_named(tmp_path):
  path = tmp_path / 'plan.npz'
  plan_lib.unchanged(np.arange(50)).save(path)
  path.write_bytes(path.read_bytes()[:-40])
  with pytest.raises(ValueError, match=r'plan\.npz is not a whole plan'):
    plan_lib.load(path)
  with pytest.raises(FileNotFoundError):
    plan_lib.load(tmp_path / 'none.npz')


def make_plan(seed, num_rows=20):
  """Returns a plan of drawn rows, with or without each of its extras."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, 2, (num_rows, 3)).astype(np.uint8)
  return plan_lib.Plan(
    rng.integers(0, 9, num_rows),
    rng.random(num_rows) < 0.5,
    rng.integers(-1, 9, num_rows),
    ('a', 'ü', 'c'),
    np.asfortranarray(labels) if seed % 2 else None,
    rng.random(num_rows) if seed % 3 else None,
  )


def outcome(path, plan, **table):
  """Returns 'same' or 'told'; any other end of it fails."""
  try:
    found = plan_lib.load(path, **table)
  except errors.UserError as error:
    assert str(path) in str(error)
    return 'told'
  for name in ('source', 'augment', 'partner', 'labels', 'share'):
    np.testing.assert_array_equal(getattr(found, name), getattr(plan, name))
  assert found.label_names == plan.label_names
  return 'same'


@pytest.mark.parametrize('seed', range(4))
def test_damaged_anywhere_it_is_the_same_plan_or_told(tmp_path, seed):
  path, plan = tmp_path / 'plan.npz', make_plan(seed)
  plan.save(path)
  whole, rng = path.read_bytes(), random.Random(seed)
  assert outcome(path, plan) == 'same'
  ends = []
  for _ in range(150):
    held = damage.flip_bit(path, damage.draw_bit(path, rng))
    ends.append(outcome(path, plan))
    path.write_bytes(held)
  assert ends.count('told') > 75
  for _ in range(40):
    path.write_bytes(whole[: rng.randrange(len(whole))])
    assert outcome(path, plan) == 'told'
    start, size = rng.randrange(len(whole)), rng.randrange(1, 40)
    path.write_bytes(
      whole[:start] + rng.randbytes(size) + whole[start + size :]
    )
    outcome(path, plan)


def write_members(path, plan, **members):
  """Writes a plan whose members have these bytes; None: without it."""
  plan.save(path)
  with zipfile.ZipFile(path) as archive:
    held = {name: archive.read(name) for name in archive.namelist()}
  held |= {f'{name}.npy': content for name, content in members.items()}
  with zipfile.ZipFile(path, 'w') as archive:
    for name, content in held.items():
      if content is not None:
        archive.writestr(name, content)


def npy(array):
  file = io.BytesIO()
  np.save(file, array)
  return file.getvalue()


def test_no_room_is_made_for_a_header_without_its_bytes(tmp_path, monkeypatch):
  path, plan = tmp_path / 'plan.npz', make_plan(1)
  plan.save(path)
  monkeypatch.setattr(np, 'load', None)  # It would make room.
  for shape in ('(10**15,)', '(1, 9999999999999)', '(2**62, 4)', '(-1,)', '()'):
    for kind in ('<i8', '|u1', '<U99999999', '|O', '|V8'):
      header = (
        f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}"
      )
      header = header.replace('10**15', str(10**15)).replace('2**62', '4' * 18)
      header = header.ljust(117) + '\n'
      content = b'\x93NUMPY\x01\x00' + bytes([len(header), 0])
      content += header.encode() + bytes(64)
      write_members(path, plan, source=content)
      assert outcome(path, plan) == 'told'


@pytest.mark.parametrize(
  ('name', 'change'),
  [
    ('source', lambda x: x * 1.0),
    ('source', lambda x: -x - 1),
    ('source', lambda x: x[:-1]),
    ('source', lambda x: x[:, None]),
    ('augment', lambda x: x * 2),
    ('partner', lambda x: x - 2),
    ('labels', lambda x: x + 1),
    ('labels', lambda x: x[:, :2]),
    ('labels', lambda x: x / 2),
    ('share', lambda x: x + 1),
    ('share', lambda x: np.where(x == x.max(), np.nan, x)),
    ('share', lambda x: np.where(x == x.max(), -np.inf, x)),
    ('label_names', lambda x: np.array(['a', 'a', 'c'])),
    ('label_names', lambda x: np.array([1, 2, 3])),
    ('label_names', lambda x: np.array(['a', 'b'])),
  ],
)
def test_what_is_whole_is_also_valid(tmp_path, name, change):
  path = tmp_path / 'plan.npz'
  for seed in (1, 5, 7, 11):
    plan = make_plan(seed)
    value = getattr(plan, name)
    content = npy(change(np.array(value)))
    # As the last release wrote it: without a sum that would find it.
    write_members(path, plan, format=None, **{name: content})
    with pytest.raises(errors.UserError, match='not a whole plan') as caught:
      plan_lib.load(path)
    assert name in str(caught.value) or 'one entry a row' in str(caught.value)
    wrong = dict(vars(plan)) | {name: change(np.array(value))}
    if name != 'label_names' and len(wrong[name]) == len(plan):
      path.unlink()
      with pytest.raises(errors.UserError, match=name):
        plan_lib.Plan(**wrong).save(path)
      assert not path.exists()


def test_a_plan_without_a_number_is_read_and_a_later_one_told(tmp_path):
  path = tmp_path / 'plan.npz'
  for seed in range(6):
    plan = make_plan(seed)
    write_members(path, plan, format=None)
    assert outcome(path, plan) == 'same'
    write_members(path, plan, format=npy(np.array([2 + seed, 0])))
    with pytest.raises(
      errors.UserError, match=f'format {2 + seed}, and formats up to 1 are'
    ):
      plan_lib.load(path)


def test_a_plan_of_another_table_is_told(tmp_path):
  path = tmp_path / 'plan.npz'
  for seed in range(6):
    plan = make_plan(seed)
    plan.save(path)
    most = max(plan.source.max(), plan.partner.max())
    names = plan.label_names
    assert outcome(path, plan, num_rows=most + 1, label_names=names) == 'same'
    with pytest.raises(errors.UserError, match=f'names row {most}, but'):
      plan_lib.load(path, num_rows=most)
    for others in (names[::-1], names[:2], (*names, 'd')):
      with pytest.raises(errors.UserError, match='made for the labels'):
        plan_lib.load(path, label_names=others)


def test_other_files_in_its_place_are_told(tmp_path):
  path, plan = tmp_path / 'plan.npz', make_plan(1)
  other = tmp_path / 'other.npz'
  for arrays in (
    {},
    {'source': plan.source},
    {**vars(make_plan(1)), 'more': np.ones(3)},
    {'labels': np.array([None, 1], object)},
  ):
    np.savez(other, **{k: v for k, v in arrays.items() if v is not None})
    shutil.copy(other, path)
    assert outcome(path, plan) == 'told'
  for content in (b'', b'PK', npy(plan.source), b'{"rows": 4}'):
    path.write_bytes(content)
    assert outcome(path, plan) == 'told'


def test_bad_arguments_are_named():
  with pytest.raises(ValueError, match='seed must be a whole number'):
    plan_lib.spread([0], [1], seed=-1)
  with pytest.raises(ValueError, match='has 1, and the plan names row 1'):
    plan_lib.unchanged([0, 1]).take([5], np.random.default_rng(0))
  with pytest.raises(ValueError, match='counts must be whole numbers from 0'):
    plan_lib.spread([0], [-1])
  with pytest.raises(ValueError, match='group 1'):
    plan_lib.spread([0], [1, 1])
  with pytest.raises(ValueError, match='augment must have one entry'):
    plan_lib.Plan(np.arange(2), np.zeros(1, bool), np.zeros(2, int), ())
