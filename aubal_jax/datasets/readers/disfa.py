"""DISFA (Mavadati et al. 2013): videos of 27 subjects, AU intensities 0 to 5.

  ActionUnit_Labels/SN001/SN001_au1.txt       `frame,intensity`, frames from 1
  .../SN001/.../0001.jpg                      made by who has the videos

The set has videos, not images. Looked for is any image whose path below the
folder of the set has the subject, `SN001` (`LeftVideoSN001_comp` is one), and
ends in the number of the frame, with zeros before or not: `SN001/1.png`,
`SN001/frame_00001.jpg`, `LeftVideoSN001_comp/LeftVideoSN001_comp_00001.jpg`,
`all/SN001_1.jpg`. Where both cameras are there, the left one is taken. Images
counted from 0, known by an image 0, are those of the next frame.
"""

import os
import re

import numpy as np

from aubal_jax.datasets import action_units
from aubal_jax.datasets import annotations
from aubal_jax.datasets import folders
from aubal_jax.datasets import frames
from aubal_jax.datasets import readers
from aubal_jax.runs import text

AUS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
_IMAGES = r'.*(SN\d{3})(?!\d).*\D'
_UNKNOWN = -1


def read(folder: str, least_intensity: int = 2) -> annotations.Annotations:
  """Reads the intensities and looks which frames have an image.

  Args:
    folder: what holds ActionUnit_Labels and the images, see above.
    least_intensity: from which an AU counts as present, 1 to 5.

  Returns:
    A row for each frame that any file of a subject names; groups are the
    subjects. An AU is unknown in frames that its file leaves out.

  Raises:
    FileNotFoundError: labels or images are not there; says what is.
    UserError: a file breaks a rule; names it, the line and the content.
  """
  root = folders.find_folder(folder, ('ActionUnit_Labels',), skip=r'SN\d{3}')
  images = frames.find_images(folder, _IMAGES)
  if not images:
    raise folders.missing(
      folder,
      'image such as SN001/00001.jpg',
      'The set has videos: write their frames, counted from 1, into a folder '
      'for each subject.',
    )
  files, cells, ids, groups, absent, shifted = [], [], [], [], [], []
  counted = []
  for subject, paths in _label_files(root):
    numbers, values = _read_subject(paths)
    absent += [f'{subject} AU{au:02d}' for au in AUS if au not in paths]
    found = frames.only_place(images.get(subject, {}), 'left')
    first = int(0 in found and numbers[0] > 0)
    shifted += [subject] * first
    files += [found.get(number - first, '') for number in numbers.tolist()]
    ids += [f'{subject}/{number:05d}' for number in numbers.tolist()]
    groups += [subject] * len(numbers)
    cells.append(values)
    counted.append(numbers)
  cells, files = np.concatenate(cells), np.array(files)
  known = cells != _UNKNOWN
  return annotations.Annotations(
    files=files,
    labels=(cells >= least_intensity).astype(np.uint8),
    known=known,
    label_names=action_units.names(AUS),
    ids=np.array(ids),
    groups=np.array(groups),
    frames=np.concatenate(counted).astype(np.float64),
    reasons=annotations.reasons(files, known.any(1)),
    notes=_notes(root, absent, shifted),
  )


def _label_files(root):
  """Returns (subject, AU -> file), subjects in order."""
  found = []
  for entry in folders.entries(root):
    if entry.is_dir() and re.fullmatch(r'SN\d{3}', entry.name, re.I | re.A):
      names = {
        int(match[1]): file.path
        for file in folders.entries(entry.path)
        if (match := re.fullmatch(r'.*_au0?(\d+)\.txt', file.name, re.I | re.A))
        and int(match[1]) in AUS
      }
      if not names:
        raise folders.missing(entry.path, f'file {entry.name}_au1.txt')
      found.append((entry.name.upper(), names))
  if not found:
    raise folders.missing(root, 'folder SN001')
  return found


def _read_subject(paths):
  """Returns int64[R] frames and int8[R, 12] intensities, _UNKNOWN or 0 to 5."""
  files = {au: _read_file(path) for au, path in paths.items()}
  numbers = np.unique(np.concatenate([rows.frames for rows in files.values()]))
  cells = np.full((len(numbers), len(AUS)), _UNKNOWN, np.int8)
  for au, rows in files.items():
    unknown = np.isin(rows.values[:, 1], frames.UNKNOWN)
    cells[np.searchsorted(numbers, rows.frames), AUS.index(au)] = np.where(
      unknown, _UNKNOWN, rows.values[:, 1]
    )
  return numbers, cells


def _read_file(path):
  """Returns the `Rows` of a file; raises UserError on a bad intensity."""
  rows = frames.read_rows(path, width=2)
  bad = np.flatnonzero(
    ~np.isin(rows.values[:, 1], (*range(6), *frames.UNKNOWN))
  )
  if len(bad):
    raise rows.error(
      bad,
      lambda row: f'intensity {rows.values[row, 1]}',
      'An intensity is 0 to 5, or -1, 9 or 999 for unknown. Correct it.',
    )
  return rows


def _notes(root, absent, shifted):
  """Returns what is told of files that are not there and of image numbers."""
  notes = []
  if absent:
    notes.append(
      f'{len(absent)} files are not in {os.path.abspath(root)}, those AUs are '
      f'unknown: {text.listing(absent)}.'
    )
  if shifted:
    notes.append(
      f'The images of {text.listing(shifted)} are counted from 0 and the '
      'frames from 1: image 0 is taken for frame 1, and so on.'
    )
  return tuple(notes)


CARD = readers.Card(
  title='DISFA: frames of videos of 27 people, with action units.',
  description=(
    'Frames of videos of 27 people who watch a film, with facial action units '
    'coded frame by frame.'
  ),
  homepage='http://mohammadmahoor.com/disfa/',
  layout="""
Ask for the set on the homepage, and write the frames of the videos, counted
from 1, as images. In manual_dir there must be

  ActionUnit_Labels/SN001/SN001_au1.txt
  .../SN001/.../00001.jpg
""",
  citation="""
@article{mavadati2013disfa,
  author = {Mavadati, S. Mohammad and Mahoor, Mohammad H. and Bartlett, Kevin
            and Trinh, Philip and Cohn, Jeffrey F.},
  title = {{DISFA}: A Spontaneous Facial Action Intensity Database},
  journal = {IEEE Transactions on Affective Computing},
  volume = {4},
  number = {2},
  pages = {151--160},
  year = {2013},
}
""",
  variants=tuple(
    readers.Variant(
      f'at_least_{least}',
      f'AUs of intensity {least} or more are present.',
      action_units.names(AUS),
      {'least_intensity': least},
    )
    for least in (2, 1, 3, 4, 5)
  ),
)
