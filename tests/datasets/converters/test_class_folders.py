"""Class folders: copies are told, and folders that are no classes."""

import collections

import numpy as np
import pytest

from aubal_jax.datasets import manifest
from aubal_jax.datasets.converters import class_folders
from aubal_jax.runs import errors
from tests.makers import forms


def convert(folder):
  notes = class_folders.convert(folder, folder / 'm.csv')
  return manifest.read(folder / 'm.csv'), notes


def test_copies_are_told_and_stay(tmp_path):
  rng = np.random.default_rng(0)
  for n in range(20):
    folder, groups = tmp_path / str(n), collections.defaultdict(list)
    for k in range(10):
      part, name = rng.choice(['train', 'test']), rng.choice(['a', 'b'])
      contents = 'x' * int(rng.integers(1, 3)) + str(rng.integers(5))
      if k < 2:
        part, name = 'train', 'ab'[k]
      path = folder / f'{part}/{name}/{k}.png'
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(contents)
      groups[contents].append((part, name))
    found, notes = convert(folder)
    assert len(found) == 10
    assert (found.labels.sum(1) == 1).all()
    same = [group for group in groups.values() if len(group) > 1]
    assert notes[-1].startswith(
      f'{sum(len(group) - 1 for group in same)} images have the bytes of'
    )
    classes = sum(len({name for _, name in group}) > 1 for group in same)
    parts = sum(len({part for part, _ in group}) > 1 for group in same)
    assert f'{classes} such images are in several classes' in notes[-1]
    assert f'{parts} in several splits' in notes[-1]


@pytest.mark.parametrize(
  ('paths', 'message'),
  [
    (['train/a/1.png', 'b/2.png'], r"'b' is no split, and other folders"),
    (['train2017/1.png', 'val2017/1.png'], r"like splits: 'train2017', 'val2"),
    (['images/a/1.png', 'images/b/2.png'], r"with images is 'images', and"),
    (['a/1.png', 'A/2.png'], r"/a/1\.png: the label 'a' and 'A' "),
    (['train/a/1.png', 'val/A/2.png'], r"'A' and 'a' .* differ in case only"),
    (['Subject/1.png', 'b/2.png'], r"'Subject' is the name of another column"),
    (['a/1.png', 'b\n/2.png', 'b/3.png'], r'Rename the file'),
  ],
)
def test_folders_that_are_no_classes(tmp_path, paths, message):
  for path in paths:
    forms.write_image(tmp_path / path)
  with pytest.raises(errors.UserError, match=message):
    convert(tmp_path)
  assert not (tmp_path / 'm.csv').exists()


def test_what_is_in_no_class_is_counted(tmp_path):
  for path in ('a/1.png', 'b/1.jpg', '2.png', 'a/x.txt', 'a/.hidden.png'):
    forms.write_image(tmp_path / path)
  (tmp_path / 'empty').mkdir()
  found, notes = convert(tmp_path)
  assert found.label_names == ('a', 'b')
  assert notes[1] == (
    'Rows left out: 1 (not an image), 1 (not in a class folder).'
  )
  with pytest.raises(FileNotFoundError, match='does not exist'):
    convert(tmp_path / 'no')
  (tmp_path / 'm.csv').unlink()
  with pytest.raises(FileNotFoundError, match='of 0 rows none is left: it is'):
    class_folders.convert(tmp_path / 'empty', tmp_path / 'm.csv')


def test_a_folder_linked_in_is_entered_once(tmp_path):
  for path in ('a/1.png', 'b/1.png'):
    forms.write_image(tmp_path / 'set' / path)
  (tmp_path / 'set/b/again').symlink_to(tmp_path / 'set')
  found, _ = convert(tmp_path / 'set')
  assert sorted(found.ids) == ['a/1.png', 'b/1.png']


def test_a_path_that_a_spreadsheet_would_compute_is_the_same_file(tmp_path):
  rng = np.random.default_rng(0)
  for n in range(10):
    folder, wanted = tmp_path / str(n), {}
    for k in range(6):
      part = rng.choice([*"=+-@a'"]) + rng.choice(['', '=', '1+1'])
      path = folder / f'{part}x/{k}.png'
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(f'{k}')
      wanted[str(path)] = f'{k}'
    found, _ = convert(folder)
    with open(folder / 'm.csv', encoding='utf-8') as file:
      assert not [line for line in file if line[:1] in {*'=+-@'}]
    files = [folder / str(name) for name in found.ids]
    assert sorted(file.read_text() for file in files) == sorted(wanted.values())
