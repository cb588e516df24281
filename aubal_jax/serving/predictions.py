"""Predictions for a stream of images, one row of a CSV file for each.

Rows are appended to a file beside it, batch by batch, so that a run that is
stopped or killed goes on where it was; the result is the straight run's, byte
for byte.
"""

import collections
import concurrent.futures
import csv
import os
import pathlib
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

from aubal_jax.media import crop
from aubal_jax.runs import files as files_lib
from aubal_jax.runs import progress
from aubal_jax.serving import sources
from aubal_jax.serving import submission

OK = 'ok'
_END = b'\r\n'  # Of a row, as RFC 4180 has it.


def write_predictions(
  path: os.PathLike | str,
  source: sources.Source,
  run: Callable[[np.ndarray], np.ndarray],
  *,
  label_names: Sequence[str],
  thresholds: np.ndarray,
  batch_size: int,
  about: dict,
  should_stop: Callable[[], bool] = lambda: False,
) -> bool:
  """Predicts every image of `source` into a CSV file.

  Columns are path and status, then, for each label, its probability under its
  name, NAME_decision (0 or 1) and NAME_threshold. A probability is written
  with all its digits: it is at least the threshold if and only if the decision
  is 1. A row whose status is not 'ok' is blank there.

  Until all are done the rows are in `path`.partial. Beside it a JSON file says
  what they are of; rows of anything else are deleted, and it begins anew.

  Args:
    path: the .csv.
    source: the images.
    run: uint8[B, H, W, C] -> float[B, L] probabilities, of JAX or NumPy.
    label_names: L names.
    thresholds: float64[L].
    batch_size: B.
    about: what else the predictions depend on, for the JSON file.
    should_stop: polled after every batch.

  Returns:
    Whether all are done; False where `should_stop` said so.
  """
  path = pathlib.Path(path)
  partial = path.with_name(f'{path.name}.partial')
  about = {
    'images': {'count': len(source.names), 'fingerprint': source.fingerprint},
    'label_names': list(label_names),
    'thresholds': [float(t) for t in thresholds],
    'batch_size': batch_size,
    **about,
  }
  done = _go_on(path, partial, about, len(source.names), batch_size)
  if done is None:
    return True
  with open(
    partial, 'a', encoding='utf-8', errors='surrogateescape', newline=''
  ) as file:
    whole = _append(
      csv.writer(file),
      file,
      source,
      run,
      thresholds,
      batch_size,
      done,
      should_stop,
    )
    os.fsync(file.fileno())
  if whole:
    partial.replace(path)
  return whole


def _go_on(path, partial, about, count, batch_size):
  """Returns how many rows are done; None: all, and the file is in its place."""
  beside = path.with_suffix('.json')
  try:
    same = files_lib.read_json(beside) == about
  except (FileNotFoundError, ValueError):
    same = False
  if same and path.exists():
    print(f'predict: {path} was done before.', flush=True)
    return None
  if same and partial.exists():
    ends = _row_ends(partial)
    done = max(len(ends) - 1, 0)  # The first is the header.
    done -= done % batch_size if done < count else 0
    if ends:
      os.truncate(partial, ends[done])
      print(f'predict: goes on after {done:,} of {count:,} rows', flush=True)
      return done
  elif path.exists() or partial.exists():
    print(
      f'predict: begins anew: what {path.parent} holds is of other images, '
      'another checkpoint or other settings.',
      flush=True,
    )
  path.unlink(missing_ok=True)
  partial.unlink(missing_ok=True)
  files_lib.write_json(beside, about)
  with open(partial, 'w', encoding='utf-8', newline='') as file:
    csv.writer(file).writerow(_header(about['label_names']))
  return 0


def _header(label_names):
  columns = ['path', 'status']
  for name in label_names:
    columns += [name, f'{name}_decision', f'{name}_threshold']
  return columns


def _row_ends(path) -> list[int]:
  """Returns the position after each row that is whole."""
  ends, position, quotes = [], 0, 0
  with open(path, 'rb') as file:
    for line in file:
      position += len(line)
      quotes += line.count(b'"')
      if line.endswith(_END) and quotes % 2 == 0:  # Not inside a cell.
        ends.append(position)
  return ends


def _append(
  writer, file, source, run, thresholds, batch_size, done, should_stop
):
  """Writes the rows from `done` on; returns whether it got to the end."""
  total = len(source.names)
  report = progress.Progress(total - done, 'predict, images')
  # One batch is read while another is computed.
  with concurrent.futures.ThreadPoolExecutor(1) as pool:

    def read(start):
      return pool.submit(source.read, start, min(start + batch_size, total))

    waiting = read(done) if done < total else None
    for start in range(done, total, batch_size):
      if should_stop():
        return False
      images, failures = waiting.result()
      if start + batch_size < total:
        waiting = read(start + batch_size)
      padding = ((0, batch_size - len(images)), (0, 0), (0, 0), (0, 0))
      probability = np.asarray(run(np.pad(images, padding)))
      names = source.names[start : start + batch_size]
      writer.writerows(_rows(names, failures, probability, thresholds))
      file.flush()
      report.update(len(images))
  return True


def _rows(names, failures, probability, thresholds):
  """Yields the rows of one batch; float64 holds float32 exactly."""
  probability = probability.astype(np.float64)
  decision = probability >= thresholds
  for k, name in enumerate(names):
    if k in failures:
      yield [name, _status(failures[k]), *[''] * 3 * len(thresholds)]
      continue
    cells = zip(
      map(repr, probability[k].tolist()),
      decision[k].astype(int).tolist(),
      map(repr, np.asarray(thresholds).tolist()),
      strict=True,
    )
    yield [name, OK, *(cell for three in cells for cell in three)]


def _status(reason):
  return reason if reason == crop.NO_FACE else f'unreadable: {reason}'


def read_predictions(path: os.PathLike | str):
  """Yields (name, status, decisions) of every row; None where there are none.

  Args:
    path: of `write_predictions`.
  """
  with open(
    path, encoding='utf-8', errors='surrogateescape', newline=''
  ) as file:
    rows = csv.reader(file)
    next(rows)
    for name, status, *cells in rows:
      decisions = np.array(cells[1::3], np.uint8) if status == OK else None
      yield name, status, decisions


def write_submission(
  path: os.PathLike | str,
  folder: os.PathLike | str,
  label_names: Sequence[str],
  kind: str,
) -> list[pathlib.Path]:
  """Writes the decisions as a competition wants them, see `submission.write`.

  Images without a prediction are left out, so a frame among them repeats the
  one before it; of a video all frames up to the last image are there.
  """
  rows = list(read_predictions(path))
  good = [(name, row) for name, _, row in rows if row is not None]
  decisions = np.array([row for _, row in good], np.uint8)
  return submission.write(
    folder,
    [name for name, _ in good],
    decisions.reshape(len(good), len(label_names)),
    label_names,
    kind=kind,
    num_frames=submission.check([name for name, *_ in rows], label_names),
  )


def summarise(path: os.PathLike | str, num_labels: int):
  """Counts rows by status, and positive decisions.

  Returns:
    status -> rows, the most first; and int64[L].
  """
  statuses = collections.Counter()
  positive = np.zeros(num_labels, np.int64)
  for _, status, decisions in read_predictions(path):
    statuses[status] += 1
    if decisions is not None:
      positive += decisions
  return dict(statuses.most_common()), positive
