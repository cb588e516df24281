"""plan.npz -> checkpoints/, metrics.jsonl."""

from __future__ import annotations

import contextlib
import sys

import numpy as np

from aubal_jax.datasets import streams as streams_lib
from aubal_jax.runs import hosts
from aubal_jax.runs import preemption
from aubal_jax.runs import workdir
from aubal_jax.scoring import course
from aubal_jax.scoring import summary
from aubal_jax.scoring import targets
from aubal_jax.stages import learnt
from aubal_jax.stages import logs

# What validation finds of a state.
SCORES = tuple(score.name for score in summary.scores_in('validation'))
METRICS = (*SCORES, targets.OVERALL)  # The last of several targets.


def check(config) -> None:
  """Raises UserError for what is wrong whatever the table."""
  from aubal_jax.network import tensorboard

  if config.train.tensorboard:
    tensorboard.check_installed()


def run(run, *, parts=None, tells_short: bool = True) -> None:
  """Trains up to the wanted number of steps, from the newest checkpoint.

  Args:
    run: the `Run`.
    parts: `train_parts.Parts` it trains with; None: those of the run.
    tells_short: say where it looks short of its rate, see `course.seems_short`.
  """
  from aubal_jax.network import bundle
  from aubal_jax.network import log as log_lib
  from aubal_jax.network import loop
  from aubal_jax.stages import train_parts

  run.need_streams()
  config, path = run.config, run.path
  parts = train_parts.make_parts(run) if parts is None else parts
  run.watch.lap('making the network')
  streams = run.streams(parts.description)
  with contextlib.ExitStack() as stack:
    checkpoints = stack.enter_context(_open_checkpoints(run))
    # In a list, from which it is handed on: none but the loop holds it then.
    held = [hosts.from_first(lambda: _newest(checkpoints, parts, run))]
    first = int(held[0].step)
    run.watch.lap('making the network')
    run.begin('train')
    if hosts.is_first():
      bundle.write(path / 'checkpoints', parts.description)
    _tell_start(run, parts, first)
    write_line = stack.enter_context(_open_metrics(path, first))
    log = stack.enter_context(logs.opened(run, parts, streams, first))
    compiled = stack.enter_context(
      log_lib.traced(
        parts.step,
        path / 'profile',
        num_steps=config.train.profile_steps if hosts.is_first() else 0,
      )
    )
    stack.enter_context(_stopping_on_signals())
    state = loop.train(
      held.pop(),
      compiled,
      _make_batches(run, parts, streams, first),
      _cadence(run, parts.plan),
      write_line=logs.beside(write_line, log),
      learning_rate=parts.learning_rate,
      validate=_make_validate(run, parts, streams, log),
      checkpoints=checkpoints,
      should_stop=hosts.signal_agreed(config.train.log_every_steps),
    )
  _tell_end(run, state)
  if tells_short and hosts.is_first():
    _tell_short(log_lib.read_lines(path / 'metrics.jsonl'))
  run.finish('train')
  run.watch.lap('training')


def _cadence(run, plan):
  """Returns when the loop does what."""
  from aubal_jax.network import loop

  train = run.config.train
  return loop.Cadence(
    num_steps=run.num_steps,
    log_every_steps=train.log_every_steps,
    eval_every_steps=train.eval_every_steps,
    checkpoint_every_steps=train.checkpoint_every_steps,
    patience=train.patience,
    steps_per_epoch=len(plan) / train.batch_size,
  )


def _tell_start(run, parts, first) -> None:
  import jax

  plan, config, count = parts.plan, run.config, jax.device_count()
  for line in learnt.notes(config, run.dataset):
    print(f'train: {line}', flush=True)
  what = 'augmented' if streams_lib.IMAGE in run.sees else 'added'
  print(
    f'train: {config.model.name} on {count} {jax.default_backend()} '
    f'device{"s" if count > 1 else ""}, {len(plan):,} rows '
    f'({int(plan.augment.sum()):,} {what}), steps {first + 1:,} to '
    f'{run.num_steps:,}, batches of {config.train.batch_size}',
    flush=True,
  )


def _tell_end(run, state) -> None:
  """Says where training ended, if that was before the last step."""
  if state.step < run.num_steps:
    print(
      f'train: stopped after step {int(state.step):,}: '
      f'{run.config.train.patience} looks at validation brought no better '
      f'F1 macro than {float(state.best):.3f}',
      flush=True,
    )


def _tell_short(lines) -> None:
  """Says in a line where a training looks short of its rate."""
  if reason := course.seems_short(lines):
    print(
      f'train: looks short of its rate: {reason}; more steps, or another '
      'train.learning_rate or model.init (task search), may score higher',
      flush=True,
    )


@contextlib.contextmanager
def _open_checkpoints(run):
  """Opens checkpoints/ without those of another run; None on other hosts."""
  from aubal_jax.network import checkpoint

  path = run.path
  if not hosts.is_first():
    yield None
    return
  if not workdir.has_begun(path, 'train'):
    # Of another run, or of a plan that is no more.
    workdir.clear(path, (*workdir.WRITES['train'], *workdir.LOGS))
  with checkpoint.open_checkpoints(
    path / 'checkpoints', keep_checkpoints=run.config.train.keep_checkpoints
  ) as checkpoints:
    yield checkpoints


def _newest(checkpoints, parts, run):
  """Returns the newest saved state, or the first one, as host arrays."""
  import jax

  from aubal_jax.network import bundle
  from aubal_jax.network import checkpoint

  def first():
    model, optimizer, seed = parts.model, parts.optimizer, run.config.seed
    return bundle.first_state(model, optimizer, parts.description, seed=seed)

  if checkpoint.find_step(checkpoints) is None:
    state = _begin(first(), parts, run.config.model.init_from)
  else:
    state = checkpoint.restore(checkpoints, jax.eval_shape(first))
  return jax.tree.map(np.asarray, state)


def _begin(state, parts, path):
  """Returns the first state, its trunk from the weights at `path`, if any."""
  from aubal_jax.network import weights

  if not path:
    return state
  state, told = weights.begin(path, state, parts.model)
  for line in told:
    print(f'train: {line}', flush=True)
  return state


def _open_metrics(path, step):
  """Opens metrics.jsonl; None on other hosts."""
  from aubal_jax.network import log as log_lib

  if not hosts.is_first():
    return contextlib.nullcontext()
  return log_lib.open_metrics(path / 'metrics.jsonl', step=step)


def _make_batches(run, parts, streams, first):
  """Returns the iterator over the batches of the steps after `first`."""
  import jax

  from aubal_jax.batches import augment_device
  from aubal_jax.batches import pipeline

  config = run.config
  on_device = config.augment.backend == 'device'
  return pipeline.train_batches(
    parts.plan,
    streams,
    parts.targets,
    batch_size=config.train.batch_size,
    seed=config.seed,
    start_step=first,
    num_steps=max(run.num_steps - first, 0),
    augment_rows=config.augment.rows,
    frozen=config.augment.frozen,
    settings=parts.settings,
    num_workers=config.train.num_workers,
    num_processes=config.train.num_processes,
    pack=augment_device.pack if on_device else None,
    policy=parts.policy,
    shard_index=jax.process_index(),
    shard_count=jax.process_count(),
  )


@contextlib.contextmanager
def _stopping_on_signals():
  """Lets a signal save and stop; then the process ends with its status."""
  from aubal_jax.network import loop as train_lib

  try:
    with preemption.deferred():
      yield
  except train_lib.Preempted as stop:
    print(stop, file=sys.stderr)
    hosts.from_first(lambda: None)  # By whom the state is saved.
    preemption.stop_if_requested()
    raise


def _make_validate(run, parts, streams, log):
  """Returns state -> scores on the validation split, or None without one.

  The thresholds tuned on it are beside them, for those who use the state.
  """
  from aubal_jax.network import bundle
  from aubal_jax.network import inference
  from aubal_jax.network import step as step_lib
  from aubal_jax.scoring import thresholds

  dataset, size = run.dataset, run.config.evaluate.batch_size
  rows = dataset.rows('validation')
  if not len(rows):
    return None
  label, known = dataset.labels[rows], dataset.known[rows]

  def validate(state):
    state = step_lib.evaluated(state)
    of_state = parts.predict(state.params, state.batch_stats)
    found = inference.predict_rows(of_state, streams, rows, batch_size=size)
    probability = found[bundle.LABELS]
    if log is not None:
      names = dataset.label_names
      log.write_curves(int(state.step), names, probability, label, known)
    return {
      **summary.of_validation(probability, label, known),
      **thresholds.find(probability, label, known).to_json(),
    }

  return validate
