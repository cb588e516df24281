"""A table for each split, and images inside of a table."""

import gzip

import cv2
import numpy as np
import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy import sparse

from aubal_jax import settings
from aubal_jax.datasets import labels
from aubal_jax.datasets import loading
from aubal_jax.datasets import manifest
from aubal_jax.media import images
from tests.makers import fake_data


def write(path, *lines, folder=None):
  """Writes a table and, in grey levels 10, 20, ..., the images it names."""
  path.write_text('\n'.join(lines) + '\n')
  for number, line in enumerate(lines[1:], 1):
    file = path.parent / line.split(',')[0]
    cv2.imwrite(str(file), np.full((9, 9), 10 * number, np.uint8))
  return path


def make_config(kind, **data):
  config = settings.default()
  config.data.name = kind
  config.data.image_size = 16
  config.data.update(data)
  settings.check(config)
  return config


@pytest.mark.parametrize('kind', ['manifest', 'labels'])
@pytest.mark.parametrize('others', [('test',), ('validation', 'test')])
def test_rows_are_of_the_split_of_their_table(tmp_path, kind, others):
  (tmp_path / 'more').mkdir()
  paths = {
    'path': write(tmp_path / 'a.csv', 'path,x,y', 'a.png,1,0', 'b.png,0,1'),
    'validation_path': write(tmp_path / 'v.csv', 'path,y,x', 'v.png,1,0'),
    'test_path': write(tmp_path / 'more/t.csv', 'path,x,y', 'a.png,1,'),
  }
  given = ['path', *(f'{name}_path' for name in others)]
  config = make_config(kind, **{name: str(paths[name]) for name in given})
  data = loading.load(config)
  assert data.label_names == ('x', 'y')
  wanted = {'train': [[1, 0], [0, 1]], 'validation': [[0, 1]], 'test': [[1, 0]]}
  for split in ('train', *others):
    assert data.labels[data.split == split].tolist() == wanted[split]
  assert data.num_rows()['test'] == 1
  assert not data.known[-1, 1]
  assert data.place(len(data) - 1) == f'{paths["test_path"]}:2'
  assert data.counts['1'][1] == data.labels.sum()
  if kind == 'manifest':
    made = data.load_images(np.arange(len(data)))
    assert made[:, 4, 4, 0].tolist() == [10, 20, *[10] * len(others)]


def test_names_that_one_table_lacks_are_absent_there(tmp_path):
  one = write(tmp_path / 'a.csv', 'path,tags', 'a.png,x', 'b.png,')
  two = write(tmp_path / 't.csv', 'path,tags', 'c.png,z')
  data = labels.load(one, others={'test': two}, label_column='tags')
  assert data.label_names == ('x', 'z')
  assert data.labels.tolist() == [[1, 0], [0, 0], [0, 1]]
  assert data.known.all()
  assert data.counts == {'not named': ('absent', 4), 'named': ('present', 2)}


@pytest.mark.parametrize(
  ('lines', 'words'),
  [
    (('path,x', 'c.png,1'), ['other label columns', "'y'"]),
    (('path,x,y', 'a.png,1,0'), ['a.csv as well', 'a.csv:2', 'one split']),
    (('path,split,x,y', 'c.png,train,1,0'), ['split test', 'split_column']),
  ],
)
def test_tables_that_do_not_go_together(tmp_path, lines, words):
  one = write(tmp_path / 'a.csv', 'path,x,y', 'a.png,1,0')
  two = write(tmp_path / 't.csv', *lines)
  with pytest.raises(ValueError, match=r't\.csv') as caught:
    manifest.read(one, others={'test': two})
  for word in words:
    assert word in str(caught.value)


def test_a_table_that_is_not_there_is_named_by_its_setting(tmp_path):
  one = write(tmp_path / 'a.csv', 'path,x', 'a.png,1')
  config = make_config('manifest', path=str(one), test_path='nowhere.csv')
  with pytest.raises(FileNotFoundError, match=r'Set data\.test_path to the'):
    loading.load(config)
  both = f'{one},{write(tmp_path / "b.csv", "path,x", "b.png,1")}'
  with pytest.raises(FileNotFoundError, match=r'data\.validation_path and'):
    loading.load(make_config('labels', path=both))


@pytest.mark.parametrize(
  ('key', 'value'),
  [('threshold', 0.5), ('label_column', 'x'), ('absent_codes', ('-1',))],
)
def test_settings_of_tables_are_refused_elsewhere(key, value):
  with pytest.raises(ValueError, match=rf'data\.{key} is for tables'):
    make_config('synthetic', **{key: value})
  make_config('labels', **{key: value})


@pytest.mark.parametrize(
  'suffix', ['.csv', '.tsv', '.csv.gz', '.tsv.gz', '.xlsx']
)
@pytest.mark.parametrize('mark', [',', ';', '\t'])
def test_tables_of_every_kind_say_the_same(tmp_path, suffix, mark):
  if 'tsv' in suffix:
    mark = '\t'
  rows = [['path', 'a, b', 'c'], ['x;y', '1', '0'], ['é', '', '1']]
  path = tmp_path / f't{suffix}'
  if suffix == '.xlsx':
    book = openpyxl.Workbook()
    for row in rows:
      book.active.append(row)
    book.save(path)
  else:
    lines = [mark.join(f'"{cell}"' for cell in row) for row in rows]
    content = '\n'.join(lines).encode('utf-8-sig')
    path.write_bytes(gzip.compress(content) if 'gz' in suffix else content)
  data = labels.load(path)
  assert data.label_names == ('a, b', 'c')
  assert data.labels.tolist() == [[1, 0], [0, 1]]
  assert data.known.tolist() == [[1, 1], [0, 1]]
  assert data.ids.tolist() == ['x;y', 'é']


def test_columns_between_blanks_and_rows_without_names_are_told(tmp_path):
  path = tmp_path / 't.csv'
  path.write_text('path a b\nx.png 1 0\ny.png 0 1\n')
  with pytest.raises(
    ValueError, match=r"csv:1: the columns 'path a b' are sep"
  ):
    labels.load(path)
  path.write_text('has cat\n1\n0\n')
  assert labels.load(path).label_names == ('has cat',)
  path.write_text('x.png,1,0\ny.png,0,1\n')
  with pytest.raises(
    ValueError, match=r"csv:1: there is no header: .*'x\.png'"
  ):
    labels.load(path)


@pytest.mark.parametrize('kind', ['csr', 'csc', 'coo'])
def test_sparse_labels_are_those_of_the_dense_ones(tmp_path, kind):
  table = (np.random.default_rng(0).random((30, 5)) < 0.3).astype(np.int8)
  sparse.save_npz(tmp_path / 't.npz', sparse.coo_array(table).asformat(kind))
  data = labels.load(tmp_path / 't.npz')
  np.testing.assert_array_equal(data.labels, table)
  assert data.known.all()
  bad = sparse.csr_array(table)
  bad.indices[3] = 9
  sparse.save_npz(tmp_path / 't.npz', bad)
  with pytest.raises(ValueError, match=r't\.npz: not readable as NumPy'):
    labels.load(tmp_path / 't.npz')


def encode(value):
  return cv2.imencode('.png', np.full((9, 9), value, np.uint8))[1].tobytes()


@pytest.mark.parametrize('form', ['struct', 'bytes', 'nameless'])
@pytest.mark.parametrize('group', [1, 2, 10])
def test_images_inside_of_a_table(tmp_path, form, group):
  values = [10, 50, 90, 130, 170]
  cells = [encode(value) for value in values]
  names = ['a.png', 'b.png', 'c.png', 'd.png', 'a.png']
  if form == 'struct':
    kind = pa.struct([('bytes', pa.binary()), ('path', pa.string())])
    column = pa.array(
      [{'bytes': c, 'path': n} for c, n in zip(cells, names, strict=True)], kind
    )
    ids = ['a.png (row 0)', 'b.png', 'c.png', 'd.png', 'a.png (row 4)']
  elif form == 'nameless':
    column = pa.array(
      [{'bytes': c} for c in cells], pa.struct([('bytes', pa.large_binary())])
    )
    ids = [f'row {k}' for k in range(5)]
  else:
    column, ids = pa.array(cells), [f'row {k}' for k in range(5)]
  path = tmp_path / 't.parquet'
  table = {'image': column, 'x': [1, 0, 1, 0, 1]}
  parquet.write_table(pa.table(table), path, row_group_size=group)
  with pytest.raises(ValueError, match=r'Set data\.path_column=image'):
    manifest.read(path)
  data = fake_data.load_manifest(
    path, path_column='image', pixels=images.Pixels(16)
  )
  assert data.label_names == ('x',) and data.files is None
  assert data.ids.tolist() == ids
  made = data.load_images(np.array([4, 0, 0, 3]))
  assert made[:, 5, 5, 0].tolist() == [170, 10, 10, 130]
  assert data.load_images(np.array([2])).shape == (1, 16, 16, 1)


def test_a_table_lacks_an_image_or_holds_a_bad_one(tmp_path):
  cells = [encode(10), None, b'no image', encode(30)]
  path = tmp_path / 't.parquet'
  parquet.write_table(pa.table({'i': pa.array(cells), 'x': [1, 0, 1, 0]}), path)
  with pytest.raises(ValueError, match=r"row 1 .*'i' holds no image"):
    manifest.read(path, path_column='i')
  data = fake_data.load_manifest(path, path_column='i', unreadable='drop')
  assert data.split[1] == 'dropped'
  with pytest.raises(ValueError, match=r'row 2 .*the image cannot be read'):
    data.load_images(np.array([0, 2]))


def test_names_without_a_suffix_are_looked_for(tmp_path):
  path = write(tmp_path / 't.csv', 'path,x', 'a.png,1', 'b.c.png,0')
  path.write_text('path,x\na,1\nb.c,0\n')
  found = manifest.read(path).files.tolist()
  assert found == [str(tmp_path / 'a.png'), str(tmp_path / 'b.c.png')]
  path.write_text('path,x\na,1\n')
  (tmp_path / 'a.txt').write_text('')
  assert manifest.read(path).files.tolist() == [str(tmp_path / 'a.png')]
  cv2.imwrite(str(tmp_path / 'a.jpg'), np.zeros((9, 9), np.uint8))
  with pytest.raises(ValueError, match=r't\.csv:2: .*There are a\.jpg, a\.png'):
    manifest.read(path)
