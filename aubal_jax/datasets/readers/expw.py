"""ExpW (Zhang et al. 2018): faces of images of the web, one of 7 expressions.

  label/label.lst     `file face top left right bottom confidence class`
  image/origin/...    the images

A line is a face, and an image may have several: a row is a face, its image the
box, its group the file. Classes are 0 angry, 1 disgust, 2 fear, 3 happy, 4 sad,
5 surprise, 6 neutral; here they have the names and the order of Aff-Wild2.
"""

import numpy as np

from aubal_jax.datasets import aff_wild2_rows
from aubal_jax.datasets import annotations
from aubal_jax.datasets import folders
from aubal_jax.datasets import readers
from aubal_jax.datasets import targets
from aubal_jax.media import pieces
from aubal_jax.runs import text
from aubal_jax.tables.files import table

NAMES = aff_wild2_rows.EXPRESSIONS['2020']
_CODES = (1, 2, 3, 4, 5, 6, 0)  # Class there -> place in NAMES.
_WIDTH = 8


def read(folder: str) -> annotations.Annotations:
  """Reads the list and looks which faces have an image.

  Args:
    folder: what holds label.lst and the images, see above.

  Returns:
    A row for each face, with the target `expression` and no labels; there is
    no official split.

  Raises:
    FileNotFoundError: the list or the images are not there; says what is.
    UserError: a line breaks a rule; names it and the content.
  """
  path = folders.find_file(folder, ('label.lst',))
  names, numbers, lines = _read_list(path)
  root = folders.find_folder(folder, ('origin',))
  found = folders.list_images(root)
  stems = [name.rpartition('.')[0] or name for name in names]
  files = np.array([found.get(stem, '') for stem in stems])
  faces, boxes, codes = numbers[:, 0], numbers[:, 1:5], numbers[:, 6]
  boxes = boxes[:, [1, 0, 2, 3]]  # Left, top, right, bottom.
  is_box = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
  reasons = annotations.reasons(files, np.ones(len(names), bool))
  reasons = np.where((reasons == '') & ~is_box, 'invalid box', reasons)
  return annotations.Annotations(
    files=files,
    labels=np.zeros((len(names), 0), np.uint8),
    known=np.zeros((len(names), 0), bool),
    label_names=(),
    ids=np.array(
      [f'{n}/{face:g}' for n, face in zip(names, faces, strict=True)]
    ),
    groups=np.array(names),
    reasons=reasons,
    notes=_notes(names, found, stems),
    place=lambda row: f'{path}:{lines[row]}',
    targets={
      'expression': targets.of_codes(
        np.array(_CODES)[codes.astype(np.int64)], NAMES
      )
    },
    corners=pieces.of_boxes(boxes),
  )


def _read_list(path):
  """Returns N files, float[N, 7] numbers and the lines, all checked."""
  with open(path, encoding='utf-8-sig', errors='replace') as file:
    texts = [line.strip() for line in file]
  lines = [n for n, line in enumerate(texts, 1) if line]
  rows = [_parse(texts[n - 1]) for n in lines]
  rule = (
    'A line is 8 fields with blanks between: file, face, top, left, right, '
    'bottom, confidence, and a class from 0 to 6. Correct it.'
  )
  if not rows:
    rows, lines = [None], [1]
    texts = texts or ['']
  bad = [k for k, row in enumerate(rows) if row is None]
  if bad:
    raise _error(path, bad, lines, texts, rule)
  names, numbers = zip(*rows, strict=True)
  first = {}
  again = [
    k
    for k, (name, values) in enumerate(rows)
    if first.setdefault((name, values[0]), k) != k
  ]
  if again:
    rule = 'A face of a file stands in one line only. Correct its number.'
    raise _error(path, again, lines, texts, rule)
  return names, np.array(numbers), lines


def _parse(line):
  """Returns the file and seven numbers of a line, or None."""
  name, *cells = line.rsplit(None, _WIDTH - 1)
  try:
    numbers = [float(cell) for cell in cells]
  except ValueError:
    return None
  if len(numbers) != _WIDTH - 1 or not np.isfinite(numbers).all():
    return None
  return (name, numbers) if numbers[-1] in range(len(_CODES)) else None


def _error(path, bad, lines, texts, rule):
  return table.finding_error(
    path,
    bad,
    lines.__getitem__,
    lambda row: f'the line is {text.quote(texts[lines[row] - 1])}',
    rule,
  )


def _notes(names, found, stems):
  """Returns how many images have several faces, and how many no line."""
  notes = []
  counts = np.unique(names, return_counts=True)[1]
  if (counts > 1).any():
    notes.append(
      f'{int((counts > 1).sum()):,} of {len(counts):,} images have several '
      'faces: each is a row, and those of an image stay in one split.'
    )
  spare = {*found} - {*stems}
  if spare:
    notes.append(
      f'{len(spare):,} of {len(found):,} images have no line '
      f'({text.listing(sorted(spare), text.SHOWN)}).'
    )
  return tuple(notes)


CARD = readers.Card(
  title='ExpW: faces of images of the web, with one of seven expressions.',
  description=(
    'Faces of images that a search found, each with one of seven expressions.'
  ),
  homepage='http://mmlab.ie.cuhk.edu.hk/projects/socialrelation/index.html',
  layout="""
Get the set from the homepage. In manual_dir there must be

  label/label.lst
  image/origin/<file>.jpg
""",
  citation="""
@article{zhang2018expw,
  author = {Zhang, Zhanpeng and Luo, Ping and Loy, Chen Change and Tang,
            Xiaoou},
  title = {From Facial Expression Recognition to Interpersonal Relation
           Prediction},
  journal = {International Journal of Computer Vision},
  volume = {126},
  number = {5},
  pages = {550--569},
  year = {2018},
}
""",
  variants=(
    readers.Variant(
      *('', '', ()),
      targets={'expression': targets.of_codes(np.empty(0, int), NAMES)},
    ),
  ),
)
