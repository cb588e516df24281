"""Sound of clips and WAV files: mono, at one rate, from the first frame on."""

import numpy as np
import pytest

from aubal_jax.media import sound
from tests.makers import clips


@pytest.mark.parametrize('suffix', ['.mp4', '.mkv', '.webm'])
def test_sound_is_heard_when_it_was(tmp_path, suffix):
  rng = np.random.default_rng(3)
  for late, at in rng.uniform(0, 0.5, (3, 2)):
    path = tmp_path / f'clip{suffix}'
    clips.write(
      path, clips.pictures(9), sound=clips.clicks(0.8, [at]), sound_at=late
    )
    heard = sound.read(path)
    assert heard.dtype == np.float32
    assert abs(clips.onset(heard) - late - at) < 2e-3
