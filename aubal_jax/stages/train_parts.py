"""What a training run is made of, whatever state it goes on from."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable
from collections.abc import Mapping

import flax.linen as nn
import jax
import numpy as np
import optax

from aubal_jax import settings as settings_lib
from aubal_jax.batches import augment_device
from aubal_jax.batches import draws
from aubal_jax.network import bundle
from aubal_jax.network import distillation
from aubal_jax.network import heads
from aubal_jax.network import inference
from aubal_jax.network import losses
from aubal_jax.network import optimizer as optimizer_lib
from aubal_jax.network import step as step_lib
from aubal_jax.network import target_losses
from aubal_jax.runs import errors
from aubal_jax.runs import hosts
from aubal_jax.stages import learnt
from aubal_jax.stages import sequence
from aubal_jax.stages import target_plans
from aubal_jax.tables import plan as plan_lib


class Parts(typing.NamedTuple):
  """What a run trains with, whatever it goes on from."""

  plan: plan_lib.Plan
  plans: Mapping  # Name of target -> its plan; {}: all have that one.
  targets: Mapping  # Name -> `Target`, as far as it trains.
  settings: draws.Settings
  description: bundle.Description
  learning_rate: Callable  # Of the step.
  model: nn.Module
  optimizer: optax.GradientTransformation
  step: step_lib.TrainStep
  predict: Callable  # See `inference.make_predict`.
  policy: Callable | None  # Of the user's, in place of the augmentations.


def make_parts(run, path=None, *, teacher=None) -> Parts:
  """Returns the parts.

  Args:
    run: the `Run`.
    path: the folder with the plan; None: that of the run.
    teacher: whose students are trained; the step is then to be `step.taught`.

  Raises:
    UserError: there is no plan, or none of this data set; the devices cannot
      share a batch; or patience has nothing to go by.
  """
  config, dataset = run.config, run.dataset
  plan = hosts.from_first(
    lambda: _load_plan((path or run.path) / 'plan.npz', dataset)
  )
  step_lib.check_batch_size(config.train.batch_size, jax.device_count())
  learnt.check_batch_size(config, dataset, jax.device_count())
  if window := sequence.length(config):
    sequence.check_batch_size(
      config.train.batch_size, window, jax.device_count()
    )
    plan = sequence.make_plan(plan, config, dataset)
  plans = {}
  if config.multitask.batching == 'per_task':
    plans = target_plans.plans_of(run, path)
  targets = learnt.in_training(config, dataset)
  if config.train.patience and not len(learnt.validating(config, dataset)):
    raise errors.UserError(
      'train.patience stops by the validation split, which this data set does '
      'not have; set it to 0, or config.data.validation_fraction.'
    )
  settings = draws.Settings(
    **settings_lib.arguments(config.augment, draws.OPTIONS)
  )
  description = bundle.describe(config, targets, dataset.stream)
  rate = config.train.learning_rate
  schedule = optimizer_lib.make_schedule(
    config.train.schedule,
    1.0,
    num_steps=run.num_steps,
    warmup_steps=config.train.warmup_steps,
  )
  model, optimizer = bundle.make_network(
    description,
    learning_rate=rate,
    schedule=schedule,
    clip_norm=config.train.clip_norm,
    remat=config.train.remat,
    sync_batch_norm=config.model.sync_batch_norm,
    init=config.model.init,
  )
  own = {
    head.name: _make_loss(
      config, head, targets[head.name], plans.get(head.name, plan)
    )
    for head in description.heads
  }
  step = step_lib.make_train_step(
    model,
    optimizer,
    _make_objective(config, description.heads, own, teacher),
    ema_decay=config.train.ema_decay,
    augment=functools.partial(augment_device.augment_images, settings=settings),
    seed=config.seed,
    taught=teacher is not None,
  )
  return Parts(
    plan,
    plans,
    targets,
    settings,
    description,
    lambda step: rate * schedule(step),
    model,
    optimizer,
    step,
    inference.make_predict(model, description.heads),
    load_policy(config),
  )


def _make_objective(config, all_heads, own, teacher):
  """Returns what is minimised, of the losses of heads and of a teacher."""
  if teacher is None:
    return heads.make_objective(all_heads, own)
  return distillation.make_objective(
    all_heads,
    own,
    temperature=config.distill.temperature,
    share=config.distill.own,
  )


def load_policy(config) -> Callable | None:
  """Returns f(images, epochs, rows) -> images of `augment.policy`, or None."""
  if not config.augment.policy:
    return None
  from aubal_jax.batches import policy

  return policy.load(config.augment.policy, seed=config.seed)


def _load_plan(path, dataset):
  """Returns the plan, if it can be one of this data set.

  Raises:
    UserError: there is none, or it is of other labels or rows.
  """
  if not path.exists():
    raise errors.UserError(
      f'{path} is not there; run the balance task first '
      '(--config.task=balance, or --config.task=run for all stages).'
    )
  plan = plan_lib.load(
    path, num_rows=len(dataset), label_names=dataset.label_names
  )
  rows = np.union1d(plan.source, plan.partner[plan.partner >= 0])
  if not np.isin(rows, dataset.rows('train')).all():
    raise errors.UserError(
      f'{path} names rows that are not in the training split of this data '
      'set; run the balance task again.'
    )
  return plan


def _make_loss(config, head, target, plan):
  """Returns the loss of a head, told how often its labels are in training."""
  if head.kind != 'binary':
    return target_losses.make_loss(head)
  rows = np.unique(plan.source)
  counts = target.values[rows].sum(axis=0, dtype=np.int64)
  known = target.known[rows].sum(axis=0)
  return losses.make_loss(
    head.loss,
    weights=config.loss.weights,
    label_smoothing=config.loss.label_smoothing,
    frequency=counts / np.maximum(known, 1),
    counts=counts,
  )
