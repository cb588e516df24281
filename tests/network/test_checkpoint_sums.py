"""Sums of checkpoints: no flipped bit, renamed or lost array goes unseen."""

import json
import random

import jax.numpy as jnp
import numpy as np
import pytest

from aubal_jax.network import checkpoint_sums

DTYPES = ('float32', 'float64', 'int32', 'uint8', 'bool', 'bfloat16')


def draw_state(rng):
  """A tree of host arrays, some without an entry, some of no axis."""
  tree = {'params': {}, 'empty': {}}
  for k in range(rng.integers(1, 5)):
    shape = tuple(rng.integers(0, 4, rng.integers(0, 4)))
    values = rng.integers(0, 2, shape)
    dtype = jnp.dtype(str(rng.choice(DTYPES)))
    tree['params'][f'a{k}'] = np.asarray(values).astype(dtype)
  tree['step'] = np.asarray(rng.integers(9))
  return tree


def keep(folder, sums):
  """Writes sums where Orbax keeps them."""
  content = {'custom_metadata': sums, 'other': 1}
  (folder / '_CHECKPOINT_METADATA').write_text(json.dumps(content))


def test_what_was_saved_is_what_is_read(tmp_path):
  rng = np.random.default_rng(0)
  for _ in range(20):
    state = draw_state(rng)
    metrics = [None, {}, {'f1': 0.1, 'at': [1, None]}][rng.integers(3)]
    keep(tmp_path, checkpoint_sums.make(state, metrics))
    sums = checkpoint_sums.read(tmp_path)
    checkpoint_sums.check(tmp_path, sums, state)
    checkpoint_sums.check_metrics(tmp_path, metrics)
    assert sums['structure'] == checkpoint_sums.structure(state)
    with pytest.raises(checkpoint_sums.DamagedError, match='of its metrics'):
      checkpoint_sums.check_metrics(tmp_path, {'f1': 0.2})


def test_any_bit_of_any_array_is_seen(tmp_path):
  rng = np.random.default_rng(1)
  flipped = 0
  while flipped < 40:
    state = draw_state(rng)
    keep(tmp_path, checkpoint_sums.make(state, None))
    name = f'a{rng.integers(len(state["params"]))}'
    array = state['params'][name]
    if not array.size:
      continue
    raw = bytearray(array.tobytes())
    raw[rng.integers(len(raw))] ^= 1 << rng.integers(8)
    other = np.frombuffer(raw, array.dtype).reshape(array.shape)
    state['params'][name] = other
    with pytest.raises(checkpoint_sums.DamagedError, match=f'params.{name} '):
      checkpoint_sums.check(tmp_path, checkpoint_sums.read(tmp_path), state)
    flipped += 1


def test_an_array_of_another_name_has_no_sum(tmp_path):
  rng = np.random.default_rng(2)
  for _ in range(10):
    state = draw_state(rng)
    keep(tmp_path, checkpoint_sums.make(state, None))
    state['params']['new'] = np.zeros(2)
    with pytest.raises(checkpoint_sums.DamagedError, match=r'params\.new'):
      checkpoint_sums.check(tmp_path, checkpoint_sums.read(tmp_path), state)


def test_damaged_sums_are_told_in_a_line(tmp_path):
  rng = random.Random(3)
  state = draw_state(np.random.default_rng(3))
  keep(tmp_path, checkpoint_sums.make(state, {'f1': 0.5}))
  path = tmp_path / '_CHECKPOINT_METADATA'
  whole = path.read_bytes()
  told = checkpoint_sums.read(tmp_path)
  for _ in range(300):
    content = bytearray(whole)
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(rng.choice([content, whole[: rng.randrange(len(whole))]]))
    try:
      found = checkpoint_sums.read(tmp_path)
    except checkpoint_sums.DamagedError as error:
      assert str(error).startswith(f'{path}: ') and '\n' not in str(error)
    else:  # Damage beside them, or a file that bears no word of sums.
      assert found == told or b'"sums"' not in path.read_bytes()
  path.unlink()
  with pytest.raises(checkpoint_sums.DamagedError):
    checkpoint_sums.read(tmp_path)


@pytest.mark.parametrize('kept', [None, {}])
def test_an_earlier_release_took_no_sums(tmp_path, kept):
  keep(tmp_path, kept)
  assert checkpoint_sums.read(tmp_path) is None
  checkpoint_sums.check_metrics(tmp_path, {'f1': 1})


def test_what_is_not_finite_is_named():
  rng = np.random.default_rng(4)
  for _ in range(30):
    state, bad = draw_state(rng), []
    for name, array in state['params'].items():
      if jnp.issubdtype(array.dtype, jnp.inexact) and array.size:
        wrong = rng.choice([0, np.nan, np.inf, -np.inf])
        array.reshape(-1)[rng.integers(array.size)] = wrong
        bad += [f'params.{name}'] if wrong != 0 else []
    assert checkpoint_sums.not_finite(state) == bad


def test_of_an_error_the_first_line_is_told():
  rng = random.Random(5)
  for _ in range(20):
    lines = [rng.choice(['why', 'no', 'x y']) for _ in range(rng.randint(1, 4))]
    found = checkpoint_sums.damaged('f', ValueError('\n'.join(lines)))
    assert str(found) == f'f: {lines[0]}'


def test_structure_says_dtype_and_shape():
  state = {'a': {'b': np.zeros((2, 3), np.uint8), 'c': {}}, 'd': np.ones(())}
  assert checkpoint_sums.structure(state) == {
    'a.b': 'uint8[2, 3]',
    'a.c': 'empty',
    'd': 'float64[]',
  }
