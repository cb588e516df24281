"""Progress over clips that say wrongly, or not, how many frames they have."""

import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aubal_jax.serving import clips
from aubal_jax.serving import face_counts
from aubal_jax.serving import inputs


def reader_of(expected, every=1):
  return types.SimpleNamespace(
    items=[*range(len(expected))],
    expected=expected.__getitem__,
    pace=inputs.Pace(every),
  )


@given(
  st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=5
  ),
  st.data(),
)
def test_at_its_end_a_clip_has_as_many_frames_as_it_had(clips_said, data):
  said, true = zip(*clips_said, strict=True)
  frames = face_counts.Frames(reader_of(said), clips.Place())
  report, done = frames._report, 0
  assert report.total == sum(said)
  for item, length in enumerate(true):
    left = length
    while left:
      count = data.draw(st.integers(1, left))
      left -= count
      done += count
      frames(clips.Piece([], [], count, clips.Place(item, length - left)))
      assert report.done == done <= report.total
    frames(clips.Piece([], [], 0, clips.Place(item + 1), ends=True))
    assert report.total == done + sum(said[item + 1 :])
  assert report.total == report.done == sum(true)


def test_a_clip_that_does_not_say_leaves_the_total_open(capsys):
  frames = face_counts.Frames(reader_of([5, None]), clips.Place())
  frames(clips.Piece([], [], 5, clips.Place(1), ends=True))
  assert frames._report.total is None
  assert '5, ' in frames._report._line(frames._report._start + 10)
  later = face_counts.Frames(reader_of([None, 7], 2), clips.Place(1, 6))
  assert later._report.total == 4


def test_rows_are_counted_by_status(capsys):
  counts = face_counts.Counts(('a', 'bb'), [0.5, 0.25])
  rows = [
    clips.Row(0, 1, 0.0, 1),
    clips.Row(0, 1, 0.0, 2, status=clips.NO_SOUND),
    *(clips.Row(0, k, 0.0, status=f'unreadable: {k}') for k in range(2, 9)),
  ]
  values = np.full((9, 2), np.nan, np.float32)
  values[:2] = [[0.5, 0.1], [0.4, 0.2]]
  block = types.SimpleNamespace(rows=rows, values=values)
  assert [*counts.over([block])] == [block]
  assert counts.predicted == 2
  counts.tell()
  told = capsys.readouterr().out
  assert '9 rows of 8 frames and images, 1 of them ok' in told
  assert 'and 3 other reasons' in told
  assert 'a  positive in 1 (50.0%)' in told
  assert 'bb positive in 0' in told


@pytest.mark.parametrize('done', [0, 3])
def test_what_is_left_begins_at_the_place(done):
  frames = face_counts.Frames(reader_of([9, 4]), clips.Place(0, done))
  assert frames._report.total == 13 - done
