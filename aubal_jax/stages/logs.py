"""What training tells TensorBoard, beside metrics.jsonl."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np

from aubal_jax.network import tensorboard
from aubal_jax.runs import hosts

_NUM_SHOWN = 32  # Images of the contact sheet.


@contextlib.contextmanager
def opened(
  run, parts, streams, first: int
) -> Iterator[tensorboard.EventLog | None]:
  """Yields the `EventLog` to go on after step `first`; None: none is wanted."""
  if not run.config.train.tensorboard or not hosts.is_first():
    yield None
    return
  path = run.path / 'tensorboard'
  with tensorboard.open_log(path, step=first) as log:
    _write_sheet(log, run.config, parts, streams, first)
    print(f'train: tensorboard --logdir {run.path}', flush=True)
    yield log


def _write_sheet(log, config, parts, streams, first):
  """Writes rows of the plan, each beside its image as in epoch 0."""
  from aubal_jax.batches import augment
  from aubal_jax.batches import plan_rows
  from aubal_jax.datasets import streams as streams_lib

  plan, which = parts.plan, config.augment.rows
  if parts.description.pixels is None:
    return
  rows = np.flatnonzero(plan.augment | (which == 'all'))
  if which == 'none' or not len(rows):
    return
  # From end to end, so that few labelsets do not fill it.
  shown = np.linspace(0, len(rows) - 1, min(len(rows), _NUM_SHOWN))
  rows = rows[shown.astype(int)]
  (image,) = (s for s in streams if s.name == streams_lib.IMAGE)
  before = plan_rows.inputs_of(plan, image.take, rows, seed=config.seed)
  growth = plan_rows.growth_of(plan, parts.settings)
  drawn = augment.Drawn(parts.settings, config.seed, growth)
  log.write_sheet(first, before, (parts.policy or drawn)(before, 0, rows))


def beside(write_line: Callable[[dict], None] | None, log):
  """Returns what writes a line of metrics.jsonl, and to the log if any."""
  if log is None:
    return write_line

  def write(line):
    write_line(line)
    log.write_line(line)

  return write
