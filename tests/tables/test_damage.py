"""Damaged tables: one message that names the file, or a right answer."""

import io

import numpy as np
import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet
from scipy import sparse

from aubal_jax.datasets import labels
from aubal_jax.runs import errors

ROWS, LABELS = 40, 3
TABLE = (np.random.default_rng(0).random((ROWS, LABELS)) < 0.4).astype(np.uint8)
NAMES = ['ä', 'β', 'c']  # Damage to them is no UTF-8.
CELLS = [NAMES, *TABLE.tolist()]


def npz(path):
  np.savez(path, labels=TABLE, label_names=NAMES, features=TABLE * 0.5)


def npz_small(path):
  np.savez_compressed(path, labels=TABLE, label_names=NAMES)


def npy(path):
  np.save(path, TABLE)


def sparse_npz(path):
  sparse.save_npz(path, sparse.csr_array(TABLE))


def parquet_file(path):
  columns = {name: TABLE[:, k] for k, name in enumerate(NAMES)}
  columns['when'] = pa.array([2**62] * ROWS, pa.timestamp('ns'))
  parquet.write_table(pa.table(columns), path, row_group_size=7)


def xlsx(path):
  book = openpyxl.Workbook()
  for row in CELLS:
    book.active.append(row)
  book.save(path)


def csv(path):
  lines = [','.join(map(str, row)) for row in CELLS]
  path.write_text('\n'.join(lines) + '\n', encoding='utf-8')


def csv_gz(path):
  import gzip

  text = '\n'.join(','.join(map(str, row)) for row in CELLS) + '\n'
  path.write_bytes(gzip.compress(text.encode(), mtime=0))


def arff(path):
  header = [f'@attribute {name} {{0,1}}' for name in NAMES]
  lines = ["@relation 'demo: -C 3'", *header, '@attribute f numeric', '@data']
  rows = [','.join(map(str, [*row, 0.5])) for row in TABLE.tolist()]
  path.write_text('\n'.join([*lines, *rows]) + '\n', encoding='utf-8')


KINDS = {
  '.npz': npz,
  'small.npz': npz_small,
  'sparse.npz': sparse_npz,
  '.npy': npy,
  '.parquet': parquet_file,
  '.xlsx': xlsx,
  '.csv': csv,
  '.csv.gz': csv_gz,
  '.arff': arff,
}


def damaged(content, rng, count):
  """Yields contents with a bit flipped, cut off, or with bytes elsewhere."""
  for number in range(count):
    bytes_ = bytearray(content)
    place = int(rng.integers(len(bytes_)))
    if number % 4 == 3:
      yield bytes(bytes_[:place])
    elif number % 4 == 2:
      size = int(rng.integers(1, 9))
      bytes_[place : place + size] = rng.bytes(size)
      yield bytes(bytes_)
    else:
      bytes_[place] ^= 1 << int(rng.integers(8))
      yield bytes(bytes_)


def read(path):
  """Reads a table; returns False where it is refused as it should be."""
  options = {}
  if path.suffix == '.parquet':
    options['exclude_columns'] = ('when',)
  try:
    data = labels.load(path, **options)
  except errors.UserError as error:
    assert str(path) in str(error)
    assert len(str(error)) < 2000 and '\n' not in str(error)
    return False
  assert data.labels.max(initial=0) <= 1
  assert data.labels[~data.known].max(initial=0) == 0
  return True


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize(
  'count', [60, pytest.param(3000, marks=pytest.mark.long)]
)
def test_damage_is_one_message_or_changes_nothing_else(tmp_path, kind, count):
  path = tmp_path / f't{kind}'
  KINDS[kind](path)
  assert read(path)
  content, rng = path.read_bytes(), np.random.default_rng(count)
  refused = 0
  for damage in damaged(content, rng, count):
    path.write_bytes(damage)
    refused += not read(path)
  assert refused > count / 10


@pytest.mark.parametrize('kind', KINDS)
def test_a_table_of_another_kind_is_one_message(tmp_path, kind):
  path = tmp_path / f't{kind}'
  for other, write in KINDS.items():
    same = {kind, other} <= {'.npz', 'small.npz', 'sparse.npz', '.npy'}
    if other != kind and not same:
      write(tmp_path / f'other{other}')
      path.write_bytes((tmp_path / f'other{other}').read_bytes())
      assert not read(path)


def header_of(shape, kind='|u1'):
  """Returns an .npy file that says so, and holds little."""
  file = io.BytesIO()
  about = {'descr': kind, 'fortran_order': False, 'shape': shape}
  np.lib.format.write_array_header_1_0(file, about)
  return file.getvalue() + b'\0' * 64


@pytest.mark.parametrize(
  'shape',
  [(2**40, 4), (10**18, 10**18), (2**62, 4), (-1, 4), (7,), (), (3, 0), (0, 3)],
)
def test_a_size_that_is_not_there_is_not_believed(tmp_path, shape):
  path = tmp_path / 't.npy'
  path.write_bytes(header_of(shape))
  assert not read(path)


@pytest.mark.parametrize(
  'kind', ['|S3', '<M8[s]', '<c16', '|V4', '<f2', '|O', [('a', '<i4')]]
)
def test_arrays_of_what_are_no_labels(tmp_path, kind):
  path = tmp_path / 't.npy'
  path.write_bytes(header_of((2, 2), kind))
  assert read(path) == (kind == '<f2')


@pytest.mark.parametrize(
  'counts', [[2**62, 2**62], [2**63, 1], [[[1, 2]]], 5, []]
)
def test_counts_that_no_memory_holds(tmp_path, counts):
  path = tmp_path / 't.npz'
  patterns = np.eye(2, dtype=np.uint8)
  np.savez(path, patterns=patterns, counts=np.array(counts, np.uint64))
  assert not read(path)


def test_dates_of_any_year_may_be_there(tmp_path):
  path = tmp_path / 't.parquet'
  far = [-(2**62), 0, 2**62]
  columns = {'x': [0, 1, 0]}
  for unit, years in (
    ('s', 2**40),
    ('ms', 2**50),
    ('us', 2**62),
    ('ns', 2**62),
  ):
    columns[unit] = pa.array([-years, 0, years], pa.timestamp(unit))
  columns['day'] = pa.array([-(2**30), 0, 2**30], pa.date32())
  columns['zone'] = pa.array(far, pa.timestamp('us', 'Europe/Berlin'))
  columns['span'] = pa.array(far, pa.duration('ns'))
  parquet.write_table(pa.table(columns), path)
  data = labels.load(path, label_columns=('x',))
  assert data.labels[:, 0].tolist() == [0, 1, 0]
