"""Faces of a clip between looks: made-up films whose truth is known."""

import json
import typing

import cv2
import matplotlib.cbook
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aubal_jax.media import clip_faces
from aubal_jax.media import crop

FPS = 25


class Frame(typing.NamedTuple):
  number: int
  timestamp: float
  pixels: np.ndarray


def film(numbers, shape=(4, 4, 3)):
  """Frames that say which they are."""
  for k in numbers:
    pixels = np.zeros(shape, np.uint8)
    pixels[0, 0, :2] = divmod(k, 256)
    yield Frame(int(k), k / FPS, pixels)


class World:
  """Persons who walk straight on, each from a frame to another."""

  def __init__(self, rng, count, length):
    self.home = 400.0 * np.stack([np.arange(count), np.zeros(count)], 1)
    self.speed = rng.uniform(-2, 2, (count, 2))
    self.first = np.where(rng.random(count) < 0.5, 0, rng.integers(5, 40))
    self.last = self.first + rng.integers(12, length, count)
    self.looks = []

  def there(self, frame):
    return np.flatnonzero((self.first <= frame) & (frame <= self.last))

  def face(self, who, frame):
    left, top = self.home[who] + self.speed[who] * frame
    box = np.array([left, top, 50.0, 60.0])
    return crop.Face(box, 0.95, box[:2] + 50 * crop.TEMPLATE)

  def find(self, pixels):
    frame = int(pixels[0, 0, 0]) * 256 + int(pixels[0, 0, 1])
    self.looks.append(frame)
    return [self.face(who, frame) for who in self.there(frame)]


def flat(spans):
  return [entry for span, _ in spans for entry in span]


@given(
  seed=st.integers(0, 2**32 - 1),
  count=st.integers(1, 10),
  every=st.integers(1, 9),
  step=st.integers(1, 3),
)
def test_frames_have_the_faces_that_are_there(seed, count, every, step):
  rng = np.random.default_rng(seed)
  world = World(rng, count, 60)
  numbers = range(0, 90, step)
  names = {}
  found = flat(clip_faces.follow(film(numbers), world.find, every=every))
  assert [frame.number for frame, _ in found] == [*numbers]
  for frame, faces in found:
    who = [round(face.box[0] / 400) for face in faces.values()]
    assert {*who} == {*world.there(frame.number).tolist()}
    for person, (number, face) in zip(who, faces.items(), strict=True):
      # Gone for less than a second or not, nobody is away and returns here.
      assert names.setdefault(person, number) == number
      truth = world.face(person, frame.number)
      np.testing.assert_allclose(face.box, truth.box, atol=1e-6)
      np.testing.assert_allclose(face.landmarks, truth.landmarks, atol=1e-6)
      assert face.confidence == pytest.approx(0.95)
  assert len({*names.values()}) == len(names)


@given(every=st.integers(1, 12), length=st.integers(1, 60))
def test_steady_faces_are_looked_for_every_few_frames(every, length):
  world = World(np.random.default_rng(0), 2, 20)
  world.first[:], world.last[:] = 0, 1000
  world.speed[:] = 0.4
  flat(clip_faces.follow(film(range(length)), world.find, every=every))
  wanted = {*range(0, length, every), length - 1}
  assert world.looks == sorted(wanted)


@given(
  seed=st.integers(0, 2**32 - 1),
  every=st.integers(1, 7),
  data=st.data(),
)
def test_one_goes_on_behind_any_span_to_the_same(seed, every, data):
  def world():
    return World(np.random.default_rng(seed), 3, 50)

  whole = [*clip_faces.follow(film(range(70)), world().find, every=every)]
  at = data.draw(st.integers(1, len(whole)))
  _, known = whole[at - 1]
  known = clip_faces.from_json(json.loads(json.dumps(known.to_json())))
  rest = [
    *clip_faces.follow(
      film(range(known.frame + 1, 70)), world().find, every=every, known=known
    )
  ]
  assert len(rest) == len(whole) - at
  for (span, now), (wanted, then) in zip(rest, whole[at:], strict=True):
    assert json.dumps(now.to_json()) == json.dumps(then.to_json())
    for (frame, faces), (_, others) in zip(span, wanted, strict=True):
      assert [*faces] == [*others]
      for number, face in faces.items():
        assert face.box.tolist() == others[number].box.tolist()
        assert face.landmarks.tolist() == others[number].landmarks.tolist()
      assert frame.number > known.frame


def test_few_large_frames_are_held(monkeypatch):
  monkeypatch.setattr(clip_faces, 'SPAN_BYTES', 3 * 48)
  world = World(np.random.default_rng(0), 1, 20)
  world.first[:], world.last[:] = 0, 1000
  spans = clip_faces.follow(film(range(20)), world.find, every=9)
  assert {len(span) for span, _ in spans} <= {1, 3}
  world.looks.clear()
  huge = film(range(5), (8, 8, 3))  # One of these is too much already.
  spans = clip_faces.follow(huge, world.find, every=9)
  assert [len(span) for span, _ in spans] == [1] * 5


def test_a_film_without_a_frame_has_no_span():
  assert not [*clip_faces.follow([], lambda image: [], every=5)]


@pytest.mark.long
def test_mtcnn_follows_a_photograph():
  pytest.importorskip('mtcnn')
  file = matplotlib.cbook.get_sample_data('grace_hopper.jpg', asfileobj=False)
  photo = cv2.resize(cv2.imread(str(file))[..., ::-1], (341, 400))
  find = crop.make_find('mtcnn')
  frames = []
  for k in range(16):
    pixels = np.full((480, 640, 3), 90, np.uint8)
    pixels[40:440, 20 + 4 * k : 361 + 4 * k] = photo
    frames.append(Frame(k, k / FPS, pixels))
  found = flat(
    clip_faces.follow(
      frames, lambda image: crop.all_faces(find, image), every=5
    )
  )
  boxes = np.array([faces[1].box for _, faces in found])
  assert {(*faces,) for _, faces in found} == {(1,)}
  assert abs(np.diff(boxes[:, 0]) - 4).max() < 3
  # Between looks it goes straight on.
  np.testing.assert_allclose(np.diff(boxes[:6, 0], 2)[:3], 0, atol=1e-9)
  assert boxes[:, 2].min() > 90 and np.ptp(boxes[:, 3]) < 20
