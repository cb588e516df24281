"""Tasks of many runs: a cell is one of them, in a folder of its own.

Cells are done in this process, or handed to an executor (`runs.executors`),
whose workers see the folder too. A worker is given the settings and the cell;
the data it reads itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import itertools
import os
import sys
import threading
import time
import typing
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from aubal_jax.runs import errors
from aubal_jax.runs import executors
from aubal_jax.runs import preemption
from aubal_jax.runs import programs
from aubal_jax.runs import progress
from aubal_jax.runs import workdir
from aubal_jax.runs import workers

_FORGET_EVERY = 10  # Cells.
_PINNED = ('balance', 'train', 'compare')  # Stages that a cell has.

_one_cell = threading.Lock()  # A worker of Dask may have several threads.
_handed = itertools.count(1)  # Cells that this worker has done.


class Order(typing.NamedTuple):
  """A cell as a worker is given it.

  Attributes:
    cell: the cell.
    remake: cell -> its `Run`, with the data: of a module, or a partial of one.
    work: run, cell -> None; likewise.
    pinned: stage -> setting -> value, of who gives it.
    command: `sys.argv` there.
    folder: where relative paths begin.
    forgets: as of `run_all`.
  """

  cell: typing.Any
  remake: Callable
  work: Callable
  pinned: dict
  command: list
  folder: str
  forgets: bool


def check(config) -> None:
  """Raises UserError where cells cannot be handed to who is to do them."""
  given = config.experiments
  executors.check(given.executor, given.address)
  if given.executor == 'local' and given.address:
    raise errors.UserError(
      'experiments.address is for experiments.executor=dask or submitit; it '
      f'is {given.address!r}, and the executor is local.'
    )
  if not _is_here(given) and config.distributed.start != 'no':
    raise errors.UserError(
      'experiments.executor and experiments.num_workers give cells to others, '
      'distributed.start makes several processes one: set one of the two; '
      f'they are {given.executor!r}, {given.num_workers} and '
      f'{config.distributed.start!r}.'
    )


def _is_here(given) -> bool:
  """Whether cells are done in this process, one after the other."""
  one = workers.default_count(given.num_workers) == 1
  return given.executor == 'local' and one


@contextlib.contextmanager
def handing_out(run) -> Iterator:
  """Yields the executor of a task's cells; None where they are done here."""
  given = run.config.experiments
  if _is_here(given):
    yield None
    return
  folder = run.path / workdir.JOBS[0]
  with executors.open(
    given.executor, given.address, given.num_workers, folder=folder
  ) as executor:
    yield executor


def refuse_others(runs: Iterable) -> None:
  """Raises UserError where a folder holds what is not of this task.

  Args:
    runs: the `Run` of each cell.
  """
  for own in runs:
    own.refuse_other()


def with_images(run, runs: Mapping) -> dict:
  """Returns cell -> its `Run`, with images, if any, which `run` reads once."""
  opened = run.images_seen()
  return {
    cell: dataclasses.replace(own, opened=opened) for cell, own in runs.items()
  }


def run_all(
  title: str,
  runs: Mapping,
  left: Sequence,
  work: Callable,
  *,
  executor=None,
  remake: Callable | None = None,
  weigh: Callable = lambda cell: 1,
  later: float = 0,
  forgets: bool = False,
) -> dict:
  """Does the cells that are left, with the time to go.

  Args:
    title: of the task, for what is printed.
    runs: cell -> its `Run`, of all there are.
    left: the cells to do.
    work: run, cell -> None; what it raises is the end of its cell alone.
    executor: who does them; None: this process, one after the other.
    remake: cell -> its `Run`, in a worker; needed for an executor.
    weigh: cell -> what its time goes with.
    later: what comes after these cells, likewise: for the time that is told.
    forgets: let go of compiled programs now and then: each cell has its own.

  Returns:
    Cell -> what went wrong with it.

  Raises:
    OSError: what is wrong with the disk is wrong for all of them.
    SystemExit: a signal came.
  """
  if executor is not None:
    orders = [_order(runs[c], c, remake, work, forgets) for c in left]
    return _hand_out(title, len(runs), orders, executor, weigh, later)
  failures = {}
  start, done = time.monotonic(), 0
  for i, cell in enumerate(left):
    preemption.stop_if_requested()
    place = len(runs) - len(left) + i + 1
    line = f'{title}: cell {place} of {len(runs)}, {cell.name}'
    if done:
      ahead = sum(map(weigh, left[i:])) + later
      seconds = (time.monotonic() - start) / done * ahead
      line += f'; about {progress.duration(seconds)} left in all'
    print(line, flush=True)
    failure = _run_one(runs[cell], cell, work)
    if failure is not None:
      failures[cell] = failure
      print(f'{title}: {cell.name} {failure}', file=sys.stderr, flush=True)
    done += weigh(cell)
    if forgets and (i + 1) % _FORGET_EVERY == 0:
      _forget_programs()
  return failures


def _order(run, cell, remake, work, forgets) -> Order:
  run.path.parent.mkdir(parents=True, exist_ok=True)  # Workers would race.
  pinned = {stage: run.pinned[stage] for stage in _PINNED}
  return Order(*(cell, remake, work, pinned, [*sys.argv], os.getcwd(), forgets))


def _hand_out(title, num_cells, orders, executor, weigh, later) -> dict:
  """Has an executor do cells; arguments and result as of `run_all`."""
  failures = {}
  start, done = time.monotonic(), 0
  ahead = sum(weigh(order.cell) for order in orders) + later
  waiting = {executor.submit(_do_away, order): order.cell for order in orders}
  for i, future in enumerate(executors.as_done(waiting)):
    preemption.stop_if_requested()
    cell = waiting[future]
    failure = _outcome(future)
    if failure is not None:
      failures[cell] = failure
      print(f'{title}: {cell.name} {failure}', file=sys.stderr, flush=True)
    done += weigh(cell)
    ahead -= weigh(cell)
    line = f'{title}: {num_cells - len(orders) + i + 1} of {num_cells} cells, '
    line += f'{cell.name} {"is done" if failure is None else "failed"}'
    if ahead:
      seconds = (time.monotonic() - start) / done * ahead
      line += f'; about {progress.duration(seconds)} left in all'
    print(line, flush=True)
  return failures


def _outcome(future) -> str | None:
  """Returns what went wrong with a cell that was handed out, or None.

  Raises:
    OSError: the disk, for a cell's worker.
  """
  try:
    failure = future.result()
  except executors.WorkerDied as error:
    return f'failed: {error}'
  except Exception as error:  # It could not be begun there.
    return errors.tell_failure(error)
  if isinstance(failure, OSError):
    raise failure
  return failure


def _do_away(order: Order) -> str | OSError | None:
  """Does a cell in a worker; returns what went wrong with it, or None."""
  folder = order.folder if os.path.isdir(order.folder) else '.'
  with _one_cell, contextlib.chdir(folder), programs.kept():
    sys.argv[:] = order.command  # As config.json of the cell tells it.
    run = order.remake(order.cell)
    _check_same(run, order)
    try:
      return _run_one(run, order.cell, order.work)
    except OSError as error:
      return error
    finally:
      if order.forgets and next(_handed) % _FORGET_EVERY == 0:
        _forget_programs()


def _check_same(run, order) -> None:
  """Raises UserError where a worker has read other data than were meant."""
  differ = {
    name
    for stage, pinned in order.pinned.items()
    for name in {*pinned, *run.pinned[stage]}
    if pinned.get(name) != run.pinned[stage].get(name)
  }
  if differ:
    raise errors.UserError(
      f'The worker on {os.uname().nodename} reads other data than the command, '
      f'by {", ".join(sorted(differ))}; give both the same files and release.'
    )


def _forget_programs() -> None:
  """Lets go of compiled programs.

  Those of a training are 45 MB and some 700 to 2,000 pieces of mapped memory,
  of which Linux gives a process 65,530. They are read from disk when needed
  again.
  """
  import jax

  jax.clear_caches()
  gc.collect()


def _run_one(run, cell, work) -> str | None:
  """Does a cell in its folder; returns what went wrong, or None."""
  with run.locked():
    try:
      work(run, cell)
    except OSError:
      raise
    except Exception as error:  # One cell's: a method that cannot, or a bug.
      return errors.tell_failure(error)
  return None


def end_with(failures: Mapping) -> None:
  """Raises SystemExit where cells failed, and names them.

  Args:
    failures: cell -> what went wrong.
  """
  if failures:
    print(
      f'Warning: failed: {", ".join(cell.name for cell in failures)}; the same '
      'command tries again.',
      file=sys.stderr,
    )
    raise SystemExit(1)
