"""Label tables that NumPy or SciPy saved, written at random and read again."""

import numpy as np
import pytest
from scipy import sparse

from aubal_jax.runs import errors
from aubal_jax.tables.files import arrays


def cells_of(found, names):
  """str[N, L], the cells of a table."""
  return np.stack([found.columns[name].cells() for name in names], axis=1)


def draw(rng):
  return rng.integers(0, 2, rng.integers(1, 6, 2))


@pytest.mark.parametrize('form', ['npy', 'npz', 'named', 'sparse'])
def test_labels_are_those_saved(tmp_path, form):
  rng = np.random.default_rng(0)
  for _ in range(15):
    labels = draw(rng).astype(rng.choice(['u1', 'i8', 'f4']))
    width = labels.shape[1]
    names = [f'label_{k}' for k in range(width)]
    path = tmp_path / ('t.npy' if form == 'npy' else 't.npz')
    if form == 'npy':
      np.save(path, labels)
    elif form == 'npz':
      np.savez(path, labels=labels)
    elif form == 'named':
      names = [f'é {k}' for k in rng.permutation(width)]
      np.savez(path, labels=labels, label_names=names)
    else:
      kind = rng.choice(['csr', 'csc', 'coo'])
      sparse.save_npz(path, sparse.coo_array(labels).asformat(kind))
    found = arrays.read(path)
    assert [*found.columns] == names
    np.testing.assert_array_equal(cells_of(found, names), labels.astype(str))
    assert found.unit == 'row' and found.lines.tolist() == [*range(len(labels))]
    assert found.features is None


def test_labelsets_become_their_rows(tmp_path):
  rng = np.random.default_rng(1)
  path = tmp_path / 't.npz'
  for _ in range(30):
    patterns = draw(rng)
    sources = () if rng.random() < 0.5 else (int(rng.integers(1, 4)),)
    counts = rng.integers(0, 4, (*sources, len(patterns)))
    counts[..., 0] += 1
    np.savez(path, patterns=patterns, counts=counts)
    wanted = [
      pattern.astype(str).tolist()
      for k, pattern in enumerate(patterns)
      for _ in range(int(np.sum(counts[..., k])))
    ]
    found = arrays.read(path)
    assert cells_of(found, found.columns).tolist() == wanted


def test_features_and_columns_beside_the_labels(tmp_path):
  rng = np.random.default_rng(2)
  path = tmp_path / 't.npz'
  for _ in range(20):
    labels = draw(rng)
    features = rng.choice([np.nan, 1.5, -2], (len(labels), rng.integers(0, 4)))
    age = rng.integers(0, 9, len(labels))
    held = {'features': features, 'age': age}
    if rng.random() < 0.7:
      held['labels'] = labels
    np.savez(path, **held)
    found = arrays.read(path, ('age', 'absent'))
    np.testing.assert_array_equal(found.features, features)
    assert found.columns['age'].cells().tolist() == age.astype(str).tolist()
    assert len(found.columns) == 1 + ('labels' in held) * labels.shape[1]
    np.testing.assert_array_equal(arrays.read_features(path), features)


@pytest.mark.parametrize(
  ('held', 'words'),
  [
    ({'x': np.ones(2)}, "no array 'labels', only 'x'"),
    ({'labels': np.ones(2)}, r"'labels' must be \[N, L\].*not \[2\]"),
    ({'labels': np.ones((0, 2))}, r'not \[0, 2\]'),
    ({'labels': np.ones((2, 2), complex)}, 'numbers or text, not complex'),
    ({'labels': np.ones((2, 2)), 'label_names': ['a']}, '2 distinct names'),
    ({'labels': np.ones((2, 2)), 'label_names': ['a', 'a']}, '2 distinct'),
    ({'labels': np.ones((2, 2)), 'features': np.ones((3, 1))}, r'\[2, F\]'),
    ({'labels': np.ones((2, 2)), 'features': [['a'], ['b']]}, 'be numbers'),
    ({'labels': np.ones((2, 2)), 'age': np.ones(3)}, "'age' must be numbers"),
    ({'labels': np.array([[{}]], object)}, 'Python objects'),
    ({'patterns': np.eye(2), 'counts': [1.5, 2]}, "'counts' must be whole"),
    ({'patterns': np.eye(2), 'counts': [-1, 2]}, "'counts' must be whole"),
    ({'patterns': np.eye(2), 'counts': [1, 2, 3]}, "'counts' must be whole"),
    ({'patterns': np.eye(2), 'counts': [10**15, 2]}, 'memory has room'),
  ],
)
def test_what_is_no_such_table_is_told(tmp_path, held, words):
  path = tmp_path / 't.npz'
  np.savez(path, **held)
  with pytest.raises(errors.UserError, match=words) as told:
    arrays.read(path, ('age',))
  assert str(told.value).startswith(f'{path}: ')


def test_a_cut_file_is_told(tmp_path):
  rng = np.random.default_rng(3)
  for suffix in ('.npy', '.npz'):
    path = tmp_path / f't{suffix}'
    for _ in range(10):
      labels = draw(rng)
      if suffix == '.npy':
        np.save(path, labels)
      else:
        np.savez(path, labels=labels)
      whole = path.read_bytes()
      path.write_bytes(whole[: rng.integers(0, len(whole))])
      with pytest.raises(errors.UserError, match='not readable as NumPy'):
        arrays.read(path)


def test_features_alone_are_needed_or_told_of(tmp_path):
  path = tmp_path / 't.npz'
  for held in ({'labels': np.eye(2)}, {'features': np.ones(3)}):
    np.savez(path, **held)
    with pytest.raises(errors.UserError, match=r"no array 'features' \[N, F\]"):
      arrays.read_features(path)
