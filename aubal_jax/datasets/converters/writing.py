"""Writes a manifest: checks of its path, names and rows, and the notes.

Paths are relative to the table where all images are below its folder, else to
the folder of the data set. Rows without an image, or that the authors leave
out, are left out and counted. A note of what was done is for people.
"""

import dataclasses
import os
import pathlib
import unicodedata
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.datasets import folders
from aubal_jax.runs import csv_files
from aubal_jax.runs import errors
from aubal_jax.runs import text

_IMAGES = (*folders.SUFFIXES, '.gif', '.ppm', '.avif', '.jp2')
COLUMNS = ('path', 'split', 'subject')  # Of a manifest, beside the labels.


@dataclasses.dataclass(frozen=True)
class Rows:
  """The images that have a row, N of them, and their L labels.

  Attributes:
    files: N, the image files.
    label_names: L.
    labels: bool[N, L].
    known: bool[N, L]; None: all are.
    split: N of train, validation and test; None: the set has none.
    subjects: N; None: the set does not tell them.
  """

  files: Sequence[str]
  label_names: Sequence[str]
  labels: np.ndarray
  known: np.ndarray | None = None
  split: Sequence[str] | None = None
  subjects: Sequence[str] | None = None


def check_out(out: os.PathLike | str) -> pathlib.Path:
  """Returns the path of the manifest; raises UserError if it cannot be."""
  out = pathlib.Path(out)
  if out.suffix.lower() != '.csv' or out.is_dir():
    raise errors.UserError(f'{out}: name the .csv file to write, not a folder.')
  if out.is_file():
    with open(out, 'rb') as file:
      first = file.read(len(COLUMNS[0]) + 1)
    if first not in (b'', f'{COLUMNS[0]},'.encode()):
      raise errors.UserError(
        f'{out}: this file is there, and is no manifest (which begins with '
        f'{COLUMNS[0]!r}), so it is not overwritten. Name another, or remove '
        'it.'
      )
  return out


def clean_name(name: str) -> str:
  """Returns a label with single blanks, none of them around it."""
  return ' '.join(name.split())


def check_labels(places: Mapping[str, str]) -> None:
  """Raises UserError on labels that cannot be columns of one table.

  Args:
    places: label, as of `clean_name` -> where it stands, for the message.
  """
  first = {}
  for name, place in places.items():
    alike = unicodedata.normalize('NFC', name).casefold()
    other = first.setdefault(alike, name)
    wrong = (
      not name,
      _has_controls(name),
      alike in COLUMNS,
      alike.endswith(_IMAGES),
      other != name,
    )
    if any(wrong):
      what = (
        'is blank',
        'holds control characters',
        'is the name of another column of the manifest',
        'is called like an image, which no header of a table is',
        f'and {text.quote(other)} ({places[other]}) differ in case only',
      )[wrong.index(True)]
      raise errors.UserError(
        f'{place}: the label {text.quote(name)} {what}. Labels are columns of '
        'one table, each with a name of its own: rename it.'
      )


def _has_controls(name):
  """Whether there are characters that no table of text should hold."""
  return not name.isprintable() and any(
    unicodedata.category(character) in ('Cc', 'Cs') for character in name
  )


def write_rows(
  out: pathlib.Path,
  rows: Rows,
  left_out: Mapping[str, int],
  source: os.PathLike | str,
  folder: os.PathLike | str,
) -> tuple[str, ...]:
  """Writes the manifest as `write` does; returns also what is odd in it.

  A split without a row for training is not written: then it is drawn.
  """
  split, notes = rows.split, []
  if split is not None and len(split) and 'train' not in split:
    split = None
    notes.append(
      f'All images are for {" and ".join(sorted({*rows.split}))}, none for '
      'training: no split is written, and it is drawn when the manifest is '
      'read.'
    )
  cells = rows.labels.astype(int)
  if rows.known is not None and not rows.known.all():
    cells = np.where(rows.known, cells.astype(object), None)
  given = dict(zip(COLUMNS, (rows.files, split, rows.subjects), strict=True))
  given = {name: values for name, values in given.items() if values is not None}
  table = [
    (*before, *after)
    for *before, after in zip(*given.values(), cells.tolist(), strict=True)
  ]
  names = (*given, *rows.label_names)
  written = write(out, names, table, left_out, source, folder)
  return (*written, *notes, *_label_notes(rows))


def _label_notes(rows):
  """Returns notes of labels that no image has, and of unknown ones."""
  present = rows.labels if rows.known is None else rows.labels & rows.known
  never = [
    name
    for name, some in zip(rows.label_names, present.any(0), strict=True)
    if not some
  ]
  notes = []
  if never:
    notes.append(
      f'No image has {text.listing(map(repr, never))}: nothing can be learnt '
      'of such a label; data.label_columns leaves it out.'
    )
  if rows.known is not None and not rows.known.all():
    notes.append(
      f'Unknown, so blank: {np.sum(~rows.known):,} of {rows.known.size:,} '
      'labels.'
    )
  return notes


def write(
  out: pathlib.Path,
  names: Sequence[str],
  rows: Sequence[tuple],
  left_out: Mapping[str, int],
  source: os.PathLike | str,
  folder: os.PathLike | str,
) -> tuple[str, ...]:
  """Writes the manifest whole or not at all, and returns the notes.

  Args:
    out: the manifest.
    names: of its columns.
    rows: the image and the other cells of each row.
    left_out: reason -> number of rows.
    source: the file the rows are of.
    folder: the folder of the data set.

  Raises:
    FileNotFoundError: there is no row.
    UserError: two rows have one image, or its path is none for a table.
  """
  told = [f'{count:,} ({why})' for why, count in sorted(left_out.items())]
  total = len(rows) + sum(left_out.values())
  if not rows:
    why = ', '.join(told) or 'it is empty'
    raise FileNotFoundError(f'{source}: of {total:,} rows none is left: {why}.')
  images = [os.path.abspath(image) for image, *_ in rows]
  base = os.path.abspath(out.parent)
  prefix = os.path.join(base, '')
  outside = not all(image.startswith(prefix) for image in images)
  if outside:
    base = os.path.abspath(folder)
  paths = _below(base, images)
  csv_files.write(
    out,
    names,
    ((path, *cells) for path, (_, *cells) in zip(paths, rows, strict=True)),
  )
  notes = [f'{out}: {len(rows):,} images of {total:,} rows in {source}.']
  if told:
    notes.append(f'Rows left out: {", ".join(told)}.')
  if outside:
    notes.append(
      f'Paths are relative to {base}: read it with data.image_dir={base!r}.'
    )
  return tuple(notes)


def _below(base, images):
  """Returns the paths of images from a folder on; UserError on a bad one."""
  prefix = os.path.join(base, '')
  paths, seen = [], set()
  for image in images:
    is_below = image.startswith(prefix)
    path = image[len(prefix) :] if is_below else os.path.relpath(image, base)
    path = path.replace(os.sep, '/')
    if path in seen:
      raise errors.UserError(
        f'{image} has two rows. Every image has one: remove the other where '
        'the data set names it, in another spelling of its name, perhaps.'
      )
    if path != path.strip() or '\\' in path or _has_controls(path):
      raise errors.UserError(
        f'{image!r}: a table cannot hold the path {path!r}: it begins or ends '
        "with a blank, has '\\' or control characters, or is not UTF-8. Rename "
        'the file or folder, also where the data set names it.'
      )
    seen.add(path)
    paths.append(path)
  # The same file by a name that no spreadsheet computes.
  return [p if csv_files.harmless(p) == p else f'./{p}' for p in paths]
