"""What networks of clips and sound say of files, against `aubal.load`."""

import csv
import functools
import signal
import time

import cv2
import numpy as np
import pytest
from scipy.io import wavfile

import aubal_jax as aubal
from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.media import sound
from aubal_jax.media import spectrogram
from aubal_jax.network import models
from aubal_jax.network.models import two_stream
from aubal_jax.runs import errors
from aubal_jax.runs import preemption
from aubal_jax.serving import face_rows
from tests.makers import trained_runs

LABELS = ('AU01', 'AU12')
SIDE, FRAMES, RATE = 16, 3, 10
CLIP = (FRAMES, SIDE, SIDE, 4)


@pytest.fixture(name='home', scope='module')
def fixture_home(tmp_path_factory):
  """Runs of networks that compile at once, and a film with its sound."""
  home = tmp_path_factory.mktemp('home')
  rng = np.random.default_rng(0)
  (home / 'film').mkdir()
  for k in range(20):
    picture = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    cv2.imwrite(str(home / f'film/{k:03d}.png'), picture)
  samples = rng.normal(0, 0.1, 2 * sound.RATE).astype(np.float32)
  wavfile.write(home / 'film/sound.wav', sound.RATE, samples)
  tiny = functools.partial(two_stream.TwoStream, stage_sizes=(1,), width=4)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(models, 'MODELS', {**models.MODELS, 'tiny': tiny})
    for modalities in ('both', 'audio'):
      trained_runs.write(
        *(home / modalities, LABELS),
        name='tiny',
        image_size=SIDE,
        channels=3,
        modalities=modalities,
        seen={
          'clip': (np.dtype('u1'), CLIP),
          'sound': (np.dtype('f4'), (64, 51)),
        },
        made={
          'clip': {'dilation': 2},
          'sound': {'window': 'symmetric', 'seconds': 0.5, 'shift': 0.25},
        },
      )
    yield home


def predict(path, out, *given, **changes):
  c = settings_lib.default()
  c.data.name, c.task = 'manifest', 'predict'
  c.predict.batch_size, c.predict.out = 4, str(out)
  c.predict.path, *more = map(str, given)
  c.predict.also, c.predict.fps = tuple(more), RATE
  c.predict.update(changes)
  commands.run_task(c, path, started=time.perf_counter())
  with open(out, encoding='utf-8', newline='') as file:
    return list(csv.DictReader(file))


def seen_by_hand(home):
  """The streams of each frame of the film."""
  files = sorted((home / 'film').glob('*.png'))
  frames = np.stack([cv2.imread(str(file))[..., ::-1] for file in files])
  rate, samples = wavfile.read(home / 'film/sound.wav')
  assert rate == sound.RATE
  clip = np.zeros((20, *CLIP), np.uint8)
  for i in range(20):
    for k in range(FRAMES):
      if i - 2 * (2 - k) >= 0:
        clip[i, k, ..., :3] = frames[i - 2 * (2 - k)]
  power = spectrogram.power(samples)
  heard = [
    spectrogram.window(power, i / RATE, 'symmetric', seconds=0.5, shift=0.25)
    for i in range(20)
  ]
  return {'clip': clip, 'sound': np.stack(heard)}


def test_every_frame_is_said_what_the_network_says_of_it(
  home, tmp_path, capsys
):
  rows = predict(home / 'both', tmp_path / 'x.csv', home / 'film')
  assert {row['status'] for row in rows} == {'ok'}
  assert [int(row['frame']) for row in rows] == [*range(20)]
  model = aubal.load(home / 'both')
  wanted = model.predict(seen_by_hand(home), batch_size=4)
  found = np.array([[float(row[name]) for name in LABELS] for row in rows])
  np.testing.assert_allclose(found, wanted, atol=1e-5)
  assert np.ptp(wanted, axis=0).min() > 0.01
  told = capsys.readouterr().out
  assert 'black' in told and 'no sound' not in told
  some = predict(home / 'both', tmp_path / 'y.csv', home / 'film', every='3')
  assert some == rows[::3]


@pytest.mark.long
def test_stopped_it_goes_on_to_the_same(home, tmp_path, monkeypatch):
  monkeypatch.setattr(face_rows, '_ROWS', 1)
  given = (home / 'film', home / 'film/007.png')
  straight = predict(home / 'both', tmp_path / 'x.csv', *given)
  stops = 0
  for _ in range(4):
    with monkeypatch.context() as patch:
      patch.setattr(preemption, 'requested', lambda: True)
      patch.setattr(preemption, '_received', signal.SIGTERM)
      with pytest.raises(SystemExit):
        predict(home / 'both', tmp_path / 'y.csv', *given)
    stops += 1
  assert stops == 4
  assert predict(home / 'both', tmp_path / 'y.csv', *given) == straight
  one, other = ((tmp_path / f'{k}.csv').read_bytes() for k in 'xy')
  assert one == other


def test_what_has_no_sound_is_told(home, tmp_path, capsys):
  image = home / 'film/003.png'
  both = predict(home / 'both', tmp_path / 'x.csv', image)
  assert [row['status'] for row in both] == ['no sound']  # And said.
  assert both[0]['AU01']
  rows = predict(home / 'audio', tmp_path / 'y.csv', home / 'film', image)
  assert [row['status'] for row in rows] == [
    *['ok'] * 20,
    'unreadable: no sound',
  ]
  found = np.array([[float(row[name]) for name in LABELS] for row in rows[:20]])
  heard = {'sound': seen_by_hand(home)['sound']}
  wanted = aubal.load(home / 'audio').predict(heard, batch_size=4)
  np.testing.assert_allclose(found, wanted, atol=1e-5)
  (tmp_path / 'mute').mkdir()
  cv2.imwrite(str(tmp_path / 'mute/1.png'), np.zeros((9, 9, 3), np.uint8))
  predict(home / 'both', tmp_path / 'z.csv', tmp_path / 'mute')
  assert 'mute: no sound' in capsys.readouterr().out
  with pytest.raises(errors.UserError, match='Nothing was predicted'):
    predict(home / 'audio', tmp_path / 'w.csv', tmp_path / 'mute')
