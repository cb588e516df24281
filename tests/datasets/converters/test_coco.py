"""COCO: which images are meant, which split, and what is wrong."""

import json

import numpy as np
import pytest

from aubal_jax.datasets import manifest
from aubal_jax.datasets.converters import coco
from aubal_jax.runs import errors
from tests.makers import forms


def content(names=('a.jpg', 'b.jpg'), labels=('cat', 'dog'), pairs=((0, 0),)):
  return {
    'images': [{'id': n, 'file_name': name} for n, name in enumerate(names)],
    'categories': [{'id': k, 'name': name} for k, name in enumerate(labels)],
    'annotations': [{'image_id': n, 'category_id': k} for n, k in pairs],
  }


def write(path, value=None, **options):
  path.parent.mkdir(parents=True, exist_ok=True)
  value = content(**options) if value is None else value
  path.write_text(value if isinstance(value, str) else json.dumps(value))


def write_images(folder, *paths):
  for path in paths:
    forms.write_image(folder / path)


def convert(folder, **options):
  notes = coco.convert(folder, folder / 'm.csv', **options)
  return manifest.read(folder / 'm.csv'), notes


def test_json_beside_its_images(tmp_path):
  for part in ('train', 'valid', 'test'):
    write(tmp_path / part / '_annotations.coco.json', pairs=[(1, 1), (1, 1)])
    write_images(tmp_path / part, 'a.jpg', 'b.jpg')
  found, _ = convert(tmp_path)
  rows = dict(zip(found.ids, found.labels.tolist(), strict=True))
  assert rows == {
    f'{part}/{name}.jpg': [0, int(name == 'b')]
    for part in ('train', 'valid', 'test')
    for name in 'ab'
  }
  assert dict(zip(found.ids, found.split, strict=True))['valid/a.jpg'] == (
    'validation'
  )


def test_files_that_are_named(tmp_path):
  # Numbers that are used once are found in the folder of another split, too.
  write_images(tmp_path, 'val2014/a.jpg', 'val2014/b.jpg', 'train2014/c.jpg')
  write(tmp_path / 'ann/valminusminival.json', names=['a.jpg', 'c.jpg'])
  write(tmp_path / 'ann/minival.json', names=['b.jpg'], pairs=())
  named = ['train=ann/valminusminival.json', 'Val=ann/minival.json']
  found, _ = convert(tmp_path, annotations=named)
  assert found.ids.tolist() == [
    'val2014/a.jpg',
    'train2014/c.jpg',
    'val2014/b.jpg',
  ]
  assert found.split.tolist() == ['train', 'train', 'validation']
  assert convert(tmp_path, annotations=['ann/minival.json'])[0].split is None
  for wrong in ('x=ann/minival.json', 'ann/no.json', '=ann/minival.json'):
    with pytest.raises(errors.UserError, match='must be FILE or SPLIT=FILE'):
      convert(tmp_path, annotations=[wrong])
  with pytest.raises(errors.UserError, match=r'minival\.json: neither its'):
    convert(tmp_path, annotations=[named[0], 'ann/minival.json'])
  with pytest.raises(FileNotFoundError, match=r'no file instances_\*\.json'):
    convert(tmp_path)


def test_a_path_tells_images_of_one_name_apart(tmp_path):
  write_images(tmp_path, 'x/a.jpg', 'y/a.jpg')
  write(tmp_path / 'instances_all.json', names=['x/a.jpg', './y\\a.jpg'])
  found, _ = convert(tmp_path)
  assert found.ids.tolist() == ['x/a.jpg', 'y/a.jpg']
  write(tmp_path / 'instances_all.json', names=['a.jpg'])
  with pytest.raises(errors.UserError, match=r"'a\.jpg' may be .* Move one"):
    convert(tmp_path)
  write_images(tmp_path, 'a.jpg')  # Beside the list.
  assert convert(tmp_path)[0].ids.tolist() == ['a.jpg']


def test_one_image_of_two_files(tmp_path):
  write_images(tmp_path, 'a.jpg', 'b.jpg')
  for part in ('train', 'val'):
    write(tmp_path / f'instances_{part}.json')
  with pytest.raises(errors.UserError, match=r"val\.json: 'a\.jpg' is the ima"):
    convert(tmp_path)


def test_validation_alone_has_its_split_drawn(tmp_path):
  write_images(tmp_path, 'val2017/a.jpg')
  write(tmp_path / 'annotations/instances_val2017.json')
  found, notes = convert(tmp_path)
  assert found.split is None
  assert any('All images are for validation' in note for note in notes)
  assert notes[1] == "Rows left out: 1 (no image, such as 'b.jpg')."


@pytest.mark.parametrize(
  ('value', 'message'),
  [
    ('{"images": [],\n}', r'json:2: this is not JSON \(Expecting property'),
    ('', r'json:1: this is not JSON'),
    ('[' * 10**5, r'json:1: this is not JSON'),
    ('{"x": ' + '9' * 10**4 + '}', r'json:1: this is not JSON'),
    ([], r"json: it must be an object .*; 'images' is not there"),
    (content() | {'categories': {}}, r"'categories' is not there, or no list"),
    (content(labels=()) | {'annotations': []}, r'categories is empty'),
    (content() | {'images': [3]}, r'images\[0\]: id must be .*, not None'),
    (
      content() | {'images': [{'id': True, 'file_name': 'x'}]},
      r'images\[0\]: id must be .*, not True',
    ),
    (
      content() | {'images': [{'id': 1, 'file_name': ['x']}]},
      r'images\[0\]: file_name must be text, not a list',
    ),
    (content(names=['a', 'a']), r"images\[1\]: 'a' a second time"),
    (content(labels=['a', ' a']), r"categories\[1\]: 'a' a second time"),
    (content(labels=['a', 'A']), r"categories: .*'A' and 'a' .* case only"),
    (content(labels=['a', 'path']), r"'path' is the name of another column"),
    (
      content(pairs=[(0, 0), (0, 2)]),
      r'annotations\[1\]: .*category_id 2 must',
    ),
    (content(pairs=[(7, 0)]), r'annotations\[0\]: image_id 7 '),
    (content(pairs=[([], 0)]), r'annotations\[0\]: image_id a list '),
    (content() | {'annotations': ['x']}, r'annotations\[0\]: image_id None'),
  ],
)
def test_what_is_wrong_is_named(tmp_path, value, message):
  write_images(tmp_path, 'a.jpg', 'b.jpg')
  write(tmp_path / 'instances_train.json', value)
  with pytest.raises(errors.UserError, match=message):
    convert(tmp_path)
  assert not (tmp_path / 'm.csv').exists()


def test_a_crowd_counts(tmp_path):
  rng = np.random.default_rng(0)
  for n in range(10):
    folder = tmp_path / str(n)
    crowds = rng.integers(0, 2, 5).tolist()
    value = content(names=[f'{k}.jpg' for k in range(6)])
    value['annotations'] = [
      {'image_id': k, 'category_id': k % 2, 'iscrowd': crowd}
      for k, crowd in enumerate(crowds)
    ]
    write(folder / 'instances_train.json', value)
    write_images(folder, *(f'{k}.jpg' for k in range(6)))
    labels = convert(folder)[0].labels.tolist()
    assert labels == [[1 - k % 2, k % 2] for k in range(5)] + [[0, 0]]
