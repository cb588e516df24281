import csv
import pickle
import subprocess
import sys
import types

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from aubal_jax import settings
from aubal_jax.datasets import annotations
from aubal_jax.datasets import labels
from aubal_jax.datasets import loading
from aubal_jax.datasets import tfds as tfds_package


def write(folder, *lines, name='t.csv'):
  path = folder / name
  path.write_text('\n'.join(lines) + '\n')
  return path


@hypothesis.settings(
  deadline=None,
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
  st.lists(
    st.lists(st.sampled_from([0, 1, None]), min_size=3, max_size=3),
    min_size=1,
    max_size=20,
  ),
  st.randoms(use_true_random=False),
)
def test_reads_back_what_was_written(tmp_path, values, random):
  spellings = {
    0: ['0', '0.0', '0.', ' 0 ', 'false', 'FALSE'],
    1: ['1', '1.0', '1.00', '1 ', 'true', 'True'],
    None: ['', ' ', 'NaN', '-1', '-1.0', '9', '9.0', '999'],
  }
  path = tmp_path / 't.csv'
  with open(path, 'w', newline='') as file:
    writer = csv.writer(file)
    writer.writerow(['a', 'b', 'c'])
    for row in values:
      writer.writerow([random.choice(spellings[value]) for value in row])
  data = labels.load(path)
  assert data.label_names == ('a', 'b', 'c')
  assert data.labels.tolist() == [[value == 1 for value in r] for r in values]
  assert data.known.tolist() == [[v is not None for v in r] for r in values]
  assert set(data.split.tolist()) == {'train'}
  assert data.load_images is None


def test_columns_that_are_no_labels(tmp_path):
  path = write(
    tmp_path,
    'path,cat,subject,split,dog',
    'x.jpg,1,S1,train,0',
    'y.jpg,0,S2,test,1',
  )
  data = labels.load(path)
  assert data.label_names == ('cat', 'dog')
  assert data.ids.tolist() == ['x.jpg', 'y.jpg']
  assert data.groups.tolist() == ['S1', 'S2']
  assert data.split.tolist() == ['train', 'test']
  data = labels.load(path, label_columns=('dog', 'cat'))
  assert data.labels.tolist() == [[0, 1], [1, 0]]


def test_rows_without_a_name_are_called_by_their_number(tmp_path):
  assert labels.load(write(tmp_path, 'a', '1', '0')).ids.tolist() == ['0', '1']


def test_own_unknown_codes(tmp_path):
  path = write(tmp_path, 'a,b', '?,1', '0,NA')
  data = labels.load(path, unknown_codes=('?', 'na'))
  assert data.known.tolist() == [[False, True], [True, False]]
  path = write(tmp_path, 'a,b', '-5,1')
  assert not labels.load(path, unknown_codes=(-5,)).known[0, 0]


@pytest.mark.parametrize(
  ('lines', 'options', 'message'),
  [
    (
      ('a,b', '0,1', '2,x'),
      {},
      r"t\.csv:3: column 'a' holds '2'; line 3: column 'b' holds 'x' \(2 in "
      r"all\)\. A label is .*data\.unknown_codes \('', '-1', '9', '999'\)",
    ),
    (
      ('a', *'0123456789'),
      {},
      r"t\.csv:4: column 'a' holds '2'; .*'6'; \.\.\. \(7 in all\)",
    ),
    (('a,b', '0,'), {'unknown_codes': ()}, r":2: column 'b' holds ''"),
    (('a', '1.5'), {}, r"t\.csv:2: column 'a' holds '1\.5'"),
    (
      ('path,split', 'x,train'),
      {},
      r"t\.csv:1: there is no label column, only 'path', 'split'\. Add",
    ),
    (
      ('cat,dog', '0,1'),
      {'label_columns': ('cta',)},
      r"t\.csv:1: .*no column 'cta'.*mean 'cat'.*data\.label_columns",
    ),
    (
      ('cat,dog', '0,1'),
      {'label_columns': ('cat', 'cat')},
      r'data\.label_columns must be a tuple of distinct',
    ),
    (
      ('a', '0'),
      {'unknown_codes': ('9', '0.0'), 'absent_codes': ('0', '-1')},
      r"absent_codes and data\.unknown_codes both name '0'\. Take it out",
    ),
    (
      ('a,b', '0,1'),
      {'label_columns': ('a, b',)},
      r"holds 'a, b', .*--config\.data\.label_columns=\"\('a','b'\)\"\.",
    ),
    (
      ('a,b', '0,1'),
      {'label_columns': ('',)},
      r'data\.label_columns must not hold a blank .*\(\), to take all columns',
    ),
    (
      ('?,0', '0,1'),
      {'unknown_codes': ('?',)},
      r"t\.csv:1: there is no header: the first line holds '\?', '0'",
    ),
    (('a,split', '0,trian'), {}, r"t\.csv:2: column 'split' holds 'trian'"),
    (
      ('a,split', '0,test'),
      {},
      r't\.csv: no row is left to train on .*data\.split_column',
    ),
    (
      ('a,Split', '0,test'),
      {},
      r"t\.csv:1: .*no column 'split'.*mean 'Split'.*data\.split_column",
    ),
    (
      ('a,x', '0,1'),
      {'group_column': 'person'},
      r"t\.csv:1: .*no column 'person'.*data\.group_column",
    ),
    (
      ('a,x', '0,1'),
      {'path_column': 'file'},
      r"t\.csv:1: .*no column 'file'.*data\.path_column",
    ),
  ],
)
def test_bad_tables(tmp_path, lines, options, message):
  with pytest.raises(ValueError, match=message):
    labels.load(write(tmp_path, *lines), **options)


def test_notes(tmp_path):
  path = write(
    tmp_path,
    'a,b,c,d,split,subject',
    '1,,0,0,train,S1',
    '0,9,1,0,train,S2',
    '0,,1,1,test,S2',
  )
  crossing, unknown, absent = labels.load(path).notes
  assert crossing.startswith(
    'Warning: 1 of 2 groups have rows in more than one split'
  )
  assert unknown == 'Warning: 1 of 4 labels is unknown in every row: b.'
  assert absent == 'Warning: 1 of 4 labels is never 1 in the training split: d.'
  path = write(tmp_path, 'a,b', '0,0')
  (note,) = labels.load(path).notes
  assert note == (
    'Warning: 2 of 2 labels are never 1 in the training split: a, b.'
  )
  path = write(tmp_path, 'a,b,c,d,e,f,g', '0,0,0,0,0,0,0')
  (note,) = labels.load(path).notes
  assert note.endswith('a, b, c, d, e, ... (7 in all).')


def test_names_and_codes_that_are_numbers(tmp_path):
  config = settings.default()
  config.data.name = 'labels'

  def load(path, label_columns):
    config.data.update({'path': str(path), 'label_columns': label_columns})
    return loading.load(config)

  config.data.unknown_codes = (7,)
  path = write(tmp_path, 'path,1,2,3', 'x,0,7,1', 'y,1,1,0')
  data = load(path, (2, 1))
  assert data.label_names == ('2', '1')
  assert data.labels.tolist() == [[0, 0], [1, 1]]
  assert data.known.tolist() == [[0, 1], [1, 1]]
  path = tmp_path / 't.npz'
  np.savez(path, labels=[[0, 7], [1, 1]], label_names=['1', '2'])
  data = load(path, (2,))
  assert data.label_names == ('2',)
  assert data.known.tolist() == [[0], [1]]


def test_default_names_are_no_labels_unless_asked_for(tmp_path):
  path = write(tmp_path, 'Path,split,subject,a', 'x,train,S,0', 'y,test,T,1')
  data = labels.load(path, path_column='', split_column='', group_column='')
  assert data.label_names == ('a',)
  assert set(data.split.tolist()) == {'train'}
  assert data.groups is None
  path = write(tmp_path, 'subject,a', '1,0', '0,1')
  data = labels.load(path, group_column='', label_columns=('subject', 'a'))
  assert data.label_names == ('subject', 'a')


def test_a_blank_group_is_a_group_of_its_own(tmp_path):
  path = write(tmp_path, 'a,subject', '0,x', '1,', '1,x', '0, ', '0,line 3')
  data = labels.load(path)
  assert data.groups.tolist() == ['x', '_line 3', 'x', '_line 5', 'line 3']
  assert data.notes == (
    "2 of 5 rows have a blank 'subject': each is a group of its own (line 3, "
    f'5 of {path}).',
  )
  path = write(tmp_path, 'a,subject', '1,x', '0,')
  assert labels.load(path).groups.tolist() == ['x', 'line 3']


ARRAY = np.array([[0, 1, 0], [1, 1, 0]])


@pytest.mark.parametrize('dtype', ['bool', 'uint8', 'int64', 'float32', 'str'])
def test_arrays_of_any_type(tmp_path, dtype):
  path = tmp_path / 't.npy'
  np.save(path, ARRAY.astype(dtype))
  data = labels.load(path)
  np.testing.assert_array_equal(data.labels, ARRAY)
  assert data.known.all()
  assert data.label_names == ('label_0', 'label_1', 'label_2')
  path = tmp_path / 't.npz'
  np.savez_compressed(path, labels=ARRAY.astype(dtype), label_names=[*'xyz'])
  data = labels.load(path, label_columns=('z', 'y'))
  np.testing.assert_array_equal(data.labels, ARRAY[:, [2, 1]])
  assert data.label_names == ('z', 'y')
  assert data.ids.tolist() == ['0', '1']


@pytest.mark.parametrize('code', [-1, 9, 999, np.nan])
def test_unknown_in_arrays(tmp_path, code):
  array = ARRAY.astype(float)
  array[1, 0] = code
  np.save(tmp_path / 't.npy', array)
  data = labels.load(tmp_path / 't.npy')
  assert np.argwhere(~data.known).tolist() == [[1, 0]]
  assert data.labels.tolist() == [[0, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize(
  ('arrays', 'options', 'message'),
  [
    ({'y': ARRAY}, {}, r"t\.npz: .*no array 'labels', only 'y'\. Save it"),
    ({'labels': ARRAY[0]}, {}, r"t\.npz: 'labels' must be \[N, L\].*not \[3\]"),
    ({'labels': ARRAY[:0]}, {}, r"t\.npz: 'labels' must be .*not \[0, 3\]"),
    (
      {'labels': ARRAY, 'label_names': ['a', 'b']},
      {},
      r"t\.npz: 'label_names' must be 3 distinct names.*Save it",
    ),
    (
      {'labels': ARRAY, 'label_names': ['a', 'b', 'a']},
      {},
      r"t\.npz: 'label_names' must be 3 distinct names.*a, b, a",
    ),
    (
      {'labels': ARRAY * 2, 'label_names': ['a', 'b', 'c']},
      {},
      r"t\.npz: row 0 .*column 'b' holds '2'; row 1: .*\(3 in all\)\. .*data\."
      'unknown_codes',
    ),
    (
      {'labels': ARRAY, 'label_names': ['cat', 'dog', 'cow']},
      {'label_columns': ('cta',)},
      r"t\.npz: .*no column 'cta'.*mean 'cat'\? Set data\.label_columns",
    ),
    (
      {'labels': np.array([[0, np.nan]])},
      {'unknown_codes': ('9',)},
      r"t\.npz: row 0 .*column 'label_1' holds 'nan'",
    ),
    (
      {'labels': np.array([[None, {}]])},
      {},
      r't\.npz: not readable as NumPy \(it holds Python objects.*Save it',
    ),
  ],
)
def test_bad_arrays(tmp_path, arrays, options, message):
  np.savez(tmp_path / 't.npz', **arrays)
  with pytest.raises(ValueError, match=message):
    labels.load(tmp_path / 't.npz', **options)


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
def test_damaged_arrays_are_told_in_our_words(tmp_path, save):
  path = tmp_path / 't.npz'
  rng = np.random.default_rng(0)
  save(path, labels=rng.integers(0, 2, (200, 9)).astype(np.uint8))
  content = path.read_bytes()
  for start in (100, 180):
    path.write_bytes(content[:start] + b'damage' + content[start + 6 :])
    with pytest.raises(ValueError, match='it is damaged, or no fi') as caught:
      labels.load(path)
    assert 'unsafely' not in str(caught.value)
  path.write_bytes(pickle.dumps([1, 2]))
  with pytest.raises(ValueError, match='it is damaged, or no fi'):
    labels.load(path)


@pytest.mark.parametrize('content', [b'', b'PK\3\4 not quite', b'text'])
def test_not_a_numpy_file(tmp_path, content):
  path = tmp_path / 't.npz'
  path.write_bytes(content)
  with pytest.raises(ValueError, match=r't\.npz: not readable as NumPy'):
    labels.load(path)


def test_other_formats_and_missing_files(tmp_path):
  path = write(tmp_path, 'a', '1', name='t.xls')
  message = r"from \.csv, .*\.xlsx, \.npz, \.npy, \.arff, not from '\.xls'"
  with pytest.raises(ValueError, match=message):
    labels.load(path)
  write(tmp_path, 'a', '1', name='labels.csv')
  with pytest.raises(FileNotFoundError, match=r"mean 'labels\.csv'"):
    labels.load(tmp_path / 'label.csv')


def test_needs_numpy_alone():
  code = (
    'import sys, aubal_jax, numpy\n'
    'before = set(sys.modules)\n'
    'import aubal_jax.datasets.labels\n'
    "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
    "print(sorted(new - sys.stdlib_module_names - {'aubal_jax', 'numpy'}))\n"
    "print({'cv2', 'tensorflow', 'albumentations'} & set(sys.modules))"
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, check=True
  )
  assert done.stdout == '[]\nset()\n'


def test_a_set_of_tfds_is_read_by_its_name(monkeypatch):
  asked = []

  def read_labels(name, *, data_dir='', label_columns=()):
    asked.append((name, data_dir, label_columns))
    values = np.array([[1], [0]], np.uint8)
    split = np.array(['train', 'test'])
    ids = np.array(['a', 'b'])
    return annotations.Annotations(
      None, values, values >= 0, ('x',), ids, split=split
    )

  module = types.ModuleType('aubal_jax.datasets.tfds.sets')
  module.read_labels = read_labels
  monkeypatch.setitem(sys.modules, module.__name__, module)
  monkeypatch.setattr(tfds_package, 'sets', module, raising=False)
  data = labels.load('tfds:celeb_a', tfds_dir='d', label_columns=('x',))
  assert asked == [('celeb_a', 'd', ('x',))]
  assert data.labels.tolist() == [[1], [0]]
  assert data.split.tolist() == ['train', 'test']
  assert data.ids.tolist() == ['a', 'b']


@pytest.mark.parametrize('counts', [[2, 0, 1], [[1, 0, 1], [1, 0, 0]]])
def test_labelsets_and_their_counts_make_rows(tmp_path, counts):
  path = tmp_path / 't.npz'
  patterns = np.array([[1, 0], [1, 1], [0, 1]], np.uint8)
  np.savez(path, patterns=patterns, counts=counts, label_names=['a', 'b'])
  data = labels.load(path)
  assert data.labels.tolist() == [[1, 0], [1, 0], [0, 1]]
  assert data.label_names == ('a', 'b')


@pytest.mark.parametrize('counts', [[1, 2], [1, -1, 0], [0.5, 1, 1]])
def test_counts_that_count_no_patterns(tmp_path, counts):
  path = tmp_path / 't.npz'
  np.savez(path, patterns=np.eye(3, dtype='u1'), counts=counts)
  with pytest.raises(ValueError, match=r"t\.npz: 'counts' must be whole"):
    labels.load(path)
