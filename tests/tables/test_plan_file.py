"""The file of a plan: its arrays as they were, or one message."""

import io
import random
import zipfile

import numpy as np
import pytest

from aubal_jax.runs import errors
from aubal_jax.tables import plan_file


def draw(rng):
  """Arrays of a plan of some rows."""
  size, width = rng.integers(0, 6, 2)
  arrays = {
    'source': rng.integers(0, 99, size),
    'augment': rng.random(size) < 0.5,
    'partner': rng.integers(-1, 99, size),
    'label_names': np.array([f'é{k}' for k in range(width)], np.str_),
  }
  if rng.random() < 0.5:
    labels = rng.integers(0, 2, (size, width)).astype(np.uint8)
    arrays['labels'] = np.asfortranarray(labels)
  if rng.random() < 0.5:
    arrays['share'] = rng.random(size)
  return arrays


def test_what_is_written_is_read(tmp_path):
  rng = np.random.default_rng(0)
  for _ in range(30):
    arrays = draw(rng)
    plan_file.write(tmp_path / 'p.npz', arrays)
    found = plan_file.read(tmp_path / 'p.npz')
    assert {*found} == {*arrays}
    for name, array in arrays.items():
      assert found[name].dtype == array.dtype
      np.testing.assert_array_equal(found[name], array)


def test_a_flipped_bit_is_told_or_changes_nothing(tmp_path):
  rng, bits = np.random.default_rng(1), random.Random(1)
  path = tmp_path / 'p.npz'
  told = 0
  for _ in range(8):
    arrays = draw(rng)
    plan_file.write(path, arrays)
    whole = path.read_bytes()
    for _ in range(25):
      content = bytearray(whole)
      content[bits.randrange(len(content))] ^= 1 << bits.randrange(8)
      path.write_bytes(content)
      try:
        found = plan_file.read(path)
      except errors.UserError as error:
        assert str(error).startswith(f'{path} is not a whole plan (')
        told += 1
      else:
        assert plan_file.checksum(found) == plan_file.checksum(arrays)
  assert told > 80


def test_another_array_under_the_sum_is_told(tmp_path):
  rng = np.random.default_rng(3)
  path = tmp_path / 'p.npz'
  for _ in range(20):
    arrays = draw(rng) | {'source': np.arange(3)}
    plan_file.write(path, arrays)
    with np.load(path) as held:
      given = {**held}
    given['source'] = np.array([0, 1, int(rng.integers(3, 9))])
    np.savez(path, **given)  # A whole archive, of whole members.
    with pytest.raises(errors.UserError, match='its checksum is wrong'):
      plan_file.read(path)


def test_sums_tell_names_types_shapes_and_numbers_apart():
  rng, sums = np.random.default_rng(2), {}
  for name in 'ab':
    for dtype in ('i1', 'i8', 'f8', 'bool'):
      for shape in ((4,), (2, 2), (4, 1), (0,), (0, 3)):
        for values in ((0, 1, 0, 0), (0, 0, 1, 0)):
          array = np.resize(values, shape).astype(dtype)
          told = name, dtype, shape, array.tobytes()
          found = plan_file.checksum({name: array, 'c': rng.random(0)})
          assert sums.setdefault(found, told) == told
  a, b = np.arange(3), np.arange(4)
  assert plan_file.checksum({'a': a, 'b': b}) == plan_file.checksum(
    {'b': b, 'a': a}
  )


@pytest.mark.parametrize('number', [2, 3, 1000])
def test_a_later_format_is_told(tmp_path, number):
  arrays = draw(np.random.default_rng(number))
  np.savez(tmp_path / 'p.npz', format=np.array([number, 7]), **arrays)
  with pytest.raises(errors.UserError, match=f'format {number}.*newer version'):
    plan_file.read(tmp_path / 'p.npz')


def test_a_file_of_the_last_release_bears_no_sum(tmp_path):
  arrays = draw(np.random.default_rng(5))
  np.savez(tmp_path / 'p.npz', **arrays)
  assert {*plan_file.read(tmp_path / 'p.npz')} == {*arrays}


def test_what_is_no_plan_is_told(tmp_path):
  rng = np.random.default_rng(6)
  path = tmp_path / 'p.npz'
  for lacking in ('source', 'augment', 'partner', 'label_names'):
    arrays = draw(rng)
    del arrays[lacking]
    np.savez(path, **arrays)
    with pytest.raises(errors.UserError, match='not a whole plan'):
      plan_file.read(path)
  np.savez(path, **draw(rng), other=np.ones(1))
  with pytest.raises(errors.UserError, match=r'it holds \[.*other'):
    plan_file.read(path)


def test_no_more_room_is_made_than_there_are_bytes(tmp_path):
  arrays = draw(np.random.default_rng(7))
  stream = io.BytesIO()
  np.lib.format.write_array_header_1_0(
    stream, {'descr': '<i8', 'fortran_order': False, 'shape': (10**15,)}
  )
  path = tmp_path / 'p.npz'
  for name in ('source', 'partner'):
    np.savez(path, **{k: v for k, v in arrays.items() if k != name})
    with zipfile.ZipFile(path, 'a') as archive:
      archive.writestr(f'{name}.npy', stream.getvalue())
    with pytest.raises(errors.UserError, match='bytes are not'):
      plan_file.read(path)
