"""Extended Cohn-Kanade (CK+): sequences from a neutral face to the peak.

  cohn-kanade-images/S005/001/S005_001_00000011.png
  FACS/S005/001/S005_001_00000011_facs.txt

A FACS file is of one frame of its sequence, the last one: the peak. Each of its
lines is an AU and its intensity, as floats: `1.2000000e+01   3.0000000e+00`.
What is listed is present, also with intensity 0, which means not graded; what
is not listed is absent. The paper counts 10,724 images of 593 sequences, which
are all frames there are: by default each frame has the AUs of its peak, even
the first, which is neutral. `Landmarks` and `Emotion` are passed over.
"""

import dataclasses
import os
import re

import numpy as np

from aubal_jax.datasets import action_units
from aubal_jax.datasets import annotations
from aubal_jax.datasets import folders
from aubal_jax.datasets import frames as frames_lib
from aubal_jax.datasets import readers
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import table

# Those that Lucey et al. count (their Table 1).
AUS = (
  *(1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 23, 24),
  *(25, 26, 27, 28, 29, 31, 34, 38, 39, 43),
)
_NAME = r'(S\d+)_(\d+)_(\d+)'  # Subject, sequence, frame.
_SUBJECTS = r'S\d+'


@dataclasses.dataclass(frozen=True)
class _Coding:
  """What a FACS file says: which frame it is of, and the AUs present."""

  path: str
  peak: int
  aus: frozenset[int]


def read(folder: str, frames: str = 'sequence') -> annotations.Annotations:
  """Reads the AUs of every sequence; a row for each image.

  Args:
    folder: what holds the images and FACS, see above.
    frames: 'sequence': all frames have the AUs of the peak. 'peak': only the
      peak of a sequence is used.

  Returns:
    Labels are the AUs that any FACS file lists, sorted, those of eyes and head
    among them; groups are the subjects; there is no official split. A row
    without FACS file has a reason, and with 'peak' one that is not the peak.

  Raises:
    FileNotFoundError: images or FACS are not there; says what is.
    UserError: a file breaks a rule; names it, the line and the content.
  """
  images = _find_images(folder)
  codings = _read_codings(folder)
  codes = sorted({au for coding in codings.values() for au in coding.aus})
  labels = np.zeros((len(images), len(codes)), np.uint8)
  reasons = np.full(len(images), '', '<U12')
  for row, (sequence, frame) in enumerate(images):
    coding = codings.get(sequence)
    if coding is None:
      reasons[row] = 'no FACS file'
      continue
    labels[row] = [code in coding.aus for code in codes]
    if frames == 'peak' and frame != coding.peak:
      reasons[row] = 'not the peak'
  known = reasons != 'no FACS file'
  return annotations.Annotations(
    files=np.array([*images.values()]),
    labels=labels,
    known=np.repeat(known[:, None], len(codes), axis=1),
    label_names=action_units.names(codes),
    ids=np.array(
      [
        f'{sequence}/{os.path.basename(path)}'
        for (sequence, _), path in images.items()
      ]
    ),
    groups=np.array([sequence.split('/')[0] for sequence, _ in images]),
    frames=frames_lib.on_one_line(*zip(*images, strict=True)),
    reasons=reasons,
    notes=_notes(images, codings),
  )


def _find_images(folder):
  """Returns (sequence, frame) -> image file, sorted."""
  root = folders.find_folder(folder, ['cohn-kanade-images'], skip=_SUBJECTS)
  found = _by_frame(root, folders.list_images(root), _NAME)
  if not found:
    raise folders.missing(root, 'image such as S005/001/S005_001_00000011.png')
  return found


def _read_codings(folder):
  """Returns sequence -> `_Coding`."""
  root = folders.find_folder(folder, ['FACS', 'FACS_labels'], skip=_SUBJECTS)
  files = _by_frame(root, folders.list_files(root, ['.txt']), f'{_NAME}_facs')
  if not files:
    raise folders.missing(
      root, 'file such as S005/001/S005_001_00000011_facs.txt'
    )
  codings = {}
  for (sequence, frame), path in files.items():
    if sequence in codings:
      raise errors.UserError(
        f'{codings[sequence].path} and {path} are two FACS files of one '
        'sequence. Remove the one that is not of its peak.'
      )
    codings[sequence] = _Coding(path, frame, _read_aus(path))
  return codings


def _by_frame(root, files, pattern):
  """Returns ('S005/001', 11) -> file, sorted; other names are left out."""
  found = {}
  for name, path in files.items():
    match = re.fullmatch(pattern, name.rpartition('/')[2], re.I | re.A)
    if match:
      key = f'{match[1].upper()}/{match[2]}', int(match[3])
      if key in found:
        raise folders.ambiguous(root, found[key], path)
      found[key] = path
  return dict(sorted(found.items()))


def _read_aus(path):
  """Returns the AUs that a FACS file lists."""
  with open(path, encoding='utf-8-sig', errors='replace') as file:
    lines = file.read().split('\n')
  aus = [_parse(line) for line in lines]
  bad = [n for n, au in enumerate(aus) if au is None]
  if bad:
    raise table.finding_error(
      path,
      bad,
      lambda n: n + 1,
      lambda n: f'the line is {text.quote(lines[n])}',
      'A line is an AU and its intensity, such as 1.2e+01 3.0e+00. Correct it.',
    )
  return frozenset(aus) - {0}


def _parse(line):
  """Returns the AU of a line, 0 for a blank one, None for a malformed one."""
  if not line.strip():
    return 0
  try:
    au, intensity = map(float, line.split())
  except ValueError:
    return None
  return int(au) if au >= 1 and au.is_integer() and intensity >= 0 else None


def _notes(images, codings):
  """Returns notes on FACS files without AUs, and without their image."""
  empty = [s for s, coding in codings.items() if not coding.aus]
  lost = [s for s, c in codings.items() if (s, c.peak) not in images]
  notes = []
  if empty:
    notes.append(
      f'{len(empty)} of {len(codings)} FACS files list no AU '
      f'({text.listing(empty, text.SHOWN)}): all are absent.'
    )
  if lost:
    notes.append(
      f'{len(lost)} of {len(codings)} FACS files are of a frame without image '
      f'({text.listing(lost, text.SHOWN)}).'
    )
  return tuple(notes)


CARD = readers.Card(
  title='CK+: sequences from a neutral face to the peak, with action units.',
  description=(
    'Sequences from a neutral face to the peak, with the facial action units '
    'of the peak. AUs that no file lists are unknown.'
  ),
  homepage='http://www.jeffcohn.net/resources/',
  layout="""
Sign the agreement on the homepage. In manual_dir there must be

  cohn-kanade-images/S005/001/S005_001_00000011.png
  FACS/S005/001/S005_001_00000011_facs.txt
""",
  citation="""
@inproceedings{lucey2010extended,
  author = {Lucey, Patrick and Cohn, Jeffrey F. and Kanade, Takeo and
            Saragih, Jason and Ambadar, Zara and Matthews, Iain},
  title = {The Extended {Cohn-Kanade} Dataset ({CK+}): A Complete Dataset for
           Action Unit and Emotion-Specified Expression},
  booktitle = {Computer Vision and Pattern Recognition Workshops (CVPRW)},
  year = {2010},
}
""",
  variants=tuple(
    readers.Variant(
      frames, description, action_units.names(AUS), {'frames': frames}
    )
    for frames, description in (
      ('sequence', 'All frames, with the AUs of their peak.'),
      ('peak', 'The last frame of each sequence alone.'),
    )
  ),
)
