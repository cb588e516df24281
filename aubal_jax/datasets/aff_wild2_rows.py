"""One annotation file of Aff-Wild2; `aff_wild2` tells what it looks like."""

import dataclasses
import os
import re
import types

import numpy as np

from aubal_jax.datasets import action_units
from aubal_jax.runs import errors
from aubal_jax.runs import text
from aubal_jax.tables.files import table

# Release -> its AUs, in the order of its files.
LABELS = types.MappingProxyType(
  {
    '2020': action_units.CODES,
    '2022': action_units.names((1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)),
  }
)
_IMAGE = re.compile(r'(?:.*/)?([^/]+)/(\d+)\.\w+', re.ASCII)
_MEANINGS = types.MappingProxyType(
  {
    f'{value}{point}': value
    for value in (0, 1, -1, -5)
    for point in ('', '.', '.0')
  }
)


@dataclasses.dataclass(frozen=True)
class Rows:
  """What a file says.

  Attributes:
    path: the file; row n is its line n + 2.
    videos: N names, with _left or _right.
    frames: N numbers of images, counted from 1.
    labels: uint8[N, L], 0 or 1; 0 where not annotated.
    annotated: bool[N].
  """

  path: str
  videos: list[str]
  frames: list[int]
  labels: np.ndarray
  annotated: np.ndarray

  def __len__(self):
    return len(self.labels)


def read(path: str, label_names: tuple[str, ...]) -> Rows:
  """Reads a file of one video, or a multi-task file.

  It costs what the distinct rows cost: a million rows take about 1 s.

  Raises:
    UserError: it breaks a rule; names the line and the content.
  """
  names, lines = _read_lines(path)
  if names[0] in ('image', 'image_location'):
    parted = [line.partition(',') for line in lines]
    videos, frames = _read_names(path, [name for name, _, _ in parted])
    names, rows = names[1:], [rest for _, _, rest in parted]
  else:
    video = os.path.splitext(os.path.basename(path))[0]
    videos, frames = [video] * len(lines), list(range(1, len(lines) + 1))
    rows = lines
  take = _positions(path, names, label_names)
  distinct = {}
  codes = [distinct.setdefault(row, len(distinct)) for row in rows]
  cells = [_parse(row, len(names), take) for row in distinct]
  if None in cells:
    raise _error(
      path,
      [n for n, code in enumerate(codes) if cells[code] is None],
      lines,
      f'A row has {len(names) + (rows is not lines)} cells with commas '
      'between, each AU 0, 1, or -1 for not annotated. Correct it; a lost row '
      'would shift all that follow.',
    )
  cells = np.array(cells, np.int8).reshape(-1, len(label_names))[codes]
  annotated = (cells >= 0).all(axis=1)
  labels = ((cells == 1) & annotated[:, None]).astype(np.uint8)
  return Rows(path, videos, frames, labels, annotated)


def _read_lines(path):
  """Returns the names of the header, and the other lines."""
  try:
    with open(path, encoding='utf-8-sig') as file:  # Any end of a line is \n.
      # Not splitlines: it also parts at characters that end no line.
      lines = file.read().split('\n')
  except UnicodeDecodeError:
    raise table.encoding_error(path) from None
  while len(lines) > 1 and not lines[-1].strip():
    lines.pop()
  names = [re.sub(r'["\'\s]', '', name) for name in lines[0].split(',')]
  if names[-1].casefold() == 'aus':  # What multi-task files call all twelve.
    names[-1:] = LABELS['2022']
  return [_label_name(name) for name in names], lines[1:]


def _label_name(name):
  """Returns 'AU01' for 'AU1' and 'au_01', other names in lower case."""
  number = re.fullmatch(r'au_?(\d+)', name, re.I | re.A)
  return f'AU{int(number[1]):02d}' if number else name.casefold()


def _positions(path, names, label_names):
  """Returns where the labels stand; ValueError unless each does, once."""
  wrong = [name for name in label_names if names.count(name) != 1]
  if wrong:
    raise errors.UserError(
      f'{path}:1: the header must name {text.listing(label_names, 12)}, each '
      f'once, but {text.listing(wrong, 12)} is not: it holds '
      f'{text.listing(map(text.quote, names), 20)}. The first line names the '
      'AUs; the eight of 2020 and the twelve of later years differ: set '
      'aff_wild2.release to that of the files.'
    )
  return [names.index(name) for name in label_names]


def _read_names(path, names):
  """Returns videos and frames of images such as video/00001.jpg."""
  plain = [name.strip(' \t"\'').replace('\\', '/') for name in names]
  found = [_IMAGE.fullmatch(name) for name in plain]
  keys = [match and (match[1], int(match[2])) for match in found]
  first = {}
  bad = [
    n
    for n, key in enumerate(keys)
    if key is None or first.setdefault(key, n) != n
  ]
  if bad:
    rule = (
      'A row begins with the image it is of, such as video/00001.jpg, and no '
      'image has two rows. Correct or remove it.'
    )
    raise _error(path, bad, names, rule)
  return [video for video, _ in keys], [frame for _, frame in keys]


def _parse(row, width, take):
  """Returns the values of the labels; None where the row breaks a rule."""
  cells = row.split(',')
  if len(cells) != width:
    return None
  values = [_MEANINGS.get(cells[k].strip(' \t"\'')) for k in take]
  return None if None in values else values


def _error(path, bad, lines, rule):
  """Returns the UserError about the rows `bad`, counted from 0."""
  return table.finding_error(
    path,
    bad,
    lambda n: n + 2,
    lambda n: f'the row is {text.quote(lines[n])}',
    rule,
  )
