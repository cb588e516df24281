"""The training loop: steps, their log, validation and checkpoints."""

import dataclasses
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping

import jax
import numpy as np

from aubal_jax.network import checkpoint
from aubal_jax.network import log as log_lib
from aubal_jax.network import step as step_lib
from aubal_jax.runs import errors


class Preempted(Exception):
  """Training was asked to stop, and stopped; the message says at what step."""


@dataclasses.dataclass(frozen=True)
class Cadence:
  """How long training goes on, and how often it does what.

  Attributes:
    num_steps: step to train up to, those done before included.
    log_every_steps: steps between log lines; the last step has one too.
    eval_every_steps: steps between calls of `validate`.
    checkpoint_every_steps: steps between checkpoints.
    patience: stop, as after the last step, once so many validations in a row,
      one after each `eval_every_steps`, brought no better score; 0: never.
      The count is in the state, so a stopped run that goes on stops as well.
    steps_per_epoch: B steps a pass over the plan takes; None: no 'epoch' in
      the log.
  """

  num_steps: int
  log_every_steps: int = 10
  eval_every_steps: int = 100
  checkpoint_every_steps: int = 50
  patience: int = 0
  steps_per_epoch: float | None = None

  def __post_init__(self):
    for what in ('log', 'eval', 'checkpoint'):
      every = getattr(self, f'{what}_every_steps')
      if every < 1:
        raise errors.UserError(
          f'{what}_every_steps must be at least 1, got {every}; a number above'
          ' num_steps means: after the last step alone.'
        )


def train(
  state: step_lib.TrainState,
  compiled: step_lib.TrainStep,
  batches: Iterator[Mapping[str, np.ndarray]],
  cadence: Cadence,
  *,
  write_line: Callable[[dict], None] | None = None,
  learning_rate: float | Callable | None = None,
  validate: Callable[[step_lib.TrainState], dict] | None = None,
  checkpoints=None,
  should_stop: Callable[[], bool] | None = None,
) -> step_lib.TrainState:
  """Trains up to `cadence.num_steps`, or patience; returns the state then.

  To go on after a stop: hand in the restored state, and batches that begin
  with that of step `state.step` (counted from 0); the result is the straight
  run's, bit for bit. While the devices are at step n, the host reads the
  metrics of step n - 1 and makes the batch of step n + 1.

  After the last step and every so many the state is evaluated and saved, in
  this order, so that the metrics are saved with the state they are of. No
  state is saved unless all of it is finite.

  Args:
    state: from `step.create_state` or `checkpoint.restore`; not changed.
    compiled: from `step.make_train_step`.
    batches: from `pipeline.train_batches`, all of one shape.
    cadence: when what is done.
    write_line: takes the lines of metrics.jsonl, see `log.TrainLog`.
    learning_rate: number or schedule, for the log alone; None: left out.
    validate: state -> dict of JSON types with 'f1_macro', or None. All of it
      is saved with the state; its numbers are logged.
    checkpoints: from `checkpoint.open_checkpoints`, or None: nothing is saved.
    should_stop: polled after every step.

  Raises:
    UserError: the batches end early, or are not all alike.
    FloatingPointError: loss, gradient or state is no longer finite. The
      newest checkpoint is of a state that was.
    Preempted: `should_stop` said so; the state is saved.
  """
  first, stale = int(state.step) + 1, int(state.stale)
  num_steps = cadence.num_steps
  # A copy: the step would donate the caller's own arrays.
  state = compiled.place(jax.tree.map(np.array, state))
  log = log_lib.TrainLog(
    write_line,
    every_steps=cadence.log_every_steps,
    last_step=num_steps,
    steps_per_epoch=cadence.steps_per_epoch,
    learning_rate=learning_rate,
  )
  batch = None
  for step in range(first, num_steps + 1):
    if 0 < cadence.patience <= stale:
      break
    with log.waiting():
      batch = _next_batch(batches, batch, step, num_steps)
    size = step_lib.rows_of(batch)
    state, metrics = compiled.run(state, compiled.shard(batch))
    _settle(log, checkpoints)  # The step before, while this one runs.
    log.running = step, metrics, size
    if step == first:  # Its time is that of the compilation.
      _settle(log, checkpoints)
      log.start_clock((num_steps - first) * size)
    last = step == num_steps
    stop = should_stop is not None and should_stop() and not last
    due = step % cadence.eval_every_steps == 0
    evaluate = validate is not None and (last or due)
    save = last or stop or step % cadence.checkpoint_every_steps == 0
    if evaluate or save:
      _settle(log, checkpoints)
      with log.paused():
        found = validate(state) if evaluate else None
        if found is not None:
          log.write_validation(step, found)
          if due:
            state = _count(state, checkpoint.quality(found))
            stale, state = int(state.stale), compiled.place(state)
        if checkpoints is not None:
          checkpoint.save(checkpoints, state, found)
    if stop:
      if checkpoints is not None:
        checkpoint.wait(checkpoints)
      saved = 'nothing is' if checkpoints is None else 'the state is'
      raise Preempted(
        f'Stopped at step {step:,} of {num_steps:,}; {saved} saved.'
      )
  return state


def _count(state, score):
  """Returns the state after a validation, which may be the best so far."""
  score = np.float32(score)
  if score > state.best:
    return state.replace(best=score, stale=np.int32(0))
  return state.replace(stale=np.int32(state.stale + 1))


def _next_batch(batches, before, step, num_steps):
  """Returns the next batch; raises UserError unless it is like the others."""
  batch = next(batches, None)
  if batch is None:
    raise errors.UserError(
      f'batches ended before step {step:,} of {num_steps:,}: give an'
      ' iterator that repeats, or a smaller num_steps.'
    )
  leaves = jax.tree.leaves(batch if before is None else before)
  for (path, values), kept in zip(
    jax.tree.leaves_with_path(batch), leaves, strict=True
  ):
    if values.shape != kept.shape:
      name = '/'.join(key.key for key in path)
      raise errors.UserError(
        f'batches must all be of one shape, got {name} {values.shape} at step'
        f' {step:,} after {kept.shape}: fill up the last batch of an epoch.'
      )
  return batch


def _settle(log, checkpoints):
  """Waits for the running step; an error says which state is left."""
  try:
    log.settle()
  except FloatingPointError as error:
    kept = None if checkpoints is None else checkpoint.find_step(checkpoints)
    raise FloatingPointError(
      f'{error} No checkpoint was saved.'
      if kept is None
      else f'{error} The checkpoint of step {kept:,} is kept.'
    ) from error
