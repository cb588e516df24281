"""COCO: objects in images, as JSON ("instances"); one file a split.

  annotations/instances_train2017.json    images, annotations, categories
  annotations/instances_val2017.json
  train2017/000000000009.jpg              images, in any folders
  val2017/000000000139.jpg

or, as Roboflow has it, train/_annotations.coco.json beside its images. A label
is the name of a category. It is present in an image where an annotation says
so, crowds ("iscrowd") too, and absent elsewhere: an image without annotation
has no label. A category that one file does not list is unknown in its images.

The split is the word train, val or test in the name of a file, or in that of
its folder. An image is the file below FOLDER whose path ends in file_name;
where names are used twice, that in a folder of the same split, or beside the
JSON. Images that are not there are left out and counted.
"""

import dataclasses
import json
import os
import re
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import folders
from aubal_jax.datasets import splits
from aubal_jax.datasets.converters import image_files
from aubal_jax.datasets.converters import lists
from aubal_jax.datasets.converters import writing
from aubal_jax.runs import errors
from aubal_jax.runs import text

_FILE = r'instances_.*\.json|_annotations\.coco\.json'
_LISTS = ('images', 'annotations', 'categories')
# What is kept of the JSON: outlines are most of it, and say nothing here.
_KEYS = {*_LISTS, 'id', 'name', 'file_name', 'image_id', 'category_id'}
_MEND = 'Correct it, or take the file as its authors hand it out.'


@dataclasses.dataclass(frozen=True)
class _Part:
  """One JSON file.

  Attributes:
    path: the file.
    split: of its images; '' where nothing says it.
    names: N, the file_name of each image.
    categories: C, their names.
    pairs: int64[A, 2], image and category of each annotation.
  """

  path: str
  split: str
  names: list[str]
  categories: list[str]
  pairs: np.ndarray


def convert(
  folder: os.PathLike | str,
  out: os.PathLike | str,
  *,
  annotations: Sequence[str] = (),
) -> tuple[str, ...]:
  """Writes the manifest of a set in COCO's form.

  Args:
    folder: what holds the JSON files and the images.
    out: the .csv to write.
    annotations: the JSON files, from `folder` on, each maybe as SPLIT=FILE;
      () takes all instances_*.json and _annotations.coco.json.

  Returns:
    Notes for people: what was written, what left out.

  Raises:
    FileNotFoundError: JSON files or images are not there; says what is.
    UserError: a file is damaged or breaks a rule; names it and the mend.
  """
  out = writing.check_out(out)
  folder = os.fspath(folder)
  parts = [_read(*found) for found in _find_files(folder, annotations)]
  _check_splits(parts)
  label_names = _label_names(parts)
  tables = [_table(part, label_names) for part in parts]
  labels, known = map(np.concatenate, zip(*tables, strict=True))
  split = [part.split for part in parts for _ in part.names]
  files = _find_images(parts, folder)
  there = np.array(files, str) != ''
  rows = writing.Rows(
    [file for file in files if file],
    label_names,
    labels[there],
    known[there],
    np.array(split)[there].tolist() if parts[0].split else None,
  )
  source = ', '.join(part.path for part in parts)
  left_out = _count_missing(parts, there)
  return writing.write_rows(out, rows, left_out, source, folder)


def _count_missing(parts, there):
  """Returns reason -> number of the images that are not there."""
  if there.all():
    return {}
  names = [name for part in parts for name in part.names]
  example = text.quote(names[int(np.argmin(there))])
  return {f'no image, such as {example}': int(np.sum(~there))}


def _find_files(folder, annotations):
  """Returns (file, split or '') of the JSON files, in order."""
  if not annotations:
    found = [
      entry.path
      for level in folders.levels(folder)
      for current in level
      for entry in folders.entries(current)
      if re.fullmatch(_FILE, entry.name, re.I) and entry.is_file()
    ]
    if not found:
      raise folders.missing(
        folder,
        'file instances_*.json or _annotations.coco.json',
        'Name the JSON files with --annotations, or set the folder to that of '
        'the data set.',
      )
    return [(path, _split_of(path)) for path in found]
  named = []
  for value in annotations:
    word, equals, name = value.rpartition('=')
    path = os.path.join(folder, name)
    split = splits.SPLIT_NAMES.get(word.casefold(), '')
    if (equals and not split) or not os.path.isfile(path):
      raise errors.UserError(
        f'annotations={value!r}: it must be FILE or SPLIT=FILE, with a file '
        f'from {folder} on and one of {", ".join(splits.SPLIT_NAMES)}. '
        'Correct it.'
      )
    named.append((path, split or _split_of(path)))
  return named


def _split_of(path):
  """Returns the split that the name of a file, or else of its folder, says."""
  above, name = os.path.split(os.path.abspath(path))
  for part in (os.path.splitext(name)[0], os.path.basename(above)):
    said = image_files.splits_in(part)
    if len(said) == 1:
      return said.pop()
  return ''


def _check_splits(parts):
  """Raises UserError if some files say their split and some do not."""
  lacking = [part.path for part in parts if not part.split]
  if 0 < len(lacking) < len(parts):
    raise errors.UserError(
      f'{lacking[0]}: neither its name nor its folder says train, val or test '
      '(as a word of its own), and those of other files do. Name all files '
      'with --annotations SPLIT=FILE.'
    )


def _read(path, split):
  """Returns the `_Part` of a file."""
  content = _read_json(path)
  categories = _read_names(path, content, 'categories', 'name')
  names = _read_names(path, content, 'images', 'file_name')
  pairs = _read_pairs(path, content['annotations'], names, categories)
  return _Part(path, split, [*names.values()], [*categories.values()], pairs)


def _read_json(path):
  """Returns the dict of a file, with a list for each of _LISTS."""
  try:
    content = json.loads(
      lists.read_text(path),
      object_hook=lambda found: {k: found[k] for k in _KEYS & found.keys()},
    )
  except errors.UserError:
    raise
  except (RecursionError, ValueError) as error:
    line = getattr(error, 'lineno', 1)
    raise errors.UserError(
      f'{path}:{line}: this is not JSON ({text.first_line(error)}). The file '
      'may not have been copied whole: copy it again.'
    ) from None
  if not isinstance(content, dict):
    content = {}
  for key in _LISTS:
    if not isinstance(content.get(key), list):
      raise errors.UserError(
        f'{path}: it must be an object with lists {", ".join(_LISTS)}; '
        f'{key!r} is not there, or no list. Take the file of objects '
        '("instances"); image_info_*.json has no labels.'
      )
  return content


def _read_names(path, content, key, field):
  """Returns id -> name of the images or the categories of a file."""
  names, seen = {}, {}
  for n, record in enumerate(content[key]):
    record = record if isinstance(record, dict) else {}
    number, name = record.get('id'), record.get(field)
    if type(number) not in (int, str):
      wrong = f'id must be a whole number or text, not {_tell(number)}'
    elif not isinstance(name, str) or not name.strip():
      wrong = f'{field} must be text, not {_tell(name)}'
    else:
      name = writing.clean_name(name) if key == 'categories' else name
      if number not in names and name not in seen:
        names[number] = name
        seen[name] = n
        continue
      twice = f'id {number!r}' if number in names else text.quote(name)
      wrong = f'{twice} a second time'
    raise errors.UserError(f'{path}: {key}[{n}]: {wrong}. {_MEND}')
  return names


def _tell(value):
  """Returns a value of a JSON file for a message."""
  if isinstance(value, str):
    return text.quote(value)
  is_plain = value is None or isinstance(value, (bool, int, float))
  return str(value) if is_plain else f'a {type(value).__name__}'


def _read_pairs(path, annotations, names, categories):
  """Returns int64[A, 2], the image and the category of each annotation."""
  images = {number: n for n, number in enumerate(names)}
  columns = {number: k for k, number in enumerate(categories)}
  pairs = []
  try:
    for found in annotations:
      pairs.append((images[found['image_id']], columns[found['category_id']]))
  except (KeyError, TypeError):
    found = found if isinstance(found, dict) else {}
    raise errors.UserError(
      f'{path}: annotations[{len(pairs)}]: image_id '
      f'{_tell(found.get("image_id"))} and category_id '
      f'{_tell(found.get("category_id"))} must be ids of images and '
      f'categories of this file. {_MEND}'
    ) from None
  return np.array(pairs, np.int64).reshape(-1, 2)


def _label_names(parts):
  """Returns the categories of all files, in the order they are listed."""
  places = {}
  for part in parts:
    for name in part.categories:
      places.setdefault(name, f'{part.path}: categories')
  if not places:
    raise errors.UserError(f'{parts[0].path}: categories is empty. {_MEND}')
  writing.check_labels(places)
  return tuple(places)


def _table(part, label_names):
  """Returns bool[N, L] labels and known of the images of a file."""
  columns = np.array([label_names.index(n) for n in part.categories], np.int64)
  shape = len(part.names), len(label_names)
  labels, known = np.zeros(shape, bool), np.zeros(shape, bool)
  known[:, columns] = True
  images, categories = part.pairs.T
  labels[images, columns[categories]] = True
  return labels, known


def _find_images(parts, folder):
  """Returns the file of each image, '' for none; UserError on one of two."""
  index = image_files.Index(folder)
  files, owner = [], {}
  for part in parts:
    for name in part.names:
      file = index.find(name, part.split, os.path.dirname(part.path))
      if file and owner.setdefault(file, (part, name)) != (part, name):
        other, other_name = owner[file]
        raise errors.UserError(
          f'{part.path}: {text.quote(name)} is the image {file}, which '
          f'{text.quote(other_name)} of {other.path} is, too. Every image has '
          'one row: remove it from one of them, or name the files to read '
          'with --annotations.'
        )
      files.append(file)
  return files
