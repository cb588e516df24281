"""The table of faces: one row for each, and one where there is none.

| column | what |
|---|---|
| file | of the image or clip, as it was named |
| frame, timestamp | of a clip: its number from 0, seconds from the first |
| face | its number in the clip or image, from 1 |
| face_x, face_y, face_width, face_height | its box in pixels |
| confidence | of what found it |
| status | ok, or why there is nothing more |

Behind these stand a probability and a decision of each label, and what is said
of other targets, see `target_columns`. In the form of py-feat the columns are
its own (feat/utils/__init__.py of version 2), of which we have these: frame,
input, FaceRectX to FaceScore, AU01 ..., and emotions by their names.
"""

from __future__ import annotations

import pathlib
import re
import typing
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from aubal_jax.runs import files
from aubal_jax.serving import clips
from aubal_jax.serving import face_rows
from aubal_jax.serving import target_columns
from aubal_jax.tables.files import parquet

FORMS = ('faces', 'pyfeat')
_NEAR = 1e-8  # Above what nine digits of a probability may be off.
_GROUP_ROWS = 65_536  # Of a Parquet file, that are written together.
_SLICE_ROWS = 4096  # That are made cells together.
_INTENSITY = re.compile(r'AU\d+_r')  # Of OpenFace: a number from 0 to 5.
_UNIT = re.compile(r'AU_?0*(\d{1,2})(_[rc])?', re.I)

# What expressions are called in data sets -> in py-feat.
_EMOTIONS = {
  **dict.fromkeys(('anger', 'angry'), 'anger'),
  **dict.fromkeys(('disgust', 'disgusted'), 'disgust'),
  **dict.fromkeys(('fear', 'afraid', 'fearful'), 'fear'),
  **dict.fromkeys(('happiness', 'happy', 'joy'), 'happiness'),
  **dict.fromkeys(('sadness', 'sad'), 'sadness'),
  **dict.fromkeys(('surprise', 'surprised'), 'surprise'),
  'neutral': 'neutral',
}


class Block(typing.NamedTuple):
  """The rows of one image or clip.

  Attributes:
    name: of it.
    rows: R of them.
    values: float32[R, K], what is predicted; NaN of a row that is not OK.
  """

  name: str
  rows: list[clips.Row]
  values: np.ndarray


class Column(typing.NamedTuple):
  """A column of the table.

  Attributes:
    name: of it.
    kind: 'text', 'int' or 'float' (of 32 bits: 'float32').
    read: block -> R values, None where there is none.
    show: a value that is there -> its cell, but of texts.
  """

  name: str
  kind: str
  read: Callable[[Block], Sequence]
  show: Callable[[typing.Any], str] = str


def columns(
  form: str, label_names: Sequence[str], thresholds, others: Sequence
) -> list[Column]:
  """Returns the columns of a form.

  Args:
    form: of `FORMS`.
    label_names: L names.
    thresholds: float64[L], from which on a label is present.
    others: heads of the targets beside the labels.
  """
  if form == 'pyfeat':
    return _of_pyfeat(label_names, others)
  found = [
    *_of_rows(),
    *_of_labels(label_names, thresholds),
    *_of_targets(others, len(label_names)),
  ]
  names = [column.name for column in found]
  if len({*names}) < len(names) or any(map(_INTENSITY.fullmatch, names)):
    long = [
      f'{kind}:{name}'
      for name in label_names
      for kind in ('probability', 'decision')
    ]
    long += target_columns.long_header(others)
    names[len(names) - len(long) :] = long
  return [c._replace(name=n) for c, n in zip(found, names, strict=True)]


def _of_rows() -> list[Column]:
  """Returns the columns that every table begins with."""
  return [
    Column('file', 'text', lambda block: [block.name] * len(block.rows)),
    Column('frame', 'int', _field('frame')),
    Column('timestamp', 'float', _field('time'), '{:.9g}'.format),
    Column('face', 'int', _field('face')),
    *_of_box('face_x', 'face_y', 'face_width', 'face_height', 'confidence'),
    Column('status', 'text', _field('status')),
  ]


def _of_box(*names) -> list[Column]:
  """Returns columns of boxes, and of how sure these are."""

  def side(k):
    return lambda block: [row.box and row.box[k] for row in block.rows]

  return [
    *(
      Column(name, 'float', side(k), '{:.2f}'.format)
      for k, name in enumerate(names[:4])
    ),
    Column(names[4], 'float', _field('confidence'), '{:.4f}'.format),
  ]


def _field(name):
  return lambda block: [getattr(row, name) for row in block.rows]


def _of_labels(names, thresholds) -> list[Column]:
  """Returns a probability and a decision of each label."""
  found = []
  for k, (name, t) in enumerate(zip(names, thresholds, strict=True)):
    found += [
      _number(name, k, float(t)),
      _decision(f'{name}_decision', k, float(t)),
    ]
  return found


def _number(name, k, threshold=None) -> Column:
  """Returns a column of predictions; those near a threshold in all digits."""

  def show(x):
    near = threshold is not None and abs(x - threshold) < _NEAR
    return repr(x) if near else f'{x:.9g}'

  return Column(name, 'float32', lambda block: _known(block.values[:, k]), show)


def _decision(name, k, threshold) -> Column:
  def read(block):
    return [None if x is None else int(x >= threshold) for x in said(block)]

  def said(block):
    return _known(block.values[:, k])

  return Column(name, 'int', read)


def _known(values) -> list:
  """Returns the numbers, None for NaN; float64 holds float32 exactly."""
  return [None if x != x else x for x in values.astype(np.float64).tolist()]


def _of_targets(heads, start) -> list[Column]:
  """Returns the columns of other targets, as `target_columns.header` has them.

  Args:
    heads: of the targets.
    start: the first of their numbers among what is predicted.
  """
  found = []
  for head in heads:
    stop = start + len(head.names)
    if head.kind == 'class':
      found.append(_likeliest(head, start, stop))
    for k, name in enumerate(head.names, start):
      if head.kind == 'real':
        found.append(_number(name, k))
        continue
      found.append(_number(f'{head.name}_{name}', k))
      if head.kind == 'binary':
        found.append(_decision(f'{head.name}_{name}_decision', k, 0.5))
    start = stop
  return found


def _likeliest(head, start, stop) -> Column:
  def read(block):
    part = block.values[:, start:stop]
    return [
      None if row[0] != row[0] else head.names[int(row.argmax())]
      for row in part
    ]

  return Column(head.name, 'text', read)


def _of_pyfeat(label_names, others) -> list[Column]:
  """Returns columns by py-feat's names; what it has no name for has its own.

  Its AUs of a classifier are probabilities, as ours are.
  """
  found = [
    Column(
      'frame', 'int', lambda block: [row.frame or 0 for row in block.rows]
    ),
    Column('input', 'text', lambda block: [block.name] * len(block.rows)),
    *_of_box(
      *('FaceRectX', 'FaceRectY', 'FaceRectWidth', 'FaceRectHeight'),
      'FaceScore',
    ),
  ]
  for k, name in enumerate(label_names):
    unit = _UNIT.fullmatch(name)
    found.append(_number(f'AU{int(unit[1]):02d}' if unit else name, k))
  for column in _of_targets(others, len(label_names)):
    if column.kind == 'float32':
      found.append(column)
  names = _pyfeat_names([column.name for column in found], others)
  return [c._replace(name=n) for c, n in zip(found, names, strict=True)]


def _pyfeat_names(names, others) -> list[str]:
  """Returns names with expressions called as in py-feat; all differ."""
  known = {
    f'{head.name}_{name}': _EMOTIONS[name.lower()]
    for head in others
    if head.kind == 'class'
    for name in head.names
    if name.lower() in _EMOTIONS
  }
  short = [known.get(name, name) for name in names]
  return [
    s if short.count(s) == 1 else f'{n}:{k}'
    for k, (s, n) in enumerate(zip(short, names, strict=True))
  ]


def write(
  path: pathlib.Path,
  blocks: Iterable[Block],
  found: Sequence[Column],
  *,
  raw: bool = False,
) -> None:
  """Writes a .csv or a .parquet, whole or not at all.

  Equal blocks give equal bytes.

  Args:
    path: by its suffix.
    blocks: images and clips, in order.
    found: the columns.
    raw: leave texts as they are, in a CSV.

  Raises:
    UserError: it is a .parquet, and pyarrow is not installed.
  """
  with files.write_atomically(path, 'wb') as file:
    if path.suffix.lower() == '.parquet':
      _write_parquet(path, file, blocks, found)
      return
    for line in _lines(blocks, found, raw):
      file.write(line.encode('utf-8', 'surrogateescape'))


def _slices(blocks) -> Iterator[Block]:
  """Yields blocks of not too many rows: as cells they take much memory."""
  for block in blocks:
    for start in range(0, len(block.rows), _SLICE_ROWS):
      part = slice(start, start + _SLICE_ROWS)
      yield Block(block.name, block.rows[part], block.values[part])


def _lines(blocks, found, raw) -> Iterator[str]:
  """Yields the lines of a CSV, as RFC 4180 has them."""
  cells = target_columns.TextCells(raw=raw)
  yield ','.join(cells.of(column.name) for column in found) + '\r\n'
  for block in _slices(blocks):
    shown = []
    for column in found:
      show = cells.of if column.kind == 'text' else column.show
      shown.append(['' if x is None else show(x) for x in column.read(block)])
    for row in zip(*shown, strict=True):
      yield ','.join(row) + '\r\n'


def _write_parquet(path, file, blocks, found) -> None:
  pa, pq = parquet.need(path)
  types = {
    'text': pa.string(),
    'int': pa.int64(),
    'float': pa.float64(),
    'float32': pa.float32(),
  }
  schema = pa.schema([(column.name, types[column.kind]) for column in found])
  with pq.ParquetWriter(file, schema) as writer:
    held = [[] for _ in found]

    def flush():
      arrays = [pa.array(x, t) for x, t in zip(held, schema.types, strict=True)]
      writer.write_table(pa.table(arrays, schema=schema))

    for block in _slices(blocks):
      for values, column in zip(held, found, strict=True):
        values += map(_encodable, column.read(block))
      if len(held[0]) >= _GROUP_ROWS:
        flush()
        held = [[] for _ in found]
    flush()


def _encodable(value):
  """Returns a text that UTF-8 holds: bytes of a name that are none become ?."""
  if isinstance(value, str):
    return value.encode('utf-8', 'replace').decode()
  return value


def blocks(
  path: pathlib.Path,
  names: Sequence[str],
  say: Callable[[list[clips.Row], np.ndarray], np.ndarray],
  width: int,
) -> Iterator[Block]:
  """Yields the images and clips of a file of `face_rows`.

  Args:
    path: the file.
    names: of the items.
    say: rows of one item and float32[R, F] -> what is said of them, [R, K].
    width: F numbers are kept of a face.
  """
  for rows, values in face_rows.read(path, width):
    yield Block(names[rows[0].item], rows, say(rows, values))
