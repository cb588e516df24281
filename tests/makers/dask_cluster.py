"""A scheduler of Dask and its workers, on loopback, each a process."""

import contextlib
import json
import os
import subprocess
import sys
import time


@contextlib.contextmanager
def started(folder, *, num_workers=2, allowed_failures=0):
  """Yields the scheduler's address and process, and its workers' processes."""
  told = folder / 'scheduler.json'
  env = os.environ | {
    'DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES': str(allowed_failures)
  }

  def start(*words):
    command = [sys.executable, '-m', 'dask', *words, '--no-dashboard']
    command += ['--scheduler-file', str(told)]
    with open(folder / 'dask.log', 'a') as log:
      return subprocess.Popen(command, env=env, stdout=log, stderr=log)

  processes = [start('scheduler', '--host', '127.0.0.1', '--port', '0')]
  try:
    words = ('worker', '--nthreads', '1', '--no-nanny')
    words += ('--local-directory', str(folder))
    processes += [start(*words) for _ in range(num_workers)]
    yield address(told), processes[0], processes[1:]
  finally:
    for process in processes:
      process.kill()
      process.wait()


def address(told):
  """Waits for the scheduler's file, and returns the address in it."""
  while True:
    with contextlib.suppress(FileNotFoundError, ValueError):
      return json.loads(told.read_text())['address']
    time.sleep(0.1)
