"""plan.npz -> checkpoints/, metrics.jsonl."""

from __future__ import annotations

import json
import math
import pathlib
import sys

import numpy as np

from aubal_jax import files
from aubal_jax import plan as plan_lib
from aubal_jax import preemption
from aubal_jax import workdir


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


def run(inputs, path) -> None:
  """plan.npz -> checkpoints/, metrics.jsonl."""
  import jax

  from aubal_jax import checkpoint
  from aubal_jax import losses
  from aubal_jax import train as train_lib
  from aubal_jax.data import augment
  from aubal_jax.data import pipeline
  from aubal_jax.tasks import network

  config, dataset = inputs.config, inputs.dataset
  plan = _load_plan(path, dataset)
  num_steps = _num_steps(config, plan)
  batch_size = config.train.batch_size
  train_lib.check_batch_size(batch_size, jax.local_device_count())
  images = inputs.images('train', 'validation')
  workdir.begin(path, 'train', config)
  model, optimizer, state = network.make_network(
    config, len(dataset.label_names)
  )
  loss = losses.make_loss(
    config.loss.name,
    weights=config.loss.weights,
    frequency=_frequency(dataset, plan),
  )
  settings = config.augment.to_dict()
  augment_rows, frozen = settings.pop('rows'), settings.pop('frozen')
  with checkpoint.open_checkpoints(
    path / 'checkpoints', keep_checkpoints=config.train.keep_checkpoints
  ) as checkpoints:
    if checkpoint.find_step(checkpoints) is not None:
      state = checkpoint.restore(checkpoints, state)
      print(f'train: goes on from step {int(state.step)}.', flush=True)
    first = int(state.step)
    batches = pipeline.train_batches(
      plan,
      images,
      dataset.labels,
      dataset.known,
      batch_size=batch_size,
      seed=config.seed,
      start_step=first,
      num_steps=max(num_steps - first, 0),
      augment_rows=augment_rows,
      frozen=frozen,
      settings=augment.Settings(**settings),
      num_workers=config.train.num_workers,
    )
    print(
      f'train: {config.model.name} on {jax.local_device_count()} '
      f'{jax.default_backend()} device(s), {len(plan):,} rows '
      f'({int(plan.augment.sum()):,} augmented), steps {first + 1} to '
      f'{num_steps} of {batch_size}',
      flush=True,
    )
    with _log_lines(path / 'metrics.jsonl', first) as write_line:
      with preemption.deferred():
        try:
          train_lib.train(
            state,
            train_lib.make_train_step(model, optimizer, loss),
            batches,
            num_steps=num_steps,
            log_every_steps=config.train.log_every_steps,
            eval_every_steps=config.train.eval_every_steps,
            checkpoint_every_steps=config.train.checkpoint_every_steps,
            steps_per_epoch=len(plan) / batch_size,
            learning_rate=config.train.learning_rate,
            write_line=write_line,
            validate=_make_validate(model, dataset, images, config),
            checkpoints=checkpoints,
            should_stop=preemption.requested,
          )
        except train_lib.Preempted as stop:
          print(f'{stop} The same command goes on.', file=sys.stderr)
          raise SystemExit(preemption.STATUS) from None
  workdir.finish(path, 'train', config)
  inputs.watch.lap('training')


class _log_lines:
  """Appends JSON lines to a file, after dropping those past a step.

  A run that was killed has logged steps that its newest checkpoint does not
  have; they are run, and logged, again.
  """

  def __init__(self, path: pathlib.Path, last_step: int):
    self._path = path
    self._last_step = last_step

  def __enter__(self):
    kept = [
      line for line in read_lines(self._path) if line['step'] <= self._last_step
    ]
    with files.write_atomically(self._path) as file:
      file.writelines(json.dumps(line) + '\n' for line in kept)
    self._file = open(self._path, 'a', encoding='utf-8')
    return self._write

  def __exit__(self, *_):
    self._file.close()

  def _write(self, line):
    self._file.write(json.dumps(line) + '\n')
    self._file.flush()


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
