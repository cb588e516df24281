"""Sound of clips and beside frames: mono, from the first frame on."""

import os
import struct
import sys

import cv2
import numpy as np
import pytest

from aubal_jax.media import sound
from aubal_jax.media import sound_files
from aubal_jax.media import video
from aubal_jax.runs import errors
from tests.makers import clips


@pytest.mark.parametrize('suffix', ['.mp4', '.mov', '.mkv', '.webm'])
def test_sound_is_heard_when_it_was(tmp_path, suffix):
  rng = np.random.default_rng(3)
  for late, at, first in rng.uniform(0, 0.5, (3, 3)):
    path = tmp_path / f'clip{suffix}'
    clips.write(
      path,
      clips.pictures(9),
      first + np.arange(9) / 30,  # The pictures may begin late, too.
      sound=clips.clicks(1.5, [at + 0.5]),
      sound_at=late,
    )
    heard = sound.read(path)
    assert heard.dtype == np.float32
    assert abs(clips.onset(heard) - (late + at + 0.5 - first)) < 2e-3
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.05)


def test_an_avi_has_its_sound_from_the_first_frame_on(tmp_path):
  wanted = clips.clicks(0.8, [0.3])
  clips.write(tmp_path / 'clip.avi', clips.pictures(9), sound=wanted)
  np.testing.assert_allclose(
    sound.read(tmp_path / 'clip.avi'), wanted, atol=1 / 32768
  )


def test_a_pause_of_the_track_is_silence(tmp_path):
  rng = np.random.default_rng(4)
  for rate in (44100, 48000):
    at, seconds = rng.uniform(0.2, 0.6, 2)
    path = tmp_path / 'clip.mkv'
    clips.write(
      path,
      clips.pictures(60),
      sound=clips.clicks(1.2, [0.1, 0.9], rate),
      pause=(at, seconds),
      rate=rate,
    )
    heard = sound.read(path)
    assert abs(len(heard) / 44100 - 1.2 - seconds) < 3e-3
    assert abs(clips.onset(heard) - 0.1) < 1e-3
    later = round(0.7 * 44100)
    second = 0.7 + clips.onset(heard[later:])
    assert abs(second - 0.9 - seconds) < 3e-3


def test_a_time_behind_the_end_of_the_clip_is_not_believed(tmp_path):
  path = tmp_path / 'clip.mkv'
  tone = clips.clicks(1.0, [0.1, 0.6])
  clips.write(path, clips.pictures(4), sound=tone, pause=(0.5, 1e5))
  content = bytearray(path.read_bytes())
  at = content.index(b'\x44\x89\x88') + 3  # The duration, in milliseconds.
  assert struct.unpack('>d', content[at : at + 8])[0] > 1e8
  content[at : at + 8] = struct.pack('>d', 1000.0)
  path.write_bytes(content)
  np.testing.assert_allclose(sound.read(path), tone, atol=1e-4)


def test_the_number_of_channels_may_change_on_the_way(tmp_path):
  tone = clips.clicks(1.0, [0.5])[None]
  parts = [tone, np.repeat(tone, 2, axis=0), tone]
  clips.write_forms(tmp_path / 'forms.mkv', parts)
  heard = sound.read(tmp_path / 'forms.mkv')
  assert abs(len(heard) / 44100 - 3) < 0.1
  for second in range(3):
    part = heard[round((second + 0.1) * 44100) :][:44100]
    assert abs(clips.onset(part) - 0.4) < 0.08  # MP2 frames have 26 ms.
    assert np.abs(part).max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize('channels', [1, 2, 6, 8])
@pytest.mark.parametrize('rate', [16000, 44100, 48000])
def test_channels_count_alike(tmp_path, channels, rate):
  # libswresample alone makes two equal channels 1.41 times as loud as one.
  parts = clips.clicks(0.5, [0.2], rate)[None] * np.ones((channels, 1), 'f')
  clips.write(tmp_path / 'clip.mkv', clips.pictures(4), sound=parts, rate=rate)
  heard = sound.read(tmp_path / 'clip.mkv')
  assert abs(len(heard) - 22050) < 40
  middle = heard[round(0.22 * 44100) : round(0.28 * 44100)]
  assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(0.5, rel=5e-3)


def test_other_rates_are_asked_for(tmp_path):
  clips.write(
    tmp_path / 'clip.mkv', clips.pictures(4), sound=clips.clicks(1, [0.5])
  )
  for rate in (8000, 16000, 48000):
    heard = sound.read(tmp_path / 'clip.mkv', rate)
    assert abs(len(heard) - rate) < 30
    assert abs(clips.onset(heard, rate) - 0.5) < 2e-3


def test_no_sound_is_told(tmp_path):
  clips.write(tmp_path / 'clip.mp4', clips.pictures(4))
  remarks = []
  heard = sound.read(tmp_path / 'clip.mp4', on_remark=remarks.append)
  assert (heard.shape, heard.dtype) == ((0,), np.float32)
  assert remarks == [sound.NO_SOUND]
  assert not video.about(tmp_path / 'clip.mp4').has_sound


def test_sound_alone_is_heard(tmp_path):
  clips.write_sound_only(tmp_path / 'sound.mp4', clips.clicks(0.6, [0.25]))
  heard = sound.read(tmp_path / 'sound.mp4')
  assert abs(clips.onset(heard) - 0.25) < 2e-3


@pytest.mark.parametrize('suffix', ['.avi', '.mkv', '.webm'])
def test_of_a_truncated_clip_what_is_left_is_heard(tmp_path, suffix):
  path = tmp_path / f'clip{suffix}'
  clips.write(path, clips.pictures(30), sound=clips.clicks(1, [0.0]))
  whole, content = sound.read(path), path.read_bytes()
  path.write_bytes(content[: len(content) * 3 // 4])
  remarks = []
  heard = sound.read(path, on_remark=remarks.append)
  assert remarks == [sound.CUT]
  assert 0 < len(heard) < len(whole)
  np.testing.assert_array_equal(heard[:-2000], whole[: len(heard) - 2000])


def test_what_is_no_clip_is_told(tmp_path):
  (tmp_path / 'bad.mp4').write_bytes(b'nothing of the kind' * 50)
  with pytest.raises(video.Unreadable, match='not a video'):
    sound.read(tmp_path / 'bad.mp4')


def folder_of_frames(path, count=4):
  path.mkdir()
  for number, pixels in enumerate(clips.pictures(count), 1):
    cv2.imwrite(str(path / f'{number:05d}.png'), pixels[..., ::-1])
  return path


def test_the_sound_of_a_folder_is_in_it_or_beside(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'av', None)  # It is not needed.
  tone = clips.clicks(0.3, [0.1])
  for name in ('a', 'a_left', 'b'):
    folder_of_frames(tmp_path / name)
  clips.write_wav(tmp_path / 'a.wav', tone)
  clips.write_wav(tmp_path / 'b' / 'any.WAV', tone[:4000])
  for name, length in (('a', 13230), ('a_left', 13230), ('b', 4000)):
    for written in (tmp_path / name, f'{tmp_path / name}/'):
      assert len(sound.read(written)) == length
  clips.write_wav(tmp_path / 'b' / 'more.wav', tone)
  with pytest.raises(video.Unreadable, match='several WAV files'):
    sound.read(tmp_path / 'b')


def test_the_sound_of_a_folder_begins_with_its_first_frame(tmp_path):
  folder = folder_of_frames(tmp_path / 'a')
  clips.write_wav(folder / 'a.wav', clips.clicks(1, [0.5]))
  for start in (0.0, 0.2, -0.1):
    lines = [f'{k},{start + k / 25 - 0.04}' for k in range(1, 5)]
    (folder / 'timestamps.csv').write_text('\n'.join(['frame,s', *lines]))
    assert clips.onset(sound.read(folder)) == pytest.approx(
      0.5 - start, abs=1e-3
    )


def test_a_folder_without_sound_is_told(tmp_path):
  remarks = []
  folder = folder_of_frames(tmp_path / 'a')
  assert not len(sound.read(folder, on_remark=remarks.append))
  assert remarks == [sound.NO_SOUND]


def test_the_file_of_a_video_is_found_by_its_name(tmp_path):
  for name in ('v.mp4', 'w.wav', 'w.mp4', 'w_left.AVI', 'x_right.webm'):
    (tmp_path / name).touch()
  found = {
    name: sound_files.file_of(name, tmp_path)
    for name in ('v', 'v_left', 'w', 'w_left', 'w_right', 'x', 'x_right')
  }
  assert {k: v and os.path.basename(v) for k, v in found.items()} == {
    'v': 'v.mp4',
    'v_left': 'v.mp4',
    'w': 'w.wav',
    'w_left': 'w_left.AVI',
    'w_right': 'w.wav',
    'x': None,
    'x_right': 'x_right.webm',
  }


def test_without_the_package_the_error_names_it(tmp_path, monkeypatch):
  clips.write(tmp_path / 'clip.mp4', clips.pictures(2))
  monkeypatch.setitem(sys.modules, 'av', None)
  with pytest.raises(errors.UserError, match=r'package av, .*\[video\]'):
    sound.read(tmp_path / 'clip.mp4')
