"""`aubal.load`: what it says is what the task predict writes, to the bit."""

import csv
import functools
import os
import pathlib
import shutil
import time

import cv2
import numpy as np
import pytest
from PIL import Image

import aubal_jax as aubal
from aubal_jax import commands
from aubal_jax import settings as settings_lib
from aubal_jax.media import crop
from aubal_jax.media import decode
from aubal_jax.network import bundle
from aubal_jax.network import ensemble
from aubal_jax.runs import files
from aubal_jax.serving import predict as predict_lib
from tests.makers import trained_runs
from tests.serving import test_predictions

LABELS = ('bright', 'edge, "half"\nof it')
BATCH = 4


@pytest.fixture(autouse=True, scope='module')
def fixture_network():
  """A network that is compiled at once."""
  with trained_runs.tiny((1, 1)):
    yield


@pytest.fixture(name='home', scope='module')
def fixture_home(tmp_path_factory):
  """A folder with the runs grey and colour, and images of many kinds."""
  home = tmp_path_factory.mktemp('home')
  for seed, (name, channels) in enumerate([('grey', 1), ('colour', 3)]):
    trained_runs.write(
      home / name, LABELS, seed=seed, channels=channels, name='tiny'
    )
  (home / 'images').mkdir()
  rng = np.random.default_rng(0)
  kinds = ('L', 'RGB', 'RGBA', 'P', '1', 'LA', 'I;16', 'CMYK')
  for k, mode in enumerate(kinds):
    size = *rng.integers(8, 40, 2), 3
    image = Image.fromarray(rng.integers(0, 256, size, np.uint8))
    if mode == 'I;16':
      wide = rng.integers(0, 65536, size[:2], np.uint16)
      image = Image.fromarray(wide)
    else:
      image = image.convert(mode)
    image.save(home / f'images/{k}.{"tiff" if k % 2 or k > 5 else "png"}')
  return home


def written(path, images):
  """The files of a folder, and float32[N, L] that predict writes of them."""
  c = settings_lib.default()
  c.task, c.data.name = 'predict', 'manifest'
  c.predict.path, c.predict.batch_size = str(images), BATCH
  commands.run_task(c, path, overwrite=True, started=time.perf_counter())
  with open(path / 'predictions.csv', newline='') as file:
    rows = list(csv.DictReader(file))
  said = [[float(row[name] or 'nan') for name in LABELS] for row in rows]
  decided = [[row[f'{n}_decision'] == '1' for n in LABELS] for row in rows]
  paths = [pathlib.Path(images) / row['path'] for row in rows]
  return paths, np.array(said, np.float32), np.array(decided)


@pytest.mark.parametrize('name', ['grey', 'colour'])
def test_files_arrays_and_images_are_predicted_as_the_task_does(home, name):
  paths, wanted, decided = written(home / name, home / 'images')
  model = aubal.load(home / name)
  same = functools.partial(np.testing.assert_array_equal, strict=True)
  same(model.predict(paths, batch_size=BATCH), wanted)
  same(model.decide(wanted), decided)
  assert (np.ptp(wanted, axis=0) > 0.01).all()
  # Any few of them, in any order.
  for seed in range(5):
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(paths))[: rng.integers(1, len(paths))]
    taken = [str(paths[k]) for k in rows]
    same(model.predict(taken, batch_size=BATCH), wanted[rows])
  # Decoded: by Pillow, and as arrays of all that the network can see.
  opened = [Image.open(path) for path in paths]
  channels = model.pixels.channels
  pixels = [decode.image(p.read_bytes(), channels) for p in paths]
  same(model.predict(pixels, batch_size=BATCH), wanted)
  found = model.predict(opened, batch_size=BATCH)
  # Of grey pixels nothing is left to do; OpenCV makes grey of a PNG's colours
  # by other roundings than of pixels.
  exact = [
    k
    for k, image in enumerate(opened)
    if channels == 3 or paths[k].suffix == '.tiff' or image.mode == 'L'
  ]
  assert len(exact) >= 5
  same(found[exact], wanted[exact])
  np.testing.assert_allclose(found, wanted, atol=0.02)


def test_an_array_is_as_many_images(home):
  rng = np.random.default_rng(0)
  for name, shapes in (
    ('grey', [(7, 20, 30), (7, 16, 16, 1), (3, 9, 40, 3)]),
    ('colour', [(7, 20, 30), (2, 16, 16, 3)]),
  ):
    model = aubal.load(home / name)
    for shape in shapes:
      images = rng.integers(0, 256, shape, np.uint8)
      found = model.predict(images, batch_size=BATCH)
      assert found.shape == (shape[0], len(LABELS))
      assert found.dtype == np.float32
      one_by_one = [
        model.predict([image], batch_size=BATCH) for image in images
      ]
      np.testing.assert_array_equal(found, np.concatenate(one_by_one))
    assert model.predict([]).shape == (0, len(LABELS))
    assert model.predict(images[:0]).shape == (0, len(LABELS))


def test_one_path_or_picture_is_one_image(home):
  model, path = aubal.load(home / 'grey'), home / 'images/0.png'
  wanted = model.predict([path], batch_size=BATCH)
  for given in (path, str(path), Image.open(path)):
    np.testing.assert_array_equal(
      model.predict(given, batch_size=BATCH), wanted
    )


@pytest.mark.parametrize('kind', ['shrunk', 'tuned', 'half'])
def test_what_it_is_can_be_asked(home, kind):
  model = aubal.load(home / 'grey', thresholds=kind)
  kept = bundle.load(home / 'grey/checkpoints').thresholds[bundle.LABELS]
  wanted = {'shrunk': kept.shrunk, 'tuned': kept.labels, 'half': [0.5] * 2}
  np.testing.assert_array_equal(model.thresholds, wanted[kind])
  assert model.names == LABELS
  assert [head.name for head in model.heads] == ['labels']
  assert '16 x 16 grey' in repr(model) and "'bright'" in repr(model)
  assert '\n' not in repr(model)


@pytest.mark.long
def test_the_mean_of_runs_is_loaded_from_its_folder(home, tmp_path):
  for name, seed in (('a', 3), ('b', 4)):
    trained_runs.write(tmp_path / name, LABELS, seed=seed, name='tiny')
  both = ensemble.load([tmp_path / 'a', tmp_path / 'b'])
  kept = both.members[0].thresholds[bundle.LABELS]
  (tmp_path / 'mean').mkdir()
  tuned = ensemble.tuned(both, kept)
  ensemble.write(tmp_path / 'mean', tuned)
  model = aubal.load(tmp_path / 'mean')
  paths, wanted, _ = written(tmp_path / 'mean', home / 'images')
  found = model.predict(paths, batch_size=BATCH)
  np.testing.assert_array_equal(found, wanted)
  np.testing.assert_array_equal(model.thresholds, kept.shrunk)
  assert 'mean logits of 2 networks' in repr(model)


def test_faces_are_cut_out_of_pixels_as_of_files(home, tmp_path, monkeypatch):
  path = shutil.copytree(home / 'grey/checkpoints', tmp_path / 'checkpoints')
  content = files.read_json(path / 'model.json')
  content['streams']['image']['crop'] = 'mtcnn'
  del content['sum']
  files.write_json(path / 'model.json', content)
  (tmp_path / 'images').mkdir()
  rng, arrays = np.random.default_rng(0), []
  for k in range(6):
    image = rng.integers(0, 256, (40 + k, 50), np.uint8)
    cv2.imwrite(str(tmp_path / f'images/{k}.png'), image)
    arrays.append(image)

  def find_faces(paths, **_):
    """Of a file of as many rows, whatever it is called."""
    found = np.full((len(paths), 5, 2), np.nan, np.float32)
    for k, file in enumerate(paths):
      height = decode.image(pathlib.Path(file).read_bytes(), 1).shape[0]
      if height < 45:
        found[k] = crop.TEMPLATE * (height - 10)
    return found, {}

  monkeypatch.setattr(crop, 'find_faces', find_faces)
  paths, wanted, _ = written(tmp_path, tmp_path / 'images')
  model = aubal.load(tmp_path)
  for given in (paths[:5], arrays[:5], [Image.open(p) for p in paths[:5]]):
    found = model.predict(given, batch_size=BATCH)
    np.testing.assert_array_equal(found, wanted[:5])
  for given in (paths, arrays):
    with pytest.raises(aubal.UserError, match=r'images\[5\].*: no face found'):
      model.predict(given, batch_size=BATCH)


IMAGE = np.zeros((9, 12, 3), np.uint8)


@pytest.fixture(name='grey', scope='module')
def fixture_grey(home):
  return aubal.load(home / 'grey')


@pytest.mark.parametrize(
  ('images', 'words'),
  [
    (IMAGE, ['uint8[9, 12, 3]', 'images[None]']),
    (IMAGE[None] / 255, ['float64[1, 9, 12, 3]', '255 * images']),
    (np.zeros((2, 9, 12, 4), np.uint8), ['C 1 or 3', '[2, 9, 12, 4]']),
    (5, ['int64[]']),
    ('.', ['is a folder', 'predict RUN IMAGES']),
    (['no.png', IMAGE], ['images[0] (no.png): there is no such file']),
    ([IMAGE] * 6 + [IMAGE[None]], ['images[6]: an image must be uint8']),
    ([IMAGE / 255], ['images[0]', 'float64[9, 12, 3]']),
    ([IMAGE[:0]], ['images[0]', 'uint8[0, 12, 3]']),
    ([None], ['images[0]', 'object']),
    ([Image.new('F', (9, 9))], ['images[0]', 'which number is white']),
    ([os.devnull], ['images[0]', 'not a file']),
  ],
)
def test_what_is_no_image_is_told(grey, images, words):
  with pytest.raises(aubal.UserError) as caught:
    grey.predict(images, batch_size=BATCH)
  for word in words:
    assert word in str(caught.value)


def test_what_is_no_trained_network_is_told(home, tmp_path):
  with pytest.raises(FileNotFoundError, match='train first'):
    aubal.load(tmp_path)
  with pytest.raises(aubal.UserError, match='thresholds must be one of'):
    aubal.load(home / 'grey', thresholds='best')
  with pytest.raises(aubal.UserError, match='batch_size must be at least 1'):
    aubal.load(home / 'grey').predict([IMAGE], batch_size=0)
  path = shutil.copytree(home / 'grey/checkpoints', tmp_path / 'checkpoints')
  content = files.read_json(path / 'model.json')
  content['streams']['sound'] = {'dtype': 'float32', 'shape': [3]}
  del content['sum']
  files.write_json(path / 'model.json', content)
  with pytest.raises(aubal.UserError, match='sees sound beside the image'):
    aubal.load(tmp_path)


def test_images_of_the_run_are_at_hand_or_not(home, tmp_path):
  """Those that an export is compared on."""
  table = test_predictions.write_table(tmp_path / 'data', 20, labels=LABELS)
  described = bundle.read(home / 'grey/checkpoints')
  c = settings_lib.default()
  c.data.name, c.data.path = 'manifest', str(table)
  files.write_json(tmp_path / 'config.json', {'config': c.to_dict()})
  unnamed = settings_lib.default()
  unnamed.data.name = 'manifest'
  for config in (c, unnamed):
    for count in (1, 7, 40):
      found = predict_lib.some_rows(config, tmp_path, described, count)
      found = found['image']
      assert found.shape == (min(count, 20), 16, 16, 1)
      assert found.any(axis=(1, 2, 3)).all()
  (tmp_path / 'data/images/0.png').write_bytes(b'no image')
  found = predict_lib.some_rows(unnamed, tmp_path, described, 20)['image']
  assert len(found) == 19 and found.any(axis=(1, 2, 3)).all()
  table.unlink()
  none = predict_lib.some_rows(unnamed, tmp_path, described, 7)
  assert none['image'].shape == (0, 16, 16, 1)
