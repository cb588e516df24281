"""Pascal VOC: objects in images, as one XML file an image.

  Annotations/2007_000027.xml
  JPEGImages/2007_000027.jpg              or in a folder images
  ImageSets/Main/train.txt, val.txt, trainval.txt, test.txt   names, one a line

A label is the name of an object. It is present in an image with such an
object, and absent elsewhere. A class whose objects in an image are all marked
difficult is unknown there: VOC does not count them, neither for nor against.

The lists say the split. What only trainval.txt names is for training, where
there is no train.txt without val.txt. Images that are in no list, or listed
without XML or image, are left out and counted; without any list all count, and
the manifest has no split.
"""

import collections
import os
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from aubal_jax.datasets import folders
from aubal_jax.datasets.converters import lists
from aubal_jax.datasets.converters import writing
from aubal_jax.runs import errors
from aubal_jax.runs import progress
from aubal_jax.runs import text

_IMAGES = ('JPEGImages', 'images')
_SPLITS = ('train', 'val', 'test')
_LINE = 'line'  # The attribute of an element that holds its line.
_DIFFICULT = {'': False, '0': False, '1': True}


def convert(
  folder: os.PathLike | str, out: os.PathLike | str
) -> tuple[str, ...]:
  """Writes the manifest of a set in the form of Pascal VOC.

  Args:
    folder: what holds Annotations, JPEGImages and ImageSets.
    out: the .csv to write.

  Returns:
    Notes for people: what was written, what left out.

  Raises:
    FileNotFoundError: annotations or images are not there; says what is.
    UserError: a file is damaged or breaks a rule; names it and the mend.
  """
  out = writing.check_out(out)
  annotations = folders.find_folder(folder, ('Annotations',))
  root = os.path.dirname(annotations)
  images = folders.list_names(folders.find_folder(root, _IMAGES))
  split, notes = _read_lists(root)
  files = folders.list_files(annotations, ('.xml',))
  reasons = {
    name: _reason(name, files, images)
    for name in (files if split is None else split)
  }
  left_out = collections.Counter(filter(None, reasons.values()))
  if split is not None and (unlisted := len(files.keys() - split.keys())):
    left_out['in no list of ImageSets/Main'] = unlisted
  names = sorted(name for name, why in reasons.items() if not why)
  rows = _make_rows(names, files, images, split)
  written = writing.write_rows(out, rows, left_out, annotations, folder)
  return (*written, *notes)


def _reason(name, files, images):
  """Returns why an image is left out, '' if it is not."""
  if name not in files:
    return 'no annotation'
  return '' if name in images else 'no image'


def _make_rows(names, files, images, split):
  """Returns the `writing.Rows` of images, reading their annotations."""
  report = progress.Progress(len(names), 'Reading annotations')
  found, places = [], {}
  for name in names:
    found.append(_read_objects(files[name], places))
    report.update()
  writing.check_labels(places)
  if names and not places:
    raise errors.UserError(
      f'{files[names[0]]}: neither this nor any other file holds an object, so '
      'there is no label. Set the folder to that of an annotated set.'
    )
  label_names = sorted(places)
  column = {name: k for k, name in enumerate(label_names)}
  shape = len(names), len(label_names)
  labels, known = np.zeros(shape, bool), np.ones(shape, bool)
  for n, clear in enumerate(found):
    for name, is_clear in clear.items():
      labels[n, column[name]] = known[n, column[name]] = is_clear
  return writing.Rows(
    [images[name] for name in names],
    label_names,
    labels,
    known,
    None if split is None else [split[name] for name in names],
  )


def _read_lists(root):
  """Returns image -> split, None without a list, and notes."""
  folder = os.path.join(root, 'ImageSets', 'Main')
  found = {
    name: _read_list(path)
    for name in (*_SPLITS, 'trainval')
    if os.path.isfile(path := os.path.join(folder, f'{name}.txt'))
  }
  if not found:
    return None, (f'{folder} has no list, so there is no split.',)
  split = {}
  for name in _SPLITS:
    for image, line in found.get(name, {}).items():
      _check_one_list(folder, split, image, line, name)
      split[image] = 'validation' if name == 'val' else name
  rest = 'train' if 'val' in found or 'train' not in found else 'validation'
  unparted = 0
  for image, line in found.get('trainval', {}).items():
    if split.get(image) == 'test':
      _check_one_list(folder, split, image, line, 'trainval')
    unparted += image not in split
    split.setdefault(image, rest)
  if not unparted:
    return split, ()
  return split, (
    f'{unparted:,} images are in trainval.txt alone: they are for {rest}.',
  )


def _check_one_list(folder, split, image, line, name):
  """Raises UserError if an image has a split."""
  if image in split:
    raise errors.UserError(
      f'{os.path.join(folder, name)}.txt:{line}: {text.quote(image)} is in the '
      f'list for {split[image]}, too. An image has one split: remove it from '
      'one of the lists.'
    )


def _read_list(path):
  """Returns image -> line of a list."""
  found = {}
  for line, name in enumerate(lists.read_text(path).splitlines(), 1):
    if name := name.strip():
      lists.check_new(path, line, name, found)
      found[name] = line
  return found


def _read_objects(path, places):
  """Returns class -> whether one of its objects in an image is not difficult.

  Args:
    path: the XML file.
    places: class -> where it stands; new ones are put there.
  """
  root = _parse(path)
  if root.tag != 'annotation':
    raise errors.UserError(
      f'{path}:{root.get(_LINE)}: the file holds {text.quote(root.tag)}, not '
      "'annotation'. Keep nothing but annotations of VOC in this folder."
    )
  clear = {}
  for found in root.iterfind('object'):
    name = writing.clean_name(found.findtext('name', ''))
    difficult = found.findtext('difficult', '').strip()
    if not name or difficult not in _DIFFICULT:
      raise errors.UserError(
        f'{path}:{found.get(_LINE)}: the object that begins here has the name '
        f'{text.quote(name)} and difficult={text.quote(difficult)}. An object '
        'has a name, and difficult is 0 or 1, or not there. Correct it.'
      )
    places.setdefault(name, f'{path}:{found.get(_LINE)}')
    clear[name] = clear.get(name, False) or not _DIFFICULT[difficult]
  return clear


def _parse(path):
  """Returns the root of an XML file; elements know their lines.

  A document type is refused: it may declare entities that grow without end, or
  that read other files.
  """
  parser, builder = expat.ParserCreate(), ElementTree.TreeBuilder()

  def refuse(*_):
    raise errors.UserError(
      f'{path}:{parser.CurrentLineNumber}: <!DOCTYPE ...> is not read, as it '
      'may declare entities without end. Annotations need none: remove it.'
    )

  parser.StartDoctypeDeclHandler = refuse
  parser.StartElementHandler = lambda tag, _: builder.start(
    tag, {_LINE: str(parser.CurrentLineNumber)}
  )
  parser.EndElementHandler = builder.end
  parser.CharacterDataHandler = builder.data
  try:
    with open(path, 'rb') as file:
      parser.ParseFile(file)
  except errors.UserError:
    raise
  except (LookupError, ValueError, expat.ExpatError) as error:
    raise errors.UserError(
      f'{path}:{parser.CurrentLineNumber}: this is not XML '
      f'({text.first_line(error)}). The file may not have been copied whole: '
      'copy it again.'
    ) from None
  return builder.close()
