"""Worker processes: spawned, and gone when who started them is gone."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent import futures
from multiprocessing import connection


def default_count(num_processes: int) -> int:
  """Returns the number of processes meant: 0 is one for each CPU."""
  if num_processes:
    return num_processes
  if hasattr(os, 'sched_getaffinity'):  # What this process may use.
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def is_worker() -> bool:
  """Returns whether this process was spawned by another one of Python."""
  return multiprocessing.parent_process() is not None


def map_unordered(
  function: Callable, items: Iterable, *, num_processes: int
) -> Iterator[tuple]:
  """Yields (item, function(item)) as they get done.

  With one process, or one item, or in a daemon (as Dask's workers are), which
  may have no processes, the work is done here. Workers import what
  `function` needs and nothing more, ignore Ctrl-C and SIGHUP (who started
  them ends them), and end when their parent does, however it does.

  Args:
    function: of a module, so that it can be named to another process.
    items: what it is called with; they are pickled.
    num_processes: how many at once; 0: one for each CPU.

  Raises:
    ChildProcessError: a worker died.
  """
  items = list(items)
  num_processes = min(default_count(num_processes), len(items))
  if num_processes <= 1 or multiprocessing.current_process().daemon:
    for item in items:
      yield item, function(item)
    return
  pool = futures.ProcessPoolExecutor(
    num_processes,
    mp_context=multiprocessing.get_context('spawn'),
    initializer=follow_parent,
  )
  try:
    waiting = {pool.submit(function, item): item for item in items}
    for done in futures.as_completed(waiting):
      yield waiting.pop(done), done.result()
  except futures.process.BrokenProcessPool as error:
    raise ChildProcessError(
      'a worker process died; it may have run out of memory. What it had '
      'finished is kept: run the same command again, with fewer processes '
      '(data.num_processes).'
    ) from error
  finally:
    pool.shutdown(cancel_futures=True)


def follow_parent() -> None:
  """Makes this process end when its parent does."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  signal.signal(signal.SIGHUP, signal.SIG_IGN)
  parent = multiprocessing.parent_process()

  def wait():
    connection.wait([parent.sentinel])
    os._exit(1)

  threading.Thread(target=wait, daemon=True).start()
