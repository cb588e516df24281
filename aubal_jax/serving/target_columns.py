"""Columns of predictions.csv on targets beside the labels, and their cells.

| kind of target | columns |
|---|---|
| class | TARGET, the likeliest class by name; TARGET_CLASS, its probability |
| real | NAME of each number |
| binary | TARGET_LABEL, a probability; TARGET_LABEL_decision, 1 from .5 on |
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.runs import csv_files
from aubal_jax.runs import errors

LABELS = 'labels'  # Whose columns are not here.


def others(heads: Sequence) -> tuple:
  """Returns the heads beside that of the labels, in order."""
  return tuple(head for head in heads if head.name != LABELS)


def join(found: Mapping, heads: Sequence) -> np.ndarray:
  """Returns float32[B, L + K], what is predicted of the labels and of others.

  Args:
    found: name of head -> float32[B, L].
    heads: those beside the labels; none: that of the labels is returned.
  """
  if not heads:
    return found[LABELS]
  names = (LABELS, *(head.name for head in heads))
  return np.concatenate([np.asarray(found[name]) for name in names], axis=1)


def header(heads: Sequence) -> list[str]:
  """Returns the columns, as they are usually called."""
  columns = []
  for head in heads:
    if head.kind == 'real':
      columns += head.names
    elif head.kind == 'class':
      columns += [head.name, *(f'{head.name}_{x}' for x in head.names)]
    else:
      for name in head.names:
        columns += [f'{head.name}_{name}', f'{head.name}_{name}_decision']
  return columns


def long_header(heads: Sequence) -> list[str]:
  """Returns the columns, called so that no two of them are alike."""
  columns = []
  for head in heads:
    each = [f'{head.name}:{name}' for name in head.names]
    if head.kind == 'real':
      columns += [f'number:{x}' for x in each]
    elif head.kind == 'class':
      columns += [f'class:{head.name}', *(f'probability:{x}' for x in each)]
    else:
      for x in each:
        columns += [f'probability:{x}', f'decision:{x}']
  return columns


class TextCells:
  """Makes cells of texts, each once."""

  def __init__(self, *, raw: bool = False):
    """Takes whether texts are left as they are, see `csv_files`."""
    self._raw, self._made = raw, {}

  def of(self, content: str) -> str:
    """Returns the text as a cell."""
    if content not in self._made:
      self._made[content] = _text(content, self._raw)
    return self._made[content]


class Cells:
  """Makes the cells of rows; what all rows have in common is made once."""

  def __init__(self, heads: Sequence, *, raw: bool = False):
    """Takes the heads beside the labels; `raw` leaves texts as they are."""
    self._heads = heads
    self._names = {
      head.name: [_text(name, raw) for name in head.names]
      for head in heads
      if head.kind == 'class'
    }
    self.blank = ',' * len(header(heads))

  def of(self, row: np.ndarray, name: str) -> str:
    """Returns the cells of one row, each behind a comma.

    Args:
      row: float64[K], the predictions of all heads, see `join`.
      name: of the row, for messages.

    Raises:
      UserError: one is no number, or no probability.
    """
    cells, start = [], 0
    for head in self._heads:
      part = row[start : start + len(head.names)]
      start += len(head.names)
      _check(head, part, name)
      numbers = ['%.9g' % x for x in part.tolist()]  # noqa: UP031
      if head.kind == 'class':
        numbers.insert(0, self._names[head.name][int(part.argmax())])
      elif head.kind == 'binary':
        decided = ['1' if x >= 0.5 else '0' for x in part.tolist()]
        pairs = zip(numbers, decided, strict=True)
        numbers = [cell for pair in pairs for cell in pair]
      cells += numbers
    return ''.join(f',{cell}' for cell in cells)


def _text(name, raw) -> str:
  """Returns a text as a cell."""
  file = io.StringIO(newline='')
  csv_files.write_rows(file, [[name]], raw=raw, end='')
  return file.getvalue()


def _check(head, part, name) -> None:
  """Raises UserError where a network says what cannot be."""
  good = np.isfinite(part)
  if head.kind != 'real':
    good &= (part >= 0) & (part <= 1)
  if not good.all():
    what = 'number' if head.kind == 'real' else 'probability'
    raise errors.UserError(
      f'Of {name} the network says {part[~good][0]} as a {what} of '
      f'{head.name}, which is none: its numbers overflow. Train anew, with a '
      'smaller learning rate or train.dtype=float32.'
    )


def read(cells: Sequence[str], heads: Sequence) -> dict[str, np.ndarray]:
  """Returns name of head -> float64[L], of the cells of one row."""
  found, start = {}, 0
  for head in heads:
    size = len(head.names)
    first, step = {'class': (1, 1), 'real': (0, 1), 'binary': (0, 2)}[head.kind]
    stop = start + first + step * size
    found[head.name] = np.array(cells[start + first : stop : step], np.float64)
    start = stop
  return found


def describe(head, predicted: np.ndarray) -> Iterator[str]:
  """Yields lines on what was predicted of a target, float[R, L]."""
  if head.kind == 'real':
    for name, column in zip(head.names, predicted.T, strict=True):
      yield f'{name} {column.mean():.3f} in the mean'
    return
  if head.kind == 'class':
    said = np.bincount(predicted.argmax(axis=1), minlength=len(head.names))
  else:
    said = (predicted >= 0.5).sum(axis=0)
  for name, count in zip(head.names, said, strict=True):
    share = count / len(predicted)
    yield f'{head.name} {name} in {count:,} ({share:.1%})'
