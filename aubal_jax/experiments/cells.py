"""Tasks of many runs: a cell is one of them, in a folder of its own."""

from __future__ import annotations

import dataclasses
import gc
import sys
import time
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

from aubal_jax.runs import errors
from aubal_jax.runs import preemption
from aubal_jax.runs import progress

_FORGET_EVERY = 10  # Cells.


def refuse_others(runs: Iterable) -> None:
  """Raises UserError where a folder holds what is not of this task.

  Args:
    runs: the `Run` of each cell.
  """
  for own in runs:
    own.refuse_other()


def with_images(run, runs: Mapping) -> dict:
  """Returns cell -> its `Run`, with the images, which `run` reads once."""
  opened = run.images()
  return {
    cell: dataclasses.replace(own, opened=opened) for cell, own in runs.items()
  }


def run_all(
  title: str,
  runs: Mapping,
  left: Sequence,
  work: Callable,
  *,
  weigh: Callable = lambda cell: 1,
  later: float = 0,
  forgets: bool = False,
) -> dict:
  """Does the cells that are left, one after the other, with the time to go.

  Args:
    title: of the task, for what is printed.
    runs: cell -> its `Run`, of all there are.
    left: the cells to do.
    work: run, cell -> None; what it raises is the end of its cell alone.
    weigh: cell -> what its time goes with.
    later: what comes after these cells, likewise: for the time that is told.
    forgets: let go of compiled programs now and then: each cell has its own.

  Returns:
    Cell -> what went wrong with it.

  Raises:
    OSError: what is wrong with the disk is wrong for all of them.
    SystemExit: a signal came.
  """
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
