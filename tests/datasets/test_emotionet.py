import sys

import numpy as np
import openpyxl
import pytest

from aubal_jax.datasets.readers import emotionet
from aubal_jax.tables.files import any_table
from tests.makers import fake_data

TABLE = 'EmotioNet_FACS_aws_2020_24600.csv'


def test_reads_the_table_as_handed_out(tmp_path):
  found = emotionet.read(fake_data.emotionet(tmp_path))
  assert found.label_names == ('AU01', 'AU02', 'AU12')
  assert found.labels.tolist() == [
    [1, 0, 0],
    [0, 0, 1],
    [1, 1, 0],
    [0, 0, 0],
    [1, 0, 0],
  ]
  unknown = np.argwhere(~found.known).tolist()
  assert unknown == [[1, 1], [4, 2]]
  assert found.reasons.tolist() == ['', '', '', 'listed before', 'no image']
  names = [file.rpartition('/')[2] for file in found.files]
  assert names == [
    'N_0000000001_00001.jpg',
    'N_0000000001_00002.JPG',
    'N_0000000001_00003.jpg',
    'N_0000000001_00001.jpg',
    '',
  ]
  assert found.ids[4] == 'N_0000000001_00005.jpg'
  assert found.place(4).endswith(f'{TABLE}:6')
  assert found.groups is None
  assert found.split is None
  (note,) = found.notes
  assert '1 of 4 AUs are scored in no row and are left out: AU03.' in note


def test_reads_the_automatic_lists(tmp_path):
  found = emotionet.read(fake_data.emotionet(tmp_path), 'automatic')
  assert found.label_names == tuple(f'AU{n:02d}' for n in range(1, 60))
  np.testing.assert_array_equal(found.labels, np.eye(4, 59))
  assert found.known.all()
  assert found.reasons.tolist() == ['', '', '', 'no image']
  assert found.place(3).endswith('dataFile_0002.txt:2')
  assert 'AU60' in found.notes[0]


def write_workbook(folder, *sheets):
  book = openpyxl.Workbook()
  book.remove(book.active)
  for number, rows in enumerate(sheets):
    sheet = book.create_sheet(f'S{number}')
    for row in rows:
      sheet.append(row)
  path = folder / 'emotionet_facs_24600.XLSX'
  book.save(path)
  return path


def test_a_workbook_says_what_the_table_says(tmp_path):
  folder = fake_data.emotionet(tmp_path)
  of_csv = emotionet.read(folder)
  rows = any_table.read(folder / TABLE)
  cells = np.stack([column.cells() for column in rows.columns.values()], 1)
  numbers = [[*row[:2], *map(int, row[2:])] for row in cells.tolist()]
  (folder / TABLE).unlink()
  write_workbook(folder, [[], [*rows.columns], [None], *numbers], [])
  found = emotionet.read(folder)
  for name in ('labels', 'known', 'label_names', 'ids', 'files', 'reasons'):
    np.testing.assert_array_equal(getattr(found, name), getattr(of_csv, name))
  assert found.notes == of_csv.notes
  assert found.place(0).endswith('.XLSX:4')


def test_a_table_goes_before_a_workbook(tmp_path):
  folder = fake_data.emotionet(tmp_path)
  write_workbook(folder, [['URL', 'AU 7'], ['x/N_0000000001_00001.jpg', 1]])
  assert emotionet.read(folder).label_names == ('AU01', 'AU02', 'AU12')


def test_workbooks_that_cannot_be_read(tmp_path, monkeypatch):
  folder = fake_data.emotionet(tmp_path)
  (folder / TABLE).unlink()
  row = ['URL', 'AU 1'], ['x/a.jpg', 1]
  path = write_workbook(folder, row, row)
  with pytest.raises(ValueError, match="there are 2 with any: 'S0', 'S1'"):
    emotionet.read(folder)
  write_workbook(folder, [['URL', 'AU 1', 'AU 1'], ['x/a.jpg', 1, 1]])
  with pytest.raises(
    ValueError, match=r"XLSX:1: columns 2 and 3 are both called 'AU 1'"
  ):
    emotionet.read(folder)
  write_workbook(folder, [['URL', 'AU 1'], ['x/a.jpg', 2]])
  with pytest.raises(ValueError, match=r"XLSX:2: column 'AU 1' holds '2'"):
    emotionet.read(folder)
  path.write_bytes(b'\xd0\xcf\x11\xe0 protected by a password')
  with pytest.raises(
    ValueError, match=r'password.*save the table there as CSV'
  ):
    emotionet.read(folder)
  monkeypatch.setitem(sys.modules, 'openpyxl', None)
  with pytest.raises(ValueError, match='package openpyxl, which is not inst'):
    emotionet.read(folder)


def test_all_ways_to_say_unknown(tmp_path):
  folder = fake_data.emotionet(tmp_path)
  path = folder / TABLE
  head, *rest = path.read_text(encoding='utf-8-sig').splitlines()
  urls = [line.split(',')[0] for line in rest if line]
  codes = ['999.0', '-1', '', '9', '1.0']
  lines = [f'{u}, "b", {c}, 0, 1, 0' for u, c in zip(urls, codes, strict=True)]
  path.write_text('\n'.join([head, *lines]))
  found = emotionet.read(folder)
  assert found.known[:, 0].tolist() == [False] * 4 + [True]
  assert found.labels[:, 0].tolist() == [0, 0, 0, 0, 1]


def test_a_row_without_a_score_is_not_annotated(tmp_path):
  folder = fake_data.emotionet(tmp_path)
  path = folder / TABLE
  path.write_text('URL,AU 1\nx/N_0000000001_00001.jpg,999\ny,1\n')
  assert emotionet.read(folder).reasons.tolist() == [
    'not annotated',
    'no image',
  ]


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    (
      "URL,'AU 1'\na,1\nb,2\nc,x\n",
      r"""csv:3: column "'AU 1'" holds '2'; line 4: .* holds 'x'""",
    ),
    ('link,AU 1\na,1\n', r"csv:1: there is no column URL, only 'link', 'AU 1'"),
    ('URL,AU\na,1\n', r'csv:1: there is no column AU 1, only'),
    ('URL,AU 1\na\n', r'csv:2: 1 cells'),
  ],
)
def test_bad_tables_are_named(tmp_path, text, message):
  folder = fake_data.emotionet(tmp_path)
  (folder / TABLE).write_text(text)
  with pytest.raises(ValueError, match=message):
    emotionet.read(folder)


@pytest.mark.parametrize(
  ('row', 'message'),
  [
    ('a\tb' + '\t0' * 59, r'0002\.txt:4: 61 cells'),
    ('a\tb' + '\t0' * 61, r'0002\.txt:4: 63 cells'),
    ('a', r'0002\.txt:4: 1 cells'),
    ('a\tb' + '\t0' * 59 + '\t2', r"0002\.txt:4: AU 60 is '2'"),
  ],
)
def test_bad_lists_are_named(tmp_path, row, message):
  folder = fake_data.emotionet(tmp_path)
  with open(folder / 'dataFile_0002.txt', 'a') as file:
    file.write(f'\n{row}\n')
  with pytest.raises(ValueError, match=message):
    emotionet.read(folder, 'automatic')
  (folder / 'dataFile_0002.txt').write_text('\n')
  with pytest.raises(ValueError, match=r'0002\.txt:1: no row'):
    emotionet.read(folder, 'automatic')


def test_what_is_not_there_is_named(tmp_path):
  folder = fake_data.emotionet(tmp_path)
  for path in folder.glob('dataFile*'):
    path.unlink()
  with pytest.raises(FileNotFoundError, match=r"dataFile_0001.*kind='manual'"):
    emotionet.read(folder, 'automatic')
  with pytest.raises(FileNotFoundError, match=r"aws_2020.*it holds 'N_0"):
    emotionet.read(folder / 'imgs')
  for path in (folder / 'imgs').rglob('*.*'):
    path.unlink()
  with pytest.raises(FileNotFoundError, match=r'N_0000000001_00001\.jpg'):
    emotionet.read(folder)


def test_tables_and_images_that_may_be_either_are_refused(tmp_path):
  folder = fake_data.emotionet(tmp_path)
  fake_data.write_image(folder / 'small/N_0000000001_00001.png', 10)
  with pytest.raises(ValueError, match='two images of one name'):
    emotionet.read(folder)
  (folder / 'EmotioNet_FACS.csv').write_text('URL,AU 1\na,1\n')
  with pytest.raises(ValueError, match='may both be meant'):
    emotionet.read(folder)
