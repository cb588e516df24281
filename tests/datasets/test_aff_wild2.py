import collections
import pathlib
import shutil

import numpy as np
import pytest

from aubal_jax.datasets import aff_wild2_rows
from aubal_jax.datasets import annotations
from aubal_jax.datasets import splits
from aubal_jax.datasets.readers import aff_wild2
from aubal_jax.media import images
from tests.makers import fake_data

TRAIN = 'annotations/AU_Set/Training_Set'
HEADER = 'AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25\n'


def column_sums(found):
  return dict(zip(found.label_names, found.labels.sum(0).tolist(), strict=True))


def by_id(found, name):
  return dict(zip(found.ids.tolist(), getattr(found, name), strict=True))


@pytest.mark.parametrize('release', ['2020', '2022'])
def test_reads_the_sets_as_handed_out(tmp_path, release):
  folder = fake_data.aff_wild2(tmp_path, release)
  found = aff_wild2.read(folder, release)
  names = tuple(f'AU{n:02d}' for n in fake_data.AFF_WILD2_AUS[release])
  assert found.label_names == names
  assert found.labels.dtype == np.uint8
  assert found.known.dtype == bool
  assert by_id(found, 'reasons') == {
    'one/00001.jpg': '',
    'one/00002.jpg': 'not annotated',
    'one/00003.jpg': 'no image',
    'one/00004.jpg': '',
    'two_left/00001.jpg': '',
    'two_left/00002.jpg': '',
    'two_right/00001.jpg': 'not annotated',
    'two_right/00002.jpg': '',
    'drei ä/00001.jpg': '',
    'drei ä/00002.jpg': '',
    'drei ä/00003.jpg': 'not annotated',
    'drei ä/00004.jpg': 'no image',
  }
  # `two_right` has its columns backwards: its last cell is AU01.
  assert column_sums(found) == dict.fromkeys(names, 1) | {
    'AU01': 3,
    'AU02': 2,
    'AU04': 2,
    names[-1]: 2,
  }
  unknown = found.reasons == 'not annotated'
  np.testing.assert_array_equal(
    found.known, np.repeat(~unknown[:, None], len(names), 1)
  )
  assert dict(zip(found.groups, found.split, strict=True)) == {
    'one': 'train',
    'two': 'train',
    'drei ä': 'validation',
  }
  file = by_id(found, 'files')
  assert pathlib.Path(file['two_left/00001.jpg']).name == '00001.JPG'
  assert file['one/00003.jpg'] == ''
  assert found.notes == (
    '1 of 5 image folders have no annotation (of_another_set).',
    '1 of 11 images of annotated videos have no row.',
  )


def test_a_frame_is_the_image_of_its_number(tmp_path):
  found = aff_wild2.read(fake_data.aff_wild2(tmp_path))
  data = annotations.to_dataset(
    found, where='set', draw=splits.Draw(), pixels=images.Pixels(16)
  )
  rows = [
    found.ids.tolist().index(name)
    for name in ('one/00004.jpg', 'two_left/00002.jpg', 'drei ä/00001.jpg')
  ]
  values = data.load_images(rows)[:, 8, 8, 0].astype(int)
  np.testing.assert_allclose(values, [30, 60, 90], atol=2)
  assert data.num_rows() == {
    'train': 5,
    'validation': 2,
    'test': 0,
    'dropped': 5,
  }
  assert found.place(rows[0]).endswith('one.txt:5')
  assert found.place(rows[1]).endswith('two_left.txt:3')
  assert found.place(rows[1] - 1).endswith('two_left.txt:2')
  assert not any('group' in note for note in data.notes)


def test_a_video_in_both_splits_is_told(tmp_path):
  folder = fake_data.aff_wild2(tmp_path)
  shutil.copy(
    folder / TRAIN / 'two_left.txt', folder / TRAIN / '../Validation_Set'
  )
  data = annotations.to_dataset(
    aff_wild2.read(folder),
    where='set',
    draw=splits.Draw(),
    pixels=images.Pixels(16),
  )
  assert any('1 of 3 groups have rows in more' in note for note in data.notes)


def multi_task(folder, aus):
  header = f'image,valence,arousal,expression,{aus}\r\n'
  cells = ['0'] * 11
  rows = {
    'train_set.txt': [
      'one\\00004.jpg,-5,-5,3,' + ','.join(['1', *cells]),
      'one\\00001.jpg,0.1,0.25,-1,' + ','.join([*cells, '1']),
      'two_left\\00001.jpg,.1,.2,1,' + ','.join(['-1'] * 12),
    ],
    'validation_set.txt': [
      'drei ä\\00004.jpg,0,0,0,' + ','.join(['0', *cells])
    ],
  }
  for name, lines in rows.items():
    path = folder / 'MTL_Challenge' / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((header + '\r\n'.join(lines) + '\r\n\r\n').encode())
  return folder


@pytest.mark.parametrize(
  'aus', ['aus', ','.join(f'AU{n}' for n in fake_data.AFF_WILD2_AUS['2022'])]
)
def test_multi_task_files_name_their_images(tmp_path, aus):
  fake_data.aff_wild2(tmp_path, '2022')
  shutil.rmtree(tmp_path / 'annotations')
  found = aff_wild2.read(multi_task(tmp_path, aus), '2022')
  assert found.ids.tolist() == [
    'one/00004.jpg',
    'one/00001.jpg',
    'two_left/00001.jpg',
    'drei ä/00004.jpg',
  ]
  assert found.labels[:, 0].tolist() == [1, 0, 0, 0]
  assert found.labels[:, -1].tolist() == [0, 1, 0, 0]
  assert found.reasons.tolist() == ['', '', 'not annotated', 'no image']
  assert found.split.tolist() == ['train'] * 3 + ['validation']
  assert found.files[0].endswith('00004.jpg')


def test_multi_task_rows_name_one_image_each(tmp_path):
  multi_task(tmp_path, 'aus')
  path = tmp_path / 'MTL_Challenge/train_set.txt'
  text = path.read_text()
  task = aff_wild2_rows.task('labels', '2022')
  path.write_text(text.replace('00001.jpg,0.1', '00004.jpg,0.1'))
  with pytest.raises(ValueError, match=r"set\.txt:3: .*'one.*00004\.jpg'"):
    aff_wild2_rows.read(str(path), task)
  path.write_text(text.replace('one\\00004.jpg', '00004.jpg'))
  with pytest.raises(ValueError, match=r"set\.txt:2: .*'00004\.jpg'"):
    aff_wild2_rows.read(str(path), task)


def test_folders_as_people_have_them(tmp_path):
  folder = fake_data.aff_wild2(tmp_path / 'a')
  expected = aff_wild2.read(folder)

  def check(root):
    found = aff_wild2.read(root)
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.reasons.tolist() == expected.reasons.tolist()

  check(tmp_path)  # One level above.
  (folder / 'annotations/AU_Set/Training_Set').rename(
    folder / 'annotations/AU_Set/training_set'
  )
  (folder / 'annotations/AU_Set').rename(folder / 'annotations/au_set')
  (folder / 'annotations').rename(folder / 'Annotations')
  (folder / 'cropped_aligned').rename(folder / 'Cropped_Aligned_Images')
  (folder / '__MACOSX/AU_Set').mkdir(parents=True)
  (folder / 'Annotations/loop').symlink_to(folder, target_is_directory=True)
  check(folder)
  (folder / 'batch2').mkdir()
  (folder / 'Cropped_Aligned_Images/one').rename(folder / 'batch2/one')
  check(folder)
  nested = folder / 'Cropped_Aligned_Images/batch1'
  nested.mkdir()
  (folder / 'batch2/one').rename(nested / 'one')
  check(str(folder))


def test_a_wrong_folder_is_told_with_what_it_holds(tmp_path):
  with pytest.raises(FileNotFoundError, match=r'nowhere: .* does not exist'):
    aff_wild2.read(tmp_path / 'nowhere')
  folder = fake_data.aff_wild2(tmp_path / 'set')
  with pytest.raises(
    FileNotFoundError, match=r"AU_Set .* holds 'one/', 'two_left/'.*2022"
  ):
    (folder / 'cropped_aligned/drei ä').rename(folder / 'cropped_aligned/zzz')
    (folder / 'cropped_aligned/of_another_set').rename(folder / 'other')
    aff_wild2.read(folder / 'cropped_aligned')
  with pytest.raises(FileNotFoundError, match=r"cropped_aligned.*'AU_Set/'"):
    aff_wild2.read(folder / 'annotations')
  with pytest.raises(ValueError, match=r'one\.txt:1: .*AU07.*release'):
    aff_wild2.read(folder, '2022')
  (folder / TRAIN).rename(folder / 'annotations/AU_Set/Lernen')
  with pytest.raises(FileNotFoundError, match=r"Training_Set .*'Lernen/'"):
    aff_wild2.read(folder)


def test_no_image_at_all_is_an_error(tmp_path):
  folder = fake_data.aff_wild2(tmp_path)
  for name in ('one', 'two_left', 'two_right', 'drei ä'):
    shutil.rmtree(folder / 'cropped_aligned' / name)
  with pytest.raises(FileNotFoundError, match=r'one, two_left.*of_another_set'):
    aff_wild2.read(folder)


def test_what_may_be_meant_twice_is_an_error(tmp_path):
  folder = fake_data.aff_wild2(tmp_path)
  (folder / 'annotations/AU_Set/Train_Set').mkdir()
  with pytest.raises(ValueError, match=r'Train_Set and .*Training_Set'):
    aff_wild2.read(folder)
  (folder / 'annotations/AU_Set/Train_Set').rmdir()
  fake_data.write_image(folder / 'batch1/one/00001.jpg', 1)
  with pytest.raises(ValueError, match=r'one and .*one may be meant'):
    aff_wild2.read(folder)
  shutil.rmtree(folder / 'batch1')
  (folder / 'old/AU_Set').mkdir(parents=True)
  with pytest.raises(ValueError, match=r'annotations/AU_Set and .*old/AU_Set'):
    aff_wild2.read(folder)
  shutil.rmtree(folder / 'old')
  for name, rule in (
    ('00001.png', 'files of one name'),
    ('1.jpg', 'images of one frame'),
  ):
    path = fake_data.write_image(folder / 'cropped_aligned/one' / name, 1)
    with pytest.raises(ValueError, match=f'two {rule}'):
      aff_wild2.read(folder)
    path.unlink()
  aff_wild2.read(folder)


def test_videos_without_images_are_told(tmp_path):
  folder = fake_data.aff_wild2(tmp_path)
  shutil.rmtree(folder / 'cropped_aligned/one')
  found = aff_wild2.read(folder)
  assert found.notes[0] == '1 of 4 annotated videos have no image (one).'
  assert collections.Counter(found.reasons.tolist())['no image'] == 4


GOOD = '0,0,0,0,0,0,0,1\n'


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('', r'one\.txt:1: the header must name AU01, AU02.*holds '),
    (GOOD * 2, r'one\.txt:1: the header must name AU01'),
    (HEADER.replace('AU20', 'AU2') + GOOD, r':1: .*AU02, AU20 is not'),
    (HEADER + GOOD * 2 + '0,1\n' + GOOD, r"one\.txt:4: the row is '0,1'"),
    (HEADER + GOOD + '\n' + GOOD, r"one\.txt:3: the row is ''\. A row has 8"),
    (HEADER + GOOD.replace('1', '2'), r"one\.txt:2: .*0,2'.*AU 0, 1, or -1"),
    (HEADER + GOOD.replace('1', '1,1'), r'one\.txt:2: the row is '),
    (HEADER + GOOD.replace('1', 'x') * 9, r'line 6: .*\(9 in all\)'),
    ((HEADER + GOOD).encode() + b'\xe4', r'one\.txt:3: byte 0xe4 is not'),
  ],
)
def test_a_malformed_file_names_line_and_content(tmp_path, text, message):
  folder = fake_data.aff_wild2(tmp_path)
  content = text if isinstance(text, bytes) else text.encode()
  (folder / TRAIN / 'one.txt').write_bytes(content)
  with pytest.raises(ValueError, match=message):
    aff_wild2.read(folder)


def test_a_file_of_many_spellings(tmp_path):
  path = tmp_path / 'v.txt'
  text = HEADER.replace('AU1,', "'AU01' , ").replace('AU2,', 'au_2 ,')
  path.write_bytes(
    (text + '1.0, 0 ,0,0,0,0,0,"1"').replace('\n', '\r').encode()
  )
  task = aff_wild2_rows.task('labels', '2020')
  rows = aff_wild2_rows.read(str(path), task)
  assert rows.values.tolist() == [[1, 0, 0, 0, 0, 0, 0, 1]]
  path.write_text(HEADER)
  assert len(aff_wild2_rows.read(str(path), task)) == 0
