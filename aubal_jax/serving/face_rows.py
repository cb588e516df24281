"""Faces of a stream are predicted into a file that grows, and goes on.

A line of it is JSON: rows with what the network says of them, and the place in
the stream behind them. What a line holds follows from the place before it
alone, so a run that was stopped or killed goes on to the same bytes.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.serving import clips

_ROWS = 8  # Batches of rows, at most, in a line.


def predict(
  path: pathlib.Path,
  reader: clips.Reader,
  run: Callable[[dict[str, np.ndarray]], np.ndarray],
  *,
  batch_size: int,
  on_piece: Callable[[clips.Piece], None] = lambda piece: None,
  should_stop: Callable[[], bool] = lambda: False,
) -> bool:
  """Predicts all faces that are not in the file yet.

  Args:
    path: the file; what `find_place` found no end of is cut off.
    reader: of the faces.
    run: name of stream -> [B, ...], to float[B, K].
    batch_size: B.
    on_piece: called with what is done.
    should_stop: polled after every line.

  Returns:
    Whether all are done.

  Raises:
    UserError: the network says what is no number.
  """
  place, end = find_place(path)
  if path.exists():
    os.truncate(path, end)
  chunks = _chunks(reader.pieces(place), batch_size)
  with (
    open(path, 'a', encoding='utf-8', errors='surrogateescape') as file,
    concurrent.futures.ThreadPoolExecutor(1) as pool,
  ):
    # Faces are read while those before are computed.
    waiting = pool.submit(next, chunks, None)
    while (chunk := waiting.result()) is not None:
      waiting = pool.submit(next, chunks, None)
      file.write(f'{_line(chunk, reader, run, batch_size)}\n')
      file.flush()
      for piece in chunk:
        on_piece(piece)
      if should_stop():
        os.fsync(file.fileno())
        return False
    os.fsync(file.fileno())
  return True


def find_place(path: pathlib.Path) -> tuple[clips.Place, int]:
  """Returns the place behind the lines that are whole, and their bytes."""
  end, last = 0, None
  if path.exists():
    with open(path, 'rb') as file:
      for line in file:
        if line.endswith(b'\n'):
          end, last = end + len(line), line
  if last is None:
    return clips.Place(), 0
  return clips.place_from_json(json.loads(last)['after']), end


def _chunks(pieces, size) -> Iterator[list[clips.Piece]]:
  """Yields pieces together that have `size` images, or one that has more."""
  held, images, rows = [], 0, 0
  for piece in pieces:
    # Rows without a face cost nothing, but are to be kept now and then.
    if held and (images + len(piece.seen) > size or rows > _ROWS * size):
      yield held
      held, images, rows = [], 0, 0
    held.append(piece)
    images += len(piece.seen)
    rows += len(piece.rows)
  if held:
    yield held


def _line(chunk, reader, run, batch_size) -> str:
  """Returns what is said of a few pieces."""
  seen = [one for piece in chunk for one in piece.seen]
  parts = [
    _run_whole(run, seen[k : k + batch_size], batch_size)
    for k in range(0, len(seen), batch_size)
  ]
  said = (row for part in parts for row in part.astype(np.float64).tolist())
  rows = []
  for row in (row for piece in chunk for row in piece.rows):
    values = None
    if row.is_predicted:
      values = [float(f'{x:.9g}') for x in next(said)]
      _check(values, reader.items[row.item].name)
    rows.append([*row, values])
  held = {
    'rows': rows,
    'after': chunk[-1].after.to_json(),
  }
  return json.dumps(held, separators=(',', ':'))


def _run_whole(run, rows, batch_size) -> np.ndarray:
  """Returns float[R, K] of R rows; the batch is filled up to a whole one.

  So all are of one program, and a row is to the bit the same in any of them.
  """
  batch = {
    name: np.stack([row[name] for row in rows]).astype(x.dtype)
    for name, x in rows[0].items()
  }
  missing = batch_size - len(rows)
  whole = {
    name: np.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1))
    for name, x in batch.items()
  }
  return np.asarray(run(whole))[: len(rows)]


def _check(values, name) -> None:
  """Raises UserError where a network says what is no number."""
  bad = np.flatnonzero(~np.isfinite(values))
  if len(bad):
    raise errors.UserError(
      f'Of {name} the network says {values[bad[0]]}, which is no number: its '
      'numbers overflow. Train anew, with a smaller learning rate or '
      'train.dtype=float32.'
    )


def read(
  path: pathlib.Path, width: int
) -> Iterator[tuple[list[clips.Row], np.ndarray]]:
  """Yields the rows of one image or clip after the other, and what is said.

  Args:
    path: the file.
    width: K numbers are predicted of a face.

  Yields:
    R rows, and float32[R, K]; NaN of a row of which nothing is predicted.
  """
  rows, parts = [], []
  nothing = [np.nan] * width
  with open(path, encoding='utf-8', errors='surrogateescape') as file:
    for line in file:
      held = json.loads(line)['rows']
      # Numbers of Python are six times as large.
      values = [x[-1] or nothing for x in held]
      values = np.array(values, np.float32).reshape(-1, width)
      for k, (*cells, _) in enumerate(held):
        row = clips.Row(*cells)
        if rows and rows[0].item != row.item:
          parts = [np.concatenate(parts)]  # No second copy is held meanwhile.
          yield rows, parts[0]
          rows, parts = [], []
        rows.append(row)
        parts.append(values[k : k + 1])
      parts = [np.concatenate(parts)] if len(parts) > 4096 else parts
  if rows:
    parts = [np.concatenate(parts)]
    yield rows, parts[0]
