"""plan.npz -> checkpoints/, metrics.jsonl."""

from __future__ import annotations

import contextlib
import json
import math
import sys

import numpy as np

from aubal_jax import plan as plan_lib
from aubal_jax import preemption
from aubal_jax import workdir


def run(inputs, path) -> None:
  """Trains up to the wanted number of steps, from the newest checkpoint."""
  import jax

  from aubal_jax import checkpoint
  from aubal_jax import losses
  from aubal_jax import train as train_lib
  from aubal_jax import train_log
  from aubal_jax.tasks import network

  config, dataset = inputs.config, inputs.dataset
  plan = _load_plan(path, dataset)
  num_devices = jax.device_count()
  train_lib.check_batch_size(config.train.batch_size, num_devices)
  loss = losses.make_loss(
    config.loss.name,
    weights=config.loss.weights,
    frequency=_frequency(dataset, plan),
  )
  num_labels = len(dataset.label_names)
  model, optimizer, state = network.make_network(config, num_labels)
  num_steps = _num_steps(config, plan)
  images = inputs.images('train', 'validation')
  with checkpoint.open_checkpoints(
    path / 'checkpoints', keep_checkpoints=config.train.keep_checkpoints
  ) as checkpoints:
    if checkpoint.find_step(checkpoints) is not None:
      state = checkpoint.restore(checkpoints, state)
    first = int(state.step)
    batches = _make_batches(config, dataset, plan, images, first, num_steps)
    workdir.begin(path, 'train', config)
    print(
      f'train: {config.model.name} on {num_devices} {jax.default_backend()} '
      f'device(s), {len(plan):,} rows ({int(plan.augment.sum()):,} augmented)'
      f', steps {first + 1} to {num_steps} of {config.train.batch_size}',
      flush=True,
    )
    with (
      train_log.open_metrics(path / 'metrics.jsonl', step=first) as write_line,
      _stopping_on_sigterm(),
    ):
      train_lib.train(
        state,
        train_lib.make_train_step(model, optimizer, loss),
        batches,
        num_steps=num_steps,
        log_every_steps=config.train.log_every_steps,
        eval_every_steps=config.train.eval_every_steps,
        checkpoint_every_steps=config.train.checkpoint_every_steps,
        steps_per_epoch=len(plan) / config.train.batch_size,
        learning_rate=config.train.learning_rate,
        write_line=write_line,
        validate=_make_validate(model, dataset, images, config),
        checkpoints=checkpoints,
        should_stop=preemption.requested,
      )
  workdir.finish(path, 'train', config)
  inputs.watch.lap('training')


def _load_plan(path, dataset):
  if not (path / 'plan.npz').exists():
    raise ValueError(
      f'{path} has no plan.npz; run the balance task there first '
      '(--config.task=balance, or --config.task=run for all stages).'
    )
  plan = plan_lib.load(path / 'plan.npz')
  if plan.label_names != tuple(dataset.label_names):
    raise ValueError(
      f'{path}/plan.npz was made for the labels {plan.label_names}, but the '
      f'data set has {tuple(dataset.label_names)}.'
    )
  return plan


def _num_steps(config, plan) -> int:
  if config.train.num_steps:
    return config.train.num_steps
  return math.ceil(
    config.train.num_epochs * len(plan) / config.train.batch_size
  )


def _make_batches(config, dataset, plan, images, first, num_steps):
  """Returns the iterator over the batches of steps `first` to `num_steps`."""
  import jax

  from aubal_jax.data import augment
  from aubal_jax.data import pipeline

  settings = config.augment.to_dict()
  augment_rows, frozen = settings.pop('rows'), settings.pop('frozen')
  return pipeline.train_batches(
    plan,
    images,
    dataset.labels,
    dataset.known,
    batch_size=config.train.batch_size,
    seed=config.seed,
    start_step=first,
    num_steps=max(num_steps - first, 0),
    augment_rows=augment_rows,
    frozen=frozen,
    settings=augment.Settings(**settings),
    num_workers=config.train.num_workers,
    shard_index=jax.process_index(),
    shard_count=jax.process_count(),
  )


@contextlib.contextmanager
def _stopping_on_sigterm():
  """Lets SIGTERM save and stop; then the process ends with its status."""
  from aubal_jax import train as train_lib

  try:
    with preemption.deferred():
      yield
  except train_lib.Preempted as stop:
    print(f'{stop} The same command goes on.', file=sys.stderr)
    raise SystemExit(preemption.STATUS) from None


def read_lines(path) -> list[dict]:
  """Returns the whole lines of metrics.jsonl; a kill may have cut the last."""
  if not path.exists():
    return []
  lines = []
  for text in path.read_text(encoding='utf-8').splitlines():
    try:
      lines.append(json.loads(text))
    except json.JSONDecodeError:
      break
  return lines


def _frequency(dataset, plan):
  """float[L], share of positives among the known training labels."""
  rows = np.unique(plan.source)
  known = np.maximum(dataset.known[rows].sum(axis=0), 1)
  return dataset.labels[rows].sum(axis=0) / known


def _make_validate(model, dataset, images, config):
  """Returns state -> scores on the validation split, or None without one."""
  from aubal_jax import evaluate as evaluate_lib
  from aubal_jax import metrics

  rows = dataset.rows('validation')
  if not len(rows):
    return None
  predict = evaluate_lib.make_predict(model)
  label, known = dataset.labels[rows], dataset.known[rows]

  def validate(state):
    probability = evaluate_lib.predict_rows(
      predict, state, images, rows, batch_size=config.evaluate.batch_size
    )
    found = metrics.Confusion.from_probabilities(probability, label, known)
    scores = ('f1_macro', 'f1_micro', 'accuracy', 'awc')
    return {name: float(getattr(found, name)) for name in scores}

  return validate
