"""Coarse pixels against OpenCV's area means."""

import cv2
import numpy as np
import pytest

from aubal_jax.media import embedding


def standardised(features):
  return (features - features.mean(0)) / features.std(0)


@pytest.mark.parametrize(
  'shape', [(112, 112, 1), (48, 48, 3), (100, 50, 3), (17, 31, 1)]
)
def test_means_of_a_grid_of_fields(shape):
  images = np.random.default_rng(0).integers(0, 256, (40, *shape), np.uint8)
  rows = np.arange(39, 0, -2)
  found = embedding.pixels(lambda rows: images[rows], rows)
  assert found.shape == (20, 256) and found.dtype == np.float32
  coarse = [
    cv2.resize(
      image.mean(2).astype(np.float32), (16, 16), interpolation=cv2.INTER_AREA
    )
    for image in images[rows]
  ]
  expected = standardised(np.reshape(coarse, (20, 256)))
  np.testing.assert_allclose(found, expected, atol=1e-3)


def test_images_below_the_grid_are_repeated():
  images = np.random.default_rng(1).integers(0, 256, (9, 8, 4, 1), np.uint8)
  found = embedding.pixels(lambda rows: images[rows], np.arange(9))
  large = images[..., 0].repeat(2, axis=1).repeat(4, axis=2)
  expected = standardised(large.reshape(9, 256).astype(float))
  np.testing.assert_allclose(found, expected, atol=1e-4)


def test_batches_change_nothing(monkeypatch):
  images = np.random.default_rng(2).integers(0, 256, (30, 16, 16, 1), np.uint8)
  whole = embedding.pixels(lambda rows: images[rows], np.arange(30))
  monkeypatch.setattr(embedding, '_BATCH_IMAGES', 7)
  sizes, done = [], []

  def read(rows):
    sizes.append(len(rows))
    return images[rows]

  found = embedding.pixels(read, np.arange(30), on_progress=done.append)
  np.testing.assert_array_equal(found, whole)
  assert sizes == done == [7, 7, 7, 7, 2]


def test_fields_that_are_all_alike_tell_nothing():
  images = np.zeros((5, 32, 32, 3), np.uint8)
  images[:, :2, :2] = np.arange(5)[:, None, None, None]
  images[:, 20:] = 201
  found = embedding.pixels(lambda rows: images[rows], np.arange(5))
  np.testing.assert_allclose(
    found[:, 0], standardised(np.arange(5.0)), rtol=1e-5
  )
  assert (found[:, 1:] == 0).all()
  assert embedding.pixels(lambda rows: images[rows], np.arange(0)).shape == (
    0,
    256,
  )


def test_columns_brought_to_one_scale():
  features = np.random.default_rng(3).normal(size=(50, 4)).astype(np.float32)
  features *= [1, 1e-6, 1e6, 1]
  features[:, 3] = 0.1
  features[::2, 3] = np.nextafter(np.float32(0.1), np.float32(1))
  found = embedding.standardise(features)
  assert found.dtype == np.float32
  np.testing.assert_allclose(
    found[:, :3], standardised(features[:, :3].astype(float)), atol=1e-5
  )
  assert (found[:, 3] == 0).all()
