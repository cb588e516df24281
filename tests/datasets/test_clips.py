"""Clips: index arrays over faces, at both ends of a video."""

import dataclasses

import numpy as np
import pytest

from aubal_jax.datasets import clips
from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.runs import errors


def make(videos, numbers, split=None, *, files=None, splits=None):
  """Returns a data set of rows of videos, of faces that tell their row."""
  count = len(videos)

  def load_images(rows):
    grey = np.asarray(rows, np.uint8) + 1
    return np.broadcast_to(grey[:, None, None, None], (len(rows), 4, 4, 1))

  return dataset_lib.Dataset(
    labels=np.zeros((count, 1), np.uint8),
    known=np.ones((count, 1), bool),
    label_names=('AU01',),
    split=np.array(split or ['train'] * count, '<U10'),
    ids=np.arange(count).astype(str),
    groups=np.array(videos, str),
    frames=np.array(numbers, float),
    files=None if files is None else np.array(files, str),
    load_images=load_images,
    splits=splits or {},
  )


def index(data, *, length=8, dilation=6, tolerance=0.25):
  return clips.index(
    *(data, clips.videos_of(data)),
    length=length,
    dilation=dilation,
    tolerance=tolerance,
  )


def test_both_ends_of_a_video():
  found = index(make(['a'] * 60, range(60)))
  assert found.dtype == np.int32
  assert found[0].tolist() == [-1] * 7 + [0]
  assert found[5].tolist() == [-1] * 7 + [5]
  assert found[6].tolist() == [-1] * 6 + [0, 6]
  assert found[41].tolist() == [-1, 5, 11, 17, 23, 29, 35, 41]
  assert found[42].tolist() == [0, 6, 12, 18, 24, 30, 36, 42]
  assert found[59].tolist() == [17, 23, 29, 35, 41, 47, 53, 59]


@pytest.mark.parametrize('seed', range(8))
def test_a_clip_is_what_a_search_finds(seed):
  rng = np.random.default_rng(seed)
  count = 120
  videos = rng.choice(['a', 'b', 'c'], count)
  numbers = rng.integers(0, 60, count)
  _, first = np.unique(
    [*zip(videos, numbers, strict=True)], axis=0, return_index=True
  )
  rows = rng.permutation(first)
  videos, numbers = videos[rows].tolist(), numbers[rows].tolist()
  split = rng.choice(['train', 'validation', 'dropped'], len(rows)).tolist()
  own = rng.choice(['train', 'test'], len(rows))
  data = make(videos, numbers, split, splits={'labels': own})
  length, dilation = int(rng.integers(1, 6)), int(rng.integers(1, 9))
  found = index(data, length=length, dilation=dilation)
  parts = [*zip(split, own.tolist(), strict=True)]
  place = {
    key: row for row, key in enumerate(zip(videos, numbers, strict=True))
  }

  def of_clip(row, number):
    """A frame of its video: of the same splits, or of no use but as one."""
    other = place.get((videos[row], number), -1)
    if other < 0 or split[row] == 'dropped':
      return -1
    return (
      other if parts[other] in (parts[row], ('dropped', own[other])) else -1
    )

  for row, number in enumerate(numbers):
    steps = range(length - 1, -1, -1)
    wanted = [of_clip(row, number - dilation * k) for k in steps]
    assert found[row].tolist() == wanted
  stream = clips.Clips(found, (4, 4, 1)).stream(data.load_images)
  assert {*stream.pictures.tolist()} == {*found.ravel().tolist()} - {-1}


def test_rows_without_a_picture_are_black():
  files = [f'/x/a/{k:02d}.png' if k != 3 else '' for k in range(1, 8)]
  split = ['train', 'train', 'dropped', *['train'] * 3, 'dropped']
  data = make(['a'] * 7, range(1, 8), split, files=files)
  found = index(data, length=3, dilation=2)
  assert found[4].tolist() == [0, -1, 4]
  assert found[6].tolist() == [-1] * 3


def test_persons_and_videos_of_a_group_are_apart():
  files = [f'/x/v_{side}/{k:05d}.jpg' for side in 'lr' for k in range(1, 15)]
  # As readers have it: one after the other on one line, in one group.
  frames = [*range(1, 15), *range(31, 45)]
  data = make(['v'] * 28, frames, files=files)
  videos = clips.videos_of(data)
  assert videos.numbers.tolist() == [*range(14)] * 2
  assert videos.names[videos.of_rows[[0, 27]]].tolist() == ['v_l', 'v_r']
  found = clips.index(data, videos, length=3, dilation=6, tolerance=0.25)
  assert found[14].tolist() == [-1, -1, 14]
  assert found[27].tolist() == [15, 21, 27]


def test_numbers_of_names_count_only_where_frames_do():
  files = [f'/x/a/{k}.png' for k in (7, 3, 9)]
  data = make(['a'] * 3, [0, 1, 2], files=files)
  assert clips.videos_of(data).numbers.tolist() == [0, 1, 2]
  data = make(['a'] * 3, [0.1, 0.2, 0.3], files=files)
  times = clips.videos_of(data, in_frames=False).numbers
  assert times.tolist() == [0.1, 0.2, 0.3]


def test_by_time_the_nearest_frame_is_taken():
  times = np.array([0.0, 0.033, 0.21, 0.39, 0.44, 0.9])
  found = clips.positions(times, length=3, dilation=0.2, tolerance=0.1)
  assert found.tolist() == [
    [-1, -1, 0],
    [-1, -1, 1],
    [-1, 0, 2],
    [0, 2, 3],
    [1, 2, 4],
    [4, -1, 5],
  ]


def test_faces_are_gathered_and_what_is_not_there_is_black():
  data = make(['a'] * 20 + ['b'] * 3, [*range(20), 0, 1, 2])
  held = clips.Clips(index(data, length=3), (4, 4, 1))
  stream = held.stream(data.load_images)
  rows = np.array([19, 0, 7, 7, 22])
  found = stream.take(rows)
  assert found.shape == (5, 3, 4, 4, 1)
  assert found[:, :, 0, 0, 0].tolist() == [
    *([8, 14, 20], [0, 0, 1], [0, 2, 8], [0, 2, 8], [0, 0, 23]),
  ]
  other = stream.over(lambda rows: 200 + 0 * data.load_images(rows))
  assert other.take(rows).max() == 200


def test_a_mask_is_the_last_channel_where_there_are_landmarks():
  data = make(['a'] * 8, range(8))

  def landmarks(rows):
    points = np.full((len(rows), 68, 2), np.nan, np.float32)
    points[np.asarray(rows) != 1] = 2.0
    return points

  held = clips.Clips(index(data, length=2), (4, 4, 1), landmarks)
  found = held.stream(data.load_images).take(np.array([7, 6]))
  assert found.shape == (2, 2, 4, 4, 2)
  # Row 1 has a face and no landmarks; the last line over one place is 31.
  assert found[..., 1].max(axis=(2, 3)).tolist() == [[0, 31], [31, 31]]
  assert found[0, 1, 2, 2].tolist() == [8, 31]


def test_what_is_no_video_is_told():
  data = dataclasses.replace(make(['a'] * 3, range(3)), frames=None)
  with pytest.raises(errors.UserError, match=r'no frames.*frame_column'):
    clips.videos_of(data)
