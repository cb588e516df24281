"""Cells of no work, each with an outcome of its own."""

import dataclasses
import errno
import os
import pathlib
import typing

from aubal_jax.experiments import cells
from aubal_jax.runs import errors
from aubal_jax.runs import files
from aubal_jax.runs import workdir


class Cell(typing.NamedTuple):
  name: str
  outcome: str


@dataclasses.dataclass(frozen=True)
class Run:
  """As much of a run as `cells` needs."""

  path: pathlib.Path
  pinned: dict

  def locked(self):
    return workdir.locked(self.path)


def make_run(path, cell, *, is_worker=True):
  pinned = {stage: {} for stage in cells._PINNED}
  pinned['train'] = {'seed': int(is_worker and cell.outcome == 'other')}
  return Run(pathlib.Path(path, cell.name), pinned)


@dataclasses.dataclass(frozen=True)
class Remake:
  path: str

  def __call__(self, cell):
    return make_run(self.path, cell)


def work(run, cell):
  if cell.outcome == 'user':
    raise errors.UserError('mend it')
  if cell.outcome == 'bug':
    raise KeyError(cell.name)
  if cell.outcome == 'full':
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'a file')
  if cell.outcome == 'die':
    os._exit(9)
  files.write_json(run.path / 'result.json', cell.name)
