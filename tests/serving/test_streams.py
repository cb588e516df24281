"""What a network of clips and sound sees of faces, and says of files."""

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
from aubal_jax.media import images as images_lib
from aubal_jax.media import sound
from aubal_jax.media import spectrogram
from aubal_jax.network import models
from aubal_jax.network.models import two_stream
from aubal_jax.runs import errors
from aubal_jax.runs import preemption
from aubal_jax.serving import clips
from aubal_jax.serving import face_rows
from aubal_jax.serving import inputs
from aubal_jax.serving import streams
from tests.makers import trained_runs

LABELS = ('AU01', 'AU12')
SIDE, FRAMES, RATE = 16, 3, 10
CLIP = (FRAMES, SIDE, SIDE, 4)


class Faces:
  """Pieces of two items with faces that come and go, as `clips.Reader`'s."""

  def __init__(self, seed):
    self.rng = np.random.default_rng(seed)
    self.items = [inputs.Item(inputs.CLIP, name, '') for name in 'ab']
    self.pixels = images_lib.Pixels(image_size=2, channels=3)
    self.made, self.images = [], {}
    for item in range(2):
      frame = 0
      while frame < 40:
        frame, count = frame + 1, int(self.rng.integers(1, 6))
        self.made.append(self._piece(item, range(frame - 1, frame - 1 + count)))
        frame += count - 1
      self.made.append(clips.Piece([], [], 0, clips.Place(item + 1), ends=True))

  def _piece(self, item, frames):
    rows, images = [], []
    for frame in frames:
      faces = np.flatnonzero(self.rng.random(2) < 0.7)
      when = frame / 25
      if not len(faces):
        rows.append(clips.Row(item, frame, when, status='no face'))
      for face in faces:
        image = self.rng.integers(1, 256, (2, 2, 3), np.uint8)
        self.images[item, frame, face] = image
        rows.append(clips.Row(item, frame, when, face))
        images.append(image)
    after = clips.Place(item, frames[-1] + 1)
    return clips.Piece(rows, images, len(frames), after)

  def pieces(self, place):
    assert place.frame == 0
    for piece in self.made:
      if piece.after.item - piece.ends >= place.item:
        yield piece


def clip_of(faces, row, dilation):
  """The clip of a row, frame by frame."""
  clip = np.zeros((4, 2, 2, 4), np.uint8)
  for k in range(4):
    frame = row.frame - dilation * (3 - k)
    image = faces.images.get((row.item, frame, row.face))
    if image is not None:
      clip[k, ..., :3] = image
  return clip


@pytest.mark.parametrize('seed', range(6))
def test_a_clip_is_of_one_face_and_goes_on_anywhere(seed):
  faces, dilation = Faces(seed), 1 if seed % 2 else 1 + seed % 3
  made = {'dilation': dilation}
  if seed % 2:  # In seconds, at 25 frames a second: no other is as near.
    made = {'dilation': 9, 'dilation_seconds': dilation / 25}
  every = 1 + seed // 2
  reader = streams.Reader(
    faces,
    inputs.Pace(every),
    {'clip': {'shape': (4, 2, 2, 4), 'made': made}},
  )
  pieces = [*reader.pieces()]
  wanted = [
    row for piece in faces.made for row in piece.rows if row.frame % every == 0
  ]
  assert [row for piece in pieces for row in piece.rows] == wanted
  seen = [image for piece in pieces for image in piece.images]
  good = [row for row in wanted if row.status == clips.OK]
  for row, image in zip(good, seen, strict=True):
    np.testing.assert_array_equal(image['clip'], clip_of(faces, row, dilation))
  assert sum(piece.frames for piece in pieces) == len(
    {(row.item, row.frame) for row in wanted}
  )
  for k in range(0, len(pieces), 5):
    rest = [*reader.pieces(pieces[k].after)]
    assert [(p.rows, p.frames, p.after) for p in rest] == [
      (p.rows, p.frames, p.after) for p in pieces[k + 1 :]
    ]
    for one, other in zip(rest, pieces[k + 1 :], strict=True):
      for a, b in zip(one.images, other.images, strict=True):
        np.testing.assert_array_equal(a['clip'], b['clip'])


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
  assert [row['status'] for row in both] == ['ok']  # And silent.
  rows = predict(home / 'audio', tmp_path / 'y.csv', home / 'film', image)
  assert [row['status'] for row in rows] == ['ok'] * 20 + ['no sound']
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
