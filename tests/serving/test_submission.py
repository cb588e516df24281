import numpy as np
import pytest

from aubal_jax.datasets import aff_wild2_rows
from aubal_jax.serving import submission

NAMES = aff_wild2_rows.LABELS['2020']
HEADER = 'AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25'


def test_a_line_for_each_frame_of_a_video(tmp_path):
  ids = ['b ü/00002.jpg', 'a_left/00004.jpg', 'a_left/00002.jpg']
  files = submission.write(
    tmp_path / 'out', ids, [[0, 1], [1, 1], [1, 0]], ['AU01', 'AU12']
  )
  assert [file.name for file in files] == ['a_left.txt', 'b ü.txt']
  assert files[0].read_text().split('\n') == [
    *('AU1,AU12', '0,0', '1,0', '1,0', '1,1', ''),
  ]
  assert files[1].read_text() == 'AU1,AU12\n0,0\n0,1\n'
  assert sorted(tmp_path.iterdir()) == [tmp_path / 'out']


def test_the_number_of_frames_may_be_said(tmp_path):
  files = submission.write(
    tmp_path, ['a/00001.jpg'], [[1]], ['AU25'], num_frames={'a': 3, 'c': 2}
  )
  assert [f.read_bytes() for f in files] == [
    b'AU25\n1\n1\n1\n',
    b'AU25\n0\n0\n',
  ]
  with pytest.raises(ValueError, match=r"'a' has 3 frames, .* frame 4"):
    submission.write(
      tmp_path, ['a/00004.jpg'], [[1]], ['AU25'], num_frames={'a': 3}
    )


def test_what_was_written_is_read_back(tmp_path):
  rng = np.random.default_rng(0)
  decisions = rng.integers(0, 2, (30, 8), np.uint8)
  ids = [f'{video}/{k + 1:05d}.jpg' for video in 'ab' for k in range(15)]
  order = rng.permutation(30)
  files = submission.write(
    tmp_path, [ids[row] for row in order], decisions[order], NAMES
  )
  task = aff_wild2_rows.task('labels', '2020')
  parts = [aff_wild2_rows.read(str(file), task) for file in files]
  np.testing.assert_array_equal(
    np.concatenate([part.values for part in parts]), decisions
  )


def test_a_line_for_each_image(tmp_path):
  (file,) = submission.write(
    tmp_path / 'new' / 'out',
    ['b/00002.jpg', 'a/00001.jpg'],
    np.eye(2, 8, dtype=bool),
    NAMES,
    kind='aff_wild2_images',
  )
  assert file.read_text() == (
    f'image_location,{HEADER}\n'
    'b/00002.jpg,1,0,0,0,0,0,0,0\n'
    'a/00001.jpg,0,1,0,0,0,0,0,0\n'
  )
  assert file.name == submission.IMAGES_FILE
  rows = aff_wild2_rows.read(str(file), aff_wild2_rows.task('labels', '2020'))
  assert rows.videos == ['b', 'a']
  assert rows.frames == [2, 1]


def test_an_older_submission_is_replaced_and_nothing_else(tmp_path):
  folder = tmp_path / 'out'
  submission.write(folder, ['a/00001.jpg'], [[1]], ['AU01'])
  submission.write(folder, ['b/00001.jpg'], [[1]], ['AU01'])
  assert [path.name for path in folder.iterdir()] == ['b.txt']
  (folder / 'notes.md').write_text('mine')
  with pytest.raises(ValueError, match=r'and that is none: notes\.md'):
    submission.write(folder, ['c/00001.jpg'], [[1]], ['AU01'])
  with pytest.raises(ValueError, match='a file of this name'):
    submission.write(folder / 'b.txt', ['c/00001.jpg'], [[1]], ['AU01'])
  assert (folder / 'b.txt').read_text() == 'AU1\n1\n'


def test_a_failure_leaves_all_as_it_was(tmp_path, monkeypatch):
  folder = tmp_path / 'out'
  submission.write(folder, ['a/00001.jpg'], [[1]], ['AU01'])
  with pytest.raises(OSError, match='too long'):
    submission.write(
      folder, ['a/00002.jpg', f'{"b" * 300}/00001.jpg'], [[1], [1]], ['AU01']
    )
  assert [path.name for path in tmp_path.iterdir()] == ['out']
  assert (folder / 'a.txt').read_text() == 'AU1\n1\n'


@pytest.mark.parametrize(
  'name',
  [
    *('00001.jpg', 'a/b/00001.jpg', 'a/one.jpg', 'a/00001', 'a\\00001.jpg'),
    *('a/00000.jpg', '../00001.jpg', '/00001.jpg', 'a,b/00001.jpg', ''),
    *('a/20240101123456.jpg', 'a/999999999.jpg', 'a"/00001.jpg'),
    *('ok/00001.png', 'a\nb/00001.jpg', 'a/00001.jpg\n'),
  ],
)
def test_ids_of_another_form_are_refused(tmp_path, name):
  with pytest.raises(ValueError, match=r'called video/00001\.jpg') as error:
    submission.write(
      tmp_path / 'out', ['ok/00001.jpg', name], [[1], [1]], ['AU01']
    )
  assert repr(name) in str(error.value)
  assert not (tmp_path / 'out').exists()


def test_bad_arguments_are_named(tmp_path):
  ids = ['a/00001.jpg']
  for decisions, names, kind, message in (
    ([[1]], ['AU01'], 'abaw', r"kind must be one of .* not 'abaw'"),
    ([[1, 0]], ['AU01'], 'aff_wild2', r'shape \[1, 1\].* not \[1, 2\]'),
    ([[0.3]], ['AU01'], 'aff_wild2', 'must be 0 or 1'),
    ([[1]], ['smile'], 'aff_wild2', r"such as AU01, not of 'smile'"),
  ):
    with pytest.raises(ValueError, match=message):
      submission.write(tmp_path / 'out', ids, decisions, names, kind=kind)
