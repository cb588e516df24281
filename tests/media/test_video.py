"""Frames of clips: all of them, in order, upright, at their times."""

import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from aubal_jax.media import containers
from aubal_jax.media import decode
from aubal_jax.media import sound
from aubal_jax.media import video
from aubal_jax.runs import errors
from tests.makers import clips

COUNT = 13


@pytest.fixture(scope='module', params=video.SUFFIXES)
def clip(request, tmp_path_factory):
  """A clip of 13 frames with sound, of each kind."""
  path = tmp_path_factory.mktemp('clips') / f'clip{request.param}'
  clips.write(path, clips.pictures(COUNT), sound=clips.clicks(0.5, [0.1]))
  return path


def read(path, **options):
  """The frames that are given, and the reason why no more are, or ''."""
  frames = []
  try:
    frames.extend(video.frames(path, **options))
  except video.Unreadable as error:
    # `extend` keeps what came before.
    assert os.fspath(path) in str(error)
    return frames, error.reason
  return frames, ''


def check_same(frames, pictures, most=12):
  """They are the pictures, in order, but for what coding loses."""
  assert len(frames) == len(pictures)
  for frame, wanted in zip(frames, pictures, strict=True):
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels.shape == wanted.shape
    apart = abs(frame.pixels.astype(int) - wanted)
    assert np.quantile(apart, 0.8) <= most


def test_every_frame_is_read_in_order(clip):
  frames, reason = read(clip)
  assert not reason
  check_same(frames, clips.pictures(COUNT))
  assert [frame.number for frame in frames] == [*range(COUNT)]
  np.testing.assert_allclose(
    [frame.timestamp for frame in frames], np.arange(COUNT) / 30, atol=5.1e-4
  )
  about = video.about(clip)
  assert (about.size, about.has_sound) == ((48, 64), True)
  assert about.fps == pytest.approx(30)
  assert about.frames


def test_what_is_lossless_is_read_to_the_bit(tmp_path):
  rng = np.random.default_rng(1)
  pictures = rng.integers(0, 256, (5, 30, 42, 3), np.uint8)
  clips.write(tmp_path / 'noise.mkv', pictures)
  frames, _ = read(tmp_path / 'noise.mkv')
  np.testing.assert_array_equal([f.pixels for f in frames], pictures)


@pytest.mark.parametrize('suffix', ['.mp4', '.mkv'])
def test_times_are_those_of_the_frames_at_a_variable_rate(tmp_path, suffix):
  rng = np.random.default_rng(2)
  for start in (0.0, 0.7):
    times = start + np.cumsum(rng.uniform(0.0137, 0.0417, 20))
    path = tmp_path / f'variable{suffix}'
    clips.write(path, clips.pictures(20), times)
    frames, _ = read(path)
    np.testing.assert_allclose(
      [frame.timestamp for frame in frames], times - times[0], atol=1.01e-3
    )


def test_choosing_frames_changes_neither_numbers_nor_times(clip):
  rng = np.random.default_rng(4)
  everything, _ = read(clip)
  for every, start in rng.integers([1, 0], [6, COUNT + 2], (6, 2)):
    chosen, reason = read(clip, every=int(every), start=int(start))
    wanted = [f for f in everything if f.number >= start]
    wanted = [f for f in wanted if f.number % every == 0]
    assert [(f.number, f.timestamp) for f in chosen] == [
      (f.number, f.timestamp) for f in wanted
    ]
    assert not reason
    for one, other in zip(chosen, wanted, strict=True):
      np.testing.assert_array_equal(one.pixels, other.pixels)


def test_a_frame_in_so_many_seconds_is_the_first_behind_each_multiple(tmp_path):
  rng = np.random.default_rng(5)
  times = np.concatenate([[0], np.cumsum(rng.uniform(0.01, 0.3, 30))])
  clips.write(tmp_path / 'slow.mp4', clips.pictures(31), times)
  for seconds in (0.2, 0.05, 1.0):
    passed = np.floor((times + 5e-4) / seconds)
    wanted = np.flatnonzero(np.diff(passed, prepend=-1) > 0)
    for start in (0, 7):
      chosen, _ = read(
        tmp_path / 'slow.mp4', every_seconds=seconds, start=start
      )
      assert [f.number for f in chosen] == [*wanted[wanted >= start]]


def test_times_in_milliseconds_reach_the_multiples_they_mean(tmp_path):
  clips.write(tmp_path / 'clip.mkv', clips.pictures(31))
  for frames in (1, 2, 3, 7):
    chosen, _ = read(tmp_path / 'clip.mkv', every_seconds=frames / 30)
    assert [f.number for f in chosen] == [*range(0, 31, frames)]


@pytest.mark.parametrize('mirrored', [False, True])
@pytest.mark.parametrize('rotation', [0, 90, 180, 270])
def test_frames_are_turned_as_the_metadata_say(tmp_path, rotation, mirrored):
  pictures = clips.pictures(2)
  clips.write(
    tmp_path / 'turned.mov', pictures, rotation=rotation, mirrored=mirrored
  )
  wanted = np.rot90(pictures, rotation // 90, (1, 2))
  wanted = wanted[:, :, ::-1] if mirrored else wanted
  frames, _ = read(tmp_path / 'turned.mov')
  check_same(frames, wanted)
  assert video.about(tmp_path / 'turned.mov').size == wanted.shape[1:3]


def test_the_size_may_change_on_the_way(tmp_path):
  pieces = [clips.pictures(3, *size) for size in ((48, 64), (80, 32), (48, 64))]
  clips.write_sizes(tmp_path / 'sizes.avi', pieces)
  frames, reason = read(tmp_path / 'sizes.avi')
  assert not reason
  for k, piece in enumerate(pieces):
    check_same(frames[3 * k : 3 * k + 3], piece)


@pytest.mark.long
def test_frames_of_8k_are_read(tmp_path):
  large = clips.pictures(1, 4320, 7680)
  clips.write_sizes(tmp_path / 'large.avi', [large])
  frames, reason = read(tmp_path / 'large.avi')
  assert (len(frames), reason) == (1, '')
  assert frames[0].pixels.shape == (4320, 7680, 3)
  apart = frames[0].pixels[::40, ::40].astype(int) - large[0, ::40, ::40]
  assert abs(apart).max() < 12


def test_larger_frames_are_refused(tmp_path, monkeypatch):
  clips.write_sizes(
    tmp_path / 'grows.avi', [clips.pictures(2), clips.pictures(2, 96, 128)]
  )
  monkeypatch.setattr(decode, 'MAX_PIXELS', 64 * 64)
  frames, reason = read(tmp_path / 'grows.avi')
  assert (len(frames), reason) == (2, 'frames of 128 x 96 pixels')
  monkeypatch.setattr(decode, 'MAX_PIXELS', 32 * 64)
  assert read(tmp_path / 'grows.avi') == ([], 'frames of 64 x 48 pixels')


def test_frames_are_counted_whatever_the_header_says(tmp_path):
  path = tmp_path / 'count.avi'
  clips.write(path, clips.pictures(COUNT))
  content = bytearray(path.read_bytes())
  for name, offset in ((b'avih', 24), (b'strh', 40)):
    at = content.index(name) + offset
    assert int.from_bytes(content[at : at + 4], 'little') == COUNT
    content[at : at + 4] = (98).to_bytes(4, 'little')
  path.write_bytes(content)
  frames, reason = read(path)
  assert (len(frames), reason) == (COUNT, '')
  assert video.about(path).frames == 98


def test_a_truncated_clip_gives_what_is_left_and_says_so(clip, tmp_path):
  whole = clip.read_bytes()
  assert containers.missing_bytes(clip) == 0
  path = tmp_path / f'cut{clip.suffix}'
  everything, _ = read(clip)
  for share in np.random.default_rng(6).uniform(0.02, 0.98, 5):
    cut = int(share * len(whole))
    path.write_bytes(whole[:cut])
    assert 0 < containers.missing_bytes(path) <= len(whole) - cut
    frames, reason = read(path)
    last = f' after frame {len(frames) - 1}' if frames else ': no frame is left'
    assert reason == f'truncated{last}'
    for one, other in zip(frames[:-1], everything, strict=False):
      np.testing.assert_array_equal(one.pixels, other.pixels)
      assert one.timestamp == other.timestamp


def test_a_damaged_packet_costs_its_frame_only(tmp_path):
  import av

  path = tmp_path / 'damaged.avi'
  pictures = clips.pictures(9)
  clips.write_sizes(path, [pictures])
  whole = path.read_bytes()
  with av.open(str(path)) as container:
    places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
  for bad, (first, length) in enumerate(places):
    content = bytearray(whole)
    content[first : first + length] = bytes(length)
    path.write_bytes(content)
    frames, reason = read(path)
    where = f'after frame {bad - 1}' if bad else 'at the beginning'
    assert reason == f'damaged {where}'
    left = np.delete(np.arange(9), bad)
    check_same(frames, pictures[left])
    assert [frame.number for frame in frames] == [*range(8)]
    np.testing.assert_allclose(
      [frame.timestamp for frame in frames], (left - left[0]) / 30
    )


def test_a_frame_that_is_patched_up_is_told(tmp_path):
  import av

  path = tmp_path / 'patched.mp4'
  rng = np.random.default_rng(0)
  coarse = rng.integers(0, 256, (9, 6, 8, 3), np.uint8)
  clips.write(path, np.kron(coarse, np.ones((1, 8, 8, 1), np.uint8)))
  with av.open(str(path)) as container:
    packet = next(container.demux(video=0))
  whole, reasons = path.read_bytes(), set()
  for share in np.linspace(0.65, 0.95, 12):
    content = bytearray(whole)
    middle = packet.pos + int(packet.size * share)
    content[middle : middle + 16] = bytes(16)
    path.write_bytes(content)
    frames, reason = read(path)
    reasons.add((len(frames), reason))
  # H.264 has no checksums: some damage looks like a picture.
  assert (9, 'damaged at the beginning') in reasons
  for count, reason in reasons:
    assert count == 9 or reason.startswith('damaged')


def test_any_damage_is_read_or_told(clip, tmp_path):
  rng = np.random.default_rng(9)
  whole = clip.read_bytes()
  path = tmp_path / f'damaged{clip.suffix}'
  for _ in range(12):
    content = bytearray(whole)
    for place in rng.integers(0, len(whole), rng.integers(1, 30)):
      content[place] = rng.integers(256)
    path.write_bytes(content)
    frames, reason = read(path)  # No other error.
    assert [frame.number for frame in frames] == [*range(len(frames))]
    assert (np.diff([frame.timestamp for frame in frames]) > 0).all()
    assert frames or reason
    try:
      heard = sound.read(path)
    except video.Unreadable:
      continue
    assert np.isfinite(heard).all()


BAD = {
  'absent': (None, 'No such file or directory'),
  'empty': (b'', 'empty file'),
  'text': (b'these are no pictures\n' * 99, 'not a video'),
  'playlist': (
    b'#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\ngood.mp4\n#EXT-X-ENDLIST\n',
    'not a video',
  ),
  'image': (
    cv2.imencode('.png', clips.pictures(1)[0])[1].tobytes(),
    'not a video',
  ),
  'noise': (np.random.default_rng(8).bytes(5000), 'not a video'),
  'head': (b'\0\0\0\x18ftypisom', 'truncated: no frame is left'),
}


@pytest.mark.parametrize('name', BAD)
@pytest.mark.parametrize('suffix', ['.mp4', '.avi'])
def test_what_is_no_clip_has_a_reason(tmp_path, name, suffix):
  clips.write(tmp_path / 'good.mp4', clips.pictures(2))
  content, reason = BAD[name]
  path = tmp_path / f'bad{suffix}'
  if content is not None:
    path.write_bytes(content)
  assert read(path) == ([], reason)
  with pytest.raises(video.Unreadable, match=reason):
    video.about(path)


def test_a_folder_and_a_pipe_are_no_clip(tmp_path):
  os.mkfifo(tmp_path / 'pipe.mp4')
  assert read(tmp_path / 'pipe.mp4') == ([], 'not a file')
  (tmp_path / 'folder.mp4').mkdir()
  assert read(tmp_path / 'folder.mp4') == ([], 'no frames')


def test_the_cover_of_a_record_is_no_picture_track(tmp_path):
  clips.write_record(
    tmp_path / 'song.mp4', clips.clicks(0.3, [0.1]), clips.pictures(1)
  )
  assert read(tmp_path / 'song.mp4') == ([], 'sound only')
  assert len(sound.read(tmp_path / 'song.mp4'))


@pytest.mark.parametrize('suffix', video.SUFFIXES)
def test_sound_alone_and_no_frames_are_told_apart(tmp_path, suffix):
  tone = clips.clicks(0.3, [0.1])
  clips.write_sound_only(tmp_path / f'sound{suffix}', tone)
  assert read(tmp_path / f'sound{suffix}') == ([], 'sound only')
  assert video.first_time(tmp_path / f'sound{suffix}') is None
  clips.write(tmp_path / f'none{suffix}', clips.pictures(0), sound=tone)
  frames, reason = read(tmp_path / f'none{suffix}')
  # MP4 leaves a track without a frame out.
  assert (frames, reason in ('no frames', 'sound only')) == ([], True)


def test_pictures_of_an_unknown_codec_are_told(tmp_path):
  path = tmp_path / 'odd.avi'
  clips.write(path, clips.pictures(3))
  content = path.read_bytes()
  for name in (b'FMP4', b'mp4v'):
    content = content.replace(name, b'ZZZZ')
  path.write_bytes(content)
  assert read(path) == ([], 'pictures of a kind that is not known')


@pytest.mark.parametrize(
  'name', ['a b%20#?:é.mp4', 'http:clip.mp4', os.fsdecode(b'\xff.mp4')]
)
def test_a_name_is_a_name(tmp_path, monkeypatch, name):
  clips.write(tmp_path / 'clip.mp4', clips.pictures(4))
  shutil.copy(tmp_path / 'clip.mp4', tmp_path / name)
  monkeypatch.chdir(tmp_path)
  for path in (name, tmp_path / name):
    frames, _ = read(path)
    assert len(frames) == 4


def test_an_error_survives_the_way_from_a_worker():
  import pickle

  error = video.Unreadable('a: b.mp4', 'no frames', 'Record it again.')
  back = pickle.loads(pickle.dumps(error))
  assert (str(back), back.reason) == (str(error), error.reason)


def test_without_the_package_the_error_names_it(clip, monkeypatch):
  monkeypatch.setitem(sys.modules, 'av', None)
  for read_one in (lambda: next(video.frames(clip)), lambda: video.about(clip)):
    with pytest.raises(errors.UserError, match=r'package av, .*\[video\]'):
      read_one()


# The peak of getrusage would be that of the process that started it, if higher.
MEMORY = """
import pathlib, re, sys
import numpy as np
from aubal_jax.media import sound, spectrogram, video
seen = sum(frame.pixels[0, 0, 0] >= 0 for frame in video.frames(sys.argv[1]))
power = spectrogram.power(sound.blocks(sys.argv[1]))
told = pathlib.Path('/proc/self/status').read_text()
peak = re.search(r'VmHWM:\\s*(\\d+)', told)[1]
print(seen, *power.shape, peak)
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_an_hour_takes_hardly_more_memory_than_a_second(tmp_path):
  tone = 0.1 * np.sin(np.arange(44100) * 0.1).astype(np.float32)
  peaks = []
  for seconds in (1, 3600):
    path = tmp_path / f'{seconds}.mkv'
    clips.write_long(path, seconds, tone)
    done = subprocess.run(
      [sys.executable, '-c', MEMORY, str(path)],
      capture_output=True,
      text=True,
      check=True,
    )
    frames, columns, filters, peak = map(int, done.stdout.split())
    assert (frames, columns, filters) == (30 * seconds, 100 * seconds + 1, 64)
    peaks.append(peak * 1024)
  assert peaks[1] < 1e9
  # The power of the sound is kept, twice while it is joined.
  assert peaks[1] - peaks[0] < 2.2 * 3600 * 25600
