"""One annotation file of Aff-Wild2; `aff_wild2` tells what it looks like."""

import dataclasses
import os
import re
import types
from collections.abc import Callable
from collections.abc import Sequence

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
_BASIC = (
  *('Neutral', 'Anger', 'Disgust', 'Fear', 'Happiness', 'Sadness'),
  'Surprise',
)
# Release -> its expressions, by their numbers.
EXPRESSIONS = types.MappingProxyType(
  {'2020': _BASIC, '2022': (*_BASIC, 'Other')}
)
VALENCE_AROUSAL = ('valence', 'arousal')
_NONE = (-1, -5)  # Codes for "not annotated".
_OF_VA = -5.0  # The one of valence and arousal, where -1 is a value.
_IMAGE = re.compile(r'(?:.*/)?([^/]+)/(\d+)\.\w+', re.ASCII)
_MEANINGS = types.MappingProxyType(
  {
    f'{value}{point}': value
    for value in (*range(8), *_NONE)
    for point in ('', '.', '.0')
  }
)


@dataclasses.dataclass(frozen=True)
class Rows:
  """What a file says of one task.

  Attributes:
    path: the file; row n is its line n + 2.
    videos: N names, with _left or _right.
    frames: N numbers of images, counted from 1.
    values: of the task, 0 where not annotated: uint8[N, L] labels, int16[N]
      expressions, or float32[N, 2] valence and arousal.
    annotated: bool[N].
  """

  path: str
  videos: list[str]
  frames: list[int]
  values: np.ndarray
  annotated: np.ndarray

  def __len__(self):
    return len(self.values)


@dataclasses.dataclass(frozen=True)
class Task:
  """What is annotated, and how files write it.

  Attributes:
    name: of the target.
    what: it is, for messages.
    columns: of a multi-task file, that it takes.
    header: of a file of its own, the cells that the first line must hold.
    meaning: cells of a row -> numbers, None where they break the rule.
    is_none: numbers [R, K] -> bool[R], which rows are not annotated.
    dtype: of the values.
    rule: for a row, as a sentence.
  """

  name: str
  what: str
  columns: tuple[str, ...]
  header: tuple[str, ...]
  meaning: Callable[[Sequence[str]], list | None]
  is_none: Callable[[np.ndarray], np.ndarray]
  dtype: type
  rule: str


def task(name: str, release: str) -> Task:
  """Returns a task of a release: 'labels', 'expression', 'valence_arousal'."""
  if name == 'labels':
    rule = 'each AU 0, 1, or -1 for not annotated'
    aus = LABELS[release]
    return Task(
      *(name, 'AUs', aus, aus, _codes_below(2), _any_below_0),
      *(np.uint8, rule),
    )
  if name == 'expression':
    names = EXPRESSIONS[release]
    rule = f'an expression from 0 to {len(names) - 1}, or -1 for none'
    return Task(
      *(name, 'expressions', ('expression',), names),
      *(_codes_below(len(names)), _any_below_0, np.int16, rule),
    )
  rule = 'valence and arousal in [-1, 1], or -5 for none'
  both = VALENCE_AROUSAL
  return Task(
    *(name, 'valence and arousal', both, both, _affect),
    *(lambda values: (values == _OF_VA).any(axis=1), np.float32, rule),
  )


def _codes_below(count):
  """Returns the `Task.meaning` of whole numbers below `count`, or none."""

  def meaning(cells):
    values = [_MEANINGS.get(cell) for cell in cells]
    return None if any(v is None or v >= count for v in values) else values

  return meaning


def _any_below_0(values):
  return (values < 0).any(axis=1)


def _affect(cells):
  """Returns valence and arousal; None where one is no number in [-1, 1]."""
  try:
    values = [float(cell) for cell in cells]
  except ValueError:
    return None
  fits = all(-1 <= value <= 1 or value == _OF_VA for value in values)
  return values if fits else None


def read(path: str, task: Task) -> Rows:
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
    take, width = _positions(path, names, task, task.columns), len(names)
  else:
    video = os.path.splitext(os.path.basename(path))[0]
    videos, frames = [video] * len(lines), list(range(1, len(lines) + 1))
    rows = lines
    take, width = _positions(path, names, task, task.header), len(names)
    if task.name == 'expression':  # Its first line names the values.
      _check_expressions(path, names, task)
      take, width = [0], 1
  distinct = {}
  codes = [distinct.setdefault(row, len(distinct)) for row in rows]
  cells = [_parse(row, width, take, task) for row in distinct]
  if None in cells:
    count = width + (rows is not lines)
    raise _error(
      path,
      [n for n, code in enumerate(codes) if cells[code] is None],
      lines,
      f'A row has {count} cell{"s with commas between" if count > 1 else ""}, '
      f'{task.rule}. Correct it; a lost row would shift all that follow.',
    )
  cells = np.array(cells, np.float64).reshape(-1, len(take))[codes]
  annotated = ~task.is_none(cells)
  values = np.where(annotated[:, None], cells, 0).astype(task.dtype)
  if task.name == 'expression':
    values = values[:, 0]
  return Rows(path, videos, frames, values, annotated)


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


def _positions(path, names, task, wanted):
  """Returns where the columns stand; UserError unless each does, once."""
  plain = [_label_name(name) for name in wanted]
  wrong = [name for name in plain if names.count(name) != 1]
  if wrong:
    raise _header_error(path, names, task, plain, wrong)
  return [names.index(name) for name in plain]


def _check_expressions(path, names, task):
  """Raises UserError unless the first line has the expressions in order."""
  if names != [name.casefold() for name in task.header]:
    raise _header_error(path, names, task, task.header, names)


def _header_error(path, names, task, wanted, wrong):
  """Returns the error about a first line; tells which task it may be of."""
  others = {
    'AUs': any(re.fullmatch(r'AU\d+', name) for name in names),
    'expressions': 'neutral' in names,
    'valence and arousal': 'valence' in names,
  }
  mend = (
    'The first line names the AUs; the eight of 2020 and the twelve of later '
    'years differ: set aff_wild2.release to that of the files.'
  )
  if task.name != 'labels':
    mend = (
      f'The first line names the {task.what}; from 2021 on there is one '
      'expression more: set aff_wild2.release to that of the files.'
    )
  given = [what for what, found in others.items() if found]
  if given and task.what not in given:
    mend = (
      f'This is a file of {given[0]}, in the place of one of {task.what}: move '
      'it to the folder of its task.'
    )
  return errors.UserError(
    f'{path}:1: the header must name {text.listing(wanted, 12)}, each once, '
    f'but {text.listing(wrong, 12)} is not: it holds '
    f'{text.listing(map(text.quote, names), 20)}. {mend}'
  )


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


def _parse(row, width, take, task):
  """Returns the values of a row; None where it breaks a rule."""
  cells = row.split(',')
  if len(cells) != width:
    return None
  return task.meaning([cells[k].strip(' \t"\'') for k in take])


def _error(path, bad, lines, rule):
  """Returns the UserError about the rows `bad`, counted from 0."""
  return table.finding_error(
    path,
    bad,
    lambda n: n + 2,
    lambda n: f'the row is {text.quote(lines[n])}',
    rule,
  )
