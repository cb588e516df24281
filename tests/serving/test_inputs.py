"""What people name: files, folders, tables, folders of frames."""

import os

import cv2
import numpy as np
import pytest

from aubal_jax.runs import errors
from aubal_jax.serving import inputs


@pytest.fixture(name='tree')
def fixture_tree(tmp_path, monkeypatch):
  """A folder of all there is, the working directory above it."""
  monkeypatch.chdir(tmp_path)
  for name in (
    *('in/b.mp4', 'in/a.JPG', 'in/c.txt', 'in/deep/z.AVI', 'in/.hid.mp4'),
    *('in/shot/3.png', 'in/shot/4.png', 'in/shot/s.wav', 'lone.png', 'x.mkv'),
  ):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.png':
      cv2.imwrite(str(path), np.zeros((4, 4), np.uint8))
    else:
      path.write_bytes(b'x')
  (tmp_path / 't.csv').write_text('path,a\nlone.png,1\n')
  os.symlink('..', tmp_path / 'in/deep/loop')
  return tmp_path


def names(found):
  items, _ = found
  return [(item.kind, item.name) for item in items]


def test_folders_are_walked_and_files_taken_as_they_are_called(tree):
  found = inputs.find(['x.mkv', 'in/', 'lone.png', 'gone.mp4'])
  assert names(found) == [
    ('clip', 'x.mkv'),
    ('image', 'in/a.JPG'),
    ('clip', 'in/b.mp4'),
    ('clip', 'in/deep/z.AVI'),
    ('image', 'in/shot/3.png'),
    ('image', 'in/shot/4.png'),
    ('image', 'lone.png'),
    ('clip', 'gone.mp4'),
  ]
  assert found[1] == {'.txt': 1, '.wav': 1}
  assert all((tree / item.path).exists() for item in found[0][:-1])
  assert names(inputs.find(['t.csv'])) == [('image', 'lone.png')]


def test_images_are_frames_where_a_rate_or_a_table_of_times_says_so(tree):
  assert names(inputs.find(['in/shot'], fps=25)) == [('clip', 'in/shot')]
  assert names(inputs.find(['in'], fps=25))[0] == ('clip', 'in')
  (tree / 'in/shot/timestamps.csv').write_text('frame,time\n3,0\n4,.1\n')
  items, others = inputs.find(['in'])
  assert [i.name for i in items if i.kind == 'clip'][-1] == 'in/shot'
  assert not others['.csv']


@pytest.mark.parametrize(
  ('path', 'fps', 'wanted'),
  [
    *(('in', 0, True), ('in/shot', 0, False), ('in/shot', 30, True)),
    *(('lone.png', 0, True), ('x.mkv', 0, True), ('t.csv', 0, False)),
    *(('nothing', 0, False), ('gone.mp4', 0, True), ('x.txt', 0, False)),
  ],
)
def test_what_has_clips(tree, path, fps, wanted):
  assert inputs.has_clips(path, fps) is wanted


def test_what_is_nothing_or_named_twice_is_told(tree):
  (tree / 'empty').mkdir()
  with pytest.raises(FileNotFoundError, match='neither an image nor a clip'):
    inputs.find(['empty'])
  with pytest.raises(errors.UserError, match=r'lone\.png is named 2 times'):
    inputs.find(['lone.png', 't.csv'])


def test_a_fingerprint_follows_the_files(tree):
  def made(fps=0.0):
    return inputs.fingerprint(inputs.find(['in'], fps=fps)[0])

  before = made()
  assert made() == before != made(25)
  frames = made(25)
  (tree / 'in/shot/5.png').write_bytes(b'x')
  assert made(25) != frames
  (tree / 'in/b.mp4').write_bytes(b'xy')
  assert made() != before


@pytest.mark.parametrize('text', ['0', '-1', '1.5', 's', '0s', 'x', '', '1e3'])
def test_a_pace_is_frames_or_seconds(text):
  with pytest.raises(errors.UserError, match=r'predict.every .* 5 or 0.2s'):
    inputs.pace(text)
  assert inputs.pace(' 7 ') == (7, None)
  assert inputs.pace('.5 s') == (1, 0.5)
  assert inputs.pace('2s') == (1, 2.0)
