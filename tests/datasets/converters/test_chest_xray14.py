"""ChestX-ray14: the table as it is handed out, its lists, and what is wrong."""

import itertools

import pytest

from aubal_jax.datasets import manifest
from aubal_jax.datasets.converters import chest_xray14
from aubal_jax.runs import errors
from tests.makers import forms

TABLE = (
  'Image Index,Finding Labels,Follow-up #,Patient ID,OriginalImage[Width,'
  'Height],OriginalImagePixelSpacing[x,y],\n'
  '1.png,Mass|Hernia,0,7,2682,2749,0.1,0.1,\n'
  '2.png,No Finding,1,7,2682,2749,0.1,0.1,\n'
  '3.png,Mass,0,8,2682,2749,0.1,0.1,\n'
)


def make(folder, table=TABLE, **lists):
  folder.mkdir(exist_ok=True)
  (folder / 'Data_Entry_2017.csv').write_text(table)
  for name, content in lists.items():
    (folder / f'{name}.txt').write_text(content)
  for n in (1, 2, 3):
    forms.write_image(folder / f'images_00{n}/images/{n}.png')


def convert(folder):
  notes = chest_xray14.convert(folder, folder / 'm.csv')
  return manifest.read(folder / 'm.csv'), notes


def test_the_lists_part_off_the_test_split(tmp_path):
  for n, parts in enumerate(itertools.product(('train', 'test'), repeat=3)):
    folder = tmp_path / str(n)
    in_list = {
      part: '\n'.join(f'{k}.png' for k in (1, 2, 3) if parts[k - 1] == part)
      for part in ('train', 'test')
    }
    make(
      folder,
      train_val_list=in_list['train'],
      test_list=f'{in_list["test"]}\n9.png\n',
    )
    found, notes = convert(folder)
    assert found.label_names == ('Hernia', 'Mass')
    assert found.labels.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert found.groups.tolist() == ['7', '7', '8']
    if 'train' in parts:
      assert tuple(found.split) == parts
    else:
      assert found.split is None
    assert any('1 names in the lists are of no image' in n for n in notes)
    assert 'no images for validation' in notes[-1]


def test_without_lists_there_is_no_split(tmp_path):
  make(tmp_path)
  found, notes = convert(tmp_path)
  assert found.split is None
  assert 'neither train_val_list.txt nor test_list.txt' in notes[-1]


@pytest.mark.parametrize(
  ('old', 'new', 'message'),
  [
    ('Image Index', 'Image', r"csv:1: .*'Image Index' must be among them"),
    ('Follow-up #', 'Patient ID', r"csv:1: .*'Patient ID' must be .* once"),
    (TABLE, '', r"csv:1: the columns are ; 'Image Index' must be"),
    ('Mass|', 'Mass||', r"csv:2: '1\.png,Mass\|\|Hernia.*A row has"),
    ('Mass|', 'No Finding|', r'csv:2: '),
    ('No Finding', '', r'csv:3: '),
    (',8,', ',,', r'csv:4: '),
    ('3.png', '', r'csv:4: '),
    ('3.png', '1.png', r"csv:4: '1\.png' a second time"),
    ('3.png', '1.jpg', r'1\.png has two rows'),
    (',2749,0.1,0.1,\n3', '\n3', r'csv:3: '),
    ('1,7,2682', '1,7,1,2682', r'csv:3: '),
    ('Mass,0', 'mass,0', r"csv:4: the label 'mass' and 'Mass' .*csv:2\) diff"),
    ('Mass,0', '"Mass,0', r'csv:4: the row that starts here is not CSV'),
    (TABLE[TABLE.index('1.png') :], '', r'csv:1: no row has a finding'),
  ],
)
def test_bad_rows_are_named(tmp_path, old, new, message):
  assert old in TABLE
  make(tmp_path, TABLE.replace(old, new, 1))
  with pytest.raises(errors.UserError, match=message):
    convert(tmp_path)
  assert not (tmp_path / 'm.csv').exists()


@pytest.mark.parametrize(
  ('lists', 'message'),
  [
    (
      {'test_list': '1.png'},
      r"csv:3: '2\.png' is not in .*test_list\.txt\. An",
    ),
    (
      {'train_val_list': '1.png\n2.png', 'test_list': '\n2.png\n3.png'},
      r"test_list\.txt:2: '2\.png' a second time",
    ),
  ],
)
def test_every_image_is_in_one_list(tmp_path, lists, message):
  make(tmp_path, **lists)
  with pytest.raises(errors.UserError, match=message):
    convert(tmp_path)
