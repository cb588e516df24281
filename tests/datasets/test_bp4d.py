import shutil

import numpy as np
import pytest

from aubal_jax.datasets.readers import bp4d
from tests.makers import fake_data

CODES = 'AUCoding/AU_OCC/F001_T1.csv'
HEADER = '0,' + ','.join(map(str, fake_data.BP4D_AUS))


def test_reads_the_set_as_handed_out(tmp_path):
  found = bp4d.read(fake_data.bp4d(tmp_path))
  even = np.array([au % 2 == 0 for au in fake_data.BP4D_AUS])
  assert found.label_names == tuple(f'AU{n:02d}' for n in fake_data.BP4D_AUS)
  clip = np.zeros((4, 12), np.uint8)
  clip[0, even] = 1
  np.testing.assert_array_equal(found.labels, np.tile(clip, (3, 1)))
  known = np.ones((4, 12), bool)
  known[1, even] = False
  known[3] = False
  np.testing.assert_array_equal(found.known, np.tile(known, (3, 1)))
  assert found.groups.tolist() == ['F001'] * 8 + ['M002'] * 4
  assert found.ids[5] == 'F001/T2/2441'
  assert found.reasons.tolist() == [
    *(['', '', '', 'not annotated'] * 2),
    *['', '', 'no image', 'not annotated'],
  ]
  assert found.files[0].endswith('2D+3D/F001/T1/2440.jpg')
  assert found.files[4].endswith('2D+3D/F001/T2/02440.JPG')
  assert found.files[10] == ''
  assert found.place(5).endswith('F001_T2.csv:3')
  assert found.split is None


def test_names_of_folders_and_columns_may_vary(tmp_path):
  folder = fake_data.bp4d(tmp_path)
  (folder / 'AUCoding/AU_OCC').rename(folder / 'codes')
  shutil.rmtree(folder / 'AUCoding')
  (folder / 'codes').rename(folder / 'AUCoding')
  (folder / '2D+3D/F001/T1').rename(folder / 'f001_T1')
  path = folder / 'AUCoding/F001_T1.csv'
  aus = [f'"AU{au:02d}"' for au in reversed(fake_data.BP4D_AUS)]
  path.write_text(
    f'\ufeff\nFrame,{",".join(aus)}\n2440,1{",0" * 11}\n', encoding='utf-8'
  )
  found = bp4d.read(folder)
  assert found.labels[0].tolist() == [0] * 11 + [1]
  assert found.files[0].endswith('f001_T1/2440.jpg')
  assert found.place(0).endswith('F001_T1.csv:3')


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    (
      f'{HEADER}\n2440,0,0,7,2,0,0,0,0,0,0,0,0\n2441{",0" * 11},-2',
      r'T1\.csv:2: AU 4 is 7; line 3: AU 24 is -2 \(2 in all\)\. A code is',
    ),
    (f'{HEADER}\n2440,0,0\n', r"T1\.csv:2: '2440,0,0'\. A row is 13 whole"),
    (f'{HEADER}\n2440{",0" * 11},\n', r'T1\.csv:2: '),
    (
      f'{HEADER}\n2440{",0" * 12}\n2440{",0" * 12}',
      r'T1\.csv:3: frame 2440, as',
    ),
    (f'{HEADER}\n', 'without a row'),
    ('', 'without a row'),
    (f'2440{",0" * 12}\n2441{",0" * 12}', 'T1.csv: 0 columns are called 1,'),
    (f'{HEADER},1\n2440{",0" * 13}\n', '2 columns are called 1,'),
  ],
)
def test_bad_lines_are_named(tmp_path, text, message):
  folder = fake_data.bp4d(tmp_path)
  (folder / CODES).write_text(text)
  with pytest.raises(ValueError, match=message):
    bp4d.read(folder)


def test_what_is_not_there_is_named(tmp_path):
  (tmp_path / 'Physiology').mkdir()
  with pytest.raises(
    FileNotFoundError, match=r'AU_OCC or AUCoding.*Physiology/'
  ):
    bp4d.read(tmp_path)
  folder = fake_data.bp4d(tmp_path)
  shutil.rmtree(folder / '2D+3D')
  with pytest.raises(
    FileNotFoundError, match=r'image such as F001/T1/2440.jpg'
  ):
    bp4d.read(folder)
  for path in (folder / 'AUCoding/AU_OCC').iterdir():
    path.rename(path.with_suffix('.txt'))
  with pytest.raises(FileNotFoundError, match=r'F001_T1.csv.*F001_T1.txt'):
    bp4d.read(folder)


def test_images_in_two_places_are_refused(tmp_path):
  folder = fake_data.bp4d(tmp_path)
  fake_data.write_image(folder / 'aligned/F001/T1/2440.jpg', 10)
  with pytest.raises(ValueError, match='two places'):
    bp4d.read(folder)
