"""A stream of faces: every frame has its rows, and it goes on anywhere."""

import json

import cv2
import numpy as np
import pytest

from aubal_jax.media import crop
from aubal_jax.media import images as images_lib
from aubal_jax.serving import clips
from aubal_jax.serving import inputs
from aubal_jax.serving import seen as seen_lib
from tests.makers import clips as clips_lib
from tests.makers import found_faces


@pytest.fixture(name='faces', autouse=True)
def fixture_faces(monkeypatch):
  with found_faces.installed(monkeypatch):
    yield


def write_folder(folder, pictures, first=0):
  folder.mkdir(parents=True)
  for k, pixels in enumerate(pictures, first):
    assert cv2.imwrite(str(folder / f'{k:05d}.png'), pixels[..., ::-1])


def walk(count, seed=0):
  """Two faces that walk, of which one is away for some frames; then none."""
  rng = np.random.default_rng(seed)
  away = {*range(6, 6 + int(rng.integers(1, 9)))}
  pictures = []
  for k in range(count):
    squares = [] if k in away else [(10 + k, 12, 24, 200)]
    pictures.append(found_faces.picture([*squares, (80, 40 + k, 30, 150)]))
  return [*pictures, found_faces.picture([]), found_faces.picture([])]


def reader_of(paths, **options):
  options = {
    'seen': seen_lib.Seen(images_lib.Pixels(16, 1, crop='mtcnn')),
    'pace': inputs.pace('1'),
    'fps': 25.0,
    **options,
  }
  items, _ = inputs.find([*map(str, paths)], fps=25)
  return clips.Reader(items, **options)


def flat(pieces):
  rows, images, frames = [], [], 0
  for piece in pieces:
    assert len(piece.seen) == sum(r.status == 'ok' for r in piece.rows)
    rows += piece.rows
    images += [one['image'] for one in piece.seen]
    frames += piece.frames
  return rows, images, frames


@pytest.mark.parametrize('every', [1, 3])
def test_every_frame_has_its_rows(tmp_path, every):
  pictures = walk(20)
  write_folder(tmp_path / 'film', pictures)
  reader = reader_of([tmp_path / 'film'], pace=inputs.pace(str(every)))
  rows, images, frames = flat(reader.pieces())
  numbers = [*range(0, 22, every)]
  assert sorted({row.frame for row in rows}) == numbers
  assert frames == len(numbers) == reader.expected(reader.items[0])
  for number in numbers:
    truth = found_faces.find(pictures[number])
    of = [row for row in rows if row.frame == number]
    assert of[0].time == pytest.approx(number / 25)
    if not truth:
      assert [row.status for row in of] == [crop.NO_FACE]
      assert of[0].face is of[0].box is None
      continue
    boxes = sorted(face.box.tolist() for face in truth)
    np.testing.assert_allclose(sorted(row.box for row in of), boxes, atol=0.5)
  # A face is the grey of its square.
  greys = {
    row.face: {int(image[8, 8, 0]) for r, image in zip(
      [r for r in rows if r.status == 'ok'], images, strict=True
    ) if r.face == row.face}
    for row in rows if row.face
  }  # fmt: skip
  assert sorted(map(sorted, greys.values())) == [[150], [200]]


def test_it_goes_on_behind_any_piece(tmp_path):
  write_folder(tmp_path / 'a', walk(17), first=3)
  write_folder(tmp_path / 'b', walk(9, seed=1))
  (tmp_path / 'b/00004.png').write_bytes(b'no image')
  lone = tmp_path / 'lone.png'
  cv2.imwrite(str(lone), found_faces.picture([(5, 5, 20, 180)] * 2))
  cv2.imwrite(str(tmp_path / 'none.png'), found_faces.picture([]))
  inside = [tmp_path / 'a', lone, tmp_path / 'none.png', tmp_path / 'b']
  for options in ({}, {'seen': seen_lib.Seen(images_lib.Pixels(16, 3))}):
    reader = reader_of(inside, **options)
    whole = [*reader.pieces()]
    rows, images, _ = flat(whole)
    bad = [row for row in rows if row.status.startswith('unreadable')]
    assert [(row.item, row.frame) for row in bad] == [(3, 4)]
    for k, piece in enumerate(whole):
      place = clips.place_from_json(json.loads(json.dumps(
        piece.after.to_json())))  # fmt: skip
      some, cut, _ = flat(reader.pieces(place))
      before = sum(len(one.rows) for one in whole[: k + 1])
      assert some == rows[before:]
      for one, other in zip(cut, images[len(images) - len(cut) :], strict=True):
        np.testing.assert_array_equal(one, other)


def test_whole_frames_are_one_face_each(tmp_path):
  pictures = walk(5)
  write_folder(tmp_path / 'a', pictures)
  seen = seen_lib.Seen(images_lib.Pixels(16, 3, 'pad'))
  rows, images, _ = flat(reader_of([tmp_path / 'a'], seen=seen).pieces())
  assert [(row.frame, row.face) for row in rows] == [(k, 1) for k in range(7)]
  assert {(*row.box, row.confidence) for row in rows} == {
    (0.0, 0.0, 128.0, 96.0, None)
  }
  for image, picture in zip(images, pictures, strict=True):
    np.testing.assert_array_equal(image, images_lib.fit(picture, 16, 'pad'))


def test_ten_faces_have_ten_rows_in_clips_of_any_kind(tmp_path):
  pytest.importorskip('av')
  squares = [(12 * k + 2, 8 + 6 * (k % 2), 9, 200) for k in range(10)]
  pictures = np.stack([found_faces.picture(squares)] * 12)
  for suffix in ('.mp4', '.mkv'):
    clips_lib.write(tmp_path / f'ten{suffix}', pictures)
  reader = reader_of([tmp_path / 'ten.mp4', tmp_path / 'ten.mkv'])
  rows, _, frames = flat(reader.pieces())
  assert frames == 24
  for item in range(2):
    for frame in range(12):
      found = [r.face for r in rows if (r.item, r.frame) == (item, frame)]
      assert sorted(found) == [*range(1, 11)]


def test_what_is_wrong_with_a_clip_stands_behind_what_was_read(tmp_path):
  pytest.importorskip('av')
  noise = np.random.default_rng(0).integers(0, 60, (30, 96, 128, 3), np.uint8)
  pictures = np.maximum(noise, found_faces.picture([(9, 9, 40, 200)]))
  whole = tmp_path / 'whole.mkv'
  clips_lib.write(whole, pictures)
  content = whole.read_bytes()
  (tmp_path / 'cut.mkv').write_bytes(content[: len(content) * 2 // 3])
  (tmp_path / 'no.mp4').write_bytes(b'no clip at all')
  (tmp_path / 'void.mkv').write_bytes(b'')
  clips_lib.write_sound_only(tmp_path / 's.mp4', clips_lib.clicks(0.5, [0.1]))
  reader = reader_of(
    [
      tmp_path / n
      for n in ('cut.mkv', 'no.mp4', 'void.mkv', 's.mp4', 'gone.avi')
    ]
  )
  rows, _, _ = flat(reader.pieces())
  last = {row.item: row for row in rows}
  statuses = [last[k].status for k in range(5)]
  assert statuses[0].startswith('unreadable: truncated after frame')
  assert statuses[1:4] == [
    f'unreadable: {x}' for x in ('not a video', 'empty file', 'sound only')
  ]
  assert statuses[4].startswith('unreadable: No such file')
  good = [row for row in rows if row.status == 'ok']
  assert {row.item for row in good} == {0} and 5 < len(good) < 30
  assert [reader.expected(item) for item in reader.items][1:] == [0] * 4
