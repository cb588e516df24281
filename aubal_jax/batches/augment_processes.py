"""Augments in worker processes, where one process is not enough.

A worker imports neither TensorFlow nor JAX, and ends when its parent does.
Images go there and back through memory both see; what is drawn depends on
(seed, epoch, row) alone, so a worker that died is replaced and its batch made
again, with the same result.
"""

import contextlib
import multiprocessing
import pickle
import queue
from collections.abc import Callable
from collections.abc import Iterator
from multiprocessing import shared_memory

import numpy as np

from aubal_jax.runs import errors
from aubal_jax.runs import workers

_TRIES = 2  # Of a batch whose worker dies.


@contextlib.contextmanager
def start(augment: Callable, *, num_processes: int) -> Iterator:
  """Starts worker processes; yields `augment` as they do it.

      with start(augment.Drawn(settings, seed), num_processes=2) as augmented:
        images = augmented(images, epochs, rows)

  It may be called from several threads; each call is the work of one worker. It
  raises ChildProcessError where two workers die over one batch, and what the
  work itself raises.

  Args:
    augment: f(images uint8[B, H, W, C], epochs int[B] or int, rows int[B]) ->
      images, such as `augment.Drawn` or `policy.Policy`: what a worker makes of
      its pickle, which has to be the same function.
    num_processes: how many, 1 or more.

  Raises:
    UserError: num_processes is below 1.
  """
  if num_processes < 1:
    raise errors.UserError(
      f'num_processes must be at least 1; got {num_processes}.'
    )
  idle = queue.SimpleQueue()
  started = [_Worker(augment) for _ in range(num_processes)]
  for worker in started:
    idle.put(worker)

  def augmented(images, epochs, rows):
    worker = idle.get()
    try:
      for _ in range(_TRIES):
        with contextlib.suppress(EOFError, ConnectionError):
          return worker.run(images, epochs, rows)
        worker.restart()
    finally:
      idle.put(worker)
    raise ChildProcessError(
      f'{_TRIES} augmentation workers died over one batch; they may have run '
      'out of memory. The same command goes on; train.num_processes=0 augments '
      'without workers.'
    )

  try:
    yield augmented
  finally:
    for worker in started:
      worker.stop()


class _Worker:
  """A process, the pipe to it, and the memory both see."""

  def __init__(self, augment):
    self._augment = augment
    self._memory = None
    self._begin()

  def _begin(self):
    context = multiprocessing.get_context('spawn')
    self._pipe, there = context.Pipe()
    self._process = context.Process(
      target=_serve, args=(there, self._augment), daemon=True
    )
    self._process.start()
    there.close()

  def run(self, images, epochs, rows):
    """Returns the images as the worker augments them."""
    if self._memory is None or self._memory.size < images.nbytes:
      self._release()
      self._memory = shared_memory.SharedMemory(create=True, size=images.nbytes)
    shared = np.ndarray(images.shape, images.dtype, self._memory.buf)
    shared[...] = images
    self._pipe.send((self._memory.name, images.shape, epochs, rows))
    failure = self._pipe.recv()
    if failure is not None:
      raise failure
    return shared.copy()

  def restart(self):
    """Replaces a process that died."""
    self._process.kill()  # Or that is about to.
    self._process.join()
    self._pipe.close()
    self._begin()

  def stop(self):
    """Ends the process and gives the memory back."""
    self._process.kill()
    self._process.join()
    self._pipe.close()
    self._release()

  def _release(self):
    if self._memory is not None:
      self._memory.close()
      self._memory.unlink()
      self._memory = None


def _serve(pipe, augment):
  """Augments what the pipe names, until it is closed."""
  import cv2

  workers.follow_parent()
  cv2.setNumThreads(1)
  name, memory = None, None
  while True:
    try:
      wanted, shape, epochs, rows = pipe.recv()
    except EOFError:
      return
    if wanted != name:
      if memory is not None:
        memory.close()
      name, memory = wanted, shared_memory.SharedMemory(wanted)
    images = np.ndarray(shape, np.uint8, memory.buf)
    try:
      images[...] = augment(images, epochs, rows)
    except Exception as error:  # A pipeline of the user's may raise anything.
      pipe.send(_as_sent(error))
    else:
      pipe.send(None)


def _as_sent(error: Exception) -> Exception:
  """Returns the error, or one in words where a pipe cannot carry it."""
  try:
    pickle.loads(pickle.dumps(error))
  except Exception:  # Whatever its class makes of what it is given.
    return RuntimeError(f'{type(error).__name__}: {error}')
  return error
