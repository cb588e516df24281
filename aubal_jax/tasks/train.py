"""plan.npz -> checkpoints/, metrics.jsonl."""

from __future__ import annotations

import contextlib
import functools
import sys

import numpy as np

from aubal_jax import hosts
from aubal_jax import plan as plan_lib
from aubal_jax import preemption
from aubal_jax import workdir
from aubal_jax.tasks import logs

# What validation finds of a state.
SCORES = ('f1_macro', 'f1_micro', 'accuracy', 'awc')


def check(config) -> None:
  """Raises ValueError for what is wrong whatever the table."""
  from aubal_jax import tensorboard

  if config.train.tensorboard:
    tensorboard.check_installed()


def run(inputs) -> None:
  """Trains up to the wanted number of steps, from the newest checkpoint."""
  import jax

  from aubal_jax import profiling
  from aubal_jax import schedules
  from aubal_jax import train as train_lib
  from aubal_jax import train_step
  from aubal_jax.data import augment
  from aubal_jax.tasks import network

  config, dataset, path = inputs.config, inputs.dataset, inputs.path
  inputs.need_images()
  plan = hosts.from_first(lambda: _load_plan(path / 'plan.npz', dataset))
  num_devices = jax.device_count()
  train_step.check_batch_size(config.train.batch_size, num_devices)
  if config.train.patience and not len(dataset.rows('validation')):
    raise ValueError(
      'train.patience stops by the validation split, which this data set does '
      'not have; set it to 0, or config.data.validation_fraction.'
    )
  settings = config.augment.to_dict()
  del settings['rows'], settings['frozen'], settings['backend']
  settings = augment.Settings(**settings)
  described = network.describe(config, dataset.label_names)
  learning_rate = schedules.make_schedule(
    config.train.schedule,
    config.train.learning_rate,
    num_steps=inputs.num_steps,
    warmup_steps=config.train.warmup_steps,
  )
  model, optimizer = network.make_network(
    described,
    learning_rate=learning_rate,
    clip_norm=config.train.clip_norm,
    remat=config.train.remat,
  )
  step_fn = _make_step(config, model, optimizer, dataset, plan, settings)
  state = network.first_state(model, optimizer, described, seed=config.seed)
  inputs.watch.lap('making the network')
  images = inputs.images()
  with _open_checkpoints(inputs) as checkpoints:
    state = hosts.from_first(lambda: _newest(checkpoints, state))
    first = int(state.step)
    inputs.begin('train')
    if hosts.is_first():
      network.write(path / 'checkpoints', described)
    print(
      f'train: {config.model.name} on {num_devices} {jax.default_backend()} '
      f'device{"s" if num_devices > 1 else ""}, {len(plan):,} rows '
      f'({int(plan.augment.sum()):,} augmented), steps {first + 1:,} to '
      f'{inputs.num_steps:,}, batches of {config.train.batch_size}',
      flush=True,
    )
    with (
      _open_metrics(path, first) as write_line,
      logs.opened(inputs, plan, images, settings, first) as log,
      profiling.traced(
        step_fn,
        path / 'profile',
        num_steps=config.train.profile_steps if hosts.is_first() else 0,
      ) as step,
      _stopping_on_signals(),
    ):
      state = train_lib.train(
        state,
        step,
        _make_batches(inputs, plan, images, settings, first),
        num_steps=inputs.num_steps,
        log_every_steps=config.train.log_every_steps,
        eval_every_steps=config.train.eval_every_steps,
        checkpoint_every_steps=config.train.checkpoint_every_steps,
        patience=config.train.patience,
        steps_per_epoch=len(plan) / config.train.batch_size,
        learning_rate=learning_rate,
        write_line=logs.beside(write_line, log),
        validate=_make_validate(model, dataset, images, config, log),
        checkpoints=checkpoints,
        should_stop=hosts.signal_agreed(config.train.log_every_steps),
      )
  if state.step < inputs.num_steps:
    print(
      f'train: stopped after step {int(state.step):,}: {config.train.patience} '
      'looks at validation brought no better F1 macro than '
      f'{float(state.best):.3f}',
      flush=True,
    )
  inputs.finish('train')
  inputs.watch.lap('training')


@contextlib.contextmanager
def _open_checkpoints(inputs):
  """Opens checkpoints/ without those of another run; None on other hosts."""
  from aubal_jax import checkpoint

  path = inputs.path
  if not hosts.is_first():
    yield None
    return
  if not workdir.has_begun(path, 'train'):
    # Of another run, or of a plan that is no more.
    workdir.clear(path, (*workdir.WRITES['train'], *workdir.LOGS))
  with checkpoint.open_checkpoints(
    path / 'checkpoints', keep_checkpoints=inputs.config.train.keep_checkpoints
  ) as checkpoints:
    yield checkpoints


def _newest(checkpoints, state):
  """Returns the newest saved state, or `state`, as host arrays."""
  import jax

  from aubal_jax import checkpoint

  if checkpoint.find_step(checkpoints) is not None:
    state = checkpoint.restore(checkpoints, state)
  return jax.tree.map(np.asarray, state)


def _open_metrics(path, step):
  """Opens metrics.jsonl; None on other hosts."""
  from aubal_jax import train_log

  if not hosts.is_first():
    return contextlib.nullcontext()
  return train_log.open_metrics(path / 'metrics.jsonl', step=step)


def _load_plan(path, dataset):
  """Returns the plan, if it can be one of this data set.

  Raises:
    ValueError: there is none, or it is of other labels or rows.
  """
  if not path.exists():
    raise ValueError(
      f'{path} is not there; run the balance task first '
      '(--config.task=balance, or --config.task=run for all stages).'
    )
  plan = plan_lib.load(path)
  if plan.label_names != tuple(dataset.label_names):
    raise ValueError(
      f'{path} was made for the labels {plan.label_names}, but the data set '
      f'has {tuple(dataset.label_names)}.'
    )
  rows = np.union1d(plan.source, plan.partner[plan.partner >= 0])
  if not np.isin(rows, dataset.rows('train')).all():
    raise ValueError(
      f'{path} names rows that are not in the training split of this data '
      'set; run the balance task again.'
    )
  return plan


def _make_step(config, model, optimizer, dataset, plan, settings):
  """Returns the training step."""
  from aubal_jax import augment_device
  from aubal_jax import losses
  from aubal_jax import train_step

  counts, frequency = _label_counts(dataset, plan)
  return train_step.make_train_step(
    model,
    optimizer,
    losses.make_loss(
      config.loss.name,
      weights=config.loss.weights,
      frequency=frequency,
      counts=counts,
    ),
    ema_decay=config.train.ema_decay,
    augment=functools.partial(augment_device.augment_images, settings=settings),
    sync_batch_norm=config.model.sync_batch_norm,
  )


def _make_batches(inputs, plan, images, settings, first):
  """Returns the iterator over the batches of the steps after `first`."""
  import jax

  from aubal_jax import augment_device
  from aubal_jax.data import pipeline

  config = inputs.config
  on_device = config.augment.backend == 'device'
  return pipeline.train_batches(
    plan,
    images,
    inputs.dataset.labels,
    inputs.dataset.known,
    batch_size=config.train.batch_size,
    seed=config.seed,
    start_step=first,
    num_steps=max(inputs.num_steps - first, 0),
    augment_rows=config.augment.rows,
    frozen=config.augment.frozen,
    settings=settings,
    num_workers=config.train.num_workers,
    num_processes=config.train.num_processes,
    pack=augment_device.pack if on_device else None,
    shard_index=jax.process_index(),
    shard_count=jax.process_count(),
  )


@contextlib.contextmanager
def _stopping_on_signals():
  """Lets a signal save and stop; then the process ends with its status."""
  from aubal_jax import train as train_lib

  try:
    with preemption.deferred():
      yield
  except train_lib.Preempted as stop:
    print(stop, file=sys.stderr)
    hosts.from_first(lambda: None)  # By whom the state is saved.
    preemption.stop_if_requested()
    raise


def _label_counts(dataset, plan):
  """int[L], the positives of training; float[L], their share of the known."""
  rows = np.unique(plan.source)
  counts = dataset.labels[rows].sum(axis=0, dtype=np.int64)
  return counts, counts / np.maximum(dataset.known[rows].sum(axis=0), 1)


def _make_validate(model, dataset, images, config, log=None):
  """Returns state -> scores on the validation split, or None without one.

  The tuned thresholds are beside them, for those who use the state.
  """
  from aubal_jax import evaluate as evaluate_lib
  from aubal_jax import metrics
  from aubal_jax import train_step

  rows = dataset.rows('validation')
  if not len(rows):
    return None
  predict = evaluate_lib.make_predict(model)
  label, known = dataset.labels[rows], dataset.known[rows]

  def validate(state):
    probability = evaluate_lib.predict_rows(
      predict,
      train_step.evaluated(state),
      images,
      rows,
      batch_size=config.evaluate.batch_size,
    )
    found = metrics.Confusion.from_probabilities(probability, label, known)
    if log is not None:
      names = dataset.label_names
      log.write_curves(int(state.step), names, probability, label, known)
    thresholds = metrics.tune_thresholds(probability, label, known)
    return {
      **{name: float(getattr(found, name)) for name in SCORES},
      'thresholds': thresholds.tolist(),
    }

  return validate
