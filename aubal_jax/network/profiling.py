"""A trace of some training steps, for a profiler."""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Callable
from collections.abc import Iterator

import jax

_SKIPPED = 3  # Steps before: compilation, and caches that fill.


@contextlib.contextmanager
def traced(
  step: Callable, directory: str | pathlib.Path, *, num_steps: int
) -> Iterator[Callable]:
  """Yields `step`, of which calls 4 to 3 + num_steps are traced.

  Results are the same; the devices are waited for before and after the trace,
  so that it holds these steps and no others. At the end it is said where the
  trace is and what opens it.

  Args:
    step: step(state, batch) -> (state, metrics), of
      `train_step.make_train_step`.
    directory: of the traces, one folder for each.
    num_steps: how many steps; fewer where training ends before. 0: none.
  """
  done, running = 0, False

  def stop(state=None):
    nonlocal running
    jax.block_until_ready(state)
    jax.profiler.stop_trace()
    running = False
    _tell(directory, done - _SKIPPED)

  def counted(state, batch):
    nonlocal done, running
    if done == _SKIPPED:
      jax.block_until_ready(state)
      jax.profiler.start_trace(str(directory), create_perfetto_trace=True)
      running = True
    with jax.profiler.StepTraceAnnotation('train', step_num=done + 1):
      state, metrics = step(state, batch)
    done += 1
    if done == _SKIPPED + num_steps:
      stop(state)
    return state, metrics

  if not num_steps:
    yield step
    return
  try:
    yield counted
  finally:
    if running:
      stop()
  if done <= _SKIPPED:
    print(
      f'Warning: nothing was traced: train.profile_steps begins after step '
      f'{_SKIPPED} of those still to be done, and there were {done}.',
      file=sys.stderr,
    )


def _tell(directory, num_steps):
  """Says where the trace is, and what opens it."""
  folders = pathlib.Path(directory).glob('plugins/profile/*')
  folder = max(folders, key=lambda folder: folder.stat().st_mtime_ns)
  print(
    f'train: {num_steps:,} steps traced; open '
    f'{folder / "perfetto_trace.json.gz"} at https://ui.perfetto.dev, or '
    f'after pip install xprof: xprof --logdir {directory}',
    flush=True,
  )
