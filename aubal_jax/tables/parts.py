"""A table in parts: a folder of Parquet files, each small enough for memory.

Nowhere is more held than one part: workers count the labelsets of a part, then
make a part's rows of the plan. Who asks them holds the labelsets, and of each
part how many rows it has of which.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import os
import pathlib
import typing
import zlib
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.tables import labelsets as labelsets_lib
from aubal_jax.tables.files import any_table
from aubal_jax.tables.files import parquet_labels
from aubal_jax.tables.files.parquet_labels import Reading

SUFFIX = '.parquet'
_AHEAD = 64  # Parts given to the executor before the first is waited for.
_JOINED = 64  # Parts whose labelsets are joined at a time.


@dataclasses.dataclass(frozen=True)
class Part:
  """What is kept of a part when its rows have been counted.

  Attributes:
    path: of its file.
    numbers: int32[K], its labelsets' places in those of all parts; in the
      order of the part's own.
    counts: int64[K], rows of the part that have each.
    sum: checksum of its labels, row by row.
    num_rows: of the file, those that are left out included.
    num_unknown: cells that are unknown.
  """

  path: pathlib.Path
  numbers: np.ndarray
  counts: np.ndarray
  sum: int
  num_rows: int = 0
  num_unknown: int = 0


@dataclasses.dataclass(frozen=True)
class Parts:
  """A folder of parts, counted.

  Attributes:
    parts: in the order of their names.
    labelsets: of all rows; without an index.
    reading: how they were read, with the names of the labels.
  """

  parts: tuple[Part, ...]
  labelsets: labelsets_lib.Labelsets
  reading: Reading

  def fingerprint(self) -> str:
    """Returns 16 hex digits that tell one table from another."""
    told = [self.reading.label_names, self.reading.unknown]
    told += [(part.path.name, part.sum) for part in self.parts]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def read_columns(label_columns: Sequence[str]) -> Reading:
  """Returns the `Reading` of label columns, each 0 and 1.

  Raises:
    UserError: they are no names, or one is there twice.
  """
  try:
    names = () if isinstance(label_columns, str) else tuple(label_columns)
    good = all(isinstance(name, str) for name in names)
  except TypeError:
    good, names = False, ()
  if not good or isinstance(label_columns, str) or len({*names}) < len(names):
    raise errors.UserError(
      'label_columns must be the names of columns, each once, or () for all; '
      f'it is {label_columns!r}.'
    )
  return Reading(names)


def find(folder: os.PathLike | str) -> list[pathlib.Path]:
  """Returns the Parquet files in a folder, in the order of their names.

  Raises:
    UserError: there is none.
  """
  paths = sorted(filter(any_table.is_part, pathlib.Path(folder).iterdir()))
  if not paths:
    raise errors.UserError(
      f'{folder}: there is no {SUFFIX} file in this folder. Name the folder '
      'that holds the parts of the table.'
    )
  return paths


def survey(
  folder: os.PathLike | str, reading: Reading, executor: Any = None
) -> Parts:
  """Counts the labelsets of the parts in a folder.

  Args:
    folder: of .parquet files; hidden ones, and those that begin with '_', are
      none.
    reading: how labels are read.
    executor: see `labelsets.find_labelsets`.

  Raises:
    UserError: a part has other columns than the first, or other types, or no
      row, or is damaged, or a cell is no label; the message names it.
  """
  paths = [path.absolute() for path in find(folder)]  # Wherever workers are.
  types = parquet_labels.find_columns(paths[0], reading.label_names)
  reading = dataclasses.replace(reading, label_names=(*types,))
  counted = in_order(
    executor, _count, ((path, reading, types) for path in paths)
  )
  labelsets, held = _joined(counted)
  parts = [
    Part(path, *of_part) for path, of_part in zip(paths, held, strict=True)
  ]
  return Parts((*parts,), labelsets, reading)


def _joined(counted: Iterable) -> tuple:
  """Returns the labelsets of all parts, and of each the fields of its `Part`.

  Args:
    counted: of each part what `_count` returns.
  """
  whole, batches = None, []
  while some := [*itertools.islice(counted, _JOINED)]:
    found = [labelsets for labelsets, *_ in some]
    whole, places = labelsets_lib.join([whole, *found] if whole else found)
    # Where the labelsets of the parts before are now.
    moved = places.pop(0) if batches else None
    own = [
      (place, one.counts, *rest)
      for place, (one, *rest) in zip(places, some, strict=True)
    ]
    batches.append((moved, own))
  held, now = [], np.arange(len(whole.counts), dtype=np.int32)
  for moved, own in reversed(batches):
    held = [(now[place], *rest) for place, *rest in own] + held
    now = now if moved is None else now[moved]
  return whole, held


def _count(path, reading: Reading, types: dict[str, str]) -> tuple:
  """Returns a part's `Labelsets`, without an index, and what a `Part` says."""
  _check_columns(path, reading, types)
  found = read(path, reading)
  labelsets = dataclasses.replace(found.labelsets, index=None)
  return labelsets, found.sum, found.num_rows, found.num_unknown


def _check_columns(path, reading, types) -> None:
  """Raises UserError where a part's columns are not those of the first."""
  own = parquet_labels.find_columns(path, ())
  for name in reading.label_names:
    if name not in own:
      raise errors.UserError(
        f'{path}: there is no column {name!r}, which the first part has. All '
        'parts must have the same label columns; write this one again.'
      )
    if own[name] != types[name]:
      raise errors.UserError(
        f'{path}: the column {name!r} is {own[name]}, and {types[name]} in the '
        'first part. All parts must have the same types; write this one again.'
      )


class Read(typing.NamedTuple):
  """The labels of one file.

  Attributes:
    labelsets: with an index.
    rows: int64[n], the rows they are of; None: all.
    sum: checksum of labels and rows.
    num_rows: of the file.
    num_unknown: cells that are unknown.
  """

  labelsets: labelsets_lib.Labelsets
  rows: np.ndarray | None
  sum: int
  num_rows: int
  num_unknown: int


def read(path: os.PathLike | str, reading: Reading) -> Read:
  """Returns what one file holds.

  Args:
    path: of a .parquet file.
    reading: how labels are read; without names, all columns are labels.

  Raises:
    UserError: see `survey`.
  """
  path = pathlib.Path(path)
  if not reading.label_names:
    names = (*parquet_labels.find_columns(path, ()),)
    reading = dataclasses.replace(reading, label_names=names)
  seen = collections.Counter()
  kept = [] if reading.unknown == 'drop' else None
  found = labelsets_lib.find_labelsets(_tables(path, reading, seen, kept))
  if reading.unknown == 'separate':
    found = labelsets_lib.split_unknown(found)
  rows = None if kept is None else np.concatenate(kept)
  total = 0
  for array in (found.patterns, found.counts, found.index, found.known, rows):
    if array is not None:
      total = zlib.crc32(np.ascontiguousarray(array), total)
  return Read(found, rows, total, seen['rows'], seen['unknown'])


def _tables(path, reading, seen, kept: list | None) -> Iterator[np.ndarray]:
  """Yields 0/1 tables of a file's rows.

  Args:
    path: of the file.
    reading: how it is read.
    seen: counts its 'rows' and 'unknown' cells.
    kept: is given the rows that stay; None: all do.
  """
  for labels, known in parquet_labels.read_labels(path, reading):
    first_row = seen['rows']
    seen['rows'] += len(labels)
    if known is None:
      known = np.True_
    else:
      seen['unknown'] += int(np.count_nonzero(~known))
    if reading.unknown == 'separate':
      unknown = np.broadcast_to(~known, labels.shape).astype(np.uint8)
      labels = np.concatenate([labels, unknown], axis=1)
    elif kept is not None:
      whole = np.broadcast_to(known, labels.shape).all(axis=1)
      kept.append(first_row + np.flatnonzero(whole))
      labels = labels[whole]
    yield labels


def share_out(parts: Parts, counts: np.ndarray) -> list[np.ndarray]:
  """Returns each part's share of the rows that a plan has of each labelset.

  A labelset's rows are shared out as it is spread over the parts, by largest
  remainder, ties to the part that comes first. So of a labelset every row is
  in the plan a times or a + 1 times, whatever part it is in.

  Args:
    parts: the `Parts`.
    counts: int64[S], rows wanted of each labelset; their sums over the parts
      are these, exactly.

  Returns:
    For each part int64[K], rows wanted of each of its own labelsets.
  """
  numbers = np.concatenate([part.numbers for part in parts.parts])
  own = np.concatenate([part.counts for part in parts.parts])
  whole, rest = np.divmod(counts, parts.labelsets.counts)
  rest, there = rest[numbers], parts.labelsets.counts[numbers]
  if int(rest.max(initial=0)) * int(own.max(initial=0)) >= 2**63:
    rest = rest.astype(object)  # Of any size.
  more = rest * own // there
  remainder = (rest * own - more * there).astype(np.int64)
  quota = whole[numbers] * own + more.astype(np.int64)
  left = counts.copy()
  np.subtract.at(left, numbers, quota)
  order = np.lexsort((-remainder, numbers))  # Stable: part after part.
  starts = np.searchsorted(numbers[order], np.arange(len(counts)))
  ranks = np.arange(len(order)) - starts[numbers[order]]
  quota[order] += ranks < left[numbers[order]]
  ends = np.cumsum([len(part.counts) for part in parts.parts])[:-1]
  return np.split(quota, ends)


def in_order(
  executor: Any, function: Callable, jobs: Iterable[tuple]
) -> Iterator:
  """Yields `function(*job)` of each job, in their order.

  Args:
    executor: see `labelsets.find_labelsets`; None: this process.
    function: of a module.
    jobs: its arguments.
  """
  if executor is None:
    yield from itertools.starmap(function, jobs)
    return
  waiting = collections.deque()
  try:
    for job in jobs:
      waiting.append(executor.submit(function, *job))
      if len(waiting) == _AHEAD:
        yield waiting.popleft().result()
    while waiting:
      yield waiting.popleft().result()
  finally:
    for future in waiting:  # After an error of one of them.
      getattr(future, 'cancel', int)()
