"""Images inside of a table, against those decoded one by one."""

import cv2
import numpy as np
import pytest

from aubal_jax.media import embedded
from aubal_jax.media import images
from aubal_jax.runs import errors

SIDE = 6
NUM = 12


@pytest.fixture(scope='module')
def held():
  """Images and their files: a NUM of grey PNGs, in another size each third."""
  rng = np.random.default_rng(0)
  drawn = rng.integers(0, 256, (NUM, SIDE, SIDE, 1), np.uint8)
  files = [cv2.imencode('.png', one)[1].tobytes() for one in drawn]
  return drawn, files


def make(files, asked=None):
  def contents(rows):
    if asked is not None:
      asked.append(rows.tolist())
    return (files[row] for row in rows)

  pixels = images.Pixels(SIDE, 1, 'stretch')
  return embedded.Images(contents, pixels, lambda k: f't: row {k}', 'Mend it.')


def test_rows_in_any_order_and_more_than_once(held, monkeypatch):
  monkeypatch.setattr(embedded, '_BATCH', 3)
  drawn, files = held
  rng = np.random.default_rng(1)
  for size in (1, 2, 5, 30, *rng.integers(1, 20, 10)):
    rows = rng.integers(0, NUM, size)
    asked = []
    found = make(files, asked)(rows)
    np.testing.assert_array_equal(found, drawn[rows])
    assert found.dtype == np.uint8
    assert asked == [sorted(set(rows.tolist()))]  # Each is read once.


def test_no_rows_are_no_images(held):
  found = make(held[1])(np.array([], np.int64))
  assert found.shape == (0, SIDE, SIDE, 1)


def test_one_that_cannot_be_read_is_named(held):
  rng = np.random.default_rng(2)
  for _ in range(8):
    bad = int(rng.integers(NUM))
    files = [*held[1]]
    files[bad] = rng.choice([b'', b'no image', files[bad][:20]])
    rows = rng.permutation(NUM)
    with pytest.raises(errors.UserError, match='cannot be read') as told:
      make(files)(rows)
    assert str(told.value).startswith(f't: row {bad}: the image')
    assert str(told.value).endswith('Mend it.')
    np.testing.assert_array_equal(
      make(files)(rows[rows != bad]), held[0][rows[rows != bad]]
    )
