"""Logs for TensorBoard: event files, as tensorboardX makes their content.

Its SummaryWriter writes in a thread of its own, where a full disk is not told,
and names files by the clock: here each event is on its way to the disk when it
is written, and files are numbered.
"""

from __future__ import annotations

import contextlib
import pathlib
import time
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np

from aubal_jax.runs import extras
from aubal_jax.runs import files

# Of a curve, evenly over [0, 1]: the most that tensorboardX takes.
_NUM_THRESHOLDS = 127
_COLUMNS = 4  # Of pairs on a contact sheet.


def check_installed() -> None:
  """Raises UserError where the package that knows the format is absent."""
  extras.need('tensorboardX', 'train.tensorboard=True')


class EventLog:
  """Writes one event file; what is written is on its way to the disk."""

  def __init__(self, records, *, step: int):
    from tensorboardX.proto import event_pb2

    self._event = event_pb2.Event
    self._records = records
    self._write(step, file_version='brain.Event:2')
    # What an earlier file has of later steps is not shown.
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    self._write(step + 1, session_log=start)

  def _write(self, step, **what):
    event = self._event(wall_time=time.time(), step=step, **what)
    self._records.write(event.SerializeToString())
    self._records.flush()

  def write_line(self, line: dict) -> None:
    """Writes the numbers of a line of metrics.jsonl, see `TrainLog`."""
    from tensorboardX import summary

    found = dict(line)
    step = found.pop('step')
    validation = found.pop('validation', None)
    if validation is not None:  # Its epoch is beside the loss already.
      found = {f'validation/{k}': v for k, v in validation.items()}
    for name, value in found.items():
      if value is not None:
        tag = name if '/' in name else f'train/{name}'
        self._write(step, summary=summary.scalar(tag, value))

  def write_curves(
    self,
    step: int,
    names: Sequence[str],
    probability: np.ndarray,
    label: np.ndarray,
    known: np.ndarray,
  ) -> None:
    """Writes a precision-recall curve for each label, over known entries.

    Args:
      step: they are of.
      names: of the L labels.
      probability: float[N, L], in [0, 1].
      label: 0/1 [N, L]; ignored where not known.
      known: bool[N, L].
    """
    from tensorboardX import summary

    for i, name in enumerate(names):
      here = known[:, i]
      curve = _curve(probability[here, i], label[here, i] != 0)
      tag = f'validation/{name}/pr_curves'
      self._write(
        step, summary=summary.pr_curve_raw(tag, *curve, _NUM_THRESHOLDS)
      )

  def write_sheet(self, step: int, before: np.ndarray, after: np.ndarray):
    """Writes a contact sheet: images, each beside what became of it.

    Args:
      step: it is of.
      before: uint8[R, H, W, C], C 1 or 3.
      after: uint8[R, H, W, C].
    """
    from tensorboardX import summary

    sheet = _grid(np.concatenate([before, after], axis=2))
    image = summary.image('augmented', sheet, dataformats='HWC')
    self._write(step, summary=image)


@contextlib.contextmanager
def open_log(
  directory: str | pathlib.Path, *, step: int = 0
) -> Iterator[EventLog]:
  """Opens a new event file to go on after `step`.

  Lines of later steps in earlier files, which a run that was killed wrote
  after its last checkpoint, are no longer shown.

  Args:
    directory: of event files; made where it is not there.
    step: steps done.
  """
  from tensorboardX import record_writer

  directory = pathlib.Path(directory)
  directory.mkdir(parents=True, exist_ok=True)
  # Readers take the files in the order of their names. They are numbered, not
  # dated: a clock that is put back would turn the order around.
  names = [p.name for p in directory.glob('events.out.tfevents.*')]
  numbers = [int(n) for n in (x.split('.')[3] for x in names) if n.isdecimal()]
  path = directory / f'events.out.tfevents.{max(numbers, default=0) + 1:010d}'
  with (
    files.naming(path),
    contextlib.closing(record_writer.RecordWriter(str(path))) as records,
  ):
    yield EventLog(records, step=step)


def _curve(probability, label):
  """Returns float32[6, thresholds]: tp, fp, tn, fn, precision, recall.

  An entry is found at each threshold that its probability reaches.
  """
  place = np.floor(np.float64(probability) * (_NUM_THRESHOLDS - 1)).astype(int)
  tp, fp = (
    np.bincount(place[label == y], minlength=_NUM_THRESHOLDS)[::-1].cumsum()
    for y in (True, False)
  )
  tp, fp = tp[::-1], fp[::-1]
  tn, fn = fp[0] - fp, tp[0] - tp
  precision = tp / np.maximum(tp + fp, 1)
  recall = tp / np.maximum(tp + fn, 1)
  return np.stack([tp, fp, tn, fn, precision, recall]).astype(np.float32)


def _grid(images):
  """Returns uint8[., ., C] of uint8[R, H, W, C], `_COLUMNS` a row."""
  fill = -len(images) % _COLUMNS
  images = np.pad(images, ((0, fill), (0, 0), (0, 0), (0, 0)))
  _, height, width, channels = images.shape
  tiles = images.reshape(-1, _COLUMNS, height, width, channels)
  return tiles.swapaxes(1, 2).reshape(-1, _COLUMNS * width, channels)
