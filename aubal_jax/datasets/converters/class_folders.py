"""Class folders: images in a folder for each class.

  FOLDER/class/image.jpg, or
  FOLDER/train/class/image.jpg, with val (or validation) and test beside train

A label is the name of a class folder. Each file is one image with the one
label of its folder, at any depth in it. Files of the same bytes stay images of
their own, and are counted and told: in two classes they contradict each other,
in two splits they are a test of what was learnt by heart. What is in no class
folder, or is no image by its suffix, is left out and counted.
"""

import collections
import hashlib
import os
import pathlib

import numpy as np

from aubal_jax.datasets import folders
from aubal_jax.datasets import splits
from aubal_jax.datasets.converters import image_files
from aubal_jax.datasets.converters import writing
from aubal_jax.runs import errors
from aubal_jax.runs import progress
from aubal_jax.runs import text


def convert(
  folder: os.PathLike | str, out: os.PathLike | str
) -> tuple[str, ...]:
  """Writes the manifest of images in class folders.

  Args:
    folder: what holds the class folders, or train, val and test with these.
    out: the .csv to write.

  Returns:
    Notes for people: what was written, what left out.

  Raises:
    FileNotFoundError: there is no such folder, or no image.
    UserError: class folders cannot be told, or are called alike.
  """
  out = writing.check_out(out)
  folder = os.fspath(folder)
  parts = _find_splits(folder)
  images, left_out = [], collections.Counter()  # (file, split, class)
  for part, split in parts:
    for path in image_files.walk(part):
      name, slash, _ = path.partition('/')
      if os.path.splitext(path)[1].lower() not in folders.SUFFIXES:
        left_out['not an image'] += 1
      elif not slash:
        left_out['not in a class folder'] += 1
      else:
        images.append((os.path.join(part, path), split, name))
  label_names = _label_names(folder, images)
  column = {name: k for k, name in enumerate(label_names)}
  numbers = [column[writing.clean_name(name)] for *_, name in images]
  rows = writing.Rows(
    [file for file, *_ in images],
    label_names,
    np.eye(len(label_names), dtype=bool)[np.array(numbers, int)],
    split=[split for _, split, _ in images] if parts[0][1] else None,
  )
  written = writing.write_rows(out, rows, left_out, folder, folder)
  return (*written, *_copies(images))


def _find_splits(folder):
  """Returns (folder of class folders, split or '')."""
  inner = [entry for entry in folders.entries(folder) if entry.is_dir()]
  said = [splits.SPLIT_NAMES.get(entry.name.casefold(), '') for entry in inner]
  if not any(said):
    return [(folder, '')]
  if not all(said):
    raise errors.UserError(
      f'{folder}: {inner[said.index("")].name!r} is no split, and other '
      f'folders beside it are. It must hold folders of classes alone, or of '
      f'splits alone ({", ".join(splits.SPLIT_NAMES)}): move others elsewhere, '
      'and rename a class that is called like a split.'
    )
  return [(e.path, split) for e, split in zip(inner, said, strict=True)]


def _label_names(folder, images):
  """Returns the classes, sorted; UserError if they cannot be labels."""
  places = {}
  for file, _, name in images:
    places.setdefault(writing.clean_name(name), file)
  writing.check_labels(places)
  if images and all(map(image_files.splits_in, places)):
    raise errors.UserError(
      f'{folder}: the folders with images are called like splits: '
      f'{text.listing(map(text.quote, places))}. If the classes are in them, '
      'call them train, val and test; a set with lists or JSON files beside '
      'such folders is another form, see --help.'
    )
  if images and len(places) < 2:
    raise errors.UserError(
      f'{folder}: the only folder with images is {text.quote(*places)}, and '
      'classes are two at least. Set the folder to the one that holds a folder '
      'for each class.'
    )
  return sorted(places)


def _copies(images):
  """Returns notes of images that are the same bytes."""
  same = _same_bytes([file for file, *_ in images])
  if not same:
    return ()
  first = [images[n] for n in same[0]]
  others = sum(len(group) - 1 for group in same)
  classes, parts = (
    sum(len({images[n][k] for n in group}) > 1 for group in same)
    for k in (2, 1)
  )
  return (
    f'{others:,} images have the bytes of another, such as {first[1][0]} those '
    f'of {first[0][0]}; {classes:,} such images are in several classes, '
    f'{parts:,} in several splits. Each is an image of its own here.',
  )


def _same_bytes(files):
  """Returns lists of the numbers of files whose bytes are the same."""
  by_size = collections.defaultdict(list)
  for n, file in enumerate(files):
    by_size[os.path.getsize(file)].append(n)
  alike = [numbers for numbers in by_size.values() if len(numbers) > 1]
  report = progress.Progress(sum(map(len, alike)), 'Looking for equal images')
  same = collections.defaultdict(list)
  for numbers in alike:
    for n in numbers:
      contents = pathlib.Path(files[n]).read_bytes()
      same[hashlib.blake2b(contents).digest()].append(n)
      report.update()
  return sorted(numbers for numbers in same.values() if len(numbers) > 1)
