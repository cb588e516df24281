"""Writes the generic manifest of two sets of faces, see `writing`."""

import collections
import os
import re
import types

import numpy as np

from aubal_jax.datasets import action_units
from aubal_jax.datasets import folders
from aubal_jax.datasets.converters import fer2013
from aubal_jax.datasets.converters import writing
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import any_table
from aubal_jax.tables.files import table

EMOTIONS = (
  *('neutral', 'happiness', 'surprise', 'sadness'),
  *('anger', 'disgust', 'fear', 'contempt'),
)
_VOTES = (*EMOTIONS, 'unknown', 'NF')
_RATERS = 10
_USAGES = types.MappingProxyType(
  {'Training': 'train', 'PublicTest': 'validation', 'PrivateTest': 'test'}
)
_CODE = re.compile(r'(?:([LRTB])|AD)?0*([1-9]\d?)', re.A | re.I)


def raf_au(
  folder: os.PathLike | str,
  out: os.PathLike | str,
  *,
  images: str = 'aligned',
  one_sided: str = 'present',
) -> tuple[str, ...]:
  """Writes the manifest of RAF-AU (Yan et al. 2020).

  `RAFAU_label.txt` has lines `0001.jpg 1+L4+25` or `0004.jpg null`. L and R
  are the left and the right side of the face, T and B the upper and the lower
  lip, AD an action descriptor; each counts as the AU of its number. Labels are
  the AUs that any line has; a line that does not name one says it is absent.

  Args:
    folder: what holds the labels and the folder `images`.
    out: the .csv to write.
    images: the folder of the images: 'aligned' (also with names such as
      0001_aligned.jpg) or 'original'.
    one_sided: whether an AU on one side only is 'present' or 'absent'.

  Returns:
    Notes for people: what was written, what left out.

  Raises:
    FileNotFoundError: labels or images are not there; says what is.
    UserError: an option or a line is wrong.
  """
  out = writing.check_out(out)
  for name, value, choices in (
    ('images', images, ('aligned', 'original')),
    ('one_sided', one_sided, ('present', 'absent')),
  ):
    if value not in choices:
      raise errors.UserError(
        f'{name} must be one of {[*choices]}, not {value!r}.'
      )
  path = folders.find_file(folder, ('RAFAU_label.txt',))
  coded = _read_raf_au(path, one_sided == 'present')
  found = {
    re.sub('_aligned$', '', name): file
    for name, file in folders.list_names(
      folders.find_folder(folder, (images,))
    ).items()
  }
  aus = sorted(set().union(*coded.values()))
  names = action_units.names(aus)
  rows, left_out = [], collections.Counter()
  for name, present in coded.items():
    file = found.get(os.path.splitext(name)[0])
    if file is None:
      left_out['no image'] += 1
    else:
      rows.append((file, *(int(au in present) for au in aus)))
  return writing.write(out, ('path', *names), rows, left_out, path, folder)


def _read_raf_au(path, one_sided):
  """Returns image -> set of its AUs; raises UserError on a bad line."""
  with open(path, encoding='utf-8-sig', errors='replace') as file:
    lines = [(n, line.split()) for n, line in enumerate(file, 1)]
  coded, bad = {}, []
  for number, parts in lines:
    if not parts:
      continue
    codes = parts[-1].split('+') if parts[-1].lower() != 'null' else []
    matches = [_CODE.fullmatch(code) for code in codes]
    if len(parts) != 2 or None in matches:
      bad.append((number, text.quote(' '.join(parts))))
    elif parts[0] in coded:
      bad.append((number, f'{parts[0]} a second time'))
    else:
      coded[parts[0]] = _present(matches, one_sided)
  if bad or not coded:
    raise table.finding_error(
      path,
      bad or [(1, 'no line')],
      lambda found: found[0],
      lambda found: found[1],
      'A line is the name of an image and its AUs, such as 1+L4+25, or null; '
      'every image has one. Correct it.',
    )
  return coded


def _present(matches, one_sided):
  """Returns the AUs of a line, those of one side only where `one_sided`."""
  sides = collections.defaultdict(set)
  for side, au in (match.groups() for match in matches):
    side = (side or '').upper()
    sides[int(au)] |= {side} if side in ('L', 'R') else {'L', 'R'}
  return {au for au, both in sides.items() if one_sided or len(both) == 2}


def fer_plus(
  folder: os.PathLike | str, out: os.PathLike | str, *, min_votes: int = 2
) -> tuple[str, ...]:
  """Writes the manifest of FER+ (Barsoum et al. 2016), and its images.

  `fer2013new.csv` has the votes of ten raters for each row of `fer2013.csv`
  (or `icml_face_data.csv`), in its order. Where that is there, its images are
  written as 48 x 48 PNGs into the folder `fer2013` beside the manifest, which
  takes minutes; those that are already there, and whole, are kept. Else images
  of the names in `fer2013new.csv` are looked for: no numbers of rows.

  Left out: rows whose most votes are for NF, not a face (the authors gave most
  of them no name), rows without an emotion that has `min_votes`, rows called
  like one before (the authors have four), and rows without image.

  Args:
    folder: what holds the votes, and `fer2013.csv` or the images.
    out: the .csv to write.
    min_votes: from which an emotion counts as present, 1 to 10.

  Returns:
    Notes for people: what was written, what left out.

  Raises:
    FileNotFoundError: votes or images are not there; says what is.
    UserError: an option or a row is wrong, or the two tables are not of one
      set.
  """
  out = writing.check_out(out)
  if min_votes not in range(1, _RATERS + 1):
    raise errors.UserError(
      f'min_votes must be a whole number from 1 to {_RATERS}, not '
      f'{min_votes!r}.'
    )
  path = folders.find_file(folder, ('fer2013new.csv',))
  votes, usages, names, lines = _read_votes(path)
  present = votes[:, : len(EMOTIONS)] >= min_votes
  reasons = np.select(
    [
      (votes[:, -1] > votes[:, :-1].max(1)) | (names == ''),
      ~present.any(1),
    ],
    ['not a face', f'no emotion has {min_votes} votes'],
    '',
  ).astype('<U40')
  usable = np.flatnonzero(reasons == '')
  _, first = np.unique(names[usable], return_index=True)
  reasons[np.delete(usable, first)] = 'an image of an earlier row'
  try:
    pixels = folders.find_file(folder, fer2013.FILES)
  except FileNotFoundError:
    pixels = ''
  if pixels:
    wanted = np.where(reasons == '', names, '')
    found = fer2013.write_images(
      pixels, out.parent / 'fer2013', wanted, usages, lines
    )
  else:
    found = fer2013.list_images(folder, names)
  rows = []
  for n in np.flatnonzero(reasons == '').tolist():
    file = found.get(os.path.splitext(names[n])[0])
    if file is None:
      reasons[n] = 'no image'
    else:
      rows.append((file, _USAGES[usages[n]], *present[n].astype(int).tolist()))
  left_out = collections.Counter(reasons[reasons != ''].tolist())
  return writing.write(
    out, ('path', 'split', *EMOTIONS), rows, left_out, path, folder
  )


def _read_votes(path):
  """Returns int64[R, 10] votes, str[R] usages and names, and lines."""
  rows = any_table.read(path)
  absent = {'Usage', 'Image name', *_VOTES} - {*rows.columns}
  if absent:
    raise errors.UserError(
      f'{path}:{rows.header_line}: there is no column {sorted(absent)[0]!r}; '
      f'the columns are {text.listing(map(repr, rows.columns))}. Take the '
      'table as its authors hand it out.'
    )
  usages = rows.parse(
    ['Usage'],
    '',
    lambda cell: cell if cell in _USAGES else None,
    '<U11',
    f'A usage is one of {[*_USAGES]}. Correct it.',
  )
  counts = {str(n): n for n in range(_RATERS + 1)}
  rule = f'Votes are 0 to {_RATERS}. Correct them.'
  votes = rows.parse(_VOTES, '', counts.get, np.int64, rule)
  names = rows.columns['Image name'].cells()
  return votes, usages[:, 0], names, rows.lines
