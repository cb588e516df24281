"""Pieces of images: boxes, and squares that are turned."""

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aubal_jax.datasets import dataset
from aubal_jax.media import crop
from aubal_jax.media import images
from aubal_jax.media import pieces
from aubal_jax.media import store
from aubal_jax.runs import errors

SEEDS = st.integers(0, 2**31)


def noise(rng, height=40, width=50, channels=3):
  return rng.integers(0, 256, (height, width, channels), np.uint8)


@given(SEEDS)
def test_a_box_of_whole_numbers_is_its_pixels(seed):
  rng = np.random.default_rng(seed)
  image = noise(rng)
  left, top = rng.integers(-9, 30, 2)
  right, bottom = rng.integers(31, 60, 2)
  (corners,) = pieces.of_boxes(np.array([[left, top, right, bottom]]))
  padded = np.pad(image, ((60, 60), (60, 60), (0, 0)))
  expected = padded[top + 60 : bottom + 60, left + 60 : right + 60]
  np.testing.assert_array_equal(pieces.cut(image, corners), expected)
  grey = image[:, :, 0]
  found = pieces.cut(grey, corners)
  np.testing.assert_array_equal(found, expected[:, :, 0])


@given(SEEDS)
def test_a_quarter_turn_turns_the_pixels(seed):
  rng = np.random.default_rng(seed)
  image = noise(rng, 24, 24)
  corners = np.array([[24, 0], [24, 24], [0, 0]], np.float32)
  np.testing.assert_array_equal(pieces.cut(image, corners), np.rot90(image))


@given(SEEDS)
def test_a_turned_face_is_upright(seed):
  rng = np.random.default_rng(seed)
  angle, distance = rng.uniform(-3, 3), rng.uniform(20, 30)
  across = distance * np.array([np.cos(angle), np.sin(angle)])
  height = rng.uniform(10, 40)
  down = height * np.array([-across[1], across[0]]) / distance
  middle = np.array([100.0, 100.0])
  points = middle - across / 2, middle + across / 2, middle + down
  image = np.zeros((200, 200), np.uint8)
  for grey, (x, y) in zip((100, 150, 250), points, strict=True):
    centre = round(16 * (x - 0.5)), round(16 * (y - 0.5))
    cv2.circle(image, centre, 3 * 16, grey, -1, cv2.LINE_8, 4)
  (corners,) = pieces.of_faces(np.array([points[:2]]), np.array([points[2]]))
  face = pieces.cut(image, corners)
  half = max(distance, height)
  assert abs(len(face) - 2 * half) <= 0.5 and face.shape == face.T.shape
  for grey, x, y in (
    *((100, half - distance / 2, half - height / 2),),
    *((150, half + distance / 2, half - height / 2),),
    *((250, half, half + height / 2),),
  ):
    assert abs(int(face[int(y), int(x)]) - grey) <= 2


@pytest.mark.parametrize('cached', [False, True])
def test_rows_of_one_file_are_its_pieces(tmp_path, cached):
  rng = np.random.default_rng(1)
  image = noise(rng)
  paths = [str(tmp_path / name) for name in ('a.png', 'a.png', 'b.png')]
  for path in paths:
    assert cv2.imwrite(path, image[:, :, ::-1])
  corners = pieces.of_boxes([[0, 0, 10, 10], [5, 3, 45, 33], [0, 0, 1, 1]])
  corners[2] = np.nan
  data = dataset.Dataset(
    labels=np.ones((3, 1), np.uint8),
    known=np.ones((3, 1), bool),
    label_names=('x',),
    split=np.full(3, 'train'),
    ids=np.array(['0', '1', '2']),
    files=np.array(paths),
    corners=corners,
  )
  pixels = images.Pixels(16, 3)
  options = {'cache_dir': str(tmp_path / 'cache') if cached else ''}
  for _ in range(2):
    read, failures = store.open_images(data, np.arange(3), pixels, **options)
    assert failures == {}
    expected = [image[:10, :10], image[3:33, 5:45], image]
    for row, piece in enumerate(expected):
      fitted = images.fit(np.ascontiguousarray(piece), 16, 'stretch')
      np.testing.assert_array_equal(read(np.array([row]))[0], fitted)
    image = image[::-1]
    for path in paths:
      assert cv2.imwrite(path, image[:, :, ::-1])
  store.open_images(data, np.arange(3), pixels, **options)
  moved = dataclasses.replace(data, corners=corners + 1)
  read, _ = store.open_images(moved, np.arange(3), pixels, **options)
  piece = np.ascontiguousarray(image[1:11, 1:11])
  fitted = images.fit(piece, 16, 'stretch')
  np.testing.assert_array_equal(read(np.array([0]))[0], fitted)


@pytest.mark.parametrize('cached', [False, True])
@pytest.mark.parametrize('seed', range(4))
def test_faces_are_sought_where_none_is_given(
  tmp_path, monkeypatch, cached, seed
):
  rng = np.random.default_rng(seed)
  image = noise(rng)
  size = 12
  paths = [str(tmp_path / f'{k}.png') for k in range(size)]
  for path in paths:
    assert cv2.imwrite(path, image[:, :, ::-1])
  given = rng.random(size) < 0.5
  corners = pieces.of_boxes(np.tile([5, 3, 45, 33], (size, 1)))
  corners[~given] = np.nan
  landmarks = 20 + 9 * crop.TEMPLATE
  box = np.array([0.0, 0.0, 10.0, 10.0])
  found = [crop.Face(box, 0.99, landmarks)] if seed else []
  monkeypatch.setattr(crop, '_make_detector', lambda name: lambda image: found)
  monkeypatch.setattr(crop, '_check_installed', lambda name: None)
  data = dataset.Dataset(
    labels=np.ones((size, 1), np.uint8),
    known=np.ones((size, 1), bool),
    label_names=('x',),
    split=np.full(size, 'train'),
    ids=np.array(paths),
    files=np.array(paths),
    corners=corners,
  )
  options = {'cache_dir': str(tmp_path / 'cache') if cached else ''}
  pixels = images.Pixels(16, 3, crop='mtcnn')
  read, failures = store.open_images(
    data, np.arange(size), pixels, num_processes=1, **options
  )
  assert {*failures} == ({*()} if seed else {*np.flatnonzero(~given)})
  piece = images.fit(np.ascontiguousarray(image[3:33, 5:45]), 16, 'stretch')
  face = crop.align(image, landmarks, 16) if seed else np.zeros_like(piece)
  for row, made in enumerate(read(np.arange(size))):
    np.testing.assert_allclose(
      made.astype(int), piece if given[row] else face, atol=1
    )


@pytest.mark.parametrize('corner', [0.0, 1e9, np.inf])
def test_a_piece_without_area_is_refused(corner):
  corners = np.array([[0, 0], [corner, 0], [0, 9]], np.float32)
  with pytest.raises(errors.UserError, match='sides of 1 to 8,192 pixels'):
    pieces.cut(np.zeros((9, 9), np.uint8), corners)
