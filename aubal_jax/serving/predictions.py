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
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from aubal_jax.media import crop
from aubal_jax.runs import csv_files
from aubal_jax.runs import errors
from aubal_jax.runs import files as files_lib
from aubal_jax.runs import progress
from aubal_jax.runs import text
from aubal_jax.serving import sources
from aubal_jax.serving import submission
from aubal_jax.serving import target_columns

OK = 'ok'
_END = '\r\n'  # Of a row, as RFC 4180 has it.
_NEAR = 1e-8  # Above what nine digits of a probability may be off.


def write_predictions(
  path: os.PathLike | str,
  source: sources.Source,
  run: Callable[[np.ndarray], np.ndarray],
  *,
  label_names: Sequence[str],
  thresholds: np.ndarray,
  batch_size: int,
  about: dict,
  others: Sequence = (),
  record: os.PathLike | str | None = None,
  raw: bool = False,
  should_stop: Callable[[], bool] = lambda: False,
) -> bool:
  """Predicts every image of `source` into a CSV file.

  Columns are path and status, then, for each label, its probability under its
  name, NAME_decision (0 or 1) and NAME_threshold. Where two columns would be
  called alike (a label `path`, or `a_decision` beside `a`), those of all labels
  are `probability:NAME`, `decision:NAME` and `threshold:NAME` instead. A
  probability is written with nine digits, in which any two float32 differ, and
  with all near its threshold: it is at least that if and only if the decision
  is 1. The columns of other targets follow, see `target_columns`. A row whose
  status is not 'ok' is blank in all of them.
  Texts that a spreadsheet would compute are made harmless, see `csv_files`.

  Until all are done the rows are in `path`.partial. Beside it a JSON file says
  what they are of; rows of anything else are deleted, and it begins anew.

  Args:
    path: the .csv.
    source: the images.
    run: uint8[B, H, W, C] -> float[B, L] probabilities, of JAX or NumPy; with
      what is predicted of other targets, [B, L + K], see `target_columns.join`.
    label_names: L names.
    thresholds: float64[L].
    batch_size: B.
    about: what else the predictions depend on, for the JSON file.
    others: heads of the targets beside the labels.
    record: that file; None: called as the .csv is.
    raw: leave texts as they are.
    should_stop: polled after every batch.

  Returns:
    Whether all are done; False where `should_stop` said so.

  Raises:
    UserError: there are predictions of anything else, which this would
      replace; or a probability is no number from 0 to 1.
  """
  path = pathlib.Path(path)
  record = pathlib.Path(record or path.with_suffix('.json'))
  partial = path.with_name(f'{path.name}.partial')
  about = {
    'images': {'count': len(source.names), 'fingerprint': source.fingerprint},
    'label_names': list(label_names),
    'thresholds': [float(t) for t in thresholds],
    'batch_size': batch_size,
    'raw_cells': raw,
    **about,
  }
  if others:
    about['targets'] = [
      {'name': h.name, 'kind': h.kind, 'names': list(h.names)} for h in others
    ]
  header = _header(label_names, others)
  counts = len(source.names), batch_size
  done = _go_on(path, partial, record, about, header, *counts)
  if done is None:
    return True
  with open(
    partial, 'a', encoding='utf-8', errors='surrogateescape', newline=''
  ) as file:
    rows = _Rows(file, np.asarray(thresholds, np.float64), raw, others)
    whole = _append(rows, source, run, batch_size, done, should_stop)
    os.fsync(file.fileno())
  if whole:
    partial.replace(path)
    files_lib.sync_folder(path.parent)
  return whole


def _go_on(path, partial, record, about, header, count, batch_size):
  """Returns how many rows are done; None: all, and the file is in its place."""
  is_begun(path, partial, record, about)
  if path.exists():
    print(f'predict: {path} was done before.', flush=True)
    return None
  if partial.exists():
    ends = _row_ends(partial)
    done = max(len(ends) - 1, 0)  # The first is the header.
    done -= done % batch_size if done < count else 0
    if ends:
      os.truncate(partial, ends[done])
      print(f'predict: goes on after {done:,} of {count:,} rows', flush=True)
      return done
  files_lib.write_json(record, about)
  with open(partial, 'w', encoding='utf-8', newline='') as file:
    csv_files.write_rows(file, [header], raw=about['raw_cells'], end=_END)
  return 0


def is_begun(path, partial, record, about) -> bool:
  """Returns whether there are predictions, whole or not, of what is asked for.

  Args:
    path: where they are when they are whole.
    partial: where they are before.
    record: the JSON file that says what they are of.
    about: what it should say.

  Raises:
    UserError: there are others.
  """
  try:
    held = files_lib.read_json(record)
  except (FileNotFoundError, ValueError):
    held = None
  there = [file for file in (path, partial) if file.exists()]
  if there and held != about:
    raise _would_replace(there[0], held, about)
  return bool(there)


def _would_replace(path, held, about):
  """Returns the UserError that tells in what the predictions differ."""
  held = held if isinstance(held, dict) else {}
  differ = [k for k in about if k not in held or held[k] != about[k]]
  of_others = f'of other {text.listing(differ)}'
  return errors.UserError(
    f'{path} holds predictions {of_others if held else "of nobody knows what"} '
    'than are asked for now, and would be replaced. Move it away to keep it, '
    'or replace it with --overwrite.'
  )


def _header(label_names, others=()):
  columns = ['path', 'status']
  for name in label_names:
    columns += [name, f'{name}_decision', f'{name}_threshold']
  columns += target_columns.header(others)
  if len({*columns}) < len(columns):
    columns[2:] = [
      f'{kind}:{name}'
      for name in label_names
      for kind in ('probability', 'decision', 'threshold')
    ]
    columns += target_columns.long_header(others)
  return columns


def _row_ends(path) -> list[int]:
  """Returns the position after each row that is whole."""
  ends, position, quotes = [], 0, 0
  with open(path, 'rb') as file:
    for line in file:
      position += len(line)
      quotes += line.count(b'"')
      if line.endswith(_END.encode()) and quotes % 2 == 0:  # Not inside a cell.
        ends.append(position)
  return ends


def _append(rows, source, run, batch_size, done, should_stop):
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
      probability = run_whole(run, images, batch_size)
      names = source.names[start : start + batch_size]
      rows.write(names, failures, probability)
      report.update(len(images))
  return True


def run_whole(run, images, batch_size: int) -> np.ndarray:
  """Returns run(images) of one batch; the last is filled up to a whole one.

  So all are of one program, and a row is to the bit the same in any of them.

  Args:
    run: uint8[batch_size, H, W, C] -> [batch_size, L].
    images: uint8[B, H, W, C], B at most `batch_size`; or float32[B, F]; or name
      of stream -> [B, ...].
    batch_size: images of a whole batch.
  """

  def filled(x):
    return np.pad(x, [(0, batch_size - len(x))] + [(0, 0)] * (x.ndim - 1))

  if not isinstance(images, Mapping):
    return np.asarray(run(filled(images)))[: len(images)]
  size = len(next(iter(images.values())))
  return np.asarray(run({k: filled(x) for k, x in images.items()}))[:size]


class _Rows:
  """Writes rows; what all rows have in common is made text once.

  Of 20,000 labels a row has 60,000 cells, of which nobody but the probability
  is new: numbers need no quotes, and are joined here and not by `csv`.
  """

  def __init__(self, file, thresholds, raw, others=()):
    self._file, self._raw, self._thresholds = file, raw, thresholds
    self._others = target_columns.Cells(others, raw=raw)
    self._blank = ',' * (3 * len(thresholds)) + self._others.blank + _END
    ends = [f',{t!r}' for t in thresholds.tolist()]
    # A probability to be filled in, its decision and threshold; [2, L].
    self._forms = np.array(
      [[f',%.9g,{decision}{end}' for end in ends] for decision in (0, 1)],
      object,
    )

  def write(self, names, failures, probability):
    """Writes the rows of one batch; float64 holds float32 exactly."""
    probability = probability.astype(np.float64)
    for k, name in enumerate(names):
      status = _status(failures[k]) if k in failures else OK
      csv_files.write_rows(self._file, [[name, status]], raw=self._raw, end='')
      if k in failures:
        self._file.write(self._blank)
        continue
      row, others = np.split(probability[k], [len(self._thresholds)])
      if not ((row >= 0) & (row <= 1)).all():
        raise errors.UserError(
          f'Of {name} the network says {row[~((row >= 0) & (row <= 1))][0]}, '
          'which is no probability: its numbers overflow. Train anew, with a '
          'smaller learning rate or train.dtype=float32.'
        )
      forms = np.where(row >= self._thresholds, *self._forms[::-1])
      near = np.flatnonzero(abs(row - self._thresholds) < _NEAR)
      forms[near] = [form.replace('%.9g', '%r') for form in forms[near]]
      cells = ''.join(forms.tolist()) % tuple(row.tolist())
      self._file.write(f'{cells}{self._others.of(others, name)}{_END}')
    self._file.flush()


def _status(reason):
  return reason if reason == crop.NO_FACE else f'unreadable: {reason}'


def read_predictions(
  path: os.PathLike | str, num_labels: int | None = None, *, raw: bool = False
):
  """Yields (name, status, decisions) of every row; None where there are none.

  Args:
    path: of `write_predictions`.
    num_labels: of the labels; None: there are no other targets.
    raw: as it was then.
  """
  for name, status, cells in _read_cells(path, raw):
    stop = len(cells) if num_labels is None else 3 * num_labels
    decisions = np.array(cells[1:stop:3], np.uint8) if status == OK else None
    yield name, status, decisions


def read_targets(
  path: os.PathLike | str, num_labels: int, others: Sequence
) -> dict[str, np.ndarray]:
  """Returns name of head -> float64[R, L], of the rows that are 'ok'.

  Args:
    path: of `write_predictions`.
    num_labels: of the labels.
    others: heads beside theirs.
  """
  rows = [
    target_columns.read(cells[3 * num_labels :], others)
    for _, status, cells in _read_cells(path, raw=True)
    if status == OK
  ]
  return {
    head.name: np.array([row[head.name] for row in rows]).reshape(
      len(rows), len(head.names)
    )
    for head in others
  }


def _read_cells(path, raw):
  """Yields name, status and all other cells of every row."""
  with open(
    path, encoding='utf-8', errors='surrogateescape', newline=''
  ) as file:
    rows = csv.reader(file)
    next(rows)
    for name, status, *cells in rows:
      yield name if raw else csv_files.as_given(name), status, cells


def write_submission(
  path: os.PathLike | str,
  folder: os.PathLike | str,
  label_names: Sequence[str],
  kind: str,
  *,
  others: Sequence = (),
  raw: bool = False,
) -> list[pathlib.Path]:
  """Writes the decisions as a competition wants them, see `submission.write`.

  Images without a prediction are left out, so a frame among them repeats the
  one before it; of a video all frames up to the last image are there.
  """
  num_labels = len(label_names)
  rows = list(read_predictions(path, num_labels, raw=raw))
  good = [(name, row) for name, _, row in rows if row is not None]
  decisions = np.array([row for _, row in good], np.uint8)
  found = read_targets(path, num_labels, others)
  return submission.write(
    folder,
    [name for name, _ in good],
    decisions.reshape(len(good), num_labels),
    label_names,
    kind=kind,
    num_frames=submission.check([name for name, *_ in rows], label_names),
    others=[(head, found[head.name]) for head in others],
  )


def summarise(path: os.PathLike | str, num_labels: int):
  """Counts rows by status, and positive decisions.

  Returns:
    status -> rows, the most first; and int64[L].
  """
  statuses = collections.Counter()
  positive = np.zeros(num_labels, np.int64)
  for _, status, decisions in read_predictions(path, num_labels):
    statuses[status] += 1
    if decisions is not None:
      positive += decisions
  return dict(statuses.most_common()), positive
