import os

import pytest

from aubal_jax.datasets import folders


def touch(path):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.touch()
  return str(path)


def test_lists_images_of_any_name(tmp_path):
  names = ('a b/ü.JPG', 'a b/line\nend.Jpeg', 'a.b.c/1.2.png', '0.bmp')
  expected = {
    os.path.splitext(name)[0]: touch(tmp_path / name) for name in names
  }
  for name in ('a b/notes.txt', '.hidden.png', '.git/1.png', '__MACOSX/1.png'):
    touch(tmp_path / name)
  assert folders.list_images(tmp_path) == expected
  assert [*folders.list_files(tmp_path, ['.txt'])] == ['a b/notes']


def test_a_folder_that_links_lead_to_is_entered_once(tmp_path):
  file = touch(tmp_path / 'a/b/1.png')
  (tmp_path / 'a/b/loop').symlink_to(tmp_path, target_is_directory=True)
  (tmp_path / 'z').symlink_to(tmp_path / 'a/b', target_is_directory=True)
  (tmp_path / 'dangling.png').symlink_to(tmp_path / 'nowhere')
  found = folders.list_images(tmp_path)
  assert len(found) == 1  # A link to nothing is no image.
  assert os.path.samefile(*found.values(), file)
  deep = [*folders.levels(tmp_path, depth=9)]
  assert sum(map(len, deep)) == 3  # The root, a, and b under one name.


def test_levels_are_entered_unless_they_are_to_be_skipped(tmp_path):
  touch(tmp_path / 'V1/x/1.png')
  touch(tmp_path / 'set/y/1.png')
  names = [
    [os.path.relpath(folder, tmp_path) for folder in level]
    for level in folders.levels(tmp_path, skip=r'v\d', depth=2)
  ]
  assert names == [['.'], ['V1', 'set'], ['set/y']]


def test_finds_the_highest_folder_of_the_first_name(tmp_path):
  for name in ('a/b/One', 'a/two', 'x/y/z/w'):
    (tmp_path / name).mkdir(parents=True)
  assert folders.find_folder(tmp_path, ['one', 'two']).endswith('a/b/One')
  assert folders.find_folder(tmp_path / 'a/two', ['TWO']).endswith('a/two')
  with pytest.raises(FileNotFoundError, match=r"folder w or v .* 'a/', 'x/'"):
    folders.find_folder(tmp_path, ['w', 'v'])
  file = touch(tmp_path / 'labels.csv')
  with pytest.raises(FileNotFoundError, match=r'labels\.csv: .* is a file'):
    folders.find_folder(file, ['w'])


def test_a_folder_that_is_not_there_is_told_with_what_is(tmp_path):
  file = touch(tmp_path / 'there/labels.csv')
  for wrong in ('there/set', 'there/sets/set'):
    with pytest.raises(
      FileNotFoundError,
      match=rf"{wrong}: .* not exist; .*there holds 'labels\.csv'\. Set",
    ):
      folders.find_folder(tmp_path / wrong, ['w'])
  with pytest.raises(FileNotFoundError, match=r'labels\.csv is no folder'):
    folders.list_images(f'{file}/set')
