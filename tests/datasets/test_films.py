"""Drawn videos with sound: what each sense can tell of them, and no more."""

import numpy as np
import pytest

from aubal_jax import settings
from aubal_jax.datasets import loading
from aubal_jax.datasets.drawn import face_parts
from aubal_jax.datasets.drawn import faces
from aubal_jax.datasets.drawn import films
from aubal_jax.datasets.drawn import moving_faces
from aubal_jax.media import spectrogram
from aubal_jax.runs import errors

SIZES = {'train': 700, 'validation': 500, 'test': 240}


def concordance(x, y):
  covariance = np.mean((x - x.mean()) * (y - y.mean()))
  return 2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


@pytest.mark.parametrize('seed', range(4))
def test_the_ceilings_are_reached_and_not_passed(seed):
  drawn = films.draw(SIZES, seed)
  split = drawn.split_of_frames
  assert abs(drawn.arousal).max() == 1
  assert abs(drawn.valence).max() <= 1
  for name, bounds in films.ceilings(drawn).items():
    rows = split == name
    arousal = drawn.arousal[rows]
    assert bounds['video'] == pytest.approx(0.5)
    assert bounds['audio'] == pytest.approx(np.sqrt(0.75))
    seen = drawn.of_frames('affect')[rows, 1]
    heard = drawn.of_frames('heard')[rows]
    for part, bound in ((seen, bounds['video']), (heard, bounds['audio'])):
      part = part - part.mean()
      slope = part @ (arousal - arousal.mean()) / (part @ part)
      best = max(
        concordance(arousal.mean() + k * slope * part, arousal)
        for k in np.linspace(0.1, 4, 200)
      )
      assert bound - 0.001 < best <= bound + 1e-9
    both = np.stack([seen, heard, np.ones(len(seen))], axis=1)
    rest = arousal - both @ np.linalg.lstsq(both, arousal, rcond=None)[0]
    assert abs(rest).max() < 1e-9


def test_a_data_set_has_a_row_a_frame():
  data = films.load(
    num_train=250, num_validation=30, num_test=10, seed=3, image_size=16
  )
  assert len(data) == 290
  assert data.num_rows()['train'] == 250
  people, counts = np.unique(data.groups, return_counts=True)
  assert counts.tolist() == [240, 10, 30, 10]
  for person in people:
    rows = np.flatnonzero(data.groups == person)
    assert data.frames[rows].tolist() == [*range(len(rows))]
    assert len({*data.split[rows]}) == 1
  again = films.load(
    num_train=250, num_validation=30, num_test=10, seed=3, image_size=16
  )
  rows = np.array([289, 0, 245, 0])
  assert (data.load_images(rows) == again.load_images(rows)).all()
  assert (data.load_images(rows[1:2]) == data.load_images(rows[3:])).all()
  assert data.landmarks(rows).shape == (4, 68, 2)
  assert data.sounds('subject002').shape == (moving_faces.RATE,)


def test_each_frame_that_trains_may_know_one_task_alone():
  sizes = {'num_train': 300, 'num_validation': 40, 'num_test': 10}
  whole, apart = (
    films.load(**sizes, seed=1, image_size=16, apart=x) for x in (False, True)
  )
  known = [target.rows_known for target in apart.targets.values()]
  train = apart.split == 'train'
  assert (np.sum(known, axis=0) == np.where(train, 1, 3)).all()
  assert [k[train].sum() for k in known] == [100, 100, 100]
  for name, target in apart.targets.items():
    rows = target.rows_known
    np.testing.assert_array_equal(
      target.values[rows], whole.targets[name].values[rows]
    )
  few = films.load(**sizes, seed=1, image_size=16, targets=('expression',))
  assert not few.label_names
  assert {*few.targets} == {'labels', 'expression'}


def test_faces_move_slowly():
  film = moving_faces.draw((5, 0), 240)
  for path in (film.truth.affect[:, 1], film.heard, film.view.yaw):
    assert abs(np.diff(path)).max() < 0.15 * np.ptp(path)
  assert abs(film.nodding).max() <= 1
  shift = np.diff(film.view.shift[:, 1])
  assert np.ptp(film.view.shift[:, 1]) > 0.05
  assert abs(shift).max() < 0.02


def test_pitch_and_level_follow_what_is_heard():
  film = moving_faces.draw((2, 1), 240)
  sound = film.sound()
  power = spectrogram.power(sound)
  times = np.arange(20, len(power) - 20, 10)
  level = 10 * np.log10(power[times].sum(axis=1))
  heard = np.interp(times * 0.01 * 30, np.arange(240), film.heard)
  assert np.corrcoef(level, heard)[0, 1] > 0.95
  centre = power[times] @ np.arange(64) / power[times].sum(axis=1)
  assert np.corrcoef(centre, heard)[0, 1] > 0.8
  assert abs(sound).max() < 1


def test_voices_differ():
  heard = np.zeros(30)
  levels = []
  for k in range(8):
    film = moving_faces.draw((k,), 30)
    film = moving_faces.Film(
      *(film.person, film.truth, film.view, film.nodding, heard, (k,))
    )
    levels.append(film.sound().std())
  assert max(levels) > 1.2 * min(levels)


@pytest.mark.parametrize('seed', range(6))
def test_landmarks_are_where_the_parts_are_drawn(seed):
  rng = np.random.default_rng(seed)
  subject = faces.make_subject(rng)
  a = dict.fromkeys(('AU01', 'AU02', 'AU04', 'AU06', 'AU12', 'AU15'), 0.0)
  a |= {name: float(rng.random()) for name in (*a, 'AU20', 'AU25')}
  points = face_parts.landmarks(subject, a)
  assert points.shape == (68, 2)
  shapes = face_parts.shapes(subject, a)
  drawn = np.concatenate([part for part, _, _ in shapes])
  # Brows, eyes and lips are points of what is drawn, or within a brow of it.
  for k in (*range(17, 27), *range(36, 68)):
    nearest = np.linalg.norm(drawn - points[k], axis=1).min()
    assert nearest < subject.brow_thickness, k
  # The left of the picture first, both sides alike; the jaw goes downwards.
  assert (np.diff(points[:17, 0]) > -1e-9).all()
  assert points[8, 1] == points[:, 1].max()
  mirrored = points * [-1, 1]
  for here, there in ((17, 26), (21, 22), (36, 45), (39, 42), (48, 54)):
    assert points[here] == pytest.approx(mirrored[there])
  assert (points[[37, 38], 1] <= points[[41, 40], 1]).all()


def test_landmarks_follow_the_view():
  film = moving_faces.draw((1,), 60)
  for frame in (0, 59):
    points = film.landmarks(frame, 112)
    twice = film.landmarks(frame, 224)
    assert twice + 0.5 == pytest.approx(2 * (points + 0.5))
    assert (points > 0).all()
    assert (points < 111).all()


def test_a_view_that_is_given_is_that_which_is_drawn():
  for seed in range(4):
    subject = faces.make_subject(np.random.default_rng(seed))
    intensity = np.zeros(8)
    drawn = faces.draw_face(subject, intensity, np.random.default_rng(seed), 48)
    rng = np.random.default_rng(seed)
    view = faces.draw_view(rng)
    given = faces.draw_face(subject, intensity, rng, 48, view=view)
    assert (drawn == given).all()


@pytest.mark.parametrize('fps', [0.0, 15.0, 29.97])
def test_drawn_videos_at_another_rate_are_refused(fps):
  config = settings.default()
  config.data.drawn_sound = True
  config.model.name = 'two_stream_small'
  config.two_stream.fps = fps
  with pytest.raises(errors.UserError, match='fps must be 30'):
    loading.load(config)
  config.model.name = 'resnet8_16'  # Which hears nothing.
  config.data.num_train = config.data.num_validation = 4
  config.data.num_test = 4
  assert len(loading.load(config)) == 12
