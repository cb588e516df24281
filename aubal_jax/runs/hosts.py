"""Several processes, each with devices of its own, as one run.

Process 0 alone reads and writes the folder of the run; what it finds there the
others are told, so that the folder need not be one they see. Training steps
and predictions are the work of all. Where one process ends before its time,
the others end too, with its status: none waits for ever for one that is gone.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import preemption

_ENDED = 'aubal_jax/ended'
_POLL_SECONDS = 1.0
_POLL_MILLISECONDS = 10_000
_SMALL = 1 << 16  # Bytes that may go by the coordinator.

_calls = itertools.count()  # All processes make the same calls in one order.
_client: Any = None  # JAX's, of the coordinator; None in a run of one process.
_alone = False  # Whether process 0 does what the others wait for.
_over = threading.Event()


def start(
  how: str, *, address: str = '', num_processes: int = 0, process_id: int = 0
) -> None:
  """Joins the processes of a run; to be called before JAX finds its devices.

  All but process 0 are silent from here on, but for errors.

  Args:
    how: 'no': this process alone; 'auto': SLURM, GKE or a TPU pod say who
      takes part; 'address': the other arguments do.
    address: host:port of process 0, where it can be reached by all.
    num_processes: in all.
    process_id: of this one, from 0.

  Raises:
    UserError: what the arguments say cannot be.
    OSError: the others could not be reached.
  """
  if how == 'no':
    return
  arguments = {}
  if how == 'address':
    _check(address, num_processes, process_id)
    arguments = {
      'coordinator_address': address,
      'num_processes': num_processes,
      'process_id': process_id,
    }
  import jax
  from jax._src import distributed  # Where Orbax has the client from as well.

  # Of CPU devices alone, which else cannot compute together.
  jax.config.update('jax_cpu_collectives_implementation', 'gloo')
  # It would take SIGTERM from `preemption`.
  jax.config.update('jax_enable_preemption_service', False)
  try:
    jax.distributed.initialize(**arguments)
    jax.devices()  # All look at once, as each waits for the others in it.
  except (RuntimeError, ValueError) as error:
    first = str(error).partition('\n')[0]
    raise OSError(
      f'The processes of the run do not find each other ({first}). Is process '
      '0 started, and does distributed.address lead to it? auto is for SLURM, '
      'GKE and TPU pods; distributed.start=no runs on this machine alone.'
    ) from error
  if jax.process_count() == 1:
    return
  global _client
  _client = distributed.global_state.client
  if not is_first():
    sys.stdout = sys.stderr = open(os.devnull, 'w')  # noqa: SIM115
  threading.Thread(target=_watch, daemon=True, name='aubal_jax_hosts').start()


def _check(address, num_processes, process_id):
  host, _, port = address.rpartition(':')
  if not host or not port.isdigit():
    raise errors.UserError(
      f'distributed.address must be host:port of process 0; got {address!r}.'
    )
  if not process_id < num_processes:
    raise errors.UserError(
      f'distributed.process_id must be below num_processes; got {process_id} '
      f'of {num_processes}.'
    )


def index() -> int:
  """Returns the number of this process."""
  return sys.modules['jax'].process_index() if _client else 0


def count() -> int:
  """Returns how many processes are at work."""
  return sys.modules['jax'].process_count() if _client and not _alone else 1


def is_first() -> bool:
  """Whether this is process 0, which reads and writes the folder."""
  return index() == 0


def from_first(make: Callable[[], Any]) -> Any:
  """Returns make(), which process 0 alone calls, however long it takes.

  Args:
    make: what it returns is pickled for the others: arrays of NumPy, no JAX's.
  """
  global _alone
  if count() == 1:
    return make()
  key = f'aubal_jax/{next(_calls)}'
  if is_first():
    _alone = True
    try:
      value = make()
    finally:
      _alone = False
    content = pickle.dumps(value)
    small = content if len(content) <= _SMALL else b''
    _client.key_value_set_bytes(key, len(content).to_bytes(8, 'little') + small)
    if not small:
      _broadcast(np.frombuffer(content, np.uint8))
    return value
  told = _get(key)
  size, small = int.from_bytes(told[:8], 'little'), told[8:]
  return pickle.loads(small or _broadcast(np.zeros(size, np.uint8)).tobytes())


def _get(key: str) -> bytes:
  """Waits for a key as long as it takes; `ending_together` ends the wait."""
  from jax.errors import JaxRuntimeError

  while True:
    try:
      return _client.blocking_key_value_get_bytes(key, _POLL_MILLISECONDS)
    except JaxRuntimeError as error:
      if 'DEADLINE_EXCEEDED' not in str(error):
        raise


def _broadcast(content):
  """Returns process 0's uint8[N] on all; bytes, that -0 stays what it is."""
  from jax.experimental import multihost_utils

  return np.asarray(multihost_utils.broadcast_one_to_all(content))


def check_same(what: dict) -> None:
  """Raises UserError where settings differ from those of process 0.

  Args:
    what: name -> value.
  """
  first = from_first(lambda: what)
  differ = sorted(
    name for name in {*first, *what} if _differs(name, first, what)
  )
  if differ:
    raise errors.UserError(
      f'Process {index()} was started otherwise than process 0: '
      + '; '.join(
        f'{name} is {what.get(name)!r}, not {first.get(name)!r}'
        for name in differ
      )
      + '. Give all of them the same configuration and data.'
    )


def _differs(name, one, other) -> bool:
  return name not in one or name not in other or one[name] != other[name]


def signal_agreed(every: int) -> Callable[[], bool]:
  """Returns what says whether any process was sent a signal, to all at once.

  Args:
    every: calls between times it is asked for: each waits for all processes.
      Alone, every call tells.
  """
  if count() == 1:
    return preemption.requested
  from jax.experimental import multihost_utils

  calls = itertools.count(1)

  def agreed():
    if next(calls) % every:
      return False
    own = np.int32(preemption.received())
    number = int(np.max(multihost_utils.process_allgather(own)))
    if number:
      preemption.pass_on(number)
    return bool(number)

  return agreed


@contextlib.contextmanager
def ending_together() -> Iterator[None]:
  """Inside, a process that ends otherwise than well ends all the others.

  What is raised is printed if it is no SystemExit, and the process is left.
  """
  try:
    yield
  except BaseException as error:
    _over.set()
    if _client is None:
      raise
    if isinstance(error, SystemExit):
      status = error.code
    elif (status := _end_of_another()) is None:
      status = 1
      traceback.print_exc(file=sys.__stderr__)
    _leave(status)
  _over.set()


def _watch():
  """Ends this process when another one says that it has ended."""
  # The coordinator is in process 0, which stays until the others are gone.
  patience = (3 if index() else 6) * _POLL_SECONDS
  while not _over.wait(_POLL_SECONDS):
    if _ended() and not _over.wait(patience):
      os._exit(_end_of_another())


def _ended():
  """Returns which other process has ended, and its status; or None."""
  from jax.errors import JaxRuntimeError

  try:
    who, status = map(int, _client.key_value_try_get(_ENDED).split())
  except JaxRuntimeError:
    return None  # Or there is no coordinator, whose end JAX itself notices.
  return None if who == index() else (who, status)


def _end_of_another():
  """Says which other process has ended, if one has; returns its status."""
  found = _ended()
  if found is None:
    return None
  print(
    f'Error: process {found[0]} ended with status {found[1]}; what it printed '
    f'says why. Process {index()} ends as well.',
    file=sys.__stderr__,
    flush=True,
  )
  return found[1]


def _leave(status):
  """Tells the others and ends: JAX's own way out would wait for them."""
  from jax.errors import JaxRuntimeError

  with contextlib.suppress(JaxRuntimeError):
    _client.key_value_set(_ENDED, f'{index()} {status}')
  sys.stdout.flush()
  sys.__stderr__.flush()
  time.sleep((2 if index() else 7) * _POLL_SECONDS)  # See `_watch`.
  os._exit(status)
