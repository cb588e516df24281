"""What a `Run` does with images that cannot be read."""

import time

import cv2
import numpy as np
import pytest

from aubal_jax import settings as settings_lib
from aubal_jax.runs import progress
from aubal_jax.stages import problem
from aubal_jax.stages import run as run_lib

LINES = (
  'path,split,x,y',
  'a.png,train,1,0',
  'b.png,train,0,1',
  'c.jpg,train,1,1',
  'd.png,validation,0,1',
  'e.png,test,0,1',
)


@pytest.fixture(params=['', 'cache'])
def settings(request, tmp_path):
  """A table of images, some broken, read into memory or into a cache."""
  rng = np.random.default_rng(0)
  for number, line in enumerate(LINES[1:], 1):
    name = line.split(',')[0]
    picture = np.full((20, 20), 10 * number, np.uint8)
    if name.endswith('.jpg'):
      picture = rng.integers(0, 256, (64, 64), np.uint8)
    assert cv2.imwrite(str(tmp_path / name), picture)
  content = (tmp_path / 'c.jpg').read_bytes()
  (tmp_path / 'c.jpg').write_bytes(content[: len(content) // 2] + b'\xff\xd9')
  (tmp_path / 'd.png').write_bytes(b'no image')
  (tmp_path / 't.csv').write_text('\n'.join(LINES) + '\n')
  config = settings_lib.default()
  config.data.name = 'manifest'
  config.data.path = str(tmp_path / 't.csv')
  config.data.image_size = 16
  config.data.num_processes = 1
  if request.param:
    config.data.cache_dir = str(tmp_path / request.param)
  return config


def read(settings, tmp_path):
  watch = progress.Watch(time.perf_counter())
  return run_lib.load(settings, tmp_path / 'run', watch)


def test_broken_images_are_dropped_and_counted(settings, tmp_path):
  (tmp_path / 'b.png').unlink()
  settings.data.unreadable = 'drop'
  found = read(settings, tmp_path)
  data = found.dataset
  dropped = ['train', 'dropped', 'dropped', 'dropped', 'test']
  assert data.split.tolist() == dropped
  assert len(data) == 5
  notes = [note for note in data.notes if note.startswith('Dropped')]
  missing, damaged, undecodable = notes
  table = tmp_path / 't.csv'
  assert missing == f'Dropped 1 of 5 rows: no image file (first {table}:3).'
  assert damaged.startswith('Dropped 1 of 5 rows: damaged: ')
  assert damaged.endswith(f'(first {table}:4: {tmp_path / "c.jpg"}).')
  assert undecodable.startswith('Dropped 1 of 5 rows: not an image ')
  assert undecodable.endswith(f'(first {table}:5: {tmp_path / "d.png"}).')
  assert sum(data.drops().values()) == 3
  pictures = found.images()(np.array([4, 0, 4]))
  assert pictures.shape == (3, 16, 16, 1)
  assert pictures[:, 8, 8, 0].tolist() == [50, 10, 50]


def test_broken_images_are_an_error_unless_they_may_be_dropped(
  settings, tmp_path
):
  found = read(settings, tmp_path)  # No image is opened before it is needed.
  message = (
    r'Cannot read 2 of 5 images: .*t\.csv:4: .*c\.jpg: damaged: .*; '
    r".*t\.csv:5: .*d\.png: not an image .*data\.unreadable='drop'"
  )
  with pytest.raises(ValueError, match=message):
    found.images()


def test_dropping_every_training_row_is_an_error(settings, tmp_path):
  settings.data.unreadable = 'drop'
  for name in ('a.png', 'b.png'):
    (tmp_path / name).write_bytes(b'no image')
  found = read(settings, tmp_path)
  assert not len(found.dataset.rows('train'))
  with pytest.raises(ValueError, match='training split has no row'):
    problem.find_labelsets(found)


def test_equal_settings_drop_equal_rows_from_a_cache(settings, tmp_path):
  settings.data.unreadable = 'drop'
  first = read(settings, tmp_path).dataset
  again = read(settings, tmp_path).dataset
  assert again.notes == first.notes
  np.testing.assert_array_equal(again.split, first.split)
  assert again.fingerprint() == first.fingerprint()


def test_splits_stay_where_a_broken_image_is_dropped(settings, tmp_path):
  lines = ['path,x'] + [f'{n}.png,{n % 2}' for n in range(20)]
  (tmp_path / 't.csv').write_text('\n'.join(lines) + '\n')
  for n in range(20):
    cv2.imwrite(str(tmp_path / f'{n}.png'), np.full((20, 20), n, np.uint8))
  whole = read(settings, tmp_path).dataset.split
  (tmp_path / '7.png').write_bytes(b'no image')
  (tmp_path / '9.png').unlink()
  settings.data.unreadable = 'drop'
  split = read(settings, tmp_path).dataset.split
  assert split[[7, 9]].tolist() == ['dropped'] * 2
  np.testing.assert_array_equal(
    np.delete(split, [7, 9]), np.delete(whole, [7, 9])
  )


def test_inspect_drops_what_has_no_face_and_keeps_what_is_broken(
  settings, tmp_path, monkeypatch, capsys
):
  from aubal_jax.media import crop

  def open_images(*_, **__):
    return None, {0: crop.NO_FACE, 2: 'broken'}

  monkeypatch.setattr('aubal_jax.media.store.open_images', open_images)
  settings.data.crop = 'mtcnn'
  settings.task = 'inspect'
  watch = progress.Watch(time.time())
  found = run_lib.load_unread(settings, tmp_path / 'run', watch)
  assert found.dataset.drops() == {'no face found': 1}
  assert found.dataset.split[2] == 'train'
