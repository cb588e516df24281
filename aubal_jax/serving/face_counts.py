"""How many frames are done, and what is said in the rows, for who waits."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from aubal_jax.runs import progress
from aubal_jax.runs import text
from aubal_jax.serving import clips


class Frames:
  """Tells how many frames are done, how fast, and how long it will take.

  How many frames a clip has is only said by it; when it is through, it is
  known.
  """

  def __init__(self, reader: clips.Reader, place: clips.Place):
    """Asks every clip how many frames it has.

    Args:
      reader: of the frames.
      place: from which on they are read.
    """
    # Of each item the frames from it on; None: some clip does not say.
    self._left = [0]
    for item in reversed(reader.items):
      own, others = reader.expected(item), self._left[-1]
      self._left.append(None if None in (own, others) else own + others)
    self._left.reverse()
    total = self._left[place.item]
    if total is not None:
      total = max(total - place.frame // reader.pace.every, 0)
    self._report = progress.Progress(total, 'predict, frames')

  def __call__(self, piece: clips.Piece) -> None:
    """Counts the frames of a piece as done."""
    report = self._report
    done = report.done + piece.frames
    if report.total is not None and (piece.ends or done > report.total):
      left = self._left[piece.after.item + (not piece.ends)]
      report.total = None if left is None else done + left
    report.update(piece.frames)


class Counts:
  """Counts rows by status, and what is said in them."""

  def __init__(self, label_names: Sequence[str], thresholds: np.ndarray):
    """Takes L names, and float64[L] from which on a label is present."""
    self._names, self._thresholds = label_names, thresholds
    self._statuses = collections.Counter()
    self._positive = np.zeros(len(thresholds), np.int64)
    self._frames = 0
    self.predicted = 0

  def over(self, blocks: Iterable) -> Iterator:
    """Yields `face_table.Block`s, counted."""
    for block in blocks:
      self._statuses.update(row.status for row in block.rows)
      self.predicted += sum(row.is_predicted for row in block.rows)
      frames = {row.frame for row in block.rows if row.frame is not None}
      self._frames += len(frames) or 1
      labels = block.values[:, : len(self._thresholds)].astype(np.float64)
      self._positive += (labels >= self._thresholds).sum(axis=0)
      yield block

  def tell(self) -> None:
    """Prints the counts."""
    statuses = dict(self._statuses.most_common())
    total, good = sum(statuses.values()), statuses.pop(clips.OK, 0)
    print(
      f'predict: {total:,} rows of {self._frames:,} frames and images, '
      f'{good:,} of them ok'
    )
    for status, count in [*statuses.items()][: text.SHOWN]:
      print(f'  {count:,} {status}')
    if len(statuses) > text.SHOWN:
      print(f'  and {len(statuses) - text.SHOWN:,} other reasons')
    width = max(map(len, self._names))
    for name, count in zip(self._names, self._positive, strict=True):
      if self.predicted:
        share = count / self.predicted
        print(f'  {name:{width}} positive in {count:,} ({share:.1%})')
