import shutil

import numpy as np
import pytest

from aubal_jax.datasets import annotations
from aubal_jax.datasets import splits
from aubal_jax.datasets.readers import disfa
from aubal_jax.media import images
from tests.makers import fake_data

AU1 = 'ActionUnit_Labels/SN001/SN001_au1.txt'


def test_reads_the_set_as_handed_out(tmp_path):
  found = disfa.read(fake_data.disfa(tmp_path))
  assert found.label_names == tuple(f'AU{n:02d}' for n in fake_data.DISFA_AUS)
  expected = np.zeros((15, 12), np.uint8)
  for k in range(3):
    for frame in (2, 3, 4, 5):  # Intensity 1, that of frame 1, is not enough.
      expected[5 * k + frame - 1, k + frame] = 1
  expected[5 + 1, 3] = 0  # SN002 has no file of AU05, whose frame 2 was.
  np.testing.assert_array_equal(found.labels, expected)
  unknown = np.zeros((15, 12), bool)
  unknown[5:10, 3] = unknown[8:10, 0] = True
  np.testing.assert_array_equal(found.known, ~unknown)
  assert found.groups.tolist() == ['SN001'] * 5 + ['SN002'] * 5 + ['SN003'] * 5
  assert found.ids[[0, 7]].tolist() == ['SN001/00001', 'SN002/00003']
  assert np.flatnonzero(found.reasons).tolist() == [3]
  assert found.reasons[3] == 'no image'
  assert found.split is None


def test_finds_images_however_they_are_numbered(tmp_path):
  found = disfa.read(fake_data.disfa(tmp_path))
  names = [file.rpartition('Images/')[2] for file in found.files]
  assert names == [
    *('SN001/1.jpg', 'SN001/2.jpg', 'SN001/3.jpg', '', 'SN001/5.jpg'),
    *(f'SN002/frame_{f:05d}.PNG' for f in range(5)),
    *(
      f'LeftVideoSN003_comp/LeftVideoSN003_comp_{f:04d}.jpg'
      for f in range(1, 6)
    ),
  ]
  absent, shifted = found.notes
  assert 'SN002 AU05' in absent
  assert 'SN002 are counted from 0' in shifted


@pytest.mark.parametrize('least', [1, 3, 5])
def test_least_intensity(tmp_path, least):
  found = disfa.read(fake_data.disfa(tmp_path), least)
  assert found.labels[:5].sum() == 6 - least


def test_makes_a_data_set_whose_subjects_stay_together(tmp_path):
  folder = fake_data.disfa(tmp_path)
  data = annotations.to_dataset(
    disfa.read(folder),
    where=str(folder),
    draw=splits.Draw(
      validation_fraction=0.3, test_fraction=0.3, stratify=False
    ),
    pixels=images.Pixels(8),
  )
  assert {*zip(data.groups, data.split, strict=True)} >= {('SN001', 'dropped')}
  kept = data.split != 'dropped'
  assert len({*zip(data.groups[kept], data.split[kept], strict=True)}) == 3
  assert data.load_images([0, 9])[:, 4, 4, 0].tolist() == [10, 90]


def test_codes_of_unknown_and_numbers_with_a_point(tmp_path):
  folder = fake_data.disfa(tmp_path)
  (folder / AU1).write_text(' 1 , 3.0 \n2,-1\n\n3,9\n4,999\n5,0')
  found = disfa.read(folder)
  assert found.labels[:5, 0].tolist() == [1, 0, 0, 0, 0]
  assert found.known[:5, 0].tolist() == [True, False, False, False, True]


def test_a_frame_that_no_file_codes_is_not_annotated(tmp_path):
  folder = fake_data.disfa(tmp_path)
  for path in (folder / 'ActionUnit_Labels/SN001').iterdir():
    path.write_text('1,0\n2,9\n')
  assert disfa.read(folder).reasons[:2].tolist() == ['', 'not annotated']


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('1,0\n2,6\n3,7', r'au1\.txt:2: intensity 6; line 3: intensity 7 \(2 in'),
    ('1,0\n\n2;1\n', r"au1\.txt:3: '2;1'\. A row is 2 whole numbers"),
    ('1,0\n2,\n', r"au1\.txt:2: '2,'"),
    ('1,0\n2,1,1\n', r"au1\.txt:2: '2,1,1'"),
    ('1,0,0\n2,1,1\n', r"au1\.txt:1: '1,0,0'"),
    ('1,0\n2,0.5\n', r"au1\.txt:2: '2,0.5'"),
    ('1,0\n2,nan\n', r"au1\.txt:2: '2,nan'"),
    ('1,0\n2,' + '9' * 30, r'au1\.txt:2: '),
    ('1,0\n# 2,1\n', r"au1\.txt:2: '# 2,1'"),
    ('1,0\n2,0\n1,0', r'au1\.txt:3: frame 1, as line 1\.'),
    ('-1,0\n', r'au1\.txt:1: frame -1\.'),
    ('\n\n', 'without a row'),
    ('', 'without a row'),
  ],
)
def test_bad_lines_are_named(tmp_path, text, message):
  folder = fake_data.disfa(tmp_path)
  (folder / AU1).write_text(text)
  with pytest.raises(ValueError, match=message):
    disfa.read(folder)


def test_what_is_not_there_is_named(tmp_path):
  with pytest.raises(FileNotFoundError, match='does not exist'):
    disfa.read(tmp_path / 'nowhere')
  (tmp_path / 'Videos_LeftCamera').mkdir()
  with pytest.raises(FileNotFoundError, match=r'Labels.*Videos_LeftCamera/'):
    disfa.read(tmp_path)
  folder = fake_data.disfa(tmp_path)
  shutil.rmtree(folder / 'Images')
  with pytest.raises(FileNotFoundError, match=r'SN001/00001.jpg.*has videos'):
    disfa.read(folder)
  for path in (folder / 'ActionUnit_Labels/SN003').iterdir():
    path.unlink()
  fake_data.write_image(folder / 'SN001_1.jpg', 10)
  with pytest.raises(FileNotFoundError, match=r'SN003_au1.txt.*nothing'):
    disfa.read(folder)
  shutil.rmtree(folder / 'ActionUnit_Labels')
  (folder / 'ActionUnit_Labels').mkdir()
  with pytest.raises(FileNotFoundError, match='folder SN001'):
    disfa.read(folder)


def test_images_that_may_be_either_are_refused(tmp_path):
  folder = fake_data.disfa(tmp_path)
  path = fake_data.write_image(folder / 'Images/SN001/0005.jpg', 10)
  with pytest.raises(ValueError, match='two images of frame 5'):
    disfa.read(folder)
  path.unlink()
  fake_data.write_image(folder / 'Images/aligned/SN001/1.jpg', 10)
  with pytest.raises(ValueError, match='two places'):
    disfa.read(folder)
