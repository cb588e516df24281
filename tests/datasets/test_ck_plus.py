import shutil

import numpy as np
import pytest

from aubal_jax.datasets import annotations
from aubal_jax.datasets import splits
from aubal_jax.datasets.readers import ck_plus
from aubal_jax.media import images
from tests.makers import fake_data

FACS = 'FACS/S005/001/S005_001_00000011_facs.txt'


def test_every_frame_has_the_aus_of_its_peak(tmp_path):
  found = ck_plus.read(fake_data.ck_plus(tmp_path))
  assert found.label_names == ('AU04', 'AU12', 'AU25', 'AU63')
  assert found.labels.dtype == np.uint8
  assert found.labels.tolist() == (
    [[0, 1, 1, 0]] * 3 + [[1, 0, 0, 1]] * 2 + [[0, 0, 0, 0]] * 2
  )
  assert found.known.tolist() == [[True] * 4] * 5 + [[False] * 4] * 2
  assert found.ids.tolist() == [
    'S005/001/S005_001_00000001.png',
    'S005/001/S005_001_00000002.png',
    'S005/001/S005_001_00000011.png',
    'S005/002/S005_002_00000001.PNG',
    'S005/002/S005_002_00000002.PNG',
    'S010/001/S010_001_00000001.png',
    'S010/001/S010_001_00000002.png',
  ]
  assert found.groups.tolist() == ['S005'] * 5 + ['S010'] * 2
  assert found.split is None
  assert found.reasons.tolist() == [''] * 5 + ['no FACS file'] * 2
  assert found.notes == ()


def test_only_peaks_where_they_are_asked_for(tmp_path):
  found = ck_plus.read(fake_data.ck_plus(tmp_path), 'peak')
  assert found.reasons.tolist() == [
    *('not the peak', 'not the peak', ''),
    *('not the peak', ''),
    *('no FACS file', 'no FACS file'),
  ]
  assert found.labels.sum() == 3 * 2 + 2 * 2


def test_a_row_is_its_image(tmp_path):
  fake_data.ck_plus(tmp_path)
  for name in ('S011', 'S012'):  # Groups enough to draw splits of.
    fake_data.write_image(
      tmp_path / f'cohn-kanade-images/{name}/001/{name}_001_00000001.png', 1
    )
  data = annotations.to_dataset(
    ck_plus.read(tmp_path),
    where='set',
    draw=splits.Draw(0.0, 0.0),
    pixels=images.Pixels(16),
  )
  made = data.load_images(np.array([4, 0, 2]))
  assert made[:, 8, 8, 0].tolist() == [50, 10, 30]


def test_folders_as_people_have_them(tmp_path):
  folder = fake_data.ck_plus(tmp_path / 'CK+')
  expected = ck_plus.read(folder).ids.tolist()
  (folder / 'FACS').rename(folder / 'facs_labels')
  (folder / 'extended').mkdir()
  (folder / 'cohn-kanade-images').rename(folder / 'extended/Cohn-Kanade-Images')
  loop = folder / 'extended/Cohn-Kanade-Images/S005/loop'
  loop.symlink_to(folder, target_is_directory=True)
  assert ck_plus.read(tmp_path).ids.tolist() == expected


def test_a_wrong_folder_is_told_with_what_it_holds(tmp_path):
  folder = fake_data.ck_plus(tmp_path)
  with pytest.raises(FileNotFoundError, match=r"-images .* holds 'S005/'"):
    ck_plus.read(folder / 'FACS')
  with pytest.raises(FileNotFoundError, match=r"FACS .* holds 'S005/', 'S010"):
    ck_plus.read(folder / 'cohn-kanade-images')
  shutil.rmtree(folder / 'FACS')
  (folder / 'FACS').mkdir()
  with pytest.raises(FileNotFoundError, match=r'_facs\.txt .* holds nothing'):
    ck_plus.read(folder)
  shutil.rmtree(folder / 'cohn-kanade-images')
  (folder / 'cohn-kanade-images/S005').mkdir(parents=True)
  with pytest.raises(FileNotFoundError, match=r"11\.png .* holds 'S005/'"):
    ck_plus.read(folder)


@pytest.mark.parametrize(
  'line', ['12', '12 3 4', 'x 3', '1.5 3', '0 1', '12 -1', 'nan 1', 'inf 1']
)
def test_a_malformed_line_is_named(tmp_path, line):
  folder = fake_data.ck_plus(tmp_path)
  (folder / FACS).write_text(f'1.0 2.0\n\n{line}\n')
  with pytest.raises(ValueError, match=rf"facs\.txt:3: the line is '{line}'"):
    ck_plus.read(folder)


def test_odd_facs_files_are_told(tmp_path):
  folder = fake_data.ck_plus(tmp_path)
  (folder / FACS).write_text('\n')
  (folder / 'cohn-kanade-images/S005/001/S005_001_00000011.png').unlink()
  found = ck_plus.read(folder)
  assert found.label_names == ('AU04', 'AU63')
  assert not found.labels[:2].any()
  assert found.known[:2].all()
  assert found.notes == (
    '1 of 2 FACS files list no AU (S005/001): all are absent.',
    '1 of 2 FACS files are of a frame without image (S005/001).',
  )
  other = folder / 'FACS/S005/001/S005_001_00000002_facs.txt'
  other.write_text('1 1\n')
  with pytest.raises(ValueError, match='two FACS files of one sequence'):
    ck_plus.read(folder)


def test_an_image_in_two_places_is_an_error(tmp_path):
  folder = fake_data.ck_plus(tmp_path)
  root = folder / 'cohn-kanade-images'
  fake_data.write_image(root / 'copy/S005_001_00000001.png', 1)
  with pytest.raises(ValueError, match=r'0001\.png and .*0001\.png may be'):
    ck_plus.read(folder)
