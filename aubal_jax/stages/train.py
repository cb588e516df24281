"""plan.npz -> checkpoints/, metrics.jsonl."""

from __future__ import annotations

import contextlib
import functools
import sys

import numpy as np

from aubal_jax.runs import hosts
from aubal_jax.runs import preemption
from aubal_jax.runs import workdir
from aubal_jax.scoring import course
from aubal_jax.scoring import summary
from aubal_jax.scoring import targets
from aubal_jax.stages import learnt
from aubal_jax.stages import logs
from aubal_jax.stages import sequence
from aubal_jax.stages import target_scores

# What validation finds of a state.
SCORES = tuple(score.name for score in summary.scores_in('validation'))
METRICS = (*SCORES, targets.OVERALL)  # The last of several targets.


def check(config) -> None:
  """Raises UserError for what is wrong whatever the table."""
  from aubal_jax.network import tensorboard

  sequence.check(config)
  if config.train.tensorboard:
    tensorboard.check_installed()


def run(
  run, *, parts=None, tells_short: bool = True, booked: str = 'training'
) -> None:
  """Trains up to the wanted number of steps, from the newest checkpoint.

  Args:
    run: the `Run`.
    parts: `train_parts.Parts` it trains with; None: those of the run.
    tells_short: say where it looks short of its rate, see `course.seems_short`.
    booked: what its time is booked as.
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
      _cadence(run, parts),
      write_line=logs.beside(write_line, log),
      learning_rate=parts.learning_rate,
      validate=_make_validate(run, parts, streams, log),
      checkpoints=checkpoints,
      should_stop=hosts.signal_agreed(config.train.log_every_steps),
    )
  _tell_end(run, parts, state)
  if tells_short and hosts.is_first():
    _tell_short(log_lib.read_lines(path / 'metrics.jsonl'))
  run.finish('train')
  run.watch.lap(booked)


def _cadence(run, parts):
  """Returns when the loop does what."""
  from aubal_jax.network import loop

  train, plans = run.config.train, parts.plans
  rows = (
    len(plans) * min(map(len, plans.values())) if plans else len(parts.plan)
  )
  return loop.Cadence(
    num_steps=run.num_steps,
    log_every_steps=train.log_every_steps,
    eval_every_steps=train.eval_every_steps,
    checkpoint_every_steps=train.checkpoint_every_steps,
    patience=train.patience,
    steps_per_epoch=rows / learnt.stride(run.config) / train.batch_size,
  )


def _tell_start(run, parts, first) -> None:
  import jax

  config, count = run.config, jax.device_count()
  plans = parts.plans or {'': parts.plan}
  rows = ', '.join(
    f'{len(plan):,} rows{name and f" of {name}"}'
    for name, plan in plans.items()
  )
  added = sum(int(plan.augment.sum()) for plan in plans.values())
  for line in learnt.notes(config, run.dataset):
    print(f'train: {line}', flush=True)
  what = 'augmented' if run.sees_pictures else 'added'
  print(
    f'train: {config.model.name} on {count} {jax.default_backend()} '
    f'device{"s" if count > 1 else ""}, {rows} '
    f'({added:,} {what}), steps {first + 1:,} to '
    f'{run.num_steps:,}, batches of {config.train.batch_size}',
    flush=True,
  )


def _tell_end(run, parts, state) -> None:
  """Says where training ended, if that was before the last step."""
  score = 'score of all targets' if len(parts.targets) > 1 else 'F1 macro'
  if state.step < run.num_steps:
    print(
      f'train: stopped after step {int(state.step):,}: '
      f'{run.config.train.patience} looks at validation brought no better '
      f'{score} than {float(state.best):.3f}',
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
  from aubal_jax.batches import pipeline

  config = run.config
  size, num_processes = config.train.batch_size, config.train.num_processes
  if not parts.plans:
    return _batches_of(
      *(run, parts, streams, first, parts.plan, parts.targets),
      batch_size=size,
      seed=config.seed,
      num_processes=num_processes,
    )
  count = len(parts.plans)
  return pipeline.side_by_side(
    {
      name: _batches_of(
        *(run, parts, streams, first, plan, {name: parts.targets[name]}),
        batch_size=size // count,
        seed=pipeline.seed_of(config.seed, k),
        num_processes=-(-num_processes // count),
      )
      for k, (name, plan) in enumerate(parts.plans.items())
    }
  )


def _batches_of(run, parts, streams, first, plan, targets, **numbers):
  """Returns the iterator over the batches of a plan, for some targets."""
  import jax

  from aubal_jax.batches import augment_device
  from aubal_jax.batches import pipeline

  config = run.config
  on_device = config.augment.backend == 'device'
  stride = learnt.stride(config)
  return pipeline.train_batches(
    plan,
    streams,
    targets,
    start_step=first,
    num_steps=max(run.num_steps - first, 0),
    block=sequence.length(config) or 1,
    stride=stride,
    order=sequence.in_time(plan, run.dataset) if stride > 1 else None,
    augment_rows=config.augment.rows,
    frozen=config.augment.frozen,
    settings=parts.settings,
    num_workers=config.train.num_workers,
    pack=augment_device.pack if on_device else None,
    policy=parts.policy,
    shard_index=jax.process_index(),
    shard_count=jax.process_count(),
    **numbers,
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

  The thresholds tuned on it are beside them, for those who use the state. Of
  several targets each is scored over the rows that validate it.
  """
  from aubal_jax.network import inference
  from aubal_jax.network import step as step_lib

  dataset, heads = run.dataset, parts.description.heads
  if not len(learnt.validating(run.config, dataset)):
    return None

  def validate(state):
    state = step_lib.evaluated(state)
    reader = target_scores.Reader(
      dataset,
      heads,
      functools.partial(
        inference.predict_rows,
        parts.predict(state.params, state.batch_stats),
        streams,
        batch_size=run.config.evaluate.batch_size,
        windows=sequence.of_rows(parts.description, dataset),
      ),
    )
    rows, probability = reader.rows('validation'), reader.said('validation')
    label, known = dataset.labels[rows], dataset.known[rows]
    if log is not None:
      names = dataset.label_names
      log.write_curves(int(state.step), names, probability, label, known)
    return {
      **target_scores.of_validation(dataset, reader),
      **target_scores.tune(dataset, rows, probability).to_json(),
    }

  return validate
