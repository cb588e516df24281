"""Numbers of faces in clips: properties of made-up walks."""

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import given
from hypothesis import strategies as st

from aubal_jax.media import tracks

FPS = 25


def walk(looks):
  """Numbers of each look, of (time, boxes)."""
  state, found = tracks.Tracks(), []
  for time, boxes in looks:
    state, numbers = tracks.follow(state, time, np.array(boxes))
    assert len({*numbers}) == len(numbers)
    assert state.count >= max([0, *numbers])
    found.append(numbers)
  return found


def box(x, y, side):
  return [x - side / 2, y - side / 2, side, side]


@given(st.integers(0, 2**32 - 1))
def test_overlaps_are_those_of_pixels(seed):
  rng = np.random.default_rng(seed)
  one, other = (
    np.concatenate([rng.integers(0, 12, (3, 2)), rng.integers(0, 9, (3, 2))], 1)
    for _ in range(2)
  )
  found = tracks.overlaps(one.astype(float), other.astype(float))

  def pixels(b):
    made = np.zeros((32, 32), bool)
    made[b[1] : b[1] + b[3], b[0] : b[0] + b[2]] = True
    return made

  for i, a in enumerate(one):
    for j, b in enumerate(other):
      either = (pixels(a) | pixels(b)).sum()
      wanted = (pixels(a) & pixels(b)).sum() / either if either else 0
      assert found[i, j] == pytest.approx(wanted)


@given(
  seed=st.integers(0, 2**32 - 1),
  step=st.integers(1, 6),
  count=st.integers(1, 10),
)
def test_who_walks_on_their_own_keeps_a_number(seed, step, count):
  """Apart from each other, in any order, with a detector that trembles."""
  rng = np.random.default_rng(seed)
  side = 60.0
  speed = rng.uniform(-3, 3, (count, 2))  # Pixels a frame.
  home = 300.0 * np.stack(np.divmod(np.arange(count), 4), 1)
  looks, orders = [], []
  for frame in range(0, 60, step):
    order = rng.permutation(count)
    centres = (
      home + speed * np.minimum(frame, 30) + rng.normal(0, 1, (count, 2))
    )
    looks.append((frame / FPS, [box(*centres[k], side) for k in order]))
    orders.append(order)
  found = walk(looks)
  for numbers, order in zip(found, orders, strict=True):
    assert [numbers[k] for k in np.argsort(order)] == [
      found[0][k] for k in np.argsort(orders[0])
    ]


@given(
  seed=st.integers(0, 2**32 - 1),
  step=st.integers(1, 4),
  speed=st.floats(3, 8),
  hides=st.booleans(),
)
def test_who_cross_keep_their_numbers(seed, step, speed, hides):
  """The one behind is not found while the boxes overlap by half.

  Nobody has moved by half a box (of 60) before the second look: whoever has
  is new there, as no speed is known yet.
  """
  assume(speed * step <= 28)
  rng = np.random.default_rng(seed)
  looks, who = [], []
  for frame in range(0, 81, step):
    a = 100 + speed * frame + rng.normal(0, 0.5)
    b = 100 + speed * 80 - speed * frame + rng.normal(0, 0.5)
    faces = {'a': box(a, 100, 60), 'b': box(b, 104, 60)}
    if hides and abs(a - b) < 30:
      del faces['a']
    names = [*rng.permutation([*faces])]
    looks.append((frame / FPS, [faces[name] for name in names]))
    who.append(names)
  found = [
    dict(zip(names, numbers, strict=True))
    for names, numbers in zip(who, walk(looks), strict=True)
  ]
  assert found[-1] == found[0]


@given(seed=st.integers(0, 2**32 - 1), away=st.integers(1, 60))
def test_who_returns_soon_keeps_the_number_and_late_has_a_new_one(seed, away):
  rng = np.random.default_rng(seed)
  x, y = rng.uniform(50, 500, 2)
  other = box(x + 300, y, 70)
  looks = []
  for frame in range(10 + away + 10):
    faces = [other]
    if not 10 <= frame < 10 + away:
      faces.append(box(x + rng.normal(0, 0.2), y, 70))
    looks.append((frame / FPS, faces))
  found = walk(looks)
  assert all(numbers[0] == 1 for numbers in found)
  assert found[9] == [1, 2]
  soon = (away + 1) / FPS <= tracks.KEPT_SECONDS
  assert found[-1] == ([1, 2] if soon else [1, 3])


@given(seed=st.integers(0, 2**32 - 1), step=st.integers(1, 5))
def test_a_missed_detection_changes_no_number(seed, step):
  rng = np.random.default_rng(seed)
  looks, missed = [], rng.random(40) < 0.25
  missed[0] = False
  # Not for longer than a number waits.
  limit = int(tracks.KEPT_SECONDS * FPS / step) - 1
  run = 0
  for k in range(40):
    run = run + 1 if missed[k] else 0
    if run >= limit:
      missed[k], run = False, 0
  for k, gone in enumerate(missed):
    frame = k * step
    faces = [] if gone else [box(200 + 2 * frame, 150, 80)]
    looks.append((frame / FPS, faces))
  for numbers in walk(looks):
    assert numbers in ([], [1])


def test_a_cut_to_another_place_gives_new_numbers():
  left, right = [box(100, 100, 50)], [box(400, 100, 50)]
  found = walk([(0, left), (0.04, left), (0.08, right), (0.12, right)])
  assert found == [[1], [1], [2], [2]]


def test_what_is_known_is_plain_and_follows_from_the_looks_alone():
  looks = [(k / FPS, [box(50 + k, 50, 40)]) for k in range(9)]
  state = tracks.Tracks()
  for time, boxes in looks:
    state, _ = tracks.follow(state, time, np.array(boxes))
  again, _ = tracks.follow(state, 1.0, np.zeros((0, 4)))
  assert again.tracks == state.tracks
  assert type(state.tracks[0].speed[0]) is float
  assert tracks.follow(again, 9.0, np.zeros((0, 4)))[0].tracks == ()
