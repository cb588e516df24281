import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from aubal_jax.datasets import splits
from aubal_jax.datasets.tfds import feature_labels
from aubal_jax.datasets.tfds import record_files
from aubal_jax.datasets.tfds import sets
from aubal_jax.media import images
from aubal_jax.media import store

FORMATS = ('tfrecord', 'array_record')
DRAW = splits.Draw()
PIXELS = images.Pixels(image_size=16, channels=1)
NUM_TRAIN = 1300  # More than is read at once.
ROWS = {'train': NUM_TRAIN, 'test': 40, 'validation': 30, 'unsupervised': 5}


def png(value, size=4):
  """A grey PNG in which `value` can be told."""
  pixels = np.full((size, size, 3), value, np.uint8)
  return cv2.imencode('.png', pixels)[1].tobytes()


def value_of(split, k):
  return (37 * k + 101 * len(split)) % 251


class Prepared(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """A set made of a dict split -> rows."""

  VERSION = tfds.core.Version('1.0.0')
  name = 'prepared'

  def __init__(self, features, rows, label_names=(), **options):
    self._given = features, rows, label_names
    super().__init__(**options)

  def _info(self):
    features, _, label_names = self._given
    return self.dataset_info_from_configs(
      features=tfds.features.FeaturesDict(features),
      metadata=tfds.core.MetadataDict(label_names=list(label_names)),
      disable_shuffling=False,
    )

  def _split_generators(self, _):
    return {split: enumerate(rows) for split, rows in self._given[1].items()}

  def _generate_examples(self):
    raise NotImplementedError


def prepare(folder, features, rows, *, file_format='tfrecord', **options):
  """Writes a set called 'prepared', in three files a split if it can."""
  builder = Prepared(
    features, rows, data_dir=str(folder), file_format=file_format, **options
  )
  num_shards = min(3, *map(len, rows.values()), 3)
  config = tfds.download.DownloadConfig(
    num_shards=num_shards, compute_stats=tfds.download.ComputeStatsMode.SKIP
  )
  builder.download_and_prepare(download_config=config)
  return str(folder)


FACES = {
  'image': tfds.features.Image(),
  'attributes': {'Male': np.bool_, 'Bald': np.bool_, 'Smiling': np.bool_},
  'landmarks': {'x': np.int64},
  'subject': tfds.features.Text(),
  'flag': np.int32,
}


def face(split, k):
  return {
    'image': png(value_of(split, k)),
    'attributes': {'Male': k % 2, 'Bald': k % 3 == 0, 'Smiling': k % 5 == 0},
    'landmarks': {'x': k},
    'subject': f'{split}{k // 2}',
    'flag': k % 7 == 0,
  }


@pytest.fixture(scope='module', params=FORMATS)
def faces(request, tmp_path_factory):
  rows = {s: [face(s, k) for k in range(n)] for s, n in ROWS.items()}
  folder = tmp_path_factory.mktemp(request.param)
  return prepare(folder, FACES, rows, file_format=request.param)


def load(folder, name='prepared', *, pixels=PIXELS, draw=DRAW, **options):
  return sets.load(name, data_dir=folder, draw=draw, pixels=pixels, **options)


def test_labels_splits_groups_and_images_belong_together(faces):
  data = load(faces)
  assert data.label_names == ('Bald', 'Male', 'Smiling')
  assert data.num_rows() == {
    'train': NUM_TRAIN,
    'validation': 30,
    'test': 40,
    'dropped': 0,
  }
  assert data.known.all()
  k_of = {}  # The pixels tell the row, the labels must agree.
  for split in ('train', 'validation', 'test'):
    rows = data.rows(split)
    grey = data.load_images(rows)[:, 0, 0, 0]
    order = [int(group.removeprefix(split)) for group in data.groups[rows]]
    k = np.array(
      [
        next(
          2 * half + odd
          for odd in (0, 1)
          if value_of(split, 2 * half + odd) == value
        )
        for half, value in zip(order, grey.tolist(), strict=True)
      ]
    )
    assert sorted(k) == list(range(len(rows)))
    expected = np.stack([k % 3 == 0, k % 2 == 1, k % 5 == 0], axis=1)
    np.testing.assert_array_equal(data.labels[rows], expected)
    k_of[split] = k
  assert (k_of['train'] != np.arange(NUM_TRAIN)).any()  # TFDS shuffles.
  assert 'left out the splits unsupervised' in ' '.join(data.notes)
  assert len(set(data.ids)) == len(data)


def test_images_of_any_rows_in_any_order(faces):
  data = load(faces)
  everything = data.load_images(np.arange(len(data)))
  rng = np.random.default_rng(0)
  for rows in (
    rng.integers(0, len(data), 60),
    np.array([len(data) - 1, 0, 0, NUM_TRAIN, NUM_TRAIN - 1, 0]),
    np.array([], np.int64),
  ):
    np.testing.assert_array_equal(data.load_images(rows), everything[rows])


def test_both_formats_give_the_rows_of_the_slices_of_tfds(tmp_path):
  rows = {'train': [face('train', k) for k in range(50)]}
  folders = [
    prepare(tmp_path / name, FACES, rows, file_format=name) for name in FORMATS
  ]
  first, second = map(load, folders)
  assert first.fingerprint() == second.fingerprint()
  grey = first.load_images(np.arange(50))
  np.testing.assert_array_equal(grey, second.load_images(np.arange(50)))
  builder = tfds.builder_from_directory(f'{folders[0]}/prepared/1.0.0')
  for k in (0, 17, 49):
    (row,) = tfds.as_numpy(builder.as_dataset(split=f'train[{k}:{k + 1}]'))
    assert first.ids[k] == f'prepared/1.0.0/train[{k}]'
    assert first.groups[k] == row['subject'].decode()
    assert (grey[k] == row['image'][0, 0, 0]).all()


def test_rows_far_apart_are_read_by_runs(small, monkeypatch):
  data = load(small)
  rows = np.array([7, 0, 3, 4])
  expected = data.load_images(rows)
  monkeypatch.setattr(record_files, '_NEAR', 1)
  np.testing.assert_array_equal(data.load_images(rows), expected)


def test_tfds_does_not_log_how_it_reads(small, capfd, caplog):
  load(small).load_images(np.arange(8))
  assert capfd.readouterr() == ('', '') and not caplog.text


def test_a_set_with_only_train_is_split_by_group(tmp_path):
  rows = {'train': [face('train', k) for k in range(40)]}
  folder = prepare(tmp_path, FACES, rows)
  data = load(folder, draw=splits.Draw(0.25, 0.25))
  assert data.num_rows() == {
    'train': 20,
    'validation': 10,
    'test': 10,
    'dropped': 0,
  }
  for split in ('train', 'validation', 'test'):
    others = data.groups[data.split != split]
    assert not set(data.groups[data.split == split]) & set(others)
  assert any('by group' in note for note in data.notes)


OBJECTS = tfds.features.ClassLabel(names=['cat', 'dog', 'sheep'])


def objects(*rows, **features):
  """A set like VOC: classes, objects, and one class for the picture."""
  return (
    {
      'labels': tfds.features.Sequence(OBJECTS),
      'objects': tfds.features.Sequence(
        {'label': OBJECTS, 'bbox': tfds.features.BBoxFeature()}
      ),
      'main': OBJECTS,
      **features,
    },
    {
      'train': [
        {
          'labels': there,
          'objects': [
            {'label': n, 'bbox': tfds.features.BBox(0.0, 0.0, 1.0, 1.0)}
            for n in there
          ],
          'main': main,
        }
        for there, main in rows
      ]
    },
  )


@pytest.mark.parametrize('file_format', FORMATS)
def test_classes_become_labels(tmp_path, file_format):
  features, rows = objects(
    (['cat', 'sheep', 'cat'], 1), ([], 0), (['dog'], -1), ([-1, 0], 2)
  )
  folder = prepare(tmp_path, features, rows, file_format=file_format)
  order = [f'prepared/1.0.0/train[{k}]' for k in range(4)]

  def read(*label_columns):
    found = sets.read_labels(
      'prepared', data_dir=folder, label_columns=label_columns
    )
    assert found.split.tolist() == ['train'] * 4 and found.ids.tolist() == order
    cells = np.where(found.known, found.labels.astype(int), -1)
    return {tuple(row) for row in cells.tolist()}, found.label_names

  expected = {(1, 0, 1), (0, 0, 0), (0, 1, 0), (1, -1, -1)}
  assert read('labels') == (expected, ('cat', 'dog', 'sheep'))
  assert read('objects/label') == (expected, ('cat', 'dog', 'sheep'))
  assert read('main') == (
    {(0, 1, 0), (1, 0, 0), (-1, -1, -1), (0, 0, 1)},
    ('cat', 'dog', 'sheep'),
  )
  cells, names = read('labels/dog', 'main/dog', 'main/cat')
  assert names == ('labels/dog', 'main/dog', 'cat')
  assert cells == {(0, 1, 0), (0, 0, 1), (1, -1, -1), (-1, 0, 0)}


def test_the_one_class_is_taken_where_there_is_nothing_else(tmp_path):
  rows = {'train': [{'label': k} for k in (0, 2)]}
  folder = prepare(tmp_path, {'label': OBJECTS}, rows)
  found = sets.read_labels('prepared', data_dir=folder)
  assert found.label_names == ('cat', 'dog', 'sheep') and found.known.all()
  assert sorted(found.labels.tolist()) == [[0, 0, 1], [1, 0, 0]]


VECTORS = {
  'labels': tfds.features.Tensor(shape=(2,), dtype=np.uint8),
  'known': tfds.features.Tensor(shape=(2,), dtype=np.bool_),
  'id': tfds.features.Text(),
  'group': tfds.features.Text(),
}


@pytest.mark.parametrize('file_format', FORMATS)
def test_a_vector_has_names_gaps_and_ids(tmp_path, file_format):
  rows = [
    {'labels': [1, 0], 'known': [True, False], 'id': 'ä/1.jpg', 'group': ''},
    {'labels': [0, 1], 'known': [True, True], 'id': 'b.jpg', 'group': 'b'},
    {'labels': [7, 1], 'known': [False, True], 'id': 'c.jpg', 'group': 'b'},
  ]
  features = {**VECTORS, 'image': tfds.features.Image()}
  for row in rows:
    row['image'] = png(50)
  folder = prepare(
    tmp_path,
    features,
    {'train': rows, 'test': rows[:1]},
    label_names=('AU01', 'AU02'),
    file_format=file_format,
  )
  data = load(folder)
  assert data.label_names == ('AU01', 'AU02')
  found = {
    (split, name): (*labels, *known)
    for split, name, labels, known in zip(
      data.split.tolist(),
      data.ids.tolist(),
      data.labels.tolist(),
      data.known.tolist(),
      strict=True,
    )
  }
  assert found == {
    ('train', 'prepared/1.0.0/ä/1.jpg'): (1, 0, True, False),
    ('train', 'prepared/1.0.0/b.jpg'): (0, 1, True, True),
    ('train', 'prepared/1.0.0/c.jpg'): (0, 1, False, True),
    ('test', 'prepared/1.0.0/ä/1.jpg'): (1, 0, True, False),
  }
  assert len(set(data.groups)) == 3  # A blank one is a group of its own.
  assert load(folder, label_columns=('AU02',)).label_names == ('AU02',)


def test_a_label_that_no_row_knows_is_left_out_unless_it_is_named(tmp_path):
  row = {'labels': [1, 0], 'known': [True, False], 'id': '', 'group': ''}
  folder = prepare(tmp_path, VECTORS, {'train': [row, row]})

  def read(*label_columns):
    return sets.read_labels(
      'prepared', data_dir=folder, label_columns=label_columns
    ).label_names

  assert read() == ('labels_0',)
  assert read('labels') == ('labels_0', 'labels_1')


@pytest.fixture(scope='module')
def small(tmp_path_factory):
  rows = [{**face('train', k), 'main': 'cat'} for k in range(8)]
  features = {**FACES, 'main': OBJECTS}
  return prepare(tmp_path_factory.mktemp('small'), features, {'train': rows})


@pytest.mark.parametrize(
  ('wanted', 'names'),
  [
    (('Male', 'Bald'), ('Male', 'Bald')),
    (('attributes/Smiling',), ('Smiling',)),
    (('attributes',), ('Bald', 'Male', 'Smiling')),
    (('flag', 'dog'), ('flag', 'dog')),
    ((), ('Bald', 'Male', 'Smiling')),
  ],
)
def test_labels_are_named_by_path_end_or_folder(small, wanted, names):
  assert load(small, label_columns=wanted).label_names == names


@pytest.mark.parametrize(
  ('wanted', 'message'),
  [
    (('male',), "no label 'male'.*Did you mean 'Male'"),
    (('Smilling',), "Did you mean 'Smiling'"),
    (('Male', 'attributes'), 'names a label twice'),
    (('x',), r"split 'train', row \d: 'landmarks/x' is [2-7]; a label is 0 or"),
    (('image',), "no label 'image'"),
  ],
)
def test_labels_that_are_none_are_refused(small, wanted, message):
  with pytest.raises(ValueError, match=message):
    load(small, label_columns=wanted)


@pytest.mark.parametrize(
  ('features', 'message'),
  [
    (
      objects()[0],
      "more than one.*there are 'labels', 'main', 'objects/label'",
    ),
    ({'a': np.bool_, 'labels': tfds.features.Sequence(OBJECTS)}, 'more than'),
    ({'a': OBJECTS, 'b': OBJECTS}, "there are 'a', 'b'"),
    ({'a': np.int64}, "no feature is plainly the labels.*there are 'a'"),
    ({'a': np.float32}, 'none that are labels'),
  ],
)
def test_labels_that_are_not_plain_must_be_named(features, message):
  sources = feature_labels.find_sources(
    tfds.features.FeaturesDict(features), None
  )
  with pytest.raises(ValueError, match=message):
    feature_labels.select(sources, (), 'here')


def test_a_name_that_is_two_features_is_refused():
  sources = feature_labels.find_sources(
    tfds.features.FeaturesDict(objects()[0]), None
  )
  with pytest.raises(
    ValueError,
    match=r"here: the label 'cat' is 3 features: 'labels/cat', 'main/c",
  ):
    feature_labels.select(sources, ('cat',), 'here')


def test_a_set_that_is_not_prepared_says_how_to_prepare_it(small):
  with pytest.raises(ValueError) as error:
    load(small, 'preparde')
  assert "no prepared TFDS set 'preparde'" in str(error.value)
  assert 'prepared there: prepared:1.0.0' in str(error.value)
  assert "Did you mean 'prepared'?" in str(error.value)
  assert "tfds.load('preparde'" in str(error.value)
  with pytest.raises(
    ValueError, match=r'import aubal_jax.datasets.tfds.builders'
  ):
    load(small, 'aff_wild2/2020')
  with pytest.raises(
    ValueError, match=r"no prepared TFDS set 'prepared:2.0.0'"
  ):
    load(small, 'prepared:2.0.0')
  assert load(small, 'prepared:1.0.0').label_names


def test_crops_sets_without_images_or_training_are_refused(small, tmp_path):
  with pytest.raises(ValueError, match=r"Set data.crop='none'"):
    load(small, pixels=images.Pixels(crop='mtcnn'))
  folder = prepare(tmp_path, {'a': np.bool_}, {'test': [{'a': True}]})
  with pytest.raises(ValueError, match=r'no images, only .*tfds:prepared$'):
    load(folder)
  with pytest.raises(ValueError, match=r"none of its splits \['test'\] trains"):
    sets.read_labels('prepared', data_dir=folder)


@pytest.mark.parametrize('file_format', FORMATS)
def test_an_image_that_is_broken_is_named(tmp_path, file_format):
  rows = [face('train', k) for k in range(9)]
  rows[4]['image'] = rows[4]['image'][:-20]
  folder = prepare(
    tmp_path, FACES, {'train': rows, 'test': rows[:1]}, file_format=file_format
  )
  data = load(folder)
  (broken,) = np.flatnonzero((data.groups == 'train2') & ~data.labels[:, 1])
  with pytest.raises(ValueError) as error:
    data.load_images(np.arange(len(data)))
  assert f'train[{broken}]: the image cannot be read' in str(error.value)
  whole = np.delete(np.arange(len(data)), broken)
  assert len(data.load_images(whole)) == len(whole)


@pytest.mark.parametrize('file_format', FORMATS)
@pytest.mark.parametrize('damage', ['gone', 'cut', 'garbled'])
def test_damaged_files_are_named(tmp_path, file_format, damage):
  rows = {'train': [face('train', k) for k in range(60)]}
  folder = prepare(tmp_path, FACES, rows, file_format=file_format)
  data = load(folder)
  (path,) = tmp_path.glob('prepared/1.0.0/*-00001-of-*')
  if damage == 'gone':
    path.unlink()
  elif damage == 'cut':
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  else:
    path.write_bytes(b'\xa5' * path.stat().st_size)
  with pytest.raises(
    ValueError, match=r"split 'train' in .*damaged or missing"
  ):
    load(folder)
  with pytest.raises(
    ValueError, match=r"split 'train' in .*damaged or missing"
  ):
    data.load_images(np.arange(60))


def test_a_cache_is_built_of_it(small, tmp_path):
  data = load(small)
  rows = data.rows('train')
  read, failures = store.open_images(
    data, rows, PIXELS, cache_dir=str(tmp_path)
  )
  assert not failures
  np.testing.assert_array_equal(read(rows), data.load_images(rows))
