import errno
import json
import os
import random
import shutil
import threading

import cv2
import numpy as np
import pytest

from aubal_jax.datasets import dataset
from aubal_jax.media import crop
from aubal_jax.media import images
from aubal_jax.media import store
from tests.makers import damage

PIXELS = images.Pixels(image_size=8, channels=1)
COUNT = 22
BAD = 13  # The file that is no image.


def write(path, value):
  assert cv2.imwrite(str(path), np.full((8, 8), value, np.uint8))


def make_set(folder, count=COUNT):
  """A data set whose image k is k mod 256 all over, but for `BAD`."""
  folder.mkdir(exist_ok=True)
  for k in range(count):
    write(folder / f'{k}.png', k % 256)
  if count > BAD:
    (folder / f'{BAD}.png').write_bytes(b'no image')
  return as_dataset([str(folder / f'{k}.png') for k in range(count)])


def as_dataset(files, load_images=None):
  count = len(files)
  ones = np.ones((count, 1), np.uint8)
  return dataset.Dataset(
    labels=ones,
    known=ones == 1,
    label_names=('a',),
    split=np.full(count, 'train'),
    ids=np.array(files),
    load_images=load_images,
    files=None if load_images else np.array(files),
  )


@pytest.fixture
def data(tmp_path, monkeypatch):
  monkeypatch.setattr(store, 'SHARD_IMAGES', 5)
  return make_set(tmp_path / 'set')


def open_all(data, cache_dir='', rows=None, pixels=PIXELS, num_processes=1):
  told = []
  rows = np.arange(len(data)) if rows is None else rows
  read, failures = store.open_images(
    data,
    np.asarray(rows),
    pixels,
    cache_dir=str(cache_dir),
    num_processes=num_processes,
    tell=told.append,
  )
  return read, failures, told


def shards(cache_dir, kind='npy'):
  return sorted(cache_dir.glob(f'images-*/*.{kind}'))


def states(cache_dir):
  return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in shards(cache_dir)}


@pytest.mark.parametrize('cached', [False, True])
def test_any_row_in_any_order(tmp_path, data, cached):
  rows = np.arange(COUNT)[::-2]  # 21, 19, ... 1.
  cache = tmp_path / 'cache' if cached else ''
  read, failures, told = open_all(data, cache, rows)
  assert failures == {BAD: 'not an image that can be decoded'}
  wanted = np.array([1, 21, 21, 5, 1, BAD])
  got = read(wanted)
  assert got.shape == (6, *PIXELS.shape)
  assert got.dtype == np.uint8
  assert got[:, 0, 0, 0].tolist() == [1, 21, 21, 5, 1, 0]
  assert (got == got[:, :1, :1]).all()
  assert read(np.array([], int)).shape == (0, *PIXELS.shape)
  with pytest.raises(IndexError):
    read(np.array([2]))  # A row that was not asked for.
  assert len(told) == cached
  assert open_all(data, cache, [])[1] == {}


def test_a_cache_is_told_of_and_used_again(tmp_path, data):
  cache = tmp_path / 'cache'
  told = open_all(data, cache)[2]
  folder = shards(cache)[0].parent
  assert told == [f'Images: 22 in the cache {folder}, 22 of them made now.']
  before = states(cache)
  assert [p.name[:7] for p in before] == [f'00000{k}-' for k in range(5)]
  read, failures, told = open_all(data, cache)
  assert told == [f'Images: 22 in the cache {folder}, 0 of them made now.']
  assert list(failures) == [BAD]
  assert states(cache) == before
  assert read(np.array([21]))[0, 0, 0, 0] == 21


def test_only_what_is_missing_is_made(tmp_path, data):
  cache = tmp_path / 'cache'
  open_all(data, cache)
  before = states(cache)
  gone = shards(cache)[2]
  gone.unlink()
  read, failures, told = open_all(data, cache)
  assert '5 of them' in told[0]
  after = states(cache)
  assert {p for p in after if after[p] != before[p]} == {gone}
  assert list(failures) == [BAD]
  assert read(np.arange(COUNT))[10:13, 0, 0, 0].tolist() == [10, 11, 12]


def test_an_interrupted_build_goes_on(tmp_path, data, monkeypatch):
  cache, made = tmp_path / 'cache', []
  make = store._make

  def make_two(shard):
    if len(made) == 2:
      raise KeyboardInterrupt
    made.append(make(shard))

  monkeypatch.setattr(store, '_make', make_two)
  with pytest.raises(KeyboardInterrupt):
    open_all(data, cache)
  kept = states(cache)
  assert len(kept) == 2
  monkeypatch.setattr(store, '_make', make)
  open_all(data, cache)
  after = states(cache)
  assert len(after) == 5
  assert kept.items() <= after.items()


def test_changed_files_are_read_again(tmp_path, data):
  cache = tmp_path / 'cache'
  open_all(data, cache)
  before = states(cache)
  write(tmp_path / 'set' / f'{BAD}.png', 200)
  os.utime(data.files[3], ns=(1, 1))
  read, failures, told = open_all(data, cache)
  assert '10 of them' in told[0]
  assert failures == {}
  assert read(np.array([BAD, 3]))[:, 0, 0, 0].tolist() == [200, 3]
  assert before.items() < states(cache).items()


def test_other_pixels_or_files_are_another_cache(tmp_path, data):
  cache = tmp_path / 'cache'
  open_all(data, cache)
  open_all(data, cache, pixels=images.Pixels(image_size=9))
  open_all(data, cache, rows=np.arange(20))
  open_all(make_set(tmp_path / 'other'), cache)
  assert len(list(cache.glob('images-*'))) == 4


def test_processes_make_what_one_makes(tmp_path, data, monkeypatch):
  # Spawned processes know the module as it is.
  monkeypatch.setattr(store, 'SHARD_IMAGES', 1024)
  data = make_set(tmp_path / 'large', 1100)
  one, failures, _ = open_all(data, tmp_path / 'one')
  two, failures_of_two, _ = open_all(data, tmp_path / 'two', num_processes=2)
  rows = np.random.default_rng(0).permutation(1100)
  np.testing.assert_array_equal(one(rows), two(rows))
  assert failures == failures_of_two
  assert list(failures) == [BAD]


def test_runs_at_once_share_a_folder(tmp_path, data):
  cache, got = tmp_path / 'cache', []

  def run():
    got.append(open_all(data, cache)[0](np.arange(COUNT)))

  threads = [threading.Thread(target=run) for _ in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert len(got) == 4
  assert len(shards(cache)) == 5
  want = np.arange(COUNT)
  want[BAD] = 0
  for images_read in got:
    assert images_read[:, 0, 0, 0].tolist() == want.tolist()


@pytest.mark.parametrize(
  'spoil',
  [
    lambda path: path.write_bytes(path.read_bytes()[:200]),
    lambda path: path.write_bytes(b''),
    lambda path: path.write_bytes(b'x' * 500),
    lambda path: np.save(path, np.zeros((4, 8, 8, 1), np.uint8)),
    lambda path: np.save(path, np.zeros((5, 8, 8, 1), np.float32)),
    lambda path: np.save(path, np.array([None])),
  ],
)
def test_damage_is_named_with_its_mend(tmp_path, data, spoil):
  cache = tmp_path / 'cache'
  open_all(data, cache)
  path = shards(cache)[1]
  spoil(path)
  with pytest.raises(
    ValueError, match=r'000001-.*damaged.*; delete it, and'
  ) as e:
    open_all(data, cache)
  assert str(path) in str(e.value)
  path.unlink()
  read, _, _ = open_all(data, cache)
  assert read(np.array([7]))[0, 0, 0, 0] == 7


def test_a_full_disk_leaves_nothing_half_written(tmp_path, data, monkeypatch):
  save, cache = np.save, tmp_path / 'cache'

  def save_half(file, array):
    file.write(b'half')
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(np, 'save', save_half)
  with pytest.raises(OSError, match=r'npy cannot be written \(No space left'):
    open_all(data, cache)
  assert not [p for p in cache.rglob('*') if p.suffix not in ('', '.json')]
  monkeypatch.setattr(np, 'save', save)
  assert open_all(data, cache)[0](np.array([4]))[0, 0, 0, 0] == 4


def test_a_cache_dir_that_is_a_file(tmp_path, data):
  (tmp_path / 'cache').write_text('')
  with pytest.raises(OSError, match=r'set data\.cache_dir to another folder'):
    open_all(data, tmp_path / 'cache')


def test_images_that_do_not_fit_into_memory(data):
  with pytest.raises(ValueError, match=r'do not fit .*set data\.cache_dir'):
    open_all(data, pixels=images.Pixels(image_size=2_000_000))


@pytest.mark.parametrize('cached', [False, True])
def test_images_that_are_no_files(tmp_path, monkeypatch, cached):
  monkeypatch.setattr(store, 'SHARD_IMAGES', 5)
  asked = []

  def load_images(rows):
    asked.extend(rows.tolist())
    return np.broadcast_to(
      rows.astype(np.uint8)[:, None, None, None], (len(rows), 8, 8, 1)
    )

  data = as_dataset([str(k) for k in range(12)], load_images)
  rows = np.arange(1, 12)
  cache = tmp_path / 'cache' if cached else ''
  for _ in range(2):
    read, failures, _ = open_all(data, cache, rows, num_processes=2)
    assert failures == {}
    assert read(np.array([11, 1, 5]))[:, 0, 0, 0].tolist() == [11, 1, 5]
  assert sorted(asked) == sorted([*rows] * (1 if cached else 2))
  with pytest.raises(ValueError, match=r"set data\.crop='none'"):
    open_all(data, cache, pixels=images.Pixels(8, crop='mtcnn'))


@pytest.mark.parametrize('cached', [False, True])
def test_faces_are_cut_out(tmp_path, data, monkeypatch, cached):
  points = crop.TEMPLATE * 8 - 0.5

  def find(image):
    box = np.array([0.0, 0.0, 1.0, 1.0])
    return [crop.Face(box, 1.0, points)] if image.mean() > 4 else []

  made = crop.Detector(lambda: find, ())
  monkeypatch.setattr(crop, 'DETECTORS', {'mtcnn': made})
  crop._make_detector.cache_clear()
  cache = tmp_path / 'cache' if cached else ''
  pixels = images.Pixels(8, 1, crop='mtcnn')
  for _ in range(2):
    read, failures, _ = open_all(data, cache, pixels=pixels)
    assert failures == {
      **dict.fromkeys(range(5), crop.NO_FACE),
      BAD: 'not an image that can be decoded',
    }
    assert read(np.array([20, 2, 5]))[:, 4, 4, 0].tolist() == [20, 0, 5]
  points += 4  # Other faces are other crops.
  for folder in (tmp_path / 'cache').glob('faces-*'):
    for part in folder.iterdir():
      part.unlink()
  read, _, _ = open_all(data, cache, pixels=pixels)
  assert read(np.array([20]))[0, 0, :, 0].tolist() == [20] * 4 + [0] * 4
  crop._make_detector.cache_clear()


def test_threads_read_at_once(tmp_path, data):
  read, _, _ = open_all(data, tmp_path / 'cache')
  rows = np.random.default_rng(0).integers(0, BAD, (4, 2000))
  got = [None] * 4

  def run(k):
    got[k] = read(rows[k])

  threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  for k in range(4):
    np.testing.assert_array_equal(got[k][:, 3, 3, 0], rows[k])


@pytest.mark.parametrize('cached', [False, True])
def test_spare_bytes_are_counted_and_told(tmp_path, data, cached):
  whole = cv2.imencode('.jpg', np.full((8, 8), 70, np.uint8))[1].tobytes()
  for k in (2, 9):
    with open(data.files[k], 'wb') as file:
      file.write(whole[:-2] + b'left over' + whole[-2:])
  cache = tmp_path / 'cache' if cached else ''
  for _ in range(2):
    read, failures, told = open_all(data, cache)
    assert list(failures) == [BAD]
    assert read(np.array([2, 9]))[:, 4, 4, 0].tolist() == [70, 70]
    assert len(told) == 1 + cached
    assert told[-1].startswith('2 of 22 images have bytes to spare and were ')
    assert f'(first {data.files[2]}: ' in told[-1]


def test_no_flipped_bit_makes_another_image(tmp_path, data):
  cache = tmp_path / 'cache'
  whole = open_all(data, cache)[0](np.arange(COUNT))
  rng, told = random.Random(0), 0
  paths = [*shards(cache), *shards(cache, 'json')]
  for _ in range(80):
    path = rng.choice(paths)
    held = damage.flip_bit(path, damage.draw_bit(path, rng))
    try:
      read, failures, _ = open_all(data, cache)
    except ValueError as error:
      assert f'{path} is damaged' in str(error) and 'delete it' in str(error)
      assert [*map(str, paths)].count(str(error).split(' is damaged')[0]) == 1
      told += 1
    else:
      np.testing.assert_array_equal(read(np.arange(COUNT)), whole)
      assert [*failures] == [BAD]
    path.write_bytes(held)
  assert told > 50


def test_a_copied_cache_is_compared_once(tmp_path, data, monkeypatch):
  cache, compared = tmp_path / 'cache', []
  compare = store._compare
  monkeypatch.setattr(
    store, '_compare', lambda *a: (compared.append(a[0]), compare(*a))
  )
  open_all(data, cache)
  open_all(data, cache)
  assert not compared
  rng = random.Random(0)
  for _ in range(5):
    touched = rng.sample(shards(cache), rng.randrange(1, 5))
    for path in touched:
      shutil.copyfile(path, tmp_path / 'aside')
      os.replace(tmp_path / 'aside', path)
    compared.clear()
    read, failures, _ = open_all(data, cache)
    assert sorted(compared) == sorted(touched)
    assert [*failures] == [BAD]
    assert read(np.array([21]))[0, 0, 0, 0] == 21
    compared.clear()
    open_all(data, cache)
    assert not compared


def test_all_shards_are_checked_whatever_their_time(tmp_path, data):
  cache = tmp_path / 'cache'
  open_all(data, cache)
  open_all(data, cache, pixels=images.Pixels(image_size=9))
  paths, rng = shards(cache), random.Random(0)
  assert store.check(cache) == {'shards': 10, 'unchecked': 0, 'damaged': []}
  for _ in range(10):
    spoilt = rng.sample(paths, rng.randrange(1, 4))
    held = {}
    for path in spoilt:
      time = path.stat().st_mtime_ns
      last = 8 * path.stat().st_size - 1
      held[path] = time, damage.flip_bit(path, last - rng.randrange(2000))
      os.utime(path, ns=(time, time))
    found = store.check(cache)['damaged']
    assert [x.split(' is damaged')[0] for x in found] == sorted(
      map(str, spoilt)
    )
    for path, (time, content) in held.items():
      path.write_bytes(content)
      os.utime(path, ns=(time, time))


def test_a_cache_of_a_release_without_sums_is_used(tmp_path, data):
  cache = tmp_path / 'cache'
  open_all(data, cache)
  for told in shards(cache, 'json'):
    failures, remarks, _ = json.loads(told.read_text())
    told.unlink()  # Of those with nothing to tell there was none.
    if failures or remarks:
      told.write_text(json.dumps([failures, remarks]))
  assert store.check(cache) == {'shards': 5, 'unchecked': 5, 'damaged': []}
  before = states(cache)
  read, failures, _ = open_all(data, cache)
  assert [*failures] == [BAD] and states(cache) == before
  assert read(np.array([21]))[0, 0, 0, 0] == 21
