import datetime
import decimal
import sys

import hypothesis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from pyarrow import csv as pa_csv
from pyarrow import parquet as pq

from aubal_jax.datasets import labels
from aubal_jax.tables.files import any_table


def write(folder, columns, name='t.parquet', **options):
  path = folder / name
  pq.write_table(pa.table(columns), path, **options)
  return path


@hypothesis.settings(
  deadline=None,
  suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
  st.lists(
    st.tuples(
      st.sampled_from(['a', ' b ', 'é,"', None]),
      st.sampled_from([0, 1, 9, None]),
      st.sampled_from([0.0, 1.0, float('nan'), None]),
      st.sampled_from([True, False, None]),
    ),
    min_size=1,
    max_size=12,
  ),
  st.integers(1, 5),
)
def test_equals_the_table_that_arrow_writes_as_csv(
  tmp_path, rows, row_group_size
):
  names = ('path', 'whole', 'real', 'truth')
  columns = dict(zip(names, zip(*rows, strict=True), strict=True))
  types = (pa.string(), pa.int16(), pa.float32(), pa.bool_())
  columns = {
    name: pa.array(cells, kind)
    for (name, cells), kind in zip(columns.items(), types, strict=True)
  }
  columns['subject'] = columns['path'].dictionary_encode()
  path = write(tmp_path, columns, row_group_size=row_group_size)
  columns['subject'] = columns['path']
  pa_csv.write_csv(pa.table(columns), tmp_path / 't.csv')
  expected = labels.load(tmp_path / 't.csv')
  read = labels.load(path)
  assert read.label_names == expected.label_names == names[1:]
  np.testing.assert_array_equal(read.labels, expected.labels)
  np.testing.assert_array_equal(read.known, expected.known)
  assert read.ids.tolist() == expected.ids.tolist()
  for column in any_table.read(path).columns.values():
    assert len(set(column.values)) == len(column.values)
    assert set(column.codes.tolist()) == set(range(len(column.values)))


def test_labels_of_every_type(tmp_path):
  path = write(
    tmp_path,
    {
      'path': ['x', 'y', 'z'],
      'split': pa.array(['train', 'test', 'train']).dictionary_encode(),
      'subject': pa.array([7, 7, None]),
      'A.1': pa.array([1, 0, None], pa.int8()),
      'b c': pa.array([1.0, float('nan'), 0.0], pa.float32()),
      'd': pa.array([True, None, False]),
      'e': pa.array(['1', '', '9']),
    },
  )
  data = labels.load(path)
  assert data.label_names == ('A.1', 'b c', 'd', 'e')
  assert data.labels.tolist() == [[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
  assert data.known.tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [0, 1, 1, 0]]
  assert data.ids.tolist() == ['x', 'y', 'z']
  assert data.split.tolist() == ['train', 'test', 'train']
  assert data.groups.tolist() == ['7', '7', 'row 2']
  assert f'(row 2 of {path})' in data.notes[0]


def test_nan_is_a_blank_group(tmp_path):
  path = write(tmp_path, {'subject': [7.0, float('nan')], 'x': [0, 1]})
  assert labels.load(path).groups.tolist() == ['7.0', 'row 1']


def test_other_columns_are_no_labels_but_may_be_there(tmp_path):
  columns = {
    'x': [0, 1],
    'image': [b'\xff', b'\0'],
    'vector': [[1.0], [2.0]],
    'when': [datetime.date(2020, 1, 2)] * 2,
    'price': [decimal.Decimal('1.50'), None],
    'nothing': pa.nulls(2),
  }
  path = write(tmp_path, columns)
  assert labels.load(path, label_columns=('x',)).labels.tolist() == [[0], [1]]
  read = any_table.read(path)
  assert read.columns['when'].values[:1] == ('2020-01-02',)
  assert read.columns['price'].cells().tolist() == ['1.50', '']
  assert read.columns['nothing'].cells().tolist() == ['', '']
  message = r"row 0 .*'vector' holds '\[1\.0\]'.*'when' holds '2020.*columns"
  with pytest.raises(ValueError, match=message):
    labels.load(path)


def test_the_index_of_pandas_is_no_column(tmp_path):
  path = write(tmp_path, {'x': [0, 1], '__index_level_0__': ['a', 'b']})
  assert list(any_table.read(path).columns) == ['x']


def test_numbers_may_be_names(tmp_path):
  assert labels.load(write(tmp_path, {'0': [1], '1': [0]})).label_names == (
    '0',
    '1',
  )


@pytest.mark.parametrize(
  ('columns', 'message'),
  [
    (
      {'x': [0, 1, 2, 7]},
      r"t\.parquet: row 2 \(counted from 0\): column 'x' holds '2'; row 3: "
      r"column 'x' holds '7' \(2 in all\)\. A label is",
    ),
    ({'x': [1], ' x': [0]}, r"columns 1 and 2 are both called 'x'"),
    ({'': [1]}, r't\.parquet: column 1 of 1 has no name'),
    ({'x': pa.array([], pa.int8())}, r'has 1 columns and 0 rows\. Add one'),
    ({'path': ['a']}, r"t\.parquet: there is no label column, only 'path'"),
  ],
)
def test_bad_tables(tmp_path, columns, message):
  path = write(tmp_path, columns)
  with pytest.raises(ValueError, match=message):
    labels.load(path)


def test_a_column_that_is_not_there(tmp_path):
  path = write(tmp_path, {'cat': [1]})
  with pytest.raises(
    ValueError, match=r"t\.parquet: there is no column 'cta'; .*mean 'cat'\?"
  ):
    labels.load(path, label_columns=('cta',))


def test_damaged_files(tmp_path):
  path = write(tmp_path, {'x': list(range(2)) * 5000, 'y': [0] * 10000})
  content = path.read_bytes()
  cases = (
    b'',
    b'PAR1',
    b'a,b\n1,0\n',
    content[:-20],
    content[: len(content) // 2],
  )
  for case in (*cases, b'\xff' * 60 + content[60:]):
    path.write_bytes(case)
    with pytest.raises(
      ValueError, match=r't\.parquet: not readable as Parquet \(.*Save it again'
    ):
      labels.load(path)


def test_without_pyarrow(tmp_path, monkeypatch):
  path = write(tmp_path, {'x': [1]})
  monkeypatch.setitem(sys.modules, 'pyarrow', None)
  with pytest.raises(ValueError, match='package pyarrow, which is'):
    labels.load(path)


def test_many_rows_in_many_groups(tmp_path):
  cells = np.random.default_rng(0).integers(0, 1000, 5000).astype(str)
  path = write(tmp_path, {'x': cells}, row_group_size=100)
  assert any_table.read(path).columns['x'].cells().tolist() == cells.tolist()
