"""Frames of clips and folders: all of them, in order, at their times."""

import numpy as np
import pytest

from aubal_jax.media import video
from tests.makers import clips


def numbers_of(frames, count):
  """The frames' numbers, read back from their grounds."""
  grounds = clips.grounds(count).astype(int)
  seen = [np.median(frame.pixels[24:, 32:]) for frame in frames]
  return [int(np.argmin(abs(grounds[:16] - value))) for value in seen]


@pytest.mark.parametrize('suffix', video.SUFFIXES)
def test_every_frame_is_read_in_order(tmp_path, suffix):
  path = tmp_path / f'clip{suffix}'
  clips.write(path, clips.pictures(13), sound=clips.clicks(0.5, [0.1]))
  frames = [*video.frames(path)]
  assert [frame.number for frame in frames] == [*range(13)]
  assert numbers_of(frames, 13) == [*range(13)]
  np.testing.assert_allclose(
    [frame.timestamp for frame in frames], np.arange(13) / 30, atol=5.1e-4
  )
