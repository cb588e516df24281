"""Features of every kind of table of labels."""

import numpy as np
import pytest

from aubal_jax.datasets import dataset
from aubal_jax.datasets import labels

DENSE = """\
@relation 'music: -C -2'
@attribute size numeric
@attribute loud {0,1}
@attribute quiet {1,0}
@attribute key {c,d,e}
@attribute mode {minor,major}
@attribute one {same}
@attribute title string
@attribute calm {0,1}
@attribute happy {0,1}
@data
0.5,1,1,d,major,same,a,1,0
2.5,0,0,c,minor,same,b,0,1
?,?,1,?,major,?,c,1,1
"""
# size, loud, quiet, key (three), mode, one; '?' is the mean of the others.
EXPECTED = [
  [0.5, 1, 1, 0, 1, 0, 1, 0],
  [2.5, 0, 0, 1, 0, 0, 0, 0],
  [1.5, 0.5, 1, 0.5, 0.5, 0, 1, 0],
]
SPARSE = """\
@relation 'mail: -C 1'
@attribute spam {0,1}
@attribute w0 {0,1}
@attribute w1 numeric
@attribute kind {x,y,z}
@data
{1 1,3 y}
{0 1,2 2.5}
{2 ?}
"""


def write(folder, text, name='set.arff'):
  path = folder / name
  path.write_text(text)
  return path


def test_arff_dense(tmp_path):
  data = labels.load(write(tmp_path, DENSE))
  assert data.label_names == ('calm', 'happy')
  assert data.features.dtype == np.float32
  assert data.features.tolist() == EXPECTED
  assert data.notes == (
    '6 of 24 feature values are missing, in 6 of 8 columns: each is the mean '
    'of its column.',
  )


def test_arff_sparse(tmp_path):
  data = labels.load(write(tmp_path, SPARSE))
  assert data.features.tolist() == [
    [1, 0, 0, 1, 0],
    [0, 2.5, 1, 0, 0],
    [0, 1.25, 1, 0, 0],
  ]


def test_labels_that_are_not_chosen_are_no_features(tmp_path):
  data = labels.load(write(tmp_path, DENSE), label_columns=('happy',))
  assert data.label_names == ('happy',)
  assert data.features.tolist() == EXPECTED
  xml = '<labels><label name="calm"/><label name="happy"/></labels>'
  write(tmp_path, xml, 'set.xml')
  path = write(tmp_path, DENSE.replace(': -C -2', ''))
  data = labels.load(path, label_columns=('happy',))
  assert data.features.tolist() == EXPECTED
  # What is no XML says nothing; who names the labels does not need it.
  write(tmp_path, '<labels>', 'set.xml')
  data = labels.load(path, label_columns=('happy', 'calm'))
  assert data.features.tolist() == EXPECTED


def test_arff_without_features(tmp_path):
  text = '@relation "x: -C 2"\n@attribute a {0,1}\n@attribute b {0,1}\n@data\n'
  assert labels.load(write(tmp_path, f'{text}0,1\n1,1\n')).features is None


def save(folder, **arrays):
  path = folder / 't.npz'
  np.savez(path, labels=np.array([[0, 1], [1, 0], [1, 1]]), **arrays)
  return path


@pytest.mark.parametrize('dtype', ['float64', 'float32', 'int16', 'bool'])
def test_npz(tmp_path, dtype):
  features = np.arange(12).reshape(3, 4).astype(dtype)
  data = labels.load(save(tmp_path, features=features))
  np.testing.assert_array_equal(data.features, features.astype('float32'))
  assert data.features.dtype == np.float32
  assert not data.notes
  assert labels.load(save(tmp_path)).features is None


def test_npz_with_gaps(tmp_path):
  features = [[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan]]
  data = labels.load(save(tmp_path, features=features))
  assert data.features.tolist() == [[1, 0], [2, 0], [3, 0]]
  assert data.notes[0].startswith('4 of 6 feature values are missing, in 2 of')


@pytest.mark.parametrize(
  ('features', 'message'),
  [
    (np.ones((2, 4)), r"'features' must be numbers \[3, F\].*float64\[2, 4\]"),
    (np.ones(3), r"'features' must be numbers \[3, F\].*float64\[3\]"),
    (np.full((3, 1), 'x'), r"'features' must be numbers .*<U1\[3, 1\]"),
    ([[0, 0], [0, 0], [0, np.inf]], r't\.npz: .*finite.*1 of row 2 .*is inf'),
    (
      [[0.0], [1e300], [0.0]],
      r'finite in float32; feature 0 of row 1 .*1e\+300',
    ),
  ],
)
def test_bad_npz(tmp_path, features, message):
  with pytest.raises(ValueError, match=message):
    labels.load(save(tmp_path, features=features))


TABLE = 'cat,size,dog,weight\n1,0.5,0,-3\n0,,1,1e2\n'


def test_columns_of_a_table(tmp_path):
  path = write(tmp_path, TABLE, 't.csv')
  data = labels.load(path, feature_columns=('weight', 'size'))
  assert data.label_names == ('cat', 'dog')
  assert data.features.tolist() == [[-3, 0.5], [100, 0.5]]
  assert '1 of 4 feature values are missing' in data.notes[0]
  chosen = labels.load(
    path, feature_columns=('size',), label_columns=('dog', 'cat')
  )
  assert chosen.label_names == ('dog', 'cat')
  assert chosen.features.shape == (2, 1)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    (
      {'feature_columns': ('size', 'waight')},
      r"no column 'waight'.*Did you mean 'weight'.*data\.feature_columns",
    ),
    (
      {'feature_columns': ('size,weight',)},
      r"'size,weight'.*data\.feature_columns=\('size','weight'\)",
    ),
    (
      {'feature_columns': ('size', 'size')},
      r'data\.feature_columns must be a tuple of distinct',
    ),
    (
      {'feature_columns': ('size', 'weight', 'name')},
      r"t\.csv:2: column 'name' holds 'tom'; line 3: column 'name' holds 'tim' "
      r'\(2 in all\)\. A feature is a number, or blank',
    ),
    (
      {'feature_columns': ('size', 'dog'), 'label_columns': ('cat', 'dog')},
      r"data\.feature_columns and data\.label_columns both hold 'dog'",
    ),
  ],
)
def test_bad_columns(tmp_path, options, message):
  first, *others = TABLE.splitlines()
  text = '\n'.join([f'{first},name', f'{others[0]},tom', f'{others[1]},tim'])
  with pytest.raises(ValueError, match=message):
    labels.load(write(tmp_path, text, 't.csv'), **options)


@pytest.mark.parametrize(
  'features',
  [
    np.ones((3, 2)),
    np.ones((2, 2), 'f4'),
    np.ones(3, 'f4'),
    np.full((3, 2), np.nan, 'f4'),
  ],
)
def test_a_dataset_refuses_other_features(features):
  table = np.zeros((3, 1), np.uint8)
  names = np.array(['train'] * 3)
  with pytest.raises(ValueError, match=r'features must be finite float32\[3'):
    dataset.Dataset(table, table == 0, ('a',), names, names, features=features)


def test_features_are_of_the_fingerprint(tmp_path):
  one = labels.load(save(tmp_path, features=np.zeros((3, 2))))
  two = labels.load(save(tmp_path, features=np.ones((3, 2))))
  assert (
    len({t.fingerprint() for t in (one, two, labels.load(save(tmp_path)))}) == 3
  )
