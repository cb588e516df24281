"""Measures one solver in a process of its own.

A fresh process has compiled nothing and holds nothing, so compile seconds and
peak memory are of this solver alone. It solves once to compile, without the
cache of compiled programs, and then again for the seconds: those of the
quickest of a few.
"""

from __future__ import annotations

import functools
import importlib
import math
import multiprocessing
import os
import pathlib
import re
import resource
import signal
import sys
import time
import traceback

import numpy as np
from scipy import sparse

from aubal_jax.runs import errors
from aubal_jax.stages import problem

_TELL_SECONDS = 1.0  # Between messages on how far a solver is, at least.
_MOST_REPEATS = 5
_ENOUGH_SECONDS = 2.0  # No further repeat is begun after so many.


class Refused(errors.UserError):
  """The settings have to be mended, whatever the solver."""


def save_problem(folder, labelsets) -> None:
  """Writes the labelsets into a folder, for `solve` and `ask`."""
  sparse.save_npz(
    os.path.join(folder, 'patterns.npz'),
    sparse.csr_array(labelsets.patterns),
    compressed=False,
  )
  np.save(os.path.join(folder, 'counts.npy'), labelsets.counts)


def _load_problem(folder):
  patterns = sparse.load_npz(os.path.join(folder, 'patterns.npz'))
  return patterns, np.load(os.path.join(folder, 'counts.npy'))


def run_apart(function, *arguments, max_seconds: float, on_wait) -> dict:
  """Calls function(tell, *arguments) in a fresh process.

  Args:
    function: of a module; `tell` sends a text on how far it is.
    *arguments: for it; they are pickled.
    max_seconds: when it is stopped.
    on_wait: is given the newest such text about once a second.

  Returns:
    What the function returns, a dict; or {'status': why it did not, 'failed':
    whether that is anybody's fault}.

  Raises:
    Refused: the settings have to be mended.
  """
  context = multiprocessing.get_context('spawn')
  here, there = context.Pipe(duplex=False)
  process = context.Process(
    target=_call, args=(there, function, arguments), daemon=True
  )
  end = time.monotonic() + max_seconds
  process.start()
  there.close()
  text = ''
  try:
    while time.monotonic() < end:
      if here.poll(_TELL_SECONDS):
        kind, content = here.recv()
        if kind == 'answer':
          process.join(_TELL_SECONDS)
          return content
        if kind == 'refused':
          raise Refused(content)
        text = content
      on_wait(text)
  except EOFError:
    process.join()
    return _failure(f'its process ended with status {process.exitcode}')
  finally:
    process.kill()
    process.join()
    here.close()
  return {
    'status': f'stopped after {max_seconds:g} s (optimizers.max_seconds)',
    'failed': False,
  }


def _failure(status) -> dict:
  return {'status': f'failed: {status}', 'failed': True}


def _call(connection, function, arguments) -> None:
  """Calls the function, in its process, and sends what comes of it."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)  # Who started it ends it.
  signal.signal(signal.SIGHUP, signal.SIG_IGN)

  def tell(text):
    connection.send(('text', text))

  try:
    answer = 'answer', function(tell, *arguments)
  except Refused as error:
    answer = 'refused', str(error)
  except errors.UserError as error:
    answer = 'answer', {'status': str(error), 'failed': False}
  except Exception as error:  # A bug, ours or a library's.
    traceback.print_exc()
    answer = 'answer', _failure(f'{type(error).__name__}: {error}')
  connection.send(answer)


def solve(tell, folder, config, name: str, polish: bool) -> dict:
  """Measures a variant of `solve`.

  Args:
    tell: is given texts on how far it is.
    folder: of `save_problem`.
    config: the configuration.
    name: of the variant.
    polish: whether Newton steps finish what it leaves.

  Returns:
    The entries of a row, and `trace`, whose seconds begin where those of the
    row do.

  Raises:
    Refused: there are not so many devices.
  """
  import jax

  from aubal_jax.balancing import solve as solve_lib

  jax.config.update('jax_enable_compilation_cache', False)
  try:
    settings = problem.solve_arguments(config)
  except errors.UserError as error:
    raise Refused(str(error)) from error
  settings |= {'optimizer': name, 'polish': polish}
  before = peak_memory()
  patterns, counts = _load_problem(folder)
  call = functools.partial(solve_lib.solve, patterns, counts, **settings)
  _, first = _solve_once(call, tell, 'to compile')
  memory = peak_memory() - before
  seconds, last = _quickest(lambda: _solve_once(call, tell, 'to measure'))
  late = seconds - last.trace['seconds'][-1]
  last.trace['seconds'] = [s + late for s in last.trace['seconds']]
  fields = (
    *('num_steps', 'value', 'cost', 'lower_bound_priced', 'gap'),
    *('polished', 'converged'),
  )
  return _plain(
    {
      **{field: getattr(last, field) for field in fields},
      'seconds': seconds,
      'seconds_compile': first.seconds_compile,
      'memory_bytes': memory,
      'trace': last.trace,
    }
  )


def _quickest(measure):
  """Returns the least of a few (seconds, result), as many as there is time."""
  end = time.monotonic() + _ENOUGH_SECONDS
  found = [measure()]
  while len(found) < _MOST_REPEATS and time.monotonic() < end:
    found.append(measure())
  return min(found, key=lambda pair: pair[0])


def _solve_once(call, tell, which):
  """Returns seconds to the last certificate, and the `Solution`.

  Compiling is not in them, nor rounding, which is the same for all variants.
  """
  begin = last = told = time.perf_counter()

  def follow(entry):
    nonlocal last, told
    last = time.perf_counter()
    if last - told >= _TELL_SECONDS:
      told = last
      rate = entry['step'] / max(entry['seconds'], 1e-9)
      steps = f'{entry["step"]:,} steps ({rate:,.0f} a second)'
      tell(f'{which}, {steps}, gap {entry["gap"]:.1e}')

  tell(which)
  found = call(on_progress=follow)
  return last - begin - found.seconds_compile, found


def ask(tell, folder, config, name: str) -> dict:
  """Measures a rival; its answer is moved into the budget and priced by us.

  Args:
    tell: is given texts on how far it is.
    folder: of `save_problem`.
    config: the configuration.
    name: of `rivals.RIVALS`.

  Returns:
    The entries of a row, without a bound; `unit` is what a gap is relative to.
  """
  import jax

  from aubal_jax.balancing import instance as instance_lib
  from aubal_jax.balancing import rules as rules_lib
  from aubal_jax.experiments.solvers import rivals

  jax.config.update('jax_enable_compilation_cache', False)
  importlib.import_module(name)
  before = peak_memory()
  patterns, counts = _load_problem(folder)
  rules = rules_lib.Rules(**problem.rules_of(config))
  tol = config.balance.tol

  def answer():
    begin = time.perf_counter()
    instance = instance_lib.make_instance(patterns, counts, rules)
    preparing = time.perf_counter() - begin
    found = rivals.RIVALS[name](instance, tol=tol)
    return preparing + found.seconds, found

  _, first = answer()
  memory = peak_memory() - before
  tell('to measure')
  seconds, found = _quickest(answer)
  instance = instance_lib.make_instance(patterns, counts, rules)
  counts = instance.within_budget(found.growth * instance.start)
  value = instance.value(counts)
  return _plain(
    {
      'num_steps': found.num_steps,
      'value': value,
      'cost': instance.cost(counts),
      'unit': instance.unit(value),
      'polished': False,
      'seconds': seconds,
      'seconds_compile': first.seconds_setup,
      'memory_bytes': memory,
      'says': found.status,
    }
  )


def _plain(value):
  """Returns what JSON can hold; a number that is not finite is None."""
  if isinstance(value, dict):
    return {name: _plain(entry) for name, entry in value.items()}
  if isinstance(value, list):
    return [_plain(entry) for entry in value]
  if isinstance(value, np.generic):
    value = value.item()
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def peak_memory() -> int:
  """Returns the most bytes this process has held.

  Linux hands the maximum of getrusage down from the process before `exec`; the
  high-water mark in /proc is of this program alone.
  """
  status = pathlib.Path('/proc/self/status')
  text = status.read_text(encoding='utf-8') if status.exists() else ''
  if found := re.search(r'VmHWM:\s+(\d+) kB', text):
    return 1024 * int(found[1])
  unit = 1 if sys.platform == 'darwin' else 1024  # macOS counts bytes.
  return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
