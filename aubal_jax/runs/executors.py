"""Who does pieces of work: this process, processes here, Dask, SLURM.

An executor has `submit(f, *args)`, which returns a future that has `result()`.
`f` is a function of a module, and what it takes and returns is small: it is
pickled, and goes to another machine perhaps.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import math
import multiprocessing
import os
import pathlib
import signal
import socket
import threading
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent import futures

from aubal_jax.runs import errors
from aubal_jax.runs import extras
from aubal_jax.runs import preemption
from aubal_jax.runs import workers

NAMES = ('local', 'dask', 'submitit')

_CONNECT_SECONDS = 10
_POLL_SECONDS = 0.5
_SAVE_SECONDS = 60  # That a worker has after SIGTERM.
_GONE = 'the scheduler let go of it, or is gone'
_JOB_MINUTES = 24 * 60  # Of SLURM; SBATCH_TIMELIMIT is stronger.


class WorkerDied(Exception):
  """A worker ended before its work did."""


def check(name: str, address: str = '') -> None:
  """Raises UserError where `open` would; Dask's scheduler is called.

  Args:
    name: of NAMES.
    address: as of `open`.
  """
  _check_name(name)
  if name == 'dask':
    _connect(address).close()
  if name == 'submitit':
    _cluster(address)


def _check_name(name: str) -> None:
  if name not in NAMES:
    raise errors.UserError(
      f'experiments.executor must be one of {[*NAMES]}; it is {name!r}.'
    )


@contextlib.contextmanager
def open(
  name: str,
  address: str = '',
  num_workers: int = 1,
  *,
  folder: os.PathLike | str = 'jobs',
) -> Iterator:
  """Yields an executor; what it started ends with the block.

  Work that has not begun is then called off. What runs here or by SLURM is
  stopped; workers of Dask, which are not ours, end what they are at.

  Args:
    name: 'local': processes of this machine; 'dask': the workers of a
      scheduler; 'submitit': jobs of SLURM.
    address: Dask: the scheduler's, host:port. submitit: the cluster, 'slurm'
      or 'local' (processes here, as jobs); '': SLURM where there is one.
    num_workers: on this machine, at once; 0: one for each CPU. One of 'local'
      is this process, which has done the work when `submit` returns.
    folder: for scripts and logs of jobs; all machines see it.

  Raises:
    UserError: there is no such executor, or nobody answers.
  """
  _check_name(name)
  num_workers = workers.default_count(num_workers)
  with contextlib.ExitStack() as stack:
    if name == 'dask':
      executor = stack.enter_context(_by_dask(address))
    elif name == 'submitit':
      executor = _by_submitit(address, folder, num_workers)
    else:
      executor = _Here() if num_workers == 1 else _Processes(num_workers)
    stack.callback(executor.close)
    yield executor


def as_done(waiting: Iterable) -> Iterator:
  """Yields futures as they get done; in their order where they cannot tell."""
  waiting = [*waiting]
  if all(isinstance(future, futures.Future) for future in waiting):
    yield from futures.as_completed(waiting)
  else:
    yield from waiting


class _Here:
  """Does the work at once, in this process."""

  def submit(self, function: Callable, *arguments) -> futures.Future:
    future: futures.Future = futures.Future()
    _settle(future, *_outcome(function, arguments))
    return future

  def close(self) -> None:
    pass


def _outcome(function, arguments) -> tuple:
  """Returns what a function returned, and what it raised."""
  try:
    return function(*arguments), None
  except Exception as error:
    return None, error


def _settle(future, value, error) -> None:
  if error is None:
    future.set_result(value)
  else:
    future.set_exception(error)


class _Processes:
  """Spawned processes; in the place of one that died there comes another.

  Each is led by a thread of this process, which waits for its answers.
  """

  def __init__(self, num_workers: int):
    self._leaders = futures.ThreadPoolExecutor(num_workers)
    self._own = threading.local()
    self._started: list[_Process] = []
    self._lock = threading.Lock()
    self._is_closed = False

  def submit(self, function: Callable, *arguments) -> futures.Future:
    return self._leaders.submit(self._do, function, arguments)

  def _do(self, function, arguments):
    process = getattr(self._own, 'process', None) or self._start()
    self._own.process = process
    try:
      value, error = process.call(function, arguments)
    except WorkerDied:
      self._own.process = None
      raise
    if error is not None:
      raise error
    return value

  def _start(self) -> _Process:
    with self._lock:
      if self._is_closed:
        raise WorkerDied('it was stopped')
      self._started.append(_Process())
      return self._started[-1]

  def close(self) -> None:
    with self._lock:
      self._is_closed = True
    self._leaders.shutdown(wait=False, cancel_futures=True)
    for process in self._started:
      process.stop()
    for process in self._started:
      process.join()
    self._leaders.shutdown()


class _Process:
  """A spawned process that does what it is sent, one after the other."""

  def __init__(self):
    spawning = multiprocessing.get_context('spawn')
    self._line, other = spawning.Pipe()
    # No daemon: those may have no processes of their own.
    self._process = spawning.Process(target=_serve, args=(other,))
    self._process.start()
    other.close()

  def call(self, function, arguments) -> tuple:
    """Returns `_outcome` of the call; raises WorkerDied."""
    try:
      self._line.send((function, arguments))
      return self._line.recv()
    except (EOFError, ConnectionError):
      self._process.join()
      raise WorkerDied(_tell_end(self._process.exitcode)) from None

  def stop(self) -> None:
    if self._process.is_alive():
      self._process.terminate()

  def join(self) -> None:
    self._process.join(_SAVE_SECONDS)
    self._process.kill()
    self._process.join()
    self._line.close()


def _tell_end(status: int) -> str:
  """Returns in words how a process ended."""
  if status >= 0:
    return f'a worker ended with status {status}'
  name = signal.Signals(-status).name
  told = '; it may have run out of memory' if name == 'SIGKILL' else ''
  return f'a worker was ended by {name}{told}'


def _serve(line) -> None:
  """Does what comes by the line, until it ends; SIGTERM saves and stops."""
  preemption.install()
  workers.follow_parent()
  with contextlib.suppress(EOFError):
    while True:
      line.send(_outcome(*line.recv()))


class _Sent:
  """Work that is sent as far as there is room, by a thread that also asks.

  What waits here goes with no worker that dies, and is easily called off.
  """

  def __init__(self, send, room, outcome, stop):
    """What differs from one kind of worker to another.

    Args:
      send: function, its arguments -> a job, which tells whether it is `done`.
      room: how many jobs may be under way now.
      outcome: a job that is done -> `_outcome` of its call.
      stop: calls off a job.
    """
    self._send, self._room = send, room
    self._outcome, self._stop = outcome, stop
    self._waiting: collections.deque = collections.deque()
    self._jobs: dict = {}
    self._is_over = threading.Event()
    self._news = threading.Event()
    self._thread = threading.Thread(target=self._attend, daemon=True)
    self._thread.start()

  def submit(self, function: Callable, *arguments) -> futures.Future:
    future: futures.Future = futures.Future()
    self._waiting.append((future, (function, *arguments)))
    self._news.set()
    return future

  def _attend(self):
    while not self._is_over.is_set():
      for future, job in [*self._jobs.items()]:
        is_done, error = _outcome(job.done, ())
        if is_done or error is not None:
          del self._jobs[future]
          _settle(future, *((None, error) if error else self._outcome(job)))
      if self._waiting:
        self._fill()
      self._news.wait(_POLL_SECONDS)
      self._news.clear()

  def _fill(self):
    room, lost = _outcome(self._room, ())
    while self._waiting and (lost or len(self._jobs) < room):
      future, call = self._waiting.popleft()
      job, error = (None, lost) if lost else _outcome(self._send, call)
      if error is not None:
        future.set_exception(error)
        continue
      self._jobs[future] = job
      if hasattr(job, 'add_done_callback'):
        job.add_done_callback(lambda _: self._news.set())

  def close(self) -> None:
    self._is_over.set()
    self._news.set()
    self._thread.join()
    for future, _ in self._waiting:
      future.cancel()
    for future, job in self._jobs.items():
      self._stop(job)
      future.set_exception(WorkerDied('it was stopped'))


@contextlib.contextmanager
def _by_dask(address):
  """Yields the executor of a scheduler's workers."""
  with _connect(address) as client:

    def room():
      try:
        return sum(client.nthreads().values())
      except (OSError, ValueError) as error:  # A client that has closed, too.
        raise WorkerDied(_GONE) from error

    if not room():
      print(f'Dask at {address} has no workers yet: work waits for them.')
    # Equal calls are not one: work is done as often as it is asked for.
    send = functools.partial(client.submit, pure=False)
    yield _Sent(send, room, _outcome_by_dask, lambda job: job.cancel())


def _outcome_by_dask(job) -> tuple:
  """Returns `_outcome` of what a worker of Dask did."""
  from distributed import scheduler

  if job.status in ('cancelled', 'lost'):
    return None, WorkerDied(_GONE)
  value, error = _outcome(job.result, ())
  if isinstance(error, scheduler.KilledWorker):
    error = WorkerDied(f'its worker died ({error.last_worker.address})')
  return value, error


def _connect(address: str):
  """Returns Dask's `Client` of a scheduler; raises UserError of none."""
  for module in ('dask', 'distributed'):
    extras.need(module, 'experiments.executor=dask')
  if not address:
    raise errors.UserError(
      'experiments.address must be host:port of the scheduler of Dask where '
      "experiments.executor is dask; it is ''. `dask scheduler` prints it."
    )
  import distributed

  try:
    _call(address)
    return distributed.Client(
      address, timeout=_CONNECT_SECONDS, set_as_default=False
    )
  except (OSError, ValueError) as error:
    raise errors.UserError(
      'experiments.address must be that of a scheduler of Dask that answers; '
      f'it is {address!r}, where none does within {_CONNECT_SECONDS} s. Start '
      'one by `dask scheduler`, which prints its address.'
    ) from error


def _call(address: str) -> None:
  """Raises ValueError or OSError where nobody listens at an address.

  A `Client` would as well; but it leaves its threads in a bad way.
  """
  from distributed import comm
  from distributed.comm import registry

  scheme, place = comm.parse_address(address)
  registry.get_backend(scheme)
  place = comm.parse_host_port(place)
  socket.create_connection(place, _CONNECT_SECONDS).close()


def _by_submitit(address, folder, num_workers) -> _Sent:
  """Returns the executor of jobs; SLURM, which has a queue, is sent all."""
  cluster = _cluster(address)
  import submitit

  folder = pathlib.Path(folder).absolute()
  jobs = submitit.AutoExecutor(folder, cluster=cluster)
  jobs.update_parameters(name='aubal_jax', timeout_min=_JOB_MINUTES)
  most = math.inf if cluster == 'slurm' else num_workers
  return _Sent(
    lambda function, *arguments: jobs.submit(_outcome, function, arguments),
    lambda: most,
    _outcome_of_job,
    lambda job: job.cancel(check=False),
  )


def _outcome_of_job(job) -> tuple:
  """Returns `_outcome` of what a job did that is done."""
  from submitit.core import utils

  try:
    return job.result()
  except utils.UncompletedJobError:
    return None, WorkerDied(
      f'job {job.job_id} ended without a result ({job.state}); what it printed '
      f'is in {job.paths.stderr}'
    )
  except Exception as error:
    return None, error


def _import_submitit():
  """Returns submitit, which sets up no logging of this process.

  Else its import shuts down all handlers there are, and absl's closes the
  stream it writes to.
  """
  name = 'SUBMITIT_LOG_LEVEL'
  is_given = name in os.environ
  os.environ.setdefault(name, 'NOCONFIG')
  try:
    import submitit
  finally:
    if not is_given:  # Its jobs are to log.
      del os.environ[name]
  return submitit


def _cluster(address: str) -> str:
  """Returns the name of submitit's cluster; raises UserError of none."""
  extras.need('submitit', 'experiments.executor=submitit')
  submitit = _import_submitit()
  from submitit.core import plugins

  known = plugins.get_executors()
  if address not in ('', *known):
    raise errors.UserError(
      f"experiments.address must be '' or one of {sorted(known)} where "
      f'experiments.executor is submitit; it is {address!r}.'
    )
  cluster = address or submitit.AutoExecutor.which()
  if known[cluster].affinity() < 0:
    raise errors.UserError(
      f'experiments.address is {cluster!r}, which this machine has no way to: '
      'there is no `srun`. Start it where jobs are sent from.'
    )
  return cluster
