"""Images of FER2013: a table with the 48 x 48 pixels of a face in each row."""

import csv
import os
import pathlib
import re

import cv2
import numpy as np

from aubal_jax.datasets import folders
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import progress
from aubal_jax.runs import text

FILES = ('fer2013.csv', 'icml_face_data.csv')
SIDE = 48  # Height and width of an image in pixels.


def list_images(folder, names):
  """Returns the images that are there.

  Args:
    folder: searched with all that is below.
    names: str[R], as of `write_images`.

  Returns:
    Name without suffix -> file.

  Raises:
    FileNotFoundError: there is none.
    UserError: there are more than there are names: numbers of rows.
  """
  found = {
    name: file
    for name, file in folders.list_names(folder).items()
    if re.fullmatch(r'fer\d+', name)
  }
  last_name = max(names.tolist())
  if not found:
    raise folders.missing(
      folder,
      f'{FILES[0]}, and no image such as {last_name},',
      f'Put {FILES[0]} of FER2013 there.',
    )
  last = max(found)
  if last > os.path.splitext(last_name)[0]:
    raise errors.UserError(
      f'{found[last]} is beyond {last_name}, the last image of FER+: these '
      'images seem to be numbered by rows, which FER+ does not do. Remove '
      f'them, and put {FILES[0]} there instead.'
    )
  return found


def write_images(path, folder, names, usages, lines):
  """Writes the images of the rows that have a name, but for those kept.

  Args:
    path: fer2013.csv.
    folder: where they go.
    names: str[R], what the image of each row is called, '' for none.
    usages: str[R], what each row is for, as the other table says.
    lines: int64[R], where it says so.

  Returns:
    Name without suffix -> file.

  Raises:
    UserError: a row is wrong, or not of the same usage as that of the other
      table.
  """
  report = progress.Progress(len(names), 'Writing images')
  found, count = {}, 0
  for line, usage, pixels in _read_pixels(path):
    if count == len(names) or usage != usages[count]:
      other = (
        f'line {lines[count]} of the other is {usages[count]}'
        if count < len(names)
        else f'the other has {len(names)} rows only'
      )
      raise errors.UserError(
        f'{path}:{line}: this row is {text.quote(usage)}, and {other}. '
        'fer2013new.csv belongs to fer2013.csv row by row: take both as they '
        'are handed out.'
      )
    if names[count]:
      file = os.path.join(folder, names[count])
      found[os.path.splitext(names[count])[0]] = file
      _write_image(path, line, pixels, file)
    count += 1
    report.update()
  if count < len(names):
    raise errors.UserError(
      f'{path}: it has {count} rows, and fer2013new.csv has {len(names)}. It '
      'may not have been copied whole: copy it again.'
    )
  return found


def _read_pixels(path):
  """Yields (line, usage, pixels as text) of the rows of fer2013.csv."""
  with open(path, encoding='utf-8-sig', errors='replace', newline='') as file:
    rows = csv.reader(file)
    names = [name.strip().lower() for name in next(rows, ())]
    if not {'usage', 'pixels'} <= {*names}:
      raise errors.UserError(
        f'{path}:1: the columns are {text.listing(map(repr, names))}; '
        "'pixels' and 'Usage' must be among them. Take the table with all "
        'three usages.'
      )
    at = names.index('usage'), names.index('pixels')
    for row in rows:
      if row:
        cells = [row[k].strip() if k < len(row) else '' for k in at]
        yield rows.line_num, *cells


def _write_image(path, line, pixels, file):
  """Writes a PNG, unless the same one is there; ValueError on bad pixels."""
  try:
    values = bytes(map(int, pixels.split()))
  except ValueError:
    values = b''
  if len(values) != SIDE**2:
    raise errors.UserError(
      f'{path}:{line}: pixels {text.quote(pixels)} are not {SIDE**2} whole '
      'numbers from 0 to 255. The file may not have been copied whole: copy it '
      'again.'
    )
  image = np.frombuffer(values, np.uint8).reshape(SIDE, SIDE)
  contents = cv2.imencode('.png', image)[1].tobytes()
  try:
    whole = pathlib.Path(file).read_bytes() == contents
  except FileNotFoundError:
    whole = False
  if not whole:
    with files.write_atomically(file, 'wb') as opened:
      opened.write(contents)
