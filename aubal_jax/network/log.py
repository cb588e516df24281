"""What training tells while it runs: metrics.jsonl, progress, a trace."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import pathlib
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from typing import TYPE_CHECKING
from typing import Any

from aubal_jax.runs import files
from aubal_jax.runs.progress import Progress

if TYPE_CHECKING:  # It imports flax; who only reads lines needs not even JAX.
  from aubal_jax.network.step import TrainStep

_SCORE = 'f1_macro'  # That every look at validation has.
_UNTRACED = 3  # First steps: compilation, and caches that fill.


class TrainLog:
  """Measures the training loop and writes its lines.

  A line after every `every_steps` training steps, and after `last_step`, holds
    step: the step it was written after, counted from 1.
    epoch: passes over the plan, where `steps_per_epoch` is known.
    loss: mean over the steps since the line before.
    gradient_norm: of this step.
    learning_rate: of this step, where it is known.
    images_per_second: since the line before, without compilation, validation
      and saving; None where nothing else was done.
    input_wait_fraction: share of that time spent waiting for a batch.
  A line after validation holds step, epoch and `validation`: the numbers it
  found, without what else is saved with the state.

  Attributes:
    running: (step, its metrics on the devices, number of images) of the step
      the devices are at, or None. The loop sets it, `settle` takes it.
  """

  def __init__(
    self,
    write_line: Callable[[dict], None] | None = None,
    *,
    every_steps: int = 10,
    last_step: int | None = None,
    steps_per_epoch: float | None = None,
    learning_rate: float | Callable | None = None,
  ):
    self.running: tuple[int, dict, int] | None = None
    self._write_line = write_line or (lambda line: None)
    self._every_steps = every_steps
    self._last_step = last_step
    self._steps_per_epoch = steps_per_epoch
    self._learning_rate = learning_rate
    self._progress: Progress | None = None
    self._losses: list[float] = []
    self._reset()

  def _reset(self):
    self._start = time.monotonic()
    self._images = 0
    self._wait_seconds = 0.0

  def start_clock(self, num_images: int) -> None:
    """Begins to measure; `num_images` are still to be trained on."""
    self._reset()
    self._progress = Progress(num_images, 'train')

  @contextlib.contextmanager
  def waiting(self) -> Iterator[None]:
    """Counts the time inside as waiting for input."""
    start = time.monotonic()
    yield
    self._wait_seconds += time.monotonic() - start

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Leaves the time inside out of the rates."""
    start = time.monotonic()
    yield
    self._start += time.monotonic() - start

  def settle(self) -> None:
    """Waits for the running step, if there is one, and counts it.

    Raises:
      FloatingPointError: its loss, gradient or state is not finite.
    """
    if self.running is None:
      return
    import jax

    (step, metrics, num_images), self.running = self.running, None
    metrics = jax.device_get(metrics)
    _check_finite(step, metrics)
    self._losses.append(float(metrics['loss']))
    self._images += num_images
    if self._progress is not None:
      loss = self._losses[-1]
      self._progress.label = f'train, step {step:,}, loss {loss:.4f}, images'
      self._progress.update(num_images)
    if step % self._every_steps == 0 or step == self._last_step:
      self._write_training(step, float(metrics['gradient_norm']))

  def _write_training(self, step, gradient_norm):
    line = self._stamp(step)
    line['loss'] = math.fsum(self._losses) / len(self._losses)
    line['gradient_norm'] = gradient_norm
    rate = self._learning_rate
    if rate is not None:
      line['learning_rate'] = float(rate(step - 1) if callable(rate) else rate)
    seconds = max(time.monotonic() - self._start, 1e-9)
    measured = self._progress is not None
    line['images_per_second'] = self._images / seconds if measured else None
    line['input_wait_fraction'] = self._wait_seconds / seconds
    self._write_line(line)
    self._losses = []
    self._reset()

  def write_validation(self, step: int, found: dict[str, Any]) -> None:
    """Writes the numbers that validation found after a step."""
    numbers = {k: v for k, v in found.items() if isinstance(v, int | float)}
    self._write_line({**self._stamp(step), 'validation': numbers})

  def _stamp(self, step):
    line = {'step': step}
    if self._steps_per_epoch:
      line['epoch'] = step / self._steps_per_epoch
    return line


def read_lines(path: str | pathlib.Path) -> list[dict]:
  """Returns the lines of metrics.jsonl, in order; [] where there is no file.

  Left out is what is no JSON object with a whole number `step`, numbers beside
  it and scores of validation: a line that a kill cut off, or one that a disk
  damaged.

  Args:
    path: the file.
  """
  path = pathlib.Path(path)
  if not path.exists():
    return []
  lines = []
  for text in path.read_text('utf-8', errors='replace').split('\n'):
    try:
      line = json.loads(text)
    except (RecursionError, ValueError):
      continue
    if _is_line(line):
      lines.append(line)
  return lines


def _is_line(line) -> bool:
  """Whether JSON is a line as it was written, as far as that can be told."""
  # Of an object alone, and True is an int to Python.
  if not isinstance(line, dict) or type(line.get('step')) is not int:
    return False
  numbers = {k: v for k, v in line.items() if k != 'validation'}
  scores = line.get('validation', {_SCORE: None})
  if not isinstance(scores, dict) or _SCORE not in scores:
    return False
  values = [*numbers.values(), scores[_SCORE]]
  return all(value is None or type(value) in (int, float) for value in values)


@contextlib.contextmanager
def open_metrics(
  path: str | pathlib.Path, *, step: int = 0
) -> Iterator[Callable[[dict], None]]:
  """Opens metrics.jsonl to go on after `step`; yields `write_line`.

  Lines of later steps, which a run that was killed wrote after its last
  checkpoint, are removed, and so is what `read_lines` leaves out. Each line is
  on its way to the disk when `write_line` returns.

  Args:
    path: the file; made where it is not there.
    step: steps done; 0 begins a new file.
  """
  path = pathlib.Path(path)
  lines = [line for line in read_lines(path) if line['step'] <= step]
  with files.write_atomically(path) as file:
    file.writelines(json.dumps(line) + '\n' for line in lines)
  with files.naming(path), open(path, 'a', encoding='utf-8') as file:

    def write_line(line):
      file.write(json.dumps(line) + '\n')
      file.flush()

    yield write_line


def _check_finite(step, metrics):
  """Raises FloatingPointError naming what is not finite after a step."""
  for name in ('loss', 'gradient_norm'):
    value = float(metrics[name])
    if not math.isfinite(value):
      raise FloatingPointError(
        f'{name} is {value} at step {step:,}: lower the learning rate.'
      )
  if not metrics['finite']:
    raise FloatingPointError(
      f'state has a NaN or an infinity after step {step:,}, though loss and'
      ' gradient_norm had none: lower the learning rate.'
    )


@contextlib.contextmanager
def traced(
  compiled: TrainStep, directory: str | pathlib.Path, *, num_steps: int
) -> Iterator[TrainStep]:
  """Yields the step, of whose runs 4 to 3 + num_steps are traced.

  Results are the same; the devices are waited for before and after the trace,
  so that it holds these steps and no others. At the end it is said where the
  trace is and what opens it.

  Args:
    compiled: from `step.make_train_step`.
    directory: of the traces, one folder for each.
    num_steps: how many steps; fewer where training ends before. 0: none.
  """
  import jax

  done, running = 0, False

  def stop(state=None):
    nonlocal running
    jax.block_until_ready(state)
    jax.profiler.stop_trace()
    running = False
    _tell(directory, done - _UNTRACED)

  def counted(state, batch):
    nonlocal done, running
    if done == _UNTRACED:
      jax.block_until_ready(state)
      jax.profiler.start_trace(str(directory), create_perfetto_trace=True)
      running = True
    with jax.profiler.StepTraceAnnotation('train', step_num=done + 1):
      state, metrics = compiled.run(state, batch)
    done += 1
    if done == _UNTRACED + num_steps:
      stop(state)
    return state, metrics

  if not num_steps:
    yield compiled
    return
  try:
    yield dataclasses.replace(compiled, run=counted)
  finally:
    if running:
      stop()
  if done <= _UNTRACED:
    print(
      f'Warning: nothing was traced: train.profile_steps begins after step '
      f'{_UNTRACED} of those still to be done, and there were {done}.',
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
