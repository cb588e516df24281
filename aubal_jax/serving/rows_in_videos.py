"""Rows of a table or a split, of networks that see them in their videos."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from aubal_jax import settings
from aubal_jax.datasets import row_columns
from aubal_jax.runs import errors
from aubal_jax.runs import preemption
from aubal_jax.runs import progress
from aubal_jax.runs import workdir
from aubal_jax.serving import in_parts
from aubal_jax.serving import predictions
from aubal_jax.serving import sources
from aubal_jax.tables.files import any_table


def find(config, path, source):
  """Returns a source whose rows tell their videos, as evaluation has them.

  Args:
    config: of which `predict.path` is a table, with the columns that the run
      was trained with or `data.group_column` and `data.frame_column` name; or
      a folder, whose images are alone.
    path: the folder of the run.
    source: of the split of a data set, which tells them itself, or of those.

  Raises:
    UserError: a submission of a folder is asked for, or a column is not there.
  """
  given = config.predict.path
  is_table = bool(given) and not os.path.isdir(given)
  if is_table and any_table.suffix(pathlib.Path(given)) in any_table.SUFFIXES:
    groups, frames = _videos_of(config, path, given)
    source = dataclasses.replace(source, groups=groups, frames=frames)
  if source.groups is not None:
    return source
  mend = (
    'a table tells of them by data.group_column and data.frame_column, and '
    '--fps=30 takes folders of images as clips'
  )
  if config.predict.submission:
    raise errors.UserError(
      'predict.submission: this network sees rows of a video together '
      f'(multitask.heads=gru), and {given or "the data set"} does not tell '
      f'which these are; {mend}.'
    )
  print(
    'Note: this network sees rows of a video together, and nothing tells which '
    f'these are: each is predicted alone; {mend}.',
    flush=True,
  )
  return source


def _videos_of(config, path, table):
  """Returns the video of each row of a table, and its frame; None of none.

  Where a column that the run was trained with is not there, that is said.
  """
  held = settings.flatten(workdir.read_settings(path))
  named, rows = {}, any_table.read(table)
  for name in ('data.group_column', 'data.frame_column'):
    named[name] = settings.value(config, name)
    default = settings.SETTINGS[name].default
    usual = held.get(name, default)
    if named[name] != default or usual == default:
      continue
    if usual in rows.columns:
      named[name] = usual
      continue
    print(
      f'Note: the run was trained with {name}={usual}, and {table} has no such '
      f'column; --{name}=NAME says which it is.',
      flush=True,
    )
  _, groups, _ = row_columns.given_split(rows, '', named['data.group_column'])
  return groups, row_columns.frames(rows, named['data.frame_column'])


def predicted(
  source: sources.Source, name: str, parts: in_parts.InParts, *, batch_size: int
) -> sources.Source:
  """Returns what is said of a source, read as if its rows were that.

  Rows that cannot be read are in no window. All is seen when the first rows are
  read, and again where a run goes on; numbers of all rows are held.

  Args:
    source: images, or features.
    name: of the stream that they are.
    parts: of the network.
    batch_size: rows a step.
  """
  said, failures = None, {}

  def read(start, stop):
    nonlocal said
    if said is None:
      said = _of_source(source, name, parts, batch_size, failures)
    failed = [row for row in range(start, stop) if row in failures]
    return said[start:stop], {row - start: failures[row] for row in failed}

  return dataclasses.replace(source, read=read)


def _of_source(source, name, parts, batch_size, failures) -> np.ndarray:
  """Returns float32[N, K], and tells of the rows that cannot be read."""
  total = len(source.names)
  numbers = np.zeros((total, parts.size), np.float32)
  report = progress.Progress(total, 'predict, rows seen')
  for start in range(0, total, batch_size):
    preemption.stop_if_requested()
    rows, failed = source.read(start, min(start + batch_size, total))
    failures.update({start + k: reason for k, reason in failed.items()})
    numbers[start : start + len(rows)] = predictions.run_whole(
      lambda x: parts.see({name: x}), rows, batch_size
    )
    report.update(len(rows))
  good = np.setdiff1d(np.arange(total), [*failures])
  said = np.zeros((total, parts.width), np.float32)
  said[good] = parts.predict(
    numbers[good],
    _taken(source.groups, good),
    _taken(source.frames, good),
    batch_size=batch_size,
  )
  return said


def _taken(column: Sequence | None, rows):
  return None if column is None else np.asarray(column)[rows]
