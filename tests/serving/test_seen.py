"""What a network of clips and sound is given: against its definition."""

import json

import cv2
import numpy as np
import pytest

from aubal_jax.media import images as images_lib
from aubal_jax.media import sound
from aubal_jax.media import spectrogram
from aubal_jax.network import bundle
from aubal_jax.network import heads as heads_lib
from aubal_jax.runs import errors
from aubal_jax.serving import clips
from aubal_jax.serving import inputs
from aubal_jax.serving import seen as seen_lib
from tests.makers import clips as clips_lib
from tests.makers import found_faces

SIDE, FPS = 8, 25


@pytest.fixture(autouse=True)
def fixture_faces(monkeypatch):
  with found_faces.installed(monkeypatch):
    yield


def seen_of(
  frames=4, dilation=3, seconds=0.0, crop='mtcnn', mask=1, sound=True
):
  clip = {
    'shape': (frames, SIDE, SIDE, 1 + mask),
    'made': {'dilation': dilation, 'dilation_seconds': seconds, 'fps': 30.0},
  }
  made = {'window': 'published', 'seconds': 1.0, 'shift': 0.5}
  pixels = images_lib.Pixels(SIDE, 1, crop=crop)
  return seen_lib.Seen(pixels, clip, {'made': made} if sound else None)


def write_film(folder, count, away=(), seed=0):
  """Two faces whose greys tell the frame, of which one is away at times."""
  folder.mkdir()
  for k in range(count):
    squares = [(60, 40, 24, 110 + 2 * k)]
    if k not in away:
      squares.append((10, 10, 30, 111 + 2 * k))
    picture = found_faces.picture(squares)
    cv2.imwrite(str(folder / f'{k:04d}.png'), picture)
  rng = np.random.default_rng(seed)
  noise = 0.1 * rng.standard_normal(44100 * count // FPS)
  clips_lib.write_wav(folder / 'sound.wav', noise)
  return folder


def reader_of(path, seen, pace='1'):
  items = [inputs.Item('clip', 'film', str(path))]
  return clips.Reader(items, seen, inputs.pace(pace), fps=float(FPS))


def flat(pieces):
  rows, seen = [], []
  for piece in pieces:
    rows += piece.rows
    seen += piece.seen
  return rows, seen


@pytest.mark.parametrize(
  ('frames', 'dilation', 'seconds', 'pace'),
  [(4, 3, 0.0, '1'), (3, 1, 0.0, '4'), (8, 6, 0.2, '1'), (1, 9, 0.0, '0.2s')],
)
def test_a_clip_is_the_frames_before_at_its_steps(
  tmp_path, frames, dilation, seconds, pace
):
  away = {*range(12, 17)}
  film = write_film(tmp_path / 'film', 40, away)
  reader = reader_of(film, seen_of(frames, dilation, seconds), pace)
  rows, seen = flat(reader.pieces())
  step = round(seconds * FPS) if seconds else dilation
  taken = {'1': 1, '4': 4, '0.2s': 5}[pace]
  assert {row.frame for row in rows} == {*range(0, 40, taken)}
  numbers = {
    row.face: int(row.box[0] < 40) for row in rows
  }  # 1: the one who is away at times; back soon, with the same number.
  assert sorted(numbers.values()) == [0, 1]
  for row, one in zip(rows, seen, strict=True):
    clip = one['clip']
    assert clip.shape == (frames, SIDE, SIDE, 2)
    assert not clip[..., 1].any()  # Of the lines of landmarks.
    found = clip[:, SIDE // 2, SIDE // 2, 0].tolist()
    late = numbers[row.face]
    there = [k for k in range(row.frame + 1) if not (late and k in away)]
    for k, grey in enumerate(found):
      wanted = row.frame - step * (frames - 1 - k)
      frame = min(there, key=lambda x: abs(x - wanted))
      black = abs(frame - wanted) > (step / 2 if seconds else 0)
      assert grey == (0 if black else 110 + 2 * frame + late)


def test_it_hears_what_is_about_the_frame(tmp_path):
  film = write_film(tmp_path / 'film', 40)
  rows, seen = flat(reader_of(film, seen_of()).pieces())
  power = spectrogram.power(sound.read(film))
  assert len(power) > 100
  for row, one in zip(rows, seen, strict=True):
    wanted = spectrogram.window(power, row.time, seconds=1.0, shift=0.5)
    np.testing.assert_array_equal(one['sound'], wanted)
    assert row.status == 'ok'


def test_who_hears_nothing_sees_all_the_same(tmp_path):
  film = write_film(tmp_path / 'film', 6)
  (film / 'sound.wav').unlink()
  rows, seen = flat(reader_of(film, seen_of()).pieces())
  assert {row.status for row in rows} == {'no sound'}
  assert all(row.is_predicted for row in rows) and len(seen) == len(rows)
  silence = spectrogram.window(np.zeros((0, 64), np.float32), 0.0, seconds=1.0)
  np.testing.assert_array_equal(seen[3]['sound'], silence)
  deaf = seen_lib.Seen(None, None, seen_of().sound)
  rows, seen = flat(reader_of(film, deaf).pieces())
  assert {row.status for row in rows} == {'unreadable: no sound'} and not seen
  rows, _ = flat(reader_of(film, seen_of(sound=False)).pieces())
  assert {row.status for row in rows} == {'ok'}


def test_who_only_hears_looks_for_no_face(tmp_path, monkeypatch):
  film = write_film(tmp_path / 'film', 10)
  monkeypatch.setattr(found_faces, 'find', None)
  reader = reader_of(film, seen_lib.Seen(None, None, seen_of().sound), '3')
  rows, seen = flat(reader.pieces())
  assert [(row.frame, row.face) for row in rows] == [
    (0, 1), (3, 1), (6, 1), (9, 1)
  ]  # fmt: skip
  assert [*seen[0]] == ['sound']


@pytest.mark.parametrize(
  ('pace', 'crop', 'seconds'),
  [('1', 'mtcnn', 0.0), ('3', 'none', 0.2), ('0.12s', 'mtcnn', 0.2)],
)
def test_it_goes_on_behind_any_piece(tmp_path, pace, crop, seconds):
  film = write_film(tmp_path / 'film', 20, {*range(9, 12)})
  (film / '0014.png').write_bytes(b'no image')
  seen = seen_of(4, 3, seconds, crop)
  whole = [*reader_of(film, seen, pace).pieces()]
  rows, given = flat(whole)
  for k in np.linspace(0, len(whole) - 1, 4).astype(int).tolist():
    piece = whole[k]
    plain = json.loads(json.dumps(piece.after.to_json()))
    place = clips.place_from_json(plain)
    some, now = flat(reader_of(film, seen, pace).pieces(place))
    assert some == rows[sum(len(one.rows) for one in whole[: k + 1]) :]
    for one, other in zip(now, given[len(given) - len(now) :], strict=True):
      assert [*one] == [*other] == ['clip', 'sound']
      for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])


def described(pixels=None, **streams):
  head = heads_lib.Head('labels', 'binary', ('a',), loss='')
  return bundle.Description((head,), pixels, {}, '', '', False, streams)


def test_what_is_seen_is_told_or_refused():
  pixels = images_lib.Pixels(SIDE, 1)
  assert seen_lib.of(described(pixels)).is_image
  clip = {**seen_of().clip, 'pixels': pixels}
  heard = seen_of().sound
  both = seen_lib.of(described(clip=clip, sound=heard))
  assert both.pixels == pixels and both.sound is heard
  assert seen_lib.of(described(sound=heard)).pixels is None
  for bad in (
    described(pixels, features={}),
    described(features={}),
    described(clip={'shape': (1,)}, sound=heard),
    described(pixels, clip=clip),
  ):
    with pytest.raises(errors.UserError, match='The evaluate task scores it'):
      seen_lib.of(bad)
