"""A look at the images finds what is damaged, doubled and dark."""

import dataclasses
import hashlib
import itertools
import json

import cv2
import numpy as np
import pytest
from sklearn import metrics as sk_metrics

from aubal_jax.datasets import dataset as dataset_lib
from aubal_jax.inspection import image_survey
from aubal_jax.inspection import label_survey
from aubal_jax.inspection import survey
from aubal_jax.media import decode
from aubal_jax.media import images

RNG = np.random.default_rng(0)


def noise(height=20, width=30, channels=3, kind=np.uint8):
  shape = (height, width, channels)[: 2 + (channels > 1)]
  return RNG.integers(0, np.iinfo(kind).max, shape, kind)


def encode(pixels, suffix='.png'):
  return cv2.imencode(suffix, pixels)[1].tobytes()


def make(folder, contents, labels=None, **fields):
  """Writes files of the given bytes (None: no file); returns their data set."""
  files = []
  for number, content in enumerate(contents):
    files.append(folder / f'{number}.png')
    if content is not None:
      files[-1].write_bytes(content)
  labels = np.zeros((len(files), 1)) if labels is None else labels
  return of_labels(
    labels,
    files=np.array([str(file) for file in files]),
    ids=np.array([file.name for file in files]),
    load_images=len,  # Never called: files are read as they are.
    **fields,
  )


def of_labels(labels, **fields):
  labels = np.asarray(labels, np.uint8)
  rows, columns = labels.shape
  for name, value in fields.items():
    if isinstance(value, list):
      fields[name] = np.asarray(value)
  standard = {
    'known': np.ones(labels.shape, bool),
    'label_names': tuple('abcdefgh'[:columns]),
    'split': np.full(rows, 'train'),
    'ids': np.array([f'row{k}' for k in range(rows)]),
  }
  return dataset_lib.Dataset(labels=labels, **(standard | fields))


def statistics(data, image_size=16):
  return image_survey.statistics(data, survey.look(data), image_size=image_size)


def suspicious(data):
  found = statistics(data)['suspicious']
  return {name: entry['count'] for name, entry in found.items()}


def test_bad_images_are_the_ones_that_training_cannot_read(tmp_path):
  good = encode(noise())
  contents = [
    *(good, b'', b'no image', good[: len(good) // 2], None),
    *(encode(noise(), '.jpg')[:-100], encode(noise(kind=np.uint16))),
    encode(RNG.random((9, 9), np.float32), '.tiff'),
  ]
  data = make(tmp_path, contents)
  (tmp_path / '4.png').mkdir()
  found = survey.look(data)
  for channels in (1, 3):
    _, failures = images.read(data.files, images.Pixels(16, channels))
    assert found.failures == failures
  assert found.rows.tolist() == [0, 6]
  assert found.num_images == 8
  table = image_survey.describe_failures(data, found)
  assert table['readable'] == 2
  assert sum(x['count'] for x in table['reasons']) == 6
  empty = next(x for x in table['reasons'] if 'empty' in x['reason'])
  assert empty['rows'] == [{'id': '1.png', 'split': 'train'}]


def test_spare_bytes_are_noted(tmp_path):
  whole = encode(noise(), '.jpg')
  spare = whole[:-2] + b'left over' + whole[-2:]
  data = make(tmp_path, [whole, spare, encode(noise())])
  found = survey.look(data)
  assert not found.failures
  assert list(found.remarks) == [1]
  entry = image_survey.describe_failures(data, found)['spare_bytes']
  assert entry == {'count': 1, 'rows': [{'id': '1.png', 'split': 'train'}]}


@pytest.mark.parametrize('num_threads', [1, 3])
def test_each_file_is_read_once_and_dropped_rows_never(
  tmp_path, monkeypatch, num_threads
):
  data = make(tmp_path, [encode(noise(4, 4)) for _ in range(70)])
  data = data.drop({3: 'no image', 5: 'not annotated'})
  read, calls = decode.read_contents, []
  monkeypatch.setattr(
    decode, 'read_contents', lambda path: calls.append(path) or read(path)
  )
  found = survey.look(data, num_threads=num_threads)
  assert sorted(calls) == sorted(data.files[found.rows])
  assert found.rows.tolist() == [k for k in range(70) if k not in (3, 5)]
  assert image_survey.describe_failures(data, found)['missing'] == 1


def test_facts_are_those_of_the_files(tmp_path):
  colour, grey = noise(20, 30, 3), noise(10, 10, 1)
  data = make(tmp_path, [encode(colour), encode(grey)])
  facts = survey.look(data).facts
  assert facts['width'].tolist() == [30, 10]
  assert facts['height'].tolist() == [20, 10]
  assert facts['channels'].tolist() == [3, 1]
  assert facts['bits'].tolist() == [8, 8]
  as_grey = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
  for got, pixels in zip(facts, (as_grey, grey), strict=True):
    assert got['mean'] == pytest.approx(pixels.mean(), rel=1e-5)
    assert got['deviation'] == pytest.approx(pixels.std(), rel=1e-5)
  digest = hashlib.blake2b(encode(colour), digest_size=16).digest()
  assert facts['hash'][0].tobytes() == digest


def test_an_upright_image_has_its_upright_size(tmp_path):
  jpeg = encode(noise(20, 30), '.jpg')
  turned = b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0'
  turned += bytes(4)
  size = (len(turned) + 2).to_bytes(2, 'big')
  data = make(tmp_path, [jpeg[:2] + b'\xff\xe1' + size + turned + jpeg[2:]])
  (facts,) = survey.look(data).facts
  assert (facts['width'], facts['height']) == (20, 30)


def test_images_that_are_no_files_are_told_apart_by_their_pixels():
  made = RNG.integers(0, 256, (40, 8, 8, 3), np.uint8)
  made[39] = made[0]

  def load_images(rows):
    if 37 in rows:
      raise RuntimeError('cannot draw it')
    return made[rows]

  data = of_labels(np.zeros((40, 1)), load_images=load_images)
  found = survey.look(data)
  assert found.failures == {37: 'cannot draw it'}
  assert len(found.rows) == 39
  assert found.contents[0] == found.contents[-1]
  assert len(np.unique(found.contents)) == 38
  grey = cv2.cvtColor(made[5], cv2.COLOR_RGB2GRAY)
  assert found.facts['mean'][5] == pytest.approx(grey.mean(), rel=1e-5)


def test_labels_alone_have_no_images():
  data = of_labels([[1], [0]])
  found = survey.look(data)
  assert found.num_images == 0
  assert statistics(data) is None
  assert image_survey.duplicates(data, found)['groups'] == 0
  examples = survey.examples(data, found, count=3, seed=0)
  assert [x['rows'] for x in examples] == [[], []]


def test_duplicates_within_and_across_splits(tmp_path):
  # Contents A B C D; A is twice in train and once in test, with labels that
  # differ in b; B in train and validation, where b is unknown once; C twice
  # in test; D once.
  a, b, c, d = (encode(noise(5, 5)) for _ in range(4))
  data = make(
    tmp_path,
    [b, a, c, a, d, c, b, a],
    labels=[[1, 1], [1, 1], [0, 0], [1, 0], [0, 1], [0, 0], [1, 0], [1, 1]],
    split=['train', 'train', 'test', 'train', 'train', 'test', 'validation',
           'test'],
    known=np.array([[1, 1]] * 6 + [[1, 0], [1, 1]], bool),
  )  # fmt: skip
  found = image_survey.duplicates(data, survey.look(data))
  assert (found['groups'], found['extra'], found['crossing']) == (3, 4, 2)
  assert found['across'] == [
    {'splits': ['train', 'validation'], 'images': 1},
    {'splits': ['train', 'test'], 'images': 1},
  ]
  assert found['within'] == {'train': 1, 'validation': 0, 'test': 1}
  assert found['contradictions'] == 1
  worst = found['listed'][0]
  assert [row['id'] for row in worst['rows']] == ['1.png', '3.png', '7.png']
  assert worst['labels_differ'] == ['b'] and worst['crosses']
  assert [x['crosses'] for x in found['listed']] == [True, True, False]
  assert found['listed'][1]['labels_differ'] == []


def test_duplicates_equal_a_plain_count(tmp_path):
  kinds = [encode(noise(3, 3)) for _ in range(12)]
  drawn = RNG.integers(0, 12, 30)
  labels = RNG.integers(0, 2, (30, 3))
  split = RNG.choice(dataset_lib.SPLITS, 30)
  data = make(tmp_path, [kinds[k] for k in drawn], labels, split=split)
  found = image_survey.duplicates(data, survey.look(data))
  groups = [np.flatnonzero(drawn == k) for k in range(12)]
  groups = [rows for rows in groups if len(rows) > 1]
  assert found['groups'] == len(groups)
  assert found['extra'] == sum(len(rows) - 1 for rows in groups)
  differ = sum(len(np.unique(labels[rows], axis=0)) > 1 for rows in groups)
  assert found['contradictions'] == differ
  assert {tuple(row['id'] for row in x['rows']) for x in found['listed']} == {
    tuple(data.ids[rows]) for rows in groups
  }
  assert found['across'] == [
    {'splits': list(pair), 'images': count}
    for pair in itertools.combinations(dataset_lib.SPLITS, 2)
    if (count := sum({*pair} <= {*split[rows]} for rows in groups))
  ]


def test_odd_pictures_are_counted(tmp_path):
  deep = noise(20, 20, 1, np.uint16)
  data = make(
    tmp_path,
    [
      encode(np.zeros((20, 20), np.uint8)),
      encode(np.full((20, 20), 255, np.uint8)),
      encode(np.full((20, 20, 3), 90, np.uint8)),
      encode(deep),
      encode(deep >> 4),
      encode(noise(20, 40)),
      encode(noise(9, 8)),
    ],
  )
  assert suspicious(data) == {
    'nearly_black': 2,  # The 12 bits among them: as training sees them.
    'nearly_white': 1,
    'constant': 3,
    'dark_16_bit': 1,
    'not_square': 1,
    'smaller': 1,
  }
  found = statistics(data)
  assert found['brightest_of_dark_16_bit'] == (deep >> 4).max()
  assert {'channels': 1, 'bits': 16, 'count': 2} in found['kinds']
  assert found['num_sizes'] == 3
  assert found['sizes'][0] == {'width': 20, 'height': 20, 'count': 5}
  assert found['aspect'] == {'min': 0.889, 'median': 1.0, 'max': 2.0}


def test_grey_levels_are_of_all_pixels_by_split_and_source(tmp_path):
  pixels = RNG.integers(0, 256, (6, 20, 20), np.uint8) // np.arange(
    1, 7, dtype=np.uint8
  ).reshape(-1, 1, 1)
  data = make(
    tmp_path,
    [encode(x) for x in pixels],
    split=['train'] * 4 + ['test'] * 2,
    sources=['one', 'two'] * 3,
  )
  levels = {x['of']: x for x in statistics(data)['grey']}
  assert list(levels) == ['all', 'train', 'test', 'one', 'two']
  for name, rows in (
    ('all', slice(None)),
    ('test', slice(4, None)),
    ('two', slice(1, None, 2)),
  ):
    some = pixels[rows].astype(float)
    assert levels[name]['images'] == len(some)
    assert levels[name]['mean'] == pytest.approx(some.mean(), abs=0.01)
    assert levels[name]['deviation'] == pytest.approx(some.std(), abs=0.01)


def test_drops_are_told_by_reason_and_source():
  data = of_labels(np.zeros((5, 1)), sources=['x', 'x', 'y', 'y', 'y'])
  data = data.drop({0: 'no image', 2: 'no image', 4: 'invalid row'})
  first, second = image_survey.describe_drops(data)
  assert first['reason'] == 'no image' and first['count'] == 2
  assert first['sources'] == {'x': 1, 'y': 1}
  assert second['rows'] == [{'id': 'row4', 'split': 'dropped'}]
  assert image_survey.describe_drops(of_labels([[1]])) == []


def test_long_lists_are_cut_and_their_count_is_not(tmp_path, monkeypatch):
  monkeypatch.setattr(image_survey, 'LISTED', 2)
  data = make(tmp_path, [b'bad'] * 5)
  table = image_survey.describe_failures(data, survey.look(data))
  assert table['reasons'][0]['count'] == 5
  assert len(table['reasons'][0]['rows']) == 2


def test_examples_show_their_label_each_of_another_group(tmp_path):
  number = np.arange(40)
  labels = np.stack([number % 3 == 0, number % 5 < 2], axis=1)
  contents = [encode(noise(4, 4)) for _ in range(40)]
  contents[:5] = contents[5:10]
  labels[:5] = labels[5:10]
  data = make(tmp_path, contents, labels, groups=number % 4)
  data = data.drop({39: 'no reason'})
  found = survey.look(data)
  entries = survey.examples(data, found, count=6, seed=3)
  assert [x['label'] for x in entries] == ['a', 'b', None]
  for k, entry in enumerate(entries):
    rows = entry['rows']
    assert len(rows) == 6 and 39 not in rows
    assert entry['ids'] == list(data.ids[rows])
    want = ~labels.any(1) if entry['label'] is None else labels[:, k] == 1
    assert want[rows].all()
    assert len({data.groups[row] for row in rows[:4]}) == 4
    assert len({contents[row] for row in rows}) == 6
  assert survey.examples(data, found, count=6, seed=3) == entries
  assert survey.examples(data, found, count=6, seed=4) != entries
  few = survey.examples(data, found, count=0, seed=3)
  assert [x['rows'] for x in few] == [[], [], []]


def test_a_row_of_unknown_labels_is_no_example_of_none(tmp_path):
  data = make(tmp_path, [encode(noise(4, 4)) for _ in range(2)])
  data = dataclasses.replace(data, known=np.array([[True], [False]]))
  found = survey.examples(data, survey.look(data), count=5, seed=0)
  assert found[-1]['rows'] == [0]


def test_thumbnails_are_small_and_skip_what_is_gone(tmp_path):
  wide, small = noise(50, 200), noise(5, 7)
  data = make(tmp_path, [encode(wide), encode(small), None])
  pictures = survey.thumbnails(data, [0, 1, 2], 100)
  assert sorted(pictures) == [0, 1]
  assert pictures[0].shape == (25, 100, 3)
  np.testing.assert_array_equal(pictures[1], small[:, :, ::-1])


# Six rows, two labels and a half: b is unknown in row 5, c never known.
LABELS = np.array(
  [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0], [1, 0, 0]], np.uint8
)
KNOWN = np.array([[1, 1, 0]] * 5 + [[1, 0, 0]], bool)
SIX = {
  'known': KNOWN,
  'split': ['train', 'train', 'train', 'test', 'test', 'dropped'],
  'groups': ['p', 'p', 'q', 'q', 'r', 'r'],
  'sources': ['x', 'x', 'y', 'y', 'y', 'z'],
}


def test_labels_are_counted_by_split():
  a, b, c = label_survey.labels(of_labels(LABELS, **SIX))
  assert (a['positives'], a['negatives'], a['unknown']) == (3, 2, 0)
  assert a['share'] == 0.6
  assert a['splits']['train'] == {
    'positives': 2, 'negatives': 1, 'unknown': 0, 'share': 0.66667,
  }  # fmt: skip
  assert a['splits']['validation']['share'] is None
  assert (b['groups'], b['sources']) == (3, ['x', 'y'])
  assert a['sources'] == ['x', 'y']  # z is dropped.
  assert a['groups'] == 2  # r, whose row 5 is dropped, by row 4.
  assert (c['unknown'], c['share'], c['known_sources']) == (5, None, [])
  (alone,) = label_survey.labels(of_labels([[1], [0]]))
  assert alone['groups'] is None and alone['sources'] is None


def test_jaccard_is_that_of_scikit_learn(monkeypatch):
  monkeypatch.setattr(label_survey, '_BLOCK_ROWS', 7)
  labels = (RNG.random((50, 5)) < 0.4).astype(np.uint8)
  known = RNG.random((50, 5)) < 0.8
  labels &= known
  found = label_survey.pairs(of_labels(labels, known=known))
  for i, j in itertools.combinations(range(5), 2):
    both = known[:, i] & known[:, j]
    want = sk_metrics.jaccard_score(labels[both, i], labels[both, j])
    assert found['jaccard'][i][j] == pytest.approx(want, abs=1e-4)
    assert found['jaccard'][j][i] == found['jaccard'][i][j]
  top = found['together'][0]
  assert top['jaccard'] == max(
    found['jaccard'][i][j] for i, j in itertools.combinations(range(5), 2)
  )


def test_equal_and_complementary_columns_are_found():
  a = np.array([1, 0, 1, 0, 1])
  zero, one = np.zeros(5), np.ones(5)
  other = np.array([1, 1, 0, 0, 1])
  apart = np.array([0, 1, 0, 0, 0])  # Never with a, but both may be 0.
  labels = np.stack([a, other, a, 1 - a, apart, zero, one, one], axis=1)
  known = np.ones(labels.shape, bool)
  known[1, 2] = False  # Where both are known they are equal.
  labels[~known] = 0
  found = label_survey.pairs(of_labels(labels, known=known))
  assert found['equal'] == {'count': 1, 'listed': [['a', 'c']]}
  assert found['complementary']['listed'] == [['a', 'd'], ['c', 'd']]
  assert found['jaccard'][5][5] is None


def test_only_the_most_frequent_labels_are_compared(monkeypatch):
  monkeypatch.setattr(label_survey, '_PAIRED', 3)
  monkeypatch.setattr(label_survey, '_DRAWN', 2)
  labels = np.tril(np.ones((4, 4)))[::-1]  # a 4 rows, b 3, c 2, d 1.
  found = label_survey.pairs(of_labels(labels[:, ::-1]))
  assert found['names'] == ['c', 'd'] and found['compared'] == 3
  assert found['jaccard'] == [[1, 0.75], [0.75, 1]]


def test_groups_and_those_that_cross_splits():
  found = label_survey.groups(of_labels(LABELS, **SIX))
  assert found['groups'] == 3
  assert found['splits'] == {'train': 2, 'validation': 0, 'test': 2}
  assert found['images'] == {'min': 1, 'median': 2, 'max': 2}
  assert found['crossing'] == 1
  assert found['listed'] == [
    {'group': 'q', 'train': 1, 'validation': 0, 'test': 1}
  ]
  assert label_survey.groups(of_labels(LABELS)) is None


def test_everything_is_plain_json(tmp_path):
  contents = [encode(noise(4, 4))] * 3 + [b'', None, encode(noise(4, 5))]
  data = make(tmp_path, contents, LABELS, **SIX)
  found = survey.look(data)
  tables = [
    image_survey.describe_failures(data, found),
    image_survey.describe_drops(data),
    image_survey.duplicates(data, found),
    image_survey.statistics(data, found, image_size=16),
    survey.examples(data, found, count=2, seed=0),
    label_survey.labels(data),
    label_survey.pairs(data),
    label_survey.groups(data),
  ]
  assert json.loads(json.dumps(tables, allow_nan=False)) == tables
