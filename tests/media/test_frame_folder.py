"""Folders of frames: in the order of their numbers, at their times."""

import cv2
import numpy as np
import pytest

from aubal_jax.media import video
from aubal_jax.runs import errors
from tests.makers import clips


def write(folder, names, seed=0):
  """Writes a picture a name, and returns them."""
  folder.mkdir()
  pictures = clips.pictures(len(names), seed=seed)
  for name, pixels in zip(names, pictures, strict=True):
    cv2.imwrite(str(folder / name), pixels[..., ::-1])
  return pictures


@pytest.mark.parametrize(
  'form', ['{}.png', '{:05d}.bmp', 'frame_{}.png', 'take 2, {:03d}.PNG']
)
def test_frames_come_in_the_order_of_their_numbers(tmp_path, form):
  rng = np.random.default_rng(1)
  numbers = rng.choice(1200, 20, replace=False)
  pictures = write(tmp_path / 'a', [form.format(n) for n in numbers])
  assert video.is_folder_of_frames(tmp_path / 'a')
  frames = [*video.frames(tmp_path / 'a', fps=25)]
  order = np.argsort(numbers)
  assert [frame.number for frame in frames] == [*numbers[order]]
  np.testing.assert_allclose(
    [frame.timestamp for frame in frames],
    (numbers[order] - numbers.min()) / 25,
  )
  np.testing.assert_array_equal([f.pixels for f in frames], pictures[order])
  chosen = video.frames(tmp_path / 'a', every=3, start=100)
  wanted = [n for n in numbers[order] if n % 3 == 0 and n >= 100]
  assert [frame.number for frame in chosen] == wanted


def test_a_table_beside_them_says_their_times(tmp_path):
  rng = np.random.default_rng(2)
  write(tmp_path / 'a', [f'{n}.png' for n in (3, 4, 7)])
  times = rng.uniform(0, 1) + np.cumsum(rng.uniform(0.01, 1, 3))
  lines = [f'{n},{t}' for n, t in zip((3, 4, 7), times, strict=True)]
  rng.shuffle(lines)
  table = tmp_path / 'a' / 'timestamps.csv'
  table.write_text('\n'.join(['frame,seconds', *lines, '']))
  found = [frame.timestamp for frame in video.frames(tmp_path / 'a')]
  np.testing.assert_allclose(found, times - times[0])
  for content, told in {
    'frame,seconds\n3,0\n7,1\n': 'no time of frame 4',
    'frame,seconds\n3,0\n4,2\n7,1\n': 'frame 7 is not after frame 4',
    'frame,seconds\n3,0\n4,x\n7,1\n': "row 3 is '4,x'",
    'frame,seconds\n3,0\n4,nan\n7,1\n': "row 3 is '4,nan'",
    'frame\n3\n4\n7\n': "row 2 is '3'",
  }.items():
    table.write_text(content)
    with pytest.raises(errors.UserError, match=told):
      next(video.frames(tmp_path / 'a'))


def test_an_image_that_is_broken_keeps_its_place(tmp_path):
  write(tmp_path / 'a', ['1.png', '2.png', '3.png'])
  (tmp_path / 'a' / '2.png').write_bytes(b'')
  frames = [*video.frames(tmp_path / 'a')]
  assert [frame.number for frame in frames] == [1, 2, 3]
  assert [frame.pixels is None for frame in frames] == [False, True, False]
  assert [frame.problem for frame in frames] == ['', 'the file is empty', '']


def test_what_is_no_folder_of_frames(tmp_path):
  write(tmp_path / 'mixed', ['a1.png', 'b2.png'])
  write(tmp_path / 'names', ['a.png', 'b.png'])
  write(tmp_path / 'twice', ['1.png', '01.png'])
  (tmp_path / 'none').mkdir()
  for name in ('mixed', 'names', 'none', 'absent'):
    assert not video.is_folder_of_frames(tmp_path / name)
  for name in ('names', 'none'):
    with pytest.raises(video.Unreadable) as found:
      next(video.frames(tmp_path / name))
    assert found.value.reason == 'no frames'
  (tmp_path / 'none' / '1.png').write_bytes(b'no image')
  with pytest.raises(video.Unreadable, match='no frames that are images'):
    video.about(tmp_path / 'none')
  with pytest.raises(errors.UserError, match='two images of frame 1'):
    next(video.frames(tmp_path / 'twice'))


def test_a_folder_says_what_it_has(tmp_path):
  write(tmp_path / 'a', ['1.png', '2.png', '5.png'])
  about = video.about(tmp_path / 'a')
  assert about == video.About((48, 64), None, 3, False)
  clips.write_wav(tmp_path / 'a.wav', clips.clicks(0.1, []))
  assert video.about(tmp_path / 'a').has_sound
