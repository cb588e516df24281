"""Clips and sounds of written videos are those of the videos in memory."""

import os

import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.datasets import loading
from aubal_jax.datasets import sounds
from aubal_jax.datasets.drawn import films as films_lib
from aubal_jax.datasets.drawn import write_films
from aubal_jax.media import sound as sound_lib
from aubal_jax.media import spectrogram
from aubal_jax.media import video as video_lib
from aubal_jax.runs import errors

SIZES = {'train': 50, 'validation': 40, 'test': 35}
SIZE = 48


def small(**own):
  """Returns a configuration of the small form, with settings of the section."""
  c = settings.default()
  c.data.image_size = SIZE
  c.model.name = 'two_stream_small'
  c.two_stream.frames, c.two_stream.dilation = 3, 6
  c.two_stream.seconds, c.two_stream.shift = 1.0, 0.5
  for name, value in own.items():
    c.two_stream[name] = value
  return c


def in_memory(**own):
  c = small(**own)
  c.seed = 4
  c.data.drawn_sound = True
  c.data.drawn_targets = ('labels', 'expression', 'valence_arousal')
  for name, size in SIZES.items():
    c.data[f'num_{name}'] = size
  return loading.load(c)


def of_tree(tree, **own):
  c = small(**{'sound_dir': str(tree.sounds)} | own)
  for name, value in write_films.SETTINGS.items():
    section, _, key = name.partition('.')
    c[section][key] = value
  c.data.path = str(tree.table)
  return loading.load(c)


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
  drawn = films_lib.draw(SIZES, 4)
  return write_films.write(
    tmp_path_factory.mktemp('tree'), drawn, image_size=SIZE
  )


def test_frames_and_wav_are_the_videos_in_memory(tree):
  written, held = of_tree(tree), in_memory()
  assert written.labels.tolist() == held.labels.tolist()
  assert written.split.tolist() == held.split.tolist()
  mine, theirs = (x.targets['expression'] for x in (written, held))
  assert [mine.names[k] for k in mine.values] == [
    theirs.names[k] for k in theirs.values
  ]
  rows = np.array([0, 13, 49, 50, 70, 89, 124])
  mine, theirs = (x.stream('clip').take(rows) for x in (written, held))
  np.testing.assert_array_equal(mine[..., 0], theirs[..., 0])
  # Landmarks are written rounded: few points are another pixel.
  assert (mine[..., 1] != theirs[..., 1]).mean() < 0.01
  mine, theirs = (x.stream('sound').take(rows) for x in (written, held))
  np.testing.assert_allclose(mine, theirs, atol=0.05)


def test_a_window_is_of_the_sound_about_its_frame(tree):
  """t = 0, less than the window, its middle, and where the sound ends."""
  data = of_tree(tree, seconds=1.0, shift=0.5)
  power = spectrogram.power(sound_lib.read(tree.sounds / 'video000.wav'))
  for frame in (0, 10, 15, 30, 49):
    window = spectrogram.window(power, frame / 30, seconds=1.0, shift=0.5)
    found = data.stream('sound').take(np.array([frame]))[0]
    np.testing.assert_array_equal(found, window)
  symmetric = of_tree(tree, window='symmetric').stream('sound')
  assert (symmetric.take(np.array([3])) != window).any()


def test_two_persons_of_a_video_share_its_sound(tmp_path):
  drawn = films_lib.draw({'train': 485}, 1)
  assert [len(film) for film in drawn.films] == [240, 240, 5]
  drawn = films_lib.Films(drawn.films[1:], drawn.split[1:], drawn.arousal[240:])
  tree = write_films.write(tmp_path, drawn, image_size=16, pairs=True)
  assert sorted(os.listdir(tree.frames)) == ['video000_left', 'video000_right']
  c = small(sound_dir=str(tree.sounds))
  for name, value in write_films.SETTINGS.items():
    section, _, key = name.partition('.')
    c[section][key] = value
  c.data.path, c.data.image_size = str(tree.table), 16
  c.data.validation_fraction = c.data.test_fraction = 0.0
  data = loading.load(c)
  first = np.array([0, 240])
  clips = data.stream('clip').take(np.array([244, 4]))
  assert not clips[:, :-1].any()  # Nothing of the other before.
  heard = data.stream('sound').take(first + 3)
  np.testing.assert_array_equal(heard[0], heard[1])


def test_videos_without_sound_are_silent_and_told(tree, tmp_path):
  names = ['video000', 'video001', 'video002']
  (tmp_path / 'deep').mkdir()
  for name in names[:2]:
    os.link(tree.sounds / f'{name}.wav', tmp_path / 'deep' / f'{name}.wav')
  files = sounds.find(str(tmp_path), names)
  assert [*files] == names[:2]
  data = of_tree(tree._replace(sounds=tmp_path), modalities='audio')
  assert any('1 of 3 videos have no sound' in note for note in data.notes)
  assert [stream.name for stream in data.streams] == ['sound']
  silent = data.stream('sound').take(np.array([120]))
  assert silent == pytest.approx(-4.282483, abs=1e-5)


def test_powers_are_kept_in_the_cache(tree, tmp_path):
  path = str(tree.sounds / 'video000.wav')
  first = np.array(sounds.of_files({'v': path}, str(tmp_path))['v'])
  (file,) = (tmp_path / 'sounds').iterdir()
  np.save(file, np.full((7, 64), 3, np.float32))
  assert sounds.of_files({'v': path}, str(tmp_path))['v'].shape == (7, 64)
  file.write_bytes(file.read_bytes()[:200])
  again = sounds.of_files({'v': path}, str(tmp_path))['v']
  np.testing.assert_array_equal(again, first)
  held = sounds.of_files({'v': path})['v']
  np.testing.assert_array_equal(first, held)
  assert sounds.of_files({}, str(tmp_path))['w'].shape == (0, 64)


def test_a_damaged_sound_is_told_and_silent(tree, tmp_path):
  whole = (tree.sounds / 'video000.wav').read_bytes()
  paths = {}
  for name, content in (('cut', whole[: len(whole) // 2]), ('bad', b'RIFFx')):
    paths[name] = str(tmp_path / f'{name}.wav')
    (tmp_path / f'{name}.wav').write_bytes(content)
  told = []
  powers = sounds.of_files(paths, tell=told.append)
  first = sounds.of_files({'v': str(tree.sounds / 'video000.wav')})['v']
  half = len(powers['cut'])
  assert half == pytest.approx(len(first) / 2, abs=2)
  # Fewer columns at once may be rounded otherwise.
  np.testing.assert_allclose(
    powers['cut'][: half - 2], first[: half - 2], rtol=1e-6
  )
  assert not powers['bad'].any()
  assert [('cut.wav' in line, 'bad.wav' in line) for line in told] == [
    *((True, False), (False, True)),
  ]


@pytest.mark.parametrize(
  ('own', 'told'),
  [
    ({'sound_dir': ''}, r'two_stream\.sound_dir is empty'),
    ({'shift': 2.0}, 'at most two_stream.seconds'),
    ({'fps': 0.0}, 'dilation_seconds'),
  ],
)
def test_what_does_not_go_together_is_told(tree, own, told):
  with pytest.raises(errors.UserError, match=told):
    of_tree(tree, **own)


def test_a_folder_of_other_sounds_is_told(tree, tmp_path):
  with pytest.raises(FileNotFoundError, match='sound_dir'):
    of_tree(tree._replace(sounds=tmp_path / 'none'))
  write_films.write_wav(tmp_path / 'other.wav', np.zeros(9))
  with pytest.raises(errors.UserError, match='no video has a file'):
    of_tree(tree._replace(sounds=tmp_path))


@pytest.mark.parametrize('suffix', ['.mp4', '.avi'])
@pytest.mark.parametrize('variable', [False, True])
def test_a_written_clip_has_its_frames_at_their_times(
  tmp_path, suffix, variable
):
  pytest.importorskip('av')
  drawn = films_lib.draw({'train': 45}, 2)
  tree = write_films.write(
    *(tmp_path, drawn),
    **{'image_size': 48, 'suffix': suffix, 'variable': variable},
    with_frames=False,
    delay=0.4,
  )
  assert not tree.frames.exists()
  (clip,) = tree.clips.iterdir()
  pictures = write_films.film_pictures(drawn.films[0], 48).astype(int)
  frames = [*video_lib.frames(clip)]
  assert len(frames) == 45 or (variable and 20 < len(frames) < 45)
  for frame in frames:
    number = round(frame.timestamp * 30)
    grey = frame.pixels.mean(axis=2)
    assert abs(grey - pictures[number]).mean() < 12
  heard = sound_lib.read(clip)
  loud = np.flatnonzero(abs(heard) > 0.02)
  assert loud[0] / 44100 == pytest.approx(0.4, abs=0.05)


def test_a_clip_without_sound_and_one_of_two_persons(tmp_path):
  pytest.importorskip('av')
  drawn = films_lib.draw({'train': 5, 'test': 9}, 2)
  tree = write_films.write(
    *(tmp_path, drawn),
    **{'image_size': 48, 'suffix': '.mp4', 'sound': False, 'pairs': True},
  )
  (clip,) = tree.clips.iterdir()
  about = video_lib.about(clip)
  assert not about.has_sound
  frames = [*video_lib.frames(clip)]
  assert len(frames) == 5
  assert frames[0].pixels.shape == (48, 96, 3)
  assert len(tree.table.read_text().splitlines()) == 15
