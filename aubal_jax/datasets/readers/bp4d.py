"""BP4D (Zhang et al. 2014): 41 subjects in 8 tasks, AUs coded frame by frame.

  AUCoding/AU_OCC/F001_T1.csv     one file for each subject and task
  F001/T1/2440.jpg                the images, at any depth

The first line of a file has the AU of each column, the first column the frame;
0 is absent, 1 present, and 9 (or -1, 999) unknown. Only AUS are read: the
others have few codes or none. A file has the coded frames alone, the images of
all other frames are no rows. Numbers of images may have zeros before, and
folders may be called `F001_T1` too.
"""

import re

import numpy as np

from aubal_jax.datasets import action_units
from aubal_jax.datasets import annotations
from aubal_jax.datasets import folders
from aubal_jax.datasets import frames
from aubal_jax.datasets import readers
from aubal_jax.runs import errors
from aubal_jax.runs import text

AUS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
_CLIP = r'[FM]\d{3}_T\d+'
_IMAGES = r'(?:.*/)?([FM]\d{3}[/_]T\d+)(?:/|/.*\D|_|_.*\D)'
_UNKNOWN = 2  # Beside 0 and 1.


def read(folder: str) -> annotations.Annotations:
  """Reads the coding and looks which frames have an image.

  Args:
    folder: what holds AUCoding and the images, see above.

  Returns:
    A row for each row of the files; groups are the subjects.

  Raises:
    FileNotFoundError: codes or images are not there; says what is.
    UserError: a file breaks a rule; names it, the line and the content.
  """
  root = folders.find_folder(
    folder, ('AU_OCC', 'AUCoding'), skip=r'[FM]\d{3}.*'
  )
  paths = {
    frames.clip_name(entry.name[:-4]): entry.path
    for entry in folders.entries(root)
    if re.fullmatch(rf'{_CLIP}\.csv', entry.name, re.I | re.A)
  }
  if not paths:
    raise folders.missing(root, 'file such as F001_T1.csv')
  images = frames.find_images(folder, _IMAGES)
  if not images:
    raise folders.missing(folder, 'image such as F001/T1/2440.jpg')
  tables, files, ids, groups = [], [], [], []
  for clip, path in paths.items():
    rows, cells = _read_file(path)
    found = frames.only_place(images.get(clip, {}))
    numbers = rows.frames.tolist()
    files += [found.get(number, '') for number in numbers]
    ids += [f'{clip}/{number}' for number in numbers]
    groups += [clip.partition('/')[0]] * len(numbers)
    tables.append((rows, cells))
  cells, files = np.concatenate([c for _, c in tables]), np.array(files)
  known = cells != _UNKNOWN
  return annotations.Annotations(
    files=files,
    labels=(cells == 1).astype(np.uint8),
    known=known,
    label_names=action_units.names(AUS),
    ids=np.array(ids),
    groups=np.array(groups),
    frames=frames.on_one_line(
      [name.rpartition('/')[0] for name in ids],
      np.concatenate([rows.frames for rows, _ in tables]),
    ),
    reasons=annotations.reasons(files, known.any(1)),
    place=annotations.place_in_parts(
      [rows for rows, _ in tables],
      lambda rows, n: f'{rows.path}:{rows.lines[n]}',
    ),
  )


def _read_file(path):
  """Returns the `Rows` of a file and uint8[R, 12], 0, 1 or _UNKNOWN."""
  rows = frames.read_rows(path)
  names = [
    re.sub(r'^(AU)?[ _]*0*(?=\d)', '', n, flags=re.I) for n in rows.names
  ]
  for au in AUS:
    if names[1:].count(str(au)) != 1:
      raise errors.UserError(
        f'{path}: {names[1:].count(str(au))} columns are called {au}, in '
        f'{text.listing(map(text.quote, rows.names))}. The first line has '
        'the AU of each column after the first: correct it.'
      )
  take = [names.index(str(au), 1) for au in AUS]
  cells = rows.values[:, take]
  unknown = np.isin(cells, frames.UNKNOWN)
  bad = np.argwhere(~unknown & (cells != 0) & (cells != 1))
  if len(bad):
    at = {}
    for row, k in bad.tolist():
      at.setdefault(row, k)
    raise rows.error(
      [*at],
      lambda row: f'AU {AUS[at[row]]} is {cells[row, at[row]]}',
      'A code is 0, 1, or 9, -1 or 999 for unknown. Correct it.',
    )
  return rows, np.where(unknown, _UNKNOWN, cells).astype(np.uint8)


CARD = readers.Card(
  title='BP4D: frames of 41 people in 8 tasks, with action units.',
  description=(
    'Frames of 41 people in 8 tasks, with facial action units coded frame by '
    'frame.'
  ),
  homepage='https://www.cs.binghamton.edu/~lijun/Research/3DFE/3DFE_Analysis.html',
  layout="""
Ask for the set on the homepage. In manual_dir there must be

  AUCoding/AU_OCC/F001_T1.csv
  .../F001/T1/2440.jpg          at any depth
""",
  citation="""
@article{zhang2014bp4d,
  author = {Zhang, Xing and Yin, Lijun and Cohn, Jeffrey F. and Canavan, Shaun
            and Reale, Michael and Horowitz, Andy and Liu, Peng and Girard,
            Jeffrey M.},
  title = {{BP4D-Spontaneous}: A High-Resolution Spontaneous {3D} Dynamic
           Facial Expression Database},
  journal = {Image and Vision Computing},
  volume = {32},
  number = {10},
  pages = {692--706},
  year = {2014},
}
""",
  variants=(readers.Variant('', '', action_units.names(AUS)),),
)
